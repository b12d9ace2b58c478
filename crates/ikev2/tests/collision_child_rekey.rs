//! Both sides replace the same child SA, or one does while messages are late, lost or doubled
//! (RFC 7296 2.8, 2.8.1, 2.25.1). One test per case; in each, `A` is host 0 and `B` is host 1.
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

use ikebana_ike::{ChildSignal, ExchangeType, RemoveReason};
use pair::play::{A, B, Lowest, play, stubborn};
use pair::{Duel, Seen, Setup};

const CREATE: ExchangeType = ExchangeType::CREATE_CHILD_SA;
const INFORMATIONAL: ExchangeType = ExchangeType::INFORMATIONAL;

/// As [`play`], of a case that depends on the nonces drawn after `prepare`.
fn play_collision(setup: &Setup, lowest: Lowest, prepare: impl Fn(&mut Duel), case: impl Fn(&mut Duel)) {
    play(setup, |duel| {
        prepare(duel);
        lowest.set(duel);
        case(duel);
        assert_winner(duel, lowest.winner());
        duel.assert_up();
    });
}

/// The pair that is left is the one that `winner` asked for: the other host has deleted what it made.
fn assert_winner(duel: &mut Duel, winner: usize) {
    duel.run(Duration::from_secs(5));
    let redundant = |host: usize| {
        duel.hosts[host].count(|seen| matches!(seen, Seen::Removed(_, _, _, RemoveReason::Redundant)))
    };
    assert_eq!(redundant(winner), 0, "{}", duel.story());
    assert_eq!(redundant(1 - winner), 1, "{}", duel.story());
}

/// Both have sent their request for the same pair.
fn both_rekey(duel: &mut Duel) {
    duel.rekey_child(A);
    duel.rekey_child(B);
}

/// Both requests are answered; the answers are on the wire.
fn both_answer(duel: &mut Duel) {
    both_rekey(duel);
    assert_eq!(duel.pass(A), (CREATE, false));
    assert_eq!(duel.pass(B), (CREATE, false));
}

/// Both have asked with a group that the other one refuses; the refusals are on the wire.
fn refused(duel: &mut Duel) {
    both_rekey(duel);
    for to in [A, B] {
        assert_eq!(duel.pass(to), (CREATE, false));
    }
}

for_each_nonce!(Setup::default(), |_| (), |duel: &mut Duel| {
    both_rekey(duel);
    duel.settle();
} => a_collision_with_as_request_lowest_is_won_by_b,
    a_collision_with_bs_answer_lowest_is_won_by_b,
    a_collision_with_bs_request_lowest_is_won_by_a,
    a_collision_with_as_answer_lowest_is_won_by_a);

// B has its answer, and has deleted what it has to, before A has its own.
for_each_nonce!(Setup::default(), |_| (), |duel: &mut Duel| {
    both_answer(duel);
    let late = duel.hold(A);
    duel.settle();
    duel.release(&late);
    duel.settle();
} => a_late_answer_after_bs_delete_with_as_request_lowest,
    a_late_answer_after_bs_delete_with_bs_answer_lowest,
    a_late_answer_after_bs_delete_with_bs_request_lowest,
    a_late_answer_after_bs_delete_with_as_answer_lowest);

// As before, and old SAs are forgotten meanwhile.
for_each_nonce!(Setup::default(), |_| (), |duel: &mut Duel| {
    both_answer(duel);
    let late = duel.hold(A);
    duel.settle();
    duel.wait(Duration::from_millis(1_500));
    while duel.waiting(B) > 0 {
        duel.lose(B);
    }
    duel.release(&late);
    duel.settle();
} => a_later_answer_after_as_repetitions_with_as_request_lowest,
    a_later_answer_after_as_repetitions_with_bs_answer_lowest,
    a_later_answer_after_as_repetitions_with_bs_request_lowest,
    a_later_answer_after_as_repetitions_with_as_answer_lowest);

