//! CREATE_CHILD_SA: the peer's requests.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use ikebana_core::{EspSpi, IkeSpi};
use ikebana_ike::{ChildConfig, ChildFailure, ChildHandle, Mode};
use ikebana_proposals::{KeyExchangeId, ProtocolId, SaPayload};

use super::create::Rival;
use super::{Established, Exchange, Fate, REPLACED_TIMEOUT, Task};
use crate::child::extras::Extras;
use crate::child::negotiate::{Wanted, choose};
use crate::child::{Agreed, Child, ChildState};
use crate::context::Context;
use crate::payloads::{Payloads, invalid_key_exchange, notify, notify_child};
use crate::wire::{KeyExchangePayload, NotifyPayload, NotifyType, Payload, TrafficSelectorPayload};

/// Why a request is refused.
pub(super) enum Refused {
    /// It is answered with this notification, and the IKE SA lives on.
    Politely(Payload),
    /// It is badly formatted, which ends the IKE SA (RFC 7296 2.21.3).
    Invalid(String),
}

impl Refused {
    pub(super) fn with(kind: NotifyType) -> Self {
        Self::Politely(notify(kind, Vec::new()))
    }

    pub(super) fn invalid(problem: &str) -> Self {
        Self::Invalid(String::from(problem))
    }
}

/// What the peer's key exchange payload gave: our half for the answer, and the shared secret.
pub(super) struct Exchanged {
    pub(super) payload: Payload,
    pub(super) shared: ikebana_core::Secret,
}

impl Established {
    /// The payloads of the answer, or what is wrong with a request that ends the IKE SA.
    pub(super) fn accept_create(
        &mut self,
        cx: &mut Context<'_>,
        spi: IkeSpi,
        payloads: &Payloads,
    ) -> Result<Vec<Payload>, String> {
        let rekeys_ike = payloads
            .sa()
            .and_then(|sa| sa.proposals.first())
            .is_some_and(|proposal| proposal.protocol == ProtocolId::IKE);
        let answer = if rekeys_ike {
            self.accept_ike_rekey(cx, spi, payloads)
        } else {
            self.accept_child(cx, spi, payloads)
        };
        match answer {
            Ok(payloads) => Ok(payloads),
            Err(Refused::Politely(refusal)) => Ok(Vec::from([refusal])),
            Err(Refused::Invalid(problem)) => Err(problem),
        }
    }

    fn accept_child(
        &mut self,
        cx: &mut Context<'_>,
        spi: IkeSpi,
        payloads: &Payloads,
    ) -> Result<Vec<Payload>, Refused> {
        let leg = self.leg(spi).ok_or_else(busy)?;
        // RFC 7296 2.25.2: no child SAs while the IKE SA is being rekeyed or closed.
        if leg.fate != Fate::Live || matches!(leg.exchange, Some(Exchange::RekeyIke(_))) {
            return Err(busy());
        }
        let rekeys = payloads.has(NotifyType::REKEY_SA);
        if rekeys && self.is_crowded(cx) {
            return Err(busy());
        }
        if !rekeys && (self.is_full(cx) || self.is_crowded(cx)) {
            let here = alloc::format!("{} here", self.children.len());
            self.child_failed(cx, None, None, ChildFailure::TooMany(here));
            return Err(Refused::with(NotifyType::NO_ADDITIONAL_SAS));
        }
        let old = match payloads.notify(NotifyType::REKEY_SA) {
            Some(rekey) => Some(self.rekeyed_child(rekey)?),
            None => None,
        };
        let configs: Vec<Arc<ChildConfig>> = match old.and_then(|old| self.children.get(&old)) {
            Some(old) => Vec::from([old.config.clone()]),
            None => self.peer.children.clone(),
        };
        let (Some(sa), Some(remote), Some(local)) =
            (payloads.sa(), payloads.ts_initiator(), payloads.ts_responder())
        else {
            return Err(Refused::invalid("CREATE_CHILD_SA for a child SA without SA, TSi or TSr payload"));
        };
        let transport = payloads.has(NotifyType::USE_TRANSPORT_MODE);
        let wanted = Wanted { sa, local, remote, transport, key_exchange: true };
        let choice = choose(cx.provider, &configs, &self.ends, &wanted).map_err(|refusal| {
            self.child_failed(cx, refusal.config.as_ref(), old, refusal.failure);
            Refused::with(refusal.notify)
        })?;
        let outbound = crate::payloads::child_spi(&choice.chosen.spi)
            .ok_or_else(|| Refused::with(NotifyType::NO_PROPOSAL_CHOSEN))?;
        let suite = choice.chosen.suite;
        let exchanged = match suite.key_exchange {
            Some(group) => Some(exchange_keys(cx, group, payloads)?),
            None => None,
        };
        let theirs = payloads.nonce().ok_or_else(|| Refused::invalid("nonce missing"))?;
        let ours = cx.nonce();
        let shared = exchanged.as_ref().map(|exchanged| &exchanged.shared);
        let leg = self.leg(spi).ok_or_else(busy)?;
        let (inbound_keys, outbound_keys) = leg
            .sa
            .keys
            .child(cx.provider, &suite, shared, theirs, &ours)
            .map_err(|_| Refused::with(NotifyType::NO_PROPOSAL_CHOSEN))?;
        let inbound = cx.esp_spi();
        let mut answer = Vec::new();
        if choice.mode == Mode::Transport {
            answer.push(notify(NotifyType::USE_TRANSPORT_MODE, Vec::new()));
        }
        let extras = Extras::agree(&choice.config, suite.protocol, inbound, payloads);
        answer.extend(extras.answer());
        answer.push(Payload::Sa(SaPayload::answer_child(&choice.chosen, &inbound.to_be_bytes())));
        answer.push(Payload::Nonce(ours.clone()));
        answer.extend(exchanged.map(|exchanged| exchanged.payload));
        answer.push(Payload::TsInitiator(TrafficSelectorPayload::new(choice.remote.clone())));
        answer.push(Payload::TsResponder(TrafficSelectorPayload::new(choice.local.clone())));
        let agreed = Agreed {
            config: choice.config,
            suite,
            mode: choice.mode,
            inbound,
            outbound,
            local: choice.local,
            remote: choice.remote,
            inbound_keys,
            outbound_keys,
            extras,
            replaces: old,
        };
        // RFC 7296 2.8: a peer that replaces a pair has installed it.
        if let Some(child) = old.and_then(|old| self.children.get_mut(&old)) {
            child.release_outbound(cx);
        }
        let child = Child::install(cx, agreed, self.carrier(), old.is_some());
        let new = child.handle;
        self.children.insert(new, child);
        if let Some(old) = old {
            self.note_replacement(
                cx,
                old,
                Rival { child: new, initiator_nonce: theirs.to_vec(), responder_nonce: ours },
            );
        }
        Ok(answer)
    }

