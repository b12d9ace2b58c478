use std::time::Duration;

use etherparse::PacketBuilder;

use super::*;

const IKE: [u8; 4] = [1, 2, 3, 4];

fn dissected(link: Link, octets: &[u8], check: impl FnOnce(Result<Packet<'_>, String>)) {
    check(dissect(&Frame { number: 1, at: Duration::ZERO, link, octets: octets.to_vec() }));
}

fn udp_over_v4() -> Vec<u8> {
    let builder = PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).udp(500, 4500);
    let mut octets = Vec::new();
    builder.write(&mut octets, &IKE).unwrap();
    octets
}

fn is_the_datagram(packet: Result<Packet<'_>, String>) {
    let packet = packet.unwrap();
    assert_eq!((packet.from(), packet.to()), ("10.0.0.1:500".into(), "10.0.0.2:4500".into()));
    assert!(matches!(packet.content, Content::Udp { octets, .. } if octets == IKE));
}

#[test]
fn udp_is_found_behind_every_link_header() {
    let ip = udp_over_v4();
    let behind = |header: &[u8]| [header, &ip].concat();
    dissected(Link::Ip, &ip, is_the_datagram);
    dissected(Link::Loopback, &behind(&[2, 0, 0, 0]), is_the_datagram);
    dissected(
        Link::LinuxCookedV2,
        &behind(&[0x08, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0]),
        is_the_datagram,
    );
    let cooked = [0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0x08, 0];
    dissected(Link::LinuxCooked, &behind(&cooked), is_the_datagram);
    dissected(Link::Ethernet, &behind(&[0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 0x08, 0]), is_the_datagram);
    let vlan = [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 0x81, 0, 0, 7, 0x08, 0];
    dissected(Link::Ethernet, &behind(&vlan), is_the_datagram);
}

#[test]
fn esp_and_ah_are_found_behind_both_versions_of_ip() {
    let esp = [0, 0, 1, 0, 0, 0, 0, 1, 9, 9, 9, 9];
    let mut v4 = Vec::new();
    PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).write(&mut v4, IpNumber(50), &esp).unwrap();
    dissected(Link::Ip, &v4, |packet| {
        assert!(matches!(packet.unwrap().content, Content::Esp(octets) if octets == esp));
    });
    let mut v6 = Vec::new();
    PacketBuilder::ipv6([1; 16], [2; 16], 64).write(&mut v6, IpNumber(50), &esp).unwrap();
    dissected(Link::Ip, &v6, |packet| {
        let packet = packet.unwrap();
        assert_eq!(packet.from(), "101:101:101:101:101:101:101:101");
        assert!(matches!(packet.content, Content::Esp(octets) if octets == esp));
    });
    let ah = [59, 4, 0, 0, 0, 0, 1, 1, 0, 0, 0, 7, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    for (mut whole, protocol_at, length_at) in [(v4, 9, 3), (v6, 6, 5)] {
        let header = whole.len() - esp.len();
        whole.truncate(header);
        whole.extend(ah);
        whole[protocol_at] = 51;
        whole[length_at] += 12;
        dissected(Link::Ip, &whole, |packet| {
            let content = packet.unwrap().content;
            let Content::Ah(ah) = content else { panic!("no AH") };
            assert_eq!((ah.spi, ah.sequence, ah.next_header), (257, 7, 59));
        });
    }
}

#[test]
fn fragments_are_mentioned_with_their_place() {
    let mut first = udp_over_v4();
    first[6] = 0x20;
    dissected(Link::Ip, &first, |packet| {
        let Content::Fragment(what) = packet.unwrap().content else { panic!("not a fragment") };
        assert_eq!(what, "fragment of UDP, 12 octets at offset 0, not reassembled");
    });
    let mut later = udp_over_v4();
    later[7] = 185;
    dissected(Link::Ip, &later, |packet| {
        let Content::Fragment(what) = packet.unwrap().content else { panic!("not a fragment") };
        assert_eq!(what, "fragment of UDP, 12 octets at offset 1480, not reassembled");
    });
}

#[test]
fn malformed_packets_and_unknown_links_are_said_to_be() {
    let ip = udp_over_v4();
    for length in 0..ip.len() {
        dissected(Link::Ip, &ip[..length], |packet| assert!(packet.is_err(), "{length}"));
    }
    for link in [Link::Loopback, Link::LinuxCookedV2, Link::LinuxCooked, Link::Ethernet] {
        dissected(link, &[], |packet| assert!(packet.is_err(), "{link:?}"));
    }
    dissected(Link::Unknown(147), &ip, |packet| {
        assert_eq!(packet.err().unwrap(), "link type 147 is not understood");
    });
}

#[test]
fn what_is_not_ip_is_something_else() {
    let arp = [&[0xff; 12][..], &[0x08, 0x06], &[0; 28]].concat();
    dissected(Link::Ethernet, &arp, |packet| {
        assert!(matches!(packet.map(|packet| packet.content), Ok(Content::Other) | Err(_)));
    });
}

#[test]
fn inner_packets_are_summed_up() {
    let mut tcp = Vec::new();
    let builder = PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).tcp(1234, 443, 0, 1024);
    builder.write(&mut tcp, b"hello").unwrap();
    assert_eq!(summary(&tcp), "10.0.0.1 > 10.0.0.2  TCP 1234 > 443, 45 octets");
    assert!(summary(&[]).starts_with("malformed packet"));
    assert!(summary(&[0x45; 10]).starts_with("malformed packet"));
}
