use alloc::string::ToString;

use super::*;
use crate::properties::KeyLengths;

#[test]
fn phase_1_algorithms_convert_there_and_back() {
    for &encryption in phase1::Encryption::KNOWN {
        let id = encryption.ikev2().unwrap();
        assert_eq!(phase1::Encryption::from_ikev2(id), Some(encryption));
        assert!(!id.is_aead());
    }
    assert_eq!(phase1::Encryption::from_ikev2(EncryptionId::AES_GCM_16), None);
    assert_eq!(phase1::Encryption(99).ikev2(), None);
    for &hash in phase1::Hash::KNOWN {
        assert!(hash.prf().is_some());
    }
    assert_eq!(phase1::Hash::from_integrity(IntegrityId::HMAC_SHA2_256_128), Some(phase1::Hash::SHA2_256));
    assert_eq!(phase1::Hash::from_integrity(IntegrityId::AES_XCBC_96), None);
}

#[test]
fn groups_keep_their_number_and_binary_curves_have_none_in_ikev2() {
    for &group in phase1::Group::KNOWN {
        match group.ikev2() {
            Some(id) => {
                assert_eq!(id.0, group.0);
                assert!(id.name().is_some());
                assert_eq!(phase1::Group::from_ikev2(id), Some(group));
            }
            None => assert!(group.to_string().starts_with("EC2N")),
        }
    }
    assert_eq!(phase1::Group::from_ikev2(KeyExchangeId::CURVE25519), None);
    assert_eq!(phase1::Group::from_ikev2(KeyExchangeId::NONE), None);
}

#[test]
fn phase_2_algorithms_convert_there_and_back() {
    for &transform in phase2::EspTransform::KNOWN {
        if let Some(id) = transform.ikev2() {
            assert_eq!(phase2::EspTransform::from_ikev2(id), Some(transform));
        }
    }
    // The two registries agree up to AES-GCM-16 and part afterwards.
    assert_eq!(phase2::EspTransform(20).ikev2(), Some(EncryptionId(20)));
    assert_eq!(phase2::EspTransform(23).ikev2(), Some(EncryptionId::NULL_AUTH_AES_GMAC));
    assert_eq!(phase2::EspTransform::SEED_CBC.ikev2(), None);
    assert_eq!(phase2::EspTransform::from_ikev2(EncryptionId::CHACHA20_POLY1305), None);
    for &value in phase2::Authentication::KNOWN {
        if let Some(id) = value.ikev2() {
            assert_eq!(phase2::Authentication::from_ikev2(id), Some(value));
            assert!(id.icv_len() > 0);
        }
    }
}

#[test]
fn every_known_encryption_has_key_lengths() {
    for &id in EncryptionId::KNOWN {
        let unknown = id.key_bits_required() == KeyLengths::Unknown;
        assert_eq!(unknown, id == EncryptionId::TRIPLE_IDEA, "{id}");
    }
}
