//! Deletes that meet each other, rekeys and new child SAs (RFC 7296 1.4.1, 2.25.1, 2.25.2). In each case `A` is
//! host 0 and `B` is host 1.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

#[macro_use]
mod pair;

use std::time::Duration;

use ikebana_ike::ExchangeType;
use pair::play::{A, B, play};
use pair::{Duel, Seen, Setup};

const CREATE: ExchangeType = ExchangeType::CREATE_CHILD_SA;
const INFORMATIONAL: ExchangeType = ExchangeType::INFORMATIONAL;

/// As [`play`], of a case that ends the IKE SA.
fn play_to_the_end(case: impl Fn(&mut Duel)) {
    for initiator in [A, B] {
        let mut duel = Duel::established(&Setup::default(), initiator, false);
        case(&mut duel);
        duel.assert_down();
        for host in [A, B] {
            assert_eq!(
                duel.hosts[host].count(|seen| matches!(seen, Seen::Closed(..))),
                1,
                "{}",
                duel.story()
            );
        }
    }
}

fn failures(duel: &Duel, host: usize) -> usize {
    duel.hosts[host].count(|seen| matches!(seen, Seen::ChildFailed(_)))
}

#[test]
fn a_child_delete_by_either_side_removes_the_pair() {
    for host in [A, B] {
        play(&Setup::default(), |duel| {
            duel.delete_child(host);
            duel.settle();
            duel.assert_children(0);
        });
    }
}

#[test]
fn two_child_deletes_that_cross_remove_the_pair_once() {
    play(&Setup::default(), |duel| {
        duel.delete_child(A);
        duel.delete_child(B);
        duel.settle();
        duel.assert_children(0);
    });
}

#[test]
fn two_child_deletes_that_cross_remove_the_pair_even_if_one_is_lost() {
    play(&Setup::default(), |duel| {
        duel.delete_child(A);
        duel.delete_child(B);
        duel.lose(A);
        duel.run(Duration::from_secs(5));
        duel.assert_children(0);
    });
}

#[test]
fn a_lost_answer_to_a_child_delete_is_given_again() {
    play(&Setup::default(), |duel| {
        duel.delete_child(A);
        duel.pass(B);
        duel.lose(A);
        duel.run(Duration::from_secs(5));
        duel.assert_children(0);
    });
}

#[test]
fn a_rekey_that_crosses_a_delete_of_the_same_pair_is_refused_and_not_tried_again() {
    play(&Setup::default(), |duel| {
        duel.delete_child(A);
        duel.rekey_child(B);
        duel.settle();
        duel.run(Duration::from_secs(60));
        duel.assert_children(0);
        assert_eq!((failures(duel, A), failures(duel, B)), (0, 0), "{}", duel.story());
    });
}

#[test]
fn a_pair_that_is_deleted_while_it_is_being_replaced_here_is_gone_with_its_replacement() {
    play(&Setup::default(), |duel| {
        duel.rekey_child(A);
        duel.delete_child(A);
        duel.settle();
        duel.assert_children(0);
    });
}

#[test]
fn a_pair_that_is_deleted_here_while_both_sides_replace_it_is_gone_with_both_replacements() {
    play(&Setup::default(), |duel| {
        let old = duel.child(A);
        duel.rekey_child(A);
        duel.rekey_child(B);
        duel.pass(A);
        duel.pass(B);
        duel.delete(A, old);
        duel.settle();
        duel.assert_children(0);
    });
}

#[test]
fn a_rekey_that_is_refused_before_the_delete_arrives_is_not_tried_again() {
    play(&Setup::default(), |duel| {
        duel.delete_child(A);
        duel.rekey_child(B);
        let delete = duel.hold(B);
        assert_eq!(duel.pass(A), (CREATE, false));
        assert_eq!(duel.pass(B), (CREATE, true));
        duel.release(&delete);
        duel.settle();
        duel.run(Duration::from_secs(60));
        duel.assert_children(0);
    });
}

#[test]
fn a_delete_that_is_lost_while_the_peer_rekeys_is_repeated() {
    play(&Setup::default(), |duel| {
        duel.delete_child(A);
        duel.rekey_child(B);
        duel.lose(B);
        duel.settle();
        duel.run(Duration::from_secs(60));
        duel.assert_children(0);
    });
}

#[test]
fn a_rekey_request_that_is_lost_while_the_peer_deletes_finds_no_such_pair() {
    play(&Setup::default(), |duel| {
        duel.delete_child(A);
        duel.rekey_child(B);
        duel.lose(A);
        duel.settle();
        duel.run(Duration::from_secs(60));
        duel.assert_children(0);
    });
}

