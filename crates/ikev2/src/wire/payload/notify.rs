//! The notify payload.

use alloc::vec::Vec;

use ikebana_core::{EspSpi, Reader, WireError, Writer};
use ikebana_proposals::ProtocolId;

use crate::wire::NotifyType;

/// An error or a status (RFC 7296 3.10).
///
/// ```text
///                      1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |  Protocol ID  |   SPI Size    |      Notify Message Type      |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                                                               |
/// ~                Security Parameter Index (SPI)                 ~
/// |                                                               |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                                                               |
/// ~                       Notification Data                       ~
/// |                                                               |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifyPayload {
    /// The protocol of the SA that the SPI names; means nothing without one.
    pub protocol: ProtocolId,
    /// The SPI of the SA that this is about, at most 255 octets; mostly empty.
    pub spi: Vec<u8>,
    /// What it says.
    pub kind: NotifyType,
    /// More about it, depending on the type.
    pub data: Vec<u8>,
}

impl NotifyPayload {
    /// A notification about the exchange or the IKE SA it is in.
    #[must_use]
    pub const fn new(kind: NotifyType, data: Vec<u8>) -> Self {
        Self { protocol: ProtocolId(0), spi: Vec::new(), kind, data }
    }

    /// A notification about an ESP or AH SA.
    #[must_use]
    pub fn about(kind: NotifyType, protocol: ProtocolId, spi: EspSpi) -> Self {
        Self { protocol, spi: spi.to_be_bytes().to_vec(), kind, data: Vec::new() }
    }

    /// The ESP or AH SA that this is about, if it names one.
    #[must_use]
    pub fn child_spi(&self) -> Option<EspSpi> {
        match self.protocol {
            ProtocolId::ESP | ProtocolId::AH => {
                let octets = <[u8; 4]>::try_from(self.spi.as_slice()).ok()?;
                EspSpi::new(u32::from_be_bytes(octets))
            }
            ProtocolId(_) => None,
        }
    }

    pub(super) fn parse(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let protocol = ProtocolId(reader.u8("notify protocol")?);
        let spi_size = usize::from(reader.u8("notify SPI size")?);
        let kind = NotifyType(reader.u16("notify type")?);
        let spi = reader.take("notify SPI", spi_size)?.to_vec();
        Ok(Self { protocol, spi, kind, data: reader.rest().to_vec() })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
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
