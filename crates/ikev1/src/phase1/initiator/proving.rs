//! Both sides prove who they are.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;

use ikebana_core::random::public_u32;
use ikebana_core::{Identity, Secret};
use ikebana_crypto::ct_eq;
use ikebana_ike::{AuthenticationFailed, DropReason, ExchangeType, FailReason, IkeHeader, Phase1Mode};
use ikebana_proposals::ikev1::phase2::Protocol;

use super::{Claim, Initiator, Proving, Stage, Wait};
use crate::context::Context;
use crate::isakmp::{Hashed, Isakmp};
use crate::nat::Method;
use crate::phase1::halves::Halves;
use crate::phase1::parts::{Parts, refusal};
use crate::phase1::{Phase1Done, Replay, Step, exchange, identity, method, protocol};
use crate::turn::Turn;
use crate::wire::{DOI_IPSEC, DeletePayload, NotifyPayload, NotifyType, Payload};

impl Initiator {
    /// The application has answered.
    pub(super) fn key_given(&mut self, cx: &mut Context<'_>, wait: Wait, key: Option<Secret>) -> Step {
        let Some(key) = key else {
            let failed = AuthenticationFailed::NoKey {
                local_id: self.peer.local_id.clone(),
                remote_id: self.peer.remote_id.to_string(),
            };
            return self.fail(cx, FailReason::Authentication(Box::new(failed)));
        };
        let Wait { suite, halves, shared, claim } = wait;
        let Ok(isakmp) = halves.derive(cx.provider, suite, true, &key, &shared) else {
            let reason = protocol(self.mode, "keys cannot be derived");
            return self.fail(cx, reason);
        };
        match claim {
            None => self.prove(cx, isakmp, halves),
            Some(claim) => self.check(cx, isakmp, &halves, claim),
        }
    }

    /// Main mode, message 5.
    fn prove(&mut self, cx: &mut Context<'_>, mut isakmp: Isakmp, halves: Halves) -> Step {
        let id = identity::payload(&self.peer.local_id);
        let proof = halves.proof(&isakmp, true, &id);
        let mut payloads = Vec::from([Payload::Id(id), Payload::Hash(proof.expose().to_vec())]);
        payloads.extend(self.initial_contact(&isakmp));
        let mut iv = isakmp.phase1_iv();
        let head = isakmp.header(exchange(self.mode), 0);
        let Ok(message) = isakmp.encrypt(&mut iv, &head, &payloads) else {
            let reason = protocol(self.mode, "message 5 cannot be encrypted");
            return self.fail(cx, reason);
        };
        // An informational message in the place of message 6 has its IV from here.
        isakmp.set_last_iv(iv);
        self.route.send(cx, &message);
        let turn = Turn::new(cx, &self.peer.retransmission, message);
        self.stage = Stage::Proving { turn, proving: Box::new(Proving { isakmp, halves, iv }) };
        Step::Wait
    }

