use super::*;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use crate::checksum::Sum;

fn packet(options: &[u8], identification: u16, flags: u16, data: usize) -> Vec<u8> {
    let header_len = 20 + options.len();
    let mut packet = vec![0x40 | u8::try_from(header_len / 4).unwrap(), 0xb9];
    packet.extend(u16::try_from(header_len + data).unwrap().to_be_bytes());
    packet.extend(identification.to_be_bytes());
    packet.extend(flags.to_be_bytes());
    packet.extend([61, 17, 0, 0, 10, 0, 0, 1, 10, 9, 0, 1]);
    packet.extend(options);
    ip::checksum_v4(&mut packet).unwrap();
    packet.extend((0..data).map(|i| u8::try_from(i % 251).unwrap()));
    packet
}

fn all(packet: &[u8], mtu: usize, df: DontFragment) -> Result<Vec<Vec<u8>>, FragmentError> {
    let plan = Fragmentation::plan(packet, mtu, df)?;
    let fragments = (0..plan.count()).map(|index| {
        let mut out = vec![0xee; mtu];
        let length = plan.write(packet, index, &mut out).unwrap();
        assert_eq!(length, plan.len_of(index));
        assert!(out[length..].iter().all(|&octet| octet == 0xee), "nothing behind the fragment is touched");
        out.truncate(length);
        out
    });
    let fragments: Vec<_> = fragments.collect();
    assert_eq!(plan.write(packet, plan.count(), &mut vec![0; mtu]), None);
    let mut whole = packet.to_vec();
    let mut first = PacketBuf::full(&mut whole);
    plan.keep_first(&mut first).unwrap();
    assert_eq!(first.payload(), fragments[0], "in place and copied are the same");
    Ok(fragments)
}

/// The example procedure of RFC 791 3.2, as it stands there: cut the front off, go on with the rest.
fn as_in_rfc_791(packet: &[u8], mtu: usize) -> Vec<(usize, bool, Vec<u8>)> {
    let (mut header_len, mut rest) = (usize::from(packet[0] & 15) * 4, packet.to_vec());
    let mut fragments = Vec::new();
    loop {
        let flags = u16::from_be_bytes([rest[6], rest[7]]);
        let (offset, more) = (usize::from(flags & 0x1fff), flags & 0x2000 != 0);
        if rest.len() <= mtu {
            fragments.push((offset, more, rest[header_len..].to_vec()));
            return fragments;
        }
        let blocks = (mtu - header_len) / 8;
        fragments.push((offset, true, rest[header_len..header_len + blocks * 8].to_vec()));
        let mut next = rest[..20].to_vec();
        let mut at = 20;
        while at < header_len && rest[at] != 0 {
            let length = if rest[at] == 1 { 1 } else { usize::from(rest[at + 1]) };
            if rest[at] & 0x80 != 0 {
                next.extend(&rest[at..at + length]);
            }
            at += length;
        }
        while next.len() % 4 != 0 {
            next.push(0);
        }
        let data = rest[header_len + blocks * 8..].to_vec();
        header_len = next.len();
        let place = u16::try_from(offset + blocks).unwrap() | flags & 0x2000;
        next[6..8].copy_from_slice(&place.to_be_bytes());
        next.extend(data);
        rest = next;
    }
}

