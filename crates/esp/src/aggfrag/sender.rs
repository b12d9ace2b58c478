//! AGGFRAG payloads out of inner packets.

use alloc::collections::VecDeque;

use thiserror::Error;

use super::header::{AggfragHeader, BASIC_HEADER};
use super::stats::AggfragSent;
use crate::buffer::PacketBuf;
use crate::error::SealError;
use crate::ip::{IPV6_HEADER, IpError, IpHeader};

/// A payload has room for its header and for an IP header, so that every payload gets something done.
const MIN_PAYLOAD: usize = BASIC_HEADER + IPV6_HEADER;
/// As long as a packet can be whose rest BlockOffset can count.
const MAX_PACKET: usize = 65_535;

/// When inner packets are cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AggfragCut {
    /// Where a payload ends: every payload is full, and a lost one can take two packets more with it.
    #[default]
    Fill,
    /// Only if they are longer than a payload. One that does not fit behind others begins the next payload
    /// (RFC 9347 2.2.3.1).
    TooLong,
    /// Never: the receiver has asked for it (the D flag of USE_AGGFRAG, RFC 9347 5.1). Packets that are longer than a
    /// payload are refused.
    Never,
}

/// How an [`AggfragSender`] works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AggfragSettings {
    /// How long a payload may be with its header, in octets: what of the path MTU is left inside ESP, see
    /// [`Overhead::inner_mtu`](crate::Overhead::inner_mtu). At least 44.
    pub payload: usize,
    /// When packets are cut.
    pub fragmentation: AggfragCut,
    /// Whether shorter payloads are filled up with pad, so that all packets of the SA have one length.
    pub fixed_size: bool,
    /// Octets that may wait, for which memory is set aside at the start.
    pub queue_octets: usize,
    /// Packets that may wait, likewise.
    pub queue_packets: usize,
}

impl Default for AggfragSettings {
    /// Full payloads for an Ethernet path with any suite, and room for 64 packets of it.
    fn default() -> Self {
        Self {
            payload: 1_400,
            fragmentation: AggfragCut::default(),
            fixed_size: false,
            queue_octets: 98_304,
            queue_packets: 256,
        }
    }
}

/// Why a packet was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum QueueError {
    /// As much waits as may. Sending payloads makes room.
    #[error("the queue is full")]
    Full,
    /// Longer than a payload can carry and not to be cut, or longer than any inner packet can be. Its sender should
    /// hear of it: see [`packet_too_big`](crate::packet_too_big).
    #[error("the packet is longer than {limit} octets")]
    TooBig {
        /// The longest packet that can be sent.
        limit: usize,
    },
    /// No IP packet.
    #[error("not an IP packet: {0}")]
    Inner(IpError),
}

/// Queues inner packets and makes payloads of them. The caller says when: a payload at once for each packet costs no
/// time, and waiting for [`is_ready`](Self::is_ready) costs no room.
///
/// The payloads have to be sealed in the order they were made, one right after the other
/// (RFC 9347 2.2.3): the receiver joins a packet's pieces by the sequence numbers.
///
/// ```
/// use ikebana_esp::{AggfragSender, AggfragSettings, PacketBuf};
///
/// let mut sender = AggfragSender::new(AggfragSettings { payload: 44, ..AggfragSettings::default() });
/// let ping = [
///     0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 1, 0x65, 0xdb, 10, 0, 0, 1, 10, 1, 0, 1, // IPv4
///     8, 0, 0xf7, 0xfd, 0, 1, 0, 1, // echo request
/// ];
/// sender.push(&ping)?;
/// assert!(!sender.is_ready());
/// sender.push(&ping)?;
/// assert!(sender.is_ready());
///
/// // The second ping does not fit with all it has, nor with its IP header.
/// let mut buffer = [0; 256];
/// let mut packet = PacketBuf::new(&mut buffer, 64..64).unwrap();
/// assert!(sender.fill(&mut packet)?);
/// assert_eq!((packet.len(), &packet.payload()[4..]), (4 + 28, &ping[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct AggfragSender {
    settings: AggfragSettings,
    /// The packets that wait, one behind the other, as one stream.
    octets: VecDeque<u8>,
    /// What is left of the first packet, and the lengths of those behind it.
    lengths: VecDeque<Queued>,
    stats: AggfragSent,
}

