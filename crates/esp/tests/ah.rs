//! AH: what routers and attackers do to packets on their way, and what is refused.
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

use std::ops::Range;

use common::ah::{
    ah_at, fix_checksum, inbound, outbound, params, protect, verify, with_extensions, with_options,
};
use common::{data, ip_packet, outer_addresses, udp_between, udp_packet, with_room};
use ikebana_core::Secret;
use ikebana_crypto::CryptoProvider;
use ikebana_esp::{
    AhParams, Family, InboundAh, InboundStats, IpError, MAX_COVERED_HEADERS, Mode, NextHeader, OpenError,
    OutboundAh, OutboundStats, PacketBuf, ReplayError, SealError, SetupError, ah_spi,
};
use ikebana_proposals::{Encryption, EncryptionId, IntegrityId, ProtocolId};
use ikebana_testkit::mutations;

/// Which octets of a packet's options routers may change.
#[derive(Default)]
struct Freedom {
    mutable: Vec<Range<usize>>,
    /// Types and lengths of IPv4's mutable options: they are zeroed with the rest, so what they may become
    /// depends on what that makes of the options behind.
    heads: Vec<usize>,
}

/// What a router may do to each octet of a packet: the bits that it may change.
fn changeable(wire: &[u8], freedom: &Freedom) -> Vec<u8> {
    let mut bits = vec![0; wire.len()];
    if wire[0] >> 4 == 4 {
        for at in [1, 8, 10, 11] {
            bits[at] = 0xff;
        }
        // Whether the packet is a fragment is looked at, so of the flags only the others.
        bits[6] = 0xc0;
    } else {
        (bits[0], bits[1], bits[2], bits[3], bits[7]) = (0x0f, 0xff, 0xff, 0xff, 0xff);
    }
    for range in &freedom.mutable {
        bits[range.clone()].fill(0xff);
    }
    bits
}

fn sweep(keyword: &str, esn: bool, mode: Mode, original: &[u8], freedom: &Freedom) {
    let family = if original[0] >> 4 == 4 { Family::V4 } else { Family::V6 };
    let made = || params(keyword, esn, mode, family);
    let (mut sender, mut receiver) = (outbound(made()), inbound(made()));
    sender.resume_after(99);
    let wire = protect(&mut sender, original);
    let may_change = changeable(&wire, freedom);
    let mut refused = 0;
    for (octet, changeable) in may_change.iter().enumerate() {
        if freedom.heads.contains(&octet) {
            continue;
        }
        for bit in 0..8 {
            let mut changed = wire.clone();
            changed[octet] ^= 1 << bit;
            if changeable >> bit & 1 == 1 {
                let fresh = &mut inbound(made());
                assert!(verify(fresh, &changed).is_ok(), "{keyword} {mode:?}: octet {octet} bit {bit}");
                continue;
            }
            let result = verify(&mut receiver, &changed);
            assert!(result.is_err(), "{keyword} {mode:?}: octet {octet} bit {bit} is accepted");
            refused += 1;
            assert_eq!(receiver.highest_sequence(), 0);
            let stats = receiver.stats();
            assert_eq!((stats.packets, stats.octets, stats.errors()), (0, 0, refused));
        }
    }
    assert!(receiver.stats().forged > refused / 2);
    assert!(verify(&mut receiver, &wire).is_ok());
}

/// IPv4 options of each kind of mutability; and where in the packet the mutable ones are.
fn all_options() -> (Vec<u8>, Freedom) {
    let options = [
        &[148, 4, 0, 0][..],
        &[7, 7, 4, 0, 0, 0, 0, 1],
        &[130, 3, 9, 1],
        &[131, 7, 8, 10, 0, 0, 1, 1],
        &[68, 8, 5, 0, 0, 0, 0, 0],
        &[0, 0, 0, 0],
    ];
    (options.concat(), Freedom { mutable: vec![26..31, 38..43, 46..52], heads: vec![24, 25, 36, 37, 44, 45] })
}

