//! Counters of an endpoint.

use crate::reason::DropCounters;

/// What an endpoint has done since it was made. Every counter only grows, except those called "now".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointStats {
    /// Datagrams that changed nothing, by reason.
    pub drops: DropCounters,
    /// Datagrams taken in.
    pub received: u64,
    /// Datagrams sent, repetitions included.
    pub sent: u64,
    /// Requests that were sent again.
    pub retransmitted: u64,
    /// Cookies demanded of strangers.
    pub cookies_sent: u64,
    /// IKE SAs that reached authentication.
    pub established: u64,
    /// IKE SAs that did not.
    pub failed: u64,
    /// Child SA pairs installed, rekeys included.
    pub children: u64,
    /// Rekeys of IKE SAs.
    pub ike_rekeys: u64,
    /// Half-open IKE SAs now.
    pub half_open_now: usize,
}

impl EndpointStats {
    /// These and those of another endpoint of the same node, together.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        self.drops.add(&other.drops);
        let counters = [
            (&mut self.received, other.received),
            (&mut self.sent, other.sent),
            (&mut self.retransmitted, other.retransmitted),
            (&mut self.cookies_sent, other.cookies_sent),
            (&mut self.established, other.established),
            (&mut self.failed, other.failed),
            (&mut self.children, other.children),
            (&mut self.ike_rekeys, other.ike_rekeys),
        ];
        for (counter, other) in counters {
            *counter = counter.saturating_add(other);
        }
        self.half_open_now = self.half_open_now.saturating_add(other.half_open_now);
        self
    }
}
