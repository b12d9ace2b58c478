//! Payloads that came before their turn.

use alloc::boxed::Box;
use alloc::vec;

use ikebana_core::Instant;

/// A payload that waits.
#[derive(Clone, Copy)]
struct Slot {
    /// 0 for a free slot; ESP's sequence numbers begin with 1.
    sequence: u64,
    length: usize,
    since: Instant,
}

const FREE: Slot = Slot { sequence: 0, length: 0, since: Instant::ZERO };

/// What became of a payload that was to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// It waits.
    Held,
    /// One with the same number waits already.
    Repeated,
    /// It is longer than a slot.
    TooLong,
}

/// Slots for payloads, one for each sequence number of the reordering window, each as long as a payload usually is.
pub(super) struct Held {
    slots: Box<[Slot]>,
    octets: Box<[u8]>,
    slot_len: usize,
}

impl Held {
    pub(super) fn new(window: usize, slot_len: usize) -> Self {
        Self {
            slots: vec![FREE; window].into_boxed_slice(),
            octets: vec![0; window.saturating_mul(slot_len)].into_boxed_slice(),
            slot_len,
        }
    }

    /// How far ahead a payload may be to wait.
    pub(super) fn window(&self) -> u64 {
        u64::try_from(self.slots.len()).unwrap_or(u64::MAX)
    }

    /// Puts a payload into its slot. The numbers that wait at one time are less than the window apart, so no two
    /// want the same one.
    pub(super) fn hold(&mut self, now: Instant, sequence: u64, payload: &[u8]) -> Hold {
        let index = self.index(sequence);
        let start = index.saturating_mul(self.slot_len);
        let Some(slot) = self.slots.get_mut(index) else { return Hold::TooLong };
        if slot.sequence == sequence {
            return Hold::Repeated;
        }
        if payload.len() > self.slot_len || crate::ip::put(&mut self.octets, start, payload).is_none() {
            return Hold::TooLong;
        }
        *slot = Slot { sequence, length: payload.len(), since: now };
        Hold::Held
    }

    /// The payload with this number, whose slot is free from now on.
    pub(super) fn take(&mut self, sequence: u64) -> Option<&[u8]> {
        let index = self.index(sequence);
        let start = index.saturating_mul(self.slot_len);
        let slot = self.slots.get_mut(index).filter(|slot| slot.sequence == sequence)?;
        let length = core::mem::replace(slot, FREE).length;
        self.octets.get(start..start.saturating_add(length))
    }

    /// The lowest number that waits.
    pub(super) fn first(&self) -> Option<u64> {
        self.waiting().map(|slot| slot.sequence).min()
    }

    /// The number that has waited longest, and since when.
    pub(super) fn oldest(&self) -> Option<(Instant, u64)> {
        self.waiting().map(|slot| (slot.since, slot.sequence)).min()
    }

    fn waiting(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(|slot| slot.sequence != FREE.sequence)
    }

    fn index(&self, sequence: u64) -> usize {
        let rest = sequence.checked_rem(self.window()).unwrap_or(0);
        usize::try_from(rest).unwrap_or(0)
    }
}
