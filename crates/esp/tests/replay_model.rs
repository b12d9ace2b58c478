//! The replay window against a model that remembers everything.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on must fail"
)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "test data"
)]

use std::collections::BTreeSet;

use ikebana_esp::{ReplayError, ReplayWindow};
use proptest::prelude::*;

/// RFC 4303 3.4.3 and A2.2, said as plainly as possible.
struct Model {
    seen: BTreeSet<u64>,
    size: u64,
    esn: bool,
}

impl Model {
    fn top(&self) -> u64 {
        self.seen.last().copied().unwrap_or(0)
    }

    /// The number with these low bits that lies in the window or closest after it.
    fn full(&self, wire: u32) -> u64 {
        if !self.esn {
            return u64::from(wire);
        }
        let lowest = (self.top() + 1).saturating_sub(self.size);
        let candidate = lowest & !0xffff_ffff | u64::from(wire);
        if candidate < lowest { candidate + (1 << 32) } else { candidate }
    }

    fn receive(&mut self, wire: u32) -> Result<u64, ReplayError> {
        let sequence = self.full(wire);
        if sequence == 0 {
            Err(ReplayError::Zero)
        } else if sequence + self.size <= self.top() {
            Err(ReplayError::TooOld)
        } else if !self.seen.insert(sequence) {
            Err(ReplayError::Repeated)
        } else {
            Ok(sequence)
        }
    }
}

/// Moves from one packet's number to the next: mostly near, sometimes far, also past 2³¹ and 2³².
fn step() -> impl Strategy<Value = i64> {
    prop_oneof![
        8 => -20i64..20,
        4 => -300i64..300,
        2 => -10_000i64..10_000,
        1 => (1i64 << 31) - 5..(1 << 31) + 5,
        1 => (1i64 << 32) - 9_000..(1 << 32) - 8_192,
        1 => Just(0x7fff_ffff),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn the_window_decides_as_the_model_does(
        size in proptest::sample::select(&[64u32, 128, 256, 512, 1024, 2048, 4096, 8192][..]),
        esn: bool,
        start in prop_oneof![Just(0i64), Just(0xffff_ff00), Just(0x7fff_ff00), 0..100_000i64],
        steps in proptest::collection::vec(step(), 1..300),
    ) {
        let mut window = ReplayWindow::new(size, esn).unwrap();
        let mut model = Model { seen: BTreeSet::new(), size: size.into(), esn };
        let mut position = start;
        for step in steps {
            // From the model's right edge, so that sequences stay near where something happens.
            position = if step.abs() > 10_000 { model.top() as i64 + step } else { position + step };
            let wire = position as u32;
            let expected = model.receive(wire);
            let checked = window.check(wire);
            prop_assert_eq!(checked, expected, "wire {} top {}", wire, window.top());
            if let Ok(sequence) = checked {
                prop_assert_eq!(window.commit(sequence), Ok(()));
                prop_assert_eq!(window.commit(sequence), Err(ReplayError::Repeated));
            }
            prop_assert_eq!(window.top(), model.top());
        }
    }

    #[test]
    fn every_number_in_the_window_is_accepted_exactly_once_in_any_order(
        size in proptest::sample::select(&[64u32, 256, 1024][..]),
        base in prop_oneof![Just(0u64), Just(0xffff_ff80), Just(0x1_ffff_fff0)],
        order in Just((1u64..=64).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let mut window = ReplayWindow::new(size, true).unwrap();
        // Numbers of a 64-bit space, reached in jumps that the window can follow.
        let mut reached = 0;
        while reached < base {
            reached = base.min(reached + 0x7fff_ffff);
            if reached > 0 {
                window.commit(reached).unwrap();
            }
        }
        for &offset in &order {
            let sequence = window.check((base + offset) as u32).unwrap();
            prop_assert_eq!(sequence, base + offset);
            window.commit(sequence).unwrap();
        }
        for &offset in &order {
            prop_assert_eq!(window.check((base + offset) as u32), Err(ReplayError::Repeated));
        }
    }
}
