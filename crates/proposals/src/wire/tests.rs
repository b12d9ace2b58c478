use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::registries::{EncryptionId, PrfId};

fn encoded(payload: &SaPayload) -> Vec<u8> {
    let mut out = Writer::new();
    payload.encode(&mut out);
    out.finish().unwrap()
}

fn problem(octets: &[u8]) -> (&'static str, Problem) {
    let error = SaPayload::parse(octets).unwrap_err();
    (error.field, error.problem)
}

/// One ESP proposal with AES-GCM-16-128 and no ESN, written out by hand.
const ESP: [u8; 32] = [
    0, 0, 0, 32, 1, 3, 4, 2, 0xc0, 0xde, 0, 1, // proposal 1, ESP, SPI c0de0001, two transforms
    3, 0, 0, 12, 1, 0, 0, 20, 0x80, 14, 0, 128, // ENCR_AES_GCM_16, key length 128
    0, 0, 0, 8, 5, 0, 0, 0, // NO_ESN
];

#[test]
fn an_offer_is_encoded_as_rfc_7296_draws_it() {
    let offer = SaPayload::offer(&[Proposal::esp("aes128gcm16").unwrap()], &[0xc0, 0xde, 0, 1]);
    assert_eq!(encoded(&offer), ESP);
    assert_eq!(SaPayload::parse(&ESP), Ok(offer));
}

#[test]
fn an_offer_counts_its_proposals_from_1_and_orders_transforms_by_type() {
    let proposals = [
        Proposal::ike("aes128-sha256-modp2048").unwrap(),
        Proposal::ike("aes256gcm16-prfsha384-ecp384-ke2_mlkem768").unwrap(),
    ];
    let offer = SaPayload::offer(&proposals, &[]);
    let numbers: Vec<u8> = offer.proposals.iter().map(|proposal| proposal.number).collect();
    assert_eq!(numbers, [1, 2]);
    let kinds: Vec<u8> = offer.proposals[1].transforms.iter().map(|transform| transform.kind.0).collect();
    assert_eq!(kinds, [1, 2, 4, 7]);
    let kinds: Vec<u8> = offer.proposals[0].transforms.iter().map(|transform| transform.kind.0).collect();
    assert_eq!(kinds, [1, 2, 3, 4]);
    assert_eq!(SaPayload::parse(&encoded(&offer)), Ok(offer));
}

#[test]
fn none_is_offered_only_beside_something_else() {
    let kinds = |keywords| {
        let offer = SaPayload::offer(&[Proposal::esp(keywords).unwrap()], &[0; 4]);
        offer.proposals[0].transforms_of(TransformType::KE).map(|transform| transform.id).collect::<Vec<_>>()
    };
    assert_eq!(kinds("aes128gcm16-none"), [0; 0]);
    assert_eq!(kinds("aes128gcm16-none-ecp256"), [0, 19]);
}

#[test]
fn every_cut_of_a_payload_is_an_error() {
    for len in 0..ESP.len() {
        let error = SaPayload::parse(&ESP[..len]).unwrap_err();
        assert!(matches!(error.problem, Problem::Truncated { .. }), "{len}: {error}");
    }
}

#[test]
fn octets_after_the_last_proposal_are_an_error() {
    let longer = [&ESP[..], &[0]].concat();
    assert_eq!(problem(&longer), ("sa payload", Problem::Trailing(1)));
}

/// `ESP` with one octet changed.
fn with(at: usize, value: u8) -> Vec<u8> {
    let mut octets = ESP.to_vec();
    octets[at] = value;
    octets
}

#[test]
fn a_proposal_length_that_cannot_be_is_named() {
    for length in 0..8 {
        assert_eq!(problem(&with(3, length)), ("proposal length", Problem::BadLength(usize::from(length))));
    }
    assert_eq!(problem(&with(3, 33)).0, "proposal length");
    assert!(matches!(problem(&with(3, 31)).1, Problem::Truncated { .. }));
    assert!(SaPayload::parse(&with(2, 0xff)).is_err());
}

