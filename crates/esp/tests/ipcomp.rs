//! IPComp under ESP: what is compressed comes out as it was, in every mode; what does not get shorter is left alone;
//! what is not compressed data is dropped and counted.
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
#[path = "common/inflate.rs"]
mod inflate;

use common::{data, inbound, outbound, outer_addresses, params, suite, udp_between, udp_packet};
use ikebana_esp::{
    Cpi, Delivered, EspParams, Family, InboundSa, Ipcomp, IpcompError, Mode, NextHeader, OpenError,
    OutboundSa, PacketBuf, ReceivedOuter,
};
use ikebana_testkit::SeededRng;
use ikebana_testkit::vectors::Vectors;
use proptest::prelude::*;

const OUTER: ReceivedOuter = ReceivedOuter { tos: Some(0), ttl: None };

fn cpi() -> Cpi {
    Cpi::new(0xa5c3).unwrap()
}

fn compressing(mode: Mode, in_udp: bool, outer: Family) -> EspParams {
    EspParams { ipcomp: Some(Ipcomp::new(cpi())), ..params(suite("aes128gcm16", true), mode, in_udp, outer) }
}

/// Both directions of a tunnel that compresses.
fn tunnel() -> (OutboundSa, InboundSa) {
    let made = || compressing(Mode::Tunnel, false, Family::V4);
    (outbound(made()), inbound(made()))
}

/// A sender without IPComp, which puts what it likes behind next header 108.
fn rogue() -> (OutboundSa, InboundSa) {
    let made = || params(suite("aes128gcm16", true), Mode::Tunnel, false, Family::V4);
    (outbound(made()), tunnel().1)
}

/// Text of which every part has been there before.
fn prose(length: usize) -> Vec<u8> {
    b"All happy families are alike; each unhappy family is unhappy in its own way. "
        .iter()
        .copied()
        .cycle()
        .take(length)
        .collect()
}

fn noise(length: usize) -> Vec<u8> {
    SeededRng::new(5).octets(length)
}

/// A buffer with `octets` in it and room for a whole packet behind them.
fn roomy(octets: &[u8]) -> (Vec<u8>, std::ops::Range<usize>) {
    let mut bytes = vec![0xaa; 128 + 66_000];
    let range = 128..128 + octets.len();
    bytes[range.clone()].copy_from_slice(octets);
    (bytes, range)
}

/// An IPComp payload.
fn payload(next: u8, cpi: u16, deflated: &[u8]) -> Vec<u8> {
    let [high, low] = cpi.to_be_bytes();
    [&[next, 0, high, low], deflated].concat()
}

/// Sends `payload` as next header 108 and says what the receiver makes of it.
fn receive(
    (sender, receiver): &mut (OutboundSa, InboundSa),
    payload: &[u8],
) -> (Result<Delivered, OpenError>, Vec<u8>) {
    let (mut bytes, range) = roomy(payload);
    let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
    sender.seal(&mut packet, NextHeader::IPCOMP).unwrap();
    let result = receiver.decapsulate(&mut packet, OUTER);
    (result, packet.payload().to_vec())
}

#[test]
fn every_stream_that_zlib_makes_is_the_packet_again_and_says_what_it_is() {
    let vectors = Vectors::parse(include_str!("vectors/zlib-raw-deflate.json"));
    let mut pair = rogue();
    for case in vectors.cases() {
        let id = case.text("id");
        let (text, deflated) = (case.octets("text"), case.octets("deflated"));
        let length = case.value("length").map_or(text.len(), |_| case.number("length") as usize);
        let next = case.number("next") as u8;
        assert_eq!(&inflate::inflate(&deflated).unwrap()[..text.len()], text, "{id}");

        let (result, packet) = receive(&mut pair, &payload(next, cpi().get(), &deflated));
        assert_eq!(result, Ok(Delivered::Packet), "{id}");
        assert_eq!(packet.len(), length, "{id}");
        assert!(packet.starts_with(&text), "{id}");
    }
    assert_eq!(vectors.cases().len(), 26);
    assert_eq!(pair.1.stats().decompressed, 26);
}

