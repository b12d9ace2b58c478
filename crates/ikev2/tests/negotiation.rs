//! What two sides agree on, and what each says when they do not.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

#[macro_use]
mod pair;

use std::net::IpAddr;

use ikebana_core::AddressRange;
use ikebana_ike::{AddressRequest, Assignment, Mode, PeerConfig, SelectorTemplate};
use ikebana_ikev2::wire::{NotifyPayload, NotifyType, Payload};
use pair::play::{A, B};
use pair::{Duel, Pair, Seen, Setup, change_child, peer_config};

fn peers(setup: &Setup) -> [PeerConfig; 2] {
    [peer_config(setup, A), peer_config(setup, B)]
}

/// Lets `a` initiate with these configurations.
fn run(setup: &Setup, peers: [PeerConfig; 2]) -> Pair {
    let mut pair = Pair::with_peers(setup, peers);
    pair.initiate(A);
    pair.run_secs(10);
    pair
}

fn fixed(nets: &[&str]) -> Vec<SelectorTemplate> {
    nets.iter().map(|net| SelectorTemplate::Fixed(net.parse().unwrap())).collect()
}

/// Checks that each host said everything in its list.
fn assert_said(pair: &Pair, a: &[&str], b: &[&str]) {
    for (host, wanted) in pair.hosts.iter().zip([a, b]) {
        let said = host.said();
        for part in wanted {
            assert!(said.contains(part), "{part:?} is missing: {said}");
        }
    }
}

// IKE proposals.

#[test]
fn no_ike_proposal_in_common_is_said_with_both_sides_values() {
    let ike = ["aes128gcm16-prfsha256-curve25519", "aes256gcm16-prfsha384-ecp256"];
    let mut pair = run(&Setup { ike, ..Setup::default() }, peers(&Setup { ike, ..Setup::default() }));
    pair.run_secs(200);
    // The responder knows both; the initiator knows what it offered, and that it was refused.
    assert_said(
        &pair,
        &["NO_PROPOSAL_CHOSEN", "aes128gcm16-prfsha256-curve25519", "Hint("],
        &["no IKE proposal in common", "aes256gcm16", "aes128gcm16"],
    );
    pair.finish();
}

#[test]
fn the_first_message_is_sent_again_with_the_group_that_the_peer_wants() {
    let ike = ["aes128gcm16-prfsha256-curve25519-ecp256", "aes128gcm16-prfsha256-ecp256-curve25519"];
    let setup = Setup { ike, ..Setup::default() };
    let pair = run(&setup, peers(&setup));
    pair.assert_up();
    assert!(pair.hosts[A].established[0].suite.to_string().contains("ecp256"));
    assert_eq!(pair.hosts[A].count(|seen| matches!(seen, Seen::Hint(_))), 0);
    pair.finish();
}

#[test]
fn a_suite_that_the_listener_takes_and_the_peers_configuration_does_not_is_refused() {
    let setup = Setup { ike: ["aes128gcm16-prfsha256-curve25519"; 2], ..Setup::default() };
    let mut peers = peers(&setup);
    let mut pair = {
        let stricter = ikebana_proposals::Proposal::ike("aes256gcm16-prfsha256-curve25519").unwrap();
        let listener = peers[B].proposals.clone();
        peers[B].proposals = vec![stricter];
        let mut pair = Pair::with_peers(&setup, peers);
        pair.hosts[B].endpoint.set_listeners(vec![ikebana_ike::Listener {
            from: vec![],
            proposals: listener,
            prefer: ikebana_proposals::Prefer::Local,
            encapsulation: ikebana_ike::Encapsulation::Auto,
            ikev1: ikebana_ike::Ikev1Listener::default(),
        }]);
        pair
    };
    pair.initiate(A);
    pair.run_secs(10);
    assert_said(&pair, &["AUTHENTICATION_FAILED"], &["no peer is configured", "aes128gcm16"]);
    pair.finish();
}

#[test]
fn an_endpoint_without_listeners_answers_no_first_message() {
    let setup = Setup::default();
    let mut pair = Pair::with_peers(&setup, peers(&setup));
    pair.hosts[B].endpoint.set_listeners(vec![]);
    pair.initiate(A);
    pair.run_secs(200);
    assert_said(&pair, &["no answer to IKE_SA_INIT"], &[]);
    assert_eq!(pair.hosts[B].endpoint.stats().sent, 0);
    pair.finish();
}

