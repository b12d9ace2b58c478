//! Decisions for recent flows.

use alloc::vec::Vec;
use core::hash::BuildHasher;

use ikebana_core::Flow;

use crate::event::Decision;
use crate::hash::Keyed;

/// A table with one place per hash value: a flow either is in its place or is looked up again.
///
/// Whatever changes a decision starts a new epoch, and what an older epoch has left does not count.
pub(crate) struct FlowCache {
    places: Vec<Option<Known>>,
    epoch: u64,
    hash: Keyed,
}

struct Known {
    flow: Flow,
    epoch: u64,
    decision: Decision,
}

impl FlowCache {
    pub(crate) fn new(hash: Keyed, size: usize) -> Self {
        let mut places = Vec::new();
        places.resize_with(size, || None);
        Self { places, epoch: 0, hash }
    }

    /// Forgets everything.
    pub(crate) const fn invalidate(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
    }

    pub(crate) fn get(&self, flow: &Flow) -> Option<Decision> {
        let known = self.places.get(self.place(flow)?)?.as_ref()?;
        (known.epoch == self.epoch && known.flow == *flow).then_some(known.decision)
    }

    pub(crate) fn put(&mut self, flow: &Flow, decision: Decision) {
        let epoch = self.epoch;
        if let Some(place) = self.place(flow).and_then(|place| self.places.get_mut(place)) {
            *place = Some(Known { flow: *flow, epoch, decision });
        }
    }

    fn place(&self, flow: &Flow) -> Option<usize> {
        let size = u64::try_from(self.places.len()).ok()?;
        usize::try_from(self.hash.hash_one(flow).checked_rem(size)?).ok()
    }
}