// Both insist on their own group, so that the nonces of the second requests decide.
for_each_nonce!(stubborn(), refused, Duel::settle => a_collision_of_retries_with_as_request_lowest,
    a_collision_of_retries_with_bs_answer_lowest,
    a_collision_of_retries_with_bs_request_lowest,
    a_collision_of_retries_with_as_answer_lowest);

// A lost answer comes again, after the other side has drawn its conclusions.
for_each_nonce!(Setup::default(), |_| (), |duel: &mut Duel| {
    both_answer(duel);
    duel.lose(A);
    duel.settle();
    duel.run(Duration::from_secs(4));
} => a_lost_answer_in_a_collision_with_as_request_lowest,
    a_lost_answer_in_a_collision_with_bs_answer_lowest,
    a_lost_answer_in_a_collision_with_bs_request_lowest,
    a_lost_answer_in_a_collision_with_as_answer_lowest);

for_each_nonce!(Setup::default(), |_| (), |duel: &mut Duel| {
    both_rekey(duel);
    duel.settle_doubled();
} => a_collision_with_every_message_doubled_and_as_request_lowest,
    a_collision_with_every_message_doubled_and_bs_answer_lowest,
    a_collision_with_every_message_doubled_and_bs_request_lowest,
    a_collision_with_every_message_doubled_and_as_answer_lowest);

#[test]
fn a_rekey_by_a_moves_the_traffic_before_the_old_pair_goes() {
    play(&Setup::default(), |duel| {
        let old = duel.child(A);
        duel.rekey_child(A);
        duel.settle();
        assert_ne!(duel.child(A), old);
        duel.assert_up();
    });
}

#[test]
fn a_rekey_by_b_moves_the_traffic_before_the_old_pair_goes() {
    play(&Setup::default(), |duel| {
        duel.rekey_child(B);
        duel.settle();
        duel.assert_up();
    });
}

#[test]
fn a_rekey_with_another_group_than_the_peer_wants_is_asked_again() {
    for host in [A, B] {
        play(&stubborn(), |duel| {
            duel.rekey_child(host);
            assert_eq!(duel.pass(1 - host), (CREATE, false));
            assert_eq!(duel.pass(host), (CREATE, true));
            assert_eq!(duel.pass(1 - host), (CREATE, false));
            assert_eq!(duel.pass(host), (CREATE, true));
            duel.settle();
            duel.assert_up();
        });
    }
}

#[test]
fn a_rekey_whose_request_is_lost_is_asked_again() {
    play(&Setup::default(), |duel| {
        duel.rekey_child(A);
        duel.lose(B);
        duel.run(Duration::from_secs(4));
        duel.assert_up();
    });
}

#[test]
fn a_rekey_whose_answer_is_lost_is_answered_again_with_the_same_sa() {
    play(&Setup::default(), |duel| {
        duel.rekey_child(A);
        duel.pass(B);
        duel.lose(A);
        duel.run(Duration::from_secs(4));
        let made = duel.hosts[B].count(|seen| matches!(seen, Seen::Installed(..)));
        assert_eq!(made, 4, "{}", duel.story());
        duel.assert_up();
    });
}

#[test]
fn a_delete_lost_after_a_rekey_is_repeated_and_reported_once() {
    play(&Setup::default(), |duel| {
        duel.rekey_child(A);
        duel.pass(B);
        duel.pass(A);
        duel.lose(B);
        duel.run(Duration::from_secs(4));
        duel.assert_up();
    });
}

#[test]
fn an_unanswered_delete_after_a_rekey_ends_the_ike_sa_and_reports_each_sa_once() {
    for initiator in [A, B] {
        let mut duel = Duel::established(&Setup::default(), initiator, false);
        duel.rekey_child(A);
        duel.pass(B);
        duel.pass(A);
        duel.allow_gap();
        for _ in 0..100 {
            duel.wait(Duration::from_secs(2));
            while duel.waiting(B) > 0 {
                duel.lose(B);
            }
        }
        assert!(duel.hosts[A].said().contains("the peer is dead"), "{}", duel.story());
        assert_eq!(duel.hosts[A].child_pairs(), 0);
        duel.assert_down();
    }
}

