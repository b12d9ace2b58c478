//! NAT detection, the move to the port that ESP shares, keepalives, and peers whose NAT moves them
//! (RFC 7296 2.23, RFC 3948).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

#[macro_use]
mod pair;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ikebana_ike::{ChildSignal, Encapsulation};
use ikebana_testkit::{NatConfig, NatId, Verdict};
use pair::play::{A, B};
use pair::{NAT, Pair, Seen, Setup, peer_config};

fn behind_nat(setup: &Setup) -> (Pair, NatId) {
    let peers = [peer_config(setup, A), peer_config(setup, B)];
    let (mut pair, nat) = Pair::behind_nat(setup, peers, NatConfig::default());
    pair.initiate(A);
    pair.run_secs(5);
    (pair, nat)
}

#[test]
fn without_a_nat_nothing_moves_and_esp_is_not_in_udp() {
    let pair = Pair::established(&Setup::default());
    for host in &pair.hosts {
        assert!(!host.established[0].nat.any() && !host.established[0].encapsulated);
        assert_eq!(host.established[0].path.remote.port(), 500);
        assert!(!host.facts[0].encapsulated);
    }
    pair.finish();
}

#[test]
fn behind_a_nat_both_sides_see_it_and_move_to_the_shared_port() {
    let (pair, _) = behind_nat(&Setup::default());
    pair.assert_up();
    let [a, b] = [&pair.hosts[A].established[0], &pair.hosts[B].established[0]];
    assert_eq!((a.nat.local, a.nat.remote), (true, false));
    assert_eq!((b.nat.local, b.nat.remote), (false, true));
    assert!(a.encapsulated && b.encapsulated);
    assert_eq!((a.path.local.port(), a.path.remote.port()), (4500, 4500));
    assert_eq!(b.path.remote.ip().to_string(), NAT);
    assert!(b.path.remote.port() >= 40_000, "{}", b.path);
    assert!(pair.hosts.iter().all(|host| host.facts[0].encapsulated));
    pair.finish();
}

#[test]
fn forcing_encapsulation_moves_to_the_shared_port_without_a_nat() {
    for side in [A, B] {
        let setup = Setup::default();
        let forced = Setup { encapsulation: Encapsulation::Force, ..Setup::default() };
        let mut peers = [peer_config(&setup, A), peer_config(&setup, B)];
        peers[side] = peer_config(&forced, side);
        let mut pair = Pair::with_peers(&setup, peers);
        if side == B {
            let listener = ikebana_ike::Listener {
                from: vec![],
                proposals: pair.hosts[B].peer.proposals.clone(),
                prefer: ikebana_proposals::Prefer::Local,
                encapsulation: Encapsulation::Force,
                ikev1: ikebana_ike::Ikev1Listener::default(),
            };
            pair.hosts[B].endpoint.set_listeners(vec![listener]);
        }
        pair.initiate(A);
        pair.run_secs(5);
        pair.assert_up();
        for host in &pair.hosts {
            assert!(host.facts[0].encapsulated, "{side} forces: {}", host.said());
            assert_eq!(host.facts[0].path.local.port(), 4500);
        }
        pair.finish();
    }
}

#[test]
fn a_nat_where_encapsulation_is_forbidden_is_a_failure_that_says_so() {
    for side in [A, B] {
        let setup = Setup::default();
        let never = Setup { encapsulation: Encapsulation::Never, ..Setup::default() };
        let mut peers = [peer_config(&setup, A), peer_config(&setup, B)];
        peers[side] = peer_config(&never, side);
        let (mut pair, _) = Pair::behind_nat(&setup, peers, NatConfig::default());
        pair.initiate(A);
        pair.run_secs(60);
        assert!(pair.hosts[side].said().contains("a NAT lies between"), "{}", pair.hosts[side].said());
        pair.finish();
    }
}

#[test]
fn the_side_behind_the_nat_keeps_it_open_and_the_other_one_does_not() {
    let (mut pair, _) = behind_nat(&Setup::default());
    let sent = Arc::new(Mutex::new([0_u32; 2]));
    let (count, b) = (sent.clone(), pair.hosts[B].id);
    pair.network.set_filter(move |_, from, _, octets| {
        if octets == [0xff] {
            count.lock().unwrap()[usize::from(from == b)] += 1;
        }
        Verdict::Pass
    });
    pair.run_secs(200);
    assert_eq!(*sent.lock().unwrap(), [10, 0], "every 20 seconds, and only when nothing else was sent");
    // The mapping still stands, so B can reach A.
    let (child, now) = (pair.child(B), pair.now);
    pair.hosts[B].endpoint.rekey_child(now, child).unwrap();
    pair.run_secs(10);
    pair.assert_up();
    pair.finish();
}

#[test]
fn a_peer_that_its_nat_has_moved_is_followed_when_it_is_heard() {
    let (mut pair, nat) = behind_nat(&Setup::default());
    pair.network.rebind_to(nat, "203.0.113.77".parse().unwrap());
    let (ike, now) = (pair.ike(A), pair.now);
    pair.hosts[A].endpoint.probe(now, ike).unwrap();
    pair.run_secs(5);
    let moved = |seen: &Seen| matches!(seen, Seen::Updated(_, path) if path.remote.ip().to_string() == "203.0.113.77");
    assert_eq!(pair.hosts[B].count(moved), 1, "{}", pair.hosts[B].said());
    assert_eq!(pair.hosts[A].count(|seen| matches!(seen, Seen::Updated(..))), 0);
    // And B reaches it there.
    let (child, now) = (pair.child(B), pair.now);
    pair.hosts[B].endpoint.rekey_child(now, child).unwrap();
    pair.run_secs(10);
    pair.assert_up();
    pair.finish();
}

