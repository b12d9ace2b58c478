//! The authentication payload.

use alloc::vec::Vec;

use ikebana_core::{Reader, WireError, Writer};

use crate::wire::AuthMethod;

/// The proof of an identity (RFC 7296 3.8).
///
/// ```text
///                      1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// | Auth Method   |                RESERVED                       |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                                                               |
/// ~                      Authentication Data                      ~
/// |                                                               |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthPayload {
    /// What kind of proof it is.
    pub method: AuthMethod,
    /// The proof.
    pub data: Vec<u8>,
}

impl AuthPayload {
    pub(super) fn parse(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let method = AuthMethod(reader.u8("auth method")?);
        reader.take("auth reserved", 3)?;
        Ok(Self { method, data: reader.rest().to_vec() })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.u8(self.method.0);
        writer.zeros(3);
        writer.bytes(&self.data);
    }
}
