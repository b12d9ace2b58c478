//! Whole packets that others made, octet for octet. The senders chose their IVs freely, so sealing is
//! compared by putting theirs in place of ours.

use super::*;
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;

use ikebana_core::Secret;
use ikebana_proposals::{ChildSuite, Encryption, EncryptionId, IntegrityId, KeyExchangeId, ProtocolId};
use ikebana_testkit::SeededRng;
use ikebana_testkit::vectors::{Case, Vectors};

use crate::overhead;
use crate::sequence::low;

fn suite(id: EncryptionId, key_bits: usize, integrity: Option<IntegrityId>, esn: bool) -> ChildSuite {
    let key_bits = match id {
        EncryptionId::CHACHA20_POLY1305 | EncryptionId::TRIPLE_DES | EncryptionId::DES => 0,
        _ => u16::try_from(key_bits).unwrap(),
    };
    ChildSuite {
        protocol: ProtocolId::ESP,
        encryption: Some(Encryption::new(id, key_bits)),
        integrity,
        key_exchange: None,
        additional: [KeyExchangeId::NONE; 7],
        esn,
    }
}

fn keys(
    spi: u32,
    suite: ChildSuite,
    encryption: Vec<u8>,
    integrity: &[u8],
) -> Result<(SealKey, OpenKey), SetupError> {
    let params = EspParams {
        // Some packets have SPIs that no SA can have; the seal key gets theirs below.
        ..EspParams::tunnel(
            EspSpi::new(spi.max(256)).unwrap(),
            suite,
            [Secret::new(encryption), Secret::from_slice(integrity)],
            IpAddr::from([192, 0, 2, 1]),
            IpAddr::from([192, 0, 2, 2]),
        )
    };
    let provider = CryptoProvider::rust_crypto();
    Ok((SealKey::new(&params, &provider, &mut SeededRng::new(1))?, OpenKey::new(&params, &provider)?))
}

/// Seals `inner` under `sequence` with the IV and SPI of `expected` and compares all octets.
fn seals_to(key: &SealKey, sequence: u64, inner: &[u8], next: NextHeader, expected: &[u8], what: &str) {
    let mut bytes = vec![0; inner.len() + 200];
    bytes[64..64 + inner.len()].copy_from_slice(inner);
    let mut packet = PacketBuf::new(&mut bytes, 64..64 + inner.len()).unwrap();
    let layout = key.layout(&packet).unwrap();
    // The IV is the vector's own.
    key.frame(layout, sequence, &mut packet, next, |_| ()).unwrap();
    let own = packet.payload_mut();
    let front = ESP_HEADER + key.shape().iv_len;
    assert_eq!(own[4..8], expected[4..8], "{what}: sequence number");
    own[..front].copy_from_slice(&expected[..front]);
    key.cipher.seal(key.cipher_frame(sequence, &mut packet)).unwrap();
    assert!(packet.payload() == expected, "{what}: sealed otherwise");
}

/// Opens `esp` and compares the payload.
fn opens_to(key: &OpenKey, sequence: u64, esp: &[u8], inner: &[u8], next: NextHeader, what: &str) {
    let mut bytes = esp.to_vec();
    let mut packet = PacketBuf::full(&mut bytes);
    assert_eq!(key.open_at(sequence, &mut packet), Ok(next), "{what}");
    assert!(packet.payload() == inner, "{what}: opened otherwise");
}

fn number(octets: &[u8]) -> u64 {
    octets.iter().fold(0, |number, octet| number << 8 | u64::from(*octet))
}

fn concatenated(case: &Case, fields: &[&str]) -> Vec<u8> {
    fields.iter().flat_map(|field| case.octets(field)).collect()
}

