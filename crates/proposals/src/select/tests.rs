use alloc::string::{String, ToString};
use alloc::vec;

use super::*;
use crate::mismatch::{Defect, Difference};

fn ike(keywords: &[&str]) -> Vec<Proposal> {
    keywords.iter().map(|keywords| Proposal::ike(keywords).unwrap()).collect()
}

fn esp(keywords: &[&str]) -> Vec<Proposal> {
    keywords.iter().map(|keywords| Proposal::esp(keywords).unwrap()).collect()
}

const SPI: [u8; 4] = [0xc0, 0, 0, 1];

fn ike_offer(keywords: &[&str]) -> SaPayload {
    SaPayload::offer(&ike(keywords), &[])
}

fn esp_offer(keywords: &[&str]) -> SaPayload {
    SaPayload::offer(&esp(keywords), &SPI)
}

/// The suite and the number of the proposal, or `None`.
fn chosen_ike(local: &[&str], offer: &SaPayload, prefer: Prefer) -> Option<(String, u8)> {
    let chosen = select_ike(&ike(local), offer, prefer).ok()?;
    Some((chosen.suite.to_string(), chosen.number))
}

fn chosen_esp(local: &[&str], offer: &SaPayload) -> Option<String> {
    select_child(&esp(local), offer, Prefer::Local).ok().map(|chosen| chosen.suite.to_string())
}

/// An IKE offer of one proposal with these transforms.
fn raw_ike(transforms: &[Transform]) -> SaPayload {
    raw(ProtocolId::IKE, &[], transforms)
}

fn raw_esp(transforms: &[Transform]) -> SaPayload {
    raw(ProtocolId::ESP, &SPI, transforms)
}

fn raw(protocol: ProtocolId, spi: &[u8], transforms: &[Transform]) -> SaPayload {
    let proposal =
        OfferedProposal { number: 1, protocol, spi: spi.to_vec(), transforms: transforms.to_vec() };
    SaPayload { proposals: vec![proposal] }
}

const fn encr(id: EncryptionId, key_bits: u16) -> Transform {
    Transform::encryption(Encryption::new(id, key_bits))
}

const AES_CBC: Transform = encr(EncryptionId::AES_CBC, 128);
const AES_GCM: Transform = encr(EncryptionId::AES_GCM_16, 128);
const NULL: Transform = encr(EncryptionId::NULL, 0);
const SHA1: Transform = Transform::new(TransformType::INTEG, IntegrityId::HMAC_SHA1_96.0);
const NO_INTEGRITY: Transform = Transform::new(TransformType::INTEG, 0);
const PRF_SHA1: Transform = Transform::new(TransformType::PRF, PrfId::HMAC_SHA1.0);
const MODP_2048: Transform = Transform::new(TransformType::KE, KeyExchangeId::MODP_2048.0);
const NO_KE: Transform = Transform::new(TransformType::KE, 0);
const NO_ESN: Transform = Transform::new(TransformType::ESN, 0);
const ESN: Transform = Transform::new(TransformType::ESN, 1);

const LOCAL_IKE: &[&str] = &["aes128-sha1-modp2048", "aes128gcm16-prfsha1-modp2048"];
const LOCAL_ESP: &[&str] = &["aes128-sha1", "aes128gcm16", "null-sha1"];

#[test]
fn local_preference_takes_the_first_local_proposal_and_the_first_local_algorithms() {
    let offer = ike_offer(&["aes128-sha1-modp1024", "aes128-aes256-sha1-sha256-ecp256-modp2048"]);
    let local = &["aes256-aes128-sha256-sha1-modp2048-ecp256", "aes128-sha1-modp1024"];
    assert_eq!(chosen_ike(local, &offer, Prefer::Local), Some(("aes256-sha256-modp2048".to_string(), 2)));
}

