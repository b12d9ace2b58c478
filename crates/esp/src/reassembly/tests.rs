use super::*;
use alloc::vec;

use proptest::prelude::*;

use crate::fragment::{DontFragment, Fragmentation};
use crate::ip::{self, IpHeader};

const NOW: Instant = Instant::from_secs(100);

/// An IPv4 packet, whole unless `flags` say otherwise.
fn v4(source: u8, identification: u16, flags: u16, tos: u8, data: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, tos];
    packet.extend(u16::try_from(20 + data.len()).unwrap().to_be_bytes());
    packet.extend(identification.to_be_bytes());
    packet.extend(flags.to_be_bytes());
    packet.extend([61, 50, 0, 0, 192, 0, 2, source, 198, 51, 100, 7]);
    ip::checksum_v4(&mut packet).unwrap();
    packet.extend(data);
    packet
}

/// A fragment at `start` octets, out of a packet with this data.
fn piece(data: &[u8], start: usize, length: usize) -> Vec<u8> {
    let end = (start + length).min(data.len());
    let more = if end < data.len() { 0x2000 } else { 0 };
    v4(1, 7, u16::try_from(start / 8).unwrap() | more, 0, &data[start..end])
}

/// An IPv6 packet with a hop-by-hop header, and its fragments of at most `size` octets of data.
fn v6(identification: u32, data: &[u8], size: usize) -> (Vec<u8>, Vec<Vec<u8>>) {
    let packet = |next: u8, fragment: &[u8], data: &[u8]| {
        let mut packet = vec![0x6b, 0x80, 0, 9];
        packet.extend(u16::try_from(8 + fragment.len() + data.len()).unwrap().to_be_bytes());
        packet.extend([0, 61]);
        packet.extend([0x20; 16]);
        packet.extend([0x21; 16]);
        packet.extend([next, 0, 1, 4, 0, 0, 0, 0]);
        packet.extend(fragment);
        packet.extend(data);
        packet
    };
    let count = data.len().div_ceil(size);
    let fragments = data.chunks(size).enumerate().map(|(index, part)| {
        let place = u16::try_from(index * size).unwrap() | u16::from(index + 1 < count);
        let [p0, p1] = place.to_be_bytes();
        let [i0, i1, i2, i3] = identification.to_be_bytes();
        packet(44, &[50, 0, p0, p1, i0, i1, i2, i3], part)
    });
    let fragments = fragments.collect();
    (packet(50, &[], data), fragments)
}

fn data(length: usize) -> Vec<u8> {
    (0..length).map(|i| u8::try_from(i % 251).unwrap()).collect()
}

fn reassembler() -> Reassembler {
    Reassembler::new(ReassemblyLimits::default())
}

fn total(stats: &ReassemblyStats) -> u64 {
    stats.malformed
        + stats.length
        + stats.tiny
        + stats.too_long
        + stats.duplicate
        + stats.overlap
        + stats.too_many
        + stats.ecn
        + stats.refused
        + stats.no_room
}

/// Everything is accounted for, whatever happened.
fn check(reassembler: &Reassembler) {
    let sum: usize = reassembler.packets.values().map(|entry| entry.octets).sum();
    assert_eq!(sum, reassembler.octets);
    assert_eq!(reassembler.octets_of.values().sum::<usize>(), sum);
    assert!(reassembler.octets_of.values().all(|of| *of > 0 && *of <= reassembler.limits.octets_per_source));
    assert!(sum <= reassembler.limits.octets);
    assert_eq!(reassembler.order.len(), reassembler.packets.len());
    assert_eq!(reassembler.by_source.len(), reassembler.packets.len());
}

