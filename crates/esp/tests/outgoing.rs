//! What sealing refuses, where it stops, and what the outer headers say.
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

use common::{SUITES, inbound, outbound, outer_addresses, pair, params, suite, udp_packet, with_room};
use ikebana_core::Secret;
use ikebana_crypto::CryptoProvider;
use ikebana_esp::{
    DfPolicy, DscpPolicy, EcnMode, Family, FlowLabelPolicy, InboundSa, IpError, Mode, NextHeader, OutboundSa,
    OuterPolicy, PacketBuf, SealError, SetupError, TooBig, UdpPorts, UsageLimit,
};
use ikebana_proposals::{EncryptionId, ProtocolId};
use ikebana_testkit::SeededRng;

fn seal_one(sa: &mut OutboundSa) -> Result<Vec<u8>, SealError> {
    let (mut bytes, range) = with_room(&udp_packet(Family::V4, 0, &[1; 20]));
    let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
    sa.seal(&mut packet, NextHeader::IPV4).map(|()| packet.payload().to_vec())
}

#[test]
fn without_esn_sealing_stops_after_two_to_the_32_minus_one_packets() {
    let (mut sender, mut receiver) = pair("aes128gcm16", false);
    sender.resume_after(u64::from(u32::MAX) - 1);
    let mut last = seal_one(&mut sender).unwrap();
    assert_eq!(last[4..8], [0xff; 4]);
    for _ in 0..3 {
        assert_eq!(seal_one(&mut sender), Err(SealError::SequenceExhausted));
        assert_eq!(sender.reserve(1), Err(SealError::SequenceExhausted));
    }
    assert_eq!((sender.stats().packets, sender.stats().sequence_exhausted), (1, 6));
    assert!(receiver.open(&mut PacketBuf::full(&mut last)).is_ok());
}

#[test]
fn with_esn_sealing_continues_and_the_receiver_follows() {
    let (mut sender, mut receiver) = pair("aes128-sha256", true);
    for expected in [0xffff_fffeu64, 0xffff_ffff, 0x1_0000_0000, 0x1_0000_0001] {
        sender.resume_after(0xffff_fffd);
        let mut wire = seal_one(&mut sender).unwrap();
        assert!(receiver.open(&mut PacketBuf::full(&mut wire)).is_ok());
        assert_eq!((sender.last_sequence(), receiver.highest_sequence()), (expected, expected));
    }
}

#[test]
fn no_iv_and_no_number_is_ever_used_twice() {
    for keywords in SUITES {
        let (mut sender, _) = pair(keywords, false);
        let iv_len = sender.key().shape().iv_len;
        let mut seen = std::collections::BTreeSet::new();
        for round in 0..300 {
            if round % 7 == 0 {
                sender.reserve(3).unwrap();
            }
            let wire = seal_one(&mut sender).unwrap();
            assert!(seen.insert((wire[4..8].to_vec(), wire[8..8 + iv_len].to_vec())));
        }
        let ivs: std::collections::BTreeSet<_> = seen.iter().map(|(_, iv)| iv).collect();
        assert_eq!(ivs.len(), if iv_len == 0 { 1 } else { 300 }, "{keywords}");
    }
}

#[test]
fn cbc_ivs_look_nothing_like_the_sequence_and_differ_between_sas() {
    let made = || params(suite("aes128-sha1", false), Mode::Tunnel, false, Family::V4);
    let provider = CryptoProvider::fastest();
    let mut first = OutboundSa::new(made(), &provider, &mut SeededRng::new(1)).unwrap();
    let mut second = OutboundSa::new(made(), &provider, &mut SeededRng::new(2)).unwrap();
    let (first, second) = (seal_one(&mut first).unwrap(), seal_one(&mut second).unwrap());
    assert_eq!(first[4..8], second[4..8]);
    assert_ne!(first[8..24], second[8..24]);
    assert_ne!(first[16..24], [0, 0, 0, 0, 0, 0, 0, 1]);
}

