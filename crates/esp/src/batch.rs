//! Slots of a batch.

use ikebana_crypto::{CipherError, Frame, FrameJob};

use crate::buffer::PacketBuf;
use crate::error::{NextHeader, OpenError, SealError};

/// Packets that go to the cipher in one call. Longer batches are cut; the slots live on the stack.
pub(crate) const BATCH: usize = 32;

/// A payload to be sealed, and how that went.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// The payload; afterwards the ESP packet, starting with its SPI.
    pub packet: PacketBuf<'a>,
    /// What the payload is.
    pub next: NextHeader,
    /// How it went; whatever it holds before is overwritten.
    pub result: Result<(), SealError>,
}

impl<'a> Outgoing<'a> {
    /// A slot that waits for its turn.
    #[must_use]
    pub const fn new(packet: PacketBuf<'a>, next: NextHeader) -> Self {
        Self { packet, next, result: Ok(()) }
    }
}

/// A received packet to be opened, and how that went.
#[derive(Debug)]
pub struct Arrived<'a> {
    /// The ESP packet, starting with its SPI; afterwards the payload.
    pub packet: PacketBuf<'a>,
    /// How it went; whatever it holds before is overwritten.
    pub result: Result<NextHeader, OpenError>,
}

impl<'a> Arrived<'a> {
    /// A slot that waits for its turn.
    #[must_use]
    pub const fn new(packet: PacketBuf<'a>) -> Self {
        Self { packet, result: Ok(NextHeader::NONE) }
    }
}

/// Jobs for the cipher, gathered one by one.
pub(crate) struct Jobs<'a> {
    slots: [FrameJob<'a>; BATCH],
    used: usize,
}

impl<'a> Jobs<'a> {
    pub(crate) fn new() -> Self {
        let empty = |_| FrameJob::new(Frame { bytes: &mut [], header_len: 0, esn_high: None });
        Self { slots: core::array::from_fn(empty), used: 0 }
    }

    /// Adds a job; there is room for [`BATCH`].
    pub(crate) fn push(&mut self, frame: Frame<'a>) {
        if let Some(slot) = self.slots.get_mut(self.used) {
            *slot = FrameJob::new(frame);
            self.used = self.used.saturating_add(1);
        }
    }

    /// The jobs added so far.
    pub(crate) fn gathered(&mut self) -> &mut [FrameJob<'a>] {
        self.slots.get_mut(..self.used).unwrap_or_default()
    }

    /// The results in the order in which the jobs were added.
    pub(crate) fn results(self) -> [Result<(), CipherError>; BATCH] {
        self.slots.map(|slot| slot.result)
    }
}
