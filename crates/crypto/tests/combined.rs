//! Combined modes: that every backend makes the same octets of them, and what GMAC and implicit IVs are.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a helper of a test may fail as the test does"
)]

mod common;

use common::{Mixing, all_combinations, cases, octets, providers};
use ikebana_core::SecureRandom;
use ikebana_crypto::{CipherError, CipherKeys, CryptoProvider, Frame, PacketCipher};
use ikebana_proposals::{Encryption, EncryptionId, IntegrityId};
use proptest::prelude::*;

fn random(seed: u64, len: usize) -> Vec<u8> {
    let mut octets = vec![0; len];
    Mixing(seed).fill_public(&mut octets);
    octets
}

fn cipher(
    provider: &CryptoProvider,
    encryption: Encryption,
    integrity: Option<IntegrityId>,
    seed: u64,
) -> Box<dyn PacketCipher> {
    let lengths = provider.key_lengths(Some(encryption), integrity).unwrap();
    let keys = CipherKeys {
        encryption: &random(seed, lengths.encryption),
        integrity: &random(!seed, lengths.integrity),
    };
    provider.packet_cipher(encryption, integrity, &keys).unwrap()
}

/// What does not go through lanes together with other packets.
fn alone() -> Vec<(Encryption, Option<IntegrityId>)> {
    let counter = |(encryption, integrity): &(Encryption, Option<IntegrityId>)| {
        encryption.is_aead()
            || encryption.id == EncryptionId::AES_CTR && *integrity == Some(IntegrityId::HMAC_SHA1_96)
    };
    all_combinations().into_iter().filter(counter).collect()
}

/// Seals and opens with every backend, and compares with the portable one.
fn check_same(
    (encryption, integrity): (Encryption, Option<IntegrityId>),
    seed: u64,
    [header_len, text_len]: [usize; 2],
    esn_high: Option<u32>,
) {
    let mut expected: Option<Vec<u8>> = None;
    for (backend, provider) in providers() {
        let cipher = cipher(&provider, encryption, integrity, seed);
        let shape = cipher.shape();
        let plain = random(seed ^ 1, header_len + shape.overhead() + text_len);
        let text_end = plain.len() - shape.icv_len;
        let mut bytes = plain.clone();
        cipher.seal(Frame { bytes: &mut bytes, header_len, esn_high }).unwrap();
        let expected = expected.get_or_insert_with(|| bytes.clone());
        assert_eq!(&bytes, expected, "{backend} {encryption} {header_len} {text_len}");
        cipher.open(Frame { bytes: &mut bytes, header_len, esn_high }).unwrap();
        assert_eq!(bytes[..text_end], plain[..text_end], "{backend} {encryption} {header_len} {text_len}");
        assert_eq!(bytes[text_end..], expected[text_end..]);
    }
}

