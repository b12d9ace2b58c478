//! Identities as people write and read them.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use thiserror::Error;

use super::dn::{self, DnPattern};
use super::{IdType, Identity, IdentityPattern, MAX_IDENTITY_OCTETS};

/// A text that is no identity or pattern, and why.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("identity {text:?}: {problem}")]
pub struct IdentityError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub problem: IdentityProblem,
}

/// The ways in which a text can fail to be an identity.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IdentityProblem {
    /// Nothing there.
    #[error("is empty")]
    Empty,
    /// A wildcard in a place for one identity, or in a place where none is understood.
    #[error(
        "a wildcard is not one identity (understood in patterns: %any, *.example.com, *@example.com, CN=*)"
    )]
    Wildcard,
    /// It has a colon, but is no IPv6 address, and has no known prefix.
    #[error("is no IPv6 address and has no known type before its colon; write keyid:... for a key id")]
    UnknownType,
    /// The prefix promises an address.
    #[error("is not an address of that family")]
    BadAddress,
    /// The digits after `#` are no octets.
    #[error("has no even number of hexadecimal digits after the #")]
    BadHex,
    /// An attribute of a distinguished name is unknown.
    #[error("attribute {0:?} is unknown; use C, ST, L, O, OU, CN, DC, UID, E, serialNumber ... or an OID")]
    UnknownAttribute(String),
    /// A part of a distinguished name is not of the form `name=value`.
    #[error("every part of a distinguished name must be name=value")]
    NoAttributeValue,
    /// A quote or escape in a distinguished name does not end.
    #[error("ends inside a quoted or escaped value")]
    UnfinishedValue,
    /// The octets given in hex are no DER distinguished name.
    #[error("is not DER of a distinguished name")]
    BadDer,
    /// Characters that such a name cannot have.
    #[error("has characters that such a name cannot have (only printable ASCII)")]
    NotText,
    /// Longer than [`MAX_IDENTITY_OCTETS`].
    #[error("is longer than {MAX_IDENTITY_OCTETS} octets")]
    TooLong,
}

impl IdentityError {
    pub(super) fn new(text: &str, problem: IdentityProblem) -> Self {
        // An error message is no place for a megabyte of someone's input.
        Self { text: text.chars().take(200).collect(), problem }
    }
}

impl FromStr for Identity {
    type Err = IdentityError;

    /// Reads an identity as swanctl does:
    ///
    /// | text | identity |
    /// |---|---|
    /// | `192.0.2.1`, `2001:db8::1` | an address |
    /// | `moon.example.com`, `@moon.example.com` | a domain name |
    /// | `carol@example.com`, `@@carol@example.com` | an email address |
    /// | `C=CH, O=strongSwan, CN=moon` | a distinguished name |
    /// | `@#0a0b0c` | a key id, in hex |
    /// | `ipv4:`, `ipv6:`, `fqdn:`, `dns:`, `email:`, `rfc822:`, `userfqdn:`, `asn1dn:`, `asn1gn:`, `keyid:` | that type, as text or as `#` and hex |
    /// | `{11}:#0a0b0c` | the type with that number, in hex |
    ///
    /// Unlike there, a wildcard is an error (see [`super::IdentityPattern`]), and so is a text with a colon
    /// that is neither an IPv6 address nor one of the prefixes: a mistyped address should not become a key id.
    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let identity = parse(text.trim()).map_err(|problem| IdentityError::new(text, problem))?;
        if identity.data().len() > MAX_IDENTITY_OCTETS {
            return Err(IdentityError::new(text, IdentityProblem::TooLong));
        }
        Ok(identity)
    }
}

fn parse(text: &str) -> Result<Identity, IdentityProblem> {
    if text.is_empty() {
        return Err(IdentityProblem::Empty);
    }
    if matches!(text, "%any" | "%any6" | "*" | "0.0.0.0" | "::") {
        return Err(IdentityProblem::Wildcard);
    }
    if let Some((kind, value)) = type_prefix(text) {
        return typed(kind, value);
    }
    if let Some(pattern) = parse_dn(text) {
        return pattern?.to_der().map(Identity::DerDn).ok_or(IdentityProblem::Wildcard);
    }
    if let Some(hex) = text.strip_prefix("@#") {
        return key_id(parse_hex(hex).ok_or(IdentityProblem::BadHex)?);
    }
    if let Some(address) = text.strip_prefix("@@") {
        return name(address).map(Identity::Email);
    }
    if let Some(host) = text.strip_prefix('@') {
        return name(host).map(Identity::Fqdn);
    }
    if text.contains('@') {
        return name(text).map(Identity::Email);
    }
    if let Ok(address) = text.parse::<core::net::IpAddr>() {
        return Ok(address.into());
    }
    if text.contains(':') {
        return Err(IdentityProblem::UnknownType);
    }
    name(text).map(Identity::Fqdn)
}

/// The type and the rest of `fqdn:moon` or `{2}:#6d6f6f6e`.
fn type_prefix(text: &str) -> Option<(IdType, &str)> {
    let (prefix, value) = text.split_once(':')?;
    let kind = match prefix.to_ascii_lowercase().as_str() {
        "ipv4" => IdType::IPV4_ADDR,
        "ipv6" => IdType::IPV6_ADDR,
        "fqdn" | "dns" => IdType::FQDN,
        "email" | "rfc822" | "userfqdn" => IdType::RFC822_ADDR,
        "asn1dn" => IdType::DER_ASN1_DN,
        "asn1gn" => IdType::DER_ASN1_GN,
        "keyid" => IdType::KEY_ID,
        number => IdType(number.strip_prefix('{')?.strip_suffix('}')?.parse().ok()?),
    };
    Some((kind, value))
}

