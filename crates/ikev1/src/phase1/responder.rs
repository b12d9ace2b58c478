//! Being asked for phase 1.
//!
//! There is state from the first message on, since IKEv1 has no cookies that cost nothing. It is small: the
//! key exchange is computed when message 3 of main mode has come, or when the application knows the peer of
//! aggressive mode.

mod aggressive;
mod main;
mod opening;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use ikebana_core::random::public_u32;
use ikebana_core::{Identity, IkeSpi, Instant, Path, Secret};
use ikebana_crypto::sha256;
use ikebana_ike::{
    Answer, ApiError, AuthenticationFailed, DropReason, Encapsulation, ExchangeType, FailReason,
    Fragmentation, IkeHeader, IkeSaHandle, NatSituation, PeerConfig, Phase1Mode, PreSharedKeyRequest, Query,
    QueryId, SelectPeer,
};
use ikebana_proposals::Prefer;
use ikebana_proposals::ikev1::{Phase1Suite, SaPayload, select_phase1};

use super::halves::Halves;
use super::parts::{header, refusal};
use super::{Replay, Step, exchange, method, protocol, usable};
use crate::context::{Context, Fragments, Route};
use crate::isakmp::{Isakmp, Iv};
use crate::nat::{Detection, Method};
use crate::vendor::{self, Announcement, VendorSet};
use crate::wire::{IdPayload, NotifyType, Payload};

pub(crate) use opening::Opening;

/// We send no more than this many times what we have received until the peer has shown that it is where it
/// says, so that nobody is flooded in its name.
const AMPLIFICATION: usize = 3;

/// An attempt of a peer's.
pub(crate) struct Responder {
    handle: IkeSaHandle,
    mode: Phase1Mode,
    route: Route,
    peer_cookie: IkeSpi,
    cookie: IkeSpi,
    suite: Phase1Suite,
    /// Our answer to the peer's offer.
    answer: SaPayload,
    /// The body of the peer's SA payload.
    sa_body: Vec<u8>,
    encapsulation: Encapsulation,
    vendors: VendorSet,
    nat: NatSituation,
    /// The configuration, once one is chosen.
    peer: Option<Arc<PeerConfig>>,
    /// When the attempt is forgotten.
    deadline: Instant,
    stage: Stage,
    /// The message that was taken in last, and our answer to it.
    last: Option<Replay>,
    /// Whether the message being worked on is the same as this.
    working: Option<[u8; 32]>,
    /// Whether something came that no key of ours opens.
    garbage: bool,
    received: usize,
    sent: usize,
}

enum Stage {
    /// Main mode: message 2 is out.
    Answered,
    /// Main mode: the application is looking for the key of the peer's address.
    AddressKeyWanted { query: QueryId, theirs: Box<main::Theirs> },
    /// Main mode: message 4 is out.
    Exchanged(Box<main::Exchanged>),
    /// The peer has said who it is; the application is looking for its configuration.
    Selecting { query: QueryId, claim: Box<Claim> },
    /// The application is looking for the key of that configuration.
    KeyWanted { query: QueryId, peer: Arc<PeerConfig>, claim: Box<Claim> },
    /// Aggressive mode: message 2 is out.
    Proving(Box<aggressive::Proving>),
    /// It has come to something.
    Over,
}

/// Who the peer says it is.
struct Claim {
    identity: Identity,
    id: IdPayload,
    evidence: Evidence,
}

/// What goes with an identity.
#[expect(clippy::large_enum_variant, reason = "whatever it is part of is in a box")]
enum Evidence {
    /// Main mode: proven with the key of the peer's address. Whether that is the peer's own is to be seen.
    Proven {
        isakmp: Isakmp,
        halves: Halves,
        key: Secret,
        iv: Iv,
        fingerprint: [u8; 32],
        initial_contact: bool,
    },
    /// Aggressive mode: nothing yet but the peer's contribution.
    Begun(aggressive::Theirs),
}

impl Responder {
    pub(crate) const fn path(&self) -> Path {
        self.route.path
    }

    /// The name of the configuration, once one is chosen.
    pub(crate) fn peer_name(&self) -> Option<String> {
        self.peer.as_ref().map(|peer| peer.name.clone())
    }