#[test]
fn packets_get_shorter_on_the_wire_and_come_out_as_they_were() {
    for (mode, in_udp, outer) in [
        (Mode::Tunnel, false, Family::V4),
        (Mode::Tunnel, true, Family::V6),
        (Mode::Transport, false, Family::V4),
        (Mode::Transport, true, Family::V4),
        (Mode::Transport, false, Family::V6),
    ] {
        let (mut sender, mut receiver) =
            (outbound(compressing(mode, in_udp, outer)), inbound(compressing(mode, in_udp, outer)));
        let (source, destination) = outer_addresses(outer);
        for inner in [Family::V4, Family::V6] {
            let original = match mode {
                Mode::Tunnel => udp_packet(inner, 0, &prose(1_200)),
                Mode::Transport | Mode::Beet(_) => udp_between(source, destination, 0, &prose(1_200)),
            };
            let (mut bytes, range) = roomy(&original);
            let mut packet = PacketBuf::new(&mut bytes, range.clone()).unwrap();
            sender.encapsulate_whole(&mut packet, 9).unwrap();
            assert!(packet.len() < 400, "{mode:?} {outer:?}: {}", packet.len());
            // The whole packet says how long it is.
            let stated = match outer {
                Family::V4 => usize::from(u16::from_be_bytes([packet.payload()[2], packet.payload()[3]])),
                Family::V6 => {
                    40 + usize::from(u16::from_be_bytes([packet.payload()[4], packet.payload()[5]]))
                }
            };
            assert_eq!(stated, packet.len());
            assert_eq!(receiver.decapsulate_whole(&mut packet), Ok(Delivered::Packet));
            assert_eq!(packet.payload(), original, "{mode:?} {outer:?}");

            let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
            packet.payload_mut().copy_from_slice(&original);
            let fields = sender.encapsulate(&mut packet).unwrap();
            let outer = ReceivedOuter { tos: Some(fields.tos), ttl: None };
            assert_eq!(receiver.decapsulate(&mut packet, outer), Ok(Delivered::Packet));
            let header = if original[0] >> 4 == 4 { 20 } else { 40 };
            assert_eq!(packet.payload()[header..], original[header..]);
            assert_eq!(packet.len(), original.len());
        }
        let stats = sender.compression().unwrap();
        assert_eq!((stats.compressed, receiver.stats().decompressed), (4, 4));
        assert!(stats.octets_after * 3 < stats.octets_before);
    }
}

#[test]
fn the_compressed_data_is_deflate_as_another_inflater_understands_it() {
    let (mut sender, _) = tunnel();
    let made = || params(suite("aes128gcm16", true), Mode::Tunnel, false, Family::V4);
    let mut plain = inbound(made());
    for length in [70, 100, 500, 1_400, 9_000, 60_000] {
        let original = udp_packet(Family::V4, 0, &prose(length));
        let (mut bytes, range) = roomy(&original);
        let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
        sender.encapsulate(&mut packet).unwrap();
        // The wire says next header 108 only to who can decrypt it.
        assert_eq!(plain.open(&mut packet), Ok(NextHeader::IPCOMP));
        let compressed = packet.payload();
        assert_eq!(compressed[..4], [4, 0, 0xa5, 0xc3]);
        assert_eq!(inflate::inflate(&compressed[4..]).unwrap(), original);
    }
}

#[test]
fn ipv6_transport_mode_leaves_the_headers_in_front_that_routers_look_at() {
    // RFC 3173 2.1: behind hop-by-hop, routing and fragment headers; destination options behind those are the
    // payload's.
    let (source, destination) = outer_addresses(Family::V6);
    let udp = udp_between(source, destination, 0, &prose(600));
    let hop_by_hop = [60, 0, 1, 4, 0, 0, 0, 0];
    let destination_options = [17, 0, 1, 4, 0, 0, 0, 0];
    let mut original = udp[..40].to_vec();
    original[6] = 0;
    original.extend(hop_by_hop);
    original.extend(destination_options);
    original.extend(&udp[40..]);
    let length = u16::try_from(original.len() - 40).unwrap();
    original[4..6].copy_from_slice(&length.to_be_bytes());

    let made = || compressing(Mode::Transport, false, Family::V6);
    let (mut sender, mut receiver) = (outbound(made()), inbound(made()));
    let (mut bytes, range) = roomy(&original);
    let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
    sender.encapsulate_whole(&mut packet, 0).unwrap();
    assert!(packet.len() < 250);
    // The hop-by-hop header stands as it was, but for what follows it: ESP.
    assert_eq!(packet.payload()[6], 0);
    assert_eq!(packet.payload()[40..48], [50, 0, 1, 4, 0, 0, 0, 0]);
    assert_eq!(packet.payload()[48..52], common::spi().get().to_be_bytes());
    let mut copy = packet.payload()[48..].to_vec();
    let mut esp = PacketBuf::full(&mut copy);
    let plain = params(suite("aes128gcm16", true), Mode::Transport, false, Family::V6);
    assert_eq!(inbound(plain).open(&mut esp), Ok(NextHeader::IPCOMP));
    assert_eq!(esp.payload()[0], 60, "the destination options are compressed with the rest");

    assert_eq!(receiver.decapsulate_whole(&mut packet), Ok(Delivered::Packet));
    assert_eq!(packet.payload(), original);
}

