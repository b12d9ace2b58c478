//! Quick mode: our exchanges.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use ikebana_core::{IkeSpi, Instant};
use ikebana_ike::{ChildFailure, ChildHandle, CloseReason, ExchangeType, RemoveReason};

use super::leg::{Fingerprint, REPEAT, Step};
use super::task::Work;
use super::{End, Established};
use crate::children::{Child, ChildState};
use crate::context::{Context, Route};
use crate::isakmp::Opened;
use crate::quick::initiator::{Concluded, Start};
use crate::quick::{self, Wanted};
use crate::turn::Turn;
use crate::wire::NotifyPayload;

/// How long packets go on with the old pair once a new one is made, while none comes in over the new one. Longer
/// than peers commonly wait before they ask again for a lost message 3.
pub(super) const HOLD: Duration = Duration::from_secs(6);

/// How long we wait for the word of a peer that has set the commit bit. Some set it and never say it.
const COMMIT_WAIT: Duration = Duration::from_secs(3);

impl Established {
    /// Starts a quick mode over the current ISAKMP SA.
    pub(super) fn ask(&mut self, cx: &mut Context<'_>, wanted: Wanted, rekeys: Option<ChildHandle>) {
        let (began, setting, route) = (self.next_order(), self.setting(), self.route);
        let plan = self.peer.retransmission;
        let Some(leg) = self.current_mut() else { return };
        let message_id = leg.new_id(cx);
        let start = Start { wanted: wanted.clone(), rekeys, began, message_id, setting };
        match quick::Initiator::start(cx, &leg.isakmp, start) {
            Ok((exchange, octets)) => {
                route.send(cx, &octets);
                let turn = Turn::new(cx, &plan, octets);
                leg.keep(message_id, Step::Asked { exchange: Box::new(exchange), turn, at: cx.now });
                self.sent = cx.now;
            }
            Err(failure) => self.not_made(cx, &wanted, rekeys, failure),
        }
    }

    /// Message 2 of our exchange is there.
    pub(super) fn quick_answered(
        &mut self,
        cx: &mut Context<'_>,
        cookie: IkeSpi,
        opened: &Opened,
        second: Fingerprint,
    ) {
        let id = opened.header.message_id;
        let Some(leg) = self.leg_mut(cookie) else { return };
        let Some(Step::Asked { mut exchange, .. }) = leg.take_exchange(id) else { return };
        match exchange.conclude(cx, &leg.isakmp, opened) {
            Ok(concluded) => self.install_asked(cx, cookie, id, &exchange, concluded, second),
            Err(failure) => {
                // The peer believes that it has half a pair; it has to hear that it has none.
                self.tell_deleted(cx, exchange.protocol(), Vec::from([exchange.spi]));
                cx.release_esp_spi(exchange.spi);
                self.not_made(cx, &exchange.wanted, exchange.rekeys, failure);
            }
        }
    }

    fn install_asked(
        &mut self,
        cx: &mut Context<'_>,
        cookie: IkeSpi,
        id: u32,
        exchange: &quick::Initiator,
        concluded: Concluded,
        second: Fingerprint,
    ) {
        let Concluded { mut agreed, last, commit, deleted, iv } = concluded;
        agreed.replaces = agreed.replaces.filter(|old| self.children.contains_key(old));
        let mut child = Child::install(cx, agreed, self.carrier());
        let new = child.handle;
        let old = child.replaces.and_then(|old| self.children.get(&old));
        if old.is_some_and(Child::is_outbound_installed) {
            // Some peers install their side only when they have message 3, so the old pair goes on for a while.
            child.hold = Some(cx.now + HOLD);
        } else if !commit && !deleted {
            child.release_outbound(cx);
        }
        child.state = ChildState::Installed;
        child.ready = self.next_order();
        self.children.insert(new, child);
        let route = self.route;
        self.transmit(cx, route, &last);
        let until = cx.now + if commit { COMMIT_WAIT } else { REPEAT };
        if let Some(leg) = self.leg_mut(cookie) {
            let commit = commit.then_some(iv);
            leg.keep(id, Step::Asking { second, last, child: new, commit, until });
        }
        if deleted {
            self.child_gone(cx, new, RemoveReason::Peer);
            if let Some(old) = exchange.rekeys {
                self.rekey_later(cx, old);
            }
            return;
        }
        self.resolve(cx, new);
        if exchange.unwanted {
            // The application deleted the pair while it was being replaced, and cannot know of this one.
            self.delete_child(cx, new, RemoveReason::Local);
        }
    }

