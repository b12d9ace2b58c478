//! An association whose phase 1 is done: ISAKMP SAs, child SAs, and the exchanges that make and end them.
//!
//! What the application calls one IKE SA can be several ISAKMP SAs on the wire: the one in use, and for a while
//! those it has replaced. Each of them is a [`Leg`]. It can also be none, when the peer has deleted the last one
//! and its child SAs go on, as RFC 2409 lets them. The child SAs belong to the association, so nothing has to
//! move when a leg comes or goes.
//!
//! | module | what is in it |
//! |---|---|
//! | `leg` | one ISAKMP SA: message ids, exchanges under way, repetition |
//! | `receive` | what a message is, and where it goes |
//! | `task` | what waits to be done, and starting it |
//! | `asked` | quick mode: our exchanges |
//! | `answered` | quick mode: the peer's |
//! | `overlap` | which pair replaces which, and when the old one goes |
//! | `notices` | informational exchanges: deletes, dead peer detection, notifications |
//! | `renewal` | phase 1 again |
//! | `settling` | XAUTH and mode config, which come before anything else |
//! | `clock` | lifetimes, liveness, keepalives, repetition |
//! | `closing` | the end |

mod answered;
mod asked;
mod clock;
mod closing;
mod leg;
mod notices;
mod overlap;
mod receive;
mod renewal;
mod settling;
mod task;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use ikebana_core::{AddressRange, Identity, IkeSpi, Instant, Lifetime};
use ikebana_ike::{
    ChildConfig, ChildFailure, ChildHandle, CloseReason, Event, IkeSaHandle, NatSituation, PeerConfig,
    RemoveReason, XauthRole,
};

use crate::children::{Carrier, Child, ChildState};
use crate::context::{Context, Route};
use crate::phase1::{Initiator as Phase1, Phase1Done};
use crate::quick::Setting;
use crate::selectors::Ends;

pub(crate) use closing::Lingering;
use leg::Step;
pub(crate) use leg::{Fate, Leg};
pub(crate) use task::Task;

use notices::{Notice, Probe};
use settling::Settling;
use task::Queue;

/// How an association ends.
#[derive(Debug)]
pub(crate) enum End {
    /// We delete it, telling the peer.
    Tell(CloseReason, RemoveReason),
    /// It is over and the peer knows, or nobody is there to be told.
    Silent(CloseReason, RemoveReason),
    /// The peer did not go on with XAUTH or mode config.
    Unsettled {
        /// How often our last message was sent; never if the step was the peer's alone.
        sent: u32,
    },
    /// A user could not prove who they are. The peer has been told as XAUTH does.
    Xauth {
        /// Who they said they were.
        user: String,
        /// Which side refused, and why.
        detail: String,
    },
}

/// An association with an authenticated peer.
pub(crate) struct Established {
    pub(crate) handle: IkeSaHandle,
    pub(crate) peer: Arc<PeerConfig>,
    pub(crate) local_id: Identity,
    pub(crate) remote_id: Identity,
    pub(crate) route: Route,
    pub(crate) nat: NatSituation,
    /// Whether ESP travels in UDP.
    pub(crate) esp_in_udp: bool,
    /// Whether NAT traversal is that of the drafts.
    nat_draft: bool,
    /// The ISAKMP SAs, the oldest first.
    pub(crate) legs: Vec<Leg>,
    pub(crate) children: BTreeMap<ChildHandle, Child>,
    ends: Ends,
    /// Whether we started the association.
    initiator: bool,
    /// Whether the application has been told that it is established.
    announced: bool,
    queue: Queue,
    settling: Settling,
    renewal: Option<Box<Phase1>>,
    renewal_began: Instant,
    /// No attempt to renew before this time.
    renew_after: Instant,
    /// When we last deleted what the peer had renewed.
    old_went_at: Option<Instant>,
    /// Whether the peer has more than one association where we have this one.
    peer_has_several: bool,
    probe: Option<Probe>,
    /// The number of the last R-U-THERE of ours.
    probes: u32,
    notices: Vec<Notice>,
    /// Counts exchanges and pairs, to tell what came first.
    order: u64,
    heard: Instant,
    sent: Instant,
    soft: Option<Instant>,
    /// How the association ends once nothing is left of it.
    last_words: CloseReason,
}

