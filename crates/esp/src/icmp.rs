//! "Packet too big", to the sender of a packet that does not fit the tunnel.

mod quote;
mod received;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ikebana_core::selector::protocol;

use crate::checksum::Sum;
use crate::ip::{self, IPV4_HEADER, IPV6_HEADER, IpHeader};

pub use quote::{icmp_error_about, is_icmp_error};
pub use received::{TooBig, TooBigError, received_too_big, received_too_big_v6};

/// The longest message that [`packet_too_big`] writes: the IPv6 minimum MTU (RFC 4443 2.4 c).
pub const MAX_TOO_BIG: usize = 1280;

/// RFC 1812 4.3.2.3: as much of the original as fits 576 octets.
const MAX_V4: usize = 576;
const ICMP_HEADER: usize = 8;
const TTL: u8 = 64;
/// RFC 791: every IPv4 link carries as much, RFC 8200 5: every IPv6 link.
const LEAST: [usize; 2] = [68, 1280];

/// Writes the ICMP message that tells the sender of `original` to send packets of at most `mtu` octets, and
/// returns its length: "fragmentation needed" (RFC 792, RFC 1191) for IPv4, "packet too big" (RFC 4443 3.2)
/// for IPv6. `router` is who the message comes from; `out` should have [`MAX_TOO_BIG`] octets.
///
/// `None` where no such message may be sent (RFC 1122 3.2.2, RFC 1812 4.3.2.7, RFC 4443 2.4 e): about an IPv4
/// packet that may be fragmented, about ICMP errors, about later fragments of IPv4 packets and of what may be an
/// ICMPv6 error, to or about addresses that are not one host's; or if `router` is of the other family, or `out`
/// is too short. The caller limits the rate (RFC 1812 4.3.2.8, RFC 4443 2.4 f).
///
/// An IPv6 sender never goes below 1280 octets (RFC 8201 4), so that is the least an IPv6 message says; the
/// tunnel has to carry such packets in fragments. An IPv4 message says 68 at least (RFC 791 3.2).
///
/// Nothing is appended to the quoted packet, so the length field of RFC 4884 stays zero.
pub fn packet_too_big(original: &[u8], router: IpAddr, mtu: usize, out: &mut [u8]) -> Option<usize> {
    let header = IpHeader::parse(original).ok()?;
    let chain = ip::walk(original, &header).ok()?;
    let original = original.get(..header.total_len)?;
    // RFC 1122 3.2.2: about an IPv4 packet's first fragment alone. RFC 4443 knows no such rule, since a sender
    // that has cut a packet into fragments too big has to hear of each; but what cannot be seen not to be an
    // ICMPv6 error gets no answer (RFC 4443 2.4 e.1).
    let unclear = chain.later_fragment && (header.source.is_ipv4() || chain.protocol == protocol::ICMPV6);
    if unclear || (!chain.later_fragment && quote::is_error(original, &chain)) {
        return None;
    }
    let [least4, least6] = LEAST;
    match (header.source, header.destination, router) {
        (IpAddr::V4(source), IpAddr::V4(destination), IpAddr::V4(router)) => {
            if !is_host(source) || destination.is_broadcast() || destination.is_multicast() {
                return None;
            }
            if !header.dont_fragment {
                return None;
            }
            write_v4(original, router, source, u16::try_from(mtu.max(least4)).unwrap_or(u16::MAX), out)
        }
        (IpAddr::V6(source), IpAddr::V6(_), IpAddr::V6(router)) => {
            // RFC 4443 2.4 e.3: the destination may be multicast, since path MTU discovery works there too.
            if source.is_unspecified() || source.is_multicast() || source.is_loopback() {
                return None;
            }
            write_v6(original, router, source, u32::try_from(mtu.max(least6)).unwrap_or(u32::MAX), out)
        }
        _ => None,
    }
}

/// Whether an address is one host's: not "this network" or broadcast, multicast, loopback, or of class E
/// (RFC 1122 3.2.2).
const fn is_host(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    !matches!(first, 0 | 127 | 224..)
}

