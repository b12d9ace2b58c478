//! Recorded sessions of strongSwan with itself, one side of which is played by an [`Endpoint`].
//!
//! The recordings have what a side drew by chance: its nonces, its SPIs and the secrets of its key exchanges
//! (see `captures/README.md`). With those, the other side's messages, octet for octet as they were recorded,
//! have to decrypt, to authenticate and to give the recorded keys. A proof of identity covers its sender's
//! first message and not ours, so that ours need not be the same.
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

use ikebana_core::{
    Datagram, EspSpi, IkeSpi, Instant, Lifetime, Path, Secret, SecureRandom, SpiAllocator, TrafficSelectors,
};
use ikebana_crypto::{CryptoProvider, KeyExchange, KeyExchangeError, PendingKeyExchange};
use ikebana_ike::{
    Authentication, ChildConfig, Credentials, Direction, Encapsulation, EndpointConfig, Event, ExchangeType,
    Flags, IkeHeader, IkeSaHandle, Listener, Mode, Output, PeerConfig, PreSharedKeyRequest, Retransmission,
    SelectPeer, SelectorTemplate, Uniqueness,
};
use ikebana_ikev2::Endpoint;
use ikebana_ikev2::wire::{NotifyType, Payload, PayloadType, parse_chain, parse_clear};
use ikebana_proposals::{KeyExchangeId, Prefer, Proposal, ProtocolId};
use ikebana_testkit::SeededRng;
use serde_json::Value;

/// An IKE message of a recording.
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

    fn is_request(&self) -> bool {
        !self.header().flags.has(Flags::RESPONSE)
    }

    fn nonce(&self) -> Option<&Vec<u8>> {
        self.payloads.iter().find_map(|payload| match payload {
            Payload::Nonce(nonce) => Some(nonce),
            _ => None,
        })
    }

    fn has_key_exchange(&self) -> bool {
        self.payloads.iter().any(|payload| matches!(payload, Payload::KeyExchange(_)))
    }

    /// Protocol and SPI of the proposals.
    fn proposed(&self) -> Option<(ProtocolId, Vec<u8>)> {
        self.payloads.iter().find_map(|payload| match payload {
            Payload::Sa(sa) => Some((sa.proposals[0].protocol, sa.proposals[0].spi.clone())),
            _ => None,
        })
    }

    fn selectors(&self) -> Option<[TrafficSelectors; 2]> {
        let find = |initiator: bool| {
            self.payloads.iter().find_map(|payload| match payload {
                Payload::TsInitiator(ts) if initiator => Some(ts.selectors.clone()),
                Payload::TsResponder(ts) if !initiator => Some(ts.selectors.clone()),
                _ => None,
            })
        };
        Some([find(true)?, find(false)?])
    }

    fn has_notify(&self, kind: NotifyType) -> bool {
        self.payloads.iter().any(|payload| matches!(payload, Payload::Notify(notify) if notify.kind == kind))
    }
}

struct Recording {
    root: Value,
    frames: Vec<Frame>,
}

fn hex(text: &Value) -> Vec<u8> {
    let digits = text.as_str().unwrap().as_bytes();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn load(name: &str) -> Recording {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/captures/{name}.json"));
    let root: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let recorded = root["frames"].as_array().unwrap();
    let is_ike = |frame: &&Value| frame["kind"].as_str().unwrap().starts_with("ike");
    let frames = recorded.iter().filter(is_ike).map(frame).collect();
    Recording { root, frames }
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
            let first = u8::try_from(value["first_inner"].as_u64().unwrap()).unwrap();
            parse_chain(PayloadType(first), &hex(text)).unwrap()
        }
        None => parse_clear(&octets).unwrap().payloads,
    };
    Frame { from_a, path, octets, payloads }
}

impl Recording {
    /// The values that a side logged under this name.
    fn logged(&self, a: bool, name: &str) -> Vec<Vec<u8>> {
        let log = self.root[if a { "log_initiator" } else { "log_responder" }].as_array().unwrap();
        log.iter().filter_map(|entry| entry.get(name)).map(hex).collect()
    }

    fn proposals(&self, a: bool, of: &str) -> String {
        let scenario = &self.root["scenario"];
        let own = scenario.get(format!("{of}_{}", if a { "a" } else { "b" }));
        own.or_else(|| scenario.get(of)).unwrap().as_str().unwrap().to_owned()
    }
}

/// What one side drew by chance, in its order.
#[derive(Default)]
struct Chances {
    nonces: VecDeque<Vec<u8>>,
    ike_spis: VecDeque<IkeSpi>,
    esp_spis: VecDeque<EspSpi>,
    secrets: VecDeque<Vec<u8>>,
}

