//! How fast are packets opened, one by one and 32 at a time?
//!
//! Opening happens in place, so every round starts with copying the sealed packet, which is in the times: some
//! 30 ns of a packet's of 1408 octets.
#![allow(missing_docs, reason = "the macros of criterion make functions without")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ikebana_benches::esp::{BATCH, BUFFER, SIZES, START, SUITES, buffer, pair};
use ikebana_esp::{Arrived, InboundSa, NextHeader, PacketBuf};

/// A sealed packet of `size` octets of payload, and who opens it.
fn sealed(suite: &str, size: usize) -> (Vec<u8>, InboundSa) {
    let (mut sender, receiver) = pair(suite);
    let mut bytes = buffer(size);
    let mut packet = PacketBuf::new(&mut bytes, START..START + size).expect("a packet in its buffer");
    sender.seal(&mut packet, NextHeader::IPV4).expect("room and numbers");
    (packet.payload().to_vec(), receiver)
}

/// A copy of `wire` at the front of `bytes`.
fn arrive<'a>(bytes: &'a mut [u8; BUFFER], wire: &[u8]) -> PacketBuf<'a> {
    let mut packet = PacketBuf::new(bytes, 0..wire.len()).expect("a packet in its buffer");
    packet.payload_mut().copy_from_slice(wire);
    packet
}

fn single(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("esp open");
    for suite in SUITES {
        for size in SIZES {
            let (wire, mut receiver) = sealed(suite, size);
            let mut bytes = [0; BUFFER];
            group.throughput(Throughput::Bytes(size as u64));
            group.bench_function(BenchmarkId::new(suite, size), |bencher| {
                bencher.iter(|| {
                    let mut packet = arrive(black_box(&mut bytes), &wire);
                    receiver.open(&mut packet).expect("an authentic packet");
                });
            });
        }
    }
    group.finish();
}

fn batch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("esp open batch of 32");
    for suite in SUITES {
        for size in SIZES {
            let (wire, mut receiver) = sealed(suite, size);
            let mut buffers = [[0; BUFFER]; BATCH];
            group.throughput(Throughput::Bytes((size * BATCH) as u64));
            group.bench_function(BenchmarkId::new(suite, size), |bencher| {
                bencher.iter(|| {
                    let mut slots =
                        black_box(&mut buffers).each_mut().map(|bytes| Arrived::new(arrive(bytes, &wire)));
                    receiver.open_batch(&mut slots);
                    assert!(slots.iter().all(|slot| slot.result.is_ok()));
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, single, batch);
criterion_main!(benches);
