//! The replay window and the sequence counter against models that are as plain as can be.
//!
//! A bounded number of steps runs always; `cargo xtask soak` runs billions of them.
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

mod common;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::thread;

use ikebana_esp::{Family, Mode, ReplayError, ReplayWindow, SealError};
use ikebana_testkit::soak;
use proptest::prelude::*;

use common::{outbound, params, suite};

const SIZES: [u32; 8] = [64, 128, 256, 512, 1024, 2048, 4096, 8192];

/// What a model remembers.
trait Seen {
    fn contains(&self, sequence: u64) -> bool;
    fn insert(&mut self, sequence: u64);
}

/// Everything.
impl Seen for BTreeSet<u64> {
    fn contains(&self, sequence: u64) -> bool {
        Self::contains(self, &sequence)
    }

    fn insert(&mut self, sequence: u64) {
        Self::insert(self, sequence);
    }
}

/// Each number of a horizon twice as long as the longest window, written down in full. Nothing is ever cleared:
/// a number gives way to one that is so much higher that no window holds both.
struct Horizon(Vec<u64>);

impl Horizon {
    const LENGTH: u64 = 16_384;

    fn new() -> Self {
        Self(vec![0; Self::LENGTH as usize])
    }
}

impl Seen for Horizon {
    fn contains(&self, sequence: u64) -> bool {
        self.0[(sequence % Self::LENGTH) as usize] == sequence
    }

    fn insert(&mut self, sequence: u64) {
        self.0[(sequence % Self::LENGTH) as usize] = sequence;
    }
}

/// RFC 4303 3.4.3 and A2.2, said as plainly as possible.
struct Model<S> {
    seen: S,
    top: u64,
    size: u64,
    esn: bool,
}

impl<S: Seen> Model<S> {
    fn new(seen: S, size: u32, esn: bool) -> Self {
        Self { seen, top: 0, size: size.into(), esn }
    }

    /// The number with these low bits that lies in the window or closest after it.
    fn full(&self, wire: u32) -> Result<u64, ReplayError> {
        if !self.esn {
            return Ok(wire.into());
        }
        let lowest = (u128::from(self.top) + 1).saturating_sub(self.size.into());
        let here = u128::from(self.top >> 32);
        let candidates = [here.saturating_sub(1), here, here + 1].map(|high| high << 32 | u128::from(wire));
        let nearest = candidates.into_iter().filter(|candidate| *candidate >= lowest).min();
        u64::try_from(nearest.unwrap()).map_err(|_| ReplayError::Overflow)
    }

    fn judge(&self, sequence: u64) -> Result<(), ReplayError> {
        let last = if self.esn { u64::MAX } else { u32::MAX.into() };
        if sequence == 0 {
            Err(ReplayError::Zero)
        } else if sequence > last {
            Err(ReplayError::Overflow)
        } else if u128::from(sequence) + u128::from(self.size) <= u128::from(self.top) {
            Err(ReplayError::TooOld)
        } else if self.seen.contains(sequence) {
            Err(ReplayError::Repeated)
        } else {
            Ok(())
        }
    }

    fn note(&mut self, sequence: u64) {
        self.seen.insert(sequence);
        self.top = self.top.max(sequence);
    }
}

/// A window beside its model.
struct Both<S> {
    window: ReplayWindow,
    model: Model<S>,
}

impl<S: Seen> Both<S> {
    fn new(seen: S, size: u32, esn: bool) -> Self {
        Self { window: ReplayWindow::new(size, esn).unwrap(), model: Model::new(seen, size, esn) }
    }

    /// A packet that turns out forged: looked up, and nothing more.
    fn check(&self, wire: u32) -> Result<u64, ReplayError> {
        let model = &self.model;
        let expected = model.full(wire).and_then(|full| model.judge(full).map(|()| full));
        assert_eq!(self.window.check(wire), expected, "wire {wire} top {}", model.top);
        expected
    }

    /// A packet that is authentic.
    fn receive(&mut self, wire: u32) {
        if let Ok(sequence) = self.check(wire) {
            self.commit(sequence);
        }
    }