// Identities and keys.

#[test]
fn an_unexpected_identity_is_named_on_the_side_that_expects_another() {
    let setup = Setup::default();
    let mut peers = peers(&setup);
    peers[A].remote_id = "c.example.net".parse().unwrap();
    let mut pair = run(&setup, peers);
    assert_said(&pair, &["the peer says it is b.example.net, we expect c.example.net"], &[]);
    pair.run_secs(10);
    assert!(pair.hosts[B].ike_sas().is_empty(), "it was told: {}", pair.hosts[B].said());
    pair.finish();
}

#[test]
fn a_peer_that_nobody_has_configured_is_refused_and_named() {
    let setup = Setup::default();
    let mut peers = peers(&setup);
    peers[B].remote_id = "c.example.net".parse().unwrap();
    let pair = run(&setup, peers);
    assert_said(&pair, &["AUTHENTICATION_FAILED"], &["no peer is configured for a.example.net"]);
    pair.finish();
}

#[test]
fn a_missing_key_is_said_on_the_side_that_lacks_it() {
    for host in [A, B] {
        let setup = Setup::default();
        let mut pair = Pair::with_peers(&setup, peers(&setup));
        pair.hosts[host].forget_key();
        pair.initiate(A);
        pair.run_secs(60);
        assert!(
            pair.hosts[host].said().contains("no pre-shared key is configured"),
            "{}",
            pair.hosts[host].said()
        );
        pair.finish();
    }
}

// Child proposals.

#[test]
fn no_child_proposal_in_common_is_said_with_both_sides_values_and_the_ike_sa_stays() {
    let setup = Setup { esp: ["aes128gcm16", "aes256-sha256"], ..Setup::default() };
    let pair = run(&setup, peers(&setup));
    assert_said(
        &pair,
        &["refused every ESP proposal", "aes128gcm16"],
        &["no ESP proposal in common", "aes256", "aes128gcm16"],
    );
    assert_eq!((pair.hosts[A].ike_sas().len(), pair.hosts[B].ike_sas().len()), (1, 1));
    assert_eq!((pair.hosts[A].child_pairs(), pair.hosts[B].child_pairs()), (0, 0));
    pair.finish();
}

// Traffic selectors.

#[test]
fn selectors_are_narrowed_to_what_both_sides_have() {
    let setup = Setup::default();
    let mut peers = peers(&setup);
    change_child(&mut peers[A], |child| {
        (child.local, child.remote) = (fixed(&["10.1.0.0/16", "10.9.0.0/24"]), fixed(&["0.0.0.0/0"]));
    });
    let pair = run(&setup, peers);
    pair.assert_up();
    let (a, b) = (&pair.hosts[A].facts[0], &pair.hosts[B].facts[0]);
    assert_eq!((a.local.as_str(), a.remote.as_str()), ("10.1.0.0/16", "10.2.0.0/16"));
    assert_eq!((b.local.as_str(), b.remote.as_str()), ("10.2.0.0/16", "10.1.0.0/16"));
    pair.finish();
}

#[test]
fn selectors_without_overlap_are_said_with_both_sides_values_and_the_ike_sa_stays() {
    let setup = Setup::default();
    let mut peers = peers(&setup);
    change_child(&mut peers[A], |child| child.remote = fixed(&["172.16.0.0/12"]));
    let pair = run(&setup, peers);
    assert_said(
        &pair,
        &["TS_UNACCEPTABLE", "local 10.1.0.0/16 remote 172.16.0.0/12"],
        &[
            "offered local 172.16.0.0/12",
            "net has local 10.2.0.0/16 remote 10.1.0.0/16",
            "only the remote side",
        ],
    );
    assert_eq!((pair.hosts[A].ike_sas().len(), pair.hosts[B].ike_sas().len()), (1, 1));
    pair.finish();
}

#[test]
fn the_child_that_fits_is_chosen_among_several() {
    let setup = Setup::default();
    let mut peers = peers(&setup);
    let other = std::sync::Arc::new(ikebana_ike::ChildConfig {
        name: "other".into(),
        local: fixed(&["192.168.0.0/16"]),
        ..(*peers[B].children[0]).clone()
    });
    peers[B].children.insert(0, other);
    let pair = run(&setup, peers);
    pair.assert_up();
    assert_eq!(pair.hosts[B].facts[0].local, "10.2.0.0/16");
    pair.finish();
}

