//! What can cross on the wire, one test for each way. Every case is played with either side in either role, with
//! and without traffic, and with the messages delivered in every order. Whatever happens, what one side sends the
//! other one must be able to receive: [`Duel`] looks after every step.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod pair;

use std::time::Duration;

use ikebana_ike::ExchangeType;
use pair::{Duel, Setup};

const SIDES: [usize; 2] = [0, 1];

/// Every choice of who started the association, and whether there is traffic.
fn settings() -> impl Iterator<Item = (usize, bool)> {
    SIDES.into_iter().flat_map(|initiator| [(initiator, false), (initiator, true)])
}

/// Delivers the first messages in the order that the bits of `order` say, and then all others.
fn deliver(duel: &mut Duel, order: u32) {
    for step in 0..6 {
        let to = usize::from(order >> step & 1 != 0);
        if duel.waiting(to) > 0 {
            duel.pass(to);
        } else if duel.waiting(1 - to) > 0 {
            duel.pass(1 - to);
        }
    }
    duel.settle();
}

/// Plays a race in every order, and checks what comes of it.
fn race(start: impl Fn(&mut Duel), check: impl Fn(Duel)) {
    for (initiator, traffic) in settings() {
        for order in 0..64 {
            let mut duel = Duel::established(&Setup::default(), initiator, traffic);
            start(&mut duel);
            deliver(&mut duel, order);
            check(duel);
        }
    }
}

/// Closes whatever there is.
fn close_all(duel: &mut Duel) {
    duel.allow_gap();
    let now = duel.now;
    for host in SIDES {
        for ike in duel.hosts[host].ike_sas() {
            duel.hosts[host].endpoint.close(now, ike).unwrap();
        }
        duel.drain();
    }
    duel.assert_down();
}

/// One association and one pair, which both sides can go on with.
fn up(mut duel: Duel) {
    duel.assert_up();
    duel.finish();
}

/// Both sides have the same pairs, one or none.
fn agreed(mut duel: Duel) {
    duel.run(Duration::from_secs(200));
    let count = duel.children(0).len();
    assert!(count <= 1, "{}", duel.story());
    duel.assert_children(count);
    duel.finish();
}

#[test]
fn one_side_rekeys_the_pair() {
    for host in SIDES {
        race(|duel| duel.rekey_child(host), up);
    }
}

#[test]
fn both_sides_rekey_the_pair() {
    for [a, b] in [[1, 2], [2, 1]] {
        race(
            |duel| {
                duel.nonces(&[a], &[b]);
                duel.rekey_child(0);
                duel.rekey_child(1);
            },
            up,
        );
    }
}

#[test]
fn both_sides_make_the_pair() {
    race(
        |duel| {
            duel.delete_child(0);
            duel.run(Duration::from_secs(20));
            duel.create_child(0);
            duel.create_child(1);
        },
        up,
    );
}

#[test]
fn one_side_renews_phase_1() {
    for host in SIDES {
        race(|duel| duel.rekey_ike(host), up);
    }
}

#[test]
fn both_sides_renew_phase_1() {
    race(
        |duel| {
            duel.rekey_ike(0);
            duel.rekey_ike(1);
        },
        up,
    );
}

#[test]
fn phase_1_is_renewed_while_the_pair_is_rekeyed() {
    for renews in SIDES {
        for rekeys in SIDES {
            race(
                |duel| {
                    duel.rekey_ike(renews);
                    duel.rekey_child(rekeys);
                },
                up,
            );
        }
    }
}

#[test]
fn phase_1_is_renewed_while_the_pair_is_deleted() {
    for renews in SIDES {
        for deletes in SIDES {
            race(
                |duel| {
                    duel.rekey_ike(renews);
                    duel.delete_child(deletes);
                },
                |mut duel| {
                    duel.assert_children(0);
                    duel.finish();
                },
            );
        }
    }
}

#[test]
fn the_pair_is_deleted_while_it_is_rekeyed() {
    for rekeys in SIDES {
        for deletes in SIDES {
            race(
                |duel| {
                    duel.rekey_child(rekeys);
                    duel.delete_child(deletes);
                },
                agreed,
            );
        }
    }
}

#[test]
fn the_association_is_closed_while_something_is_under_way() {
    let others: [fn(&mut Duel, usize); 4] = [
        |duel, host| duel.rekey_child(host),
        |duel, host| duel.rekey_ike(host),
        |duel, host| duel.delete_child(host),
        |duel, host| duel.close(host),
    ];
    for other in others {
        for host in SIDES {
            race(
                |duel| {
                    duel.allow_gap();
                    other(duel, host);
                    duel.close(1 - host);
                },
                |mut duel| {
                    duel.run(Duration::from_secs(200));
                    // A phase 1 that a renewal had begun may come after the end, as a new association without
                    // child SAs: nothing in it says what it was meant for.
                    assert!(duel.hosts.iter().all(|host| host.child_pairs() == 0), "{}", duel.story());
                    close_all(&mut duel);
                },
            );
        }
    }
}

