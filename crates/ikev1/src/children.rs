//! Pairs of ESP or AH SAs: what an association keeps of each, and how it comes and goes at the data path.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use ikebana_core::{EspSpi, IkeSpi, Instant, Lifetime, Path, TrafficSelector, TrafficSelectors};
use ikebana_ike::{
    ChildConfig, ChildHandle, Direction, Event, IkeSaHandle, Mode, RemoveReason, SaKeys, SaParams,
};
use ikebana_proposals::ChildSuite;

use crate::context::Context;

/// Where a pair is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChildState {
    /// The peer is making it and has our answer, but we do not have its last message. Only the inbound SA is
    /// installed.
    Pending,
    /// In use.
    Installed,
    /// Another pair does its work. Whoever made that one deletes this one, and at this time we do.
    Replaced {
        /// The pair that took its place.
        by: ChildHandle,
        /// When we delete it, if the other pair is still there.
        until: Instant,
    },
    /// Deleted by both sides. Only the inbound SA is left, for packets still in flight, until this time.
    Lingering(Instant),
}

/// A pair of ESP or AH SAs.
pub(crate) struct Child {
    pub(crate) handle: ChildHandle,
    pub(crate) config: Arc<ChildConfig>,
    pub(crate) suite: ChildSuite,
    pub(crate) inbound: EspSpi,
    pub(crate) outbound: EspSpi,
    pub(crate) local: TrafficSelector,
    pub(crate) remote: TrafficSelector,
    pub(crate) state: ChildState,
    /// The pair that this one was made to replace.
    pub(crate) replaces: Option<ChildHandle>,
    /// Our cookie of the ISAKMP SA that it was made over.
    pub(crate) over: IkeSpi,
    /// When it was made.
    pub(crate) made: Instant,
    /// Whether we started the exchange that made it.
    pub(crate) initiated: bool,
    /// When that exchange began, in the order of the association's exchanges.
    pub(crate) began: u64,
    /// When it came into use, in the same order.
    pub(crate) ready: u64,
    /// The lower one of the two nonces that it was made with, for deciding which of two pairs goes that were
    /// made at the same time.
    pub(crate) lowest_nonce: Vec<u8>,
    /// When a rekey is due, by time or because the data path asked for it.
    pub(crate) soft: Option<Instant>,
    /// When the pair must be gone.
    pub(crate) hard: Option<Instant>,
    /// When a packet came in over it last, as far as we are told.
    pub(crate) heard: Option<Instant>,
    /// Whether its end has been put off once, because the peer still used it.
    pub(crate) postponed: bool,
    /// When the outbound SA is used at the latest, if it is held back for some time only.
    pub(crate) hold: Option<Instant>,
    held_outbound: Option<Box<SaParams>>,
    outbound_installed: bool,
}

/// What quick mode has settled about a new pair.
pub(crate) struct Agreed {
    pub(crate) config: Arc<ChildConfig>,
    pub(crate) suite: ChildSuite,
    pub(crate) mode: Mode,
    pub(crate) inbound: EspSpi,
    pub(crate) outbound: EspSpi,
    pub(crate) local: TrafficSelector,
    pub(crate) remote: TrafficSelector,
    pub(crate) inbound_keys: SaKeys,
    pub(crate) outbound_keys: SaKeys,
    pub(crate) replaces: Option<ChildHandle>,
    /// Our cookie of the ISAKMP SA that it is made over.
    pub(crate) over: IkeSpi,
    /// The limits as negotiated, jitter already drawn.
    pub(crate) lifetime: Lifetime,
    pub(crate) initiated: bool,
    pub(crate) began: u64,
    pub(crate) lowest_nonce: Vec<u8>,
}

/// Where a pair's packets travel.
#[derive(Clone, Copy)]
pub(crate) struct Carrier {
    pub(crate) ike: IkeSaHandle,
    pub(crate) path: Path,
    pub(crate) encapsulated: bool,
}

