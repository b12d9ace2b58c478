//! Identities and traffic selectors as text and on the wire: nothing is a panic, what is printed reads back as the
//! same, what is written is read as the same, and narrowing gives what both sides allow.
#![no_main]

use ikebana_core::{IdType, Identity, IdentityPattern, TrafficSelector, TrafficSelectors};
use ikebana_ikev2::wire::{
    IdPayload, Payload, PayloadType, TrafficSelectorPayload, encode_clear, parse_chain, parse_clear,
};
use libfuzzer_sys::fuzz_target;

/// The header of an IKEv2 message, to put one payload behind.
const HEADER: [u8; 28] = [
    1, 2, 3, 4, 5, 6, 7, 8, 8, 7, 6, 5, 4, 3, 2, 1, // SPIs
    0, 0x20, 35, 0x08, 0, 0, 0, 1, // no payload, version 2, IKE_AUTH
    0, 0, 0, 28,
];

/// The payload as it is read after it was written.
fn over_the_wire(payload: Payload) -> Payload {
    let header = parse_clear(&HEADER).expect("a message without payloads").header;
    let written = encode_clear(&header, &[payload]).expect("what was read can be written");
    let mut payloads = parse_clear(&written).expect("what was written can be read").payloads;
    assert_eq!(payloads.len(), 1);
    payloads.remove(0)
}

fn check_identity(identity: &Identity) {
    assert!(identity.is_same(identity));
    assert_eq!(Identity::from_wire(identity.id_type(), &identity.data()).as_ref(), Ok(identity));
    let payload = Payload::IdInitiator(IdPayload::new(identity.clone()));
    assert_eq!(over_the_wire(payload.clone()), payload);

    let text = identity.to_string();
    assert!(!text.chars().any(char::is_control), "{text:?}");
    let again: Identity = text.parse().expect("what is printed can be read");
    // A distinguished name may come back with other kinds of strings in it.
    let is_exact = !matches!(identity, Identity::DerDn(_));
    assert!(again == *identity || !is_exact && again.is_same(identity), "{identity:?} is {again:?}");
    let pattern: IdentityPattern = text.parse().expect("an identity is a pattern");
    assert!(pattern.matches(identity) && pattern.as_exact().is_some(), "{text:?} is {pattern:?}");
}

fn check_pattern(pattern: &IdentityPattern) {
    let text = pattern.to_string();
    assert!(!text.chars().any(char::is_control), "{text:?}");
    let again: IdentityPattern = text.parse().expect("what is printed can be read");
    match (pattern, &again) {
        (IdentityPattern::Exact(one), IdentityPattern::Exact(other)) => assert!(one.is_same(other)),
        _ => assert_eq!(again, *pattern, "{text:?}"),
    }
}

fn check_selectors(selectors: &TrafficSelectors) {
    assert_eq!(selectors.to_string().parse().as_ref(), Ok(selectors));
    for selector in selectors {
        assert_eq!(selector.to_string().parse().as_ref(), Ok(selector));
        assert!(selector.contains(selector));
    }
    if selectors.len() <= TrafficSelectors::MOST_IN_PAYLOAD {
        let payload = Payload::TsInitiator(TrafficSelectorPayload::new(selectors.clone()));
        assert_eq!(over_the_wire(payload.clone()), payload);
    }
    // One half is what we allow, the other what a peer offers.
    let (policy, offer) = selectors.as_slice().split_at(selectors.len() / 2);
    let part = |list: &[TrafficSelector]| TrafficSelectors::new(list.iter().take(64).copied().collect());
    let (policy, offer) = (part(policy), part(offer));
    let answer = policy.narrow(&offer);
    assert!(answer.len() <= TrafficSelectors::MOST_IN_PAYLOAD);
    assert!(policy.contains(&answer) && offer.contains(&answer), "{policy} narrowed {offer} to {answer}");
    assert_eq!(policy.narrow(&answer), answer);
}

fuzz_target!(|octets: &[u8]| {
    if let Ok(text) = std::str::from_utf8(octets) {
        if let Ok(identity) = text.parse::<Identity>() {
            check_identity(&identity);
        }
        if let Ok(pattern) = text.parse::<IdentityPattern>() {
            check_pattern(&pattern);
        }
        if let Ok(selector) = text.parse::<TrafficSelector>() {
            check_selectors(&TrafficSelectors::from(selector));
        }
        if let Ok(selectors) = text.parse::<TrafficSelectors>() {
            check_selectors(&selectors);
        }
    }
    if let Some((kind, data)) = octets.split_first()
        && let Ok(identity) = Identity::from_wire(IdType(*kind), data)
    {
        check_identity(&identity);
    }
    // The body of a payload, behind a generic header.
    let length = u16::try_from(octets.len() + 4).unwrap_or(u16::MAX);
    let payload = [&[0, 0][..], &length.to_be_bytes(), octets].concat();
    for kind in [PayloadType::TS_RESPONDER, PayloadType::ID_RESPONDER] {
        for payload in parse_chain(kind, &payload).unwrap_or_default() {
            match payload {
                Payload::TsResponder(list) if !list.selectors.is_empty() => check_selectors(&list.selectors),
                Payload::IdResponder(id) => check_identity(&id.identity),
                _ => {}
            }
        }
    }
});
