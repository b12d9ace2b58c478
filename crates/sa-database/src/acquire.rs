//! Asking for SAs that do not exist yet, without asking for every packet.

use alloc::collections::BTreeMap;
use core::time::Duration;

use ikebana_core::{Flow, Instant};

use crate::policy::{PolicyId, Selectors, TunnelId};

/// The acquires under way: at most one per policy, so there are never more than policies.
pub(crate) struct Acquires {
    /// By tunnel first, because that is what a new SA belongs to.
    pending: BTreeMap<(TunnelId, PolicyId), Pending>,
    first_pause: Duration,
    longest_pause: Duration,
}

struct Pending {
    flow: Flow,
    /// When a packet may ask again.
    again: Instant,
    pause: Duration,
    /// Whether the owner has not seen the last event yet.
    unseen: bool,
}

impl Acquires {
    pub(crate) const fn new(first_pause: Duration, longest_pause: Duration) -> Self {
        Self { pending: BTreeMap::new(), first_pause, longest_pause }
    }

    /// A packet found no SA. Returns whether that is to be reported.
    pub(crate) fn ask(&mut self, now: Instant, tunnel: TunnelId, policy: PolicyId, flow: &Flow) -> bool {
        let fresh =
            Pending { flow: *flow, again: now + self.first_pause, pause: self.first_pause, unseen: true };
        let Some(pending) = self.pending.get_mut(&(tunnel, policy)) else {
            self.pending.insert((tunnel, policy), fresh);
            return true;
        };
        if pending.unseen || now < pending.again {
            return false;
        }
        // Whoever was silent for as long as the last pause has given up, and is new when it comes back.
        let resumed = now >= pending.again + pending.pause;
        let pause = pending.pause.saturating_mul(2).min(self.longest_pause);
        *pending = if resumed { fresh } else { Pending { again: now + pause, pause, ..fresh } };
        true
    }

    /// The owner sees the event now; `None` if nobody waits any more, or it has seen the event already, because
    /// an older one that was moot by then still stood in the queue.
    pub(crate) fn seen(&mut self, tunnel: TunnelId, policy: PolicyId) -> Option<Flow> {
        let pending = self.pending.get_mut(&(tunnel, policy)).filter(|pending| pending.unseen)?;
        pending.unseen = false;
        Some(pending.flow)
    }

    /// A new SA of `tunnel` covers `selectors`: those who waited for it wait no more. Those whom it does not
    /// help keep their pauses.
    pub(crate) fn satisfied(&mut self, tunnel: TunnelId, selectors: &Selectors) {
        let (first, last) = PolicyId::RANGE;
        let helped = self.pending.range((tunnel, first)..=(tunnel, last));
        let helped: alloc::vec::Vec<_> =
            helped.filter(|(_, pending)| selectors.cover(&pending.flow)).map(|(key, _)| *key).collect();
        for key in helped {
            self.pending.remove(&key);
        }
    }

    pub(crate) fn forget(&mut self, tunnel: TunnelId, policy: PolicyId) {
        self.pending.remove(&(tunnel, policy));
    }
}
