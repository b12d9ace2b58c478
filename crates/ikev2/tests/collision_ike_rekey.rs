//! Both sides replace the same IKE SA, or one does while messages are late, lost or doubled
//! (RFC 7296 2.8.2, 2.25.2). Child SAs must outlive every case. In each, `A` is host 0 and `B` is host 1.
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
use pair::play::{A, B, Lowest, play, stubborn};
use pair::{Duel, Seen, Setup};

const CREATE: ExchangeType = ExchangeType::CREATE_CHILD_SA;
const INFORMATIONAL: ExchangeType = ExchangeType::INFORMATIONAL;

/// As [`play`], of a collision whose nonces are drawn after `prepare`.
fn play_collision(setup: &Setup, lowest: Lowest, prepare: impl Fn(&mut Duel), case: impl Fn(&mut Duel)) {
    play(setup, |duel| {
        prepare(duel);
        lowest.set(duel);
        case(duel);
        assert_moved(duel);
        assert_winner(duel, lowest.winner());
    });
}

/// Each host has moved to a new IKE SA once, and kept its child SA.
fn assert_moved(duel: &mut Duel) {
    duel.assert_up();
    for host in [A, B] {
        let moves = duel.hosts[host].count(|seen| matches!(seen, Seen::IkeRekeyed(..)));
        assert_eq!(moves, 1, "{}", duel.story());
        let installed = duel.hosts[host].count(|seen| matches!(seen, Seen::Installed(..)));
        assert_eq!(installed, 2, "the child SAs stay: {}", duel.story());
    }
    assert_eq!(duel.hosts[A].ike_spis(), duel.hosts[B].ike_spis(), "{}", duel.story());
}

/// The IKE SA in use is the one that `winner` asked for, so `winner` is its initiator on the wire.
fn assert_winner(duel: &mut Duel, winner: usize) {
    duel.run(Duration::from_secs(1));
    let [from_winner, from_loser] = [winner, 1 - winner].map(|host| {
        let (ike, now) = (duel.ike(host), duel.now);
        duel.hosts[host].endpoint.probe(now, ike).unwrap();
        duel.drain();
        let header = duel.hold(1 - host);
        duel.release(&header);
        duel.settle();
        header.is_from_initiator()
    });
    assert_eq!((from_winner, from_loser), (true, false), "{}", duel.story());
}

fn both_rekey(duel: &mut Duel) {
    duel.rekey_ike(A);
    duel.rekey_ike(B);
}

/// Both have asked with a group that the other one refuses; the refusals are on the wire.
fn refused(duel: &mut Duel) {
    both_rekey(duel);
    for to in [A, B] {
        assert_eq!(duel.pass(to), (CREATE, false));
    }
}

