//! Round trips and invariants over random proposals, always through the encoded octets.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a helper of a test may fail as the test does"
)]

use ikebana_core::Writer;
use ikebana_proposals::{
    Encryption, EncryptionId, IntegrityId, KeyExchangeId, KeyLengths, OfferedProposal, Prefer, PrfId,
    Proposal, ProtocolId, SaPayload, SequenceNumbersId, Transform, TransformType, confirm_child, confirm_ike,
    select_child, select_ike,
};
use proptest::prelude::*;
use proptest::sample::{Index, subsequence};

fn encoded(payload: &SaPayload) -> Vec<u8> {
    let mut out = Writer::new();
    payload.encode(&mut out);
    out.finish().unwrap()
}

/// Every encryption with a keyword, apart by whether it is a combined mode.
fn encryptions(combined: bool, ike: bool) -> Vec<Encryption> {
    let mut all = Vec::new();
    for &id in EncryptionId::KNOWN {
        if id.is_aead() != combined || (ike && !id.is_for_ike()) {
            continue;
        }
        match id.key_bits_required() {
            KeyLengths::OneOf(lengths) => all.extend(lengths.iter().map(|&bits| Encryption::new(id, bits))),
            KeyLengths::Keyless | KeyLengths::Fixed(_) => all.push(Encryption::new(id, 0)),
            KeyLengths::Range { .. } | KeyLengths::Unknown => {}
        }
    }
    // What has no keyword cannot go through text.
    all.retain(|encryption| {
        let word = encryption.to_string();
        word.chars().all(|letter| !letter.is_ascii_uppercase())
    });
    all
}

const INTEGRITY: [IntegrityId; 8] = [
    IntegrityId::HMAC_MD5_96,
    IntegrityId::HMAC_SHA1_96,
    IntegrityId::HMAC_SHA1_160,
    IntegrityId::HMAC_SHA2_256_128,
    IntegrityId::HMAC_SHA2_384_192,
    IntegrityId::HMAC_SHA2_512_256,
    IntegrityId::AES_XCBC_96,
    IntegrityId::AES_CMAC_96,
];

fn some<T: Clone + std::fmt::Debug + 'static>(all: Vec<T>, at_least: usize) -> impl Strategy<Value = Vec<T>> {
    let most = all.len().min(6);
    subsequence(all, at_least..=most).prop_shuffle()
}

fn key_exchanges() -> Vec<KeyExchangeId> {
    KeyExchangeId::KNOWN
        .iter()
        .copied()
        .filter(|&id| id != KeyExchangeId::NONE && !id.to_string().starts_with("GOST"))
        .collect()
}

prop_compose! {
    fn common(ike: bool)(combined in any::<bool>())(
        encryption in some(encryptions(combined, ike), 1),
        integrity in some(INTEGRITY.to_vec(), 1).prop_map(move |list| if combined { Vec::new() } else { list }),
        key_exchange in some(key_exchanges(), usize::from(ike)),
        extra in proptest::collection::vec(some(key_exchanges(), 0), 7),
        prf in some(
            PrfId::KNOWN.iter().copied()
                .filter(|id| ![PrfId::HMAC_TIGER, PrfId::HMAC_STREEBOG_512].contains(id))
                .collect::<Vec<_>>(),
            1,
        ),
        sequence in some(vec![SequenceNumbersId::NO_ESN, SequenceNumbersId::ESN], 1),
    ) -> Proposal {
        let mut additional: [Vec<KeyExchangeId>; 7] = extra.try_into().unwrap();
        if key_exchange.is_empty() {
            additional = Default::default();
        }
        Proposal {
            protocol: if ike { ProtocolId::IKE } else { ProtocolId::ESP },
            encryption,
            prf: if ike { prf } else { Vec::new() },
            integrity,
            key_exchange,
            additional,
            sequence: if ike { Vec::new() } else { sequence },
        }
    }
}

fn any_transform() -> impl Strategy<Value = Transform> {
    (0_u8..16, prop_oneof![0_u16..40, any::<u16>()], any::<Option<u16>>()).prop_map(|(kind, id, key_bits)| {
        Transform { kind: TransformType(kind), id, key_bits, unknown_attributes: false }
    })
}

prop_compose! {
    fn any_payload()(
        proposals in proptest::collection::vec(
            (any::<u8>(), proptest::collection::vec(any::<u8>(), 0..20),
             proptest::collection::vec(any_transform(), 0..20)),
            1..10,
        ),
    ) -> SaPayload {
        let proposals = (1..).zip(proposals).map(|(number, (protocol, spi, transforms))| OfferedProposal {
            number, protocol: ProtocolId(protocol % 5), spi, transforms,
        });
        SaPayload { proposals: proposals.collect() }
    }
}

