//! Every payload that can be made survives its octets.

#![allow(clippy::unwrap_used, reason = "strategies unwrap what their inputs make right")]

use ikebana_core::identity::IdType;
use ikebana_core::{AddressRange, EspSpi, Identity, IkeSpi, PortRange, TrafficSelector, TrafficSelectors};
use ikebana_crypto::{CipherKeys, CryptoProvider};
use ikebana_ike::{ExchangeType, Flags, IkeHeader};
use ikebana_ikev2::wire::{
    AuthMethod, AuthPayload, CertEncoding, CertPayload, CertRequestPayload, ConfigAttribute,
    ConfigAttributeType, ConfigPayload, ConfigType, DeletePayload, IdPayload, IvSource, KeyExchangePayload,
    NotifyPayload, NotifyType, Payload, PayloadType, TrafficSelectorPayload, encode_clear, open, parse_clear,
    seal,
};
use ikebana_proposals::{
    Encryption, EncryptionId, KeyExchangeId, OfferedProposal, ProtocolId, SaPayload, Transform, TransformType,
};
use ikebana_testkit::SeededRng;
use proptest::collection::vec;
use proptest::prelude::*;

fn octets(most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..=most)
}

fn sa() -> impl Strategy<Value = SaPayload> {
    let transform = (any::<u8>(), any::<u16>(), any::<Option<u16>>())
        .prop_map(|(kind, id, key_bits)| Transform { key_bits, ..Transform::new(TransformType(kind), id) });
    let proposal = (any::<u8>(), octets(8), vec(transform, 0..20));
    vec(proposal, 1..8).prop_map(|proposals| {
        let numbered = (1..).zip(proposals).map(|(number, (protocol, spi, transforms))| OfferedProposal {
            number,
            protocol: ProtocolId(protocol),
            spi,
            transforms,
        });
        SaPayload { proposals: numbered.collect() }
    })
}

fn identity() -> impl Strategy<Value = IdPayload> {
    let identity = prop_oneof![
        any::<[u8; 4]>().prop_map(|octets| Identity::Ipv4(octets.into())),
        any::<[u8; 16]>().prop_map(|octets| Identity::Ipv6(octets.into())),
        "[a-z0-9.-]{1,60}".prop_map(Identity::Fqdn),
        "[ -~]{1,20}@[a-z.]{1,20}".prop_map(Identity::Email),
        vec(any::<u8>(), 1..80).prop_map(Identity::KeyId),
        octets(40).prop_map(|data| Identity::Other(IdType(201), data)),
    ];
    (any::<[u8; 3]>(), identity).prop_map(|(reserved, identity)| IdPayload { reserved, identity })
}

fn selector() -> impl Strategy<Value = TrafficSelector> {
    let addresses = prop_oneof![
        any::<([u8; 4], [u8; 4])>().prop_map(|(a, b)| (a.min(b).into(), a.max(b).into())),
        any::<([u8; 16], [u8; 16])>().prop_map(|(a, b)| (a.min(b).into(), a.max(b).into())),
    ]
    .prop_map(|(first, last)| AddressRange::new(first, last).unwrap());
    let ports = prop_oneof![
        any::<(u16, u16)>().prop_map(|(a, b)| PortRange::new(a.min(b), a.max(b)).unwrap()),
        Just(PortRange::OPAQUE),
        Just(PortRange::ANY),
    ];
    (any::<u8>(), addresses, ports).prop_map(|(protocol, addresses, ports)| TrafficSelector {
        protocol,
        addresses,
        ports,
    })
}

fn selectors() -> impl Strategy<Value = TrafficSelectorPayload> {
    vec(selector(), 1..20).prop_map(|list| TrafficSelectorPayload::new(TrafficSelectors::new(list)))
}

fn spis() -> impl Strategy<Value = Vec<EspSpi>> {
    vec((256..=u32::MAX).prop_map(|spi| EspSpi::new(spi).unwrap()), 0..30)
}

fn configuration() -> impl Strategy<Value = ConfigPayload> {
    let attribute = prop_oneof![
        (0_u16..0x8000).prop_map(|kind| ConfigAttribute::request(ConfigAttributeType(kind))),
        any::<[u8; 4]>().prop_map(|address| ConfigAttribute {
            kind: ConfigAttributeType::INTERNAL_IP4_ADDRESS,
            value: address.to_vec(),
        }),
        any::<[u8; 17]>().prop_map(|address| ConfigAttribute {
            kind: ConfigAttributeType::INTERNAL_IP6_SUBNET,
            value: address.to_vec(),
        }),
        octets(60).prop_map(|value| ConfigAttribute { kind: ConfigAttributeType(0x4123), value }),
    ];
    (any::<u8>(), vec(attribute, 0..20))
        .prop_map(|(kind, attributes)| ConfigPayload { kind: ConfigType(kind), attributes })
}

