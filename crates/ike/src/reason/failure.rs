//! Why an SA failed, ended or was refused.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use ikebana_core::{Identity, Path, TrafficSelectors, WireError};
use ikebana_proposals::ikev1::TransformMismatch;
use ikebana_proposals::{KeyExchangeId, ProposalMismatch};
use thiserror::Error;

use crate::handle::IkeSaHandle;
use crate::header::ExchangeType;

/// Why an IKE SA never came about.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FailReason {
    /// This attempt of an IKEv1 peer renewed phase 1 of an IKE SA that goes on under its own handle. No
    /// failure, but the end of this handle.
    #[error("became the new phase 1 of {0}")]
    Joined(IkeSaHandle),
    /// An IKEv1 user could not prove who they are.
    #[error("XAUTH failed for {user}: {detail}")]
    Xauth {
        /// Who they said they were, or what we called ourselves.
        user: String,
        /// Which side refused, and why if it said so.
        detail: String,
    },
    /// The peer did not answer.
    #[error("no answer to {exchange} after {sent} transmissions; {}", guess(hint.as_deref()))]
    Timeout {
        /// What was asked.
        exchange: ExchangeType,
        /// How often it was sent.
        sent: u32,
        /// What may be the reason, such as an unauthenticated complaint that arrived meanwhile: worth knowing, not
        /// to be believed.
        hint: Option<String>,
    },
    /// The peer stopped before it authenticated.
    #[error("the peer did not go on to authenticate within the half-open timeout")]
    HalfOpenTimeout,
    /// The peer's IKE proposals and ours have nothing in common.
    #[error("no IKE proposal in common: {0}")]
    NoProposal(Box<ProposalMismatch>),
    /// The same in IKEv1: no phase 1 transform of the peer's is one of ours.
    #[error("phase 1: {0}")]
    NoTransform(Box<TransformMismatch>),
    /// The peer wants none of our IKE proposals, and does not say what it would want.
    #[error("the peer refused every IKE proposal (NO_PROPOSAL_CHOSEN); we offered {}", offered.join(", "))]
    ProposalRejected {
        /// What we offered, in keywords.
        offered: Vec<String>,
    },
    /// The peer insists on a key exchange that we do not offer.
    #[error("the peer wants key exchange {wanted}, we offered {}", list(offered))]
    KeyExchangeRejected {
        /// What it wants.
        wanted: KeyExchangeId,
        /// What we offered.
        offered: Vec<KeyExchangeId>,
    },
    /// Somebody is not who they should be.
    #[error("authentication failed: {0}")]
    Authentication(Box<AuthenticationFailed>),
    /// No configuration is for this peer.
    #[error("no peer is configured for {remote_id}{} with suite {suite}", wanted(local_id.as_ref()))]
    UnknownPeer {
        /// Who it says it is.
        remote_id: Identity,
        /// Whom it wanted to talk to.
        local_id: Option<Identity>,
        /// The suite that had been negotiated.
        suite: String,
    },
    /// The peer refused for a reason of its own.
    #[error("the peer refused with {notify} ({code}) in {exchange}")]
    PeerError {
        /// In which exchange.
        exchange: ExchangeType,
        /// The notification's number.
        code: u16,
        /// The notification's name.
        notify: String,
    },
    /// The peer asked for cookies without end.
    #[error("the peer asked for a cookie {0} times")]
    CookieLoop(u32),
    /// The peer's message breaks the protocol.
    #[error("invalid {exchange} from the peer: {problem}")]
    Protocol {
        /// In which exchange.
        exchange: ExchangeType,
        /// What is wrong.
        problem: String,
    },
    /// The application did not answer a [`Query`](crate::Query) in time.
    #[error("the application did not say in time {0}")]
    Unanswered(&'static str),
    /// A NAT is in the way, and encapsulation is switched off.
    #[error("a NAT lies between us and the peer, and encapsulation is set to never")]
    NatForbidden,
    /// The application closed it first.
    #[error("closed before it was established")]
    Cancelled,
    /// It made room for a newer one of the same peer.
    #[error("replaced by a newer IKE SA of the same peer")]
    Replaced,
}