#[test]
fn whole_packets_of_dpdk_seal_and_open() {
    let vectors = Vectors::parse(include_str!("../../tests/vectors/dpdk-packets.json"));
    let mut compared = 0;
    for case in vectors.cases() {
        let algorithms = case.value("algos").unwrap().as_array().unwrap();
        let names: Vec<&str> = algorithms.iter().map(|name| name.as_str().unwrap()).collect();
        let encryption = match names[0] {
            "AES_GCM" => EncryptionId::AES_GCM_16,
            "AES_CCM" => EncryptionId::AES_CCM_16,
            "AES_CBC" => EncryptionId::AES_CBC,
            "3DES_CBC" => EncryptionId::TRIPLE_DES,
            "DES_CBC" => EncryptionId::DES,
            other => panic!("{other}"),
        };
        let integrity = match names.get(1) {
            None | Some(&"NULL") => None,
            Some(&"MD5_HMAC") => Some(IntegrityId::HMAC_MD5_96),
            Some(&"SHA256_HMAC") => Some(IntegrityId::HMAC_SHA2_256_128),
            Some(&"SHA512_HMAC") => Some(IntegrityId::HMAC_SHA2_512_256),
            Some(other) => panic!("{other}"),
        };
        let mut key = case.octets("key");
        let suite = suite(encryption, key.len() * 8, integrity, false);
        key.extend(case.optional_octets("salt").unwrap_or_default());
        let spi = u32::try_from(case.number("spi")).unwrap();
        let keys = keys(spi, suite, key, &case.optional_octets("auth_key").unwrap_or_default());
        if names[0] == "DES_CBC" || names.get(1) == Some(&"NULL") {
            // Single DES is not implemented, and nothing is encrypted without being authenticated.
            assert_eq!(keys.err(), Some(SetupError::Suite(suite)));
            continue;
        }
        let (seal, open) = keys.ok().unwrap();
        let (inner, outer) = (case.octets("input_text"), case.octets("output_text"));
        let (esp, next) = match outer[0] >> 4 {
            4 => (&outer[20..], NextHeader::IPV4),
            _ => (&outer[40..], NextHeader::IPV6),
        };
        let sequence = number(&esp[4..8]);
        seals_to(&seal, sequence, &inner, next, esp, case.text("id"));
        opens_to(&open, sequence, esp, &inner, next, case.text("id"));
        compared += 1;
    }
    assert_eq!(compared, 10);
}

#[test]
fn gcm_packets_with_and_without_esn_seal_and_open() {
    let vectors = Vectors::parse(include_str!("../../tests/vectors/mcgrew-gcm-packets.json"));
    for case in vectors.cases() {
        let esn = case.optional_octets("esn_high");
        let key = case.octets("key");
        let suite = suite(EncryptionId::AES_GCM_16, key.len() * 8, None, esn.is_some());
        let spi = u32::try_from(number(&case.octets("spi"))).unwrap();
        let (seal, open) = keys(spi, suite, concatenated(case, &["key", "salt"]), &[]).ok().unwrap();
        let sequence = number(&esn.unwrap_or_default()) << 32 | number(&case.octets("seq_low"));
        let (esp, text) = (case.octets("esp_packet"), case.octets("plaintext_with_trailer"));

        // The draft pads as it likes in places, so the text is compared with its trailer.
        let mut bytes = esp.clone();
        let mut packet = PacketBuf::full(&mut bytes);
        assert_eq!(open.cipher.open(open.cipher_frame(sequence, &mut packet)), Ok(()), "{}", case.text("id"));
        assert_eq!(packet.payload()[16..esp.len() - 16], text);

        assert_eq!(u64::from(low(sequence)), number(&esp[4..8]));
        let mut bytes = esp.clone();
        bytes[16..16 + text.len()].copy_from_slice(&text);
        bytes[16 + text.len()..].fill(0);
        let mut packet = PacketBuf::full(&mut bytes);
        seal.cipher.seal(seal.cipher_frame(sequence, &mut packet)).unwrap();
        assert_eq!(packet.payload(), esp, "{}", case.text("id"));
    }
}

#[test]
fn the_packet_of_rfc_7634_seals_and_opens() {
    let vectors = Vectors::parse(include_str!("../../tests/vectors/rfc7634-packet.json"));
    for case in vectors.cases() {
        let suite = suite(EncryptionId::CHACHA20_POLY1305, 256, None, false);
        let spi = u32::try_from(number(&case.octets("spi"))).unwrap();
        let (seal, open) = keys(spi, suite, case.octets("keymat"), &[]).ok().unwrap();
        let outer = case.octets("outer_ip_and_esp_packet");
        let inner = case.octets("source_packet");
        seals_to(&seal, 5, &inner, NextHeader::IPV4, &outer[20..], "RFC 7634");
        opens_to(&open, 5, &outer[20..], &inner, NextHeader::IPV4, "RFC 7634");
    }
}

#[test]
fn the_packets_of_rfc_3602_have_the_same_ciphertext() {
    let vectors = Vectors::parse(include_str!("../../tests/vectors/rfc3602-packets.json"));
    for case in vectors.cases() {
        // The RFC leaves the ICV out; any integrity algorithm makes the same ciphertext.
        let suite = suite(EncryptionId::AES_CBC, 128, Some(IntegrityId::HMAC_SHA1_96), false);
        let spi = u32::try_from(number(&case.octets("spi"))).unwrap();
        let (seal, _) = keys(spi, suite, case.octets("key"), &[9; 20]).ok().unwrap();
        let original = case.octets("original_ip_packet");
        let (payload, next) = match case.text("mode") {
            "tunnel" => (&original[..], NextHeader::IPV4),
            _ => (&original[20..], NextHeader::ICMP),
        };
        let expected = case.octets("esp_packet");
        let sequence = number(&case.octets("seq"));
        let mut bytes = vec![0; payload.len() + 200];
        bytes[64..64 + payload.len()].copy_from_slice(payload);
        let mut packet = PacketBuf::new(&mut bytes, 64..64 + payload.len()).unwrap();
        let layout = seal.layout(&packet).unwrap();
        seal.frame(layout, sequence, &mut packet, next, |_| ()).unwrap();
        packet.payload_mut()[8..24].copy_from_slice(&expected[8..24]);
        seal.cipher.seal(seal.cipher_frame(sequence, &mut packet)).unwrap();
        assert_eq!(packet.payload()[..packet.len() - 12], expected, "{}", case.text("id"));
    }
}

