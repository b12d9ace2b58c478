//! An authenticated IKE SA and its child SAs.
//!
//! What the application calls one IKE SA can be several on the wire for a while: the one in use, one that
//! replaces it, one that both sides made at the same moment and that has to go. Each of them is a [`Leg`] with
//! a window and at most one exchange of ours. The child SAs belong to all legs together, so that nothing has to
//! move when a leg does.
//!
//! | module | what is in it |
//! |---|---|
//! | `task` | exchanges that wait for their turn, and starting them |
//! | `create` | CREATE_CHILD_SA for child SAs: our requests |
//! | `created` | what comes back to them |
//! | `accept` | the peer's requests for child SAs |
//! | `rekey_ike` | CREATE_CHILD_SA for the IKE SA itself, both sides |
//! | `informational` | deletes, liveness, notifications |
//! | `clock` | lifetimes, liveness, keepalives, repetition |

mod accept;
mod clock;
mod create;
mod created;
mod informational;
mod rekey_ike;
mod task;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use ikebana_core::{Identity, IkeSpi, Instant, Lifetime};
use ikebana_ike::{
    ChildHandle, CloseReason, DropReason, Event, ExchangeType, IkeHeader, IkeSaHandle, NatSituation,
    PeerConfig, RemoveReason,
};

use crate::auth::PeerAuthenticated;
use crate::child::selectors::Ends;
use crate::child::{Carrier, Child};
use crate::context::Context;
use crate::payloads::{Payloads, notify};
use crate::sa::{IkeSa, Request, Route, Verified};
use crate::wire::{NotifyType, OpenError, ParseError, Payload, rules};

pub(crate) use create::CreateExchange;
pub(crate) use rekey_ike::RekeyIkeExchange;
pub(crate) use task::{Queue, Task};

/// How long we wait for a peer to delete what it has replaced, before we do.
///
/// Longer than a peer commonly repeats its request, because until it has our answer it has nothing to delete.
const REPLACED_TIMEOUT: Duration = Duration::from_secs(180);

/// How long a deleted inbound SA still takes packets that were on their way.
const LINGER: Duration = Duration::from_secs(3);

/// How long a leg that the peer has deleted repeats its answer to that, should the answer be lost. Peers
/// commonly repeat a request after two to four seconds, and twice as long after that.
const LEG_LINGER: Duration = Duration::from_secs(30);

/// How long a peer may be too busy (RFC 7296 2.25: several minutes).
const BUSY_TIMEOUT: Duration = Duration::from_secs(300);

/// Two refusals further apart than this, longer than any wait between two attempts, are not of one spell.
const BUSY_PAUSE: Duration = Duration::from_secs(60);

/// Legs at the most. Three are enough for honest peers, and a few more for such as rekey in quick succession.
const MOST_LEGS: usize = 8;

/// What has become of an IKE SA on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is in use, or may be when a collision is decided.
    Live,
    /// The peer replaced it and will delete it, at the latest at this time.
    Superseded(Instant),
    /// We have to delete it as soon as its window allows.
    DeleteWanted,
    /// Our delete is under way.
    Deleting,
    /// Deleted. It only repeats its last answers, until this time.
    Gone(Instant),
}

/// One IKE SA on the wire.
pub(crate) struct Leg {
    pub(crate) sa: IkeSa,
    pub(crate) fate: Fate,
    exchange: Option<Exchange>,
    /// Whether the peer is known to have this leg, too. Until a message of its own comes in, that is so only
    /// where its answer made the leg.
    proven: bool,
}

impl Leg {
    pub(crate) const fn new(sa: IkeSa) -> Self {
        let proven = sa.initiator;
        Self { sa, fate: Fate::Live, exchange: None, proven }
    }

    /// Whether a new exchange of ours may start here.
    fn is_free(&self) -> bool {
        self.exchange.is_none() && !self.sa.window.is_busy()
    }
}

