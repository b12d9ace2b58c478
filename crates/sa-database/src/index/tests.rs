use super::*;

use alloc::collections::BTreeMap;
use core::net::IpAddr;

use ikebana_core::{AddressRange, PortRange, TrafficSelector, TrafficSelectors};
use ikebana_testkit::soak;
use proptest::collection::vec;
use proptest::prelude::*;

/// Few addresses, so that most things overlap.
fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0_u8..3, 0_u8..3, 0_u8..4).prop_map(|(a, b, c)| IpAddr::from([10 + a, b, 0, c])),
        (0_u16..3, 0_u16..4).prop_map(|(a, b)| IpAddr::from([0xfd00 + a, 0, 0, 0, 0, 0, 0, b])),
    ]
}

fn range() -> impl Strategy<Value = AddressRange> {
    let block = (address(), 0_u8..=128).prop_map(|(address, prefix)| {
        let most = if address.is_ipv4() { 32 } else { 128 };
        AddressRange::block(address, prefix % (most + 1)).unwrap()
    });
    let odd = (address(), address()).prop_map(|(one, other)| {
        AddressRange::new(one.min(other), one.max(other)).unwrap_or(AddressRange::single(one))
    });
    prop_oneof![block, odd]
}

fn selector() -> impl Strategy<Value = TrafficSelector> {
    let ports = prop_oneof![
        4 => Just(PortRange::ANY),
        2 => (0_u16..4).prop_map(PortRange::single),
        1 => (0_u16..4, 0_u16..4).prop_map(|(one, other)| {
            PortRange::new(one.min(other), one.max(other)).unwrap()
        }),
        1 => (0_u16..4).prop_map(|last| PortRange::new(0, u16::MAX - last).unwrap()),
        1 => Just(PortRange::OPAQUE),
    ];
    let protocol = prop_oneof![2 => Just(0_u8), 1 => Just(6), 1 => Just(17)];
    (protocol, range(), ports).prop_map(|(protocol, addresses, ports)| TrafficSelector {
        protocol,
        addresses,
        ports,
    })
}

/// Mostly few, sometimes more on both sides than have a column for each combination.
fn selectors() -> impl Strategy<Value = Selectors> {
    let sides = prop_oneof![
        6 => (vec(selector(), 0..3), vec(selector(), 1..3)),
        1 => (vec(selector(), 9..15), vec(selector(), 9..15)),
    ];
    sides.prop_map(|(local, remote)| {
        Selectors::new(TrafficSelectors::new(local), TrafficSelectors::new(remote))
    })
}

fn flow() -> impl Strategy<Value = Flow> {
    let port = || {
        prop_oneof![
            4 => (0_u16..4).prop_map(Some),
            1 => (0_u16..4).prop_map(|below| Some(u16::MAX - below)),
            1 => Just(None),
        ]
    };
    (address(), address(), prop_oneof![Just(6_u8), Just(17), Just(47)], port(), port()).prop_map(
        |(local, remote, protocol, local_port, remote_port)| Flow {
            local,
            remote,
            protocol,
            local_port,
            remote_port,
        },
    )
}

/// The model: a list in order, scanned from the front.
#[derive(Default)]
struct Model(BTreeMap<Rank, (usize, Arc<Selectors>)>);

impl Model {
    fn first_match(&self, flow: &Flow) -> Option<usize> {
        self.0.values().find(|(_, selectors)| selectors.cover(flow)).map(|(value, _)| *value)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(soak::cases(400)))]

    #[test]
    fn the_index_finds_what_a_scan_finds_while_entries_come_and_go(
        entries in vec((0_u32..4, selectors()), 1..80),
        removed in vec(any::<prop::sample::Index>(), 0..60),
        flows in vec(flow(), 1..40),
    ) {
        let (mut index, mut model) = (SelectorIndex::new(), Model::default());
        for (order, (priority, selectors)) in entries.into_iter().enumerate() {
            let rank = Rank { priority, order: order as u64 };
            let selectors = Arc::new(selectors);
            index.insert(rank, order, &selectors);
            model.0.insert(rank, (order, selectors));
            let flow = &flows[order % flows.len()];
            prop_assert_eq!(index.first_match(flow), model.first_match(flow));
        }
        for round in removed.into_iter().map(Some).chain([None]) {
            for flow in &flows {
                prop_assert_eq!(index.first_match(flow), model.first_match(flow));
            }
            if let Some(which) = round && !model.0.is_empty() {
                let rank = *which.get(&model.0.keys().copied().collect::<Vec<_>>());
                model.0.remove(&rank);
                index.remove(rank);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(soak::cases(8)))]

    #[test]
    fn the_index_finds_what_a_scan_finds_among_thousands(
        // Each of them several times, at different ranks, so that there are many from few.
        kinds in vec(selectors(), 100..400),
        order in vec((0_u32..1_000, any::<prop::sample::Index>()), 600..3_000),
        flows in vec(flow(), 60),
        keep in 1_usize..40,
    ) {
        let kinds: Vec<_> = kinds.into_iter().map(Arc::new).collect();
        let (mut index, mut model) = (SelectorIndex::new(), Model::default());
        for (value, (priority, which)) in order.iter().enumerate() {
            let (rank, selectors) = (Rank { priority: *priority, order: value as u64 }, which.get(&kinds));
            index.insert(rank, value, selectors);
            model.0.insert(rank, (value, Arc::clone(selectors)));
        }
        let compare = |index: &SelectorIndex<usize>, model: &Model| {
            for flow in &flows {
                assert_eq!(index.first_match(flow), model.first_match(flow));
            }
        };
        compare(&index, &model);
        // The first ones go, which are those that were found.
        while model.0.len() > keep {
            let ranks: Vec<Rank> = model.0.keys().copied().take(model.0.len() / 3 + 1).collect();
            for rank in ranks {
                model.0.remove(&rank);
                index.remove(rank);
            }
            compare(&index, &model);
        }
    }
}

