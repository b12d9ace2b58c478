use alloc::string::ToString;
use alloc::vec;

use super::*;
use crate::registries::EncryptionId;

fn error(result: Result<Proposal, KeywordError>) -> (String, KeywordProblem, Option<&'static str>) {
    let KeywordError { keyword, nearest, problem } = result.unwrap_err();
    (keyword, problem, nearest)
}

#[test]
fn an_ike_proposal_without_a_prf_gets_those_of_its_integrity_algorithms() {
    let proposal = Proposal::ike("aes128-sha256-sha1-modp2048").unwrap();
    assert_eq!(proposal.prf, [PrfId::HMAC_SHA2_256, PrfId::HMAC_SHA1]);
    assert_eq!(proposal.integrity, [IntegrityId::HMAC_SHA2_256_128, IntegrityId::HMAC_SHA1_96]);
    let proposal = Proposal::ike("aes128-aesxcbc-ecp256").unwrap();
    assert_eq!(proposal.prf, [PrfId::AES128_XCBC]);
    let proposal = Proposal::ike("aes128-aescmac-md5-ecp256").unwrap();
    assert_eq!(proposal.prf, [PrfId::AES128_CMAC, PrfId::HMAC_MD5]);
    let proposal = Proposal::ike("aes128-sha256-prfsha512-ecp256").unwrap();
    assert_eq!(proposal.prf, [PrfId::HMAC_SHA2_512]);
}

#[test]
fn integrity_beside_combined_mode_encryption_names_the_prf_only() {
    let short = Proposal::ike("aes256gcm16-sha384-ecp384").unwrap();
    assert_eq!(short, Proposal::ike("aes256gcm16-prfsha384-ecp384").unwrap());
    assert!(short.integrity.is_empty());
    assert_eq!(short.to_string(), "aes256gcm16-prfsha384-ecp384");
    assert_eq!(Proposal::esp("aes128gcm16-sha256").unwrap(), Proposal::esp("aes128gcm16").unwrap());
}

#[test]
fn esp_and_ah_have_no_extended_sequence_numbers_unless_asked_for() {
    let sequence = |keywords| Proposal::esp(keywords).unwrap().sequence;
    assert_eq!(sequence("aes128-sha1"), [SequenceNumbersId::NO_ESN]);
    assert_eq!(sequence("aes128-sha1-noesn"), [SequenceNumbersId::NO_ESN]);
    assert_eq!(sequence("aes128-sha1-esn"), [SequenceNumbersId::ESN]);
    assert_eq!(sequence("aes128-sha1-esn-noesn"), [SequenceNumbersId::ESN, SequenceNumbersId::NO_ESN]);
    assert_eq!(Proposal::ah("sha256").unwrap().sequence, [SequenceNumbersId::NO_ESN]);
}

#[test]
fn keywords_of_strongswan_users_mean_what_they_expect() {
    let cases = [
        ("aes", EncryptionId::AES_CBC, 128),
        ("AES256", EncryptionId::AES_CBC, 256),
        ("aes192ctr", EncryptionId::AES_CTR, 192),
        ("aes128ccm12", EncryptionId::AES_CCM_12, 128),
        ("aes128ccm96", EncryptionId::AES_CCM_12, 128),
        ("aes256gcm", EncryptionId::AES_GCM_16, 256),
        ("aes256gcm64", EncryptionId::AES_GCM_8, 256),
        ("chacha20poly1305", EncryptionId::CHACHA20_POLY1305, 0),
        ("3des", EncryptionId::TRIPLE_DES, 0),
        ("camellia256", EncryptionId::CAMELLIA_CBC, 256),
    ];
    for (keyword, id, key_bits) in cases {
        let proposal = Proposal::ike(&alloc::format!("{keyword}-sha2_256-x25519")).unwrap();
        assert_eq!(proposal.encryption, [Encryption { id, key_bits }], "{keyword}");
        assert_eq!(proposal.prf, [PrfId::HMAC_SHA2_256]);
        assert_eq!(proposal.key_exchange, [KeyExchangeId::CURVE25519]);
    }
}