#[test]
fn no_immutable_bit_can_be_flipped_and_every_mutable_one_can() {
    for keyword in ["sha1", "sha256", "aescmac"] {
        for esn in [false, true] {
            for family in [Family::V4, Family::V6] {
                let ends = outer_addresses(family);
                let packet = udp_between(ends.0, ends.1, 1, &data(30));
                sweep(keyword, esn, Mode::Transport, &packet, &Freedom::default());
                sweep(keyword, esn, Mode::Tunnel, &udp_of_tunnel(family), &Freedom::default());
            }
            let (options, freedom) = all_options();
            let packet = with_options(outer_addresses(Family::V4), 0, 17, &options, &data(20));
            sweep(keyword, esn, Mode::Transport, &packet, &freedom);
            let chain = [
                (0, vec![0x05, 2, 0, 0, 0x3e, 0, 0x3e, 2, 1, 2, 0x01, 2, 0, 0]),
                (43, [&[0, 0, 0, 0, 0, 0][..], &[0x33; 16]].concat()),
            ];
            let packet = with_extensions(outer_addresses(Family::V6), 0, 17, &chain, &data(20));
            let data_of_option = Freedom { mutable: std::iter::once(50..52).collect(), heads: Vec::new() };
            sweep(keyword, esn, Mode::Transport, &packet, &data_of_option);
        }
    }
}

/// A packet of the outer family, so that the sweep knows which fields are whose.
fn udp_of_tunnel(family: Family) -> Vec<u8> {
    // Not ECN-capable, so a congestion mark outside would be refused; it is ECT(0) here.
    udp_packet(family, 2, &data(30))
}

#[test]
fn no_mutation_is_accepted_that_leaves_something_else_or_panics() {
    for (mode, family) in [
        (Mode::Tunnel, Family::V4),
        (Mode::Tunnel, Family::V6),
        (Mode::Transport, Family::V4),
        (Mode::Transport, Family::V6),
    ] {
        let made = || params("sha256", true, mode, family);
        let ends = outer_addresses(family);
        let original = match family {
            Family::V4 => with_options(ends, 0, 17, &all_options().0, &data(60)),
            Family::V6 => {
                let chain = [(0, vec![0x3e, 4, 1, 2, 3, 4]), (43, vec![0; 6]), (60, vec![1, 4, 0, 0, 0, 0])];
                with_extensions(ends, 0, 17, &chain, &data(60))
            }
        };
        let wire = protect(&mut outbound(made()), &original);
        let content = data(60);
        for (mutation, octets) in mutations(&wire) {
            if let Ok(delivered) = verify(&mut inbound(made()), &octets) {
                // Mutable fields only, and octets behind the packet.
                assert!(delivered.ends_with(&content), "{mode:?} {family:?} {mutation}");
                assert_eq!(delivered.len(), original.len(), "{mode:?} {family:?} {mutation}");
            }
        }
    }
}

#[test]
fn a_packet_is_accepted_once_and_a_forged_one_moves_nothing() {
    let made = || params("sha256", false, Mode::Tunnel, Family::V4);
    let (mut sender, mut receiver) = (outbound(made()), inbound(made()));
    let packets: Vec<_> = (0..3).map(|_| protect(&mut sender, &udp_packet(Family::V4, 0, &[1]))).collect();
    let mut ahead = packets[2].clone();
    ahead[28..32].copy_from_slice(&0x7000_0000u32.to_be_bytes());
    assert_eq!(verify(&mut receiver, &ahead), Err(OpenError::Forged));
    assert_eq!(receiver.highest_sequence(), 0);
    for index in [2, 0, 1] {
        assert!(verify(&mut receiver, &packets[index]).is_ok());
    }
    for packet in &packets {
        assert_eq!(verify(&mut receiver, packet), Err(OpenError::Replay(ReplayError::Repeated)));
    }
    let expected = InboundStats { packets: 3, octets: 3 * 29, forged: 1, repeated: 3, ..Default::default() };
    assert_eq!(*receiver.stats(), expected);
}

#[test]
fn a_wrong_high_half_of_the_number_is_a_forgery() {
    let made = || params("sha1", true, Mode::Tunnel, Family::V6);
    let (mut sender, mut receiver) = (outbound(made()), inbound(made()));
    sender.resume_after((7 << 32) | 50);
    let wire = protect(&mut sender, &udp_packet(Family::V6, 0, &[]));
    assert_eq!(
        verify(&mut receiver, &wire),
        Err(OpenError::Forged),
        "number 51 is guessed to be of the first 2^32"
    );
}

