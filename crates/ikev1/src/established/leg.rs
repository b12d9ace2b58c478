//! One ISAKMP SA of an association, with the exchanges that run over it.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use ikebana_core::Instant;
use ikebana_core::random::public_u32;
use ikebana_ike::{ChildHandle, NatSituation};

use crate::context::{Context, Route};
use crate::isakmp::{Isakmp, Iv};
use crate::phase1::{Phase1Done, Replay};
use crate::quick;
use crate::turn::Turn;
use crate::vendor::Vendor;

/// Message ids that are remembered, so that none of them is used twice: a message whose id is forgotten passes for a
/// new one when an attacker repeats it, as a sign of life for instance. Whoever began phase 1 begins it again before
/// that many messages have gone over it.
const REMEMBERED_IDS: usize = 4_096;

/// When that is.
const MOST_MESSAGES: u32 = 4_000;

/// Finished exchanges that are remembered to repeat their last message.
const REMEMBERED_EXCHANGES: usize = 32;

/// How long the last message of an exchange is kept for a peer that has missed it. Longer than peers commonly
/// repeat the message before it.
pub(super) const REPEAT: Duration = Duration::from_secs(180);

/// What has become of an ISAKMP SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// In use.
    Live,
    /// Another one has taken its place. It takes messages until this time, and then we delete it.
    Superseded(Instant),
    /// Deleted. It only takes what was under way, until this time.
    Gone(Instant),
}

/// SHA-256 of a whole message.
pub(super) type Fingerprint = [u8; 32];

/// Where an exchange of quick mode stands.
pub(super) enum Step {
    /// Ours: we wait for message 2.
    Asked { exchange: Box<quick::Initiator>, turn: Turn, at: Instant },
    /// The peer's: we wait for message 3.
    Answered { exchange: quick::Responder, first: Fingerprint, turn: Turn },
    /// Ours is done, and we repeat message 3 when message 2 comes again.
    Asking {
        second: Fingerprint,
        last: Vec<u8>,
        child: ChildHandle,
        /// Set while the peer wants us to wait for its word: what its message is decrypted with.
        commit: Option<Iv>,
        until: Instant,
    },
}

/// An exchange of quick mode.
pub(super) struct Exchange {
    pub(super) id: u32,
    pub(super) step: Step,
}

/// What an ISAKMP SA brings whose user has not proven who they are. The association takes it over once they have.
#[derive(Clone, Copy)]
pub(super) struct Probation {
    pub(super) route: Route,
    pub(super) nat: NatSituation,
    pub(super) nat_draft: bool,
    pub(super) encapsulated: bool,
}

/// One ISAKMP SA.
pub(crate) struct Leg {
    pub(crate) isakmp: Isakmp,
    pub(crate) fate: Fate,
    /// Whether it was the peer that has put another one in its place.
    pub(super) renewed_by_peer: bool,
    /// Set until the user at its other end has passed XAUTH. Every user of a group has the key that it was made
    /// with, so that before, it is good for XAUTH and for nothing that concerns anything but itself.
    pub(super) probation: Option<Probation>,
    /// When it was made.
    pub(super) made: Instant,
    /// When the peer was last heard over it. The peer may have lost it without a word that reached us.
    pub(super) heard: Instant,
    /// When it must not be used any more.
    pub(super) hard: Option<Instant>,
    pub(super) exchanges: Vec<Exchange>,
    /// What to say when the peer's last message of phase 1 comes again.
    pub(super) replay: Option<Replay>,
    /// Whether the peer does dead peer detection (RFC 3706).
    pub(super) does_dpd: bool,
    ids: VecDeque<u32>,
    /// Messages in either direction.
    pub(super) messages: u32,
    /// How often its end has waited for the exchanges on it.
    pub(super) waits: u8,
}

