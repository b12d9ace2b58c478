//! Two endpoints that talk through memory, message by message.
#![allow(
    dead_code,
    clippy::wildcard_enum_match_arm,
    reason = "every test file uses another part of this, and has an eye for some events only"
)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ikebana_core::spi::ShardedSpis;
use ikebana_core::{Datagram, Instant, Lifetime, Path, Secret};
use ikebana_crypto::CryptoProvider;
use ikebana_ike::{
    AddressKeyRequest, Authentication, ChildConfig, Credentials, DropReason, Encapsulation, EndpointConfig,
    Event, Ikev1Listener, Ikev1Peer, Limits, Listener, Mode, Output, PeerConfig, Phase1Mode,
    PreSharedKeyRequest, Retransmission, SelectPeer, SelectorTemplate, Uniqueness,
};
use ikebana_ikev1::Endpoint;
use ikebana_proposals::{Prefer, Proposal};
use ikebana_testkit::SeededRng;

pub(crate) const A: usize = 0;
pub(crate) const B: usize = 1;

/// What one side has in memory.
pub(crate) struct Keys {
    pub(crate) peers: Vec<Arc<PeerConfig>>,
    /// The key for every identity, unless it is in the list.
    pub(crate) key: &'static str,
    pub(crate) by_identity: Vec<(&'static str, &'static str)>,
}

impl Credentials for Keys {
    fn select_peer(&mut self, peer: &SelectPeer) -> Option<Arc<PeerConfig>> {
        self.peers.iter().find(|config| config.remote_id.matches(&peer.remote_id)).cloned()
    }

    fn pre_shared_key(&mut self, request: &PreSharedKeyRequest) -> Option<Secret> {
        let own = self
            .by_identity
            .iter()
            .find(|(name, _)| request.remote_id.as_ref().is_some_and(|id| *id == name.parse().unwrap()));
        Some(Secret::from_slice(own.map_or(self.key, |(_, key)| key).as_bytes()))
    }

    fn pre_shared_key_by_address(&mut self, _: &AddressKeyRequest) -> Option<Secret> {
        Some(Secret::from_slice(self.key.as_bytes()))
    }
}

pub(crate) fn peer(local: &str, remote: &str, nets: [&str; 2], mode: Phase1Mode) -> PeerConfig {
    let net = |text: &str| vec![SelectorTemplate::Fixed(text.parse().unwrap())];
    PeerConfig {
        name: remote.into(),
        local_id: local.parse().unwrap(),
        remote_id: remote.parse().unwrap(),
        proposals: vec![Proposal::ike("aes128-sha256-ecp256").unwrap()],
        prefer: Prefer::Local,
        authentication: Authentication::PRE_SHARED_KEY,
        children: vec![Arc::new(ChildConfig {
            name: "net".into(),
            proposals: vec![Proposal::esp("aes128-sha256").unwrap()],
            prefer: Prefer::Local,
            local: net(nets[0]),
            remote: net(nets[1]),
            mode: Mode::Tunnel,
            lifetime: Lifetime::UNLIMITED,
            replay_window: 64,
            compress: false,
        })],
        lifetime: Lifetime::UNLIMITED,
        liveness: None,
        encapsulation: Encapsulation::Auto,
        nat_keepalive: Duration::from_secs(20),
        retransmission: Retransmission::default(),
        request: vec![],
        assigns_addresses: false,
        uniqueness: Uniqueness::InitialContact,
        ikev1: Ikev1Peer { phase1: mode, ..Ikev1Peer::default() },
    }
}

pub(crate) fn listener(peer: &PeerConfig) -> Listener {
    Listener {
        from: vec![],
        proposals: peer.proposals.clone(),
        prefer: Prefer::Local,
        encapsulation: peer.encapsulation,
        ikev1: Ikev1Listener { main: true, aggressive: true, pre_shared_key: true, xauth: true },
    }
}

/// One side.
pub(crate) struct Side {
    pub(crate) endpoint: Endpoint,
    pub(crate) keys: Keys,
    /// Events in words.
    pub(crate) events: Vec<String>,
    pub(crate) established: Vec<ikebana_ike::Established>,
    /// Everything that was sent, the marker included.
    pub(crate) sent: Vec<(Path, Vec<u8>)>,
    pub(crate) installed: usize,
    pub(crate) terminal: usize,
}

impl Side {
    pub(crate) fn new(peer: PeerConfig, seed: u64, limits: Limits) -> Self {
        let config = EndpointConfig { listeners: vec![listener(&peer)], limits, ..EndpointConfig::default() };
        let endpoint = Endpoint::new(
            Arc::new(config),
            Arc::new(CryptoProvider::rust_crypto()),
            Box::new(SeededRng::new(seed)),
            Box::new(ShardedSpis::unsharded()),
        );
        let keys = Keys { peers: vec![Arc::new(peer)], key: "a key of high entropy", by_identity: vec![] };
        Self { endpoint, keys, events: vec![], established: vec![], sent: vec![], installed: 0, terminal: 0 }
    }

