use super::*;

use ikebana_core::{PortRange, TrafficSelector};
use ikebana_testkit::SeededRng;
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
        3 => Just(PortRange::ANY),
        1 => (0_u16..4).prop_map(PortRange::single),
        1 => Just(PortRange::OPAQUE),
    ];
    let protocol = prop_oneof![2 => Just(0_u8), 1 => Just(6), 1 => Just(17)];
    (protocol, range(), ports).prop_map(|(protocol, addresses, ports)| TrafficSelector {
        protocol,
        addresses,
        ports,
    })
}

pub(crate) fn selectors() -> impl Strategy<Value = Selectors> {
    (vec(selector(), 0..3), vec(selector(), 1..3)).prop_map(|(local, remote)| {
        Selectors::new(TrafficSelectors::new(local), TrafficSelectors::new(remote))
    })
}

pub(crate) fn flow() -> impl Strategy<Value = Flow> {
    let port = || prop_oneof![4 => (0_u16..4).prop_map(Some), 1 => Just(None)];
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

proptest! {
    #[test]
    fn the_index_finds_what_a_scan_finds_while_entries_come_and_go(
        entries in vec((0_u32..4, selectors()), 1..80),
        removed in vec(any::<prop::sample::Index>(), 0..60),
        flows in vec(flow(), 1..40),
    ) {
        let mut index = SelectorIndex::new(Keyed::new(&mut SeededRng::new(3)));
        let mut model = BTreeMap::new();
        for (order, (priority, selectors)) in entries.into_iter().enumerate() {
            let rank = Rank { priority, order: order as u64 };
            let selectors = Arc::new(selectors);
            index.insert(rank, order, &selectors);
            model.insert(rank, (order, selectors));
        }
        for round in removed.into_iter().map(Some).chain([None]) {
            for flow in &flows {
                let expected = model.values().find(|(_, selectors)| selectors.cover(flow));
                prop_assert_eq!(index.first_match(flow), expected.map(|(value, _)| *value));
            }
            if let Some(which) = round && !model.is_empty() {
                let rank = *which.get(&model.keys().copied().collect::<Vec<_>>());
                let (_, selectors) = model.remove(&rank).unwrap();
                index.remove(rank, &selectors);
            }
        }
    }
}

#[test]
fn an_index_that_was_large_is_empty_after_everything_is_removed() {
    let mut index = SelectorIndex::new(Keyed::new(&mut SeededRng::new(3)));
    let all = Arc::new(Selectors::new("0.0.0.0/0".parse().unwrap(), "10.0.0.0/8".parse().unwrap()));
    let rank = |order| Rank { priority: 0, order };
    for order in 0..100 {
        index.insert(rank(order), order, &all);
    }
    for order in 0..100 {
        index.remove(rank(order), &all);
    }
    assert!(index.blocks.is_none() && index.scan.is_empty());
}
