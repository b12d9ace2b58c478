//! Child SAs: what an IKE SA keeps of each pair, and how the pair comes and goes at the data path.

pub(crate) mod extras;
pub(crate) mod negotiate;
pub(crate) mod offer;
pub(crate) mod selectors;

use alloc::boxed::Box;
use alloc::sync::Arc;

use ikebana_core::{EspSpi, Instant, Lifetime, Path, TrafficSelectors};
use ikebana_ike::{
    ChildConfig, ChildHandle, Direction, Event, IkeSaHandle, Mode, RemoveReason, SaKeys, SaParams,
};
use ikebana_proposals::ChildSuite;

use crate::context::Context;
use extras::Extras;

/// Where a pair is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChildState {
    /// In use.
    Installed,
    /// The peer has replaced it by another pair and will delete it, at the latest at this time.
    Replaced {
        /// The pair that took its place.
        by: ChildHandle,
        /// When we stop waiting for the peer and delete it ourselves.
        until: Instant,
    },
    /// We are deleting it; the exchange is queued or under way.
    Deleting,
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
    pub(crate) local: TrafficSelectors,
    pub(crate) remote: TrafficSelectors,
    pub(crate) state: ChildState,
    /// The pair that this one was made to replace.
    pub(crate) replaces: Option<ChildHandle>,
    /// When a rekey is due, by time or because the data path asked for it.
    pub(crate) soft: Option<Instant>,
    /// When the pair must be gone.
    pub(crate) hard: Option<Instant>,
    /// The outbound SA of a pair that the peer made to replace another one. It is installed once the peer
    /// shows that it has installed its side (RFC 7296 2.8).
    held_outbound: Option<Box<SaParams>>,
    outbound_installed: bool,
    /// Why it is being deleted, once it is.
    pub(crate) fate: Option<RemoveReason>,
}

/// What an exchange has settled about a new pair.
pub(crate) struct Agreed {
    pub(crate) config: Arc<ChildConfig>,
    pub(crate) suite: ChildSuite,
    pub(crate) mode: Mode,
    pub(crate) inbound: EspSpi,
    pub(crate) outbound: EspSpi,
    pub(crate) local: TrafficSelectors,
    pub(crate) remote: TrafficSelectors,
    pub(crate) inbound_keys: SaKeys,
    pub(crate) outbound_keys: SaKeys,
    pub(crate) extras: Extras,
    pub(crate) replaces: Option<ChildHandle>,
}

/// Where a pair's packets travel.
#[derive(Clone, Copy)]
pub(crate) struct Carrier {
    pub(crate) ike: IkeSaHandle,
    pub(crate) path: Path,
    pub(crate) encapsulated: bool,
}

impl Child {
    /// Makes the pair and installs its inbound SA, and its outbound SA unless that is to wait.
    pub(crate) fn install(
        cx: &mut Context<'_>,
        agreed: Agreed,
        carrier: Carrier,
        hold_outbound: bool,
    ) -> Self {
        let handle = cx.registry.child_handle(carrier.ike);
        let lifetime = agreed.config.lifetime.jittered(cx.rng);
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
                local: agreed.local.clone(),
                remote: agreed.remote.clone(),
                path: carrier.path,
                encapsulated: carrier.encapsulated,
                lifetime,
                tfc_padding: agreed.extras.tfc_padding,
                cpi: agreed.extras.cpis.map(|cpis| match direction {
                    Direction::Inbound => cpis.inbound,
                    Direction::Outbound => cpis.outbound,
                }),
                replaces: agreed.replaces,
                config: agreed.config.clone(),
            })
        };
        let inbound = params(Direction::Inbound, agreed.inbound, agreed.inbound_keys);
        let outbound = params(Direction::Outbound, agreed.outbound, agreed.outbound_keys);
        cx.event(Event::InstallSa(inbound));
        let held_outbound = if hold_outbound {
            Some(outbound)
        } else {
            cx.event(Event::InstallSa(outbound));
            None
        };
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
            state: ChildState::Installed,
            replaces: agreed.replaces,
            soft: soft_time.map(|time| cx.now + time),
            hard: hard_time.map(|time| cx.now + time),
            outbound_installed: !hold_outbound,
            held_outbound,
            fate: None,
        }
    }

    /// Installs the outbound SA if it was held back.
    pub(crate) fn release_outbound(&mut self, cx: &mut Context<'_>) {
        if let Some(params) = self.held_outbound.take() {
            self.outbound_installed = true;
            cx.event(Event::InstallSa(params));
        }
    }

    /// The peer has moved: what is installed is moved, and so is what will be.
    pub(crate) fn move_to(&mut self, cx: &mut Context<'_>, path: Path, encapsulated: bool) {
        if let Some(params) = &mut self.held_outbound {
            (params.path, params.encapsulated) = (path, encapsulated);
        }
        cx.event(Event::UpdateSa { child: self.handle, path, encapsulated });
    }

    /// Whether its outbound SA waits for a sign that the peer is ready for it.
    pub(crate) const fn is_outbound_held(&self) -> bool {
        self.held_outbound.is_some()
    }

    /// Whether packets can be sent over it.
    pub(crate) const fn is_outbound_installed(&self) -> bool {
        self.outbound_installed
    }

    /// The pair `by` stands in for this one, and the peer is to delete this one, by `until` at the latest.
    pub(crate) fn yield_to(&mut self, by: ChildHandle, until: Instant) {
        if self.state == ChildState::Installed {
            self.state = ChildState::Replaced { by, until };
        }
    }

    /// Removes the outbound SA, if it is installed.
    pub(crate) fn remove_outbound(&mut self, cx: &mut Context<'_>, reason: RemoveReason) {
        self.held_outbound = None;
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
        cx.registry.children.remove(&self.handle);
    }

    /// When this pair needs attention next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.state {
            ChildState::Installed => match (self.soft, self.hard) {
                (Some(soft), Some(hard)) => Some(soft.min(hard)),
                (soft, hard) => soft.or(hard),
            },
            // It may still be in use, so that its own limit holds, too.
            ChildState::Replaced { until, .. } => Some(self.hard.map_or(until, |hard| hard.min(until))),
            ChildState::Lingering(until) => Some(until),
            ChildState::Deleting => None,
        }
    }
}