/// A packet that waits.
#[derive(Clone, Copy)]
struct Queued {
    /// Octets of it that are not sent yet.
    left: usize,
    /// 20 or 40: a first piece is at least as long, so that a receiver finds the packet's length in it.
    header_len: usize,
    /// Whether its beginning has been sent.
    begun: bool,
}

impl AggfragSender {
    /// Sets memory aside.
    #[must_use]
    pub fn new(settings: AggfragSettings) -> Self {
        let mut sender = Self {
            settings,
            octets: VecDeque::with_capacity(settings.queue_octets),
            lengths: VecDeque::with_capacity(settings.queue_packets),
            stats: AggfragSent::default(),
        };
        sender.set_payload(settings.payload);
        sender
    }

    /// The path has another MTU: payloads are at most this long from now on, and at least 44 octets.
    pub fn set_payload(&mut self, payload: usize) {
        self.settings.payload = payload.clamp(MIN_PAYLOAD, MAX_PACKET);
    }

    /// How it works.
    #[must_use]
    pub const fn settings(&self) -> &AggfragSettings {
        &self.settings
    }

    /// What happened so far.
    #[must_use]
    pub const fn stats(&self) -> &AggfragSent {
        &self.stats
    }

    /// The longest inner packet that can be sent: the tunnel's MTU (RFC 9347 2.2.7).
    #[must_use]
    pub const fn inner_mtu(&self) -> usize {
        match self.settings.fragmentation {
            AggfragCut::Fill | AggfragCut::TooLong => MAX_PACKET,
            AggfragCut::Never => self.room(),
        }
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    /// Whether as much waits as a payload can carry.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.octets.len() >= self.room()
    }

    /// Queues an IP packet. Octets behind its end are left out.
    ///
    /// # Errors
    /// [`QueueError`].
    pub fn push(&mut self, packet: &[u8]) -> Result<(), QueueError> {
        let result = self.try_push(packet);
        let counter = match result {
            Ok(()) => return Ok(()),
            Err(QueueError::Full) => &mut self.stats.queue_full,
            Err(QueueError::TooBig { .. }) => &mut self.stats.too_big,
            Err(QueueError::Inner(_)) => &mut self.stats.malformed_inner,
        };
        *counter = counter.saturating_add(1);
        result
    }

    fn try_push(&mut self, packet: &[u8]) -> Result<(), QueueError> {
        let header = IpHeader::parse(packet).map_err(QueueError::Inner)?;
        let limit = self.inner_mtu();
        if header.total_len > limit {
            return Err(QueueError::TooBig { limit });
        }
        let packet = packet.get(..header.total_len).unwrap_or(packet);
        let waiting = self.octets.len().saturating_add(packet.len());
        if waiting > self.settings.queue_octets || self.lengths.len() >= self.settings.queue_packets {
            return Err(QueueError::Full);
        }
        self.octets.extend(packet);
        let header_len = header.family().header_len();
        self.lengths.push_back(Queued { left: packet.len(), header_len, begun: false });
        Ok(())
    }

    /// Makes the next payload of what waits, at `packet`'s beginning; what the packet held before does not matter.
    /// `false` if nothing waits.
    ///
    /// # Errors
    /// [`SealError::Tailroom`] if the packet cannot become as long as a payload; nothing is lost then.
    pub fn fill(&mut self, packet: &mut PacketBuf<'_>) -> Result<bool, SealError> {
        self.drop_too_big();
        let Some(first) = self.lengths.front() else { return Ok(false) };
        // A piece of a packet that is longer than BlockOffset can count was refused by `push`.
        let left = if first.begun { first.left } else { 0 };
        let header =
            AggfragHeader { block_offset: u16::try_from(left).unwrap_or(u16::MAX), congestion: None };
        let octets = make_room(packet, self.settings.payload)?;
        let missing = SealError::Tailroom { needed: BASIC_HEADER, available: 0 };
        header.write(octets).ok_or(missing)?;
        let (_, data) = octets.split_at_mut_checked(BASIC_HEADER).ok_or(missing)?;
        let used = self.fill_data(data);
        if self.settings.fixed_size {
            let pad = data.get_mut(used..).unwrap_or_default();
            pad.fill(0);
            add(&mut self.stats.pad, pad.len());
        } else {
            packet.truncate(BASIC_HEADER.saturating_add(used));
        }
        add(&mut self.stats.payloads, 1);
        add(&mut self.stats.octets, used);
        Ok(true)
    }

