//! Starting phase 1.

mod answered;
mod proving;

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use ikebana_core::datagram::IKE_PORT;
use ikebana_core::{Identity, IdentityPattern, IkeSpi, Instant, Path, Secret};
use ikebana_crypto::{PendingKeyExchange, sha256};
use ikebana_ike::{
    Answer, ApiError, DropReason, Event, ExchangeType, FailReason, Fragmentation, IkeHeader, IkeSaHandle,
    NatSituation, PeerConfig, Phase1Mode, PreSharedKeyRequest, Query, QueryId,
};
use ikebana_proposals::Proposal;
use ikebana_proposals::ikev1::phase1::Authentication;
use ikebana_proposals::ikev1::{Phase1Suite, SaPayload, offer_phase1, only_group, phase1_groups};

use super::halves::Halves;
use super::parts::{Parts, header, sa_body};
use super::{Step, exchange, identity, method, offered_life, protocol, usable};
use crate::context::{Context, Route};
use crate::isakmp::{Isakmp, Iv};
use crate::nat;
use crate::turn::{Overdue, Turn};
use crate::vendor::{self, Announcement, VendorSet};
use crate::wire::{self, Body, IdPayload, NotifyType, Payload};

/// An attempt of ours.
pub(crate) struct Initiator {
    handle: IkeSaHandle,
    peer: Arc<PeerConfig>,
    mode: Phase1Mode,
    authentication: Authentication,
    route: Route,
    cookie: IkeSpi,
    /// Zero until the peer has answered.
    peer_cookie: IkeSpi,
    /// Whether we have no other association with this peer.
    initial_contact: bool,
    proposals: Vec<Proposal>,
    offer: SaPayload,
    sa_body: Vec<u8>,
    nonce: Vec<u8>,
    /// What the peer says it understands.
    vendors: VendorSet,
    nat: NatSituation,
    stage: Stage,
    /// The last message of the peer's that was taken in.
    last: Option<[u8; 32]>,
    /// What the failure will be if nothing better arrives.
    complaint: Option<FailReason>,
}

enum Stage {
    /// Message 1 is out.
    Offered { turn: Turn, pending: Option<Box<dyn PendingKeyExchange>> },
    /// Main mode: message 3 is out.
    Exchanging { turn: Turn, suite: Phase1Suite, pending: Box<dyn PendingKeyExchange> },
    /// The application is looking for the key.
    KeyWanted { query: QueryId, deadline: Instant, wait: Box<Wait> },
    /// Main mode: message 5 is out.
    Proving { turn: Turn, proving: Box<Proving> },
    /// It has come to something.
    Over,
}

/// What waits for the key.
struct Wait {
    suite: Phase1Suite,
    halves: Halves,
    shared: Secret,
    /// Aggressive mode: who the peer says it is, and its proof.
    claim: Option<Claim>,
}

/// Aggressive mode: message 2 as far as the key is needed for it.
struct Claim {
    id: IdPayload,
    identity: Identity,
    hash: Vec<u8>,
    initial_contact: bool,
    fingerprint: [u8; 32],
}

/// What the peer's proof is checked with.
struct Proving {
    isakmp: Isakmp,
    halves: Halves,
    iv: Iv,
}

impl Initiator {
    /// Sends the first message. `initial_contact` is whether there is no other association with the peer.
    ///
    /// # Errors
    /// The configuration cannot work.
    pub(crate) fn start(
        cx: &mut Context<'_>,
        handle: IkeSaHandle,
        peer: Arc<PeerConfig>,
        route: Route,
        initial_contact: bool,
    ) -> Result<Self, ApiError> {
        let mode = peer.ikev1.phase1;
        let authentication = method::configured(&peer, true);
        let mut proposals = usable(cx.provider, &peer.proposals);
        let mut pending = None;
        if mode == Phase1Mode::Aggressive {
            // RFC 2409 5.4: the public value goes with the offer, so that there is one group for all of it.
            let groups = phase1_groups(&proposals);
            let group = groups.into_iter().find_map(|group| cx.provider.key_exchange(group));
            let group =
                group.ok_or(ApiError::Config("no IKE proposal that can be carried out with IKEv1"))?;
            proposals = only_group(&proposals, group.id());
            pending = Some(group.initiate(cx.rng));
        }
        let offer = offer_phase1(&proposals, authentication, offered_life(&peer.lifetime));
        if offer.proposals.iter().all(|proposal| proposal.transforms.is_empty()) {
            return Err(ApiError::Config("no IKE proposal that can be carried out with IKEv1"));
        }
        let mut payloads = Vec::from([Payload::Sa(offer.clone())]);
        let nonce = cx.nonce();
        if let Some(pending) = &pending {
            payloads.push(Payload::KeyExchange(pending.public().to_vec()));
            payloads.push(Payload::Nonce(nonce.clone()));
            payloads.push(Payload::Id(identity::payload(&peer.local_id)));
        }
        payloads.extend(announced(&peer));
        let cookie = cx.ike_spi(handle);
        let head = header(cookie, IkeSpi::ZERO, exchange(mode));
        let message = wire::encode(&head, &Body::Clear(payloads));
        let Some((message, sa_body)) =
            message.ok().and_then(|octets| sa_body(&octets).map(|sa| (octets, sa)))
        else {
            cx.release_ike_spi(cookie);
            return Err(ApiError::Config("an offer that does not fit into a message"));
        };
        route.send(cx, &message);
        let turn = Turn::new(cx, &peer.retransmission, message);
        Ok(Self {
            handle,
            mode,
            authentication,
            route,
            cookie,
            peer_cookie: IkeSpi::ZERO,
            initial_contact,
            proposals,
            offer,
            sa_body,
            nonce,
            vendors: VendorSet::default(),
            nat: NatSituation::default(),
            stage: Stage::Offered { turn, pending },
            last: None,
            complaint: None,
            peer,
        })
    }

