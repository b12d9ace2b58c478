//! Aggressive mode, messages 2 and 3 (RFC 2409 5.4).

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use ikebana_core::{Identity, Secret};
use ikebana_crypto::ct_eq;
use ikebana_ike::{AuthenticationFailed, DropReason, FailReason, IkeHeader, PeerConfig, Retransmission};

use super::{Claim, Evidence, Responder, Stage};
use crate::context::{Context, Route};
use crate::isakmp::Isakmp;
use crate::phase1::halves::Halves;
use crate::phase1::parts::{Parts, header};
use crate::phase1::{Step, exchange, identity};
use crate::turn::{Overdue, Turn};
use crate::wire::{self, Body, IdPayload, NotifyType, Payload};

/// What message 1 has brought.
pub(super) struct Theirs {
    pub(super) public: Vec<u8>,
    pub(super) nonce: Vec<u8>,
    pub(super) fingerprint: [u8; 32],
}

/// What message 3 is checked with.
pub(super) struct Proving {
    isakmp: Isakmp,
    halves: Halves,
    id: IdPayload,
    identity: Identity,
    peer: Arc<PeerConfig>,
    /// Nothing answers message 3, so that message 2 is repeated until it comes.
    pub(super) turn: Turn,
}

impl Responder {
    /// Message 2: our choice, public value, identity and proof at once.
    pub(super) fn begin(
        &mut self,
        cx: &mut Context<'_>,
        peer: Arc<PeerConfig>,
        claim: Claim,
        key: &Secret,
    ) -> Step {
        let Evidence::Begun(Theirs { public, nonce, fingerprint }) = claim.evidence else {
            return self.broken(cx, "no public value");
        };
        let Some(group) = cx.provider.key_exchange(self.suite.ike.key_exchange) else {
            return self.broken(cx, "the key exchange is not available");
        };
        let Ok((own_public, shared)) = group.respond(cx.rng, &public) else {
            let problem = alloc::format!("invalid public value for {}", self.suite.ike.key_exchange);
            let reason = crate::phase1::protocol(self.mode, problem);
            return self.refuse(cx, NotifyType::INVALID_KEY_INFORMATION, reason);
        };
        let own_nonce = cx.nonce();
        let halves = Halves {
            initiator_cookie: self.peer_cookie,
            responder_cookie: self.cookie,
            sa_body: self.sa_body.clone(),
            initiator_nonce: nonce,
            responder_nonce: own_nonce.clone(),
            initiator_public: public,
            responder_public: own_public.clone(),
        };
        let Ok(isakmp) = halves.derive(cx.provider, self.suite, false, key, &shared) else {
            return self.broken(cx, "keys cannot be derived");
        };
        let own_id = identity::payload(&peer.local_id);
        let proof = halves.proof(&isakmp, false, &own_id);
        let mut payloads = Vec::from([
            Payload::Sa(self.answer.clone()),
            Payload::KeyExchange(own_public),
            Payload::Nonce(own_nonce),
            Payload::Id(own_id),
            Payload::Hash(proof.expose().to_vec()),
        ]);
        payloads.extend(self.nat_payloads(cx));
        payloads.extend(self.announced());
        let head = header(self.peer_cookie, self.cookie, exchange(self.mode));
        let Ok(message) = wire::encode(&head, &Body::Clear(payloads)) else {
            return self.broken(cx, "message 2 does not fit its length fields");
        };
        let turn = Turn::new(cx, &peer.retransmission, message.clone());
        self.reply(cx, fingerprint, message);
        let Claim { id, identity, .. } = claim;
        self.stage = Stage::Proving(Box::new(Proving { isakmp, halves, id, identity, peer, turn }));
        Step::Wait
    }

    /// Message 3: the peer's proof. It is encrypted, though RFC 2409 does not demand it.
    pub(super) fn proven(
        &mut self,
        cx: &mut Context<'_>,
        octets: &[u8],
        route: Route,
    ) -> Result<Step, DropReason> {
        let Stage::Proving(proving) = &self.stage else { return Err(DropReason::UnexpectedExchange) };
        let Proving { isakmp, halves, id, .. } = &**proving;
        let header = IkeHeader::peek(octets).map_err(|_| DropReason::Malformed)?;
        let read = if header.flags.has(ikebana_ike::Flags::ENCRYPTED) {
            isakmp.decrypt(isakmp.phase1_iv(), octets).and_then(|opened| {
                let parts = Parts::new(&opened.payloads).map_err(|_| DropReason::BadIntegrity)?;
                Ok((parts, Some(opened.next_iv)))
            })
        } else {
            Parts::clear(octets).map(|parts| (parts, None))
        };
        let proven = read.and_then(|(parts, iv)| {
            let hash = parts.hash.as_ref().ok_or(DropReason::BadIntegrity)?;
            let is_right = ct_eq(halves.proof(isakmp, true, id).expose(), hash);
            if is_right { Ok((parts, iv)) } else { Err(DropReason::BadIntegrity) }
        });
        let (parts, iv) = match proven {
            Ok(proven) => proven,
            Err(reason) => {
                self.garbage |= reason == DropReason::BadIntegrity;
                return Err(reason);
            }
        };
        let Stage::Proving(proving) = core::mem::replace(&mut self.stage, Stage::Over) else {
            return Err(DropReason::UnexpectedExchange);
        };
        let Proving { mut isakmp, identity, peer, .. } = *proving;
        if let Some(iv) = iv {
            isakmp.set_last_iv(iv);
        }
        self.route = Route { fragments: self.route.fragments, ..route };
        // Nothing is said to message 3, and so nothing is repeated.
        self.last = None;
        if let Some(reason) = self.detect(cx, route, &parts.nat) {
            return Ok(self.fail(cx, reason));
        }
        let initial_contact = parts.has_notify(NotifyType::INITIAL_CONTACT);
        Ok(self.done(isakmp, peer, identity, initial_contact))
    }

    /// Repeats message 2 when it is time to. That is bounded by what has been received: nobody has shown yet
    /// that the peer's address is the peer's.
    pub(super) fn repeat_second(&mut self, cx: &mut Context<'_>) {
        let (deadline, route) = (self.deadline, self.route);
        let (received, sent) = (self.received, self.sent);
        let Stage::Proving(proving) = &mut self.stage else { return };
        // How long this goes on is for the half-open timeout to say.
        let plan = Retransmission { tries: u8::MAX, ..proving.peer.retransmission };
        if proving.turn.deadline() > deadline || proving.turn.overdue(cx, &plan) != Overdue::Repeat {
            return;
        }
        let octets = proving.turn.octets();
        if sent.saturating_add(octets.len()) <= received.saturating_mul(super::AMPLIFICATION) {
            route.send(cx, octets);
            self.sent = sent.saturating_add(octets.len());
        }
    }

    /// A proof that did not come in time, or not with our key.
    pub(super) fn aggressive_failure(&self) -> Option<FailReason> {
        let Stage::Proving(proving) = &self.stage else { return None };
        self.garbage.then(|| {
            FailReason::Authentication(Box::new(AuthenticationFailed::WrongPreSharedKey {
                local_id: proving.peer.local_id.clone(),
                remote_id: proving.identity.clone(),
            }))
        })
    }
}
