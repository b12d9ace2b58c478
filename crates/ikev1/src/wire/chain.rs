//! The chain of generic payload headers.

use alloc::vec::Vec;

use ikebana_core::codec::Problem;
use ikebana_core::{Reader, WireError, Writer};

use super::limits::MAX_PAYLOADS;
use super::{Payload, PayloadType};

const GENERIC_HEADER_LEN: usize = 4;

/// Reads the chain that starts with a payload of type `first`; what follows it is left in `reader`.
///
/// Each payload is behind a generic header (RFC 2408 3.2):
///
/// ```text
///                      1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ! Next Payload  !   RESERVED    !         Payload Length        !
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
pub(super) fn parse(first: PayloadType, reader: &mut Reader<'_>) -> Result<Vec<Payload>, WireError> {
    let mut payloads = Vec::new();
    let mut kind = first;
    while kind != PayloadType::NONE {
        if payloads.len() == MAX_PAYLOADS {
            return Err(WireError::new("payload chain", Problem::TooMany(MAX_PAYLOADS)));
        }
        let next = PayloadType(reader.u8("next payload")?);
        reader.u8("payload reserved")?;
        let length = usize::from(reader.u16("payload length")?);
        let body_len = length
            .checked_sub(GENERIC_HEADER_LEN)
            .ok_or(WireError::new("payload length", Problem::BadLength(length)))?;
        payloads.push(Payload::parse(kind, reader.take("payload", body_len)?)?);
        kind = next;
    }
    Ok(payloads)
}

/// Writes payloads behind their generic headers.
pub(super) fn encode(payloads: &[Payload], writer: &mut Writer) {
    let following = payloads.iter().skip(1).map(Payload::kind).chain(core::iter::once(PayloadType::NONE));
    for (payload, next) in payloads.iter().zip(following) {
        writer.u8(next.0);
        writer.u8(0);
        writer.nested_u16("payload length", 2, |body| payload.encode(body));
    }
}