    /// A full number, known from elsewhere.
    fn commit(&mut self, sequence: u64) {
        let expected = self.model.judge(sequence);
        assert_eq!(self.window.commit(sequence), expected, "{sequence} top {}", self.model.top);
        if expected.is_ok() {
            self.model.note(sequence);
        }
        assert_eq!(self.window.top(), self.model.top);
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
    #![proptest_config(ProptestConfig::with_cases(soak::cases(600)))]

    #[test]
    fn the_window_decides_as_the_model_does(
        size in proptest::sample::select(&SIZES[..]),
        esn: bool,
        start in prop_oneof![Just(0i64), Just(0xffff_ff00), Just(0x7fff_ff00), 0..100_000i64],
        steps in proptest::collection::vec(step(), 1..300),
    ) {
        let mut both = Both::new(BTreeSet::new(), size, esn);
        let mut position = start;
        for step in steps {
            // From the model's right edge, so that sequences stay near where something happens.
            position = if step.abs() > 10_000 { both.model.top as i64 + step } else { position + step };
            let wire = position as u32;
            if let Ok(sequence) = both.check(wire) {
                both.commit(sequence);
                both.commit(sequence);
            }
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

/// Steps that a window lives.
const LIFE: u64 = 50_000;

/// Choices from a seed (SplitMix64), as fast as what is tested.
struct Choices(u64);

impl Choices {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[(self.draw() % from.len() as u64) as usize]
    }

    /// A number near one where something happens: the start, or a multiple of 2³² or half of it, or the end.
    fn start(&mut self, esn: bool) -> u64 {
        let half = 1_u64 << 31;
        let short = [0, 1, half, 2 * half - 20_000];
        let long = [2 * half, 3 * half, 4 * half, 1 << 40, u64::MAX - 4 * half, u64::MAX - 20_000];
        let among = self.draw() % if esn { 10 } else { 4 };
        let around = short.into_iter().chain(long).nth(among as usize).unwrap();
        around.saturating_add(self.draw() % 16_384).saturating_sub(self.draw() % 16_384)
    }
}

/// So many packets for windows of all kinds, in order, late, again, after gaps of all lengths up to beyond 2³²,
/// forged.
fn windows_live_as_their_models(steps: u64, seed: u64) {
    let mut choices = Choices(seed);
    let mut left = steps;
    while left > 0 {
        let (size, esn) = (choices.pick(&SIZES), choices.pick(&[true, true, false]));
        let mut both = Both::new(Horizon::new(), size, esn);
        let start = choices.start(esn);
        both.commit(start);
        let life = left.min(LIFE);
        for _ in 0..life {
            one_packet(&mut both, &mut choices);
        }
        left -= life;
    }
}

fn one_packet(both: &mut Both<Horizon>, choices: &mut Choices) {
    let (kind, offset) = (choices.draw() % 64, choices.draw());
    let (top, size) = (both.model.top, both.model.size);
    // Without ESN the end would be reached at once, and nothing happen any more.
    let far = both.model.esn || offset % 4_096 == 0;
    let low = |sequence: u64| sequence as u32;
    match kind {
        0..30 => both.receive(low(top.wrapping_add(1))),
        30..38 => both.receive(low(top.wrapping_sub(offset % (2 * size)))),
        38..44 => both.receive(low(top.wrapping_sub(offset % 64))),
        44..49 => both.receive(low(top.wrapping_add(offset % (3 * size)))),
        49..53 => both.receive(low(top.wrapping_sub(size).wrapping_add(offset % 5).wrapping_sub(2))),
        53 | 54 => both.commit(top.saturating_sub(offset % (2 * size))),
        55 => both.commit(top.saturating_add(1 + offset % size)),
        56 if far => both.receive(low(top.wrapping_add((1 << 31) - 2 + offset % 5))),
        57 if far => both.receive(low(top.wrapping_add((1 << 32) - size - 2 + offset % 5))),
        58 if far => both.receive(offset as u32),
        59 if far => both.commit(top.saturating_add((1 << 32) - 2 + offset % 5)),
        60 if far => both.commit(top.saturating_add(offset % (1 << 35))),
        61 => drop(both.check(low(top.wrapping_add(1)))),
        _ => drop(both.check(offset as u32)),
    }
}

/// As many reservations, of one number to very many, near the ends of 32 and of 64 bits and elsewhere.
fn counters_live_as_their_models(steps: u64, seed: u64) {
    let mut choices = Choices(seed);
    let mut left = steps;
    while left > 0 {
        let esn = choices.pick(&[true, false]);
        let mut sa = outbound(params(suite("aes128gcm16", esn), Mode::Tunnel, false, Family::V4));
        // Numbers as numbers, that cannot overflow. The last of 64 bits is not used.
        let (mut last, limit) = (0_u128, if esn { (1 << 64) - 2 } else { (1 << 32) - 1 });
        let life = left.min(1_000);
        for _ in 0..life {
            let offset = choices.draw();
            match offset >> 60 {
                0 => {
                    let resumed = choices.start(esn);
                    sa.resume_after(resumed);
                    last = last.max(u128::from(resumed).min(limit));
                }
                kind => {
                    let count = match kind {
                        1 => offset as u32,
                        2 => u32::MAX - (offset % 16) as u32,
                        3..8 => 1,
                        _ => 1 + (offset % 4_096) as u32,
                    };
                    let after = last + u128::from(count);
                    if after <= limit {
                        let range = sa.reserve(count).unwrap();
                        assert_eq!((u128::from(range.start), u128::from(range.end)), (last + 1, after + 1));
                        last = after;
                    } else {
                        assert_eq!(sa.reserve(count), Err(SealError::SequenceExhausted));
                    }
                }
            }
            assert_eq!(u128::from(sa.last_sequence()), last);
            assert_eq!(u128::from(sa.sequences_left()), limit - last);
        }
        left -= life;
    }
}

/// Runs a test on every core, with choices of its own on each, and says how fast it was.
#[expect(clippy::disallowed_methods, reason = "how fast the soak is, is of interest")]
fn on_all_cores(name: &str, steps: u64, test: fn(u64, u64)) {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get) as u64;
    let (each, seed, start) = (steps.div_ceil(cores), soak::seed(), std::time::Instant::now());
    thread::scope(|scope| {
        for core in 0..cores {
            scope.spawn(move || test(each, seed.wrapping_mul(0x1_0000_0001).wrapping_add(core)));
        }
    });
    let (total, took) = (each * cores, start.elapsed().as_secs_f64());
    println!(
        "{name}: {total} steps from seed {seed} in {took:.1} s, {:.1} million a second",
        total as f64 / took / 1e6
    );
}

#[test]
fn windows_decide_as_their_models_through_whole_lives() {
    on_all_cores("replay windows", soak::steps(2_000_000), windows_live_as_their_models);
}

#[test]
fn counters_give_out_every_number_once_and_none_past_the_last() {
    on_all_cores("sequence counters", soak::steps(2_000_000) / 16, counters_live_as_their_models);
}
