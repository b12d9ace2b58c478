use alloc::vec;
use alloc::vec::Vec;

use ikebana_core::IkeSpi;
use ikebana_core::codec::Problem;
use ikebana_ike::ExchangeType;

use super::*;
use crate::wire::limits::{MAX_ATTRIBUTES, MAX_DELETED_SPIS, MAX_PAYLOADS, MAX_PROPOSALS, MAX_TRANSFORMS};
use crate::wire::{IdPayload, IdType};

/// An unencrypted message whose first payload is of type `first`.
fn message(first: u8, body: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    IkeHeader {
        initiator_spi: IkeSpi([1; 8]),
        responder_spi: IkeSpi::ZERO,
        next_payload: first,
        major: 1,
        minor: 0,
        exchange: ExchangeType::IDENTITY_PROTECTION,
        flags: Flags(0),
        message_id: 0,
        length: u32::try_from(28 + body.len()).unwrap(),
    }
    .encode(&mut writer);
    writer.bytes(body);
    writer.finish().unwrap()
}

fn field(first: u8, body: &[u8]) -> &'static str {
    match parse(&message(first, body)) {
        Err(ParseError::Wire(error)) => error.field,
        other => panic!("{other:?}"),
    }
}

/// A payload of type `kind` behind its generic header.
fn one(kind: u8, body: &[u8]) -> Result<Payload, WireError> {
    Payload::parse(PayloadType(kind), body)
}

#[test]
fn messages_of_ikev2_are_told_apart() {
    let mut octets = message(0, &[]);
    octets[17] = 0x20;
    assert_eq!(parse(&octets), Err(ParseError::Version(2)));
}

#[test]
fn payload_lengths_that_cannot_be_are_refused() {
    for length in 0..4 {
        assert_eq!(field(13, &[13, 0, 0, length, 0, 0, 0, 4]), "payload length");
    }
    for length in [9_u16, 0x7fff, 0xffff] {
        let [high, low] = length.to_be_bytes();
        assert_eq!(field(13, &[0, 0, high, low, 1, 2, 3, 4]), "payload");
    }
    assert_eq!(field(13, &[13, 0, 0, 4]), "next payload");
    assert_eq!(field(0, &[0]), "payload chain");
}

#[test]
fn the_number_of_payloads_is_bounded() {
    for (count, fits) in [(MAX_PAYLOADS, true), (MAX_PAYLOADS + 1, false), (10_000, false)] {
        let mut body = [13, 0, 0, 4].repeat(count);
        body[(count - 1) * 4] = 0;
        assert_eq!(parse(&message(13, &body)).is_ok(), fits, "{count}");
    }
}

#[test]
fn payload_types_of_ikev2_and_of_groups_are_unknown_and_kept() {
    for kind in (15..=19).chain(22..=131).chain(133..=255) {
        let parsed = one(kind, &[1, 2, 3]).unwrap();
        assert_eq!(parsed, Payload::Unknown { kind: PayloadType(kind), body: vec![1, 2, 3] });
    }
}

#[test]
fn the_content_of_an_encrypted_message_is_left_alone() {
    let mut octets = message(8, &[0xde, 0xad, 0xbe]);
    octets[19] |= Flags::ENCRYPTED;
    let parsed = parse(&octets).unwrap();
    assert_eq!(parsed.body, Body::Encrypted(vec![0xde, 0xad, 0xbe]));
    assert_eq!(encode(&parsed.header, &parsed.body).unwrap(), octets);
}

#[test]
fn padding_after_decrypted_payloads_is_given_back() {
    let text = [0, 0, 0, 6, 7, 8, 0xaa, 0xbb, 2];
    let (payloads, padding) = parse_chain(PayloadType::HASH, &text).unwrap();
    assert_eq!(payloads, [Payload::Hash(vec![7, 8])]);
    assert_eq!(padding, [0xaa, 0xbb, 2]);
}

mod security_association {
    use super::*;

    /// DOI, situation, and one ESP proposal with the given header fields and transforms.
    fn sa(next: u8, length: u8, transforms: u8, rest: &[u8]) -> Vec<u8> {
        [&[0, 0, 0, 1, 0, 0, 0, 1, next, 0, 0, length, 1, 3, 0, transforms][..], rest].concat()
    }

