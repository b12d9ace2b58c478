//! Counters: one for each way a payload or an inner packet can go.

use super::header::AggfragError;

/// What became of the payloads that an [`AggfragReceiver`](super::AggfragReceiver) got, and of the packets in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AggfragReceived {
    /// Payloads with a right header that were taken apart.
    pub payloads: u64,
    /// Inner packets delivered.
    pub packets: u64,
    /// Octets of them.
    pub octets: u64,
    /// Inner packets among them that came in pieces.
    pub joined: u64,
    /// Payloads without data, sent for their header (RFC 9347 2.2.4).
    pub empty: u64,
    /// Payloads with pad alone.
    pub all_pad: u64,
    /// Sequence numbers that did not come, or not in time.
    pub lost: u64,
    /// Payloads dropped since they came after they had been given up as lost.
    pub late: u64,
    /// Payloads dropped since one with the same number waits already.
    pub repeated: u64,
    /// Payloads dropped as [`AggfragError::Short`].
    pub short_header: u64,
    /// Payloads dropped as [`AggfragError::SubType`].
    pub sub_type: u64,
    /// Rests of payloads dropped since a block is of an unknown type.
    pub block_type: u64,
    /// Rests of payloads, or packets in pieces, dropped since an IP header is wrong.
    pub malformed_block: u64,
    /// Packets dropped since they came in pieces and are longer than
    /// [`AggfragLimits::packet`](super::AggfragLimits::packet).
    pub too_long: u64,
    /// Packets dropped since a payload with a piece of them was lost or malformed.
    pub incomplete: u64,
    /// Packets dropped since another one began before they had ended.
    pub interrupted: u64,
    /// Packets dropped since what a header says is left of them is not what their own length says.
    pub offset: u64,
    /// Packets dropped of which only the end came: the payload with their beginning was lost.
    pub orphaned: u64,
}

impl AggfragReceived {
    pub(super) fn malformed(&mut self, error: AggfragError) {
        let counter = match error {
            AggfragError::Short { .. } => &mut self.short_header,
            AggfragError::SubType(_) => &mut self.sub_type,
        };
        *counter = counter.saturating_add(1);
    }

    /// Payloads, rests of payloads and packets that were dropped.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        [
            self.late,
            self.repeated,
            self.short_header,
            self.sub_type,
            self.block_type,
            self.malformed_block,
            self.too_long,
            self.incomplete,
            self.interrupted,
            self.offset,
            self.orphaned,
        ]
        .iter()
        .fold(0, |sum, count| sum.saturating_add(*count))
    }
}

/// What an [`AggfragSender`](super::AggfragSender) made of the packets that it got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AggfragSent {
    /// Inner packets that are wholly in payloads.
    pub packets: u64,
    /// Octets of data in payloads, without headers and pad.
    pub octets: u64,
    /// Payloads made, those with pad alone included.
    pub payloads: u64,
    /// Octets of pad in them.
    pub pad: u64,
    /// Inner packets that were cut.
    pub fragmented: u64,
    /// Packets refused as [`QueueError::Full`](super::QueueError::Full).
    pub queue_full: u64,
    /// Packets refused as [`QueueError::TooBig`](super::QueueError::TooBig), or dropped from the queue since the
    /// payloads have become shorter.
    pub too_big: u64,
    /// Packets refused as [`QueueError::Inner`](super::QueueError::Inner).
    pub malformed_inner: u64,
}
