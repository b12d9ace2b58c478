//! Phase 1 again, while the child SAs go on.

use alloc::boxed::Box;
use core::time::Duration;

use ikebana_core::random::jitter;
use ikebana_core::{IkeSpi, Instant};
use ikebana_ike::{
    Answer, ApiError, CloseReason, DropReason, Event, FailReason, IkeHeader, QueryId, RemoveReason,
};

use super::leg::{Fate, Leg, Probation, Step};
use super::task::Work;
use super::{End, Established};
use crate::children::ChildState;
use crate::context::{Context, Route};
use crate::phase1::{Initiator as Phase1, Phase1Done, Step as Phase1Step};

/// How long an ISAKMP SA that we have renewed stays beside the new one.
const OVERLAP: Duration = Duration::from_secs(2);

/// How long an ISAKMP SA that the peer has renewed waits for the peer to delete it.
const RENEWED_BY_PEER: Duration = Duration::from_secs(10);

/// How soon a peer comes back whose ISAKMP SA we have deleted while it was the only one of an association.
const COMES_BACK: Duration = Duration::from_secs(5);

/// How long a failed renewal waits for the next attempt.
const FAILED_WAIT: Duration = Duration::from_secs(20);

/// How long we wait, when the peer has deleted the last ISAKMP SA, for the deletes of the child SAs that may
/// have been sent with it.
const BEREFT_WAIT: Duration = Duration::from_secs(1);

/// ISAKMP SAs of one association at most.
const LEGS: usize = 8;

impl Established {
    /// Whether phase 1 is to be started now: because it is wanted, or because something has to be done for which
    /// there is no ISAKMP SA.
    pub(super) fn is_renewal_due(&self, now: Instant) -> bool {
        self.renewal_due().is_some_and(|at| at <= now)
    }

    /// When phase 1 is to be started.
    pub(super) fn renewal_due(&self) -> Option<Instant> {
        if self.renewal.is_some() || !self.may_initiate() {
            return None;
        }
        let needed = self.queue.next_quick().filter(|_| self.current().is_none());
        let wanted = self.queue.next_renewal();
        [needed, wanted].into_iter().flatten().min().map(|at| at.max(self.renew_after))
    }

    pub(super) fn start_renewal(&mut self, cx: &mut Context<'_>) {
        self.queue.forget_renewal();
        self.renewal_began = cx.now;
        match Phase1::start(cx, self.handle, self.peer.clone(), self.route, false) {
            Ok(attempt) => self.renewal = Some(Box::new(attempt)),
            Err(_) => self.renew_later(cx),
        }
    }

    fn renew_later(&mut self, cx: &mut Context<'_>) {
        let at = cx.now + FAILED_WAIT + jitter(cx.rng, FAILED_WAIT);
        self.renew_after = at;
        if self.current().is_some() || self.initiator {
            self.queue.push(at, Work::Renew);
        }
    }

    /// Takes in a message for the phase 1 that we have under way. `None` if it is for another one.
    pub(crate) fn handle_renewal(
        &mut self,
        cx: &mut Context<'_>,
        header: &IkeHeader,
        octets: &[u8],
        route: Route,
    ) -> Option<Result<Option<End>, DropReason>> {
        let renewal = self.renewal.as_mut()?;
        if renewal.cookies().0 != header.initiator_spi {
            return None;
        }
        let step = match renewal.handle_message(cx, header, octets, route) {
            Ok(step) => step,
            Err(reason) => return Some(Err(reason)),
        };
        Some(Ok(self.renewal_step(cx, step)))
    }

    /// Answers a query of the phase 1 that we have under way.
    pub(super) fn answer_renewal(
        &mut self,
        cx: &mut Context<'_>,
        query: QueryId,
        answer: Answer,
    ) -> Result<Option<End>, ApiError> {
        let renewal = self.renewal.as_mut().ok_or(ApiError::NoSuchQuery)?;
        let step = renewal.answer(cx, query, answer)?;
        Ok(self.renewal_step(cx, step))
    }

    pub(super) fn age_renewal(&mut self, cx: &mut Context<'_>) -> Option<End> {
        let renewal = self.renewal.as_mut()?;
        if renewal.deadline().is_none_or(|at| at > cx.now) {
            return None;
        }
        let step = renewal.handle_timeout(cx);
        self.renewal_step(cx, step)
    }

    fn renewal_step(&mut self, cx: &mut Context<'_>, step: Phase1Step) -> Option<End> {
        match step {
            Phase1Step::Wait => None,
            Phase1Step::Done(done) => {
                self.renewal = None;
                let began = self.renewal_began;
                for leg in self.legs.iter_mut().filter(|leg| leg.fate == Fate::Live && leg.made <= began) {
                    leg.fate = Fate::Superseded(cx.now + OVERLAP);
                }
                let end = self.renewed(cx, *done);
                end.or_else(|| self.pump(cx))
            }
            Phase1Step::Failed(reason) => {
                self.renewal = None;
                let end = self.renewal_failed(cx, &reason);
                end.or_else(|| self.pump(cx))
            }
        }
    }

