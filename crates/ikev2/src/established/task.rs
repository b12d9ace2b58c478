//! Exchanges that wait for their turn.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use ikebana_core::{EspSpi, Flow, IkeSpi, Instant};
use ikebana_ike::{
    ApiError, ChildConfig, ChildFailure, ChildHandle, CloseReason, Event, ExchangeType, RemoveReason,
};
use ikebana_proposals::ProtocolId;

use super::{End, Established, Exchange, Fate};
use crate::child::{Child, ChildState};
use crate::context::Context;
use crate::wire::{DeletePayload, Payload};

/// How long a pair that the peer has made waits to be rekeyed, while the peer has not been seen to have it.
const UNPROVEN_WAIT: Duration = Duration::from_secs(1);

/// One exchange to come.
#[derive(Clone, Debug)]
pub(crate) enum Task {
    /// A new child SA, for a packet or in general.
    Create(Arc<ChildConfig>, Option<Flow>),
    /// A new pair in place of this one.
    RekeyChild(ChildHandle),
    /// The end of a pair that is marked as [`ChildState::Deleting`].
    DeleteChild(ChildHandle),
    /// The end of an SA that the peer thinks exists, and we do not have.
    DeleteStray(ProtocolId, EspSpi),
    /// A new IKE SA in place of the current leg.
    RekeyIke,
    /// A sign of life.
    Liveness,
}

impl Task {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Create(a, flow_a), Self::Create(b, flow_b)) => a.name == b.name && flow_a == flow_b,
            (Self::RekeyChild(a), Self::RekeyChild(b)) | (Self::DeleteChild(a), Self::DeleteChild(b)) => {
                a == b
            }
            (Self::DeleteStray(_, a), Self::DeleteStray(_, b)) => a == b,
            (Self::RekeyIke, Self::RekeyIke) | (Self::Liveness, Self::Liveness) => true,
            (
                Self::Create(..)
                | Self::RekeyChild(_)
                | Self::DeleteChild(_)
                | Self::DeleteStray(..)
                | Self::RekeyIke
                | Self::Liveness,
                _,
            ) => false,
        }
    }
}

/// The tasks in their order, each with the earliest time it may start.
#[derive(Default)]
pub(crate) struct Queue(VecDeque<(Instant, Task)>);

impl Queue {
    /// Adds a task, unless the same one waits already.
    pub(crate) fn push(&mut self, not_before: Instant, task: Task) {
        if !self.0.iter().any(|(_, waiting)| waiting.is_same(&task)) {
            self.0.push_back((not_before, task));
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// When the next task may start.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.iter().map(|(at, _)| *at).min()
    }

    fn pop(&mut self, now: Instant) -> Option<Task> {
        let at = self.0.iter().position(|(not_before, _)| *not_before <= now)?;
        self.0.remove(at).map(|(_, task)| task)
    }

    fn remove(&mut self, mut unwanted: impl FnMut(&Task) -> bool) {
        self.0.retain(|(_, task)| !unwanted(task));
    }

    /// Takes the child SAs of all waiting deletes.
    fn take_deletes(&mut self) -> Vec<ChildHandle> {
        let mut children = Vec::new();
        self.remove(|task| match task {
            Task::DeleteChild(child) => {
                children.push(*child);
                true
            }
            Task::Create(..)
            | Task::RekeyChild(_)
            | Task::DeleteStray(..)
            | Task::RekeyIke
            | Task::Liveness => false,
        });
        children
    }

    fn has_rekey(&self) -> bool {
        self.0.iter().any(|(_, task)| task.is_same(&Task::RekeyIke))
    }

    /// Forgets one task.
    pub(crate) fn forget(&mut self, task: &Task) {
        self.remove(|waiting| waiting.is_same(task));
    }

    /// Forgets what was to be done with one child SA.
    pub(crate) fn forget_child(&mut self, child: ChildHandle) {
        self.remove(|task| match task {
            Task::DeleteChild(handle) | Task::RekeyChild(handle) => *handle == child,
            Task::Create(..) | Task::DeleteStray(..) | Task::RekeyIke | Task::Liveness => false,
        });
    }
}

impl Established {
    /// Queues an exchange on behalf of the application.
    pub(crate) fn command(&mut self, cx: &mut Context<'_>, task: Task) -> Result<(), ApiError> {
        if self.queue.len() >= cx.config.limits.queued_exchanges {
            return Err(ApiError::Limit("exchanges waiting for the window"));
        }
        if let Task::Create(config, flow) = &task
            && self.has_or_makes(config, flow.as_ref())
        {
            return Ok(());
        }
        if let Task::DeleteChild(handle) = &task {
            self.mark_deleting(cx, *handle, RemoveReason::Local);
        } else {
            self.queue.push(cx.now, task);
        }
        Ok(())
    }

