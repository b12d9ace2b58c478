//! `prf` and `prf+` against NIST's answers for the key derivation of IKEv2 (SP 800-135).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a helper of a test may fail as the test does"
)]

mod common;

use common::{cases, octets, text};
use ikebana_crypto::{CryptoProvider, Prf, TooLong, prf, prf_plus};
use ikebana_proposals::PrfId;

fn function(name: &str) -> &'static dyn Prf {
    let id = match name {
        "sha1" => PrfId::HMAC_SHA1,
        "sha256" => PrfId::HMAC_SHA2_256,
        "sha384" => PrfId::HMAC_SHA2_384,
        "sha512" => PrfId::HMAC_SHA2_512,
        "aesxcbc" => PrfId::AES128_XCBC,
        other => panic!("unknown prf {other}"),
    };
    CryptoProvider::rust_crypto().prf(id).unwrap()
}

#[test]
fn the_ikev2_key_derivation_agrees_with_nist_cavs() {
    for case in cases(include_str!("vectors/nist-cavs-ike/ikev2.json")) {
        let id = text(&case, "id");
        let function = function(text(&case, "prf"));
        let [ni, nr, spi_i, spi_r] = ["ni", "nr", "spi_i", "spi_r"].map(|field| octets(&case, field));
        let [shared, new_shared] = ["g_ir", "g_ir_new"].map(|field| octets(&case, field));

        let skeyseed = prf(function, &[ni.clone(), nr.clone()].concat(), &[&shared]);
        assert!(skeyseed.ct_eq(&octets(&case, "skeyseed")), "{id}");

        let expected = octets(&case, "dkm");
        let dkm = prf_plus(function, skeyseed.expose(), &[&ni, &nr, &spi_i, &spi_r], expected.len()).unwrap();
        assert!(dkm.ct_eq(&expected), "{id}");

        let sk_d = &expected[..function.key_len()];
        let expected = octets(&case, "dkm_child");
        assert!(prf_plus(function, sk_d, &[&ni, &nr], expected.len()).unwrap().ct_eq(&expected), "{id}");
        let expected = octets(&case, "dkm_child_dh");
        let with_dh = prf_plus(function, sk_d, &[&new_shared, &ni, &nr], expected.len()).unwrap();
        assert!(with_dh.ct_eq(&expected), "{id}");
        let rekeyed = prf(function, sk_d, &[&new_shared, &ni, &nr]);
        assert!(rekeyed.ct_eq(&octets(&case, "skeyseed_rekey")), "{id}");
    }
}

#[test]
fn prf_plus_and_rekeying_agree_with_nss_also_for_aes_xcbc() {
    let (mut plus, mut rekey) = (0, 0);
    for case in cases(include_str!("vectors/nist-cavs-ike/nss-ike-kdf.json")) {
        if case["valid"] != true || text(&case, "prf") == "md5" {
            continue;
        }
        let function = function(text(&case, "prf"));
        let field = |name| case[name].as_str().map(common::hex).unwrap_or_default();
        let (ikm, out) = (octets(&case, "ikm"), octets(&case, "out"));
        match text(&case, "type") {
            "ikePlus" => {
                let made = prf_plus(function, &ikm, &[&field("seed")], out.len()).unwrap();
                assert!(made.ct_eq(&out), "{case}");
                plus += 1;
            }
            "ikeV2Rekey" => {
                let made =
                    prf(function, &ikm, &[&field("gxy"), &field("ni_or_cky_i"), &field("nr_or_cky_r")]);
                assert!(made.ct_eq(&out), "{case}");
                rekey += 1;
            }
            _ => {}
        }
    }
    assert!(plus >= 10 && rekey >= 3, "{plus} {rekey}");
}

#[test]
fn prf_plus_is_a_stream_of_which_every_length_is_a_beginning() {
    for function in &CryptoProvider::rust_crypto().prfs {
        let long = prf_plus(*function, b"key", &[b"seed"], 300).unwrap();
        for len in 0..300 {
            let short = prf_plus(*function, b"key", &[b"se", b"ed"], len).unwrap();
            assert!(short.ct_eq(&long.expose()[..len]));
        }
    }
}

#[test]
fn prf_plus_ends_where_its_counter_does() {
    for function in &CryptoProvider::rust_crypto().prfs {
        let limit = function.output_len() * 255;
        assert_eq!(prf_plus(*function, b"key", &[], limit).unwrap().len(), limit);
        let error = prf_plus(*function, b"key", &[], limit + 1).err();
        assert_eq!(error, Some(TooLong { asked: limit + 1, limit }));
    }
}
