//! Hosts with an engine each, the network between them, and the packets of their inner sides.

mod checks;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ikebana::core::spi::ShardedSpis;
use ikebana::core::{Instant, Path};
use ikebana::crypto::CryptoProvider;
use ikebana::esp::PacketBuf;
use ikebana::{
    ArrivalFate, Arriving, Engine, EngineConfig, Event, Leaving, LeavingFate, Output, Port, Sending,
    TunnelConfig, TunnelId,
};
use ikebana_testkit::{Delivery, EndpointId, LinkConfig, NatId, Network, SeededRng};

use crate::packet::{number_of, numbered};
use crate::setup::{copy, inner, outer};

/// Room around packets.
const ROOM: usize = 128;

/// In place of a port, for whole packets with AH.
const AH: u16 = 51;

/// A host.
pub(crate) struct Node {
    pub(crate) id: EndpointId,
    pub(crate) engine: Engine,
    pub(crate) alive: bool,
    pub(crate) tunnels: Vec<(TunnelId, TunnelConfig)>,
    pub(crate) seen: Vec<(Instant, Event)>,
    /// Packets that reached the inner side, and messages of the engine's own.
    pub(crate) inbox: Vec<Vec<u8>>,
    /// What was sent: path, whether UDP or else ESP or AH, octets.
    pub(crate) wire: Vec<(Instant, Path, bool, usize)>,
    /// What became of datagrams that did not hold a packet.
    pub(crate) fates: Vec<ArrivalFate>,
}

struct Sent {
    from: usize,
    to: usize,
    at: Instant,
    fate: LeavingFate,
    arrived: Vec<(usize, Instant)>,
}

struct Stream {
    from: usize,
    to: usize,
    v6: bool,
    every: Duration,
    next: Instant,
}

/// Everything.
pub(crate) struct World {
    pub(crate) network: Network,
    pub(crate) now: Instant,
    pub(crate) nodes: Vec<Node>,
    /// What arrived at an address that no host has.
    pub(crate) strays: Vec<Delivery>,
    seed: u64,
    engines: u64,
    streams: Vec<Stream>,
    packets: BTreeMap<u64, Sent>,
    digest: DefaultHasher,
}

impl World {
    pub(crate) fn new(seed: u64, link: LinkConfig) -> Self {
        Self {
            network: Network::new(seed, link),
            now: Instant::from_secs(1),
            nodes: Vec::new(),
            strays: Vec::new(),
            seed,
            engines: 0,
            streams: Vec::new(),
            packets: BTreeMap::new(),
            digest: DefaultHasher::new(),
        }
    }

    /// Two hosts with a tunnel to each other.
    pub(crate) fn pair(a: TunnelConfig, b: TunnelConfig) -> Self {
        let mut world = Self::new(1, LinkConfig::default());
        world.add_host();
        world.add_host();
        world.add_tunnel(0, a);
        world.add_tunnel(1, b);
        world
    }

    /// A host at its usual address.
    pub(crate) fn add_host(&mut self) -> usize {
        let id = self.network.attach(outer(self.nodes.len()));
        self.add_node(id)
    }

    /// A host at its usual address, which is known behind a NAT only.
    pub(crate) fn add_host_behind(&mut self, nat: NatId) -> usize {
        let id = self.network.attach_behind(nat, outer(self.nodes.len()));
        self.add_node(id)
    }

    fn add_node(&mut self, id: EndpointId) -> usize {
        let engine = self.engine(EngineConfig::default());
        self.nodes.push(Node {
            id,
            engine,
            alive: true,
            tunnels: Vec::new(),
            seen: Vec::new(),
            inbox: Vec::new(),
            wire: Vec::new(),
            fates: Vec::new(),
        });
        self.nodes.len() - 1
    }

    /// A fresh engine; no two of a world share a seed.
    pub(crate) fn engine(&mut self, config: EngineConfig) -> Engine {
        self.engines += 1;
        let rng = Box::new(SeededRng::new(self.seed.wrapping_mul(1_000).wrapping_add(self.engines)));
        let provider = Arc::new(CryptoProvider::fastest());
        // A stream of its own; which version is spoken is the tunnels' to say.
        let more =
            Box::new(SeededRng::new(u64::MAX - self.seed.wrapping_mul(1_000).wrapping_add(self.engines)));
        let spis = || Box::new(ShardedSpis::unsharded());
        Engine::new(config, provider, rng, spis()).with_ikev1(more, spis())
    }