    /// Whether a child SA of this kind is there or on its way, so that another one would be a duplicate.
    fn has_or_makes(&self, config: &ChildConfig, flow: Option<&Flow>) -> bool {
        let serves = |child: &Child| match flow {
            None => true,
            Some(flow) => {
                child.local.matches(flow.local, flow.protocol, flow.local_port)
                    && child.remote.matches(flow.remote, flow.protocol, flow.remote_port)
            }
        };
        self.children.values().any(|child| {
            child.config.name == config.name && child.state == ChildState::Installed && serves(child)
        }) || self.legs.iter().any(|leg| match &leg.exchange {
            Some(Exchange::Create(create)) => create.makes(config, flow),
            _ => false,
        })
    }

    /// Stops using a pair, and queues the exchange that tells the peer.
    pub(crate) fn mark_deleting(&mut self, cx: &mut Context<'_>, handle: ChildHandle, reason: RemoveReason) {
        let Some(child) = self.children.get_mut(&handle) else { return };
        match child.state {
            ChildState::Deleting | ChildState::Lingering(_) => return,
            ChildState::Installed | ChildState::Replaced { .. } => {}
        }
        child.state = ChildState::Deleting;
        child.fate = Some(reason);
        child.remove_outbound(cx, reason);
        self.queue.forget_child(handle);
        self.queue.push(cx.now, Task::DeleteChild(handle));
    }

    /// Starts whatever can start.
    pub(crate) fn pump(&mut self, cx: &mut Context<'_>) -> Option<End> {
        self.release_heirs(cx);
        if let Some(leg) = self.leg(self.current).filter(|leg| leg.fate == Fate::Live && leg.is_free()) {
            if leg.sa.window.is_exhausted() {
                return Some(End::Silent(CloseReason::Expired, RemoveReason::IkeSaGone));
            }
            if leg.sa.window.is_worn(cx.config.limits.requests_per_ike_sa) && !self.queue.has_rekey() {
                self.queue.push(cx.now, Task::RekeyIke);
            }
        }
        let unwanted: Vec<IkeSpi> = self
            .legs
            .iter()
            .filter(|leg| leg.fate == Fate::DeleteWanted && leg.is_free())
            .map(|leg| leg.sa.local_spi)
            .collect();
        for spi in unwanted {
            self.send_leg_delete(cx, spi);
        }
        // Whether the exchange's message leaves or a task turns out to be moot, the queue gets shorter.
        while self.leg(self.current).is_some_and(|leg| leg.fate == Fate::Live && leg.is_free()) {
            let Some(task) = self.queue.pop(cx.now) else { break };
            self.start(cx, task);
        }
        None
    }

    /// A pair whose outbound SA was held back takes over once that of its predecessor is gone, however that
    /// came about. While a collision is undecided, the exchange of ours decides.
    fn release_heirs(&mut self, cx: &mut Context<'_>) {
        let heirs: Vec<ChildHandle> = self
            .children
            .values()
            .filter(|child| child.state == ChildState::Installed && child.is_outbound_held())
            .filter(|child| {
                let old = child.replaces.and_then(|old| self.children.get(&old));
                !old.is_some_and(Child::is_outbound_installed) && !self.is_rival(child.handle)
            })
            .map(|child| child.handle)
            .collect();
        for handle in heirs {
            if let Some(child) = self.children.get_mut(&handle) {
                child.release_outbound(cx);
            }
        }
    }

    /// Whether the peer made this pair in a race with an exchange of ours that is under way.
    fn is_rival(&self, handle: ChildHandle) -> bool {
        self.legs.iter().any(|leg| match &leg.exchange {
            Some(Exchange::Create(create)) => {
                create.rival.as_ref().is_some_and(|rival| rival.child == handle)
            }
            _ => false,
        })
    }

    fn send_leg_delete(&mut self, cx: &mut Context<'_>, spi: IkeSpi) {
        let payload = Payload::Delete(DeletePayload::Ike);
        let sent = self.send(cx, spi, ExchangeType::INFORMATIONAL, &[payload], Exchange::DeleteLeg);
        if let Some(leg) = self.leg_mut(spi).filter(|_| sent) {
            leg.fate = Fate::Deleting;
        }
    }