#[test]
fn the_peers_preference_takes_its_first_proposal_and_its_first_algorithms() {
    let offer = ike_offer(&["aes128-sha1-modp1024-modp2048", "aes256-sha256-modp2048"]);
    let local = &["aes256-sha256-modp2048", "aes256-aes128-sha256-sha1-modp2048-modp1024"];
    assert_eq!(chosen_ike(local, &offer, Prefer::Peer), Some(("aes128-sha1-modp1024".to_string(), 1)));
}

#[test]
fn key_lengths_must_be_equal() {
    let offer = ike_offer(&["aes192-sha1-modp2048"]);
    assert_eq!(chosen_ike(&["aes128-aes256-sha1-modp2048"], &offer, Prefer::Local), None);
    for bits in [None, Some(0), Some(127), Some(129), Some(256), Some(512), Some(65_535)] {
        let aes = Transform { key_bits: bits, ..AES_CBC };
        let offer = raw_ike(&[aes, SHA1, PRF_SHA1, MODP_2048]);
        assert_eq!(chosen_ike(LOCAL_IKE, &offer, Prefer::Local), None, "{bits:?}");
    }
}

#[test]
fn a_key_length_where_none_belongs_makes_the_transform_unacceptable() {
    let chacha = Transform { key_bits: Some(256), ..encr(EncryptionId::CHACHA20_POLY1305, 0) };
    let offer = raw_esp(&[chacha, NO_ESN]);
    assert_eq!(chosen_esp(&["chacha20poly1305"], &offer), None);
    let odd_prf = Transform { key_bits: Some(128), ..PRF_SHA1 };
    assert_eq!(chosen_ike(LOCAL_IKE, &raw_ike(&[AES_CBC, SHA1, odd_prf, MODP_2048]), Prefer::Peer), None);
}

#[test]
fn an_unknown_attribute_makes_only_its_transform_unacceptable() {
    let odd = Transform { unknown_attributes: true, ..AES_CBC };
    let rest = [SHA1, PRF_SHA1, MODP_2048];
    for prefer in [Prefer::Local, Prefer::Peer] {
        assert_eq!(chosen_ike(LOCAL_IKE, &raw_ike(&[&[odd], &rest[..]].concat()), prefer), None);
        assert!(chosen_ike(LOCAL_IKE, &raw_ike(&[&[odd, AES_CBC], &rest[..]].concat()), prefer).is_some());
    }
}

#[test]
fn an_unknown_transform_type_makes_only_its_proposal_unacceptable() {
    let good = [AES_CBC, SHA1, PRF_SHA1, MODP_2048];
    for kind in [0, 13, 14, 255] {
        let unknown = Transform::new(TransformType(kind), 1);
        let mut offer = raw_ike(&[&good[..], &[unknown]].concat());
        assert_eq!(chosen_ike(LOCAL_IKE, &offer, Prefer::Local), None, "{kind}");
        offer.proposals.push(OfferedProposal { number: 2, ..raw_ike(&good).proposals.remove(0) });
        assert_eq!(chosen_ike(LOCAL_IKE, &offer, Prefer::Local).unwrap().1, 2);
    }
}

#[test]
fn unknown_ids_are_passed_over() {
    for kind in [TransformType::ENCR, TransformType::PRF, TransformType::INTEG, TransformType::KE] {
        for id in [1025, 65_535] {
            let mut transforms = vec![AES_CBC, SHA1, PRF_SHA1, MODP_2048];
            transforms.insert(0, Transform::new(kind, id));
            assert!(chosen_ike(LOCAL_IKE, &raw_ike(&transforms), Prefer::Peer).is_some());
            transforms.retain(|transform| transform.kind != kind || transform.id == id);
            assert_eq!(chosen_ike(LOCAL_IKE, &raw_ike(&transforms), Prefer::Peer), None);
        }
    }
}