/// An exchange of ours that is under way.
pub(crate) enum Exchange {
    /// A new child SA, or one in place of another.
    Create(Box<CreateExchange>),
    /// A new IKE SA in place of this one.
    RekeyIke(Box<RekeyIkeExchange>),
    /// Child SAs to delete.
    DeleteChildren(Vec<ChildHandle>),
    /// The end of this leg.
    DeleteLeg,
    /// A sign of life.
    Liveness,
}

/// How an established IKE SA ends.
#[derive(Debug)]
pub(crate) enum End {
    /// The peer deleted it, over the leg with this SPI of ours, and has its answer.
    ByPeer(IkeSpi),
    /// We delete it, telling the peer.
    Tell(CloseReason, RemoveReason),
    /// It is over and nobody needs to be told.
    Silent(CloseReason, RemoveReason),
}

/// An authenticated IKE SA.
pub(crate) struct Established {
    pub(crate) handle: IkeSaHandle,
    pub(crate) peer: Arc<PeerConfig>,
    pub(crate) local_id: Identity,
    pub(crate) remote_id: Identity,
    pub(crate) route: Route,
    pub(crate) nat: NatSituation,
    /// Whether ESP travels in UDP.
    pub(crate) esp_in_udp: bool,
    pub(crate) ends: Ends,
    pub(crate) legs: Vec<Leg>,
    /// Our SPI of the leg that new exchanges use.
    pub(crate) current: IkeSpi,
    pub(crate) children: BTreeMap<ChildHandle, Child>,
    pub(crate) queue: Queue,
    heard: Instant,
    sent: Instant,
    soft: Option<Instant>,
    hard: Option<Instant>,
    /// Since when, and when last, the peer has been too busy for any CREATE_CHILD_SA.
    busy: Option<(Instant, Instant)>,
    _proof: PeerAuthenticated,
}

/// What the first two exchanges have settled.
pub(crate) struct Beginning {
    pub(crate) handle: IkeSaHandle,
    pub(crate) peer: Arc<PeerConfig>,
    pub(crate) local_id: Identity,
    pub(crate) remote_id: Identity,
    pub(crate) route: Route,
    pub(crate) nat: NatSituation,
    pub(crate) esp_in_udp: bool,
    pub(crate) ends: Ends,
    pub(crate) sa: IkeSa,
    pub(crate) proof: PeerAuthenticated,
}

impl Established {
    /// Starts the authenticated life of an IKE SA, and tells the application of it.
    pub(crate) fn begin(cx: &mut Context<'_>, from: Beginning) -> Self {
        let current = from.sa.local_spi;
        let mut new = Self {
            handle: from.handle,
            peer: from.peer,
            local_id: from.local_id,
            remote_id: from.remote_id,
            route: from.route,
            nat: from.nat,
            esp_in_udp: from.esp_in_udp,
            ends: from.ends,
            legs: Vec::from([Leg::new(from.sa)]),
            current,
            children: BTreeMap::new(),
            queue: Queue::default(),
            heard: cx.now,
            sent: cx.now,
            soft: None,
            hard: None,
            busy: None,
            _proof: from.proof,
        };
        new.draw_lifetime(cx);
        if let Some(leg) = new.legs.first() {
            cx.event(Event::Established(Box::new(ikebana_ike::Established {
                ike: new.handle,
                peer: new.peer.clone(),
                initiator: leg.sa.initiator,
                local_id: new.local_id.clone(),
                remote_id: new.remote_id.clone(),
                initiator_spi: leg.sa.initiator_spi(),
                responder_spi: leg.sa.responder_spi(),
                suite: leg.sa.suite,
                path: new.route.path,
                nat: new.nat,
                encapsulated: new.esp_in_udp,
                xauth_user: None,
            })));
        }
        cx.stats.established = cx.stats.established.saturating_add(1);
        new
    }

    fn draw_lifetime(&mut self, cx: &mut Context<'_>) {
        let Lifetime { soft_time, hard_time, .. } = self.peer.lifetime.jittered(cx.rng);
        self.soft = soft_time.map(|time| cx.now + time);
        self.hard = hard_time.map(|time| cx.now + time);
    }

