//! Traffic flow confidentiality: padded packets and dummies, with every suite.
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

use common::{SUITES, data, inbound, outbound, outer_addresses, pair, params, suite, udp_packet, with_room};
use ikebana_crypto::CryptoProvider;
use ikebana_esp::{
    Arrived, Delivered, EspParams, Family, Mode, NextHeader, OutboundSa, Outgoing, PacketBuf, ReceivedOuter,
    SealError, SetupError, TfcPadding,
};
use ikebana_testkit::SeededRng;
use proptest::prelude::*;

const OUTER: ReceivedOuter = ReceivedOuter { tos: Some(0), ttl: None };

fn padded(keywords: &str, esn: bool, outer: Family, tfc: TfcPadding) -> EspParams {
    EspParams { tfc, ..params(suite(keywords, esn), Mode::Tunnel, false, outer) }
}

/// A packet in a buffer with room for a whole path behind it.
fn roomy(octets: &[u8]) -> (Vec<u8>, std::ops::Range<usize>) {
    let mut bytes = vec![0xaa; 128 + octets.len() + 2_000];
    let range = 128..128 + octets.len();
    bytes[range.clone()].copy_from_slice(octets);
    (bytes, range)
}

/// The outer packet's length, and what came out of it.
fn send(sender: &mut OutboundSa, receiver: &mut ikebana_esp::InboundSa, original: &[u8]) -> usize {
    let (mut bytes, range) = roomy(original);
    let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
    let expected = sender.overhead().outer_len(sender.padded_len(original.len()));
    sender.encapsulate_whole(&mut packet, 3).unwrap();
    let length = packet.len();
    assert_eq!(length, expected);
    assert_eq!(receiver.decapsulate_whole(&mut packet), Ok(Delivered::Packet));
    assert_eq!(packet.payload(), original);
    length
}

#[test]
fn all_packets_look_alike_with_every_suite_and_none_is_longer_than_the_path() {
    for keywords in SUITES {
        for (esn, outer, inner) in [
            (false, Family::V4, Family::V4),
            (true, Family::V4, Family::V6),
            (true, Family::V6, Family::V4),
            (false, Family::V6, Family::V6),
        ] {
            let made = || padded(keywords, esn, outer, TfcPadding::PathMtu);
            let (mut sender, mut receiver) = (outbound(made()), inbound(made()));
            // Nothing is known of the path.
            assert!(send(&mut sender, &mut receiver, &udp_packet(inner, 0, &data(1))) <= 1_280);
            for path_mtu in [1_500, 1_400, 576] {
                sender.set_path_mtu(path_mtu);
                let longest = sender.overhead().inner_mtu(path_mtu);
                let header = if inner == Family::V4 { 28 } else { 48 };
                let lengths: Vec<_> = [0, 1, 99, 400, longest - header]
                    .into_iter()
                    .map(|length| send(&mut sender, &mut receiver, &udp_packet(inner, 0, &data(length))))
                    .collect();
                assert!(lengths.iter().all(|length| *length == lengths[0]), "{keywords} {lengths:?}");
                assert!(lengths[0] <= path_mtu && lengths[0] + 16 > path_mtu, "{keywords} {lengths:?}");
            }
            assert_eq!(receiver.stats().errors(), 0);
        }
    }
}

#[test]
fn a_longer_packet_than_the_path_carries_is_not_padded() {
    let made = || padded("aes128gcm16", false, Family::V4, TfcPadding::PathMtu);
    let (mut sender, mut receiver) = (outbound(made()), inbound(made()));
    sender.set_path_mtu(1_000);
    let original = udp_packet(Family::V4, 0, &data(1_200));
    assert_eq!(sender.padded_len(original.len()), original.len());
    send(&mut sender, &mut receiver, &original);
    assert_eq!(sender.stats().tfc_octets, 0);
}

#[test]
fn the_three_policies() {
    let lengths = |tfc: TfcPadding, path_mtu: Option<usize>| {
        let mut sa = outbound(padded("aes128gcm16", false, Family::V4, tfc));
        if let Some(path_mtu) = path_mtu {
            sa.set_path_mtu(path_mtu);
        }
        [20, 100, 256, 257, 600, 1_446, 1_447, 4_000].map(|length| sa.padded_len(length))
    };
    let unpadded = [20, 100, 256, 257, 600, 1_446, 1_447, 4_000];
    assert_eq!(lengths(TfcPadding::None, Some(1_500)), unpadded);
    assert_eq!(lengths(TfcPadding::Size(256), None), [256, 256, 256, 257, 600, 1_446, 1_447, 4_000]);
    assert_eq!(lengths(TfcPadding::Multiple(256), None), [256, 256, 256, 512, 768, 1_536, 1_536, 4_096]);
    assert_eq!(lengths(TfcPadding::Multiple(0), None), unpadded);
    // AES-GCM over IPv4 leaves 1446 octets of 1500.
    assert_eq!(
        lengths(TfcPadding::Multiple(256), Some(1_500)),
        [256, 256, 256, 512, 768, 1_446, 1_447, 4_000]
    );
    assert_eq!(
        lengths(TfcPadding::Size(9_000), Some(1_500)),
        [1_446, 1_446, 1_446, 1_446, 1_446, 1_446, 1_447, 4_000]
    );
    assert_eq!(
        lengths(TfcPadding::PathMtu, Some(1_500)),
        [1_446, 1_446, 1_446, 1_446, 1_446, 1_446, 1_447, 4_000]
    );
}

