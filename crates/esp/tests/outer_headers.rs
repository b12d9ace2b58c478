//! The outer header of a tunnel, field by field (RFC 4301 5.1.2, RFC 6040 4.1, RFC 6864 4).
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

use common::{fold, inbound, outbound, outer_addresses, params, suite, udp_packet, with_room};
use ikebana_esp::{
    Delivered, DfPolicy, DscpPolicy, EcnMode, EspParams, Family, FlowLabelPolicy, Mode, OuterPolicy,
    PacketBuf,
};

/// The fields of a header that RFC 4301's tables have a row for.
#[derive(Debug, PartialEq, Eq)]
struct Fields {
    version: u8,
    /// IPv4: header length in octets.
    header_len: usize,
    dscp: u8,
    ecn: u8,
    total_len: usize,
    /// IPv4: identification, reserved flag, DF, MF, offset.
    fragment: Option<(u16, bool, bool, bool, u16)>,
    flow_label: Option<u32>,
    ttl: u8,
    protocol: u8,
    addresses: Vec<u8>,
}

fn read(packet: &[u8]) -> Fields {
    let number = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    if packet[0] >> 4 == 4 {
        assert_eq!(fold(&packet[..20], 0), 0xffff, "header checksum");
        let flags = number(6);
        return Fields {
            version: 4,
            header_len: usize::from(packet[0] & 15) * 4,
            dscp: packet[1] >> 2,
            ecn: packet[1] & 3,
            total_len: number(2).into(),
            fragment: Some((
                number(4),
                flags & 0x8000 != 0,
                flags & 0x4000 != 0,
                flags & 0x2000 != 0,
                flags & 0x1fff,
            )),
            flow_label: None,
            ttl: packet[8],
            protocol: packet[9],
            addresses: packet[12..20].to_vec(),
        };
    }
    let first = u32::from_be_bytes([packet[0], packet[1], packet[2], packet[3]]);
    Fields {
        version: (first >> 28) as u8,
        header_len: 40,
        dscp: (first >> 22) as u8 & 0x3f,
        ecn: (first >> 20) as u8 & 3,
        total_len: usize::from(number(4)) + 40,
        fragment: None,
        flow_label: Some(first & 0xf_ffff),
        ttl: packet[7],
        protocol: packet[6],
        addresses: packet[8..40].to_vec(),
    }
}

