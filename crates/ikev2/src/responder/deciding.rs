//! The peer has said who it is: choosing its configuration, checking its proof, answering.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use ikebana_core::{AddressRange, Identity, Secret};
use ikebana_ike::{
    AddressDemand, Answer, ApiError, Assignment, AuthenticationFailed, ChildFailure, Encapsulation, Event,
    ExchangeType, FailReason, IkeSaHandle, Mode, PeerConfig, PreSharedKeyRequest, Query, QueryId, Uniqueness,
};
use ikebana_proposals::{IkeSuite, SaPayload};

use super::answered::Answered;
use super::failed;
use crate::addresses;
use crate::auth::PeerAuthenticated;
use crate::child::extras::Extras;
use crate::child::negotiate::{Wanted, choose};
use crate::child::selectors::Ends;
use crate::child::{Agreed, Child};
use crate::connection::{Lingering, State};
use crate::context::Context;
use crate::established::{Beginning, Established};
use crate::init::{allows, window_payload};
use crate::payloads::{Payloads, child_spi, notify};
use crate::wire::{AuthMethod, IdPayload, NotifyType, Payload, PayloadType, TrafficSelectorPayload};

/// What the application has been asked.
pub(crate) enum Stage {
    /// Which configuration the peer gets.
    Peer,
    /// The key that it shares with us.
    Key(Arc<PeerConfig>),
    /// Addresses for it; its proof has been checked.
    Address(Arc<PeerConfig>, Secret, PeerAuthenticated),
}

/// IKE_AUTH has arrived, and its answer depends on the application.
pub(crate) struct Deciding {
    base: Answered,
    request_id: u32,
    payloads: Payloads,
    stage: Stage,
    query: QueryId,
}

impl Deciding {
    pub(super) fn new(base: Answered, request_id: u32) -> Self {
        let payloads = Payloads::new(Vec::new());
        Self { base, request_id, payloads, stage: Stage::Peer, query: QueryId::new(0) }
    }

    pub(crate) const fn handle(&self) -> IkeSaHandle {
        self.base.handle
    }

    pub(super) const fn suite(&self) -> IkeSuite {
        self.base.sa.suite
    }

    pub(crate) const fn query(&self) -> QueryId {
        self.query
    }

