//! Messages in fragments, as Cisco and Microsoft have it (MS-IKEE 2.2.3.1; there is no RFC).
//!
//! A fragment is a message of its own with one payload: a part of the real message, header included. Fragments
//! are not authenticated; what they amount to is looked at like any message. So what is kept of them is small,
//! belongs to an exchange that exists, and gives way to what comes later.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use ikebana_core::Instant;
use ikebana_crypto::sha256;
use ikebana_ike::{DropReason, Flags, HEADER_LEN, IkeHeader};

use crate::wire::{self, Body, FragmentPayload, Payload, PayloadType};

/// The most fragments that a message may come in.
const MOST: u8 = 64;

/// How long the fragments of a message may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// UDP payload that every path carries: IPv6 asks for 1280 octets of packet, of which 48 are headers and 4 may be
/// the non-ESP marker.
const LONGEST: usize = 1_280 - 48 - 4;

/// Octets around a part: the IKE header, the generic payload header, and number and flags.
const AROUND: usize = HEADER_LEN + 4 + 4;

/// A message that comes in fragments.
#[derive(Default)]
pub(crate) struct Reassembly {
    id: u16,
    /// Which one is the last, once it is here.
    last: Option<u8>,
    parts: BTreeMap<u8, Vec<u8>>,
    octets: usize,
    until: Option<Instant>,
}

impl Reassembly {
    /// Takes in a fragment. Returns the message if that was the last missing one; `limit` is how long it may be.
    ///
    /// # Errors
    /// [`DropReason::Malformed`] if the fragments contradict each other, [`DropReason::TooLong`] if the message
    /// is. They are forgotten then.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        limit: usize,
        part: &FragmentPayload,
    ) -> Result<Option<Vec<u8>>, DropReason> {
        if part.number > MOST || part.data.is_empty() {
            return Err(DropReason::Malformed);
        }
        // Some peers use one id for every message, so that another content begins another message, too.
        let is_other = part.id != self.id
            || self.until.is_some_and(|until| until <= now)
            || self.parts.get(&part.number).is_some_and(|known| *known != part.data);
        if is_other {
            *self = Self::default();
        }
        if self.parts.is_empty() {
            self.id = part.id;
            self.until = Some(now + PATIENCE);
        }
        if self.parts.contains_key(&part.number) {
            return Ok(None);
        }
        self.octets = self.octets.saturating_add(part.data.len());
        if self.octets > limit {
            *self = Self::default();
            return Err(DropReason::TooLong);
        }
        if part.is_last {
            self.last = Some(part.number);
        }
        self.parts.insert(part.number, part.data.clone());
        let Some(last) = self.last else { return Ok(None) };
        if self.parts.last_key_value().is_some_and(|(&number, _)| number > last) {
            *self = Self::default();
            return Err(DropReason::Malformed);
        }
        // The numbers are all different, from one, and none is above the last.
        if self.parts.len() < usize::from(last) {
            return Ok(None);
        }
        let parts = core::mem::take(self).parts;
        Ok(Some(parts.into_values().flatten().collect()))
    }
}

/// The fragments of `message`, each a whole message; `None` if it is to be sent as it is. With `always` even a
/// short message is cut in two.
pub(crate) fn split(message: &[u8], always: bool) -> Option<Vec<Vec<u8>>> {
    if message.len() <= LONGEST && !always {
        return None;
    }
    let header = IkeHeader::peek(message).ok()?;
    let most = LONGEST.saturating_sub(AROUND);
    let size = if message.len() <= most { message.len().div_ceil(2) } else { most }.max(1);
    let parts: Vec<&[u8]> = message.chunks(size).collect();
    if parts.len() < 2 || parts.len() > usize::from(MOST) {
        return None;
    }
    // The same for the same message, so that fragments of its repetition complete it; never zero.
    let [first, second, ..] = sha256(&[message]);
    let id = u16::from_be_bytes([first, second]).max(1);
    let header = IkeHeader {
        next_payload: PayloadType::FRAGMENT.0,
        flags: Flags(header.flags.0 & !Flags::ENCRYPTED),
        ..header
    };
    let count = parts.len();
    let fragment = |(number, data): (u8, &&[u8])| {
        let is_last = usize::from(number) == count;
        let part = FragmentPayload { id, number, is_last, data: data.to_vec() };
        wire::encode(&header, &Body::Clear(Vec::from([Payload::Fragment(part)]))).ok()
    };
    (1..).zip(&parts).map(fragment).collect()
}

#[cfg(test)]
mod tests;