fn payload() -> impl Strategy<Value = Payload> {
    prop_oneof![
        sa().prop_map(Payload::Sa),
        (any::<u16>(), vec(any::<u8>(), 1..600)).prop_map(|(group, data)| {
            Payload::KeyExchange(KeyExchangePayload { group: KeyExchangeId(group), data })
        }),
        identity().prop_map(Payload::IdInitiator),
        identity().prop_map(Payload::IdResponder),
        (any::<u8>(), octets(300)).prop_map(|(encoding, data)| {
            Payload::Cert(CertPayload { encoding: CertEncoding(encoding), data })
        }),
        (any::<u8>(), octets(100)).prop_map(|(encoding, authorities)| {
            Payload::CertRequest(CertRequestPayload { encoding: CertEncoding(encoding), authorities })
        }),
        (any::<u8>(), octets(100))
            .prop_map(|(method, data)| { Payload::Auth(AuthPayload { method: AuthMethod(method), data }) }),
        vec(any::<u8>(), 16..=256).prop_map(Payload::Nonce),
        (any::<u8>(), octets(255), any::<u16>(), octets(100)).prop_map(|(protocol, spi, kind, data)| {
            let (protocol, kind) = (ProtocolId(protocol), NotifyType(kind));
            Payload::Notify(NotifyPayload { protocol, spi, kind, data })
        }),
        Just(Payload::Delete(DeletePayload::Ike)),
        spis().prop_map(|spis| Payload::Delete(DeletePayload::Esp(spis))),
        spis().prop_map(|spis| Payload::Delete(DeletePayload::Ah(spis))),
        octets(100).prop_map(Payload::VendorId),
        selectors().prop_map(Payload::TsInitiator),
        selectors().prop_map(Payload::TsResponder),
        configuration().prop_map(Payload::Config),
        octets(200).prop_map(Payload::Eap),
        (55_u8..=255, octets(100)).prop_map(|(kind, body)| Payload::Unknown {
            kind: PayloadType(kind),
            critical: false,
            body,
        }),
    ]
}

fn header() -> impl Strategy<Value = IkeHeader> {
    (any::<[u8; 8]>(), any::<[u8; 8]>(), any::<u8>(), any::<u8>(), any::<u32>()).prop_map(
        |(initiator, responder, exchange, flags, message_id)| IkeHeader {
            initiator_spi: IkeSpi(initiator),
            responder_spi: IkeSpi(responder),
            next_payload: 0,
            major: 2,
            minor: 0,
            exchange: ExchangeType(exchange),
            flags: Flags(flags),
            message_id,
            length: 0,
        },
    )
}

/// The header as it is once the message around it is complete.
fn completed(header: &IkeHeader, first: Option<PayloadType>, octets: &[u8]) -> IkeHeader {
    IkeHeader {
        next_payload: first.map_or(0, |kind| kind.0),
        length: u32::try_from(octets.len()).unwrap(),
        ..*header
    }
}

proptest! {
    #[test]
    fn payloads_survive_the_octets_of_a_clear_message(header in header(), payloads in vec(payload(), 0..12)) {
        let octets = encode_clear(&header, &payloads).unwrap();
        let message = parse_clear(&octets).unwrap();
        prop_assert_eq!(message.header, completed(&header, payloads.first().map(Payload::kind), &octets));
        prop_assert_eq!(message.payloads, payloads);
    }

    #[test]
    fn payloads_survive_the_octets_of_an_encrypted_message(
        header in header(),
        payloads in vec(payload(), 0..12),
        mut counter in 0..u64::MAX,
    ) {
        let encryption = Encryption { id: EncryptionId::AES_GCM_16, key_bits: 128 };
        let keys = CipherKeys { encryption: &[5; 20], integrity: &[] };
        let cipher = CryptoProvider::rust_crypto().packet_cipher(encryption, None, &keys).unwrap();
        let mut iv = IvSource { counter: &mut counter, rng: &mut SeededRng::new(3) };
        let octets = seal(&*cipher, &header, &payloads, &mut iv).unwrap();
        let opened = open(&*cipher, &octets).unwrap();
        prop_assert_eq!(opened.header, completed(&header, Some(PayloadType::ENCRYPTED), &octets));
        prop_assert_eq!(opened.payloads, payloads);
    }

    #[test]
    fn octets_that_are_anything_are_no_panic(octets in vec(any::<u8>(), 0..200)) {
        let mut message = octets;
        if let Some(version) = message.get_mut(17) {
            *version = 0x20;
        }
        let length = u32::try_from(message.len()).unwrap();
        if let Some(field) = message.get_mut(24..28) {
            field.copy_from_slice(&length.to_be_bytes());
        }
        if let Ok(parsed) = parse_clear(&message) {
            prop_assert_eq!(parsed.header.length, length);
        }
    }
}
