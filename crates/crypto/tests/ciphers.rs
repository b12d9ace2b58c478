//! The packet ciphers of every backend against the vectors of their RFCs.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a helper of a test may fail as the test does"
)]

mod common;

use common::{cases, octets, providers, text};
use ikebana_crypto::{CipherError, CipherKeys, Frame, PacketCipher};
use ikebana_proposals::{Encryption, EncryptionId, IntegrityId};

/// One cipher of each backend.
type Ciphers = Vec<Box<dyn PacketCipher>>;

fn of_all(encryption: Encryption, integrity: Option<IntegrityId>, keys: &CipherKeys<'_>) -> Ciphers {
    providers()
        .iter()
        .map(|(_, provider)| provider.packet_cipher(encryption, integrity, keys).unwrap())
        .collect()
}

fn aead(id: EncryptionId, key: &[u8], salt: &[u8]) -> Ciphers {
    let bits = if id == EncryptionId::CHACHA20_POLY1305 { 0 } else { key.len() as u16 * 8 };
    let keys = CipherKeys { encryption: &[key, salt].concat(), integrity: &[] };
    of_all(Encryption::new(id, bits), None, &keys)
}

/// Checks sealing and opening of one packet, with `esn_high` if the header has been stripped of it.
fn check(
    ciphers: &[Box<dyn PacketCipher>],
    header: &[u8],
    esn_high: Option<u32>,
    [iv, plaintext, ciphertext, icv]: [&[u8]; 4],
) {
    let sealed = [header, iv, ciphertext, icv].concat();
    let opened = [header, iv, plaintext, icv].concat();
    let header_len = header.len();
    for cipher in ciphers {
        let mut bytes = [header, iv, plaintext, &vec![0; icv.len()]].concat();
        cipher.seal(Frame { bytes: &mut bytes, header_len, esn_high }).unwrap();
        assert_eq!(bytes, sealed);
        cipher.open(Frame { bytes: &mut bytes, header_len, esn_high }).unwrap();
        assert_eq!(bytes, opened);
    }
}

/// The AEAD vectors of the kernel, whose associated data is the ESP header with an ESN or without one.
fn check_esp_aead(json: &str, by_icv: impl Fn(usize) -> EncryptionId) -> usize {
    let mut valid = 0;
    for case in cases(json) {
        let [iv, aad, plaintext] = ["iv", "aad", "plaintext"].map(|field| octets(&case, field));
        let [ciphertext, icv] = ["ciphertext", "icv"].map(|field| octets(&case, field));
        let cipher = aead(by_icv(icv.len()), &octets(&case, "key"), &octets(&case, "salt"));
        if case["valid"] == true {
            valid += 1;
            check(&cipher, &aad, None, [&iv, &plaintext, &ciphertext, &icv]);
            if let Ok([a, b, c, d, e, f, g, h, i, j, k, l]) = <[u8; 12]>::try_from(aad.as_slice()) {
                let header = [a, b, c, d, i, j, k, l];
                let esn_high = Some(u32::from_be_bytes([e, f, g, h]));
                check(&cipher, &header, esn_high, [&iv, &plaintext, &ciphertext, &icv]);
            }
        } else {
            for cipher in cipher {
                let mut bytes = [&aad, &iv, &ciphertext, &icv].map(Vec::as_slice).concat();
                let opened = cipher.open(Frame { bytes: &mut bytes, header_len: aad.len(), esn_high: None });
                assert_eq!(opened, Err(CipherError::Forged));
            }
        }
    }
    valid
}

#[test]
fn aes_gcm_agrees_with_rfc_4106_vectors() {
    let valid =
        check_esp_aead(include_str!("vectors/rfc/esp-aead-gcm-rfc4106.json"), |icv_len| match icv_len {
            8 => EncryptionId::AES_GCM_8,
            12 => EncryptionId::AES_GCM_12,
            _ => EncryptionId::AES_GCM_16,
        });
    assert!(valid > 5);
}

#[test]
fn aes_ccm_agrees_with_rfc_4309_vectors() {
    let valid =
        check_esp_aead(include_str!("vectors/rfc/esp-aead-ccm-rfc4309.json"), |icv_len| match icv_len {
            8 => EncryptionId::AES_CCM_8,
            12 => EncryptionId::AES_CCM_12,
            _ => EncryptionId::AES_CCM_16,
        });
    assert!(valid > 5);
}

#[test]
fn chacha20_poly1305_agrees_with_rfc_7634_vectors() {
    let json = include_str!("vectors/rfc/esp-aead-chacha-rfc7634.json");
    assert_eq!(check_esp_aead(json, |_| EncryptionId::CHACHA20_POLY1305), 1);
}

