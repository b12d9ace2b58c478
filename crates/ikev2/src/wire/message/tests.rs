use alloc::vec;
use alloc::vec::Vec;

use ikebana_core::IkeSpi;
use ikebana_core::codec::Problem;
use ikebana_ike::{ExchangeType, Flags};

use super::*;
use crate::wire::limits::{MAX_MESSAGE_OCTETS, MAX_PAYLOADS};
use crate::wire::{Envelope, NotifyPayload, NotifyType, envelope};

fn header() -> IkeHeader {
    IkeHeader {
        initiator_spi: IkeSpi(*b"initiatr"),
        responder_spi: IkeSpi::ZERO,
        next_payload: 0,
        major: 2,
        minor: 0,
        exchange: ExchangeType::IKE_SA_INIT,
        flags: Flags::v2(true, false),
        message_id: 0,
        length: 0,
    }
}

/// A message whose first payload is of type `first` and whose octets after the header are `body`.
fn message(first: u8, body: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    encode_header(&header(), PayloadType(first), body.len(), &mut writer);
    writer.bytes(body);
    writer.finish().unwrap()
}

fn wire_field(error: ParseError) -> &'static str {
    match error {
        ParseError::Wire(error) => error.field,
        ParseError::Version(_) | ParseError::UnsupportedCritical(_) => panic!("{error}"),
    }
}

#[test]
fn a_message_without_payloads_is_its_header() {
    let octets = encode_clear(&header(), &[]).unwrap();
    assert_eq!(octets.len(), HEADER_LEN);
    let parsed = parse_clear(&octets).unwrap();
    assert_eq!(parsed.header.length, 28);
    assert!(parsed.payloads.is_empty());
    assert_eq!(envelope(&octets).unwrap().1, Envelope::Clear);
}

#[test]
fn other_major_versions_are_told_apart_and_other_minor_ones_are_accepted() {
    for (version, expected) in [(0x10, Err(ParseError::Version(1))), (0x30, Err(ParseError::Version(3)))] {
        let mut octets = encode_clear(&header(), &[]).unwrap();
        octets[17] = version;
        assert_eq!(parse_clear(&octets).map(|message| message.header.minor), expected);
    }
    let mut octets = encode_clear(&header(), &[]).unwrap();
    octets[17] = 0x2f;
    assert_eq!(parse_clear(&octets).unwrap().header.minor, 15);
}

#[test]
fn a_message_of_another_version_is_told_apart_even_if_its_length_is_wrong() {
    let mut octets = encode_clear(&header(), &[]).unwrap();
    octets[17] = 0x30;
    octets.push(0);
    assert_eq!(parse_clear(&octets), Err(ParseError::Version(3)));
}

#[test]
fn a_payload_length_below_four_is_refused_and_does_not_loop() {
    for length in 0..4 {
        let octets = message(43, &[43, 0, 0, length, 43, 0, 0, 4]);
        assert_eq!(wire_field(parse_clear(&octets).unwrap_err()), "payload length");
    }
}

#[test]
fn a_payload_longer_than_the_message_is_refused() {
    for length in [9_u16, 0x7fff, 0x8000, 0xffff] {
        let [high, low] = length.to_be_bytes();
        let octets = message(43, &[0, 0, high, low, 1, 2, 3, 4]);
        assert_eq!(wire_field(parse_clear(&octets).unwrap_err()), "payload");
    }
}

#[test]
fn octets_after_the_last_payload_are_refused() {
    assert_eq!(wire_field(parse_clear(&message(0, &[1])).unwrap_err()), "payload chain");
    assert_eq!(wire_field(parse_clear(&message(43, &[0, 0, 0, 4, 9])).unwrap_err()), "payload chain");
}

#[test]
fn a_chain_that_promises_a_payload_and_has_none_is_refused() {
    assert_eq!(wire_field(parse_clear(&message(43, &[])).unwrap_err()), "next payload");
    assert_eq!(wire_field(parse_clear(&message(43, &[43, 0, 0, 4])).unwrap_err()), "next payload");
}

#[test]
fn the_number_of_payloads_is_bounded() {
    let chain = |count: usize| {
        let mut body = [43, 0, 0, 4].repeat(count);
        if let Some(last) = body.len().checked_sub(4) {
            body[last] = 0;
        }
        message(43, &body)
    };
    assert_eq!(parse_clear(&chain(MAX_PAYLOADS - 1)).unwrap().payloads.len(), MAX_PAYLOADS - 1);
    assert_eq!(parse_clear(&chain(MAX_PAYLOADS)).unwrap().payloads.len(), MAX_PAYLOADS);
    for count in [MAX_PAYLOADS + 1, 1_000, 16_000] {
        let too_many = WireError::new("payload chain", Problem::TooMany(MAX_PAYLOADS));
        assert_eq!(parse_clear(&chain(count)), Err(too_many.into()));
    }
}

#[test]
fn an_unknown_payload_is_kept_if_it_is_not_critical() {
    let octets = message(200, &[0, 0x7f, 0, 6, 1, 2]);
    let unknown = Payload::Unknown { kind: PayloadType(200), critical: false, body: vec![1, 2] };
    assert_eq!(parse_clear(&octets).unwrap().payloads, [unknown]);
}