    /// When something has to happen next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Over => None,
            Stage::Proving(proving) => Some(self.deadline.min(proving.turn.deadline())),
            Stage::Answered
            | Stage::AddressKeyWanted { .. }
            | Stage::Exchanged(_)
            | Stage::Selecting { .. }
            | Stage::KeyWanted { .. } => Some(self.deadline),
        }
    }

    /// Takes in a message other than the first.
    ///
    /// # Errors
    /// Why it changed nothing.
    pub(crate) fn handle_message(
        &mut self,
        cx: &mut Context<'_>,
        header: &IkeHeader,
        octets: &[u8],
        route: Route,
    ) -> Result<Step, DropReason> {
        if header.initiator_spi != self.peer_cookie || header.responder_spi != self.cookie {
            return Err(DropReason::UnknownSpi);
        }
        if header.exchange == ExchangeType::INFORMATIONAL_V1 {
            // Whatever the peer complains of, it is the one who knows; here it just does not go on.
            return Err(DropReason::UnauthenticatedError);
        }
        if header.exchange != exchange(self.mode) {
            return Err(DropReason::UnexpectedExchange);
        }
        if header.message_id != 0 {
            return Err(DropReason::Malformed);
        }
        let fingerprint = sha256(&[octets]);
        if self.last.as_ref().is_some_and(|last| last.fingerprint == fingerprint) {
            self.repeat(cx, octets.len());
            return Err(DropReason::Retransmission);
        }
        if self.working == Some(fingerprint) {
            return Err(DropReason::StillWorking);
        }
        let step = match &self.stage {
            Stage::Answered => self.key_offered(cx, octets, route)?,
            Stage::Exchanged(_) => self.identified(cx, octets, route, fingerprint)?,
            Stage::Proving(_) => self.proven(cx, octets, route)?,
            Stage::AddressKeyWanted { .. } | Stage::Selecting { .. } | Stage::KeyWanted { .. } => {
                return Err(DropReason::StillWorking);
            }
            Stage::Over => return Err(DropReason::UnknownSpi),
        };
        self.received = self.received.saturating_add(octets.len());
        self.working = Some(fingerprint);
        Ok(step)
    }

    /// The first message has come again.
    pub(crate) fn repeat_first(&mut self, cx: &mut Context<'_>, received: usize) {
        // Once the second one is here, the peer has had our answer to the first.
        if matches!(self.stage, Stage::Answered | Stage::Proving(_)) {
            self.repeat(cx, received);
        }
    }

    /// Repeats the last answer to a message that has come again.
    fn repeat(&mut self, cx: &mut Context<'_>, received: usize) {
        self.received = self.received.saturating_add(received);
        let Some(last) = &self.last else { return };
        if !self.may_send(last.answer.len()) {
            return;
        }
        self.sent = self.sent.saturating_add(last.answer.len());
        cx.stats.retransmitted = cx.stats.retransmitted.saturating_add(1);
        self.route.send(cx, &last.answer);
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
        let fits = matches!(
            (&self.stage, &answer),
            (Stage::AddressKeyWanted { .. } | Stage::KeyWanted { .. }, Answer::PreSharedKey(_))
                | (Stage::Selecting { .. }, Answer::Peer(_))
        );
        if !fits {
            return Err(ApiError::WrongAnswer);
        }
        Ok(match (core::mem::replace(&mut self.stage, Stage::Over), answer) {
            (Stage::AddressKeyWanted { theirs, .. }, Answer::PreSharedKey(key)) => {
                self.address_key_given(cx, *theirs, key)
            }
            (Stage::Selecting { claim, .. }, Answer::Peer(peer)) => self.selected(cx, claim, peer),
            (Stage::KeyWanted { peer, claim, .. }, Answer::PreSharedKey(key)) => {
                self.key_given(cx, peer, *claim, key)
            }
            (stage, _) => {
                self.stage = stage;
                Step::Wait
            }
        })
    }

    fn query(&self) -> Option<QueryId> {
        match &self.stage {
            Stage::AddressKeyWanted { query, .. }
            | Stage::Selecting { query, .. }
            | Stage::KeyWanted { query, .. } => Some(*query),
            Stage::Answered | Stage::Exchanged(_) | Stage::Proving(_) | Stage::Over => None,
        }
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, cx: &mut Context<'_>) -> Step {
        if cx.now >= self.deadline {
            let reason = if let Some(reason) = self.aggressive_failure() {
                reason
            } else if self.garbage {
                let path = self.route.path;
                let failed = AuthenticationFailed::ProbablyWrongPreSharedKey { path };
                FailReason::Authentication(Box::new(failed))
            } else {
                FailReason::HalfOpenTimeout
            };
            return self.fail(cx, reason);
        }
        self.repeat_second(cx);
        Step::Wait
    }

    /// Gives back what it has reserved.
    pub(crate) fn cancel(&mut self, cx: &mut Context<'_>) {
        if let Some(query) = self.query() {
            cx.withdraw(query);
        }
        self.stage = Stage::Over;
        cx.release_ike_spi(self.cookie);
    }

    fn fail(&mut self, cx: &mut Context<'_>, reason: FailReason) -> Step {
        self.cancel(cx);
        Step::Failed(reason)
    }

    /// Fails, and tells the peer in clear. There are no keys yet, or none that both sides have.
    fn refuse(&mut self, cx: &mut Context<'_>, kind: NotifyType, reason: FailReason) -> Step {
        let id = public_u32(cx.rng).max(1);
        let head = header(self.peer_cookie, self.cookie, exchange(self.mode));
        if let Some(octets) = refusal(&head, self.cookie, id, kind)
            && self.may_send(octets.len())
        {
            self.route.send(cx, &octets);
        }
        self.fail(cx, reason)
    }

    fn may_send(&self, octets: usize) -> bool {
        self.sent.saturating_add(octets) <= self.received.saturating_mul(AMPLIFICATION)
    }

    /// Sends an answer, and keeps it for when it is asked for again.
    fn reply(&mut self, cx: &mut Context<'_>, fingerprint: [u8; 32], answer: Vec<u8>) {
        self.sent = self.sent.saturating_add(answer.len());
        self.route.send(cx, &answer);
        self.last = Some(Replay { fingerprint, answer });
    }

    fn detection(&self) -> Detection {
        Detection { initiator: self.peer_cookie, responder: self.cookie, prf: self.suite.ike.prf }
    }

    /// Our NAT-D payloads, if the peer knows what they are.
    fn nat_payloads(&self, cx: &mut Context<'_>) -> Vec<Payload> {
        let Some(method) = Method::best(&self.vendors) else { return Vec::new() };
        self.detection().payloads(cx, method, self.route.path, self.encapsulation)
    }

    /// Looks for NATs along the way that a message has come. The failure, if a NAT is one.
    fn detect(&mut self, cx: &mut Context<'_>, route: Route, payloads: &[Vec<u8>]) -> Option<FailReason> {
        Method::best(&self.vendors)?;
        self.nat = self.detection().detect(cx.provider, route.path, payloads)?;
        let forbidden = self.encapsulation == Encapsulation::Never && self.nat.any();
        forbidden.then_some(FailReason::NatForbidden)
    }

    /// Whether ESP travels in UDP. Where the peer has not moved to the port for it, it cannot.
    fn is_encapsulated(&self) -> bool {
        let wanted = self.nat.any() || self.encapsulation == Encapsulation::Force;
        wanted && self.route.encapsulated && Method::best(&self.vendors).is_some()
    }

    /// What the peer is told that we understand.
    fn announced(&self) -> Vec<Payload> {
        let xauth = method::has_xauth(self.suite.authentication);
        let what = Announcement { xauth, unity: xauth, fragmentation: true };
        vendor::announce_to(what, &self.vendors)
    }

    /// The peer has said who it is.
    fn select(&mut self, cx: &mut Context<'_>, claim: Claim) {
        let query = cx.ask(
            self.handle,
            Query::SelectPeer(SelectPeer {
                ike: self.handle,
                path: self.route.path,
                suite: self.suite.ike,
                remote_id: claim.identity.clone(),
                local_id: None,
            }),
        );
        self.stage = Stage::Selecting { query, claim: Box::new(claim) };
    }

    /// The application has a configuration for the peer, or has none.
    fn selected(&mut self, cx: &mut Context<'_>, claim: Box<Claim>, peer: Option<Arc<PeerConfig>>) -> Step {
        let remote_id = claim.identity.clone();
        let unknown = FailReason::UnknownPeer {
            remote_id: remote_id.clone(),
            local_id: None,
            suite: alloc::format!("{} in {} mode", self.suite, mode_name(self.mode)),
        };
        let Some(peer) = peer.filter(|peer| self.allows(cx, peer)) else {
            return self.turn_away(cx, &claim, NotifyType::INVALID_ID_INFORMATION, unknown);
        };
        self.peer = Some(peer.clone());
        if !peer.remote_id.matches(&remote_id) {
            let expected = alloc::format!("{}", peer.remote_id);
            let failed = AuthenticationFailed::UnexpectedIdentity { actual: remote_id, expected };
            let reason = FailReason::Authentication(Box::new(failed));
            return self.turn_away(cx, &claim, NotifyType::INVALID_ID_INFORMATION, reason);
        }
        if peer.encapsulation == Encapsulation::Never && self.nat.any() {
            return self.turn_away(cx, &claim, NotifyType::AUTHENTICATION_FAILED, FailReason::NatForbidden);
        }
        self.route.fragments = match peer.ikev1.fragmentation {
            Fragmentation::Never => Fragments::Never,
            _ if !self.vendors.fragments() => Fragments::Never,
            Fragmentation::Auto => Fragments::Long,
            Fragmentation::Force => Fragments::Always,
        };
        let query = cx.ask(
            self.handle,
            Query::PreSharedKey(PreSharedKeyRequest {
                ike: self.handle,
                peer: peer.clone(),
                local_id: peer.local_id.clone(),
                remote_id: Some(remote_id),
                path: self.route.path,
            }),
        );
        self.stage = Stage::KeyWanted { query, peer, claim };
        Step::Wait
    }

    /// Whether a peer's configuration allows what was agreed before the peer was known.
    fn allows(&self, cx: &Context<'_>, peer: &PeerConfig) -> bool {
        let proposals = usable(cx.provider, &peer.proposals);
        let methods = [method::configured(peer, false)];
        peer.ikev1.phase1 == self.mode
            && select_phase1(&proposals, &methods, &self.answer, Prefer::Local).is_ok()
    }

    /// The application has the key of the configuration, or has none.
    fn key_given(
        &mut self,
        cx: &mut Context<'_>,
        peer: Arc<PeerConfig>,
        claim: Claim,
        key: Option<Secret>,
    ) -> Step {
        let Some(key) = key else {
            let failed = AuthenticationFailed::NoKey {
                local_id: peer.local_id.clone(),
                remote_id: alloc::format!("{}", claim.identity),
            };
            let reason = FailReason::Authentication(Box::new(failed));
            return self.turn_away(cx, &claim, NotifyType::AUTHENTICATION_FAILED, reason);
        };
        match claim.evidence {
            Evidence::Proven { .. } => self.compare(cx, &peer, claim, &key),
            Evidence::Begun(_) => self.begin(cx, peer, claim, &key),
        }
    }

    fn no_key(&mut self, cx: &mut Context<'_>) -> Step {
        let path = self.route.path;
        let failed = AuthenticationFailed::NoKey {
            local_id: Identity::from(path.local.ip()),
            remote_id: alloc::format!("{}", path.remote.ip()),
        };
        self.refuse(cx, NotifyType::INVALID_KEY_INFORMATION, FailReason::Authentication(Box::new(failed)))
    }

    fn broken(&mut self, cx: &mut Context<'_>, problem: &str) -> Step {
        let reason = protocol(self.mode, problem);
        self.fail(cx, reason)
    }
}

const fn mode_name(mode: Phase1Mode) -> &'static str {
    match mode {
        Phase1Mode::Main => "main",
        Phase1Mode::Aggressive => "aggressive",
    }
}