#[test]
fn what_does_not_get_shorter_is_sent_as_it_is() {
    let (mut sender, mut receiver) = tunnel();
    let original = udp_packet(Family::V4, 0, &noise(800));
    let (mut bytes, range) = roomy(&original);
    let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
    sender.encapsulate(&mut packet).unwrap();
    assert_eq!(sender.overhead().outer_len(original.len()), packet.len() + 20);
    assert_eq!(receiver.decapsulate(&mut packet, OUTER), Ok(Delivered::Packet));
    assert_eq!(packet.payload(), original);
    assert_eq!(sender.compression().unwrap().incompressible, 1);
    assert_eq!(receiver.stats().decompressed, 0);
}

#[test]
fn short_payloads_are_not_tried() {
    let (mut sender, mut receiver) = tunnel();
    for length in [61, 62] {
        let original = udp_packet(Family::V4, 0, &vec![0; length]);
        let (mut bytes, range) = roomy(&original);
        let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
        sender.encapsulate(&mut packet).unwrap();
        assert_eq!(receiver.decapsulate(&mut packet, OUTER), Ok(Delivered::Packet));
        assert_eq!(packet.payload(), original);
    }
    // 89 octets and 90 octets.
    let stats = sender.compression().unwrap();
    assert_eq!((stats.below_threshold, stats.compressed), (1, 1));
}

#[test]
fn after_failures_in_a_row_compression_pauses_longer_and_longer_and_one_success_ends_it() {
    let (mut sender, _) = tunnel();
    let mut send = |data: &[u8]| {
        let original = udp_packet(Family::V4, 0, data);
        let (mut bytes, range) = roomy(&original);
        sender.encapsulate(&mut PacketBuf::new(&mut bytes, range).unwrap()).unwrap();
        *sender.compression().unwrap()
    };
    let mut tried_at = Vec::new();
    for i in 0..400 {
        let before = send(&noise(300));
        let tried = before.incompressible;
        if tried_at.len() as u64 != tried {
            tried_at.push(i);
        }
    }
    let pauses: Vec<_> = tried_at.windows(2).map(|pair| pair[1] - pair[0] - 1).collect();
    assert_eq!(pauses, [0, 0, 4, 8, 16, 32, 64, 64, 64, 64, 64]);
    let mut last = send(&prose(300));
    while last.compressed == 0 {
        last = send(&prose(300));
    }
    let not_tried = last.not_tried;
    for _ in 0..3 {
        last = send(&noise(300));
    }
    assert_eq!(last.not_tried, not_tried, "three failures are allowed again");
    assert_eq!(send(&noise(300)).not_tried, not_tried + 1);
    let sum = last.compressed + last.incompressible + last.not_tried + last.below_threshold;
    assert_eq!(sum + 1, sender.stats().packets);
}

#[test]
fn a_decompression_bomb_ends_where_the_limit_is_and_exactly_there() {
    let vectors = Vectors::parse(include_str!("vectors/zlib-raw-deflate.json"));
    let case = vectors.cases().iter().find(|case| case.text("id") == "zeros").unwrap();
    let (text, deflated) = (case.octets("text"), case.octets("deflated"));
    assert_eq!((text.len(), deflated.len() < 60), (1_420, true));
    for (limit, result) in [
        (1_420, Ok(Delivered::Packet)),
        (1_419, Err(OpenError::Ipcomp(IpcompError::TooLong { limit: 1_419 }))),
        (100, Err(OpenError::Ipcomp(IpcompError::TooLong { limit: 100 }))),
        (0, Err(OpenError::Ipcomp(IpcompError::TooLong { limit: 0 }))),
    ] {
        let ipcomp = Some(Ipcomp { max_output: limit, ..Ipcomp::new(cpi()) });
        let receiver = inbound(EspParams { ipcomp, ..compressing(Mode::Tunnel, false, Family::V4) });
        let mut pair = (rogue().0, receiver);
        assert_eq!(receive(&mut pair, &payload(4, cpi().get(), &deflated)).0, result);
        assert_eq!(pair.1.stats().ipcomp_too_long, u64::from(result.is_err()));
        assert_eq!(pair.1.stats().errors(), u64::from(result.is_err()));
    }
    // 60 KB of deflated zeros would be 60 MB.
    let mut bomb = vec![0xed, 0xc1, 0x01, 0x01, 0, 0, 0, 0x80, 0x90, 0xfe, 0xaf, 0xee, 0x08, 0x0a];
    bomb.extend(vec![0; 60_000]);
    let mut pair = rogue();
    let (result, _) = receive(&mut pair, &payload(4, cpi().get(), &bomb));
    assert_eq!(result, Err(OpenError::Ipcomp(IpcompError::TooLong { limit: 65_535 })));
}

