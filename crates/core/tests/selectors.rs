//! Traffic selectors as sets of packets, and their text.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::net::IpAddr;

use ikebana_core::selector::{SelectorProblem, protocol};
use ikebana_core::{AddressRange, PortRange, TrafficSelector, TrafficSelectors};
use proptest::collection::vec;
use proptest::prelude::*;

/// One end of a packet.
type End = (IpAddr, u8, Option<u16>);

/// The edges of the address families, and a few in the middle.
fn address() -> impl Strategy<Value = IpAddr> {
    let edge_v4 = prop_oneof![
        Just(0_u32),
        Just(1),
        Just(0x0a00_0000),
        Just(0x7fff_ffff),
        Just(0x8000_0000),
        Just(u32::MAX - 1),
        Just(u32::MAX),
        any::<u32>()
    ];
    let edge_v6 = prop_oneof![Just(0_u128), Just(1), Just(1 << 127), Just(u128::MAX), any::<u128>()];
    prop_oneof![
        3 => edge_v4.prop_map(|bits| IpAddr::V4(bits.into())),
        1 => edge_v6.prop_map(|bits| IpAddr::V6(bits.into())),
    ]
}

fn range() -> impl Strategy<Value = AddressRange> {
    let block = (address(), any::<u8>()).prop_map(|(address, prefix)| {
        let most = if address.is_ipv4() { 32 } else { 128 };
        AddressRange::block(address, prefix % (most + 1)).unwrap()
    });
    let odd = (address(), address()).prop_map(|(one, other)| {
        AddressRange::new(one.min(other), one.max(other)).unwrap_or(AddressRange::single(one))
    });
    prop_oneof![block, odd]
}

fn ports() -> impl Strategy<Value = PortRange> {
    prop_oneof![
        2 => Just(PortRange::ANY),
        1 => Just(PortRange::OPAQUE),
        1 => any::<u16>().prop_map(PortRange::single),
        2 => (any::<u16>(), any::<u16>()).prop_map(|(one, other)| {
            PortRange::new(one.min(other), one.max(other)).unwrap()
        }),
        1 => any::<u8>().prop_map(PortRange::icmp_type),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(kind, code)| PortRange::icmp_type_code(kind, code)),
    ]
}

fn selector() -> impl Strategy<Value = TrafficSelector> {
    let protocol = prop_oneof![3 => Just(0_u8), 2 => Just(6), 1 => Just(1), 1 => Just(58), 1 => any::<u8>()];
    (protocol, range(), ports()).prop_map(|(protocol, addresses, ports)| TrafficSelector {
        protocol,
        addresses,
        ports,
    })
}

fn selectors() -> impl Strategy<Value = TrafficSelectors> {
    vec(selector(), 0..5).prop_map(TrafficSelectors::new)
}

/// Packets in and just outside of some selectors, where mistakes would show.
fn probes(lists: &[&TrafficSelectors]) -> Vec<End> {
    let all = || lists.iter().flat_map(|list| list.iter());
    let mut addresses: Vec<IpAddr> = Vec::new();
    let mut ports: Vec<Option<u16>> = vec![None, Some(0), Some(u16::MAX)];
    let mut protocols = vec![6, 17];
    for selector in all() {
        for end in [selector.addresses.first(), selector.addresses.last()] {
            addresses.extend(neighbours(end));
        }
        for port in [selector.ports.first(), selector.ports.last()] {
            ports.extend(
                [port.checked_sub(1), Some(port), port.checked_add(1)].into_iter().flatten().map(Some),
            );
        }
        protocols.push(selector.protocol);
    }
    addresses.sort_unstable();
    addresses.dedup();
    ports.sort_unstable();
    ports.dedup();
    protocols.retain(|protocol| *protocol != protocol::ANY);
    protocols.sort_unstable();
    protocols.dedup();
    let mut ends = Vec::new();
    for address in addresses {
        for protocol in &protocols {
            ends.extend(ports.iter().map(|port| (address, *protocol, *port)));
        }
    }
    ends
}