/// Why authentication failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AuthenticationFailed {
    /// The peer proved knowledge of another key than ours.
    #[error(
        "{remote_id} does not have the pre-shared key that is configured here for it and {local_id}: \
         compare the keys on both sides"
    )]
    WrongPreSharedKey {
        /// Who we are.
        local_id: Identity,
        /// Who the peer says it is.
        remote_id: Identity,
    },
    /// IKEv1 main mode: the peer's message does not decrypt to anything with the key for its address.
    #[error(
        "what {path} encrypted makes no sense with the pre-shared key that is configured here for it: probably \
         the keys differ, compare them on both sides"
    )]
    ProbablyWrongPreSharedKey {
        /// Where the peer is.
        path: Path,
    },
    /// The peer does not accept our proof, and does not say why.
    #[error(
        "the peer refused us as {local_id} (AUTHENTICATION_FAILED): compare the pre-shared key, our identity \
         and the identity it expects of us; it knows us by {local_id}, we expect it to be {remote_id}"
    )]
    RefusedByPeer {
        /// Who we said we are.
        local_id: Identity,
        /// Whom we expect.
        remote_id: String,
    },
    /// The peer is not whom we expect.
    #[error("the peer says it is {actual}, we expect {expected}")]
    UnexpectedIdentity {
        /// Who it says it is.
        actual: Identity,
        /// Whom we expect.
        expected: String,
    },
    /// The peer used another method than it must.
    #[error("{remote_id} used authentication method {method}, we expect {expected}")]
    UnexpectedMethod {
        /// Who the peer says it is.
        remote_id: Identity,
        /// What it used, by name or number.
        method: String,
        /// What we expect.
        expected: String,
    },
    /// The application has no key for the two identities.
    #[error("no pre-shared key is configured for {local_id} and {remote_id}")]
    NoKey {
        /// Who we are.
        local_id: Identity,
        /// Who the peer is.
        remote_id: String,
    },
}

/// Why an established IKE SA ended.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// The application closed it.
    #[error("closed here")]
    Local,
    /// The peer deleted it.
    #[error("deleted by the peer")]
    Peer,
    /// The peer has gone silent.
    #[error("the peer is dead: no answer to {exchange} after {sent} transmissions")]
    PeerDead {
        /// What was asked.
        exchange: ExchangeType,
        /// How often it was sent.
        sent: u32,
    },
    /// The same peer has a newer one.
    #[error("replaced by a newer IKE SA of the same peer")]
    Replaced,
    /// It reached its hard lifetime without a successful rekey.
    #[error("lifetime expired")]
    Expired,
    /// The peer broke the protocol inside the authenticated channel.
    #[error("protocol error: {0}")]
    Protocol(String),
    /// The peer reported an error that ends the IKE SA.
    #[error("the peer reported {notify} ({code})")]
    PeerError {
        /// The notification's number.
        code: u16,
        /// The notification's name.
        notify: String,
    },
}

/// Why a child SA did not come about.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ChildFailure {
    /// The peer's proposals and ours have nothing in common.
    #[error("no ESP proposal in common: {0}")]
    NoProposal(Box<ProposalMismatch>),
    /// The same in IKEv1: no phase 2 transform of the peer's is one of ours.
    #[error("phase 2: {0}")]
    NoTransform(Box<TransformMismatch>),
    /// The peer wants none of our proposals, and does not say what it would want.
    #[error("the peer refused every ESP proposal (NO_PROPOSAL_CHOSEN); we offered {}", offered.join(", "))]
    ProposalRejected {
        /// What we offered, in keywords.
        offered: Vec<String>,
    },
    /// The peer insists on a key exchange that we do not offer.
    #[error("the peer wants key exchange {wanted} for perfect forward secrecy, we offered {}", list(offered))]
    KeyExchangeRejected {
        /// What it wants.
        wanted: KeyExchangeId,
        /// What we offered.
        offered: Vec<KeyExchangeId>,
    },
    /// The traffic selectors have nothing in common.
    #[error("no traffic in common: {0}")]
    Selectors(Box<SelectorMismatch>),
    /// The peer wants none of our traffic selectors.
    #[error(
        "the peer refused our traffic selectors ({notify}); we offered local {local} remote {remote}: \
         compare with what it has configured"
    )]
    SelectorsRejected {
        /// `TS_UNACCEPTABLE` or `SINGLE_PAIR_REQUIRED`.
        notify: String,
        /// Our side's traffic.
        local: TrafficSelectors,
        /// Its side's traffic.
        remote: TrafficSelectors,
    },
    /// One side wants transport mode and the other tunnel mode.
    #[error("we want {ours:?} mode, the peer wants {theirs:?} mode")]
    Mode {
        /// Ours.
        ours: crate::config::Mode,
        /// The peer's.
        theirs: crate::config::Mode,
    },
    /// The peer demands an address from us, or we from it, and there is none to be had.
    #[error("no inner address could be assigned ({0})")]
    NoAddress(String),
    /// Too many child SAs, here or there.
    #[error("no additional SAs: {0}")]
    TooMany(String),
    /// The SA to be replaced is not known to the peer any more.
    #[error("the peer does not know the SA that was to be replaced (CHILD_SA_NOT_FOUND)")]
    NotFound,
    /// The peer is in the middle of something; tried again later.
    #[error("the peer asked us to try later (TEMPORARY_FAILURE)")]
    Temporary,
    /// The peer refused for a reason of its own.
    #[error("the peer refused with {notify} ({code})")]
    PeerError {
        /// The notification's number.
        code: u16,
        /// The notification's name.
        notify: String,
    },
    /// The peer's message breaks the protocol.
    #[error("invalid message from the peer: {0}")]
    Protocol(String),
    /// The peer did not answer. Where IKEv1 is spoken, that is how some peers refuse.
    #[error("no answer after {sent} transmissions; what may the peer not like about the offer?")]
    NoAnswer {
        /// How often the request was sent.
        sent: u32,
    },
    /// The IKE SA ended first.
    #[error("the IKE SA ended first")]
    IkeSaGone,
    /// The application, or a rekey of the IKE SA, overtook it.
    #[error("given up in favour of another exchange")]
    Superseded,
}