#[test]
fn an_ike_proposal_must_have_every_type_and_a_real_key_exchange() {
    let refused = |transforms: &[Transform]| {
        assert_eq!(chosen_ike(LOCAL_IKE, &raw_ike(transforms), Prefer::Local), None, "{transforms:?}");
        assert_eq!(chosen_ike(LOCAL_IKE, &raw_ike(transforms), Prefer::Peer), None, "{transforms:?}");
    };
    refused(&[AES_CBC, SHA1, PRF_SHA1]);
    refused(&[AES_CBC, SHA1, PRF_SHA1, NO_KE]);
    refused(&[AES_CBC, SHA1, MODP_2048]);
    refused(&[SHA1]);
    refused(&[SHA1, PRF_SHA1, MODP_2048]);
    refused(&[]);
    // Beside a real one NONE is passed over.
    let both = raw_ike(&[AES_CBC, SHA1, PRF_SHA1, NO_KE, MODP_2048]);
    assert_eq!(chosen_ike(LOCAL_IKE, &both, Prefer::Peer).unwrap().0, "aes128-sha1-modp2048");
}

#[test]
fn combined_modes_take_no_integrity_or_none_and_others_need_a_real_one() {
    let ike_suite = |encryption, integrity: &[Transform]| {
        let transforms = [&[encryption], integrity, &[PRF_SHA1, MODP_2048]].concat();
        chosen_ike(LOCAL_IKE, &raw_ike(&transforms), Prefer::Peer).map(|(suite, _)| suite)
    };
    let gcm = Some("aes128gcm16-prfsha1-modp2048".to_string());
    assert_eq!(ike_suite(AES_GCM, &[]), gcm);
    assert_eq!(ike_suite(AES_GCM, &[NO_INTEGRITY]), gcm);
    assert_eq!(ike_suite(AES_GCM, &[SHA1, NO_INTEGRITY]), gcm);
    assert_eq!(ike_suite(AES_GCM, &[SHA1]), None);
    assert_eq!(ike_suite(AES_CBC, &[]), None);
    assert_eq!(ike_suite(AES_CBC, &[NO_INTEGRITY]), None);
    assert_eq!(ike_suite(AES_CBC, &[NO_INTEGRITY, SHA1]), Some("aes128-sha1-modp2048".to_string()));

    assert_eq!(chosen_esp(LOCAL_ESP, &raw_esp(&[AES_GCM, SHA1, NO_ESN])), None);
    assert_eq!(chosen_esp(LOCAL_ESP, &raw_esp(&[AES_CBC, NO_ESN])), None);
    assert_eq!(chosen_esp(LOCAL_ESP, &raw_esp(&[AES_CBC, NO_INTEGRITY, NO_ESN])), None);
    assert_eq!(chosen_esp(LOCAL_ESP, &raw_esp(&[AES_GCM, NO_ESN])).unwrap(), "aes128gcm16");
}

#[test]
fn of_an_offer_that_mixes_encryption_the_part_that_fits_is_taken() {
    let offer = raw_esp(&[AES_GCM, AES_CBC, SHA1, NO_ESN]);
    let chosen = select_child(&esp(LOCAL_ESP), &offer, Prefer::Peer).unwrap();
    assert_eq!(chosen.suite.to_string(), "aes128-sha1");
    assert_eq!(chosen.transforms, [AES_CBC, SHA1, NO_ESN]);
}

#[test]
fn null_encryption_is_for_esp_with_integrity_only() {
    let local =
        Proposal { encryption: vec![Encryption::new(EncryptionId::NULL, 0)], ..ike(LOCAL_IKE)[0].clone() };
    let offer = raw_ike(&[NULL, SHA1, PRF_SHA1, MODP_2048]);
    // Not even a local proposal made by hand gets IKE without encryption.
    assert!(select_ike(&[local], &offer, Prefer::Local).is_err());
    assert_eq!(chosen_esp(LOCAL_ESP, &raw_esp(&[NULL, SHA1, NO_ESN])).unwrap(), "null-sha1");
    assert_eq!(chosen_esp(LOCAL_ESP, &raw_esp(&[NULL, NO_ESN])), None);
    assert_eq!(chosen_esp(LOCAL_ESP, &raw_esp(&[NULL, NO_INTEGRITY, NO_ESN])), None);
}