#[test]
fn linux_padding_to_64_bits_in_ipv4_is_accepted_if_it_is_authentic() {
    // SHA2-256-128 makes AH 28 octets long; with `align4` off, Linux makes that 32.
    let params = params("sha256", false, Mode::Transport, Family::V4);
    let mac = CryptoProvider::rust_crypto().mac(IntegrityId::HMAC_SHA2_256_128, params.key.expose()).unwrap();
    let (source, destination) = outer_addresses(Family::V4);
    let mut ah = vec![17, 6, 0, 0, 0xc0, 0xff, 0xee, 0x01, 0, 0, 0, 1];
    ah.extend([0; 16]);
    ah.extend([0xde, 0xad, 0xbe, 0xef]);
    ah.extend(data(50));
    let mut packet = ip_packet(source, destination, 0, 51, &ah);
    let mut zeroed = packet.clone();
    for at in [1, 6, 7, 8, 10, 11] {
        zeroed[at] = 0;
    }
    mac.compute(&[&zeroed], &mut packet[32..48]);
    assert_eq!(verify(&mut inbound(params), &packet).unwrap()[20..], data(50));
    let again = || common::ah::params("sha256", false, Mode::Transport, Family::V4);
    packet[49] ^= 1;
    assert_eq!(verify(&mut inbound(again()), &packet), Err(OpenError::Forged), "the padding is covered");
}

#[test]
fn the_length_field_has_to_be_that_of_the_algorithm() {
    for (family, right) in [(Family::V4, [5, 6]), (Family::V6, [6, 6])] {
        let made = || params("sha256", false, Mode::Tunnel, family);
        let wire = protect(&mut outbound(made()), &udp_packet(Family::V4, 0, &data(2_000)));
        let at = ah_at(&wire) + 1;
        for words in 0..=255 {
            let mut changed = wire.clone();
            changed[at] = words;
            let mut receiver = inbound(made());
            let expected = match verify(&mut receiver, &changed) {
                Ok(_) => words == wire[at],
                Err(OpenError::Forged) => right.contains(&words),
                Err(OpenError::AhLength(told)) => told == words && !right.contains(&words),
                Err(_) => false,
            };
            assert!(expected, "{family:?} {words}");
        }
    }
}

#[test]
fn what_is_not_ah_or_ends_early_is_counted_as_that() {
    let made = || params("sha1", false, Mode::Transport, Family::V4);
    let ends = outer_addresses(Family::V4);
    let wire = protect(&mut outbound(made()), &udp_between(ends.0, ends.1, 0, &[1; 9]));
    let mut receiver = inbound(made());
    let mut expect = |octets: &[u8], error| assert_eq!(verify(&mut receiver, octets), Err(error));

    let mut other = wire.clone();
    other[9] = 50;
    expect(&other, OpenError::NotAh(50));
    // AH in UDP is not a thing: the packet is UDP.
    expect(&udp_between(ends.0, ends.1, 0, &wire[20..]), OpenError::NotAh(17));
    expect(&wire[..19], OpenError::Outer(IpError::Truncated));
    for length in [0, 11, 12, 23] {
        let packet = ip_packet(ends.0, ends.1, 0, 51, &wire[20..20 + length]);
        expect(&packet, OpenError::Short { length });
    }
    let mut fragment = wire.clone();
    fragment[6] |= 0x20;
    expect(&fragment, OpenError::OuterFragment);
    let mut options = with_options(ends, 0, 51, &[148, 0, 0, 0], &wire[20..]);
    expect(&options, OpenError::Outer(IpError::Options));
    options[21] = 4;
    expect(&options, OpenError::Forged);
    let mut of_another = wire.clone();
    of_another[24] ^= 1;
    expect(&of_another, OpenError::WrongSpi(0xc1ff_ee01));
    let mut zero = wire.clone();
    zero[28..32].fill(0);
    expect(&zero, OpenError::Replay(ReplayError::Zero));

    let expected = InboundStats {
        not_ah: 2,
        malformed_outer: 2,
        short: 4,
        outer_fragment: 1,
        forged: 1,
        wrong_spi: 1,
        sequence_zero: 1,
        ..Default::default()
    };
    assert_eq!(*receiver.stats(), expected);
    assert_eq!(receiver.stats().errors(), 12);
}

