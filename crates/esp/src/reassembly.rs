//! Reassembly of outer packets, for callers that get them as the network delivers them.
//!
//! Kernels reassemble before a socket sees anything; userspace stacks, TAP devices and captures do not. ESP takes
//! whole packets only (RFC 4303 3.4.1), so their fragments come here first.
//!
//! Nothing of a fragment is authenticated, so everything is bounded: the octets kept, those of one source, the
//! fragments of one packet, and the time they may take. Where fragments overlap, the whole packet is refused and
//! stays refused, since no two systems agree on what it would mean (RFC 5722, and the same for IPv4).

mod fragment;
mod packet;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};
use core::time::Duration;

use ikebana_core::Instant;
use thiserror::Error;

use crate::ip::IpError;
use fragment::{Fragment, Key};
use packet::Pieces;

/// The bounds of a [`Reassembler`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReassemblyLimits {
    /// How long the fragments of one packet may take, from the first that arrives. RFC 8200 4.5 allows at most a
    /// minute; identifications repeat much sooner at high rates (RFC 4963).
    pub timeout: Duration,
    /// Octets kept of all packets, what it costs to keep them included.
    pub octets: usize,
    /// Octets kept of packets from one source: an IPv4 address, or an IPv6 network of 64 bits.
    pub octets_per_source: usize,
    /// Fragments of one packet.
    pub fragments: usize,
    /// The fewest octets of data in a fragment that is not the last one. No link that carries IPsec cuts
    /// smaller, and attackers like to.
    pub shortest: usize,
}

impl Default for ReassemblyLimits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(15),
            octets: 4 << 20,
            octets_per_source: 256 << 10,
            fragments: 64,
            shortest: 256,
        }
    }
}

/// What became of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reassembled {
    /// It is not a fragment: go on with it as it is.
    Whole,
    /// It was the last fragment that was missing: this is the packet.
    Complete(Vec<u8>),
    /// Its packet is not complete yet.
    Waiting,
}

/// Why a fragment was dropped. Each cause has a counter in [`ReassemblyStats`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReassemblyError {
    /// It is not an IP packet.
    #[error("{0}")]
    Malformed(IpError),
    /// It has no data, or is not the last one and its data is no multiple of eight octets.
    #[error("a fragment with {0} octets of data")]
    Length(usize),
    /// It has less data than any link makes it have.
    #[error("a fragment with only {0} octets of data")]
    Tiny(usize),
    /// The packet would be longer than IP can say.
    #[error("a fragment that ends at octet {0}")]
    TooLong(usize),
    /// It is the same as one that is there.
    #[error("the fragment is there already")]
    Duplicate,
    /// It overlaps another one, or they disagree where the packet ends. The packet is refused from now on.
    #[error("fragments overlap")]
    Overlap,
    /// The packet has too many fragments, and is refused from now on.
    #[error("too many fragments")]
    TooMany,
    /// A router marked congestion on one fragment, and another says that the sender would not understand it. The
    /// packet is refused (RFC 3168 5.3).
    #[error("congestion marked on a packet that cannot say so")]
    Ecn,
    /// Its packet was refused before.
    #[error("the fragment's packet was refused")]
    Refused,
    /// It alone is more than one source may have kept.
    #[error("no room for the fragment")]
    NoRoom,
}

/// What a [`Reassembler`] has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReassemblyStats {
    /// Fragments kept.
    pub fragments: u64,
    /// Packets put together.
    pub complete: u64,
    /// Packets given up since their fragments did not come in time.
    pub timed_out: u64,
    /// Packets given up since newer ones needed their room.
    pub evicted: u64,
    /// [`ReassemblyError::Malformed`].
    pub malformed: u64,
    /// [`ReassemblyError::Length`].
    pub length: u64,
    /// [`ReassemblyError::Tiny`].
    pub tiny: u64,
    /// [`ReassemblyError::TooLong`].
    pub too_long: u64,
    /// [`ReassemblyError::Duplicate`].
    pub duplicate: u64,
    /// [`ReassemblyError::Overlap`].
    pub overlap: u64,
    /// [`ReassemblyError::TooMany`].
    pub too_many: u64,
    /// [`ReassemblyError::Ecn`].
    pub ecn: u64,
    /// [`ReassemblyError::Refused`].
    pub refused: u64,
    /// [`ReassemblyError::NoRoom`].
    pub no_room: u64,
}

impl ReassemblyStats {
    fn failed(&mut self, error: ReassemblyError) {
        let counter = match error {
            ReassemblyError::Malformed(_) => &mut self.malformed,
            ReassemblyError::Length(_) => &mut self.length,
            ReassemblyError::Tiny(_) => &mut self.tiny,
            ReassemblyError::TooLong(_) => &mut self.too_long,
            ReassemblyError::Duplicate => &mut self.duplicate,
            ReassemblyError::Overlap => &mut self.overlap,
            ReassemblyError::TooMany => &mut self.too_many,
            ReassemblyError::Ecn => &mut self.ecn,
            ReassemblyError::Refused => &mut self.refused,
            ReassemblyError::NoRoom => &mut self.no_room,
        };
        *counter = counter.saturating_add(1);
    }
}