#[test]
fn aes_gcm_protects_whole_esp_packets_with_and_without_extended_sequence_numbers() {
    let mut with_esn = 0;
    for case in cases(include_str!("vectors/rfc/esp-gcm-packets-mcgrew.json")) {
        let [iv, plaintext] = ["iv", "plaintext_with_trailer"].map(|field| octets(&case, field));
        let [ciphertext, icv] = ["ciphertext", "icv"].map(|field| octets(&case, field));
        let id = match icv.len() {
            8 => EncryptionId::AES_GCM_8,
            12 => EncryptionId::AES_GCM_12,
            _ => EncryptionId::AES_GCM_16,
        };
        let cipher = aead(id, &octets(&case, "key"), &octets(&case, "salt"));
        let header = [octets(&case, "spi"), octets(&case, "seq_low")].concat();
        let esn_high = case["esn_high"]
            .as_str()
            .filter(|high| !high.is_empty())
            .map(|high| u32::from_str_radix(high, 16).unwrap());
        with_esn += usize::from(esn_high.is_some());
        check(&cipher, &header, esn_high, [&iv, &plaintext, &ciphertext, &icv]);
    }
    assert!(with_esn > 2);
}

#[test]
fn chacha20_poly1305_protects_the_esp_packet_and_the_ike_message_of_rfc_7634() {
    for case in cases(include_str!("vectors/rfc/chacha20poly1305-esp-ike.json")) {
        let [keymat, iv, plaintext] = ["keymat", "iv", "plaintext"].map(|field| octets(&case, field));
        let [ciphertext, tag] = ["ciphertext", "tag"].map(|field| octets(&case, field));
        let header = match text(&case, "id") {
            "esp" => [octets(&case, "spi"), octets(&case, "seq")].concat(),
            _ => octets(&case, "aad"),
        };
        let (key, salt) = keymat.split_at(32);
        let cipher = aead(EncryptionId::CHACHA20_POLY1305, key, salt);
        check(&cipher, &header, None, [&iv, &plaintext, &ciphertext, &tag]);
    }
}

/// A cipher with HMAC-SHA1-96, whose text is looked at alone.
fn with_sha1(encryption: Encryption, key: &[u8]) -> Ciphers {
    let keys = CipherKeys { encryption: key, integrity: &[7; 20] };
    of_all(encryption, Some(IntegrityId::HMAC_SHA1_96), &keys)
}

fn check_text(ciphers: &[Box<dyn PacketCipher>], iv: &[u8], plaintext: &[u8], ciphertext: &[u8]) {
    for cipher in ciphers {
        let mut bytes = [b"header--", iv, plaintext, &[0; 12]].concat();
        cipher.seal(Frame { bytes: &mut bytes, header_len: 8, esn_high: None }).unwrap();
        let text_at = 8 + iv.len();
        assert_eq!(&bytes[text_at..bytes.len() - 12], ciphertext);
        cipher.open(Frame { bytes: &mut bytes, header_len: 8, esn_high: None }).unwrap();
        assert_eq!(&bytes[text_at..bytes.len() - 12], plaintext);
    }
}

#[test]
fn aes_cbc_agrees_with_rfc_3602() {
    for case in cases(include_str!("vectors/rfc/aes-cbc.json")) {
        let key = octets(&case, "key");
        let cipher = with_sha1(Encryption::new(EncryptionId::AES_CBC, key.len() as u16 * 8), &key);
        check_text(&cipher, &octets(&case, "iv"), &octets(&case, "plaintext"), &octets(&case, "ciphertext"));
    }
}

#[test]
fn aes_cbc_agrees_with_the_esp_packets_of_rfc_3602() {
    for case in cases(include_str!("vectors/rfc/esp-aes-cbc-packets.json")) {
        let cipher = with_sha1(Encryption::new(EncryptionId::AES_CBC, 128), &octets(&case, "key"));
        let packet = octets(&case, "esp_packet");
        let iv = octets(&case, "iv");
        assert_eq!(packet[8..24], iv);
        check_text(&cipher, &iv, &octets(&case, "plaintext_with_trailer"), &packet[24..]);
    }
}

#[test]
fn aes_ctr_agrees_with_rfc_3686() {
    for case in cases(include_str!("vectors/rfc/aes-ctr.json")) {
        let key = octets(&case, "key");
        let bits = key.len() as u16 * 8;
        let with_nonce = [key, octets(&case, "nonce")].concat();
        let cipher = with_sha1(Encryption::new(EncryptionId::AES_CTR, bits), &with_nonce);
        check_text(&cipher, &octets(&case, "iv"), &octets(&case, "plaintext"), &octets(&case, "ciphertext"));
    }
}

#[cfg(feature = "legacy")]
#[test]
fn triple_des_agrees_with_sp_800_67() {
    // The example of SP 800-67 appendix B.1, as three single blocks under a zero IV.
    let key = common::hex("0123456789abcdef23456789abcdef01456789abcdef0123");
    let cipher = with_sha1(Encryption::new(EncryptionId::TRIPLE_DES, 0), &key);
    for (plaintext, ciphertext) in [
        ("5468652071756663", "a826fd8ce53b855f"),
        ("6b2062726f776e20", "cce21c8112256fe6"),
        ("666f78206a756d70", "68d5c05dd9b6b900"),
    ] {
        check_text(&cipher, &[0; 8], &common::hex(plaintext), &common::hex(ciphertext));
    }
}

#[test]
fn null_encryption_leaves_the_text_and_authenticates_it() {
    let cipher = with_sha1(Encryption::new(EncryptionId::NULL, 0), &[]);
    check_text(&cipher, &[], b"as it is", b"as it is");
}
