//! What strangers can do to an endpoint: floods, noise, copies.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod two;

use std::net::SocketAddr;

use ikebana_core::{Datagram, Instant, Path};
use ikebana_ike::{DropReason, Limits, Phase1Mode};
use ikebana_testkit::mutations;

use two::{A, B, Two, path, setup};

const BOTH: [Phase1Mode; 2] = [Phase1Mode::Main, Phase1Mode::Aggressive];

/// The first message of an attempt.
fn first(mode: Phase1Mode) -> Vec<u8> {
    let mut two = Two::new(setup(mode));
    two.initiate();
    two.wire.pop_front().unwrap().2
}

/// The same with another cookie.
fn with_cookie(octets: &[u8], cookie: u64) -> Vec<u8> {
    let mut octets = octets.to_vec();
    octets[..8].copy_from_slice(&cookie.to_be_bytes());
    octets
}

fn from(number: u32) -> Path {
    let address = std::net::Ipv4Addr::from(0x0a00_0000 + number);
    Path::new(path().remote, SocketAddr::from((address, 500)))
}

#[test]
fn promise_4_a_flood_of_first_messages_is_bounded_and_forgotten() {
    for mode in BOTH {
        let limits = Limits { half_open: 100, ..Limits::default() };
        let mut two = Two::with_limits(setup(mode), limits);
        let message = first(mode);
        for number in 0..1_000 {
            let _ = two.hand(B, from(number), &with_cookie(&message, 1_000 + u64::from(number)));
        }
        let stats = two.sides[B].endpoint.stats();
        assert_eq!(stats.half_open_now, 100);
        assert_eq!(stats.drops.get(DropReason::TooManyHalfOpen), 900);
        two.wire.clear();
        two.now = Instant::from_secs(131);
        two.sides[B].endpoint.handle_timeout(two.now);
        two.drain(B);
        assert!(two.sides[B].endpoint.is_idle());
        assert_eq!(two.sides[B].terminal, 100, "one for each attempt");
        // And whoever comes then gets in.
        two.wire.clear();
        two.initiate();
        two.settle();
        two.assert_established();
    }
}

#[test]
fn promise_4_one_address_cannot_take_all_places() {
    let mut two = Two::new(setup(Phase1Mode::Main));
    let message = first(Phase1Mode::Main);
    for number in 0..100 {
        let _ = two.hand(B, from(7), &with_cookie(&message, 1_000 + number));
    }
    assert_eq!(two.sides[B].endpoint.stats().half_open_now, 16);
    two.wire.clear();
    two.initiate();
    two.settle();
    two.assert_established();
}

#[test]
fn promise_4_nobody_is_sent_more_than_three_times_what_came_in_its_name() {
    for mode in BOTH {
        let mut two = Two::new(setup(mode));
        let message = first(mode);
        let mut received = 0;
        for _ in 0..20 {
            received += message.len();
            let _ = two.hand(B, from(1), &message);
        }
        for second in 100..140 {
            two.now = Instant::from_secs(second);
            two.sides[B].endpoint.handle_timeout(two.now);
            two.drain(B);
        }
        let sent = two.sides[B].sent.iter().map(|(_, octets)| octets.len()).sum::<usize>();
        assert!(sent <= 3 * received, "{mode:?}: {sent} for {received}");

        let mut two = Two::new(setup(mode));
        let _ = two.hand(B, from(1), &message);
        for second in 100..140 {
            two.now = Instant::from_secs(second);
            two.sides[B].endpoint.handle_timeout(two.now);
            two.drain(B);
        }
        let sent = two.sides[B].sent.iter().map(|(_, octets)| octets.len()).sum::<usize>();
        assert!(sent <= 3 * message.len(), "{mode:?}: {sent} for {}", message.len());
    }
}

#[test]
fn refusals_are_smaller_than_what_they_refuse_and_limited() {
    let mut peers = setup(Phase1Mode::Main);
    peers[B].proposals = vec![ikebana_proposals::Proposal::ike("aes256-sha256-ecp256").unwrap()];
    let limits = Limits { stateless_replies_per_second: 10, ..Limits::default() };
    let mut two = Two::with_limits(peers, limits);
    let message = first(Phase1Mode::Main);
    for number in 0..100 {
        let _ = two.hand(B, from(number), &with_cookie(&message, 1_000 + u64::from(number)));
    }
    assert_eq!(two.sides[B].sent.len(), 10);
    assert!(two.sides[B].sent.iter().all(|(_, octets)| octets.len() < message.len()));
    assert!(two.sides[B].endpoint.is_idle());
}

