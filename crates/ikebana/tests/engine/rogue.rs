//! A peer that holds the keys and does not follow its own policies.

use std::sync::Arc;

use ikebana::core::spi::ShardedSpis;
use ikebana::core::{Datagram, Instant, Path, Secret};
use ikebana::crypto::CryptoProvider;
use ikebana::esp::{EspParams, NextHeader, OutboundSa, PacketBuf};
use ikebana::ike::{
    Credentials, Direction, EndpointConfig, Event, Output, PeerConfig, PreSharedKeyRequest, SelectPeer,
};
use ikebana::ikev2::Endpoint;
use ikebana::{ArrivalFate, Arriving, Port, TunnelConfig};
use ikebana_testkit::{Delivery, EndpointId, SeededRng};

use crate::setup::KEY;
use crate::world::World;

/// Host 1 as an endpoint alone, with an SA towards host 0 that seals whatever it is told to.
pub(crate) struct Rogue {
    id: EndpointId,
    endpoint: Endpoint,
    sa: Option<OutboundSa>,
    path: Path,
}

struct Key(Arc<PeerConfig>);

impl Credentials for Key {
    fn select_peer(&mut self, _: &SelectPeer) -> Option<Arc<PeerConfig>> {
        Some(self.0.clone())
    }

    fn pre_shared_key(&mut self, _: &PreSharedKeyRequest) -> Option<Secret> {
        Some(Secret::from_slice(KEY))
    }
}

impl Rogue {
    /// Connects to host 0 of `world` as `config` says.
    pub(crate) fn connect(world: &mut World, config: TunnelConfig) -> Self {
        let provider = Arc::new(CryptoProvider::fastest());
        let rng = Box::new(SeededRng::new(99));
        let spis = Box::new(ShardedSpis::unsharded());
        let endpoint = Endpoint::new(Arc::new(EndpointConfig::default()), provider, rng, spis);
        let path = Path::new((config.local, 500).into(), config.remote.unwrap());
        let id = world.network.attach(config.local);
        let mut rogue = Self { id, endpoint, sa: None, path };
        let peer = Arc::new(config.peer);
        rogue.endpoint.initiate(world.now, peer.clone(), path).unwrap();
        let mut key = Key(peer);
        for _ in 0..4 {
            while let Some(output) = rogue.endpoint.poll_output_with(world.now, &mut key) {
                rogue.act(world, output);
            }
            world.run_secs(1);
            for delivery in world.strays.split_off(0) {
                let (path, octets) = (delivery.path, delivery.octets.as_slice());
                let datagram = Datagram { path, encapsulated: false, octets };
                rogue.endpoint.handle_datagram(world.now, datagram).unwrap();
            }
        }
        assert!(rogue.sa.is_some(), "{}", world.story());
        rogue
    }

    fn act(&mut self, world: &mut World, output: Output) {
        match output {
            Output::Transmit(transmit) => {
                world.network.send(world.now, self.id, transmit.path, transmit.octets);
            }
            Output::Event(Event::InstallSa(params)) if params.direction == Direction::Outbound => {
                let [source, destination] = [self.path.local.ip(), self.path.remote.ip()];
                let keys = [params.keys.encryption, params.keys.integrity];
                let esp = EspParams::tunnel(params.spi, params.suite, keys, source, destination);
                let provider = CryptoProvider::fastest();
                self.sa = Some(OutboundSa::new(esp, &provider, &mut SeededRng::new(1)).unwrap());
            }
            Output::Event(_) => {}
        }
    }

    /// Seals a packet as it is.
    pub(crate) fn seal(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut buffer = vec![0; packet.len() + 256];
        buffer[128..128 + packet.len()].copy_from_slice(packet);
        let mut sealed = PacketBuf::new(&mut buffer, 128..128 + packet.len()).unwrap();
        self.sa.as_mut().unwrap().encapsulate(&mut sealed).unwrap();
        sealed.payload().to_vec()
    }

    /// Seals any octets as anything.
    pub(crate) fn seal_as(&mut self, next: NextHeader, text: &[u8]) -> Vec<u8> {
        let mut buffer = vec![0; text.len() + 256];
        buffer[128..128 + text.len()].copy_from_slice(text);
        let mut sealed = PacketBuf::new(&mut buffer, 128..128 + text.len()).unwrap();
        self.sa.as_mut().unwrap().seal(&mut sealed, next).unwrap();
        sealed.payload().to_vec()
    }

    /// Puts octets before host 0 as an ESP packet, and returns what its inner side gets.
    pub(crate) fn open(&self, world: &mut World, octets: &[u8]) -> Option<Vec<u8>> {
        let mut buffer = [&[0; 64], octets].concat();
        let place = 64..buffer.len();
        let path = Path::new(self.path.remote, self.path.local);
        let packet = PacketBuf::new(&mut buffer, place).unwrap();
        let mut arriving = [Arriving::new(path, Port::Esp, None, packet)];
        world.nodes[0].engine.handle_datagrams(world.now, &mut arriving);
        assert_ne!(arriving[0].fate, ArrivalFate::Pending);
        (arriving[0].fate == ArrivalFate::Deliver).then(|| arriving[0].packet.payload().to_vec())
    }

    /// Puts octets before host 0 as an ESP packet, and says what became of them.
    pub(crate) fn put(&self, world: &mut World, octets: Vec<u8>) -> ArrivalFate {
        self.put_all(world, vec![octets])[0]
    }

    /// Puts several before host 0 at once.
    pub(crate) fn put_all(&self, world: &mut World, packets: Vec<Vec<u8>>) -> Vec<ArrivalFate> {
        let bare = |socket: std::net::SocketAddr| std::net::SocketAddr::new(socket.ip(), 0);
        let path = Path::new(bare(self.path.remote), bare(self.path.local));
        let at: Instant = world.now;
        let to = world.nodes[0].id;
        let before = world.nodes[0].fates.len();
        world.arrive(0, packets.into_iter().map(|octets| Delivery { at, to, path, octets }).collect());
        world.nodes[0].fates[before..].to_vec()
    }
}
