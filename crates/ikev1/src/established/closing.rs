//! The end of an association: telling the peer, and telling it again.

use alloc::vec::Vec;
use core::time::Duration;

use ikebana_core::{EspSpi, Instant};
use ikebana_crypto::sha256;
use ikebana_ike::{CloseReason, DropReason, Event, ExchangeType, FailReason, IkeHeader, RemoveReason};
use ikebana_proposals::ikev1::phase2::Protocol;

use super::leg::{Fate, Leg, Step};
use super::{End, Established};
use crate::context::{Context, Route};
use crate::informational;
use crate::isakmp::Hashed;
use crate::quick::protocol_of;
use crate::wire::Payload;

/// How long we tell a peer that has missed it that an association is over.
const LINGER: Duration = Duration::from_secs(30);

/// Waits between the transmissions of the delete, which nobody acknowledges.
const AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];

/// How often a peer that goes on speaking is told at most.
const REMIND: Duration = Duration::from_secs(1);

/// An association that is over, and whose handle has had its terminal event.
pub(crate) struct Lingering {
    legs: Vec<Leg>,
    /// Inbound SAs of ours that went with it.
    deleted: Vec<(Protocol, Vec<EspSpi>)>,
    route: Route,
    /// How often the deletes have been sent.
    sent: usize,
    again: Option<Instant>,
    reminded: Instant,
    until: Instant,
}

impl Established {
    /// Ends it: every SA is removed, then comes the terminal event. What is left may have to tell the peer again.
    pub(crate) fn end(mut self, cx: &mut Context<'_>, end: End) -> Option<Lingering> {
        let (reason, remove, tell) = match end {
            End::Tell(reason, remove) => (Ok(reason), remove, true),
            End::Silent(reason, remove) => (Ok(reason), remove, false),
            End::Unsettled { sent } => {
                let exchange = ExchangeType::TRANSACTION;
                let reason = FailReason::Timeout { exchange, sent, hint: None };
                (Err((reason, CloseReason::PeerDead { exchange, sent })), RemoveReason::IkeSaGone, true)
            }
            End::Xauth { user, detail } => {
                let close = CloseReason::Protocol("XAUTH failed after phase 1 was renewed".into());
                (Err((FailReason::Xauth { user, detail }, close)), RemoveReason::IkeSaGone, true)
            }
        };
        let deleted = self.dissolve(cx, remove);
        match (self.announced, reason) {
            (true, Ok(reason)) => cx.event(Event::Closed { ike: self.handle, reason }),
            (true, Err((_, reason))) => cx.event(Event::Closed { ike: self.handle, reason }),
            (false, reason) => {
                cx.stats.failed = cx.stats.failed.saturating_add(1);
                let reason = reason.err().map_or(FailReason::Cancelled, |(reason, _)| reason);
                let (peer, path) = (Some(self.peer.name.clone()), self.route.path);
                cx.event(Event::Failed { ike: self.handle, peer, path, reason });
            }
        }
        if !tell || self.legs.iter().all(|leg| matches!(leg.fate, Fate::Gone(_))) {
            for leg in &self.legs {
                cx.release_ike_spi(leg.isakmp.local_cookie());
            }
            return None;
        }
        let mut lingering = Lingering {
            legs: self.legs,
            deleted,
            route: self.route,
            sent: 0,
            again: None,
            reminded: cx.now,
            until: cx.now + LINGER,
        };
        lingering.tell(cx);
        Some(lingering)
    }

