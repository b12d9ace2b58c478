//! The peer's first answers: its choice, its public value, its nonce.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;

use ikebana_core::datagram::NAT_T_PORT;
use ikebana_ike::{AuthenticationFailed, DropReason, Encapsulation, FailReason, Fragmentation, IkeHeader};
use ikebana_proposals::ikev1::{Phase1Suite, SaPayload, confirm_phase1};

use super::{Claim, Initiator, Stage, Wait};
use crate::context::{Context, Fragments, Route};
use crate::nat::Method;
use crate::phase1::halves::Halves;
use crate::phase1::parts::{Parts, header};
use crate::phase1::{Step, exchange, identity, protocol};
use crate::turn::Turn;
use crate::wire::{self, Body, NotifyType, Payload};

impl Initiator {
    /// Main mode, message 2: the peer has chosen.
    pub(super) fn chosen(
        &mut self,
        cx: &mut Context<'_>,
        head: &IkeHeader,
        octets: &[u8],
    ) -> Result<Step, DropReason> {
        let parts = Parts::clear(octets)?;
        let suite = self.confirm(cx, parts.sa.as_ref())?;
        let group = cx.provider.key_exchange(suite.ike.key_exchange);
        let pending = group.ok_or(DropReason::UnusableInitResponse)?.initiate(cx.rng);
        self.meet(head, &parts);
        let mut payloads =
            Vec::from([Payload::KeyExchange(pending.public().to_vec()), Payload::Nonce(self.nonce.clone())]);
        payloads.extend(self.nat_payloads(cx, &suite));
        let reply = header(self.cookie, self.peer_cookie, exchange(self.mode));
        let Ok(message) = wire::encode(&reply, &Body::Clear(payloads)) else {
            let reason = protocol(self.mode, "message 3 does not fit its length fields");
            return Ok(self.fail(cx, reason));
        };
        self.route.send(cx, &message);
        let turn = Turn::new(cx, &self.peer.retransmission, message);
        self.stage = Stage::Exchanging { turn, suite, pending };
        Ok(Step::Wait)
    }