impl Established {
    /// Starts the life of an association after phase 1.
    pub(crate) fn begin(cx: &mut Context<'_>, handle: IkeSaHandle, done: Phase1Done) -> (Self, Option<End>) {
        let initiator = done.isakmp.initiator;
        let mut new = Self {
            handle,
            peer: done.peer.clone(),
            local_id: done.local_id.clone(),
            remote_id: done.remote_id.clone(),
            route: done.route,
            nat: done.nat,
            esp_in_udp: done.encapsulated,
            nat_draft: done.nat_draft,
            legs: Vec::new(),
            children: BTreeMap::new(),
            ends: Ends::outer(done.route.path),
            initiator,
            announced: false,
            queue: Queue::default(),
            settling: Settling::default(),
            renewal: None,
            renewal_began: cx.now,
            renew_after: cx.now,
            old_went_at: None,
            peer_has_several: false,
            probe: None,
            probes: 0,
            notices: Vec::new(),
            order: 0,
            heard: cx.now,
            sent: cx.now,
            soft: None,
            last_words: CloseReason::Peer,
        };
        let xauth = done.xauth;
        if xauth && done.replaces_older() {
            new.replace_when_settled(done.isakmp.local_cookie());
        }
        new.add_leg(cx, done);
        let end = new.settle(cx, xauth, true);
        let end = end.or_else(|| new.pump(cx));
        (new, end)
    }

    /// Tells the application, once phase 1 and XAUTH are done, and queues what is to be made.
    fn announce(&mut self, cx: &mut Context<'_>, xauth_user: Option<String>) {
        if core::mem::replace(&mut self.announced, true) {
            return;
        }
        let Some(leg) = self.legs.last() else { return };
        cx.event(Event::Established(Box::new(ikebana_ike::Established {
            ike: self.handle,
            peer: self.peer.clone(),
            initiator: self.initiator,
            local_id: self.local_id.clone(),
            remote_id: self.remote_id.clone(),
            initiator_spi: leg.isakmp.initiator_cookie,
            responder_spi: leg.isakmp.responder_cookie,
            suite: leg.isakmp.suite.ike,
            path: self.route.path,
            nat: self.nat,
            encapsulated: self.esp_in_udp,
            xauth_user,
        })));
        cx.stats.established = cx.stats.established.saturating_add(1);
    }

    /// Takes in a new ISAKMP SA, and draws the lifetimes from it. What is on probation changes no other one's.
    fn add_leg(&mut self, cx: &mut Context<'_>, done: Phase1Done) {
        let Lifetime { soft_time, hard_time, .. } = self.peer.lifetime.jittered(cx.rng);
        // RFC 2407 4.5.4: the shorter one counts, whatever each side had in mind.
        let hard_time = [hard_time, done.life].into_iter().flatten().min();
        let soft_time = match (soft_time, hard_time) {
            (Some(soft), Some(hard)) if soft >= hard => Some(hard.saturating_mul(9) / 10),
            (None, Some(hard)) => Some(hard.saturating_mul(9) / 10),
            (soft, _) => soft,
        };
        if !(self.announced && done.is_on_probation()) {
            self.soft = soft_time.map(|time| cx.now + time);
            self.probe = None;
        }
        let hard = hard_time.map(|time| cx.now + time);
        self.legs.push(Leg::new(cx.now, hard, done));
    }

    pub(crate) const fn carrier(&self) -> Carrier {
        Carrier { ike: self.handle, path: self.route.path, encapsulated: self.esp_in_udp }
    }

    const fn setting(&self) -> Setting {
        Setting {
            udp: self.esp_in_udp,
            draft: self.nat_draft,
            local: self.route.path.local.ip(),
            remote: self.route.path.remote.ip(),
        }
    }

    /// The ISAKMP SA that new exchanges use: of those in use, the one over which the peer was heard last. It is the
    /// least likely one to be gone at the other end.
    fn current(&self) -> Option<&Leg> {
        self.legs.iter().filter(|leg| leg.is_usable()).max_by_key(|leg| leg.heard)
    }

    fn current_mut(&mut self) -> Option<&mut Leg> {
        self.legs.iter_mut().filter(|leg| leg.is_usable()).max_by_key(|leg| leg.heard)
    }

    /// Gives an ISAKMP SA up over which the peer does not answer, if there is another one to go on with.
    fn give_leg_up(&mut self, cx: &mut Context<'_>, cookie: IkeSpi) -> bool {
        let is_other = |leg: &Leg| leg.is_usable() && leg.isakmp.local_cookie() != cookie;
        let has_other = self.legs.iter().any(is_other);
        if has_other {
            self.delete_leg(cx, cookie);
        }
        has_other
    }

    fn leg(&self, cookie: IkeSpi) -> Option<&Leg> {
        self.legs.iter().find(|leg| leg.isakmp.local_cookie() == cookie)
    }

    /// The way to the peer of an ISAKMP SA: the association's own, unless it is on probation.
    fn route_of(&self, cookie: IkeSpi) -> Route {
        self.leg(cookie).and_then(|leg| leg.probation).map_or(self.route, |probation| probation.route)
    }

    fn leg_mut(&mut self, cookie: IkeSpi) -> Option<&mut Leg> {
        self.legs.iter_mut().find(|leg| leg.isakmp.local_cookie() == cookie)
    }

