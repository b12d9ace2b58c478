//! AH: what is protected comes out again, whatever its headers, through the octets on the wire.
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

use common::ah::{
    ALGORITHMS, ah_at, fix_checksum, inbound, outbound, params, protect, verify, with_extensions,
    with_options,
};
use common::{data, outer_addresses, udp_between, udp_packet};
use ikebana_esp::{Family, Mode, OpenError};
use proptest::prelude::*;

#[test]
fn every_algorithm_mode_family_and_numbering_comes_out_again() {
    for keyword in ALGORITHMS {
        for mode in [Mode::Tunnel, Mode::Transport] {
            for outer in [Family::V4, Family::V6] {
                for (esn, start) in [(false, 0), (true, 0), (true, 0xffff_fffe), (false, 0xffff_fff0)] {
                    let made = || params(keyword, esn, mode, outer);
                    let (mut sender, mut receiver) = (outbound(made()), inbound(made()));
                    sender.resume_after(start);
                    for length in 0..40 {
                        if sender.sequences_left() == 0 {
                            break;
                        }
                        let (source, destination) = outer_addresses(outer);
                        let original = match mode {
                            Mode::Transport | Mode::Beet(_) => {
                                udp_between(source, destination, 3, &data(length))
                            }
                            Mode::Tunnel if length % 2 == 0 => udp_packet(Family::V4, 0, &data(length)),
                            Mode::Tunnel => udp_packet(Family::V6, 0, &data(length)),
                        };
                        let wire = protect(&mut sender, &original);
                        assert_eq!(wire.len(), sender.overhead().outer_len(original.len()));
                        let ah = ah_at(&wire);
                        let ah_len = usize::from(wire[ah + 1]) * 4 + 8;
                        assert_eq!(ah_len % if outer == Family::V4 { 4 } else { 8 }, 0, "{keyword}");
                        assert_eq!(wire[ah + 2..ah + 8], [0, 0, 0xc0, 0xff, 0xee, 0x01]);
                        assert_eq!(
                            verify(&mut receiver, &wire),
                            Ok(original),
                            "{keyword} {mode:?} {outer:?}"
                        );
                    }
                    assert_eq!(receiver.highest_sequence(), sender.last_sequence());
                    assert_eq!(receiver.stats().errors(), 0);
                    assert_eq!(receiver.stats().packets, sender.stats().packets);
                    assert_eq!(receiver.stats().octets, sender.stats().octets);
                }
            }
        }
    }
}

/// IPv4 options that add up, a source route that has ended among them.
fn options() -> impl Strategy<Value = Vec<u8>> {
    let any_kind = proptest::sample::select(&[7u8, 68, 82, 130, 133, 134, 136, 148, 149, 131, 137, 222][..]);
    let one = (any_kind, proptest::collection::vec(any::<u8>(), 1..9)).prop_map(|(kind, mut content)| {
        // The pointer behind the end: a route that has been gone.
        content[0] = 255;
        [&[kind, u8::try_from(content.len() + 2).unwrap()], &content[..]].concat()
    });
    proptest::collection::vec(prop_oneof![3 => one, 1 => Just(vec![1u8])], 0..5).prop_map(|list| {
        let mut options: Vec<u8> = Vec::new();
        for option in list {
            if options.len() + option.len() <= 40 {
                options.extend(option);
            }
        }
        options.resize(options.len().next_multiple_of(4), 0);
        options
    })
}

