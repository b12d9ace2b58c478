//! BEET mode, against packets put together by hand as draft-nikander-esp-beet-mode-09 and Linux do it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on must fail"
)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "test data"
)]

mod common;

use std::net::IpAddr;

use common::{data, fold, inbound, outbound, params, suite, udp_between, with_room};
use ikebana_crypto::CryptoProvider;
use ikebana_esp::{
    Delivered, EspParams, Family, InboundSa, InnerAddresses, IpError, Mode, NextHeader, OpenError,
    OutboundSa, Overhead, PacketBuf, ReceivedOuter, SealError, SetupError,
};

fn inner(family: Family) -> InnerAddresses {
    let (source, destination): (IpAddr, IpAddr) = match family {
        Family::V4 => ([10, 0, 0, 1].into(), [10, 9, 0, 1].into()),
        Family::V6 => ([0xfd00, 0, 0, 1, 0, 0, 0, 1].into(), [0xfd00, 0, 0, 2, 0, 0, 0, 1].into()),
    };
    InnerAddresses { source, destination }
}

/// Without encryption, so that what travels can be seen.
fn beet(family: Family, in_udp: bool, outer: Family) -> EspParams {
    params(suite("null-sha256", false), Mode::Beet(inner(family)), in_udp, outer)
}

fn pair(family: Family, in_udp: bool, outer: Family) -> (OutboundSa, InboundSa) {
    (outbound(beet(family, in_udp, outer)), inbound(beet(family, in_udp, outer)))
}

fn packet(family: Family, tos: u8, length: usize) -> Vec<u8> {
    let InnerAddresses { source, destination } = inner(family);
    udp_between(source, destination, tos, &data(length))
}