#[test]
fn every_error_has_its_counter() {
    let vectors = Vectors::parse(include_str!("vectors/zlib-raw-deflate.json"));
    let deflated = vectors.cases()[6].octets("deflated");
    let length = vectors.cases()[6].octets("text").len();
    let mut pair = rogue();
    let cases: [(Vec<u8>, IpcompError); 6] = [
        (vec![], IpcompError::Short { length: 0 }),
        (vec![4, 0, 0xa5], IpcompError::Short { length: 3 }),
        (payload(4, 2, &deflated), IpcompError::Cpi(2)),
        (payload(108, cpi().get(), &deflated), IpcompError::Nested),
        (payload(4, cpi().get(), &[]), IpcompError::Malformed),
        (payload(4, cpi().get(), &[0xff; 30]), IpcompError::Malformed),
    ];
    for (payload, error) in cases {
        assert_eq!(receive(&mut pair, &payload).0, Err(OpenError::Ipcomp(error)));
    }
    // A right stream, and no room for what comes out of it.
    let text = payload(4, cpi().get(), &deflated);
    let (mut bytes, range) = roomy(&text);
    let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
    pair.0.seal(&mut packet, NextHeader::IPCOMP).unwrap();
    let mut wire = packet.payload().to_vec();
    let result = pair.1.decapsulate(&mut PacketBuf::full(&mut wire), OUTER);
    let Err(OpenError::Ipcomp(IpcompError::Room { needed, available })) = result else {
        panic!("{result:?}");
    };
    // Trailer and ICV are room, too.
    assert_eq!((needed, available), (length, wire.len() - 16));
    // What is compressed is still to be an IP packet.
    let udp = payload(17, cpi().get(), &deflated);
    assert_eq!(receive(&mut pair, &udp).0, Err(OpenError::NextHeader(NextHeader::UDP)));

    let stats = pair.1.stats();
    assert_eq!(
        [
            stats.ipcomp_short,
            stats.ipcomp_cpi,
            stats.ipcomp_nested,
            stats.ipcomp_malformed,
            stats.ipcomp_room,
            stats.next_header,
            stats.decompressed,
        ],
        [2, 1, 1, 2, 1, 1, 1]
    );
    assert_eq!(stats.errors(), 8);
}

#[test]
fn without_agreement_a_compressed_payload_is_no_packet_of_a_tunnel() {
    let made = || params(suite("aes128gcm16", true), Mode::Tunnel, false, Family::V4);
    let mut pair = (outbound(made()), inbound(made()));
    let deflated = [3, 0];
    let (result, _) = receive(&mut pair, &payload(4, 2, &deflated));
    assert_eq!(result, Err(OpenError::NextHeader(NextHeader::IPCOMP)));
}

#[test]
fn every_cut_and_every_changed_octet_of_a_stream_is_an_error_or_a_packet_within_bounds() {
    let vectors = Vectors::parse(include_str!("vectors/zlib-raw-deflate.json"));
    let mut pair = rogue();
    for id in ["text level 6", "text fixed", "noise with text"] {
        let case = vectors.cases().iter().find(|case| case.text("id") == id).unwrap();
        let (text, deflated) = (case.octets("text"), case.octets("deflated"));
        for length in 0..deflated.len() {
            let (result, _) = receive(&mut pair, &payload(4, cpi().get(), &deflated[..length]));
            assert_eq!(result, Err(OpenError::Ipcomp(IpcompError::Malformed)), "{id} {length}");
        }
        for at in 0..deflated.len() {
            let mut changed = deflated.clone();
            changed[at] ^= 1 << (at % 8);
            let before = pair.1.stats().errors();
            let (result, packet) = receive(&mut pair, &payload(4, cpi().get(), &changed));
            assert_eq!(pair.1.stats().errors() - before, u64::from(result.is_err()));
            if result.is_ok() {
                assert_eq!(packet.len(), text.len());
            }
        }
    }
}

#[test]
fn padding_behind_the_compressed_data_is_left_out() {
    let vectors = Vectors::parse(include_str!("vectors/zlib-raw-deflate.json"));
    let mut pair = rogue();
    let mut padded = payload(4, cpi().get(), &vectors.cases()[1].octets("deflated"));
    padded.extend([0; 300]);
    let (result, packet) = receive(&mut pair, &padded);
    assert_eq!(result, Ok(Delivered::Packet));
    assert_eq!(packet, vectors.cases()[1].octets("text"));
}

