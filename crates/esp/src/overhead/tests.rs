use super::*;
use ikebana_proposals::{Encryption, EncryptionId, IntegrityId, KeyExchangeId};

fn suite(id: EncryptionId, key_bits: u16, integrity: Option<IntegrityId>) -> ChildSuite {
    ChildSuite {
        protocol: ProtocolId::ESP,
        encryption: Some(Encryption::new(id, key_bits)),
        integrity,
        key_exchange: None,
        additional: [KeyExchangeId::NONE; 7],
        esn: false,
    }
}

fn mtu(suite: ChildSuite, in_udp: bool, outer: Family, path: usize) -> usize {
    Overhead::of_suite(&suite, Mode::Tunnel, in_udp, outer).unwrap().inner_mtu(path)
}

/// The columns that cloud providers publish: native and in UDP over IPv4, native and in UDP over IPv6.
fn columns(suite: ChildSuite) -> [usize; 4] {
    [(false, Family::V4), (true, Family::V4), (false, Family::V6), (true, Family::V6)]
        .map(|(in_udp, outer)| mtu(suite, in_udp, outer, 1500))
}

fn aws_mss(suite: ChildSuite) -> [usize; 2] {
    [false, true].map(|in_udp| {
        Overhead::of_suite(&suite, Mode::Tunnel, in_udp, Family::V4).unwrap().inner_mss(1500, Family::V4)
    })
}

#[test]
fn the_published_mtu_and_mss_tables_come_out() {
    for bits in [128, 256] {
        for aead in
            [suite(EncryptionId::AES_GCM_16, bits, None), suite(EncryptionId::CHACHA20_POLY1305, 0, None)]
        {
            assert_eq!(columns(aead), [1446, 1438, 1426, 1418]);
            assert_eq!(aws_mss(aead), [1406, 1398]);
        }
        let cbc = |integrity| suite(EncryptionId::AES_CBC, bits, Some(integrity));
        let rows = [
            (IntegrityId::HMAC_SHA1_96, [1438, 1422, 1422, 1406], [1398, 1382]),
            (IntegrityId::HMAC_SHA2_256_128, [1438, 1422, 1406, 1406], [1398, 1382]),
            (IntegrityId::HMAC_SHA2_384_192, [1422, 1422, 1406, 1390], [1382, 1382]),
            (IntegrityId::HMAC_SHA2_512_256, [1422, 1406, 1390, 1390], [1382, 1366]),
        ];
        for (integrity, mtus, mss) in rows {
            assert_eq!(columns(cbc(integrity)), mtus, "{integrity}");
            assert_eq!(aws_mss(cbc(integrity)), mss, "{integrity}");
        }
        assert_eq!(columns(suite(EncryptionId::AES_GCM_16_IIV, bits, None)), [1454, 1446, 1434, 1426]);
    }
}

#[test]
fn gcp_payload_limit_comes_out() {
    let gcm = suite(EncryptionId::AES_GCM_16, 256, None);
    assert_eq!(mtu(gcm, false, Family::V4, 1460), 1406);
    assert_eq!(mtu(gcm, false, Family::V6, 1460), 1386);
    assert_eq!(mtu(gcm, true, Family::V4, 1460), 1398);
}

#[test]
fn mss_of_inner_ipv6_is_twenty_less() {
    let gcm = suite(EncryptionId::AES_GCM_16, 128, None);
    let overhead = Overhead::of_suite(&gcm, Mode::Tunnel, false, Family::V4).unwrap();
    assert_eq!(overhead.inner_mss(1500, Family::V6), 1386);
}

