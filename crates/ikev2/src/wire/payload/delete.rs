//! The delete payload.

use alloc::vec::Vec;

use ikebana_core::codec::Problem;
use ikebana_core::{EspSpi, Reader, WireError, Writer};
use ikebana_proposals::ProtocolId;

use crate::wire::limits::MAX_DELETED_SPIS;

/// SAs that the sender has deleted or will delete (RFC 7296 3.11).
///
/// ```text
///                      1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// | Protocol ID   |   SPI Size    |          Num of SPIs          |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                                                               |
/// ~               Security Parameter Index(es) (SPI)              ~
/// |                                                               |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeletePayload {
    /// The IKE SA that the message belongs to.
    Ike,
    /// ESP SAs, named by the SPIs of the sender's inbound side.
    Esp(Vec<EspSpi>),
    /// AH SAs, named likewise.
    Ah(Vec<EspSpi>),
}

impl DeletePayload {
    /// The protocol of the SAs.
    #[must_use]
    pub const fn protocol(&self) -> ProtocolId {
        match self {
            Self::Ike => ProtocolId::IKE,
            Self::Esp(_) => ProtocolId::ESP,
            Self::Ah(_) => ProtocolId::AH,
        }
    }

    /// The SPIs; none for an IKE SA.
    #[must_use]
    pub fn spis(&self) -> &[EspSpi] {
        match self {
            Self::Ike => &[],
            Self::Esp(spis) | Self::Ah(spis) => spis,
        }
    }

    /// The delete payload for SAs of `protocol`; `None` if that is neither ESP nor AH.
    #[must_use]
    pub fn children(protocol: ProtocolId, spis: Vec<EspSpi>) -> Option<Self> {
        match protocol {
            ProtocolId::ESP => Some(Self::Esp(spis)),
            ProtocolId::AH => Some(Self::Ah(spis)),
            ProtocolId(_) => None,
        }
    }

    pub(super) fn parse(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let protocol = ProtocolId(reader.u8("delete protocol")?);
        let spi_size = reader.u8("delete SPI size")?;
        let count = usize::from(reader.u16("number of SPIs")?);
        if count > MAX_DELETED_SPIS {
            return Err(WireError::new("number of SPIs", Problem::TooMany(MAX_DELETED_SPIS)));
        }
        // RFC 7296 3.11: SPI size zero for IKE, four for AH and ESP.
        let payload = match (protocol, spi_size) {
            (ProtocolId::IKE, 0) if count == 0 => Self::Ike,
            (ProtocolId::IKE, 0) => {
                return Err(WireError::new("number of SPIs", Problem::BadLength(count)));
            }
            (ProtocolId::ESP, 4) => Self::Esp(parse_spis(&mut reader, count)?),
            (ProtocolId::AH, 4) => Self::Ah(parse_spis(&mut reader, count)?),
            (ProtocolId::IKE | ProtocolId::ESP | ProtocolId::AH, _) => {
                return Err(WireError::new("delete SPI size", Problem::BadLength(spi_size.into())));
            }
            (ProtocolId(other), _) => {
                return Err(WireError::new("delete protocol", Problem::BadValue(other.into())));
            }
        };
        reader.finish("delete payload")?;
        Ok(payload)
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.u8(self.protocol().0);
        writer.u8(if matches!(self, Self::Ike) { 0 } else { 4 });
        let spis = self.spis();
        match u16::try_from(spis.len()) {
            Ok(count) => writer.u16(count),
            Err(_) => writer.reject("number of SPIs"),
        }
        for spi in spis {
            writer.bytes(&spi.to_be_bytes());
        }
    }
}

/// Reads SPIs. Values that no SA can have are left out: there is nothing to delete.
fn parse_spis(reader: &mut Reader<'_>, count: usize) -> Result<Vec<EspSpi>, WireError> {
    let mut spis = Vec::with_capacity(count.min(reader.remaining()));
    for _ in 0..count {
        spis.extend(EspSpi::new(reader.u32("deleted SPI")?));
    }
    Ok(spis)
}
