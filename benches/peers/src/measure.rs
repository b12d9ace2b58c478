//! Measuring in turns.

use std::time::{Duration, Instant};

use crate::clock;
use crate::contender::{Contender, Row};
use crate::one_by_one;
use crate::ours::{Bare, Whole};
use crate::workload::{ROUND, Sizes, Suite, Workload};

/// Rounds that one contender does before it is the next one's turn. The first warms up and is not counted.
const TURN: usize = 16;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Seal,
    Open,
}

impl Operation {
    pub(crate) const ALL: [Self; 2] = [Self::Seal, Self::Open];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Seal => "seal",
            Self::Open => "open",
        }
    }
}

/// How fast everybody does one thing.
pub(crate) struct Measurement {
    pub(crate) suite: Suite,
    pub(crate) sizes: Sizes,
    pub(crate) many_sas: bool,
    pub(crate) operation: Operation,
    pub(crate) batch: usize,
    /// Octets of payload in a packet, on average.
    octets: f64,
    figures: Vec<Figure>,
}

struct Figure {
    row: Row,
    name: String,
    /// Nanoseconds per packet.
    nanoseconds: f64,
}

impl Measurement {
    /// The best of a row's contenders.
    fn best(&self, row: Row) -> Option<&Figure> {
        let figures = self.figures.iter().filter(|figure| figure.row == row);
        figures.min_by(|a, b| a.nanoseconds.total_cmp(&b.nanoseconds))
    }

    /// Nanoseconds per packet.
    pub(crate) fn nanoseconds(&self, row: Row) -> Option<f64> {
        self.best(row).map(|figure| figure.nanoseconds)
    }

    /// Who was the best of a row.
    pub(crate) fn name(&self, row: Row) -> Option<&str> {
        self.best(row).map(|figure| &*figure.name)
    }

    /// Gigabytes (10⁹ octets) of payload per second.
    pub(crate) fn gigabytes(&self, row: Row) -> Option<f64> {
        self.nanoseconds(row).map(|nanoseconds| self.octets / nanoseconds)
    }

    /// How many times as fast as this peer we are.
    pub(crate) fn ratio(&self, peer: Row) -> Option<f64> {
        Some(self.nanoseconds(peer)? / self.nanoseconds(Row::Whole)?)
    }

    /// What everything around the ciphers costs us, in nanoseconds per packet.
    pub(crate) fn around(&self) -> Option<f64> {
        Some(self.nanoseconds(Row::Whole)? - self.nanoseconds(Row::Bare)?)
    }
}

/// Everybody who has the workload's suite, checked against the reference.
pub(crate) fn contenders(workload: &Workload) -> Vec<Box<dyn Contender>> {
    let mut contenders: Vec<Box<dyn Contender>> =
        vec![Box::new(Whole::new(workload)), Box::new(Bare::new(workload))];
    #[cfg(feature = "peer-ipsec-mb")]
    contenders.extend(crate::ipsec_mb::contenders(workload));
    contenders.extend(Row::PEERS.iter().filter_map(|&row| one_by_one::contender(row, workload)));
    for contender in &mut contenders {
        contender.check(workload);
    }
    contenders
}

/// Measures everybody in turns; each gets about `budget`. The shortest round counts: whatever makes one longer
/// is not the code that is measured.
pub(crate) fn measure(
    workload: &Workload,
    contenders: &mut [Box<dyn Contender>],
    (operation, batch): (Operation, usize),
    budget: Duration,
) -> Measurement {
    let mut contenders: Vec<_> =
        contenders.iter_mut().filter(|one| operation == Operation::Seal || one.opens()).collect();
    let mut shortest = vec![u64::MAX; contenders.len()];
    let end = Instant::now() + budget * u32::try_from(contenders.len()).unwrap_or(1);
    loop {
        for (contender, shortest) in contenders.iter_mut().zip(&mut shortest) {
            *shortest = turn(&mut ***contender, operation, batch).min(*shortest);
        }
        if Instant::now() >= end {
            break;
        }
    }
    let tick = tick() / ROUND as f64;
    let figures = contenders.iter().zip(shortest).map(|(contender, ticks)| Figure {
        row: contender.row(),
        name: contender.name(),
        nanoseconds: ticks as f64 * tick,
    });
    Measurement {
        suite: workload.suite,
        sizes: workload.sizes,
        many_sas: workload.many_sas,
        operation,
        batch,
        octets: workload.octets() as f64 / ROUND as f64,
        figures: figures.collect(),
    }
}

/// The ticks of the shortest round of one turn.
fn turn(contender: &mut dyn Contender, operation: Operation, batch: usize) -> u64 {
    let mut shortest = u64::MAX;
    for round in 0..TURN {
        let ticks = match operation {
            Operation::Seal => timed(|| contender.seal(batch)),
            Operation::Open => {
                // Packets that are new to the replay window.
                contender.seal(ROUND);
                contender.finish();
                timed(|| contender.open(batch))
            }
        };
        if round > 0 {
            shortest = shortest.min(ticks);
        }
    }
    contender.finish();
    shortest
}

fn timed(work: impl FnOnce()) -> u64 {
    let start = clock::ticks();
    work();
    clock::ticks() - start
}

/// Nanoseconds in a tick, found out once.
fn tick() -> f64 {
    static TICK: std::sync::OnceLock<f64> = std::sync::OnceLock::new();
    *TICK.get_or_init(clock::nanoseconds_per_tick)
}
