//! Clamping of TCP's maximum segment size.

use ikebana_core::selector::protocol;

use crate::checksum;
use crate::ip::{self, Family, IpHeader};

/// A TCP header without options.
const TCP_HEADER: usize = 20;
const SYN: u8 = 0x02;

const OPTION_END: u8 = 0;
const OPTION_NOP: u8 = 1;
const OPTION_MSS: u8 = 2;
const OPTION_AO: u8 = 29;

/// The maximum segment size for packets of `mtu` octets (RFC 6691).
pub(crate) const fn of_mtu(mtu: usize, family: Family) -> usize {
    mtu.saturating_sub(family.header_len()).saturating_sub(TCP_HEADER)
}

/// Lowers the maximum segment size that a TCP SYN or SYN-ACK announces to what fits `mtu`, and corrects the
/// checksum. Tells whether something was changed.
///
/// Anything else passes unchanged, also if `mtu` leaves no room for data at all: other packets, fragments, a size that fits already, a SYN without the
/// option (which means 536 or 1220 and fits), a segment that is authenticated with its options (TCP-AO), and
/// whatever is malformed.
pub fn clamp_mss(packet: &mut [u8], mtu: usize) -> bool {
    let limit = |family| u16::try_from(of_mtu(mtu, family)).unwrap_or(u16::MAX);
    clamp(packet, limit).is_some()
}

/// The same as [`clamp_mss`] with the maximum segment size itself.
pub fn lower_mss(packet: &mut [u8], most: u16) -> bool {
    clamp(packet, |_| most).is_some()
}

fn clamp(packet: &mut [u8], limit: impl Fn(Family) -> u16) -> Option<()> {
    if is_later_segment(packet) {
        return None;
    }
    let header = IpHeader::parse(packet).ok()?;
    let chain = ip::walk(packet, &header).ok()?;
    if chain.protocol != protocol::TCP || chain.later_fragment {
        return None;
    }
    let limit = limit(header.family());
    if limit == 0 {
        return None;
    }
    let segment = packet.get_mut(chain.offset..header.total_len)?;
    if *segment.get(13)? & SYN == 0 {
        return None;
    }
    let header_len = usize::from(*segment.get(12)? >> 4).saturating_mul(4);
    let at = find_mss(segment.get(..header_len)?)?;
    let old = ip::u16_at(segment, at)?;
    if old <= limit {
        return None;
    }
    let checksum = ip::u16_at(segment, 16)?;
    ip::put(segment, at, &limit.to_be_bytes())?;
    let updated = update_at(checksum, at, old, limit);
    ip::put(segment, 16, &updated.to_be_bytes())
}

/// Whether a packet is a TCP segment without SYN, as nearly all are: seen without looking at the rest.
fn is_later_segment(packet: &[u8]) -> bool {
    let Some(&[first, _, _, _, _, _, next6, _, _, next4]) = packet.first_chunk() else { return false };
    let tcp = match first >> 4 {
        4 if next4 == protocol::TCP => usize::from(first & 0x0f).saturating_mul(4),
        6 if next6 == protocol::TCP => Family::V6.header_len(),
        _ => return false,
    };
    packet.get(tcp.saturating_add(13)).is_some_and(|flags| flags & SYN == 0)
}

/// The offset of the option's value in a TCP header, if it may be changed.
fn find_mss(header: &[u8]) -> Option<usize> {
    let (mut at, mut found) = (TCP_HEADER, None);
    while let Some(&kind) = header.get(at) {
        let length = match kind {
            OPTION_END => break,
            OPTION_NOP => 1,
            _ => usize::from(*header.get(at.checked_add(1)?)?),
        };
        let end = at.checked_add(length).filter(|end| *end <= header.len())?;
        match (kind, length) {
            // RFC 5925 5.1: the code covers the options, so that a changed segment would be dropped.
            (OPTION_AO, _) => return None,
            // RFC 9293 3.1: a length counts kind and itself, so less than 2 is malformed.
            (2.., 0 | 1) => return None,
            (OPTION_MSS, 4) if found.is_none() => found = Some(at.checked_add(2)?),
            (OPTION_MSS, _) => return None,
            _ => {}
        }
        at = end;
    }
    found
}