#[test]
fn a_peer_whose_esp_comes_from_elsewhere_is_followed_too() {
    let (mut pair, nat) = behind_nat(&Setup::default());
    pair.network.rebind_to(nat, "203.0.113.77".parse().unwrap());
    // The data path has opened a packet from there.
    let (child, now) = (pair.child(B), pair.now);
    let at = "203.0.113.77:40001".parse().unwrap();
    pair.hosts[B].endpoint.handle_child_signal(now, child, ChildSignal::PeerMoved(at));
    pair.drain();
    let moved = |seen: &Seen| matches!(seen, Seen::Updated(_, path) if path.remote == at);
    assert_eq!(pair.hosts[B].count(moved), 1);
}

#[test]
fn a_peer_that_is_not_behind_a_nat_is_not_followed() {
    let mut pair = Pair::established(&Setup::default());
    let (child, now) = (pair.child(B), pair.now);
    let at = "203.0.113.77:500".parse().unwrap();
    pair.hosts[B].endpoint.handle_child_signal(now, child, ChildSignal::PeerMoved(at));
    pair.drain();
    assert_eq!(pair.hosts[B].count(|seen| matches!(seen, Seen::Updated(..))), 0);
    pair.finish();
}

#[test]
fn a_session_lives_on_through_many_rebindings_and_a_bad_link() {
    let mut setup = Setup { seed: 5, liveness: Some(Duration::from_secs(10)), ..Setup::default() };
    setup.link = ikebana_testkit::LinkConfig::bad();
    setup.tries = 12;
    let (mut pair, nat) = behind_nat(&setup);
    pair.run_secs(60);
    for _ in 0..20 {
        pair.network.rebind(nat);
        pair.run_secs(60);
    }
    assert_eq!(pair.hosts[A].count(|seen| matches!(seen, Seen::Closed(..))), 0, "{}", pair.hosts[A].said());
    assert!(pair.hosts[B].count(|seen| matches!(seen, Seen::Updated(..))) >= 15);
    pair.assert_up();
    pair.finish();
}

#[test]
fn two_hosts_behind_nats_of_their_own_are_not_followed_by_each_other() {
    // RFC 7296 2.23: a host behind a NAT does not follow, for that would let an attacker move it.
    let setup = Setup { encapsulation: Encapsulation::Force, ..Setup::default() };
    let peers = [peer_config(&setup, A), peer_config(&setup, B)];
    let (mut pair, nat) = Pair::behind_nat(&setup, peers, NatConfig::default());
    pair.initiate(A);
    pair.run_secs(5);
    pair.assert_up();
    // Each says that it is translated, which is how forcing works.
    assert!(pair.hosts[A].established[0].nat.remote && pair.hosts[A].established[0].nat.local);
    pair.network.rebind(nat);
    let (ike, now) = (pair.ike(A), pair.now);
    pair.hosts[A].endpoint.probe(now, ike).unwrap();
    pair.run_secs(2);
    assert_eq!(pair.hosts[A].count(|seen| matches!(seen, Seen::Updated(..))), 0);
}

#[test]
fn an_outbound_sa_that_is_held_back_moves_with_the_peer() {
    let (mut pair, nat) = behind_nat(&Setup::default());
    // A has replaced the pair, and its delete of the old one does not arrive before its NAT moves it.
    let (child, now, b) = (pair.child(A), pair.now, pair.hosts[B].id);
    let deletes =
        |octets: &[u8]| octets.get(22) == Some(&37) && octets.get(23).is_some_and(|flags| flags & 0x20 == 0);
    pair.network.set_filter(
        move |_, from, _, octets| {
            if from != b && deletes(octets) { Verdict::Drop } else { Verdict::Pass }
        },
    );
    pair.hosts[A].endpoint.rekey_child(now, child).unwrap();
    pair.run_secs(1);
    let outbound = |pair: &Pair| {
        pair.hosts[B].count(|seen| matches!(seen, Seen::Installed(_, ikebana_ike::Direction::Outbound, _)))
    };
    assert_eq!(outbound(&pair), 1, "held back: {}", pair.hosts[B].said());
    pair.network.rebind_to(nat, "203.0.113.77".parse().unwrap());
    pair.network.clear_filter();
    pair.run_secs(10);
    assert_eq!(outbound(&pair), 2, "{}", pair.hosts[B].said());
    let path = pair.hosts[B].facts.last().unwrap().path;
    let moved = pair.hosts[B].endpoint.path(pair.ike(B)).unwrap();
    assert_eq!(moved.remote.ip().to_string(), "203.0.113.77");
    let updated_last = pair.hosts[B].seen.iter().rposition(|seen| matches!(seen, Seen::Updated(..)));
    let installed_last = pair.hosts[B].seen.iter().rposition(|seen| matches!(seen, Seen::Installed(..)));
    assert!(updated_last < installed_last, "nothing corrects it later: {}", pair.hosts[B].said());
    assert_eq!(path, moved);
    pair.finish();
}
