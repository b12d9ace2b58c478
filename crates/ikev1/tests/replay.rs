//! Recorded sessions of strongSwan with itself, one side of which is played by an [`Endpoint`].
//!
//! The recordings have what a side drew by chance: its nonces, its cookies, its public values and the secrets of
//! its key exchanges (see `captures/README.md`). With those, the other side's messages, octet for octet as they
//! were recorded, have to decrypt and to authenticate. HASH_R covers the initiator's own offer, and each IV the
//! ciphertext before it, so that what an initiator sends in main mode has to be what was recorded, octet for
//! octet where it counts.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

use std::collections::VecDeque;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ikebana_core::{Datagram, EspSpi, IkeSpi, Instant, Lifetime, Path, Secret, SecureRandom, SpiAllocator};
use ikebana_crypto::{CryptoProvider, KeyExchange, KeyExchangeError, PendingKeyExchange};
use ikebana_ike::{
    AddressKeyRequest, Authentication, ChildConfig, Credentials, Direction, Encapsulation, EndpointConfig,
    Event, ExchangeType, IkeHeader, Ikev1Listener, Ikev1Peer, Listener, Mode, Output, PeerConfig, Phase1Mode,
    PreSharedKeyRequest, Retransmission, SelectPeer, SelectorTemplate, Uniqueness,
};
use ikebana_ikev1::Endpoint;
use ikebana_ikev1::wire::{Body, Payload, PayloadType, parse, parse_chain};
use ikebana_proposals::{KeyExchangeId, Prefer, Proposal};
use ikebana_testkit::SeededRng;
use serde_json::Value;

const NOW: Instant = Instant::from_secs(100);
const KEY: &[u8] = b"correct horse battery staple";

/// A message of a recording.
struct Frame {
    from_a: bool,
    path: Path,
    octets: Vec<u8>,
    payloads: Vec<Payload>,
}

impl Frame {
    fn header(&self) -> IkeHeader {
        IkeHeader::peek(&self.octets).unwrap()
    }

    fn is_phase1(&self) -> bool {
        matches!(self.header().exchange, ExchangeType::IDENTITY_PROTECTION | ExchangeType::AGGRESSIVE)
    }

    fn nonce(&self) -> Option<Vec<u8>> {
        self.payloads.iter().find_map(|payload| match payload {
            Payload::Nonce(nonce) => Some(nonce.clone()),
            _ => None,
        })
    }

    fn public(&self) -> Option<Vec<u8>> {
        self.payloads.iter().find_map(|payload| match payload {
            Payload::KeyExchange(public) => Some(public.clone()),
            _ => None,
        })
    }
}