    pub(crate) fn add_tunnel(&mut self, host: usize, config: TunnelConfig) -> TunnelId {
        let (now, node) = (self.now, &mut self.nodes[host]);
        let id = node.engine.add_tunnel(now, copy(&config)).unwrap();
        node.tunnels.push((id, config));
        self.drain(host);
        id
    }

    pub(crate) fn remove_tunnel(&mut self, host: usize, id: TunnelId) {
        self.nodes[host].engine.remove_tunnel(self.now, id).unwrap();
        self.nodes[host].tunnels.retain(|(kept, _)| *kept != id);
        self.drain(host);
    }

    /// The first tunnel of a host.
    pub(crate) fn id(&self, host: usize) -> TunnelId {
        self.nodes[host].tunnels[0].0
    }

    pub(crate) fn start(&mut self, host: usize) {
        let id = self.id(host);
        self.nodes[host].engine.start(self.now, id).unwrap();
        self.drain(host);
    }

    pub(crate) fn stop(&mut self, host: usize) {
        let id = self.id(host);
        self.nodes[host].engine.stop(self.now, id).unwrap();
        self.drain(host);
    }

    /// Does something to an engine, and passes on what comes of it.
    pub(crate) fn with<T>(&mut self, host: usize, act: impl FnOnce(&mut Engine, Instant) -> T) -> T {
        let result = act(&mut self.nodes[host].engine, self.now);
        self.drain(host);
        result
    }

    /// A host loses power: it hears nothing, says nothing and remembers nothing.
    pub(crate) fn kill(&mut self, host: usize) {
        self.nodes[host].alive = false;
    }

    /// It comes back with its configuration, and with nothing else.
    pub(crate) fn revive(&mut self, host: usize) {
        let engine = self.engine(EngineConfig::default());
        let node = &mut self.nodes[host];
        (node.alive, node.engine) = (true, engine);
        let tunnels = std::mem::take(&mut node.tunnels);
        for (_, config) in tunnels {
            self.add_tunnel(host, config);
        }
    }

    /// Sends one numbered packet of 100 octets.
    pub(crate) fn send(&mut self, from: usize, to: usize, v6: bool) -> LeavingFate {
        let number = self.packets.len() as u64;
        let packet = numbered(inner(from, v6), inner(to, v6), number, 100);
        let fate = self.send_packet(from, &packet);
        self.packets.insert(number, Sent { from, to, at: self.now, fate, arrived: Vec::new() });
        fate
    }

    /// Hands a packet of the inner side to an engine.
    pub(crate) fn send_packet(&mut self, from: usize, packet: &[u8]) -> LeavingFate {
        let mut buffer = vec![0; packet.len() + 2 * ROOM + 1_500];
        buffer[ROOM..ROOM + packet.len()].copy_from_slice(packet);
        let buf = PacketBuf::new(&mut buffer, ROOM..ROOM + packet.len()).unwrap();
        let mut batch = [Leaving::new(buf)];
        let node = &mut self.nodes[from];
        if !node.alive {
            return LeavingFate::Pending;
        }
        node.engine.handle_packets(self.now, &mut batch);
        let [leaving] = batch;
        if let LeavingFate::Send(how) = leaving.fate {
            let octets = leaving.packet.payload().to_vec();
            self.transmit_sealed(from, how, octets);
        }
        self.drain(from);
        leaving.fate
    }

    fn transmit_sealed(&mut self, from: usize, how: Sending, octets: Vec<u8>) {
        // Protocols without ports have numbers here that no UDP socket has.
        let bare = |number: u16| {
            let end = |socket: SocketAddr| SocketAddr::new(socket.ip(), number);
            Path::new(end(how.path.local), end(how.path.remote))
        };
        let path = match how.port {
            Port::Ike | Port::Shared => how.path,
            Port::Esp => bare(0),
            Port::Ah => bare(AH),
        };
        self.transmit(from, path, octets, path == how.path);
    }

    fn transmit(&mut self, from: usize, path: Path, octets: Vec<u8>, udp: bool) {
        (self.now, from, path, &octets).hash(&mut self.digest);
        self.nodes[from].wire.push((self.now, path, udp, octets.len()));
        self.network.send(self.now, self.nodes[from].id, path, octets);
    }

    /// Packets from one host to another at even distances, until the streams are stopped.
    pub(crate) fn stream(&mut self, from: usize, to: usize, v6: bool, every: Duration) {
        self.streams.push(Stream { from, to, v6, every, next: self.now });
    }

    /// Packets both ways in both families.
    pub(crate) fn flood(&mut self, a: usize, b: usize, every: Duration) {
        for (from, to) in [(a, b), (b, a)] {
            for v6 in [false, true] {
                self.stream(from, to, v6, every);
            }
        }
    }