    /// Main mode, message 6: the peer's proof.
    pub(super) fn proven(&mut self, cx: &mut Context<'_>, octets: &[u8]) -> Result<Step, DropReason> {
        let Stage::Proving { proving, .. } = &self.stage else {
            return Err(DropReason::UnexpectedExchange);
        };
        let Proving { isakmp, halves, iv } = &**proving;
        let opened = isakmp.decrypt(*iv, octets).and_then(|opened| {
            let parts = Parts::new(&opened.payloads).map_err(|_| DropReason::BadIntegrity)?;
            let (Some(id), Some(hash)) = (&parts.id, &parts.hash) else {
                return Err(DropReason::BadIntegrity);
            };
            let is_right = ct_eq(halves.proof(isakmp, false, id).expose(), hash);
            if is_right { Ok((opened.next_iv, parts)) } else { Err(DropReason::BadIntegrity) }
        });
        let (next_iv, parts) = match opened {
            Ok(opened) => opened,
            Err(DropReason::BadIntegrity) => {
                let path = self.route.path;
                let failed = AuthenticationFailed::ProbablyWrongPreSharedKey { path };
                self.complain(cx, FailReason::Authentication(Box::new(failed)));
                return Err(DropReason::BadIntegrity);
            }
            Err(reason) => return Err(reason),
        };
        let Stage::Proving { proving, .. } = core::mem::replace(&mut self.stage, Stage::Over) else {
            return Err(DropReason::UnexpectedExchange);
        };
        let mut isakmp = proving.isakmp;
        isakmp.set_last_iv(next_iv);
        let initial_contact = parts.has_notify(NotifyType::INITIAL_CONTACT);
        let remote_id = parts.id.as_ref().and_then(identity::read);
        Ok(match remote_id {
            Some(remote_id) if self.peer.remote_id.matches(&remote_id) => {
                self.done(isakmp, remote_id, initial_contact, None)
            }
            Some(actual) => {
                let expected = self.peer.remote_id.to_string();
                let failed = AuthenticationFailed::UnexpectedIdentity { actual, expected };
                self.leave(cx, &isakmp, FailReason::Authentication(Box::new(failed)))
            }
            None => {
                let reason = protocol(self.mode, "the peer's identity is of a kind that names nobody");
                self.leave(cx, &isakmp, reason)
            }
        })
    }

    /// Aggressive mode: checks the proof in message 2, and answers with ours.
    fn check(&mut self, cx: &mut Context<'_>, mut isakmp: Isakmp, halves: &Halves, claim: Claim) -> Step {
        let Claim { id, identity: remote_id, hash, initial_contact, fingerprint } = claim;
        if !ct_eq(halves.proof(&isakmp, false, &id).expose(), &hash) {
            // The peer waits for our proof in vain; RFC 2409 5.4 leaves it to us whether it learns why.
            let head = isakmp.header(exchange(self.mode), 0);
            let complaint =
                refusal(&head, head.responder_spi, public_u32(cx.rng), NotifyType::AUTHENTICATION_FAILED);
            if let Some(octets) = complaint {
                self.route.send(cx, &octets);
            }
            let local_id = self.peer.local_id.clone();
            let failed = AuthenticationFailed::WrongPreSharedKey { local_id, remote_id };
            return self.fail(cx, FailReason::Authentication(Box::new(failed)));
        }
        let own_id = identity::payload(&self.peer.local_id);
        let proof = halves.proof(&isakmp, true, &own_id);
        let mut payloads = Vec::from([Payload::Hash(proof.expose().to_vec())]);
        payloads.extend(self.nat_payloads(cx, &isakmp.suite));
        payloads.extend(self.initial_contact(&isakmp));
        let mut iv = isakmp.phase1_iv();
        let head = isakmp.header(exchange(self.mode), 0);
        let Ok(message) = isakmp.encrypt(&mut iv, &head, &payloads) else {
            let reason = protocol(self.mode, "message 3 cannot be encrypted");
            return self.fail(cx, reason);
        };
        isakmp.set_last_iv(iv);
        self.route.send(cx, &message);
        self.done(isakmp, remote_id, initial_contact, Some(Replay { fingerprint, answer: message }))
    }

    fn done(
        &mut self,
        isakmp: Isakmp,
        remote_id: Identity,
        initial_contact: bool,
        last: Option<Replay>,
    ) -> Step {
        self.stage = Stage::Over;
        Step::Done(Box::new(Phase1Done {
            peer: self.peer.clone(),
            local_id: self.peer.local_id.clone(),
            remote_id,
            route: self.route,
            nat: self.nat,
            // Without the peer's NAT-D payloads we have not moved to the port for it.
            encapsulated: self.wants_encapsulation() && self.route.encapsulated,
            nat_draft: Method::best(&self.vendors).is_some_and(Method::is_draft),
            vendors: core::mem::take(&mut self.vendors),
            life: isakmp.suite.life,
            initial_contact,
            last,
            xauth: method::has_xauth(self.authentication),
            isakmp,
        }))
    }

