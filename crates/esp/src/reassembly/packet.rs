//! The pieces of one packet.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::ReassemblyError;
use super::fragment::{Fragment, most_data};
use crate::ecn::Ecn;
use crate::ip;

/// What is there of a packet. Pieces never overlap.
pub(super) struct Pieces {
    /// By where they start.
    data: BTreeMap<usize, Box<[u8]>>,
    /// Octets in all of them.
    have: usize,
    /// Where the packet's data ends, once the last fragment is there.
    end: Option<usize>,
    /// The headers of the first fragment.
    headers: Vec<u8>,
    next: Option<(usize, u8)>,
    /// Whether a router has marked congestion on any of them.
    congested: bool,
    /// Whether any says that its sender does not know ECN.
    not_ect: bool,
}

impl Pieces {
    pub(super) const fn new() -> Self {
        Self {
            data: BTreeMap::new(),
            have: 0,
            end: None,
            headers: Vec::new(),
            next: None,
            congested: false,
            not_ect: false,
        }
    }

    /// Whether a fragment fits in with what is there. Changes nothing.
    pub(super) fn admit(&self, fragment: &Fragment<'_>, most: usize) -> Result<(), ReassemblyError> {
        let (start, end) = (fragment.start, fragment.end());
        // RFC 8200 4.5 lets exact copies pass as what they are; the network makes some.
        if let Some(present) = self.data.get(&start) {
            let last = self.end == Some(end);
            let same = **present == *fragment.data && last != fragment.more;
            return Err(if same { ReassemblyError::Duplicate } else { ReassemblyError::Overlap });
        }
        let before = self.data.range(..start).next_back();
        let after = self.data.range(start..).next();
        let overlaps = before.is_some_and(|(at, piece)| at.saturating_add(piece.len()) > start)
            || after.is_some_and(|(at, _)| *at < end);
        let beyond = match (self.end, fragment.more) {
            (Some(known), false) => known != end,
            (Some(known), true) => end > known,
            // The last one has to end where nothing follows.
            (None, false) => self.data.last_key_value().is_some_and(|(at, _)| *at >= end),
            (None, true) => false,
        };
        if overlaps || beyond {
            return Err(ReassemblyError::Overlap);
        }
        if self.data.len() >= most {
            return Err(ReassemblyError::TooMany);
        }
        let ecn = Ecn::of(fragment.tos);
        let congested = self.congested || ecn == Ecn::Ce;
        let not_ect = self.not_ect || ecn == Ecn::NotEct;
        if congested && not_ect { Err(ReassemblyError::Ecn) } else { Ok(()) }
    }

    /// Keeps a fragment that was admitted.
    pub(super) fn insert(&mut self, fragment: &Fragment<'_>) {
        let ecn = Ecn::of(fragment.tos);
        self.congested |= ecn == Ecn::Ce;
        self.not_ect |= ecn == Ecn::NotEct;
        if fragment.start == 0 {
            self.headers = fragment.headers.to_vec();
            self.next = fragment.next;
        }
        if !fragment.more {
            self.end = Some(fragment.end());
        }
        self.have = self.have.saturating_add(fragment.data.len());
        self.data.insert(fragment.start, fragment.data.into());
    }

    /// Whether nothing is missing. What does not overlap and is as much as there is to be has no gaps.
    pub(super) fn is_complete(&self) -> bool {
        self.end == Some(self.have)
    }

    /// The packet: the first fragment's headers, as if it had never been cut.
    pub(super) fn join(self) -> Result<Vec<u8>, ReassemblyError> {
        // Other fragments may have had shorter headers.
        if self.have > most_data(&self.headers) {
            return Err(ReassemblyError::TooLong(self.have));
        }
        let header_len = self.headers.len();
        let mut packet = Vec::with_capacity(header_len.saturating_add(self.have));
        packet.extend_from_slice(&self.headers);
        for piece in self.data.values() {
            packet.extend_from_slice(piece);
        }
        let error = ReassemblyError::TooLong(packet.len());
        match self.next {
            Some((at, next)) => ip::put(&mut packet, at, &[next]).ok_or(error)?,
            None => {
                // All flags but "more fragments" stay, the offset goes.
                let flags = packet.get(6).map(|flags| flags & 0xc0).ok_or(error)?;
                ip::put(&mut packet, 6, &[flags, 0]).ok_or(error)?;
            }
        }
        ip::fix_length(&mut packet, header_len).ok_or(error)?;
        if self.congested {
            let (first, second) = (packet.first().copied().unwrap_or(0), packet.get(1).copied().unwrap_or(0));
            let tos = if first >> 4 == 4 { second } else { (first << 4) | (second >> 4) };
            ip::set_tos(&mut packet, Ecn::Ce.within(tos)).ok_or(error)?;
        }
        Ok(packet)
    }
}
