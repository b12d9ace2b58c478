//! Key exchange methods: known answers, the checks of public values, and both sides against each other.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a helper of a test may fail as the test does"
)]

mod common;

use common::{Mixing, Scripted, cases, hex, octets, text};
use ikebana_core::SecureRandom;
use ikebana_crypto::{CryptoProvider, KeyExchange, KeyExchangeError};
use ikebana_proposals::KeyExchangeId;
use num_bigint::BigUint;

fn method(id: KeyExchangeId) -> &'static dyn KeyExchange {
    CryptoProvider::rust_crypto().key_exchange(id).unwrap()
}

/// Both sides with prepared private keys.
fn check(id: KeyExchangeId, private: [&[u8]; 2], public: [&[u8]; 2], shared: &[u8]) {
    let pending = method(id).initiate(&mut Scripted(private[0].to_vec()));
    assert_eq!(pending.public(), public[0], "{id}");
    assert_eq!(pending.id(), id);
    let (answer, secret) = method(id).respond(&mut Scripted(private[1].to_vec()), pending.public()).unwrap();
    assert_eq!(answer, public[1], "{id}");
    assert!(secret.ct_eq(shared), "{id}");
    assert!(pending.complete(&answer).unwrap().ct_eq(shared), "{id}");
}

#[test]
fn curve25519_agrees_with_rfc_8031() {
    for case in cases(include_str!("vectors/rfc/dh-curve25519.json")) {
        let [i, r, pub_i, pub_r, shared] =
            ["random_i", "random_r", "pub_i", "pub_r", "shared"].map(|field| octets(&case, field));
        check(KeyExchangeId::CURVE25519, [&i, &r], [&pub_i, &pub_r], &shared);
    }
}

#[test]
fn curve25519_agrees_with_rfc_7748() {
    let mut checked = 0;
    for case in cases(include_str!("vectors/rfc/x25519-x448.json")) {
        if text(&case, "alg") != "X25519" {
            continue;
        }
        checked += 1;
        if case["scalar"].is_string() {
            let [scalar, u, out] = ["scalar", "u", "out"].map(|field| octets(&case, field));
            let (_, shared) = method(KeyExchangeId::CURVE25519).respond(&mut Scripted(scalar), &u).unwrap();
            assert!(shared.ct_eq(&out));
        } else {
            let [a, b, pub_a, pub_b, shared] =
                ["priv_a", "priv_b", "pub_a", "pub_b", "shared"].map(|field| octets(&case, field));
            check(KeyExchangeId::CURVE25519, [&a, &b], [&pub_a, &pub_b], &shared);
        }
    }
    assert!(checked >= 2);
}

#[test]
fn nist_curves_agree_with_rfc_5903() {
    for case in cases(include_str!("vectors/rfc/dh-ecp.json")) {
        let id = KeyExchangeId(case["group"].as_u64().unwrap() as u16);
        let [i, r, shared] = ["priv_i", "priv_r", "shared_secret"].map(|field| octets(&case, field));
        let ke = ["ke_payload_i", "ke_payload_r"].map(|field| octets(&case, field));
        // The printed payloads have the generic header, the group and two reserved octets in front.
        check(id, [&i, &r], [&ke[0][8..], &ke[1][8..]], &shared);
    }
}

#[test]
fn modp_groups_with_subgroups_and_nist_curves_agree_with_rfc_5114() {
    let mut groups = Vec::new();
    for case in cases(include_str!("vectors/rfc/dh-rfc5114.json")) {
        let id = KeyExchangeId(case["group"].as_u64().unwrap() as u16);
        if CryptoProvider::rust_crypto().key_exchange(id).is_none() {
            continue;
        }
        groups.push(id);
        if case["p"].is_string() {
            let [a, b, pub_a, pub_b, shared] =
                ["xA", "xB", "yA", "yB", "Z"].map(|field| octets(&case, field));
            check(id, [&a, &b], [&pub_a, &pub_b], &shared);
        } else {
            let pad = |field| {
                let value = octets(&case, field);
                let len = id.public_len().unwrap() / 2;
                [vec![0; len - value.len()], value].concat()
            };
            let pub_a = [pad("x_qA"), pad("y_qA")].concat();
            let pub_b = [pad("x_qB"), pad("y_qB")].concat();
            check(id, [&pad("dA"), &pad("dB")], [&pub_a, &pub_b], &pad("x_Z"));
        }
    }
    assert!(groups.contains(&KeyExchangeId::MODP_1024_S160), "{groups:?}");
    assert!(groups.contains(&KeyExchangeId::MODP_2048_S224), "{groups:?}");
}

#[test]
fn both_sides_of_every_method_arrive_at_one_secret_of_the_right_length() {
    let rng = &mut Mixing(3);
    for method in &CryptoProvider::rust_crypto().key_exchanges {
        let id = method.id();
        let pending = method.initiate(rng);
        assert_eq!(Some(pending.public().len()), id.public_len(), "{id}");
        let (answer, secret) = method.respond(rng, pending.public()).unwrap();
        assert_eq!(Some(answer.len()), id.public_len(), "{id}");
        assert_ne!(answer, pending.public());
        // The curves' shared secret is one coordinate of the two (RFC 5903 7).
        let whole = id.is_modp() || id == KeyExchangeId::CURVE25519;
        assert_eq!(secret.len(), if whole { answer.len() } else { answer.len() / 2 }, "{id}");
        assert!(pending.complete(&answer).unwrap().ct_eq(secret.expose()), "{id}");
    }
}

