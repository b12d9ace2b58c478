//! How long does it take to decide about a packet of the inner side, among ten to ten thousand policies: when its
//! flow is known, when it is new, and when policies are such that addresses say little?
//!
//! Flows are drawn at random, so that of many policies none is in a cache.
#![allow(missing_docs, reason = "the macros of criterion make functions without")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ikebana_core::{
    AddressRange, EspSpi, Flow, Instant, Lifetime, PortRange, TrafficSelector, TrafficSelectors,
};
use ikebana_sa_database::{
    Action, DatabaseConfig, Decision, Policy, SaDatabase, SaDescription, SaProtocol, Selectors, TunnelId,
};
use ikebana_testkit::SeededRng;

/// Decisions in one measured round.
const ROUND: u32 = 256;

/// Kinds of sets of policies.
#[derive(Clone, Copy)]
enum Kind {
    /// Branch offices with a network each.
    Offices,
    /// One network within the other, the smallest first.
    Nested,
    /// The same addresses everywhere, a port for each.
    Ports,
    /// Ranges of addresses that are no blocks, over a boundary that all blocks have.
    Ranges,
}

const KINDS: [(&str, Kind); 4] =
    [("offices", Kind::Offices), ("nested", Kind::Nested), ("ports", Kind::Ports), ("ranges", Kind::Ranges)];

const MIDDLE: u32 = 0x0a80_0000;

fn v4(bits: u32) -> IpAddr {
    Ipv4Addr::from_bits(bits).into()
}

fn between(first: u32, last: u32) -> AddressRange {
    AddressRange::new(v4(first), v4(last)).expect("a range")
}

fn any(addresses: AddressRange) -> TrafficSelectors {
    TrafficSelector::any_of(addresses).into()
}

impl Kind {
    fn selectors(self, number: u32, count: u32) -> Selectors {
        let local = any(between(0xac10_0000, 0xac1f_ffff));
        let remote = match self {
            Self::Offices => any(between(0x0a00_0000 + (number << 8), 0x0a00_00ff + (number << 8))),
            Self::Nested => any(between(MIDDLE - number, MIDDLE + number)),
            Self::Ports => {
                let ports = PortRange::single(u16::try_from(number).expect("a port"));
                TrafficSelectors::from(TrafficSelector {
                    protocol: 17,
                    addresses: AddressRange::ALL_V4,
                    ports,
                })
            }
            Self::Ranges => any(between(MIDDLE - count + number, MIDDLE + number)),
        };
        Selectors::new(local, remote)
    }

    /// A packet of the policy with this number, which is the first for it.
    fn flow(self, number: u32) -> Flow {
        let remote = match self {
            Self::Offices => 0x0a00_0001 + (number << 8),
            Self::Nested | Self::Ranges => MIDDLE + number,
            Self::Ports => 0x0102_0304,
        };
        Flow {
            local: [172, 16, 0, 1].into(),
            remote: v4(remote),
            protocol: 17,
            local_port: Some(40_000),
            remote_port: u16::try_from(number).ok(),
        }
    }
}

/// As many tunnels, each with its policy.
fn database(kind: Kind, count: u32, flow_cache: usize) -> SaDatabase<()> {
    let config = DatabaseConfig { flow_cache, ..DatabaseConfig::default() };
    let mut database = SaDatabase::new(&mut SeededRng::new(1), config);
    for number in 0..count {
        let tunnel = TunnelId(u64::from(number));
        let selectors = Arc::new(kind.selectors(number, count));
        database.add_policy(Policy {
            name: format!("policy {number}"),
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

/// The next choice among `count`, not in any order.
fn choose(state: &mut u32, count: u32) -> u32 {
    *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    let product = u64::from(*state) * u64::from(count);
    u32::try_from(product >> 32).unwrap_or(0)
}

fn decide(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decide about an outbound packet");
    group.throughput(Throughput::Elements(ROUND.into()));
    for (name, kind) in KINDS {
        for count in [10_u32, 100, 1_000, 10_000] {
            let mut new = database(kind, count, 0);
            let mut state = 7;
            group.bench_function(BenchmarkId::new(format!("{name}, new flow"), count), |bencher| {
                bencher.iter(|| {
                    for _ in 0..ROUND {
                        let flow = kind.flow(choose(&mut state, count));
                        assert!(matches!(new.outbound(Instant::ZERO, &flow), Decision::Protect(_)));
                    }
                });
            });
            // What a sender does who scans: nothing is ever asked twice, and nothing matches.
            group.bench_function(BenchmarkId::new(format!("{name}, no policy"), count), |bencher| {
                bencher.iter(|| {
                    for _ in 0..ROUND {
                        let number = choose(&mut state, count);
                        let remote_port = Some(u16::MAX);
                        let flow =
                            Flow { remote_port, remote: v4(0xc000_0000 | state >> 8), ..kind.flow(number) };
                        assert!(matches!(new.outbound(Instant::ZERO, &flow), Decision::Discard(_)));
                    }
                });
            });
        }
    }
    for count in [10_u32, 100, 1_000, 10_000] {
        let mut known = database(Kind::Offices, count, 4_096);
        let mut state = 7;
        group.bench_function(BenchmarkId::new("offices, one of 100 known flows", count), |bencher| {
            bencher.iter(|| {
                for _ in 0..ROUND {
                    let flow = Kind::Offices.flow(choose(&mut state, count.min(100)));
                    assert!(matches!(known.outbound(Instant::ZERO, &flow), Decision::Protect(_)));
                }
            });
        });
    }
    group.finish();
}

/// How long does it take to make the set, and to change it?
fn change(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("change policies");
    group.sample_size(10);
    for (name, kind) in KINDS {
        group.bench_function(BenchmarkId::new(format!("{name}, make all"), 10_000), |bencher| {
            bencher.iter(|| black_box(database(kind, 10_000, 0)));
        });
        let mut full = database(kind, 10_000, 0);
        let mut state = 7;
        group.bench_function(BenchmarkId::new(format!("{name}, replace one"), 10_000), |bencher| {
            bencher.iter_batched(
                || choose(&mut state, 10_000),
                |number| {
                    let policy = Policy {
                        name: String::new(),
                        priority: number,
                        selectors: Arc::new(kind.selectors(number, 10_000)),
                        action: Action::Bypass,
                    };
                    let id = full.add_policy(policy);
                    black_box(full.remove_policy(id));
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, decide, change);
criterion_main!(benches);