#[test]
fn the_responder_of_a_rekey_ignores_its_own_soft_limit_while_it_waits_for_the_delete() {
    play(&Setup::default(), |duel| {
        let old = duel.child(B);
        duel.rekey_child(A);
        duel.pass(B);
        let answer = duel.hold(A);
        let now = duel.now;
        duel.hosts[B].endpoint.handle_child_signal(now, old, ChildSignal::SoftExpired);
        duel.drain();
        assert_eq!(duel.waiting(A), 0, "the peer is replacing it already");
        duel.release(&answer);
        duel.settle();
        duel.assert_up();
    });
}

#[test]
fn the_responder_of_a_rekey_survives_the_hard_limit_while_it_waits_for_the_delete() {
    play(&Setup::default(), |duel| {
        let old = duel.child(B);
        duel.rekey_child(A);
        duel.pass(B);
        let answer = duel.hold(A);
        let now = duel.now;
        duel.allow_gap();
        duel.hosts[B].endpoint.handle_child_signal(now, old, ChildSignal::HardExpired);
        duel.settle();
        duel.release(&answer);
        duel.settle();
        duel.assert_up();
    });
}

#[test]
fn the_responder_deletes_the_old_pair_before_the_initiator_has_its_answer() {
    play(&Setup::default(), |duel| {
        let old = duel.child(B);
        duel.rekey_child(A);
        duel.pass(B);
        let answer = duel.hold(A);
        duel.delete(B, old);
        duel.settle();
        duel.release(&answer);
        duel.settle();
        duel.assert_up();
    });
}

#[test]
fn the_responder_deletes_the_new_pair_before_the_initiator_has_its_answer() {
    play(&Setup::default(), |duel| {
        let old = duel.child(B);
        duel.rekey_child(A);
        duel.pass(B);
        let answer = duel.hold(A);
        let new = duel.children(B).into_iter().find(|child| *child != old).unwrap();
        duel.delete(B, new);
        duel.settle();
        duel.release(&answer);
        duel.settle();
        duel.assert_children(0);
    });
}

#[test]
fn the_initiator_deletes_the_new_pair_right_after_the_rekey() {
    play(&Setup::default(), |duel| {
        duel.rekey_child(A);
        duel.pass(B);
        duel.pass(A);
        duel.delete_child(A);
        duel.settle();
        duel.assert_children(0);
    });
}

#[test]
fn the_responder_deletes_the_new_pair_right_after_the_rekey() {
    play(&Setup::default(), |duel| {
        duel.rekey_child(A);
        duel.pass(B);
        duel.pass(A);
        duel.pass(B);
        duel.delete_child(B);
        duel.settle();
        duel.assert_children(0);
    });
}

#[test]
fn two_commands_to_rekey_one_pair_are_one_exchange() {
    play(&Setup::default(), |duel| {
        let (child, now) = (duel.child(A), duel.now);
        duel.rekey_child(A);
        for _ in 0..3 {
            duel.hosts[A].endpoint.rekey_child(now, child).unwrap();
            duel.hosts[A].endpoint.handle_child_signal(now, child, ChildSignal::SoftExpired);
        }
        duel.settle();
        duel.assert_up();
        let made = duel.hosts[A].count(|seen| matches!(seen, Seen::Installed(..)));
        assert_eq!(made, 4, "{}", duel.story());
    });
}

// One side does not notice the collision, because the other one's request is late.

/// A's rekey is through and its delete is out, B's request has not arrived yet.
fn unnoticed(duel: &mut Duel) -> pair::Held {
    duel.rekey_child(A);
    duel.rekey_child(B);
    let late = duel.hold(A);
    assert_eq!(duel.pass(B), (CREATE, false));
    assert_eq!(duel.pass(A), (CREATE, true));
    late
}

