//! Quick mode: the peer's exchanges.

use alloc::sync::Arc;
use alloc::vec::Vec;

use ikebana_core::IkeSpi;
use ikebana_ike::{ChildConfig, ChildFailure, ChildHandle, RemoveReason};

use super::Established;
use super::leg::{Fate, Fingerprint, Step};
use crate::children::{Child, ChildState};
use crate::context::Context;
use crate::isakmp::Opened;
use crate::quick::responder::{Accepted, Allowed, Refusal, Responder};
use crate::selectors::{self, Pair};
use crate::turn::Turn;
use crate::wire::NotifyType;

impl Established {
    /// Message 1 of an exchange of the peer's.
    pub(super) fn answer_quick(
        &mut self,
        cx: &mut Context<'_>,
        cookie: IkeSpi,
        opened: Opened,
        first: Fingerprint,
    ) {
        let id = opened.header.message_id;
        if let Some(leg) = self.leg_mut(cookie) {
            leg.remember(id);
        }
        let pairs = self.allowed_pairs();
        let (began, setting) = (self.next_order(), self.setting());
        let allowed = Allowed { pairs: &pairs, setting, began };
        if self.is_crowded(cx) || self.is_full(cx) && !self.replaces_something(&pairs, &opened) {
            let failure = ChildFailure::TooMany(alloc::format!("{} here", self.children.len()));
            self.refuse(cx, cookie, &opened, NotifyType::NO_PROPOSAL_CHOSEN, None, failure);
            return;
        }
        let Some(leg) = self.leg_mut(cookie) else { return };
        match Accepted::decide(cx, &leg.isakmp, &allowed, &opened) {
            Ok(accepted) => self.install_answered(cx, cookie, id, accepted, first),
            Err(Refusal { notify, failure, config }) => {
                self.refuse(cx, cookie, &opened, notify, config, failure);
            }
        }
    }

    fn install_answered(
        &mut self,
        cx: &mut Context<'_>,
        cookie: IkeSpi,
        id: u32,
        mut accepted: Accepted,
        first: Fingerprint,
    ) {
        accepted.agreed.replaces = self.predecessor(&accepted);
        let (carrier, route, plan) = (self.carrier(), self.route, self.peer.retransmission);
        let Accepted { agreed, answer, nonces } = accepted;
        let child = Child::install(cx, agreed, carrier);
        let exchange = Responder::new(child.handle, nonces);
        self.children.insert(child.handle, child);
        self.transmit(cx, route, &answer);
        let turn = Turn::new(cx, &plan, answer);
        if let Some(leg) = self.leg_mut(cookie) {
            leg.keep(id, Step::Answered { exchange, first, turn });
        }
    }

    /// The oldest pair in use that is for what the peer asks for: the peer replaces it, though IKEv1 has no way
    /// of saying so. One that was made over another ISAKMP SA that is still in use belongs to another association
    /// of the peer's; here both are one.
    fn predecessor(&self, accepted: &Accepted) -> Option<ChildHandle> {
        let agreed = &accepted.agreed;
        let belongs_elsewhere = |over: IkeSpi| {
            let is_other = |leg: &super::Leg| leg.isakmp.local_cookie() == over && leg.fate == Fate::Live;
            over != agreed.over && self.legs.iter().any(is_other)
        };
        let is_same = |child: &&Child| {
            child.state == ChildState::Installed
                && child.config.name == agreed.config.name
                && child.suite.protocol == agreed.suite.protocol
                && child.local == agreed.local
                && child.remote == agreed.remote
                && !belongs_elsewhere(child.over)
        };
        self.children.values().find(is_same).map(|child| child.handle)
    }

    /// Whether the exchange would make a pair in place of another one.
    fn replaces_something(&self, pairs: &[(Arc<ChildConfig>, Pair)], opened: &Opened) -> bool {
        let Some((local, remote)) = crate::quick::responder::wanted(opened, &self.setting()) else {
            return false;
        };
        let is_configured =
            pairs.iter().any(|(_, pair)| pair.local.contains(&local) && pair.remote.contains(&remote));
        is_configured
            && self.children.values().any(|child| {
                child.state == ChildState::Installed && child.local == local && child.remote == remote
            })
    }

    /// Every configured pair of selectors.
    fn allowed_pairs(&self) -> Vec<(Arc<ChildConfig>, Pair)> {
        let children = self.peer.children.iter();
        children
            .flat_map(|config| {
                selectors::pairs(config, &self.ends).into_iter().map(move |pair| (config.clone(), pair))
            })
            .collect()
    }

    fn refuse(
        &mut self,
        cx: &mut Context<'_>,
        cookie: IkeSpi,
        opened: &Opened,
        notify: NotifyType,
        config: Option<Arc<ChildConfig>>,
        failure: ChildFailure,
    ) {
        self.tell_refused(cx, cookie, opened, notify);
        self.child_failed(cx, config.as_ref(), None, failure);
    }

    /// Message 3: the peer has both SAs, so ours may be used.
    pub(super) fn quick_confirmed(&mut self, cx: &mut Context<'_>, cookie: IkeSpi, id: u32) {
        let Some(Step::Answered { exchange, .. }) =
            self.leg_mut(cookie).and_then(|leg| leg.take_exchange(id))
        else {
            return;
        };
        self.confirm(cx, exchange.child);
    }

    /// A pair that the peer has made is whole.
    pub(super) fn confirm(&mut self, cx: &mut Context<'_>, handle: ChildHandle) {
        let order = self.next_order();
        let Some(child) = self.children.get_mut(&handle) else { return };
        child.release_outbound(cx);
        if child.state != ChildState::Pending {
            return;
        }
        child.state = ChildState::Installed;
        child.ready = order;
        self.resolve(cx, handle);
    }

    /// Message 3 never came.
    pub(super) fn quick_abandoned(&mut self, cx: &mut Context<'_>, exchange: &Responder, sent: u32) {
        let Some(child) = self.children.get(&exchange.child) else { return };
        if child.state != ChildState::Pending {
            // A delete of the pair that it replaces has shown that the peer has it.
            return;
        }
        let (config, inbound, protocol) =
            (child.config.clone(), child.inbound, crate::quick::protocol_of(&child.suite));
        // If the peer has sent it after all, it thinks that the pair is whole.
        self.tell_deleted(cx, protocol, Vec::from([inbound]));
        self.remove_child(cx, exchange.child, RemoveReason::Expired);
        self.child_failed(cx, Some(&config), None, ChildFailure::NoAnswer { sent });
    }
}
