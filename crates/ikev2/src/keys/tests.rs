//! The key schedule against NIST's answers (CAVS 17.3, SP 800-135), see `tests/vectors`.

use alloc::vec::Vec;

use ikebana_proposals::{ChildSuite, Prefer, SaPayload};
use ikebana_proposals::{Proposal, select_child, select_ike};
use ikebana_testkit::SeededRng;
use ikebana_testkit::vectors::{Case, Vectors};

use super::*;
use crate::wire::{self, IvSource};

/// Octets of an AES-128-GCM key with its salt.
const KEY: usize = 20;

fn ike_suite(prf: &str) -> IkeSuite {
    let ours = [Proposal::ike(&alloc::format!("aes128gcm16-prf{prf}-curve25519")).unwrap()];
    select_ike(&ours, &SaPayload::offer(&ours, &[]), Prefer::Local).unwrap().suite
}

fn child_suite() -> ChildSuite {
    let ours = [Proposal::esp("aes128gcm16").unwrap()];
    select_child(&ours, &SaPayload::offer(&ours, &[0, 0, 1, 1]), Prefer::Local).unwrap().suite
}

struct Answers<'a> {
    case: &'a Case,
    ni: Vec<u8>,
    nr: Vec<u8>,
}

impl Answers<'_> {
    fn contributions(&self) -> Contributions<'_> {
        let spi = |name| IkeSpi(self.case.octets(name).try_into().unwrap());
        Contributions {
            initiator_nonce: &self.ni,
            responder_nonce: &self.nr,
            initiator_spi: spi("spi_i"),
            responder_spi: spi("spi_r"),
        }
    }
}

/// Whether `keys` are cut out of `stream` in the order {SK_d | SK_ei | SK_er | SK_pi | SK_pr}.
fn assert_cut(provider: &CryptoProvider, keys: &mut IkeKeys, suite: &IkeSuite, stream: &[u8]) {
    let prf_len = provider.prf(suite.prf).unwrap().key_len();
    let mut rest = stream;
    let mut cut = |length: usize| {
        let (part, left) = rest.split_at(length);
        rest = left;
        part
    };
    assert!(keys.derive.ct_eq(cut(prf_len)));
    for direction in [&mut keys.initiator, &mut keys.responder] {
        // What one cipher seals, the other one with the expected key opens.
        let expected = CipherKeys { encryption: cut(KEY), integrity: &[] };
        let expected = provider.packet_cipher(suite.encryption, suite.integrity, &expected).unwrap();
        let header = crate::init::clear_header(
            IkeSpi([1; 8]),
            IkeSpi([2; 8]),
            ikebana_ike::ExchangeType::INFORMATIONAL,
            ikebana_ike::Flags(0),
            1,
        );
        let mut rng = SeededRng::new(1);
        let mut iv = IvSource { counter: &mut direction.counter, rng: &mut rng };
        let sealed = wire::seal(&*direction.cipher, &header, &[], &mut iv).unwrap();
        assert!(wire::open(&*expected, &sealed).is_ok());
    }
    assert!(keys.auth_key(true).ct_eq(cut(prf_len)));
    assert!(keys.auth_key(false).ct_eq(cut(prf_len)));
}

#[test]
fn the_key_schedule_agrees_with_nist() {
    let file = Vectors::parse(include_str!("../../tests/vectors/nist-cavs-ikev2.json"));
    let provider = CryptoProvider::rust_crypto();
    for case in file.cases() {
        let suite = ike_suite(case.text("prf"));
        let answers = Answers { case, ni: case.octets("ni"), nr: case.octets("nr") };
        let from = answers.contributions();
        let mut keys = IkeKeys::first(&provider, &suite, &Secret::new(case.octets("g_ir")), from).unwrap();
        let function = provider.prf(suite.prf).unwrap();
        let total = 3 * function.key_len() + 2 * KEY;
        let stream = |seed: &str| {
            let spis = [from.initiator_spi.0, from.responder_spi.0].concat();
            prf_plus(function, &case.octets(seed), &[&answers.ni, &answers.nr, &spis], total).unwrap()
        };
        // The recorded stream is shorter than what SHA-512 needs here, so it is continued from SKEYSEED.
        let (whole, recorded) = (stream("skeyseed"), case.octets("dkm"));
        let common = total.min(recorded.len());
        assert_eq!(whole.expose()[..common], recorded[..common]);
        assert_cut(&provider, &mut keys, &suite, whole.expose());

        let new_shared = Secret::new(case.octets("g_ir_new"));
        let mut rekeyed = keys.rekeyed(&provider, &suite, &new_shared, from).unwrap();
        assert_cut(&provider, &mut rekeyed, &suite, stream("skeyseed_rekey").expose());

        for (shared, expected) in [(None, "dkm_child"), (Some(&new_shared), "dkm_child_dh")] {
            let expected = case.octets(expected);
            let (one, other) =
                keys.child(&provider, &child_suite(), shared, &answers.ni, &answers.nr).unwrap();
            assert!(one.encryption.ct_eq(&expected[..KEY]));
            assert!(other.encryption.ct_eq(&expected[KEY..2 * KEY]));
            assert!(one.integrity.is_empty() && other.integrity.is_empty());
        }
    }
}