#[test]
fn a_late_request_is_refused_while_the_old_pair_is_being_deleted() {
    play(&Setup::default(), |duel| {
        let late = unnoticed(duel);
        let delete = duel.hold(B);
        assert_eq!(delete.kind(), (INFORMATIONAL, false));
        duel.release(&late);
        // TEMPORARY_FAILURE arrives before the delete.
        assert_eq!(duel.pass(A + 1), (CREATE, true));
        duel.release(&delete);
        duel.settle();
        duel.assert_up();
    });
}

#[test]
fn a_refusal_of_a_late_request_may_come_after_the_delete() {
    play(&Setup::default(), |duel| {
        let late = unnoticed(duel);
        let delete = duel.hold(B);
        duel.release(&late);
        let refusal = duel.hold(B);
        assert_eq!(refusal.kind(), (CREATE, true));
        duel.release(&delete);
        duel.settle();
        duel.release(&refusal);
        duel.settle();
        duel.assert_up();
    });
}

#[test]
fn a_request_later_than_the_delete_finds_no_such_pair() {
    play(&Setup::default(), |duel| {
        let late = unnoticed(duel);
        duel.settle();
        duel.release(&late);
        duel.settle();
        duel.assert_up();
    });
}

#[test]
fn a_request_later_than_the_delete_whose_refusal_is_lost_is_refused_again() {
    play(&Setup::default(), |duel| {
        let late = unnoticed(duel);
        duel.settle();
        duel.release(&late);
        duel.lose(B);
        duel.run(Duration::from_secs(4));
        duel.assert_up();
    });
}

#[test]
fn a_request_that_is_late_by_seconds_finds_no_such_pair() {
    play(&Setup::default(), |duel| {
        let late = unnoticed(duel);
        duel.settle();
        duel.wait(Duration::from_millis(1_500));
        duel.release(&late);
        duel.settle();
        duel.assert_up();
    });
}

#[test]
fn a_request_that_arrives_after_old_and_new_pair_are_deleted_makes_nothing() {
    play(&Setup::default(), |duel| {
        let late = unnoticed(duel);
        duel.settle();
        duel.delete_child(A);
        duel.settle();
        duel.release(&late);
        duel.settle();
        duel.assert_children(0);
    });
}

#[test]
fn a_request_lost_and_repeated_after_the_collision_is_over_finds_no_such_pair() {
    play(&Setup::default(), |duel| {
        let _lost = unnoticed(duel);
        duel.settle();
        duel.run(Duration::from_secs(5));
        duel.assert_up();
    });
}

#[test]
fn a_late_retry_of_a_refused_group_is_no_collision() {
    play(&stubborn(), |duel| {
        duel.rekey_child(A);
        duel.rekey_child(B);
        // Both groups are refused.
        for to in [A, B] {
            assert_eq!(duel.pass(to), (CREATE, false));
        }
        for to in [A, B] {
            assert_eq!(duel.pass(to), (CREATE, true));
        }
        let late = duel.hold(A);
        duel.settle();
        duel.release(&late);
        duel.settle();
        duel.assert_up();
    });
}

#[test]
fn a_peer_that_has_lost_the_pair_gets_a_fresh_one() {
    let setup = Setup {
        limits: ikebana_ike::Limits { window: 2, ..ikebana_ike::Limits::default() },
        ..Setup::default()
    };
    for initiator in [A, B] {
        let mut duel = Duel::established(&setup, initiator, false);
        duel.allow_gap();
        // B deletes it, and somebody who knows the keys answers in A's place.
        duel.delete_child(B);
        let delete = duel.hold(A);
        let answer = duel.forged_answer(&delete, &[]);
        duel.release(&answer);
        assert_eq!(duel.hosts[B].child_pairs(), 0);
        duel.rekey_child(A);
        duel.settle();
        duel.assert_up();
        duel.close(A);
        duel.assert_down();
    }
}
