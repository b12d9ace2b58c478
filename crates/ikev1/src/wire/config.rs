//! The attribute payload of mode config and XAUTH.

use alloc::vec::Vec;
use core::fmt;

use ikebana_core::{Reader, WireError, Writer};
use ikebana_proposals::ikev1::attribute::{Attribute, encode_attributes, parse_attributes};

use super::{ConfigAttribute, ConfigType};

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
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigPayload {
    /// Asked for or given.
    pub kind: ConfigType,
    /// Number of the transaction.
    pub identifier: u16,
    /// The values; see [`ConfigAttribute`](super::ConfigAttribute) for their types.
    pub attributes: Vec<Attribute>,
}

/// Shows everything but passwords.
impl fmt::Debug for ConfigPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |attribute: &Attribute| match ConfigAttribute(attribute.kind) {
            kind if kind.is_secret() => (kind, None),
            kind => (kind, Some(attribute.value.clone())),
        };
        f.debug_struct("ConfigPayload")
            .field("kind", &self.kind)
            .field("identifier", &self.identifier)
            .field("attributes", &self.attributes.iter().map(shown).collect::<Vec<_>>())
            .finish()
    }
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

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;
    use crate::wire::AttributeValue;

    #[test]
    fn debug_output_has_the_user_but_not_the_password() {
        let attribute = |kind: ConfigAttribute, text: &[u8]| Attribute {
            kind: kind.0,
            value: AttributeValue::Long(text.to_vec()),
        };
        let payload = ConfigPayload {
            kind: ConfigType::REPLY,
            identifier: 7,
            attributes: Vec::from([
                attribute(ConfigAttribute::XAUTH_USER_NAME, b"alice"),
                attribute(ConfigAttribute::XAUTH_USER_PASSWORD, b"wonderland"),
            ]),
        };
        let text = format!("{payload:?}");
        assert!(text.contains(&format!("{:?}", b"alice")), "{text}");
        assert!(!text.contains(&format!("{:?}", b"wonderland")), "{text}");
    }
}