    /// The peer has missed message 3: without it, it holds its outbound SA back.
    pub(super) fn repeat_third(&mut self, cx: &mut Context<'_>, cookie: IkeSpi, id: u32, route: Route) {
        let Some(Step::Asking { last, child, .. }) =
            self.leg_mut(cookie).and_then(|leg| leg.exchange_mut(id)).map(|exchange| &mut exchange.step)
        else {
            return;
        };
        let (last, child) = (last.clone(), *child);
        cx.stats.retransmitted = cx.stats.retransmitted.saturating_add(1);
        self.transmit(cx, route, &last);
        self.keep_what_was_replaced(cx.now, child);
    }

    /// The peer, which had set the commit bit, says that the pair may be used; or will not say it.
    pub(super) fn quick_connected(&mut self, cx: &mut Context<'_>, cookie: IkeSpi, id: u32) {
        let Some(Step::Asking { child, commit, until, .. }) =
            self.leg_mut(cookie).and_then(|leg| leg.exchange_mut(id)).map(|exchange| &mut exchange.step)
        else {
            return;
        };
        *commit = None;
        *until = cx.now + REPEAT;
        let child = *child;
        if let Some(child) = self.children.get_mut(&child) {
            child.release_outbound(cx);
        }
    }

    /// The peer refuses our exchange, which it says in an exchange of its own.
    pub(super) fn quick_refused(&mut self, cx: &mut Context<'_>, cookie: IkeSpi, error: &NotifyPayload) {
        let Some(leg) = self.leg_mut(cookie) else { return };
        let Some(id) = leg.exchanges.iter().find_map(|exchange| match &exchange.step {
            Step::Asked { exchange: asked, .. } if asked.may_be_meant_by(error) => Some(exchange.id),
            Step::Asked { .. } | Step::Answered { .. } | Step::Asking { .. } => None,
        }) else {
            return;
        };
        let Some(Step::Asked { exchange, .. }) = leg.take_exchange(id) else { return };
        cx.release_esp_spi(exchange.spi);
        let failure = exchange.failure(error);
        self.not_made(cx, &exchange.wanted, exchange.rekeys, failure);
    }

    /// Nobody has answered our exchange.
    pub(super) fn quick_unanswered(
        &mut self,
        cx: &mut Context<'_>,
        cookie: IkeSpi,
        exchange: &quick::Initiator,
        (sent, asked_at): (u32, Instant),
    ) -> Option<End> {
        let silent = self.leg_mut(cookie).is_some_and(|leg| leg.heard <= asked_at);
        if silent && self.give_leg_up(cx, cookie) {
            self.quick_stranded(cx, exchange);
            return None;
        }
        cx.release_esp_spi(exchange.spi);
        self.not_made(cx, &exchange.wanted, exchange.rekeys, ChildFailure::NoAnswer { sent });
        if self.heard > asked_at {
            // It lives, and has its reasons.
            return None;
        }
        if self.current().is_some_and(|leg| leg.does_dpd) {
            self.probe(cx);
            return None;
        }
        let reason = CloseReason::PeerDead { exchange: ExchangeType::QUICK_MODE, sent };
        Some(End::Silent(reason, RemoveReason::IkeSaGone))
    }

    /// Gives back what an exchange had reserved whose ISAKMP SA is gone, and starts it again over another one.
    pub(super) fn quick_stranded(&mut self, cx: &mut Context<'_>, exchange: &quick::Initiator) {
        cx.release_esp_spi(exchange.spi);
        if exchange.unwanted {
            return;
        }
        let work = match exchange.rekeys {
            Some(old) => Work::Rekey(old),
            None => Work::Make(exchange.wanted.clone()),
        };
        self.queue.push(cx.now, work);
    }

    /// Nothing came of it. A rekey is tried again while the old pair lasts.
    fn not_made(
        &mut self,
        cx: &mut Context<'_>,
        wanted: &Wanted,
        rekeys: Option<ChildHandle>,
        failure: ChildFailure,
    ) {
        if let Some(old) = rekeys.and_then(|old| self.children.get(&old)) {
            if old.state != ChildState::Installed {
                // The peer has replaced it meanwhile.
                return;
            }
            self.rekey_later(cx, old.handle);
        }
        self.child_failed(cx, Some(&wanted.config), rekeys, failure);
    }

    /// Our quick mode under way, if there is one.
    pub(super) fn is_asking(&self) -> bool {
        self.legs.iter().any(|leg| leg.asked().is_some())
    }

    /// Whether our quick mode under way replaces this pair.
    pub(super) fn is_being_rekeyed(&self, handle: ChildHandle) -> bool {
        self.legs.iter().filter_map(super::Leg::asked).any(|asked| asked.rekeys == Some(handle))
    }
}