#[test]
fn numbers_reserved_for_other_cores_seal_and_open_there() {
    let (mut sender, mut receiver) = pair("aes256gcm16", false);
    let numbers = sender.reserve(4).unwrap();
    let (seal_key, open_key) = (sender.key().clone(), receiver.key().clone());
    let workers: Vec<_> = numbers
        .map(|sequence| {
            let key = seal_key.clone();
            std::thread::scope(|scope| {
                scope
                    .spawn(move || {
                        let (mut bytes, range) = with_room(&[9; 100]);
                        let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
                        key.seal_at(sequence, &mut packet, NextHeader::IPV4).unwrap();
                        packet.payload().to_vec()
                    })
                    .join()
                    .unwrap()
            })
        })
        .collect();
    sender.account(4, 400);
    assert_eq!((sender.stats().packets, sender.stats().octets, sender.last_sequence()), (4, 400, 4));
    for (number, mut wire) in (1..).zip(workers) {
        let mut packet = PacketBuf::full(&mut wire);
        let sequence = receiver.check(&packet).unwrap();
        assert_eq!(sequence, number);
        assert_eq!(open_key.open_at(sequence, &mut packet), Ok(NextHeader::IPV4));
        receiver.commit(sequence, 100).unwrap();
        assert!(receiver.commit(sequence, 100).is_err());
    }
    assert_eq!((receiver.stats().packets, receiver.stats().repeated), (4, 4));
}

#[test]
fn a_key_seals_no_more_than_its_cipher_allows() {
    assert_eq!(UsageLimit::of(EncryptionId::TRIPLE_DES), UsageLimit::BLOCK_64);
    assert_eq!(UsageLimit::of(EncryptionId::AES_CBC), UsageLimit::BLOCK_128);
    assert_eq!(UsageLimit::of(EncryptionId::AES_GCM_16), UsageLimit::BLOCK_128);
    assert_eq!(UsageLimit::of(EncryptionId::CHACHA20_POLY1305), UsageLimit::NONE);
    assert_eq!(UsageLimit::of(EncryptionId::NULL), UsageLimit::NONE);
    let (mut sender, _) = pair("3des-sha1", false);
    // Room for one packet of 48 octets and not one octet more.
    sender.account(1, UsageLimit::BLOCK_64.hard - 48);
    assert!(seal_one(&mut sender).is_ok());
    assert_eq!(seal_one(&mut sender), Err(SealError::UsageExhausted));
    assert_eq!(sender.reserve(1), Err(SealError::UsageExhausted));
    assert_eq!((sender.stats().usage_exhausted, sender.last_sequence()), (2, 1));

    let (mut sender, _) = pair("3des-sha1", false);
    sender.account(1, UsageLimit::BLOCK_64.hard - 47);
    assert_eq!(seal_one(&mut sender), Err(SealError::UsageExhausted));
}

#[test]
fn too_little_room_is_named_and_costs_neither_number_nor_packet() {
    let original = udp_packet(Family::V4, 0, &[1; 21]);
    for keywords in ["aes128gcm16", "aes256-sha512"] {
        for (mode, in_udp) in [(Mode::Tunnel, false), (Mode::Tunnel, true), (Mode::Transport, true)] {
            let mut made = params(suite(keywords, false), mode, in_udp, Family::V4);
            (made.source, made.destination) = ([10, 0, 0, 1].into(), [10, 9, 0, 1].into());
            let mut sender = outbound(made);
            let (front, back) = (sender.overhead().headroom(), sender.overhead().tailroom());
            let mut bytes = vec![0; 400];
            let mut attempts = 0;
            for (headroom, tailroom) in (0..front).map(|h| (h, back)).chain((0..back).map(|t| (front, t))) {
                let end = headroom + original.len();
                bytes[headroom..end].copy_from_slice(&original);
                let mut packet = PacketBuf::new(&mut bytes[..end + tailroom], headroom..end).unwrap();
                match sender.encapsulate_whole(&mut packet, 0) {
                    Err(SealError::Headroom { needed, available }) => assert!(needed > available),
                    Err(SealError::Tailroom { needed, available }) => assert!(needed > available),
                    Ok(()) if tailroom > 0 && headroom == front => continue,
                    other => panic!("{headroom} {tailroom}: {other:?}"),
                }
                attempts += 1;
                assert_eq!((packet.range(), packet.payload()), (headroom..end, &original[..]));
            }
            assert!(attempts > front);
            assert_eq!(sender.last_sequence(), sender.stats().packets);
        }
    }
}

