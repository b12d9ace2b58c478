//! Informational exchanges (RFC 2409 5.7): deletes, dead peer detection, notifications.
//!
//! They are single messages that nobody answers, so a lost delete is never noticed. Ours are sent three times.

use alloc::vec::Vec;
use core::time::Duration;

use ikebana_core::random::{jitter, public_u32};
use ikebana_core::{EspSpi, IkeSpi, Instant};
use ikebana_ike::{CloseReason, ExchangeType, RemoveReason};
use ikebana_proposals::ikev1::phase2::Protocol;

use super::leg::Fate;
use super::{End, Established};
use crate::context::{Context, Note};
use crate::informational;
use crate::isakmp::Opened;
use crate::lifetimes;
use crate::wire::{DeletePayload, NotifyPayload, NotifyType, Payload};

/// Waits between the transmissions of a delete.
const AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];

/// Deletes that wait to be repeated.
const NOTICES: usize = 64;

/// How long a deleted ISAKMP SA still takes messages that were under way.
const LINGER: Duration = Duration::from_secs(3);

/// How long after its phase 1 a peer may say INITIAL-CONTACT in an exchange of its own.
const FIRST_CONTACT: Duration = Duration::from_secs(60);

/// A delete that is told more than once.
pub(super) struct Notice {
    protocol: Protocol,
    spis: Vec<EspSpi>,
    /// How often it has been sent.
    sent: usize,
    at: Instant,
}

/// An R-U-THERE that waits for its answer (RFC 3706).
pub(super) struct Probe {
    sent: u32,
    pub(super) at: Instant,
}

impl Established {
    /// Sends payloads over an ISAKMP SA, in an exchange of their own.
    pub(super) fn inform(&mut self, cx: &mut Context<'_>, cookie: IkeSpi, payloads: &[Payload]) {
        let route = self.route_of(cookie);
        let Some(leg) = self.leg_mut(cookie) else { return };
        let id = leg.new_id(cx);
        if let Some(octets) = informational::message(&leg.isakmp, id, payloads) {
            self.transmit(cx, route, &octets);
        }
    }

    /// Sends payloads over the current ISAKMP SA. Returns whether there is one.
    fn inform_now(&mut self, cx: &mut Context<'_>, payloads: &[Payload]) -> bool {
        let Some(cookie) = self.current().map(|leg| leg.isakmp.local_cookie()) else { return false };
        self.inform(cx, cookie, payloads);
        true
    }

    /// Tells the peer of inbound SAs of ours that are gone.
    pub(super) fn tell_deleted(&mut self, cx: &mut Context<'_>, protocol: Protocol, spis: Vec<EspSpi>) {
        if spis.is_empty() {
            return;
        }
        let sent = self.inform_now(cx, &[informational::delete_children(protocol, &spis)]);
        if self.notices.len() < NOTICES {
            let at = cx.now + AGAIN.first().copied().unwrap_or_default();
            self.notices.push(Notice { protocol, spis, sent: sent.into(), at });
        }
    }

    /// When a delete is to be repeated next.
    pub(super) fn notices_due(&self) -> Option<Instant> {
        self.current()?;
        self.notices.iter().map(|notice| notice.at).min()
    }

    pub(super) fn repeat_notices(&mut self, cx: &mut Context<'_>) {
        if self.current().is_none() {
            return;
        }
        let (due, later) =
            core::mem::take(&mut self.notices).into_iter().partition(|notice| notice.at <= cx.now);
        self.notices = later;
        let due: Vec<Notice> = due;
        for mut notice in due {
            self.inform_now(cx, &[informational::delete_children(notice.protocol, &notice.spis)]);
            if let Some(wait) = AGAIN.get(notice.sent) {
                notice.at = cx.now + *wait;
                notice.sent = notice.sent.saturating_add(1);
                self.notices.push(notice);
            }
        }
    }

    /// Tells the peer that its quick mode is refused.
    pub(super) fn tell_refused(
        &mut self,
        cx: &mut Context<'_>,
        cookie: IkeSpi,
        opened: &Opened,
        kind: NotifyType,
    ) {
        let proposal = opened
            .payloads
            .iter()
            .find_map(|payload| if let Payload::Sa(sa) = payload { sa.proposals.first() } else { None });
        let (protocol, spi) = match proposal {
            Some(proposal) if proposal.spi.len() == 4 => (proposal.protocol, proposal.spi.clone()),
            _ => (Protocol::ISAKMP, Vec::new()),
        };
        self.inform(cx, cookie, &[informational::notify(protocol, spi, kind, Vec::new())]);
    }

