//! Repetition of a message whose answer we await.
//!
//! In IKEv1 only the side whose turn it is repeats itself; the other one answers a message that comes again with
//! what it answered before.

use alloc::vec::Vec;

use ikebana_core::Instant;
use ikebana_core::random::jitter;
use ikebana_ike::Retransmission;

use crate::context::Context;

/// A message of ours, and when to send it again.
pub(crate) struct Turn {
    octets: Vec<u8>,
    /// Transmissions so far.
    sent: u32,
    deadline: Instant,
}

/// What an unanswered message comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// Its time has not come.
    NotYet,
    /// It is to be sent again; that is counted as done.
    Repeat,
    /// Nobody answers.
    GiveUp {
        /// How often it was sent.
        sent: u32,
    },
}

impl Turn {
    /// Awaits the answer to `octets`, which the caller sends now.
    pub(crate) fn new(cx: &mut Context<'_>, plan: &Retransmission, octets: Vec<u8>) -> Self {
        let mut turn = Self { octets, sent: 0, deadline: cx.now };
        turn.count(cx, plan);
        turn
    }

    /// The message.
    pub(crate) fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// When it is to be sent again, or given up.
    pub(crate) const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// What is due. Before its deadline that is nothing.
    pub(crate) fn overdue(&mut self, cx: &mut Context<'_>, plan: &Retransmission) -> Overdue {
        if cx.now < self.deadline {
            return Overdue::NotYet;
        }
        if self.sent > u32::from(plan.tries) {
            return Overdue::GiveUp { sent: self.sent };
        }
        self.count(cx, plan);
        cx.stats.retransmitted = cx.stats.retransmitted.saturating_add(1);
        Overdue::Repeat
    }

    fn count(&mut self, cx: &mut Context<'_>, plan: &Retransmission) {
        let wait = plan.wait(self.sent);
        let swing = wait.saturating_mul(u32::from(plan.jitter_percent.min(100))) / 100;
        let wait = wait.saturating_sub(swing).saturating_add(jitter(cx.rng, swing.saturating_mul(2)));
        self.deadline = cx.now + wait;
        self.sent = self.sent.saturating_add(1);
    }
}