#[test]
fn the_spi_is_found_behind_whatever_headers_there_are() {
    for mode in [Mode::Tunnel, Mode::Transport] {
        let ends = outer_addresses(Family::V4);
        let packet = with_options(ends, 0, 17, &all_options().0, &data(9));
        let wire = protect(&mut outbound(params("sha1", false, mode, Family::V4)), &packet);
        assert_eq!(ah_spi(&wire), Some(common::spi()));
        let mut fragment = wire.clone();
        fragment[6] |= 0x20;
        assert_eq!(ah_spi(&fragment), None);
        let cut = ip_packet(ends.0, ends.1, 0, 51, &wire[wire.len() - 7..]);
        assert_eq!((ah_spi(&cut), ah_spi(&packet), ah_spi(&[])), (None, None, None));
    }
    let chain = [(0, vec![0x3e, 4, 1, 2, 3, 4]), (43, vec![0; 6]), (60, vec![1, 4, 0, 0, 0, 0])];
    let packet = with_extensions(outer_addresses(Family::V6), 0, 17, &chain, &data(9));
    let wire = protect(&mut outbound(params("sha1", false, Mode::Transport, Family::V6)), &packet);
    assert_eq!(ah_spi(&wire), Some(common::spi()));
}

#[test]
fn headers_of_ipv6_that_ah_cannot_cover_are_told() {
    let made = || params("sha1", false, Mode::Transport, Family::V6);
    let ends = outer_addresses(Family::V6);
    let (mut sender, mut receiver) = (outbound(made()), inbound(made()));
    let wire = protect(&mut sender, &udp_between(ends.0, ends.1, 0, &[1; 9]));
    let long = [(0, vec![0; 60 * 8 - 2])];
    let atomic = [(44, vec![0; 6])];
    let segments_left = [(43, [&[0, 1, 0, 0, 0, 0][..], &[3; 16]].concat())];
    let unknown_type = [(43, [&[4, 1, 0, 0, 0, 0][..], &[3; 16]].concat())];
    let cases = [
        (&long, OpenError::HeadersTooLong { length: 520 }, Some(SealError::HeadersTooLong { length: 520 })),
        (&atomic, OpenError::OuterFragment, Some(SealError::Fragment)),
        (&segments_left, OpenError::Outer(IpError::Routing), None),
        (&unknown_type, OpenError::Outer(IpError::Routing), Some(SealError::Inner(IpError::Routing))),
    ];
    for (chain, opening, sealing) in cases {
        let received = with_extensions(ends, 0, 51, chain, &wire[40..]);
        assert_eq!(verify(&mut receiver, &received), Err(opening));
        let original = with_extensions(ends, 0, 17, chain, &[1; 9]);
        let (mut bytes, range) = with_room(&original);
        let before = bytes.clone();
        let mut packet = PacketBuf::new(&mut bytes, range.clone()).unwrap();
        let result = sender.encapsulate_whole(&mut packet, 1);
        assert_eq!(result.err(), sealing);
        if sealing.is_some() {
            assert_eq!((packet.range(), &bytes), (range, &before), "the packet is as before");
        }
    }
    assert_eq!(sender.last_sequence(), 2, "no number is used up by what was not sent");
    assert_eq!(receiver.stats().errors(), 4);
    let stats = sender.stats();
    assert_eq!((stats.headers_too_long, stats.fragment, stats.malformed_inner, stats.errors()), (1, 1, 1, 3));
    const { assert!(MAX_COVERED_HEADERS < 520) };
}

