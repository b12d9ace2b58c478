//! Checks this backend against folders of vectors that are not part of the project.
//!
//! Set `IKEBANA_VECTORS` to a folder with `acvp/` (NIST ACVP samples), `wycheproof/` (Project Wycheproof's
//! schema) and `strongswan/` (values of strongSwan's own tests), each with the JSON files named below, and run
//! `cargo test -p ikebana-crypto --features legacy --test external -- --nocapture`. Without it every test
//! says that it did not run. Vectors for parameters that IPsec does not have are counted and left out.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a helper of a test may fail as the test does"
)]

mod common;

use std::path::PathBuf;

use common::{Scripted, hex, octets, providers, text};
use ikebana_crypto::{CipherKeys, CryptoProvider, Frame, KeyExchangeError, PacketCipher, prf, prf_plus};
use ikebana_proposals::{Encryption, EncryptionId, IntegrityId, KeyExchangeId, PrfId};
use serde_json::Value;

/// The folder, or a plain word that nothing was run.
fn folder(what: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("IKEBANA_VECTORS");
    if folder.is_none() {
        println!("NOT RUN: IKEBANA_VECTORS names no folder with {what} vectors");
    }
    Some(PathBuf::from(folder?).join(what))
}

/// Counts what was checked and what was not ours to check.
#[derive(Default)]
struct Tally {
    checked: usize,
    left_out: usize,
}

impl Tally {
    fn print(&self, file: &str) {
        println!("{file}: {} checked, {} not applicable", self.checked, self.left_out);
        assert!(self.checked > 0, "{file}");
    }
}

/// Runs every case of an ACVP file; `check` says whether the case was applicable.
fn acvp(file: &str, mut check: impl FnMut(&Value) -> bool) {
    let Some(folder) = folder("acvp") else { return };
    let json: Value = serde_json::from_slice(&std::fs::read(folder.join(file)).unwrap()).unwrap();
    let mut tally = Tally::default();
    for case in json["cases"].as_array().unwrap() {
        if check(case) {
            tally.checked += 1;
        } else {
            tally.left_out += 1;
        }
    }
    tally.print(file);
}

/// Runs every test of a Wycheproof file, with its group.
fn wycheproof(file: &str, mut check: impl FnMut(&Value, &Value) -> bool) {
    let Some(folder) = folder("wycheproof") else { return };
    let json: Value = serde_json::from_slice(&std::fs::read(folder.join(file)).unwrap()).unwrap();
    let mut tally = Tally::default();
    for group in json["testGroups"].as_array().unwrap() {
        for case in group["tests"].as_array().unwrap() {
            if check(group, case) {
                tally.checked += 1;
            } else {
                tally.left_out += 1;
            }
        }
    }
    tally.print(file);
}

fn number(case: &Value, field: &str) -> u64 {
    case[field].as_u64().unwrap_or_else(|| panic!("no {field} in {case}"))
}

/// One cipher of each backend.
fn ciphers(
    encryption: Encryption,
    integrity: Option<IntegrityId>,
    key: &[u8],
) -> impl Iterator<Item = Box<dyn PacketCipher>> {
    let mac_key = vec![1; integrity.map_or(0, IntegrityId::key_len)];
    let keys = CipherKeys { encryption: key, integrity: &mac_key };
    let all: Vec<_> = providers()
        .iter()
        .map(|(_, provider)| provider.packet_cipher(encryption, integrity, &keys).unwrap())
        .collect();
    all.into_iter()
}

/// Checks the text of a mode without integrity both ways.
fn check_text(id: EncryptionId, bits: u16, key: &[u8], iv: &[u8], pt: &[u8], ct: &[u8]) {
    for cipher in ciphers(Encryption::new(id, bits), Some(IntegrityId::HMAC_SHA1_96), key) {
        let mut bytes = [iv, pt, &[0; 12]].concat();
        let text = iv.len()..iv.len() + pt.len();
        cipher.seal(Frame { bytes: &mut bytes, header_len: 0, esn_high: None }).unwrap();
        assert_eq!(&bytes[text.clone()], ct);
        cipher.open(Frame { bytes: &mut bytes, header_len: 0, esn_high: None }).unwrap();
        assert_eq!(&bytes[text], pt);
    }
}