#[test]
fn the_padding_is_zeros_and_counted() {
    let made = || padded("null-sha256", false, Family::V4, TfcPadding::Size(200));
    let (mut sender, mut receiver) = (outbound(made()), inbound(made()));
    let original = udp_packet(Family::V4, 0, &data(10));
    let (mut bytes, range) = roomy(&original);
    let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
    sender.encapsulate(&mut packet).unwrap();
    // Nothing is encrypted: header, packet, padding, RFC 4303 2.4's own padding, trailer.
    let wire = packet.payload();
    assert_eq!(wire[8..46], original);
    assert_eq!(wire[46..208], [0; 162]);
    assert_eq!(wire[208..212], [1, 2, 2, 4]);
    assert_eq!((sender.stats().tfc_octets, sender.stats().octets), (162, 200));
    assert_eq!(receiver.decapsulate(&mut packet, OUTER), Ok(Delivered::Packet));
    assert_eq!((packet.payload(), receiver.stats().octets), (&original[..], 200));
}

#[test]
fn without_room_for_the_padding_nothing_is_sent_that_shows_the_length() {
    let mut sender = outbound(padded("aes128gcm16", false, Family::V4, TfcPadding::Size(1_000)));
    let original = udp_packet(Family::V4, 0, &data(100));
    let (mut bytes, range) = with_room(&original);
    let mut packet = PacketBuf::new(&mut bytes, range.clone()).unwrap();
    let error = SealError::Tailroom { needed: 872, available: 128 };
    assert_eq!(sender.encapsulate(&mut packet), Err(error));
    assert_eq!((packet.range(), packet.payload()), (range, &original[..]));
    assert_eq!((sender.stats().tailroom, sender.last_sequence()), (1, 0));
}

#[test]
fn transport_mode_cannot_pad() {
    let made = EspParams {
        tfc: TfcPadding::Size(100),
        ..params(suite("aes128gcm16", false), Mode::Transport, false, Family::V4)
    };
    let result = OutboundSa::new(made, &CryptoProvider::rust_crypto(), &mut SeededRng::new(1));
    assert_eq!(result.err(), Some(SetupError::TfcOutsideTunnel));
}

#[test]
fn batches_and_other_cores_send_padded_packets_too() {
    let made = || padded("aes256gcm16", true, Family::V4, TfcPadding::Size(500));
    let (mut sender, mut receiver) = (outbound(made()), inbound(made()));
    let originals: Vec<_> = (0..40).map(|i| udp_packet(Family::V4, 0, &data(i * 20))).collect();
    let mut buffers: Vec<_> = originals.iter().map(|original| roomy(original)).collect();
    let mut slots = Vec::new();
    for (bytes, range) in &mut buffers {
        let mut packet = PacketBuf::new(bytes, range.clone()).unwrap();
        let prepared = sender.prepare(&mut packet).unwrap();
        slots.push(Outgoing::new(packet, prepared.next));
    }
    sender.seal_batch(&mut slots[..20]);
    for slot in &mut slots[20..] {
        let sequence = sender.reserve(1).unwrap().start;
        sender.key().seal_at(sequence, &mut slot.packet, slot.next).unwrap();
    }
    let lengths: Vec<_> = slots.iter().map(|slot| slot.packet.len()).collect();
    assert!(lengths[..24].iter().all(|length| *length == lengths[0]), "{lengths:?}");
    let mut arrived: Vec<_> = slots.into_iter().map(|slot| Arrived::new(slot.packet)).collect();
    receiver.open_batch(&mut arrived);
    for (slot, original) in arrived.iter_mut().zip(&originals) {
        let next = slot.result.unwrap();
        assert_eq!(receiver.deliver(&mut slot.packet, next, OUTER), Ok(Delivered::Packet));
        assert_eq!(slot.packet.payload(), original);
    }
}

