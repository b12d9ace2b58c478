//! Proposals of IKEv1 in words.

use std::fmt::Display;

use ikebana_core::EspSpi;
use ikebana_ikev1::wire::{Attribute, Proposal, SITUATION_IDENTITY_ONLY, SaPayload, Transform};
use ikebana_proposals::ikev1::LifeType;
use ikebana_proposals::ikev1::phase1::{
    Attribute as Attribute1, Authentication as Method, Encryption, Group, Hash,
};
use ikebana_proposals::ikev1::phase2::{
    AhTransform, Attribute as Attribute2, Authentication, Encapsulation, EspTransform, IpcompTransform,
    Protocol,
};

use crate::decode::text;

/// A line for each transform: proposal number, protocol, SPI and algorithms.
pub(super) fn describe(sa: &SaPayload) -> Vec<String> {
    let mut lines = Vec::new();
    if sa.situation != SITUATION_IDENTITY_ONLY {
        lines.push(format!("situation {:#x}", sa.situation));
    }
    for proposal in &sa.proposals {
        let head = format!("{} {}{}", proposal.number, proposal.protocol, spi(proposal));
        if proposal.transforms.is_empty() {
            lines.push(format!("{head} nothing"));
        }
        for transform in &proposal.transforms {
            lines.push(format!("{head} {}", transform_words(proposal.protocol, transform)));
        }
    }
    lines
}

fn spi(proposal: &Proposal) -> String {
    match proposal.spi.as_slice() {
        [] => String::new(),
        [a, b, c, d] => match EspSpi::new(u32::from_be_bytes([*a, *b, *c, *d])) {
            Some(spi) => format!(" {:08x}", spi.get()),
            None => format!(" {}", text::hex(&[*a, *b, *c, *d])),
        },
        other => format!(" {}", text::hex(other)),
    }
}

fn transform_words(protocol: Protocol, transform: &Transform) -> String {
    let mut words = vec![match protocol {
        Protocol::ISAKMP if transform.id == 1 => String::new(),
        Protocol::ESP => EspTransform(transform.id).to_string(),
        Protocol::AH => AhTransform(transform.id).to_string(),
        Protocol::IPCOMP => IpcompTransform(transform.id).to_string(),
        _ => format!("transform {}", transform.id),
    }];
    let phase1 = protocol == Protocol::ISAKMP;
    // The unit of a lifetime is an attribute before the one that has the number.
    let mut unit = None;
    for attribute in &transform.attributes {
        match lifetime(phase1, attribute) {
            Some(Lifetime::Unit) => unit = named(attribute, LifeType).or_else(|| Some(value(attribute))),
            Some(Lifetime::Number) => {
                let unit = unit.take().unwrap_or_else(|| "of no unit".to_owned());
                words.push(format!("lifetime {} {unit}", value(attribute)));
            }
            None if phase1 => words.push(phase1_word(attribute)),
            None => words.push(phase2_word(attribute)),
        }
    }
    words.retain(|word| !word.is_empty());
    words.join(", ")
}

/// The value by its name in `T`, where it is a number of that size.
fn named<T: Display>(attribute: &Attribute, of: impl Fn(u16) -> T) -> Option<String> {
    attribute.number().and_then(|number| u16::try_from(number).ok()).map(|number| of(number).to_string())
}

fn phase1_word(attribute: &Attribute) -> String {
    let kind = Attribute1(attribute.kind);
    let word = match kind {
        Attribute1::ENCRYPTION_ALGORITHM => named(attribute, Encryption),
        Attribute1::HASH_ALGORITHM => named(attribute, Hash),
        Attribute1::AUTHENTICATION_METHOD => named(attribute, Method),
        Attribute1::GROUP_DESCRIPTION => named(attribute, Group),
        Attribute1::KEY_LENGTH => Some(format!("{} bits", value(attribute))),
        Attribute1(_) => None,
    };
    word.unwrap_or_else(|| format!("{kind} {}", value(attribute)))
}

fn phase2_word(attribute: &Attribute) -> String {
    let kind = Attribute2(attribute.kind);
    let word = match kind {
        Attribute2::GROUP_DESCRIPTION => named(attribute, Group),
        Attribute2::ENCAPSULATION_MODE => named(attribute, Encapsulation),
        Attribute2::AUTHENTICATION_ALGORITHM => named(attribute, Authentication),
        Attribute2::KEY_LENGTH => Some(format!("{} bits", value(attribute))),
        Attribute2(_) => None,
    };
    word.unwrap_or_else(|| format!("{kind} {}", value(attribute)))
}

/// The two attributes that a lifetime is made of.
enum Lifetime {
    Unit,
    Number,
}

fn lifetime(phase1: bool, attribute: &Attribute) -> Option<Lifetime> {
    let (unit, number) = if phase1 {
        (Attribute1::LIFE_TYPE.0, Attribute1::LIFE_DURATION.0)
    } else {
        (Attribute2::SA_LIFE_TYPE.0, Attribute2::SA_LIFE_DURATION.0)
    };
    match attribute.kind {
        kind if kind == unit => Some(Lifetime::Unit),
        kind if kind == number => Some(Lifetime::Number),
        _ => None,
    }
}

fn value(attribute: &Attribute) -> String {
    match attribute.number() {
        Some(number) => number.to_string(),
        None => text::hex(&attribute.octets()),
    }
}
