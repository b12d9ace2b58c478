//! The ordinary life of an IKE SA, from the first message to the last.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

#[macro_use]
mod pair;

use pair::{Pair, Seen, Setup};

#[test]
fn two_hosts_establish_an_ike_sa_with_a_child_sa_and_close_it_again() {
    let pair = Pair::established(&Setup::default());
    pair.finish();
}

#[test]
fn a_child_rekey_by_either_side_replaces_the_pair() {
    for side in 0..2 {
        let mut pair = Pair::established(&Setup::default());
        let (old, now) = (pair.child(side), pair.now);
        pair.hosts[side].endpoint.rekey_child(now, old).unwrap();
        pair.run_secs(10);
        pair.assert_up();
        assert_ne!(pair.child(side), old);
        pair.finish();
    }
}

#[test]
fn an_ike_rekey_by_either_side_keeps_handle_and_children() {
    for side in 0..2 {
        let mut pair = Pair::established(&Setup::default());
        let (ike, child, now) = (pair.ike(side), pair.child(side), pair.now);
        pair.hosts[side].endpoint.rekey(now, ike).unwrap();
        pair.run_secs(10);
        pair.assert_up();
        assert_eq!((pair.ike(side), pair.child(side)), (ike, child));
        for host in &pair.hosts {
            assert_eq!(host.count(|seen| matches!(seen, Seen::IkeRekeyed(..))), 1, "{:?}", host.seen);
        }
        pair.finish();
    }
}

#[test]
fn a_wrong_pre_shared_key_is_named_on_both_sides() {
    let setup = Setup { psk: ["one", "two"], ..Setup::default() };
    let mut pair = Pair::new(&setup);
    pair.initiate(0);
    pair.run_secs(5);
    assert!(pair.hosts[0].said().contains("AUTHENTICATION_FAILED"), "{}", pair.hosts[0].said());
    assert!(pair.hosts[1].said().contains("does not have the pre-shared key"), "{}", pair.hosts[1].said());
    pair.finish();
}
