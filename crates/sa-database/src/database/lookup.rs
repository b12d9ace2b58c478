//! What is asked for every packet.

use ikebana_core::{EspSpi, Flow, Instant};

use super::{SaDatabase, Unmatched};
use crate::event::{Decision, DiscardReason, Event};
use crate::policy::{Action, PolicyId, TunnelId};
use crate::sa::{Entry, InboundId, OutboundId, SaProtocol};

impl<I, O> SaDatabase<I, O> {
    /// What is to be done with an outbound packet.
    pub fn outbound(&mut self, now: Instant, flow: &Flow) -> Decision {
        let now = self.pass_time(now);
        if let Some(decision) = self.cache.get(flow) {
            return decision;
        }
        let decision = match self.policy_index.first_match(flow) {
            None => match self.config.unmatched {
                Unmatched::Discard => Decision::Discard(DiscardReason::NoPolicy),
                Unmatched::Bypass => Decision::Bypass,
            },
            Some((_, Action::Bypass)) => Decision::Bypass,
            Some((_, Action::Discard)) => Decision::Discard(DiscardReason::Policy),
            Some((policy, Action::Protect { tunnel, on_demand })) => {
                let members = self.tunnels.get(&tunnel);
                match members.and_then(|members| members.usable.first_match(flow)) {
                    Some(sa) => Decision::Protect(sa),
                    None if on_demand => return self.acquire(now, policy, tunnel, flow),
                    None => Decision::Discard(DiscardReason::NoSa),
                }
            }
        };
        self.cache.put(flow, decision);
        decision
    }

    /// The outbound SA that packets of a flow use, if it is there now. Asks for none, and does not say what else is to
    /// be done with such packets.
    #[must_use]
    pub fn outbound_present(&self, flow: &Flow) -> Option<OutboundId> {
        match self.policy_index.first_match(flow)? {
            (_, Action::Protect { tunnel, .. }) => self.tunnels.get(&tunnel)?.usable.first_match(flow),
            (_, Action::Bypass | Action::Discard) => None,
        }
    }

    /// The inbound SA that has this SPI, unless it has reached a hard limit.
    #[must_use]
    pub fn inbound(&self, protocol: SaProtocol, spi: EspSpi) -> Option<InboundId> {
        self.spis(protocol).get(spi).map(InboundId)
    }

    /// The inbound SA that has this SPI and has reached a hard limit: its packets are dropped, and whoever counts
    /// them may want to know whose they are.
    #[must_use]
    pub fn inbound_expired(&self, protocol: SaProtocol, spi: EspSpi) -> Option<InboundId> {
        self.spis(protocol).get_closed(spi).map(InboundId)
    }

    /// Whether a packet that came out of an inbound SA is one that the SA may carry (RFC 4301 5.2, step 4).
    ///
    /// `flow` is seen from here: `local` is the packet's destination.
    #[must_use]
    pub fn permits_inbound(&self, id: InboundId, flow: &Flow) -> bool {
        self.inbound.get(id.0).is_some_and(|entry| entry.selectors.cover(flow))
    }

    /// Whether a packet that came in the clear may pass (RFC 4301 5.2, step 3b).
    ///
    /// `flow` is seen from here: `local` is the packet's destination.
    ///
    /// # Errors
    /// Why it does not pass.
    pub fn permits_cleartext(&self, flow: &Flow) -> Result<(), DiscardReason> {
        match self.policy_index.first_match(flow) {
            Some((_, Action::Bypass)) => Ok(()),
            Some((_, Action::Discard)) => Err(DiscardReason::Policy),
            Some((_, Action::Protect { .. })) => Err(DiscardReason::MustBeProtected),
            None => match self.config.unmatched {
                Unmatched::Discard => Err(DiscardReason::NoPolicy),
                Unmatched::Bypass => Ok(()),
            },
        }
    }

    /// The object of an inbound SA.
    #[must_use]
    pub fn inbound_mut(&mut self, id: InboundId) -> Option<&mut I> {
        self.inbound.get_mut(id.0).map(|entry| &mut entry.object)
    }

    /// The object of an outbound SA.
    #[must_use]
    pub fn outbound_mut(&mut self, id: OutboundId) -> Option<&mut O> {
        self.outbound.get_mut(id.0).map(|entry| &mut entry.object)
    }

    /// The object of an inbound SA, to look at.
    #[must_use]
    pub fn inbound_ref(&self, id: InboundId) -> Option<&I> {
        self.inbound.get(id.0).map(|entry: &Entry<I>| &entry.object)
    }

    /// The object of an outbound SA, to look at.
    #[must_use]
    pub fn outbound_ref(&self, id: OutboundId) -> Option<&O> {
        self.outbound.get(id.0).map(|entry: &Entry<O>| &entry.object)
    }

    /// The inbound SAs of a tunnel, the oldest first.
    pub fn inbound_of(&self, tunnel: TunnelId) -> impl DoubleEndedIterator<Item = InboundId> + '_ {
        self.tunnels.get(&tunnel).into_iter().flat_map(|members| members.inbound.iter().copied())
    }

    /// The outbound SAs of a tunnel, the oldest first.
    pub fn outbound_of(&self, tunnel: TunnelId) -> impl DoubleEndedIterator<Item = OutboundId> + '_ {
        self.tunnels.get(&tunnel).into_iter().flat_map(|members| members.outbound.iter().copied())
    }

    /// How many inbound SAs there are.
    #[must_use]
    pub fn inbound_len(&self) -> usize {
        self.inbound.len()
    }

    /// How many outbound SAs there are.
    #[must_use]
    pub fn outbound_len(&self) -> usize {
        self.outbound.len()
    }

    fn acquire(&mut self, now: Instant, policy: PolicyId, tunnel: TunnelId, flow: &Flow) -> Decision {
        let first = self.acquires.ask(now, tunnel, policy, flow);
        if first {
            self.events.push_back(Event::Acquire { policy, tunnel, flow: *flow });
        }
        Decision::Acquire { policy, tunnel, first }
    }
}
