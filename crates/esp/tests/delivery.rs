//! What an authentic packet may contain, and what comes out of it.
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

use common::{inbound, outbound, pair, params, suite, udp_packet, with_room};
use ikebana_esp::{
    Delivered, Ecn, Family, IpError, Mode, NatChecksum, NextHeader, OpenError, PacketBuf, ReceivedOuter,
    decapsulate_ecn,
};

/// Seals `text` as the peer's ESP would and gives it to the receiver.
fn through(text: &[u8], next: NextHeader, tos: Option<u8>) -> (Result<Delivered, OpenError>, Vec<u8>) {
    let (mut sender, mut receiver) = pair("aes128-sha256", false);
    let (mut bytes, range) = with_room(text);
    let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
    sender.seal(&mut packet, next).unwrap();
    let result = receiver.decapsulate(&mut packet, ReceivedOuter { tos, ttl: None });
    assert_eq!((receiver.stats().packets, receiver.highest_sequence()), (1, 1), "authentic all the same");
    assert_eq!(receiver.stats().errors(), u64::from(result.is_err()));
    (result, packet.payload().to_vec())
}

#[test]
fn a_dummy_is_its_own_outcome_and_counted() {
    let (mut sender, mut receiver) = pair("aes256gcm16", false);
    for length in [0, 1, 100, 1400] {
        let (mut bytes, range) = with_room(&vec![0; length]);
        let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
        sender.seal(&mut packet, NextHeader::NONE).unwrap();
        assert_eq!(receiver.decapsulate(&mut packet, ReceivedOuter::default()), Ok(Delivered::Dummy));
    }
    assert_eq!((receiver.stats().dummies, receiver.stats().errors()), (4, 0));
}

#[test]
fn traffic_flow_confidentiality_padding_is_cut_off() {
    for family in [Family::V4, Family::V6] {
        let inner = udp_packet(family, 0, &[7; 33]);
        let next = if family == Family::V4 { NextHeader::IPV4 } else { NextHeader::IPV6 };
        for padding in [1, 255, 256, 1200] {
            let padded = [&inner[..], &vec![0; padding]].concat();
            assert_eq!(through(&padded, next, None), (Ok(Delivered::Packet), inner.clone()));
        }
    }
}

#[test]
fn what_is_no_ip_packet_is_not_delivered_from_a_tunnel() {
    let v4 = udp_packet(Family::V4, 0, &[7; 30]);
    let v6 = udp_packet(Family::V6, 0, &[7; 30]);
    let inner = |text: &[u8], next| match through(text, next, Some(0)).0 {
        Err(OpenError::Inner(error)) => error,
        other => panic!("{other:?}"),
    };
    let patched = |packet: &[u8], at: usize, value: u8| {
        let mut patched = packet.to_vec();
        patched[at] = value;
        patched
    };
    for version in [0, 5, 7, 15] {
        let error = inner(&patched(&v4, 0, version << 4 | 5), NextHeader::IPV4);
        assert_eq!(error, IpError::Version(version));
    }
    assert_eq!(inner(&v6, NextHeader::IPV4), IpError::Version(6));
    assert_eq!(inner(&v4, NextHeader::IPV6), IpError::Version(4));
    for ihl in [0, 4] {
        let error = inner(&patched(&v4, 0, 0x40 | ihl), NextHeader::IPV4);
        assert_eq!(error, IpError::HeaderLength(usize::from(ihl) * 4));
    }
    // The sealed packet is 58 octets; neither 59 nor 19 can be its length.
    assert_eq!(
        inner(&patched(&v4, 3, 59), NextHeader::IPV4),
        IpError::TotalLength { stated: 59, available: 58 }
    );
    assert_eq!(
        inner(&patched(&v4, 3, 19), NextHeader::IPV4),
        IpError::TotalLength { stated: 19, available: 58 }
    );
    assert_eq!(
        inner(&patched(&v6, 5, 39), NextHeader::IPV6),
        IpError::TotalLength { stated: 79, available: 78 }
    );
    assert_eq!(inner(&v4[..10], NextHeader::IPV4), IpError::Truncated);
    assert_eq!(inner(&[], NextHeader::IPV4), IpError::Truncated);
    for next in [0, 1, 6, 17, 50, 255] {
        let (result, _) = through(&v4, NextHeader(next), Some(0));
        assert_eq!(result, Err(OpenError::NextHeader(NextHeader(next))));
    }
}