impl Chances {
    fn of(recording: &Recording, a: bool) -> Arc<Mutex<Self>> {
        let mut chances = Self::default();
        let logged = recording.logged(a, "shared Diffie Hellman secret");
        let mut used = 0;
        for frame in recording.frames.iter().filter(|frame| frame.from_a == a) {
            let header = frame.header();
            let init = header.exchange == ExchangeType::IKE_SA_INIT;
            if init && frame.nonce().is_some() {
                // A first message that is made again keeps its SPI, and here its nonce.
                chances.nonces.clear();
                chances.ike_spis.clear();
                let own = if a { header.initiator_spi } else { header.responder_spi };
                chances.ike_spis.push_back(own);
            }
            chances.nonces.extend(frame.nonce().cloned());
            let Some((protocol, spi)) = frame.proposed() else { continue };
            if protocol == ProtocolId::ESP {
                chances.esp_spis.push_back(EspSpi::new(u32::from_be_bytes(spi.try_into().unwrap())).unwrap());
            } else if !init {
                chances.ike_spis.push_back(IkeSpi(spi.try_into().unwrap()));
            }
            if !frame.has_key_exchange() {
                continue;
            }
            if init {
                (used, chances.secrets) = (1, logged.iter().take(1).cloned().collect());
            } else if protocol == ProtocolId::IKE {
                chances.secrets.push_back(logged[used].clone());
                used += 1;
            } else {
                // The secrets of child SAs' own key exchanges were not logged.
                chances.secrets.push_back(vec![0; 32]);
            }
        }
        Arc::new(Mutex::new(chances))
    }
}

struct Rng(Arc<Mutex<Chances>>, SeededRng);

impl SecureRandom for Rng {
    fn fill_public(&mut self, out: &mut [u8]) {
        // Nonces are the only public draws of 32 octets.
        if out.len() == 32 {
            let nonce = self.0.lock().unwrap().nonces.pop_front().expect("a nonce was recorded");
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
        self.0.lock().unwrap().ike_spis.pop_front().expect("an IKE SPI was recorded")
    }

    fn esp_spi(&mut self, _rng: &mut dyn SecureRandom) -> EspSpi {
        self.0.lock().unwrap().esp_spis.pop_front().expect("an ESP SPI was recorded")
    }
}

/// A key exchange that comes to the recorded secrets.
struct Recorded(KeyExchangeId, Arc<Mutex<Chances>>);

impl Recorded {
    fn secret(&self) -> Secret {
        Secret::new(self.1.lock().unwrap().secrets.pop_front().expect("a secret was recorded"))
    }
}

impl KeyExchange for Recorded {
    fn id(&self) -> KeyExchangeId {
        self.0
    }

    fn initiate(&self, _rng: &mut dyn SecureRandom) -> Box<dyn PendingKeyExchange> {
        Box::new(Self(self.0, self.1.clone()))
    }

    fn respond(&self, _rng: &mut dyn SecureRandom, _: &[u8]) -> Result<(Vec<u8>, Secret), KeyExchangeError> {
        Ok((vec![1; 64], self.secret()))
    }
}

impl PendingKeyExchange for Recorded {
    fn id(&self) -> KeyExchangeId {
        self.0
    }

    fn public(&self) -> &[u8] {
        &[1; 64]
    }

    fn complete(self: Box<Self>, _: &[u8]) -> Result<Secret, KeyExchangeError> {
        Ok(self.secret())
    }
}

fn provider(chances: &Arc<Mutex<Chances>>) -> CryptoProvider {
    let real = CryptoProvider::rust_crypto();
    let key_exchanges = real
        .key_exchanges
        .iter()
        .map(|method| &*Box::leak(Box::new(Recorded(method.id(), chances.clone()))) as &dyn KeyExchange)
        .collect();
    CryptoProvider { key_exchanges, ..real }
}

struct Keys(Arc<PeerConfig>);

impl Credentials for Keys {
    fn select_peer(&mut self, _: &SelectPeer) -> Option<Arc<PeerConfig>> {
        Some(self.0.clone())
    }