    /// RFC 2407 4.6.3.3: so that the peer forgets what it may still have from before our start.
    fn initial_contact(&self, isakmp: &Isakmp) -> Option<Payload> {
        self.initial_contact.then(|| {
            Payload::Notify(NotifyPayload {
                doi: DOI_IPSEC,
                protocol: Protocol::ISAKMP,
                spi: cookies(isakmp),
                kind: NotifyType::INITIAL_CONTACT,
                data: Vec::new(),
            })
        })
    }

    /// The peer believes that all is well, and is not whom we want: it is told that the SA is gone.
    fn leave(&mut self, cx: &mut Context<'_>, isakmp: &Isakmp, reason: FailReason) -> Step {
        let delete = Payload::Delete(DeletePayload {
            doi: DOI_IPSEC,
            protocol: Protocol::ISAKMP,
            spi_size: 16,
            spis: Vec::from([cookies(isakmp)]),
        });
        let id = public_u32(cx.rng).max(1);
        let head = isakmp.header(ExchangeType::INFORMATIONAL_V1, id);
        let mut iv = isakmp.exchange_iv(id);
        if let Ok(octets) = isakmp.seal_with_hash(&mut iv, &head, Hashed::First, &[delete]) {
            self.route.send(cx, &octets);
        }
        self.fail(cx, reason)
    }

    /// An encrypted informational message before the peer has proven itself: if it opens, it comes from
    /// somebody with our key, and there is only one reason to send it.
    pub(super) fn told(
        &mut self,
        cx: &mut Context<'_>,
        head: &IkeHeader,
        octets: &[u8],
    ) -> Result<Step, DropReason> {
        let Stage::Proving { proving, .. } = &self.stage else {
            return Err(DropReason::UnexpectedExchange);
        };
        let isakmp = &proving.isakmp;
        let opened = isakmp.decrypt(isakmp.exchange_iv(head.message_id), octets);
        let notified = opened.ok().filter(|opened| isakmp.verify(opened, Hashed::First)).and_then(|opened| {
            opened.payloads.iter().find_map(|payload| match payload {
                Payload::Notify(notify) if notify.kind.is_error() => Some(notify.kind),
                _ => None,
            })
        });
        match notified {
            Some(kind) => {
                let reason = self.refused(kind);
                Ok(self.fail(cx, reason))
            }
            None => {
                let failed = AuthenticationFailed::ProbablyWrongPreSharedKey { path: self.route.path };
                self.complain(cx, FailReason::Authentication(Box::new(failed)));
                Err(DropReason::BadIntegrity)
            }
        }
    }

    /// What an error after our proof means.
    pub(super) fn refused(&self, kind: NotifyType) -> FailReason {
        let is_about_us = matches!(
            kind,
            NotifyType::AUTHENTICATION_FAILED
                | NotifyType::INVALID_ID_INFORMATION
                | NotifyType::INVALID_HASH_INFORMATION
                | NotifyType::PAYLOAD_MALFORMED
                | NotifyType::INVALID_PAYLOAD_TYPE
        );
        if is_about_us && self.mode == Phase1Mode::Main {
            return FailReason::Authentication(Box::new(AuthenticationFailed::RefusedByPeer {
                local_id: self.peer.local_id.clone(),
                remote_id: self.peer.remote_id.to_string(),
            }));
        }
        FailReason::PeerError { exchange: exchange(self.mode), code: kind.0, notify: kind.to_string() }
    }
}

/// Both cookies, which name an ISAKMP SA where an SPI would name another one.
fn cookies(isakmp: &Isakmp) -> Vec<u8> {
    [isakmp.initiator_cookie.0, isakmp.responder_cookie.0].concat()
}