#[test]
fn congestion_marks_pass_through_the_tunnel_as_rfc_6040_says() {
    for family in [Family::V4, Family::V6] {
        let next = if family == Family::V4 { NextHeader::IPV4 } else { NextHeader::IPV6 };
        for inner_tos in [0xb8u8, 0xb9, 0xba, 0xbb] {
            for outer_tos in [0u8, 1, 2, 3] {
                let original = udp_packet(family, inner_tos, &[7; 30]);
                let (result, delivered) = through(&original, next, Some(outer_tos));
                match decapsulate_ecn(Ecn::of(inner_tos), Ecn::of(outer_tos)) {
                    None => assert_eq!(result, Err(OpenError::Ecn)),
                    Some(ecn) => {
                        assert_eq!(result, Ok(Delivered::Packet));
                        // The DSCP is the inner packet's own, and its checksum right.
                        assert_eq!(delivered, udp_packet(family, ecn.within(inner_tos), &[7; 30]));
                    }
                }
                let unknown = through(&original, next, None);
                assert_eq!(unknown, (Ok(Delivered::Packet), original), "outer mark unknown");
            }
        }
    }
}

#[test]
fn padding_that_does_not_count_is_refused_though_authentic() {
    // NULL encryption shows where the padding is; the ICV is made by the same SA.
    for (octet_from_end, value) in [(1, NextHeader::IPV4.0), (2, 255), (2, 4), (3, 0), (4, 9)] {
        let made = || params(suite("null-sha256", false), Mode::Tunnel, false, Family::V4);
        let (mut sender, mut receiver) = (outbound(made()), inbound(made()));
        // A payload that ends as the trailer would: one octet of text less, trailer of our own.
        let mut text = udp_packet(Family::V4, 0, &[7; 27]);
        assert_eq!(text.len() % 4, 3);
        text.extend([1, 2, 3, 3, NextHeader::IPV4.0]);
        let at = text.len() - octet_from_end;
        text[at] = value;
        // seal() appends two octets of trailer without padding; forge them away by sealing one block less.
        let forged = forge_trailer(&mut sender, &text);
        let result = receiver.open(&mut PacketBuf::full(&mut forged.clone()));
        let expected = if octet_from_end == 1 { Ok(NextHeader::IPV4) } else { Err(OpenError::Padding) };
        assert_eq!(result, expected, "{octet_from_end} {value}");
        assert_eq!(receiver.highest_sequence(), 1, "authentic, so the number is used up");
    }
}

/// Seals text that brings its own trailer, with the MAC that the SA's key makes.
fn forge_trailer(sender: &mut ikebana_esp::OutboundSa, text: &[u8]) -> Vec<u8> {
    use ikebana_crypto::{CipherKeys, CryptoProvider, Frame};
    let keys = params(suite("null-sha256", false), Mode::Tunnel, false, Family::V4);
    let sequence = sender.reserve(1).unwrap().start as u32;
    let mut bytes = sender.spi().to_be_bytes().to_vec();
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(text);
    bytes.extend([0; 16]);
    let suite = keys.suite;
    let cipher_keys =
        CipherKeys { encryption: keys.encryption_key.expose(), integrity: keys.integrity_key.expose() };
    CryptoProvider::fastest()
        .packet_cipher(suite.encryption.unwrap(), suite.integrity, &cipher_keys)
        .unwrap()
        .seal(Frame { bytes: &mut bytes, header_len: 8, esn_high: None })
        .unwrap();
    bytes
}

