//! IKE SAs and child SAs come about in every mode, and go again without leaving anything behind.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

mod pair;

use std::time::Duration;

use ikebana_core::Lifetime;
use ikebana_crypto::CryptoProvider;
use ikebana_ike::{Encapsulation, Mode, Phase1Mode};
use ikebana_proposals::Proposal;
use ikebana_testkit::{LinkConfig, NatConfig};
use pair::toy::open_provider;
use pair::{Pair, Seen, Setup, change_child, peer_config};

const A: usize = 0;
const B: usize = 1;

fn open_setup() -> Setup {
    Setup { provider: open_provider, ..Setup::default() }
}

const PHASE_1: [Phase1Mode; 2] = [Phase1Mode::Main, Phase1Mode::Aggressive];

#[test]
fn both_modes_of_phase_1_bring_up_a_child_whoever_starts() {
    for phase1 in PHASE_1 {
        for from in [A, B] {
            let mut pair = Pair::new(&Setup { phase1, ..open_setup() });
            pair.initiate(from);
            pair.run_secs(5);
            pair.assert_up();
            for host in &pair.hosts {
                let established = &host.established[0];
                assert_eq!(established.suite.to_string(), "aes128-sha256-ecp256");
                assert_eq!(established.initiator, host.id == pair.hosts[from].id);
                assert!(established.path.local.port() == 500 && !established.encapsulated);
            }
            pair.finish();
        }
    }
}

#[test]
fn real_groups_and_every_kind_of_cipher_come_to_the_same_keys() {
    let suites = [
        ("aes128-sha256-modp2048", "aes128gcm16"),
        ("aes256-sha384-ecp384", "aes256-sha384-ecp384"),
        ("aes192-sha512-ecp521", "aes128ctr-sha1"),
        ("aes128-sha1-ecp256", "null-sha256"),
        ("aes256-sha256-modp3072", "aes256ccm16-modp2048"),
    ];
    for (ike, esp) in suites {
        let setup = Setup { ike: [ike; 2], esp: [esp; 2], ..Setup::default() };
        let pair = Pair::established(&setup);
        assert_eq!(pair.hosts[A].established[0].suite.to_string(), ike);
        pair.finish();
    }
}

#[test]
fn ah_and_transport_mode_come_up_too() {
    let setup = open_setup();
    let peers = [A, B].map(|me| {
        let mut peer = peer_config(&setup, me);
        change_child(&mut peer, |child| {
            child.proposals = vec![Proposal::ah("sha256").unwrap()];
            child.mode = Mode::Transport;
        });
        peer
    });
    let mut pair = Pair::with_peers(&setup, peers);
    pair.initiate(A);
    pair.run_secs(5);
    pair.assert_up();
    let facts = &pair.hosts[A].facts[0];
    assert_eq!(facts.mode, Mode::Transport);
    assert_eq!((facts.local.as_str(), facts.remote.as_str()), ("192.0.2.1/32", "198.51.100.2/32"));
    pair.finish();
}

#[test]
fn every_pair_of_networks_gets_a_quick_mode_of_its_own() {
    let nets = ["10.1.0.0/16,10.3.0.0/16", "10.2.0.0/16,2001:db8::/32,10.4.0.0/16"];
    let mut pair = Pair::new(&Setup { nets, ..open_setup() });
    pair.initiate(A);
    pair.run_secs(10);
    pair.assert_agree();
    for host in &pair.hosts {
        // Two by two; the IPv6 network has no partner.
        assert_eq!(host.child_pairs(), 4, "{}", host.said());
    }
    pair.finish();
}

#[test]
fn a_nat_moves_everything_to_port_4500() {
    for phase1 in PHASE_1 {
        for mode in [Mode::Tunnel, Mode::Transport] {
            let setup = Setup { phase1, mode, ..open_setup() };
            let peers = [peer_config(&setup, A), peer_config(&setup, B)];
            let (mut pair, _) = Pair::behind_nat(&setup, peers, NatConfig::default());
            pair.initiate(A);
            pair.run_secs(5);
            pair.assert_up();
            for host in &pair.hosts {
                let facts = &host.facts[0];
                assert!(facts.encapsulated, "{phase1:?} {mode:?}");
                assert_eq!((facts.mode, facts.path.local.port()), (mode, 4500));
            }
            assert!(pair.hosts[A].established[0].nat.local);
            assert!(pair.hosts[B].established[0].nat.remote);
            pair.finish();
        }
    }
}

#[test]
fn encapsulation_can_be_forced_without_a_nat() {
    let pair = Pair::established(&Setup { encapsulation: Encapsulation::Force, ..open_setup() });
    for host in &pair.hosts {
        assert!(host.facts.iter().all(|facts| facts.encapsulated));
    }
    pair.finish();
}