#[test]
fn an_unknown_critical_payload_is_named() {
    let octets = message(200, &[43, 0x80, 0, 6, 1, 2, 0, 0, 0, 4]);
    assert_eq!(parse_clear(&octets), Err(ParseError::UnsupportedCritical(PayloadType(200))));
}

#[test]
fn a_malformed_message_is_malformed_even_if_it_has_an_unknown_critical_payload() {
    let octets = message(200, &[40, 0x80, 0, 4, 0, 0, 0, 4]);
    assert_eq!(wire_field(parse_clear(&octets).unwrap_err()), "nonce");
}

#[test]
fn the_first_of_several_unknown_critical_payloads_is_named() {
    let octets = message(200, &[201, 0x80, 0, 4, 0, 0x80, 0, 4]);
    assert_eq!(parse_clear(&octets), Err(ParseError::UnsupportedCritical(PayloadType(200))));
}

#[test]
fn the_critical_bit_and_reserved_bits_of_known_payloads_are_ignored() {
    let octets = message(43, &[0, 0xff, 0, 5, 7]);
    assert_eq!(parse_clear(&octets).unwrap().payloads, [Payload::VendorId(vec![7])]);
}

#[test]
fn payload_types_of_ikev1_are_unknown_here() {
    for kind in 1..=32 {
        let octets = message(kind, &[0, 0, 0, 4]);
        assert!(matches!(parse_clear(&octets).unwrap().payloads[..], [Payload::Unknown { .. }]), "{kind}");
    }
}

#[test]
fn nothing_may_follow_an_encrypted_payload() {
    let octets = message(46, &[43, 0, 0, 8, 1, 2, 3, 4, 0, 0, 0, 4]);
    assert_eq!(wire_field(parse_clear(&octets).unwrap_err()), "payload chain");
}

#[test]
fn an_encrypted_payload_ends_the_chain_whatever_its_next_payload_is() {
    let octets = message(43, &[46, 0, 0, 5, 9, 35, 0, 0, 8, 1, 2, 3, 4]);
    let parsed = parse_clear(&octets).unwrap();
    let [Payload::VendorId(_), Payload::Encrypted(encrypted)] = &parsed.payloads[..] else {
        panic!("{parsed:?}");
    };
    assert_eq!((encrypted.next, encrypted.body.as_slice()), (PayloadType::ID_INITIATOR, &[1, 2, 3, 4][..]));
    assert_eq!(envelope(&octets).unwrap().1, Envelope::Encrypted);
    assert_eq!(encode_clear(&header(), &parsed.payloads).unwrap(), octets);
}

#[test]
fn an_encrypted_payload_cannot_be_written_before_others() {
    let encrypted = crate::wire::EncryptedPayload { next: PayloadType::NONE, body: vec![0; 40] };
    let payloads = [Payload::Encrypted(encrypted), Payload::VendorId(vec![])];
    assert_eq!(encode_clear(&header(), &payloads).unwrap_err().field, "encrypted payload");
}

#[test]
fn fragment_numbers_that_cannot_be_are_refused() {
    for (number, total) in [(0_u16, 0_u16), (0, 2), (3, 2), (1, 0), (1, 129), (1, 65_535)] {
        let mut body = vec![35, 0, 0, 12];
        body.extend(number.to_be_bytes());
        body.extend(total.to_be_bytes());
        body.extend([0; 4]);
        assert!(envelope(&message(53, &body)).is_err(), "{number} of {total}");
        assert!(parse_clear(&message(53, &body)).is_err(), "{number} of {total}");
    }
    let octets = message(53, &[35, 0, 0, 8, 0, 2, 0, 2]);
    assert_eq!(envelope(&octets).unwrap().1, Envelope::Fragment { number: 2, total: 2 });
}

#[test]
fn a_message_too_long_for_its_fields_is_not_written() {
    let payloads = vec![Payload::VendorId(vec![0; 65_532])];
    assert_eq!(encode_clear(&header(), &payloads).unwrap_err().field, "payload length");
    let payloads = vec![Payload::VendorId(vec![0; 40_000]), Payload::VendorId(vec![0; 40_000])];
    assert_eq!(encode_clear(&header(), &payloads).unwrap_err().field, "IKE length");
}

#[test]
fn payloads_are_accepted_in_any_order() {
    let payloads = vec![
        Payload::Notify(NotifyPayload::new(NotifyType::COOKIE, vec![1; 8])),
        Payload::Nonce(vec![2; 32]),
        Payload::VendorId(vec![3; 16]),
    ];
    let reversed: Vec<_> = payloads.iter().rev().cloned().collect();
    for order in [payloads, reversed] {
        let octets = encode_clear(&header(), &order).unwrap();
        assert_eq!(parse_clear(&octets).unwrap().payloads, order);
    }
}

#[test]
fn text_longer_than_a_message_is_refused_unread() {
    let error = parse_chain(PayloadType::VENDOR_ID, &[0; MAX_MESSAGE_OCTETS + 1]).unwrap_err();
    assert_eq!(error, WireError::new("message", Problem::BadLength(MAX_MESSAGE_OCTETS + 1)).into());
}