fn any_of(range: AddressRange) -> TrafficSelectors {
    TrafficSelectors::from(TrafficSelector::any_of(range))
}

/// Sets that are hard to look up by addresses alone: one in the other, all the same, told apart by one thing.
fn hard_sets(count: u32) -> [(&'static str, Vec<Selectors>); 5] {
    let everything = || any_of(AddressRange::ALL_V4);
    let v4 = |number: u32| IpAddr::from(number.to_be_bytes());
    let nested = |number: u32| any_of(AddressRange::new(v4(number), v4(u32::MAX - number)).unwrap());
    let port = |number: u32| {
        let ports = PortRange::single(u16::try_from(number).unwrap());
        TrafficSelectors::from(TrafficSelector { protocol: 17, addresses: AddressRange::ALL_V4, ports })
    };
    let range = |number: u32| any_of(AddressRange::new(v4(number), v4(number + count)).unwrap());
    [
        (
            "remote addresses one in the other",
            (0..count).rev().map(|i| Selectors::new(everything(), nested(i))).collect(),
        ),
        (
            "both sides' addresses one in the other",
            (0..count).rev().map(|i| Selectors::new(nested(i), nested(i))).collect(),
        ),
        ("told apart by port", (0..count).map(|i| Selectors::new(everything(), port(i))).collect()),
        ("ranges that overlap", (0..count).map(|i| Selectors::new(range(i), range(count - i))).collect()),
        ("told apart by both ports", (0..count).map(|i| Selectors::new(port(i), port(count - i))).collect()),
    ]
}

#[test]
fn sets_that_are_hard_to_look_up_are_found_as_by_a_scan_and_in_bounded_memory() {
    let count = 1_500_u32;
    for (name, set) in hard_sets(count) {
        let (mut index, mut model) = (SelectorIndex::new(), Model::default());
        for (order, selectors) in set.into_iter().enumerate() {
            let rank = Rank { priority: 7, order: order as u64 };
            let selectors = Arc::new(selectors);
            index.insert(rank, order, &selectors);
            model.0.insert(rank, (order, selectors));
        }
        assert!(index.runs.len() <= 5, "{name}: {} runs", index.runs.len());
        for run in &index.runs {
            // A new line where a range begins and where it ends, on at most four axes.
            assert!(run.lines() <= 4 * (2 * run.len() + 1), "{name}: {} of {}", run.lines(), run.len());
        }
        for number in (0..2 * count).step_by(7).chain([u32::MAX - 3, u32::MAX / 2]) {
            let flow = Flow {
                local: number.to_be_bytes().into(),
                remote: (2 * count).abs_diff(number).to_be_bytes().into(),
                protocol: 17,
                local_port: u16::try_from(number).ok(),
                remote_port: u16::try_from(count.abs_diff(number)).ok(),
            };
            assert_eq!(index.first_match(&flow), model.first_match(&flow), "{name}: {flow}");
        }
    }
}

#[test]
fn no_run_is_longer_than_the_longest() {
    let mut index = SelectorIndex::new();
    let count = 20_000_u32;
    let selectors = |number: u32| {
        let remote = AddressRange::single(IpAddr::from(number.to_be_bytes()));
        Arc::new(Selectors::new(any_of(AddressRange::ALL_V4), any_of(remote)))
    };
    for number in 0..count {
        index.insert(Rank { priority: 0, order: u64::from(number) }, number, &selectors(number));
    }
    assert!(index.runs.iter().all(|run| run.columns() <= LONGEST));
    assert!(index.runs.len() <= 8, "{} runs", index.runs.len());
    for number in (0..count + 10).step_by(11) {
        let flow = Flow {
            local: [10, 0, 0, 1].into(),
            remote: number.to_be_bytes().into(),
            protocol: 6,
            local_port: Some(1),
            remote_port: None,
        };
        assert_eq!(index.first_match(&flow), Some(number).filter(|number| *number < count));
    }
}

#[test]
fn an_index_that_was_large_is_empty_after_everything_is_removed() {
    let mut index = SelectorIndex::new();
    let all = Arc::new(Selectors::new("0.0.0.0/0".parse().unwrap(), "10.0.0.0/8".parse().unwrap()));
    let rank = |order| Rank { priority: 0, order };
    for order in 0..100 {
        index.insert(rank(order), order, &all);
    }
    for order in 0..100 {
        index.remove(rank(order));
    }
    assert!(index.runs.is_empty() && index.scan.is_empty());
    assert_eq!(Arc::strong_count(&all), 1);
}