    pub(crate) const fn carrier(&self) -> Carrier {
        Carrier { ike: self.handle, path: self.route.path, encapsulated: self.esp_in_udp }
    }

    pub(crate) fn leg_mut(&mut self, spi: IkeSpi) -> Option<&mut Leg> {
        self.legs.iter_mut().find(|leg| leg.sa.local_spi == spi)
    }

    pub(crate) fn leg(&self, spi: IkeSpi) -> Option<&Leg> {
        self.legs.iter().find(|leg| leg.sa.local_spi == spi)
    }

    /// Checks a message without changing anything.
    pub(crate) fn verify(
        &self,
        spi: IkeSpi,
        header: &IkeHeader,
        octets: &[u8],
    ) -> Result<Verified, DropReason> {
        let leg = self.leg(spi).ok_or(DropReason::UnknownSpi)?;
        let known = matches!(header.exchange, ExchangeType::INFORMATIONAL | ExchangeType::CREATE_CHILD_SA);
        // The last IKE_AUTH request may come again, and is answered from the cache.
        if !known && header.exchange != ExchangeType::IKE_AUTH {
            return Err(DropReason::UnexpectedExchange);
        }
        let verified = leg.sa.verify(header, octets)?;
        match (&verified, leg.fate) {
            (Verified::Again(_), _) => Ok(verified),
            (_, Fate::Gone(_)) => Err(DropReason::SaClosing),
            (Verified::Request(_), _) if !known => Err(DropReason::UnexpectedExchange),
            _ => Ok(verified),
        }
    }

    /// Processes a verified message that came over `route` for the leg with our SPI `spi`.
    pub(crate) fn process(
        &mut self,
        cx: &mut Context<'_>,
        spi: IkeSpi,
        route: Route,
        verified: Verified,
    ) -> Option<End> {
        if let Some(leg) = self.leg_mut(spi) {
            leg.proven = true;
        }
        match verified {
            Verified::Again(answer) => {
                cx.stats.retransmitted = cx.stats.retransmitted.saturating_add(1);
                cx.transmit(route.path, route.encapsulated, &answer);
                None
            }
            Verified::Request(request) => {
                self.hear(cx, route);
                let end = self.request(cx, spi, route, request);
                end.or_else(|| self.pump(cx))
            }
            Verified::Response(content) => {
                self.hear(cx, route);
                let end = self.response(cx, spi, content);
                end.or_else(|| self.pump(cx))
            }
        }
    }

    /// The peer lives; and if it is behind a NAT that has moved it, so have its packets.
    fn hear(&mut self, cx: &mut Context<'_>, route: Route) {
        self.heard = cx.now;
        // RFC 7296 2.23: the side that is not behind a NAT follows the other one's address and port.
        if self.nat.remote && !self.nat.local {
            self.move_to(cx, route);
        }
    }

    pub(crate) fn move_to(&mut self, cx: &mut Context<'_>, route: Route) {
        if route.path == self.route.path || route.encapsulated != self.route.encapsulated {
            return;
        }
        self.route.path = route.path;
        for child in self.children.values_mut() {
            child.move_to(cx, route.path, self.esp_in_udp);
        }
    }