impl Child {
    /// Makes the pair and installs its inbound SA. The outbound SA waits for [`Self::release_outbound`].
    pub(crate) fn install(cx: &mut Context<'_>, agreed: Agreed, carrier: Carrier) -> Self {
        let handle = cx.child_handle(carrier.ike);
        let lifetime = agreed.lifetime;
        let params = |direction, spi, keys| {
            Box::new(SaParams {
                child: handle,
                ike: carrier.ike,
                direction,
                protocol: agreed.suite.protocol,
                spi,
                suite: agreed.suite,
                keys,
                mode: agreed.mode,
                local: TrafficSelectors::from(agreed.local),
                remote: TrafficSelectors::from(agreed.remote),
                path: carrier.path,
                encapsulated: carrier.encapsulated,
                lifetime,
                // Quick mode has no words for either, and a peer with ESP of that time would not know padding.
                tfc_padding: false,
                cpi: None,
                replaces: agreed.replaces,
                config: agreed.config.clone(),
            })
        };
        let inbound = params(Direction::Inbound, agreed.inbound, agreed.inbound_keys);
        let outbound = params(Direction::Outbound, agreed.outbound, agreed.outbound_keys);
        cx.event(Event::InstallSa(inbound));
        cx.stats.children = cx.stats.children.saturating_add(1);
        let Lifetime { soft_time, hard_time, .. } = lifetime;
        Self {
            handle,
            config: agreed.config,
            suite: agreed.suite,
            inbound: agreed.inbound,
            outbound: agreed.outbound,
            local: agreed.local,
            remote: agreed.remote,
            state: ChildState::Pending,
            replaces: agreed.replaces,
            over: agreed.over,
            made: cx.now,
            initiated: agreed.initiated,
            began: agreed.began,
            ready: agreed.began,
            lowest_nonce: agreed.lowest_nonce,
            soft: soft_time.map(|time| cx.now + time),
            hard: hard_time.map(|time| cx.now + time),
            heard: None,
            postponed: false,
            hold: None,
            held_outbound: Some(outbound),
            outbound_installed: false,
        }
    }

    /// Whether both pairs are for the same traffic and of the same kind.
    pub(crate) fn is_twin_of(&self, other: &Self) -> bool {
        self.handle != other.handle
            && self.config.name == other.config.name
            && self.suite.protocol == other.suite.protocol
            && self.local == other.local
            && self.remote == other.remote
    }

    /// Installs the outbound SA if it was held back.
    pub(crate) fn release_outbound(&mut self, cx: &mut Context<'_>) {
        self.hold = None;
        if let Some(params) = self.held_outbound.take() {
            self.outbound_installed = true;
            cx.event(Event::InstallSa(params));
        }
    }

    /// Whether packets can be sent over it.
    pub(crate) const fn is_outbound_installed(&self) -> bool {
        self.outbound_installed
    }

    /// Whether its outbound SA waits for a sign that the peer is ready for it.
    pub(crate) const fn is_outbound_held(&self) -> bool {
        self.held_outbound.is_some()
    }

    /// Removes the outbound SA, if it is installed.
    pub(crate) fn remove_outbound(&mut self, cx: &mut Context<'_>, reason: RemoveReason) {
        self.held_outbound = None;
        self.hold = None;
        if core::mem::take(&mut self.outbound_installed) {
            cx.event(Event::RemoveSa {
                child: self.handle,
                direction: Direction::Outbound,
                spi: self.outbound,
                reason,
            });
        }
    }

    /// Removes what is left of the pair. Both SAs are gone and their names free afterwards.
    pub(crate) fn remove(mut self, cx: &mut Context<'_>, reason: RemoveReason) {
        self.remove_outbound(cx, reason);
        cx.event(Event::RemoveSa {
            child: self.handle,
            direction: Direction::Inbound,
            spi: self.inbound,
            reason,
        });
        cx.release_esp_spi(self.inbound);
        cx.forget_child(self.handle);
    }

    /// When this pair needs attention next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let first = |times: [Option<Instant>; 3]| times.into_iter().flatten().min();
        match self.state {
            ChildState::Installed => first([self.soft, self.hard, self.hold]),
            ChildState::Replaced { until, .. } => first([Some(until), self.hard, self.hold]),
            ChildState::Lingering(until) => Some(until),
            ChildState::Pending => self.hard,
        }
    }
}
