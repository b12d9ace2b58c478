//! Messages in fragments (MS-IKEE 2.2.3.1; there is no RFC).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use ikebana_core::Instant;
use ikebana_ike::{DropReason, IkeHeader};

use crate::wire::{self, Body, FragmentPayload, Payload};

/// How long the parts of a message are waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Octets of a fragment beside the part of the message: headers of IKE and of the payload, and the payload's own.
const OVERHEAD: usize = 28 + 8;

/// A message that comes in parts, one at a time: a part of another one takes its place.
#[derive(Default)]
pub(crate) struct Reassembly {
    id: u16,
    parts: BTreeMap<u8, Vec<u8>>,
    octets: usize,
    /// The number of the last part, once that is here.
    last: Option<u8>,
    since: Option<Instant>,
}

impl Reassembly {
    /// Takes in a part. Returns the message if it is whole now.
    ///
    /// # Errors
    /// The part is one that is here already, or the message becomes longer than `limit` octets.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        limit: usize,
        part: &FragmentPayload,
    ) -> Result<Option<Vec<u8>>, DropReason> {
        let is_old = self.since.is_none_or(|since| now.saturating_since(since) > PATIENCE);
        if is_old || self.id != part.id {
            *self = Self { id: part.id, since: Some(now), ..Self::default() };
        }
        if self.parts.contains_key(&part.number) {
            return Err(DropReason::Retransmission);
        }
        let octets = self.octets.saturating_add(part.data.len());
        if octets > limit {
            *self = Self::default();
            return Err(DropReason::TooLong);
        }
        if part.is_last {
            self.last = Some(part.number);
        }
        self.octets = octets;
        self.parts.insert(part.number, part.data.clone());
        // Numbers count from one, so that there are as many parts as the last one's number says.
        if self.last.is_none_or(|last| self.parts.len() != usize::from(last)) {
            return Ok(None);
        }
        let whole = core::mem::take(self).parts.into_values().collect::<Vec<_>>().concat();
        Ok(Some(whole))
    }
}

/// Cuts a message into fragments that are no longer than `longest` octets each. `None` if it cannot be cut in two,
/// or would have to be cut into too many.
pub(crate) fn split(message: &[u8], id: u16, longest: usize) -> Option<Vec<Vec<u8>>> {
    let header = IkeHeader::peek(message).ok()?;
    let chunk = longest.checked_sub(OVERHEAD).filter(|chunk| *chunk > 0)?;
    let count = message.len().div_ceil(chunk);
    if count < 2 {
        return None;
    }
    let count = u8::try_from(count).ok()?;
    let parts = (1..=count).zip(message.chunks(chunk)).map(|(number, data)| {
        let is_last = number == count;
        let part = FragmentPayload { id, number, is_last, data: data.to_vec() };
        wire::encode(&header, &Body::Clear(Vec::from([Payload::Fragment(part)]))).ok()
    });
    parts.collect()
}
