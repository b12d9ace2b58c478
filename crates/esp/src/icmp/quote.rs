//! The packets that ICMP errors are about.

use ikebana_core::selector::protocol;

use crate::flow::{InnerFlow, flow_of};
use crate::ip::{self, Chain, IpHeader};

/// What stands in front of the quoted packet.
pub(super) const ICMP_HEADER: usize = 8;

/// A packet of which an ICMP error quotes the beginning.
pub(super) struct Quoted<'a> {
    pub(super) header: IpHeader,
    pub(super) chain: Chain,
    /// What is there of the next layer.
    pub(super) upper: &'a [u8],
}

impl<'a> Quoted<'a> {
    /// Reads the packet that a message quotes.
    pub(super) fn parse(quote: &'a [u8]) -> Option<Self> {
        let header = IpHeader::parse_beginning(quote).ok()?;
        // The header says how long the packet was, and not how much of it is quoted.
        let there = IpHeader { total_len: header.total_len.min(quote.len()), ..header };
        let chain = ip::walk(quote, &there).ok()?;
        Some(Self { header, chain, upper: quote.get(chain.offset..there.total_len)? })
    }
}

/// Whether a packet is an ICMP error, about which no ICMP error may be sent.
pub(super) fn is_error(packet: &[u8], chain: &Chain) -> bool {
    let kind = packet.get(chain.offset).copied();
    match chain.protocol {
        // Destination unreachable, source quench, redirect, time exceeded, parameter problem, conversion and
        // security failures. A message too short to say what it is gets no answer either.
        protocol::ICMP => kind.is_none_or(|kind| matches!(kind, 3 | 4 | 5 | 11 | 12 | 31 | 40)),
        // RFC 4443 2.1: errors have types below 128; redirect is 137.
        protocol::ICMPV6 => kind.is_none_or(|kind| kind < 128 || kind == 137),
        _ => false,
    }
}

/// Whether an IP packet is an ICMP error that quotes another packet: "destination unreachable", "packet too big",
/// "time exceeded" or "parameter problem".
#[must_use]
pub fn is_icmp_error(packet: &[u8]) -> bool {
    quote_of(packet).is_some()
}

/// The flow of the packet that an ICMP error is about, in that packet's own direction; `None` if `packet` is no
/// such error, quotes too little, or does not go to the sender of what it quotes.
///
/// A router that reports an error has an address of its own, which no SA may be for. RFC 4301 6.2 lets the
/// message pass if the SA is for the packets that the error is about, in the other direction.
///
/// ```
/// let unreachable = [
///     0x45, 0, 0, 56, 0, 0, 0, 0, 64, 1, 0, 0, 203, 0, 113, 1, 192, 0, 2, 1, // from a router
///     3, 1, 0, 0, 0, 0, 0, 0, // host unreachable
///     0x45, 0, 5, 0, 0, 0, 0x40, 0, 63, 17, 0, 0, 192, 0, 2, 1, 198, 51, 100, 7, // quoted
///     0x30, 0x39, 0, 53, 0, 0, 0, 0,
/// ];
/// let flow = ikebana_esp::icmp_error_about(&unreachable).unwrap().outbound();
/// assert_eq!(flow.to_string(), "192.0.2.1:12345 -> 198.51.100.7:53 protocol 17");
/// ```
#[must_use]
pub fn icmp_error_about(packet: &[u8]) -> Option<InnerFlow> {
    let (header, quote) = quote_of(packet)?;
    let quoted = Quoted::parse(quote)?;
    // Anything may be quoted, but only the quoted packet's sender is told.
    if quoted.header.source != header.destination {
        return None;
    }
    flow_of(&quoted.header, &quoted.chain, quoted.upper).ok()
}