    fn pre_shared_key(&mut self, _: &PreSharedKeyRequest) -> Option<Secret> {
        Some(Secret::from_slice(b"correct horse battery staple"))
    }
}

/// One side, played by an endpoint.
struct Player {
    endpoint: Endpoint,
    peer: Arc<PeerConfig>,
    sent: VecDeque<Vec<u8>>,
    established: Option<IkeSaHandle>,
    rekeyed: usize,
    closed: usize,
    /// Direction, SPI, and encryption and integrity key.
    installed: Vec<(Direction, EspSpi, [Vec<u8>; 2])>,
}

fn peer_config(recording: &Recording, a: bool) -> PeerConfig {
    // An initiator offers what was offered, a responder has what was agreed on.
    let auth = |frame: &&Frame| frame.header().exchange == ExchangeType::IKE_AUTH && frame.from_a == a;
    let [initiator, responder] = recording.frames.iter().find(auth).unwrap().selectors().unwrap();
    let fixed = |side: &TrafficSelectors| side.iter().copied().map(SelectorTemplate::Fixed).collect();
    let (local, remote) = if a { (initiator, responder) } else { (responder, initiator) };
    let names = if a { ["a.example.org", "b.example.org"] } else { ["b.example.org", "a.example.org"] };
    let list = |text: String, parse: fn(&str) -> Proposal| text.split(',').map(parse).collect::<Vec<_>>();
    PeerConfig {
        name: "recorded".into(),
        local_id: names[0].parse().unwrap(),
        remote_id: names[1].parse().unwrap(),
        proposals: list(recording.proposals(a, "ike"), |text| Proposal::ike(text).unwrap()),
        prefer: Prefer::Local,
        authentication: Authentication::PRE_SHARED_KEY,
        children: vec![Arc::new(ChildConfig {
            name: "net".into(),
            proposals: list(recording.proposals(a, "esp"), |text| Proposal::esp(text).unwrap()),
            prefer: Prefer::Local,
            local: fixed(&local),
            remote: fixed(&remote),
            mode: Mode::Tunnel,
            lifetime: Lifetime::UNLIMITED,
            replay_window: 64,
            compress: false,
        })],
        lifetime: Lifetime::UNLIMITED,
        liveness: None,
        encapsulation: Encapsulation::Force,
        nat_keepalive: std::time::Duration::from_secs(20),
        retransmission: Retransmission::default(),
        request: vec![],
        assigns_addresses: false,
        uniqueness: Uniqueness::InitialContact,
        ikev1: ikebana_ike::Ikev1Peer::default(),
    }
}

impl Player {
    fn new(recording: &Recording, a: bool) -> (Self, Arc<Mutex<Chances>>) {
        let chances = Chances::of(recording, a);
        let peer = Arc::new(peer_config(recording, a));
        let config = EndpointConfig {
            listeners: vec![Listener {
                from: vec![],
                proposals: peer.proposals.clone(),
                prefer: Prefer::Local,
                encapsulation: Encapsulation::Force,
                ikev1: ikebana_ike::Ikev1Listener::default(),
            }],
            ..EndpointConfig::default()
        };
        let endpoint = Endpoint::new(
            Arc::new(config),
            Arc::new(provider(&chances)),
            Box::new(Rng(chances.clone(), SeededRng::new(1))),
            Box::new(Spis(chances.clone())),
        );
        let player = Self {
            endpoint,
            peer,
            sent: VecDeque::new(),
            established: None,
            rekeyed: 0,
            closed: 0,
            installed: vec![],
        };
        (player, chances)
    }

    fn drain(&mut self) {
        let mut keys = Keys(self.peer.clone());
        while let Some(output) = self.endpoint.poll_output_with(NOW, &mut keys) {
            match output {
                Output::Transmit(transmit) => {
                    let octets = transmit.octets.strip_prefix(&[0; 4]).unwrap_or(&transmit.octets);
                    self.sent.push_back(octets.to_vec());
                }
                Output::Event(Event::Established(established)) => self.established = Some(established.ike),
                Output::Event(Event::InstallSa(sa)) => {
                    let keys = [sa.keys.encryption.expose().to_vec(), sa.keys.integrity.expose().to_vec()];
                    self.installed.push((sa.direction, sa.spi, keys));
                }
                Output::Event(Event::IkeRekeyed { .. }) => self.rekeyed += 1,
                Output::Event(Event::Closed { .. }) => self.closed += 1,
                Output::Event(Event::Failed { reason, .. }) => panic!("{reason}"),
                Output::Event(_) => {}
            }
        }
    }