    /// The next number in the order of exchanges and pairs.
    fn next_order(&mut self) -> u64 {
        self.order = self.order.saturating_add(1);
        self.order
    }

    /// Whether it is ours to start phase 1 again. A server of XAUTH or mode config leaves that to its client.
    fn may_initiate(&self) -> bool {
        self.peer.ikev1.xauth != Some(XauthRole::Server) && !self.peer.assigns_addresses
    }

    /// The pairs that are in use, the oldest first.
    pub(crate) fn children_in_use(&self) -> impl Iterator<Item = ChildHandle> + '_ {
        let in_use = |child: &&Child| child.state == ChildState::Installed;
        self.children.values().filter(in_use).map(|child| child.handle)
    }

    /// Whether there are as many pairs as there may be. Those on their way out do not count.
    fn is_full(&self, cx: &Context<'_>) -> bool {
        let here = |child: &&Child| matches!(child.state, ChildState::Installed | ChildState::Pending);
        self.children.values().filter(here).count() >= cx.config.limits.children
    }

    /// Whether so many pairs are on their way out that no more can be made, not even in their place.
    fn is_crowded(&self, cx: &Context<'_>) -> bool {
        self.children.len() >= cx.config.limits.children.saturating_mul(4)
    }

    /// Whether the peer may renew phase 1 of this association, with XAUTH or without. Two users that have not
    /// proven who they are must not meet in one, or what the one proves would be the other's too.
    pub(crate) fn takes(&self, done: &Phase1Done) -> bool {
        !done.is_on_probation() || self.announced && self.settling.is_settled()
    }

    /// Whether it began with the peer and has not come to what the application is told of: half-open, that is.
    pub(crate) const fn is_half_open(&self) -> bool {
        !self.initiator && !self.announced
    }

    /// The peer lives; and if it is behind a NAT that has moved it, so have its packets.
    fn hear(&mut self, cx: &mut Context<'_>, cookie: IkeSpi, route: Route) {
        if let Some(probation) = self.leg_mut(cookie).and_then(|leg| leg.probation.as_mut()) {
            if probation.nat.remote
                && !probation.nat.local
                && probation.route.encapsulated == route.encapsulated
            {
                probation.route.path = route.path;
            }
            if self.announced {
                return;
            }
        }
        self.heard = cx.now;
        self.probe = None;
        // The side that is not behind a NAT follows the other one's address and port.
        if self.nat.remote && !self.nat.local {
            self.move_to(cx, route);
        }
    }

    fn move_to(&mut self, cx: &mut Context<'_>, route: Route) {
        if route.path == self.route.path || route.encapsulated != self.route.encapsulated {
            return;
        }
        // A "dynamic" selector that stands for the peer's outer address moves with it.
        let outer = AddressRange::single(self.route.path.remote.ip());
        for range in self.ends.remote.iter_mut().filter(|range| **range == outer) {
            *range = AddressRange::single(route.path.remote.ip());
        }
        self.route.path = route.path;
        for child in self.children.keys() {
            cx.event(Event::UpdateSa { child: *child, path: route.path, encapsulated: self.esp_in_udp });
        }
    }

    fn transmit(&mut self, cx: &mut Context<'_>, route: Route, octets: &[u8]) {
        // What goes elsewhere keeps no NAT open on our way to the peer.
        if route.path == self.route.path {
            self.sent = cx.now;
        }
        Route { fragments: self.route.fragments, ..route }.send(cx, octets);
    }

    /// Removes a pair on our side.
    fn remove_child(&mut self, cx: &mut Context<'_>, handle: ChildHandle, reason: RemoveReason) {
        self.queue.forget_child(handle);
        if let Some(child) = self.children.remove(&handle) {
            child.remove(cx, reason);
        }
        // Its exchange may still wait for a message 3 that nobody needs any more. If it stayed, a peer that makes and
        // deletes pairs could have us keep, and repeat, any number of them.
        for leg in &mut self.legs {
            leg.exchanges.retain(|exchange| match &exchange.step {
                Step::Answered { exchange, .. } => exchange.child != handle,
                Step::Asked { .. } | Step::Asking { .. } => true,
            });
        }
    }

    fn child_failed(
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

    /// Whether both associations are with the same peer, so that it may speak of the one over the other.
    pub(crate) fn is_same_peer(&self, other: &Self) -> bool {
        self.peer.name == other.peer.name
            && self.local_id == other.local_id
            && self.remote_id == other.remote_id
            // Of one group's users, none speaks for another.
            && self.user() == other.user()
    }

    /// The association goes on without ISAKMP SA while it has child SAs, and ends when it has neither.
    fn is_spent(&self) -> bool {
        let has_live = self.legs.iter().any(|leg| leg.fate == Fate::Live);
        self.children.is_empty() && self.renewal.is_none() && !has_live
    }
}
