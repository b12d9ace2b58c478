//! CREATE_CHILD_SA for the IKE SA itself (RFC 7296 1.3.2, 2.8.2, 2.25.2).

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use ikebana_core::IkeSpi;
use ikebana_core::random::jitter;
use ikebana_ike::{CloseReason, Event, ExchangeType, FailReason, RemoveReason};
use ikebana_proposals::{Chosen, IkeSuite, KeyExchangeId, Proposal, SaPayload, confirm_ike, select_ike};

use super::accept::{Refused, busy, exchange_keys};
use super::create::FreshKey;
use super::{End, Established, Exchange, Fate, Leg, MOST_LEGS, REPLACED_TIMEOUT, Task};
use crate::collision::{Nonces, Winner, decide};
use crate::context::Context;
use crate::init::usable;
use crate::keys::Contributions;
use crate::payloads::{Payloads, wanted_group};
use crate::sa::IkeSa;
use crate::window::Window;
use crate::wire::{NotifyPayload, NotifyType, Payload};

/// How long a peer that is busy is left alone (RFC 7296 2.25); chance adds as much again.
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// How long a refused rekey of the IKE SA waits for the next attempt; chance adds as much again.
const REFUSED_WAIT: Duration = Duration::from_secs(60);

/// A request of ours for a new IKE SA.
pub(crate) struct RekeyIkeExchange {
    /// Our SPI of the new IKE SA.
    spi: IkeSpi,
    nonce: Vec<u8>,
    fresh: FreshKey,
    offer: SaPayload,
    groups: Vec<KeyExchangeId>,
    tried: Vec<KeyExchangeId>,
    /// The peer is replacing the same IKE SA, and we have answered it.
    rival: Option<RivalLeg>,
}

/// The peer's exchange that replaces the same IKE SA as ours.
#[derive(Clone)]
struct RivalLeg {
    /// Our SPI of what it made.
    spi: IkeSpi,
    initiator_nonce: Vec<u8>,
    responder_nonce: Vec<u8>,
}

impl RekeyIkeExchange {
    pub(crate) const fn spi(&self) -> IkeSpi {
        self.spi
    }

    /// The IKE SA that comes in the place of `old`, if the peer's answer makes one.
    pub(crate) fn finish(self, cx: &Context<'_>, old: &IkeSa, payloads: &Payloads) -> Option<IkeSa> {
        let (sa, nonce, key) = (payloads.sa()?, payloads.nonce()?, payloads.key_exchange()?);
        let chosen = confirm_ike(&self.offer, sa).ok()?;
        let remote_spi = new_spi(&chosen)?;
        if chosen.suite.key_exchange != self.fresh.group || key.group != self.fresh.group {
            return None;
        }
        let shared = self.fresh.pending.complete(&key.data).ok()?;
        let from = Contributions {
            initiator_nonce: &self.nonce,
            responder_nonce: nonce,
            initiator_spi: self.spi,
            responder_spi: remote_spi,
        };
        let keys = old.keys.rekeyed(cx.provider, &chosen.suite, &shared, from).ok()?;
        Some(IkeSa {
            local_spi: self.spi,
            remote_spi,
            initiator: true,
            suite: chosen.suite,
            keys,
            window: Window::new(0, 0, cx.config.limits.window),
        })
    }
}

impl Established {
    /// Asks the peer for a new IKE SA in place of the current one.
    pub(super) fn send_ike_rekey(&mut self, cx: &mut Context<'_>) {
        let proposals = usable(cx.provider, &self.peer.proposals);
        let mut groups = Vec::new();
        for group in proposals.iter().flat_map(|proposal| &proposal.key_exchange) {
            if !groups.contains(group) {
                groups.push(*group);
            }
        }
        let Some(group) = groups.first().copied() else { return };
        self.send_ike_rekey_with(cx, &proposals, groups, group, Vec::new());
    }

    fn send_ike_rekey_with(
        &mut self,
        cx: &mut Context<'_>,
        proposals: &[Proposal],
        groups: Vec<KeyExchangeId>,
        group: KeyExchangeId,
        mut tried: Vec<KeyExchangeId>,
    ) {
        let Some(fresh) = FreshKey::new(cx, group) else { return };
        let spi = cx.ike_spi(self.handle);
        let (nonce, offer) = (cx.nonce(), SaPayload::offer(proposals, &spi.0));
        let payloads = [Payload::Sa(offer.clone()), Payload::Nonce(nonce.clone()), fresh.payload()];
        tried.push(group);
        let rekey = RekeyIkeExchange { spi, nonce, fresh, offer, groups, tried, rival: None };
        let current = self.current;
        let exchange = Exchange::RekeyIke(Box::new(rekey));
        self.send(cx, current, ExchangeType::CREATE_CHILD_SA, &payloads, exchange);
    }