/// Eight blocks without anything in them have ten octets. Each makes the receiver build its tables anew.
#[test]
fn blocks_without_anything_in_them_are_endured_for_a_while_only() {
    let vectors = Vectors::parse(include_str!("vectors/zlib-raw-deflate.json"));
    let (deflated, text) = (vectors.cases()[1].octets("deflated"), vectors.cases()[1].octets("text"));
    // "Not the last, fixed codes" is 0, 1, 0 and the end of the block seven zeros, all from the lowest bit on.
    let bits = [false, true].into_iter().chain([false; 8]);
    let eight: Vec<bool> = bits.cycle().take(80).collect();
    let eight: Vec<u8> = eight
        .chunks(8)
        .map(|bits| bits.iter().rev().fold(0, |octet, &bit| octet << 1 | u8::from(bit)))
        .collect();
    for (times, accepted) in [(1, true), (6, true), (9, false), (100, false)] {
        let stream = [eight.repeat(times), deflated.clone()].concat();
        let (result, packet) = receive(&mut rogue(), &payload(4, cpi().get(), &stream));
        if accepted {
            assert_eq!((result, packet), (Ok(Delivered::Packet), text.clone()));
        } else {
            assert_eq!(result, Err(OpenError::Ipcomp(IpcompError::Malformed)));
        }
    }
}

#[test]
fn the_numbers_that_can_stand_for_deflate() {
    let allowed = (0..=u16::MAX).filter(|cpi| Cpi::new(*cpi).is_some());
    let allowed: Vec<_> = allowed.collect();
    assert_eq!((allowed[0], allowed[1], allowed.last(), allowed.len()), (2, 256, Some(&61_439), 61_185));
    assert_eq!(Cpi::new(2), Some(Cpi::DEFLATE));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the payload is made of, and whatever level compresses it.
    #[test]
    fn any_payload_comes_through(
        pieces in prop::collection::vec((any::<u8>(), 1_usize..200, any::<bool>()), 1..30),
        level in 0_u8..12,
        transport in any::<bool>(),
    ) {
        let mut text = Vec::new();
        for (seed, length, repeated) in pieces {
            match repeated {
                true => text.extend(vec![seed; length]),
                false => text.extend(data(length).iter().map(|octet| octet.wrapping_mul(seed | 1))),
            }
        }
        let mode = if transport { Mode::Transport } else { Mode::Tunnel };
        let ipcomp = Some(Ipcomp { level, threshold: 0, ..Ipcomp::new(cpi()) });
        let made = || EspParams { ipcomp, ..compressing(mode, false, Family::V4) };
        let (mut sender, mut receiver) = (outbound(made()), inbound(made()));
        let (source, destination) = outer_addresses(Family::V4);
        let original = udp_between(source, destination, 0, &text);
        let (mut bytes, range) = roomy(&original);
        let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
        sender.encapsulate_whole(&mut packet, 1).unwrap();
        prop_assert!(packet.len() <= sender.overhead().outer_len(original.len()));
        prop_assert_eq!(receiver.decapsulate_whole(&mut packet), Ok(Delivered::Packet));
        prop_assert_eq!(packet.payload(), original);
    }

    /// A peer may put anything behind the header: it is dropped in one counter, or comes out within bounds.
    #[test]
    fn no_stream_makes_us_do_more_than_the_limit(
        stream in prop::collection::vec(any::<u8>(), 0..300),
        limit in 0_u16..2_000,
    ) {
        let ipcomp = Some(Ipcomp { max_output: limit, ..Ipcomp::new(cpi()) });
        let receiver = inbound(EspParams { ipcomp, ..compressing(Mode::Transport, false, Family::V4) });
        let made = params(suite("aes128gcm16", true), Mode::Transport, false, Family::V4);
        let mut pair = (outbound(made), receiver);
        let expected = inflate::inflate(&stream).filter(|text| text.len() <= usize::from(limit));
        let (result, packet) = receive(&mut pair, &payload(17, cpi().get(), &stream));
        match expected {
            Some(text) => {
                prop_assert_eq!(result, Ok(Delivered::Packet));
                prop_assert_eq!(&packet[20..], text);
            }
            None => prop_assert!(matches!(result, Err(OpenError::Ipcomp(_)))),
        }
        prop_assert_eq!(pair.1.stats().errors(), u64::from(result.is_err()));
    }
}