    fn request(&mut self, cx: &mut Context<'_>, spi: IkeSpi, route: Route, request: Request) -> Option<End> {
        self.leg_mut(spi)?.sa.begin(&request);
        let payloads = match &request.content {
            Ok(payloads) => payloads,
            Err(OpenError::Content(ParseError::UnsupportedCritical(kind))) => {
                // RFC 7296 2.5: the whole request is refused, and the SA lives on.
                let refusal = notify(NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD, Vec::from([kind.0]));
                self.respond(cx, spi, route, &request, &[refusal]);
                return None;
            }
            Err(error) => {
                let problem = alloc::format!("{error}");
                return Some(self.refuse_syntax(cx, spi, route, &request, problem));
            }
        };
        if let Err(violation) = rules::check(request.exchange, false, payloads.as_slice()) {
            let problem = alloc::format!("{violation}");
            return Some(self.refuse_syntax(cx, spi, route, &request, problem));
        }
        match request.exchange {
            ExchangeType::CREATE_CHILD_SA => match self.accept_create(cx, spi, payloads) {
                Ok(answer) => {
                    self.respond(cx, spi, route, &request, &answer);
                    None
                }
                Err(problem) => Some(self.refuse_syntax(cx, spi, route, &request, problem)),
            },
            _ => self.accept_informational(cx, spi, route, &request, payloads),
        }
    }

    /// RFC 7296 2.21.3: INVALID_SYNTAX ends the IKE SA.
    fn refuse_syntax(
        &mut self,
        cx: &mut Context<'_>,
        spi: IkeSpi,
        route: Route,
        request: &Request,
        problem: String,
    ) -> End {
        self.respond(cx, spi, route, request, &[notify(NotifyType::INVALID_SYNTAX, Vec::new())]);
        End::Tell(CloseReason::Protocol(problem), RemoveReason::IkeSaGone)
    }

    fn respond(
        &mut self,
        cx: &mut Context<'_>,
        spi: IkeSpi,
        route: Route,
        request: &Request,
        payloads: &[Payload],
    ) {
        self.sent = cx.now;
        if let Some(leg) = self.leg_mut(spi) {
            leg.sa.send_response(cx, route, request.exchange, request.id, payloads);
        }
    }

    fn response(
        &mut self,
        cx: &mut Context<'_>,
        spi: IkeSpi,
        content: Result<Payloads, OpenError>,
    ) -> Option<End> {
        let leg = self.leg_mut(spi)?;
        leg.sa.window.complete();
        let exchange = leg.exchange.take()?;
        let kind = match exchange {
            Exchange::Create(_) | Exchange::RekeyIke(_) => ExchangeType::CREATE_CHILD_SA,
            Exchange::DeleteChildren(_) | Exchange::DeleteLeg | Exchange::Liveness => {
                ExchangeType::INFORMATIONAL
            }
        };
        let problem = match content {
            // RFC 7296 2.21.3: the peer has ended the IKE SA with this, and no delete follows.
            Ok(payloads) if payloads.has(NotifyType::INVALID_SYNTAX) => {
                self.abandon(cx, exchange);
                if spi != self.current {
                    self.drop_leg(cx, spi);
                    return None;
                }
                let (code, notify) = (NotifyType::INVALID_SYNTAX.0, NotifyType::INVALID_SYNTAX.to_string());
                return Some(End::Silent(CloseReason::PeerError { code, notify }, RemoveReason::IkeSaGone));
            }
            Ok(payloads)
                if kind == ExchangeType::CREATE_CHILD_SA && self.is_out_of_sync(cx.now, &payloads) =>
            {
                self.abandon(cx, exchange);
                let (code, notify) =
                    (NotifyType::TEMPORARY_FAILURE.0, NotifyType::TEMPORARY_FAILURE.to_string());
                return Some(End::Tell(CloseReason::PeerError { code, notify }, RemoveReason::IkeSaGone));
            }
            Ok(payloads) => match rules::check(kind, true, payloads.as_slice()) {
                Ok(()) => return self.complete(cx, spi, exchange, &payloads),
                Err(violation) => alloc::format!("{violation}"),
            },
            Err(error) => alloc::format!("{error}"),
        };
        self.abandon(cx, exchange);
        Some(End::Tell(CloseReason::Protocol(problem), RemoveReason::IkeSaGone))
    }

    /// RFC 7296 2.25: a peer that stays busy for minutes does not have the state that we think it has.
    fn is_out_of_sync(&mut self, now: Instant, answer: &Payloads) -> bool {
        if !answer.has(NotifyType::TEMPORARY_FAILURE) {
            self.busy = None;
            return false;
        }
        let earlier = self.busy.filter(|(_, last)| now.saturating_since(*last) < BUSY_PAUSE);
        let since = earlier.map_or(now, |(since, _)| since);
        self.busy = Some((since, now));
        now.saturating_since(since) >= BUSY_TIMEOUT
    }