/// Both requests are answered; the answers are on the wire.
fn both_answer(duel: &mut Duel) {
    both_rekey(duel);
    assert_eq!(duel.pass(A), (CREATE, false));
    assert_eq!(duel.pass(B), (CREATE, false));
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

for_each_nonce!(Setup::default(), |_| (), |duel: &mut Duel| {
    both_answer(duel);
    duel.lose(A);
    duel.settle();
    duel.run(Duration::from_secs(4));
} => a_lost_answer_in_a_collision_with_as_request_lowest,
    a_lost_answer_in_a_collision_with_bs_answer_lowest,
    a_lost_answer_in_a_collision_with_bs_request_lowest,
    a_lost_answer_in_a_collision_with_as_answer_lowest);

// Both insist on their own group, so that the nonces of the second requests decide.
for_each_nonce!(stubborn(), refused, Duel::settle => a_collision_of_retries_with_as_request_lowest,
    a_collision_of_retries_with_bs_answer_lowest,
    a_collision_of_retries_with_bs_request_lowest,
    a_collision_of_retries_with_as_answer_lowest);

for_each_nonce!(Setup::default(), |_| (), |duel: &mut Duel| {
    both_rekey(duel);
    duel.settle_doubled();
} => a_collision_with_every_message_doubled_and_as_request_lowest,
    a_collision_with_every_message_doubled_and_bs_answer_lowest,
    a_collision_with_every_message_doubled_and_bs_request_lowest,
    a_collision_with_every_message_doubled_and_as_answer_lowest);

#[test]
fn a_rekey_by_either_side_moves_both() {
    for host in [A, B] {
        play(&Setup::default(), |duel| {
            duel.rekey_ike(host);
            duel.settle();
            assert_moved(duel);
            assert_winner(duel, host);
        });
    }
}

#[test]
fn a_rekey_with_another_group_than_the_peer_wants_is_asked_again() {
    for host in [A, B] {
        play(&stubborn(), |duel| {
            duel.rekey_ike(host);
            assert_eq!(duel.pass(1 - host), (CREATE, false));
            assert_eq!(duel.pass(host), (CREATE, true));
            assert_eq!(duel.pass(1 - host), (CREATE, false));
            assert_eq!(duel.pass(host), (CREATE, true));
            duel.settle();
            assert_moved(duel);
        });
    }
}

#[test]
fn a_rekey_whose_request_is_lost_is_asked_again() {
    play(&Setup::default(), |duel| {
        duel.rekey_ike(A);
        duel.lose(B);
        duel.run(Duration::from_secs(4));
        assert_moved(duel);
    });
}

#[test]
fn a_rekey_whose_answer_is_lost_is_answered_again_over_the_old_ike_sa() {
    play(&Setup::default(), |duel| {
        duel.rekey_ike(A);
        duel.pass(B);
        duel.lose(A);
        duel.run(Duration::from_secs(4));
        assert_moved(duel);
    });
}

#[test]
fn a_lost_delete_of_the_old_ike_sa_is_repeated() {
    play(&Setup::default(), |duel| {
        duel.rekey_ike(A);
        duel.pass(B);
        duel.pass(A);
        duel.lose(B);
        duel.run(Duration::from_secs(4));
        assert_moved(duel);
    });
}

#[test]
fn an_old_ike_sa_whose_delete_never_arrives_goes_after_a_while_and_the_new_one_stays() {
    play(&Setup::default(), |duel| {
        duel.rekey_ike(A);
        duel.pass(B);
        duel.pass(A);
        for _ in 0..60 {
            duel.wait(Duration::from_secs(2));
            for to in [A, B] {
                while duel.waiting(to) > 0 {
                    let message = duel.hold(to);
                    if message.is_of_first_ike_sa(duel) {
                        continue;
                    }
                    duel.release(&message);
                }
            }
        }
        duel.run(Duration::from_secs(400));
        assert_moved(duel);
    });
}

#[test]
fn a_late_request_that_finds_the_old_ike_sa_being_deleted_is_refused() {
    play(&Setup::default(), |duel| {
        both_rekey(duel);
        let late = duel.hold(A);
        assert_eq!(duel.pass(B), (CREATE, false));
        assert_eq!(duel.pass(A), (CREATE, true));
        let delete = duel.hold(B);
        assert_eq!(delete.kind(), (INFORMATIONAL, false));
        duel.release(&late);
        assert_eq!(duel.pass(B), (CREATE, true));
        duel.release(&delete);
        duel.settle();
        assert_moved(duel);
        assert_winner(duel, A);
    });
}

#[test]
fn a_refusal_of_a_late_request_may_come_after_the_delete() {
    play(&Setup::default(), |duel| {
        both_rekey(duel);
        let late = duel.hold(A);
        duel.pass(B);
        duel.pass(A);
        let delete = duel.hold(B);
        duel.release(&late);
        let refusal = duel.hold(B);
        duel.release(&delete);
        duel.settle();
        duel.release(&refusal);
        duel.settle();
        assert_moved(duel);
    });
}

#[test]
fn a_request_later_than_the_delete_reaches_nothing() {
    play(&Setup::default(), |duel| {
        both_rekey(duel);
        let late = duel.hold(A);
        duel.settle();
        duel.release(&late);
        duel.settle();
        assert_moved(duel);
    });
}

#[test]
fn a_lost_request_in_a_collision_is_forgotten_with_the_old_ike_sa() {
    play(&Setup::default(), |duel| {
        both_rekey(duel);
        duel.lose(A);
        duel.settle();
        duel.run(Duration::from_secs(5));
        assert_moved(duel);
    });
}

#[test]
fn a_late_retry_of_a_refused_group_is_no_collision() {
    play(&stubborn(), |duel| {
        refused(duel);
        for to in [A, B] {
            assert_eq!(duel.pass(to), (CREATE, true));
        }
        let late = duel.hold(A);
        duel.settle();
        duel.release(&late);
        duel.settle();
        assert_moved(duel);
    });
}

#[test]
fn a_responder_that_is_not_heard_again_is_not_left_with_a_dead_ike_sa() {
    // The answer is lost for longer than the responder waits for the delete of the old IKE SA.
    play(&Setup { tries: 12, ..Setup::default() }, |duel| {
        duel.rekey_ike(A);
        duel.pass(B);
        for _ in 0..40 {
            while duel.waiting(A) > 0 {
                duel.lose(A);
            }
            while duel.waiting(B) > 0 {
                duel.lose(B);
            }
            duel.wait(Duration::from_secs(5));
        }
        duel.run(Duration::from_secs(300));
        assert_moved(duel);
    });
}

#[test]
fn requests_over_the_new_ike_sa_wait_for_an_initiator_whose_answer_is_late() {
    play(&Setup::default(), |duel| {
        duel.rekey_ike(A);
        duel.pass(B);
        let answer = duel.hold(A);
        duel.rekey_child(B);
        duel.settle();
        duel.release(&answer);
        duel.run(Duration::from_secs(10));
        duel.assert_up();
        assert_eq!(duel.hosts[A].count(|seen| matches!(seen, Seen::IkeRekeyed(..))), 1);
    });
}

#[test]
fn a_lost_answer_to_the_delete_of_the_old_ike_sa_is_given_again_seconds_later() {
    play(&Setup::default(), |duel| {
        duel.rekey_ike(A);
        duel.pass(B);
        duel.pass(A);
        let delete = duel.hold(B);
        assert_eq!(delete.kind(), (INFORMATIONAL, false));
        duel.release(&delete);
        let answer = duel.hold(A);
        // Other implementations than this one repeat it after four seconds, and then after eleven.
        for _ in 0..2 {
            duel.run(Duration::from_millis(5_500));
            duel.release(&delete);
            assert_eq!(duel.hold(A).octets, answer.octets, "{}", duel.story());
        }
    });
}
