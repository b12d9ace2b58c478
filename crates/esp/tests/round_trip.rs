//! What is sealed comes out again: every suite, mode, family and length, through the octets on the wire.
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

use common::{SUITES, inbound, ip_packet, outbound, outer_addresses, params, suite, udp_packet, with_room};
use ikebana_esp::{Delivered, Family, Mode, NextHeader, PacketBuf, ReceivedOuter};
use proptest::prelude::*;

fn families() -> impl Strategy<Value = Family> {
    prop_oneof![Just(Family::V4), Just(Family::V6)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_payload_seals_and_opens(
        keywords in proptest::sample::select(&SUITES[..]),
        esn: bool,
        start in prop_oneof![Just(0u64), Just(0xffff_fff0), 0..0xffff_0000u64],
        payload in proptest::collection::vec(any::<u8>(), 0..200),
        next in 0u8..=255,
    ) {
        let made = || params(suite(keywords, esn), Mode::Tunnel, false, Family::V4);
        let (mut sender, mut receiver) = (outbound(made()), inbound(made()));
        sender.resume_after(start);
        let (mut bytes, range) = with_room(&payload);
        let mut packet = PacketBuf::new(&mut bytes, range.clone()).unwrap();
        sender.seal(&mut packet, NextHeader(next)).unwrap();
        prop_assert_eq!(packet.len() + 20, sender.overhead().outer_len(payload.len()));
        let mut wire = packet.payload().to_vec();
        if payload.len() >= 8 && !keywords.starts_with("null") && !keywords.contains("gmac") {
            prop_assert!(!wire.windows(payload.len()).any(|window| window == payload));
        }

        let mut arrived = PacketBuf::full(&mut wire);
        prop_assert_eq!(receiver.open(&mut arrived), Ok(NextHeader(next)));
        prop_assert_eq!(arrived.payload(), &payload[..]);
        prop_assert_eq!(receiver.highest_sequence(), start + 1);
        prop_assert_eq!((receiver.stats().packets, receiver.stats().errors()), (1, 0));
    }

    #[test]
    fn any_packet_survives_a_tunnel(
        keywords in proptest::sample::select(&SUITES[..]),
        in_udp: bool,
        outer in families(),
        inner in families(),
        tos: u8,
        length in 0usize..1500,
        trailing in 0usize..20,
    ) {
        let made = || params(suite(keywords, false), Mode::Tunnel, in_udp, outer);
        let (mut sender, mut receiver) = (outbound(made()), inbound(made()));
        let original = udp_packet(inner, tos, &common::data(length));
        // Octets behind the packet, as Ethernet pads short frames, do not enter the tunnel.
        let padded = [&original[..], &vec![0; trailing]].concat();
        let (mut bytes, range) = with_room(&padded);
        let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
        sender.encapsulate_whole(&mut packet, 0x4711).unwrap();
        prop_assert_eq!(packet.len(), sender.overhead().outer_len(original.len()));
        if outer == Family::V4 {
            prop_assert_eq!(common::fold(&packet.payload()[..20], 0), 0xffff);
        }

        let mut wire = packet.payload().to_vec();
        let mut arrived = PacketBuf::full(&mut wire);
        prop_assert_eq!(receiver.decapsulate_whole(&mut arrived), Ok(Delivered::Packet));
        prop_assert_eq!(arrived.payload(), &original[..]);
    }

    #[test]
    fn any_packet_survives_transport_mode_with_its_header(
        keywords in proptest::sample::select(&SUITES[..]),
        in_udp: bool,
        family in families(),
        tos: u8,
        protocol in prop_oneof![Just(1u8), Just(6), Just(17), Just(47), Just(132)],
        extras in 0usize..4,
        payload in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let made = || params(suite(keywords, false), Mode::Transport, in_udp, family);
        let (mut sender, mut receiver) = (outbound(made()), inbound(made()));
        let (source, destination) = outer_addresses(family);
        let mut original = match family {
            Family::V4 => ip_packet(source, destination, tos, protocol, &[&[1; 12][..extras * 4], &payload].concat()),
            Family::V6 => {
                // Hop-by-hop options, routing, destination options.
                let chain = [0, 43, 60, protocol];
                let mut headers = Vec::new();
                for header in 0..extras {
                    headers.extend([if header + 1 == extras { protocol } else { chain[header + 1] }]);
                    headers.extend([0, 1, 4, 0, 0, 0, 0]);
                }
                let first = if extras == 0 { protocol } else { 0 };
                ip_packet(source, destination, tos, first, &[&headers[..], &payload].concat())
            }
        };
        if family == Family::V4 {
            original[0] += extras as u8;
            original[10..12].fill(0);
            let header_len = 20 + extras * 4;
            let sum = !common::fold(&original[..header_len], 0);
            original[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        // Behind a NAT the receiver computes the checksum anew, so it has to be right before.
        fix_transport_checksum(&mut original, family, protocol, extras);

        let (mut bytes, range) = with_room(&original);
        let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
        sender.encapsulate_whole(&mut packet, 0).unwrap();
        if family == Family::V4 {
            prop_assert_eq!(common::fold(&packet.payload()[..20 + extras * 4], 0), 0xffff);
        }
        let mut wire = packet.payload().to_vec();
        let mut arrived = PacketBuf::full(&mut wire);
        prop_assert_eq!(receiver.decapsulate_whole(&mut arrived), Ok(Delivered::Packet));
        prop_assert_eq!(arrived.payload(), &original[..]);
    }

    #[test]
    fn transport_mode_over_sockets_gives_the_payload_a_header_again(
        keywords in proptest::sample::select(&SUITES[..]),
        in_udp: bool,
        family in families(),
        tos: u8,
        length in 0usize..300,
    ) {
        let made = || params(suite(keywords, false), Mode::Transport, in_udp, family);
        let (mut sender, mut receiver) = (outbound(made()), inbound(made()));
        let (source, destination) = outer_addresses(family);
        let original = common::udp_between(source, destination, tos, &common::data(length));
        let (mut bytes, range) = with_room(&original);
        let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
        let fields = sender.encapsulate(&mut packet).unwrap();
        prop_assert_eq!((fields.tos, fields.ttl), (tos, 61));

        let outer = ReceivedOuter { tos: Some(fields.tos), ttl: Some(55) };
        prop_assert_eq!(receiver.decapsulate(&mut packet, outer), Ok(Delivered::Packet));
        let delivered = packet.payload();
        let header = family.header_len();
        prop_assert_eq!(&delivered[header..], &original[header..]);
        prop_assert_eq!(delivered.len(), original.len());
        let flow = ikebana_esp::inner_flow(delivered).unwrap();
        prop_assert_eq!((flow.source, flow.destination, flow.protocol), (source, destination, 17));
    }
}

/// Makes TCP and UDP checksums right, and UDP's present.
fn fix_transport_checksum(packet: &mut [u8], family: Family, protocol: u8, extras: usize) {
    let at = match protocol {
        6 => 16,
        17 => 6,
        _ => return,
    };
    let start = match family {
        Family::V4 => 20 + extras * 4,
        Family::V6 => 40 + extras * 8,
    };
    let (source, destination) = outer_addresses(family);
    let segment = &mut packet[start..];
    if segment.len() < at + 2 {
        return;
    }
    segment[at..at + 2].fill(0);
    let sum = match common::transport_sum(source, destination, protocol, segment) {
        0 if protocol == 17 => 0xffff,
        sum => sum,
    };
    segment[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}
