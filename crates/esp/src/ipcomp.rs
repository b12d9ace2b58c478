//! IP payload compression (IPComp, RFC 3173) with DEFLATE (RFC 2394).
//!
//! What is encrypted cannot be compressed any more, so links that would compress find nothing to do under ESP. IPComp
//! comes first: the payload that ESP is about to protect, a whole inner packet in tunnel mode, what follows the IP
//! header in transport mode, is compressed and a header put in front of it. Each packet is compressed for itself,
//! since packets may be lost. One that does not get shorter is sent as it is, without a header.
//!
//! ```text
//! | SPI, sequence | IV | next, flags, CPI | DEFLATE ( packet ) | padding | pad length, 108 | ICV |
//! ```
//!
//! **Compression tells lengths apart that encryption would not.** Whoever can put chosen text next to a secret in one
//! packet, and see how long it gets, learns the secret bit by bit. So it is off unless somebody asks for it.
//!
//! State and buffers of both directions are made with the SA: some 400 KiB to compress, 80 KiB to decompress.

mod deflate;
mod inflate;

use thiserror::Error;

use crate::error::NextHeader;

pub use deflate::CompressionStats;
pub(crate) use deflate::Compressor;
pub(crate) use inflate::Decompressor;

/// Next header, flags, CPI.
pub(crate) const IPCOMP_HEADER: usize = 4;

/// No IP packet, and no payload of one, is longer.
const MAX_LENGTH: usize = 65_535;

/// A compression parameter index: the algorithm and its parameters, chosen by the one who decompresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cpi(u16);

impl Cpi {
    /// The well-known number of DEFLATE with nothing negotiated (RFC 2394 4).
    pub const DEFLATE: Self = Self(2);

    /// The number, if it can stand for DEFLATE: 2, or 256 to 61 439, which two nodes agree on (RFC 3173 3.3).
    #[must_use]
    pub const fn new(cpi: u16) -> Option<Self> {
        match cpi {
            2 | 256..=61_439 => Some(Self(cpi)),
            _ => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// How one direction of an SA compresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ipcomp {
    /// The CPI in the packets.
    pub cpi: Cpi,
    /// Shorter payloads are not worth trying, in octets. For an outbound SA.
    pub threshold: u16,
    /// From 1, the fastest, to 9, the smallest. For an outbound SA.
    pub level: u8,
    /// A payload that would become longer than this is refused while it is decompressed, in octets: bounds what a
    /// peer can make us do with few octets. For an inbound SA.
    pub max_output: u16,
}

impl Ipcomp {
    /// Fast compression of payloads of 90 octets and more, to any length that an IP packet can have.
    #[must_use]
    pub const fn new(cpi: Cpi) -> Self {
        // With fewer octets than that, DEFLATE rarely wins back its own header and IPComp's.
        Self { cpi, threshold: 90, level: 3, max_output: u16::MAX }
    }
}

/// Why a compressed payload cannot be made whole again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IpcompError {
    /// Shorter than an IPComp header.
    #[error("{length} octets are shorter than an IPComp header")]
    Short {
        /// The payload's length.
        length: usize,
    },
    /// Another CPI than the one agreed on.
    #[error("CPI {0} was not agreed on")]
    Cpi(u16),
    /// Compressed twice; nobody needs that (RFC 3173 2.1 applies it once).
    #[error("a compressed payload in a compressed payload")]
    Nested,
    /// No DEFLATE, or not all of it.
    #[error("the compressed data is malformed")]
    Malformed,
    /// Longer than [`Ipcomp::max_output`].
    #[error("more than {limit} octets come out of it")]
    TooLong {
        /// The longest that is accepted.
        limit: usize,
    },
    /// Too little room behind the packet for what came out. The caller's mistake.
    #[error("{needed} octets come out of it where {available} are free")]
    Room {
        /// The decompressed payload's length.
        needed: usize,
        /// What is there.
        available: usize,
    },
}

/// The header in front of a compressed payload.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |  Next Header  |     Flags     | Compression Parameter Index   |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
struct Header {
    next: NextHeader,
    cpi: u16,
}

impl Header {
    /// Reads the header and returns what is behind it. RFC 3173 3.3: the flags are ignored.
    fn parse(payload: &[u8]) -> Result<(Self, &[u8]), IpcompError> {
        let short = IpcompError::Short { length: payload.len() };
        let ([next, _, cpi1, cpi2], data) = payload.split_first_chunk::<IPCOMP_HEADER>().ok_or(short)?;
        Ok((Self { next: NextHeader(*next), cpi: u16::from_be_bytes([*cpi1, *cpi2]) }, data))
    }

    fn octets(&self) -> [u8; IPCOMP_HEADER] {
        let [cpi1, cpi2] = self.cpi.to_be_bytes();
        [self.next.0, 0, cpi1, cpi2]
    }
}
