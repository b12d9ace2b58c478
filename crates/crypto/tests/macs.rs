//! MACs and pseudorandom functions against the vectors of their RFCs.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a helper of a test may fail as the test does"
)]

mod common;

use common::{Mixing, cases, octets, text};
use hmac::KeyInit as _;
use ikebana_core::SecureRandom as _;
use ikebana_crypto::{CryptoProvider, prf};
use ikebana_proposals::{IntegrityId, PrfId};

fn prf_of(id: PrfId, key: &[u8], data: &[u8]) -> Vec<u8> {
    let provider = CryptoProvider::rust_crypto();
    prf(provider.prf(id).unwrap(), key, &[data]).expose().to_vec()
}

fn icv_of(id: IntegrityId, key: &[u8], data: &[u8]) -> Vec<u8> {
    let mac = CryptoProvider::rust_crypto().mac(id, key).unwrap();
    let mut icv = vec![0; mac.icv_len()];
    mac.compute(&[data], &mut icv);
    assert!(mac.verify(&[data], &icv));
    icv
}

#[test]
fn hmac_sha1_and_md5_agree_with_rfc_2202() {
    let mut checked = 0;
    for case in cases(include_str!("vectors/rfc/hmac-md5-sha1.json")) {
        let (prf_id, integrity) = match text(&case, "alg") {
            "HMAC-SHA1" => (PrfId::HMAC_SHA1, IntegrityId::HMAC_SHA1_96),
            _ if cfg!(not(feature = "legacy")) => continue,
            _ => (PrfId::HMAC_MD5, IntegrityId::HMAC_MD5_96),
        };
        let [key, data, mac] = ["key", "data", "mac"].map(|field| octets(&case, field));
        assert_eq!(prf_of(prf_id, &key, &data), mac);
        if key.len() == integrity.key_len() {
            assert_eq!(icv_of(integrity, &key, &data), mac[..12]);
        }
        checked += 1;
    }
    assert!(checked >= 4);
}

#[test]
fn hmac_sha2_agrees_with_rfc_4231() {
    for case in cases(include_str!("vectors/rfc/hmac-sha2.json")) {
        let id = match text(&case, "alg") {
            "HMAC-SHA-256" => PrfId::HMAC_SHA2_256,
            "HMAC-SHA-384" => PrfId::HMAC_SHA2_384,
            _ => PrfId::HMAC_SHA2_512,
        };
        let [key, data, mac] = ["key", "data", "mac"].map(|field| octets(&case, field));
        assert_eq!(prf_of(id, &key, &data)[..mac.len()], mac);
    }
}

#[test]
fn hmac_sha2_prfs_and_truncated_icvs_agree_with_rfc_4868() {
    let mut truncated = 0;
    for case in cases(include_str!("vectors/rfc/hmac-sha2-ipsec.json")) {
        let (prf_id, integrity) = match text(&case, "alg") {
            "PRF-HMAC-SHA-256" => (PrfId::HMAC_SHA2_256, IntegrityId::HMAC_SHA2_256_128),
            "PRF-HMAC-SHA-384" => (PrfId::HMAC_SHA2_384, IntegrityId::HMAC_SHA2_384_192),
            _ => (PrfId::HMAC_SHA2_512, IntegrityId::HMAC_SHA2_512_256),
        };
        let [key, data, out] = ["key", "data", "out"].map(|field| octets(&case, field));
        assert_eq!(prf_of(prf_id, &key, &data), out);
        if case["icv"].is_string() {
            assert_eq!(icv_of(integrity, &key, &data), octets(&case, "icv"));
            truncated += 1;
        }
    }
    assert!(truncated > 5);
}

#[test]
fn aes_xcbc_agrees_with_rfc_3566_and_the_kernel() {
    for json in
        [include_str!("vectors/rfc/aes-xcbc-mac-96.json"), include_str!("vectors/rfc/aes-xcbc-kernel.json")]
    {
        for case in cases(json) {
            let [key, data, mac] = ["key", "data", "mac"].map(|field| octets(&case, field));
            assert_eq!(prf_of(PrfId::AES128_XCBC, &key, &data), mac);
            assert_eq!(icv_of(IntegrityId::AES_XCBC_96, &key, &data), mac[..12]);
        }
    }
}