#[test]
fn a_delete_of_an_sa_that_its_maker_does_not_know_yet_is_remembered() {
    play(&Setup::default(), |duel| {
        duel.rekey_child(A);
        duel.pass(B);
        duel.lose(A);
        for child in duel.children(B) {
            duel.delete(B, child);
        }
        duel.settle();
        duel.run(Duration::from_secs(60));
        duel.assert_children(0);
    });
}

#[test]
fn a_delete_of_a_fresh_sa_overtakes_the_answer_that_made_it() {
    play(&Setup::default(), |duel| {
        duel.delete_child(A);
        duel.settle();
        duel.create_child(A);
        duel.pass(B);
        let answer = duel.hold(A);
        duel.delete_child(B);
        duel.settle();
        duel.release(&answer);
        duel.settle();
        duel.assert_children(0);
    });
}

#[test]
fn a_second_child_sa_of_a_kind_is_not_asked_for() {
    play(&Setup::default(), |duel| {
        duel.create_child(A);
        assert_eq!(duel.waiting(B), 0);
        duel.delete_child(A);
        duel.settle();
        duel.create_child(A);
        duel.create_child(A);
        duel.settle();
        duel.assert_children(1);
    });
}

#[test]
fn two_child_sas_asked_for_at_once_from_both_sides_both_work() {
    play(&Setup::default(), |duel| {
        duel.delete_child(A);
        duel.settle();
        duel.create_child(A);
        duel.create_child(B);
        duel.settle();
        duel.assert_children(2);
    });
}

// Child SAs against a rekey of the IKE SA.

#[test]
fn a_child_rekey_that_crosses_an_ike_rekey_is_tried_again() {
    play(&Setup::default(), |duel| {
        duel.rekey_child(A);
        duel.rekey_ike(B);
        assert_eq!(duel.pass(A), (CREATE, false));
        assert_eq!(duel.pass(B), (CREATE, false));
        duel.settle();
        duel.run(Duration::from_secs(60));
        duel.assert_up();
        for host in [A, B] {
            let moves = duel.hosts[host].count(|seen| matches!(seen, Seen::IkeRekeyed(..)));
            let made = duel.hosts[host].count(|seen| matches!(seen, Seen::Installed(..)));
            assert_eq!((moves, made), (1, 4), "{}", duel.story());
        }
        assert_eq!((failures(duel, A), failures(duel, B)), (0, 0));
    });
}

#[test]
fn a_child_delete_that_crosses_an_ike_rekey_is_done() {
    play(&Setup::default(), |duel| {
        duel.delete_child(A);
        duel.rekey_ike(B);
        duel.settle();
        duel.run(Duration::from_secs(60));
        duel.assert_children(0);
        for host in [A, B] {
            assert_eq!(duel.hosts[host].count(|seen| matches!(seen, Seen::IkeRekeyed(..))), 1);
        }
    });
}

#[test]
fn a_new_child_that_crosses_an_ike_rekey_is_tried_again() {
    play(&Setup::default(), |duel| {
        duel.delete_child(A);
        duel.settle();
        duel.create_child(A);
        duel.rekey_ike(B);
        duel.settle();
        duel.run(Duration::from_secs(60));
        duel.assert_children(1);
        assert_eq!((failures(duel, A), failures(duel, B)), (0, 0), "{}", duel.story());
    });
}

#[test]
fn a_child_delete_queued_behind_an_ike_rekey_of_the_peer_moves_to_the_new_ike_sa() {
    play(&Setup::default(), |duel| {
        let (ike, now) = (duel.ike(A), duel.now);
        duel.hosts[A].endpoint.probe(now, ike).unwrap();
        duel.drain();
        let probe = duel.hold(B);
        // The delete waits for the probe's answer; meanwhile the peer moves.
        duel.delete_child(A);
        duel.rekey_ike(B);
        duel.settle();
        duel.release(&probe);
        duel.settle();
        duel.run(Duration::from_secs(20));
        duel.assert_children(0);
    });
}

// Child SAs against the end of the IKE SA.

#[test]
fn a_child_rekey_that_crosses_the_end_of_the_ike_sa_is_forgotten() {
    play_to_the_end(|duel| {
        duel.rekey_child(A);
        duel.close(B);
        duel.settle();
    });
}

