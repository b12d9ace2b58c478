//! What is not authentic changes counters and nothing else.
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

use std::panic::{AssertUnwindSafe, catch_unwind};

use common::{SUITES, pair, udp_packet, with_room};
use ikebana_core::Secret;
use ikebana_esp::{
    Delivered, Family, InboundSa, InboundStats, Mode, NextHeader, OpenError, PacketBuf, ReceivedOuter,
    ReplayError,
};
use ikebana_testkit::mutations;

const OUTER: ReceivedOuter = ReceivedOuter { tos: Some(0), ttl: None };

fn sealed(keywords: &str, esn: bool, length: usize) -> (Vec<u8>, Vec<u8>, InboundSa) {
    let (mut sender, receiver) = pair(keywords, esn);
    let original = udp_packet(Family::V4, 0, &common::data(length));
    let (mut bytes, range) = with_room(&original);
    let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
    sender.resume_after(99);
    sender.seal(&mut packet, NextHeader::IPV4).unwrap();
    (packet.payload().to_vec(), original, receiver)
}

#[test]
fn every_flipped_bit_is_rejected_and_the_packet_itself_still_accepted_afterwards() {
    for keywords in SUITES {
        for esn in [false, true] {
            let (wire, original, mut receiver) = sealed(keywords, esn, 90);
            let mut rejected = 0;
            for octet in 0..wire.len() {
                for bit in 0..8 {
                    let mut forged = wire.clone();
                    forged[octet] ^= 1 << bit;
                    let result = receiver.open(&mut PacketBuf::full(&mut forged));
                    let expected = match octet {
                        0..4 => matches!(result, Err(OpenError::WrongSpi(_))),
                        // The sequence number is covered by the ICV; a changed one may also be a replay.
                        _ => result == Err(OpenError::Forged),
                    };
                    assert!(expected, "{keywords}: octet {octet} bit {bit}: {result:?}");
                    rejected += 1;
                    assert_eq!(receiver.highest_sequence(), 0);
                }
            }
            let stats = *receiver.stats();
            assert_eq!((stats.packets, stats.octets, stats.errors()), (0, 0, rejected));
            assert_eq!(stats, InboundStats { wrong_spi: 32, forged: rejected - 32, ..Default::default() });

            let mut bytes = wire.clone();
            let mut packet = PacketBuf::full(&mut bytes);
            assert_eq!(receiver.decapsulate(&mut packet, OUTER), Ok(Delivered::Packet));
            assert_eq!(packet.payload(), original);
        }
    }
}

#[test]
fn no_mutation_is_accepted_or_panics() {
    for keywords in ["aes128gcm16", "aes128-sha256", "chacha20poly1305", "null-sha1", "aes256ctr-sha512"] {
        let (wire, _, mut receiver) = sealed(keywords, true, 150);
        for (mutation, mut octets) in mutations(&wire) {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                receiver.decapsulate(&mut PacketBuf::full(&mut octets), OUTER)
            }));
            let result = outcome.unwrap_or_else(|_| panic!("{keywords}: {mutation}"));
            assert!(result.is_err(), "{keywords}: {mutation}");
        }
        assert_eq!((receiver.highest_sequence(), receiver.stats().packets), (0, 0));
    }
}

#[test]
fn packets_of_every_length_below_the_shortest_are_short_or_misaligned() {
    for keywords in SUITES {
        let (wire, _, mut receiver) = sealed(keywords, false, 40);
        for length in 0..wire.len() {
            let mut octets = wire[..length].to_vec();
            let result = receiver.open(&mut PacketBuf::full(&mut octets));
            let expected =
                matches!(result, Err(OpenError::Short { .. } | OpenError::Misaligned | OpenError::Forged));
            assert!(expected, "{keywords} {length}: {result:?}");
        }
        // Header, IV and ICV without text.
        let shape = receiver.key().shape();
        let mut octets = wire[..8 + shape.iv_len + shape.icv_len].to_vec();
        let length = octets.len();
        assert_eq!(receiver.open(&mut PacketBuf::full(&mut octets)), Err(OpenError::Short { length }));
    }
}

#[test]
fn the_wrong_high_half_fails_the_icv_and_moves_nothing() {
    for keywords in ["aes128gcm16", "aes128-sha1", "chacha20poly1305", "aes128ccm16", "null-sha256"] {
        let (mut sender, mut receiver) = pair(keywords, true);
        sender.resume_after(0x1_0000_0000);
        let (mut bytes, range) = with_room(&[1; 40]);
        let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
        sender.seal(&mut packet, NextHeader::IPV4).unwrap();
        // The receiver has seen nothing of the first 2^32 packets, so it assumes the first subspace.
        assert_eq!(receiver.open(&mut packet), Err(OpenError::Forged), "{keywords}");
        assert_eq!(receiver.highest_sequence(), 0);
    }
}

#[test]
fn esn_and_no_esn_do_not_understand_each_other() {
    for keywords in SUITES {
        let (wire, _, _) = sealed(keywords, true, 40);
        let (_, mut receiver) = pair(keywords, false);
        assert_eq!(
            receiver.open(&mut PacketBuf::full(&mut wire.clone())),
            Err(OpenError::Forged),
            "{keywords}"
        );
    }
}

#[test]
fn a_sha2_256_icv_of_96_bits_is_not_accepted() {
    let (wire, _, mut receiver) = sealed("aes128-sha256", false, 40);
    let truncated = wire.len() - 4;
    let result = receiver.open(&mut PacketBuf::full(&mut wire[..truncated].to_vec()));
    assert_eq!(result, Err(OpenError::Misaligned));
}

#[test]
fn a_zero_icv_and_other_keys_are_forgeries() {
    for keywords in SUITES {
        let (wire, _, mut receiver) = sealed(keywords, false, 40);
        let icv_at = wire.len() - receiver.key().shape().icv_len;
        let mut zeroed = wire.clone();
        zeroed[icv_at..].fill(0);
        assert_eq!(receiver.open(&mut PacketBuf::full(&mut zeroed)), Err(OpenError::Forged));

        let mut params = common::params(common::suite(keywords, false), Mode::Tunnel, false, Family::V4);
        let key = match params.suite.integrity {
            // A combined mode: the last octet is the salt's.
            None => &mut params.encryption_key,
            Some(_) => &mut params.integrity_key,
        };
        let mut changed = key.expose().to_vec();
        *changed.last_mut().unwrap() ^= 1;
        *key = Secret::new(changed);
        let result = common::inbound(params).open(&mut PacketBuf::full(&mut wire.clone()));
        assert_eq!(result, Err(OpenError::Forged), "{keywords}");
    }
}

#[test]
fn a_replayed_packet_is_refused_wherever_it_lies() {
    let (mut sender, mut receiver) = pair("aes128gcm16", false);
    let mut wires = Vec::new();
    for _ in 0..2000 {
        let (mut bytes, range) = with_room(&[4; 30]);
        let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
        sender.seal(&mut packet, NextHeader::IPV4).unwrap();
        wires.push(packet.payload().to_vec());
    }
    for wire in &wires {
        receiver.open(&mut PacketBuf::full(&mut wire.clone())).unwrap();
    }
    for (index, wire) in wires.iter().enumerate() {
        let expected = if index < 2000 - 1024 { ReplayError::TooOld } else { ReplayError::Repeated };
        let result = receiver.open(&mut PacketBuf::full(&mut wire.clone()));
        assert_eq!(result, Err(OpenError::Replay(expected)), "{index}");
    }
    assert_eq!((receiver.stats().too_old, receiver.stats().repeated), (976, 1024));
}
