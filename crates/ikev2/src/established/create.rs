//! CREATE_CHILD_SA for child SAs: our requests.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use ikebana_core::{EspSpi, Flow};
use ikebana_crypto::PendingKeyExchange;
use ikebana_ike::{ChildConfig, ChildFailure, ChildHandle, ExchangeType};
use ikebana_proposals::KeyExchangeId;

use super::{Established, Exchange};
use crate::child::offer::ChildOffer;
use crate::collision::Nonces;
use crate::context::Context;
use crate::payloads::notify_child;
use crate::wire::{KeyExchangePayload, NotifyType, Payload};

/// SPIs of deletes that came too early are remembered up to this many.
const EARLY_DELETES: usize = 16;

/// A request of ours for a child SA.
pub(crate) struct CreateExchange {
    pub(super) offer: ChildOffer,
    /// The pair that the new one is to replace.
    pub(super) rekeys: Option<ChildHandle>,
    pub(super) nonce: Vec<u8>,
    /// The nonce of the answer, once it is there.
    pub(super) peer_nonce: Vec<u8>,
    pub(super) fresh: Option<FreshKey>,
    /// Groups that a request has been made with, to end a peer's indecision.
    pub(super) tried: Vec<KeyExchangeId>,
    /// The peer is replacing the same pair, and we have answered it (RFC 7296 2.8.1).
    pub(super) rival: Option<Rival>,
    /// SPIs that the peer deleted while we did not know them. One of them may be what this exchange makes:
    /// its answer can be overtaken by the delete of the SA it describes.
    deleted: Vec<EspSpi>,
}

/// The peer's exchange that replaces the same pair as ours.
pub(crate) struct Rival {
    /// What it made.
    pub(super) child: ChildHandle,
    pub(super) initiator_nonce: Vec<u8>,
    pub(super) responder_nonce: Vec<u8>,
}

impl Rival {
    pub(super) fn nonces(&self) -> Nonces<'_> {
        Nonces { initiator: &self.initiator_nonce, responder: &self.responder_nonce }
    }
}

/// Our half of a key exchange under way.
pub(crate) struct FreshKey {
    pub(super) group: KeyExchangeId,
    pub(super) pending: Box<dyn PendingKeyExchange>,
}

impl FreshKey {
    /// Starts a key exchange. `None` if the provider does not know the group.
    pub(crate) fn new(cx: &mut Context<'_>, group: KeyExchangeId) -> Option<Self> {
        let pending = cx.provider.key_exchange(group)?.initiate(cx.rng);
        Some(Self { group, pending })
    }

    /// The payload that carries our half.
    pub(crate) fn payload(&self) -> Payload {
        Payload::KeyExchange(KeyExchangePayload { group: self.group, data: self.pending.public().to_vec() })
    }
}

impl CreateExchange {
    pub(super) const fn spi(&self) -> EspSpi {
        self.offer.spi
    }

    /// Whether this makes a new child SA of the same kind for the same packet.
    pub(super) fn makes(&self, config: &ChildConfig, flow: Option<&Flow>) -> bool {
        self.rekeys.is_none() && self.offer.config.name == config.name && self.offer.flow.as_ref() == flow
    }

    /// Remembers that the peer deleted an SA we have not heard of.
    pub(super) fn note_early_delete(&mut self, spi: EspSpi) {
        if self.deleted.len() < EARLY_DELETES {
            self.deleted.push(spi);
        }
    }

    pub(super) fn was_deleted_early(&self, spi: EspSpi) -> bool {
        self.deleted.contains(&spi)
    }
}

impl Established {
    /// Asks the peer for a child SA, in place of `rekeys` if that is given.
    pub(super) fn ask_for_child(
        &mut self,
        cx: &mut Context<'_>,
        config: Arc<ChildConfig>,
        rekeys: Option<ChildHandle>,
        flow: Option<Flow>,
    ) {
        let Some(offer) = ChildOffer::new(cx, config.clone(), &self.ends, flow, true) else {
            let reason = ChildFailure::Protocol(alloc::string::String::from(
                "none of the configured proposals can be carried out here",
            ));
            self.child_failed(cx, Some(&config), rekeys, reason);
            return;
        };
        let group = offer.groups().first().copied().filter(|group| *group != KeyExchangeId::NONE);
        let create = CreateExchange {
            offer,
            rekeys,
            nonce: Vec::new(),
            peer_nonce: Vec::new(),
            fresh: None,
            tried: Vec::new(),
            rival: None,
            deleted: Vec::new(),
        };
        self.send_create(cx, create, group);
    }

    /// Sends the request with a key exchange of `group`, or without one.
    pub(super) fn send_create(
        &mut self,
        cx: &mut Context<'_>,
        mut create: CreateExchange,
        group: Option<KeyExchangeId>,
    ) {
        create.nonce = cx.nonce();
        create.fresh = group.and_then(|group| FreshKey::new(cx, group));
        create.tried.extend(group);
        let mut payloads = Vec::new();
        if let Some(old) = create.rekeys.and_then(|handle| self.children.get(&handle)) {
            // RFC 7296 1.3.3: the SPI is the one we expect in inbound packets.
            payloads.push(notify_child(old.suite.protocol, old.inbound, NotifyType::REKEY_SA));
        }
        let nonce = Payload::Nonce(create.nonce.clone());
        let key = create.fresh.as_ref().map(FreshKey::payload);
        payloads.extend(create.offer.payloads(core::iter::once(nonce).chain(key)));
        let current = self.current;
        self.send(cx, current, ExchangeType::CREATE_CHILD_SA, &payloads, Exchange::Create(Box::new(create)));
    }

    /// Gives back what a request had reserved. If the peer was replacing the same pair, its exchange stands.
    pub(super) fn abandon_create(&mut self, cx: &mut Context<'_>, create: CreateExchange) {
        cx.release_esp_spi(create.spi());
        self.yield_to_rival(cx, &create);
    }

    /// Ours came to nothing, so what the peer made in place of the same pair stays. Whether it did make
    /// something is the answer.
    pub(super) fn yield_to_rival(&mut self, cx: &Context<'_>, create: &CreateExchange) -> bool {
        let Some(rival) = &create.rival else { return false };
        let until = cx.now + super::REPLACED_TIMEOUT;
        let by = rival.child;
        if let Some(old) = create.rekeys.and_then(|handle| self.children.get_mut(&handle)) {
            old.yield_to(by, until);
        }
        true
    }
}
