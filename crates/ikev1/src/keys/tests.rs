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

/// Values of a unit test of others, which are not part of the project: read from where `IKEBANA_VECTORS` says.
#[test]
fn a_recorded_handshake_of_others_gives_the_keys_that_they_have() {
    let Some(folder) = std::env::var_os("IKEBANA_VECTORS") else {
        std::println!("NOT RUN: IKEBANA_VECTORS names no folder with vectors");
        return;
    };
    let path = std::path::Path::new(&folder).join("ike-session/rub-handshake-vectors.json");
    let file: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let steps = |name: &str| {
        let cases = file["cases"].as_array().unwrap();
        cases.iter().find(|case| case["file"] == name).unwrap()["steps"].as_array().unwrap().clone()
    };
    let value = |steps: &[serde_json::Value], call: &str| {
        let step = steps.iter().find(|step| step["call"].as_str().unwrap().contains(call)).unwrap();
        let digits = step["hex"].as_str().unwrap();
        (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
            .collect::<Vec<u8>>()
    };
    let handshake = steps("IKEv1HandshakeSessionSecretsTest");
    let get = |call: &str| value(&handshake, call);
    let cookie = |call: &str| IkeSpi(get(call).try_into().unwrap());
    let (ours, theirs) = (get("setKeyExchangeData"), get("setPeerKeyExchangeData"));
    let (ni, nr) = (get("setInitiatorNonce"), get("setResponderNonce"));
    let (shared, key) = (Secret::new(get("setDHSecret")), Secret::from_slice(b"AAAA"));
    let from = Contributions {
        initiator_cookie: cookie("setInitiatorCookie"),
        responder_cookie: cookie("setResponderCookie"),
        initiator_nonce: &ni,
        responder_nonce: &nr,
        initiator_public: &ours,
        responder_public: &theirs,
        shared: &shared,
    };
    let provider = CryptoProvider::rust_crypto();
    let suite = IkeSuite {
        encryption: Encryption::new(EncryptionId::AES_CBC, 128),
        integrity: None,
        prf: PrfId::HMAC_SHA1,
        key_exchange: KeyExchangeId(2),
        additional: NO_ADDITIONAL,
    };
    let keys = Keys::new(&provider, &suite, Root::PreSharedKey(&key), &from).unwrap();
    assert!(keys.root.ct_eq(&get("getSKEYID()")));
    assert!(keys.derive.ct_eq(&get("getSKEYID_d()")));
    assert!(keys.authenticate.ct_eq(&get("getSKEYID_a()")));
    let reference = provider.cbc_cipher(suite.encryption, &get("getKa()")).unwrap();
    let mut text = *b"exactly 16 octet";
    reference.encrypt(&[7; 16], &mut text).unwrap();
    keys.cipher.decrypt(&[7; 16], &mut text).unwrap();
    assert_eq!(&text, b"exactly 16 octet");
    assert_eq!(digest(keys.digest, &[&ours, &theirs])[..16], get("getIV(")[..]);
    let proof = prf(
        keys.prf,
        keys.root.expose(),
        &[
            &theirs,
            &ours,
            &from.responder_cookie.0,
            &from.initiator_cookie.0,
            &get("setSAOfferBody"),
            &get("setPeerIdentificationPayloadBody"),
        ],
    );
    assert!(proof.ct_eq(&get("getHASH_R()")));

    // One encrypted message with its key and IV.
    let message = steps("EncryptedISAKMPMessageTest");
    let mut text = value(&message, "bytes").split_off(ikebana_ike::HEADER_LEN);
    let cipher = provider.cbc_cipher(suite.encryption, &value(&message, "key")).unwrap();
    cipher.decrypt(&value(&message, "iv"), &mut text).unwrap();
    assert!(text.starts_with(&value(&message, "expected")), "{text:02x?}");
}