/// A chain of extension headers that has arrived: options of any mutability, routing without segments left.
fn extensions() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let option = (1u8..=255, proptest::collection::vec(any::<u8>(), 0..12))
        .prop_map(|(kind, content)| [&[kind, u8::try_from(content.len()).unwrap()], &content[..]].concat());
    let options = proptest::collection::vec(option, 0..4).prop_map(|options| {
        let mut content = options.concat();
        let padded = (content.len() + 2).next_multiple_of(8) - 2;
        content.resize(padded, 0);
        content
    });
    let routing = proptest::collection::vec(any::<u8>(), 0..3)
        .prop_map(|list| [vec![0; 6], list.into_iter().flat_map(|octet| [octet; 16]).collect()].concat());
    (
        proptest::option::of(options.clone()),
        proptest::option::of(options.clone()),
        proptest::option::of(routing),
        proptest::option::of(options),
    )
        .prop_map(|(hop_by_hop, before, routing, last)| {
            let mut chain = Vec::new();
            chain.extend(hop_by_hop.map(|content| (0, content)));
            // Destination options for each stop come before a routing header only.
            chain.extend(before.filter(|_| routing.is_some()).map(|content| (60, content)));
            chain.extend(routing.map(|content| (43, content)));
            chain.extend(last.map(|content| (60, content)));
            chain
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_options_survive_transport_mode(
        keyword in proptest::sample::select(&ALGORITHMS[..]),
        esn: bool,
        tos: u8,
        protocol in prop_oneof![Just(1u8), Just(6), Just(17), Just(51), Just(50), Just(4)],
        options in options(),
        payload in proptest::collection::vec(any::<u8>(), 0..300),
        trailing in 0usize..20,
        ttl: u8,
    ) {
        let made = || params(keyword, esn, Mode::Transport, Family::V4);
        let original = with_options(outer_addresses(Family::V4), tos, protocol, &options, &payload);
        let mut wire = protect(&mut outbound(made()), &[&original[..], &vec![9; trailing]].concat());
        prop_assert_eq!(common::fold(&wire[..20 + options.len()], 0), 0xffff);
        prop_assert_eq!(wire[20 + options.len()], protocol);
        // On its way the packet's mutable fields change, and so they do at the end.
        wire[8] = ttl;
        fix_checksum(&mut wire);
        let mut expected = original.clone();
        expected[8] = ttl;
        fix_checksum(&mut expected);
        prop_assert_eq!(verify(&mut inbound(made()), &wire), Ok(expected));
    }

    #[test]
    fn any_extension_headers_survive_transport_mode(
        keyword in proptest::sample::select(&ALGORITHMS[..]),
        esn: bool,
        tos: u8,
        protocol in prop_oneof![Just(58u8), Just(6), Just(17), Just(51), Just(50), Just(59)],
        chain in extensions(),
        payload in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let made = || params(keyword, esn, Mode::Transport, Family::V6);
        let original = with_extensions(outer_addresses(Family::V6), tos, protocol, &chain, &payload);
        let wire = protect(&mut outbound(made()), &original);
        // RFC 4302 3.1.1: behind hop-by-hop options and routing header, before the last destination options.
        let before: usize = chain
            .iter()
            .enumerate()
            .filter(|(index, (kind, _))| *kind != 60 || *index + 1 < chain.len())
            .map(|(_, (_, content))| content.len() + 2)
            .sum();
        prop_assert_eq!(ah_at(&wire), 40 + before);
        prop_assert_eq!(verify(&mut inbound(made()), &wire), Ok(original));
    }

    #[test]
    fn any_packet_survives_a_tunnel(
        keyword in proptest::sample::select(&ALGORITHMS[..]),
        esn: bool,
        outer in prop_oneof![Just(Family::V4), Just(Family::V6)],
        inner in prop_oneof![Just(Family::V4), Just(Family::V6)],
        tos: u8,
        length in 0usize..1500,
        trailing in 0usize..20,
        start in prop_oneof![Just(0u64), Just(0x7fff_fff0), 0..0xffff_0000u64],
    ) {
        let made = || params(keyword, esn, Mode::Tunnel, outer);
        let (mut sender, mut receiver) = (outbound(made()), inbound(made()));
        sender.resume_after(start);
        let original = udp_packet(inner, tos, &data(length));
        let wire = protect(&mut sender, &[&original[..], &vec![0; trailing]].concat());
        prop_assert_eq!(wire.len(), sender.overhead().outer_len(original.len()));
        prop_assert_eq!(verify(&mut receiver, &wire), Ok(original));
        prop_assert_eq!(receiver.highest_sequence(), start + 1);
    }

    #[test]
    fn a_source_route_is_protected_as_it_will_arrive(stops in 1usize..8, strict: bool, passed in 0usize..8) {
        let passed = passed % (stops + 1);
        let made = || params("sha256", false, Mode::Transport, Family::V4);
        let address = |index: usize| [10, 0, 0, u8::try_from(index).unwrap()];
        let kind = if strict { 137 } else { 131 };
        let mut option = vec![kind, u8::try_from(3 + stops * 4).unwrap(), u8::try_from(4 + passed * 4).unwrap()];
        option.extend((0..stops).flat_map(address));
        option.push(1);
        let ends = outer_addresses(Family::V4);
        let original = with_options(ends, 0, 17, &option, &data(10));
        let mut wire = protect(&mut outbound(made()), &original);
        // Each router left does what RFC 791 3.1 says: its own address instead of the next, which becomes the
        // destination.
        for stop in passed..stops {
            let at = 23 + stop * 4;
            let next = <[u8; 4]>::try_from(&wire[at..at + 4]).unwrap();
            wire[at..at + 4].copy_from_slice(&[172, 16, 0, u8::try_from(stop).unwrap()]);
            wire[16..20].copy_from_slice(&next);
            wire[22] += 4;
            wire[8] -= 1;
        }
        fix_checksum(&mut wire);
        prop_assert!(verify(&mut inbound(made()), &wire).is_ok());
        // Elsewhere it is not accepted.
        wire[19] ^= 1;
        prop_assert_eq!(verify(&mut inbound(made()), &wire), Err(OpenError::Forged));
    }

    #[test]
    fn a_routing_header_is_protected_as_it_will_arrive(stops in 1usize..6, left in 0usize..7) {
        let left = left % (stops + 1);
        let made = || params("sha256", false, Mode::Transport, Family::V6);
        let mut content = vec![0, u8::try_from(left).unwrap(), 0, 0, 0, 0];
        content.extend((0..stops).flat_map(|stop| [u8::try_from(stop).unwrap() + 1; 16]));
        let chain = [(43, content)];
        let original = with_extensions(outer_addresses(Family::V6), 0, 17, &chain, &data(10));
        let mut wire = protect(&mut outbound(made()), &original);
        // RFC 2460 4.4: each node swaps the next address with the destination.
        for stop in stops - left..stops {
            let at = 48 + stop * 16;
            for octet in 0..16 {
                wire.swap(24 + octet, at + octet);
            }
            wire[43] -= 1;
            wire[7] -= 1;
        }
        prop_assert!(verify(&mut inbound(made()), &wire).is_ok());
        wire[30] ^= 1;
        prop_assert_eq!(verify(&mut inbound(made()), &wire), Err(OpenError::Forged));
    }
}
