//! Waiting for the peer to prove who it is.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;

use ikebana_core::{AddressRange, Identity, Secret};
use ikebana_ike::{
    AuthenticationFailed, ChildFailure, DropReason, Event, ExchangeType, FailReason, IkeHeader, NatSituation,
};

use super::{Attempt, first_child_failed};
use crate::addresses;
use crate::auth::{PeerAuthenticated, Transcript};
use crate::child::offer::ChildOffer;
use crate::child::selectors::{self, Ends};
use crate::child::{Agreed, Child};
use crate::connection::State;
use crate::context::Context;
use crate::established::{Beginning, Established, Task};
use crate::payloads::{Payloads, notify};
use crate::sa::{IkeSa, Verified};
use crate::wire::{AuthMethod, NotifyType, OpenError, rules};

/// Errors with which no IKE SA comes about, whatever else the answer holds (RFC 7296 2.21.2).
const FATAL: [NotifyType; 3] =
    [NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD, NotifyType::INVALID_SYNTAX, NotifyType::AUTHENTICATION_FAILED];

/// IKE_AUTH is out.
pub(crate) struct AuthSent {
    pub(crate) attempt: Attempt,
    pub(super) sa: IkeSa,
    pub(super) transcript: Transcript,
    pub(super) nat: NatSituation,
    pub(super) esp_in_udp: bool,
    pub(super) key: Secret,
    pub(super) offer: ChildOffer,
    pub(super) ends: Ends,
}

impl AuthSent {
    pub(crate) fn window(&self) -> &crate::window::Window {
        &self.sa.window
    }

    /// Checks a message without changing anything.
    pub(crate) fn verify(&self, header: &IkeHeader, octets: &[u8]) -> Result<Verified, DropReason> {
        if header.exchange != ExchangeType::IKE_AUTH {
            return Err(DropReason::UnexpectedExchange);
        }
        match self.sa.verify(header, octets)? {
            verified @ Verified::Response(_) => Ok(verified),
            // The peer has nothing to ask before it is authenticated.
            Verified::Request(_) | Verified::Again(_) => Err(DropReason::UnexpectedExchange),
        }
    }

    /// Acts on the answer. Failure is a state, too.
    pub(crate) fn advance(
        mut self: Box<Self>,
        cx: &mut Context<'_>,
        content: Result<Payloads, OpenError>,
    ) -> State {
        self.sa.window.complete();
        let payloads = match content {
            Ok(payloads) => payloads,
            Err(error) => return self.broken(cx, error.to_string()),
        };
        // RFC 7296 2.21.2: beside AUTH an error concerns the first child SA, but for those that end it all.
        let is_final = |kind| payloads.auth().is_none() || FATAL.contains(&kind);
        if let Some(error) =
            payloads.notifies().find(|notify| notify.kind.is_error() && is_final(notify.kind))
        {
            let reason = self.refusal(error.kind);
            return self.fail(cx, reason);
        }
        if let Err(violation) = rules::check(ExchangeType::IKE_AUTH, true, payloads.as_slice()) {
            return self.broken(cx, violation.to_string());
        }
        match self.authenticate(cx, &payloads) {
            Ok((proof, remote_id)) => self.establish(cx, &payloads, proof, remote_id),
            Err(failed) => {
                // RFC 7296 2.21.2: the peer believes that all is well; tell it, without waiting for an answer.
                let refusal = [notify(NotifyType::AUTHENTICATION_FAILED, Vec::new())];
                if let Some(octets) = self.sa.seal(cx, ExchangeType::INFORMATIONAL, None, &refusal) {
                    cx.transmit(self.attempt.route.path, self.attempt.route.encapsulated, &octets);
                }
                self.fail(cx, FailReason::Authentication(Box::new(failed)))
            }
        }
    }

    fn authenticate(
        &self,
        cx: &Context<'_>,
        payloads: &Payloads,
    ) -> Result<(PeerAuthenticated, Identity), AuthenticationFailed> {
        let peer = &self.attempt.peer;
        let Some(id) = payloads.id_responder() else {
            return Err(AuthenticationFailed::RefusedByPeer {
                local_id: peer.local_id.clone(),
                remote_id: peer.remote_id.to_string(),
            });
        };
        let remote_id = id.identity.clone();
        if !peer.remote_id.matches(&remote_id) {
            let expected = peer.remote_id.to_string();
            return Err(AuthenticationFailed::UnexpectedIdentity { actual: remote_id, expected });
        }
        let Some(auth) = payloads.auth().filter(|auth| auth.method == AuthMethod::SHARED_KEY) else {
            return Err(AuthenticationFailed::UnexpectedMethod {
                remote_id,
                method: payloads.auth().map_or_else(|| "none".to_string(), |auth| auth.method.to_string()),
                expected: AuthMethod::SHARED_KEY.to_string(),
            });
        };
        match self.transcript.check(cx.provider, &self.sa, &self.key, &id.body(), auth) {
            Some(proof) => Ok((proof, remote_id)),
            None => {
                Err(AuthenticationFailed::WrongPreSharedKey { local_id: peer.local_id.clone(), remote_id })
            }
        }
    }