#[test]
fn a_transform_length_that_cannot_be_is_named() {
    for length in 0..8 {
        assert_eq!(problem(&with(15, length)), ("transform length", Problem::BadLength(usize::from(length))));
    }
    for length in [9, 10, 11, 13, 255] {
        assert!(SaPayload::parse(&with(15, length)).is_err(), "{length}");
    }
}

#[test]
fn flags_of_substructures_must_be_those_of_the_rfc() {
    for flag in [1, 3, 255] {
        assert_eq!(problem(&with(0, flag)), ("proposal substructure", Problem::BadValue(u64::from(flag))));
    }
    // More proposals are announced, but there are none.
    assert!(matches!(problem(&with(0, 2)).1, Problem::Truncated { .. }));
    for flag in [1, 2, 255] {
        assert_eq!(problem(&with(12, flag)), ("transform substructure", Problem::BadValue(u64::from(flag))));
    }
}

#[test]
fn the_number_of_transforms_must_be_the_real_one() {
    assert_eq!(problem(&with(7, 0)), ("proposal", Problem::Trailing(20)));
    assert_eq!(problem(&with(7, 1)), ("number of transforms", Problem::TooMany(1)));
    assert_eq!(problem(&with(7, 3)), ("number of transforms", Problem::BadLength(3)));
    assert_eq!(problem(&with(7, 255)), ("number of transforms", Problem::BadLength(255)));
    // The last transform claims to be followed by another.
    assert!(matches!(problem(&with(24, 3)).1, Problem::Trailing(_) | Problem::TooMany(2)));
}

#[test]
fn a_proposal_without_transforms_parses_and_says_so() {
    let empty = [0, 0, 0, 8, 1, 1, 0, 0];
    assert_eq!(SaPayload::parse(&empty).unwrap().proposals[0].transforms, []);
    assert!(SaPayload::parse(&[]).is_err());
}

#[test]
fn a_spi_as_long_as_it_says_is_taken_and_a_longer_one_is_an_error() {
    for size in 0..=255_u8 {
        let len = 8 + usize::from(size);
        let mut octets = vec![0, 0, 0, 0, 1, 3, size, 0];
        octets[2..4].copy_from_slice(&u16::try_from(len).unwrap().to_be_bytes());
        octets.resize(len, 7);
        assert_eq!(SaPayload::parse(&octets).unwrap().proposals[0].spi, vec![7; usize::from(size)]);
        if size > 0 {
            assert!(SaPayload::parse(&octets[..len - 1]).is_err());
        }
    }
}

#[test]
fn proposals_count_from_1_unless_there_is_only_one() {
    let numbered = |numbers: &[u8]| {
        let payload = SaPayload {
            proposals: numbers
                .iter()
                .map(|&number| OfferedProposal {
                    number,
                    protocol: ProtocolId::IKE,
                    spi: Vec::new(),
                    transforms: vec![Transform::new(TransformType::PRF, PrfId::HMAC_SHA1.0)],
                })
                .collect(),
        };
        SaPayload::parse(&encoded(&payload)).map(|parsed| assert_eq!(parsed, payload))
    };
    assert_eq!(numbered(&[1, 2, 3]), Ok(()));
    assert_eq!(numbered(&[5]), Ok(()));
    for (numbers, bad) in
        [(&[0][..], 0), (&[0, 1], 0), (&[2, 3], 2), (&[1, 1], 1), (&[1, 3], 3), (&[1, 2, 1], 1)]
    {
        let error = WireError::new("proposal number", Problem::BadValue(bad));
        assert_eq!(numbered(numbers), Err(error), "{numbers:?}");
    }
}

/// The attributes of an encryption transform, as they are read.
fn attributes(octets: &[u8]) -> Result<Transform, WireError> {
    let len = u8::try_from(8 + octets.len()).unwrap();
    let transform = [&[0, 0, 0, len, 1, 0, 0, 12], octets].concat();
    let payload = [&[0, 0, 0, 8 + len, 1, 1, 0, 1], &transform[..]].concat();
    SaPayload::parse(&payload).map(|payload| payload.proposals[0].transforms[0])
}