/// Two sides' traffic selectors, from our point of view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorMismatch {
    /// What the peer offered for our side.
    pub offered_local: TrafficSelectors,
    /// What the peer offered for its side.
    pub offered_remote: TrafficSelectors,
    /// Every configured pair: the child configuration's name, our side, the peer's side.
    pub configured: Vec<(String, TrafficSelectors, TrafficSelectors)>,
    /// What our side would have narrowed to, in the first configuration that had anything.
    pub would_narrow_local: TrafficSelectors,
    /// What the peer's side would have narrowed to.
    pub would_narrow_remote: TrafficSelectors,
}

impl core::fmt::Display for SelectorMismatch {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "the peer offered local {} remote {}", self.offered_local, self.offered_remote)?;
        if self.configured.is_empty() {
            f.write_str("; no child is configured")?;
        }
        for (name, local, remote) in &self.configured {
            write!(f, "; {name} has local {local} remote {remote}")?;
        }
        match (self.would_narrow_local.is_empty(), self.would_narrow_remote.is_empty()) {
            (true, false) => write!(f, "; only the remote side overlaps, in {}", self.would_narrow_remote),
            (false, true) => write!(f, "; only the local side overlaps, in {}", self.would_narrow_local),
            _ => Ok(()),
        }
    }
}

/// Why one direction of a child SA is to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RemoveReason {
    /// A newer pair has taken over.
    #[error("rekeyed")]
    Rekeyed,
    /// The application deleted it.
    #[error("deleted here")]
    Local,
    /// The peer deleted it.
    #[error("deleted by the peer")]
    Peer,
    /// It reached its hard limit.
    #[error("expired")]
    Expired,
    /// It lost against another one made at the same time (RFC 7296 2.8.1).
    #[error("redundant")]
    Redundant,
    /// Its IKE SA ended.
    #[error("its IKE SA ended")]
    IkeSaGone,
}

/// A mistake of the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ApiError {
    /// No such IKE SA: never was, or has had its terminal event.
    #[error("no such IKE SA")]
    NoSuchIkeSa,
    /// No such child SA.
    #[error("no such child SA")]
    NoSuchChild,
    /// No such query: answered, or its IKE SA has ended.
    #[error("no such query")]
    NoSuchQuery,
    /// The answer is to another kind of query.
    #[error("the answer does not fit the query")]
    WrongAnswer,
    /// The IKE SA is not established yet, or not any more.
    #[error("the IKE SA is not established")]
    NotEstablished,
    /// A bound of [`Limits`](crate::Limits) is reached.
    #[error("limit reached: {0}")]
    Limit(&'static str),
    /// The configuration cannot work.
    #[error("configuration: {0}")]
    Config(&'static str),
    /// A message of ours does not fit its length fields.
    #[error("cannot encode: {0}")]
    Encode(#[from] WireError),
}

/// What to look at first when there is no answer.
fn guess(hint: Option<&str>) -> &str {
    hint.unwrap_or("is the peer up, and UDP open on the way?")
}

fn list(groups: &[KeyExchangeId]) -> String {
    use core::fmt::Write as _;
    let mut out = String::new();
    for (index, group) in groups.iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        // Writing to a string cannot fail.
        let _ = write!(out, "{separator}{group}");
    }
    out
}

fn wanted(local_id: Option<&Identity>) -> String {
    local_id.map(|id| alloc::format!(", which wants to talk to {id},")).unwrap_or_default()
}