#[test]
fn a_packet_that_is_not_sealed_is_as_before_and_counted() {
    let ends = outer_addresses(Family::V4);
    let whole = udp_between(ends.0, ends.1, 0, &[7; 20]);
    let mut fragment = whole.clone();
    fragment[6] = 0x20;
    fix_checksum(&mut fragment);
    let v6 = udp_packet(Family::V6, 0, &[]);
    let bad_option = with_options(ends, 0, 17, &[148, 1, 0, 0], &[]);
    let mut sender = outbound(params("sha1", false, Mode::Transport, Family::V4));
    let cases = [
        (&whole, 23, SealError::Headroom { needed: 24, available: 23 }),
        (&fragment, 64, SealError::Fragment),
        (&v6, 64, SealError::Family),
        (&bad_option, 64, SealError::Inner(IpError::Options)),
    ];
    for (original, room, error) in cases {
        let mut bytes = vec![0; room];
        bytes.extend(original);
        let before = bytes.clone();
        let range = room..bytes.len();
        let mut packet = PacketBuf::new(&mut bytes, range.clone()).unwrap();
        assert_eq!(sender.encapsulate_whole(&mut packet, 1), Err(error));
        assert_eq!((packet.range(), bytes), (range, before));
    }
    sender.resume_after(u64::from(u32::MAX));
    let (mut bytes, range) = with_room(&whole);
    let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
    assert_eq!(sender.encapsulate_whole(&mut packet, 1), Err(SealError::SequenceExhausted));
    let expected = OutboundStats {
        headroom: 1,
        fragment: 1,
        wrong_family: 1,
        malformed_inner: 1,
        sequence_exhausted: 1,
        ..Default::default()
    };
    assert_eq!(*sender.stats(), expected);

    let mut tunnel = outbound(params("sha1", false, Mode::Tunnel, Family::V4));
    let longest = ip_packet(ends.0, ends.1, 0, 17, &vec![0; 65_535 - 20 - 43]);
    let (mut bytes, range) = with_room(&longest);
    let mut packet = PacketBuf::new(&mut bytes, range.clone()).unwrap();
    let result = tunnel.encapsulate_whole(&mut packet, 1);
    assert_eq!((result, packet.range()), (Err(SealError::TooLong { length: 65_536 }), range));
}

#[test]
fn a_fragmentable_packet_without_identification_gets_one() {
    let made = || params("sha1", false, Mode::Transport, Family::V4);
    let ends = outer_addresses(Family::V4);
    for (identification, flags, expected) in [(0, 0, 0x4711), (0, 0x40, 0), (5, 0, 5)] {
        let mut original = udp_between(ends.0, ends.1, 0, &[1; 9]);
        original[4..6].copy_from_slice(&u16::to_be_bytes(identification));
        original[6] = flags;
        fix_checksum(&mut original);
        let wire = protect(&mut outbound(made()), &original);
        assert_eq!(wire[4..6], u16::to_be_bytes(expected));
        assert!(verify(&mut inbound(made()), &wire).is_ok());
    }
}

#[test]
fn a_tunnel_shares_the_outer_header_and_ecn_rules_of_esp() {
    let made = || params("sha256", false, Mode::Tunnel, Family::V6);
    let mut sender = outbound(made());
    let mut wire = protect(&mut sender, &udp_packet(Family::V4, 0xba, &[1; 5]));
    assert_eq!((wire[0] << 4 | wire[1] >> 4, wire[7]), (0xba, 64), "DSCP and ECN of the inner header");
    // A router marks congestion: the mark comes out on the inner packet.
    wire[1] |= 0x30;
    let inner = verify(&mut inbound(made()), &wire).unwrap();
    assert_eq!(inner[1], 0xbb);
    let wire = protect(&mut sender, &udp_packet(Family::V4, 0, &[1; 5]));
    let mut marked = wire.clone();
    marked[1] |= 0x30;
    let mut receiver = inbound(made());
    assert_eq!(verify(&mut receiver, &marked), Err(OpenError::Ecn));
    assert_eq!((receiver.stats().packets, receiver.stats().ecn), (1, 1));
}

