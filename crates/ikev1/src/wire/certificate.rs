//! The certificate and certificate request payloads.

use alloc::vec::Vec;

use ikebana_core::{Reader, WireError, Writer};

use super::CertEncoding;

/// A certificate, or the name of an authority whose certificates are asked for (RFC 2408 3.9 and 3.10).
///
/// ```text
///                      1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ! Cert Encoding !       Certificate Data or Authority           !
/// +-+-+-+-+-+-+-+-+                                               +
/// ~                                                               ~
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertPayload {
    /// What the data is.
    pub encoding: CertEncoding,
    /// The certificate, or the distinguished name of the authority.
    pub data: Vec<u8>,
}

impl CertPayload {
    pub(super) fn parse(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let encoding = CertEncoding(reader.u8("certificate encoding")?);
        Ok(Self { encoding, data: reader.rest().to_vec() })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.u8(self.encoding.0);
        writer.bytes(&self.data);
    }
}
