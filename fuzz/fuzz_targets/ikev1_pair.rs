//! Two IKEv1 endpoints under an arbitrary schedule of commands, losses, doubles, delays and pauses. Every promise
//! that the tests' harness watches is kept, and once all messages arrive again both sides agree.
#![no_main]
#![allow(dead_code, unused_imports, reason = "the tests' harness, of which this uses a part")]

#[path = "../../crates/ikev1/tests/pair/mod.rs"]
mod pair;

use std::time::Duration;

use ikebana_core::Lifetime;
use ikebana_ike::{ChildSignal, Phase1Mode, Uniqueness};
use libfuzzer_sys::fuzz_target;
use pair::{Duel, Held, Setup, disagreement};

/// A command to one host. `which` chooses among what it has.
fn command(duel: &mut Duel, host: usize, kind: u8, which: usize) {
    let now = duel.now;
    let ikes = duel.hosts[host].ike_sas();
    let Some(ike) = ikes.get(which % ikes.len().max(1)).copied() else {
        duel.initiate(host);
        return;
    };
    let config = duel.hosts[host].peer.children[0].clone();
    let endpoint = &mut duel.hosts[host].endpoint;
    let children: Vec<_> = endpoint.children(ike).collect();
    let child = children.get(which % children.len().max(1)).copied();
    match (kind, child) {
        (0..=2, Some(child)) => _ = endpoint.rekey_child(now, child),
        (3, Some(child)) => _ = endpoint.delete_child(now, child),
        (4..=5, _) => _ = endpoint.rekey(now, ike),
        (6, _) => _ = endpoint.close(now, ike),
        (7, _) => _ = endpoint.probe(now, ike),
        (8, Some(child)) => endpoint.handle_child_signal(now, child, ChildSignal::Traffic),
        (9, Some(child)) => endpoint.handle_child_signal(now, child, ChildSignal::HardExpired),
        (10, _) if ikes.len() < 3 => {
            duel.initiate(host);
            return;
        }
        _ => _ = endpoint.create_child(now, ike, config, None),
    }
    duel.drain();
}

fuzz_target!(|octets: &[u8]| {
    let Some((first, schedule)) = octets.split_first() else { return };
    let phase1 = if first & 1 == 0 { Phase1Mode::Main } else { Phase1Mode::Aggressive };
    let uniqueness =
        [Uniqueness::InitialContact, Uniqueness::Replace, Uniqueness::Keep][usize::from(first >> 1) % 3];
    // Nobody acknowledges a delete, so what one side misses of it is over when the SA's time is.
    let child_lifetime = Lifetime::by_time(Duration::from_secs(300));
    let liveness = Some(Duration::from_secs(20));
    let setup = Setup { liveness, uniqueness, phase1, child_lifetime, ..Setup::default() };
    let mut duel = Duel::established(&setup, usize::from(first >> 7), first & 8 != 0);
    duel.allow_gap();
    let mut held: Vec<Held> = vec![];
    for octet in schedule.iter().take(400) {
        let (host, what) = (usize::from(octet >> 7), octet & 0x7f);
        match what {
            0..=29 if duel.waiting(host) > 0 => drop(duel.pass(host)),
            30..=39 if duel.waiting(host) > 0 => duel.lose(host),
            40..=49 if duel.waiting(host) > 0 => held.push(duel.hold(host)),
            50..=59 if duel.waiting(host) > 0 => {
                // Twice, now and later.
                let message = duel.hold(host);
                duel.release(&message);
                held.push(message);
            }
            60..=69 if !held.is_empty() => {
                let message = held.swap_remove(usize::from(what) % held.len());
                duel.release(&message);
            }
            70..=79 => duel.wait(Duration::from_millis(u64::from(what - 69) * 300)),
            80..=84 => duel.wait(Duration::from_secs(u64::from(what - 79) * 15)),
            _ => command(&mut duel, host, what % 12, usize::from(what) / 12),
        }
    }
    // Attempts that have begun have to end, too.
    duel.run(Duration::from_secs(400));
    for _ in 0..200 {
        if disagreement(&duel.hosts).is_none() {
            break;
        }
        duel.run(Duration::from_secs(10));
    }
    if let Some(why) = disagreement(&duel.hosts) {
        panic!("{why}\n{}", duel.story());
    }
    for host in 0..2 {
        let now = duel.now;
        for ike in duel.hosts[host].ike_sas() {
            duel.hosts[host].endpoint.close(now, ike).expect("it is there");
        }
        duel.drain();
    }
    duel.assert_down();
});