    const AES: [u8; 12] = [0, 0, 0, 12, 1, 12, 0, 0, 0x80, 6, 1, 0];

    #[test]
    fn lengths_of_proposals_and_transforms_must_be_right() {
        assert!(one(1, &sa(0, 20, 1, &AES)).is_ok());
        for length in [0, 3, 7, 8, 19, 21, 255] {
            assert!(one(1, &sa(0, length, 1, &AES)).is_err(), "proposal of {length}");
        }
        for length in [0, 3, 7, 8, 10, 11, 13, 255] {
            let mut transform = AES;
            transform[3] = length;
            assert!(one(1, &sa(0, 20, 1, &transform)).is_err(), "transform of {length}");
        }
    }

    #[test]
    fn the_number_of_transforms_must_be_right() {
        for count in [0, 2, 255] {
            assert!(one(1, &sa(0, 20, count, &AES)).is_err(), "{count}");
        }
    }

    #[test]
    fn what_follows_must_be_of_the_same_kind_or_nothing() {
        for next in [1, 3, 4, 255] {
            assert!(one(1, &sa(next, 20, 1, &AES)).is_err(), "{next}");
        }
        // Another proposal is promised and is not there.
        assert!(one(1, &sa(2, 20, 1, &AES)).is_err());
    }

    #[test]
    fn an_spi_beyond_the_proposal_is_refused() {
        let mut body = sa(0, 20, 1, &AES);
        body[14] = 255;
        assert_eq!(one(1, &body).unwrap_err().field, "SPI");
    }

    #[test]
    fn attributes_have_two_octets_or_as_many_as_they_say() {
        let with = |attributes: &[u8]| {
            let length = u16::try_from(8 + attributes.len()).unwrap().to_be_bytes();
            let transform = [&[0, 0, length[0], length[1], 1, 12, 0, 0][..], attributes].concat();
            let length = u16::try_from(8 + transform.len()).unwrap().to_be_bytes();
            let mut body = sa(0, 0, 1, &transform);
            body[10..12].copy_from_slice(&length);
            one(1, &body)
        };
        let Ok(Payload::Sa(parsed)) = with(&[0x80, 1, 0, 1, 0, 2, 0, 4, 0, 0, 0x70, 0x80, 0, 9, 0, 0]) else {
            panic!("refused");
        };
        let attributes = &parsed.proposals[0].transforms[0].attributes;
        let numbers: Vec<_> =
            attributes.iter().map(|attribute| (attribute.kind, attribute.number())).collect();
        assert_eq!(numbers, [(1, Some(1)), (2, Some(28_800)), (9, None)]);
        for bad in [&[0, 2, 0, 5, 1, 2, 3, 4][..], &[0, 2, 0xff, 0xff], &[0x80, 1, 0], &[0]] {
            assert!(with(bad).is_err(), "{bad:?}");
        }
        assert!(with(&[0x80, 1, 0, 1].repeat(MAX_ATTRIBUTES)).is_ok());
        let too_many = WireError::new("attributes", Problem::TooMany(MAX_ATTRIBUTES));
        assert_eq!(with(&[0x80, 1, 0, 1].repeat(MAX_ATTRIBUTES + 1)), Err(too_many));
    }

    #[test]
    fn the_number_of_proposals_is_bounded() {
        let proposals = |count: usize| {
            let mut body = vec![0, 0, 0, 1, 0, 0, 0, 1];
            body.extend([2, 0, 0, 8, 1, 3, 0, 0].repeat(count));
            body[8 + (count - 1) * 8] = 0;
            one(1, &body)
        };
        assert!(proposals(MAX_PROPOSALS).is_ok());
        let too_many = WireError::new("proposals", Problem::TooMany(MAX_PROPOSALS));
        assert_eq!(proposals(MAX_PROPOSALS + 1), Err(too_many));
    }

