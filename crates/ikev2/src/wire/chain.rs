//! The chain of generic payload headers.

use ikebana_core::codec::{Problem, Reader};
use ikebana_core::{WireError, Writer};

use super::limits::MAX_PAYLOADS;
use super::{ParseError, Payload, PayloadType};

/// Octets of a generic payload header.
pub(super) const GENERIC_HEADER_LEN: usize = 4;

/// A payload behind its generic header (RFC 7296 3.2).
///
/// ```text
///                      1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// | Next Payload  |C|  RESERVED   |         Payload Length        |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug)]
pub(super) struct RawPayload<'a> {
    /// What it is.
    pub(super) kind: PayloadType,
    /// What follows it; of an encrypted payload, the first payload inside.
    pub(super) next: PayloadType,
    /// The critical bit.
    pub(super) critical: bool,
    /// What follows the generic header.
    pub(super) body: &'a [u8],
}

/// Walks the chain that starts with a payload of type `first`, and gives each one to `visit`.
///
/// The walk ends after an encrypted payload: what follows that is inside it.
pub(super) fn walk<'a>(
    first: PayloadType,
    octets: &'a [u8],
    mut visit: impl FnMut(RawPayload<'a>) -> Result<(), ParseError>,
) -> Result<(), ParseError> {
    let mut reader = Reader::new(octets);
    let mut kind = first;
    let mut count = 0_usize;
    while kind != PayloadType::NONE {
        count = count.saturating_add(1);
        if count > MAX_PAYLOADS {
            return Err(WireError::new("payload chain", Problem::TooMany(MAX_PAYLOADS)).into());
        }
        let payload = read(kind, &mut reader)?;
        let is_last = is_encrypted(kind);
        kind = payload.next;
        visit(payload)?;
        if is_last {
            break;
        }
    }
    Ok(reader.finish("payload chain")?)
}

fn read<'a>(kind: PayloadType, reader: &mut Reader<'a>) -> Result<RawPayload<'a>, WireError> {
    let next = PayloadType(reader.u8("next payload")?);
    let flags = reader.u8("payload flags")?;
    let length = usize::from(reader.u16("payload length")?);
    let body_len = length
        .checked_sub(GENERIC_HEADER_LEN)
        .ok_or(WireError::new("payload length", Problem::BadLength(length)))?;
    let body = reader.take("payload", body_len)?;
    Ok(RawPayload { kind, next, critical: flags & CRITICAL != 0, body })
}

/// Whether a payload of this type holds the rest of the message.
pub(super) const fn is_encrypted(kind: PayloadType) -> bool {
    matches!(kind, PayloadType::ENCRYPTED | PayloadType::ENCRYPTED_FRAGMENT)
}

const CRITICAL: u8 = 0x80;

/// The type of the first payload, which goes into the header in front of the chain.
pub(super) fn first_kind(payloads: &[Payload]) -> PayloadType {
    payloads.first().map_or(PayloadType::NONE, Payload::kind)
}

/// Writes payloads behind their generic headers.
pub(super) fn encode(payloads: &[Payload], writer: &mut Writer) {
    let followers = payloads.iter().skip(1).map(Some).chain(core::iter::once(None));
    for (payload, follower) in payloads.iter().zip(followers) {
        let next = match (payload.inner_kind(), follower) {
            (Some(inner), None) => inner,
            (Some(_), Some(_)) => {
                // RFC 7296 3.14: the encrypted payload is the last one.
                writer.reject("encrypted payload");
                return;
            }
            (None, Some(follower)) => follower.kind(),
            (None, None) => PayloadType::NONE,
        };
        writer.u8(next.0);
        writer.u8(if payload.is_critical() { CRITICAL } else { 0 });
        writer.nested_u16("payload length", 2, |body| payload.encode(body));
    }
}