fn neighbours(address: IpAddr) -> Vec<IpAddr> {
    match address {
        IpAddr::V4(v4) => {
            let bits = v4.to_bits();
            let near = [bits.checked_sub(1), Some(bits), bits.checked_add(1)];
            near.into_iter().flatten().map(|bits| IpAddr::V4(bits.into())).collect()
        }
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            let near = [bits.checked_sub(1), Some(bits), bits.checked_add(1)];
            near.into_iter().flatten().map(|bits| IpAddr::V6(bits.into())).collect()
        }
    }
}

fn matches(list: &TrafficSelectors, (address, protocol, port): End) -> bool {
    list.matches(address, protocol, port)
}

proptest! {
    #[test]
    fn the_intersection_has_exactly_the_packets_of_both(one in selectors(), other in selectors()) {
        let both = one.intersect(&other);
        for end in probes(&[&one, &other, &both]) {
            prop_assert_eq!(
                matches(&both, end), matches(&one, end) && matches(&other, end),
                "{} and {} gave {} for {:?}", one, other, both, end
            );
        }
    }

    #[test]
    fn what_contains_another_has_all_of_its_packets(one in selectors(), other in selectors()) {
        if one.contains(&other) {
            for end in probes(&[&one, &other]) {
                prop_assert!(matches(&one, end) || !matches(&other, end), "{} in {}: {:?}", other, one, end);
            }
        }
    }

    #[test]
    fn an_answer_lies_within_the_offer_and_within_the_policy(policy in selectors(), offer in selectors()) {
        let answer = policy.narrow(&offer);
        prop_assert!(policy.contains(&answer), "{policy} narrowed {offer} to {answer}");
        prop_assert!(offer.contains(&answer), "{policy} narrowed {offer} to {answer}");
        prop_assert_eq!(policy.narrow(&answer), answer, "narrowing again changes nothing");
    }

    #[test]
    fn the_first_selector_of_an_offer_is_answered_if_the_policy_allows_it(
        policy in selectors(),
        first in selector(),
        rest in selectors(),
    ) {
        let offer: TrafficSelectors = std::iter::once(first).chain(rest.iter().copied()).collect();
        let answer = policy.narrow(&offer);
        if policy.iter().any(|allowed| allowed.contains(&first)) {
            prop_assert!(answer.iter().any(|selector| selector.contains(&first)));
        }
    }

    #[test]
    fn a_selector_contains_and_intersects_itself(one in selector()) {
        prop_assert!(one.contains(&one));
        prop_assert_eq!(one.intersect(&one), Some(one));
    }

    #[test]
    fn what_is_printed_reads_back_as_the_same(
        one in vec(selector(), 1..5).prop_map(TrafficSelectors::new),
    ) {
        let text = one.to_string();
        prop_assert_eq!(text.parse(), Ok(one), "{}", text);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,40}") {
        let _ = text.parse::<TrafficSelectors>();
        let _ = text.parse::<TrafficSelector>();
        let _ = text.parse::<AddressRange>();
    }

    #[test]
    fn no_text_that_looks_like_a_selector_makes_the_parser_panic(
        text in "[0-9]{1,3}\\.[0-9]{1,3}\\.0\\.0[./-]{0,2}[0-9:.]{0,8}\\[?(tcp|icmp|[0-9]{1,4})?/?[0-9()-]{0,9}\\]?"
    ) {
        let _ = text.parse::<TrafficSelector>();
    }
}

