//! X.500 distinguished names (RFC 5280 4.1.2.4) and their text.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::der::asn1::{
    Any, Ia5StringRef, ObjectIdentifier, PrintableStringRef, SetOfVec, Utf8StringRef,
};
use x509_cert::der::{Decode, Encode, Tag, Tagged};
use x509_cert::name::{RdnSequence, RelativeDistinguishedName};

use super::text::IdentityProblem;

const EMAIL: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.1");
const DOMAIN_COMPONENT: ObjectIdentifier = ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.25");

/// Attribute names as swanctl knows them. The first name of an attribute is the one that is printed.
const NAMES: &[(&str, ObjectIdentifier)] = &[
    ("C", ObjectIdentifier::new_unwrap("2.5.4.6")),
    ("ST", ObjectIdentifier::new_unwrap("2.5.4.8")),
    ("L", ObjectIdentifier::new_unwrap("2.5.4.7")),
    ("STREET", ObjectIdentifier::new_unwrap("2.5.4.9")),
    ("O", ObjectIdentifier::new_unwrap("2.5.4.10")),
    ("OU", ObjectIdentifier::new_unwrap("2.5.4.11")),
    ("CN", ObjectIdentifier::new_unwrap("2.5.4.3")),
    ("S", ObjectIdentifier::new_unwrap("2.5.4.4")),
    ("SN", ObjectIdentifier::new_unwrap("2.5.4.5")),
    ("serialNumber", ObjectIdentifier::new_unwrap("2.5.4.5")),
    ("T", ObjectIdentifier::new_unwrap("2.5.4.12")),
    ("D", ObjectIdentifier::new_unwrap("2.5.4.13")),
    ("N", ObjectIdentifier::new_unwrap("2.5.4.41")),
    ("G", ObjectIdentifier::new_unwrap("2.5.4.42")),
    ("I", ObjectIdentifier::new_unwrap("2.5.4.43")),
    ("ID", ObjectIdentifier::new_unwrap("2.5.4.45")),
    ("dnQualifier", ObjectIdentifier::new_unwrap("2.5.4.46")),
    ("UID", ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.1")),
    ("DC", DOMAIN_COMPONENT),
    ("E", EMAIL),
    ("emailAddress", EMAIL),
    ("email", EMAIL),
    ("unstructuredName", ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.2")),
    ("UN", ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.2")),
    ("employeeNumber", ObjectIdentifier::new_unwrap("2.16.840.1.113730.3.1.3")),
    ("EN", ObjectIdentifier::new_unwrap("2.16.840.1.113730.3.1.3")),
];

/// What one attribute of a distinguished name must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributePattern {
    oid: ObjectIdentifier,
    /// `None` for any value.
    value: Option<Any>,
}

/// A distinguished name in which values may be left open: `C=CH, O=strongSwan, CN=*`.
///
/// The attributes must be there in this order, each in a set of its own, and no others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnPattern(Vec<AttributePattern>);

impl DnPattern {
    /// Whether any value is left open.
    #[must_use]
    pub fn has_wildcard(&self) -> bool {
        self.0.iter().any(|attribute| attribute.value.is_none())
    }

    /// Whether the DER-encoded name `name` fits.
    #[must_use]
    pub fn matches(&self, name: &[u8]) -> bool {
        let Ok(name) = RdnSequence::from_der(name) else { return false };
        name.len() == self.0.len()
            && name.iter().zip(&self.0).all(|(set, pattern)| match set.as_ref().as_slice() {
                [attribute] => {
                    attribute.oid == pattern.oid
                        && pattern.value.as_ref().is_none_or(|value| same_value(value, &attribute.value))
                }
                _ => false,
            })
    }

    /// Reads `C=CH, O=strongSwan, CN=*`; attributes may also be separated by slashes when the text starts
    /// with one.
    pub(super) fn parse(text: &str) -> Result<Self, IdentityProblem> {
        let (separator, text) = match text.strip_prefix('/') {
            Some(rest) => ('/', rest),
            None => (',', text),
        };
        split(text, separator)?.into_iter().map(parse_attribute).collect::<Result<_, _>>().map(Self)
    }

    /// The DER encoding, if no value is left open.
    pub(super) fn to_der(&self) -> Option<Vec<u8>> {
        let sets: Option<Vec<_>> = self
            .0
            .iter()
            .map(|attribute| {
                let attribute = AttributeTypeAndValue { oid: attribute.oid, value: attribute.value.clone()? };
                SetOfVec::try_from([attribute]).ok().map(RelativeDistinguishedName::from)
            })
            .collect();
        RdnSequence::from(sets?).to_der().ok()
    }
}

impl fmt::Display for DnPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, attribute) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            write_name(f, attribute.oid)?;
            match &attribute.value {
                Some(value) => write_value(f, value)?,
                None => f.write_str("*")?,
            }
        }
        Ok(())
    }
}

/// Checks that `der` is a distinguished name; the error is the offset of what is wrong.
pub(super) fn check(der: &[u8]) -> Result<(), u64> {
    match RdnSequence::from_der(der) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.position().map_or(0, |length| u64::from(u32::from(length)))),
    }
}

/// Whether two DER-encoded names are the same by RFC 5280 7.1.
pub(super) fn is_same(ours: &[u8], theirs: &[u8]) -> bool {
    let (Ok(ours), Ok(theirs)) = (RdnSequence::from_der(ours), RdnSequence::from_der(theirs)) else {
        return false;
    };
    ours.len() == theirs.len()
        && ours.iter().zip(theirs.iter()).all(|(our_set, their_set)| {
            our_set.len() == their_set.len()
                && our_set
                    .iter()
                    .zip(their_set.iter())
                    .all(|(our, their)| our.oid == their.oid && same_value(&our.value, &their.value))
        })
}