#[test]
fn fragments_in_any_order_become_the_packet_they_were() {
    let data = data(4_000);
    let whole = v4(1, 7, 0, 0, &data);
    let mut pieces: Vec<_> = (0..3).map(|i| piece(&data, i * 1_400, 1_400)).collect();
    for _ in 0..6 {
        for swap in [0, 1] {
            pieces.swap(swap, swap + 1);
            let mut reassembler = reassembler();
            assert_eq!(reassembler.handle_packet(NOW, &pieces[0]), Ok(Reassembled::Waiting));
            assert_eq!(reassembler.handle_packet(NOW, &pieces[1]), Ok(Reassembled::Waiting));
            let result = reassembler.handle_packet(NOW, &pieces[2]);
            assert_eq!(result, Ok(Reassembled::Complete(whole.clone())));
            assert_eq!((reassembler.octets(), reassembler.poll_timeout()), (0, None));
            assert_eq!((reassembler.stats().complete, reassembler.stats().fragments), (1, 3));
            check(&reassembler);
        }
    }
}

#[test]
fn ipv6_fragments_lose_their_fragment_header() {
    let (whole, mut fragments) = v6(0x1234_5678, &data(3_000), 1_024);
    fragments.reverse();
    let mut reassembler = reassembler();
    let mut results: Vec<_> = fragments.iter().map(|f| reassembler.handle_packet(NOW, f)).collect();
    assert_eq!(results.pop().unwrap(), Ok(Reassembled::Complete(whole)));
    assert!(results.iter().all(|result| *result == Ok(Reassembled::Waiting)));
}

#[test]
fn what_is_not_a_fragment_passes() {
    let mut reassembler = reassembler();
    let (whole, fragments) = v6(7, &data(100), 1_024);
    // The second one is a fragment in name only (RFC 6946).
    for packet in [&v4(1, 7, 0x4000, 0, &data(100)), &fragments[0], &whole] {
        assert_eq!(reassembler.handle_packet(NOW, packet), Ok(Reassembled::Whole));
    }
    assert_eq!(reassembler.handle_packet(NOW, &[]), Err(ReassemblyError::Malformed(IpError::Truncated)));
    assert_eq!((reassembler.stats().malformed, reassembler.octets()), (1, 0));
}

#[test]
fn an_overlap_refuses_the_packet_and_what_comes_after_it() {
    let data = data(4_000);
    let overlapping = [
        piece(&data, 1_392, 1_400),
        piece(&data, 8, 800),
        piece(&data, 0, 1_392),
        // The same place with other data.
        v4(1, 7, 0x2000, 0, &[9; 1_400]),
        // The end before what is there.
        v4(1, 7, 100, 0, &data[800..1_000]),
    ];
    for bad in overlapping {
        let mut reassembler = reassembler();
        reassembler.handle_packet(NOW, &piece(&data, 0, 1_400)).unwrap();
        assert_eq!(reassembler.handle_packet(NOW, &bad), Err(ReassemblyError::Overlap));
        check(&reassembler);
        for index in 0..3 {
            let later = reassembler.handle_packet(NOW, &piece(&data, index * 1_400, 1_400));
            assert_eq!(later, Err(ReassemblyError::Refused));
        }
        // Forgotten with the time, and only then.
        reassembler.handle_timeout(NOW + Duration::from_secs(15));
        assert_eq!((reassembler.octets(), reassembler.stats().timed_out), (0, 0));
        let again = reassembler.handle_packet(NOW, &piece(&data, 0, 1_400));
        assert_eq!(again, Ok(Reassembled::Waiting));
    }
}

#[test]
fn fragments_that_disagree_where_the_packet_ends_refuse_it() {
    for second in
        [v4(1, 7, 200, 0, &data(300)), v4(1, 7, 0x2000 | 200, 0, &data(304)), v4(1, 7, 50, 0, &[1; 100])]
    {
        let mut reassembler = reassembler();
        reassembler.handle_packet(NOW, &v4(1, 7, 100, 0, &data(200))).unwrap();
        assert_eq!(reassembler.handle_packet(NOW, &second), Err(ReassemblyError::Overlap));
        check(&reassembler);
    }
}