    /// The way to a peer at `path`. A port other than IKE's own is one that ESP shares.
    pub(crate) const fn route(path: Path) -> Route {
        Route::new(path, path.remote.port() != IKE_PORT)
    }

    /// Our cookie, and the peer's, which is zero until it has answered.
    pub(crate) const fn cookies(&self) -> (IkeSpi, IkeSpi) {
        (self.cookie, self.peer_cookie)
    }

    pub(crate) const fn peer(&self) -> &Arc<PeerConfig> {
        &self.peer
    }

    pub(crate) const fn path(&self) -> Path {
        self.route.path
    }

    /// The question that it waits for an answer to.
    pub(crate) const fn query(&self) -> Option<QueryId> {
        match &self.stage {
            Stage::KeyWanted { query, .. } => Some(*query),
            Stage::Offered { .. } | Stage::Exchanging { .. } | Stage::Proving { .. } | Stage::Over => None,
        }
    }

    /// When something has to happen next.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Offered { turn, .. } | Stage::Exchanging { turn, .. } | Stage::Proving { turn, .. } => {
                Some(turn.deadline())
            }
            Stage::KeyWanted { deadline, .. } => Some(*deadline),
            Stage::Over => None,
        }
    }

    /// Takes in a message.
    ///
    /// # Errors
    /// Why it changed nothing, or no more than what the failure will be if nothing better arrives.
    pub(crate) fn handle_message(
        &mut self,
        cx: &mut Context<'_>,
        header: &IkeHeader,
        octets: &[u8],
        route: Route,
    ) -> Result<Step, DropReason> {
        let is_first = self.peer_cookie.is_zero();
        if header.initiator_spi != self.cookie || (!is_first && header.responder_spi != self.peer_cookie) {
            return Err(DropReason::UnknownSpi);
        }
        if header.exchange == ExchangeType::INFORMATIONAL_V1 {
            return self.informed(cx, header, octets);
        }
        if header.exchange != exchange(self.mode) {
            return Err(DropReason::UnexpectedExchange);
        }
        if header.message_id != 0 || header.responder_spi.is_zero() {
            return Err(DropReason::Malformed);
        }
        let fingerprint = sha256(&[octets]);
        if self.last == Some(fingerprint) {
            // It is our turn, and we repeat ourselves when it is time to.
            return Err(DropReason::Retransmission);
        }
        let step = match (&self.stage, self.mode) {
            (Stage::Offered { .. }, Phase1Mode::Main) => self.chosen(cx, header, octets)?,
            (Stage::Offered { .. }, Phase1Mode::Aggressive) => {
                self.answered(cx, header, octets, route, fingerprint)?
            }
            (Stage::Exchanging { .. }, _) => self.exchanged(cx, octets, route)?,
            (Stage::Proving { .. }, _) => self.proven(cx, octets)?,
            (Stage::KeyWanted { .. }, _) => return Err(DropReason::StillWorking),
            (Stage::Over, _) => return Err(DropReason::UnknownSpi),
        };
        self.last = Some(fingerprint);
        Ok(step)
    }

    /// Takes in the answer to its question.
    ///
    /// # Errors
    /// It has asked nothing, or something else.
    pub(crate) fn answer(
        &mut self,
        cx: &mut Context<'_>,
        query: QueryId,
        answer: Answer,
    ) -> Result<Step, ApiError> {
        if self.query() != Some(query) {
            return Err(ApiError::NoSuchQuery);
        }
        let Answer::PreSharedKey(key) = answer else { return Err(ApiError::WrongAnswer) };
        Ok(match core::mem::replace(&mut self.stage, Stage::Over) {
            Stage::KeyWanted { wait, .. } => self.key_given(cx, *wait, key),
            stage => {
                self.stage = stage;
                Step::Wait
            }
        })
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, cx: &mut Context<'_>) -> Step {
        let plan = self.peer.retransmission;
        let (route, is_proving) = (self.route, matches!(self.stage, Stage::Proving { .. }));
        match &mut self.stage {
            Stage::Offered { turn, .. } | Stage::Exchanging { turn, .. } | Stage::Proving { turn, .. } => {
                match turn.overdue(cx, &plan) {
                    Overdue::NotYet => Step::Wait,
                    Overdue::Repeat => {
                        route.send(cx, turn.octets());
                        Step::Wait
                    }
                    Overdue::GiveUp { sent } => {
                        let silence = self.silence(sent, is_proving);
                        let reason = self.complaint.take().unwrap_or(silence);
                        self.fail(cx, reason)
                    }
                }
            }
            Stage::KeyWanted { deadline, .. } if cx.now >= *deadline => {
                let reason = protocol(self.mode, "the pre-shared key was not supplied in time");
                self.fail(cx, reason)
            }
            Stage::KeyWanted { .. } | Stage::Over => Step::Wait,
        }
    }

    /// Gives back what it has reserved.
    pub(crate) fn cancel(&mut self, cx: &mut Context<'_>) {
        if let Some(query) = self.query() {
            cx.withdraw(query);
        }
        if !matches!(core::mem::replace(&mut self.stage, Stage::Over), Stage::Over) {
            cx.release_ike_spi(self.cookie);
        }
    }

    fn fail(&mut self, cx: &mut Context<'_>, reason: FailReason) -> Step {
        self.cancel(cx);
        // Where `cancel` found the stage taken, the cookie is still ours.
        cx.release_ike_spi(self.cookie);
        Step::Failed(reason)
    }

    fn silence(&self, sent: u32, is_proving: bool) -> FailReason {
        // RFC 2409 has nothing to say to somebody with another key, so most peers say nothing.
        let hint = is_proving.then(|| {
            "the peer answered until our messages were encrypted: compare the pre-shared key on both sides, \
             and whether the peer knows our identity"
                .to_string()
        });
        FailReason::Timeout { exchange: exchange(self.mode), sent, hint }
    }

    /// Somebody complains. Nobody vouches for it.
    fn complain(&mut self, cx: &mut Context<'_>, reason: FailReason) {
        if self.complaint.is_none() {
            cx.event(Event::Hint { ike: self.handle, reason: reason.clone() });
        }
        self.complaint = Some(reason);
    }

    fn detection(&self, suite: &Phase1Suite) -> nat::Detection {
        nat::Detection { initiator: self.cookie, responder: self.peer_cookie, prf: suite.ike.prf }
    }

    fn expected_id(&self) -> Option<Identity> {
        match &self.peer.remote_id {
            IdentityPattern::Exact(identity) => Some(identity.clone()),
            _ => None,
        }
    }

    fn want_key(&mut self, cx: &mut Context<'_>, wait: Wait, remote_id: Option<Identity>) {
        let request = PreSharedKeyRequest {
            ike: self.handle,
            peer: self.peer.clone(),
            local_id: self.peer.local_id.clone(),
            remote_id,
            path: self.route.path,
        };
        let query = cx.ask(self.handle, Query::PreSharedKey(request));
        let deadline = cx.now + cx.config.limits.half_open_timeout;
        self.stage = Stage::KeyWanted { query, deadline, wait: Box::new(wait) };
    }

    fn refusal(&self, kind: NotifyType) -> FailReason {
        if kind == NotifyType::NO_PROPOSAL_CHOSEN {
            let offered = self.proposals.iter().map(ToString::to_string).collect();
            return FailReason::ProposalRejected { offered };
        }
        FailReason::PeerError { exchange: exchange(self.mode), code: kind.0, notify: kind.to_string() }
    }

    /// An informational message. In clear it is anybody's complaint; encrypted it is the peer's word, if it has
    /// our key.
    fn informed(
        &mut self,
        cx: &mut Context<'_>,
        header: &IkeHeader,
        octets: &[u8],
    ) -> Result<Step, DropReason> {
        if header.flags.has(ikebana_ike::Flags::ENCRYPTED) {
            return self.told(cx, header, octets);
        }
        let parts = Parts::clear(octets)?;
        let error = parts.notifies.iter().find(|notify| notify.kind.is_error());
        let kind = error.ok_or(DropReason::UnexpectedExchange)?.kind;
        let reason = match &self.stage {
            Stage::Proving { .. } => self.refused(kind),
            Stage::Offered { .. } | Stage::Exchanging { .. } | Stage::KeyWanted { .. } | Stage::Over => {
                self.refusal(kind)
            }
        };
        self.complain(cx, reason);
        Err(DropReason::UnauthenticatedError)
    }
}

/// What we say we understand.
fn announced(peer: &PeerConfig) -> Vec<Payload> {
    let xauth = peer.ikev1.xauth.is_some();
    let unity = xauth || !peer.request.is_empty() || peer.assigns_addresses;
    let fragmentation = peer.ikev1.fragmentation != Fragmentation::Never;
    vendor::announce(Announcement { xauth, unity, fragmentation })
}