/// Checks a combined mode: opens what is valid, seals it again, and refuses what is not valid.
fn check_aead(encryption: Encryption, key: &[u8], iv_part: &[u8], parts: [&[u8]; 4], valid: bool) {
    let [aad, pt, ct, tag] = parts;
    let sealed = [aad, iv_part, ct, tag].concat();
    for cipher in ciphers(encryption, None, key) {
        let mut bytes = sealed.clone();
        let opened = cipher.open(Frame { bytes: &mut bytes, header_len: aad.len(), esn_high: None });
        assert_eq!(opened.is_ok(), valid);
        if valid {
            let text_at = aad.len() + iv_part.len();
            assert_eq!(&bytes[text_at..text_at + pt.len()], pt);
            cipher.seal(Frame { bytes: &mut bytes, header_len: aad.len(), esn_high: None }).unwrap();
            assert_eq!(bytes, sealed);
        }
    }
}

fn gcm(tag_bits: u64) -> Option<EncryptionId> {
    match tag_bits {
        64 => Some(EncryptionId::AES_GCM_8),
        96 => Some(EncryptionId::AES_GCM_12),
        128 => Some(EncryptionId::AES_GCM_16),
        _ => None,
    }
}

fn ccm(tag_bits: u64) -> Option<EncryptionId> {
    match tag_bits {
        64 => Some(EncryptionId::AES_CCM_8),
        96 => Some(EncryptionId::AES_CCM_12),
        128 => Some(EncryptionId::AES_CCM_16),
        _ => None,
    }
}

#[test]
fn acvp_aes_cbc() {
    acvp("ACVP-AES-CBC-1.0.json", |case| {
        let [key, iv, pt, ct] = ["key", "iv", "pt", "ct"].map(|field| octets(case, field));
        check_text(EncryptionId::AES_CBC, key.len() as u16 * 8, &key, &iv, &pt, &ct);
        true
    });
}

#[cfg(feature = "legacy")]
#[test]
fn acvp_triple_des_cbc() {
    acvp("ACVP-TDES-CBC-1.0.json", |case| {
        let [iv, pt, ct] = ["iv", "pt", "ct"].map(|field| octets(case, field));
        let key = ["key1", "key2", "key3"].map(|field| octets(case, field)).concat();
        check_text(EncryptionId::TRIPLE_DES, 0, &key, &iv, &pt, &ct);
        true
    });
}

#[test]
fn acvp_aes_ctr() {
    acvp("ACVP-AES-CTR-1.0.json", |case| {
        let [key, block, pt, ct] = ["key", "iv", "pt", "ct"].map(|field| octets(case, field));
        // RFC 3686 starts the block counter with 1; text in bits is not for packets.
        if !number(case, "payloadLen").is_multiple_of(8) || block[12..] != [0, 0, 0, 1] {
            return false;
        }
        let bits = key.len() as u16 * 8;
        let key = [&key, &block[..4]].concat();
        check_text(EncryptionId::AES_CTR, bits, &key, &block[4..12], &pt, &ct);
        true
    });
}

#[test]
fn acvp_aes_gcm() {
    acvp("ACVP-AES-GCM-1.0.json", |case| {
        let Some(id) = gcm(number(case, "tagLen")).filter(|_| case["ivLen"] == 96) else { return false };
        let [key, iv, aad] = ["key", "iv", "aad"].map(|field| octets(case, field));
        let [ct, tag] = ["ct", "tag"].map(|field| octets(case, field));
        let pt = case["pt"].as_str().map(hex).unwrap_or_default();
        let encryption = Encryption::new(id, key.len() as u16 * 8);
        let key = [&key, &iv[..4]].concat();
        check_aead(encryption, &key, &iv[4..], [&aad, &pt, &ct, &tag], case["testPassed"] == true);
        true
    });
}

