//! What every packet cipher must do, whatever the algorithm.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a helper of a test may fail as the test does"
)]

mod common;

use common::{Mixing, all_combinations, providers};
use ikebana_core::SecureRandom;
use ikebana_crypto::{
    CipherError, CipherJob, CipherKeys, CryptoProvider, Frame, IvGenerator, IvRule, PacketCipher, open_batch,
    seal_batch,
};
use ikebana_proposals::{Encryption, EncryptionId, IntegrityId, KeywordError, Proposal};
use proptest::prelude::*;

fn cipher(
    provider: &CryptoProvider,
    encryption: Encryption,
    integrity: Option<IntegrityId>,
    seed: u64,
) -> Box<dyn PacketCipher> {
    let lengths = provider.key_lengths(Some(encryption), integrity).unwrap();
    let (mut key, mut mac_key) = (vec![0; lengths.encryption], vec![0; lengths.integrity]);
    let rng = &mut Mixing(seed);
    rng.fill_secret(&mut key);
    rng.fill_secret(&mut mac_key);
    provider
        .packet_cipher(encryption, integrity, &CipherKeys { encryption: &key, integrity: &mac_key })
        .unwrap()
}

/// A sealed packet and its plain form, with `blocks` blocks or octets of text.
fn sealed(cipher: &dyn PacketCipher, header: &[u8], blocks: usize, esn_high: Option<u32>) -> [Vec<u8>; 2] {
    let shape = cipher.shape();
    let rng = &mut Mixing(blocks as u64);
    let mut ivs = IvGenerator::new(rng);
    let mut plain = header.to_vec();
    plain.resize(header.len() + shape.iv_len, 0);
    shape.write_iv(&mut plain[header.len()..], 77, &mut ivs);
    plain.extend((0..blocks * shape.block_len).map(|at| at as u8));
    let mut bytes = plain.clone();
    bytes.resize(plain.len() + shape.icv_len, 0);
    cipher.seal(Frame { bytes: &mut bytes, header_len: header.len(), esn_high }).unwrap();
    [bytes, plain]
}

/// Every combination on every backend.
fn everything() -> impl Iterator<Item = (CryptoProvider, Encryption, Option<IntegrityId>)> {
    providers().into_iter().flat_map(|(_, provider)| {
        let combinations = all_combinations().into_iter();
        combinations.map(move |(encryption, integrity)| (provider.clone(), encryption, integrity))
    })
}

const HEADER: &[u8] = b"SPI.SEQ.";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn opening_gives_back_what_was_sealed(
        seed in any::<u64>(),
        blocks in 0_usize..200,
        header in proptest::collection::vec(any::<u8>(), 8..60),
        esn_high in any::<Option<u32>>(),
    ) {
        for (provider, encryption, integrity) in everything() {
            let cipher = cipher(&provider, encryption, integrity, seed);
            let [mut bytes, plain] = sealed(&*cipher, &header, blocks, esn_high);
            let shape = cipher.shape();
            let text = header.len() + shape.iv_len..plain.len();
            if !encryption.id.is_integrity_only() && text.len() >= 16 {
                prop_assert_ne!(&bytes[text.clone()], &plain[text.clone()]);
            }
            prop_assert_eq!(&bytes[..text.start], &plain[..text.start]);
            cipher.open(Frame { bytes: &mut bytes, header_len: header.len(), esn_high }).unwrap();
            prop_assert_eq!(&bytes[..plain.len()], &plain[..]);
        }
    }
}

#[test]
fn a_changed_bit_anywhere_is_noticed_and_no_plaintext_comes_out() {
    for (provider, encryption, integrity) in everything() {
        let cipher = cipher(&provider, encryption, integrity, 1);
        let [bytes, plain] = sealed(&*cipher, HEADER, 3, None);
        for at in 0..bytes.len() {
            let mut forged = bytes.clone();
            forged[at] ^= 1 << (at % 8);
            let opened = cipher.open(Frame { bytes: &mut forged, header_len: HEADER.len(), esn_high: None });
            assert_eq!(opened, Err(CipherError::Forged), "{encryption} {integrity:?} octet {at}");
            let text = HEADER.len() + cipher.shape().iv_len..plain.len();
            if !encryption.id.is_integrity_only() && text.len() >= 16 {
                assert_ne!(forged[text.clone()], plain[text]);
            }
        }
    }
}

#[test]
fn the_high_half_of_an_extended_sequence_number_is_authenticated() {
    for (provider, encryption, integrity) in everything() {
        let cipher = cipher(&provider, encryption, integrity, 2);
        let [bytes, _] = sealed(&*cipher, HEADER, 2, Some(5));
        for esn_high in [None, Some(4), Some(0)] {
            let mut copy = bytes.clone();
            let opened = cipher.open(Frame { bytes: &mut copy, header_len: HEADER.len(), esn_high });
            assert_eq!(opened, Err(CipherError::Forged), "{encryption} {integrity:?}");
        }
    }
}

