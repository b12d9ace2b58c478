//! What waits to be done, and starting it.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use ikebana_core::{Flow, Instant};
use ikebana_ike::{ApiError, ChildConfig, ChildFailure, ChildHandle, CloseReason, RemoveReason};

use super::{End, Established};
use crate::children::ChildState;
use crate::context::Context;
use crate::quick::Wanted;
use crate::selectors;

/// How long we leave the peer's exchange for the same traffic alone, before we look again what came of it.
const PEER_WAS_QUICKER: Duration = Duration::from_secs(2);

/// What the application, or a limit, wants.
#[derive(Clone, Debug)]
pub(crate) enum Task {
    /// New child SAs, for a packet or in general.
    Create(Arc<ChildConfig>, Option<Flow>),
    /// A new pair in place of this one.
    RekeyChild(ChildHandle),
    /// The end of a pair.
    DeleteChild(ChildHandle),
    /// Phase 1 again.
    RekeyIke,
    /// A sign of life.
    Liveness,
}

/// One thing to do that takes an ISAKMP SA.
#[derive(Clone, Debug)]
pub(super) enum Work {
    /// A new pair.
    Make(Wanted),
    /// A new pair in place of this one.
    Rekey(ChildHandle),
    /// Phase 1 again.
    Renew,
}

impl Work {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Make(a), Self::Make(b)) => a.is_same(b),
            (Self::Rekey(a), Self::Rekey(b)) => a == b,
            (Self::Renew, Self::Renew) => true,
            (Self::Make(_) | Self::Rekey(_) | Self::Renew, _) => false,
        }
    }
}

/// The work in its order, each with the earliest time it may start.
#[derive(Default)]
pub(super) struct Queue(VecDeque<(Instant, Work)>);

