//! How long does it take to decide about a packet of the inner side, among ten, a thousand and ten thousand
//! policies, when its flow is known and when it is not?
#![allow(missing_docs, reason = "the macros of criterion make functions without")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ikebana_core::{EspSpi, Flow, Instant, Lifetime, TrafficSelectors};
use ikebana_sa_database::{
    Action, DatabaseConfig, Decision, Policy, SaDatabase, SaDescription, SaProtocol, Selectors, TunnelId,
};
use ikebana_testkit::SeededRng;

/// A branch office's network, one of 65,536.
fn network(number: u32) -> TrafficSelectors {
    let [_, _, high, low] = number.to_be_bytes();
    format!("10.{high}.{low}.0/24").parse().expect("a selector")
}

/// As many branch offices, each with its tunnel.
fn offices(count: u32, flow_cache: usize) -> SaDatabase<()> {
    let config = DatabaseConfig { flow_cache, ..DatabaseConfig::default() };
    let mut database = SaDatabase::new(&mut SeededRng::new(1), config);
    let local: TrafficSelectors = "172.16.0.0/12".parse().expect("a selector");
    for number in 0..count {
        let tunnel = TunnelId(u64::from(number));
        let selectors = Arc::new(Selectors::new(local.clone(), network(number)));
        database.add_policy(Policy {
            name: format!("office {number}"),
            priority: 1,
            selectors: Arc::clone(&selectors),
            action: Action::Protect { tunnel, on_demand: false },
        });
        let spi = EspSpi::new(number + 256).expect("not a reserved SPI");
        let lifetime = Lifetime::UNLIMITED;
        let description = SaDescription { tunnel, protocol: SaProtocol::Esp, spi, selectors, lifetime };
        database.install_outbound(Instant::ZERO, description, ());
    }
    database
}

fn flow(number: u32) -> Flow {
    let [_, _, high, low] = number.to_be_bytes();
    Flow {
        local: [172, 16, 0, 1].into(),
        remote: [10, high, low, 1].into(),
        protocol: 6,
        local_port: Some(40_000),
        remote_port: Some(443),
    }
}

fn decide(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decide about an outbound packet");
    for count in [10_u32, 1_000, 10_000] {
        for (name, cache, flows) in
            [("new flow", 0, count), ("one of 100 known flows", 4_096, count.min(100))]
        {
            let mut database = offices(count, cache);
            let mut number = 0;
            group.bench_function(BenchmarkId::new(name, count), |bencher| {
                bencher.iter(|| {
                    number = (number + 7) % flows;
                    let decision = database.outbound(Instant::ZERO, black_box(&flow(number)));
                    assert!(matches!(decision, Decision::Protect(_)));
                });
            });
        }
        let mut database = offices(count, 0);
        let stranger = Flow { remote: [192, 0, 2, 1].into(), ..flow(0) };
        group.bench_function(BenchmarkId::new("no policy", count), |bencher| {
            bencher.iter(|| {
                let decision = database.outbound(Instant::ZERO, black_box(&stranger));
                assert!(matches!(decision, Decision::Discard(_)));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decide);
criterion_main!(benches);