fn typed(kind: IdType, value: &str) -> Result<Identity, IdentityProblem> {
    if let Some(hex) = value.strip_prefix('#') {
        // A type that nothing is known about may have no data, as ID_NULL has none (RFC 7619 2.3).
        if hex.is_empty() && kind.name().is_none() {
            return Ok(Identity::Other(kind, Vec::new()));
        }
        let data = parse_hex(hex).ok_or(IdentityProblem::BadHex)?;
        return Identity::from_wire(kind, &data).map_err(|_| match kind {
            _ if data.len() > MAX_IDENTITY_OCTETS => IdentityProblem::TooLong,
            IdType::IPV4_ADDR | IdType::IPV6_ADDR => IdentityProblem::BadAddress,
            IdType::DER_ASN1_DN => IdentityProblem::BadDer,
            _ => IdentityProblem::Empty,
        });
    }
    match kind {
        IdType::IPV4_ADDR => value.parse().map(Identity::Ipv4).map_err(|_| IdentityProblem::BadAddress),
        IdType::IPV6_ADDR => value.parse().map(Identity::Ipv6).map_err(|_| IdentityProblem::BadAddress),
        IdType::FQDN => name(value).map(Identity::Fqdn),
        IdType::RFC822_ADDR => name(value).map(Identity::Email),
        IdType::DER_ASN1_DN => {
            let pattern = DnPattern::parse(value)?;
            pattern.to_der().map(Identity::DerDn).ok_or(IdentityProblem::Wildcard)
        }
        IdType::KEY_ID => key_id(value.as_bytes().to_vec()),
        _ => Err(IdentityProblem::BadHex),
    }
}

fn key_id(octets: Vec<u8>) -> Result<Identity, IdentityProblem> {
    if octets.is_empty() { Err(IdentityProblem::Empty) } else { Ok(Identity::KeyId(octets)) }
}

fn name(text: &str) -> Result<String, IdentityProblem> {
    if text.is_empty() {
        return Err(IdentityProblem::Empty);
    }
    if text.contains('*') {
        return Err(IdentityProblem::Wildcard);
    }
    super::printable(text.as_bytes()).ok_or(IdentityProblem::NotText)
}

/// The distinguished name that `text` is, if it looks like one at all.
pub(super) fn parse_dn(text: &str) -> Option<Result<DnPattern, IdentityProblem>> {
    let dn = text.strip_prefix("asn1dn:").filter(|value| !value.starts_with('#'));
    let looks_like_one = || text.contains('=') && !text.starts_with('@') && type_prefix(text).is_none();
    match dn {
        Some(value) => Some(DnPattern::parse(value)),
        None => looks_like_one().then(|| DnPattern::parse(text)),
    }
}

pub(super) fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .filter(|char| *char != ':')
        .map(|char| char.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digits = digits?;
    let pairs = digits.chunks_exact(2);
    if digits.is_empty() || !pairs.remainder().is_empty() {
        return None;
    }
    Some(pairs.map(|pair| pair.iter().fold(0, |octet, digit| octet << 4 | digit)).collect())
}

impl fmt::Display for Identity {
    /// Prints what [`FromStr`] reads back as the same identity, without ever a control character.
    ///
    /// A name that would read as something else, such as a domain name that looks like an address or, as a
    /// pattern, like a range of them, gets an `@` or a type in front; octets that are no plain text are printed
    /// in hex.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipv4(address) if address.is_unspecified() => f.write_str("ipv4:0.0.0.0"),
            Self::Ipv6(address) if address.is_unspecified() => f.write_str("ipv6:::"),
            Self::Ipv4(address) => address.fmt(f),
            Self::Ipv6(address) => address.fmt(f),
            Self::Fqdn(name) => write_name(f, self, name, "@"),
            Self::Email(name) => write_name(f, self, name, "@@"),
            Self::DerDn(der) => match dn::write_text(f, der)? {
                true => Ok(()),
                false => write_hex(f, "asn1dn:", der),
            },
            Self::KeyId(octets) => match plain(octets) {
                Some(text) if !text.starts_with('#') && text.trim() == text => write!(f, "keyid:{text}"),
                _ => write_hex(f, "keyid:", octets),
            },
            Self::Other(kind, octets) => write_hex(f, format_args!("{{{}}}:", kind.0), octets),
        }
    }
}

fn write_name(f: &mut fmt::Formatter<'_>, identity: &Identity, name: &str, marker: &str) -> fmt::Result {
    if let Some(text) = plain(name.as_bytes()) {
        // Where patterns are written, it must be this identity too, and not all that are like it.
        let reads_back = |text: &str| match text.parse() {
            Ok(IdentityPattern::Exact(again)) => text.trim() == text && again == *identity,
            Ok(_) | Err(_) => false,
        };
        if reads_back(text) {
            return f.write_str(text);
        }
        let marked = alloc::format!("{marker}{text}");
        if reads_back(&marked) {
            return f.write_str(&marked);
        }
    }
    write_hex(f, format_args!("{{{}}}:", identity.id_type().0), name.as_bytes())
}

/// `octets` as text if they can be shown as they are: ASCII without control characters, quotes, backslashes.
fn plain(octets: &[u8]) -> Option<&str> {
    let harmless = |octet: &u8| matches!(octet, 0x20..=0x7e) && !matches!(octet, b'"' | b'\\' | b'\'' | b'`');
    if octets.is_empty() || !octets.iter().all(harmless) {
        return None;
    }
    core::str::from_utf8(octets).ok()
}

fn write_hex(f: &mut fmt::Formatter<'_>, prefix: impl fmt::Display, octets: &[u8]) -> fmt::Result {
    write!(f, "{prefix}#")?;
    octets.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
}