#[test]
fn forward_secrecy_is_there_if_both_want_it_and_absent_if_both_allow_that() {
    let chosen = |local: &str, offer: &str| chosen_esp(&[local], &esp_offer(&[offer]));
    let suite = |keywords: &str| Some(keywords.to_string());
    assert_eq!(chosen("aes128gcm16-ecp256", "aes128gcm16-modp2048-ecp256"), suite("aes128gcm16-ecp256"));
    assert_eq!(chosen("aes128gcm16-ecp256", "aes128gcm16"), None);
    assert_eq!(chosen("aes128gcm16", "aes128gcm16-ecp256"), None);
    assert_eq!(chosen("aes128gcm16", "aes128gcm16"), suite("aes128gcm16"));
    assert_eq!(chosen("aes128gcm16", "aes128gcm16-ecp256-none"), suite("aes128gcm16"));
    assert_eq!(chosen("aes128gcm16-none-ecp256", "aes128gcm16"), suite("aes128gcm16"));
    assert_eq!(chosen("aes128gcm16-none-ecp256", "aes128gcm16-modp2048"), None);
    assert_eq!(chosen("aes128gcm16-none-ecp256", "aes128gcm16-ecp256"), suite("aes128gcm16-ecp256"));
    assert_eq!(chosen("aes128gcm16-none", "aes128gcm16"), suite("aes128gcm16"));
}

#[test]
fn a_none_that_was_offered_is_answered() {
    let offer = esp_offer(&["aes128gcm16-ecp256-none"]);
    let chosen = select_child(&esp(&["aes128gcm16"]), &offer, Prefer::Local).unwrap();
    assert_eq!(chosen.suite.key_exchange, None);
    assert_eq!(chosen.transforms, [AES_GCM, NO_KE, NO_ESN]);
    assert_eq!(confirm_child(&offer, &SaPayload::answer_child(&chosen, &SPI)).unwrap().suite, chosen.suite);
}

#[test]
fn in_ike_auth_key_exchanges_do_not_matter() {
    let local = esp(&["aes128gcm16-ecp256"])[0].without_key_exchange();
    let offer = esp_offer(&["aes128gcm16-modp2048"]).without_key_exchange();
    let chosen = select_child(&[local], &offer, Prefer::Local).unwrap();
    assert_eq!(chosen.suite.to_string(), "aes128gcm16");
}

#[test]
fn extended_sequence_numbers_must_be_offered_one_way_or_the_other() {
    assert_eq!(chosen_esp(&["aes128gcm16-esn-noesn"], &raw_esp(&[AES_GCM])), None);
    assert_eq!(chosen_esp(&["aes128gcm16-esn-noesn"], &raw_esp(&[AES_GCM, NO_ESN])).unwrap(), "aes128gcm16");
    let both = raw_esp(&[AES_GCM, NO_ESN, ESN]);
    assert_eq!(chosen_esp(&["aes128gcm16-esn-noesn"], &both).unwrap(), "aes128gcm16-esn");
    assert_eq!(chosen_esp(&["aes128gcm16"], &raw_esp(&[AES_GCM, ESN])), None);
    let unspecified = Transform::new(TransformType::ESN, 2);
    assert_eq!(chosen_esp(&["aes128gcm16-esn-noesn"], &raw_esp(&[AES_GCM, unspecified])), None);
}

#[test]
fn transforms_of_types_that_the_protocol_lacks_make_a_proposal_unacceptable() {
    assert_eq!(chosen_esp(LOCAL_ESP, &raw_esp(&[AES_GCM, PRF_SHA1, NO_ESN])), None);
    let with_esn = raw_ike(&[AES_CBC, SHA1, PRF_SHA1, MODP_2048, NO_ESN]);
    assert_eq!(chosen_ike(LOCAL_IKE, &with_esn, Prefer::Local), None);
}