/// GMAC samples whose message fits what ESP authenticates: it has no text, and 8 octets of IV behind a header.
#[test]
fn acvp_aes_gmac() {
    acvp("ACVP-AES-GMAC-1.0.json", |case| {
        let [key, iv, aad, tag] = ["key", "iv", "aad", "tag"].map(|field| octets(case, field));
        if iv.len() != 12 {
            return false;
        }
        let Some(id) = gcm(tag.len() as u64 * 8) else { return false };
        let encryption = Encryption::new(id, key.len() as u16 * 8);
        let key = [&key, &iv[..4]].concat();
        check_aead(encryption, &key, &iv[4..], [&aad, &[], &[], &tag], case["testPassed"] != false);
        true
    });
}

#[test]
fn acvp_aes_ccm() {
    acvp("ACVP-AES-CCM-1.0.json", |case| {
        let Some(id) = ccm(number(case, "tagLen")).filter(|_| case["ivLen"] == 88) else { return false };
        let [key, iv, aad, ct] = ["key", "iv", "aad", "ct"].map(|field| octets(case, field));
        let pt = case["pt"].as_str().map(hex).unwrap_or_default();
        let (ct, tag) = ct.split_at(ct.len() - id.icv_len());
        let encryption = Encryption::new(id, key.len() as u16 * 8);
        let key = [&key, &iv[..3]].concat();
        check_aead(encryption, &key, &iv[3..], [&aad, &pt, ct, tag], case["testPassed"] == true);
        true
    });
}

#[test]
fn acvp_macs() {
    let provider = CryptoProvider::rust_crypto();
    for (file, id) in [
        ("HMAC-SHA-1-2.0.json", PrfId::HMAC_SHA1),
        ("HMAC-SHA2-256-2.0.json", PrfId::HMAC_SHA2_256),
        ("HMAC-SHA2-384-2.0.json", PrfId::HMAC_SHA2_384),
        ("HMAC-SHA2-512-2.0.json", PrfId::HMAC_SHA2_512),
        ("CMAC-AES-1.0.json", PrfId::AES128_CMAC),
    ] {
        let function = provider.prf(id).unwrap();
        acvp(file, |case| {
            let key = octets(case, "key");
            if id == PrfId::AES128_CMAC && key.len() != 16 {
                return false;
            }
            let message = case["msg"].as_str().or(case["message"].as_str()).map(hex).unwrap();
            let mac = octets(case, "mac");
            let right = prf(function, &key, &[&message]).expose()[..mac.len()] == mac;
            assert_eq!(right, case["testPassed"] != false, "{case}");
            true
        });
    }
}

#[test]
fn acvp_x25519() {
    let method = CryptoProvider::rust_crypto().key_exchange(KeyExchangeId::CURVE25519).unwrap();
    acvp("XECDH-SSC-RFC7748.json", |case| {
        if text(case, "curve") != "Curve25519" {
            return false;
        }
        let shared = octets(case, "z");
        for (private, own, peer) in
            [("privateServer", "publicServer", "publicIut"), ("privateIut", "publicIut", "publicServer")]
        {
            let Some(private) = case[private].as_str().map(hex) else { continue };
            let (public, secret) = method.respond(&mut Scripted(private), &octets(case, peer)).unwrap();
            assert_eq!(public, octets(case, own));
            assert_eq!(secret.ct_eq(&shared), case["testPassed"] == true);
        }
        true
    });
}

#[test]
fn wycheproof_combined_modes() {
    let aead = |file, nonce_bits, salt, id: fn(u64) -> Option<EncryptionId>| {
        wycheproof(file, |group, case| {
            let id = id(number(group, "tagSize")).filter(|_| number(group, "ivSize") == nonce_bits);
            let Some(id) = id else { return false };
            let [key, iv, aad] = ["key", "iv", "aad"].map(|field| octets(case, field));
            let [pt, ct, tag] = ["msg", "ct", "tag"].map(|field| octets(case, field));
            let chacha = id == EncryptionId::CHACHA20_POLY1305;
            let encryption = Encryption::new(id, if chacha { 0 } else { key.len() as u16 * 8 });
            let key = [&key, &iv[..salt]].concat();
            check_aead(encryption, &key, &iv[salt..], [&aad, &pt, &ct, &tag], case["result"] != "invalid");
            true
        });
    };
    aead("aes_gcm_test.json", 96, 4, gcm);
    aead("aes_ccm_test.json", 88, 3, ccm);
    aead("chacha20_poly1305_test.json", 96, 4, |_| Some(EncryptionId::CHACHA20_POLY1305));
}