impl Queue {
    /// Adds work, unless the same waits already.
    pub(super) fn push(&mut self, not_before: Instant, work: Work) {
        if !self.0.iter().any(|(_, waiting)| waiting.is_same(&work)) {
            self.0.push_back((not_before, work));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// When the next exchange over an ISAKMP SA may start.
    pub(super) fn next_quick(&self) -> Option<Instant> {
        self.0.iter().filter(|(_, work)| !matches!(work, Work::Renew)).map(|(at, _)| *at).min()
    }

    /// When phase 1 is to start again.
    pub(super) fn next_renewal(&self) -> Option<Instant> {
        self.0.iter().find(|(_, work)| matches!(work, Work::Renew)).map(|(at, _)| *at)
    }

    fn pop_quick(&mut self, now: Instant) -> Option<Work> {
        let is_due = |(at, work): &(Instant, Work)| *at <= now && !matches!(work, Work::Renew);
        let at = self.0.iter().position(is_due)?;
        self.0.remove(at).map(|(_, work)| work)
    }

    pub(super) fn forget_renewal(&mut self) {
        self.0.retain(|(_, work)| !matches!(work, Work::Renew));
    }

    /// Forgets what was to be done with one pair.
    pub(super) fn forget_child(&mut self, child: ChildHandle) {
        self.0.retain(|(_, work)| !matches!(work, Work::Rekey(handle) if *handle == child));
    }
}

impl Established {
    /// Queues what the application wants.
    pub(crate) fn command(&mut self, cx: &mut Context<'_>, task: Task) -> Result<(), ApiError> {
        if !self.announced {
            return Err(ApiError::NotEstablished);
        }
        if self.queue.len() >= cx.config.limits.queued_exchanges {
            return Err(ApiError::Limit("exchanges that wait"));
        }
        match task {
            Task::Create(config, flow) => {
                self.want(cx, &config, flow.as_ref());
                Ok(())
            }
            Task::RekeyChild(handle) => {
                if !self.is_being_rekeyed(handle) {
                    self.queue.push(cx.now, Work::Rekey(handle));
                }
                Ok(())
            }
            Task::DeleteChild(handle) => {
                self.delete_child(cx, handle, RemoveReason::Local);
                Ok(())
            }
            Task::RekeyIke if !self.may_initiate() => {
                Err(ApiError::Config("a server of XAUTH or mode config leaves phase 1 to its client"))
            }
            Task::RekeyIke => {
                self.queue.push(cx.now, Work::Renew);
                Ok(())
            }
            Task::Liveness => {
                self.probe(cx);
                Ok(())
            }
        }
    }

    /// Queues the quick modes that `config` takes: one for each pair of selectors, or for the one that a packet
    /// needs.
    pub(super) fn want(&mut self, cx: &mut Context<'_>, config: &Arc<ChildConfig>, flow: Option<&Flow>) {
        let mut wanted: Vec<Wanted> = selectors::pairs(config, &self.ends)
            .into_iter()
            .map(|pair| Wanted { config: config.clone(), local: pair.local, remote: pair.remote })
            .filter(|wanted| flow.is_none_or(|flow| carries(wanted, flow)))
            .collect();
        if flow.is_some() {
            wanted.truncate(1);
        }
        if wanted.is_empty() {
            let reason = ChildFailure::Protocol("no configured traffic selectors fit".into());
            self.child_failed(cx, Some(config), None, reason);
        }
        for wanted in wanted {
            if !self.has_or_makes(&wanted) {
                self.queue.push(cx.now, Work::Make(wanted));
            }
        }
    }

    /// Whether a pair for this traffic is there or on its way, so that another one would be a duplicate.
    fn has_or_makes(&self, wanted: &Wanted) -> bool {
        self.children.values().any(|child| {
            child.config.name == wanted.config.name
                && child.state == ChildState::Installed
                && self.is_for(child, wanted)
        }) || self
            .legs
            .iter()
            .filter_map(super::Leg::asked)
            .any(|asked| asked.rekeys.is_none() && asked.wanted.is_same(wanted))
    }

    fn is_for(&self, child: &crate::children::Child, wanted: &Wanted) -> bool {
        let (local, remote) = self.setting().readdressed(wanted.config.mode, wanted.local, wanted.remote);
        child.local == local && child.remote == remote
    }

    /// Whether the peer is making a pair for this traffic.
    fn is_peer_making(&self, wanted: &Wanted) -> bool {
        self.children.values().any(|child| child.state == ChildState::Pending && self.is_for(child, wanted))
    }

    /// Starts whatever can start, and ends what has nothing left.
    pub(crate) fn pump(&mut self, cx: &mut Context<'_>) -> Option<End> {
        if !self.announced {
            return self.end_if_spent();
        }
        let limit = cx.config.limits.requests_per_ike_sa;
        if self.current().is_some_and(|leg| leg.is_worn(limit)) {
            self.queue.push(cx.now, Work::Renew);
        }
        if self.is_renewal_due(cx.now) {
            self.start_renewal(cx);
        }
        while self.current().is_some_and(|leg| self.may_use(leg)) && !self.is_asking() {
            let Some(work) = self.queue.pop_quick(cx.now) else { break };
            self.start(cx, work);
        }
        self.end_if_spent()
    }

    fn end_if_spent(&self) -> Option<End> {
        self.is_spent().then(|| End::Silent(self.last_words.clone(), remove_reason(&self.last_words)))
    }

    fn start(&mut self, cx: &mut Context<'_>, work: Work) {
        match work {
            Work::Make(wanted) => {
                if self.has_or_makes(&wanted) {
                    return;
                }
                if self.is_peer_making(&wanted) {
                    self.queue.push(cx.now + PEER_WAS_QUICKER, Work::Make(wanted));
                    return;
                }
                if self.is_full(cx) || self.is_crowded(cx) {
                    let reason = ChildFailure::TooMany(alloc::format!("{} here", self.children.len()));
                    self.child_failed(cx, Some(&wanted.config), None, reason);
                    return;
                }
                self.ask(cx, wanted, None);
            }
            Work::Rekey(handle) => {
                let Some(child) = self.children.get(&handle) else { return };
                if child.state != ChildState::Installed {
                    return;
                }
                let wanted =
                    Wanted { config: child.config.clone(), local: child.local, remote: child.remote };
                if child.is_outbound_held() || self.is_peer_making(&wanted) || self.is_crowded(cx) {
                    self.queue.push(cx.now + PEER_WAS_QUICKER, Work::Rekey(handle));
                    return;
                }
                if let Some(child) = self.children.get_mut(&handle) {
                    child.soft = None;
                }
                self.ask(cx, wanted, Some(handle));
            }
            Work::Renew => {}
        }
    }
}

/// Whether the packet is one that the pair of selectors is for.
fn carries(wanted: &Wanted, flow: &Flow) -> bool {
    wanted.local.matches(flow.local, flow.protocol, flow.local_port)
        && wanted.remote.matches(flow.remote, flow.protocol, flow.remote_port)
}

/// What is said of SAs that end with their association.
pub(super) const fn remove_reason(reason: &CloseReason) -> RemoveReason {
    if matches!(reason, CloseReason::Peer) {
        RemoveReason::Peer
    } else if matches!(reason, CloseReason::Expired) {
        RemoveReason::Expired
    } else {
        RemoveReason::IkeSaGone
    }
}