#[test]
fn authentication_headers_are_negotiated_without_encryption() {
    let local = [Proposal::ah("sha256-sha1-esn").unwrap()];
    let offer = SaPayload::offer(&[Proposal::ah("sha1-noesn-esn").unwrap()], &SPI);
    let chosen = select_child(&local, &offer, Prefer::Local).unwrap();
    assert_eq!(chosen.suite.protocol, ProtocolId::AH);
    assert_eq!(chosen.suite.encryption, None);
    assert_eq!(chosen.suite.to_string(), "sha1-esn");
    let with_encryption = raw(ProtocolId::AH, &SPI, &[NULL, SHA1, ESN]);
    assert!(select_child(&local, &with_encryption, Prefer::Local).is_err());
}

#[test]
fn protocols_must_match_and_be_known() {
    let transforms = [AES_GCM, NO_ESN];
    for protocol in [0, 1, 2, 4, 6, 201] {
        let offer = raw(ProtocolId(protocol), &SPI, &transforms);
        let mismatch = select_child(&esp(LOCAL_ESP), &offer, Prefer::Local).unwrap_err();
        assert_eq!(mismatch.defect, Some(Defect::Protocol), "{protocol}");
    }
    assert!(select_ike(&ike(LOCAL_IKE), &esp_offer(&["aes128gcm16"]), Prefer::Local).is_err());
}

#[test]
fn the_spi_must_be_one_of_the_protocol() {
    let transforms = [AES_GCM, NO_ESN];
    for spi in [&[][..], &[1], &[1; 3], &[1; 5], &[1; 8], &[1; 255], &[0; 4], &[0, 0, 0, 255]] {
        let offer = raw(ProtocolId::ESP, spi, &transforms);
        let mismatch = select_child(&esp(LOCAL_ESP), &offer, Prefer::Local).unwrap_err();
        assert_eq!(mismatch.defect, Some(Defect::Spi), "{spi:?}");
    }
    let offer = raw(ProtocolId::ESP, &[0, 0, 1, 0], &transforms);
    assert_eq!(select_child(&esp(LOCAL_ESP), &offer, Prefer::Local).unwrap().spi, [0, 0, 1, 0]);

    let transforms = [AES_CBC, SHA1, PRF_SHA1, MODP_2048];
    for (spi, valid) in
        [(&[][..], true), (&[1; 8], true), (&[0; 8], false), (&[1; 4], false), (&[1; 9], false)]
    {
        let offer = raw(ProtocolId::IKE, spi, &transforms);
        assert_eq!(select_ike(&ike(LOCAL_IKE), &offer, Prefer::Local).is_ok(), valid, "{spi:?}");
    }
}

#[test]
fn additional_key_exchanges_must_match_position_by_position() {
    let chosen = |local: &str, offer: &str| chosen_ike(&[local], &ike_offer(&[offer]), Prefer::Local);
    let base = "aes128gcm16-prfsha1-x25519";
    let with = |more: &str| alloc::format!("{base}{more}");
    let suite = |more: &str| Some((alloc::format!("aes128gcm16-prfsha1-curve25519{more}"), 1));
    assert_eq!(chosen(&with("-ke1_mlkem768"), &with("-ke1_mlkem512-ke1_mlkem768")), suite("-ke1_mlkem768"));
    assert_eq!(chosen(&with("-ke1_mlkem768"), base), None);
    assert_eq!(chosen(base, &with("-ke1_mlkem768")), None);
    assert_eq!(chosen(base, &with("-ke1_mlkem768-ke1_none")), suite(""));
    assert_eq!(chosen(&with("-ke1_mlkem768"), &with("-ke2_mlkem768")), None);
}