    /// The peer has answered our request for the leg with our SPI `old`.
    pub(super) fn ike_rekeyed(
        &mut self,
        cx: &mut Context<'_>,
        old: IkeSpi,
        rekey: RekeyIkeExchange,
        payloads: &Payloads,
    ) -> Option<End> {
        if let Some(error) = payloads.error() {
            self.ike_rekey_refused(cx, old, rekey, error);
            return None;
        }
        let spi = rekey.spi;
        let (ours, rival) = (rekey.nonce.clone(), rekey.rival.clone());
        match self.leg(old).and_then(|old| rekey.finish(cx, &old.sa, payloads)) {
            Some(sa) => {
                let theirs = payloads.nonce().unwrap_or_default();
                let winner = rival.as_ref().map(|rival| {
                    decide(
                        Nonces { initiator: &ours, responder: theirs },
                        Nonces { initiator: &rival.initiator_nonce, responder: &rival.responder_nonce },
                    )
                });
                self.legs.push(Leg::new(sa));
                self.settle_ike_rekey(cx, old, spi, winner.zip(rival));
                None
            }
            None => {
                // The peer believes in an IKE SA that we cannot make.
                cx.release_ike_spi(spi);
                let problem = String::from("the answer to the rekey of the IKE SA cannot be used");
                Some(End::Tell(CloseReason::Protocol(problem), RemoveReason::IkeSaGone))
            }
        }
    }

    /// Our exchange has made the leg `new` in place of `old`; the peer's may have made another.
    fn settle_ike_rekey(
        &mut self,
        cx: &mut Context<'_>,
        old: IkeSpi,
        new: IkeSpi,
        race: Option<(Winner, RivalLeg)>,
    ) {
        let until = cx.now + REPLACED_TIMEOUT;
        match race {
            Some((Winner::Peers, rival)) => {
                self.set_fate(new, Fate::DeleteWanted);
                self.switch(cx, old, rival.spi, Fate::Superseded(until));
            }
            Some((Winner::Ours, rival)) => {
                self.set_fate(rival.spi, Fate::Superseded(until));
                self.switch(cx, old, new, Fate::DeleteWanted);
            }
            None => self.switch(cx, old, new, Fate::DeleteWanted),
        }
    }

    fn ike_rekey_refused(
        &mut self,
        cx: &mut Context<'_>,
        old: IkeSpi,
        rekey: RekeyIkeExchange,
        error: &NotifyPayload,
    ) {
        let RekeyIkeExchange { spi, groups, tried, rival, .. } = rekey;
        cx.release_ike_spi(spi);
        if let Some(rival) = rival {
            self.switch(cx, old, rival.spi, Fate::Superseded(cx.now + REPLACED_TIMEOUT));
            return;
        }
        let is_group = error.kind == NotifyType::INVALID_KE_PAYLOAD;
        let wanted = is_group.then(|| wanted_group(error)).flatten();
        if let Some(group) = wanted.filter(|group| groups.contains(group) && !tried.contains(group)) {
            let proposals = usable(cx.provider, &self.peer.proposals);
            self.send_ike_rekey_with(cx, &proposals, groups, group, tried);
            return;
        }
        let is_busy = error.kind == NotifyType::TEMPORARY_FAILURE;
        if !is_busy {
            let reason = self.why_refused(cx, error, groups);
            cx.event(Event::IkeRekeyFailed { ike: self.handle, reason });
        }
        let wait = if is_busy { BUSY_WAIT } else { REFUSED_WAIT };
        self.queue.push(cx.now + wait + jitter(cx.rng, wait), Task::RekeyIke);
    }

    fn why_refused(&self, cx: &Context<'_>, error: &NotifyPayload, groups: Vec<KeyExchangeId>) -> FailReason {
        match (error.kind, wanted_group(error)) {
            (NotifyType::INVALID_KE_PAYLOAD, Some(wanted)) => {
                FailReason::KeyExchangeRejected { wanted, offered: groups }
            }
            (NotifyType::NO_PROPOSAL_CHOSEN, _) => {
                let offered = usable(cx.provider, &self.peer.proposals);
                FailReason::ProposalRejected { offered: offered.iter().map(ToString::to_string).collect() }
            }
            (kind, _) => FailReason::PeerError {
                exchange: ExchangeType::CREATE_CHILD_SA,
                code: kind.0,
                notify: kind.to_string(),
            },
        }
    }