#[test]
fn dummies_of_every_suite_and_mode_are_dropped_without_a_word() {
    for keywords in SUITES {
        for (esn, mode, in_udp, outer) in [
            (false, Mode::Tunnel, false, Family::V4),
            (true, Mode::Tunnel, true, Family::V6),
            (true, Mode::Transport, false, Family::V4),
            (false, Mode::Transport, true, Family::V6),
        ] {
            let made = || params(suite(keywords, esn), mode, in_udp, outer);
            let (mut sender, mut receiver) = (outbound(made()), inbound(made()));
            let mut rng = SeededRng::new(59);
            for (count, length) in [0, 1, 33, 700, 1_400].into_iter().enumerate() {
                for random in [false, true] {
                    let (mut bytes, range) = roomy(&[]);
                    let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
                    let rng: Option<&mut dyn ikebana_core::SecureRandom> =
                        if random { Some(&mut rng) } else { None };
                    let fields = sender.encapsulate_dummy(&mut packet, length, rng).unwrap();
                    assert_eq!((fields.tos, fields.dont_fragment, fields.ttl), (0, true, 64));
                    let expected = sender.overhead().outer_len(length + mode_header(mode, outer));
                    let outer_headers = outer.header_len() + if in_udp { 8 } else { 0 };
                    assert_eq!(packet.len() + outer_headers, expected);

                    assert_eq!(receiver.decapsulate(&mut packet, OUTER), Ok(Delivered::Dummy));
                    assert_eq!(packet.len(), length);
                    let zeros = packet.payload().iter().all(|octet| *octet == 0);
                    assert!(zeros != random || length < 33, "{keywords}");
                }
                assert_eq!(sender.stats().dummies, 2 * (count as u64 + 1));
                assert_eq!(receiver.stats().dummies, sender.stats().dummies);
            }
            assert_eq!((sender.stats().packets, receiver.stats().packets), (10, 10));
            assert_eq!(receiver.stats().errors(), 0);
        }
    }
}

/// The inner length that `outer_len` wants to know has the IP header in it, where that is the outer one.
fn mode_header(mode: Mode, outer: Family) -> usize {
    match mode {
        Mode::Tunnel => 0,
        Mode::Transport | Mode::Beet(_) => outer.header_len(),
    }
}

#[test]
fn a_dummy_can_look_like_a_padded_packet() {
    let made = || padded("aes256-sha256", true, Family::V4, TfcPadding::Size(1_000));
    let (mut sender, mut receiver) = (outbound(made()), inbound(made()));
    let real = send(&mut sender, &mut receiver, &udp_packet(Family::V4, 0, &data(70)));
    let (mut bytes, range) = roomy(&[]);
    let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
    sender.encapsulate_dummy(&mut packet, sender.padded_len(1), None).unwrap();
    assert_eq!(packet.len() + 20, real);
}

#[test]
fn a_dummy_needs_room_and_a_number() {
    let (mut sender, _) = pair("aes128gcm16", false);
    let (mut bytes, range) = with_room(&[]);
    let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
    let error = SealError::Tailroom { needed: 129, available: 128 };
    assert_eq!(sender.encapsulate_dummy(&mut packet, 129, None), Err(error));
    sender.resume_after(u64::from(u32::MAX));
    assert_eq!(sender.encapsulate_dummy(&mut packet, 10, None), Err(SealError::SequenceExhausted));
    assert_eq!((sender.stats().tailroom, sender.stats().dummies), (1, 0));
}

#[test]
fn a_dummy_is_not_delivered_whatever_is_in_it() {
    // Not even if it looks like a packet.
    let (mut sender, mut receiver) = pair("aes128gcm16", true);
    let (mut bytes, range) = with_room(&udp_packet(Family::V4, 0, &data(50)));
    let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
    sender.seal(&mut packet, NextHeader::NONE).unwrap();
    assert_eq!(receiver.decapsulate(&mut packet, OUTER), Ok(Delivered::Dummy));
    // In transport mode, with all headers.
    let made = || params(suite("aes128gcm16", true), Mode::Transport, false, Family::V4);
    let (mut sender, mut receiver) = (outbound(made()), inbound(made()));
    let (source, destination) = outer_addresses(Family::V4);
    let (mut bytes, range) = with_room(&[]);
    let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
    sender.encapsulate_dummy(&mut packet, 30, None).unwrap();
    let mut whole = common::ip_packet(source, destination, 0, 50, packet.payload());
    let mut packet = PacketBuf::full(&mut whole);
    assert_eq!(receiver.decapsulate_whole(&mut packet), Ok(Delivered::Dummy));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Padding never shortens, never exceeds the path where the packet did not, and grows with the packet.
    #[test]
    fn padded_lengths(
        keywords in prop::sample::select(&SUITES[..]),
        policy in 0_u8..3,
        number in any::<u16>(),
        path_mtu in prop::option::of(68_usize..9_001),
        length in 20_usize..9_001,
    ) {
        let tfc = [TfcPadding::Size(number), TfcPadding::Multiple(number), TfcPadding::PathMtu][usize::from(policy)];
        let mut sa = outbound(padded(keywords, false, Family::V4, tfc));
        if let Some(path_mtu) = path_mtu {
            sa.set_path_mtu(path_mtu);
            let fits = sa.overhead().outer_len(length) <= path_mtu;
            prop_assert_eq!(fits, sa.overhead().outer_len(sa.padded_len(length)) <= path_mtu);
        }
        prop_assert!(sa.padded_len(length) >= length);
        prop_assert!(sa.padded_len(length + 1) >= sa.padded_len(length));
    }
}