#[test]
fn a_packet_of_the_inner_mtu_fits_and_one_octet_more_does_not() {
    let suites = [
        suite(EncryptionId::AES_GCM_8, 128, None),
        suite(EncryptionId::AES_CBC, 256, Some(IntegrityId::HMAC_SHA2_512_256)),
        suite(EncryptionId::AES_CTR, 128, Some(IntegrityId::HMAC_SHA1_96)),
        suite(EncryptionId::TRIPLE_DES, 0, Some(IntegrityId::HMAC_MD5_96)),
        suite(EncryptionId::NULL, 0, Some(IntegrityId::HMAC_SHA2_256_128)),
    ];
    for suite in suites {
        for mode in [Mode::Tunnel, Mode::Transport] {
            for in_udp in [false, true] {
                for outer in [Family::V4, Family::V6] {
                    let overhead = Overhead::of_suite(&suite, mode, in_udp, outer).unwrap();
                    for path in [576, 1280, 1400, 1460, 1499, 1500, 9000] {
                        let inner = overhead.inner_mtu(path);
                        assert!(overhead.outer_len(inner) <= path);
                        assert!(overhead.outer_len(inner + 1) > path);
                        assert!(overhead.outer_len(inner) - inner <= overhead.maximum());
                    }
                }
            }
        }
    }
}

#[test]
fn a_path_that_nothing_fits_has_an_inner_mtu_of_zero() {
    let cbc = suite(EncryptionId::AES_CBC, 128, Some(IntegrityId::HMAC_SHA1_96));
    for path in 0..72 {
        assert_eq!(mtu(cbc, true, Family::V4, path), 0, "{path}");
    }
    let overhead = Overhead::of_suite(&cbc, Mode::Tunnel, true, Family::V4).unwrap();
    assert_eq!(overhead.inner_mss(0, Family::V6), 0);
}

#[test]
fn unknown_algorithms_and_ah_in_udp_have_no_overhead() {
    let unknown = suite(EncryptionId(999), 128, Some(IntegrityId::HMAC_SHA1_96));
    assert_eq!(Overhead::of_suite(&unknown, Mode::Tunnel, false, Family::V4), None);
    let unauthenticated = suite(EncryptionId::AES_CBC, 128, None);
    assert_eq!(Overhead::of_suite(&unauthenticated, Mode::Tunnel, false, Family::V4), None);
    let ah = ChildSuite {
        protocol: ProtocolId::AH,
        encryption: None,
        ..suite(EncryptionId::NULL, 0, Some(IntegrityId::HMAC_SHA1_96))
    };
    assert_eq!(Overhead::of_suite(&ah, Mode::Tunnel, true, Family::V4), None);
    let encrypted = ChildSuite { protocol: ProtocolId::AH, ..suite(EncryptionId::AES_GCM_16, 128, None) };
    assert_eq!(Overhead::of_suite(&encrypted, Mode::Tunnel, false, Family::V4), None);
}

#[test]
fn ah_is_aligned_as_each_ip_version_wants_it() {
    for (integrity, v4, v6) in [
        (IntegrityId::HMAC_SHA1_96, 24, 24),
        (IntegrityId::AES_CMAC_96, 24, 24),
        (IntegrityId::HMAC_SHA2_256_128, 28, 32),
        (IntegrityId::HMAC_SHA2_384_192, 36, 40),
        (IntegrityId::HMAC_SHA2_512_256, 44, 48),
    ] {
        let ah = ChildSuite {
            protocol: ProtocolId::AH,
            encryption: None,
            ..suite(EncryptionId::NULL, 0, Some(integrity))
        };
        for (family, length) in [(Family::V4, v4), (Family::V6, v6)] {
            let of = |mode| Overhead::of_suite(&ah, mode, false, family).unwrap();
            let (tunnel, transport) = (of(Mode::Tunnel), of(Mode::Transport));
            assert_eq!(
                (transport.headroom(), transport.tailroom(), transport.maximum()),
                (length, 0, length)
            );
            assert_eq!(tunnel.headroom(), family.header_len() + length, "{integrity} {family:?}");
            assert_eq!(transport.outer_len(1_000), 1_000 + length);
            assert_eq!(transport.inner_mtu(1_500), 1_500 - length);
            assert_eq!(tunnel.outer_len(1_000), 1_000 + family.header_len() + length);
            assert_eq!(tunnel.outer_len(tunnel.inner_mtu(1_500)), 1_500);
            assert_eq!(tunnel.inner_mtu(family.header_len() + length - 1), 0);
        }
    }
}