    /// The peer asks for a new IKE SA.
    pub(super) fn accept_ike_rekey(
        &mut self,
        cx: &mut Context<'_>,
        spi: IkeSpi,
        payloads: &Payloads,
    ) -> Result<Vec<Payload>, Refused> {
        let leg = self.leg(spi).ok_or_else(busy)?;
        // RFC 7296 2.25.2: not while the IKE SA is being closed, and not while a child SA of it is being
        // made, replaced or closed.
        let child_work = matches!(leg.exchange, Some(Exchange::Create(_) | Exchange::DeleteChildren(_)));
        let answered = match &leg.exchange {
            Some(Exchange::RekeyIke(rekey)) => rekey.rival.is_some(),
            _ => false,
        };
        if leg.fate != Fate::Live || spi != self.current || child_work || answered {
            return Err(busy());
        }
        if !self.has_room_for_leg(cx) {
            return Err(busy());
        }
        let refuse = || Refused::with(NotifyType::NO_PROPOSAL_CHOSEN);
        let theirs = payloads.nonce().ok_or_else(|| Refused::invalid("nonce missing"))?;
        let local = usable(cx.provider, &self.peer.proposals);
        let offer = payloads.sa().ok_or_else(|| Refused::invalid("SA payload missing"))?;
        let chosen = select_ike(&local, offer, self.peer.prefer).map_err(|mismatch| {
            let reason = FailReason::NoProposal(Box::new(mismatch));
            cx.event(Event::IkeRekeyFailed { ike: self.handle, reason });
            refuse()
        })?;
        let remote_spi = new_spi(&chosen)
            .ok_or_else(|| Refused::Invalid(alloc::format!("SPI {:02x?} for a new IKE SA", chosen.spi)))?;
        let exchanged = exchange_keys(cx, chosen.suite.key_exchange, payloads)?;
        let ours = cx.nonce();
        let local_spi = cx.ike_spi(self.handle);
        let from = Contributions {
            initiator_nonce: theirs,
            responder_nonce: &ours,
            initiator_spi: remote_spi,
            responder_spi: local_spi,
        };
        let keys = self
            .leg(spi)
            .ok_or_else(busy)
            .and_then(|leg| {
                leg.sa.keys.rekeyed(cx.provider, &chosen.suite, &exchanged.shared, from).map_err(|_| refuse())
            })
            .inspect_err(|_| cx.release_ike_spi(local_spi))?;
        let answer = Vec::from([
            Payload::Sa(SaPayload::answer_ike(&chosen, &local_spi.0)),
            Payload::Nonce(ours.clone()),
            exchanged.payload,
        ]);
        self.legs.push(Leg::new(IkeSa {
            local_spi,
            remote_spi,
            initiator: false,
            suite: chosen.suite,
            keys,
            window: Window::new(0, 0, cx.config.limits.window),
        }));
        let rival = RivalLeg { spi: local_spi, initiator_nonce: theirs.to_vec(), responder_nonce: ours };
        match self.leg_mut(spi).map(|leg| &mut leg.exchange) {
            // Both at once: our answer will show whose exchange has the lowest nonce.
            Some(Some(Exchange::RekeyIke(rekey))) => rekey.rival = Some(rival),
            _ => self.switch(cx, spi, local_spi, Fate::Superseded(cx.now + REPLACED_TIMEOUT)),
        }
        Ok(answer)
    }

    /// Whether the peer may make another leg. Those that only repeat their last answers make room.
    fn has_room_for_leg(&mut self, cx: &mut Context<'_>) -> bool {
        if self.legs.len() >= MOST_LEGS {
            let oldest = self.legs.iter().find(|leg| matches!(leg.fate, Fate::Gone(_)));
            if let Some(spi) = oldest.map(|leg| leg.sa.local_spi) {
                self.drop_leg(cx, spi);
            }
        }
        self.legs.len() < MOST_LEGS
    }

    /// New exchanges use the leg `new` from now on, and `old` meets its fate.
    pub(super) fn switch(&mut self, cx: &mut Context<'_>, old: IkeSpi, new: IkeSpi, fate: Fate) {
        self.set_fate(old, fate);
        let Some(leg) = self.leg(new) else { return };
        let (initiator_spi, responder_spi, suite) =
            (leg.sa.initiator_spi(), leg.sa.responder_spi(), leg.sa.suite);
        self.current = new;
        self.queue.forget(&Task::RekeyIke);
        self.draw_lifetime(cx);
        cx.stats.ike_rekeys = cx.stats.ike_rekeys.saturating_add(1);
        cx.event(Event::IkeRekeyed { ike: self.handle, initiator_spi, responder_spi, suite });
    }

    /// The leg `spi` is gone. If our own exchange on it was racing the peer's, the peer's result stands.
    pub(super) fn rival_of(&self, spi: IkeSpi) -> Option<IkeSpi> {
        match &self.leg(spi)?.exchange {
            Some(Exchange::RekeyIke(rekey)) => rekey.rival.as_ref().map(|rival| rival.spi),
            _ => None,
        }
    }

    /// The peer deleted what it had made in a race with our own exchange.
    pub(super) fn forget_rival(&mut self, spi: IkeSpi) {
        for leg in &mut self.legs {
            if let Some(Exchange::RekeyIke(rekey)) = &mut leg.exchange
                && rekey.rival.as_ref().is_some_and(|rival| rival.spi == spi)
            {
                rekey.rival = None;
            }
        }
    }

    pub(super) fn set_fate(&mut self, spi: IkeSpi, fate: Fate) {
        if let Some(leg) = self.leg_mut(spi)
            && !matches!(leg.fate, Fate::Gone(_))
        {
            leg.fate = fate;
        }
    }
}

/// The peer's SPI in a proposal for a new IKE SA.
fn new_spi(chosen: &Chosen<IkeSuite>) -> Option<IkeSpi> {
    let octets: [u8; 8] = chosen.spi.as_slice().try_into().ok()?;
    Some(IkeSpi(octets)).filter(|spi| !spi.is_zero())
}