#[test]
fn packets_that_ip_cannot_say_the_length_of_are_refused() {
    for (outer, limit) in [(Family::V4, 65_535), (Family::V6, 65_575)] {
        let made = || params(suite("aes128gcm16", false), Mode::Tunnel, false, outer);
        let (mut sender, mut receiver) = (outbound(made()), inbound(made()));
        let fits = sender.overhead().inner_mtu(limit).min(65_535);
        let mut sizes = vec![fits];
        sizes.extend((fits < 65_535).then_some(fits + 1));
        for size in sizes {
            let original = udp_packet(Family::V4, 0, &common::data(size - 28));
            let (mut bytes, range) = with_room(&original);
            let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
            let result = sender.encapsulate_whole(&mut packet, 0);
            if size == fits {
                assert_eq!(result, Ok(()));
                assert!(receiver.decapsulate_whole(&mut packet).is_ok());
            } else {
                assert!(matches!(result, Err(SealError::TooLong { length }) if length > limit), "{result:?}");
            }
            assert!(packet.payload() == original);
        }
        assert_eq!(sender.last_sequence(), 1);
    }
}

#[test]
fn what_is_no_whole_packet_of_the_sa_is_refused_in_transport_mode() {
    let (source, destination) = outer_addresses(Family::V4);
    let original = common::udp_between(source, destination, 0, &[1; 40]);
    let mut fragment = original.clone();
    fragment[6] = 0x20;
    let mut later = original.clone();
    later[7] = 4;
    let mut options = common::ip_packet(source, destination, 0, 17, &[1; 48]);
    options[0] = 0x46;
    let mut sender = outbound(params(suite("aes128gcm16", false), Mode::Transport, false, Family::V4));
    let mut refuse = |packet: &[u8]| {
        let (mut bytes, range) = with_room(packet);
        let mut buffer = PacketBuf::new(&mut bytes, range).unwrap();
        let error = sender.encapsulate(&mut buffer).unwrap_err();
        assert_eq!(buffer.payload(), packet);
        error
    };
    assert_eq!(refuse(&fragment), SealError::Fragment);
    assert_eq!(refuse(&later), SealError::Fragment);
    assert_eq!(refuse(&options), SealError::Options);
    assert_eq!(refuse(&udp_packet(Family::V6, 0, &[1; 40])), SealError::Family);
    assert_eq!(refuse(&original[..19]), SealError::Inner(IpError::Truncated));
    assert_eq!(refuse(&[]), SealError::Inner(IpError::Truncated));
    assert_eq!((sender.stats().errors(), sender.last_sequence()), (6, 0));
}

#[test]
fn outer_headers_follow_the_policy() {
    let expectations = [
        (DscpPolicy::Copy, EcnMode::Normal, 0xba),
        (DscpPolicy::Copy, EcnMode::Compatibility, 0xb8),
        (DscpPolicy::Set(10), EcnMode::Normal, 0x2a),
        (DscpPolicy::Set(0), EcnMode::Compatibility, 0x00),
    ];
    for (dscp, ecn, tos) in expectations {
        for (df, inner_df, outer_df) in [
            (DfPolicy::Copy, true, true),
            (DfPolicy::Copy, false, false),
            (DfPolicy::Set, false, true),
            (DfPolicy::Clear, true, false),
        ] {
            for inner in [Family::V4, Family::V6] {
                let policy = OuterPolicy { dscp, ecn, df, ttl: 17, flow_label: FlowLabelPolicy::Zero };
                let made = params(suite("aes128gcm16", false), Mode::Tunnel, false, Family::V4);
                let mut sender = outbound(ikebana_esp::EspParams { outer: policy, ..made });
                let mut original = udp_packet(inner, 0xba, &[1; 40]);
                if inner == Family::V4 && !inner_df {
                    original[6] = 0;
                }
                let (mut bytes, range) = with_room(&original);
                let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
                sender.encapsulate_whole(&mut packet, 0xabcd).unwrap();
                let header = &packet.payload()[..20];
                assert_eq!((header[0], header[1], header[8], header[9]), (0x45, tos, 17, 50));
                assert_eq!(header[4..6], [0xab, 0xcd]);
                // Inner IPv6 is never fragmented on its way, which is what a copied DF says.
                let expected = outer_df || (inner == Family::V6 && df == DfPolicy::Copy);
                assert_eq!(header[6..8], [if expected { 0x40 } else { 0 }, 0]);
                assert_eq!(common::fold(header, 0), 0xffff);
            }
        }
    }
}

