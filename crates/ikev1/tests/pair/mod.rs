//! Two IKEv1 endpoints over a simulated network, watched by the promises that every run has to keep.
#![allow(dead_code, reason = "every test file uses another part of this")]

mod duel;
mod host;
pub(crate) mod spy;
#[path = "../../../ikev2/tests/pair/toy.rs"]
pub(crate) mod toy;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ikebana_core::{Instant, Lifetime, Path};
use ikebana_crypto::CryptoProvider;
use ikebana_ike::{
    Authentication, ChildConfig, Encapsulation, EndpointConfig, Fragmentation, Ikev1Listener, Ikev1Peer,
    Listener, Liveness, Mode, ModeConfig, PeerConfig, Phase1Mode, Retransmission, SelectorTemplate,
    Uniqueness, XauthRole,
};
use ikebana_proposals::{Prefer, Proposal};
use ikebana_testkit::{EndpointId, LinkConfig, NatConfig, NatId, Network};

#[allow(unused_imports, reason = "every test file uses another part of this")]
pub(crate) use duel::{Duel, Held};
pub(crate) use host::{Host, Seen};

/// Everything a test may want to be different.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) seed: u64,
    pub(crate) ike: [&'static str; 2],
    pub(crate) esp: [&'static str; 2],
    pub(crate) psk: [&'static str; 2],
    pub(crate) liveness: Option<Duration>,
    pub(crate) ike_lifetime: Lifetime,
    pub(crate) child_lifetime: Lifetime,
    pub(crate) phase1: Phase1Mode,
    /// Whether host `a` has to say which user it is, and host `b` asks.
    pub(crate) xauth: bool,
    pub(crate) mode_config: ModeConfig,
    pub(crate) fragmentation: Fragmentation,
    /// The networks of each side, with commas between them.
    pub(crate) nets: [&'static str; 2],
    pub(crate) mode: Mode,
    pub(crate) encapsulation: Encapsulation,
    pub(crate) link: LinkConfig,
    pub(crate) tries: u8,
    pub(crate) limits: ikebana_ike::Limits,
    pub(crate) uniqueness: Uniqueness,
    pub(crate) provider: fn() -> CryptoProvider,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            seed: 1,
            ike: ["aes128-sha256-ecp256"; 2],
            esp: ["aes128gcm16-ecp256"; 2],
            psk: ["correct horse battery staple"; 2],
            liveness: None,
            ike_lifetime: Lifetime::UNLIMITED,
            child_lifetime: Lifetime::UNLIMITED,
            phase1: Phase1Mode::Main,
            xauth: false,
            mode_config: ModeConfig::Pull,
            fragmentation: Fragmentation::Auto,
            nets: NETS,
            mode: Mode::Tunnel,
            encapsulation: Encapsulation::Auto,
            link: LinkConfig::default(),
            tries: 5,
            limits: ikebana_ike::Limits::default(),
            uniqueness: Uniqueness::InitialContact,
            provider: CryptoProvider::rust_crypto,
        }
    }
}

pub(crate) const ADDRESSES: [&str; 2] = ["192.0.2.1", "198.51.100.2"];
/// The outside address of the NAT, where there is one.
pub(crate) const NAT: &str = "203.0.113.1";
pub(crate) const NETS: [&str; 2] = ["10.1.0.0/16", "10.2.0.0/16"];
pub(crate) const NAMES: [&str; 2] = ["a.example.net", "b.example.net"];

/// The peer configuration that host `me` has of the other one.
pub(crate) fn peer_config(setup: &Setup, me: usize) -> PeerConfig {
    let other = 1 - me;
    let template = |nets: &str| -> Vec<SelectorTemplate> {
        nets.split(',').map(|net| SelectorTemplate::Fixed(net.parse().unwrap())).collect()
    };
    let roles = [XauthRole::Client, XauthRole::Server];
    PeerConfig {
        name: format!("to-{}", NAMES[other]),
        local_id: NAMES[me].parse().unwrap(),
        remote_id: NAMES[other].parse().unwrap(),
        proposals: proposals(setup.ike[me], Proposal::ike),
        prefer: Prefer::Local,
        authentication: Authentication::PRE_SHARED_KEY,
        children: vec![Arc::new(ChildConfig {
            name: "net".into(),
            proposals: proposals(setup.esp[me], Proposal::esp),
            prefer: Prefer::Local,
            local: template(setup.nets[me]),
            remote: template(setup.nets[other]),
            mode: setup.mode,
            lifetime: setup.child_lifetime,
            replay_window: 64,
            compress: false,
        })],
        lifetime: setup.ike_lifetime,
        liveness: setup.liveness.map(|delay| Liveness { delay }),
        encapsulation: setup.encapsulation,
        nat_keepalive: Duration::from_secs(20),
        retransmission: retransmission(setup),
        request: vec![],
        assigns_addresses: false,
        uniqueness: setup.uniqueness,
        ikev1: Ikev1Peer {
            phase1: setup.phase1,
            xauth: setup.xauth.then_some(roles[me]),
            mode_config: setup.mode_config,
            fragmentation: setup.fragmentation,
        },
    }
}

/// Changes the only child of a peer configuration.
pub(crate) fn change_child(peer: &mut PeerConfig, change: impl FnOnce(&mut ChildConfig)) {
    change(Arc::make_mut(&mut peer.children[0]));
}

fn retransmission(setup: &Setup) -> Retransmission {
    Retransmission { tries: setup.tries, ..Retransmission::default() }
}

fn proposals<E: std::fmt::Debug>(list: &str, parse: impl Fn(&str) -> Result<Proposal, E>) -> Vec<Proposal> {
    list.split(',').map(|keywords| parse(keywords).unwrap()).collect()
}

/// Hosts `a` (0) and `b` (1).
pub(crate) fn hosts(setup: &Setup, peers: [PeerConfig; 2], ids: [EndpointId; 2]) -> [Host; 2] {
    let [a, b] = peers;
    let host = |index: usize, peer: PeerConfig| {
        let address: IpAddr = ADDRESSES[index].parse().unwrap();
        let config = EndpointConfig {
            listeners: vec![Listener {
                from: vec![],
                proposals: peer.proposals.clone(),
                prefer: Prefer::Local,
                encapsulation: setup.encapsulation,
                ikev1: Ikev1Listener {
                    main: true,
                    aggressive: setup.phase1 == Phase1Mode::Aggressive,
                    pre_shared_key: !setup.xauth,
                    xauth: setup.xauth,
                },
            }],
            limits: setup.limits,
            retransmission: retransmission(setup),
            ..EndpointConfig::default()
        };
        let seed = setup.seed.wrapping_mul(2).wrapping_add(index as u64);
        Host::new(ids[index], address, config, peer, setup.psk[index], seed, (setup.provider)())
    };
    [host(0, a), host(1, b)]
}

/// What is left to do until both hosts have the same child SAs, in full, and neither has associations that the
/// other one knows nothing of. (Which ISAKMP SAs an association has is its own affair.)
pub(crate) fn disagreement(hosts: &[Host; 2]) -> Option<String> {
    let [a, b] = hosts;
    let (a_up, b_up) = (a.ike_sas().len(), b.ike_sas().len());
    if (a_up == 0) != (b_up == 0) {
        return Some(format!("IKE SAs: a {a_up}, b {b_up}"));
    }
    let spis = |side: std::collections::BTreeSet<host::SaIdentity>| -> Vec<_> {
        side.into_iter().map(|(spi, _)| spi).collect()
    };
    if a.inbound() != b.outbound() || a.outbound() != b.inbound() {
        let (a_in, a_out) = (spis(a.inbound()), spis(a.outbound()));
        let (b_in, b_out) = (spis(b.inbound()), spis(b.outbound()));
        return Some(format!("child SAs: a in {a_in:?} out {a_out:?}, b in {b_in:?} out {b_out:?}"));
    }
    for host in hosts {
        let in_use: usize = host.ike_sas().into_iter().map(|ike| host.endpoint.children(ike).count()).sum();
        let half_open = host.endpoint.stats().half_open_now;
        if !host.halves().is_empty() || in_use != host.child_pairs() || half_open != 0 {
            let halves = host.halves();
            return Some(format!("{in_use} in use, halves {halves:?}, {half_open} half-open"));
        }
    }
    None
}

/// Two hosts, `a` (0) and `b` (1), on a network in virtual time.
pub(crate) struct Pair {
    pub(crate) network: Network,
    pub(crate) now: Instant,
    pub(crate) hosts: [Host; 2],
}

impl Pair {
    pub(crate) fn new(setup: &Setup) -> Self {
        Self::with_peers(setup, [peer_config(setup, 0), peer_config(setup, 1)])
    }

    pub(crate) fn with_peers(setup: &Setup, peers: [PeerConfig; 2]) -> Self {
        let mut network = Network::new(setup.seed, setup.link);
        let ids = ADDRESSES.map(|address| network.attach(address.parse().unwrap()));
        Self { network, now: Instant::from_secs(1), hosts: hosts(setup, peers, ids) }
    }

    /// As [`Self::with_peers`], with host `a` behind a NAT.
    pub(crate) fn behind_nat(setup: &Setup, peers: [PeerConfig; 2], nat: NatConfig) -> (Self, NatId) {
        let mut network = Network::new(setup.seed, setup.link);
        let nat = network.add_nat(NAT.parse().unwrap(), nat);
        let a = network.attach_behind(nat, ADDRESSES[0].parse().unwrap());
        let b = network.attach(ADDRESSES[1].parse().unwrap());
        let hosts = hosts(setup, peers, [a, b]);
        (Self { network, now: Instant::from_secs(1), hosts }, nat)
    }

    /// The path from host `from` to the other one, on port 500.
    pub(crate) fn path(&self, from: usize) -> Path {
        let socket = |index: usize| (self.hosts[index].address, 500).into();
        Path::new(socket(from), socket(1 - from))
    }

    /// Host `from` starts an IKE SA.
    pub(crate) fn initiate(&mut self, from: usize) -> ikebana_ike::IkeSaHandle {
        let path = self.path(from);
        let now = self.now;
        let host = &mut self.hosts[from];
        let handle = host.endpoint.initiate(now, host.peer.clone(), path).unwrap();
        self.drain();
        handle
    }

    /// Hands every waiting output on.
    pub(crate) fn drain(&mut self) {
        let (network, now) = (&mut self.network, self.now);
        for host in &mut self.hosts {
            host.drain(now, |from, path, octets| network.send(now, from, path, octets));
        }
    }

    /// Goes on to whatever happens next, if that is before `until`. Returns whether anything did.
    pub(crate) fn step(&mut self, until: Instant) -> bool {
        self.drain();
        let timers = self.hosts.iter().filter_map(|host| host.endpoint.poll_timeout());
        let Some(next) = timers.chain(self.network.next_arrival()).min().filter(|next| *next <= until) else {
            self.now = self.now.max(until);
            return false;
        };
        self.now = self.now.max(next);
        while let Some(delivery) = self.network.deliver(self.now) {
            if let Some(host) = self.hosts.iter_mut().find(|host| host.id == delivery.to) {
                host.receive(self.now, &delivery);
                let (network, now) = (&mut self.network, self.now);
                host.drain(now, |from, path, octets| network.send(now, from, path, octets));
            }
        }
        for host in &mut self.hosts {
            host.endpoint.handle_timeout(self.now);
        }
        self.drain();
        true
    }

    /// Lets `duration` pass.
    pub(crate) fn run(&mut self, duration: Duration) {
        let until = self.now + duration;
        while self.step(until) {}
    }

    /// Lets `seconds` pass.
    pub(crate) fn run_secs(&mut self, seconds: u64) {
        self.run(Duration::from_secs(seconds));
    }

    /// An established pair with one child SA.
    pub(crate) fn established(setup: &Setup) -> Self {
        let mut pair = Self::new(setup);
        pair.initiate(0);
        pair.run_secs(5);
        pair.assert_up();
        pair
    }

    /// Both hosts have one IKE SA and one pair of child SAs, and they fit together.
    pub(crate) fn assert_up(&self) {
        for host in &self.hosts {
            assert_eq!(host.ike_sas().len(), 1, "{}: {:?}", host.address, host.seen);
            assert_eq!(host.child_pairs(), 1, "{}: {:?}", host.address, host.seen);
        }
        self.assert_agree();
    }

    /// Each host's SAs, both directions, are the other host's SAs with the same keys.
    pub(crate) fn assert_agree(&self) {
        let [a, b] = &self.hosts;
        assert_eq!(a.inbound(), b.outbound(), "a: {:?}\nb: {:?}", a.seen, b.seen);
        assert_eq!(a.outbound(), b.inbound(), "a: {:?}\nb: {:?}", a.seen, b.seen);
    }

    /// Lets time pass until both hosts have the same IKE SAs with the same child SAs and nothing is half done;
    /// where SAs live for seconds, that is so only now and then.
    pub(crate) fn settle(&mut self) {
        for _ in 0..2_000 {
            if disagreement(&self.hosts).is_none() {
                return;
            }
            self.run(Duration::from_millis(200));
        }
        let why = disagreement(&self.hosts).unwrap_or_default();
        panic!("{why}\na:\n{}b:\n{}", self.hosts[0].said_last(60), self.hosts[1].said_last(60));
    }

    /// The one IKE SA that host `of` has.
    pub(crate) fn ike(&self, of: usize) -> ikebana_ike::IkeSaHandle {
        let sas = self.hosts[of].ike_sas();
        assert_eq!(sas.len(), 1, "{:?}", self.hosts[of].seen);
        sas[0]
    }

    /// The one child SA that host `of` uses.
    pub(crate) fn child(&self, of: usize) -> ikebana_ike::ChildHandle {
        let ike = self.ike(of);
        let children: Vec<_> = self.hosts[of].endpoint.children(ike).collect();
        assert_eq!(children.len(), 1, "{children:?} {:?}", self.hosts[of].seen);
        children[0]
    }

    /// Closes everything, and checks that nothing is left behind on either side.
    pub(crate) fn finish(mut self) {
        self.network.clear_filter();
        self.network.set_all_links(LinkConfig::default());
        for index in 0..2 {
            let now = self.now;
            for ike in self.hosts[index].ike_sas() {
                let _ = self.hosts[index].endpoint.close(now, ike);
            }
        }
        self.run_secs(600);
        for host in &self.hosts {
            assert!(host.endpoint.is_idle(), "{} has something left: {:?}", host.address, host.seen);
            assert!(host.inbound().is_empty() && host.outbound().is_empty(), "{:?}", host.seen);
            assert!(host.ike_sas().is_empty());
        }
    }
}