#[test]
fn unknown_repeated_and_misformatted_attributes_mark_the_transform() {
    let aes = Transform::new(TransformType::ENCR, EncryptionId::AES_CBC.0);
    let marked = |key_bits| Ok(Transform { key_bits, unknown_attributes: true, ..aes });
    assert_eq!(attributes(&[]), Ok(aes));
    assert_eq!(attributes(&[0x80, 14, 1, 0]), Ok(Transform { key_bits: Some(256), ..aes }));
    assert_eq!(attributes(&[0x80, 14, 0, 128, 0x80, 14, 0, 128]), marked(Some(128)));
    assert_eq!(attributes(&[0x80, 14, 0, 128, 0x80, 15, 0, 1]), marked(Some(128)));
    assert_eq!(attributes(&[0, 14, 0, 2, 0, 128]), marked(None));
    assert_eq!(attributes(&[0, 14, 0, 4, 0, 0, 0, 128]), marked(None));
    assert_eq!(attributes(&[0, 99, 0, 0]), marked(None));
    for cut in [&[0x80][..], &[0x80, 14], &[0x80, 14, 0], &[0, 14, 0, 3, 1, 2], &[0, 14, 0xff, 0xff]] {
        assert!(attributes(cut).is_err(), "{cut:?}");
    }
}

#[test]
fn unknown_numbers_survive() {
    let payload = SaPayload {
        proposals: vec![OfferedProposal {
            number: 1,
            protocol: ProtocolId(201),
            spi: vec![1, 2, 3],
            transforms: vec![
                Transform::new(TransformType(0), 0),
                Transform::new(TransformType(14), 1025),
                Transform { key_bits: Some(65_535), ..Transform::new(TransformType(255), 65_535) },
            ],
        }],
    };
    assert_eq!(SaPayload::parse(&encoded(&payload)), Ok(payload));
}

#[test]
fn counts_are_limited() {
    let many = |proposals: usize, transforms: usize| {
        let transform = Transform::new(TransformType::KE, 14);
        let payload = SaPayload {
            proposals: (1..=proposals)
                .map(|number| OfferedProposal {
                    number: u8::try_from(number).unwrap(),
                    protocol: ProtocolId::IKE,
                    spi: Vec::new(),
                    transforms: vec![transform; transforms],
                })
                .collect(),
        };
        SaPayload::parse(&encoded(&payload)).map(drop)
    };
    assert_eq!(many(MAX_PROPOSALS, 1), Ok(()));
    let error = WireError::new("proposals", Problem::TooMany(MAX_PROPOSALS));
    assert_eq!(many(MAX_PROPOSALS + 1, 1), Err(error));
    assert_eq!(many(4, 255), Ok(()));
    let error = WireError::new("transforms", Problem::TooMany(MAX_TRANSFORMS));
    assert_eq!(many(5, 255), Err(error));
}

#[test]
fn a_proposal_with_too_many_transforms_or_too_long_a_spi_cannot_be_written() {
    let refused = |spi: usize, transforms: usize| {
        let payload = SaPayload {
            proposals: vec![OfferedProposal {
                number: 1,
                protocol: ProtocolId::IKE,
                spi: vec![0; spi],
                transforms: vec![Transform::new(TransformType::KE, 14); transforms],
            }],
        };
        let mut out = Writer::new();
        payload.encode(&mut out);
        out.finish().is_err()
    };
    assert!(refused(256, 1));
    assert!(refused(0, 256));
    assert!(!refused(255, 255));
}

#[test]
fn stripping_key_exchanges_leaves_the_other_transforms() {
    let offer = SaPayload::offer(&[Proposal::esp("aes128gcm16-ecp256-ke1_mlkem768").unwrap()], &ESP[8..12]);
    assert_eq!(encoded(&offer.without_key_exchange()), ESP);
}