/// An inner packet with this DSCP and ECN; IPv4 with or without DF.
fn inner(family: Family, dscp: u8, ecn: u8, df: bool) -> Vec<u8> {
    let mut packet = udp_packet(family, dscp << 2 | ecn, &[7; 64]);
    if family == Family::V4 && !df {
        packet[6] = 0;
        packet[10..12].fill(0);
        let sum = !fold(&packet[..20], 0);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    packet
}

const COPY: OuterPolicy = OuterPolicy {
    dscp: DscpPolicy::Copy,
    ecn: EcnMode::Normal,
    df: DfPolicy::Copy,
    ttl: 64,
    flow_label: FlowLabelPolicy::Zero,
};

/// Policy, and what it makes of DSCP 46 with each ECN, DF, time to live, and the flow label 0xbeef of IPv6.
type Row = (OuterPolicy, u8, [u8; 4], Df, u8, u32);

/// DF of the outer IPv4 header by the inner packet: IPv4 with it, IPv4 without, IPv6.
type Df = [bool; 3];

/// Every policy alone, and all together. Each line of the tables in RFC 4301 5.1.2.1 and 5.1.2.2 is a column.
const TABLE: &[Row] = &[
    (COPY, 46, [0, 1, 2, 3], [true, false, true], 64, 0),
    (OuterPolicy { dscp: DscpPolicy::Set(10), ..COPY }, 10, [0, 1, 2, 3], [true, false, true], 64, 0),
    (OuterPolicy { dscp: DscpPolicy::Set(0), ..COPY }, 0, [0, 1, 2, 3], [true, false, true], 64, 0),
    (OuterPolicy { ecn: EcnMode::Compatibility, ..COPY }, 46, [0; 4], [true, false, true], 64, 0),
    (OuterPolicy { df: DfPolicy::Set, ..COPY }, 46, [0, 1, 2, 3], [true; 3], 64, 0),
    (OuterPolicy { df: DfPolicy::Clear, ..COPY }, 46, [0, 1, 2, 3], [false; 3], 64, 0),
    (OuterPolicy { ttl: 255, ..COPY }, 46, [0, 1, 2, 3], [true, false, true], 255, 0),
    (
        OuterPolicy { flow_label: FlowLabelPolicy::Copy, ..COPY },
        46,
        [0, 1, 2, 3],
        [true, false, true],
        64,
        0xbeef,
    ),
    (
        OuterPolicy { flow_label: FlowLabelPolicy::Set(0x12_3456), ..COPY },
        46,
        [0, 1, 2, 3],
        [true, false, true],
        64,
        0x2_3456,
    ),
    (
        OuterPolicy {
            dscp: DscpPolicy::Set(63),
            ecn: EcnMode::Compatibility,
            df: DfPolicy::Clear,
            ttl: 1,
            flow_label: FlowLabelPolicy::Set(0xf_ffff),
        },
        63,
        [0; 4],
        [false; 3],
        1,
        0xf_ffff,
    ),
];

#[test]
fn every_field_is_as_rfc_4301_says() {
    for (row, (policy, dscp, ecns, dfs, ttl, flow_label)) in TABLE.iter().enumerate() {
        for outer in [Family::V4, Family::V6] {
            for (column, (family, df)) in
                [(Family::V4, true), (Family::V4, false), (Family::V6, true)].into_iter().enumerate()
            {
                for (ecn, expected_ecn) in (0..4).zip(ecns) {
                    let made = || EspParams {
                        outer: *policy,
                        ..params(suite("null-sha256", false), Mode::Tunnel, false, outer)
                    };
                    let original = inner(family, 46, ecn, df);
                    let (mut bytes, range) = with_room(&original);
                    let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
                    outbound(made()).encapsulate_whole(&mut packet, 0xabcd).unwrap();
                    let sent = read(packet.payload());
                    let (source, destination) = outer_addresses(outer);
                    let addresses = match (source, destination) {
                        (std::net::IpAddr::V4(s), std::net::IpAddr::V4(d)) => {
                            [s.octets(), d.octets()].concat()
                        }
                        (std::net::IpAddr::V6(s), std::net::IpAddr::V6(d)) => {
                            [s.octets(), d.octets()].concat()
                        }
                        _ => panic!("two families"),
                    };
                    let expected = Fields {
                        version: if outer == Family::V4 { 4 } else { 6 },
                        header_len: outer.header_len(),
                        dscp: *dscp,
                        ecn: *expected_ecn,
                        total_len: packet.len(),
                        // Constructed, and never a fragment; options and extension headers never copied.
                        fragment: (outer == Family::V4).then_some((0xabcd, false, dfs[column], false, 0)),
                        flow_label: (outer == Family::V6).then_some(match policy.flow_label {
                            // Inner IPv4 has none to copy.
                            FlowLabelPolicy::Copy if family == Family::V4 => 0,
                            FlowLabelPolicy::Zero | FlowLabelPolicy::Copy | FlowLabelPolicy::Set(_) => {
                                *flow_label
                            }
                        }),
                        ttl: *ttl,
                        protocol: 50,
                        addresses,
                    };
                    assert_eq!(sent, expected, "row {row}, {family:?} {df} in {outer:?}");
                    // The inner packet stays as it is: time to live, flow label, all of it.
                    let esp = outer.header_len() + 8;
                    assert_eq!(packet.payload()[esp..esp + original.len()], original);
                    // And comes out so, whatever the outer header said, but for congestion marks.
                    let mut receiver = inbound(made());
                    assert_eq!(receiver.decapsulate_whole(&mut packet), Ok(Delivered::Packet));
                    assert_eq!(packet.payload(), original);
                }
            }
        }
    }
}

#[test]
fn an_outer_dscp_of_the_path_never_reaches_the_inner_packet() {
    let made = || params(suite("null-sha256", false), Mode::Tunnel, false, Family::V4);
    for remarked in 0..64u8 {
        let original = inner(Family::V6, 46, 2, true);
        let (mut bytes, range) = with_room(&original);
        let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
        outbound(made()).encapsulate_whole(&mut packet, 1).unwrap();
        packet.payload_mut()[1] = remarked << 2 | 2;
        assert_eq!(inbound(made()).decapsulate_whole(&mut packet), Ok(Delivered::Packet));
        assert_eq!(packet.payload(), original);
    }
}

#[test]
fn a_header_that_transport_mode_puts_back_is_atomic() {
    // RFC 6864 4.1: DF set, so the identification means nothing and may be the same in every packet.
    let made = || params(suite("null-sha256", false), Mode::Transport, false, Family::V4);
    let (source, destination) = outer_addresses(Family::V4);
    let original = common::udp_between(source, destination, 0xb8, &[7; 64]);
    let (mut bytes, range) = with_room(&original);
    let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
    let fields = outbound(made()).encapsulate(&mut packet).unwrap();
    assert_eq!((fields.tos, fields.ttl), (0xb8, 61));
    let heard = ikebana_esp::ReceivedOuter { tos: Some(0xb8), ttl: Some(60) };
    assert_eq!(inbound(made()).decapsulate(&mut packet, heard), Ok(Delivered::Packet));
    let delivered = read(packet.payload());
    assert_eq!(delivered.fragment, Some((0, false, true, false, 0)));
    assert_eq!((delivered.dscp, delivered.ttl, delivered.protocol), (46, 60, 17));
}