#[test]
fn an_exact_copy_is_dropped_and_does_no_harm() {
    let data = data(2_000);
    let mut reassembler = reassembler();
    for fragment in [piece(&data, 1_400, 600), piece(&data, 0, 704)] {
        reassembler.handle_packet(NOW, &fragment).unwrap();
        assert_eq!(reassembler.handle_packet(NOW, &fragment), Err(ReassemblyError::Duplicate));
    }
    let last = reassembler.handle_packet(NOW, &piece(&data, 704, 696));
    assert_eq!(last, Ok(Reassembled::Complete(v4(1, 7, 0, 0, &data))));
    assert_eq!(reassembler.stats().duplicate, 2);
}

#[test]
fn what_no_link_makes_is_dropped() {
    let mut reassembler = reassembler();
    for (fragment, error) in [
        (v4(1, 7, 0x2000, 0, &[]), ReassemblyError::Length(0)),
        (v4(1, 7, 10, 0, &[]), ReassemblyError::Length(0)),
        (v4(1, 7, 0x2000, 0, &data(301)), ReassemblyError::Length(301)),
        (v4(1, 7, 0x2000, 0, &data(248)), ReassemblyError::Tiny(248)),
        (v4(1, 7, 0x1fff, 0, &data(8)), ReassemblyError::TooLong(0xffff + 1)),
    ] {
        assert_eq!(reassembler.handle_packet(NOW, &fragment), Err(error));
    }
    assert_eq!((total(reassembler.stats()), reassembler.octets()), (5, 0));
    // The last one may be small.
    assert_eq!(reassembler.handle_packet(NOW, &v4(1, 7, 100, 0, &[1])), Ok(Reassembled::Waiting));
}

#[test]
fn a_packet_of_65535_octets_is_put_together_and_a_longer_one_is_not() {
    let most = data(65_515);
    let mut limits = ReassemblyLimits { fragments: 100, ..ReassemblyLimits::default() };
    let mut reassembler = Reassembler::new(limits);
    let results = (0..47).map(|i| reassembler.handle_packet(NOW, &piece(&most, i * 1_400, 1_400)));
    assert_eq!(results.last().unwrap(), Ok(Reassembled::Complete(v4(1, 7, 0, 0, &most))));
    let over = v4(1, 7, 8_189, 0, &[1; 4]);
    assert_eq!(reassembler.handle_packet(NOW, &over), Err(ReassemblyError::TooLong(65_516)));
    // No fragment of its own is too long, but the first one brings options.
    let mut first = piece(&most, 0, 1_400);
    first.splice(20..20, [1, 1, 1, 0]);
    first[0] = 0x46;
    first[2..4].copy_from_slice(&1_424u16.to_be_bytes());
    reassembler.handle_packet(NOW, &first).unwrap();
    let mut last = Ok(Reassembled::Waiting);
    for index in 1..47 {
        last = reassembler.handle_packet(NOW, &piece(&most, index * 1_400, 1_400));
    }
    assert_eq!(last, Err(ReassemblyError::TooLong(65_515)));
    check(&reassembler);

    limits.fragments = 3;
    let mut reassembler = Reassembler::new(limits);
    let mut results = (0..4).map(|i| reassembler.handle_packet(NOW, &piece(&most, i * 1_400, 1_400)));
    assert_eq!(results.by_ref().take(3).filter(|result| *result == Ok(Reassembled::Waiting)).count(), 3);
    assert_eq!(results.next(), Some(Err(ReassemblyError::TooMany)));
    drop(results);
    assert_eq!(reassembler.octets(), PER_PACKET);
}

#[test]
fn incomplete_packets_are_given_up_in_time() {
    let data = data(2_000);
    let mut reassembler = reassembler();
    reassembler.handle_packet(NOW, &piece(&data, 0, 1_400)).unwrap();
    assert_eq!(reassembler.poll_timeout(), Some(NOW + Duration::from_secs(15)));
    // Later fragments do not prolong it.
    let late = NOW + Duration::from_secs(14);
    reassembler.handle_packet(late, &v4(2, 7, 0x2000, 0, &data[..1_400])).unwrap();
    reassembler.handle_timeout(NOW + Duration::from_secs(15));
    assert_eq!(reassembler.stats().timed_out, 1);
    let rest = reassembler.handle_packet(NOW + Duration::from_secs(15), &piece(&data, 1_400, 600));
    assert_eq!(rest, Ok(Reassembled::Waiting));
    assert_eq!(reassembler.poll_timeout(), Some(late + Duration::from_secs(15)));
    check(&reassembler);
}