#[test]
fn another_key_does_not_open() {
    for (provider, encryption, integrity) in everything() {
        let [mut bytes, _] = sealed(&*cipher(&provider, encryption, integrity, 3), HEADER, 2, None);
        let other = cipher(&provider, encryption, integrity, 4);
        let opened = other.open(Frame { bytes: &mut bytes, header_len: HEADER.len(), esn_high: None });
        assert_eq!(opened, Err(CipherError::Forged));
    }
}

#[test]
fn a_frame_too_short_for_its_parts_is_a_layout_error_and_never_a_panic() {
    for (provider, encryption, integrity) in everything() {
        let cipher = cipher(&provider, encryption, integrity, 5);
        let shape = cipher.shape();
        let needed = HEADER.len() + shape.overhead();
        for len in 0..needed {
            let mut bytes = vec![0; len];
            for header_len in [HEADER.len(), usize::MAX] {
                let frame = Frame { bytes: &mut bytes, header_len, esn_high: Some(1) };
                assert_eq!(cipher.open(frame), Err(CipherError::Layout));
                let frame = Frame { bytes: &mut bytes, header_len, esn_high: Some(1) };
                assert_eq!(cipher.seal(frame), Err(CipherError::Layout));
            }
        }
    }
}

#[test]
fn text_that_is_no_multiple_of_the_block_is_refused_and_left_alone() {
    let mut block_modes = 0;
    for (provider, encryption, integrity) in everything() {
        let cipher = cipher(&provider, encryption, integrity, 6);
        let shape = cipher.shape();
        assert_eq!(shape.block_len, encryption.id.block_len());
        if shape.block_len == 1 {
            continue;
        }
        block_modes += 1;
        for text_len in 1..shape.block_len {
            let mut bytes = vec![9; HEADER.len() + shape.overhead() + text_len];
            let refused = Err(CipherError::Alignment { block_len: shape.block_len });
            let frame = Frame { bytes: &mut bytes, header_len: HEADER.len(), esn_high: None };
            assert_eq!(cipher.seal(frame), refused);
            let frame = Frame { bytes: &mut bytes, header_len: HEADER.len(), esn_high: None };
            assert_eq!(cipher.open(frame), refused);
            assert!(bytes.iter().all(|&octet| octet == 9));
        }
    }
    assert!(block_modes >= 18);
}

#[test]
fn shapes_are_those_of_the_registry() {
    for (provider, encryption, integrity) in everything() {
        let shape = cipher(&provider, encryption, integrity, 7).shape();
        assert_eq!(shape.iv_len, encryption.id.iv_len());
        let icv_len = integrity.map_or(encryption.id.icv_len(), IntegrityId::icv_len);
        assert_eq!(shape.icv_len, icv_len);
        let rule = match (shape.iv_len, shape.block_len) {
            (0, _) => IvRule::None,
            (_, 1) => IvRule::Counter,
            _ => IvRule::Random,
        };
        assert_eq!(shape.iv, rule, "{encryption}");
    }
}

#[test]
fn a_batch_leaves_each_result_in_its_own_slot() {
    for (provider, encryption, integrity) in everything() {
        let cipher = cipher(&provider, encryption, integrity, 8);
        let shape = cipher.shape();
        let lens = [40, 0, 1, 7, 3, 90, 2, 11, 64, 5, 31, 18, 33, 6, 8, 12, 21, 13, 4];
        let mut packets: Vec<Vec<u8>> = lens
            .iter()
            .map(|blocks| vec![*blocks as u8; HEADER.len() + shape.overhead() + blocks * shape.block_len])
            .collect();
        let alone: Vec<Vec<u8>> = packets
            .iter()
            .map(|packet| {
                let mut packet = packet.clone();
                let frame = Frame { bytes: &mut packet, header_len: HEADER.len(), esn_high: Some(3) };
                cipher.seal(frame).unwrap();
                packet
            })
            .collect();
        let plain = packets.clone();
        packets[1].truncate(HEADER.len());
        let mut jobs: Vec<CipherJob<'_>> = packets
            .iter_mut()
            .map(|bytes| {
                CipherJob::new(&*cipher, Frame { bytes, header_len: HEADER.len(), esn_high: Some(3) })
            })
            .collect();
        seal_batch(&mut jobs);
        for (at, job) in jobs.iter().enumerate() {
            if at == 1 {
                assert_eq!(job.result, Err(CipherError::Layout));
            } else {
                assert_eq!(job.result, Ok(()));
                assert_eq!(job.frame.bytes, alone[at]);
            }
        }
        jobs[2].frame.bytes[0] ^= 1;
        open_batch(&mut jobs);
        for (at, job) in jobs.iter().enumerate() {
            match at {
                1 => assert_eq!(job.result, Err(CipherError::Layout)),
                2 => assert_eq!(job.result, Err(CipherError::Forged)),
                _ => {
                    assert_eq!(job.result, Ok(()));
                    let text = ..plain[at].len() - shape.icv_len;
                    assert_eq!(job.frame.bytes[text], plain[at][text]);
                }
            }
        }
    }
}

