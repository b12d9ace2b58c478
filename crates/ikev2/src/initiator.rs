//! Starting an IKE SA: IKE_SA_INIT and IKE_AUTH as initiator (RFC 7296 1.2).

mod auth_sent;
mod init_sent;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;

use ikebana_core::{AddressRange, IkeSpi, Path, Secret};
use ikebana_ike::{
    AddressRequest, AuthenticationFailed, ChildFailure, Event, ExchangeType, FailReason, IkeSaHandle,
    NatSituation, PeerConfig, PreSharedKeyRequest, Query, QueryId,
};

use crate::addresses;
use crate::auth::Transcript;
use crate::child::offer::ChildOffer;
use crate::child::selectors::Ends;
use crate::connection::State;
use crate::context::Context;
use crate::init::window_payload;
use crate::payloads::notify;
use crate::sa::{IkeSa, Route};
use crate::wire::{IdPayload, NotifyType, Payload};

pub(crate) use auth_sent::AuthSent;
pub(crate) use init_sent::{InitAnswer, InitSent};

/// What an initiator knows throughout.
pub(crate) struct Attempt {
    pub(crate) handle: IkeSaHandle,
    pub(crate) peer: Arc<PeerConfig>,
    pub(crate) route: Route,
    pub(crate) local_spi: IkeSpi,
    /// Whether we have no other IKE SA with this peer (RFC 7296 2.4).
    pub(crate) initial_contact: bool,
}

impl Attempt {
    /// The end of an attempt, with its terminal event.
    pub(crate) fn fail(&self, cx: &mut Context<'_>, reason: FailReason) -> State {
        cx.release_ike_spi(self.local_spi);
        cx.stats.failed = cx.stats.failed.saturating_add(1);
        cx.event(Event::Failed {
            ike: self.handle,
            peer: Some(self.peer.name.clone()),
            path: self.route.path,
            reason,
        });
        State::Gone
    }

    /// A complaint that nobody vouches for.
    fn hint(&self, cx: &mut Context<'_>, reason: FailReason) {
        cx.event(Event::Hint { ike: self.handle, reason });
    }

    /// The addresses that "dynamic" stands for, as far as they are known before the peer has answered.
    fn ends(&self) -> Ends {
        let single =
            |path: Path| (AddressRange::single(path.local.ip()), AddressRange::single(path.remote.ip()));
        let (local, remote) = single(self.route.path);
        let mut asked = alloc::vec::Vec::new();
        if self.peer.request.contains(&AddressRequest::Ipv4) {
            asked.push(AddressRange::ALL_V4);
        }
        if self.peer.request.contains(&AddressRequest::Ipv6) {
            asked.push(AddressRange::ALL_V6);
        }
        if asked.is_empty() {
            asked.push(local);
        }
        Ends { local: asked, remote: alloc::vec![remote] }
    }
}

/// IKE_SA_INIT is done; the application is asked for the pre-shared key.
pub(crate) struct KeyWanted {
    pub(crate) attempt: Attempt,
    sa: IkeSa,
    transcript: Transcript,
    nat: NatSituation,
    esp_in_udp: bool,
    pub(crate) query: QueryId,
    /// When waiting for the application ends.
    pub(crate) deadline: ikebana_core::Instant,
}

impl KeyWanted {
    fn new(
        cx: &mut Context<'_>,
        attempt: Attempt,
        sa: IkeSa,
        transcript: Transcript,
        nat: NatSituation,
        esp_in_udp: bool,
    ) -> Self {
        let query = cx.ask(
            attempt.handle,
            Query::PreSharedKey(PreSharedKeyRequest {
                ike: attempt.handle,
                peer: attempt.peer.clone(),
                local_id: attempt.peer.local_id.clone(),
                remote_id: None,
                path: attempt.route.path,
            }),
        );
        let deadline = cx.now + cx.config.limits.half_open_timeout;
        Self { attempt, sa, transcript, nat, esp_in_udp, query, deadline }
    }

    /// The application has answered: prove who we are, and ask for the first child SA.
    pub(crate) fn answered(self: Box<Self>, cx: &mut Context<'_>, key: Option<Secret>) -> State {
        let Self { attempt, mut sa, transcript, nat, esp_in_udp, .. } = *self;
        let peer = attempt.peer.clone();
        let Some(key) = key else {
            let failed = AuthenticationFailed::NoKey {
                local_id: peer.local_id.clone(),
                remote_id: alloc::format!("{}", peer.remote_id),
            };
            return attempt.fail(cx, FailReason::Authentication(Box::new(failed)));
        };
        let identity = IdPayload::new(peer.local_id.clone());
        let Ok(proof) = transcript.prove(cx.provider, &sa, &key, &identity.body()) else {
            return attempt.fail(cx, protocol("the proof of identity cannot be computed"));
        };
        let ends = attempt.ends();
        let offer =
            peer.children.first().and_then(|config| ChildOffer::new(cx, config.clone(), &ends, None, false));
        let Some(offer) = offer else {
            return attempt
                .fail(cx, protocol("none of the configured ESP proposals can be carried out here"));
        };
        let mut payloads = alloc::vec![Payload::IdInitiator(identity)];
        if attempt.initial_contact {
            payloads.push(notify(NotifyType::INITIAL_CONTACT, alloc::vec::Vec::new()));
        }
        if let ikebana_core::IdentityPattern::Exact(expected) = &peer.remote_id {
            payloads.push(Payload::IdResponder(IdPayload::new(expected.clone())));
        }
        payloads.push(Payload::Auth(proof));
        payloads.extend(addresses::request(&peer.request).map(Payload::Config));
        payloads.extend(window_payload(cx.config.limits.window));
        payloads.extend(offer.payloads(None));
        let plan = peer.retransmission;
        if !sa.send_request(cx, attempt.route, &plan, ExchangeType::IKE_AUTH, &payloads) {
            cx.release_esp_spi(offer.spi);
            return attempt.fail(cx, protocol("IKE_AUTH does not fit its length fields"));
        }
        State::AuthSent(Box::new(AuthSent { attempt, sa, transcript, nat, esp_in_udp, key, offer, ends }))
    }
}

/// A failure on our own side.
fn protocol(problem: &str) -> FailReason {
    FailReason::Protocol { exchange: ExchangeType::IKE_AUTH, problem: String::from(problem) }
}

/// The child SA that was asked for in IKE_AUTH came to nothing; the IKE SA stands.
fn first_child_failed(cx: &mut Context<'_>, ike: IkeSaHandle, offer: &ChildOffer, reason: ChildFailure) {
    cx.event(Event::ChildFailed { ike, config: Some(offer.config.name.clone()), rekeyed: None, reason });
}
