//! Batches of packets, each in one piece of memory that is allocated once.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use super::Run;

/// How many receive buffers one system call may fill.
pub(super) const RECEIVES: usize = 16;
/// The kernel joins up to 64 KiB of datagrams of one sender into a buffer (UDP GRO).
pub(super) const RECEIVE_BUFFER: usize = 65_536;
/// Datagrams that the kernel joins at most (UDP_GRO_CNT_MAX).
const MOST_JOINED: usize = 64;
/// Free octets before each datagram: what an IP header takes that transport mode puts back.
const ROOM: usize = 64;
/// One receive buffer, with room before it, and for datagrams to move apart.
const CHUNK: usize = ROOM + RECEIVE_BUFFER + MOST_JOINED * ROOM;
/// How many packets are read from a device before they are worked on.
const PACKETS: usize = 64;
/// The most that one send call may carry: the longest IPv4 datagram's payload.
const LONGEST_RUN_OCTETS: usize = 65_507;

/// Datagrams as they arrived.
pub struct Arrivals {
    storage: Vec<u8>,
    arrived: Vec<Arrived>,
    /// Whether datagrams that came joined are moved apart, so that each has room before it.
    apart: bool,
}

/// One datagram among [`Arrivals`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Which octets of the storage belong to it, with the room before it.
    slot: Range<usize>,
    /// Where in its slot its payload starts.
    start: usize,
    /// Our address, as the sender wrote it.
    pub local: IpAddr,
    /// The sender.
    pub remote: SocketAddr,
    /// The ECN bits of the outer header.
    pub ecn: u8,
}

/// What the kernel says of a filled receive buffer.
pub(super) struct Filled {
    pub(super) length: usize,
    /// Length of each datagram in it but the last.
    pub(super) stride: usize,
    pub(super) local: IpAddr,
    pub(super) remote: SocketAddr,
    pub(super) ecn: u8,
}

impl Default for Arrivals {
    fn default() -> Self {
        Self { storage: vec![0; RECEIVES * CHUNK], arrived: Vec::with_capacity(256), apart: false }
    }
}

impl Arrivals {
    /// Has each datagram come with room before it, from now on. Without this, only those have it that the
    /// kernel did not join with another; joined ones would have to be moved, which takes time.
    pub const fn keep_apart(&mut self) {
        self.apart = true;
    }

    /// How many datagrams there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.arrived.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.arrived.is_empty()
    }

    /// Each datagram with its slot and its place in that, to be worked on in place.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&Arrived, &mut [u8], Range<usize>)> {
        let mut rest = self.storage.as_mut_slice();
        let mut at = 0;
        // The slots lie one after the other.
        self.arrived.iter().map_while(move |arrived| {
            let (_, from_start) = std::mem::take(&mut rest).split_at_mut_checked(arrived.slot.start - at)?;
            let (slot, after) = from_start.split_at_mut_checked(arrived.slot.len())?;
            rest = after;
            at = arrived.slot.end;
            Some((arrived, slot, arrived.start..arrived.slot.len()))
        })
    }

    /// Forgets all datagrams and gives the buffers for new ones.
    pub(super) fn buffers(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.arrived.clear();
        let chunks = self.storage.chunks_exact_mut(CHUNK);
        chunks.filter_map(|chunk| chunk.get_mut(ROOM..ROOM + RECEIVE_BUFFER))
    }

    /// Takes note that the buffer numbered `index` was filled.
    pub(super) fn filled(&mut self, index: usize, filled: &Filled) {
        let Filled { length, stride, local, remote, ecn } = *filled;
        let base = index * CHUNK + ROOM;
        let count = if length == 0 { 1 } else { length.div_ceil(stride) };
        let apart = self.apart && count <= MOST_JOINED;
        if apart {
            // From the last to the first, so that none is overwritten before it has moved.
            for nth in (1..count).rev() {
                let from = base + nth * stride;
                self.storage.copy_within(from..base + length.min((nth + 1) * stride), from + nth * ROOM);
            }
        }
        for nth in 0..count {
            let moved = if apart { nth * ROOM } else { 0 };
            let room = if apart || nth == 0 { ROOM } else { 0 };
            let (start, end) = (base + nth * stride + moved, base + length.min((nth + 1) * stride) + moved);
            self.arrived.push(Arrived { slot: start - room..end, start: room, local, remote, ecn });
        }
    }

    /// Puts in front of every datagram what `header` makes for it, if it makes something and there is room.
    pub(super) fn put_in_front<const N: usize>(
        &mut self,
        header: impl Fn(&mut Arrived, &[u8]) -> Option<[u8; N]>,
    ) {
        let storage = &mut self.storage;
        for arrived in &mut self.arrived {
            let start = arrived.slot.start + arrived.start;
            let octets = storage.get(start..arrived.slot.end).unwrap_or_default();
            let Some(header) = header(arrived, octets) else { continue };
            let Some(moved) = arrived.start.checked_sub(N) else { continue };
            if let Some(place) = storage.get_mut(start - N..start) {
                place.copy_from_slice(&header);
                arrived.start = moved;
            }
        }
    }

    /// Lets every datagram start later by what `skip` says of it, or leaves it out.
    pub(super) fn shorten(&mut self, skip: impl Fn(&mut Arrived, &[u8]) -> Option<usize>) {
        let storage = &self.storage;
        self.arrived.retain_mut(|arrived| {
            let place = arrived.slot.start + arrived.start..arrived.slot.end;
            let octets = storage.get(place).unwrap_or_default();
            let Some(count) = skip(arrived, octets).filter(|count| *count <= octets.len()) else {
                return false;
            };
            arrived.start += count;
            true
        });
    }
}

