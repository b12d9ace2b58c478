//! Users of one group, who all know its key and say the same identity: what one of them can do to another before
//! XAUTH has said who they are.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::wildcard_enum_match_arm, reason = "tests")]

use std::collections::VecDeque;
use std::sync::Arc;

use ikebana_core::spi::ShardedSpis;
use ikebana_core::{Datagram, Instant, Path, Secret};
use ikebana_crypto::CryptoProvider;
use ikebana_ike::{
    AddressKeyRequest, Credentials, EndpointConfig, Event, IkeSaHandle, Limits, Output, PeerConfig,
    Phase1Mode, PreSharedKeyRequest, SelectPeer, Uniqueness, XauthClaim, XauthCredentials, XauthRequest,
    XauthRole,
};
use ikebana_ikev1::Endpoint;
use ikebana_testkit::SeededRng;

mod two;

const GATEWAY: usize = 0;
const ALICE: usize = 1;
const MALLORY: usize = 2;

/// What one host knows: the key of the group, and a user of its own.
struct Knows {
    peer: Arc<PeerConfig>,
    user: &'static str,
    password: &'static str,
}

impl Credentials for Knows {
    fn select_peer(&mut self, _: &SelectPeer) -> Option<Arc<PeerConfig>> {
        Some(self.peer.clone())
    }

    fn pre_shared_key(&mut self, _: &PreSharedKeyRequest) -> Option<Secret> {
        Some(Secret::from_slice(b"the key of the group"))
    }

    fn pre_shared_key_by_address(&mut self, _: &AddressKeyRequest) -> Option<Secret> {
        Some(Secret::from_slice(b"the key of the group"))
    }

    fn xauth_credentials(&mut self, _: &XauthRequest) -> Option<XauthCredentials> {
        Some(XauthCredentials {
            user: self.user.into(),
            password: Secret::from_slice(self.password.as_bytes()),
        })
    }

    fn xauth_verify(&mut self, claim: &XauthClaim) -> bool {
        claim.user == "alice" && claim.password.ct_eq(b"wonderland")
    }
}

struct Host {
    endpoint: Endpoint,
    knows: Knows,
    at: std::net::SocketAddr,
    events: Vec<Event>,
}

/// A gateway and two users at one address. What the gateway asks and answers in transactions can be held back.
struct Group {
    now: Instant,
    hosts: [Host; 3],
    wire: VecDeque<(usize, Path, Vec<u8>)>,
    /// Whether this host's transactions are lost on the way.
    mute: [bool; 3],
}

fn host(at: &str, role: XauthRole, seed: u64, mode: Phase1Mode, limits: Limits) -> Host {
    let [client, gateway] = two::setup(mode);
    let (mut peer, user, password) = match role {
        XauthRole::Server => (gateway, "", ""),
        XauthRole::Client if seed == 2 => (client, "alice", "wonderland"),
        XauthRole::Client => (client, "mallory", "looking glass"),
    };
    peer.ikev1.xauth = Some(role);
    if role == XauthRole::Client {
        // Not to say INITIAL-CONTACT is the peer's choice, and what a renewal looks like.
        peer.uniqueness = Uniqueness::Keep;
    }
    let config =
        EndpointConfig { listeners: vec![two::listener(&peer)], limits, ..EndpointConfig::default() };
    let endpoint = Endpoint::new(
        Arc::new(config),
        Arc::new(CryptoProvider::rust_crypto()),
        Box::new(SeededRng::new(seed)),
        Box::new(ShardedSpis::unsharded()),
    );
    let knows = Knows { peer: Arc::new(peer), user, password };
    Host { endpoint, knows, at: at.parse().unwrap(), events: vec![] }
}

impl Group {
    fn new(mode: Phase1Mode) -> Self {
        Self::with_limits(mode, Limits::default())
    }

    fn with_limits(mode: Phase1Mode, limits: Limits) -> Self {
        let hosts = [
            host("192.0.2.2:500", XauthRole::Server, 1, mode, limits),
            host("192.0.2.1:500", XauthRole::Client, 2, mode, limits),
            // Another port of the same address, as behind a NAT, of which nothing is said.
            host("192.0.2.1:1500", XauthRole::Client, 3, mode, limits),
        ];
        Self { now: Instant::from_secs(100), hosts, wire: VecDeque::new(), mute: [false; 3] }
    }

    fn initiate(&mut self, who: usize) -> IkeSaHandle {
        let path = Path::new(self.hosts[who].at, self.hosts[GATEWAY].at);
        let peer = self.hosts[who].knows.peer.clone();
        let handle = self.hosts[who].endpoint.initiate(self.now, peer, path).unwrap();
        self.settle();
        handle
    }

