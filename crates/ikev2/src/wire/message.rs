//! Messages that are not encrypted, and chains of payloads.

use alloc::vec::Vec;

use ikebana_core::codec::Problem;
use ikebana_core::{WireError, Writer};
use ikebana_ike::{HEADER_LEN, IkeHeader};

use super::chain;
use super::limits::MAX_MESSAGE_OCTETS;
use super::{ParseError, Payload, PayloadType};

/// A message as it stands in the datagram.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The header.
    pub header: IkeHeader,
    /// The payloads in order. An encrypted payload is the last one, and still encrypted.
    pub payloads: Vec<Payload>,
}

/// Reads a whole message without decrypting anything.
///
/// # Errors
/// A malformed or unsupported message. [`ParseError::UnsupportedCritical`] only if everything else about the
/// message is in order.
pub fn parse_clear(octets: &[u8]) -> Result<Message, ParseError> {
    let (header, rest) = split(octets)?;
    let payloads = parse_chain(PayloadType(header.next_payload), rest)?;
    Ok(Message { header, payloads })
}

/// Reads the header, and checks that it is one of IKEv2.
pub(super) fn split(octets: &[u8]) -> Result<(IkeHeader, &[u8]), ParseError> {
    let peeked = IkeHeader::peek(octets)?;
    // RFC 7296 2.5: the minor version is ignored, another major version is another protocol.
    if peeked.major != 2 {
        return Err(ParseError::Version(peeked.major));
    }
    Ok(IkeHeader::parse(octets)?)
}

/// Reads a chain of payloads, the first of which is of type `first`; for example the text of a reassembled
/// message.
///
/// # Errors
/// A malformed or unsupported payload.
pub fn parse_chain(first: PayloadType, octets: &[u8]) -> Result<Vec<Payload>, ParseError> {
    if octets.len() > MAX_MESSAGE_OCTETS {
        return Err(WireError::new("message", Problem::BadLength(octets.len())).into());
    }
    let mut payloads = Vec::new();
    let mut unsupported = None;
    chain::walk(first, octets, |raw| {
        let payload = Payload::parse(&raw)?;
        if payload.is_critical() && unsupported.is_none() {
            unsupported = Some(payload.kind());
        }
        payloads.push(payload);
        Ok(())
    })?;
    match unsupported {
        None => Ok(payloads),
        Some(kind) => Err(ParseError::UnsupportedCritical(kind)),
    }
}

/// Writes a message without encrypting anything. The header's next payload, version and length are filled in.
///
/// # Errors
/// If a part is too long for its length field.
pub fn encode_clear(header: &IkeHeader, payloads: &[Payload]) -> Result<Vec<u8>, WireError> {
    let mut body = Writer::new();
    chain::encode(payloads, &mut body);
    let body = body.finish()?;
    let mut message = Writer::with_capacity(HEADER_LEN.saturating_add(body.len()));
    encode_header(header, chain::first_kind(payloads), body.len(), &mut message);
    message.bytes(&body);
    message.finish()
}

/// Writes the header of a message with `body_len` octets after it.
pub(super) fn encode_header(header: &IkeHeader, first: PayloadType, body_len: usize, writer: &mut Writer) {
    let length = HEADER_LEN.saturating_add(body_len);
    if length > MAX_MESSAGE_OCTETS {
        writer.reject("IKE length");
    }
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    IkeHeader { next_payload: first.0, major: 2, minor: 0, length, ..*header }.encode(writer);
}

#[cfg(test)]
mod tests;