#[test]
fn both_sides_start_phase_1() {
    for traffic in [false, true] {
        for order in 0..64 {
            let mut duel = Duel::strangers(&Setup::default(), traffic);
            duel.initiate(0);
            duel.initiate(1);
            deliver(&mut duel, order);
            duel.run(Duration::from_secs(100));
            // Two associations may come of it, and each of them is whole.
            let [a, b] = &duel.hosts;
            assert!(a.child_pairs() > 0, "{}", duel.story());
            assert_eq!((a.inbound(), a.outbound()), (b.outbound(), b.inbound()), "{}", duel.story());
            close_all(&mut duel);
        }
    }
}

#[test]
fn a_message_of_a_rekey_is_lost_once_or_twice() {
    for (initiator, traffic) in settings() {
        for host in SIDES {
            for lost in 0..3 {
                for times in 1..=2 {
                    let mut duel = Duel::established(&Setup::default(), initiator, traffic);
                    duel.rekey_child(host);
                    for message in 0..lost {
                        let to = if message % 2 == 0 { 1 - host } else { host };
                        assert_eq!(duel.pass(to), ExchangeType::QUICK_MODE);
                    }
                    let to = if lost % 2 == 0 { 1 - host } else { host };
                    duel.lose(to);
                    for _ in 1..times {
                        duel.wait(Duration::from_secs(4));
                        // Message 3 comes again when the message before it does, and that one when the first does.
                        match lost {
                            0 => {}
                            1 => {
                                while duel.waiting(1 - host) > 0 {
                                    duel.pass(1 - host);
                                }
                            }
                            _ => {
                                duel.pass(host);
                            }
                        }
                        duel.lose(to);
                    }
                    up(duel);
                }
            }
        }
    }
}

#[test]
fn a_message_of_a_renewal_is_lost() {
    for (initiator, traffic) in settings() {
        for host in SIDES {
            for lost in 0..6 {
                let mut duel = Duel::established(&Setup::default(), initiator, traffic);
                duel.rekey_ike(host);
                for message in 0..lost {
                    let to = if message % 2 == 0 { 1 - host } else { host };
                    assert_eq!(duel.pass(to), ExchangeType::IDENTITY_PROTECTION);
                }
                duel.lose(if lost % 2 == 0 { 1 - host } else { host });
                up(duel);
            }
        }
    }
}

#[test]
fn every_message_comes_twice() {
    for (initiator, traffic) in settings() {
        for host in SIDES {
            let mut duel = Duel::established(&Setup::default(), initiator, traffic);
            duel.rekey_child(host);
            duel.settle_doubled();
            duel.rekey_ike(host);
            duel.settle_doubled();
            up(duel);
        }
    }
}

/// The side that has made a new pair deletes the old one before its last message arrives.
#[test]
fn the_old_pair_is_deleted_too_early() {
    for (initiator, traffic) in settings() {
        for host in SIDES {
            let mut duel = Duel::established(&Setup::default(), initiator, traffic);
            let old = duel.child(host);
            duel.rekey_child(host);
            duel.pass(1 - host);
            duel.pass(host);
            let third = duel.hold(1 - host);
            duel.delete(host, old);
            duel.settle();
            assert_eq!(duel.children(1 - host).len(), 1, "{}", duel.story());
            assert_eq!(duel.hosts[1 - host].child_pairs(), 1, "{}", duel.story());
            duel.release(&third);
            up(duel);
        }
    }
}

/// The deletes of what was replaced arrive very late, or not at all.
#[test]
fn the_old_pair_is_deleted_too_late_or_never() {
    for (initiator, traffic) in settings() {
        for host in SIDES {
            for never in [false, true] {
                let mut duel = Duel::established(&Setup::default(), initiator, traffic);
                duel.rekey_child(host);
                duel.settle();
                let mut held = vec![];
                for _ in 0..100 {
                    duel.wait(Duration::from_secs(1));
                    while duel.waiting(1 - host) > 0 {
                        held.push(duel.hold(1 - host));
                    }
                    while duel.waiting(host) > 0 {
                        duel.pass(host);
                    }
                }
                assert!(!held.is_empty(), "{}", duel.story());
                assert_eq!(duel.hosts[1 - host].child_pairs(), 1, "{}", duel.story());
                for late in held.iter().filter(|_| !never) {
                    duel.release(late);
                }
                up(duel);
            }
        }
    }
}