#[test]
fn an_answer_is_the_chosen_transforms_and_the_offerer_confirms_it() {
    let local = ike(&["aes256-aes128-sha256-sha1-modp2048-ecp256"]);
    let offer = ike_offer(&["camellia128-sha1-modp2048", "aes128-sha1-sha256-ecp256-modp2048"]);
    let chosen = select_ike(&local, &offer, Prefer::Local).unwrap();
    assert_eq!(chosen.number, 2);
    let answer = SaPayload::answer_ike(&chosen, &[]);
    let confirmed = confirm_ike(&offer, &answer).unwrap();
    assert_eq!(confirmed, chosen);
}

/// What is wrong with a response to `offer`, if anything is.
fn confirm_defect(offer: &SaPayload, answer: &SaPayload) -> Option<(Option<Defect>, usize)> {
    confirm_ike(offer, answer).err().map(|mismatch| (mismatch.defect, mismatch.differing.len()))
}

#[test]
fn a_response_must_be_one_proposal_that_was_offered() {
    let offer = ike_offer(&["aes128-sha1-modp2048", "aes256-sha1-modp2048"]);
    let good = raw_ike(&[AES_CBC, SHA1, PRF_SHA1, MODP_2048]);
    assert_eq!(confirm_defect(&offer, &good), None);
    assert_eq!(confirm_defect(&offer, &SaPayload::default()), Some((Some(Defect::ProposalCount), 0)));
    assert_eq!(confirm_defect(&offer, &offer).unwrap().0, Some(Defect::ProposalCount));
    let mut other = good.clone();
    other.proposals[0].number = 3;
    assert_eq!(confirm_defect(&offer, &other).unwrap().0, Some(Defect::Number));
    // The right transforms under the number of the other proposal.
    other.proposals[0].number = 2;
    assert_eq!(confirm_defect(&offer, &other), Some((None, 1)));
    let mut other = good.clone();
    other.proposals[0].spi = vec![1; 8];
    assert_eq!(confirm_defect(&offer, &other).unwrap().0, Some(Defect::Spi));
    let mut other = good;
    other.proposals[0].protocol = ProtocolId::ESP;
    assert_eq!(confirm_defect(&offer, &other).unwrap().0, Some(Defect::Protocol));
}

#[test]
fn a_response_must_have_one_offered_transform_of_each_type() {
    let offer = ike_offer(&["aes128-aes256-sha1-modp2048-ecp256"]);
    let answer = |transforms: &[Transform]| confirm_defect(&offer, &raw_ike(transforms));
    let ecp256 = Transform::new(TransformType::KE, 19);
    assert_eq!(answer(&[AES_CBC, SHA1, PRF_SHA1, ecp256]), None);
    assert_eq!(answer(&[AES_CBC, SHA1, PRF_SHA1, MODP_2048, ecp256]).unwrap().0, Some(Defect::Repeated));
    assert_eq!(answer(&[AES_CBC, AES_CBC, SHA1, PRF_SHA1, ecp256]).unwrap().0, Some(Defect::Repeated));
    let aes192 = Transform { key_bits: Some(192), ..AES_CBC };
    assert_eq!(answer(&[aes192, SHA1, PRF_SHA1, ecp256]), Some((None, 1)));
    let modp1024 = Transform::new(TransformType::KE, 2);
    assert_eq!(answer(&[AES_CBC, SHA1, PRF_SHA1, modp1024]), Some((None, 1)));
    assert_eq!(answer(&[AES_CBC, SHA1, PRF_SHA1]), Some((None, 1)));
    assert_eq!(answer(&[AES_CBC, PRF_SHA1, ecp256]), Some((None, 1)));
    assert_eq!(answer(&[AES_GCM, PRF_SHA1, ecp256]), Some((None, 2)));
    let odd = Transform { unknown_attributes: true, ..SHA1 };
    assert_eq!(answer(&[AES_CBC, odd, PRF_SHA1, ecp256]), Some((None, 1)));
    let addke = Transform::new(TransformType::ADDKE1, 36);
    assert_eq!(answer(&[AES_CBC, SHA1, PRF_SHA1, ecp256, addke]), Some((None, 1)));
}