#[test]
fn flow_labels_are_hidden_copied_or_set() {
    for (flow_label, expected) in [
        (FlowLabelPolicy::Zero, 0),
        (FlowLabelPolicy::Copy, 0xbeef),
        (FlowLabelPolicy::Set(0xfff_ffff), 0xf_ffff),
    ] {
        let policy = OuterPolicy { flow_label, ..OuterPolicy::default() };
        let made = params(suite("aes128gcm16", false), Mode::Tunnel, false, Family::V6);
        let mut sender = outbound(ikebana_esp::EspParams { outer: policy, ..made });
        let (mut bytes, range) = with_room(&udp_packet(Family::V6, 0x02, &[1; 40]));
        let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
        sender.encapsulate_whole(&mut packet, 0).unwrap();
        let first: [u8; 4] = packet.payload()[..4].try_into().unwrap();
        assert_eq!(u32::from_be_bytes(first), 6 << 28 | 2 << 20 | expected);
    }
}

#[test]
fn udp_encapsulation_has_ports_length_and_the_checksum_its_family_wants() {
    for outer in [Family::V4, Family::V6] {
        let (source, destination) = outer_addresses(outer);
        for mode in [Mode::Tunnel, Mode::Transport] {
            let mut sender = outbound(params(suite("aes128-sha1", false), mode, true, outer));
            let (mut bytes, range) = with_room(&common::udp_between(source, destination, 0, &[1; 40]));
            let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
            sender.encapsulate_whole(&mut packet, 0).unwrap();
            let udp = &packet.payload()[outer.header_len()..];
            assert_eq!(udp[..4], [0x11, 0x94, 0xc0, 0x00]);
            assert_eq!(usize::from(u16::from_be_bytes([udp[4], udp[5]])), udp.len());
            match outer {
                Family::V4 => assert_eq!(udp[6..8], [0, 0]),
                Family::V6 => {
                    assert_ne!(udp[6..8], [0, 0]);
                    assert_eq!(common::transport_sum(source, destination, 17, udp), 0);
                }
            }
        }
    }
}

#[test]
fn a_moved_peer_gets_packets_at_its_new_address() {
    let (mut sender, mut receiver) = pair("aes128gcm16", false);
    let (source, destination) = outer_addresses(Family::V6);
    let ports = UdpPorts { source: 4500, destination: 9999 };
    sender.set_path(source, destination, Some(ports)).unwrap();
    assert_eq!(sender.set_path(source, [1, 2, 3, 4].into(), None), Err(SealError::Family));
    assert_eq!(sender.overhead().inner_mtu(1500), 1418);
    let (mut bytes, range) = with_room(&udp_packet(Family::V4, 0, &[1; 40]));
    let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
    sender.encapsulate_whole(&mut packet, 0).unwrap();
    assert_eq!((packet.payload()[0] >> 4, packet.payload()[6]), (6, 17));
    assert!(receiver.decapsulate_whole(&mut packet).is_ok(), "the SPI says whose packet it is");
}

#[test]
fn parameters_that_do_not_fit_are_errors_that_name_both_sides() {
    let provider = CryptoProvider::fastest();
    let gcm = || params(suite("aes128gcm16", false), Mode::Tunnel, false, Family::V4);
    let error = |made| InboundSa::new(made, &provider).err().unwrap();

    let mut made = gcm();
    made.encryption_key = Secret::new(vec![0; 16]);
    let expected = SetupError::KeyLength { suite: made.suite, needed: [20, 0], given: [16, 0] };
    assert_eq!(error(made), expected);
    assert_eq!(
        expected.to_string(),
        "aes128gcm16 needs 20 and 0 octets of encryption and integrity key, not 16 and 0"
    );

    for window in [1, 63, 65, 96, 16_384] {
        let mut made = gcm();
        made.replay_window = window;
        assert_eq!(error(made), SetupError::ReplayWindow(window));
    }
    let mut made = params(suite("aes128gcm16", true), Mode::Tunnel, false, Family::V4);
    made.replay_window = 0;
    assert_eq!(error(made), SetupError::EsnWithoutReplay);

    let mut made = gcm();
    made.suite.protocol = ProtocolId::AH;
    assert_eq!(error(made), SetupError::NotEsp(ProtocolId::AH));

    let mut made = gcm();
    made.source = outer_addresses(Family::V6).0;
    assert!(matches!(error(made), SetupError::MixedFamilies { .. }));

    let mut made = gcm();
    made.suite.encryption = suite("aes128-sha1", false).encryption;
    assert!(matches!(error(made), SetupError::Suite(_)), "encryption without integrity");
}