fn options() -> impl Strategy<Value = Vec<u8>> {
    let option = prop_oneof![
        Just(vec![1]),
        (0u8..=255, 0usize..8).prop_map(|(kind, length)| {
            let kind = if kind < 2 { 7 } else { kind };
            let mut option = vec![kind, u8::try_from(length + 2).unwrap()];
            option.resize(length + 2, kind);
            option
        }),
    ];
    prop::collection::vec(option, 0..6).prop_map(|options| {
        let mut octets = options.concat();
        octets.truncate(40);
        // A cut option at the end would be malformed.
        let mut at = 0;
        while at < octets.len() {
            let length = if octets[at] < 2 { 1 } else { octets.get(at + 1).map_or(99, |&l| usize::from(l)) };
            if at + length > octets.len() {
                octets.truncate(at);
            }
            at += length;
        }
        octets.resize(octets.len().next_multiple_of(4), 0);
        octets
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn fragments_are_those_of_the_procedure_in_rfc_791(
        options in options(),
        identification: u16,
        offset in 0u16..2_000,
        more: bool,
        data in 0usize..6_000,
        mtu in 68usize..1_600,
    ) {
        let data = if more { data / 8 * 8 } else { data };
        let flags = offset | if more { 0x2000 } else { 0 };
        let packet = packet(&options, identification, flags, data);
        let fragments = all(&packet, mtu, DontFragment::Respect).unwrap();
        let expected = as_in_rfc_791(&packet, mtu);
        prop_assert_eq!(fragments.len(), expected.len());
        for (index, (fragment, (offset, more, data))) in fragments.iter().zip(expected).enumerate() {
            prop_assert!(fragment.len() <= mtu);
            let header = IpHeader::parse(fragment).unwrap();
            prop_assert_eq!(header.total_len, fragment.len());
            prop_assert_eq!(usize::from(header.fragment_offset), offset);
            prop_assert_eq!(header.more_fragments, more);
            prop_assert_eq!(&fragment[header.header_len..], &data[..]);
            prop_assert_eq!(&fragment[4..6], &packet[4..6]);
            prop_assert_eq!((header.tos, header.ttl, header.protocol), (0xb9, 61, 17));
            prop_assert_eq!(&fragment[12..20], &packet[12..20]);
            prop_assert_eq!(Sum::default().add(&fragment[..header.header_len]).finish(), 0);
            if index == 0 {
                prop_assert_eq!(&fragment[20..header.header_len], &options[..]);
            }
        }
    }

    #[test]
    fn whatever_the_octets_planning_does_not_break(
        octets in prop::collection::vec(any::<u8>(), 0..200), mtu in 0usize..300, clear: bool,
    ) {
        let df = if clear { DontFragment::Clear { identification: 1 } } else { DontFragment::Respect };
        if let Ok(plan) = Fragmentation::plan(&octets, mtu, df) {
            for index in 0..plan.count() {
                prop_assert!(plan.write(&octets, index, &mut [0; 300]).is_some());
            }
        }
    }
}

#[test]
fn options_go_where_their_copy_bit_says() {
    // Record route is not copied, loose source route and the security option are.
    let record = [7, 7, 4, 0, 0, 0, 0, 1];
    let route = [0x83, 7, 4, 192, 0, 2, 9, 1];
    let packet = packet(&[record, route].concat(), 7, 0, 3_000);
    let fragments = all(&packet, 1_400, DontFragment::Respect).unwrap();
    assert_eq!(fragments.len(), 3);
    assert_eq!((fragments[0][0], &fragments[0][20..36]), (0x49, &packet[20..36]));
    for later in &fragments[1..] {
        assert_eq!((later[0], &later[20..28]), (0x47, &[0x83, 7, 4, 192, 0, 2, 9, 0][..]));
    }
    // The later ones have shorter headers and so more room.
    assert_eq!((fragments[0].len(), fragments[1].len()), (36 + 1_360, 28 + 1_368));
}

#[test]
fn a_packet_that_fits_is_its_only_fragment_whatever_its_flags() {
    for flags in [0, 0x4000, 0x2000, 0x2010, 0x8000] {
        let packet = packet(&[], 7, flags, 480);
        assert_eq!(all(&packet, 500, DontFragment::Respect).unwrap(), [packet]);
    }
}

#[test]
fn dont_fragment_is_respected_or_cleared_with_an_identification_that_means_something() {
    let packet = packet(&[], 0, 0x4000, 2_000);
    assert_eq!(all(&packet, 1_000, DontFragment::Respect), Err(FragmentError::Forbidden));
    let fragments = all(&packet, 1_000, DontFragment::Clear { identification: 0x1234 }).unwrap();
    let places: Vec<_> = fragments.iter().map(|f| (f[4..6].to_vec(), f[6], f[7])).collect();
    let id = vec![0x12, 0x34];
    assert_eq!(places, [(id.clone(), 0x20, 0), (id.clone(), 0x20, 122), (id, 0, 244)]);
}

#[test]
fn a_fragment_keeps_its_identification_even_if_it_says_dont_fragment() {
    // RFC 6864 4: one that is a fragment has an identification that means something.
    for flags in [0x6000, 0x4010] {
        let packet = packet(&[], 0x4321, flags, 1_600);
        for fragment in all(&packet, 1_000, DontFragment::Clear { identification: 1 }).unwrap() {
            assert_eq!((fragment[4..6].to_vec(), fragment[6] & 0x40), (vec![0x43, 0x21], 0));
        }
    }
}

#[test]
fn the_flag_without_a_meaning_stays() {
    let packet = packet(&[], 1, 0x8000, 2_000);
    for fragment in all(&packet, 1_000, DontFragment::Respect).unwrap() {
        assert_eq!(fragment[6] & 0x80, 0x80);
    }
}

#[test]
fn what_cannot_be_fragmented_says_why() {
    let respect = DontFragment::Respect;
    let mut v6 = vec![0; 1_500];
    v6[0] = 0x60;
    v6[4..6].copy_from_slice(&1_460u16.to_be_bytes());
    assert_eq!(all(&v6, 1_400, respect), Err(FragmentError::Ipv6));
    assert_eq!(all(&[], 1_400, respect), Err(FragmentError::Malformed(IpError::Truncated)));
    let plain = packet(&[], 1, 0, 100);
    for mtu in 0..28 {
        assert_eq!(all(&plain, mtu, respect), Err(FragmentError::Mtu { mtu, header: 20 }));
    }
    assert_eq!(all(&plain, 28, respect).unwrap().len(), 13);
    // Behind the end of everything, and a middle fragment of an odd length.
    assert_eq!(all(&packet(&[], 1, 0x1fff, 100), 60, respect), Err(FragmentError::Misplaced));
    assert_eq!(all(&packet(&[], 1, 0x2000, 101), 60, respect), Err(FragmentError::Misplaced));
    for options in [[0x83, 0, 0, 0], [0x83, 1, 0, 0], [0x83, 5, 0, 0], [1, 1, 1, 0x83]] {
        let malformed = FragmentError::Malformed(IpError::Options);
        assert_eq!(all(&packet(&options, 1, 0, 100), 60, respect), Err(malformed), "{options:?}");
    }
    // What comes after the end of the list is nothing.
    assert!(all(&packet(&[0, 0x83, 0, 0], 1, 0, 100), 60, respect).is_ok());
}

#[test]
fn a_place_that_is_too_short_gets_nothing() {
    let packet = packet(&[], 1, 0, 2_000);
    let plan = Fragmentation::plan(&packet, 1_000, DontFragment::Respect).unwrap();
    assert_eq!(plan.write(&packet, 1, &mut [0; 995]), None);
    assert_eq!(plan.write(&packet, 1, &mut [0; 996]), Some(996));
    assert_eq!(plan.write(&packet[..500], 1, &mut [0; 1_000]), None);
    let mut short = packet[..500].to_vec();
    assert_eq!(plan.keep_first(&mut PacketBuf::full(&mut short)), None);
}
