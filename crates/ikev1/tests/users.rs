//! XAUTH and mode config between two endpoints.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

mod pair;

use std::time::Duration;

use ikebana_ike::{AddressRequest, Assignment, Fragmentation, ModeConfig, Phase1Mode, SelectorTemplate};
use ikebana_testkit::LinkConfig;
use pair::toy::open_provider;
use pair::{Pair, Seen, Setup, change_child, peer_config};

const A: usize = 0;
const B: usize = 1;

fn open_setup() -> Setup {
    Setup { provider: open_provider, ..Setup::default() }
}

const PHASE_1: [Phase1Mode; 2] = [Phase1Mode::Main, Phase1Mode::Aggressive];

#[test]
fn a_user_is_asked_for_and_gets_an_address_by_pull_and_by_push() {
    for mode_config in [ModeConfig::Pull, ModeConfig::Push] {
        for phase1 in PHASE_1 {
            let setup = Setup { phase1, xauth: true, mode_config, ..open_setup() };
            let mut peers = [peer_config(&setup, A), peer_config(&setup, B)];
            peers[A].request = vec![AddressRequest::Ipv4];
            peers[B].assigns_addresses = true;
            change_child(&mut peers[A], |child| child.local = vec![SelectorTemplate::DYNAMIC]);
            change_child(&mut peers[B], |child| child.remote = vec![SelectorTemplate::DYNAMIC]);
            let mut pair = Pair::with_peers(&setup, peers);
            for host in &mut pair.hosts {
                host.user("alice", "wonderland");
            }
            let given = Assignment { addresses: vec!["10.9.0.7".parse().unwrap()], ..Assignment::default() };
            pair.hosts[B].assign(given.clone());
            pair.initiate(A);
            pair.run_secs(10);
            pair.assert_up();
            assert_eq!(pair.hosts[B].established[0].xauth_user.as_deref(), Some("alice"));
            assert_eq!(pair.hosts[A].count(|seen| *seen == Seen::Assigned(given.clone())), 1);
            assert_eq!(pair.hosts[A].facts[0].local, "10.9.0.7/32");
            pair.finish();
        }
    }
}

#[test]
fn a_user_with_the_wrong_password_gets_nothing() {
    let mut pair = Pair::new(&Setup { xauth: true, ..open_setup() });
    pair.hosts[A].user("alice", "looking glass");
    pair.hosts[B].user("alice", "wonderland");
    pair.initiate(A);
    pair.run_secs(200);
    for host in &pair.hosts {
        assert!(host.inbound().is_empty() && host.ike_sas().is_empty(), "{}", host.said());
        assert!(host.said().contains("XAUTH failed"), "{}", host.said());
    }
    pair.finish();
}

/// A pair whose host `a` is alice, and gets an address of host `b`.
fn alice(setup: &Setup) -> (Pair, Assignment) {
    let mut peers = [peer_config(setup, A), peer_config(setup, B)];
    peers[A].request = vec![AddressRequest::Ipv4, AddressRequest::Subnets];
    peers[B].assigns_addresses = true;
    change_child(&mut peers[A], |child| child.local = vec![SelectorTemplate::DYNAMIC]);
    change_child(&mut peers[B], |child| child.remote = vec![SelectorTemplate::DYNAMIC]);
    let mut pair = Pair::with_peers(setup, peers);
    for host in &mut pair.hosts {
        host.user("alice", "wonderland");
    }
    let subnet = ikebana_core::AddressRange::block("10.2.0.0".parse().unwrap(), 16).unwrap();
    let addresses = vec!["10.9.0.7".parse().unwrap()];
    let given = Assignment { addresses, subnets: vec![subnet], ..Assignment::default() };
    pair.hosts[B].assign(given.clone());
    (pair, given)
}

#[test]
fn all_is_settled_over_a_bad_network_and_in_fragments() {
    for (seed, mode_config) in (0..100).zip([ModeConfig::Pull, ModeConfig::Push].into_iter().cycle()) {
        let link = LinkConfig {
            loss_permille: 100,
            duplicate_permille: 200,
            reorder_permille: 200,
            reorder_delay: Duration::from_millis(1_500),
            ..LinkConfig::default()
        };
        let fragmentation = if seed % 3 == 0 { Fragmentation::Force } else { Fragmentation::Auto };
        let setup = Setup { seed, xauth: true, mode_config, link, fragmentation, tries: 12, ..open_setup() };
        let (mut pair, given) = alice(&setup);
        pair.initiate(A);
        pair.run_secs(600);
        let assigned = pair.hosts[A].count(|seen| *seen == Seen::Assigned(given.clone()));
        assert_eq!(assigned, 1, "seed {seed}\n{}\n{}", pair.hosts[A].said(), pair.hosts[B].said());
        let pairs = pair.hosts.each_ref().map(|host| host.child_pairs());
        assert_eq!(pairs, [1, 1], "seed {seed}\n{}\n{}", pair.hosts[A].said(), pair.hosts[B].said());
        pair.finish();
    }
}

#[test]
fn a_renewal_asks_for_the_user_again_and_leaves_everything_in_place() {
    for phase1 in PHASE_1 {
        let (mut pair, given) = alice(&Setup { phase1, xauth: true, ..open_setup() });
        let ike = pair.initiate(A);
        pair.run_secs(10);
        let installed = pair.hosts[A].inbound();
        for renewal in 1..4 {
            let now = pair.now;
            pair.hosts[A].endpoint.rekey(now, ike).unwrap();
            pair.run_secs(10);
            pair.assert_up();
            assert_eq!(pair.hosts[A].inbound(), installed, "the child SAs stay");
            for host in &pair.hosts {
                assert_eq!(
                    host.count(|seen| matches!(seen, Seen::IkeRekeyed(..))),
                    renewal,
                    "{}",
                    host.said()
                );
            }
        }
        assert_eq!(pair.hosts[A].count(|seen| *seen == Seen::Assigned(given.clone())), 1, "the same again");
        pair.finish();
    }
}

#[test]
fn a_user_who_fails_at_a_renewal_does_not_take_the_users_tunnel_with_them() {
    let (mut pair, _) = alice(&Setup { xauth: true, ..open_setup() });
    let ike = pair.initiate(A);
    pair.run_secs(10);
    // Somebody else, with the key of the group and at the same address, goes no further than XAUTH.
    pair.hosts[A].user("mallory", "wonderland");
    let now = pair.now;
    pair.hosts[A].endpoint.rekey(now, ike).unwrap();
    for _ in 0..1_000 {
        if !pair.hosts[A].count(|seen| matches!(seen, Seen::Closed(..))).eq(&0) {
            break;
        }
        assert_eq!(pair.hosts[B].child_pairs(), 1, "until the client itself gives up");
        pair.run(Duration::from_millis(10));
    }
    assert!(pair.hosts[A].said().contains("XAUTH failed"), "{}", pair.hosts[A].said());
    pair.finish();
}
