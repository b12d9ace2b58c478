//! The header of an AGGFRAG_PAYLOAD (RFC 9347 6.1).

use thiserror::Error;

use crate::ip;

/// The header without congestion control, sub-type 0.
pub(crate) const BASIC_HEADER: usize = 4;
/// The header with congestion control, sub-type 1.
pub(crate) const CONGESTION_HEADER: usize = 24;

const SUB_TYPE_BASIC: u8 = 0;
const SUB_TYPE_CONGESTION: u8 = 1;

/// P: the sender probes the path for its MTU.
const PLPMTUD: u8 = 0x02;
/// E: the loss event rate counts packets that were marked, not lost.
const ECN: u8 = 0x01;

/// RTT has 22 bits; all ones means "that much or more".
const RTT_MAX: u32 = 0x3f_ffff;
/// Both delays have 21 bits; all ones means "that much or more".
const DELAY_MAX: u32 = 0x1f_ffff;

/// What stands in front of the data blocks of one ESP packet.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |  Sub-Type (0) |   Reserved    |          BlockOffset          |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |       DataBlocks ...
///
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |  Sub-type (1) |  Reserved |P|E|          BlockOffset          |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                          LossEventRate                        |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                      RTT                  |   Echo Delay ...
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ... Echo Delay  |           Transmit Delay                      |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                              TVal                             |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                             TEcho                             |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |       DataBlocks ...
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AggfragHeader {
    /// Octets of data in front of the first block that begins in this payload, or in a later one if there are
    /// fewer in this: they belong to the packet that earlier payloads began. Headers do not count.
    pub block_offset: u16,
    /// What sub-type 1 has more.
    pub congestion: Option<CongestionInfo>,
}

/// What a receiver tells a sender about the path (RFC 9347 3, 6.1.2), so that a constant rate can follow it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CongestionInfo {
    /// The sender probes the path for its MTU (RFC 8899).
    pub plpmtud: bool,
    /// Congestion marks went into the loss event rate.
    pub ecn: bool,
    /// The loss event rate as RFC 5348 8.5 codes it: its inverse, 0 as long as nothing was lost.
    pub loss_event_rate: u32,
    /// The sender's estimate of the round trip in microseconds, 22 bits; 0 as long as it has none.
    pub rtt: u32,
    /// How long the sender kept `timestamp_echo` before it sent it back, in microseconds, 21 bits.
    pub echo_delay: u32,
    /// The time between two of the sender's packets in microseconds, 21 bits.
    pub transmit_delay: u32,
    /// TVal: what the sender wants to get back.
    pub timestamp: u32,
    /// TEcho: what the sender got in `timestamp` last.
    pub timestamp_echo: u32,
}

/// Why a payload has no header that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AggfragError {
    /// Shorter than its header.
    #[error("{length} octets are shorter than an AGGFRAG header")]
    Short {
        /// The payload's length.
        length: usize,
    },
    /// Neither of the two formats that there are.
    #[error("AGGFRAG sub-type {0} is unknown")]
    SubType(u8),
}

impl AggfragHeader {
    /// Reads the header and returns the data behind it. Reserved bits are ignored.
    ///
    /// # Errors
    /// [`AggfragError`].
    pub fn parse(payload: &[u8]) -> Result<(Self, &[u8]), AggfragError> {
        let short = AggfragError::Short { length: payload.len() };
        let ([sub_type, flags, o1, o2], rest) = payload.split_first_chunk::<BASIC_HEADER>().ok_or(short)?;
        let block_offset = u16::from_be_bytes([*o1, *o2]);
        match *sub_type {
            SUB_TYPE_BASIC => Ok((Self { block_offset, congestion: None }, rest)),
            SUB_TYPE_CONGESTION => {
                let (fields, rest) =
                    rest.split_first_chunk::<{ CONGESTION_HEADER - BASIC_HEADER }>().ok_or(short)?;
                Ok((Self { block_offset, congestion: Some(CongestionInfo::parse(*flags, fields)) }, rest))
            }
            other => Err(AggfragError::SubType(other)),
        }
    }

    /// The header's length in octets.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self.congestion {
            None => BASIC_HEADER,
            Some(_) => CONGESTION_HEADER,
        }
    }

    /// A header is never empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Writes the header to the front of `out`; `None` if that is shorter than the header. Numbers that are too large
    /// for their field become its largest.
    #[must_use]
    pub fn write(&self, out: &mut [u8]) -> Option<()> {
        let [o1, o2] = self.block_offset.to_be_bytes();
        match &self.congestion {
            None => ip::put(out, 0, &[SUB_TYPE_BASIC, 0, o1, o2]),
            Some(info) => {
                let out = out.get_mut(..CONGESTION_HEADER)?;
                let flags = if info.plpmtud { PLPMTUD } else { 0 } | if info.ecn { ECN } else { 0 };
                let times = u64::from(info.rtt.min(RTT_MAX)) << 42
                    | u64::from(info.echo_delay.min(DELAY_MAX)) << 21
                    | u64::from(info.transmit_delay.min(DELAY_MAX));
                ip::put(out, 0, &[SUB_TYPE_CONGESTION, flags, o1, o2])?;
                ip::put(out, 4, &info.loss_event_rate.to_be_bytes())?;
                ip::put(out, 8, &times.to_be_bytes())?;
                ip::put(out, 16, &info.timestamp.to_be_bytes())?;
                ip::put(out, 20, &info.timestamp_echo.to_be_bytes())
            }
        }
    }
}

impl CongestionInfo {
    fn parse(flags: u8, fields: &[u8; CONGESTION_HEADER - BASIC_HEADER]) -> Self {
        let [l0, l1, l2, l3, t0, t1, t2, t3, t4, t5, t6, t7, v0, v1, v2, v3, e0, e1, e2, e3] = *fields;
        let times = u64::from_be_bytes([t0, t1, t2, t3, t4, t5, t6, t7]);
        let bits = |shift: u32, mask: u32| {
            u32::try_from(times.checked_shr(shift).unwrap_or(0) & u64::from(mask)).unwrap_or(mask)
        };
        Self {
            plpmtud: flags & PLPMTUD != 0,
            ecn: flags & ECN != 0,
            loss_event_rate: u32::from_be_bytes([l0, l1, l2, l3]),
            rtt: bits(42, RTT_MAX),
            echo_delay: bits(21, DELAY_MAX),
            transmit_delay: bits(0, DELAY_MAX),
            timestamp: u32::from_be_bytes([v0, v1, v2, v3]),
            timestamp_echo: u32::from_be_bytes([e0, e1, e2, e3]),
        }
    }
}