    pub(crate) fn stop_streams(&mut self) {
        self.streams.clear();
    }

    /// Hands on whatever a host has to say.
    pub(crate) fn drain(&mut self, host: usize) {
        while let Some(output) = self.nodes[host].engine.poll_output() {
            match output {
                Output::Transmit { path, octets } => self.transmit(host, path, octets, true),
                Output::Send { how, octets } => self.transmit_sealed(host, how, octets),
                Output::Deliver(packet) => self.receive(host, packet),
                Output::Event(event) => {
                    format!("{event:?}").hash(&mut self.digest);
                    self.nodes[host].seen.push((self.now, event));
                }
            }
        }
    }

    /// Goes on to whatever happens next, if that is before `until`. Returns whether anything did.
    pub(crate) fn step(&mut self, until: Instant) -> bool {
        let timers =
            self.nodes.iter().filter(|node| node.alive).filter_map(|node| node.engine.poll_timeout());
        let streams = self.streams.iter().map(|stream| stream.next);
        let next = timers.chain(streams).chain(self.network.next_arrival()).min();
        let Some(next) = next.filter(|next| *next <= until) else {
            self.now = self.now.max(until);
            return false;
        };
        self.now = self.now.max(next);
        self.deliver();
        for host in 0..self.nodes.len() {
            if self.nodes[host].alive {
                self.nodes[host].engine.handle_timeout(self.now);
                self.drain(host);
            }
        }
        for index in 0..self.streams.len() {
            let stream = &mut self.streams[index];
            if stream.next <= self.now {
                stream.next = self.now + stream.every;
                let (from, to, v6) = (stream.from, stream.to, stream.v6);
                self.send(from, to, v6);
            }
        }
        true
    }

    /// What has arrived, in one batch for each host.
    fn deliver(&mut self) {
        let mut batches: BTreeMap<usize, Vec<Delivery>> = BTreeMap::new();
        while let Some(delivery) = self.network.deliver(self.now) {
            match self.nodes.iter().position(|node| node.id == delivery.to) {
                Some(host) => batches.entry(host).or_default().push(delivery),
                None => self.strays.push(delivery),
            }
        }
        for (host, deliveries) in batches {
            self.arrive(host, deliveries);
        }
    }

    /// Hands datagrams to an engine.
    pub(crate) fn arrive(&mut self, host: usize, deliveries: Vec<Delivery>) {
        let node = &mut self.nodes[host];
        if !node.alive {
            return;
        }
        // Room in front, for the header that transport mode puts back.
        let mut buffers: Vec<(Path, Port, Vec<u8>)> = Vec::new();
        for delivery in deliveries {
            let port = match delivery.path.local.port() {
                0 => Port::Esp,
                AH => Port::Ah,
                500 => Port::Ike,
                4_500 => Port::Shared,
                _ => continue,
            };
            let mut buffer = vec![0; ROOM];
            buffer.extend(delivery.octets);
            buffers.push((delivery.path, port, buffer));
        }
        let mut batch: Vec<Arriving<'_>> = buffers
            .iter_mut()
            .map(|(path, port, buffer)| {
                let range = ROOM..buffer.len();
                Arriving::new(*path, *port, None, PacketBuf::new(buffer, range).unwrap())
            })
            .collect();
        node.engine.handle_datagrams(self.now, &mut batch);
        let mut received = Vec::new();
        for arrived in &batch {
            assert_ne!(arrived.fate, ArrivalFate::Pending);
            node.fates.push(arrived.fate);
            if arrived.fate == ArrivalFate::Deliver {
                received.push(arrived.packet.payload().to_vec());
            }
        }
        for packet in received {
            self.receive(host, packet);
        }
        self.drain(host);
    }

    /// A packet has reached a host's inner side.
    fn receive(&mut self, host: usize, packet: Vec<u8>) {
        if let Some(sent) = number_of(&packet).and_then(|number| self.packets.get_mut(&number)) {
            sent.arrived.push((host, self.now));
        }
        self.nodes[host].inbox.push(packet);
    }

    pub(crate) fn run(&mut self, duration: Duration) {
        let until = self.now + duration;
        while self.step(until) {}
    }

    pub(crate) fn run_secs(&mut self, seconds: u64) {
        self.run(Duration::from_secs(seconds));
    }

    /// Runs until `done`, which has to be within `limit`.
    pub(crate) fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) {
        let until = self.now + limit;
        while !done(self) {
            assert!(self.step(until), "it did not happen in time: {}", self.story());
        }
    }
}
