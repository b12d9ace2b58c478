//! The notification payload.

use alloc::vec::Vec;

use ikebana_core::{Reader, WireError, Writer};
use ikebana_proposals::ikev1::phase2::Protocol;

use super::NotifyType;

/// An error or a status (RFC 2408 3.14).
///
/// ```text
///                      1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// !              Domain of Interpretation  (DOI)                  !
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// !  Protocol-ID  !   SPI Size    !      Notify Message Type      !
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ~                Security Parameter Index (SPI)                 ~
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ~                       Notification Data                       ~
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifyPayload {
    /// The domain of interpretation.
    pub doi: u32,
    /// The protocol of the SA that the SPI names.
    pub protocol: Protocol,
    /// The SA that this is about: for ISAKMP both cookies, or nothing.
    pub spi: Vec<u8>,
    /// What it says.
    pub kind: NotifyType,
    /// More about it.
    pub data: Vec<u8>,
}

impl NotifyPayload {
    pub(super) fn parse(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let doi = reader.u32("notify DOI")?;
        let protocol = Protocol(reader.u8("notify protocol")?);
        let spi_size = usize::from(reader.u8("notify SPI size")?);
        let kind = NotifyType(reader.u16("notify type")?);
        let spi = reader.take("notify SPI", spi_size)?.to_vec();
        Ok(Self { doi, protocol, spi, kind, data: reader.rest().to_vec() })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.u32(self.doi);
        writer.u8(self.protocol.0);
        match u8::try_from(self.spi.len()) {
            Ok(size) => writer.u8(size),
            Err(_) => writer.reject("notify SPI size"),
        }
        writer.u16(self.kind.0);
        writer.bytes(&self.spi);
        writer.bytes(&self.data);
    }
}