#[test]
fn additional_key_exchanges_have_a_list_each() {
    let proposal =
        Proposal::ike("aes256gcm16-prfsha384-x25519-ke1_mlkem768-ke1_mlkem1024-ke2_ecp384").unwrap();
    assert_eq!(proposal.additional[0], [KeyExchangeId::ML_KEM_768, KeyExchangeId::ML_KEM_1024]);
    assert_eq!(proposal.additional[1], [KeyExchangeId::ECP_384]);
    assert!(proposal.additional[2].is_empty());
    assert_eq!(
        proposal.to_string(),
        "aes256gcm16-prfsha384-curve25519-ke1_mlkem768-ke1_mlkem1024-ke2_ecp384"
    );
}

#[test]
fn printing_and_parsing_are_inverse() {
    for keywords in [
        "aes128-sha1-modp1024",
        "aes256gcm16-prfsha384-ecp384",
        "aes128-aes256-3des-sha256-sha1-md5-modp2048-modp1024",
        "aes128-sha256-prfsha512-curve25519",
        "chacha20poly1305-prfaesxcbc-curve448-ke1_mlkem512-ke7_none",
        "aes256ccm8-prfaescmac-modp2048s256-modp1024s160-ecp521-ecp512bp",
    ] {
        assert_eq!(Proposal::ike(keywords).unwrap().to_string(), keywords);
    }
    for keywords in [
        "aes256gcm16-ecp384-esn",
        "null-sha256-aescmac-none-modp3072",
        "aes128ctr-sha512-noesn-esn",
        "aes128gmac-esn-noesn",
        "aes192-sha384-aesxcbc",
    ] {
        assert_eq!(Proposal::esp(keywords).unwrap().to_string(), keywords);
    }
    assert_eq!(Proposal::ah("sha256-modp2048-esn").unwrap().to_string(), "sha256-modp2048-esn");
}

#[test]
fn an_unknown_keyword_is_named_together_with_its_nearest_neighbour() {
    assert_eq!(
        error(Proposal::ike("aes128-sha265-modp2048")),
        ("sha265".to_string(), KeywordProblem::Unknown, Some("sha256"))
    );
    assert_eq!(
        error(Proposal::esp("aes129gcm16")),
        ("aes129gcm16".to_string(), KeywordProblem::Unknown, Some("aes128gcm16"))
    );
    assert_eq!(error(Proposal::ike("")).1, KeywordProblem::Unknown);
    assert_eq!(error(Proposal::ike("aes128--sha1")).0, "");
    let message = Proposal::ike("aes128-sha265-modp2048").unwrap_err().to_string();
    assert_eq!(message, "unknown algorithm: \"sha265\" (did you mean \"sha256\"?)");
}

#[test]
fn an_algorithm_in_the_wrong_protocol_is_refused() {
    let not_for = |protocol| KeywordProblem::NotFor(protocol);
    assert_eq!(
        error(Proposal::ike("null-sha1-modp1024")),
        ("null".to_string(), not_for(ProtocolId::IKE), None)
    );
    assert_eq!(error(Proposal::ike("aes128gmac-prfsha1-modp1024")).1, not_for(ProtocolId::IKE));
    assert_eq!(error(Proposal::ike("aes128-sha1-modp1024-esn")).0, "esn");
    assert_eq!(error(Proposal::ike("aes128-sha1-none-modp1024")).0, "none");
    assert_eq!(error(Proposal::esp("aes128-sha1-prfsha1")).1, not_for(ProtocolId::ESP));
    assert_eq!(error(Proposal::ah("aes128-sha1")).1, not_for(ProtocolId::AH));
}

