//! The delete payload.

use alloc::vec::Vec;

use ikebana_core::codec::Problem;
use ikebana_core::{Reader, WireError, Writer};
use ikebana_proposals::ikev1::phase2::Protocol;

use super::limits::MAX_DELETED_SPIS;

/// SAs that the sender has deleted (RFC 2408 3.15).
///
/// ```text
///                      1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// !              Domain of Interpretation  (DOI)                  !
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// !  Protocol-Id  !   SPI Size    !           # of SPIs           !
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ~               Security Parameter Index(es) (SPI)              ~
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletePayload {
    /// The domain of interpretation.
    pub doi: u32,
    /// The protocol of the SAs.
    pub protocol: Protocol,
    /// Octets of each SPI: 16 for ISAKMP, 4 for AH and ESP.
    pub spi_size: u8,
    /// The SPIs, each as long as [`DeletePayload::spi_size`] says.
    pub spis: Vec<Vec<u8>>,
}

impl DeletePayload {
    pub(super) fn parse(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let doi = reader.u32("delete DOI")?;
        let protocol = Protocol(reader.u8("delete protocol")?);
        let spi_size = reader.u8("delete SPI size")?;
        let count = usize::from(reader.u16("number of SPIs")?);
        if count > MAX_DELETED_SPIS {
            return Err(WireError::new("number of SPIs", Problem::TooMany(MAX_DELETED_SPIS)));
        }
        if spi_size == 0 && count > 0 {
            return Err(WireError::new("delete SPI size", Problem::BadLength(0)));
        }
        let mut spis = Vec::new();
        for _ in 0..count {
            spis.push(reader.take("deleted SPI", spi_size.into())?.to_vec());
        }
        reader.finish("delete payload")?;
        Ok(Self { doi, protocol, spi_size, spis })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.u32(self.doi);
        writer.u8(self.protocol.0);
        writer.u8(self.spi_size);
        match u16::try_from(self.spis.len()) {
            Ok(count) => writer.u16(count),
            Err(_) => writer.reject("number of SPIs"),
        }
        for spi in &self.spis {
            if spi.len() != usize::from(self.spi_size) {
                writer.reject("delete SPI size");
            }
            writer.bytes(spi);
        }
    }
}