    /// What the application has not answered yet.
    pub(crate) const fn question(&self) -> &'static str {
        match self.stage {
            Stage::Peer => "which configuration is for the peer",
            Stage::Key(_) => "which pre-shared key is the peer's",
            Stage::Address(..) => "which addresses the peer gets",
        }
    }

    pub(crate) const fn deadline(&self) -> ikebana_core::Instant {
        self.base.deadline
    }

    pub(crate) const fn sa(&self) -> &crate::sa::IkeSa {
        &self.base.sa
    }

    /// Asks the application.
    pub(super) fn wait(&mut self, cx: &mut Context<'_>, query: Query, stage: Stage, payloads: Payloads) {
        self.query = cx.ask(self.base.handle, query);
        self.stage = stage;
        self.payloads = payloads;
    }

    /// Whether an answer is to what was asked.
    pub(crate) const fn fits(&self, answer: &Answer) -> Result<(), ApiError> {
        match (&self.stage, answer) {
            (Stage::Peer, Answer::Peer(_))
            | (Stage::Key(_), Answer::PreSharedKey(_))
            | (Stage::Address(..), Answer::Address(_)) => Ok(()),
            _ => Err(ApiError::WrongAnswer),
        }
    }

    /// Goes on with the application's answer, which fits.
    pub(crate) fn answered(self: Box<Self>, cx: &mut Context<'_>, answer: Answer) -> State {
        let Self { base, request_id, payloads, stage, query } = *self;
        let rest = Box::new(Self { base, request_id, payloads, stage: Stage::Peer, query });
        match (stage, answer) {
            (Stage::Peer, Answer::Peer(peer)) => rest.peer_selected(cx, peer),
            (Stage::Key(peer), Answer::PreSharedKey(key)) => rest.key_given(cx, peer, key),
            (Stage::Address(peer, key, proof), Answer::Address(given)) => {
                rest.finish(cx, &peer, &key, proof, given, true)
            }
            (stage, _) => State::Deciding(Box::new(Self { stage, ..*rest })),
        }
    }

    fn remote_id(&self) -> Identity {
        let unnamed = || Identity::KeyId(Vec::new());
        self.payloads.id_initiator().map_or_else(unnamed, |id| id.identity.clone())
    }

    fn peer_selected(mut self: Box<Self>, cx: &mut Context<'_>, peer: Option<Arc<PeerConfig>>) -> State {
        let remote_id = self.remote_id();
        let suite = self.base.sa.suite;
        let Some(peer) = peer.filter(|peer| allows(&peer.proposals, &suite)) else {
            let local_id = self.payloads.id_responder().map(|id| id.identity.clone());
            let suite = suite.to_string();
            return self.refuse(cx, None, FailReason::UnknownPeer { remote_id, local_id, suite });
        };
        let name = Some(peer.name.clone());
        if !peer.remote_id.matches(&remote_id) {
            let expected = peer.remote_id.to_string();
            let failure = AuthenticationFailed::UnexpectedIdentity { actual: remote_id, expected };
            return self.refuse(cx, name, FailReason::Authentication(Box::new(failure)));
        }
        let method = self.payloads.auth().map(|auth| auth.method);
        if method != Some(AuthMethod::SHARED_KEY) {
            let failure = AuthenticationFailed::UnexpectedMethod {
                remote_id,
                method: method.map_or_else(|| String::from("none"), |method| method.to_string()),
                expected: AuthMethod::SHARED_KEY.to_string(),
            };
            return self.refuse(cx, name, FailReason::Authentication(Box::new(failure)));
        }
        match peer.encapsulation {
            Encapsulation::Never if self.base.nat.any() => {
                return self.refuse(cx, name, FailReason::NatForbidden);
            }
            Encapsulation::Never | Encapsulation::Auto | Encapsulation::Force => {}
        }
        let query = Query::PreSharedKey(PreSharedKeyRequest {
            ike: self.base.handle,
            peer: peer.clone(),
            local_id: peer.local_id.clone(),
            remote_id: Some(remote_id),
            path: self.base.route.path,
        });
        self.query = cx.ask(self.base.handle, query);
        self.stage = Stage::Key(peer);
        State::Deciding(self)
    }

    fn key_given(
        mut self: Box<Self>,
        cx: &mut Context<'_>,
        peer: Arc<PeerConfig>,
        key: Option<Secret>,
    ) -> State {
        let (remote_id, local_id) = (self.remote_id(), peer.local_id.clone());
        let name = Some(peer.name.clone());
        let Some(key) = key else {
            let failure = AuthenticationFailed::NoKey { local_id, remote_id: remote_id.to_string() };
            return self.refuse(cx, name, FailReason::Authentication(Box::new(failure)));
        };
        let proof = self.payloads.id_initiator().zip(self.payloads.auth()).and_then(|(id, auth)| {
            self.base.transcript.check(cx.provider, &self.base.sa, &key, &id.body(), auth)
        });
        let Some(proof) = proof else {
            let failure = AuthenticationFailed::WrongPreSharedKey { local_id, remote_id };
            return self.refuse(cx, name, FailReason::Authentication(Box::new(failure)));
        };
        let wanted = self.payloads.config().and_then(addresses::demanded);
        match wanted {
            Some(wanted) if peer.assigns_addresses => {
                let demand = AddressDemand { ike: self.base.handle, peer: peer.clone(), remote_id, wanted };
                self.query = cx.ask(self.base.handle, Query::AssignAddress(demand));
                self.stage = Stage::Address(peer, key, proof);
                State::Deciding(self)
            }
            _ => self.finish(cx, &peer, &key, proof, None, false),
        }
    }

    /// The peer is authenticated: prove who we are, and make the first child SA.
    fn finish(
        self: Box<Self>,
        cx: &mut Context<'_>,
        peer: &Arc<PeerConfig>,
        key: &Secret,
        proof: PeerAuthenticated,
        given: Option<Assignment>,
        asked: bool,
    ) -> State {
        let remote_id = self.remote_id();
        let identity = IdPayload::new(peer.local_id.clone());
        let own_proof = self.base.transcript.prove(cx.provider, &self.base.sa, key, &identity.body());
        let Ok(own_proof) = own_proof else {
            return self.broken(cx, String::from("the proof of identity cannot be computed"));
        };
        let Self { base, request_id, payloads, .. } = *self;
        let single = AddressRange::single;
        let mut ends = Ends {
            local: Vec::from([single(base.route.path.local.ip())]),
            remote: Vec::from([single(base.route.path.remote.ip())]),
        };
        if let Some(given) = given.as_ref().filter(|given| !given.addresses.is_empty()) {
            ends.remote = given.addresses.iter().map(|address| single(*address)).collect();
        } else if peer.assigns_addresses {
            // RFC 7296 2.19: whoever has no address of ours gets no traffic for another one, later neither.
            ends.remote.clear();
        }
        supersede(cx, &base, peer, &remote_id, &payloads);
        let (route, transcript, local_spi) = (base.route, base.transcript, base.sa.local_spi);
        let beginning = Beginning {
            handle: base.handle,
            peer: peer.clone(),
            local_id: peer.local_id.clone(),
            remote_id,
            route,
            nat: base.nat,
            esp_in_udp: base.esp_in_udp,
            ends,
            sa: base.sa,
            proof,
        };
        let mut established = Established::begin(cx, beginning);
        let mut answer = Vec::from([Payload::IdResponder(identity), Payload::Auth(own_proof)]);
        let has_address = given.is_some();
        answer.extend(given.as_ref().map(|given| Payload::Config(addresses::reply(given))));
        answer.extend(window_payload(cx.config.limits.window));
        let child = if asked && !has_address {
            Err(refuse_address(NotifyType::INTERNAL_ADDRESS_FAILURE))
        } else if peer.assigns_addresses && !asked {
            // RFC 7296 2.19: this peer has to ask for an address, and has not.
            Err(refuse_address(NotifyType::FAILED_CP_REQUIRED))
        } else {
            first_child(cx, &established, &payloads, &transcript.remote_nonce, &transcript.local_nonce)
        };
        match child {
            Ok((agreed, terms)) => {
                answer.extend(terms);
                let child = Child::install(cx, agreed, established.carrier(), false);
                established.children.insert(child.handle, child);
            }
            Err((kind, failure, config)) => {
                answer.push(notify(kind, Vec::new()));
                let (ike, rekeyed) = (established.handle, None);
                cx.event(Event::ChildFailed { ike, config, rekeyed, reason: failure });
            }
        }
        if let Some(leg) = established.leg_mut(local_spi) {
            leg.sa.send_response(cx, route, ExchangeType::IKE_AUTH, request_id, &answer);
        }
        State::Established(Box::new(established))
    }

    /// The peer is turned away. It hears no more than AUTHENTICATION_FAILED; the application hears it all.
    fn refuse(self: Box<Self>, cx: &mut Context<'_>, peer: Option<String>, reason: FailReason) -> State {
        self.end(cx, notify(NotifyType::AUTHENTICATION_FAILED, Vec::new()), peer, reason)
    }

    /// RFC 7296 2.5: a payload that must be understood is not.
    pub(super) fn not_understood(self: Box<Self>, cx: &mut Context<'_>, kind: PayloadType) -> State {
        let problem = alloc::format!("critical payload of unknown type {kind}");
        let reason = FailReason::Protocol { exchange: ExchangeType::IKE_AUTH, problem };
        let refusal = notify(NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD, Vec::from([kind.0]));
        self.end(cx, refusal, None, reason)
    }

    pub(super) fn broken(self: Box<Self>, cx: &mut Context<'_>, problem: String) -> State {
        let reason = FailReason::Protocol { exchange: ExchangeType::IKE_AUTH, problem };
        self.end(cx, notify(NotifyType::INVALID_SYNTAX, Vec::new()), None, reason)
    }

    fn end(
        self: Box<Self>,
        cx: &mut Context<'_>,
        refusal: Payload,
        peer: Option<String>,
        reason: FailReason,
    ) -> State {
        let Self { base, request_id, .. } = *self;
        let Answered { handle, mut sa, route, .. } = base;
        sa.send_response(cx, route, ExchangeType::IKE_AUTH, request_id, &[refusal]);
        failed(cx, handle, peer, route.path, reason);
        State::Lingering(Box::new(Lingering::refused(cx, sa)))
    }

    /// The end of it, without a word to the peer.
    pub(crate) fn cancel(self: Box<Self>, cx: &mut Context<'_>, reason: FailReason) -> State {
        cx.registry.queries.remove(&self.query);
        self.base.cancel(cx, reason)
    }
}

