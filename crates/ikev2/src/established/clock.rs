//! Everything that happens because time has passed.

use alloc::vec::Vec;

use ikebana_core::{IkeSpi, Instant};
use ikebana_ike::{ChildHandle, ChildSignal, CloseReason, ExchangeType, RemoveReason};

use super::{End, Established, Exchange, Fate, REPLACED_TIMEOUT, Task};
use crate::child::ChildState;
use crate::context::Context;
use crate::sa::Route;

impl Established {
    /// When something has to happen next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        let mut consider = |at: Option<Instant>| {
            if let Some(at) = at {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        };
        for leg in &self.legs {
            consider(leg.sa.window.deadline());
            match leg.fate {
                Fate::Superseded(at) | Fate::Gone(at) => consider(Some(at)),
                Fate::Live | Fate::DeleteWanted | Fate::Deleting => {}
            }
        }
        for child in self.children.values() {
            consider(child.deadline());
        }
        consider(self.soft);
        consider(self.hard);
        let current = self.leg(self.current);
        if current.is_some_and(super::Leg::is_free) {
            // While an exchange is under way, its repetition is the sign of life we wait for.
            consider(self.liveness_due());
            consider(self.queue.next());
        }
        consider(self.keepalive_due());
        next
    }

    fn liveness_due(&self) -> Option<Instant> {
        self.peer.liveness.map(|liveness| self.heard + liveness.delay)
    }

    fn keepalive_due(&self) -> Option<Instant> {
        (self.nat.local && self.route.encapsulated).then(|| self.sent + self.peer.nat_keepalive)
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, cx: &mut Context<'_>) -> Option<End> {
        if self.hard.is_some_and(|hard| hard <= cx.now) {
            return Some(End::Tell(CloseReason::Expired, RemoveReason::IkeSaGone));
        }
        if let Some(end) = self.repeat(cx) {
            return Some(end);
        }
        self.age_legs(cx);
        self.age_children(cx);
        if self.soft.is_some_and(|soft| soft <= cx.now) {
            self.soft = None;
            self.queue.push(cx.now, Task::RekeyIke);
        }
        if self.liveness_due().is_some_and(|due| due <= cx.now)
            && self.leg(self.current).is_some_and(super::Leg::is_free)
        {
            self.queue.push(cx.now, Task::Liveness);
        }
        if self.keepalive_due().is_some_and(|due| due <= cx.now) {
            self.sent = cx.now;
            // RFC 3948 2.3: a single octet, which the peer ignores.
            cx.transmit(self.route.path, false, &[0xff]);
        }
        self.pump(cx)
    }

    fn repeat(&mut self, cx: &mut Context<'_>) -> Option<End> {
        let (route, plan) = (self.route, self.peer.retransmission);
        let mut silent: Vec<(IkeSpi, ExchangeType, u32)> = Vec::new();
        for leg in &mut self.legs {
            if let Some((exchange, sent)) = leg.sa.repeat_if_due(cx, route, &plan) {
                silent.push((leg.sa.local_spi, exchange, sent));
            }
        }
        for (spi, exchange, sent) in silent {
            match self.rival_of(spi) {
                // The peer has moved on to what it made itself.
                Some(heir) if spi == self.current => {
                    self.switch(cx, spi, heir, Fate::Gone(cx.now));
                    self.drop_leg(cx, spi);
                }
                None if spi == self.current => {
                    let reason = CloseReason::PeerDead { exchange, sent };
                    return Some(End::Silent(reason, RemoveReason::IkeSaGone));
                }
                // One that was on its way out anyway.
                _ => self.drop_leg(cx, spi),
            }
        }
        None
    }

    fn age_legs(&mut self, cx: &mut Context<'_>) {
        let mut gone = Vec::new();
        let mut unsure = false;
        let has_moved = self.leg(self.current).is_some_and(|leg| leg.proven);
        for leg in &mut self.legs {
            match leg.fate {
                // The peer has forgotten to delete what it replaced.
                Fate::Superseded(until) if until <= cx.now && has_moved => leg.fate = Fate::DeleteWanted,
                // Perhaps it has never had our answer. Deleting the old leg would end everything there, so we
                // ask over the new one first.
                Fate::Superseded(until) if until <= cx.now => {
                    leg.fate = Fate::Superseded(cx.now + REPLACED_TIMEOUT);
                    unsure = true;
                }
                Fate::Gone(until) if until <= cx.now => gone.push(leg.sa.local_spi),
                Fate::Live | Fate::Superseded(_) | Fate::Gone(_) | Fate::DeleteWanted | Fate::Deleting => {}
            }
        }
        if unsure {
            self.queue.push(cx.now, Task::Liveness);
        }
        for spi in gone {
            self.drop_leg(cx, spi);
        }
    }

    fn age_children(&mut self, cx: &mut Context<'_>) {
        let due: Vec<ChildHandle> = self
            .children
            .values()
            .filter(|child| child.deadline().is_some_and(|at| at <= cx.now))
            .map(|child| child.handle)
            .collect();
        for handle in due {
            let Some(child) = self.children.get_mut(&handle) else { continue };
            match child.state {
                ChildState::Installed if child.hard.is_some_and(|hard| hard <= cx.now) => {
                    self.mark_deleting(cx, handle, RemoveReason::Expired);
                }
                ChildState::Installed => {
                    child.soft = None;
                    self.queue.push(cx.now, Task::RekeyChild(handle));
                }
                // The peer has forgotten to delete what it replaced.
                ChildState::Replaced { .. } => self.mark_deleting(cx, handle, RemoveReason::Rekeyed),
                ChildState::Lingering(_) => self.remove_child(cx, handle, RemoveReason::Rekeyed),
                ChildState::Deleting => {}
            }
        }
    }

    fn is_being_rekeyed(&self, handle: ChildHandle) -> bool {
        self.legs.iter().any(|leg| match &leg.exchange {
            Some(Exchange::Create(create)) => create.rekeys == Some(handle),
            _ => false,
        })
    }

    /// News from the data path.
    pub(crate) fn signal(
        &mut self,
        cx: &mut Context<'_>,
        handle: ChildHandle,
        signal: ChildSignal,
    ) -> Option<End> {
        let under_way = self.is_being_rekeyed(handle);
        let child = self.children.get_mut(&handle)?;
        match signal {
            ChildSignal::SoftExpired if child.state == ChildState::Installed && !under_way => {
                self.queue.push(cx.now, Task::RekeyChild(handle));
            }
            ChildSignal::HardExpired => self.mark_deleting(cx, handle, RemoveReason::Expired),
            ChildSignal::Traffic => {
                // RFC 7296 2.8: the peer uses the new SA, so it has installed both of its directions.
                child.release_outbound(cx);
                self.heard = cx.now;
            }
            ChildSignal::PeerMoved(remote) if self.nat.remote && !self.nat.local => {
                let path = ikebana_core::Path::new(self.route.path.local, remote);
                self.move_to(cx, Route { path, ..self.route });
            }
            // Nothing follows from it now, or it is news of a kind that came later than this.
            ChildSignal::SoftExpired | ChildSignal::PeerMoved(_) | _ => {}
        }
        self.pump(cx)
    }
}