    /// Deletes an ISAKMP SA. For a while it still takes messages.
    pub(super) fn delete_leg(&mut self, cx: &mut Context<'_>, cookie: IkeSpi) {
        let Some(leg) = self.leg_mut(cookie).filter(|leg| !matches!(leg.fate, Fate::Gone(_))) else { return };
        leg.fate = Fate::Gone(cx.now + LINGER);
        let delete = informational::delete_isakmp(&leg.isakmp);
        self.inform(cx, cookie, &[delete]);
    }

    /// The peer has something to say.
    #[expect(clippy::wildcard_enum_match_arm, reason = "what else a message carries says nothing to act on")]
    pub(super) fn informed(&mut self, cx: &mut Context<'_>, cookie: IkeSpi, opened: &Opened) -> Option<End> {
        if self.leg(cookie).is_some_and(|leg| leg.probation.is_some()) {
            self.informed_on_probation(cx, cookie, opened);
            return None;
        }
        let mut ended: Vec<(IkeSpi, IkeSpi)> = Vec::new();
        for payload in &opened.payloads {
            match payload {
                Payload::Delete(delete) if delete.protocol == Protocol::ISAKMP => {
                    ended.extend(delete.spis.iter().filter_map(|spi| informational::cookies(spi)));
                }
                Payload::Delete(delete) => self.children_deleted(cx, delete),
                Payload::Notify(notify) => self.notified(cx, cookie, notify),
                _ => {}
            }
        }
        // After the child SAs that were deleted with it.
        for cookies in ended {
            if !self.leg_deleted_by_peer(cx, cookies) {
                cx.note(Note::DeletedIsakmp { by: self.handle, cookies });
            }
        }
        None
    }

    /// Somebody who has the key of a group, and has not proven to be a user, speaks of this ISAKMP SA alone.
    fn informed_on_probation(&mut self, cx: &mut Context<'_>, cookie: IkeSpi, opened: &Opened) {
        let Some(leg) = self.leg(cookie) else { return };
        let own = (leg.isakmp.initiator_cookie, leg.isakmp.responder_cookie);
        let mut ended = false;
        for payload in &opened.payloads {
            if let Payload::Delete(delete) = payload {
                let mut cookies = delete.spis.iter().filter_map(|spi| informational::cookies(spi));
                ended |= delete.protocol == Protocol::ISAKMP && cookies.any(|cookies| cookies == own);
            } else if let Payload::Notify(notify) = payload {
                match notify.kind {
                    NotifyType::R_U_THERE => self.notified(cx, cookie, notify),
                    // It is heeded when it is known whose word it is.
                    NotifyType::INITIAL_CONTACT => self.replace_when_settled(cookie),
                    _ => {}
                }
            }
        }
        if ended {
            self.leg_deleted_by_peer(cx, own);
            if self.announced {
                self.forget_settling(cx, cookie);
            }
        }
    }

    fn children_deleted(&mut self, cx: &mut Context<'_>, delete: &DeletePayload) {
        let spis = delete.spis.iter().filter_map(|spi| informational::esp_spi(spi));
        let mut strays = Vec::new();
        for spi in spis {
            if !self.child_deleted_by_peer(cx, delete.protocol, spi) {
                strays.push(spi);
            }
        }
        self.note_strays(cx, delete.protocol, strays);
    }

    /// The peer deleted the ISAKMP SA with these cookies. Returns whether it is one of these.
    pub(crate) fn leg_deleted_by_peer(&mut self, cx: &mut Context<'_>, cookies: (IkeSpi, IkeSpi)) -> bool {
        let Some(leg) = self
            .legs
            .iter_mut()
            .find(|leg| (leg.isakmp.initiator_cookie, leg.isakmp.responder_cookie) == cookies)
        else {
            return false;
        };
        if !matches!(leg.fate, Fate::Gone(_)) {
            leg.fate = Fate::Gone(cx.now + LINGER);
        }
        self.last_words = CloseReason::Peer;
        self.bereft(cx);
        true
    }

