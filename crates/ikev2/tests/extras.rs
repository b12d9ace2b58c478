//! What two sides agree on beside proposals and selectors: compression, and who takes padding.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

#[macro_use]
mod pair;

use ikebana_ike::{Direction, PeerConfig};
use ikebana_ikev2::wire::{NotifyPayload, NotifyType, Payload};
use pair::play::{A, B};
use pair::{Duel, Pair, Setup, change_child, peer_config};

fn compressing(compress: [bool; 2]) -> [PeerConfig; 2] {
    let setup = Setup::default();
    [A, B].map(|host| {
        let mut peer = peer_config(&setup, host);
        change_child(&mut peer, |child| child.compress = compress[host]);
        peer
    })
}

/// The CPIs of the SAs that a host has installed, in order.
fn cpis(pair: &Pair, host: usize, direction: Direction) -> Vec<Option<u16>> {
    let facts = pair.hosts[host].facts.iter();
    facts.filter(|facts| facts.direction == direction).map(|facts| facts.cpi).collect()
}

#[test]
fn both_sides_compress_with_the_number_that_the_other_one_chose_also_after_a_rekey() {
    let mut pair = Pair::with_peers(&Setup::default(), compressing([true, true]));
    pair.initiate(A);
    pair.run_secs(10);
    pair.assert_up();
    let numbers = |pair: &Pair| {
        let [a_in, a_out] = [Direction::Inbound, Direction::Outbound].map(|it| cpis(pair, A, it));
        let [b_in, b_out] = [Direction::Inbound, Direction::Outbound].map(|it| cpis(pair, B, it));
        assert_eq!((&a_in, &a_out), (&b_out, &b_in));
        let all: Vec<u16> = a_in.into_iter().chain(a_out).map(Option::unwrap).collect();
        assert!(all.iter().all(|cpi| (256..=61_439).contains(cpi)), "{all:?}");
        all.len()
    };
    assert_eq!(numbers(&pair), 2);
    pair.finish();

    let mut duel = Duel::established(&Setup::default(), A, false);
    for host in [A, B] {
        assert!(duel.hosts[host].facts.iter().all(|facts| facts.cpi.is_none() && facts.tfc_padding));
    }
    duel.rekey_child(A);
    duel.settle();
    assert!(duel.hosts[A].facts.iter().all(|facts| facts.cpi.is_none()));
}

#[test]
fn one_side_alone_does_not_compress() {
    for compress in [[true, false], [false, true], [false, false]] {
        let mut pair = Pair::with_peers(&Setup::default(), compressing(compress));
        pair.initiate(A);
        pair.run_secs(10);
        pair.assert_up();
        for host in [A, B] {
            assert!(pair.hosts[host].facts.iter().all(|facts| facts.cpi.is_none()));
        }
        pair.finish();
    }
}

/// A message with one more notification.
fn with_notify(duel: &Duel, message: &pair::Held, kind: NotifyType) -> pair::Held {
    let mut payloads = duel.read(message);
    payloads.insert(0, Payload::Notify(NotifyPayload::new(kind, vec![])));
    duel.forged(message, &payloads)
}

#[test]
fn a_peer_that_does_not_take_padding_gets_none() {
    let kind = NotifyType::ESP_TFC_PADDING_NOT_SUPPORTED;
    // In a request ...
    let mut duel = Duel::established(&Setup::default(), A, false);
    duel.rekey_child(A);
    let request = duel.hold(B);
    let request = with_notify(&duel, &request, kind);
    duel.release(&request);
    duel.settle();
    assert_eq!(duel.hosts[B].facts.last().map(|facts| facts.tfc_padding), Some(false));
    assert_eq!(duel.hosts[A].facts.last().map(|facts| facts.tfc_padding), Some(true));

    // ... and in an answer.
    let mut duel = Duel::established(&Setup::default(), A, false);
    duel.rekey_child(A);
    duel.pass(B);
    let answer = duel.hold(A);
    let answer = with_notify(&duel, &answer, kind);
    duel.release(&answer);
    duel.settle();
    assert_eq!(duel.hosts[A].facts.last().map(|facts| facts.tfc_padding), Some(false));
    assert_eq!(duel.hosts[B].facts.last().map(|facts| facts.tfc_padding), Some(true));
}

#[test]
fn offers_that_are_not_understood_are_passed_over() {
    let ipcomp =
        |data: &[u8]| Payload::Notify(NotifyPayload::new(NotifyType::IPCOMP_SUPPORTED, data.to_vec()));
    let mut duel = Duel::established(&Setup::default(), A, false);
    duel.rekey_child(A);
    let request = duel.hold(B);
    let mut payloads = duel.read(&request);
    // LZS, DEFLATE with a reserved number, DEFLATE with too much, nothing, and then one that B could take.
    for data in [&[0x12, 0x34, 3][..], &[0, 9, 2], &[0x12, 0x34, 2, 0], &[], &[0x12, 0x34, 2]] {
        payloads.insert(0, ipcomp(data));
    }
    let request = duel.forged(&request, &payloads);
    duel.release(&request);
    duel.settle();
    // B is not to compress, so that it leaves the notification out.
    assert!(duel.hosts[B].facts.iter().all(|facts| facts.cpi.is_none()));
    duel.assert_up();
}
