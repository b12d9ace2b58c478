use super::*;

use alloc::string::ToString;
use alloc::vec;
use core::net::Ipv4Addr;

fn net(text: &str, prefix: u8) -> TrafficSelector {
    TrafficSelector::any_of(AddressRange::block(text.parse().unwrap(), prefix).unwrap())
}

#[test]
fn blocks_print_as_cidr_and_other_ranges_with_both_ends() {
    assert_eq!(net("10.1.2.3", 16).to_string(), "10.1.0.0/16");
    assert_eq!(net("::", 0).to_string(), "::/0");
    let odd = AddressRange::new([10, 0, 0, 1].into(), [10, 0, 0, 6].into()).unwrap();
    assert_eq!(odd.to_string(), "10.0.0.1..10.0.0.6");
    assert_eq!(AddressRange::ALL_V4.prefix(), Some(0));
    assert_eq!(AddressRange::single(Ipv4Addr::LOCALHOST.into()).prefix(), Some(32));
}

#[test]
fn ranges_of_two_families_have_nothing_in_common() {
    assert_eq!(AddressRange::ALL_V4.intersect(&AddressRange::ALL_V6), None);
    assert_eq!(AddressRange::new([0, 0, 0, 0].into(), "::1".parse().unwrap()), None);
}

#[test]
fn narrowing_keeps_what_the_policy_allows() {
    let policy = TrafficSelectors::from(net("10.1.0.0", 16));
    let offer = TrafficSelectors::new(vec![
        TrafficSelector { protocol: protocol::TCP, ..net("10.1.4.4", 32) },
        net("10.0.0.0", 8),
        net("192.168.0.0", 16),
    ]);
    assert_eq!(policy.narrow(&offer), TrafficSelectors::from(net("10.1.0.0", 16)));
    assert!(policy.narrow(&TrafficSelectors::from(net("172.16.0.0", 12))).is_empty());
}

#[test]
fn an_answer_fits_into_its_payload_and_starts_with_what_was_asked_for_first() {
    let host = |number| TrafficSelector::host([10, 0, 0, number].into());
    let offer: TrafficSelectors = (0..255).map(host).collect();
    let ports = (0..255).map(|port| TrafficSelector {
        protocol: protocol::TCP,
        ports: PortRange::single(2 * port),
        ..net("10.0.0.0", 8)
    });
    let policy: TrafficSelectors = ports.collect();
    // Each of the 65,025 pairs has an intersection of its own.
    let answer = policy.narrow(&offer);
    assert_eq!(answer.len(), TrafficSelectors::MOST_IN_PAYLOAD);
    assert!(policy.contains(&answer) && offer.contains(&answer));
    assert!(answer.as_slice()[0].addresses == host(0).addresses);
}

#[test]
fn a_packet_without_ports_matches_only_selectors_that_ignore_them() {
    let any = net("10.0.0.0", 8);
    let web = TrafficSelector { protocol: protocol::TCP, ports: PortRange::single(443), ..any };
    let opaque = TrafficSelector { ports: PortRange::OPAQUE, ..web };
    let host: IpAddr = [10, 0, 0, 1].into();
    assert!(any.matches(host, protocol::TCP, None));
    assert!(!web.matches(host, protocol::TCP, None));
    assert!(opaque.matches(host, protocol::TCP, None));
    assert!(web.matches(host, protocol::TCP, Some(443)));
    assert!(!web.matches(host, protocol::UDP, Some(443)));
    assert!(!opaque.matches(host, protocol::TCP, Some(443)));
}

#[test]
fn icmp_types_and_codes_are_port_ranges() {
    let echo = PortRange::icmp_type(8);
    assert!(echo.contains(0x0800) && echo.contains(0x08ff) && !echo.contains(0x0900));
    assert_eq!(PortRange::icmp_type_code(3, 4).first(), 0x0304);
}
