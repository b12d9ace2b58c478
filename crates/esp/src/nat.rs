//! Checksums behind a NAT, in transport mode (RFC 3948 3.1.2).

use core::net::IpAddr;

use crate::checksum::{self, Sum};
use crate::error::NextHeader;
use crate::ip;
use crate::outer;
use crate::params::NatChecksum;

/// Makes the checksum of a transport payload right for the addresses that its IP header has now.
///
/// Only protocols whose checksum covers addresses are touched; a UDP checksum of zero stays zero, since there
/// is none. What is too short for its checksum is left to whoever receives it.
pub(crate) fn fix_checksum(
    payload: &mut [u8],
    next: NextHeader,
    policy: NatChecksum,
    addresses: (IpAddr, IpAddr),
) {
    let at = match next {
        NextHeader::TCP => 16,
        NextHeader::UDP => 6,
        NextHeader::ICMPV6 => 2,
        _ => return,
    };
    let Some(present) = ip::u16_at(payload, at) else { return };
    if next == NextHeader::UDP && present == 0 {
        return;
    }
    let fixed = match policy {
        NatChecksum::Adjust { source, destination }
            if source.is_ipv4() == addresses.0.is_ipv4() && destination.is_ipv4() == source.is_ipv4() =>
        {
            let adjusted = adjust(adjust(present, source, addresses.0), destination, addresses.1);
            if next == NextHeader::UDP && adjusted == 0 { u16::MAX } else { adjusted }
        }
        // Addresses of another family cannot have been under this checksum.
        NatChecksum::Adjust { .. } | NatChecksum::Recompute => {
            if ip::put(payload, at, &[0, 0]).is_none() {
                return;
            }
            match compute(payload, next, addresses) {
                Some(checksum) => checksum,
                None => return,
            }
        }
    };
    // The field was read above, so it is there.
    ip::put(payload, at, &fixed.to_be_bytes());
}

fn compute(payload: &[u8], next: NextHeader, (source, destination): (IpAddr, IpAddr)) -> Option<u16> {
    if next == NextHeader::UDP {
        return outer::udp_checksum(payload, source, destination);
    }
    let length = u32::try_from(payload.len()).ok()?;
    Some(Sum::default().pseudo_header(source, destination, next.0, length).add(payload).finish())
}

fn adjust(sum: u16, old: IpAddr, new: IpAddr) -> u16 {
    match (old, new) {
        (IpAddr::V4(old), IpAddr::V4(new)) => checksum::updated(sum, &old.octets(), &new.octets()),
        (IpAddr::V6(old), IpAddr::V6(new)) => checksum::updated(sum, &old.octets(), &new.octets()),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => sum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIVATE: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(192, 168, 1, 7));
    const PUBLIC: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(203, 0, 113, 9));
    const SERVER: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(198, 51, 100, 1));

    /// A payload whose checksum is right between the addresses that the peer used.
    fn sealed_by_peer(next: NextHeader, at: usize) -> [u8; 31] {
        let mut payload = core::array::from_fn(|i| u8::try_from(i).unwrap().wrapping_mul(71));
        payload[at..at + 2].fill(0);
        let checksum = compute(&payload, next, (PRIVATE, SERVER)).unwrap();
        payload[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
        payload
    }

    #[test]
    fn both_policies_make_the_checksum_right_for_the_new_addresses() {
        for (next, at) in [(NextHeader::TCP, 16), (NextHeader::UDP, 6), (NextHeader::ICMPV6, 2)] {
            let adjust = NatChecksum::Adjust { source: PRIVATE, destination: SERVER };
            for policy in [NatChecksum::Recompute, adjust] {
                let mut payload = sealed_by_peer(next, at);
                fix_checksum(&mut payload, next, policy, (PUBLIC, SERVER));
                let sum = Sum::default().pseudo_header(PUBLIC, SERVER, next.0, 31).add(&payload);
                assert_eq!(sum.finish(), 0, "{next} {policy:?}");
            }
        }
    }

    #[test]
    fn adjusting_keeps_a_wrong_checksum_wrong() {
        let mut payload = sealed_by_peer(NextHeader::TCP, 16);
        payload[20] ^= 1;
        let policy = NatChecksum::Adjust { source: PRIVATE, destination: SERVER };
        fix_checksum(&mut payload, NextHeader::TCP, policy, (PUBLIC, SERVER));
        let sum = Sum::default().pseudo_header(PUBLIC, SERVER, 6, 31).add(&payload);
        assert_ne!(sum.finish(), 0);
    }

    #[test]
    fn a_udp_checksum_that_comes_out_as_zero_is_sent_as_all_ones() {
        // Putting the checksum itself among the data makes the sum what zero is the complement of.
        let mut payload = sealed_by_peer(NextHeader::UDP, 6);
        payload[6..8].fill(0);
        payload[20..22].fill(0);
        let sum = outer::udp_checksum(&payload, PUBLIC, SERVER).unwrap();
        payload[20..22].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(outer::udp_checksum(&payload, PUBLIC, SERVER), Some(0xffff));

        let before = outer::udp_checksum(&payload, PRIVATE, SERVER).unwrap();
        let adjust = NatChecksum::Adjust { source: PRIVATE, destination: SERVER };
        for policy in [NatChecksum::Recompute, adjust] {
            payload[6..8].copy_from_slice(&before.to_be_bytes());
            fix_checksum(&mut payload, NextHeader::UDP, policy, (PUBLIC, SERVER));
            assert_eq!(payload[6..8], [0xff, 0xff], "{policy:?}");
        }
    }

    #[test]
    fn udp_without_checksum_other_protocols_and_stumps_stay_as_they_are() {
        let mut payload = sealed_by_peer(NextHeader::UDP, 6);
        payload[6..8].fill(0);
        for (next, length) in
            [(NextHeader::UDP, 31), (NextHeader::ICMP, 31), (NextHeader(132), 31), (NextHeader::TCP, 17)]
        {
            let mut fixed = payload;
            fix_checksum(&mut fixed[..length], next, NatChecksum::Recompute, (PUBLIC, SERVER));
            assert_eq!(fixed, payload, "{next}");
        }
    }
}
