//! Main mode, messages 3 to 6 (RFC 2409 5.4).

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use ikebana_core::Secret;
use ikebana_core::random::public_u32;
use ikebana_crypto::ct_eq;
use ikebana_ike::{
    AddressKeyRequest, AuthenticationFailed, DropReason, ExchangeType, FailReason, PeerConfig, Query,
};
use ikebana_proposals::ikev1::phase2::Protocol;

use super::{Claim, Evidence, Responder, Stage};
use crate::context::{Context, Route};
use crate::isakmp::{Hashed, Isakmp};
use crate::nat::Method;
use crate::phase1::halves::Halves;
use crate::phase1::parts::{Parts, header};
use crate::phase1::{Phase1Done, Step, exchange, identity, method};
use crate::wire::{self, Body, DOI_IPSEC, NotifyPayload, NotifyType, Payload};

/// What message 3 has brought.
pub(super) struct Theirs {
    public: Vec<u8>,
    nonce: Vec<u8>,
    fingerprint: [u8; 32],
}

/// What message 5 is opened with.
pub(super) struct Exchanged {
    isakmp: Isakmp,
    halves: Halves,
    key: Secret,
}

impl Responder {
    /// Message 3: the peer's public value. Which key goes with it, only its address can say.
    pub(super) fn key_offered(
        &mut self,
        cx: &mut Context<'_>,
        octets: &[u8],
        route: Route,
    ) -> Result<Step, DropReason> {
        let parts = Parts::clear(octets)?;
        let (Some(public), Some(nonce)) = (parts.key, parts.nonce) else { return Err(DropReason::Malformed) };
        self.vendors.extend(&parts.vendors);
        self.route = Route { fragments: self.route.fragments, ..route };
        if let Some(reason) = self.detect(cx, route, &parts.nat) {
            return Ok(self.fail(cx, reason));
        }
        let (ike, path, suite) = (self.handle, self.route.path, self.suite.ike);
        let query = cx.ask(ike, Query::PreSharedKeyByAddress(AddressKeyRequest { ike, path, suite }));
        let fingerprint = ikebana_crypto::sha256(&[octets]);
        self.stage =
            Stage::AddressKeyWanted { query, theirs: Box::new(Theirs { public, nonce, fingerprint }) };
        Ok(Step::Wait)
    }

    /// Message 4: our public value.
    pub(super) fn address_key_given(
        &mut self,
        cx: &mut Context<'_>,
        theirs: Theirs,
        key: Option<Secret>,
    ) -> Step {
        let Some(key) = key else { return self.no_key(cx) };
        let Theirs { public, nonce, fingerprint } = theirs;
        let Some(group) = cx.provider.key_exchange(self.suite.ike.key_exchange) else {
            return self.broken(cx, "the key exchange is not available");
        };
        let Ok((own_public, shared)) = group.respond(cx.rng, &public) else {
            let problem = alloc::format!("invalid public value for {}", self.suite.ike.key_exchange);
            let reason = crate::phase1::protocol(self.mode, problem);
            return self.refuse(cx, NotifyType::INVALID_KEY_INFORMATION, reason);
        };
        let own_nonce = cx.nonce();
        let mut payloads =
            Vec::from([Payload::KeyExchange(own_public.clone()), Payload::Nonce(own_nonce.clone())]);
        payloads.extend(self.nat_payloads(cx));
        let halves = Halves {
            initiator_cookie: self.peer_cookie,
            responder_cookie: self.cookie,
            sa_body: self.sa_body.clone(),
            initiator_nonce: nonce,
            responder_nonce: own_nonce,
            initiator_public: public,
            responder_public: own_public,
        };
        let head = header(self.peer_cookie, self.cookie, exchange(self.mode));
        let derived = halves.derive(cx.provider, self.suite, false, &key, &shared);
        let (Ok(isakmp), Ok(message)) = (derived, wire::encode(&head, &Body::Clear(payloads))) else {
            return self.broken(cx, "keys cannot be derived");
        };
        self.reply(cx, fingerprint, message);
        self.stage = Stage::Exchanged(Box::new(Exchanged { isakmp, halves, key }));
        Step::Wait
    }