    #[test]
    fn the_number_of_transforms_is_bounded_over_all_proposals() {
        // Proposals of 128 transforms of 8 octets each, and a last one with `more`.
        let transforms = |more: u8| {
            let mut body = vec![0, 0, 0, 1, 0, 0, 0, 1];
            let full = core::iter::repeat_n(128, MAX_TRANSFORMS / 128);
            for count in full.chain((more > 0).then_some(more)) {
                let length = 8 + 8 * u16::from(count);
                body.extend([2, 0]);
                body.extend(length.to_be_bytes());
                body.extend([1, 3, 0, count]);
                body.extend([3, 0, 0, 8, 1, 12, 0, 0].repeat(usize::from(count) - 1));
                body.extend([0, 0, 0, 8, 1, 12, 0, 0]);
            }
            let last = body.len() - 8 - 8 * usize::from(if more > 0 { more } else { 128 });
            body[last] = 0;
            one(1, &body)
        };
        assert!(transforms(0).is_ok());
        let too_many = WireError::new("transforms", Problem::TooMany(MAX_TRANSFORMS));
        assert_eq!(transforms(1), Err(too_many));
    }
}

#[test]
fn identifications_name_addresses_only_if_they_fit_their_type() {
    let addresses = |kind, data: &[u8]| {
        let id = IdPayload { kind, protocol: 0, port: 0, data: data.to_vec() };
        id.addresses().map(|range| alloc::format!("{range}"))
    };
    let text = |text: &str| Some(text.into());
    assert_eq!(addresses(IdType::IPV4_ADDR, &[10, 0, 0, 1]), text("10.0.0.1/32"));
    assert_eq!(addresses(IdType::IPV4_ADDR_SUBNET, &[10, 0, 0, 0, 255, 255, 0, 0]), text("10.0.0.0/16"));
    assert_eq!(addresses(IdType::IPV4_ADDR_RANGE, &[10, 0, 0, 1, 10, 0, 0, 9]), text("10.0.0.1..10.0.0.9"));
    assert_eq!(addresses(IdType::IPV6_ADDR, &[0; 16]), text("::/128"));
    assert_eq!(addresses(IdType::IPV4_ADDR_SUBNET, &[10, 0, 0, 0, 255, 0, 255, 0]), None);
    assert_eq!(addresses(IdType::IPV4_ADDR_RANGE, &[10, 0, 0, 9, 10, 0, 0, 1]), None);
    assert_eq!(addresses(IdType::IPV4_ADDR, &[0; 16]), None);
    assert_eq!(addresses(IdType::IPV6_ADDR_SUBNET, &[0; 8]), None);
    for length in [0, 1, 3, 5, 15, 17, 31, 33] {
        for kind in 1..=12 {
            assert_eq!(addresses(IdType(kind), &vec![0; length]), None, "{kind} {length}");
        }
    }
}

#[test]
fn notifications_and_deletes_that_promise_too_much_are_refused() {
    assert_eq!(one(11, &[0, 0, 0, 1, 1, 16, 0, 1, 0]).unwrap_err().field, "notify SPI");
    assert_eq!(one(12, &[0, 0, 0, 1, 3, 4, 0xff, 0xff]).unwrap_err().field, "number of SPIs");
    assert_eq!(one(12, &[0, 0, 0, 1, 3, 4, 0, 2, 1, 2, 3, 4]).unwrap_err().field, "deleted SPI");
    assert_eq!(one(12, &[0, 0, 0, 1, 3, 0, 0, 200]).unwrap_err().field, "delete SPI size");
    assert_eq!(one(12, &[0, 0, 0, 1, 3, 4, 0, 0, 1]).unwrap_err().field, "delete payload");
    let delete = |count: usize| {
        let mut body = vec![0, 0, 0, 1, 3, 4];
        body.extend(u16::try_from(count).unwrap().to_be_bytes());
        body.extend([1, 2, 3, 4].repeat(count));
        one(12, &body)
    };
    assert!(delete(MAX_DELETED_SPIS).is_ok());
    assert_eq!(delete(MAX_DELETED_SPIS + 1).unwrap_err().field, "number of SPIs");
}

#[test]
fn fragments_have_a_number() {
    assert_eq!(one(132, &[0, 1, 0, 0]).unwrap_err().field, "fragment number");
    assert_eq!(one(132, &[0, 1, 1]).unwrap_err().field, "fragment flags");
    let Ok(Payload::Fragment(fragment)) = one(132, &[0, 1, 2, 1, 9]) else { panic!("refused") };
    assert_eq!((fragment.id, fragment.number, fragment.is_last, fragment.data), (1, 2, true, vec![9]));
}
