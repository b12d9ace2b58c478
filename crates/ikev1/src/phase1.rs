//! Phase 1: main and aggressive mode, both roles (RFC 2409 5.1, 5.4).
//!
//! An attempt is an [`Initiator`] or a [`Responder`]. It takes messages, answers and the passing of time, and
//! comes to a [`Phase1Done`] or to a reason why not; what becomes of either is its owner's business.
//!
//! Nothing is authenticated before the last or last but one message, so the rules for what changes an attempt
//! are narrow: the cookies are the attempt's, the message is the one whose turn it is, and it makes sense. All
//! else is counted. A complaint in clear is told to whoever watches, and never believed.
//!
//! | module | what is in it |
//! |---|---|
//! | `parts` | the payloads of a phase 1 message |
//! | `halves` | what both sides contribute, and what proves an identity |
//! | `identity` | identities in ID payloads |
//! | `method` | authentication methods |
//! | `initiator`, `responder` | the two roles |
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a step that is for one stage hands every other stage back"
)]

mod halves;
mod identity;
mod initiator;
mod method;
mod parts;
mod responder;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use ikebana_core::{Identity, Lifetime};
use ikebana_crypto::CryptoProvider;
use ikebana_ike::{ExchangeType, FailReason, NatSituation, PeerConfig, Phase1Mode, Uniqueness, XauthRole};
use ikebana_proposals::{Encryption, KeyExchangeId, Proposal};

use crate::context::Route;
use crate::isakmp::Isakmp;
use crate::vendor::VendorSet;

pub(crate) use initiator::Initiator;
pub(crate) use method::accepted as accepted_methods;
pub(crate) use parts::refusal;
pub(crate) use responder::{Opening, Responder};

/// What an attempt comes to.
pub(crate) enum Step {
    /// It goes on.
    Wait,
    /// Both sides are authenticated. The attempt is spent; its cookie belongs to whoever takes this.
    Done(Box<Phase1Done>),
    /// It has failed. The attempt is spent, and its cookie and query have been given back.
    Failed(FailReason),
}

/// A new ISAKMP SA with a peer that has proven who it is.
pub(crate) struct Phase1Done {
    pub(crate) isakmp: Isakmp,
    pub(crate) peer: Arc<PeerConfig>,
    pub(crate) local_id: Identity,
    pub(crate) remote_id: Identity,
    pub(crate) route: Route,
    pub(crate) nat: NatSituation,
    /// Whether ESP travels in UDP.
    pub(crate) encapsulated: bool,
    /// Whether NAT traversal is that of the drafts, with numbers of its own.
    pub(crate) nat_draft: bool,
    /// What the peer understands.
    pub(crate) vendors: VendorSet,
    /// How long the SA may live, as negotiated.
    pub(crate) life: Option<Duration>,
    /// Whether the peer says that it knows of no older SA with us (RFC 2407 4.6.3.3).
    pub(crate) initial_contact: bool,
    /// What to say if the peer's last message comes again.
    pub(crate) last: Option<Replay>,
    /// Whether XAUTH comes next.
    pub(crate) xauth: bool,
}

impl Phase1Done {
    /// Whether the peer still has to prove which user of a group it is. All that phase 1 has shown is that it has
    /// the group's key, which every user has.
    pub(crate) fn is_on_probation(&self) -> bool {
        self.xauth && self.peer.ikev1.xauth == Some(XauthRole::Server)
    }

    /// Whether older associations with the same peer have to go.
    pub(crate) fn replaces_older(&self) -> bool {
        match self.peer.uniqueness {
            Uniqueness::Keep => false,
            Uniqueness::InitialContact => self.initial_contact,
            Uniqueness::Replace => self.initial_contact || !self.isakmp.initiator,
        }
    }
}

/// The last message of an exchange, which the peer may have missed.
pub(crate) struct Replay {
    /// SHA-256 of the message that it answers.
    pub(crate) fingerprint: [u8; 32],
    /// The message.
    pub(crate) answer: Vec<u8>,
}

/// The exchange type of a mode.
pub(crate) const fn exchange(mode: Phase1Mode) -> ExchangeType {
    match mode {
        Phase1Mode::Main => ExchangeType::IDENTITY_PROTECTION,
        Phase1Mode::Aggressive => ExchangeType::AGGRESSIVE,
    }
}

fn protocol(mode: Phase1Mode, problem: impl Into<String>) -> FailReason {
    FailReason::Protocol { exchange: exchange(mode), problem: problem.into() }
}

/// How long we want an ISAKMP SA to live. Not to say it would leave it to the peer's default, which may be
/// shorter than what we count on.
fn offered_life(lifetime: &Lifetime) -> Option<Duration> {
    lifetime.hard_time.or(lifetime.soft_time)
}

/// The part of `proposals` that can be carried out here with IKEv1, where encryption is CBC and nothing else.
pub(crate) fn usable(provider: &CryptoProvider, proposals: &[Proposal]) -> Vec<Proposal> {
    let mut usable = provider.restrict(proposals);
    for proposal in &mut usable {
        proposal.encryption.retain(|&encryption: &Encryption| !encryption.is_aead());
        proposal.key_exchange.retain(|&group| group != KeyExchangeId::NONE);
    }
    usable.retain(|proposal| !proposal.encryption.is_empty() && !proposal.key_exchange.is_empty());
    usable
}