    pub(crate) fn peer(&self) -> Arc<PeerConfig> {
        self.keys.peers[0].clone()
    }

    pub(crate) fn has(&self, words: &str) -> bool {
        self.events.iter().any(|event| event.contains(words))
    }
}

/// Both sides, and what is on its way.
pub(crate) struct Two {
    pub(crate) now: Instant,
    pub(crate) sides: [Side; 2],
    /// Receiver, path as the receiver sees it, octets.
    pub(crate) wire: VecDeque<(usize, Path, Vec<u8>)>,
    /// The address that a NAT gives to side A.
    pub(crate) nat: Option<std::net::IpAddr>,
}

pub(crate) fn setup(mode: Phase1Mode) -> [PeerConfig; 2] {
    [
        peer("moon.example", "sun.example", ["10.1.0.0/16", "10.2.0.0/16"], mode),
        peer("sun.example", "moon.example", ["10.2.0.0/16", "10.1.0.0/16"], mode),
    ]
}

pub(crate) fn path() -> Path {
    Path::new("192.0.2.1:500".parse().unwrap(), "192.0.2.2:500".parse().unwrap())
}

impl Two {
    pub(crate) fn new(peers: [PeerConfig; 2]) -> Self {
        Self::with_limits(peers, Limits::default())
    }

    pub(crate) fn with_limits(peers: [PeerConfig; 2], limits: Limits) -> Self {
        let [a, b] = peers;
        let sides = [Side::new(a, 1, limits), Side::new(b, 2, limits)];
        Self { now: Instant::from_secs(100), sides, wire: VecDeque::new(), nat: None }
    }

    pub(crate) fn initiate(&mut self) -> ikebana_ike::IkeSaHandle {
        let peer = self.sides[A].peer();
        let handle = self.sides[A].endpoint.initiate(self.now, peer, path()).unwrap();
        self.drain(A);
        handle
    }

    /// Takes what a side has to say.
    pub(crate) fn drain(&mut self, me: usize) {
        let side = &mut self.sides[me];
        while let Some(output) = side.endpoint.poll_output_with(self.now, &mut side.keys) {
            match output {
                Output::Transmit(transmit) => {
                    side.sent.push((transmit.path, transmit.octets.clone()));
                    let mut seen = Path::new(transmit.path.remote, transmit.path.local);
                    if let Some(nat) = self.nat {
                        if me == A {
                            seen.remote = (nat, seen.remote.port() + 10_000).into();
                        } else {
                            seen.local = (path().local.ip(), seen.local.port() - 10_000).into();
                        }
                    }
                    self.wire.push_back((1 - me, seen, transmit.octets));
                }
                Output::Event(event) => side.note(event),
            }
        }
    }

    /// Hands over one datagram.
    pub(crate) fn hand(&mut self, to: usize, path: Path, octets: &[u8]) -> Result<(), DropReason> {
        // The marker is there on every port but 500, as a real socket would know.
        let encapsulated = path.local.port() != 500;
        let octets = if encapsulated { octets.get(4..).unwrap_or(&[]) } else { octets };
        let result =
            self.sides[to].endpoint.handle_datagram(self.now, Datagram { path, encapsulated, octets });
        self.drain(to);
        result
    }

    /// Delivers until nothing is on its way.
    pub(crate) fn settle(&mut self) {
        while let Some((to, path, octets)) = self.wire.pop_front() {
            let _ = self.hand(to, path, &octets);
        }
    }

    /// Lets time pass until `until`, with everything that is due.
    pub(crate) fn run(&mut self, until: Instant) {
        self.settle();
        loop {
            let next = self.sides.iter().filter_map(|side| side.endpoint.poll_timeout()).min();
            let Some(at) = next.filter(|at| *at <= until) else { break };
            self.now = self.now.max(at);
            for me in [A, B] {
                self.sides[me].endpoint.handle_timeout(self.now);
                self.drain(me);
            }
            self.settle();
        }
        self.now = self.now.max(until);
    }

    pub(crate) fn assert_established(&self) {
        for side in &self.sides {
            assert_eq!(side.established.len(), 1, "{:?}", side.events);
            assert_eq!(side.installed, 2, "{:?}", side.events);
        }
    }
}

impl Side {
    fn note(&mut self, event: Event) {
        let words = match event {
            Event::Established(established) => {
                self.established.push(*established);
                "established".into()
            }
            Event::InstallSa(sa) => {
                self.installed += 1;
                format!("installed {:?}", sa.direction)
            }
            Event::RemoveSa { .. } => "removed".into(),
            Event::Failed { reason, .. } => {
                self.terminal += 1;
                format!("failed: {reason} {reason:?}")
            }
            Event::Closed { reason, .. } => {
                self.terminal += 1;
                format!("closed: {reason}")
            }
            Event::Hint { reason, .. } => format!("hint: {reason}"),
            Event::IkeRekeyed { .. } => "rekeyed".into(),
            Event::ChildFailed { reason, .. } => format!("child failed: {reason}"),
            _ => "something".into(),
        };
        self.events.push(words);
    }
}
