//! The certificate and certificate request payloads.

use alloc::vec::Vec;

use ikebana_core::{Reader, WireError, Writer};

use crate::wire::CertEncoding;

/// A certificate, or what stands for one (RFC 7296 3.6).
///
/// ```text
///                      1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// | Cert Encoding |                                               |
/// +-+-+-+-+-+-+-+-+                                               |
/// ~                       Certificate Data                        ~
/// |                                                               |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertPayload {
    /// What the data is.
    pub encoding: CertEncoding,
    /// The data, unverified.
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

/// Certification authorities that the sender trusts (RFC 7296 3.7).
///
/// ```text
///                      1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// | Cert Encoding |                                               |
/// +-+-+-+-+-+-+-+-+                                               |
/// ~                    Certification Authority                    ~
/// |                                                               |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertRequestPayload {
    /// What kind of certificate is asked for.
    pub encoding: CertEncoding,
    /// For X.509: SHA-1 hashes of trusted authorities' public keys, one after the other.
    pub authorities: Vec<u8>,
}

impl CertRequestPayload {
    /// Octets of one authority's hash.
    pub const HASH_LEN: usize = 20;

    /// The hashes one by one; octets that do not fill a hash are left out.
    pub fn hashes(&self) -> impl Iterator<Item = &[u8; Self::HASH_LEN]> {
        self.authorities.as_chunks().0.iter()
    }

    pub(super) fn parse(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let encoding = CertEncoding(reader.u8("certificate request encoding")?);
        Ok(Self { encoding, authorities: reader.rest().to_vec() })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.u8(self.encoding.0);
        writer.bytes(&self.authorities);
    }
}
