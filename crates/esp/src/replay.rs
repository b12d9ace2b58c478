//! The replay window (RFC 4303 3.4.3, RFC 6479).

use alloc::boxed::Box;
use alloc::vec;

use thiserror::Error;

use crate::params::SetupError;
use crate::sequence;

const WORD_BITS: u64 = u64::BITS as u64;

/// Which packets of an SA have been received.
///
/// A ring of 64-bit words twice as long as the window: sliding forward clears whole words and shifts nothing
/// (RFC 6479). Memory is taken once, at construction; a check or a commit is a handful of instructions however
/// large the window is.
///
/// Use is in three steps, and only this order is safe: [`check`](Self::check), then verify and decrypt the
/// packet, then [`commit`](Self::commit). A forged packet changes nothing, because nobody commits it.
///
/// ```
/// use ikebana_esp::{ReplayError, ReplayWindow};
/// let mut window = ReplayWindow::new(64, false).unwrap();
/// let sequence = window.check(7).unwrap();
/// // ... the ICV of packet 7 is right ...
/// window.commit(sequence).unwrap();
/// assert_eq!(window.check(7), Err(ReplayError::Repeated));
/// assert!(window.check(6).is_ok());
/// ```
pub struct ReplayWindow {
    ring: Box<[u64]>,
    /// The highest number committed, 0 before the first.
    top: u64,
    size: u32,
    extended: bool,
}

impl ReplayWindow {
    /// The smallest window.
    pub const MIN: u32 = 64;
    /// The largest window.
    pub const MAX: u32 = 8192;

    /// An empty window of `size` packets; `None` unless `size` is a power of two from 64 to 8192. With
    /// `extended`, the wire carries the low half of 64-bit numbers.
    #[must_use]
    pub fn new(size: u32, extended: bool) -> Option<Self> {
        if !size.is_power_of_two() || !(Self::MIN..=Self::MAX).contains(&size) {
            return None;
        }
        let words = usize::try_from(size / (u64::BITS / 2)).ok()?;
        Some(Self { ring: vec![0; words].into_boxed_slice(), top: 0, size, extended })
    }

    /// The window of an inbound SA; none for a size of 0, which extended sequence numbers do not allow.
    pub(crate) fn for_sa(size: u32, extended: bool) -> Result<Option<Self>, SetupError> {
        match size {
            0 if extended => Err(SetupError::EsnWithoutReplay),
            0 => Ok(None),
            size => Self::new(size, extended).map(Some).ok_or(SetupError::ReplayWindow(size)),
        }
    }

    /// The window's size in packets.
    #[must_use]
    pub const fn size(&self) -> u32 {
        self.size
    }

    /// The highest number committed, 0 before the first.
    #[must_use]
    pub const fn top(&self) -> u64 {
        self.top
    }

    /// The full number of a packet that carries `wire`, if it may still be accepted.
    ///
    /// # Errors
    /// [`ReplayError`] if the number is zero, seen before, too old, or past the end of all numbers.
    pub fn check(&self, wire: u32) -> Result<u64, ReplayError> {
        let sequence = self.infer(wire)?;
        self.admit(sequence)?;
        Ok(sequence)
    }

    /// Notes that the packet with this full number was received and is authentic.
    ///
    /// The number is checked once more, since in a batch, or with several cores, a copy of the same packet may
    /// have been committed after the [`check`](Self::check).
    ///
    /// # Errors
    /// As [`check`](Self::check); the window is unchanged then.
    pub fn commit(&mut self, sequence: u64) -> Result<(), ReplayError> {
        self.admit(sequence)?;
        if sequence > self.top {
            self.slide(sequence);
        }
        let (index, bit) = self.place(sequence);
        if let Some(word) = self.ring.get_mut(index) {
            *word |= bit;
        }
        Ok(())
    }

    fn infer(&self, wire: u32) -> Result<u64, ReplayError> {
        if self.extended {
            sequence::infer(self.top, self.size, wire).ok_or(ReplayError::Overflow)
        } else {
            Ok(u64::from(wire))
        }
    }

    /// Whether a full number may still be accepted.
    pub(crate) fn admit(&self, sequence: u64) -> Result<(), ReplayError> {
        // RFC 4303 3.3.3: the first packet has number 1, so no valid packet has 0.
        if sequence == 0 {
            return Err(ReplayError::Zero);
        }
        if sequence > sequence::highest(self.extended) {
            return Err(ReplayError::Overflow);
        }
        if sequence > self.top {
            return Ok(());
        }
        if self.top.saturating_sub(sequence) >= u64::from(self.size) {
            return Err(ReplayError::TooOld);
        }
        let (index, bit) = self.place(sequence);
        if self.ring.get(index).is_some_and(|word| word & bit != 0) {
            return Err(ReplayError::Repeated);
        }
        Ok(())
    }