    /// Gives the command that led to this message of the recording, if it was a command that did.
    fn command(&mut self, frame: &Frame) {
        if !frame.is_request() {
            return;
        }
        let header = frame.header();
        match (header.exchange, frame.proposed(), self.established) {
            (ExchangeType::IKE_SA_INIT, ..) if self.sent.is_empty() => {
                let path = Path::new(frame.path.remote, frame.path.local);
                self.endpoint.initiate(NOW, self.peer.clone(), path).unwrap();
            }
            (ExchangeType::CREATE_CHILD_SA, Some((ProtocolId::IKE, _)), Some(ike)) => {
                self.endpoint.rekey(NOW, ike).unwrap();
            }
            (ExchangeType::CREATE_CHILD_SA, _, Some(ike)) => {
                assert!(frame.has_notify(NotifyType::REKEY_SA));
                let child = self.endpoint.children(ike).next().unwrap();
                self.endpoint.rekey_child(NOW, child).unwrap();
            }
            (ExchangeType::INFORMATIONAL, _, Some(ike)) if self.sent.is_empty() => {
                self.endpoint.close(NOW, ike).unwrap();
            }
            _ => {}
        }
        self.drain();
    }
}

const NOW: Instant = Instant::from_secs(100);

/// Plays side `a` or the other one of a recording to its end.
fn play(name: &str, a: bool) -> (Recording, Player) {
    let recording = load(name);
    let (mut player, _) = Player::new(&recording, a);
    for frame in &recording.frames {
        let header = frame.header();
        if frame.from_a == a {
            player.command(frame);
            let sent = player.sent.pop_front().unwrap_or_else(|| panic!("{name}: {header:?} was not sent"));
            let own = IkeHeader::peek(&sent).unwrap();
            let facts = |header: IkeHeader| {
                let IkeHeader { initiator_spi, responder_spi, exchange, flags, message_id, .. } = header;
                (initiator_spi, responder_spi, exchange, flags, message_id)
            };
            assert_eq!(facts(own), facts(header), "{name}");
        } else {
            let datagram = Datagram {
                path: frame.path,
                encapsulated: frame.path.local.port() == 4500,
                octets: &frame.octets,
            };
            player
                .endpoint
                .handle_datagram(NOW, datagram)
                .unwrap_or_else(|drop| panic!("{name}: {header:?} {drop}"));
            player.drain();
        }
    }
    assert!(player.sent.is_empty(), "{name}: more was sent than recorded");
    assert!(player.established.is_some(), "{name}");
    assert_eq!(player.closed, 1, "{name}");
    (recording, player)
}

/// The first pair has the recorded SPIs and keys.
fn assert_keys(recording: &Recording, player: &Player, a: bool) {
    let first = |name: &str| recording.logged(a, name).into_iter().next().unwrap_or_default();
    let initiator = [first("encryption initiator key"), first("integrity initiator key")];
    let responder = [first("encryption responder key"), first("integrity responder key")];
    assert!(!initiator[0].is_empty());
    let (outbound, inbound) = if a { (initiator, responder) } else { (responder, initiator) };
    let find = |wanted| player.installed.iter().find(|(direction, ..)| *direction == wanted).unwrap();
    assert_eq!(find(Direction::Inbound).2, inbound);
    assert_eq!(find(Direction::Outbound).2, outbound);
    let auth = |from_a: bool| {
        let frame = recording
            .frames
            .iter()
            .find(|frame| frame.from_a == from_a && frame.header().exchange == ExchangeType::IKE_AUTH);
        frame.unwrap().proposed().unwrap().1
    };
    assert_eq!(find(Direction::Inbound).1.to_be_bytes().to_vec(), auth(a));
    assert_eq!(find(Direction::Outbound).1.to_be_bytes().to_vec(), auth(!a));
}

const SESSIONS: [&str; 5] = [
    "v2-psk-aes128gcm16-ecp256",
    "v2-psk-aes256cbc-sha256-modp2048",
    "v2-psk-chacha20poly1305-curve25519",
    "v2-narrow-ts",
    "v2-invalid-ke",
];

#[test]
fn as_initiator_recorded_answers_authenticate_and_give_the_recorded_keys() {
    for name in SESSIONS {
        let (recording, player) = play(name, true);
        assert_keys(&recording, &player, true);
    }
}

#[test]
fn as_responder_recorded_requests_authenticate_and_give_the_recorded_keys() {
    for name in SESSIONS {
        let (recording, player) = play(name, false);
        assert_keys(&recording, &player, false);
    }
}

#[test]
fn recorded_rekeys_of_child_and_ike_sa_go_through_in_both_roles() {
    for a in [true, false] {
        let (recording, player) = play("v2-rekey-child-pfs-ike", a);
        assert_keys(&recording, &player, a);
        // Messages over the new IKE SA were opened with keys from its own key exchange.
        assert_eq!(player.rekeyed, 1);
        assert_eq!(player.installed.len(), 6);
    }
}
