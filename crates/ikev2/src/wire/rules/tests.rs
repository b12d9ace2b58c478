use alloc::vec;
use alloc::vec::Vec;

use ikebana_core::{AddressRange, Identity, TrafficSelector};
use ikebana_proposals::{KeyExchangeId, SaPayload};

use super::*;
use crate::wire::{
    AuthMethod, AuthPayload, CertEncoding, CertPayload, CertRequestPayload, ConfigPayload, ConfigType,
    DeletePayload, EncryptedPayload, IdPayload, KeyExchangePayload, NotifyPayload, NotifyType,
    TrafficSelectorPayload,
};

fn payload(kind: PayloadType) -> Payload {
    let id = IdPayload::new(Identity::Fqdn("a.example".into()));
    let ts = TrafficSelectorPayload::new(TrafficSelector::any_of(AddressRange::ALL_V4).into());
    match kind {
        PayloadType::SA => Payload::Sa(SaPayload::default()),
        PayloadType::KE => {
            Payload::KeyExchange(KeyExchangePayload { group: KeyExchangeId::CURVE25519, data: vec![9; 32] })
        }
        PayloadType::ID_INITIATOR => Payload::IdInitiator(id),
        PayloadType::ID_RESPONDER => Payload::IdResponder(id),
        PayloadType::CERT => {
            Payload::Cert(CertPayload { encoding: CertEncoding::X509_SIGNATURE, data: vec![] })
        }
        PayloadType::CERT_REQUEST => Payload::CertRequest(CertRequestPayload {
            encoding: CertEncoding::X509_SIGNATURE,
            authorities: vec![],
        }),
        PayloadType::AUTH => Payload::Auth(AuthPayload { method: AuthMethod::SHARED_KEY, data: vec![] }),
        PayloadType::NONCE => Payload::Nonce(vec![1; 16]),
        PayloadType::NOTIFY => Payload::Notify(NotifyPayload::new(NotifyType(40_960), vec![])),
        PayloadType::DELETE => Payload::Delete(DeletePayload::Ike),
        PayloadType::VENDOR_ID => Payload::VendorId(vec![]),
        PayloadType::TS_INITIATOR => Payload::TsInitiator(ts),
        PayloadType::TS_RESPONDER => Payload::TsResponder(ts),
        PayloadType::ENCRYPTED => {
            Payload::Encrypted(EncryptedPayload { next: PayloadType::NONE, body: vec![] })
        }
        PayloadType::CONFIG => {
            Payload::Config(ConfigPayload { kind: ConfigType::REQUEST, attributes: vec![] })
        }
        PayloadType::EAP => Payload::Eap(vec![]),
        kind => Payload::Unknown { kind, critical: false, body: vec![] },
    }
}

fn payloads(notation: &str) -> Vec<Payload> {
    notation
        .split_whitespace()
        .map(|name| {
            let kind = PayloadType::KNOWN.iter().find(|kind| kind.name() == Some(name));
            payload(*kind.unwrap_or(&PayloadType(200)))
        })
        .collect()
}

fn verdict(exchange: ExchangeType, response: bool, notation: &str) -> Result<(), RuleViolation> {
    check(exchange, response, &payloads(notation))
}

const INIT: ExchangeType = ExchangeType::IKE_SA_INIT;
const AUTH: ExchangeType = ExchangeType::IKE_AUTH;
const CHILD: ExchangeType = ExchangeType::CREATE_CHILD_SA;
const INFO: ExchangeType = ExchangeType::INFORMATIONAL;

/// The exchanges of RFC 7296 appendix C and of the extensions.
#[test]
fn the_messages_of_the_rfcs_are_allowed() {
    for (exchange, response, notation) in [
        (INIT, false, "N SA KE Nonce N N V N"),
        (INIT, true, "SA KE Nonce N N CERTREQ V"),
        (INIT, true, "N"),
        (AUTH, false, "IDi CERT CERT N CERTREQ IDr AUTH CP N SA TSi TSr V N"),
        (AUTH, false, "IDi CERTREQ SA TSi TSr"),
        (AUTH, false, "IDi AUTH N"),
        (AUTH, false, "EAP"),
        (AUTH, false, "AUTH"),
        (AUTH, true, "IDr CERT AUTH CP N SA TSi TSr N V"),
        (AUTH, true, "IDr CERT AUTH EAP"),
        (AUTH, true, "IDr AUTH N"),
        (AUTH, true, "EAP"),
        (AUTH, true, "AUTH CP SA TSi TSr N"),
        (AUTH, true, "N"),
        (CHILD, false, "N SA Nonce TSi TSr"),
        (CHILD, false, "N CP N SA Nonce KE TSi TSr V"),
        (CHILD, false, "SA Nonce KE"),
        (CHILD, true, "SA Nonce TSi TSr N"),
        (CHILD, true, "SA Nonce KE"),
        (CHILD, true, "N"),
        (INFO, false, ""),
        (INFO, false, "N D D CP V"),
        (INFO, true, ""),
        (ExchangeType::IKE_INTERMEDIATE, false, "KE"),
        (ExchangeType::IKE_FOLLOWUP_KE, false, "KE N"),
        (ExchangeType::IKE_FOLLOWUP_KE, true, "KE"),
        (ExchangeType::IKE_SESSION_RESUME, false, "Nonce N N"),
    ] {
        assert_eq!(verdict(exchange, response, notation), Ok(()), "{exchange} {notation}");
    }
}