    fn start(&mut self, cx: &mut Context<'_>, task: Task) {
        match task {
            Task::Create(config, flow) => {
                if self.has_or_makes(&config, flow.as_ref()) {
                    // The peer was quicker.
                    return;
                }
                if self.is_full(cx) {
                    let reason = ChildFailure::TooMany(alloc::format!("{} here", self.children.len()));
                    self.child_failed(cx, Some(&config), None, reason);
                    return;
                }
                self.ask_for_child(cx, config, None, flow);
            }
            Task::RekeyChild(handle) => {
                let Some(child) = self.children.get_mut(&handle) else { return };
                if child.state != ChildState::Installed {
                    return;
                }
                if child.is_outbound_held() {
                    // The peer has made it and may not know yet that it has it.
                    self.queue.push(cx.now + UNPROVEN_WAIT, Task::RekeyChild(handle));
                    return;
                }
                child.soft = None;
                let config = child.config.clone();
                self.ask_for_child(cx, config, Some(handle), None);
            }
            Task::DeleteChild(handle) => {
                let mut handles = Vec::from([handle]);
                handles.extend(self.queue.take_deletes());
                self.send_child_deletes(cx, handles);
            }
            Task::DeleteStray(protocol, spi) => {
                if let Some(delete) = DeletePayload::children(protocol, Vec::from([spi])) {
                    let (current, payload) = (self.current, Payload::Delete(delete));
                    self.send(cx, current, ExchangeType::INFORMATIONAL, &[payload], Exchange::Liveness);
                }
            }
            Task::RekeyIke => self.send_ike_rekey(cx),
            Task::Liveness => {
                let current = self.current;
                self.send(cx, current, ExchangeType::INFORMATIONAL, &[], Exchange::Liveness);
            }
        }
    }

    /// Whether there are as many child SAs as there may be. Those on their way out do not count.
    pub(super) fn is_full(&self, cx: &Context<'_>) -> bool {
        self.children_in_use().count() >= cx.config.limits.children
    }

    /// Whether so many child SAs are on their way out that no more can be made, not even in their place.
    pub(super) fn is_crowded(&self, cx: &Context<'_>) -> bool {
        self.children.len() >= cx.config.limits.children.saturating_mul(4)
    }

    fn send_child_deletes(&mut self, cx: &mut Context<'_>, handles: Vec<ChildHandle>) {
        let mut payloads = Vec::new();
        let mut named = Vec::new();
        for protocol in [ProtocolId::ESP, ProtocolId::AH] {
            let mut spis = Vec::new();
            for handle in &handles {
                if let Some(child) = self.children.get(handle)
                    && child.suite.protocol == protocol
                {
                    spis.push(child.inbound);
                    named.push(*handle);
                }
            }
            if !spis.is_empty() {
                payloads.extend(DeletePayload::children(protocol, spis).map(Payload::Delete));
            }
        }
        if !named.is_empty() {
            let current = self.current;
            let exchange = Exchange::DeleteChildren(named);
            self.send(cx, current, ExchangeType::INFORMATIONAL, &payloads, exchange);
        }
    }

    /// Sends a request over one leg and remembers what it is for. Returns whether it could be sent.
    pub(crate) fn send(
        &mut self,
        cx: &mut Context<'_>,
        spi: IkeSpi,
        kind: ExchangeType,
        payloads: &[Payload],
        exchange: Exchange,
    ) -> bool {
        let (route, plan) = (self.route, self.peer.retransmission);
        let Some(leg) = self.leg_mut(spi) else { return false };
        let sent = leg.sa.send_request(cx, route, &plan, kind, payloads);
        if sent {
            leg.exchange = Some(exchange);
            // Any answer is a sign of life.
            self.queue.forget(&Task::Liveness);
            self.sent = cx.now;
        } else {
            self.abandon(cx, exchange);
        }
        sent
    }

    pub(crate) fn child_failed(
        &self,
        cx: &mut Context<'_>,
        config: Option<&Arc<ChildConfig>>,
        rekeyed: Option<ChildHandle>,
        reason: ChildFailure,
    ) {
        cx.event(Event::ChildFailed {
            ike: self.handle,
            config: config.map(|config| config.name.clone()),
            rekeyed,
            reason,
        });
    }
}