#[test]
fn without_a_replay_window_a_packet_opens_as_often_as_it_comes() {
    let mut made = params(suite("aes128gcm16", false), Mode::Tunnel, false, Family::V4);
    made.replay_window = 0;
    let (mut sender, mut receiver) = (pair("aes128gcm16", false).0, inbound(made));
    let wire = seal_one(&mut sender).unwrap();
    for _ in 0..3 {
        assert!(receiver.open(&mut PacketBuf::full(&mut wire.clone())).is_ok());
    }
    assert_eq!(receiver.stats().packets, 3);
}

#[test]
fn a_router_is_believed_about_packets_that_the_sa_has_just_sent_and_no_others() {
    for (outer, in_udp) in [(Family::V4, false), (Family::V4, true), (Family::V6, false), (Family::V6, true)]
    {
        let made = params(suite("aes128gcm16", true), Mode::Tunnel, in_udp, outer);
        let mut sender = outbound(made);
        let (source, destination) = outer_addresses(outer);
        let report = |sequence: u64| TooBig {
            source,
            destination,
            ports: in_udp.then(common::ports),
            spi: common::spi(),
            sequence: sequence as u32,
            mtu: 1_400,
        };
        // Nothing was sent, so nothing was too big.
        for sequence in [0, 1, u64::from(u32::MAX)] {
            assert!(!sender.has_sent(&report(sequence)), "{sequence}");
        }
        sender.resume_after(3);
        for (sequence, sent) in [(0, false), (1, true), (3, true), (4, false)] {
            assert_eq!(sender.has_sent(&report(sequence)), sent, "{sequence}");
        }
        // The lower half is all that a packet shows, also where it has just begun anew.
        sender.resume_after((7 << 32) + 10);
        for back in [0, 10, 11, 100_000, (1 << 20) - 1] {
            assert!(sender.has_sent(&report((7 << 32) + 10 - back)), "{back}");
        }
        for other in [1 << 20, (1 << 32) - 1] {
            assert!(!sender.has_sent(&report((7 << 32) + 10 - other)), "{other}");
        }
        let good = report((7 << 32) + 10);
        let ports = UdpPorts { source: 4_500, destination: 4_500 };
        for wrong in [
            TooBig { source: destination, ..good },
            TooBig { destination: source, ..good },
            TooBig { ports: Some(ports), ..good },
            TooBig { ports: None, source: destination, ..good },
            TooBig { spi: ikebana_core::EspSpi::MIN, ..good },
        ] {
            assert!(!sender.has_sent(&wrong), "{wrong:?}");
        }
    }
}

#[test]
fn every_suite_stops_where_its_cipher_or_its_numbers_end_and_not_before() {
    for keywords in SUITES {
        for esn in [false, true] {
            let (mut sender, _) = pair(keywords, esn);
            let limit = sender.usage_limit();
            if limit != UsageLimit::NONE {
                assert!(limit.soft < limit.hard, "{keywords}");
                // What other cores have sealed counts as well.
                sender.account(1, limit.hard - 1_000);
                assert!(seal_one(&mut sender).is_ok(), "{keywords}");
                sender.account(1, 1_000);
                assert_eq!(seal_one(&mut sender), Err(SealError::UsageExhausted), "{keywords}");
                assert_eq!(sender.reserve(1), Err(SealError::UsageExhausted), "{keywords}");
            }
            let (mut sender, _) = pair(keywords, esn);
            sender.resume_after(sender.sequences_left() - 2);
            assert_eq!(sender.sequences_left(), 2);
            assert!(seal_one(&mut sender).is_ok() && seal_one(&mut sender).is_ok(), "{keywords}");
            assert_eq!(seal_one(&mut sender), Err(SealError::SequenceExhausted), "{keywords}");
            assert_eq!(seal_one(&mut sender), Err(SealError::SequenceExhausted), "{keywords}");
            assert_eq!(sender.sequences_left(), 0);
        }
    }
}