#[test]
fn a_flood_costs_no_more_than_its_limits_and_packets_that_come_at_once_survive_it() {
    let limits =
        ReassemblyLimits { octets: 60_000, octets_per_source: 20_000, ..ReassemblyLimits::default() };
    let mut reassembler = Reassembler::new(limits);
    let data = data(2_000);
    for round in 0..300u16 {
        // Three sources that never finish, one of them with an IPv6 network to itself.
        for source in [8, 9] {
            reassembler.handle_packet(NOW, &v4(source, round, 0x2000, 0, &data[..1_400])).unwrap();
        }
        let (_, mut fragments) = v6(round.into(), &data, 1_024);
        fragments[0][23] = u8::try_from(round % 251).unwrap();
        reassembler.handle_packet(NOW, &fragments[0]).unwrap();
        check(&reassembler);
        if round % 10 == 0 {
            reassembler.handle_packet(NOW, &piece(&data, 0, 1_400)).unwrap();
            let rest = reassembler.handle_packet(NOW, &piece(&data, 1_400, 600));
            assert!(matches!(rest, Ok(Reassembled::Complete(_))));
        }
    }
    assert!(reassembler.stats().evicted > 800);
    assert_eq!((reassembler.stats().complete, total(reassembler.stats())), (30, 0));
    // What alone is too much finds no room, and throws nobody out.
    let before = reassembler.packets.len();
    let most = v4(7, 1, 0x2000, 0, &vec![1; 24_000]);
    assert_eq!(reassembler.handle_packet(NOW, &most), Err(ReassemblyError::NoRoom));
    assert_eq!(reassembler.packets.len(), before);
}