/// The same IPv4 packet with options.
fn with_options(packet: &[u8], options: &[u8]) -> Vec<u8> {
    let mut packet = [&packet[..20], options, &packet[20..]].concat();
    packet[0] = 0x45 + (options.len() / 4) as u8;
    let length = packet.len() as u16;
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    packet[10..12].fill(0);
    let sum = !fold(&packet[..20 + options.len()], 0);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// The text of a sealed packet, and its next header: behind SPI and sequence number, in front of padding.
fn text(sealed: &[u8]) -> (&[u8], u8) {
    let trailer = sealed.len() - 16;
    let (pad, next) = (usize::from(sealed[trailer - 2]), sealed[trailer - 1]);
    (&sealed[8..trailer - 2 - pad], next)
}

#[test]
fn a_packet_travels_without_its_header_and_has_it_again_at_the_other_side() {
    for (family, header) in [(Family::V4, 20), (Family::V6, 40)] {
        for outer in [Family::V4, Family::V6] {
            for in_udp in [false, true] {
                let (mut sender, mut receiver) = pair(family, in_udp, outer);
                for length in [0, 1, 7, 500] {
                    let original = packet(family, 0xb9, length);
                    let (mut bytes, range) = with_room(&original);
                    let mut sealed = PacketBuf::new(&mut bytes, range).unwrap();
                    let fields = sender.encapsulate(&mut sealed).unwrap();
                    assert_eq!((fields.tos, fields.ttl, fields.dont_fragment), (0xb9, 61, true));
                    assert_eq!(text(sealed.payload()), (&original[header..], 17));

                    let heard = ReceivedOuter { tos: Some(0xbb), ttl: Some(57) };
                    assert_eq!(receiver.decapsulate(&mut sealed, heard), Ok(Delivered::Packet));
                    // The congestion mark of the path is the packet's now; the rest is as it was.
                    let mut expected = packet(family, 0xbb, length);
                    match family {
                        Family::V4 => {
                            (expected[4], expected[5], expected[8]) = (0, 0, 57);
                            expected[10..12].fill(0);
                            let sum = !fold(&expected[..20], 0);
                            expected[10..12].copy_from_slice(&sum.to_be_bytes());
                        }
                        Family::V6 => {
                            (expected[2], expected[3], expected[7]) = (0, 0, 57);
                            expected[1] &= 0xf0;
                        }
                    }
                    assert_eq!(sealed.payload(), expected, "{family:?} in {outer:?}");
                }
            }
        }
    }
}

#[test]
fn whole_packets_keep_what_the_outer_header_can_say() {
    for family in [Family::V4, Family::V6] {
        for outer in [Family::V4, Family::V6] {
            for in_udp in [false, true] {
                let (mut sender, mut receiver) = pair(family, in_udp, outer);
                let original = packet(family, 0x2e << 2, 300);
                let (mut bytes, range) = with_room(&original);
                let mut whole = PacketBuf::new(&mut bytes, range).unwrap();
                sender.encapsulate_whole(&mut whole, 0x1234).unwrap();
                let (source, destination) = common::outer_addresses(outer);
                let addresses = match outer {
                    Family::V4 => &whole.payload()[12..20],
                    Family::V6 => &whole.payload()[8..40],
                };
                let expected = match (source, destination) {
                    (IpAddr::V4(s), IpAddr::V4(d)) => [s.octets(), d.octets()].concat(),
                    (IpAddr::V6(s), IpAddr::V6(d)) => [s.octets(), d.octets()].concat(),
                    _ => panic!("two families"),
                };
                assert_eq!(addresses, expected);
                assert_eq!(receiver.decapsulate_whole(&mut whole), Ok(Delivered::Packet));
                let mut delivered = whole.payload().to_vec();
                // 0x1234 is the original's identification too; only an IPv4 outer header carries it.
                match (family, outer) {
                    (Family::V4, Family::V4) => {}
                    (Family::V4, Family::V6) => {
                        delivered[4..6].copy_from_slice(&[0x12, 0x34]);
                        delivered[10..12].fill(0);
                        let sum = !fold(&delivered[..20], 0);
                        delivered[10..12].copy_from_slice(&sum.to_be_bytes());
                    }
                    // The flow label is the outer header's own, where there is one.
                    (Family::V6, Family::V4) => delivered[1..4].copy_from_slice(&original[1..4]),
                    (Family::V6, Family::V6) => {}
                }
                assert_eq!(delivered, original, "{family:?} in {outer:?}");
            }
        }
    }
}

#[test]
fn options_travel_behind_the_pseudo_header() {
    let route = [7, 7, 4, 0, 0, 0, 0, 0];
    let cases: [(&[u8], &[u8]); 4] = [
        // Options of four octets end the first eight octets, those of eight need four of padding.
        (&[0x94, 4, 0, 0], &[17, 0, 0, 0, 0x94, 4, 0, 0]),
        (&route, &[17, 1, 4, 0, 1, 1, 1, 1, 7, 7, 4, 0, 0, 0, 0, 0]),
        (&[&route[..], &[1; 4]].concat(), &[17, 1, 0, 0, 7, 7, 4, 0, 0, 0, 0, 0, 1, 1, 1, 1]),
        (&[1; 40], &[&[17, 5, 4, 0, 1, 1, 1, 1][..], &[1; 40]].concat()),
    ];
    for (options, expected) in cases {
        let (mut sender, mut receiver) = pair(Family::V4, false, Family::V4);
        let original = with_options(&packet(Family::V4, 0, 100), options);
        let (mut bytes, range) = with_room(&original);
        let mut whole = PacketBuf::new(&mut bytes, range).unwrap();
        sender.encapsulate_whole(&mut whole, 0x1234).unwrap();
        let (text, next) = text(&whole.payload()[20..]);
        assert_eq!((&text[..expected.len()], next), (expected, 94));
        assert_eq!(text[expected.len()..], original[20 + options.len()..]);
        assert_eq!(receiver.decapsulate_whole(&mut whole), Ok(Delivered::Packet));
        assert_eq!(whole.payload(), original, "{options:02x?}");
    }
}

#[test]
fn no_packet_becomes_longer_than_the_overhead_says() {
    for (family, options) in
        [(Family::V4, 0), (Family::V4, 4), (Family::V4, 8), (Family::V4, 40), (Family::V6, 0)]
    {
        for outer in [Family::V4, Family::V6] {
            let (mut sender, mut receiver) = pair(family, true, outer);
            let overhead: Overhead = sender.overhead();
            for path in [600, 1_280, 1_500] {
                let mtu = overhead.inner_mtu(path);
                let mut original =
                    packet(family, 0, mtu - options - if family == Family::V4 { 28 } else { 48 });
                if options > 0 {
                    original = with_options(&original, &vec![1; options]);
                }
                assert_eq!(original.len(), mtu);
                // No more room than it says.
                let mut bytes = vec![0; overhead.headroom() + mtu + overhead.tailroom()];
                let range = overhead.headroom()..overhead.headroom() + mtu;
                bytes[range.clone()].copy_from_slice(&original);
                let mut whole = PacketBuf::new(&mut bytes, range).unwrap();
                sender.encapsulate_whole(&mut whole, 0x1234).unwrap();
                assert!(whole.len() <= overhead.outer_len(mtu) && overhead.outer_len(mtu) <= path);
                assert!(whole.len() + 16 > path, "{} of {path}", whole.len());
                assert_eq!(receiver.decapsulate_whole(&mut whole), Ok(Delivered::Packet));
                assert_eq!(whole.len(), mtu);
            }
        }
    }
}

#[test]
fn only_whole_packets_between_the_inner_addresses_are_sealed() {
    let (mut sender, _) = pair(Family::V4, false, Family::V4);
    let good = packet(Family::V4, 0, 100);
    let mut seal = |octets: &[u8]| {
        let (mut bytes, range) = with_room(octets);
        let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
        let result = sender.encapsulate(&mut packet).map(drop);
        assert!(result.is_ok() || packet.payload() == octets);
        result
    };
    assert_eq!(seal(&good), Ok(()));
    for at in [15, 19] {
        let mut other = good.clone();
        other[at] ^= 2;
        assert_eq!(seal(&other), Err(SealError::Addresses));
    }
    for (at, value) in [(6, 0x20), (7, 1)] {
        let mut fragment = good.clone();
        fragment[at] |= value;
        assert_eq!(seal(&fragment), Err(SealError::Fragment));
    }
    assert_eq!(seal(&packet(Family::V6, 0, 100)), Err(SealError::Family));
    assert_eq!(seal(&good[..50]), Err(SealError::Inner(IpError::TotalLength { stated: 128, available: 50 })));
    assert_eq!((sender.stats().wrong_addresses, sender.stats().fragment, sender.stats().errors()), (2, 2, 6));
    assert_eq!(sender.last_sequence(), 1);

    let mixed = InnerAddresses { destination: inner(Family::V6).destination, ..inner(Family::V4) };
    let params = EspParams { mode: Mode::Beet(mixed), ..beet(Family::V4, false, Family::V4) };
    let error = InboundSa::new(params, &CryptoProvider::rust_crypto()).err().unwrap();
    assert_eq!(error, SetupError::MixedFamilies { from: mixed.source, to: mixed.destination });
}

/// What the receiver makes of a payload that the peer has sealed.
fn through(family: Family, next: NextHeader, text: &[u8]) -> (Result<Delivered, OpenError>, Vec<u8>) {
    let (mut sender, mut receiver) = pair(family, false, Family::V4);
    let (mut bytes, range) = with_room(text);
    let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
    sender.seal(&mut packet, next).unwrap();
    let result = receiver.decapsulate(&mut packet, ReceivedOuter::default());
    assert_eq!(receiver.stats().errors(), u64::from(result.is_err()));
    (result, packet.payload().to_vec())
}

#[test]
fn a_pseudo_header_that_does_not_fit_its_options_is_refused() {
    let malformed = Err(OpenError::Inner(IpError::Options));
    let bad: [&[u8]; 9] = [
        &[],
        &[17, 0, 0],
        // Longer than the payload.
        &[17, 1, 4, 0, 1, 1, 1, 1],
        &[17, 255, 4, 0, 1, 1, 1, 1],
        // Padding past the header, or leaving options of half words.
        &[17, 0, 5, 0, 1, 1, 1, 1],
        &[17, 0, 255, 0, 1, 1, 1, 1],
        &[17, 0, 1, 0, 1, 1, 1, 1],
        // 44 octets of options.
        &[&[17, 5, 0, 0][..], &[1; 60]].concat(),
        &[&[17, 6, 0, 0][..], &[1; 60]].concat(),
    ];
    for text in bad {
        assert_eq!(through(Family::V4, NextHeader::BEET, text).0, malformed, "{text:?}");
    }
    // No options at all is allowed, and so is more padding than anybody sends.
    let (result, packet) = through(Family::V4, NextHeader::BEET, &[17, 0, 4, 0, 1, 1, 1, 1, 9]);
    assert_eq!((result, packet.len(), packet[0], packet[9]), (Ok(Delivered::Packet), 21, 0x45, 17));
    // IPv6 has no such header.
    let (result, packet) = through(Family::V6, NextHeader::BEET, &[17, 0, 4, 0]);
    assert_eq!((result, packet.len(), packet[6]), (Ok(Delivered::Packet), 44, 94));
    // Dummies are dummies.
    assert_eq!(through(Family::V4, NextHeader::NONE, &[0; 9]).0, Ok(Delivered::Dummy));
}