/// Writes a DER-encoded name as text; `false`, and nothing written, if it has no text form that can be read
/// back.
pub(super) fn write_text(f: &mut fmt::Formatter<'_>, der: &[u8]) -> Result<bool, fmt::Error> {
    let Ok(name) = RdnSequence::from_der(der) else { return Ok(false) };
    if name.is_empty() || name.iter().any(|set| set.len() != 1) {
        return Ok(false);
    }
    for (index, attribute) in name.iter().flat_map(RelativeDistinguishedName::iter).enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        write_name(f, attribute.oid)?;
        write_value(f, &attribute.value)?;
    }
    Ok(true)
}

fn write_name(f: &mut fmt::Formatter<'_>, oid: ObjectIdentifier) -> fmt::Result {
    match NAMES.iter().find(|(_, known)| *known == oid) {
        Some((name, _)) => write!(f, "{name}="),
        None => write!(f, "{oid}="),
    }
}

/// RFC 4514 2.4: text with backslash escapes, anything that is not text as `#` and its DER in hex.
fn write_value(f: &mut fmt::Formatter<'_>, value: &Any) -> fmt::Result {
    let Some(text) = text_of(value).filter(|text| !text.is_empty()) else {
        f.write_str("#")?;
        return value.to_der().unwrap_or_default().iter().try_for_each(|octet| write!(f, "{octet:02x}"));
    };
    let last = text.chars().count().saturating_sub(1);
    for (index, char) in text.chars().enumerate() {
        let at_the_edge = index == 0 || index == last;
        match char {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=' | '/' => write!(f, "\\{char}")?,
            '#' | '*' if index == 0 => write!(f, "\\{char}")?,
            ' ' if at_the_edge => f.write_str("\\20")?,
            ' '..='~' => f.write_char(char)?,
            _ if char.is_alphanumeric() => f.write_char(char)?,
            _ => {
                let mut utf8 = [0; 4];
                char.encode_utf8(&mut utf8).bytes().try_for_each(|octet| write!(f, "\\{octet:02x}"))?;
            }
        }
    }
    Ok(())
}

fn text_of(value: &Any) -> Option<&str> {
    let is_text = matches!(value.tag(), Tag::Utf8String | Tag::PrintableString | Tag::Ia5String);
    core::str::from_utf8(value.value()).ok().filter(|_| is_text)
}

fn same_value(ours: &Any, theirs: &Any) -> bool {
    match (text_of(ours), text_of(theirs)) {
        (Some(ours), Some(theirs)) => ours.eq_ignore_ascii_case(theirs),
        _ => ours == theirs,
    }
}

/// Cuts `text` at the separators that are neither escaped nor in quotes.
fn split(text: &str, separator: char) -> Result<Vec<&str>, IdentityProblem> {
    let mut parts = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, char) in text.char_indices() {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            _ if char == separator && !quoted => {
                parts.push(text.get(start..at).unwrap_or_default());
                start = at.saturating_add(char.len_utf8());
            }
            _ => {}
        }
    }
    if quoted || escaped {
        return Err(IdentityProblem::UnfinishedValue);
    }
    parts.push(text.get(start..).unwrap_or_default());
    Ok(parts)
}

fn parse_attribute(part: &str) -> Result<AttributePattern, IdentityProblem> {
    let (name, value) = part.split_once('=').ok_or(IdentityProblem::NoAttributeValue)?;
    let name = name.trim();
    let oid = match NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
        Some((_, oid)) => *oid,
        None => ObjectIdentifier::new(name).map_err(|_| IdentityProblem::UnknownAttribute(name.into()))?,
    };
    // Only spaces that nothing escapes are decoration.
    let value = value.trim_start();
    let trimmed = value.trim_end();
    let value = if trimmed.ends_with('\\') { value } else { trimmed };
    if value == "*" {
        return Ok(AttributePattern { oid, value: None });
    }
    let value = match value.strip_prefix('#') {
        Some(hex) => {
            let der = super::text::parse_hex(hex).ok_or(IdentityProblem::BadHex)?;
            Any::from_der(&der).map_err(|_| IdentityProblem::BadDer)?
        }
        None => encode_text(oid, &unescape(value)?)?,
    };
    Ok(AttributePattern { oid, value: Some(value) })
}

fn unescape(value: &str) -> Result<String, IdentityProblem> {
    let mut octets = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (*first, after) {
            (b'"', _) => {}
            (b'\\', [high, low, ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let pair = core::str::from_utf8(after.get(..2).unwrap_or_default()).unwrap_or_default();
                octets.extend(super::text::parse_hex(pair).unwrap_or_default());
                rest = after.get(2..).unwrap_or_default();
            }
            (b'\\', [next, tail @ ..]) => {
                octets.push(*next);
                rest = tail;
            }
            (octet, _) => octets.push(octet),
        }
    }
    String::from_utf8(octets).map_err(|_| IdentityProblem::NotText)
}

/// The string kind that certificates use for this attribute and text.
fn encode_text(oid: ObjectIdentifier, text: &str) -> Result<Any, IdentityProblem> {
    if text.is_empty() {
        return Err(IdentityProblem::NoAttributeValue);
    }
    let ia5 = oid == EMAIL || oid == DOMAIN_COMPONENT;
    if ia5 && let Ok(value) = Ia5StringRef::new(text) {
        return Ok(Any::from(value));
    }
    if let Ok(value) = PrintableStringRef::new(text) {
        return Ok(Any::from(value));
    }
    Utf8StringRef::new(text).map(Any::from).map_err(|_| IdentityProblem::NotText)
}