    fn renewal_failed(&mut self, cx: &mut Context<'_>, reason: &FailReason) -> Option<End> {
        if self.current().is_some() {
            self.renew_later(cx);
            return None;
        }
        if let FailReason::Timeout { exchange, sent, .. } = reason {
            let reason = CloseReason::PeerDead { exchange: *exchange, sent: *sent };
            return Some(End::Silent(reason, RemoveReason::IkeSaGone));
        }
        self.renew_later(cx);
        None
    }

    /// The peer has renewed phase 1 by an attempt of its own.
    pub(crate) fn join(&mut self, cx: &mut Context<'_>, done: Phase1Done) -> Option<End> {
        // Some peers, strongSwan among them, leave it to the other side to delete what they have renewed. But the
        // old one may as well belong to another association of the peer's, which here is the same: such a peer
        // makes a new one at once, and then it may keep as many as it likes.
        if self.old_went_at.is_some_and(|at| cx.now <= at + COMES_BACK) {
            self.peer_has_several = true;
        }
        if !self.peer_has_several && !done.xauth {
            for leg in self.legs.iter_mut().filter(|leg| leg.fate == Fate::Live) {
                leg.fate = Fate::Superseded(cx.now + RENEWED_BY_PEER);
                leg.renewed_by_peer = true;
            }
        }
        let end = self.renewed(cx, done);
        end.or_else(|| self.pump(cx))
    }

    fn renewed(&mut self, cx: &mut Context<'_>, done: Phase1Done) -> Option<End> {
        let xauth = done.xauth;
        let brings = (!done.is_on_probation()).then_some(Probation {
            route: done.route,
            nat: done.nat,
            nat_draft: done.nat_draft,
            encapsulated: done.encapsulated,
        });
        let cookie = done.isakmp.local_cookie();
        self.add_leg(cx, done);
        if let Some(brings) = brings {
            self.take_over(cx, cookie, brings);
        }
        while self.legs.len() > LEGS {
            // Nobody who has not proven who they are drives out what somebody has.
            let is_spare = |leg: &&Leg| leg.probation.is_some() && leg.isakmp.local_cookie() != cookie;
            let oldest = self.legs.iter().find(is_spare).or(self.legs.first());
            let Some(oldest) = oldest.map(|leg| leg.isakmp.local_cookie()) else { break };
            self.delete_leg(cx, oldest);
            self.drop_leg(cx, oldest);
        }
        self.settle(cx, xauth, false)
    }

    /// The newest ISAKMP SA is the peer's, for sure: the association goes where it goes.
    pub(super) fn take_over(&mut self, cx: &mut Context<'_>, cookie: IkeSpi, brings: Probation) {
        let Probation { route, nat, nat_draft, encapsulated } = brings;
        self.nat = nat;
        self.nat_draft = nat_draft;
        self.heard = cx.now;
        self.esp_in_udp = encapsulated;
        if route != self.route {
            self.route = Route { encapsulated: route.encapsulated, ..self.route };
            self.move_to(cx, route);
        }
        self.queue.forget_renewal();
        let Some(leg) = self.leg(cookie) else { return };
        let (initiator_spi, responder_spi) = (leg.isakmp.initiator_cookie, leg.isakmp.responder_cookie);
        let suite = leg.isakmp.suite.ike;
        cx.stats.ike_rekeys = cx.stats.ike_rekeys.saturating_add(1);
        cx.event(Event::IkeRekeyed { ike: self.handle, initiator_spi, responder_spi, suite });
    }

    /// The last ISAKMP SA may be gone: what now?
    pub(super) fn bereft(&mut self, cx: &mut Context<'_>) {
        if self.current().is_some() {
            return;
        }
        let lives = |child: &crate::children::Child| !matches!(child.state, ChildState::Lingering(_));
        if !self.children.values().any(lives) {
            // The peer has ended it all, and it is not for us to begin anew.
            if let Some(mut renewal) = self.renewal.take() {
                renewal.cancel(cx);
            }
        } else if self.initiator {
            self.queue.push(cx.now + BEREFT_WAIT, Work::Renew);
        }
    }

    /// Forgets an ISAKMP SA, and ends what runs over it.
    pub(super) fn drop_leg(&mut self, cx: &mut Context<'_>, cookie: IkeSpi) {
        let Some(at) = self.legs.iter().position(|leg| leg.isakmp.local_cookie() == cookie) else { return };
        let leg = self.legs.remove(at);
        cx.release_ike_spi(cookie);
        for exchange in leg.exchanges {
            match exchange.step {
                Step::Asked { exchange, .. } => self.quick_stranded(cx, &exchange),
                Step::Answered { exchange, .. } => self.quick_abandoned(cx, &exchange, 0),
                Step::Asking { child, commit, .. } => {
                    if let Some(child) = self.children.get_mut(&child).filter(|_| commit.is_some()) {
                        child.release_outbound(cx);
                    }
                }
            }
        }
    }
}
