//! What the tests with vectors share.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a helper of a test may fail as the test does"
)]

use ikebana_core::SecureRandom;
use ikebana_crypto::CryptoProvider;
use ikebana_proposals::{Encryption, EncryptionId, IntegrityId};
use serde_json::Value;

/// Reads hexadecimal in either case.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "odd hexadecimal");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// The octets in one field of a case.
pub(crate) fn octets(case: &Value, field: &str) -> Vec<u8> {
    hex(text(case, field))
}

/// The text in one field of a case.
pub(crate) fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field].as_str().unwrap_or_else(|| panic!("no {field} in {case}"))
}

/// All cases of a file of vectors; never none.
pub(crate) fn cases(json: &str) -> Vec<Value> {
    let mut file: Value = serde_json::from_str(json).unwrap();
    let Value::Array(cases) = file["cases"].take() else { panic!("no cases") };
    assert!(!cases.is_empty());
    cases
}

/// Hands out prepared octets as secret randomness.
pub(crate) struct Scripted(pub(crate) Vec<u8>);

impl SecureRandom for Scripted {
    fn fill_public(&mut self, _: &mut [u8]) {
        panic!("nothing public is drawn here");
    }
    fn fill_secret(&mut self, out: &mut [u8]) {
        let rest = self.0.split_off(out.len());
        out.copy_from_slice(&self.0);
        self.0 = rest;
    }
}

/// Every backend that this processor can run, by name: the portable one, and each tier of kernels in front of it.
pub(crate) fn providers() -> Vec<(String, CryptoProvider)> {
    let mut all = vec![("portable".to_owned(), CryptoProvider::rust_crypto())];
    #[cfg(target_arch = "x86_64")]
    for tier in ikebana_crypto::accelerated::ALL.into_iter().filter(|tier| tier.is_available()) {
        let mut provider = CryptoProvider::rust_crypto();
        provider.ciphers.insert(0, tier);
        all.push((format!("{tier:?}"), provider));
    }
    all
}

/// A small generator for tests, good enough to make different keys.
pub(crate) struct Mixing(pub(crate) u64);

impl SecureRandom for Mixing {
    fn fill_public(&mut self, out: &mut [u8]) {
        for octet in out {
            // splitmix64
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *octet = (z >> 56) as u8;
        }
    }
    fn fill_secret(&mut self, out: &mut [u8]) {
        self.fill_public(out);
    }
}

/// Every combination of encryption and integrity that the backend has, for ESP.
pub(crate) fn all_combinations() -> Vec<(Encryption, Option<IntegrityId>)> {
    let mut all = Vec::new();
    let mut encryptions =
        [EncryptionId::NULL, EncryptionId::CHACHA20_POLY1305, EncryptionId::CHACHA20_POLY1305_IIV]
            .map(|id| Encryption::new(id, 0))
            .to_vec();
    if cfg!(feature = "legacy") {
        encryptions.push(Encryption::new(EncryptionId::TRIPLE_DES, 0));
    }
    for id in [
        EncryptionId::AES_CBC,
        EncryptionId::AES_CTR,
        EncryptionId::AES_GCM_8,
        EncryptionId::AES_GCM_12,
        EncryptionId::AES_GCM_16,
        EncryptionId::AES_CCM_8,
        EncryptionId::AES_CCM_12,
        EncryptionId::AES_CCM_16,
        EncryptionId::AES_CCM_8_IIV,
        EncryptionId::AES_GCM_16_IIV,
        EncryptionId::NULL_AUTH_AES_GMAC,
    ] {
        encryptions.extend([128, 192, 256].map(|bits| Encryption::new(id, bits)));
    }
    let mut integrities = vec![
        IntegrityId::HMAC_SHA1_96,
        IntegrityId::HMAC_SHA2_256_128,
        IntegrityId::HMAC_SHA2_384_192,
        IntegrityId::HMAC_SHA2_512_256,
        IntegrityId::AES_XCBC_96,
        IntegrityId::AES_CMAC_96,
    ];
    if cfg!(feature = "legacy") {
        integrities.push(IntegrityId::HMAC_MD5_96);
    }
    for encryption in encryptions {
        if encryption.is_aead() {
            all.push((encryption, None));
        } else {
            all.extend(integrities.iter().map(|&id| (encryption, Some(id))));
        }
    }
    all
}
