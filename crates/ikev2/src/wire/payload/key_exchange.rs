//! The key exchange payload.

use alloc::vec::Vec;

use ikebana_core::codec::Problem;
use ikebana_core::{Reader, WireError, Writer};
use ikebana_proposals::KeyExchangeId;

use crate::wire::limits::MAX_KEY_EXCHANGE_OCTETS;

/// A public value (RFC 7296 3.4).
///
/// ```text
///                      1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |   Diffie-Hellman Group Num    |           RESERVED            |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                                                               |
/// ~                       Key Exchange Data                       ~
/// |                                                               |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyExchangePayload {
    /// The group or method that the value belongs to.
    pub group: KeyExchangeId,
    /// The value; whether its length fits the group is for the key exchange to say.
    pub data: Vec<u8>,
}

impl KeyExchangePayload {
    pub(super) fn parse(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let group = KeyExchangeId(reader.u16("key exchange group")?);
        reader.u16("key exchange reserved")?;
        let data = reader.rest();
        if data.is_empty() || data.len() > MAX_KEY_EXCHANGE_OCTETS {
            return Err(WireError::new("key exchange data", Problem::BadLength(data.len())));
        }
        Ok(Self { group, data: data.to_vec() })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.u16(self.group.0);
        writer.u16(0);
        writer.bytes(&self.data);
    }
}