#[test]
fn a_response_for_a_child_may_write_none_where_nothing_was_offered() {
    let offer = esp_offer(&["aes128gcm16"]);
    let answer = |transforms: &[Transform]| {
        confirm_child(&offer, &raw_esp(transforms)).map(|chosen| chosen.suite.to_string()).ok()
    };
    let suite = Some("aes128gcm16".to_string());
    assert_eq!(answer(&[AES_GCM, NO_ESN]), suite);
    assert_eq!(answer(&[AES_GCM, NO_INTEGRITY, NO_KE, NO_ESN]), suite);
    assert_eq!(answer(&[AES_GCM, MODP_2048, NO_ESN]), None);
    assert_eq!(answer(&[AES_GCM, SHA1, NO_ESN]), None);
    assert_eq!(answer(&[AES_GCM, ESN]), None);
    assert_eq!(answer(&[AES_GCM]), None);
}

#[test]
fn a_mismatch_names_the_nearest_local_proposal_and_what_differs() {
    let local = ike(&["aes256gcm16-prfsha384-ecp384", "aes256-aes192-sha256-modp2048-modp3072"]);
    let offer = ike_offer(&["aes128-sha256-modp1024", "3des-md5-modp1024"]);
    let mismatch = select_ike(&local, &offer, Prefer::Local).unwrap_err();
    assert_eq!(
        mismatch,
        ProposalMismatch {
            nearest_local: Some("aes256-aes192-sha256-modp2048-modp3072".to_string()),
            offered: vec!["aes128-sha256-modp1024".to_string(), "3des-md5-modp1024".to_string()],
            differing: vec![
                Difference {
                    kind: TransformType::ENCR,
                    local: vec!["aes256".to_string(), "aes192".to_string()],
                    offered: vec!["aes128".to_string()],
                },
                Difference {
                    kind: TransformType::KE,
                    local: vec!["modp2048".to_string(), "modp3072".to_string()],
                    offered: vec!["modp1024".to_string()],
                },
            ],
            defect: None,
        }
    );
    assert_eq!(
        mismatch.to_string(),
        "no common proposal; nearest of ours is aes256-aes192-sha256-modp2048-modp3072, \
         ENCR: ours aes256/aes192, offered aes128, KE: ours modp2048/modp3072, offered modp1024; \
         the peer has aes128-sha256-modp1024 | 3des-md5-modp1024"
    );
}

#[test]
fn a_mismatch_is_told_also_of_what_has_no_keyword() {
    let offer = raw_esp(&[
        encr(EncryptionId(1025), 7),
        Transform::new(TransformType::INTEG, 1026),
        Transform::new(TransformType::ADDKE3, 1027),
        Transform::new(TransformType(14), 1),
        Transform { unknown_attributes: true, ..NO_ESN },
    ]);
    let mismatch = select_child(&esp(LOCAL_ESP), &offer, Prefer::Peer).unwrap_err();
    assert_eq!(mismatch.offered, ["ENCR_1025_7-AUTH_1026-ke3_KE_1027-type14_1-noesn(unknown attributes)"]);
    let kinds: Vec<u8> = mismatch.differing.iter().map(|difference| difference.kind.0).collect();
    assert_eq!(kinds, [1, 3, 5, 8, 14]);
}

#[test]
fn a_mismatch_without_local_proposals_or_without_an_offer_is_told() {
    let mismatch = select_ike(&[], &ike_offer(LOCAL_IKE), Prefer::Local).unwrap_err();
    assert_eq!(mismatch.nearest_local, None);
    assert_eq!(mismatch.offered.len(), 2);
    let mismatch = select_ike(&ike(LOCAL_IKE), &SaPayload::default(), Prefer::Local).unwrap_err();
    assert!(mismatch.nearest_local.is_some());
    assert!(mismatch.offered.is_empty());
    let mismatch = select_ike(&ike(LOCAL_IKE), &raw_ike(&[]), Prefer::Local).unwrap_err();
    assert_eq!(mismatch.offered, ["nothing"]);
}