#[test]
fn outer_packets_that_carry_no_esp_are_told_apart() {
    let (mut sender, mut receiver) = pair("aes128gcm16", false);
    let (mut bytes, range) = with_room(&udp_packet(Family::V4, 0, &[7; 30]));
    let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
    sender.encapsulate_whole(&mut packet, 1).unwrap();
    let wire = packet.payload().to_vec();
    let mut open = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut changed = wire.clone();
        change(&mut changed);
        receiver.decapsulate_whole(&mut PacketBuf::full(&mut changed))
    };
    assert_eq!(open(&|p| p[9] = 6), Err(OpenError::NotEsp(6)));
    assert_eq!(open(&|p| p[9] = 17), Err(OpenError::NotEsp(17)), "the UDP length does not fit");
    assert_eq!(open(&|p| p[6] = 0x20), Err(OpenError::OuterFragment));
    assert_eq!(open(&|p| p[7] = 3), Err(OpenError::OuterFragment));
    assert_eq!(open(&|p| p[0] = 0x15), Err(OpenError::Outer(IpError::Version(1))));
    assert_eq!(open(&|p| p.truncate(15)), Err(OpenError::Outer(IpError::Truncated)));
    assert!(matches!(open(&|p| p.truncate(50)), Err(OpenError::Outer(IpError::TotalLength { .. }))));
    assert!(matches!(
        open(&|p| {
            p[2..4].copy_from_slice(&[0, 24]);
            p.truncate(24);
        }),
        Err(OpenError::Short { length: 4 })
    ));
    assert_eq!(open(&|p| p.extend([0; 20])), Ok(Delivered::Packet), "link padding is not the packet's");
    assert_eq!(receiver.stats().errors(), 8);
}

#[test]
fn transport_mode_behind_a_nat_delivers_right_checksums() {
    for whole in [false, true] {
        for adjust in [false, true] {
            let (private, server) = ([192, 168, 7, 7].into(), [198, 51, 100, 1].into());
            let public = [203, 0, 113, 50].into();
            let made = |source| {
                let mut made = params(suite("aes128gcm16", false), Mode::Transport, true, Family::V4);
                (made.source, made.destination) = (source, server);
                if adjust {
                    made.nat_checksum = NatChecksum::Adjust { source: private, destination: server };
                }
                made
            };
            let (mut sender, mut receiver) = (outbound(made(private)), inbound(made(public)));
            let original = common::udp_between(private, server, 0, &[5; 77]);
            let (mut bytes, range) = with_room(&original);
            let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
            if whole {
                sender.encapsulate_whole(&mut packet, 0).unwrap();
                packet.payload_mut()[12..16].copy_from_slice(&[203, 0, 113, 50]);
                assert_eq!(receiver.decapsulate_whole(&mut packet), Ok(Delivered::Packet));
            } else {
                sender.encapsulate(&mut packet).unwrap();
                assert_eq!(
                    receiver.decapsulate(&mut packet, ReceivedOuter::default()),
                    Ok(Delivered::Packet)
                );
            }
            let expected = common::udp_between(public, server, 0, &[5; 77]);
            assert_eq!(packet.payload()[20..], expected[20..], "whole {whole} adjust {adjust}");
            assert_eq!(packet.payload()[12..20], expected[12..20]);
        }
    }
}

#[test]
fn transport_mode_without_room_for_the_header_says_so() {
    let made = || params(suite("aes128gcm16", false), Mode::Transport, false, Family::V6);
    let (mut sender, mut receiver) = (outbound(made()), inbound(made()));
    let (mut bytes, range) = with_room(&[3; 20]);
    let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
    sender.seal(&mut packet, NextHeader::UDP).unwrap();
    let mut wire = packet.payload().to_vec();
    let result = receiver.decapsulate(&mut PacketBuf::full(&mut wire), ReceivedOuter::default());
    assert_eq!(result, Err(OpenError::Headroom { needed: 40, available: 16 }));
}
