//! XAUTH and mode config between two endpoints.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

mod pair;

use ikebana_ike::{Assignment, ModeConfig, Phase1Mode};
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
            peers[A].request = vec![ikebana_ike::AddressRequest::Ipv4];
            peers[B].assigns_addresses = true;
            change_child(&mut peers[A], |child| child.local = vec![ikebana_ike::SelectorTemplate::DYNAMIC]);
            change_child(&mut peers[B], |child| child.remote = vec![ikebana_ike::SelectorTemplate::DYNAMIC]);
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