fn kernel(text: &str, encryption_of: fn(usize) -> EncryptionId) -> usize {
    let vectors = Vectors::parse(text);
    for case in vectors.cases() {
        let what = case.text("id");
        let (aad, icv) = (case.octets("aad"), case.octets("icv"));
        let esn = aad.len() == 12;
        let key_len = case.octets("key").len();
        let suite = suite(encryption_of(icv.len()), key_len * 8, None, esn);
        let (seal, open) = keys(256, suite, concatenated(case, &["key", "salt"]), &[]).ok().unwrap();
        // With ESN the header that the ICV covers has the high half between SPI and sequence number.
        let sequence = if esn { number(&aad[4..]) } else { number(&aad[4..8]) };
        let mut packet = aad[..4].to_vec();
        packet.extend(low(sequence).to_be_bytes());
        packet.extend(case.octets("iv"));
        let text_at = packet.len();
        packet.extend(case.octets("ciphertext"));
        packet.extend(&icv);

        let mut opened = packet.clone();
        let mut buffer = PacketBuf::full(&mut opened);
        let result = open.cipher.open(open.cipher_frame(sequence, &mut buffer));
        if !case.flag("valid") {
            assert_eq!(result, Err(CipherError::Forged), "{what}");
            continue;
        }
        assert_eq!(result, Ok(()), "{what}");
        let text = case.octets("plaintext");
        assert_eq!(opened[text_at..text_at + text.len()], text, "{what}");

        opened[text_at + text.len()..].fill(0xee);
        let mut buffer = PacketBuf::full(&mut opened);
        seal.cipher.seal(seal.cipher_frame(sequence, &mut buffer)).unwrap();
        assert_eq!(opened, packet, "{what}");
    }
    vectors.cases().len()
}

#[test]
fn the_linux_kernels_esp_vectors_seal_and_open() {
    let gcm = |icv| match icv {
        8 => EncryptionId::AES_GCM_8,
        12 => EncryptionId::AES_GCM_12,
        _ => EncryptionId::AES_GCM_16,
    };
    let ccm = |icv| match icv {
        8 => EncryptionId::AES_CCM_8,
        12 => EncryptionId::AES_CCM_12,
        _ => EncryptionId::AES_CCM_16,
    };
    let files = [
        kernel(include_str!("../../tests/vectors/kernel-gcm-rfc4106.json"), gcm),
        kernel(include_str!("../../tests/vectors/kernel-ccm-rfc4309.json"), ccm),
        kernel(include_str!("../../tests/vectors/kernel-chacha-rfc7634.json"), |_| {
            EncryptionId::CHACHA20_POLY1305
        }),
    ];
    assert_eq!(files, [16, 16, 1]);
}

#[test]
fn padding_fills_up_to_the_block_and_to_four() {
    for (id, block) in
        [(EncryptionId::AES_CBC, 16), (EncryptionId::TRIPLE_DES, 8), (EncryptionId::AES_CTR, 4)]
    {
        let suite = suite(id, 128, Some(IntegrityId::HMAC_SHA1_96), false);
        let needed = CryptoProvider::rust_crypto().key_lengths(suite.encryption, suite.integrity).unwrap();
        let (seal, _) = keys(256, suite, vec![5; needed.encryption], &[6; 20]).ok().unwrap();
        for length in 0..50 {
            let padding = overhead::padding(seal.shape(), length);
            assert!(padding < block);
            assert_eq!((length + padding + 2) % block, 0);
        }
    }
}

#[test]
fn a_number_that_the_sa_does_not_have_seals_nothing() {
    let suite = suite(EncryptionId::AES_GCM_16, 128, None, false);
    let (seal, _) = keys(256, suite, vec![7; 20], &[]).ok().unwrap();
    let mut bytes = [0; 128];
    for sequence in [0, 1 << 32, u64::MAX] {
        let mut packet = PacketBuf::new(&mut bytes, 32..64).unwrap();
        let sealed = seal.seal_at(sequence, &mut packet, NextHeader::IPV4);
        assert_eq!((sealed, packet.range()), (Err(SealError::SequenceExhausted), 32..64));
    }
}
