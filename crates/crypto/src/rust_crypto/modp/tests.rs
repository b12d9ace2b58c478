//! Exponentiation against num-bigint, which shares no code with crypto-bigint.

use alloc::vec;

use num_bigint::BigUint;
use proptest::prelude::*;

use super::*;

fn big(hex: &str) -> BigUint {
    BigUint::parse_bytes(hex.as_bytes(), 16).unwrap()
}

fn oracle(base: &[u8], exponent: &[u8], p: &BigUint) -> Vec<u8> {
    let power = BigUint::from_bytes_be(base).modpow(&BigUint::from_bytes_be(exponent), p).to_bytes_be();
    let len = p.to_bytes_be().len();
    [vec![0; len - power.len()], power].concat()
}

fn ours(group: &Group, base: &[u8], exponent: &[u8]) -> Vec<u8> {
    let field = Field::new(*group);
    let base = BoxedUint::from_be_slice(base, field.bits).unwrap();
    let bits = u32::try_from(exponent.len() * 8).unwrap();
    let exponent = BoxedUint::from_be_slice(exponent, bits).unwrap();
    field.power(base, &exponent, bits).to_be_bytes().into_vec()
}

#[test]
fn every_group_has_a_prime_of_its_length_and_a_generator_of_its_order() {
    for group in &GROUPS {
        let p = big(group.p);
        assert_eq!(Some(group.p.len() / 2), group.id.public_len(), "{}", group.id);
        // Fermat's test; the numbers are those of the RFCs or they would not pass.
        let two = BigUint::from(2_u8);
        assert_eq!(two.modpow(&(&p - 1_u8), &p), BigUint::from(1_u8), "{}", group.id);
        let order = match group.q {
            Some(q) => big(q),
            None => (&p - 1_u8) / 2_u8,
        };
        assert_eq!(two.modpow(&(&order - 1_u8), &order), BigUint::from(1_u8), "{}", group.id);
        assert_eq!(big(group.g).modpow(&order, &p), BigUint::from(1_u8), "{}", group.id);
        assert!(u64::from(group.exponent_bits) <= order.bits());
    }
}

#[test]
fn exponentiation_is_right_at_the_edges() {
    for group in &GROUPS {
        let p = big(group.p);
        let len = group.p.len() / 2;
        let mut exponents = vec![vec![0; 4], vec![0, 0, 0, 1], vec![0xff; 4], vec![0x80, 0, 0, 0]];
        exponents.push(vec![0xff; usize::try_from(group.exponent_bits).unwrap() / 8]);
        for base in [BigUint::from(0_u8), BigUint::from(1_u8), BigUint::from(2_u8), &p - 1_u8, &p - 2_u8] {
            let octets = base.to_bytes_be();
            let base = [vec![0; len - octets.len()], octets].concat();
            for exponent in &exponents {
                assert_eq!(ours(group, &base, exponent), oracle(&base, exponent, &p), "{}", group.id);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn exponentiation_agrees_with_num_bigint(
        seed in proptest::collection::vec(any::<u8>(), 1024),
        exponent in proptest::collection::vec(any::<u8>(), 1..64),
    ) {
        for group in &GROUPS {
            let p = big(group.p);
            let len = group.p.len() / 2;
            let base = BigUint::from_bytes_be(&seed[..len]) % &p;
            let octets = base.to_bytes_be();
            let base = [vec![0; len - octets.len()], octets].concat();
            prop_assert_eq!(ours(group, &base, &exponent), oracle(&base, &exponent, &p), "{}", group.id);
        }
    }
}

/// strongSwan's test values, whose exponents are longer than ours; see `tests/external.rs`.
#[test]
#[cfg(feature = "std")]
fn exponentiation_agrees_with_strongswans_vectors_where_they_are_given() {
    let Some(folder) = std::env::var_os("IKEBANA_VECTORS") else {
        std::println!("NOT RUN: IKEBANA_VECTORS names no folder with vectors");
        return;
    };
    let path = std::path::Path::new(&folder).join("strongswan/dh-modp.json");
    let file: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut checked = 0;
    for case in file["cases"].as_array().unwrap() {
        let Some(group) = GROUPS.iter().find(|group| u64::from(group.id.0) == case["group"]) else {
            continue;
        };
        let field = |name: &str| big(case[name].as_str().unwrap()).to_bytes_be();
        let len = group.p.len() / 2;
        let pad = |octets: Vec<u8>| [vec![0; len - octets.len()], octets].concat();
        let generator = pad(big(group.g).to_bytes_be());
        assert_eq!(ours(group, &generator, &field("priv_i")), pad(field("pub_i")));
        assert_eq!(ours(group, &generator, &field("priv_r")), pad(field("pub_r")));
        assert_eq!(ours(group, &pad(field("pub_i")), &field("priv_r")), pad(field("shared")));
        assert_eq!(ours(group, &pad(field("pub_r")), &field("priv_i")), pad(field("shared")));
        checked += 1;
    }
    assert!(checked > 0);
    std::println!("strongswan/dh-modp.json: {checked} groups");
}

/// NIST's validation of key pairs of MODP-2048: a pair is valid if the one number makes the other.
#[test]
#[cfg(feature = "std")]
fn exponentiation_agrees_with_nist_acvp_where_it_is_given() {
    let Some(folder) = std::env::var_os("IKEBANA_VECTORS") else {
        std::println!("NOT RUN: IKEBANA_VECTORS names no folder with vectors");
        return;
    };
    let path = std::path::Path::new(&folder).join("acvp/safePrimes-keyVer-1.0.json");
    let file: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let group = GROUPS.iter().find(|group| group.id == KeyExchangeId::MODP_2048).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for case in file["cases"].as_array().unwrap() {
        if case["safePrimeGroup"] != "MODP-2048" {
            continue;
        }
        let field = |name: &str| big(case[name].as_str().unwrap()).to_bytes_be();
        let pad = |octets: Vec<u8>| [vec![0; 256 - octets.len()], octets].concat();
        let generator = pad(big(group.g).to_bytes_be());
        let right = ours(group, &generator, &field("x")) == pad(field("y"));
        assert_eq!(right, case["testPassed"] == true);
        *(if right { &mut valid } else { &mut invalid }) += 1;
    }
    assert!(valid > 0 && invalid > 0);
    std::println!("acvp/safePrimes-keyVer-1.0.json: {valid} valid and {invalid} invalid pairs of MODP-2048");
}