/// A packet on its way to being whole.
struct Entry {
    /// Its place in the order of arrival.
    serial: u64,
    until: Instant,
    octets: usize,
    /// `None` once it is refused. That is remembered, so that fragments yet to come do not start it anew.
    pieces: Option<Pieces>,
}

/// Puts fragments together.
///
/// ```
/// use ikebana_core::Instant;
/// use ikebana_esp::{Reassembled, Reassembler, ReassemblyLimits};
/// let mut reassembler = Reassembler::new(ReassemblyLimits::default());
/// let mut first = [0; 276];
/// first[..20].copy_from_slice(&[
///     0x45, 0, 1, 20, 0x12, 0x34, 0x20, 0, 64, 50, 0, 0, 192, 0, 2, 1, 198, 51, 100, 7,
/// ]);
/// let mut last = first;
/// last[6..8].copy_from_slice(&[0, 32]);
/// let now = Instant::from_secs(1);
/// assert_eq!(reassembler.handle_packet(now, &last), Ok(Reassembled::Waiting));
/// let Ok(Reassembled::Complete(packet)) = reassembler.handle_packet(now, &first) else { panic!() };
/// assert_eq!((packet.len(), packet[6], packet[7]), (532, 0, 0));
/// ```
pub struct Reassembler {
    limits: ReassemblyLimits,
    /// Ordered maps, since peers choose the keys.
    packets: BTreeMap<Key, Entry>,
    /// The oldest first. All have the same time, so it is also the first to run out.
    order: BTreeMap<u64, Key>,
    /// The same by source.
    by_source: BTreeSet<(IpAddr, u64)>,
    octets_of: BTreeMap<IpAddr, usize>,
    octets: usize,
    next: u64,
    stats: ReassemblyStats,
}

/// What it costs to keep track of a packet and of a fragment, besides their octets.
const PER_PACKET: usize = 512;
const PER_FRAGMENT: usize = 64;

impl Reassembler {
    /// Nothing kept yet.
    #[must_use]
    pub const fn new(limits: ReassemblyLimits) -> Self {
        Self {
            limits,
            packets: BTreeMap::new(),
            order: BTreeMap::new(),
            by_source: BTreeSet::new(),
            octets_of: BTreeMap::new(),
            octets: 0,
            next: 0,
            stats: ReassemblyStats {
                fragments: 0,
                complete: 0,
                timed_out: 0,
                evicted: 0,
                malformed: 0,
                length: 0,
                tiny: 0,
                too_long: 0,
                duplicate: 0,
                overlap: 0,
                too_many: 0,
                ecn: 0,
                refused: 0,
                no_room: 0,
            },
        }
    }

    /// What happened so far.
    #[must_use]
    pub const fn stats(&self) -> &ReassemblyStats {
        &self.stats
    }

    /// Octets kept, what it costs to keep them included.
    #[must_use]
    pub const fn octets(&self) -> usize {
        self.octets
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to give up.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let (_, oldest) = self.order.first_key_value()?;
        self.packets.get(oldest).map(|entry| entry.until)
    }

    /// Gives up packets whose fragments did not come in time. Nobody is told ("time exceeded" helps nobody who
    /// sends ESP, and would be an answer to anybody's fragments).
    pub fn handle_timeout(&mut self, now: Instant) {
        while self.poll_timeout().is_some_and(|until| until <= now) {
            let Some((_, oldest)) = self.order.first_key_value() else { return };
            let gone = self.remove(*oldest);
            // One that was refused is counted already.
            let waited = gone.is_some_and(|entry| entry.pieces.is_some());
            self.stats.timed_out = self.stats.timed_out.saturating_add(u64::from(waited));
        }
    }

    /// Takes in a whole outer IP packet, or a fragment of one. Octets behind the packet do not matter.
    ///
    /// # Errors
    /// [`ReassemblyError`] if it is a fragment and was dropped.
    pub fn handle_packet(&mut self, now: Instant, packet: &[u8]) -> Result<Reassembled, ReassemblyError> {
        self.handle_timeout(now);
        let result = match Fragment::parse(packet) {
            Ok(None) => return Ok(Reassembled::Whole),
            Ok(Some(fragment)) => self.take(now, &fragment),
            Err(error) => Err(ReassemblyError::Malformed(error)),
        };
        if let Err(error) = result {
            self.stats.failed(error);
        }
        result
    }