/// The checksum after the 16-bit value at offset `at` changed. After an odd number of NOPs the value
/// straddles two words, which is the same as its octets swapped.
fn update_at(sum: u16, at: usize, old: u16, new: u16) -> u16 {
    if at.checked_rem(2) == Some(0) {
        checksum::updated(sum, &old.to_be_bytes(), &new.to_be_bytes())
    } else {
        checksum::updated(sum, &old.to_le_bytes(), &new.to_le_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::Sum;
    use alloc::vec::Vec;

    fn tcp(flags: u8, options: &[u8]) -> Vec<u8> {
        let words = u8::try_from(5 + options.len() / 4).unwrap();
        let mut segment = Vec::from([0x30, 0x39, 0, 80, 1, 2, 3, 4, 0, 0, 0, 0, words << 4, flags]);
        segment.extend([0xff, 0xff, 0, 0, 0, 0]);
        segment.extend(options);
        segment
    }

    fn v4(mut segment: Vec<u8>) -> Vec<u8> {
        let (source, destination) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let length = u32::try_from(segment.len()).unwrap();
        let sum = Sum::default().pseudo_header(source, destination, 6, length).add(&segment).finish();
        segment[16..18].copy_from_slice(&sum.to_be_bytes());
        let mut packet = Vec::from([0x45, 0]);
        packet.extend(u16::try_from(20 + segment.len()).unwrap().to_be_bytes());
        packet.extend([0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        packet.extend(segment);
        packet
    }

    fn checksum_is_right(packet: &[u8]) -> bool {
        let header = IpHeader::parse(packet).unwrap();
        let chain = ip::walk(packet, &header).unwrap();
        let segment = &packet[chain.offset..];
        let length = u32::try_from(segment.len()).unwrap();
        Sum::default().pseudo_header(header.source, header.destination, 6, length).add(segment).finish() == 0
    }

    #[test]
    fn a_large_mss_is_lowered_and_the_checksum_stays_right() {
        for options in [
            &[2, 4, 0x05, 0xb4][..],
            &[1, 2, 4, 0x05, 0xb4, 0, 0, 0],
            &[4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 2, 4, 0x23, 0x00],
            &[3, 3, 7, 1, 2, 4, 0xff, 0xff],
        ] {
            for flags in [SYN, SYN | 0x10] {
                let mut packet = v4(tcp(flags, options));
                assert!(checksum_is_right(&packet));
                assert!(clamp_mss(&mut packet, 1438));
                let at = 20 + find_mss(&packet[20..]).unwrap();
                assert_eq!(ip::u16_at(&packet, at), Some(1398));
                assert!(checksum_is_right(&packet), "{options:02x?}");
                assert!(!clamp_mss(&mut packet, 1438), "twice is once");
                assert!(lower_mss(&mut packet, 1_200) && !lower_mss(&mut packet, 1_200));
                assert_eq!(ip::u16_at(&packet, at), Some(1_200));
                assert!(checksum_is_right(&packet));
            }
        }
    }

    #[test]
    fn an_ipv6_syn_behind_extension_headers_is_clamped_too() {
        let mut segment = tcp(SYN, &[2, 4, 0x05, 0xa0]);
        let (source, destination) = ([0x20; 16].into(), [0x21; 16].into());
        let sum = Sum::default().pseudo_header(source, destination, 6, 24).add(&segment).finish();
        segment[16..18].copy_from_slice(&sum.to_be_bytes());
        let mut packet = Vec::from([0x60, 0, 0, 0, 0, 32, 60, 64]);
        packet.extend([0x20; 16]);
        packet.extend([0x21; 16]);
        packet.extend([6, 0, 1, 4, 0, 0, 0, 0]);
        packet.extend(segment);
        assert!(checksum_is_right(&packet));
        assert!(clamp_mss(&mut packet, 1400));
        assert_eq!(ip::u16_at(&packet, 40 + 8 + 22), Some(1340));
        assert!(checksum_is_right(&packet));
    }

    #[test]
    fn what_is_not_a_syn_or_fits_or_is_malformed_passes_unchanged() {
        let mss = [2, 4, 0x05, 0xb4];
        let mut fragment = v4(tcp(SYN, &mss));
        fragment[7] = 1;
        let mut udp = v4(tcp(SYN, &mss));
        udp[9] = 17;
        let mut cases = Vec::from([
            v4(tcp(0x10, &mss)),
            v4(tcp(SYN, &[2, 4, 0x02, 0x00])),
            v4(tcp(SYN, &[])),
            v4(tcp(SYN, &[0, 0, 0, 0, 2, 4, 5, 0xb4])),
            v4(tcp(SYN, &[2, 3, 0x05, 0xb4])),
            // Authenticated, before and behind.
            v4(tcp(SYN, &[29, 4, 0, 0, 2, 4, 0x05, 0xb4])),
            v4(tcp(SYN, &[2, 4, 0x05, 0xb4, 29, 4, 0, 0])),
            // Which of two counts is anybody's guess.
            v4(tcp(SYN, &[2, 4, 0x05, 0xb4, 2, 4, 0x05, 0xb4])),
            v4(tcp(SYN, &[9, 0, 2, 4, 0x05, 0xb4, 0, 0])),
            v4(tcp(SYN, &[9, 1, 2, 4, 0x05, 0xb4, 0, 0])),
            v4(tcp(SYN, &[9, 99, 2, 4, 0x05, 0xb4, 0, 0])),
            // The option is cut off by the end of the header, and data follows.
            v4([tcp(SYN, &[1, 1, 2, 4]), Vec::from([0x05, 0xb4])].concat()),
            fragment,
            udp,
        ]);
        let whole = v4(tcp(SYN, &mss));
        for length in 0..whole.len() {
            cases.push(whole[..length].to_vec());
        }
        for mut case in cases {
            let before = case.clone();
            assert!(!clamp_mss(&mut case, 1438));
            assert_eq!(case, before);
        }
        for mtu in 0..=40 {
            assert!(!clamp_mss(&mut whole.clone(), mtu));
        }
    }
}
