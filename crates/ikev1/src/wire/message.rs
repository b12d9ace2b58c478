//! Messages.

use alloc::vec::Vec;

use ikebana_core::{Reader, WireError, Writer};
use ikebana_ike::{Flags, HEADER_LEN, IkeHeader};
use thiserror::Error;

use super::{Payload, PayloadType, chain};

/// Octets that are no message of IKEv1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParseError {
    /// A field is malformed.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The major version is not 1.
    #[error("IKE major version {0} is not supported")]
    Version(u8),
}

/// A message as it stands in the datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The header.
    pub header: IkeHeader,
    /// What follows it.
    pub body: Body,
}

/// What follows the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Payloads.
    Clear(Vec<Payload>),
    /// Payloads and padding, encrypted. The header says what the first payload is.
    Encrypted(Vec<u8>),
}

/// Reads a message without decrypting anything.
///
/// # Errors
/// A malformed message, or one of another version.
pub fn parse(octets: &[u8]) -> Result<Message, ParseError> {
    let peeked = IkeHeader::peek(octets)?;
    if peeked.major != 1 {
        return Err(ParseError::Version(peeked.major));
    }
    let (header, rest) = IkeHeader::parse(octets)?;
    if header.flags.has(Flags::ENCRYPTED) {
        return Ok(Message { header, body: Body::Encrypted(rest.to_vec()) });
    }
    let mut reader = Reader::new(rest);
    let payloads = chain::parse(PayloadType(header.next_payload), &mut reader)?;
    reader.finish("payload chain")?;
    Ok(Message { header, body: Body::Clear(payloads) })
}

/// Reads decrypted payloads, the first of which is of type `first`. The octets after the last payload are
/// padding, of any content; they are returned too.
///
/// # Errors
/// A malformed payload. After decryption with a wrong key that is what to expect.
pub fn parse_chain(first: PayloadType, text: &[u8]) -> Result<(Vec<Payload>, &[u8]), WireError> {
    let mut reader = Reader::new(text);
    let payloads = chain::parse(first, &mut reader)?;
    Ok((payloads, reader.rest()))
}

/// Writes a message. The header's version and length are filled in, and of a clear message the type of the
/// first payload and the flag that says it is not encrypted; for an encrypted one the header says what the
/// first payload is.
///
/// # Errors
/// If a part is too long for its length field.
pub fn encode(header: &IkeHeader, body: &Body) -> Result<Vec<u8>, WireError> {
    let clear;
    let (octets, next_payload, flags) = match body {
        Body::Encrypted(octets) => (octets, header.next_payload, header.flags.0 | Flags::ENCRYPTED),
        Body::Clear(payloads) => {
            clear = encode_chain(payloads)?;
            let first = payloads.first().map_or(PayloadType::NONE, Payload::kind);
            (&clear, first.0, header.flags.0 & !Flags::ENCRYPTED)
        }
    };
    let mut writer = Writer::with_capacity(HEADER_LEN.saturating_add(octets.len()));
    let length = u32::try_from(HEADER_LEN.saturating_add(octets.len())).unwrap_or_else(|_| {
        writer.reject("IKE length");
        u32::MAX
    });
    let flags = Flags(flags);
    IkeHeader { next_payload, major: 1, minor: 0, flags, length, ..*header }.encode(&mut writer);
    writer.bytes(octets);
    writer.finish()
}

/// Writes payloads as they are before encryption, without padding.
///
/// # Errors
/// If a part is too long for its length field.
pub fn encode_chain(payloads: &[Payload]) -> Result<Vec<u8>, WireError> {
    let mut writer = Writer::new();
    chain::encode(payloads, &mut writer);
    writer.finish()
}

#[cfg(test)]
mod tests;
