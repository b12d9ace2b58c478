//! Data blocks, and inner packets out of their pieces (RFC 9347 2.2.2, 2.2.3, 6.1.3).

use alloc::vec::Vec;

use super::header::{AggfragHeader, CongestionInfo};
use super::stats::AggfragReceived;
use crate::ip::{self, IPV4_HEADER, IPV6_HEADER};

/// The high four bits of a block's first octet: an IP version, or the pad that ends a payload.
const PAD: u8 = 0;

/// How long the data block is that `data` begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockLen {
    /// A packet of this length, which may be more than there is.
    Packet(usize),
    /// A packet whose length field is not there yet.
    Unknown,
    /// Nothing from here on.
    Pad,
    /// No packet: its length is less than its header.
    Malformed,
    /// A type that nobody has defined.
    Type(u8),
}

/// Reads type and length of a block. `data` is not empty.
pub(super) fn block_len(data: &[u8]) -> BlockLen {
    let first = data.first().copied().unwrap_or(PAD);
    match first >> 4 {
        PAD => BlockLen::Pad,
        4 => {
            let header_len = usize::from(first & 0x0f).saturating_mul(4);
            match ip::u16_at(data, 2).map(usize::from) {
                _ if header_len < IPV4_HEADER => BlockLen::Malformed,
                None => BlockLen::Unknown,
                Some(length) if length < header_len => BlockLen::Malformed,
                Some(length) => BlockLen::Packet(length),
            }
        }
        6 => match ip::u16_at(data, 4).map(usize::from) {
            None => BlockLen::Unknown,
            Some(length) => BlockLen::Packet(length.saturating_add(IPV6_HEADER)),
        },
        other => BlockLen::Type(other),
    }
}

/// The packet that the last payload began and did not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unfinished {
    /// None.
    No,
    /// One that will have this length.
    Packet(usize),
    /// One whose length field is not there yet.
    Unknown,
    /// One that is lost already, and counted: what follows of it is skipped.
    Lost,
}

/// Takes payloads in the order of their sequence numbers apart.
pub(super) struct Blocks {
    unfinished: Unfinished,
    /// What is there of the unfinished packet. Never longer than `limit`, for which it has room from the start.
    pieces: Vec<u8>,
    limit: usize,
    pub(super) congestion: Option<CongestionInfo>,
    pub(super) stats: AggfragReceived,
}