#[test]
fn a_public_value_of_another_length_is_refused_by_every_method() {
    let rng = &mut Mixing(4);
    for method in &CryptoProvider::rust_crypto().key_exchanges {
        let expected = method.id().public_len().unwrap();
        for actual in [0, 1, expected - 1, expected + 1, 2 * expected, 65_000] {
            let error = Err(KeyExchangeError::Length { expected, actual });
            let public = vec![1; actual];
            assert_eq!(method.respond(rng, &public).map(drop), error);
            assert_eq!(method.initiate(rng).complete(&public).map(drop), error);
        }
    }
}

/// A generator that must not be asked.
struct Untouched;
impl SecureRandom for Untouched {
    fn fill_public(&mut self, _: &mut [u8]) {
        panic!("nothing about a key exchange is a public draw");
    }
    fn fill_secret(&mut self, _: &mut [u8]) {
        panic!("a key pair was made for a value that is no public value");
    }
}

#[test]
fn a_bad_public_value_costs_no_key_pair() {
    for method in &CryptoProvider::rust_crypto().key_exchanges {
        let len = method.id().public_len().unwrap();
        assert!(method.respond(&mut Untouched, &vec![1; len - 1]).is_err());
        // Which X25519 values have low order shows only with a key.
        if method.id() != KeyExchangeId::CURVE25519 {
            assert!(method.respond(&mut Untouched, &vec![0; len]).is_err(), "{}", method.id());
        }
    }
}

/// The prime of a group as octets.
fn primes() -> Vec<(KeyExchangeId, BigUint)> {
    let mut primes: Vec<_> = cases(include_str!("vectors/rfc/modp-groups.json"))
        .iter()
        .map(|case| (case["group"].as_u64().unwrap() as u16, octets(case, "p")))
        .collect();
    let with_prime = cases(include_str!("vectors/rfc/dh-rfc5114.json"))
        .into_iter()
        .filter(|case| case["p"].is_string())
        .map(|case| (case["group"].as_u64().unwrap() as u16, octets(&case, "p")))
        .collect::<Vec<_>>();
    primes.extend(with_prime);
    primes
        .into_iter()
        .map(|(id, p)| (KeyExchangeId(id), BigUint::from_bytes_be(&p)))
        .filter(|(id, _)| CryptoProvider::rust_crypto().key_exchange(*id).is_some())
        .collect()
}

fn padded(number: &BigUint, len: usize) -> Vec<u8> {
    let octets = number.to_bytes_be();
    [vec![0; len - octets.len()], octets].concat()
}

#[test]
fn modp_public_values_outside_of_2_to_p_minus_2_are_refused() {
    let rng = &mut Mixing(5);
    let primes = primes();
    assert_eq!(primes.len(), 9);
    for (id, p) in primes {
        let len = id.public_len().unwrap();
        let mut bad = vec![vec![0; len], padded(&BigUint::from(1_u8), len), vec![0xff; len]];
        bad.extend([&p - 1_u8, p.clone(), &p + 1_u8].map(|number| padded(&number, len)));
        for public in bad {
            assert_eq!(method(id).respond(rng, &public).map(drop), Err(KeyExchangeError::OutOfRange), "{id}");
        }
        if ![KeyExchangeId::MODP_1024_S160, KeyExchangeId::MODP_2048_S224].contains(&id) {
            for good in [BigUint::from(2_u8), &p - 2_u8] {
                assert!(method(id).respond(rng, &padded(&good, len)).is_ok(), "{id}");
            }
        }
    }
}

#[test]
fn values_outside_of_the_subgroup_are_refused_in_groups_22_to_24() {
    let rng = &mut Mixing(6);
    for id in [KeyExchangeId::MODP_1024_S160, KeyExchangeId::MODP_2048_S224, KeyExchangeId::MODP_2048_S256] {
        let len = id.public_len().unwrap();
        // 2 generates far more than the small subgroup, and so does almost any other number.
        for value in [2_u32, 3, 5, 65_537] {
            let public = padded(&BigUint::from(value), len);
            let refused = method(id).respond(rng, &public).map(drop);
            assert_eq!(refused, Err(KeyExchangeError::NotInSubgroup), "{id}");
        }
    }
}

#[test]
fn points_off_the_curve_are_refused() {
    let rng = &mut Mixing(7);
    for id in [KeyExchangeId::ECP_256, KeyExchangeId::ECP_384, KeyExchangeId::ECP_521] {
        let len = id.public_len().unwrap();
        let mut bad = vec![vec![0; len], vec![1; len], vec![0xff; len]];
        let mut bent = method(id).initiate(rng).public().to_vec();
        bent[len - 1] ^= 1;
        bad.push(bent);
        for public in bad {
            assert_eq!(method(id).respond(rng, &public).map(drop), Err(KeyExchangeError::NotOnCurve), "{id}");
        }
    }
}

#[test]
fn curve25519_refuses_points_of_low_order() {
    // The points of order 1, 2, 4 and 8, and their unreduced forms.
    for public in [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ] {
        let refused = method(KeyExchangeId::CURVE25519).respond(&mut Mixing(8), &hex(public)).map(drop);
        assert_eq!(refused, Err(KeyExchangeError::LowOrder));
    }
}

#[test]
fn a_shared_secret_keeps_its_leading_zeros() {
    // A public value of 2 to the k-th power and the exponent 1 give secrets that begin with zeros.
    let id = KeyExchangeId::MODP_2048;
    let one = [vec![0; 31], vec![1]].concat();
    let public = padded(&(BigUint::from(1_u8) << 100_usize), 256);
    let (_, secret) = method(id).respond(&mut Scripted(one), &public).unwrap();
    assert!(secret.ct_eq(&public));
}