#[test]
fn every_mandatory_payload_is_missed() {
    for (exchange, response, complete, mandatory) in [
        (INIT, false, "SA KE Nonce", "SA KE Nonce"),
        (INIT, true, "SA KE Nonce", "KE Nonce"),
        (AUTH, false, "IDi AUTH SA TSi TSr", "SA TSi TSr"),
        (AUTH, true, "IDr AUTH SA TSi TSr", "SA TSi TSr"),
        (CHILD, false, "SA Nonce TSi TSr", "SA Nonce TSr"),
        (CHILD, false, "SA Nonce KE", "SA Nonce KE"),
        (CHILD, true, "SA Nonce TSi TSr", "SA Nonce TSr"),
        (CHILD, true, "SA Nonce KE", "Nonce KE"),
        (ExchangeType::IKE_FOLLOWUP_KE, false, "KE N", "KE N"),
    ] {
        assert_eq!(verdict(exchange, response, complete), Ok(()));
        for missing in mandatory.split_whitespace() {
            let rest: Vec<_> = complete.split_whitespace().filter(|name| *name != missing).collect();
            let expected = payloads(missing)[0].kind();
            assert_eq!(
                verdict(exchange, response, &rest.join(" ")),
                Err(RuleViolation::Missing(expected)),
                "{exchange} {rest:?}"
            );
        }
    }
}

#[test]
fn payloads_that_may_be_there_once_may_not_be_there_twice() {
    for (exchange, response, notation, kind) in [
        (INIT, false, "SA SA KE Nonce", PayloadType::SA),
        (INIT, false, "SA KE Nonce KE", PayloadType::KE),
        (INIT, true, "SA KE Nonce Nonce", PayloadType::NONCE),
        (AUTH, false, "IDi IDi AUTH", PayloadType::ID_INITIATOR),
        (AUTH, false, "IDi AUTH AUTH", PayloadType::AUTH),
        (AUTH, false, "IDi AUTH SA TSi TSi TSr", PayloadType::TS_INITIATOR),
        (AUTH, true, "IDr AUTH SA TSi TSr TSr", PayloadType::TS_RESPONDER),
        (AUTH, true, "EAP EAP", PayloadType::EAP),
        (CHILD, false, "SA Nonce KE KE", PayloadType::KE),
        (INFO, true, "CP CP", PayloadType::CONFIG),
    ] {
        let expected = Err(RuleViolation::TooMany { kind, max: 1 });
        assert_eq!(verdict(exchange, response, notation), expected, "{exchange} {notation}");
    }
}

#[test]
fn payloads_of_another_exchange_are_out_of_place() {
    for (exchange, response, notation, kind) in [
        (INIT, false, "SA KE Nonce IDi", PayloadType::ID_INITIATOR),
        (INIT, true, "N KE", PayloadType::KE),
        (AUTH, false, "IDi AUTH KE", PayloadType::KE),
        (AUTH, false, "AUTH SA TSi TSr", PayloadType::SA),
        (AUTH, false, "EAP AUTH", PayloadType::AUTH),
        (CHILD, false, "SA Nonce TSi TSr EAP", PayloadType::EAP),
        (CHILD, true, "SA Nonce KE IDr", PayloadType::ID_RESPONDER),
        (INFO, false, "TSi", PayloadType::TS_INITIATOR),
        (INFO, false, "SK", PayloadType::ENCRYPTED),
    ] {
        let expected = Err(RuleViolation::Unexpected(kind));
        assert_eq!(verdict(exchange, response, notation), expected, "{exchange} {notation}");
    }
}

#[test]
fn unknown_payloads_change_nothing() {
    assert_eq!(verdict(INIT, false, "what SA KE what Nonce"), Ok(()));
    assert_eq!(verdict(INFO, true, "what what what"), Ok(()));
    assert_eq!(verdict(INIT, false, "what"), Err(RuleViolation::Missing(PayloadType::SA)));
}

#[test]
fn exchanges_of_ikev1_and_unknown_ones_have_no_rules() {
    for exchange in [0, 1, 2, 4, 5, 32, 33, 39, 42, 45, 200, 243, 255] {
        let exchange = ExchangeType(exchange);
        assert_eq!(verdict(exchange, false, "SA"), Err(RuleViolation::Exchange(exchange)));
    }
}

#[test]
fn only_the_first_exchange_is_in_the_clear() {
    assert!(!is_encrypted(INIT) && !is_encrypted(ExchangeType::IKE_SESSION_RESUME));
    assert!(is_encrypted(AUTH) && is_encrypted(CHILD) && is_encrypted(INFO));
    assert!(is_encrypted(ExchangeType::IKE_INTERMEDIATE) && is_encrypted(ExchangeType(200)));
}