    fn notified(&mut self, cx: &mut Context<'_>, cookie: IkeSpi, notify: &NotifyPayload) {
        match notify.kind {
            NotifyType::R_U_THERE => {
                if let Some(leg) = self.leg_mut(cookie) {
                    let ack = informational::dpd(&leg.isakmp, NotifyType::R_U_THERE_ACK, &notify.data);
                    self.inform(cx, cookie, &[ack]);
                }
            }
            NotifyType::INITIAL_CONTACT => self.contacted(cx, cookie),
            NotifyType::RESPONDER_LIFETIME if notify.protocol == Protocol::ISAKMP => {
                let life = lifetimes::said_by(notify).and_then(|life| life.seconds);
                if let (Some(seconds), Some(leg)) = (life, self.leg_mut(cookie)) {
                    let hard = leg.made + Duration::from_secs(seconds.into());
                    leg.hard = Some(leg.hard.map_or(hard, |old| old.min(hard)));
                    let soft = leg.made + Duration::from_secs(u64::from(seconds).saturating_mul(9) / 10);
                    self.soft = Some(self.soft.map_or(soft, |old| old.min(soft)));
                }
            }
            kind if kind.is_error() => self.quick_refused(cx, cookie, notify),
            // R-U-THERE-ACK has shown what it can by being authentic; the others say nothing to act on.
            _ => {}
        }
    }

    /// The peer says that it knows nothing from before this ISAKMP SA.
    fn contacted(&mut self, cx: &mut Context<'_>, cookie: IkeSpi) {
        let now = cx.now;
        let is_new = |made: &Instant| now.saturating_since(*made) <= FIRST_CONTACT;
        if let Some(made) = self.leg(cookie).map(|leg| leg.made).filter(is_new) {
            self.forget_before(cx, made);
        }
    }

    /// The peer has restarted at this time.
    pub(super) fn forget_before(&mut self, cx: &mut Context<'_>, made: Instant) {
        let older: Vec<_> =
            self.children.values().filter(|child| child.made < made).map(|child| child.handle).collect();
        for child in older {
            self.child_gone(cx, child, RemoveReason::Peer);
        }
        cx.note(Note::InitialContact { by: self.handle });
    }

    /// Asks for a sign of life, if the peer knows how to give one.
    pub(super) fn probe(&mut self, cx: &mut Context<'_>) {
        if self.probe.is_some() || !self.current().is_some_and(|leg| leg.does_dpd) {
            return;
        }
        if self.probes == 0 {
            // RFC 3706 6.2: from a random number, with the highest bit clear.
            self.probes = public_u32(cx.rng) >> 1;
        }
        self.probe = Some(Probe { sent: 0, at: cx.now });
        self.send_probe(cx);
    }

    fn send_probe(&mut self, cx: &mut Context<'_>) {
        let plan = self.peer.retransmission;
        let Some(probe) = &mut self.probe else { return };
        let wait = plan.wait(probe.sent);
        let swing = wait.saturating_mul(plan.jitter_percent.min(100).into()) / 100;
        probe.at = cx.now + wait + jitter(cx.rng, swing);
        if probe.sent > 0 {
            cx.stats.retransmitted = cx.stats.retransmitted.saturating_add(1);
        }
        probe.sent = probe.sent.saturating_add(1);
        // Each one is a message of its own: to a repeated message of an informational exchange nobody answers.
        self.probes = self.probes.wrapping_add(1);
        let data = self.probes.to_be_bytes();
        let Some(leg) = self.current() else { return };
        let cookie = leg.isakmp.local_cookie();
        let ask = informational::dpd(&leg.isakmp, NotifyType::R_U_THERE, &data);
        self.inform(cx, cookie, &[ask]);
    }

    /// Asks again, or gives the peer up.
    pub(super) fn age_probe(&mut self, cx: &mut Context<'_>) -> Option<End> {
        let probe = self.probe.as_ref().filter(|probe| probe.at <= cx.now)?;
        if probe.sent > self.peer.retransmission.tries.into() {
            let sent = probe.sent;
            let asked = self.current().map(|leg| leg.isakmp.local_cookie());
            if asked.is_some_and(|cookie| self.give_leg_up(cx, cookie)) {
                self.probe = None;
                self.probe(cx);
                return None;
            }
            let reason = CloseReason::PeerDead { exchange: ExchangeType::INFORMATIONAL_V1, sent };
            return Some(End::Silent(reason, RemoveReason::IkeSaGone));
        }
        self.send_probe(cx);
        None
    }
}