    fn establish(
        self: Box<Self>,
        cx: &mut Context<'_>,
        payloads: &Payloads,
        proof: PeerAuthenticated,
        remote_id: Identity,
    ) -> State {
        let Self { attempt, sa, transcript, nat, esp_in_udp, offer, ends: asked, .. } = *self;
        let assignment =
            payloads.config().and_then(|given| addresses::accepted(&attempt.peer.request, given));
        let mut ends = Ends {
            local: Vec::from([AddressRange::single(attempt.route.path.local.ip())]),
            remote: asked.remote.clone(),
        };
        if let Some(given) = assignment.as_ref().filter(|given| !given.addresses.is_empty()) {
            ends.local = given.addresses.iter().map(|address| AddressRange::single(*address)).collect();
        }
        let peer = attempt.peer.clone();
        let handle = attempt.handle;
        let spi = sa.local_spi;
        let mut established = Established::begin(
            cx,
            Beginning {
                handle,
                local_id: peer.local_id.clone(),
                peer: attempt.peer,
                remote_id,
                route: attempt.route,
                nat,
                esp_in_udp,
                ends,
                sa,
                proof,
            },
        );
        if let Some(assignment) = assignment {
            cx.event(Event::Assigned { ike: handle, assignment });
        }
        match first_child(cx, &established, &offer, &asked, payloads, &transcript) {
            Ok(agreed) => {
                let child = Child::install(cx, agreed, established.carrier(), false);
                established.children.insert(child.handle, child);
            }
            Err(failure) => {
                if payloads.error().is_none() {
                    established.queue.push(cx.now, Task::DeleteStray(offer.protocol(), offer.spi));
                }
                cx.release_esp_spi(offer.spi);
                first_child_failed(cx, handle, &offer, failure);
            }
        }
        for config in peer.children.iter().skip(1) {
            established.queue.push(cx.now, Task::Create(config.clone(), None));
        }
        established.pump(cx);
        debug_assert!(established.leg(spi).is_some(), "the first leg is there");
        State::Established(Box::new(established))
    }

    fn refusal(&self, kind: NotifyType) -> FailReason {
        if kind == NotifyType::AUTHENTICATION_FAILED {
            return FailReason::Authentication(Box::new(AuthenticationFailed::RefusedByPeer {
                local_id: self.attempt.peer.local_id.clone(),
                remote_id: self.attempt.peer.remote_id.to_string(),
            }));
        }
        FailReason::PeerError { exchange: ExchangeType::IKE_AUTH, code: kind.0, notify: kind.to_string() }
    }

    fn broken(&self, cx: &mut Context<'_>, problem: alloc::string::String) -> State {
        self.fail(cx, FailReason::Protocol { exchange: ExchangeType::IKE_AUTH, problem })
    }

    /// The end of the attempt.
    pub(crate) fn fail(&self, cx: &mut Context<'_>, reason: FailReason) -> State {
        cx.release_esp_spi(self.offer.spi);
        self.attempt.fail(cx, reason)
    }

    /// Repeats the request, or gives up.
    pub(crate) fn handle_timeout(mut self: Box<Self>, cx: &mut Context<'_>) -> State {
        let (route, plan) = (self.attempt.route, self.attempt.peer.retransmission);
        match self.sa.repeat_if_due(cx, route, &plan) {
            None => State::AuthSent(self),
            Some((exchange, sent)) => self.fail(cx, FailReason::Timeout { exchange, sent, hint: None }),
        }
    }
}

fn first_child(
    cx: &Context<'_>,
    established: &Established,
    offer: &ChildOffer,
    asked: &Ends,
    payloads: &Payloads,
    transcript: &Transcript,
) -> Result<Agreed, ChildFailure> {
    if let Some(error) = payloads.error() {
        return Err(offer.failure(error));
    }
    let mut terms = offer.check(payloads, asked)?;
    let ends = &established.ends;
    if ends.local != asked.local {
        // RFC 7296 2.19: while we asked, any address was ours. Now that we know which one is, only that one is.
        let (ours, _) = selectors::configured(&offer.config, ends);
        let local = ours.narrow(&terms.local);
        if local.is_empty() {
            return Err(ChildFailure::Protocol(alloc::format!(
                "the peer answered with local {}, our address makes that {ours}",
                terms.local
            )));
        }
        terms.local = local;
    }
    let suite = terms.chosen.suite;
    let leg = established.leg(established.current).ok_or(ChildFailure::IkeSaGone)?;
    let keys =
        leg.sa.keys.child(cx.provider, &suite, None, &transcript.local_nonce, &transcript.remote_nonce);
    let (outbound_keys, inbound_keys) =
        keys.map_err(|_| ChildFailure::Protocol("keys cannot be derived".to_string()))?;
    Ok(Agreed {
        config: offer.config.clone(),
        suite,
        mode: terms.mode,
        inbound: offer.spi,
        outbound: terms.outbound,
        local: terms.local,
        remote: terms.remote,
        inbound_keys,
        outbound_keys,
        extras: terms.extras,
        replaces: None,
    })
}