#[test]
fn a_child_delete_that_crosses_the_end_of_the_ike_sa_is_forgotten() {
    play_to_the_end(|duel| {
        duel.delete_child(A);
        duel.close(B);
        duel.settle();
    });
}

#[test]
fn a_new_child_that_crosses_the_end_of_the_ike_sa_is_forgotten() {
    play_to_the_end(|duel| {
        duel.delete_child(A);
        duel.settle();
        duel.create_child(A);
        duel.close(B);
        duel.settle();
    });
}

// The end of the IKE SA against itself and a rekey.

#[test]
fn either_side_ends_the_ike_sa() {
    for host in [A, B] {
        play_to_the_end(|duel| {
            duel.close(host);
            assert_eq!(duel.pass(1 - host), (INFORMATIONAL, false));
            duel.settle();
        });
    }
}

#[test]
fn two_ends_of_an_ike_sa_that_cross_end_it_once() {
    play_to_the_end(|duel| {
        duel.close(A);
        duel.close(B);
        duel.settle();
    });
}

#[test]
fn a_lost_end_of_an_ike_sa_is_repeated() {
    play_to_the_end(|duel| {
        duel.close(A);
        duel.lose(B);
        duel.run(Duration::from_secs(5));
    });
}

#[test]
fn a_lost_answer_to_the_end_of_an_ike_sa_is_given_again() {
    play_to_the_end(|duel| {
        duel.close(A);
        duel.pass(B);
        duel.lose(A);
        duel.run(Duration::from_secs(5));
    });
}

#[test]
fn an_ike_rekey_that_crosses_the_end_of_the_ike_sa_is_forgotten() {
    play_to_the_end(|duel| {
        duel.rekey_ike(A);
        duel.close(B);
        duel.settle();
        let moves = duel.hosts[A].count(|seen| matches!(seen, Seen::IkeRekeyed(..)));
        assert_eq!(moves, 0, "{}", duel.story());
    });
}

#[test]
fn an_ike_sa_that_ends_before_the_answer_to_its_rekey_arrives_ends_on_both_sides() {
    play_to_the_end(|duel| {
        duel.rekey_ike(A);
        duel.pass(B);
        let answer = duel.hold(A);
        duel.close(B);
        duel.settle();
        duel.release(&answer);
        duel.run(Duration::from_secs(30));
        assert!(duel.hosts[A].ike_sas().is_empty(), "{}", duel.story());
        assert!(!duel.hosts[A].said().contains("dead"), "{}", duel.story());
    });
}

#[test]
fn an_ike_sa_that_ends_while_the_answer_to_its_rekey_is_lost_ends_on_both_sides() {
    play_to_the_end(|duel| {
        duel.rekey_ike(A);
        duel.pass(B);
        duel.lose(A);
        duel.close(B);
        duel.lose(A);
        duel.run(Duration::from_secs(30));
        assert!(duel.hosts[A].ike_sas().is_empty(), "{}", duel.story());
        assert!(!duel.hosts[A].said().contains("dead"), "{}", duel.story());
    });
}

#[test]
fn an_initiator_that_ends_its_rekeyed_ike_sa_ends_the_new_one_and_the_old_one() {
    play_to_the_end(|duel| {
        duel.rekey_ike(A);
        duel.pass(B);
        duel.pass(A);
        duel.close(A);
        duel.settle();
    });
}

#[test]
fn an_initiator_that_ends_an_ike_sa_whose_rekey_is_granted_later_ends_the_new_one_too() {
    play_to_the_end(|duel| {
        duel.rekey_ike(A);
        duel.pass(B);
        let answer = duel.hold(A);
        duel.close(A);
        duel.release(&answer);
        duel.settle();
        assert!(duel.hosts[B].ike_sas().is_empty(), "{}", duel.story());
        assert!(duel.hosts[B].inbound().is_empty(), "{}", duel.story());
    });
}

#[test]
fn an_initiator_that_ends_an_ike_sa_that_both_sides_replace_leaves_none_behind() {
    for lose in [false, true] {
        play_to_the_end(|duel| {
            duel.rekey_ike(A);
            duel.rekey_ike(B);
            duel.pass(A);
            duel.pass(B);
            duel.close(A);
            if lose {
                duel.lose(A);
            }
            duel.run(Duration::from_secs(90));
            assert!(duel.hosts[B].ike_sas().is_empty(), "{}", duel.story());
            assert!(duel.hosts[B].inbound().is_empty(), "{}", duel.story());
        });
    }
}
