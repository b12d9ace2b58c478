use alloc::vec;
use alloc::vec::Vec;

use ikebana_core::codec::Problem;
use ikebana_core::identity::IdType;
use ikebana_core::{EspSpi, Identity};

use super::*;
use crate::wire::limits::{MAX_CONFIG_ATTRIBUTES, MAX_DELETED_SPIS, MAX_KEY_EXCHANGE_OCTETS};
use crate::wire::{ConfigAttributeType, NotifyType};

fn parse(kind: PayloadType, body: &[u8]) -> Result<Payload, WireError> {
    Payload::parse(&RawPayload { kind, next: PayloadType::NONE, critical: false, body })
}

fn field(kind: PayloadType, body: &[u8]) -> &'static str {
    parse(kind, body).unwrap_err().field
}

fn encode(payload: &Payload) -> Vec<u8> {
    let mut writer = Writer::new();
    payload.encode(&mut writer);
    writer.finish().unwrap()
}

#[test]
fn a_key_exchange_needs_a_value_of_bounded_length() {
    assert_eq!(field(PayloadType::KE, &[0, 14, 0]), "key exchange reserved");
    assert_eq!(field(PayloadType::KE, &[0, 14, 0, 0]), "key exchange data");
    let long = vec![0; 4 + MAX_KEY_EXCHANGE_OCTETS + 1];
    assert_eq!(field(PayloadType::KE, &long), "key exchange data");
}

#[test]
fn the_reserved_octets_of_a_key_exchange_are_ignored() {
    let Ok(Payload::KeyExchange(payload)) = parse(PayloadType::KE, &[0x04, 0x01, 0xff, 0xff, 7]) else {
        panic!("not parsed");
    };
    assert_eq!((payload.group.0, payload.data.as_slice()), (1_025, &[7][..]));
}

#[test]
fn nonces_have_16_to_256_octets() {
    for length in [0, 15, 257, 65_000] {
        assert_eq!(field(PayloadType::NONCE, &vec![1; length]), "nonce", "{length}");
    }
    for length in [16, 256] {
        assert_eq!(parse(PayloadType::NONCE, &vec![1; length]), Ok(Payload::Nonce(vec![1; length])));
    }
}

#[test]
fn an_identification_without_data_or_with_an_impossible_address_is_refused() {
    for kind in [1, 2, 3, 5, 9, 11] {
        assert_eq!(field(PayloadType::ID_INITIATOR, &[kind, 0, 0, 0]), "identification data", "{kind}");
    }
    for (kind, length) in [(1, 3), (1, 5), (1, 16), (5, 4), (5, 15), (5, 17)] {
        let mut body = vec![kind, 0, 0, 0];
        body.resize(4 + length, 9);
        assert_eq!(field(PayloadType::ID_RESPONDER, &body), "identification data", "{kind} {length}");
    }
    assert_eq!(field(PayloadType::ID_RESPONDER, &[2, 0, 0]), "ID reserved");
}

#[test]
fn identities_of_unknown_types_are_kept() {
    for kind in [0, 4, 6, 200, 255] {
        let body = [kind, 0, 0, 0, 1, 2, 3];
        let expected = IdPayload::new(Identity::Other(IdType(kind), vec![1, 2, 3]));
        assert_eq!(parse(PayloadType::ID_INITIATOR, &body), Ok(Payload::IdInitiator(expected)));
    }
}

#[test]
fn the_octets_that_auth_covers_are_those_received_reserved_ones_included() {
    for body in [
        &b"\x02\xde\xad\xbea.example.org"[..],
        b"\x02\0\0\0evil.example\0.org",
        b"\x0b\x01\x02\x03key\xff\x00id",
        b"\x01\xff\xff\xff\x0a\x01\x00\x01",
        b"\xc8\x01\x01\x01private",
    ] {
        let Ok(Payload::IdInitiator(payload)) = parse(PayloadType::ID_INITIATOR, body) else {
            panic!("not parsed: {body:?}");
        };
        assert_eq!(payload.body(), body);
    }
}

