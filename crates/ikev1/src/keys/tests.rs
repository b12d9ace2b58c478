//! The key schedule against answers that are not ours, see `tests/vectors`.

use alloc::string::ToString;

use ikebana_proposals::{Encryption, EncryptionId, KeyExchangeId, NO_ADDITIONAL};
use ikebana_testkit::vectors::{Case, Vectors};

use super::*;

fn suite(case: &Case, name: &str) -> IkeSuite {
    let prf = match case.text(name) {
        "sha1" => PrfId::HMAC_SHA1,
        "sha256" => PrfId::HMAC_SHA2_256,
        "sha384" => PrfId::HMAC_SHA2_384,
        "sha512" => PrfId::HMAC_SHA2_512,
        other => panic!("{other}"),
    };
    IkeSuite {
        encryption: Encryption::new(EncryptionId::AES_CBC, 128),
        integrity: None,
        prf,
        key_exchange: KeyExchangeId(14),
        additional: NO_ADDITIONAL,
    }
}

#[test]
fn the_key_schedule_agrees_with_nist() {
    let provider = CryptoProvider::rust_crypto();
    let file = Vectors::parse(include_str!("../../tests/vectors/nist-cavs-ikev1.json"));
    let mut kinds = [0, 0];
    for case in file.cases() {
        let cookie = |name| IkeSpi(case.octets(name).try_into().unwrap());
        let [ni, nr, shared] = ["ni", "nr", "g_xy"].map(|name| case.octets(name));
        let shared = Secret::new(shared);
        let from = Contributions {
            initiator_cookie: cookie("cky_i"),
            responder_cookie: cookie("cky_r"),
            initiator_nonce: &ni,
            responder_nonce: &nr,
            initiator_public: &[],
            responder_public: &[],
            shared: &shared,
        };
        let key = case.optional_octets("psk").map(Secret::new);
        kinds[usize::from(key.is_some())] += 1;
        let root = key.as_ref().map_or(Root::Signatures, Root::PreSharedKey);
        let keys = Keys::new(&provider, &suite(case, "hash"), root, &from).unwrap();
        assert!(keys.root.ct_eq(&case.octets("skeyid")));
        assert!(keys.derive.ct_eq(&case.octets("skeyid_d")));
        assert!(keys.authenticate.ct_eq(&case.octets("skeyid_a")));
        // What Ka encrypts under SKEYID_e's first octets, the schedule's cipher decrypts.
        let expected = case.octets("skeyid_e");
        let reference =
            provider.cbc_cipher(Encryption::new(EncryptionId::AES_CBC, 128), &expected[..16]).unwrap();
        let mut text = *b"exactly 16 octet";
        reference.encrypt(&[7; 16], &mut text).unwrap();
        keys.cipher.decrypt(&[7; 16], &mut text).unwrap();
        assert_eq!(&text, b"exactly 16 octet");
    }
    assert!(kinds.iter().all(|&count| count >= 20), "{kinds:?}");
}

#[test]
fn stretched_keys_agree_with_nss() {
    let provider = CryptoProvider::rust_crypto();
    let file = Vectors::parse(include_str!("../../tests/vectors/nss-stretch.json"));
    for case in file.cases() {
        let function = provider.prf(suite(case, "prf").prf).unwrap();
        let (key, expected) = (Secret::new(case.octets("ikm")), case.octets("out"));
        let got = match case.text("type") {
            "ikeV1AppB" => encryption_key(function, &key, expected.len()),
            "ikeV1AppBQuick" => stretch(function, &key, &[&[0]], &[&[0]], expected.len()),
            other => panic!("{other}"),
        };
        assert!(got.ct_eq(&expected), "{}", case.text("id").to_string());
    }
    assert!(file.cases().len() > 12);
}

#[test]
fn each_prf_brings_its_hash() {
    let provider = CryptoProvider::rust_crypto();
    for (prf, length) in [(PrfId::HMAC_SHA1, 20), (PrfId::HMAC_SHA2_256, 32), (PrfId::HMAC_SHA2_512, 64)] {
        assert_eq!(negotiated_digest(&provider, prf).map(Digest::output_len), Ok(length));
    }
    assert_eq!(negotiated_digest(&provider, PrfId::AES128_CMAC).map(Digest::output_len), Err(Unsupported));
}