#[test]
fn a_combination_that_fails_although_every_type_matches_is_told() {
    // Each encryption has what the other would need.
    let local = Proposal::esp("aes128-sha1").unwrap();
    let local = Proposal { integrity: vec![IntegrityId::NONE, IntegrityId::HMAC_SHA1_96], ..local };
    let offer = raw_esp(&[AES_CBC, NO_INTEGRITY, NO_ESN]);
    let mismatch = select_child(&[local], &offer, Prefer::Local).unwrap_err();
    assert_eq!(mismatch.defect, Some(Defect::Combination));
}

#[test]
fn the_largest_offer_that_parses_is_gone_through_in_bounded_steps() {
    // 255 copies of each transform, none acceptable together: the worst case for the search.
    let mut proposals = Vec::new();
    for number in 1..=4 {
        let mut transforms = vec![AES_CBC; 84];
        transforms.extend([SHA1; 85]);
        transforms.extend([PRF_SHA1; 86]);
        proposals.push(OfferedProposal { number, protocol: ProtocolId::IKE, spi: Vec::new(), transforms });
    }
    let offer = SaPayload { proposals };
    let local = ike(&["aes128-aes192-aes256-sha1-sha256-modp2048"; 20]);
    let mismatch = select_ike(&local, &offer, Prefer::Peer).unwrap_err();
    assert_eq!(mismatch.differing.len(), 1);
    assert_eq!(mismatch.differing[0].kind, TransformType::KE);
}

#[test]
fn no_key_exchange_method_is_chosen_twice() {
    const KEYWORDS: &str = "aes128gcm16-prfsha256-ecp256-ke1_ecp256-ke1_ecp384-ke2_ecp384-ke2_none";
    let chosen = chosen_ike(&[KEYWORDS], &ike_offer(&[KEYWORDS]), Prefer::Peer);
    assert_eq!(chosen, Some(("aes128gcm16-prfsha256-ecp256-ke1_ecp384".to_string(), 1)));

    const REPEATED: &str = "aes128gcm16-prfsha256-ecp256-ke1_ecp256";
    assert_eq!(chosen_ike(&[REPEATED], &ike_offer(&[REPEATED]), Prefer::Local), None);
    // Nor may a responder answer like that.
    assert!(confirm_ike(&ike_offer(&[KEYWORDS]), &ike_offer(&[REPEATED])).is_err());
    const CHILD: &str = "aes128gcm16-ecp256-ke1_ecp256";
    assert_eq!(chosen_esp(&[CHILD], &esp_offer(&[CHILD])), None);
}

#[test]
fn an_ike_sa_without_key_exchange_is_not_agreed_even_if_both_sides_ask_for_it() {
    let [mut careless] = <[Proposal; 1]>::try_from(ike(&["aes128gcm16-prfsha256-ecp256"])).unwrap();
    careless.key_exchange = vec![KeyExchangeId::NONE, KeyExchangeId::ECP_256];
    let offer = SaPayload::offer(&[careless.clone()], &[]);
    let chosen = select_ike(&[careless.clone()], &offer, Prefer::Peer).unwrap();
    assert_eq!(chosen.suite.key_exchange, KeyExchangeId::ECP_256);
    careless.key_exchange = vec![KeyExchangeId::NONE];
    let none = Transform::new(TransformType::KE, KeyExchangeId::NONE.0);
    let offer = raw_ike(&[AES_GCM, Transform::new(TransformType::PRF, PrfId::HMAC_SHA2_256.0), none]);
    assert!(select_ike(&[careless], &offer, Prefer::Peer).is_err());
}