/// Before every message that is delivered, its mangled forms are. In clear they may be as good as the real one,
/// so only encrypted ones are mangled inside, and in phase 1 only as far as RFC 2409 has anything prove it: the
/// identity and the proof, but not what comes after them.
#[test]
fn promise_5_mangled_messages_do_not_keep_phase_1_from_its_end() {
    for mode in BOTH {
        let mut two = Two::new(setup(mode));
        two.initiate();
        while let Some((to, path, octets)) = two.wire.pop_front() {
            let start = if path.local.port() == 500 { 0 } else { 4 };
            let is_encrypted = octets[start + 19] & 1 != 0;
            if is_encrypted {
                let proven = match octets[start + 18] {
                    2 => start + 28 + 48,
                    4 => start + 28 + 32,
                    // What is last may be padding.
                    _ => octets.len() - 32,
                };
                for at in (start + 28..proven).step_by(5) {
                    let mut mangled = octets.clone();
                    mangled[at] ^= 0x40;
                    let result = two.hand(to, path, &mangled);
                    assert!(result.is_err(), "octet {at} of {mode:?}: {result:?}");
                }
            }
            for length in (0..octets.len()).step_by(7) {
                assert!(two.hand(to, path, &octets[..length]).is_err());
            }
            let _ = two.hand(to, path, &octets);
        }
        two.assert_established();
    }
}

#[test]
fn promise_5_forged_complaints_change_no_more_than_a_hint() {
    for mode in BOTH {
        let mut two = Two::new(setup(mode));
        two.initiate();
        let (to, path, octets) = two.wire.pop_front().unwrap();
        // NO-PROPOSAL-CHOSEN, as anybody who has seen the first message could send it.
        let mut forged = octets[..16].to_vec();
        forged.extend([11, 0x10, 5, 0, 0, 0, 0, 1, 0, 0, 0, 40, 0, 0, 0, 12, 0, 0, 0, 1, 1, 0, 0, 14]);
        let back = Path::new(path.remote, path.local);
        let drop = two.hand(A, back, &forged);
        assert_eq!(drop, Err(DropReason::UnauthenticatedError));
        let _ = two.hand(A, back, &forged);
        assert_eq!(two.sides[A].events.iter().filter(|event| event.starts_with("hint")).count(), 1);
        let _ = two.hand(to, path, &octets);
        two.settle();
        two.assert_established();
    }
}

#[test]
fn every_mutation_of_a_first_message_is_survived() {
    for mode in BOTH {
        let message = first(mode);
        let mut two = Two::new(setup(mode));
        let mut count = 0;
        for (_, mangled) in mutations(&message) {
            let _ = two.hand(B, from(count), &mangled);
            let _ = two.hand(A, from(count), &mangled);
            two.wire.clear();
            count += 1;
        }
        assert!(count > 100);
        two.now = Instant::from_secs(400);
        two.sides[B].endpoint.handle_timeout(two.now);
        two.drain(B);
        two.sides[A].endpoint.handle_timeout(two.now);
        two.drain(A);
        assert!(two.sides[B].endpoint.is_idle());
    }
}

#[test]
fn promise_7_the_same_seeds_give_the_same_octets() {
    let run = || {
        let mut two = Two::new(setup(Phase1Mode::Main));
        two.initiate();
        two.settle();
        two.sides.map(|side| side.sent)
    };
    assert_eq!(run(), run());
}

#[test]
fn promise_3_timeouts_that_come_early_or_twice_do_nothing() {
    let mut two = Two::new(setup(Phase1Mode::Main));
    two.initiate();
    for _ in 0..3 {
        two.sides[A].endpoint.handle_timeout(two.now);
        two.sides[A].endpoint.handle_timeout(Instant::ZERO);
        two.drain(A);
    }
    assert_eq!(two.sides[A].sent.len(), 1);
    let at = two.sides[A].endpoint.poll_timeout().unwrap();
    two.now = at;
    two.sides[A].endpoint.handle_timeout(at);
    two.sides[A].endpoint.handle_timeout(at);
    two.drain(A);
    assert_eq!(two.sides[A].sent.len(), 2);
}

#[test]
fn promise_1_calls_out_of_place_are_refused_and_harmless() {
    let mut two = Two::new(setup(Phase1Mode::Main));
    let ike = two.initiate();
    let child = two.sides[A].peer().children[0].clone();
    let now = two.now;
    let endpoint = &mut two.sides[A].endpoint;
    assert!(endpoint.create_child(now, ike, child, None).is_err());
    assert!(endpoint.rekey(now, ike).is_err());
    assert!(endpoint.probe(now, ike).is_err());
    assert!(endpoint.answer(now, ikebana_ike::QueryId::new(5), ikebana_ike::Answer::Peer(None)).is_err());
    let datagram = Datagram { path: path(), encapsulated: false, octets: &[] };
    assert!(endpoint.handle_datagram(now, datagram).is_err());
    two.settle();
    two.assert_established();
}