impl Blocks {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            unfinished: Unfinished::No,
            pieces: Vec::with_capacity(limit),
            limit,
            congestion: None,
            stats: AggfragReceived::default(),
        }
    }

    /// `count` payloads before the next one will not come.
    pub(super) fn lost(&mut self, count: u64) {
        add(&mut self.stats.lost, count);
        self.abandon(|stats| &mut stats.incomplete);
    }

    /// Takes the next payload apart.
    pub(super) fn process(&mut self, payload: &[u8], deliver: &mut dyn FnMut(&[u8])) {
        let (header, data) = match AggfragHeader::parse(payload) {
            Ok(parsed) => parsed,
            Err(error) => {
                self.stats.malformed(error);
                return self.abandon(|stats| &mut stats.incomplete);
            }
        };
        add(&mut self.stats.payloads, 1);
        if header.congestion.is_some() {
            self.congestion = header.congestion;
        }
        let Some(first) = data.first() else {
            // RFC 9347 2.2.4: it was sent for its header alone.
            return add(&mut self.stats.empty, 1);
        };
        let offset = usize::from(header.block_offset);
        if offset == 0 && first >> 4 == PAD {
            // RFC 9347 2.2.3: pad may be sent between the pieces of a packet, and does not interrupt it.
            return add(&mut self.stats.all_pad, 1);
        }
        if offset == 0 {
            self.abandon(|stats| &mut stats.interrupted);
            self.unfinished = Unfinished::No;
            return self.split(data, deliver);
        }
        let (piece, blocks) = data.split_at_checked(offset).unwrap_or((data, &[]));
        self.join(piece, offset, deliver);
        if !blocks.is_empty() {
            self.unfinished = Unfinished::No;
            self.split(blocks, deliver);
        }
    }

    /// Appends to the unfinished packet, `offset` octets of which were missing before this payload.
    fn join(&mut self, piece: &[u8], offset: usize, deliver: &mut dyn FnMut(&[u8])) {
        let length = self.pieces.len().saturating_add(offset);
        match self.unfinished {
            Unfinished::Lost => return,
            Unfinished::No => {
                // Counted once, however many payloads the rest of it fills.
                self.unfinished = Unfinished::Lost;
                return add(&mut self.stats.orphaned, 1);
            }
            Unfinished::Packet(expected) if expected != length => {
                return self.abandon(|stats| &mut stats.offset);
            }
            Unfinished::Packet(_) | Unfinished::Unknown if length > self.limit => {
                return self.abandon(|stats| &mut stats.too_long);
            }
            Unfinished::Packet(_) | Unfinished::Unknown => {}
        }
        self.pieces.extend_from_slice(piece);
        self.unfinished = match block_len(&self.pieces) {
            BlockLen::Packet(expected) if expected != length => {
                return self.abandon(|stats| &mut stats.offset);
            }
            BlockLen::Packet(_) if piece.len() == offset => {
                add(&mut self.stats.joined, 1);
                count(&mut self.stats, &self.pieces);
                deliver(&self.pieces);
                self.pieces.clear();
                Unfinished::No
            }
            BlockLen::Packet(_) => Unfinished::Packet(length),
            BlockLen::Unknown if piece.len() < offset => Unfinished::Unknown,
            // It ends before its length field does.
            BlockLen::Unknown | BlockLen::Malformed | BlockLen::Pad | BlockLen::Type(_) => {
                return self.abandon(|stats| &mut stats.malformed_block);
            }
        };
    }

    /// Delivers every block of `data` that ends in it, and keeps the one that does not.
    fn split(&mut self, mut data: &[u8], deliver: &mut dyn FnMut(&[u8])) {
        while !data.is_empty() {
            let rest = match block_len(data) {
                BlockLen::Packet(length) => match data.split_at_checked(length) {
                    Some((packet, rest)) => {
                        count(&mut self.stats, packet);
                        deliver(packet);
                        rest
                    }
                    None if length > self.limit => {
                        self.unfinished = Unfinished::Lost;
                        return add(&mut self.stats.too_long, 1);
                    }
                    None => return self.keep(data, Unfinished::Packet(length)),
                },
                BlockLen::Unknown => return self.keep(data, Unfinished::Unknown),
                BlockLen::Pad => return,
                // Where the next block begins is not known; the next payload will tell.
                BlockLen::Malformed => {
                    self.unfinished = Unfinished::Lost;
                    return add(&mut self.stats.malformed_block, 1);
                }
                BlockLen::Type(_) => {
                    self.unfinished = Unfinished::Lost;
                    return add(&mut self.stats.block_type, 1);
                }
            };
            data = rest;
        }
    }

    fn keep(&mut self, data: &[u8], unfinished: Unfinished) {
        self.pieces.clear();
        self.pieces.extend_from_slice(data);
        self.unfinished = unfinished;
    }

    /// Gives the unfinished packet up, if there is one, and counts it.
    fn abandon(&mut self, counter: impl FnOnce(&mut AggfragReceived) -> &mut u64) {
        match self.unfinished {
            Unfinished::Packet(_) | Unfinished::Unknown => {
                add(counter(&mut self.stats), 1);
                self.unfinished = Unfinished::Lost;
            }
            Unfinished::No | Unfinished::Lost => {}
        }
        self.pieces.clear();
    }
}

fn count(stats: &mut AggfragReceived, packet: &[u8]) {
    add(&mut stats.packets, 1);
    add(&mut stats.octets, u64::try_from(packet.len()).unwrap_or(u64::MAX));
}

fn add(counter: &mut u64, count: u64) {
    *counter = counter.saturating_add(count);
}