#[test]
fn every_backend_makes_the_same_of_every_short_text() {
    for (at, algorithms) in alone().into_iter().enumerate() {
        for text_len in 0..=300 {
            let esn_high = (text_len % 3 == 0).then_some(text_len as u32);
            check_same(algorithms, (at * 1000 + text_len) as u64, [8, text_len], esn_high);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_backend_makes_the_same_of_every_text_and_header(
        seed in any::<u64>(),
        header_len in 8..60_usize,
        text_len in 0..4096_usize,
        esn_high in any::<Option<u32>>(),
    ) {
        for algorithms in alone() {
            check_same(algorithms, seed, [header_len, text_len], esn_high);
        }
    }
}

#[test]
fn long_headers_and_none_at_all_are_authenticated_by_every_backend() {
    for algorithms in alone().into_iter().filter(|(encryption, _)| !encryption.id.has_implicit_iv()) {
        for header_len in (0..40).chain([127, 128, 129, 255, 256, 257, 300, 1000]) {
            check_same(algorithms, 5, [header_len, 33], None);
            check_same(algorithms, 6, [header_len, 600], None);
        }
    }
}

#[test]
fn a_forged_octet_anywhere_is_noticed_by_every_backend_and_no_plaintext_comes_out() {
    for (backend, provider) in providers() {
        for (encryption, integrity) in alone() {
            let cipher = cipher(&provider, encryption, integrity, 9);
            let shape = cipher.shape();
            // One group of the widest kernel and some more.
            let plain = random(10, 8 + shape.overhead() + 300);
            let mut sealed = plain.clone();
            let header_len = 8;
            let esn_high = Some(3);
            cipher.seal(Frame { bytes: &mut sealed, header_len, esn_high }).unwrap();
            for at in 0..sealed.len() {
                let mut forged = sealed.clone();
                forged[at] ^= 0x80 >> (at % 8);
                let opened = cipher.open(Frame { bytes: &mut forged, header_len, esn_high });
                assert_eq!(opened, Err(CipherError::Forged), "{backend} {encryption} octet {at}");
                if !encryption.id.is_integrity_only() {
                    let text = header_len + shape.iv_len..plain.len() - shape.icv_len;
                    let (before, after) = (&plain[text.clone()], &forged[text]);
                    let same = before.iter().zip(after).filter(|(before, after)| before == after).count();
                    assert!(same < 20, "{backend} {encryption} octet {at}: {same} octets of plaintext");
                }
            }
        }
    }
}

#[test]
fn gmac_agrees_with_rfc_4543_vectors() {
    for (backend, provider) in providers() {
        let mut valid = 0;
        for case in cases(include_str!("vectors/rfc/esp-aead-gmac-rfc4543.json")) {
            let [key, salt, header] = ["key", "salt", "aad"].map(|field| octets(&case, field));
            let [iv, text, icv] = ["iv", "plaintext", "icv"].map(|field| octets(&case, field));
            let keys = CipherKeys { encryption: &[&*key, &*salt].concat(), integrity: &[] };
            let encryption = Encryption::new(EncryptionId::NULL_AUTH_AES_GMAC, key.len() as u16 * 8);
            let cipher = provider.packet_cipher(encryption, None, &keys).unwrap();
            let sealed = [&*header, &*iv, &*text, &*icv].concat();
            let mut bytes = sealed.clone();
            let frame = Frame { bytes: &mut bytes, header_len: header.len(), esn_high: None };
            if case["valid"] == true {
                valid += 1;
                cipher.open(frame).unwrap();
                bytes[sealed.len() - 16..].fill(0);
                let frame = Frame { bytes: &mut bytes, header_len: header.len(), esn_high: None };
                cipher.seal(frame).unwrap();
                assert_eq!(bytes, sealed, "{backend}");
            } else {
                assert_eq!(cipher.open(frame), Err(CipherError::Forged), "{backend}");
            }
        }
        assert_eq!(valid, 1);
    }
}

/// RFC 4543 2: GMAC is GCM of an empty text, whose associated data are all that is authenticated.
#[test]
fn gmac_is_gcm_of_nothing() {
    let provider = CryptoProvider::rust_crypto();
    for bits in [128, 192, 256] {
        let gcm = cipher(&provider, Encryption::new(EncryptionId::AES_GCM_16, bits), None, 7);
        for (backend, provider) in providers() {
            let gmac = cipher(&provider, Encryption::new(EncryptionId::NULL_AUTH_AES_GMAC, bits), None, 7);
            for text_len in (0..100).chain([255, 256, 257, 1408, 1412]) {
                for esn_high in [None, Some(0x0102_0304)] {
                    let mut bytes = random(text_len as u64, 8 + 8 + text_len + 16);
                    gmac.seal(Frame { bytes: &mut bytes, header_len: 8, esn_high }).unwrap();
                    let (packet, icv) = bytes.split_at(16 + text_len);
                    let (spi, rest) = packet.split_at(4);
                    let high = esn_high.map(u32::to_be_bytes);
                    let high = high.as_ref().map_or(&[][..], |high| high);
                    let associated = [spi, high, rest].concat();
                    let mut nothing = [&*associated, &packet[8..16], &[0; 16]].concat();
                    let header_len = associated.len();
                    gcm.seal(Frame { bytes: &mut nothing, header_len, esn_high: None }).unwrap();
                    assert_eq!(&nothing[header_len + 8..], icv, "{backend} {bits} {text_len}");
                }
            }
        }
    }
}

/// RFC 8750 4: the nonce is made of the sequence number, as if that had been sent as the IV.
#[test]
fn an_implicit_iv_is_the_sequence_number_that_is_not_sent_twice() {
    for (implicit, explicit, bits) in [
        (EncryptionId::AES_GCM_16_IIV, EncryptionId::AES_GCM_16, &[128, 192, 256][..]),
        (EncryptionId::AES_CCM_8_IIV, EncryptionId::AES_CCM_8, &[128, 192, 256]),
        (EncryptionId::CHACHA20_POLY1305_IIV, EncryptionId::CHACHA20_POLY1305, &[0]),
    ] {
        for (bits, (backend, provider)) in
            bits.iter().flat_map(|bits| providers().into_iter().map(move |p| (*bits, p)))
        {
            let with_iv = cipher(&provider, Encryption::new(explicit, bits), None, 4);
            let without = cipher(&provider, Encryption::new(implicit, bits), None, 4);
            assert_eq!(without.shape().iv_len, 0);
            for esn_high in [None, Some(0), Some(0x0a0b_0c0d)] {
                let header = [1, 2, 3, 4, 0xf1, 0xf2, 0xf3, 0xf4];
                let iv = [&esn_high.unwrap_or(0_u32).to_be_bytes()[..], &header[4..]].concat();
                let text = random(1, 77);
                let icv = vec![0; without.shape().icv_len];
                let mut long = [&header[..], &iv, &text, &icv].concat();
                let mut short = [&header[..], &text, &icv].concat();
                with_iv.seal(Frame { bytes: &mut long, header_len: 8, esn_high }).unwrap();
                without.seal(Frame { bytes: &mut short, header_len: 8, esn_high }).unwrap();
                long.drain(8..16);
                assert_eq!(short, long, "{backend} {implicit}");
                without.open(Frame { bytes: &mut short, header_len: 8, esn_high }).unwrap();
                assert_eq!(short[8..85], text);
            }
            // There is no sequence number to take.
            let mut bytes = random(2, 60);
            let frame = Frame { bytes: &mut bytes, header_len: 7, esn_high: None };
            assert_eq!(without.seal(frame), Err(CipherError::Layout));
        }
    }
}