fn write_v4(original: &[u8], from: Ipv4Addr, to: Ipv4Addr, mtu: u16, out: &mut [u8]) -> Option<usize> {
    let quoted = original.len().min(MAX_V4.saturating_sub(IPV4_HEADER).saturating_sub(ICMP_HEADER));
    let length = IPV4_HEADER.checked_add(ICMP_HEADER)?.checked_add(quoted)?;
    let out = out.get_mut(..length)?;
    let (header, message) = out.split_at_mut_checked(IPV4_HEADER)?;

    // Precedence "internetwork control", as RFC 1812 4.3.2.5 asks for.
    ip::put(header, 0, &[0x45, 0xc0])?;
    ip::put(header, 2, &u16::try_from(length).ok()?.to_be_bytes())?;
    // RFC 6864: the identification of a packet that is never fragmented means nothing.
    ip::put(header, 4, &[0, 0, 0x40, 0, TTL, protocol::ICMP, 0, 0])?;
    ip::put(header, 12, &from.octets())?;
    ip::put(header, 16, &to.octets())?;
    ip::checksum_v4(header)?;

    let [mtu_high, mtu_low] = mtu.to_be_bytes();
    ip::put(message, 0, &[3, 4, 0, 0, 0, 0, mtu_high, mtu_low])?;
    ip::put(message, ICMP_HEADER, original.get(..quoted)?)?;
    let checksum = Sum::default().add(message).finish();
    ip::put(message, 2, &checksum.to_be_bytes())?;
    Some(length)
}

