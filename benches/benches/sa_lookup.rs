//! How long does it take to find the SA of an arriving packet, among ten, ten thousand and a million?
#![allow(missing_docs, reason = "the macros of criterion make functions without")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ikebana_core::{EspSpi, Flow, Instant, Lifetime};
use ikebana_sa_database::{
    DatabaseConfig, InboundId, SaDatabase, SaDescription, SaProtocol, Selectors, TunnelId,
};
use ikebana_testkit::SeededRng;

/// SPIs as an allocator would draw them: all over the place, and never the same twice.
fn spi(number: u32) -> EspSpi {
    EspSpi::new(number.wrapping_mul(0x9e37_79b1) | 0x8000_0000).unwrap_or(EspSpi::MIN)
}

fn lookup(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("inbound SA by SPI");
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
    for count in [10_u32, 10_000, 1_000_000] {
        let mut database: SaDatabase<()> = SaDatabase::new(&mut SeededRng::new(1), DatabaseConfig::default());
        let mut installed: Vec<(EspSpi, InboundId)> = Vec::new();
        for number in 0..count {
            let spi = spi(number);
            let description = SaDescription {
                tunnel: TunnelId(u64::from(number / 4)),
                protocol: SaProtocol::Esp,
                spi,
                selectors: Arc::clone(&selectors),
                lifetime: Lifetime::UNLIMITED,
            };
            // The last bit that is lost makes some SPIs the same.
            if let Ok(id) = database.install_inbound(Instant::ZERO, description, ()) {
                installed.push((spi, id));
            }
        }
        let mut next = 0;
        group.bench_function(BenchmarkId::new("known", count), |bencher| {
            bencher.iter(|| {
                next = (next + 7_919) % installed.len();
                let (spi, id) = installed.get(next).expect("within the list");
                assert_eq!(database.inbound(SaProtocol::Esp, black_box(*spi)), Some(*id));
            });
        });
        group.bench_function(BenchmarkId::new("known, with selectors and counters", count), |bencher| {
            bencher.iter(|| {
                next = (next + 7_919) % installed.len();
                let (spi, _) = installed.get(next).expect("within the list");
                let id = database.inbound(SaProtocol::Esp, black_box(*spi)).expect("an SA");
                assert!(database.permits_inbound(id, black_box(&flow)));
                assert!(database.account(Instant::ZERO, id, 1, 100).is_ok());
            });
        });
        let mut number = 0_u32;
        group.bench_function(BenchmarkId::new("unknown", count), |bencher| {
            bencher.iter(|| {
                number = number.wrapping_add(1) & 0x7fff_ffff;
                let spi = EspSpi::new(number).unwrap_or(EspSpi::MIN);
                assert_eq!(database.inbound(SaProtocol::Esp, black_box(spi)), None);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, lookup);
criterion_main!(benches);