#[test]
fn a_peer_that_takes_one_pair_of_addresses_gets_one() {
    let mut duel = Duel::established(&Setup::default(), A, false);
    duel.delete_child(A);
    duel.settle();
    duel.create_child(A);
    let request = duel.hold(B);
    let single = Payload::Notify(NotifyPayload::new(NotifyType::SINGLE_PAIR_REQUIRED, vec![]));
    // The request does not reach B, which therefore expects its message id in the next one.
    let answer = duel.forged_answer(&request, std::slice::from_ref(&single));
    duel.release(&answer);
    let again = duel.hold(B);
    let payloads = duel.read(&again);
    let selectors: Vec<String> = payloads
        .iter()
        .filter_map(|payload| match payload {
            Payload::TsInitiator(selectors) | Payload::TsResponder(selectors) => {
                Some(selectors.selectors.to_string())
            }
            _ => None,
        })
        .collect();
    assert_eq!(selectors, ["10.1.0.0/32", "10.2.0.0/32"]);
    // Refused again, it is given up, with both sides' values.
    let answer = duel.forged_answer(&again, &[single]);
    duel.release(&answer);
    assert_eq!(duel.waiting(B), 0);
    assert!(duel.hosts[A].said().contains("SINGLE_PAIR_REQUIRED"), "{}", duel.story());
}

// Modes.

#[test]
fn transport_mode_needs_both_sides_and_uses_their_addresses() {
    let setup = Setup { mode: Mode::Transport, ..Setup::default() };
    let pair = run(&setup, peers(&setup));
    pair.assert_up();
    for (host, (local, remote)) in
        pair.hosts.iter().zip([("192.0.2.1/32", "198.51.100.2/32"), ("198.51.100.2/32", "192.0.2.1/32")])
    {
        let facts = &host.facts[0];
        assert_eq!(facts.mode, Mode::Transport);
        assert_eq!((facts.local.as_str(), facts.remote.as_str()), (local, remote));
    }
    pair.finish();
}

#[test]
fn transport_mode_on_the_initiators_side_only_is_declined_and_said() {
    let setup = Setup::default();
    let mut peers = peers(&setup);
    change_child(&mut peers[A], |child| child.mode = Mode::Transport);
    change_child(&mut peers[B], |child| {
        (child.local, child.remote) = (fixed(&["0.0.0.0/0"]), fixed(&["0.0.0.0/0"]));
    });
    let pair = run(&setup, peers);
    assert_said(&pair, &["we want Transport mode, the peer wants Tunnel mode"], &[]);
    // Nothing of it is left on either side.
    assert_eq!((pair.hosts[A].child_pairs(), pair.hosts[B].child_pairs()), (0, 0));
    pair.assert_agree();
    pair.finish();
}

#[test]
fn transport_mode_on_the_responders_side_only_is_refused_and_said() {
    let setup = Setup::default();
    let mut peers = peers(&setup);
    change_child(&mut peers[A], |child| {
        (child.local, child.remote) = (fixed(&["0.0.0.0/0"]), fixed(&["0.0.0.0/0"]));
    });
    change_child(&mut peers[B], |child| child.mode = Mode::Transport);
    let pair = run(&setup, peers);
    assert_said(&pair, &["NO_PROPOSAL_CHOSEN"], &["we want Transport mode, the peer wants Tunnel mode"]);
    assert_eq!((pair.hosts[A].child_pairs(), pair.hosts[B].child_pairs()), (0, 0));
    pair.finish();
}

// The configuration payload.

fn road_warrior(setup: &Setup) -> [PeerConfig; 2] {
    let mut peers = peers(setup);
    peers[A].request = vec![AddressRequest::Ipv4, AddressRequest::DnsIpv4, AddressRequest::Subnets];
    peers[B].assigns_addresses = true;
    change_child(&mut peers[A], |child| child.local = vec![SelectorTemplate::DYNAMIC]);
    change_child(&mut peers[B], |child| child.remote = vec![SelectorTemplate::DYNAMIC]);
    peers
}

fn assignment() -> Assignment {
    Assignment {
        addresses: vec![IpAddr::from([10, 9, 0, 7])],
        dns: vec![IpAddr::from([10, 2, 0, 1])],
        subnets: vec![AddressRange::block(IpAddr::from([10, 2, 0, 0]), 16).unwrap()],
        prefix_ipv4: None,
    }
}

