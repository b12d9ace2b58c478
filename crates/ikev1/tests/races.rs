//! Both sides do something at the same moment: every pair of commands, in many orders of delivery, and with each of
//! the first messages lost. No packet is lost that would not be, both sides agree in the end, and nothing is left.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

mod pair;

use std::time::Duration;

use ikebana_ike::{ExchangeType, Uniqueness};
use pair::{Duel, Setup, disagreement};

const A: usize = 0;
const B: usize = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    RekeyChild,
    RekeyIke,
    Create,
    DeleteChild,
    Close,
}

use Command::{Close, Create, DeleteChild, RekeyChild, RekeyIke};

const COMMANDS: [Command; 5] = [RekeyChild, RekeyIke, Create, DeleteChild, Close];

fn give(duel: &mut Duel, host: usize, command: Command) {
    match command {
        RekeyChild => duel.rekey_child(host),
        RekeyIke => duel.rekey_ike(host),
        Create => duel.create_child(host),
        DeleteChild => duel.delete_child(host),
        Close => duel.close(host),
    }
}

/// Delivers what is on the wire until nothing is: the bits of `order` say to whom next, and message number `lost`
/// does not arrive.
fn deliver(duel: &mut Duel, order: u32, lost: Option<u32>) {
    let mut step = 0;
    while duel.waiting(A) + duel.waiting(B) > 0 {
        let wanted = usize::from(order >> (step % 32) & 1 == 1);
        let to = if duel.waiting(wanted) > 0 { wanted } else { 1 - wanted };
        if lost == Some(step) {
            duel.lose(to);
        } else {
            duel.pass(to);
        }
        step += 1;
    }
}

/// After everything has had its time: one association each and one pair of SAs, or nothing at all.
fn assert_settled(duel: &mut Duel, story: &str) {
    duel.run(Duration::from_secs(400));
    for _ in 0..60 {
        if disagreement(&duel.hosts).is_none() {
            break;
        }
        duel.run(Duration::from_secs(5));
    }
    if let Some(why) = disagreement(&duel.hosts) {
        panic!("{story}: {why}\n{}", duel.story());
    }
}

fn end(mut duel: Duel) {
    duel.allow_gap();
    for host in [A, B] {
        let now = duel.now;
        for ike in duel.hosts[host].ike_sas() {
            duel.hosts[host].endpoint.close(now, ike).unwrap();
        }
        duel.drain();
        duel.settle();
    }
    duel.assert_down();
}

fn setup() -> Setup {
    Setup { liveness: Some(Duration::from_secs(30)), ..Setup::default() }
}

#[test]
fn any_two_commands_that_cross_end_in_agreement() {
    for first in COMMANDS {
        for second in COMMANDS {
            for order in [0, u32::MAX, 0x5555_5555, 0xaaaa_aaaa, 0x3333_3333, 0xf0f0_f0f0, 0x6b1d_3c57] {
                for lost in [None, Some(0), Some(1), Some(2), Some(3), Some(4)] {
                    let mut duel = Duel::established(&setup(), A, order & 2 == 0);
                    give(&mut duel, A, first);
                    give(&mut duel, B, second);
                    deliver(&mut duel, order, lost);
                    let story = format!("{first:?} {second:?} {order:x} {lost:?}");
                    assert_settled(&mut duel, &story);
                    let destructive = [DeleteChild, Close];
                    if !destructive.contains(&first) && !destructive.contains(&second) {
                        duel.assert_children(1);
                    }
                    end(duel);
                }
            }
        }
    }
}

#[test]
fn one_rekey_survives_every_lost_and_every_doubled_message() {
    for host in [A, B] {
        for traffic in [false, true] {
            for lost in 0..8 {
                let mut duel = Duel::established(&setup(), A, traffic);
                duel.rekey_child(host);
                deliver(&mut duel, 0x5555_5555, Some(lost));
                duel.assert_up();
                duel.finish();
            }
            let mut duel = Duel::established(&setup(), A, traffic);
            duel.rekey_child(host);
            duel.settle_doubled();
            duel.rekey_ike(host);
            duel.settle_doubled();
            duel.assert_up();
            duel.finish();
        }
    }
}

#[test]
fn two_rekeys_at_once_leave_one_pair_whatever_the_nonces_are() {
    for lowest in 0..4_u8 {
        let octet = |index: u8| if index == lowest { 0 } else { 0xf0 };
        for order in [0, u32::MAX, 0x5555_5555, 0xaaaa_aaaa, 0x3333_3333, 0xcccc_cccc] {
            for traffic in [false, true] {
                let mut duel = Duel::established(&setup(), A, traffic);
                duel.nonces(&[octet(0), octet(1)], &[octet(2), octet(3)]);
                duel.rekey_child(A);
                duel.rekey_child(B);
                deliver(&mut duel, order, None);
                duel.assert_up();
                duel.finish();
            }
        }
    }
}

#[test]
fn a_last_message_that_comes_late_is_as_good_as_one_in_time() {
    for traffic in [false, true] {
        for seconds in [0, 1, 5, 40] {
            let mut duel = Duel::established(&setup(), A, traffic);
            duel.rekey_child(A);
            assert_eq!(duel.pass(B), ExchangeType::QUICK_MODE);
            assert_eq!(duel.pass(A), ExchangeType::QUICK_MODE);
            let last = duel.hold(B);
            duel.run(Duration::from_secs(seconds));
            duel.release(&last);
            duel.settle();
            duel.assert_up();
            duel.finish();
        }
    }
}

#[test]
fn both_may_start_at_once() {
    for uniqueness in [Uniqueness::InitialContact, Uniqueness::Keep] {
        for order in [0, u32::MAX, 0x5555_5555, 0xaaaa_aaaa, 0x3333_3333, 0xf0f0_f0f0] {
            let mut duel = Duel::strangers(&Setup { uniqueness, ..setup() }, false);
            duel.initiate(A);
            duel.initiate(B);
            deliver(&mut duel, order, None);
            assert_settled(&mut duel, &format!("{uniqueness:?} {order:x}"));
            assert!(duel.hosts[A].child_pairs() > 0, "{}", duel.story());
            end(duel);
        }
    }
}

#[test]
fn a_host_that_restarts_is_taken_back() {
    for restarted in [A, B] {
        let mut duel = Duel::established(&setup(), A, false);
        // With other randomness: its first message is not the one of before.
        duel.restart(restarted, &Setup { seed: 2, ..setup() });
        duel.initiate(restarted);
        duel.settle();
        assert_settled(&mut duel, "restart");
        assert_eq!(duel.hosts[1 - restarted].ike_sas().len(), 1, "{}", duel.story());
        assert_eq!(duel.hosts[restarted].child_pairs(), 1, "{}", duel.story());
        end(duel);
    }
}

#[test]
fn a_delete_that_is_lost_is_sent_again() {
    for host in [A, B] {
        let mut duel = Duel::established(&setup(), A, false);
        duel.delete_child(host);
        assert!(duel.waiting(1 - host) > 0);
        while duel.waiting(1 - host) > 0 {
            duel.lose(1 - host);
        }
        assert_eq!(duel.hosts[1 - host].child_pairs(), 1);
        duel.run(Duration::from_secs(10));
        assert_eq!(duel.hosts[1 - host].child_pairs(), 0, "{}", duel.story());
        end(duel);
    }
}