fn write_v6(original: &[u8], from: Ipv6Addr, to: Ipv6Addr, mtu: u32, out: &mut [u8]) -> Option<usize> {
    let quoted = original.len().min(MAX_TOO_BIG.saturating_sub(IPV6_HEADER).saturating_sub(ICMP_HEADER));
    let payload = ICMP_HEADER.checked_add(quoted)?;
    let length = IPV6_HEADER.checked_add(payload)?;
    let out = out.get_mut(..length)?;
    let (header, message) = out.split_at_mut_checked(IPV6_HEADER)?;

    ip::put(header, 0, &[0x60, 0, 0, 0])?;
    ip::put(header, 4, &u16::try_from(payload).ok()?.to_be_bytes())?;
    ip::put(header, 6, &[protocol::ICMPV6, TTL])?;
    ip::put(header, 8, &from.octets())?;
    ip::put(header, 24, &to.octets())?;

    ip::put(message, 0, &[2, 0, 0, 0])?;
    ip::put(message, 4, &mtu.to_be_bytes())?;
    ip::put(message, ICMP_HEADER, original.get(..quoted)?)?;
    let checksum = Sum::default()
        .pseudo_header(from.into(), to.into(), protocol::ICMPV6, u32::try_from(payload).ok()?)
        .add(message)
        .finish();
    ip::put(message, 2, &checksum.to_be_bytes())?;
    Some(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    const ROUTER4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 254));
    const ROUTER6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1));

    fn v4(fragment: u16, protocol: u8, source: [u8; 4], destination: [u8; 4], payload: &[u8]) -> Vec<u8> {
        let mut packet = Vec::from([0x45, 0]);
        packet.extend(u16::try_from(20 + payload.len()).unwrap().to_be_bytes());
        packet.extend([0, 7]);
        packet.extend(fragment.to_be_bytes());
        packet.extend([64, protocol, 0, 0]);
        packet.extend(source);
        packet.extend(destination);
        packet.extend(payload);
        packet
    }

    fn v6(protocol: u8, source: Ipv6Addr, payload: &[u8]) -> Vec<u8> {
        let mut packet = Vec::from([0x60, 0, 0, 0]);
        packet.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        packet.extend([protocol, 64]);
        packet.extend(source.octets());
        packet.extend([0xfd; 16]);
        packet.extend(payload);
        packet
    }

    const HOST: [u8; 4] = [10, 0, 0, 1];
    const PEER: [u8; 4] = [10, 9, 0, 1];

    #[test]
    fn an_ipv4_sender_learns_the_mtu_from_its_own_packet_quoted() {
        for size in [8, 100, 520, 528, 529, 1480] {
            let original = v4(0x4000, 17, HOST, PEER, &vec![7; size]);
            let mut out = [0; MAX_TOO_BIG];
            let length = packet_too_big(&original, ROUTER4, 1438, &mut out).unwrap();
            let message = &out[..length];
            let header = IpHeader::parse(message).unwrap();
            assert_eq!((header.source, header.destination), (ROUTER4, HOST.into()));
            assert_eq!(Sum::default().add(&message[..20]).finish(), 0, "header checksum");
            assert_eq!(Sum::default().add(&message[20..]).finish(), 0, "ICMP checksum");
            assert_eq!(message[20..22], [3, 4]);
            assert_eq!(message[26..28], 1438u16.to_be_bytes());
            assert_eq!(length, (28 + original.len()).min(576));
            assert!(original.starts_with(&message[28..]));
        }
    }

    #[test]
    fn an_ipv6_sender_learns_the_mtu_but_never_less_than_1280() {
        let source = Ipv6Addr::new(0xfd00, 0, 0, 1, 0, 0, 0, 9);
        for (mtu, said) in [(1438, 1438u32), (1280, 1280), (1200, 1280), (0, 1280)] {
            let original = v6(6, source, &[3; 1460]);
            let mut out = [0; MAX_TOO_BIG];
            let length = packet_too_big(&original, ROUTER6, mtu, &mut out).unwrap();
            assert_eq!(length, 1280);
            let header = IpHeader::parse(&out).unwrap();
            assert_eq!((header.source, header.destination), (ROUTER6, source.into()));
            assert_eq!(out[40..42], [2, 0]);
            assert_eq!(out[44..48], said.to_be_bytes());
            let sum = Sum::default().pseudo_header(ROUTER6, source.into(), 58, 1240).add(&out[40..]);
            assert_eq!(sum.finish(), 0);
            assert!(original.starts_with(&out[48..]));
        }
    }

    #[test]
    fn no_message_where_the_rfcs_forbid_one() {
        let data = [8; 100];
        let unwanted = [
            v4(0, 17, HOST, PEER, &data),
            v4(0x4001, 17, HOST, PEER, &data),
            v4(0x4000, 1, HOST, PEER, &[3; 100]),
            v4(0x4000, 1, HOST, PEER, &[11; 100]),
            v4(0x4000, 1, HOST, PEER, &[]),
            v4(0x4000, 17, [0, 0, 0, 0], PEER, &data),
            v4(0x4000, 17, [127, 0, 0, 1], PEER, &data),
            v4(0x4000, 17, [224, 0, 0, 1], PEER, &data),
            v4(0x4000, 17, [0, 1, 2, 3], PEER, &data),
            v4(0x4000, 17, [240, 0, 0, 1], PEER, &data),
            v4(0x4000, 17, [255; 4], PEER, &data),
            v4(0x6001, 17, HOST, PEER, &data),
            v4(0x4000, 17, HOST, [224, 0, 0, 1], &data),
            v4(0x4000, 17, HOST, [255; 4], &data),
            v6(58, Ipv6Addr::LOCALHOST, &[128; 8]),
            v6(17, Ipv6Addr::UNSPECIFIED, &data),
            v6(58, Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 9), &[2; 100]),
            v6(58, Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 9), &[137; 100]),
            // A later fragment of an ICMPv6 message: whether of an error cannot be seen.
            v6(44, Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 9), &[&[58, 0, 0, 9], &[128; 100][..]].concat()),
            // The first fragment of an error.
            v6(
                44,
                Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 9),
                &[&[58, 0, 0, 1, 0, 0, 0, 7], &[1; 100][..]].concat(),
            ),
            Vec::new(),
            vec![0x45; 19],
        ];
        for original in unwanted {
            let router =
                if original.first().is_some_and(|first| first >> 4 == 6) { ROUTER6 } else { ROUTER4 };
            assert_eq!(
                packet_too_big(&original, router, 1400, &mut [0; MAX_TOO_BIG]),
                None,
                "{original:02x?}"
            );
        }
    }

    #[test]
    fn a_sender_of_ipv6_fragments_hears_of_each_that_is_too_big() {
        let source = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 9);
        for place in [[0, 1], [5, 0x91]] {
            let fragment = [&[17, 0, place[0], place[1], 0, 0, 0, 7], &[1; 1_400][..]].concat();
            let original = v6(44, source, &fragment);
            assert!(packet_too_big(&original, ROUTER6, 1_400, &mut [0; MAX_TOO_BIG]).is_some());
        }
        // The destination may be a group: path MTU discovery works there too (RFC 4443 2.4 e.3).
        let mut original = v6(17, source, &[1; 1_400]);
        original[24..40].copy_from_slice(&[0xff; 16]);
        assert!(packet_too_big(&original, ROUTER6, 1_400, &mut [0; MAX_TOO_BIG]).is_some());
    }

    #[test]
    fn the_least_that_an_ipv4_message_says_is_what_every_link_carries() {
        let original = v4(0x4000, 17, HOST, PEER, &[1; 600]);
        let mut out = [0; MAX_TOO_BIG];
        packet_too_big(&original, ROUTER4, 0, &mut out).unwrap();
        assert_eq!(out[20..28], [3, 4, out[22], out[23], 0, 0, 0, 68], "and no length of RFC 4884");
    }

    #[test]
    fn echo_is_answered_and_a_short_buffer_or_a_foreign_router_is_not() {
        let ping = v4(0x4000, 1, HOST, PEER, &[8; 1400]);
        assert!(packet_too_big(&ping, ROUTER4, 1400, &mut [0; 576]).is_some());
        assert_eq!(packet_too_big(&ping, ROUTER4, 1400, &mut [0; 575]), None);
        assert_eq!(packet_too_big(&ping, ROUTER6, 1400, &mut [0; MAX_TOO_BIG]), None);
    }
}