#[test]
fn a_tunnel_delivers_whole_ip_packets_of_the_version_it_says_only() {
    // The peer may protect what it likes; a transport SA of the same key lets it.
    let ends = outer_addresses(Family::V4);
    let inner = udp_packet(Family::V6, 0, &[1; 5]);
    for (protocol, content, error) in [
        (17, &inner[..], OpenError::NextHeader(NextHeader::UDP)),
        (59, &[][..], OpenError::NextHeader(NextHeader::NONE)),
        (4, &inner[..], OpenError::Inner(IpError::Version(6))),
        (41, &inner[..39], OpenError::Inner(IpError::Truncated)),
    ] {
        let packet = ip_packet(ends.0, ends.1, 0, protocol, content);
        let wire = protect(&mut outbound(params("sha1", false, Mode::Transport, Family::V4)), &packet);
        let mut receiver = inbound(params("sha1", false, Mode::Tunnel, Family::V4));
        assert_eq!(verify(&mut receiver, &wire), Err(error));
        assert_eq!(
            (receiver.stats().packets, receiver.stats().errors(), receiver.highest_sequence()),
            (1, 1, 1)
        );
    }
}

#[test]
fn a_path_of_another_family_changes_addresses_and_alignment() {
    let mut sender = outbound(params("sha256", false, Mode::Tunnel, Family::V4));
    let mut receiver = inbound(params("sha256", false, Mode::Tunnel, Family::V4));
    let inner = udp_packet(Family::V4, 0, &data(10));
    assert_eq!(protect(&mut sender, &inner).len(), inner.len() + 20 + 28);
    let (source, destination) = outer_addresses(Family::V6);
    assert_eq!(sender.set_path(source, [192, 0, 2, 1].into()), Err(SealError::Family));
    sender.set_path(source, destination).unwrap();
    let wire = protect(&mut sender, &inner);
    assert_eq!((wire.len(), sender.overhead().outer_len(inner.len())), (inner.len() + 72, inner.len() + 72));
    assert_eq!(verify(&mut receiver, &wire), Ok(inner));
}

#[test]
fn an_sa_that_cannot_be_is_refused_at_once() {
    let made = || params("sha256", false, Mode::Tunnel, Family::V4);
    let error = |params: AhParams| OutboundAh::new(params, &CryptoProvider::rust_crypto()).err().unwrap();
    let mut esp = made();
    esp.suite.protocol = ProtocolId::ESP;
    assert_eq!(error(esp), SetupError::NotAh(ProtocolId::ESP));
    let mut encrypted = made();
    encrypted.suite.encryption = Some(Encryption::new(EncryptionId::AES_GCM_16, 128));
    assert!(matches!(error(encrypted), SetupError::Suite(_)));
    for integrity in [None, Some(IntegrityId::NONE), Some(IntegrityId(999)), Some(IntegrityId::AES_128_GMAC)]
    {
        let mut made = made();
        made.suite.integrity = integrity;
        assert!(matches!(error(made), SetupError::Suite(_)), "{integrity:?}");
    }
    let short = AhParams { key: Secret::new(vec![1; 31]), ..made() };
    let suite = made().suite;
    assert_eq!(error(short), SetupError::KeyLength { suite, needed: [0, 32], given: [0, 31] });
    let mixed = AhParams { source: outer_addresses(Family::V6).0, ..made() };
    assert!(matches!(error(mixed), SetupError::MixedFamilies { .. }));
    let (source, destination) = outer_addresses(Family::V4);
    let beet = Mode::Beet(ikebana_esp::InnerAddresses { source, destination });
    assert_eq!(error(AhParams { mode: beet, ..made() }), SetupError::BeetInAh);
    let error = |params: AhParams| InboundAh::new(params, &CryptoProvider::rust_crypto()).err().unwrap();
    assert_eq!(error(AhParams { replay_window: 100, ..made() }), SetupError::ReplayWindow(100));
    let esn = params("sha256", true, Mode::Tunnel, Family::V4);
    assert_eq!(error(AhParams { replay_window: 0, ..esn }), SetupError::EsnWithoutReplay);
    let unprotected = AhParams { replay_window: 0, ..made() };
    let mut receiver = InboundAh::new(unprotected, &CryptoProvider::rust_crypto()).unwrap();
    let wire = protect(&mut outbound(made()), &udp_packet(Family::V4, 0, &[]));
    assert!(verify(&mut receiver, &wire).is_ok() && verify(&mut receiver, &wire).is_ok());
}