proptest! {
    #[test]
    fn any_payload_survives_encoding(payload in any_payload()) {
        prop_assert_eq!(SaPayload::parse(&encoded(&payload)).unwrap(), payload);
    }

    #[test]
    fn any_octets_parse_or_fail_and_what_parses_survives_encoding(
        octets in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        if let Ok(payload) = SaPayload::parse(&octets) {
            check_reencoding(payload);
        }
    }

    #[test]
    fn a_mutated_payload_parses_or_fails_and_selection_on_it_does_neither_panic_nor_lie(
        proposal in common(true),
        child in common(false),
        at in any::<Index>(), value in any::<u8>(), cut in any::<Index>(),
    ) {
        let ike_octets = encoded(&SaPayload::offer(std::slice::from_ref(&proposal), &[]));
        let child_octets = encoded(&SaPayload::offer(std::slice::from_ref(&child), &[1, 2, 3, 4]));
        for mut octets in [ike_octets, child_octets] {
            let at = at.index(octets.len());
            octets[at] = value;
            prop_assert!(SaPayload::parse(&octets[..cut.index(octets.len())]).is_err() || octets[0] == 0);
            let Ok(payload) = SaPayload::parse(&octets) else { continue };
            for prefer in [Prefer::Local, Prefer::Peer] {
                if let Ok(chosen) = select_ike(std::slice::from_ref(&proposal), &payload, prefer) {
                    prop_assert!(proposal.encryption.contains(&chosen.suite.encryption));
                    prop_assert!(proposal.key_exchange.contains(&chosen.suite.key_exchange));
                    prop_assert_eq!(chosen.suite.integrity.is_none(), chosen.suite.encryption.is_aead());
                }
                if let Ok(chosen) = select_child(std::slice::from_ref(&child), &payload, prefer) {
                    let encryption = chosen.suite.encryption.unwrap();
                    prop_assert!(child.encryption.contains(&encryption));
                    prop_assert_eq!(chosen.suite.integrity.is_none(), encryption.is_aead());
                }
            }
            check_reencoding(payload);
        }
    }

    #[test]
    fn printed_keywords_parse_to_the_same_proposal(ike in common(true), child in common(false)) {
        prop_assert_eq!(ike.check(), Ok(()));
        prop_assert_eq!(Proposal::ike(&ike.to_string()).unwrap(), ike);
        prop_assert_eq!(child.check(), Ok(()));
        prop_assert_eq!(Proposal::esp(&child.to_string()).unwrap(), child);
    }

    #[test]
    fn any_text_parses_or_fails(text in "[a-z0-9_-]{0,40}|\\PC{0,40}") {
        if let Ok(proposal) = Proposal::ike(&text) {
            prop_assert_eq!(Proposal::ike(&proposal.to_string()).unwrap(), proposal);
        }
        if let Err(error) = Proposal::esp(&text) {
            prop_assert!(text.contains(&error.keyword));
        }
    }

    #[test]
    fn a_chosen_ike_suite_is_offered_by_both_sides_and_confirmed_by_the_offerer(
        local in proptest::collection::vec(common(true), 1..4),
        peer in proptest::collection::vec(common(true), 1..4),
        prefer in prop_oneof![Just(Prefer::Local), Just(Prefer::Peer)],
    ) {
        let offer = SaPayload::parse(&encoded(&SaPayload::offer(&peer, &[]))).unwrap();
        let both_ways = select_ike(&peer, &SaPayload::offer(&local, &[]), prefer).is_ok();
        match select_ike(&local, &offer, prefer) {
            Ok(chosen) => {
                prop_assert!(both_ways);
                let answer = encoded(&SaPayload::answer_ike(&chosen, &[]));
                let confirmed = confirm_ike(&offer, &SaPayload::parse(&answer).unwrap()).unwrap();
                prop_assert_eq!(&confirmed, &chosen);
                // The suite's keywords are a proposal that leads to the same suite.
                let alone = Proposal::ike(&chosen.suite.to_string()).unwrap();
                prop_assert_eq!(select_ike(&[alone], &offer, prefer).unwrap().suite, chosen.suite);
            }
            Err(mismatch) => {
                prop_assert!(!both_ways);
                prop_assert_eq!(mismatch.offered.len(), peer.len());
                prop_assert!(mismatch.nearest_local.is_some());
                prop_assert!(!mismatch.differing.is_empty() || mismatch.defect.is_some());
            }
        }
    }

    #[test]
    fn a_chosen_child_suite_is_confirmed_by_the_offerer(
        local in proptest::collection::vec(common(false), 1..4),
        peer in proptest::collection::vec(common(false), 1..4),
        prefer in prop_oneof![Just(Prefer::Local), Just(Prefer::Peer)],
    ) {
        let spi = [9, 9, 9, 9];
        let offer = SaPayload::offer(&peer, &spi);
        if let Ok(chosen) = select_child(&local, &offer, prefer) {
            prop_assert_eq!(&chosen.spi, &spi);
            let answer = SaPayload::answer_child(&chosen, &[7, 7, 7, 7]);
            let confirmed = confirm_child(&offer, &SaPayload::parse(&encoded(&answer)).unwrap()).unwrap();
            prop_assert_eq!(confirmed.suite, chosen.suite);
            prop_assert_eq!(confirmed.spi, [7, 7, 7, 7]);
            let alone = Proposal::esp(&chosen.suite.to_string()).unwrap();
            prop_assert_eq!(select_child(&[alone], &offer, prefer).unwrap().suite, chosen.suite);
        }
    }
}

/// Attributes that we do not keep are lost; everything else comes back.
fn check_reencoding(mut payload: SaPayload) {
    let reread = SaPayload::parse(&encoded(&payload)).unwrap();
    for proposal in &mut payload.proposals {
        for transform in &mut proposal.transforms {
            transform.unknown_attributes = false;
        }
    }
    assert_eq!(reread, payload);
}