    fn complete(
        &mut self,
        cx: &mut Context<'_>,
        spi: IkeSpi,
        exchange: Exchange,
        payloads: &Payloads,
    ) -> Option<End> {
        match exchange {
            Exchange::Create(create) => {
                self.created(cx, spi, *create, payloads);
                None
            }
            Exchange::RekeyIke(rekey) => self.ike_rekeyed(cx, spi, *rekey, payloads),
            Exchange::DeleteChildren(children) => {
                self.children_deleted(cx, &children);
                None
            }
            Exchange::DeleteLeg => {
                self.drop_leg(cx, spi);
                None
            }
            Exchange::Liveness => None,
        }
    }

    /// The pairs that have not been replaced or deleted.
    pub(crate) fn children_in_use(&self) -> impl Iterator<Item = ChildHandle> + '_ {
        let in_use = |child: &&Child| child.state == crate::child::ChildState::Installed;
        self.children.values().filter(in_use).map(|child| child.handle)
    }

    /// Forgets a leg at once.
    pub(crate) fn drop_leg(&mut self, cx: &mut Context<'_>, spi: IkeSpi) {
        let Some(at) = self.legs.iter().position(|leg| leg.sa.local_spi == spi) else { return };
        let leg = self.legs.remove(at);
        cx.release_ike_spi(leg.sa.local_spi);
        if let Some(exchange) = leg.exchange {
            self.abandon(cx, exchange);
        }
    }

    /// Gives back what an exchange that will never be answered had reserved.
    fn abandon(&mut self, cx: &mut Context<'_>, exchange: Exchange) {
        match exchange {
            Exchange::Create(create) => self.abandon_create(cx, *create),
            Exchange::RekeyIke(rekey) => cx.release_ike_spi(rekey.spi()),
            Exchange::DeleteChildren(children) => self.children_deleted(cx, &children),
            Exchange::DeleteLeg | Exchange::Liveness => {}
        }
    }

    /// Removes every child SA. What is left are the legs' IKE SAs, the one with our SPI `first` in front.
    pub(crate) fn dissolve(mut self, cx: &mut Context<'_>, first: IkeSpi, reason: RemoveReason) -> Remains {
        let (mut left, mut under_way) = (Vec::new(), None);
        for leg in core::mem::take(&mut self.legs) {
            match leg.exchange {
                Some(Exchange::Create(create)) => cx.release_esp_spi(create.spi()),
                Some(Exchange::RekeyIke(rekey)) if leg.sa.local_spi == first => under_way = Some(rekey),
                Some(Exchange::RekeyIke(rekey)) => cx.release_ike_spi(rekey.spi()),
                Some(Exchange::DeleteChildren(_) | Exchange::DeleteLeg | Exchange::Liveness) | None => {}
            }
            let at = if leg.sa.local_spi == first { 0 } else { left.len() };
            left.insert(at, leg.sa);
        }
        for child in core::mem::take(&mut self.children).into_values() {
            child.remove(cx, reason);
        }
        Remains { sas: left, rekey: under_way }
    }
}

/// What is left of an IKE SA without its child SAs. The SPIs are still reserved.
pub(crate) struct Remains {
    pub(crate) sas: Vec<IkeSa>,
    /// Our request, over the first of them, for another one in its place.
    pub(crate) rekey: Option<Box<RekeyIkeExchange>>,
}

impl Remains {
    /// The IKE SAs, for when no answer to our request can come any more.
    pub(crate) fn without_rekey(self, cx: &mut Context<'_>) -> Vec<IkeSa> {
        if let Some(rekey) = self.rekey {
            cx.release_ike_spi(rekey.spi());
        }
        self.sas
    }
}