#[test]
fn wycheproof_macs() {
    let provider = CryptoProvider::rust_crypto();
    for (file, id) in [
        ("hmac_sha1_test.json", PrfId::HMAC_SHA1),
        ("hmac_sha256_test.json", PrfId::HMAC_SHA2_256),
        ("hmac_sha384_test.json", PrfId::HMAC_SHA2_384),
        ("hmac_sha512_test.json", PrfId::HMAC_SHA2_512),
        ("aes_cmac_test.json", PrfId::AES128_CMAC),
    ] {
        let function = provider.prf(id).unwrap();
        wycheproof(file, |group, case| {
            if id == PrfId::AES128_CMAC && group["keySize"] != 128 {
                return false;
            }
            let [key, message, tag] = ["key", "msg", "tag"].map(|field| octets(case, field));
            let whole = prf(function, &key, &[&message]);
            let right = whole.expose()[..number(group, "tagSize") as usize / 8] == tag;
            assert_eq!(right, case["result"] != "invalid", "{case}");
            true
        });
    }
}

#[test]
fn wycheproof_curves() {
    let provider = CryptoProvider::rust_crypto();
    for (file, id) in [
        ("ecdh_secp256r1_ecpoint_test.json", KeyExchangeId::ECP_256),
        ("ecdh_secp384r1_ecpoint_test.json", KeyExchangeId::ECP_384),
        ("ecdh_secp521r1_ecpoint_test.json", KeyExchangeId::ECP_521),
    ] {
        let method = provider.key_exchange(id).unwrap();
        let field_len = id.public_len().unwrap() / 2;
        wycheproof(file, |_, case| {
            let [public, private, shared] = ["public", "private", "shared"].map(|field| octets(case, field));
            if public.len() != 2 * field_len + 1 {
                return false;
            }
            let private = &private[private.len().saturating_sub(field_len)..];
            let private = [&vec![0; field_len - private.len()], private].concat();
            match method.respond(&mut Scripted(private), &public[1..]) {
                Ok((_, secret)) => assert!(secret.ct_eq(&shared), "{case}"),
                Err(error) => {
                    assert_eq!(error, KeyExchangeError::NotOnCurve);
                    assert_eq!(case["result"], "invalid", "{case}");
                }
            }
            true
        });
    }
    let method = provider.key_exchange(KeyExchangeId::CURVE25519).unwrap();
    wycheproof("x25519_test.json", |_, case| {
        let [public, private, shared] = ["public", "private", "shared"].map(|field| octets(case, field));
        let zero = shared.iter().all(|&octet| octet == 0);
        match method.respond(&mut Scripted(private), &public) {
            Ok((_, secret)) => assert!(secret.ct_eq(&shared) && !zero, "{case}"),
            Err(error) => assert!(error == KeyExchangeError::LowOrder && zero, "{case}"),
        }
        true
    });
}

#[test]
fn strongswan_prf_and_prf_plus() {
    let Some(folder) = folder("strongswan") else { return };
    let provider = CryptoProvider::rust_crypto();
    let json: Value = serde_json::from_slice(&std::fs::read(folder.join("kdf.json")).unwrap()).unwrap();
    let mut tally = Tally::default();
    for case in json["cases"].as_array().unwrap() {
        let id = PrfId::KNOWN.iter().find(|id| id.name() == Some(text(case, "prf"))).unwrap();
        let Some(function) = provider.prf(*id) else {
            tally.left_out += 1;
            continue;
        };
        let [key, salt, out] = ["key", "salt", "out"].map(|field| octets(case, field));
        let made = match text(case, "kdf") {
            // As in SKEYSEED: the nonces are the function's key, the shared secret its data.
            "KDF_PRF" => prf(function, &salt, &[&key]),
            _ => prf_plus(function, &key, &[&salt], out.len()).unwrap(),
        };
        assert!(made.ct_eq(&out), "{}", text(case, "id"));
        tally.checked += 1;
    }
    tally.print("strongswan/kdf.json");
}