/// Inner packets, each with room before and after it for what protection adds.
pub struct PacketBatch {
    storage: Vec<u8>,
    slot: usize,
    lengths: Vec<usize>,
}

impl PacketBatch {
    /// Free octets before each packet: an outer IPv6 header, UDP, ESP and the longest IV.
    pub const HEADROOM: usize = 128;
    /// Free octets after each packet: padding and the longest ICV.
    pub const TAILROOM: usize = 384;

    /// A batch for packets of up to `mtu` octets.
    #[must_use]
    pub fn new(mtu: usize) -> Self {
        let slot = Self::HEADROOM + mtu + Self::TAILROOM;
        Self { storage: vec![0; slot * PACKETS], slot, lengths: Vec::with_capacity(PACKETS) }
    }

    /// How many packets there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Whether all slots are taken.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.lengths.len() >= PACKETS
    }

    /// Forgets all packets.
    pub fn clear(&mut self) {
        self.lengths.clear();
    }

    /// Fills the next slot by `read`, which gets the room for a packet and returns its length. Returns false,
    /// without calling it, if all slots are taken.
    ///
    /// # Errors
    /// Those of `read`; the slot then stays free.
    pub fn fill<E>(&mut self, read: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<bool, E> {
        if self.is_full() {
            return Ok(false);
        }
        let start = self.lengths.len() * self.slot + Self::HEADROOM;
        let room = self.slot - Self::HEADROOM - Self::TAILROOM;
        let Some(slot) = self.storage.get_mut(start..start + room) else { return Ok(false) };
        let length = read(slot)?.min(room);
        self.lengths.push(length);
        Ok(true)
    }

    /// Every packet's slot, with the place of the packet in it.
    pub fn slots(&mut self) -> impl Iterator<Item = (&mut [u8], Range<usize>)> {
        let places = self.lengths.iter().map(|length| Self::HEADROOM..Self::HEADROOM + length);
        self.storage.chunks_exact_mut(self.slot).zip(places)
    }
}

/// Datagrams on their way out, grouped into runs of equal length and destination as they come.
#[derive(Default)]
pub struct Departures {
    storage: Vec<u8>,
    runs: Vec<Grouped>,
}

struct Grouped {
    sent: Sent,
    segment: usize,
    range: Range<usize>,
    count: usize,
    /// A shorter datagram came; the kernel allows only the last of a run to be shorter.
    complete: bool,
}

/// How a datagram is sent; those that are sent alike may form a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The number of the socket.
    pub socket: usize,
    /// The address to send from.
    pub source: IpAddr,
    /// Where to.
    pub destination: SocketAddr,
    /// The ECN bits of the outer header.
    pub ecn: u8,
}