#[test]
fn a_notification_shorter_than_its_fields_is_refused() {
    assert_eq!(field(PayloadType::NOTIFY, &[]), "notify protocol");
    assert_eq!(field(PayloadType::NOTIFY, &[3, 4, 0x40]), "notify type");
    assert_eq!(field(PayloadType::NOTIFY, &[3, 4, 0x40, 0x09, 1, 2, 3]), "notify SPI");
    assert_eq!(field(PayloadType::NOTIFY, &[3, 255, 0x40, 0x09, 1, 2, 3, 4]), "notify SPI");
}

#[test]
fn a_notification_names_a_child_only_with_the_right_protocol_and_size() {
    let spi = EspSpi::new(0x0102_0304).unwrap();
    let child = |protocol, spi: &[u8]| {
        let mut body = vec![protocol, u8::try_from(spi.len()).unwrap(), 0x40, 0x09];
        body.extend_from_slice(spi);
        let Ok(Payload::Notify(payload)) = parse(PayloadType::NOTIFY, &body) else {
            panic!("refused");
        };
        payload.child_spi()
    };
    assert_eq!(child(3, &[1, 2, 3, 4]), Some(spi));
    assert_eq!(child(2, &[1, 2, 3, 4]), Some(spi));
    for protocol in [0, 1, 4, 201] {
        assert_eq!(child(protocol, &[1, 2, 3, 4]), None, "{protocol}");
    }
    for spi in [&[][..], &[1, 2, 3], &[1, 2, 3, 4, 5], &[0, 0, 0, 255]] {
        assert_eq!(child(3, spi), None, "{spi:?}");
    }
}

#[test]
fn unknown_notifications_are_errors_or_status_by_their_number() {
    assert!(NotifyType(8_192).is_error() && NotifyType(16_383).is_error());
    assert!(!NotifyType(16_384).is_error() && !NotifyType(40_960).is_error());
    for kind in NotifyType::KNOWN {
        assert_eq!(kind.is_error(), kind.0 < 50, "{kind}");
    }
}

#[test]
fn deletes_must_have_the_spi_size_of_their_protocol() {
    for (protocol, size) in [(1, 8), (1, 4), (3, 0), (3, 8), (3, 16), (2, 0), (2, 3)] {
        assert_eq!(field(PayloadType::DELETE, &[protocol, size, 0, 0]), "delete SPI size");
    }
    for protocol in [0, 4, 9, 201] {
        assert_eq!(field(PayloadType::DELETE, &[protocol, 4, 0, 0]), "delete protocol");
    }
    assert_eq!(field(PayloadType::DELETE, &[1, 0, 0, 1]), "number of SPIs");
}

#[test]
fn a_delete_with_more_spis_than_octets_is_refused() {
    assert_eq!(field(PayloadType::DELETE, &[3, 4, 0xff, 0xff]), "number of SPIs");
    assert_eq!(field(PayloadType::DELETE, &[3, 4, 0, 2, 1, 2, 3, 4]), "deleted SPI");
    assert_eq!(field(PayloadType::DELETE, &[3, 4, 0, 0, 1, 2, 3, 4]), "delete payload");
    let mut most = vec![3, 4];
    most.extend(u16::try_from(MAX_DELETED_SPIS).unwrap().to_be_bytes());
    most.extend([1, 2, 3, 4].repeat(MAX_DELETED_SPIS));
    assert!(parse(PayloadType::DELETE, &most).is_ok());
}

#[test]
fn a_delete_of_a_reserved_spi_deletes_nothing() {
    let body = [3, 4, 0, 2, 0, 0, 0, 255, 1, 2, 3, 4];
    let expected = DeletePayload::Esp(vec![EspSpi::new(0x0102_0304).unwrap()]);
    assert_eq!(parse(PayloadType::DELETE, &body), Ok(Payload::Delete(expected)));
}

#[test]
fn a_vendor_id_may_be_empty_but_not_endless() {
    assert_eq!(parse(PayloadType::VENDOR_ID, &[]), Ok(Payload::VendorId(vec![])));
    assert_eq!(field(PayloadType::VENDOR_ID, &vec![0; 60_000]), "vendor ID");
}

