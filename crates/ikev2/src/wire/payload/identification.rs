//! The identification payloads.

use alloc::vec::Vec;

use ikebana_core::identity::IdType;
use ikebana_core::{Identity, Reader, WireError, Writer};

/// Who one side is (RFC 7296 3.5).
///
/// ```text
///                      1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |   ID Type     |                 RESERVED                      |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                                                               |
/// ~                   Identification Data                         ~
/// |                                                               |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdPayload {
    /// The reserved octets, which mean nothing, and which AUTH covers as the peer sent them.
    pub reserved: [u8; 3],
    /// The identity.
    pub identity: Identity,
}

impl IdPayload {
    /// A payload to send.
    #[must_use]
    pub const fn new(identity: Identity) -> Self {
        Self { reserved: [0; 3], identity }
    }

    /// The payload without its generic header, octet for octet as it was or will be on the wire.
    ///
    /// This is what AUTH covers: `RestOfInitIDPayload` and `RestOfRespIDPayload` of RFC 7296 2.15.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let data = self.identity.data();
        let mut body = Vec::with_capacity(data.len().saturating_add(4));
        body.push(self.identity.id_type().0);
        body.extend_from_slice(&self.reserved);
        body.extend_from_slice(&data);
        body
    }

    pub(super) fn parse(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let kind = IdType(reader.u8("ID type")?);
        let reserved = reader.array("ID reserved")?;
        let identity = Identity::from_wire(kind, reader.rest())?;
        Ok(Self { reserved, identity })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.bytes(&self.body());
    }
}