    /// Makes a payload of `length` octets with nothing but pad in it: it may be sent at any time, also between the
    /// pieces of a packet.
    ///
    /// # Errors
    /// [`SealError::Tailroom`] if the packet cannot become as long.
    pub fn fill_with_pad(&mut self, packet: &mut PacketBuf<'_>, length: usize) -> Result<(), SealError> {
        let octets = make_room(packet, length.clamp(BASIC_HEADER, self.settings.payload))?;
        // An all-zero header is sub-type 0 with offset 0, and an all-zero block is pad.
        octets.fill(0);
        add(&mut self.stats.pad, octets.len().saturating_sub(BASIC_HEADER));
        add(&mut self.stats.payloads, 1);
        Ok(())
    }

    /// Moves octets from the queue to the front of `data` until either ends, and returns how many.
    fn fill_data(&mut self, data: &mut [u8]) -> usize {
        let mut used = 0_usize;
        while let Some(rest) = data.get_mut(used..).filter(|rest| !rest.is_empty()) {
            let Some(next) = self.lengths.front_mut() else { break };
            let whole = next.left <= rest.len();
            let cut = match self.settings.fragmentation {
                AggfragCut::Fill => rest.len() >= next.header_len,
                // Such a packet begins a payload.
                AggfragCut::TooLong => used == 0,
                AggfragCut::Never => false,
            };
            if !whole && !next.begun && !cut {
                break;
            }
            let count = next.left.min(rest.len());
            if whole {
                self.lengths.pop_front();
                add(&mut self.stats.packets, 1);
            } else {
                add(&mut self.stats.fragmented, usize::from(!next.begun));
                next.left = next.left.saturating_sub(count);
                next.begun = true;
            }
            take(&mut self.octets, rest.get_mut(..count).unwrap_or_default());
            used = used.saturating_add(count);
        }
        used
    }

    /// Payloads may have become too short for what was queued when they were longer.
    fn drop_too_big(&mut self) {
        let limit = self.inner_mtu();
        while let Some(next) = self.lengths.front().filter(|next| !next.begun && next.left > limit) {
            self.octets.drain(..next.left.min(self.octets.len()));
            self.lengths.pop_front();
            add(&mut self.stats.too_big, 1);
        }
    }

    /// Octets of data in a payload.
    const fn room(&self) -> usize {
        self.settings.payload.saturating_sub(BASIC_HEADER)
    }
}

/// The packet with `length` octets from its beginning on.
fn make_room<'a>(packet: &'a mut PacketBuf<'_>, length: usize) -> Result<&'a mut [u8], SealError> {
    let there = packet.len();
    packet.truncate(0);
    let available = packet.tailroom();
    if available < length {
        packet.grow_back(there);
        return Err(SealError::Tailroom {
            needed: length.saturating_sub(there),
            available: available.saturating_sub(there),
        });
    }
    packet.grow_back(length).ok_or(SealError::Tailroom { needed: length, available })
}

/// Moves octets from the queue's front to `out`, which is not longer than the queue.
fn take(queue: &mut VecDeque<u8>, out: &mut [u8]) {
    let (front, back) = queue.as_slices();
    let count = out.len().min(front.len());
    let (first, second) = out.split_at_mut(count);
    first.copy_from_slice(front.get(..count).unwrap_or_default());
    if let Some(back) = back.get(..second.len()) {
        second.copy_from_slice(back);
    }
    queue.drain(..out.len().min(queue.len()));
}

fn add(counter: &mut u64, count: usize) {
    *counter = counter.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
}
