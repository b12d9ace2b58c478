//! How many packets per second go through a node, and through two of them: policy, sealing, and at the other
//! one finding the SA, opening and checking?
#![allow(missing_docs, reason = "the macros of criterion make functions without")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ikebana::{ArrivalFate, Arriving, Engine, Leaving, LeavingFate, Port};
use ikebana_benches::engine::{back, established};
use ikebana_core::{Instant, Path};
use ikebana_esp::PacketBuf;

const SUITES: [&str; 3] = ["aes128gcm16", "chacha20poly1305", "aes128-sha256"];
const SIZES: [usize; 3] = [64, 576, 1_408];
const BATCH: usize = 32;
const BUFFER: usize = 2_048;
const START: usize = 64;

/// An IPv4 packet from one inner network to the other.
fn packet(size: usize) -> Vec<u8> {
    let length = u16::try_from(size).expect("a small packet").to_be_bytes();
    let [high, low] = length;
    let mut packet = vec![0x45, 0, high, low, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 1, 0, 1, 10, 2, 0, 1];
    let sum: u32 =
        packet.chunks(2).map(|two| two.iter().fold(0, |word, octet| (word << 8) | u32::from(*octet))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = u16::try_from(!folded & 0xffff).unwrap_or(0).to_be_bytes();
    packet.splice(10..12, checksum);
    packet.resize(size, 0x5a);
    packet
}

/// Seals a batch in place. Every packet has to leave.
fn seal(engine: &mut Engine, buffers: &mut [[u8; BUFFER]], packet: &[u8]) -> Vec<(usize, usize, Path)> {
    let mut batch: Vec<Leaving<'_>> = buffers
        .iter_mut()
        .filter_map(|buffer| {
            let range = START..START + packet.len();
            buffer.get_mut(range.clone())?.copy_from_slice(packet);
            PacketBuf::new(buffer, range).map(Leaving::new)
        })
        .collect();
    engine.handle_packets(Instant::from_secs(2), &mut batch);
    let sealed: Vec<_> = batch
        .iter()
        .filter_map(|leaving| match leaving.fate {
            LeavingFate::Send(how) => {
                let range = leaving.packet.range();
                Some((range.start, range.end, back(how.path)))
            }
            LeavingFate::Pending | LeavingFate::Clear | LeavingFate::Waiting | LeavingFate::Dropped(_) => {
                None
            }
        })
        .collect();
    assert_eq!(sealed.len(), BATCH);
    sealed
}

fn open(engine: &mut Engine, buffers: &mut [[u8; BUFFER]], sealed: &[(usize, usize, Path)]) {
    let mut batch: Vec<Arriving<'_>> = buffers
        .iter_mut()
        .zip(sealed)
        .filter_map(|(buffer, (start, end, path))| {
            let packet = PacketBuf::new(buffer, *start..*end)?;
            Some(Arriving::new(*path, Port::Esp, Some(0), packet))
        })
        .collect();
    engine.handle_datagrams(Instant::from_secs(2), &mut batch);
    assert!(batch.iter().all(|arriving| arriving.fate == ArrivalFate::Deliver));
}

fn forward(criterion: &mut Criterion) {
    for suite in SUITES {
        let mut group = criterion.benchmark_group(format!("engine, {suite}, batches of {BATCH}"));
        group.throughput(Throughput::Elements(BATCH as u64));
        for size in SIZES {
            let packet = packet(size);
            let mut buffers = vec![[0; BUFFER]; BATCH];
            let mut engines = established("aes128gcm16-prfsha256-curve25519", suite);
            let [first, second] = &mut engines;
            group.bench_function(BenchmarkId::new("seal", size), |bencher| {
                bencher.iter(|| seal(first, &mut buffers, &packet));
            });
            group.bench_function(BenchmarkId::new("seal and open", size), |bencher| {
                bencher.iter(|| {
                    let sealed = seal(first, &mut buffers, &packet);
                    open(second, &mut buffers, &sealed);
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, forward);
criterion_main!(benches);