    /// Moves the right edge to `sequence`, clearing the words that come into the window.
    fn slide(&mut self, sequence: u64) {
        let (from, to) = (self.top / WORD_BITS, sequence / WORD_BITS);
        let entered = to.saturating_sub(from);
        if usize::try_from(entered).map_or(true, |entered| entered >= self.ring.len()) {
            self.ring.fill(0);
        } else {
            for word in from.saturating_add(1)..=to {
                let index = self.index(word);
                if let Some(word) = self.ring.get_mut(index) {
                    *word = 0;
                }
            }
        }
        self.top = sequence;
    }

    fn place(&self, sequence: u64) -> (usize, u64) {
        (self.index(sequence / WORD_BITS), 1 << (sequence % WORD_BITS))
    }

    /// Where in the ring a word is. The ring's length is a power of two.
    #[expect(clippy::cast_possible_truncation, reason = "only the low bits are wanted")]
    fn index(&self, word: u64) -> usize {
        word as usize & self.ring.len().saturating_sub(1)
    }
}

/// Why a sequence number is not acceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReplayError {
    /// Number 0, which no sender uses.
    #[error("sequence number 0")]
    Zero,
    /// A number in the window that was received before.
    #[error("sequence number received before")]
    Repeated,
    /// A number left of the window.
    #[error("sequence number older than the replay window")]
    TooOld,
    /// A number past the last one there is.
    #[error("sequence number past the end")]
    Overflow,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(window: &mut ReplayWindow, wire: u32) -> Result<u64, ReplayError> {
        let sequence = window.check(wire)?;
        window.commit(sequence)?;
        Ok(sequence)
    }

    #[test]
    fn only_powers_of_two_from_64_to_8192_are_windows() {
        let sizes: vec::Vec<u32> =
            (0..20_000).filter(|&size| ReplayWindow::new(size, false).is_some()).collect();
        assert_eq!(sizes, [64, 128, 256, 512, 1024, 2048, 4096, 8192]);
    }

    #[test]
    fn zero_is_never_received() {
        for extended in [false, true] {
            let window = ReplayWindow::new(64, extended).unwrap();
            assert_eq!(window.check(0), Err(ReplayError::Zero));
        }
    }

    #[test]
    fn the_window_edge_is_exact() {
        for size in [64, 128, 1024, 8192] {
            for top in [20_000, 20_031, 20_032, 20_063, 20_064, 20_479, 20_480] {
                let mut window = ReplayWindow::new(size, false).unwrap();
                receive(&mut window, top).unwrap();
                assert_eq!(window.check(top), Err(ReplayError::Repeated));
                assert!(window.check(top - size + 1).is_ok());
                assert_eq!(window.check(top - size), Err(ReplayError::TooOld));
                assert_eq!(window.check(top - size - 1), Err(ReplayError::TooOld));
                assert_eq!(receive(&mut window, top - size + 1), Ok(u64::from(top - size + 1)));
                assert_eq!(window.check(top - size + 1), Err(ReplayError::Repeated));
            }
        }
    }

    #[test]
    fn without_esn_the_last_number_ends_the_sa_and_zero_does_not_follow() {
        let mut window = ReplayWindow::new(64, false).unwrap();
        receive(&mut window, u32::MAX).unwrap();
        assert_eq!(window.check(0), Err(ReplayError::Zero));
        assert_eq!(window.check(1), Err(ReplayError::TooOld));
    }

    #[test]
    fn with_esn_numbers_continue_over_the_boundary() {
        let mut window = ReplayWindow::new(64, true).unwrap();
        receive(&mut window, u32::MAX - 10).unwrap();
        assert_eq!(receive(&mut window, 3), Ok(0x1_0000_0003));
        assert_eq!(receive(&mut window, u32::MAX), Ok(0xffff_ffff), "late, from before the boundary");
        assert_eq!(receive(&mut window, u32::MAX), Err(ReplayError::Repeated));
        assert_eq!(receive(&mut window, 0), Ok(0x1_0000_0000), "zero on the wire is a number like others");
    }

    #[test]
    fn a_jump_of_two_to_the_31_is_accepted_and_empties_the_window() {
        for extended in [false, true] {
            let mut window = ReplayWindow::new(1024, extended).unwrap();
            for sequence in 1..=2000 {
                receive(&mut window, sequence).unwrap();
            }
            receive(&mut window, 0x8000_0000 + 2000).unwrap();
            for back in 1..1024 {
                assert!(window.check(0x8000_0000 + 2000 - back).is_ok(), "{back}");
            }
        }
    }

    #[test]
    fn a_check_alone_changes_nothing() {
        let window = ReplayWindow::new(64, true).unwrap();
        assert_eq!(window.check(5_000_000), Ok(5_000_000));
        assert_eq!(window.check(5_000_000), Ok(5_000_000));
        assert_eq!(window.top(), 0);
    }

    #[test]
    fn a_copy_committed_in_between_is_refused_at_commit() {
        let mut window = ReplayWindow::new(64, false).unwrap();
        let (first, copy) = (window.check(9).unwrap(), window.check(9).unwrap());
        window.commit(first).unwrap();
        assert_eq!(window.commit(copy), Err(ReplayError::Repeated));
    }
}