    /// Main mode, message 4: the peer's public value.
    pub(super) fn exchanged(
        &mut self,
        cx: &mut Context<'_>,
        octets: &[u8],
        route: Route,
    ) -> Result<Step, DropReason> {
        let parts = Parts::clear(octets)?;
        let (Some(public), Some(nonce)) = (parts.key, parts.nonce) else {
            return Err(DropReason::UnusableInitResponse);
        };
        let (suite, pending) = match core::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Exchanging { suite, pending, .. } => (suite, pending),
            stage => {
                self.stage = stage;
                return Err(DropReason::UnexpectedExchange);
            }
        };
        let halves = self.halves(pending.public(), public, nonce);
        let Ok(shared) = pending.complete(&halves.responder_public) else {
            let problem = alloc::format!("invalid public value for {}", suite.ike.key_exchange);
            let reason = protocol(self.mode, problem);
            return Ok(self.fail(cx, reason));
        };
        self.vendors.extend(&parts.vendors);
        if let Some(failed) = self.detect(cx, &suite, route, &parts.nat) {
            return Ok(failed);
        }
        let remote_id = self.expected_id();
        self.want_key(cx, Wait { suite, halves, shared, claim: None }, remote_id);
        Ok(Step::Wait)
    }

    /// Aggressive mode, message 2: choice, public value, identity and proof at once.
    pub(super) fn answered(
        &mut self,
        cx: &mut Context<'_>,
        head: &IkeHeader,
        octets: &[u8],
        route: Route,
        fingerprint: [u8; 32],
    ) -> Result<Step, DropReason> {
        let mut parts = Parts::clear(octets)?;
        let suite = self.confirm(cx, parts.sa.as_ref())?;
        let initial_contact = parts.has_notify(NotifyType::INITIAL_CONTACT);
        let taken = (parts.key.take(), parts.nonce.take(), parts.id.take(), parts.hash.take());
        let (Some(public), Some(nonce), Some(id), Some(hash)) = taken else {
            return Err(DropReason::UnusableInitResponse);
        };
        let remote_id = identity::read(&id).ok_or(DropReason::UnusableInitResponse)?;
        if !self.peer.remote_id.matches(&remote_id) {
            let expected = self.peer.remote_id.to_string();
            let failure = AuthenticationFailed::UnexpectedIdentity { actual: remote_id, expected };
            self.complain(cx, FailReason::Authentication(Box::new(failure)));
            return Err(DropReason::UnusableInitResponse);
        }
        let pending = match core::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Offered { pending: Some(pending), .. } => pending,
            stage => {
                self.stage = stage;
                return Err(DropReason::UnexpectedExchange);
            }
        };
        self.meet(head, &parts);
        let halves = self.halves(pending.public(), public, nonce);
        let Ok(shared) = pending.complete(&halves.responder_public) else {
            let problem = alloc::format!("invalid public value for {}", suite.ike.key_exchange);
            let reason = protocol(self.mode, problem);
            return Ok(self.fail(cx, reason));
        };
        if let Some(failed) = self.detect(cx, &suite, route, &parts.nat) {
            return Ok(failed);
        }
        let claim = Claim { id, identity: remote_id.clone(), hash, initial_contact, fingerprint };
        self.want_key(cx, Wait { suite, halves, shared, claim: Some(claim) }, Some(remote_id));
        Ok(Step::Wait)
    }

    /// The suite that the peer has chosen, if it is one that we offered.
    fn confirm(&mut self, cx: &mut Context<'_>, sa: Option<&SaPayload>) -> Result<Phase1Suite, DropReason> {
        let sa = sa.ok_or(DropReason::UnusableInitResponse)?;
        confirm_phase1(&self.offer, sa).map_err(|mismatch| {
            self.complain(cx, FailReason::NoTransform(Box::new(mismatch)));
            DropReason::UnusableInitResponse
        })
    }

    /// Remembers what the peer's first message says of the peer.
    fn meet(&mut self, head: &IkeHeader, parts: &Parts) {
        self.peer_cookie = head.responder_spi;
        self.vendors.extend(&parts.vendors);
        let both = self.peer.ikev1.fragmentation != Fragmentation::Never && self.vendors.fragments();
        self.route.fragments = match self.peer.ikev1.fragmentation {
            Fragmentation::Force if both => Fragments::Always,
            Fragmentation::Auto if both => Fragments::Long,
            Fragmentation::Force | Fragmentation::Auto | Fragmentation::Never => Fragments::Never,
        };
    }

    fn halves(&self, own: &[u8], public: Vec<u8>, nonce: Vec<u8>) -> Halves {
        Halves {
            initiator_cookie: self.cookie,
            responder_cookie: self.peer_cookie,
            sa_body: self.sa_body.clone(),
            initiator_nonce: self.nonce.clone(),
            responder_nonce: nonce,
            initiator_public: own.to_vec(),
            responder_public: public,
        }
    }

    /// Our NAT-D payloads, if the peer knows what they are.
    pub(super) fn nat_payloads(&self, cx: &mut Context<'_>, suite: &Phase1Suite) -> Vec<Payload> {
        let Some(method) = Method::best(&self.vendors) else { return Vec::new() };
        self.detection(suite).payloads(cx, method, self.route.path, self.peer.encapsulation)
    }

    /// Looks for NATs, and moves to the port that ESP shares where one is (RFC 3947 4). The failure, if a NAT is
    /// one.
    fn detect(
        &mut self,
        cx: &mut Context<'_>,
        suite: &Phase1Suite,
        route: Route,
        payloads: &[Vec<u8>],
    ) -> Option<Step> {
        Method::best(&self.vendors)?;
        let found = self.detection(suite).detect(cx.provider, route.path, payloads)?;
        self.nat = found;
        if self.peer.encapsulation == Encapsulation::Never && found.any() {
            return Some(self.fail(cx, FailReason::NatForbidden));
        }
        if self.wants_encapsulation() && !self.route.encapsulated {
            self.route.path.local.set_port(cx.config.nat_t_port);
            self.route.path.remote.set_port(NAT_T_PORT);
            self.route.encapsulated = true;
        }
        None
    }

    pub(super) fn wants_encapsulation(&self) -> bool {
        let forced = self.peer.encapsulation == Encapsulation::Force;
        Method::best(&self.vendors).is_some() && (forced || self.nat.any())
    }
}