    /// Message 5: who the peer says it is, proven with the key of its address.
    pub(super) fn identified(
        &mut self,
        cx: &mut Context<'_>,
        octets: &[u8],
        route: Route,
        fingerprint: [u8; 32],
    ) -> Result<Step, DropReason> {
        let Stage::Exchanged(exchanged) = &self.stage else { return Err(DropReason::UnexpectedExchange) };
        let Exchanged { isakmp, halves, .. } = &**exchanged;
        let opened = isakmp.decrypt(isakmp.phase1_iv(), octets).and_then(|opened| {
            let parts = Parts::new(&opened.payloads).map_err(|_| DropReason::BadIntegrity)?;
            let (Some(id), Some(hash)) = (parts.id.clone(), &parts.hash) else {
                return Err(DropReason::BadIntegrity);
            };
            let is_right = ct_eq(halves.proof(isakmp, true, &id).expose(), hash);
            if is_right { Ok((id, parts, opened.next_iv)) } else { Err(DropReason::BadIntegrity) }
        });
        let (id, parts, iv) = match opened {
            Ok(opened) => opened,
            Err(reason) => {
                self.garbage |= reason == DropReason::BadIntegrity;
                return Err(reason);
            }
        };
        let Stage::Exchanged(exchanged) = core::mem::replace(&mut self.stage, Stage::Over) else {
            return Err(DropReason::UnexpectedExchange);
        };
        let Exchanged { mut isakmp, halves, key } = *exchanged;
        isakmp.set_last_iv(iv);
        // RFC 3947 4: whoever is authenticated is followed to the port it has moved to.
        self.route = Route { fragments: self.route.fragments, ..route };
        let Some(identity) = identity::read(&id) else {
            let reason =
                crate::phase1::protocol(self.mode, "the peer's identity is of a kind that names nobody");
            self.notify(cx, &isakmp, NotifyType::INVALID_ID_INFORMATION);
            return Ok(self.fail(cx, reason));
        };
        let initial_contact = parts.has_notify(NotifyType::INITIAL_CONTACT);
        let evidence = Evidence::Proven { isakmp, halves, key, iv, fingerprint, initial_contact };
        self.select(cx, Claim { identity, id, evidence });
        Ok(Step::Wait)
    }

    /// The key of the address must be the key of the identity too. Else whoever has a key could be anybody that
    /// connects from the same address.
    pub(super) fn compare(
        &mut self,
        cx: &mut Context<'_>,
        peer: &Arc<PeerConfig>,
        claim: Claim,
        key: &Secret,
    ) -> Step {
        let used = match &claim.evidence {
            Evidence::Proven { key, .. } => key.expose(),
            Evidence::Begun(_) => return self.broken(cx, "no proof"),
        };
        if !key.ct_eq(used) {
            let failed = AuthenticationFailed::WrongPreSharedKey {
                local_id: peer.local_id.clone(),
                remote_id: claim.identity.clone(),
            };
            let reason = FailReason::Authentication(Box::new(failed));
            return self.turn_away(cx, &claim, NotifyType::AUTHENTICATION_FAILED, reason);
        }
        let Claim { identity: remote_id, evidence, .. } = claim;
        let Evidence::Proven { mut isakmp, halves, mut iv, fingerprint, initial_contact, .. } = evidence
        else {
            return self.broken(cx, "no proof");
        };
        let id = identity::payload(&peer.local_id);
        let proof = halves.proof(&isakmp, false, &id);
        let payloads = [Payload::Id(id), Payload::Hash(proof.expose().to_vec())];
        let head = isakmp.header(exchange(self.mode), 0);
        let Ok(message) = isakmp.encrypt(&mut iv, &head, &payloads) else {
            return self.broken(cx, "message 6 cannot be encrypted");
        };
        isakmp.set_last_iv(iv);
        self.reply(cx, fingerprint, message);
        self.done(isakmp, peer.clone(), remote_id, initial_contact)
    }

    /// It is done: the cookie goes with what comes of it.
    pub(super) fn done(
        &mut self,
        isakmp: Isakmp,
        peer: Arc<PeerConfig>,
        remote_id: ikebana_core::Identity,
        initial_contact: bool,
    ) -> Step {
        self.stage = Stage::Over;
        Step::Done(Box::new(Phase1Done {
            local_id: peer.local_id.clone(),
            remote_id,
            route: self.route,
            nat: self.nat,
            encapsulated: self.is_encapsulated(),
            nat_draft: Method::best(&self.vendors).is_some_and(Method::is_draft),
            vendors: core::mem::take(&mut self.vendors),
            life: isakmp.suite.life,
            initial_contact,
            last: self.last.take(),
            xauth: method::has_xauth(self.suite.authentication),
            peer,
            isakmp,
        }))
    }

    /// Fails, and tells the peer as well as it can be told: under the keys that it has proven to have, or in
    /// clear.
    pub(super) fn turn_away(
        &mut self,
        cx: &mut Context<'_>,
        claim: &Claim,
        kind: NotifyType,
        reason: FailReason,
    ) -> Step {
        match &claim.evidence {
            Evidence::Proven { isakmp, .. } => {
                self.notify(cx, isakmp, kind);
                self.fail(cx, reason)
            }
            Evidence::Begun(_) => self.refuse(cx, kind, reason),
        }
    }

    /// A notification under the keys of an ISAKMP SA that will not be.
    fn notify(&self, cx: &mut Context<'_>, isakmp: &Isakmp, kind: NotifyType) {
        let id = public_u32(cx.rng).max(1);
        let head = isakmp.header(ExchangeType::INFORMATIONAL_V1, id);
        let mut iv = isakmp.exchange_iv(id);
        let notify = NotifyPayload {
            doi: DOI_IPSEC,
            protocol: Protocol::ISAKMP,
            spi: Vec::new(),
            kind,
            data: Vec::new(),
        };
        let sealed = isakmp.seal_with_hash(&mut iv, &head, Hashed::First, &[Payload::Notify(notify)]);
        if let Ok(octets) = sealed {
            self.route.send(cx, &octets);
        }
    }
}
