//! Attributes of XAUTH (draft-ietf-ipsec-isakmp-xauth-06 6.2), as far as passwords and one-time codes go.

use alloc::string::String;
use alloc::vec::Vec;

use ikebana_core::Secret;

use crate::wire::{Attribute, AttributeValue, ConfigAttribute};

/// The longest user name or password that is taken, and the longest text of a peer's that is shown.
const LONGEST: usize = 255;

/// Types of authentication: by password, and by one-time code. The others are challenges of their own.
const GENERIC: u64 = 0;
const ONE_TIME: u64 = 2;

/// What the server wants to know.
pub(super) struct Demand {
    /// Its text for the user.
    pub(super) message: Option<String>,
    kind: Option<u64>,
    asked: Vec<u16>,
}

impl Demand {
    pub(super) fn read(attributes: &[Attribute]) -> Self {
        let kind = find(attributes, ConfigAttribute::XAUTH_TYPE).and_then(Attribute::number);
        let mut asked: Vec<u16> = Vec::new();
        for attribute in attributes.iter().filter(|attribute| is_one(attribute)) {
            if !asked.contains(&attribute.kind) {
                asked.push(attribute.kind);
            }
        }
        Self { message: read_message(attributes), kind, asked }
    }

    /// Whether it is something that a password or a one-time code answers.
    pub(super) fn is_supported(&self) -> bool {
        let known = self.kind.is_none_or(|kind| [GENERIC, ONE_TIME].contains(&kind));
        known && !self.asked.contains(&ConfigAttribute::XAUTH_NEXT_PIN.0)
    }

    /// The secrets that it asks for, the password first.
    pub(super) fn secrets(&self) -> impl Iterator<Item = u16> + '_ {
        [ConfigAttribute::XAUTH_USER_PASSWORD, ConfigAttribute::XAUTH_PASSCODE, ConfigAttribute::XAUTH_ANSWER]
            .into_iter()
            .map(|kind| kind.0)
            .filter(|kind| self.asked.contains(kind))
    }

    /// What answers it, without the secrets.
    pub(super) fn reply(&self, user: &str) -> Vec<Attribute> {
        let mut reply = Vec::new();
        if let Some(kind) = self.kind.and_then(|kind| u16::try_from(kind).ok()) {
            reply.push(Attribute { kind: ConfigAttribute::XAUTH_TYPE.0, value: AttributeValue::Short(kind) });
        }
        for (kind, text) in [(ConfigAttribute::XAUTH_USER_NAME, user), (ConfigAttribute::XAUTH_DOMAIN, "")] {
            if self.asked.contains(&kind.0) {
                reply.push(value(kind.0, text.as_bytes().to_vec()));
            }
        }
        reply
    }
}

/// Who the client says the user is.
pub(super) struct Claim {
    pub(super) user: String,
    pub(super) password: Secret,
}

impl Claim {
    /// `None` if there is no name, or nothing to prove it.
    pub(super) fn read(attributes: &[Attribute]) -> Option<Self> {
        let user = text_of(find(attributes, ConfigAttribute::XAUTH_USER_NAME)?)?;
        let proof = [ConfigAttribute::XAUTH_USER_PASSWORD, ConfigAttribute::XAUTH_PASSCODE]
            .into_iter()
            .find_map(|kind| find(attributes, kind))?;
        let AttributeValue::Long(octets) = &proof.value else { return None };
        let octets = without_end(octets);
        let fits = !user.is_empty() && !octets.is_empty() && octets.len() <= LONGEST;
        fits.then(|| Self { user, password: Secret::from_slice(octets) })
    }
}

/// What a server asks a client.
pub(super) fn request(message: Option<&str>) -> Vec<Attribute> {
    let mut request = Vec::from([
        value(ConfigAttribute::XAUTH_USER_NAME.0, Vec::new()),
        value(ConfigAttribute::XAUTH_USER_PASSWORD.0, Vec::new()),
    ]);
    if let Some(message) = message {
        request.push(value(ConfigAttribute::XAUTH_MESSAGE.0, message.as_bytes().to_vec()));
    }
    request
}

/// What a server thinks of a claim, or a client that makes none.
pub(super) fn status(success: bool) -> Vec<Attribute> {
    let value = AttributeValue::Short(success.into());
    Vec::from([Attribute { kind: ConfigAttribute::XAUTH_STATUS.0, value }])
}

pub(super) fn read_status(attributes: &[Attribute]) -> Option<bool> {
    Some(find(attributes, ConfigAttribute::XAUTH_STATUS)?.number()? == 1)
}

/// The peer's text, without what a terminal would take for more than text.
pub(super) fn read_message(attributes: &[Attribute]) -> Option<String> {
    let AttributeValue::Long(octets) = &find(attributes, ConfigAttribute::XAUTH_MESSAGE)?.value else {
        return None;
    };
    let octets = octets.get(..LONGEST).unwrap_or(octets);
    let text: String = String::from_utf8_lossy(octets)
        .chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.into())
}

/// The types of what was set, without values.
pub(super) fn acknowledgement(attributes: &[Attribute]) -> Vec<Attribute> {
    attributes.iter().map(|attribute| value(attribute.kind, Vec::new())).collect()
}

pub(super) fn value(kind: u16, octets: Vec<u8>) -> Attribute {
    Attribute { kind, value: AttributeValue::Long(octets) }
}

/// Whether the attribute is one of XAUTH.
pub(super) fn is_one(attribute: &Attribute) -> bool {
    (ConfigAttribute::XAUTH_TYPE.0..=ConfigAttribute::XAUTH_ANSWER.0).contains(&attribute.kind)
}

/// Whether the secret changes each time.
pub(super) fn is_passcode(kind: u16) -> bool {
    [ConfigAttribute::XAUTH_PASSCODE.0, ConfigAttribute::XAUTH_ANSWER.0].contains(&kind)
}

/// Wipes what may be a secret.
pub(crate) fn wipe(attributes: Vec<Attribute>) {
    for attribute in attributes {
        if let AttributeValue::Long(octets) = attribute.value {
            drop(Secret::new(octets));
        }
    }
}

fn find(attributes: &[Attribute], kind: ConfigAttribute) -> Option<&Attribute> {
    attributes.iter().find(|attribute| attribute.kind == kind.0)
}

fn text_of(attribute: &Attribute) -> Option<String> {
    let AttributeValue::Long(octets) = &attribute.value else { return None };
    let octets = without_end(octets);
    if octets.len() > LONGEST {
        return None;
    }
    core::str::from_utf8(octets).ok().filter(|text| !text.chars().any(char::is_control)).map(String::from)
}

/// Some clients send the zero that ends a string in C.
fn without_end(octets: &[u8]) -> &[u8] {
    octets.strip_suffix(&[0]).unwrap_or(octets)
}
