//! A whole IKEv1 endpoint under arbitrary datagrams: octets of any kind, damaged messages of a real session, and
//! messages with any payloads by a peer that knows the keys. Nothing panics, every promise that the tests' harness
//! watches is kept, and when the input is over everything ends by itself.
#![no_main]
#![allow(dead_code, unused_imports, reason = "the tests' harness, of which this uses a part")]

#[path = "../../crates/ikev1/tests/pair/mod.rs"]
mod pair;

use std::time::Duration;

use ikebana_core::{Lifetime, Path};
use ikebana_ike::{ExchangeType, Limits};
use ikebana_ikev1::wire::{PayloadType, parse_chain};
use libfuzzer_sys::fuzz_target;
use pair::spy::Spy;
use pair::{Duel, Held, Setup};

/// The input, taken from the front. It never ends: what is not there is zero.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn octet(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    /// As many octets as the next one says, four times that for large ones.
    fn octets(&mut self) -> &'a [u8] {
        let length = usize::from(self.octet());
        let length = if length > 200 { length * 4 } else { length };
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

/// The first message of an exchange of the peer's, with payloads from the input, protected as the peer would.
fn insiders(duel: &Duel, spy: &Spy, input: &mut Input<'_>) -> Option<Held> {
    let [exchange, id] = [input.octet(), input.octet()];
    let exchange = match exchange % 8 {
        0..=3 => ExchangeType::QUICK_MODE,
        4..=5 => ExchangeType::INFORMATIONAL_V1,
        6 => ExchangeType::TRANSACTION,
        _ => ExchangeType(exchange),
    };
    let (first, text) = (PayloadType(input.octet()), input.octets());
    let (payloads, _) = parse_chain(first, text).ok()?;
    Some(Held { to: 1, path: path(duel), octets: spy.seal(exchange, id.into(), &payloads) })
}

fn path(duel: &Duel) -> Path {
    let socket = |index: usize| (duel.hosts[index].address, 500).into();
    Path::new(socket(1), socket(0))
}

fuzz_target!(|octets: &[u8]| {
    let mut input = Input(octets);
    let limits = Limits { half_open: 8, children: 4, ike_sas: 16, ..Limits::default() };
    let liveness = Some(Duration::from_secs(30));
    // Damaged vendor ids may leave no way to find out that a peer is dead.
    let ike_lifetime = Lifetime::by_time(Duration::from_secs(600));
    let mut duel = Duel::strangers(&Setup { limits, liveness, ike_lifetime, ..Setup::default() }, false);
    // Zero to nine messages of phase 1 and quick mode pass before the input begins.
    duel.initiate(0);
    for step in 0..input.octet() % 10 {
        duel.pass(if step % 2 == 0 { 1 } else { 0 });
    }
    while !input.0.is_empty() {
        match input.octet() % 8 {
            0 => {
                let octets = input.octets().to_vec();
                duel.release_raw(&Held { to: 1, path: path(&duel), octets });
            }
            1 if duel.waiting(0) + duel.waiting(1) > 0 => {
                // A real message, damaged.
                let to = usize::from(duel.waiting(1) > 0);
                let mut held = duel.hold(to);
                let at = usize::from(input.octet()) * 2;
                if let Some(octet) = held.octets.get_mut(at) {
                    *octet ^= input.octet();
                }
                duel.release_raw(&held);
            }
            2 if duel.waiting(1) > 0 => drop(duel.pass(1)),
            3 if duel.waiting(0) > 0 => drop(duel.pass(0)),
            4 => duel.wait(Duration::from_millis(u64::from(input.octet()) * 100)),
            5..=7 => {
                if let Some(spy) = duel.spy(Setup::default().psk[0])
                    && let Some(message) = insiders(&duel, &spy, &mut input)
                {
                    duel.release_raw(&message);
                }
            }
            _ => {}
        }
        assert!(duel.hosts[1].endpoint.stats().half_open_now <= 8);
        assert!(duel.hosts[1].inbound().len() <= 16 * 16);
    }
    // Everybody falls silent, and everything is given up in time.
    for _ in 0..40 {
        duel.wait(Duration::from_secs(60));
        while duel.waiting(0) > 0 {
            duel.lose(0);
        }
        while duel.waiting(1) > 0 {
            duel.lose(1);
        }
    }
    for host in &duel.hosts {
        assert!(host.endpoint.is_idle(), "something is left: {}", duel.story());
    }
});