#[test]
fn selectors_read_as_swanctl_users_write_them() {
    for (text, printed) in [
        ("10.1.0.0/16", "10.1.0.0/16"),
        ("10.1.2.3/16", "10.1.0.0/16"),
        ("192.0.2.7", "192.0.2.7/32"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("10.0.0.1..10.0.0.9", "10.0.0.1..10.0.0.9"),
        ("10.0.0.1-10.0.0.9", "10.0.0.1..10.0.0.9"),
        ("10.0.0.0-10.255.255.255", "10.0.0.0/8"),
        ("fd00::1..fd00::9[udp]", "fd00::1..fd00::9[udp]"),
        ("10.0.0.0/8[tcp/80]", "10.0.0.0/8[tcp/80]"),
        ("10.0.0.0/8[TCP/80]", "10.0.0.0/8[tcp/80]"),
        ("10.0.0.0/8[6/80]", "10.0.0.0/8[tcp/80]"),
        ("10.0.0.0/8[udp/5000-6000]", "10.0.0.0/8[udp/5000-6000]"),
        ("0.0.0.0/0[icmp/8]", "0.0.0.0/0[icmp/8]"),
        ("0.0.0.0/0[icmp/3(4)]", "0.0.0.0/0[icmp/3(4)]"),
        ("0.0.0.0/0[icmp/2048-2303]", "0.0.0.0/0[icmp/8]"),
        ("0.0.0.0/0[icmp/8-10]", "0.0.0.0/0[icmp/8-10]"),
        ("::/0[icmpv6/128]", "::/0[ipv6-icmp/128]"),
        ("::/0[/53]", "::/0[any/53]"),
        ("10.0.0.0/8[gre]", "10.0.0.0/8[gre]"),
        ("10.0.0.0/8[99]", "10.0.0.0/8[99]"),
        ("10.0.0.0/8[tcp/any]", "10.0.0.0/8[tcp]"),
        ("10.0.0.0/8[any/any]", "10.0.0.0/8"),
        ("10.0.0.0/8[]", "10.0.0.0/8"),
        ("10.0.0.0/8[tcp/opaque]", "10.0.0.0/8[tcp/opaque]"),
        ("10.0.0.0/8[opaque]", "10.0.0.0/8[any/opaque]"),
    ] {
        let selector: TrafficSelector = text.parse().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(selector.to_string(), printed, "{text}");
    }
}

#[test]
fn an_error_says_what_is_wrong() {
    let problem = |text: &str| text.parse::<TrafficSelector>().unwrap_err().problem;
    assert_eq!(problem(""), SelectorProblem::Empty);
    assert_eq!(problem("10.1.0/16"), SelectorProblem::BadAddress("10.1.0".into()));
    assert_eq!(problem("10.1.0.0/33"), SelectorProblem::BadPrefix { text: "33".into(), most: 32 });
    assert_eq!(problem("10.1.0.0/+8"), SelectorProblem::BadPrefix { text: "+8".into(), most: 32 });
    assert_eq!(problem("fd00::/129"), SelectorProblem::BadPrefix { text: "129".into(), most: 128 });
    assert!(matches!(problem("10.0.0.9..10.0.0.1"), SelectorProblem::BadRange { .. }));
    assert!(matches!(problem("10.0.0.9..fd00::1"), SelectorProblem::BadRange { .. }));
    assert_eq!(problem("10.0.0.0/8[tcp/80"), SelectorProblem::Unclosed);
    assert_eq!(problem("10.0.0.0/8[tcpp/80]"), SelectorProblem::UnknownProtocol("tcpp".into()));
    assert_eq!(problem("10.0.0.0/8[256]"), SelectorProblem::UnknownProtocol("256".into()));
    for port in ["65536", "80-", "90-80", "65535-0", "http", "-1"] {
        assert_eq!(problem(&format!("10.0.0.0/8[tcp/{port}]")), SelectorProblem::BadPort(port.into()));
    }
    assert_eq!(problem("10.0.0.0/8[icmp/8(256)]"), SelectorProblem::BadPort("8(256)".into()));
    let error = "10.1.0.0/33".parse::<TrafficSelector>().unwrap_err().to_string();
    assert_eq!(error, r#"traffic selector "10.1.0.0/33": prefix length "33" is no number from 0 to 32"#);
}

#[test]
fn lists_read_with_commas_and_spaces() {
    let list: TrafficSelectors = "10.1.0.0/16, 10.2.0.0/16[tcp/443] fd00::/8".parse().unwrap();
    assert_eq!(list.len(), 3);
    assert_eq!("".parse::<TrafficSelectors>().unwrap_err().problem, SelectorProblem::Empty);
    assert_eq!(" , ".parse::<TrafficSelectors>().unwrap_err().problem, SelectorProblem::Empty);
}