impl Leg {
    pub(super) fn new(now: Instant, hard: Option<Instant>, done: Phase1Done) -> Self {
        let probation = done.is_on_probation().then_some(Probation {
            route: done.route,
            nat: done.nat,
            nat_draft: done.nat_draft,
            encapsulated: done.encapsulated,
        });
        Self {
            isakmp: done.isakmp,
            fate: Fate::Live,
            probation,
            renewed_by_peer: false,
            made: now,
            heard: now,
            hard,
            exchanges: Vec::new(),
            replay: done.last,
            does_dpd: done.vendors.has(Vendor::Dpd),
            ids: VecDeque::new(),
            messages: 0,
            waits: 0,
        }
    }

    /// Whether it may be used for everything.
    pub(super) fn is_usable(&self) -> bool {
        self.fate == Fate::Live && self.probation.is_none()
    }

    /// A message id of ours that has not been used.
    pub(super) fn new_id(&mut self, cx: &mut Context<'_>) -> u32 {
        loop {
            let id = public_u32(cx.rng);
            if id != 0 && !self.knows(id) {
                self.remember(id);
                return id;
            }
        }
    }

    /// Whether an exchange with this id has been seen.
    pub(super) fn knows(&self, id: u32) -> bool {
        self.ids.contains(&id)
    }

    pub(super) fn remember(&mut self, id: u32) {
        self.messages = self.messages.saturating_add(1);
        if self.ids.len() >= REMEMBERED_IDS {
            self.ids.pop_front();
        }
        self.ids.push_back(id);
    }

    /// Whether more messages have gone over it than should, where the application has set `limit`.
    pub(super) fn is_worn(&self, limit: u32) -> bool {
        let most = if self.isakmp.initiator { limit.min(MOST_MESSAGES) } else { limit };
        self.messages >= most
    }

    pub(super) fn exchange(&self, id: u32) -> Option<&Exchange> {
        self.exchanges.iter().find(|exchange| exchange.id == id)
    }

    pub(super) fn exchange_mut(&mut self, id: u32) -> Option<&mut Exchange> {
        self.exchanges.iter_mut().find(|exchange| exchange.id == id)
    }

    pub(super) fn take_exchange(&mut self, id: u32) -> Option<Step> {
        let at = self.exchanges.iter().position(|exchange| exchange.id == id)?;
        Some(self.exchanges.remove(at).step)
    }

    /// Keeps an exchange. Of finished ones only the last few are.
    pub(super) fn keep(&mut self, id: u32, step: Step) {
        let is_done = |exchange: &Exchange| matches!(exchange.step, Step::Asking { commit: None, .. });
        if self.exchanges.iter().filter(|exchange| is_done(exchange)).count() >= REMEMBERED_EXCHANGES
            && let Some(at) = self.exchanges.iter().position(is_done)
        {
            self.exchanges.remove(at);
        }
        self.exchanges.push(Exchange { id, step });
    }

    /// Whether an exchange on it still waits for a message.
    pub(super) fn is_busy(&self) -> bool {
        self.exchanges.iter().any(|exchange| match &exchange.step {
            Step::Asked { .. } | Step::Answered { .. } => true,
            Step::Asking { commit, .. } => commit.is_some(),
        })
    }

    /// Our quick mode under way, if there is one.
    pub(super) fn asked(&self) -> Option<&quick::Initiator> {
        self.exchanges.iter().find_map(|exchange| match &exchange.step {
            Step::Asked { exchange, .. } => Some(&**exchange),
            Step::Answered { .. } | Step::Asking { .. } => None,
        })
    }

    pub(super) fn asked_mut(&mut self) -> Option<&mut quick::Initiator> {
        self.exchanges.iter_mut().find_map(|exchange| match &mut exchange.step {
            Step::Asked { exchange, .. } => Some(&mut **exchange),
            Step::Answered { .. } | Step::Asking { .. } => None,
        })
    }

    /// When something has to happen next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let exchanges = self.exchanges.iter().map(|exchange| match &exchange.step {
            Step::Asked { turn, .. } | Step::Answered { turn, .. } => turn.deadline(),
            Step::Asking { until, .. } => *until,
        });
        let fate = match self.fate {
            Fate::Live => None,
            Fate::Superseded(at) | Fate::Gone(at) => Some(at),
        };
        exchanges.chain(fate).chain(self.hard.filter(|_| !matches!(self.fate, Fate::Gone(_)))).min()
    }
}
