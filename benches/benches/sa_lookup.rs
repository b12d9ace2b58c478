//! How long does it take to find the SA of an arriving packet, among ten, ten thousand and a million?
//!
//! Packets come of SAs at random, so that of many SAs none is in a cache. SPIs are computed and not read from a
//! list, which would have to come from memory too.
#![allow(missing_docs, reason = "the macros of criterion make functions without")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ikebana_core::{EspSpi, Flow, Instant, Lifetime};
use ikebana_sa_database::{DatabaseConfig, SaDatabase, SaDescription, SaProtocol, Selectors, TunnelId};
use ikebana_testkit::SeededRng;

/// Lookups in one measured round.
const ROUND: u32 = 256;

/// An SPI as an allocator would draw it, and no other number's.
fn spi(number: u32) -> EspSpi {
    // Odd steps through 31 bits meet every number once.
    EspSpi::new((number.wrapping_mul(0x9e37_79b1) & 0x7fff_ffff) | 0x8000_0000).unwrap_or(EspSpi::MIN)
}

/// The next choice among `count`, not in any order.
fn choose(state: &mut u32, count: u32) -> u32 {
    *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    let product = u64::from(*state) * u64::from(count);
    u32::try_from(product >> 32).unwrap_or(0)
}

fn database(count: u32, selectors: &Arc<Selectors>) -> SaDatabase<()> {
    let mut database: SaDatabase<()> = SaDatabase::new(&mut SeededRng::new(1), DatabaseConfig::default());
    for number in 0..count {
        let description = SaDescription {
            tunnel: TunnelId(u64::from(number / 4)),
            protocol: SaProtocol::Esp,
            spi: spi(number),
            selectors: Arc::clone(selectors),
            lifetime: Lifetime::UNLIMITED,
        };
        database.install_inbound(Instant::ZERO, description, ()).expect("an SPI of its own");
    }
    database
}

fn lookup(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("inbound SA by SPI");
    group.throughput(Throughput::Elements(ROUND.into()));
    let selectors = Arc::new(Selectors::new(
        "10.1.0.0/16".parse().expect("a selector"),
        "10.2.0.0/16".parse().expect("a selector"),
    ));
    let flow = Flow {
        local: [10, 1, 0, 1].into(),
        remote: [10, 2, 0, 1].into(),
        protocol: 17,
        local_port: Some(5_000),
        remote_port: Some(5_000),
    };
    for count in [10_u32, 100, 10_000, 1_000_000] {
        let mut database = database(count, &selectors);
        let mut state = 7;
        group.bench_function(BenchmarkId::new("known", count), |bencher| {
            bencher.iter(|| {
                for _ in 0..ROUND {
                    let spi = spi(choose(&mut state, count));
                    assert!(black_box(database.inbound(SaProtocol::Esp, spi)).is_some());
                }
            });
        });
        group.bench_function(BenchmarkId::new("known, each after the one before", count), |bencher| {
            bencher.iter(|| {
                for _ in 0..ROUND {
                    let spi = spi(choose(&mut state, count));
                    // What is looked up next depends on what was found.
                    let found = black_box(database.inbound(SaProtocol::Esp, spi).is_some());
                    state = state.wrapping_add(u32::from(found));
                }
            });
        });
        group.bench_function(BenchmarkId::new("known, with selectors and counters", count), |bencher| {
            bencher.iter(|| {
                for _ in 0..ROUND {
                    let spi = spi(choose(&mut state, count));
                    let id = database.inbound(SaProtocol::Esp, spi).expect("an SA");
                    assert!(database.permits_inbound(id, black_box(&flow)));
                    assert!(database.account(Instant::ZERO, id, 1, 100).is_ok());
                }
            });
        });
        group.bench_function(BenchmarkId::new("unknown", count), |bencher| {
            bencher.iter(|| {
                for _ in 0..ROUND {
                    let spi = EspSpi::new(choose(&mut state, 0x7fff_ff00) + 256).unwrap_or(EspSpi::MIN);
                    assert!(black_box(database.inbound(SaProtocol::Esp, spi)).is_none());
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, lookup);
criterion_main!(benches);