/// The header of a packet that is a whole ICMP error, and what it quotes.
fn quote_of(packet: &[u8]) -> Option<(IpHeader, &[u8])> {
    let header = IpHeader::parse(packet).ok()?;
    let chain = ip::walk(packet, &header).ok()?;
    let message = packet.get(chain.offset..header.total_len)?;
    let kind = *message.first()?;
    let quotes = match (chain.protocol, header.source.is_ipv4()) {
        (protocol::ICMP, true) => matches!(kind, 3 | 11 | 12),
        (protocol::ICMPV6, false) => matches!(kind, 1..=4),
        _ => false,
    };
    (quotes && !chain.fragment).then_some((header, message.get(ICMP_HEADER..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use core::net::{IpAddr, Ipv6Addr};

    fn v4(protocol: u8, flags: u8, addresses: [[u8; 4]; 2], payload: &[u8]) -> Vec<u8> {
        let mut packet = Vec::from([0x45, 0]);
        packet.extend(u16::try_from(20 + payload.len()).unwrap().to_be_bytes());
        packet.extend([0, 0, flags, 0, 64, protocol, 0, 0]);
        packet.extend(addresses.concat());
        packet.extend(payload);
        packet
    }

    fn v6(protocol: u8, addresses: [Ipv6Addr; 2], payload: &[u8]) -> Vec<u8> {
        let mut packet = Vec::from([0x60, 0, 0, 0]);
        packet.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        packet.extend([protocol, 64]);
        packet.extend(addresses[0].octets());
        packet.extend(addresses[1].octets());
        packet.extend(payload);
        packet
    }

    const HOST: [u8; 4] = [10, 0, 0, 1];
    const PEER: [u8; 4] = [10, 9, 0, 1];
    const ROUTER: [u8; 4] = [172, 16, 0, 1];

    fn error(kind: u8, to: [u8; 4], quoted: &[u8]) -> Vec<u8> {
        v4(1, 0, [ROUTER, to], &[&[kind, 1, 0, 0, 0, 0, 0, 0], quoted].concat())
    }

    #[test]
    fn the_flow_of_the_quoted_packet_is_read_though_only_its_beginning_is_there() {
        let tcp = v4(6, 0, [HOST, PEER], &[&[0x30, 0x39, 0, 80], &[9; 1_000][..]].concat());
        for quoted in [&tcp[..28], &tcp[..24], &tcp] {
            for kind in [3, 11, 12] {
                let flow = icmp_error_about(&error(kind, HOST, quoted)).unwrap();
                assert_eq!((flow.source, flow.destination), (HOST.into(), PEER.into()));
                assert_eq!((flow.source_port, flow.destination_port), (Some(12_345), Some(80)));
            }
        }
        let [host, peer] = [[0xfd; 16], [0xfc; 16]].map(Ipv6Addr::from);
        // Behind a destination options header, whose end is quoted but not the packet's.
        let udp =
            v6(60, [host, peer], &[&[17, 0, 1, 4, 0, 0, 0, 0, 0x30, 0x39, 0, 53], &[9; 900][..]].concat());
        let router = Ipv6Addr::from([0xfe; 16]);
        for kind in 1..=4 {
            let message = [&[kind, 0, 0, 0, 0, 0, 5, 0], &udp[..60]].concat();
            let flow = icmp_error_about(&v6(58, [router, host], &message)).unwrap();
            assert_eq!((flow.source, flow.protocol), (IpAddr::from(host), 17));
            assert_eq!((flow.source_port, flow.destination_port), (Some(12_345), Some(53)));
        }
    }

    #[test]
    fn what_is_no_error_or_quotes_too_little_or_goes_elsewhere_is_about_nothing() {
        let tcp = v4(6, 0, [HOST, PEER], &[9; 100]);
        assert!(icmp_error_about(&error(3, HOST, &tcp)).is_some());
        for kind in [0, 4, 5, 8, 13] {
            assert!(!is_icmp_error(&error(kind, HOST, &tcp)), "{kind}");
        }
        for length in 0..24 {
            assert_eq!(icmp_error_about(&error(3, HOST, &tcp[..length])), None, "{length}");
        }
        // To somebody else than the sender of what is quoted.
        assert_eq!(icmp_error_about(&error(3, PEER, &tcp)), None);
        // A fragment of an error, and errors of the other family.
        let message = [&[3, 1, 0, 0, 0, 0, 0, 0], &tcp[..]].concat();
        assert!(!is_icmp_error(&v4(1, 0x20, [ROUTER, HOST], &message)));
        assert!(!is_icmp_error(&v4(58, 0, [ROUTER, HOST], &message)));
        let [a, b] = [[0xfd; 16], [0xfc; 16]].map(Ipv6Addr::from);
        assert!(!is_icmp_error(&v6(1, [a, b], &message)));
        for kind in [0, 5, 128, 129, 137] {
            assert!(!is_icmp_error(&v6(58, [a, b], &[&[kind; 8], &tcp[..]].concat())), "{kind}");
        }
    }
}