mod selectors {
    use super::*;

    const V4: [u8; 16] = [7, 17, 0, 16, 0, 53, 0, 53, 10, 0, 0, 0, 10, 0, 0, 255];

    fn body(count: u8, selectors: &[&[u8]]) -> Vec<u8> {
        let mut body = vec![count, 0, 0, 0];
        body.extend(selectors.concat());
        body
    }

    fn field_of(count: u8, selectors: &[&[u8]]) -> &'static str {
        field(PayloadType::TS_INITIATOR, &body(count, selectors))
    }

    fn with(at: usize, octets: &[u8]) -> [u8; 16] {
        let mut selector = V4;
        selector[at..at + octets.len()].copy_from_slice(octets);
        selector
    }

    #[test]
    fn the_number_must_be_right() {
        assert_eq!(field_of(0, &[]), "number of traffic selectors");
        assert_eq!(field_of(255, &[&V4]), "traffic selector type");
        assert_eq!(field_of(1, &[&V4, &V4]), "traffic selectors");
    }

    #[test]
    fn the_length_must_fit_the_type() {
        for length in [0, 1, 3] {
            assert_eq!(field_of(1, &[&with(2, &[0, length])]), "selector length");
        }
        for length in [4, 7, 8, 15] {
            assert!(parse(PayloadType::TS_INITIATOR, &body(1, &[&with(2, &[0, length])])).is_err());
        }
        assert_eq!(field_of(1, &[&with(2, &[0, 17])]), "traffic selector");
        assert_eq!(field_of(1, &[&with(2, &[0xff, 0xff])]), "traffic selector");
        // A type of IPv6 with the length of IPv4, and the reverse.
        assert_eq!(field_of(1, &[&with(0, &[8])]), "starting address");
        let mut long = V4.to_vec();
        long[3] = 40;
        long.extend([0; 24]);
        assert_eq!(field_of(1, &[&long]), "traffic selector");
    }

    #[test]
    fn ranges_must_be_in_order() {
        assert_eq!(field_of(1, &[&with(12, &[9, 255, 255, 255])]), "ending address");
        assert_eq!(field_of(1, &[&with(4, &[0, 54])]), "end port");
        let Ok(Payload::TsInitiator(opaque)) =
            parse(PayloadType::TS_INITIATOR, &body(1, &[&with(4, &[0xff, 0xff, 0, 0])]))
        else {
            panic!("OPAQUE ports were refused");
        };
        assert!(opaque.selectors.as_slice()[0].ports.is_opaque());
    }

    #[test]
    fn selectors_of_other_types_are_counted_and_left_out() {
        let label = [10, 0, 0, 8, 1, 2, 3, 4];
        let Ok(Payload::TsResponder(payload)) =
            parse(PayloadType::TS_RESPONDER, &body(3, &[&label, &V4, &label]))
        else {
            panic!("refused");
        };
        assert_eq!((payload.selectors.len(), payload.skipped), (1, 2));
        assert_eq!(encode(&Payload::TsResponder(payload)), body(1, &[&V4]));
    }

    #[test]
    fn as_many_selectors_as_can_be_counted_are_accepted_and_no_more_are_written() {
        let all = V4.repeat(255);
        let Ok(Payload::TsInitiator(payload)) = parse(PayloadType::TS_INITIATOR, &body(255, &[&all])) else {
            panic!("refused");
        };
        assert_eq!(encode(&Payload::TsInitiator(payload.clone())), body(255, &[&all]));
        for count in [0, 256] {
            let one = payload.selectors.as_slice()[0];
            let payload = TrafficSelectorPayload::new(core::iter::repeat_n(one, count).collect());
            let mut writer = Writer::new();
            Payload::TsInitiator(payload).encode(&mut writer);
            assert_eq!(writer.finish().unwrap_err().field, "number of traffic selectors");
        }
    }
}

