//! Additional key exchanges (RFC 9370) are not there yet, and nobody is led to believe that they are.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod pair;

use ikebana_ike::ApiError;
use pair::{Pair, Setup};

const PLAIN: &str = "aes128gcm16-prfsha256-curve25519";
const HYBRID: &str = "aes128gcm16-prfsha256-curve25519-ke1_ecp256";

#[test]
fn a_proposal_that_insists_on_an_additional_exchange_is_not_offered() {
    let mut pair = Pair::new(&Setup { ike: [HYBRID, HYBRID], ..Setup::default() });
    let (path, now) = (pair.path(0), pair.now);
    let host = &mut pair.hosts[0];
    let refused = host.endpoint.initiate(now, host.peer.clone(), path);
    assert!(matches!(refused, Err(ApiError::Config(_))), "{refused:?}");
    pair.finish();
}

#[test]
fn a_responder_that_insists_on_an_additional_exchange_agrees_to_nothing() {
    let mut pair = Pair::new(&Setup { ike: [PLAIN, HYBRID], ..Setup::default() });
    pair.initiate(0);
    pair.run_secs(5);
    assert!(pair.hosts[0].ike_sas().is_empty() && pair.hosts[1].ike_sas().is_empty());
    assert!(pair.hosts[1].said().contains("no IKE proposal in common"), "{}", pair.hosts[1].said());
    pair.finish();
}

#[test]
fn a_proposal_without_additional_exchanges_is_used_in_its_place() {
    let both = "aes128gcm16-prfsha256-curve25519-ke1_ecp256,aes128gcm16-prfsha256-curve25519";
    let pair = Pair::established(&Setup { ike: [both, both], ..Setup::default() });
    pair.finish();
}

#[test]
fn a_child_that_insists_on_an_additional_exchange_is_not_offered_even_without_one_of_its_own() {
    let mut pair = Pair::new(&Setup { esp: ["aes128gcm16-curve25519-ke1_ecp256"; 2], ..Setup::default() });
    pair.initiate(0);
    pair.run_secs(5);
    assert_eq!(pair.hosts[0].child_pairs() + pair.hosts[1].child_pairs(), 0);
    pair.finish();
}

#[test]
fn a_group_that_is_not_possible_here_does_not_matter_to_the_first_child() {
    let esp = ["aes128gcm16-mlkem768,aes256gcm16-curve25519", "aes128gcm16,aes256gcm16-curve25519"];
    let pair = Pair::established(&Setup { esp, ..Setup::default() });
    pair.finish();
}
