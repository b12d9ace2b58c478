//! Everything that happens because time has passed.

use alloc::vec::Vec;
use core::time::Duration;

use ikebana_core::{IkeSpi, Instant};
use ikebana_ike::{ChildHandle, ChildSignal, CloseReason, RemoveReason};

use super::leg::{Fate, Step};
use super::task::Work;
use super::{End, Established};
use crate::children::ChildState;
use crate::context::{Context, Route};
use crate::turn::Overdue;

/// How long the end of an ISAKMP SA waits for the exchanges on it.
const BUSY_WAIT: Duration = Duration::from_secs(2);

impl Established {
    /// When something has to happen next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let legs = self.legs.iter().filter_map(super::Leg::deadline);
        let children = self.children.values().filter_map(crate::children::Child::deadline);
        let can_ask =
            self.announced && self.current().is_some_and(|leg| self.may_use(leg)) && !self.is_asking();
        let others = [
            self.soft,
            self.probe.as_ref().map(|probe| probe.at),
            self.liveness_due(),
            self.keepalive_due(),
            self.notices_due(),
            self.renewal.as_ref().and_then(|renewal| renewal.deadline()),
            self.renewal_due().filter(|_| self.announced),
            self.queue.next_quick().filter(|_| can_ask),
            self.settling.deadline(),
        ];
        legs.chain(children).chain(others.into_iter().flatten()).min()
    }

    fn liveness_due(&self) -> Option<Instant> {
        let can_ask = match self.current() {
            Some(leg) => leg.does_dpd && self.probe.is_none(),
            // Phase 1 is a sign of life, too, and there has to be a new one before there can be others.
            None => self.may_initiate() && self.renewal.is_none() && self.queue.next_renewal().is_none(),
        };
        self.peer.liveness.filter(|_| can_ask && self.announced).map(|liveness| self.heard + liveness.delay)
    }

    fn keepalive_due(&self) -> Option<Instant> {
        (self.nat.local && self.route.encapsulated).then(|| self.sent + self.peer.nat_keepalive)
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, cx: &mut Context<'_>) -> Option<End> {
        if let Some(end) = self.age_settling(cx) {
            return Some(end);
        }
        if let Some(end) = self.age_renewal(cx) {
            return Some(end);
        }
        if let Some(end) = self.repeat(cx) {
            return Some(end);
        }
        self.age_legs(cx);
        self.age_children(cx);
        if self.soft.is_some_and(|soft| soft <= cx.now) {
            self.soft = None;
            self.queue.push(cx.now, Work::Renew);
        }
        if let Some(end) = self.age_probe(cx) {
            return Some(end);
        }
        if self.liveness_due().is_some_and(|due| due <= cx.now) {
            if self.current().is_some() {
                self.probe(cx);
            } else {
                self.queue.push(cx.now, Work::Renew);
            }
        }
        self.repeat_notices(cx);
        if self.keepalive_due().is_some_and(|due| due <= cx.now) {
            self.sent = cx.now;
            // RFC 3948 2.3: a single octet, which the peer ignores.
            cx.transmit(self.route.path, false, &[0xff]);
        }
        self.pump(cx)
    }

    /// Repeats messages whose answer is due, and gives up exchanges that have been repeated often enough.
    fn repeat(&mut self, cx: &mut Context<'_>) -> Option<End> {
        let (route, plan) = (self.route, self.peer.retransmission);
        let mut over: Vec<(IkeSpi, u32, u32)> = Vec::new();
        for leg in &mut self.legs {
            let cookie = leg.isakmp.local_cookie();
            for exchange in &mut leg.exchanges {
                match &mut exchange.step {
                    Step::Asked { turn, .. } | Step::Answered { turn, .. } => match turn.overdue(cx, &plan) {
                        Overdue::NotYet => {}
                        Overdue::Repeat => route.send(cx, turn.octets()),
                        Overdue::GiveUp { sent } => over.push((cookie, exchange.id, sent)),
                    },
                    Step::Asking { until, .. } if *until <= cx.now => over.push((cookie, exchange.id, 0)),
                    Step::Asking { .. } => {}
                }
            }
        }
        for (cookie, id, sent) in over {
            let commits = |step: &Step| matches!(step, Step::Asking { commit: Some(_), .. });
            let Some(leg) = self.leg_mut(cookie) else { continue };
            if leg.exchange(id).is_some_and(|exchange| commits(&exchange.step)) {
                self.quick_connected(cx, cookie, id);
                continue;
            }
            match leg.take_exchange(id) {
                Some(Step::Asked { exchange, at, .. }) => {
                    let end = self.quick_unanswered(cx, cookie, &exchange, (sent, at));
                    if end.is_some() {
                        return end;
                    }
                }
                Some(Step::Answered { exchange, .. }) => self.quick_abandoned(cx, &exchange, sent),
                Some(Step::Asking { .. }) | None => {}
            }
        }
        None
    }

    fn age_legs(&mut self, cx: &mut Context<'_>) {
        let (mut spent, mut gone) = (Vec::new(), Vec::new());
        for leg in &mut self.legs {
            let cookie = leg.isakmp.local_cookie();
            let expired = leg.hard.is_some_and(|hard| hard <= cx.now);
            match leg.fate {
                Fate::Gone(until) if until <= cx.now => gone.push(cookie),
                Fate::Gone(_) => {}
                _ if expired => spent.push((cookie, true)),
                // What has begun on it ends on it.
                Fate::Superseded(until) if until <= cx.now && leg.is_busy() && leg.waits < 30 => {
                    leg.waits = leg.waits.saturating_add(1);
                    leg.fate = Fate::Superseded(cx.now + BUSY_WAIT);
                }
                Fate::Superseded(until) if until <= cx.now => {
                    if leg.renewed_by_peer {
                        self.old_went_at = Some(cx.now);
                    }
                    spent.push((cookie, false));
                }
                Fate::Superseded(_) | Fate::Live => {}
            }
        }
        for (cookie, expired) in spent {
            self.delete_leg(cx, cookie);
            if expired && self.current().is_none() {
                self.last_words = CloseReason::Expired;
                self.bereft(cx);
            }
        }
        for cookie in gone {
            self.drop_leg(cx, cookie);
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
            if child.hold.is_some_and(|hold| hold <= cx.now) {
                child.release_outbound(cx);
            }
            if child.deadline().is_none_or(|at| at > cx.now) {
                continue;
            }
            let expired = child.hard.is_some_and(|hard| hard <= cx.now);
            match child.state {
                ChildState::Lingering(_) => self.remove_child(cx, handle, RemoveReason::Rekeyed),
                ChildState::Installed | ChildState::Pending if expired => {
                    self.delete_child(cx, handle, RemoveReason::Expired);
                }
                ChildState::Replaced { .. } if expired => {
                    self.delete_child(cx, handle, RemoveReason::Rekeyed);
                }
                ChildState::Installed => {
                    child.soft = None;
                    if !self.is_being_rekeyed(handle) {
                        self.queue.push(cx.now, Work::Rekey(handle));
                    }
                }
                ChildState::Replaced { .. } => self.end_overlap(cx, handle),
                ChildState::Pending => {}
            }
        }
    }

    /// News from the data path.
    pub(crate) fn signal(
        &mut self,
        cx: &mut Context<'_>,
        handle: ChildHandle,
        signal: ChildSignal,
    ) -> Option<End> {
        let under_way = self.is_being_rekeyed(handle);
        let child = self.children.get(&handle)?;
        match signal {
            ChildSignal::SoftExpired if child.state == ChildState::Installed && !under_way => {
                self.queue.push(cx.now, Work::Rekey(handle));
            }
            ChildSignal::HardExpired => self.delete_child(cx, handle, RemoveReason::Expired),
            ChildSignal::Traffic => {
                self.heard = cx.now;
                self.probe = None;
                self.carried(cx, handle);
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