    /// Removes every pair and gives back what exchanges have reserved. Returns what the peer should hear of.
    fn dissolve(&mut self, cx: &mut Context<'_>, remove: RemoveReason) -> Vec<(Protocol, Vec<EspSpi>)> {
        if let Some(mut renewal) = self.renewal.take() {
            renewal.cancel(cx);
        }
        self.settling.cancel(cx);
        for leg in &mut self.legs {
            for exchange in core::mem::take(&mut leg.exchanges) {
                match exchange.step {
                    Step::Asked { exchange, .. } => cx.release_esp_spi(exchange.spi),
                    Step::Answered { .. } | Step::Asking { .. } => {}
                }
            }
        }
        let mut deleted = Vec::from([(Protocol::ESP, Vec::new()), (Protocol::AH, Vec::new())]);
        for child in core::mem::take(&mut self.children).into_values() {
            let protocol = protocol_of(&child.suite);
            let list = deleted.iter_mut().find(|(listed, _)| *listed == protocol);
            if let Some((_, spis)) = list {
                spis.push(child.inbound);
            }
            child.remove(cx, remove);
        }
        deleted.retain(|(_, spis)| !spis.is_empty());
        deleted
    }
}

impl Lingering {
    /// Sends the deletes: of the child SAs first, and of every ISAKMP SA.
    fn tell(&mut self, cx: &mut Context<'_>) {
        let route = self.route;
        let deletes: Vec<Payload> = self
            .deleted
            .iter()
            .map(|(protocol, spis)| informational::delete_children(*protocol, spis))
            .collect();
        let send = |cx: &mut Context<'_>, leg: &mut Leg, payload: Payload| {
            let id = leg.new_id(cx);
            if let Some(octets) = informational::message(&leg.isakmp, id, &[payload]) {
                route.send(cx, &octets);
            }
        };
        let mut first = true;
        for leg in self.legs.iter_mut().rev().filter(|leg| !matches!(leg.fate, Fate::Gone(_))) {
            if leg.probation.is_none() && core::mem::take(&mut first) {
                for delete in &deletes {
                    send(cx, leg, delete.clone());
                }
            }
            let delete = informational::delete_isakmp(&leg.isakmp);
            send(cx, leg, delete);
        }
        self.again = AGAIN.get(self.sent).map(|wait| cx.now + *wait);
        self.sent = self.sent.saturating_add(1);
        self.reminded = cx.now;
    }

    /// When something has to happen next.
    pub(crate) fn deadline(&self) -> Instant {
        self.again.map_or(self.until, |again| again.min(self.until))
    }

    /// Does what is due. Returns whether it is over.
    pub(crate) fn handle_timeout(&mut self, cx: &mut Context<'_>) -> bool {
        if self.until <= cx.now {
            for leg in &self.legs {
                cx.release_ike_spi(leg.isakmp.local_cookie());
            }
            return true;
        }
        if self.again.is_some_and(|again| again <= cx.now) {
            self.tell(cx);
        }
        false
    }

    /// A peer that goes on speaking has missed the delete.
    pub(crate) fn handle_message(
        &mut self,
        cx: &mut Context<'_>,
        header: &IkeHeader,
        octets: &[u8],
    ) -> Result<(), DropReason> {
        let leg = self
            .legs
            .iter()
            .find(|leg| {
                leg.isakmp.initiator_cookie == header.initiator_spi
                    && leg.isakmp.responder_cookie == header.responder_spi
            })
            .ok_or(DropReason::UnknownSpi)?;
        if let Some(replay) = &leg.replay
            && replay.fingerprint == sha256(&[octets])
        {
            return Err(DropReason::SaClosing);
        }
        let id = header.message_id;
        let speaks = matches!(header.exchange, ExchangeType::QUICK_MODE | ExchangeType::INFORMATIONAL_V1);
        if !speaks || id == 0 || leg.knows(id) {
            return Err(DropReason::SaClosing);
        }
        let opened = leg.isakmp.decrypt(leg.isakmp.exchange_iv(id), octets)?;
        if !leg.isakmp.verify(&opened, Hashed::First) {
            return Err(DropReason::BadIntegrity);
        }
        let deletes = opened.payloads.iter().any(|payload| matches!(payload, Payload::Delete(_)));
        if deletes || cx.now.saturating_since(self.reminded) < REMIND {
            return Err(DropReason::SaClosing);
        }
        self.again = None;
        self.tell(cx);
        Ok(())
    }
}