    fn take(&mut self, now: Instant, fragment: &Fragment<'_>) -> Result<Reassembled, ReassemblyError> {
        fragment.check(self.limits.shortest)?;
        let (key, source) = (fragment.key, source_of(fragment.key.source));
        let known = self.packets.contains_key(&key);
        let needed = fragment.cost().saturating_add(PER_FRAGMENT);
        if !known {
            self.make_room(source, needed.saturating_add(PER_PACKET), None)?;
            self.begin(now, key, source);
        }
        let most = self.limits.fragments;
        let entry = self.packets.get_mut(&key).ok_or(ReassemblyError::Refused)?;
        let serial = entry.serial;
        let pieces = entry.pieces.as_mut().ok_or(ReassemblyError::Refused)?;
        if let Err(error) = pieces.admit(fragment, most) {
            if error != ReassemblyError::Duplicate {
                self.refuse(key);
            }
            return Err(error);
        }
        if known {
            self.make_room(source, needed, Some(serial))?;
        }
        self.charge(key, source, needed);
        self.stats.fragments = self.stats.fragments.saturating_add(1);
        let Some(pieces) = self.packets.get_mut(&key).and_then(|entry| entry.pieces.as_mut()) else {
            return Err(ReassemblyError::Refused);
        };
        pieces.insert(fragment);
        if !pieces.is_complete() {
            return Ok(Reassembled::Waiting);
        }
        let whole = self.remove(key).and_then(|entry| entry.pieces).map(Pieces::join);
        let whole = whole.ok_or(ReassemblyError::Refused)??;
        self.stats.complete = self.stats.complete.saturating_add(1);
        Ok(Reassembled::Complete(whole))
    }

    /// Makes room for `needed` octets more from `source`, at the cost of the oldest packets: those that are
    /// still incomplete after so many others are not going to be whole. `keep` is not one of them.
    fn make_room(&mut self, source: IpAddr, needed: usize, keep: Option<u64>) -> Result<(), ReassemblyError> {
        let limits = self.limits;
        let own = |this: &Self| this.octets_of.get(&source).copied().unwrap_or(0).saturating_add(needed);
        while own(self) > limits.octets_per_source {
            let all = self.by_source.range((source, 0)..=(source, u64::MAX));
            let mut serials = all.map(|(_, serial)| *serial).filter(|serial| Some(*serial) != keep);
            let oldest = serials.next().ok_or(ReassemblyError::NoRoom)?;
            self.evict(oldest);
        }
        while self.octets.saturating_add(needed) > limits.octets {
            let mut serials = self.order.keys().copied().filter(|serial| Some(*serial) != keep);
            let oldest = serials.next().ok_or(ReassemblyError::NoRoom)?;
            self.evict(oldest);
        }
        Ok(())
    }

    fn evict(&mut self, serial: u64) {
        let Some(key) = self.order.get(&serial).copied() else { return };
        let gone = self.remove(key);
        let waited = gone.is_some_and(|entry| entry.pieces.is_some());
        self.stats.evicted = self.stats.evicted.saturating_add(u64::from(waited));
    }

    #[expect(clippy::arithmetic_side_effects, reason = "an instant saturates")]
    fn begin(&mut self, now: Instant, key: Key, source: IpAddr) {
        let (serial, until) = (self.next, now + self.limits.timeout);
        self.next = self.next.saturating_add(1);
        self.order.insert(serial, key);
        self.by_source.insert((source, serial));
        self.packets.insert(key, Entry { serial, until, octets: 0, pieces: Some(Pieces::new()) });
        self.charge(key, source, PER_PACKET);
    }

    /// Frees what a packet keeps, and remembers that it was refused.
    fn refuse(&mut self, key: Key) {
        let Some(entry) = self.packets.get_mut(&key) else { return };
        entry.pieces = None;
        let freed = entry.octets.saturating_sub(PER_PACKET);
        entry.octets = PER_PACKET;
        self.discharge(source_of(key.source), freed);
    }

    fn charge(&mut self, key: Key, source: IpAddr, octets: usize) {
        let Some(entry) = self.packets.get_mut(&key) else { return };
        entry.octets = entry.octets.saturating_add(octets);
        self.octets = self.octets.saturating_add(octets);
        let of = self.octets_of.entry(source).or_insert(0);
        *of = of.saturating_add(octets);
    }

    fn discharge(&mut self, source: IpAddr, octets: usize) {
        self.octets = self.octets.saturating_sub(octets);
        if let Some(of) = self.octets_of.get_mut(&source) {
            *of = of.saturating_sub(octets);
            if *of == 0 {
                self.octets_of.remove(&source);
            }
        }
    }

    fn remove(&mut self, key: Key) -> Option<Entry> {
        let entry = self.packets.remove(&key)?;
        let source = source_of(key.source);
        self.order.remove(&entry.serial);
        self.by_source.remove(&(source, entry.serial));
        self.discharge(source, entry.octets);
        Some(entry)
    }
}

/// Who answers for a packet: whoever has one IPv6 address has 2⁶⁴ of them.
fn source_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
mod tests;