type RefusedChild = (NotifyType, ChildFailure, Option<String>);

fn refuse_address(kind: NotifyType) -> RefusedChild {
    (kind, ChildFailure::NoAddress(kind.to_string()), None)
}

/// RFC 7296 2.4: INITIAL_CONTACT, inside the protected exchange, says that older IKE SAs are dead.
fn supersede(
    cx: &mut Context<'_>,
    base: &Answered,
    peer: &PeerConfig,
    remote_id: &Identity,
    payloads: &Payloads,
) {
    let replace = match peer.uniqueness {
        Uniqueness::Replace => true,
        Uniqueness::InitialContact => payloads.has(NotifyType::INITIAL_CONTACT),
        Uniqueness::Keep => false,
    };
    if replace {
        let names = (peer.local_id.clone(), remote_id.clone());
        cx.registry.superseded.push((base.handle, names.0, names.1));
    }
}

fn first_child(
    cx: &mut Context<'_>,
    established: &Established,
    payloads: &Payloads,
    initiator_nonce: &[u8],
    responder_nonce: &[u8],
) -> Result<(Agreed, Vec<Payload>), RefusedChild> {
    let broken = || {
        let failure = ChildFailure::Protocol(String::from("SA or TS payloads missing"));
        (NotifyType::INVALID_SYNTAX, failure, None)
    };
    let (Some(sa), Some(remote), Some(local)) =
        (payloads.sa(), payloads.ts_initiator(), payloads.ts_responder())
    else {
        return Err(broken());
    };
    let transport = payloads.has(NotifyType::USE_TRANSPORT_MODE);
    let wanted = Wanted { sa, local, remote, transport, key_exchange: false };
    let choice =
        choose(cx.provider, &established.peer.children, &established.ends, &wanted).map_err(|refusal| {
            (refusal.notify, refusal.failure, refusal.config.map(|config| config.name.clone()))
        })?;
    let suite = choice.chosen.suite;
    let leg = established.leg(established.current).ok_or_else(broken)?;
    let keys = leg.sa.keys.child(cx.provider, &suite, None, initiator_nonce, responder_nonce);
    let (inbound_keys, outbound_keys) = keys.map_err(|_| broken())?;
    let outbound = child_spi(&choice.chosen.spi).ok_or_else(broken)?;
    let inbound = cx.esp_spi();
    let mut answer = Vec::new();
    if choice.mode == Mode::Transport {
        answer.push(notify(NotifyType::USE_TRANSPORT_MODE, Vec::new()));
    }
    let extras = Extras::agree(&choice.config, suite.protocol, inbound, payloads);
    answer.extend(extras.answer());
    answer.push(Payload::Sa(SaPayload::answer_child(&choice.chosen, &inbound.to_be_bytes())));
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
        replaces: None,
    };
    Ok((agreed, answer))
}