#[test]
fn a_proposal_without_a_needed_type_is_refused() {
    let missing = KeywordProblem::Missing;
    assert_eq!(error(Proposal::ike("aes128-sha1")).1, missing(TransformType::KE));
    assert_eq!(error(Proposal::ike("sha1-modp1024")).1, missing(TransformType::ENCR));
    assert_eq!(error(Proposal::ike("aes128-modp1024")).1, missing(TransformType::INTEG));
    assert_eq!(error(Proposal::ike("aes128gcm16-ecp256")).1, missing(TransformType::PRF));
    assert_eq!(error(Proposal::esp("aes128")).1, missing(TransformType::INTEG));
    assert_eq!(error(Proposal::esp("null")).1, missing(TransformType::INTEG));
    assert_eq!(error(Proposal::ah("modp2048")).1, missing(TransformType::INTEG));
}

#[test]
fn combined_modes_and_other_encryption_need_two_proposals() {
    assert_eq!(error(Proposal::ike("aes128gcm16-aes128-sha1-modp1024")).1, KeywordProblem::CombinedWithOther);
    assert_eq!(error(Proposal::esp("chacha20poly1305-aes128-sha1")).1, KeywordProblem::CombinedWithOther);
}

#[test]
fn the_same_algorithm_twice_is_refused_also_under_another_name() {
    assert_eq!(error(Proposal::ike("aes128-aes-sha1-modp1024")).0, "aes");
    assert_eq!(error(Proposal::esp("aes128-sha256-sha2_256")).1, KeywordProblem::Repeated);
}

#[test]
fn additional_key_exchanges_need_a_first_one() {
    assert_eq!(error(Proposal::esp("aes128gcm16-ke1_mlkem768")).1, KeywordProblem::AdditionalAlone);
    assert_eq!(error(Proposal::esp("aes128gcm16-none-ke1_mlkem768")).1, KeywordProblem::AdditionalAlone);
}

#[test]
fn a_proposal_put_together_by_hand_is_checked_by_the_same_rules() {
    let mut proposal = Proposal::esp("aes128gcm16").unwrap();
    proposal.integrity.push(IntegrityId::HMAC_SHA1_96);
    assert_eq!(proposal.check(), Err(KeywordProblem::CombinedWithIntegrity));
    let mut proposal = Proposal::esp("aes128-sha1").unwrap();
    proposal.integrity.push(IntegrityId::NONE);
    assert_eq!(proposal.check(), Err(KeywordProblem::Missing(TransformType::INTEG)));
    let mut proposal = Proposal::esp("aes128-sha1").unwrap();
    proposal.encryption = vec![Encryption::new(EncryptionId::AES_CBC, 129)];
    assert_eq!(proposal.check(), Err(KeywordProblem::KeyLength));
    proposal.encryption = vec![Encryption::new(EncryptionId::TRIPLE_DES, 192)];
    assert_eq!(proposal.check(), Err(KeywordProblem::KeyLength));
    let mut proposal = Proposal::esp("aes128-sha1").unwrap();
    proposal.sequence = vec![SequenceNumbersId::UNSPECIFIED_32];
    assert_eq!(proposal.check(), Err(KeywordProblem::NotFor(ProtocolId::ESP)));
    proposal.protocol = ProtocolId(4);
    assert_eq!(proposal.check(), Err(KeywordProblem::NotFor(ProtocolId(4))));
}

#[test]
fn without_key_exchange_nothing_else_changes() {
    let proposal = Proposal::esp("aes128gcm16-ecp256-ke1_mlkem768-esn").unwrap();
    let stripped = proposal.without_key_exchange();
    assert_eq!(stripped, Proposal::esp("aes128gcm16-esn").unwrap());
    assert_eq!(stripped.check(), Ok(()));
}

/// RFC 8750 5: what has no sequence number to take the IV from must not negotiate an implicit one.
#[test]
fn implicit_ivs_and_gmac_are_for_esp_and_not_for_ike() {
    for keyword in ["aes128gcm16iiv", "aes256ccm8iiv", "chacha20poly1305iiv", "aes192gmac"] {
        assert_eq!(Proposal::esp(keyword).unwrap().to_string(), keyword);
        let for_ike = alloc::format!("{keyword}-prfsha256-curve25519");
        let (word, problem, _) = error(Proposal::ike(&for_ike));
        assert_eq!((&*word, problem), (keyword, KeywordProblem::NotFor(ProtocolId::IKE)));
    }
}
