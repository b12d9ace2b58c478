//! What does replay protection cost a packet, in order and out of order, in small windows and large ones?
#![allow(missing_docs, reason = "the macros of criterion make functions without")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ikebana_esp::ReplayWindow;

/// Numbers in a round: enough to pass the largest window several times.
const ROUND: u32 = 1 << 16;

/// Receives a round of numbers, each moved within its group of 16 by `order`.
fn receive(window: &mut ReplayWindow, order: u32) -> u64 {
    let mut accepted = 0;
    for number in 1..=ROUND {
        let sequence = window.check(black_box(number ^ order)).and_then(|sequence| {
            window.commit(sequence)?;
            Ok(sequence)
        });
        accepted += u64::from(sequence.is_ok());
    }
    accepted
}

fn replay(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("replay window");
    group.throughput(Throughput::Elements(u64::from(ROUND)));
    for (name, order) in [("in order", 0), ("shuffled in groups of 16", 13)] {
        for size in [64, 1024, 8192] {
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter_batched_ref(
                    || ReplayWindow::new(size, true).expect("a possible size"),
                    |window| assert!(receive(window, order) >= u64::from(ROUND) - 1),
                    criterion::BatchSize::SmallInput,
                );
            });
        }
    }
    for size in [64, 1024, 8192] {
        group.throughput(Throughput::Elements(1));
        let mut window = ReplayWindow::new(size, false).expect("a possible size");
        receive(&mut window, 0);
        group.bench_function(BenchmarkId::new("refused", size), |bencher| {
            bencher.iter(|| assert!(window.check(black_box(ROUND)).is_err()));
        });
    }
    group.finish();
}

criterion_group!(benches, replay);
criterion_main!(benches);
