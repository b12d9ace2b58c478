//! How fast are packets sealed, one by one and 32 at a time?
#![allow(missing_docs, reason = "the macros of criterion make functions without")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ikebana_benches::esp::{BATCH, SIZES, START, SUITES, buffer, pair};
use ikebana_esp::{NextHeader, Outgoing, PacketBuf};

fn single(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("esp seal");
    for suite in SUITES {
        for size in SIZES {
            let (mut sender, _) = pair(suite);
            let mut bytes = buffer(size);
            group.throughput(Throughput::Bytes(size as u64));
            group.bench_function(BenchmarkId::new(suite, size), |bencher| {
                bencher.iter(|| {
                    // What the last round left there is as good a payload as any.
                    let packet = PacketBuf::new(black_box(&mut bytes), START..START + size);
                    let mut packet = packet.expect("a packet in its buffer");
                    sender.seal(&mut packet, NextHeader::IPV4).expect("room and numbers");
                });
            });
        }
    }
    group.finish();
}

fn batch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("esp seal batch of 32");
    for suite in SUITES {
        for size in SIZES {
            let (mut sender, _) = pair(suite);
            let mut buffers = [buffer(size); BATCH];
            group.throughput(Throughput::Bytes((size * BATCH) as u64));
            group.bench_function(BenchmarkId::new(suite, size), |bencher| {
                bencher.iter(|| {
                    let mut slots = black_box(&mut buffers).each_mut().map(|bytes| {
                        let packet = PacketBuf::new(bytes, START..START + size);
                        Outgoing::new(packet.expect("a packet in its buffer"), NextHeader::IPV4)
                    });
                    sender.seal_batch(&mut slots);
                    assert!(slots.iter().all(|slot| slot.result.is_ok()));
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, single, batch);
criterion_main!(benches);