impl Departures {
    /// Whether nothing is waiting.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// How many octets are waiting.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.storage.len()
    }

    /// Adds a datagram; runs through its socket may have `longest` datagrams.
    pub fn push(&mut self, sent: Sent, longest: usize, octets: &[u8]) {
        let start = self.storage.len();
        self.storage.extend_from_slice(octets);
        let (end, length) = (self.storage.len(), octets.len());
        if let Some(last) = self.runs.last_mut()
            && last.sent == sent
            && !last.complete
            && length <= last.segment
            && last.count < longest
            && end - last.range.start <= LONGEST_RUN_OCTETS
        {
            last.complete = length < last.segment;
            last.count += 1;
            last.range.end = end;
            return;
        }
        self.runs.push(Grouped { sent, segment: length, range: start..end, count: 1, complete: false });
    }

    /// Hands every run to `send`, with the number of its socket, and forgets them.
    pub fn drain(&mut self, mut send: impl FnMut(usize, &Run<'_>)) {
        for run in &self.runs {
            if let Some(octets) = self.storage.get(run.range.clone()) {
                let Sent { socket, source, destination, ecn } = run.sent;
                send(socket, &Run { source, destination, ecn, segment: run.segment, octets });
            }
        }
        self.runs.clear();
        self.storage.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn runs(of: &[(u16, usize)], longest: usize) -> Vec<(u16, usize, usize)> {
        let mut departures = Departures::default();
        for (port, length) in of {
            let to = SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
            let source = Ipv4Addr::LOCALHOST.into();
            departures.push(Sent { socket: 0, source, destination: to, ecn: 0 }, longest, &vec![7; *length]);
        }
        let mut found = Vec::new();
        departures.drain(|_, run| found.push((run.destination.port(), run.segment, run.octets.len())));
        assert!(departures.is_empty() && departures.octets() == 0);
        found
    }

    #[test]
    fn equal_datagrams_to_one_peer_leave_in_one_run() {
        assert_eq!(runs(&[(1, 100), (1, 100), (1, 100)], 64), [(1, 100, 300)]);
        assert_eq!(runs(&[(1, 100), (2, 100), (1, 100)], 64), [(1, 100, 100), (2, 100, 100), (1, 100, 100)]);
    }

    #[test]
    fn only_the_last_of_a_run_is_shorter() {
        assert_eq!(runs(&[(1, 100), (1, 40), (1, 40)], 64), [(1, 100, 140), (1, 40, 40)]);
        assert_eq!(runs(&[(1, 40), (1, 100)], 64), [(1, 40, 40), (1, 100, 100)]);
    }

    #[test]
    fn a_run_stays_within_what_one_call_may_carry() {
        assert_eq!(runs(&[(1, 10); 5], 2), [(1, 10, 20), (1, 10, 20), (1, 10, 10)]);
        assert_eq!(runs(&[(1, 30_000); 3], 64), [(1, 30_000, 60_000), (1, 30_000, 30_000)]);
    }

    fn joined(apart: bool, length: usize, stride: usize) -> Vec<(Vec<u8>, usize)> {
        let mut arrivals = Arrivals { apart, ..Arrivals::default() };
        let pattern: Vec<u8> = (0..length).map(|at| at.to_le_bytes()[0]).collect();
        arrivals.buffers().nth(1).unwrap()[..length].copy_from_slice(&pattern);
        let (local, remote) = (Ipv4Addr::LOCALHOST.into(), SocketAddr::from(([127, 0, 0, 2], 9)));
        arrivals.filled(1, &Filled { length, stride, local, remote, ecn: 0 });
        let found = arrivals.iter_mut().map(|(_, slot, place)| (slot[place.clone()].to_vec(), place.start));
        let found: Vec<_> = found.collect();
        let all: Vec<u8> = found.iter().flat_map(|(octets, _)| octets.clone()).collect();
        assert_eq!(all, pattern);
        found
    }

    #[test]
    fn joined_datagrams_come_apart_where_room_is_wanted() {
        for (_, room) in joined(true, 64 * 1_000, 1_000) {
            assert_eq!(room, ROOM);
        }
        let rooms: Vec<usize> = joined(false, 2_500, 1_000).iter().map(|(_, room)| *room).collect();
        assert_eq!(rooms, [ROOM, 0, 0]);
        assert_eq!(joined(true, 0, 1), [(vec![], ROOM)]);
        assert_eq!(joined(true, 65_535, 65_535).len(), 1);
        assert_eq!(joined(true, 65_535, 1_024).len(), 64);
    }

    #[test]
    fn a_packet_batch_keeps_room_around_every_packet_and_takes_no_more_than_it_has_slots() {
        let mut batch = PacketBatch::new(1_500);
        let mut taken = 0;
        while batch
            .fill(|room| {
                Ok::<_, ()>({
                    assert_eq!(room.len(), 1_500);
                    room[0] = 9;
                    60
                })
            })
            .unwrap()
        {
            taken += 1;
        }
        assert_eq!((taken, batch.len()), (PACKETS, PACKETS));
        for (slot, place) in batch.slots() {
            assert_eq!((slot[place.start], place.start, place.len()), (9, PacketBatch::HEADROOM, 60));
            assert!(slot.len() >= place.end + PacketBatch::TAILROOM);
        }
        batch.clear();
        assert_eq!(batch.fill(|_| Err::<usize, _>("no")), Err("no"));
        assert!(batch.is_empty());
    }
}