    /// The pair that REKEY_SA names, if it can be replaced now (RFC 7296 2.25.1).
    fn rekeyed_child(&self, rekey: &NotifyPayload) -> Result<ChildHandle, Refused> {
        let known_protocol = matches!(rekey.protocol, ProtocolId::ESP | ProtocolId::AH);
        let spi = rekey.child_spi().filter(|_| known_protocol);
        // Nothing of a notification that makes no sense is copied into the answer.
        let spi = spi.ok_or_else(|| {
            let (protocol, octets) = (rekey.protocol, rekey.spi.len());
            Refused::Invalid(alloc::format!(
                "REKEY_SA with protocol {protocol} and an SPI of {octets} octets"
            ))
        })?;
        let not_found =
            || Refused::Politely(notify_child(rekey.protocol, spi, NotifyType::CHILD_SA_NOT_FOUND));
        let child = self.child_of_peer(rekey.protocol, spi).ok_or_else(not_found)?;
        match self.children.get(&child).map(|child| child.state) {
            // The peer has replaced it before, and our own exchange has yet to show which replacement stays.
            Some(ChildState::Installed) if self.replacement_of(child).is_some() => Err(busy()),
            Some(ChildState::Installed) => Ok(child),
            Some(ChildState::Replaced { .. } | ChildState::Deleting) => Err(busy()),
            Some(ChildState::Lingering(_)) | None => Err(not_found()),
        }
    }

    /// The pair whose outbound SA has this SPI, which is how the peer names it.
    pub(super) fn child_of_peer(&self, protocol: ProtocolId, spi: EspSpi) -> Option<ChildHandle> {
        self.children
            .values()
            .find(|child| child.outbound == spi && child.suite.protocol == protocol)
            .map(|child| child.handle)
    }

    /// The peer has replaced `old`. If we are doing the same, the nonces will decide when we have our answer.
    fn note_replacement(&mut self, cx: &Context<'_>, old: ChildHandle, rival: Rival) {
        self.queue.forget(&Task::RekeyChild(old));
        let ours = self.legs.iter_mut().find_map(|leg| match &mut leg.exchange {
            Some(Exchange::Create(create)) if create.rekeys == Some(old) => Some(create),
            _ => None,
        });
        match ours {
            Some(create) => create.rival = Some(rival),
            None => {
                if let Some(child) = self.children.get_mut(&old) {
                    child.yield_to(rival.child, cx.now + REPLACED_TIMEOUT);
                }
            }
        }
    }
}

/// RFC 7296 2.25: try again later.
pub(super) fn busy() -> Refused {
    Refused::with(NotifyType::TEMPORARY_FAILURE)
}

/// Does the responder's half of a key exchange with the peer's KE payload.
pub(super) fn exchange_keys(
    cx: &mut Context<'_>,
    group: KeyExchangeId,
    payloads: &Payloads,
) -> Result<Exchanged, Refused> {
    let theirs = payloads
        .key_exchange()
        .filter(|theirs| theirs.group == group)
        .ok_or_else(|| Refused::Politely(invalid_key_exchange(group)))?;
    let algorithm =
        cx.provider.key_exchange(group).ok_or_else(|| Refused::with(NotifyType::NO_PROPOSAL_CHOSEN))?;
    let (ours, shared) = algorithm
        .respond(cx.rng, &theirs.data)
        .map_err(|error| Refused::Invalid(alloc::format!("public value for {group}: {error}")))?;
    Ok(Exchanged { payload: Payload::KeyExchange(KeyExchangePayload { group, data: ours }), shared })
}
