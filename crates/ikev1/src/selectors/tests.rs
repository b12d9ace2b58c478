use alloc::string::ToString;

use ikebana_core::Lifetime;

use super::*;

fn selector(text: &str) -> TrafficSelector {
    text.parse().unwrap()
}

fn id(kind: IdType, octets: &[u8]) -> IdPayload {
    IdPayload { kind, protocol: 0, port: 0, data: octets.to_vec() }
}

#[test]
fn every_selector_with_one_port_or_all_comes_back_from_its_identity() {
    let said = [
        ("10.1.2.3/32", IdType::IPV4_ADDR, 4),
        ("10.1.0.0/16", IdType::IPV4_ADDR_SUBNET, 8),
        ("0.0.0.0/0", IdType::IPV4_ADDR_SUBNET, 8),
        ("10.1.0.1..10.1.0.6", IdType::IPV4_ADDR_RANGE, 8),
        ("10.1.0.0/16[tcp/443]", IdType::IPV4_ADDR_SUBNET, 8),
        ("10.1.2.3/32[udp]", IdType::IPV4_ADDR, 4),
        ("2001:db8::7/128", IdType::IPV6_ADDR, 16),
        ("2001:db8::/33[gre]", IdType::IPV6_ADDR_SUBNET, 32),
        ("::/0", IdType::IPV6_ADDR_SUBNET, 32),
        ("2001:db8::1..2001:db8::6", IdType::IPV6_ADDR_RANGE, 32),
        ("10.1.2.3/32[icmp/8(1)]", IdType::IPV4_ADDR, 4),
    ];
    for (text, kind, length) in said {
        let id = to_id(&selector(text)).unwrap();
        assert_eq!((id.kind, id.data.len()), (kind, length), "{text}");
        assert_eq!(from_id(&id).unwrap().to_string(), text);
    }
}

#[test]
fn what_an_identity_cannot_say_is_not_said_in_another_way() {
    for text in ["10.1.0.0/16[udp/5000-6000]", "10.1.0.0/16[tcp/opaque]", "10.1.0.0/16[icmp/8]"] {
        assert_eq!(to_id(&selector(text)), None, "{text}");
    }
    let zero = TrafficSelector { ports: PortRange::single(0), ..selector("10.1.0.0/16[udp]") };
    assert_eq!(to_id(&zero), None);
}

#[test]
fn identities_that_name_no_addresses_are_no_selectors() {
    // Masks that are no prefix.
    assert_eq!(from_id(&id(IdType::IPV4_ADDR_SUBNET, &[10, 0, 0, 0, 255, 0, 255, 0])), None);
    // The wrong way round, the wrong family, the wrong length.
    assert_eq!(from_id(&id(IdType::IPV4_ADDR_RANGE, &[10, 0, 0, 9, 10, 0, 0, 1])), None);
    assert_eq!(from_id(&id(IdType::IPV6_ADDR, &[10, 0, 0, 9])), None);
    assert_eq!(from_id(&id(IdType::IPV4_ADDR, &[10, 0, 0])), None);
    assert_eq!(from_id(&id(IdType::IPV4_ADDR_SUBNET, &[10, 0, 0, 0, 255])), None);
    assert_eq!(from_id(&id(IdType::FQDN, b"moon")), None);
    // Host bits behind the mask say nothing.
    let untidy = id(IdType::IPV4_ADDR_SUBNET, &[10, 1, 2, 3, 255, 255, 0, 0]);
    assert_eq!(from_id(&untidy).unwrap().to_string(), "10.1.0.0/16");
}

#[test]
fn a_configuration_stands_for_every_pair_of_one_family_and_protocol() {
    let fixed = |text| SelectorTemplate::Fixed(selector(text));
    let config = ChildConfig {
        name: "net".to_string(),
        proposals: Vec::new(),
        prefer: ikebana_proposals::Prefer::Local,
        local: Vec::from([fixed("10.1.0.0/16"), fixed("2001:db8:1::/48"), SelectorTemplate::DYNAMIC]),
        remote: Vec::from([fixed("10.2.0.0/16[tcp/80]"), fixed("10.3.0.0/16"), fixed("2001:db8:2::/48")]),
        mode: Mode::Tunnel,
        lifetime: Lifetime::UNLIMITED,
        replay_window: 64,
        compress: false,
    };
    let path = Path::new("192.0.2.1:500".parse().unwrap(), "192.0.2.2:500".parse().unwrap());
    let ends = Ends::outer(path);
    let texts = |pairs: &[Pair]| {
        let words = pairs.iter().map(|pair| alloc::format!("{} {}", pair.local, pair.remote));
        words.collect::<Vec<_>>()
    };
    let expected = [
        "10.1.0.0/16[tcp] 10.2.0.0/16[tcp/80]",
        "10.1.0.0/16 10.3.0.0/16",
        "2001:db8:1::/48 2001:db8:2::/48",
        "192.0.2.1/32[tcp] 10.2.0.0/16[tcp/80]",
        "192.0.2.1/32 10.3.0.0/16",
    ];
    assert_eq!(texts(&pairs(&config, &ends)), expected);
    let transport = ChildConfig { mode: Mode::Transport, ..config };
    assert_eq!(
        texts(&pairs(&transport, &ends)),
        ["192.0.2.1/32[tcp] 192.0.2.2/32[tcp/80]", "192.0.2.1/32 192.0.2.2/32"]
    );
}