#[test]
fn aes_cmac_agrees_with_rfc_4493_and_4494() {
    for case in cases(include_str!("vectors/rfc/aes-cmac-96.json")) {
        let [key, data, mac] = ["key", "data", "mac"].map(|field| octets(&case, field));
        assert_eq!(prf_of(PrfId::AES128_CMAC, &key, &data), mac);
        assert_eq!(icv_of(IntegrityId::AES_CMAC_96, &key, &data), octets(&case, "icv96"));
    }
}

#[test]
fn aes_prfs_fit_keys_of_other_lengths_as_rfc_4434_and_4615_say() {
    for (id, json) in [
        (PrfId::AES128_XCBC, include_str!("vectors/rfc/aes-xcbc-prf-128.json")),
        (PrfId::AES128_CMAC, include_str!("vectors/rfc/aes-cmac-prf-128.json")),
    ] {
        for case in cases(json) {
            let [key, data, out] = ["key", "data", "out"].map(|field| octets(&case, field));
            assert_eq!(prf_of(id, &key, &data), out, "{id} {}", text(&case, "id"));
        }
    }
}

#[test]
fn aes_xcbc_replaces_a_key_longer_than_a_block_by_its_mac_under_zero() {
    // RFC 4434 section 2, the test case with an 18-octet key.
    let key = common::hex("000102030405060708090a0b0c0d0e0fedcb");
    let data = common::hex("000102030405060708090a0b0c0d0e0f10111213");
    let expected = common::hex("8cd3c93ae598a9803006ffb67c40e9e4");
    assert_eq!(prf_of(PrfId::AES128_XCBC, &key, &data), expected);
}

#[test]
fn aes_cmac_agrees_with_another_implementation_at_every_length() {
    use cmac::Mac as _;
    let rng = &mut Mixing(1);
    for len in 0..100 {
        let (mut key, mut data) = ([0; 16], vec![0; len]);
        rng.fill_secret(&mut key);
        rng.fill_secret(&mut data);
        let mut oracle = cmac::Cmac::<aes::Aes128>::new(&key.into());
        oracle.update(&data);
        assert_eq!(prf_of(PrfId::AES128_CMAC, &key, &data), oracle.finalize().into_bytes()[..]);
    }
}

#[test]
fn every_prf_and_mac_sees_the_parts_as_one_string() {
    let provider = CryptoProvider::rust_crypto();
    let rng = &mut Mixing(2);
    let mut data = vec![0; 150];
    rng.fill_secret(&mut data);
    for function in &provider.prfs {
        let whole = prf(*function, b"key", &[&data]);
        for cut in 0..=data.len() {
            let (a, b) = data.split_at(cut);
            let (b, c) = b.split_at(b.len() / 2);
            assert!(prf(*function, b"key", &[a, b, &[], c]).ct_eq(whole.expose()));
        }
        assert_eq!(whole.len(), function.id().output_len());
    }
}

#[test]
fn a_mac_refuses_wrong_keys_and_wrong_icvs() {
    let provider = CryptoProvider::rust_crypto();
    for &id in IntegrityId::KNOWN {
        let Ok(mac) = provider.mac(id, &vec![1; id.key_len()]) else { continue };
        assert!(provider.mac(id, &vec![1; id.key_len() + 1]).is_err());
        assert_eq!(mac.icv_len(), id.icv_len());
        let mut icv = vec![0; mac.icv_len()];
        mac.compute(&[b"data"], &mut icv);
        assert!(mac.verify(&[b"da", b"ta"], &icv));
        assert!(!mac.verify(&[b"Data"], &icv));
        assert!(!mac.verify(&[b"data"], &icv[1..]));
        assert!(!mac.verify(&[b"data"], &[]));
        icv[0] ^= 0x80;
        assert!(!mac.verify(&[b"data"], &icv));
    }
    assert!(provider.mac(IntegrityId::NONE, &[]).is_err());
}
