//! Data attributes, as transforms and mode config messages carry them.

use alloc::vec::Vec;

use ikebana_core::codec::Problem;
use ikebana_core::{Reader, WireError, Writer};

/// Attributes of one transform, or of one mode config message.
pub const MAX_ATTRIBUTES: usize = 128;

const FIXED_LENGTH: u16 = 0x8000;

/// An attribute of a transform or of a mode config message (RFC 2408 3.3).
///
/// ```text
///                      1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |A|       Attribute Type        |    AF=0  Attribute Length     |
/// |F|                             |    AF=1  Attribute Value      |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// .                   AF=0  Attribute Value                       .
/// .                   AF=1  Not Transmitted                       .
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// What the value is, below 0x8000; whose registry applies depends on where the attribute is.
    pub kind: u16,
    /// The value.
    pub value: AttributeValue,
}

/// The value of an attribute, in the form it has on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    /// Two octets.
    Short(u16),
    /// Any number of octets.
    Long(Vec<u8>),
}

impl Attribute {
    /// The value as a number, if it is one of at most eight octets.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        match &self.value {
            AttributeValue::Short(value) => Some((*value).into()),
            AttributeValue::Long(octets) if (1..=8).contains(&octets.len()) => {
                Some(octets.iter().fold(0, |number, octet| (number << 8) | u64::from(*octet)))
            }
            AttributeValue::Long(_) => None,
        }
    }

    /// The value as octets.
    #[must_use]
    pub fn octets(&self) -> Vec<u8> {
        match &self.value {
            AttributeValue::Short(value) => value.to_be_bytes().to_vec(),
            AttributeValue::Long(octets) => octets.clone(),
        }
    }

    fn parse(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let kind = reader.u16("attribute type")?;
        let second = reader.u16("attribute length or value")?;
        let value = if kind & FIXED_LENGTH != 0 {
            AttributeValue::Short(second)
        } else {
            AttributeValue::Long(reader.take("attribute value", second.into())?.to_vec())
        };
        Ok(Self { kind: kind & !FIXED_LENGTH, value })
    }

    fn encode(&self, writer: &mut Writer) {
        let kind = self.kind & !FIXED_LENGTH;
        match &self.value {
            AttributeValue::Short(value) => {
                writer.u16(kind | FIXED_LENGTH);
                writer.u16(*value);
            }
            AttributeValue::Long(octets) => {
                writer.u16(kind);
                match u16::try_from(octets.len()) {
                    Ok(length) => writer.u16(length),
                    Err(_) => writer.reject("attribute length"),
                }
                writer.bytes(octets);
            }
        }
    }
}

/// Reads attributes to the end.
///
/// # Errors
/// [`WireError`] if the last one is cut short, and if there are more than [`MAX_ATTRIBUTES`].
pub fn parse_attributes(mut reader: Reader<'_>) -> Result<Vec<Attribute>, WireError> {
    let mut attributes = Vec::new();
    while !reader.is_empty() {
        if attributes.len() == MAX_ATTRIBUTES {
            return Err(WireError::new("attributes", Problem::TooMany(MAX_ATTRIBUTES)));
        }
        attributes.push(Attribute::parse(&mut reader)?);
    }
    Ok(attributes)
}

/// Writes attributes one behind the other.
pub fn encode_attributes(attributes: &[Attribute], writer: &mut Writer) {
    for attribute in attributes {
        attribute.encode(writer);
    }
}
