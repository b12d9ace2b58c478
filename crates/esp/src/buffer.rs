//! A packet in a buffer with room around it.

use core::ops::Range;

/// A packet somewhere in the middle of the caller's buffer.
///
/// Protecting a packet makes it longer at both ends, and removing the protection makes it shorter again. Both
/// happen in place: the packet's range grows into the headroom in front of it and the tailroom behind it, so
/// that no octet of the payload moves and nothing is allocated. How much room is needed is
/// [`Overhead`](crate::Overhead)'s to say.
///
/// ```text
///  0           start                    end               len
///  |  headroom  |        packet          |    tailroom     |
/// ```
///
/// ```
/// use ikebana_esp::PacketBuf;
/// let mut bytes = [0; 100];
/// let mut packet = PacketBuf::new(&mut bytes, 40..60).unwrap();
/// assert_eq!((packet.headroom(), packet.len(), packet.tailroom()), (40, 20, 40));
/// packet.grow_front(8).unwrap();
/// assert_eq!(packet.range(), 32..60);
/// ```
#[derive(Debug)]
pub struct PacketBuf<'a> {
    bytes: &'a mut [u8],
    start: usize,
    end: usize,
}

impl<'a> PacketBuf<'a> {
    /// The packet at `range` of `bytes`; `None` if the range does not lie in them.
    #[must_use]
    pub fn new(bytes: &'a mut [u8], range: Range<usize>) -> Option<Self> {
        bytes.get(range.clone())?;
        Some(Self { bytes, start: range.start, end: range.end })
    }

    /// A packet that fills all of `bytes`, with no room around it: enough for opening in tunnel mode, too little
    /// for transport mode, which puts an IP header in front, and for sealing.
    #[must_use]
    pub const fn full(bytes: &'a mut [u8]) -> Self {
        let end = bytes.len();
        Self { bytes, start: 0, end }
    }

    /// The packet.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// The packet, to be changed.
    #[must_use]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..self.end).unwrap_or_default()
    }

    /// Where in the buffer the packet is.
    #[must_use]
    pub const fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// The packet's length in octets.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// Whether the packet has no octets.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Free octets in front of the packet.
    #[must_use]
    pub const fn headroom(&self) -> usize {
        self.start
    }

    /// Free octets behind the packet.
    #[must_use]
    pub const fn tailroom(&self) -> usize {
        self.bytes.len().saturating_sub(self.end)
    }

    /// Makes the packet `count` octets longer in front and returns it whole; `None`, and no change, if the
    /// headroom is less. The new octets are whatever was there.
    pub fn grow_front(&mut self, count: usize) -> Option<&mut [u8]> {
        self.start = self.start.checked_sub(count)?;
        Some(self.payload_mut())
    }

    /// Makes the packet `count` octets longer behind and returns it whole; `None`, and no change, if the
    /// tailroom is less. The new octets are whatever was there.
    pub fn grow_back(&mut self, count: usize) -> Option<&mut [u8]> {
        self.end = self.end.checked_add(count).filter(|&end| end <= self.bytes.len())?;
        Some(self.payload_mut())
    }

    /// Makes the packet `count` octets shorter in front; `None`, and no change, if it is not that long.
    pub fn shrink_front(&mut self, count: usize) -> Option<()> {
        self.start = self.start.checked_add(count).filter(|&start| start <= self.end)?;
        Some(())
    }

    /// Makes the packet `count` octets shorter behind; `None`, and no change, if it is not that long.
    pub fn shrink_back(&mut self, count: usize) -> Option<()> {
        self.end = self.end.checked_sub(count).filter(|&end| end >= self.start)?;
        Some(())
    }

    /// Cuts the packet to `length` octets; one that is shorter stays as it is.
    pub fn truncate(&mut self, length: usize) {
        self.end = self.start.saturating_add(length).min(self.end);
    }

    /// Another packet in the same buffer.
    pub(crate) fn part(&mut self, range: Range<usize>) -> Option<PacketBuf<'_>> {
        PacketBuf::new(self.bytes, range)
    }

    /// Moves the first `count` octets of the packet `distance` octets towards the front and makes the packet
    /// `distance` longer. What lies between them and the rest afterwards is a gap to be written. `None`, and
    /// no change, if the packet is shorter than `count` or the headroom less than `distance`.
    pub(crate) fn open_gap(&mut self, count: usize, distance: usize) -> Option<()> {
        let start = self.start.checked_sub(distance)?;
        let moved_end = self.start.checked_add(count).filter(|&end| end <= self.end)?;
        self.bytes.copy_within(self.start..moved_end, start);
        self.start = start;
        Some(())
    }

    /// The reverse of [`open_gap`](Self::open_gap): moves the first `count` octets `distance` towards the
    /// back, over what lay there, and makes the packet `distance` shorter.
    pub(crate) fn close_gap(&mut self, count: usize, distance: usize) -> Option<()> {
        let start = self.start.checked_add(distance)?;
        start.checked_add(count).filter(|&end| end <= self.end)?;
        let moved_end = self.start.checked_add(count)?;
        self.bytes.copy_within(self.start..moved_end, start);
        self.start = start;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_outside_the_buffer_is_no_packet() {
        let mut bytes = [0; 10];
        assert!(PacketBuf::new(&mut bytes, 4..11).is_none());
        let reversed = Range { start: 6, end: 5 };
        assert!(PacketBuf::new(&mut bytes, reversed).is_none());
        assert!(PacketBuf::new(&mut bytes, 10..10).is_some());
    }

    #[test]
    fn a_change_that_does_not_fit_changes_nothing() {
        let mut bytes = [0; 10];
        let mut packet = PacketBuf::new(&mut bytes, 3..6).unwrap();
        assert!(packet.grow_front(4).is_none());
        assert!(packet.grow_back(5).is_none());
        assert!(packet.shrink_front(4).is_none());
        assert!(packet.shrink_back(4).is_none());
        assert!(packet.grow_front(usize::MAX).is_none());
        assert!(packet.grow_back(usize::MAX).is_none());
        assert!(packet.shrink_front(usize::MAX).is_none());
        assert!(packet.open_gap(4, 1).is_none());
        assert!(packet.open_gap(1, 4).is_none());
        assert_eq!(packet.range(), 3..6);
    }

    #[test]
    fn a_gap_opens_behind_the_moved_octets_and_closes_again() {
        let mut bytes = *b"....headpayload";
        let mut packet = PacketBuf::new(&mut bytes, 4..15).unwrap();
        packet.open_gap(4, 3).unwrap();
        assert_eq!(packet.payload(), b"headeadpayload");
        packet.close_gap(4, 3).unwrap();
        assert_eq!((packet.range(), packet.payload()), (4..15, &b"headpayload"[..]));
    }
}
