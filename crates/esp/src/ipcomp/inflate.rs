//! Decompressing.

use alloc::boxed::Box;
use alloc::vec;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use super::{Header, Ipcomp, IpcompError};
use crate::buffer::PacketBuf;
use crate::error::NextHeader;
use crate::ip;

/// Blocks that every stream may have.
const FREE_BLOCKS: usize = 64;
/// Octets of output for which a stream may have one block more.
const BLOCK_OCTETS: usize = 256;

/// Makes the payloads of an inbound SA whole again.
pub(crate) struct Decompressor {
    cpi: u16,
    state: Box<DecompressorOxide>,
    /// As long as a payload may become, and no longer: the bound of a decompression bomb.
    out: Box<[u8]>,
}

impl Decompressor {
    pub(crate) fn new(settings: Ipcomp) -> Self {
        Self {
            cpi: settings.cpi.get(),
            state: Box::default(),
            out: vec![0; usize::from(settings.max_output)].into_boxed_slice(),
        }
    }

    /// Replaces a payload with IPComp header by what it was before, in place. Octets behind the compressed data are
    /// ignored: in a tunnel they may be padding (RFC 4303 2.7).
    pub(crate) fn decompress(&mut self, packet: &mut PacketBuf<'_>) -> Result<NextHeader, IpcompError> {
        let (header, data) = Header::parse(packet.payload())?;
        if header.cpi != self.cpi {
            return Err(IpcompError::Cpi(header.cpi));
        }
        if header.next == NextHeader::IPCOMP {
            return Err(IpcompError::Nested);
        }
        self.state.init();
        let written = self.inflate(data)?;
        let whole = self.out.get(..written).unwrap_or_default();
        let available = packet.len().saturating_add(packet.tailroom());
        packet.truncate(0);
        let octets = packet.grow_back(written).ok_or(IpcompError::Room { needed: written, available })?;
        ip::put(octets, 0, whole);
        Ok(header.next)
    }

    /// Returns how many octets of `out` there are.
    ///
    /// A block costs the making of its tables, however little is in it, so a stream may not have many more blocks than
    /// its length gives reason for.
    fn inflate(&mut self, mut data: &[u8]) -> Result<usize, IpcompError> {
        let flags = TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF | TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY;
        let mut written = 0_usize;
        let mut blocks = 0_usize;
        loop {
            let (status, taken, more) = decompress(&mut self.state, data, &mut self.out, written, flags);
            data = data.get(taken..).unwrap_or_default();
            written = written.saturating_add(more);
            blocks = blocks.saturating_add(1);
            if status == TINFLStatus::Done {
                return Ok(written);
            }
            if status == TINFLStatus::HasMoreOutput {
                return Err(IpcompError::TooLong { limit: self.out.len() });
            }
            let too_many = blocks > FREE_BLOCKS.saturating_add(written / BLOCK_OCTETS);
            if status != TINFLStatus::BlockBoundary || too_many {
                return Err(IpcompError::Malformed);
            }
        }
    }
}