    fn drain(&mut self, me: usize) {
        loop {
            let host = &mut self.hosts[me];
            match host.endpoint.poll_output_with(self.now, &mut host.knows) {
                Some(Output::Transmit(transmit)) => {
                    let path = Path::new(transmit.path.remote, transmit.path.local);
                    let is_transaction = transmit.octets.get(18) == Some(&6);
                    if !(self.mute[me] && is_transaction) {
                        let to = self.hosts.iter().position(|host| host.at == path.local).unwrap();
                        self.wire.push_back((to, path, transmit.octets));
                    }
                }
                Some(Output::Event(event)) => host.events.push(event),
                None => break,
            }
        }
    }

    fn settle(&mut self) {
        for me in 0..3 {
            self.drain(me);
        }
        while let Some((to, path, octets)) = self.wire.pop_front() {
            let datagram = Datagram { path, encapsulated: false, octets: &octets };
            let _ = self.hosts[to].endpoint.handle_datagram(self.now, datagram);
            self.drain(to);
        }
    }

    fn run(&mut self, until: Instant) {
        self.settle();
        loop {
            let next = self.hosts.iter().filter_map(|host| host.endpoint.poll_timeout()).min();
            let Some(at) = next.filter(|at| *at <= until) else { break };
            self.now = self.now.max(at);
            for me in 0..3 {
                self.hosts[me].endpoint.handle_timeout(self.now);
            }
            self.settle();
        }
        self.now = until;
    }

    fn count(&self, who: usize, is: impl Fn(&Event) -> bool) -> usize {
        self.hosts[who].events.iter().filter(|event| is(event)).count()
    }

    fn established(&self) -> Vec<IkeSaHandle> {
        let handle = |event: &Event| match event {
            Event::Established(established) => Some(established.ike),
            _ => None,
        };
        self.hosts[GATEWAY].events.iter().filter_map(handle).collect()
    }
}

const BOTH: [Phase1Mode; 2] = [Phase1Mode::Main, Phase1Mode::Aggressive];

fn is_about_alice(event: &Event) -> bool {
    matches!(
        event,
        Event::UpdateSa { .. } | Event::IkeRekeyed { .. } | Event::RemoveSa { .. } | Event::Closed { .. }
    )
}

#[test]
fn whoever_has_the_key_of_the_group_alone_changes_nothing_of_a_user() {
    for mode in BOTH {
        let mut group = Group::new(mode);
        group.initiate(ALICE);
        assert_eq!(group.count(GATEWAY, |event| matches!(event, Event::InstallSa(_))), 2);
        let before = group.hosts[GATEWAY].endpoint.path(group.established()[0]);

        group.mute[MALLORY] = true;
        group.initiate(MALLORY);
        assert_eq!(group.count(GATEWAY, is_about_alice), 0, "{mode:?}");
        assert_eq!(group.hosts[GATEWAY].endpoint.path(group.established()[0]), before);

        // Alice's tunnel goes on meanwhile.
        let (now, child) = (
            group.now,
            group.hosts[ALICE].events.iter().find_map(|event| match event {
                Event::InstallSa(sa) => Some(sa.child),
                _ => None,
            }),
        );
        group.hosts[ALICE].endpoint.rekey_child(now, child.unwrap()).unwrap();
        group.settle();
        assert_eq!(group.count(GATEWAY, |event| matches!(event, Event::InstallSa(_))), 4, "{mode:?}");

        // And when Mallory has given up, too.
        group.mute[MALLORY] = false;
        group.run(Instant::from_secs(700));
        assert_eq!(group.count(GATEWAY, |event| matches!(event, Event::Closed { .. })), 0);
        assert_eq!(group.hosts[GATEWAY].endpoint.path(group.established()[0]), before);
    }
}

#[test]
fn nobody_waits_in_an_association_for_a_user_to_prove_who_they_are() {
    for mode in BOTH {
        let mut group = Group::new(mode);
        group.mute[MALLORY] = true;
        group.initiate(MALLORY);
        group.initiate(ALICE);
        // Were both in one association, Alice's password would open it to Mallory as well.
        assert_eq!(group.established().len(), 1, "{mode:?}");
        assert_eq!(group.count(GATEWAY, |event| matches!(event, Event::Failed { .. })), 0, "{mode:?}");
        group.run(Instant::from_secs(700));
        let failed = group.count(GATEWAY, |event| matches!(event, Event::Failed { .. }));
        assert_eq!(failed, 1, "{mode:?}: Mallory's attempt, and nothing of Alice's");
        assert_eq!(group.count(GATEWAY, |event| matches!(event, Event::Closed { .. })), 0);
    }
}

#[test]
fn promise_4_those_who_have_not_passed_xauth_are_counted_as_half_open() {
    let limits = Limits { half_open_per_address: 4, ..Limits::default() };
    let mut group = Group::with_limits(Phase1Mode::Main, limits);
    group.mute[MALLORY] = true;
    for _ in 0..10 {
        group.initiate(MALLORY);
    }
    assert_eq!(group.hosts[GATEWAY].endpoint.stats().half_open_now, 4);
    group.run(Instant::from_secs(900));
    assert_eq!(group.hosts[GATEWAY].endpoint.stats().half_open_now, 0);
}
