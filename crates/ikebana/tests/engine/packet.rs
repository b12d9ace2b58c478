//! Numbered packets for the inner side.

use std::net::IpAddr;

use etherparse::{
    Icmpv4Type, Icmpv6Type, IpSlice, PacketBuilder, SlicedPacket, TransportSlice, icmpv4, icmpv6,
};

/// The port that numbered packets go to, and come from.
pub(crate) const PORT: u16 = 5_000;

/// A UDP packet of `length` octets in all that carries `number`.
pub(crate) fn numbered(source: IpAddr, destination: IpAddr, number: u64, length: usize) -> Vec<u8> {
    with_ports(source, destination, (PORT, PORT), number, length)
}

/// The same with other ports.
pub(crate) fn with_ports(
    source: IpAddr,
    destination: IpAddr,
    ports: (u16, u16),
    number: u64,
    length: usize,
) -> Vec<u8> {
    let builder = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            PacketBuilder::ipv4(source.octets(), destination.octets(), 64)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            PacketBuilder::ipv6(source.octets(), destination.octets(), 64)
        }
        _ => panic!("two families"),
    };
    let builder = builder.udp(ports.0, ports.1);
    let headers = builder.size(0);
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(length.saturating_sub(headers).max(8), number as u8);
    let mut packet = Vec::new();
    builder.write(&mut packet, &payload).unwrap();
    packet
}

/// The same IPv4 packet without "don't fragment", its checksum made right.
pub(crate) fn fragmentable(mut packet: Vec<u8>) -> Vec<u8> {
    assert_eq!((packet[0] >> 4, packet[6]), (4, 0x40));
    packet[6] = 0;
    packet[10..12].fill(0);
    let mut sum: u32 =
        packet[..20].chunks(2).map(|two| u32::from(u16::from_be_bytes([two[0], two[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    packet[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    packet
}

/// The number that a packet carries, after everything about it has been checked; `None` if it is another kind
/// of packet.
pub(crate) fn number_of(packet: &[u8]) -> Option<u64> {
    let sliced = SlicedPacket::from_ip(packet).expect("an IP packet");
    let Some(TransportSlice::Udp(udp)) = &sliced.transport else { return None };
    let header = udp.to_header();
    let payload = udp.payload();
    let sum = match IpSlice::from_slice(packet).unwrap() {
        IpSlice::Ipv4(v4) => {
            assert_eq!(v4.header().header_checksum(), v4.header().to_header().calc_header_checksum());
            header.calc_checksum_ipv4(&v4.header().to_header(), payload).unwrap()
        }
        IpSlice::Ipv6(v6) => header.calc_checksum_ipv6(&v6.header().to_header(), payload).unwrap(),
    };
    assert_eq!(udp.checksum(), sum, "UDP checksum");
    let number = u64::from_be_bytes(*payload.first_chunk()?);
    assert!(payload[8..].iter().all(|octet| *octet == number as u8), "the payload has changed");
    Some(number)
}

/// Source and destination.
pub(crate) fn addresses(packet: &[u8]) -> (IpAddr, IpAddr) {
    let ip = IpSlice::from_slice(packet).expect("an IP packet");
    (ip.source_addr(), ip.destination_addr())
}

/// An ICMP or ICMPv6 "time exceeded" from a router that is in nobody's networks.
pub(crate) fn time_exceeded(to: IpAddr, quoted: &[u8]) -> Vec<u8> {
    let quoted = &quoted[..quoted.len().min(500)];
    let mut packet = Vec::new();
    match to {
        IpAddr::V4(to) => PacketBuilder::ipv4([172, 16, 0, 1], to.octets(), 64)
            .icmpv4(Icmpv4Type::TimeExceeded(icmpv4::TimeExceededCode::TtlExceededInTransit))
            .write(&mut packet, quoted)
            .unwrap(),
        IpAddr::V6(to) => PacketBuilder::ipv6([0xfe; 16], to.octets(), 64)
            .icmpv6(Icmpv6Type::TimeExceeded(icmpv6::TimeExceededCode::HopLimitExceeded))
            .write(&mut packet, quoted)
            .unwrap(),
    }
    packet
}