fn hex(text: &Value) -> Vec<u8> {
    let digits = text.as_str().unwrap().as_bytes();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

struct Recording {
    root: Value,
    frames: Vec<Frame>,
}

impl Recording {
    fn load(name: &str) -> Self {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/captures/{name}.json"));
        let root: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        let recorded = root["frames"].as_array().unwrap();
        let is_ike = |frame: &&Value| frame["kind"].as_str().unwrap().starts_with("ike");
        let frames = recorded.iter().filter(is_ike).map(frame).collect();
        Self { root, frames }
    }

    /// The values that a side logged under this name.
    fn logged(&self, a: bool, name: &str) -> Vec<Vec<u8>> {
        let log = self.root[if a { "log_initiator" } else { "log_responder" }].as_array().unwrap();
        log.iter().filter_map(|entry| entry.get(name)).map(hex).collect()
    }

    fn text(&self, name: &str) -> &str {
        self.root["scenario"][name].as_str().unwrap_or_default()
    }
}

fn frame(value: &Value) -> Frame {
    let octets = hex(&value["payload"]);
    let source: IpAddr = value["src"].as_str().unwrap().parse().unwrap();
    let from_a = source.to_string() == "10.1.0.1";
    let destination: IpAddr = if from_a { "10.1.0.2" } else { "10.1.0.1" }.parse().unwrap();
    let port = |name: &str| u16::try_from(value[name].as_u64().unwrap()).unwrap();
    let path = Path::new(SocketAddr::new(destination, port("dport")), SocketAddr::new(source, port("sport")));
    let payloads = match value.get("plaintext") {
        Some(text) => {
            let first = PayloadType(octets[16]);
            parse_chain(first, &hex(text)).unwrap().0
        }
        None => match parse(&octets).unwrap().body {
            Body::Clear(payloads) => payloads,
            Body::Encrypted(_) => vec![],
        },
    };
    Frame { from_a, path, octets, payloads }
}

/// What one side drew by chance, in its order.
struct Chances {
    nonces: VecDeque<Vec<u8>>,
    cookie: IkeSpi,
    esp_spis: VecDeque<EspSpi>,
    publics: VecDeque<Vec<u8>>,
    secrets: VecDeque<Vec<u8>>,
}

impl Chances {
    fn of(recording: &Recording, a: bool) -> Arc<Mutex<Self>> {
        let own = || recording.frames.iter().filter(move |frame| frame.from_a == a);
        let header = recording.frames[1].header();
        let spis = own().flat_map(|frame| &frame.payloads).filter_map(|payload| match payload {
            Payload::Sa(sa) => <[u8; 4]>::try_from(sa.proposals[0].spi.as_slice()).ok(),
            _ => None,
        });
        Arc::new(Mutex::new(Self {
            nonces: own().filter_map(Frame::nonce).collect(),
            cookie: if a { header.initiator_spi } else { header.responder_spi },
            esp_spis: spis.map(|spi| EspSpi::new(u32::from_be_bytes(spi)).unwrap()).collect(),
            publics: own().filter_map(Frame::public).collect(),
            secrets: recording.logged(a, "shared Diffie Hellman secret").into(),
        }))
    }
}

struct Rng(Arc<Mutex<Chances>>, SeededRng);

impl SecureRandom for Rng {
    fn fill_public(&mut self, out: &mut [u8]) {
        // Nonces are the only public draws of 32 octets.
        if out.len() == 32
            && let Some(nonce) = self.0.lock().unwrap().nonces.pop_front()
        {
            out.copy_from_slice(&nonce);
        } else {
            self.1.fill_public(out);
        }
    }

    fn fill_secret(&mut self, out: &mut [u8]) {
        self.1.fill_secret(out);
    }
}

struct Spis(Arc<Mutex<Chances>>);

impl SpiAllocator for Spis {
    fn ike_spi(&mut self, _rng: &mut dyn SecureRandom) -> IkeSpi {
        self.0.lock().unwrap().cookie
    }

    fn esp_spi(&mut self, rng: &mut dyn SecureRandom) -> EspSpi {
        let recorded = self.0.lock().unwrap().esp_spis.pop_front();
        recorded.unwrap_or_else(|| {
            let mut octets = [0x80; 4];
            rng.fill_public(&mut octets[1..]);
            EspSpi::new(u32::from_be_bytes(octets)).unwrap()
        })
    }
}

/// A key exchange that comes to the recorded values.
struct Recorded {
    id: KeyExchangeId,
    chances: Arc<Mutex<Chances>>,
    public: Vec<u8>,
}

impl Recorded {
    fn new(id: KeyExchangeId, chances: &Arc<Mutex<Chances>>) -> Self {
        Self { id, chances: chances.clone(), public: vec![] }
    }

    fn draw(&self) -> Vec<u8> {
        self.chances.lock().unwrap().publics.pop_front().expect("a public value was recorded")
    }

    fn secret(&self) -> Secret {
        // The secrets of child SAs' own key exchanges were not logged.
        Secret::new(self.chances.lock().unwrap().secrets.pop_front().unwrap_or_else(|| vec![0; 256]))
    }
}

impl KeyExchange for Recorded {
    fn id(&self) -> KeyExchangeId {
        self.id
    }

    fn initiate(&self, _rng: &mut dyn SecureRandom) -> Box<dyn PendingKeyExchange> {
        Box::new(Self { public: self.draw(), ..Self::new(self.id, &self.chances) })
    }

    fn respond(&self, _rng: &mut dyn SecureRandom, _: &[u8]) -> Result<(Vec<u8>, Secret), KeyExchangeError> {
        Ok((self.draw(), self.secret()))
    }
}

impl PendingKeyExchange for Recorded {
    fn id(&self) -> KeyExchangeId {
        self.id
    }

    fn public(&self) -> &[u8] {
        &self.public
    }

    fn complete(self: Box<Self>, _: &[u8]) -> Result<Secret, KeyExchangeError> {
        Ok(self.secret())
    }
}

fn provider(chances: &Arc<Mutex<Chances>>) -> CryptoProvider {
    let groups = [KeyExchangeId::MODP_1024, KeyExchangeId::MODP_2048];
    let key_exchanges =
        groups.map(|id| &*Box::leak(Box::new(Recorded::new(id, chances))) as &dyn KeyExchange);
    CryptoProvider { key_exchanges: key_exchanges.to_vec(), ..CryptoProvider::rust_crypto() }
}

struct Keys(Arc<PeerConfig>);

impl Credentials for Keys {
    fn select_peer(&mut self, _: &SelectPeer) -> Option<Arc<PeerConfig>> {
        Some(self.0.clone())
    }

    fn pre_shared_key(&mut self, _: &PreSharedKeyRequest) -> Option<Secret> {
        Some(Secret::from_slice(KEY))
    }

    fn pre_shared_key_by_address(&mut self, _: &AddressKeyRequest) -> Option<Secret> {
        Some(Secret::from_slice(KEY))
    }
}

/// One side, played by an endpoint.
struct Player {
    endpoint: Endpoint,
    peer: Arc<PeerConfig>,
    sent: VecDeque<Vec<u8>>,
    established: Option<ikebana_ike::NatSituation>,
    closed: usize,
    /// Direction, SPI, and encryption and integrity key.
    installed: Vec<(Direction, EspSpi, [Vec<u8>; 2])>,
}

fn peer_config(recording: &Recording, a: bool) -> PeerConfig {
    let net = |text: &str| vec![SelectorTemplate::Fixed(text.parse().unwrap())];
    let names = if a { ["a.example.org", "b.example.org"] } else { ["b.example.org", "a.example.org"] };
    let nets = if a { ["10.11.0.0/16", "10.22.0.0/16"] } else { ["10.22.0.0/16", "10.11.0.0/16"] };
    // The lifetime that the recorded initiator offered.
    let life = recording.frames[0].payloads.iter().find_map(|payload| match payload {
        Payload::Sa(sa) => sa.proposals[0].transforms[0].attribute(12).and_then(|life| life.number()),
        _ => None,
    });
    let aggressive = recording.frames[0].header().exchange == ExchangeType::AGGRESSIVE;
    PeerConfig {
        name: "recorded".into(),
        local_id: names[0].parse().unwrap(),
        remote_id: names[1].parse().unwrap(),
        proposals: vec![Proposal::ike(recording.text("ike")).unwrap()],
        prefer: Prefer::Local,
        authentication: Authentication::PRE_SHARED_KEY,
        children: vec![Arc::new(ChildConfig {
            name: "net".into(),
            proposals: vec![Proposal::esp(recording.text("esp")).unwrap()],
            prefer: Prefer::Local,
            local: net(nets[0]),
            remote: net(nets[1]),
            mode: Mode::Tunnel,
            lifetime: Lifetime::UNLIMITED,
            replay_window: 64,
            compress: false,
        })],
        lifetime: Lifetime { hard_time: life.map(Duration::from_secs), ..Lifetime::UNLIMITED },
        liveness: None,
        encapsulation: Encapsulation::Auto,
        nat_keepalive: Duration::from_secs(20),
        retransmission: Retransmission::default(),
        request: vec![],
        assigns_addresses: false,
        uniqueness: Uniqueness::InitialContact,
        ikev1: Ikev1Peer {
            phase1: if aggressive { Phase1Mode::Aggressive } else { Phase1Mode::Main },
            ..Ikev1Peer::default()
        },
    }
}

impl Player {
    fn new(recording: &Recording, a: bool) -> Self {
        let chances = Chances::of(recording, a);
        let peer = Arc::new(peer_config(recording, a));
        let config = EndpointConfig {
            listeners: vec![Listener {
                from: vec![],
                proposals: peer.proposals.clone(),
                prefer: Prefer::Local,
                encapsulation: Encapsulation::Auto,
                ikev1: Ikev1Listener { main: true, aggressive: true, pre_shared_key: true, xauth: false },
            }],
            ..EndpointConfig::default()
        };
        let endpoint = Endpoint::new(
            Arc::new(config),
            Arc::new(provider(&chances)),
            Box::new(Rng(chances.clone(), SeededRng::new(1))),
            Box::new(Spis(chances)),
        );
        Self { endpoint, peer, sent: VecDeque::new(), established: None, closed: 0, installed: vec![] }
    }

    fn drain(&mut self) {
        let mut keys = Keys(self.peer.clone());
        while let Some(output) = self.endpoint.poll_output_with(NOW, &mut keys) {
            match output {
                Output::Transmit(transmit) => {
                    let octets = transmit.octets.strip_prefix(&[0; 4]).unwrap_or(&transmit.octets);
                    self.sent.push_back(octets.to_vec());
                }
                Output::Event(Event::Established(established)) => self.established = Some(established.nat),
                Output::Event(Event::InstallSa(sa)) => {
                    let keys = [sa.keys.encryption.expose().to_vec(), sa.keys.integrity.expose().to_vec()];
                    self.installed.push((sa.direction, sa.spi, keys));
                }
                Output::Event(Event::Closed { .. }) => self.closed += 1,
                Output::Event(Event::Failed { reason, .. }) => panic!("{reason}"),
                Output::Event(_) => {}
            }
        }
    }

    fn take(&mut self, frame: &Frame) -> Result<(), ikebana_ike::DropReason> {
        let encapsulated = frame.path.local.port() == 4500;
        let datagram = Datagram { path: frame.path, encapsulated, octets: &frame.octets };
        let result = self.endpoint.handle_datagram(NOW, datagram);
        self.drain();
        result
    }
}

/// Plays side `a` or the other one through phase 1.
fn phase1(name: &str, a: bool) -> (Recording, Player) {
    let recording = Recording::load(name);
    let mut player = Player::new(&recording, a);
    for frame in recording.frames.iter().filter(|frame| frame.is_phase1()) {
        if frame.from_a != a {
            player.take(frame).unwrap_or_else(|drop| panic!("{name}: {:?} {drop}", frame.header()));
            continue;
        }
        if player.sent.is_empty() {
            let path = Path::new(frame.path.remote, frame.path.local);
            player.endpoint.initiate(NOW, player.peer.clone(), path).unwrap();
            player.drain();
        }
        let sent = player.sent.pop_front().unwrap_or_else(|| panic!("{name}: nothing was sent"));
        let (own, recorded) = (IkeHeader::peek(&sent).unwrap(), frame.header());
        assert_eq!((own.initiator_spi, own.responder_spi), (recorded.initiator_spi, recorded.responder_spi));
        assert_eq!((own.exchange, own.flags), (recorded.exchange, recorded.flags), "{name}");
        if recorded.exchange == ExchangeType::IDENTITY_PROTECTION && !frame.payloads.is_empty() {
            let is_encrypted = own.flags.has(ikebana_ike::Flags::ENCRYPTED);
            if is_encrypted {
                assert_eq!(sent, frame.octets, "{name}: identity and proof");
            }
        }
    }
    // The recorded side made itself look translated, and saw us where we are.
    let nat = ikebana_ike::NatSituation { local: false, remote: true };
    assert_eq!(player.established, Some(nat), "{name}");
    (recording, player)
}

const SESSIONS: [&str; 3] = [
    "v1-main-psk-aes128-sha1-modp1024",
    "v1-main-psk-gcm-esp-pfs-rekey-dpd",
    "v1-aggr-psk-aes256-sha256-modp2048",
];

#[test]
fn as_initiator_recorded_answers_authenticate() {
    for name in SESSIONS {
        let _ = phase1(name, true);
    }
}

#[test]
fn as_responder_recorded_requests_authenticate() {
    for name in SESSIONS {
        let _ = phase1(name, false);
    }
}

#[test]
fn as_responder_recorded_messages_after_phase_1_authenticate_and_give_the_recorded_keys() {
    for name in SESSIONS {
        let (recording, mut player) = phase1(name, false);
        let after = || recording.frames.iter().filter(|frame| frame.from_a && !frame.is_phase1());
        // Every exchange begins with an IV of its own, whatever we have answered in others.
        let quick = after().find(|frame| frame.header().exchange == ExchangeType::QUICK_MODE).unwrap();
        player.take(quick).unwrap_or_else(|drop| panic!("{name}: {drop}"));
        let (direction, spi, keys) = &player.installed[0];
        assert_eq!(*direction, Direction::Inbound);
        let answer = recording
            .frames
            .iter()
            .find(|frame| !frame.from_a && frame.header().exchange == ExchangeType::QUICK_MODE);
        let recorded = answer.unwrap().payloads.iter().find_map(|payload| match payload {
            Payload::Sa(sa) => Some(sa.proposals[0].spi.clone()),
            _ => None,
        });
        assert_eq!(spi.to_be_bytes().to_vec(), recorded.unwrap(), "{name}");
        let first = |name: &str| recording.logged(false, name).into_iter().next().unwrap_or_default();
        if !recording.text("esp").contains("modp") {
            assert_eq!(keys[0], first("encryption initiator key"), "{name}");
            assert_eq!(keys[1], first("integrity initiator key"), "{name}");
        }
        for frame in after().filter(|frame| frame.header().exchange == ExchangeType::INFORMATIONAL_V1) {
            player.take(frame).unwrap_or_else(|drop| panic!("{name}: {drop}"));
        }
        assert_eq!(player.closed, 1, "{name}: the last message deletes it all");
    }
}