#[test]
fn congestion_marks_of_fragments_are_put_together_as_rfc_3168_says() {
    let data = data(800);
    for (marks, expected) in [
        ([2, 2], Some(2)),
        ([2, 3], Some(3)),
        ([3, 2], Some(3)),
        ([1, 3], Some(3)),
        ([0, 0], Some(0)),
        ([0, 3], None),
        ([3, 0], None),
    ] {
        let fragments = [(0x2000, &data[..400], marks[0]), (50, &data[400..], marks[1])];
        let mut reassembler = reassembler();
        let [_, last] = fragments
            .map(|(flags, data, ecn)| reassembler.handle_packet(NOW, &v4(1, 7, flags, 0xb8 | ecn, data)));
        match (last, expected) {
            (Ok(Reassembled::Complete(packet)), Some(ecn)) => {
                assert_eq!(packet, v4(1, 7, 0, 0xb8 | ecn, &data));
            }
            (Err(ReassemblyError::Ecn), None) => check(&reassembler),
            other => panic!("{marks:?}: {other:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn fragments_of_fragments_in_any_order_become_the_packet_again(
        length in 600usize..9_000,
        mtus in prop::collection::vec(340usize..1_600, 1..4),
        order in any::<prop::sample::Index>(),
        rotate in any::<prop::sample::Index>(),
    ) {
        let whole = v4(1, 7, 0, 2, &data(length));
        let mut fragments = vec![whole.clone()];
        for mtu in mtus {
            fragments = fragments
                .iter()
                .flat_map(|packet| {
                    let plan = Fragmentation::plan(packet, mtu, DontFragment::Respect).unwrap();
                    (0..plan.count()).map(move |index| {
                        let mut out = vec![0; mtu];
                        let length = plan.write(packet, index, &mut out).unwrap();
                        out.truncate(length);
                        out
                    })
                })
                .collect();
        }
        let (from, by) = (order.index(fragments.len()), rotate.index(fragments.len()));
        fragments[from..].reverse();
        fragments.rotate_left(by);
        // Cutting what is cut leaves ends smaller than any link makes in one step.
        let limits = ReassemblyLimits { shortest: 8, ..ReassemblyLimits::default() };
        let mut reassembler = Reassembler::new(limits);
        let mut last = Ok(Reassembled::Whole);
        for fragment in &fragments {
            prop_assert_ne!(&last, &Ok(Reassembled::Complete(whole.clone())));
            last = reassembler.handle_packet(NOW, fragment);
            check(&reassembler);
        }
        if fragments.len() > 1 {
            prop_assert_eq!(last, Ok(Reassembled::Complete(whole)));
        }
    }

    /// Against a map of octets: a packet comes out only if every octet of it was sent, once.
    #[test]
    fn a_packet_comes_out_only_if_no_octet_was_sent_twice(
        pieces in prop::collection::vec((0usize..12, 1usize..4, any::<bool>()), 1..16),
    ) {
        let mut reassembler = Reassembler::new(ReassemblyLimits { shortest: 8, ..ReassemblyLimits::default() });
        let mut model: Option<(Vec<Option<u8>>, Option<usize>)> = Some((vec![None; 16], None));
        for (number, (start, units, more)) in pieces.into_iter().enumerate() {
            let fill = u8::try_from(number).unwrap();
            let flags = u16::try_from(start).unwrap() | if more { 0x2000 } else { 0 };
            if start == 0 && !more {
                continue;
            }
            let result = reassembler.handle_packet(NOW, &v4(1, 7, flags, 0, &vec![fill; units * 8]));
            check(&reassembler);
            let Some((octets, end)) = &mut model else {
                prop_assert_eq!(result, Err(ReassemblyError::Refused));
                continue;
            };
            let place = start..start + units;
            let twice = octets[place.clone()].iter().any(Option::is_some);
            let beyond = match (*end, more) {
                (Some(end), true) => place.end > end,
                (Some(end), false) => place.end != end,
                (None, false) => octets[place.end..].iter().any(Option::is_some),
                (None, true) => false,
            };
            if twice || beyond {
                prop_assert_eq!(result, Err(ReassemblyError::Overlap));
                model = None;
                continue;
            }
            octets[place.clone()].fill(Some(fill));
            if !more {
                *end = Some(place.end);
            }
            let all: Option<Vec<u8>> = end.and_then(|end| octets[..end].iter().copied().collect());
            match all {
                Some(all) => {
                    let data: Vec<u8> = all.iter().flat_map(|fill| [*fill; 8]).collect();
                    prop_assert_eq!(result, Ok(Reassembled::Complete(v4(1, 7, 0, 0, &data))));
                    model = Some((vec![None; 16], None));
                }
                None => prop_assert_eq!(result, Ok(Reassembled::Waiting)),
            }
        }
    }

    #[test]
    fn whatever_the_octets_nothing_breaks_and_nothing_leaks(
        packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 0..40),
        versions in prop::collection::vec(any::<bool>(), 40),
    ) {
        let mut reassembler = Reassembler::new(ReassemblyLimits { shortest: 0, ..ReassemblyLimits::default() });
        for (mut packet, v6) in packets.into_iter().zip(versions) {
            if let Some(first) = packet.first_mut() {
                *first = if v6 { 0x60 } else { 0x45 };
            }
            let length = u16::try_from(packet.len()).unwrap();
            if v6 {
                ip::put(&mut packet, 4, &length.saturating_sub(40).to_be_bytes());
                ip::put(&mut packet, 6, &[44]);
            } else {
                ip::put(&mut packet, 2, &length.to_be_bytes());
            }
            if let Ok(Reassembled::Complete(whole)) = reassembler.handle_packet(NOW, &packet) {
                prop_assert!(IpHeader::parse(&whole).is_ok());
            }
            check(&reassembler);
        }
        reassembler.handle_timeout(NOW + Duration::from_secs(60));
        prop_assert_eq!(reassembler.octets(), 0);
        check(&reassembler);
    }
}