#[test]
fn keys_of_a_wrong_length_and_combinations_without_protection_are_unsupported() {
    let provider = CryptoProvider::rust_crypto();
    for (provider, encryption, integrity) in everything() {
        let lengths = provider.key_lengths(Some(encryption), integrity).unwrap();
        for (more, more_mac) in [(1, 0), (0, 1)] {
            let keys = CipherKeys {
                encryption: &vec![0; lengths.encryption + more],
                integrity: &vec![0; lengths.integrity + more_mac],
            };
            assert!(provider.packet_cipher(encryption, integrity, &keys).is_err());
        }
        // Combined modes take no integrity algorithm, others need one.
        let wrong = if encryption.is_aead() { Some(IntegrityId::HMAC_SHA1_96) } else { None };
        assert!(!provider.supports(Some(encryption), wrong));
        if wrong.is_none() {
            assert!(!provider.supports(Some(encryption), Some(IntegrityId::NONE)));
        }
    }
    assert!(!provider.supports(None, None));
    assert!(provider.supports(None, Some(IntegrityId::HMAC_SHA2_256_128)));
    assert!(
        !provider
            .supports(Some(Encryption::new(EncryptionId::AES_CBC, 129)), Some(IntegrityId::HMAC_SHA1_96))
    );
    assert!(!provider.supports(Some(Encryption::new(EncryptionId::NULL_AUTH_AES_GMAC, 129)), None));
}

#[test]
fn restricting_keeps_what_is_implemented_and_drops_what_is_then_incomplete() {
    let provider = CryptoProvider::rust_crypto();
    let restrict = |keywords: &str, parse: fn(&str) -> Result<Proposal, KeywordError>| {
        let proposals: [Proposal; 1] = [parse(keywords).unwrap()];
        provider.restrict(&proposals).first().map(ToString::to_string)
    };
    assert_eq!(
        restrict("camellia128-aes128-sha256-modp2048-x448", Proposal::ike).as_deref(),
        Some("aes128-sha256-modp2048")
    );
    assert_eq!(restrict("aes128-sha256-curve448", Proposal::ike), None);
    assert_eq!(restrict("camellia256-sha256-modp2048", Proposal::ike), None);
    assert_eq!(restrict("aes128gmac", Proposal::esp).as_deref(), Some("aes128gmac"));
    assert_eq!(restrict("aes128gcm16iiv-esn", Proposal::esp).as_deref(), Some("aes128gcm16iiv-esn"));
    assert_eq!(restrict("aes128gcm16-esn", Proposal::esp).as_deref(), Some("aes128gcm16-esn"));
    // Forward secrecy that was asked for does not vanish with its only group.
    assert_eq!(restrict("aes128gcm16-curve448", Proposal::esp), None);
    assert_eq!(restrict("null-sha1_160-sha1", Proposal::esp).as_deref(), Some("null-sha1"));
    assert_eq!(restrict("sha256-esn", Proposal::ah).as_deref(), Some("sha256-esn"));
    assert_eq!(restrict("aes128-sha256-x25519-ke1_mlkem768", Proposal::ike), None);
    for preset in ikebana_proposals::Preset::ALL {
        assert_eq!(provider.restrict(&preset.ike()), preset.ike());
        assert_eq!(provider.restrict(&preset.child()), preset.child());
    }
}

#[test]
fn legacy_algorithms_are_there_only_when_asked_for() {
    let provider = CryptoProvider::rust_crypto();
    let legacy = cfg!(feature = "legacy");
    let triple_des = Some(Encryption::new(EncryptionId::TRIPLE_DES, 0));
    assert_eq!(provider.supports(triple_des, Some(IntegrityId::HMAC_SHA1_96)), legacy);
    let aes = Some(Encryption::new(EncryptionId::AES_CBC, 128));
    assert_eq!(provider.supports(aes, Some(IntegrityId::HMAC_MD5_96)), legacy);
    assert_eq!(provider.prf(ikebana_proposals::PrfId::HMAC_MD5).is_some(), legacy);
}
