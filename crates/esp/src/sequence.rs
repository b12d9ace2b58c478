//! Sequence numbers: 64 bits inside, of which the wire carries 32 (RFC 4303 2.2.1, appendix A).

use core::ops::Range;

/// The numbers that a sender may still use.
///
/// The first packet of an SA has number 1. Numbers never repeat and never wrap: when they run out, the SA is
/// finished (RFC 4303 3.3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SequenceCounter {
    last: u64,
    limit: u64,
}

impl SequenceCounter {
    /// A counter for a new SA, with or without extended sequence numbers.
    pub(crate) const fn new(extended: bool) -> Self {
        // A range of numbers ends one past its last, so 2^64 - 1 itself is given up; nobody gets there.
        Self { last: 0, limit: if extended { highest(true).saturating_sub(1) } else { highest(false) } }
    }

    /// The next `count` numbers, or `None` if there are not as many left; none are used up then.
    pub(crate) fn reserve(&mut self, count: u32) -> Option<Range<u64>> {
        let last = self.last.checked_add(u64::from(count)).filter(|&last| last <= self.limit)?;
        let range = self.last.checked_add(1)?..last.checked_add(1)?;
        self.last = last;
        Some(range)
    }

    /// The number of the last packet, 0 before the first.
    pub(crate) const fn last(&self) -> u64 {
        self.last
    }

    /// How many numbers are left.
    pub(crate) const fn left(&self) -> u64 {
        self.limit.saturating_sub(self.last)
    }

    /// Continues after `last`; an SA that is moved between machines must not start again.
    pub(crate) fn resume_after(&mut self, last: u64) {
        self.last = self.last.max(last.min(self.limit));
    }
}

/// The highest number there is.
pub(crate) const fn highest(extended: bool) -> u64 {
    if extended { u64::MAX } else { u32::MAX as u64 }
}

/// The low half, which is what the wire carries.
#[expect(clippy::cast_possible_truncation, reason = "the low half is what is asked for")]
pub(crate) const fn low(sequence: u64) -> u32 {
    sequence as u32
}

/// The high half, which takes part in the ICV only.
pub(crate) const fn high(sequence: u64) -> u32 {
    (sequence >> 32) as u32
}

const fn join(high: u32, low: u32) -> u64 {
    ((high as u64) << 32) | low as u64
}

/// The full number of a packet that carries `wire`, given the highest number received so far and the replay
/// window's size. `None` if the number would lie past the end of the number space.
///
/// RFC 4303 A2.2: the number lies less than 2³² − window after the window's right edge, or in the window.
pub(crate) fn infer(top: u64, window: u32, wire: u32) -> Option<u64> {
    let (top_high, top_low) = (high(top), low(top));
    // The lowest number of the window, modulo 2^32.
    let bottom = top_low.wrapping_sub(window.saturating_sub(1));
    let window_in_one_subspace = top_low >= window.saturating_sub(1);
    let inferred = if window_in_one_subspace {
        if wire >= bottom { top_high } else { top_high.checked_add(1)? }
    } else if wire >= bottom {
        // Before the first subspace there is none: the packet can only be far ahead.
        top_high.saturating_sub(1)
    } else {
        top_high
    };
    Some(join(inferred, wire))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_start_at_one_and_follow_each_other() {
        let mut counter = SequenceCounter::new(false);
        assert_eq!(counter.reserve(1), Some(1..2));
        assert_eq!(counter.reserve(5), Some(2..7));
        assert_eq!(counter.last(), 6);
        assert_eq!(counter.left(), 0xffff_fff9);
    }

    #[test]
    fn without_esn_the_last_number_is_two_to_the_32_minus_one() {
        let mut counter = SequenceCounter::new(false);
        counter.resume_after(u64::from(u32::MAX) - 2);
        assert_eq!(counter.reserve(3), None, "a batch that does not fit takes nothing");
        assert_eq!(counter.reserve(2), Some(0xffff_fffe..0x1_0000_0000));
        assert_eq!(counter.reserve(1), None);
        assert_eq!((counter.reserve(1), counter.left()), (None, 0));
    }

    #[test]
    fn with_esn_numbers_pass_two_to_the_32_and_still_never_wrap() {
        let mut counter = SequenceCounter::new(true);
        counter.resume_after(u64::from(u32::MAX));
        assert_eq!(counter.reserve(1), Some(0x1_0000_0000..0x1_0000_0001));
        counter.resume_after(u64::MAX);
        assert_eq!(counter.reserve(1), None);
    }

    #[test]
    fn resuming_never_goes_back() {
        let mut counter = SequenceCounter::new(true);
        counter.resume_after(100);
        counter.resume_after(5);
        assert_eq!(counter.reserve(1), Some(101..102));
    }

    #[test]
    fn the_high_half_is_guessed_as_the_rfc_says() {
        let window = 64;
        // Case A: the window lies in one subspace.
        let top = join(3, 1000);
        assert_eq!(infer(top, window, 937), Some(join(3, 937)), "left edge of the window");
        assert_eq!(infer(top, window, 936), Some(join(4, 936)), "left of it means the next subspace");
        assert_eq!(infer(top, window, 1001), Some(join(3, 1001)));
        assert_eq!(infer(top, window, u32::MAX), Some(join(3, u32::MAX)));
        // Case B: the window straddles a boundary.
        let top = join(3, 10);
        assert_eq!(infer(top, window, u32::MAX), Some(join(2, u32::MAX)));
        assert_eq!(infer(top, window, 10u32.wrapping_sub(63)), Some(join(2, 10u32.wrapping_sub(63))));
        assert_eq!(infer(top, window, 10u32.wrapping_sub(64)), Some(join(3, 10u32.wrapping_sub(64))));
        assert_eq!(infer(top, window, 11), Some(join(3, 11)));
    }

    #[test]
    fn there_is_no_subspace_before_the_first_nor_after_the_last() {
        assert_eq!(infer(5, 64, 0xffff_fff0), Some(0xffff_fff0));
        assert_eq!(infer(join(u32::MAX, 1000), 64, 5), None);
        assert_eq!(infer(join(u32::MAX, 1000), 64, u32::MAX), Some(u64::MAX));
    }
}