#[test]
fn a_client_gets_an_address_name_servers_and_subnets_and_its_selectors_follow() {
    let setup = Setup::default();
    let mut pair = Pair::with_peers(&setup, road_warrior(&setup));
    pair.hosts[B].assign(assignment());
    pair.initiate(A);
    pair.run_secs(5);
    pair.assert_up();
    assert_eq!(pair.hosts[A].count(|seen| *seen == Seen::Assigned(assignment())), 1);
    assert_eq!(pair.hosts[A].facts[0].local, "10.9.0.7/32");
    assert_eq!(pair.hosts[B].facts[0].remote, "10.9.0.7/32");
    // The address stays with the child through its rekey.
    let (child, now) = (pair.child(A), pair.now);
    pair.hosts[A].endpoint.rekey_child(now, child).unwrap();
    pair.run_secs(10);
    pair.assert_up();
    assert_eq!(pair.hosts[A].facts.last().unwrap().local, "10.9.0.7/32");
    pair.finish();
}

#[test]
fn an_empty_pool_is_said_on_both_sides_and_the_ike_sa_stays() {
    let setup = Setup::default();
    let pair = run(&setup, road_warrior(&setup));
    assert_said(&pair, &["INTERNAL_ADDRESS_FAILURE"], &["INTERNAL_ADDRESS_FAILURE"]);
    assert_eq!((pair.hosts[A].ike_sas().len(), pair.hosts[A].child_pairs()), (1, 0));
    pair.finish();
}

#[test]
fn a_client_that_must_ask_for_an_address_and_does_not_is_told_so() {
    let setup = Setup::default();
    let mut peers = road_warrior(&setup);
    peers[A].request.clear();
    let pair = run(&setup, peers);
    assert_said(&pair, &["FAILED_CP_REQUIRED"], &["FAILED_CP_REQUIRED"]);
    pair.finish();
}

#[test]
fn a_server_that_assigns_nothing_ignores_the_demand() {
    let setup = Setup::default();
    let mut peers = peers(&setup);
    peers[A].request = vec![AddressRequest::Ipv4];
    let pair = run(&setup, peers);
    pair.assert_up();
    assert_eq!(pair.hosts[A].count(|seen| matches!(seen, Seen::Assigned(_))), 0);
    pair.finish();
}

// Several children.

#[test]
fn every_configured_child_is_made() {
    let setup = Setup::default();
    let mut peers = peers(&setup);
    for (me, peer) in peers.iter_mut().enumerate() {
        let nets = ["192.168.1.0/24", "192.168.2.0/24"];
        let second = ikebana_ike::ChildConfig {
            name: "second".into(),
            local: fixed(&[nets[me]]),
            remote: fixed(&[nets[1 - me]]),
            ..(*peer.children[0]).clone()
        };
        peer.children.push(std::sync::Arc::new(second));
    }
    let pair = run(&setup, peers);
    assert_eq!((pair.hosts[A].child_pairs(), pair.hosts[B].child_pairs()), (2, 2));
    pair.assert_agree();
    pair.finish();
}

#[test]
fn an_address_that_nobody_asked_for_is_not_taken() {
    let setup = Setup::default();
    let mut asks_v6 = road_warrior(&setup);
    asks_v6[A].request = vec![AddressRequest::Ipv6];
    let mut pair = Pair::with_peers(&setup, asks_v6);
    pair.hosts[B].assign(Assignment { dns: vec![], subnets: vec![], ..assignment() });
    pair.initiate(A);
    pair.run_secs(5);
    assert_eq!(pair.hosts[A].count(|seen| matches!(seen, Seen::Assigned(_))), 0, "{}", pair.hosts[A].said());
}

#[test]
fn a_client_takes_traffic_for_its_assigned_address_only_whatever_the_peer_grants() {
    let setup = Setup::default();
    let mut peers = road_warrior(&setup);
    change_child(&mut peers[B], |child| child.remote = fixed(&["0.0.0.0/0"]));
    let mut pair = Pair::with_peers(&setup, peers);
    pair.hosts[B].assign(assignment());
    pair.initiate(A);
    pair.run_secs(5);
    pair.assert_up();
    assert_eq!(pair.hosts[A].facts[0].local, "10.9.0.7/32");
}
