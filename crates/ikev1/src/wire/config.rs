//! The attribute payload of mode config and XAUTH.

use alloc::vec::Vec;

use ikebana_core::{Reader, WireError, Writer};
use ikebana_proposals::ikev1::attribute::{Attribute, encode_attributes, parse_attributes};

use super::ConfigType;

/// Values asked for or given (draft-ietf-ipsec-isakmp-mode-cfg 3.2).
///
/// ```text
///                      1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// !     Type      !   RESERVED    !           Identifier          !
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ~                           Attributes                          ~
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigPayload {
    /// Asked for or given.
    pub kind: ConfigType,
    /// Number of the transaction.
    pub identifier: u16,
    /// The values; see [`ConfigAttribute`](super::ConfigAttribute) for their types.
    pub attributes: Vec<Attribute>,
}

impl ConfigPayload {
    pub(super) fn parse(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let kind = ConfigType(reader.u8("configuration type")?);
        reader.u8("configuration reserved")?;
        let identifier = reader.u16("configuration identifier")?;
        Ok(Self { kind, identifier, attributes: parse_attributes(reader)? })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.u8(self.kind.0);
        writer.u8(0);
        writer.u16(self.identifier);
        encode_attributes(&self.attributes, writer);
    }
}