mod configuration {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut octets = kind.to_be_bytes().to_vec();
        octets.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        octets.extend(value);
        octets
    }

    fn parse_one(kind: u16, value: &[u8]) -> Result<ConfigAttribute, WireError> {
        let body = [&[1, 0, 0, 0][..], &attribute(kind, value)].concat();
        let Payload::Config(mut payload) = parse(PayloadType::CONFIG, &body)? else {
            panic!("not a configuration payload");
        };
        Ok(payload.attributes.remove(0))
    }

    #[test]
    fn addresses_have_the_length_of_an_address_or_none() {
        for (kind, length) in
            [(1, 3), (1, 5), (1, 16), (2, 1), (3, 8), (8, 4), (8, 18), (10, 17), (13, 4), (15, 16)]
        {
            let error = parse_one(kind, &vec![1; length]).unwrap_err();
            assert_eq!(error.field, "configuration attribute length", "{kind} {length}");
            assert_eq!(error.problem, Problem::BadLength(length));
        }
        assert_eq!(parse_one(1, &[]).unwrap().address(), None);
        assert_eq!(parse_one(1, &[10, 0, 0, 1]).unwrap().address(), Some(([10, 0, 0, 1].into(), 32)));
    }

    #[test]
    fn prefixes_and_masks_that_are_none_are_no_address() {
        let v6 = |prefix| [&[0x20; 16][..], &[prefix]].concat();
        assert_eq!(parse_one(8, &v6(64)).unwrap().address(), Some(([0x20; 16].into(), 64)));
        assert_eq!(parse_one(8, &v6(129)).unwrap().address(), None);
        let subnet = |mask: [u8; 4]| [&[10, 1, 0, 0][..], &mask].concat();
        assert_eq!(
            parse_one(13, &subnet([255, 255, 0, 0])).unwrap().address(),
            Some(([10, 1, 0, 0].into(), 16))
        );
        assert_eq!(parse_one(13, &subnet([255, 0, 255, 0])).unwrap().address(), None);
        assert_eq!(parse_one(13, &subnet([0, 0, 0, 0])).unwrap().address(), Some(([10, 1, 0, 0].into(), 0)));
    }

    #[test]
    fn attributes_beyond_the_payload_or_the_limit_are_refused() {
        assert_eq!(field(PayloadType::CONFIG, &[1, 0, 0, 0, 0, 1, 0, 4, 10]), "configuration attribute");
        assert_eq!(field(PayloadType::CONFIG, &[1, 0, 0]), "configuration reserved");
        let mut body = vec![1, 0, 0, 0];
        body.extend([0, 3, 0, 0].repeat(MAX_CONFIG_ATTRIBUTES));
        assert!(parse(PayloadType::CONFIG, &body).is_ok());
        body.extend([0, 3, 0, 0]);
        assert_eq!(field(PayloadType::CONFIG, &body), "configuration attributes");
    }

    #[test]
    fn text_is_kept_as_it_is_and_the_reserved_bit_is_ignored() {
        let parsed = parse_one(0x8007, b"strong\0\x1b[31mSwan").unwrap();
        assert_eq!(parsed.kind, ConfigAttributeType::APPLICATION_VERSION);
        assert_eq!(parsed.value, b"strong\0\x1b[31mSwan");
        assert_eq!(parsed.address(), None);
    }
}

#[test]
fn certificate_requests_are_read_hash_by_hash() {
    let body = [&[4][..], &[1; 20], &[2; 20], &[3; 7]].concat();
    let Ok(Payload::CertRequest(payload)) = parse(PayloadType::CERT_REQUEST, &body) else {
        panic!("refused");
    };
    assert_eq!(payload.hashes().collect::<Vec<_>>(), [&[1; 20], &[2; 20]]);
    assert_eq!(encode(&Payload::CertRequest(payload)), body);
}

#[test]
fn empty_certificates_and_proofs_lack_their_first_field() {
    assert_eq!(field(PayloadType::CERT, &[]), "certificate encoding");
    assert_eq!(field(PayloadType::CERT_REQUEST, &[]), "certificate request encoding");
    assert_eq!(field(PayloadType::AUTH, &[]), "auth method");
    assert_eq!(field(PayloadType::AUTH, &[2, 0, 0]), "auth reserved");
}