#[test]
fn a_bad_link_delays_and_does_not_prevent() {
    for seed in 0..200 {
        for phase1 in PHASE_1 {
            let setup = Setup { seed, phase1, link: LinkConfig::bad(), ..open_setup() };
            let mut pair = Pair::new(&setup);
            pair.initiate(A);
            for _ in 0..200 {
                pair.run_secs(5);
                if pair.hosts.iter().all(|host| host.child_pairs() > 0) {
                    break;
                }
                // Each of them may be given up, and whoever wants it tries again.
                match pair.hosts[A].ike_sas().first() {
                    None if pair.hosts[A].endpoint.is_idle() => _ = pair.initiate(A),
                    None => {}
                    Some(&ike) => {
                        let (now, config) = (pair.now, pair.hosts[A].peer.children[0].clone());
                        pair.hosts[A].endpoint.create_child(now, ike, config, None).unwrap();
                    }
                }
            }
            pair.network.set_all_links(LinkConfig::default());
            pair.run_secs(100);
            pair.settle();
            assert!(pair.hosts[A].child_pairs() > 0, "seed {seed} {}", pair.hosts[A].said());
            pair.finish();
        }
    }
}

#[test]
fn different_keys_are_named_as_the_probable_reason() {
    for phase1 in PHASE_1 {
        let mut pair = Pair::new(&Setup { phase1, psk: ["one", "another"], ..open_setup() });
        pair.initiate(A);
        pair.run_secs(300);
        let said: String = pair.hosts.iter().map(|host| host.said()).collect();
        assert!(said.contains("pre-shared key"), "{said}");
        pair.finish();
    }
}

#[test]
fn both_sides_values_are_told_when_nothing_fits() {
    let mut pair =
        Pair::new(&Setup { ike: ["aes128-sha256-ecp256", "aes256-sha256-ecp256"], ..open_setup() });
    pair.initiate(A);
    pair.run_secs(200);
    let said = pair.hosts[B].said();
    assert!(said.contains("encryption: ours aes256, offered aes128"), "{said}");
    pair.finish();

    let mut pair = Pair::new(&Setup { esp: ["aes128gcm16", "aes256-sha1"], ..open_setup() });
    pair.initiate(A);
    pair.run_secs(20);
    let said = pair.hosts[B].said();
    assert!(said.contains("authentication: ours sha1, offered nothing"), "{said}");
    let said = pair.hosts[A].said();
    assert!(said.contains("refused every ESP proposal"), "{said}");
    pair.finish();

    let nets = ["10.1.0.0/16", "10.2.0.0/16"];
    let setup = Setup { nets, ..open_setup() };
    let mut peers = [peer_config(&setup, A), peer_config(&setup, B)];
    change_child(&mut peers[A], |child| {
        child.remote = vec![ikebana_ike::SelectorTemplate::Fixed("10.7.0.0/16".parse().unwrap())];
    });
    let mut pair = Pair::with_peers(&setup, peers);
    pair.initiate(A);
    pair.run_secs(20);
    let said = pair.hosts[B].said();
    assert!(said.contains("10.7.0.0/16") && said.contains("10.2.0.0/16"), "{said}");
    pair.finish();
}

#[test]
fn lifetimes_renew_both_phases_for_ever_without_a_gap() {
    let by_time = |seconds| Lifetime::by_time(Duration::from_secs(seconds));
    for phase1 in PHASE_1 {
        let setup = Setup {
            phase1,
            child_lifetime: by_time(300),
            ike_lifetime: by_time(1_000),
            liveness: Some(Duration::from_secs(30)),
            ..open_setup()
        };
        let mut pair = Pair::established(&setup);
        for _ in 0..200 {
            pair.run_secs(60);
            for host in &pair.hosts {
                assert_eq!(host.ike_sas().len(), 1, "{}", host.said());
                assert!(host.child_pairs() >= 1 && host.child_pairs() <= 3, "{}", host.said_last(30));
            }
        }
        assert!(pair.hosts[A].count(|seen| matches!(seen, Seen::IkeRekeyed(..))) >= 10);
        pair.settle();
        pair.finish();
    }
}

#[test]
fn a_provider_without_the_configured_algorithms_is_an_error_and_no_panic() {
    let empty = || CryptoProvider { key_exchanges: vec![], ..CryptoProvider::rust_crypto() };
    let mut pair = Pair::new(&Setup { provider: empty, ..Setup::default() });
    let path = pair.path(A);
    let (now, peer) = (pair.now, pair.hosts[A].peer.clone());
    let _ = pair.hosts[A].endpoint.initiate(now, peer, path);
    pair.run_secs(200);
    pair.finish();
}
