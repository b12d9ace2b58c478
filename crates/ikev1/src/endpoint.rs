//! The endpoint: many associations, one queue of outputs.

mod arrival;
mod peers;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use core::net::SocketAddr;

use ikebana_core::{Datagram, Flow, Instant, Path, SecureRandom, SpiAllocator, TimerTable};
use ikebana_crypto::CryptoProvider;
use ikebana_ike::admission::{HalfOpen, RateLimit};
use ikebana_ike::handle::IKEV1_HANDLES;
use ikebana_ike::{
    Answer, ApiError, ChildConfig, ChildHandle, ChildSignal, Credentials, DropReason, EndpointConfig,
    EndpointStats, Event, IkeSaHandle, Listener, Output, PeerConfig, QueryId, Uniqueness,
};

use crate::connection::{Connection, State};
use crate::context::{Context, Registry};
use crate::established::{Established, Task};
use crate::fragments::Reassembly;
use crate::phase1::Initiator;

/// IKEv1 for one host: any number of peers, both roles.
///
/// What the other version calls an IKE SA is here an association with a peer: its ISAKMP SA, which may be renewed,
/// and the child SAs, which outlive it.
///
/// It does nothing by itself. Feed it with [`handle_datagram`](Self::handle_datagram) and
/// [`handle_timeout`](Self::handle_timeout), give it commands, and after each call drain
/// [`poll_output`](Self::poll_output) and look at [`poll_timeout`](Self::poll_timeout). The crate's first page
/// shows the loop and lists what can be relied on.
pub struct Endpoint {
    config: Arc<EndpointConfig>,
    provider: Arc<CryptoProvider>,
    rng: Box<dyn SecureRandom>,
    registry: Registry,
    /// Ordered by age, so that everything that visits all of them does so in the same order every time.
    connections: BTreeMap<IkeSaHandle, Entry>,
    /// Attempts that a peer has started, by its address and a hash of its first message, to recognise that
    /// message when it comes again.
    opened_by_peer: BTreeMap<Opened, IkeSaHandle>,
    timers: TimerTable<IkeSaHandle>,
    half_open: HalfOpen,
    stateless_replies: RateLimit,
    out: VecDeque<Output>,
    stats: EndpointStats,
    now: Instant,
}

struct Entry {
    connection: Connection,
    /// The first message, if the peer sent it.
    opened: Option<Opened>,
    /// Whether it counts against the half-open limits.
    counted: bool,
    /// A message that comes in parts.
    parts: Reassembly,
}

/// A peer's first message, told apart by where it came from and all of its octets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Opened {
    from: SocketAddr,
    fingerprint: [u8; 32],
}

impl Endpoint {
    /// An endpoint without IKE SAs.
    #[must_use]
    pub fn new(
        config: Arc<EndpointConfig>,
        provider: Arc<CryptoProvider>,
        rng: Box<dyn SecureRandom>,
        spis: Box<dyn SpiAllocator>,
    ) -> Self {
        let stateless_replies = RateLimit::new(config.limits.stateless_replies_per_second);
        Self {
            config,
            provider,
            rng,
            registry: Registry::new(spis, IKEV1_HANDLES | 1),
            connections: BTreeMap::new(),
            opened_by_peer: BTreeMap::new(),
            timers: TimerTable::new(),
            half_open: HalfOpen::default(),
            stateless_replies,
            out: VecDeque::new(),
            stats: EndpointStats::default(),
            now: Instant::ZERO,
        }
    }

    /// Replaces what strangers may negotiate. Existing IKE SAs are not touched.
    pub fn set_listeners(&mut self, listeners: alloc::vec::Vec<Listener>) {
        let config = EndpointConfig { listeners, ..(*self.config).clone() };
        self.config = Arc::new(config);
    }

    /// Takes in an IKE message.
    ///
    /// # Errors
    /// Why the datagram changed nothing. It has been counted in [`stats`](Self::stats) as well, so the error
    /// may be ignored.
    pub fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), DropReason> {
        self.advance_clock(now);
        self.stats.received = self.stats.received.saturating_add(1);
        let result = self.receive(&datagram);
        if let Err(reason) = result {
            self.stats.drops.count(reason);
        }
        result
    }

    /// Does what is due. Calling it early, or twice, does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance_clock(now);
        while let Some(handle) = self.timers.pop_expired(self.now) {
            self.with(handle, Connection::handle_timeout);
            if self.timers.deadline(&handle).is_some_and(|at| at <= self.now) {
                // Whatever is still due has had its chance; it gets the next one after some time has passed.
                self.timers.set(handle, self.now + core::time::Duration::from_millis(1));
            }
        }
    }

    /// Takes in news of a child SA from the data path. An unknown child is ignored: its removal may be on its
    /// way to whoever signals.
    pub fn handle_child_signal(&mut self, now: Instant, child: ChildHandle, signal: ChildSignal) {
        self.advance_clock(now);
        let Some(handle) = self.registry.children.get(&child).copied() else { return };
        self.with(handle, |connection, cx| {
            if let State::Established(established) = &mut connection.state {
                let end = established.signal(cx, child, signal);
                connection.end(cx, end);
            }
        });
    }

    /// Answers a [`Query`](ikebana_ike::Query).
    ///
    /// # Errors
    /// The query is unknown, answered, or of another kind.
    pub fn answer(&mut self, now: Instant, query: QueryId, answer: Answer) -> Result<(), ApiError> {
        self.advance_clock(now);
        let handle = self.registry.queries.get(&query).copied().ok_or(ApiError::NoSuchQuery)?;
        let result = self.with(handle, |connection, cx| connection.answer(cx, query, answer));
        match result {
            Some(Err(ApiError::WrongAnswer)) => Err(ApiError::WrongAnswer),
            Some(result) => {
                self.registry.queries.remove(&query);
                result
            }
            None => Err(ApiError::NoSuchQuery),
        }
    }

    /// Answers every waiting query from `credentials`, for callers that can decide on the spot, and returns
    /// the next output that is not a query.
    pub fn poll_output_with(&mut self, now: Instant, credentials: &mut dyn Credentials) -> Option<Output> {
        loop {
            let output = self.poll_output()?;
            let Output::Event(Event::Query(id, query)) = output else { return Some(output) };
            // A query that has expired meanwhile needs no answer.
            let _ = self.answer(now, id, credentials.answer(&query));
        }
    }

    /// Starts an IKE SA with `peer`. If the path's remote port is not 500, messages carry the non-ESP marker
    /// from the start, as on port 4500.
    ///
    /// # Errors
    /// The configuration cannot work, or the endpoint is full.
    pub fn initiate(
        &mut self,
        now: Instant,
        peer: Arc<PeerConfig>,
        path: Path,
    ) -> Result<IkeSaHandle, ApiError> {
        self.advance_clock(now);
        if self.connections.len() >= self.config.limits.ike_sas {
            return Err(ApiError::Limit("IKE SAs"));
        }
        let initial_contact = peer.uniqueness != Uniqueness::Keep
            && !self.established().any(|other| other.peer.name == peer.name);
        let handle = self.registry.ike_handle();
        let mut cx = self.context();
        let attempt = Initiator::start(&mut cx, handle, peer, Initiator::route(path), initial_contact)?;
        self.adopt(handle, State::Initiating(Box::new(attempt)), None);
        Ok(handle)
    }

    /// Asks the peer for another child SA; `flow` is the packet that needs it, if one does. While such a child
    /// SA exists or is being made, this does nothing.
    ///
    /// # Errors
    /// No such IKE SA, one that is not established, or too many waiting exchanges.
    pub fn create_child(
        &mut self,
        now: Instant,
        ike: IkeSaHandle,
        config: Arc<ChildConfig>,
        flow: Option<Flow>,
    ) -> Result<(), ApiError> {
        self.command(now, ike, Task::Create(config, flow))
    }

    /// Replaces a child SA by a new one.
    ///
    /// # Errors
    /// No such child SA, or too many waiting exchanges.
    pub fn rekey_child(&mut self, now: Instant, child: ChildHandle) -> Result<(), ApiError> {
        let ike = self.registry.children.get(&child).copied().ok_or(ApiError::NoSuchChild)?;
        self.command(now, ike, Task::RekeyChild(child))
    }

    /// Deletes a child SA on both sides.
    ///
    /// # Errors
    /// No such child SA, or too many waiting exchanges.
    pub fn delete_child(&mut self, now: Instant, child: ChildHandle) -> Result<(), ApiError> {
        let ike = self.registry.children.get(&child).copied().ok_or(ApiError::NoSuchChild)?;
        self.command(now, ike, Task::DeleteChild(child))
    }

    /// Replaces the IKE SA's keys and SPIs. The handle and the child SAs stay.
    ///
    /// # Errors
    /// No such IKE SA, or one that is not established.
    pub fn rekey(&mut self, now: Instant, ike: IkeSaHandle) -> Result<(), ApiError> {
        self.command(now, ike, Task::RekeyIke)
    }

    /// Asks the peer for a sign of life now. If it gives none, the IKE SA is closed as dead.
    ///
    /// # Errors
    /// No such IKE SA, or one that is not established.
    pub fn probe(&mut self, now: Instant, ike: IkeSaHandle) -> Result<(), ApiError> {
        self.command(now, ike, Task::Liveness)
    }

    /// Ends an IKE SA and its child SAs. The peer is told if it is established. Its terminal event follows
    /// when the peer has answered, or will not.
    ///
    /// # Errors
    /// No such IKE SA.
    pub fn close(&mut self, now: Instant, ike: IkeSaHandle) -> Result<(), ApiError> {
        self.advance_clock(now);
        self.with(ike, Connection::close).ok_or(ApiError::NoSuchIkeSa)
    }

    /// The next output. Draining late breaks nothing, but the order matters, and until an inbound SA is
    /// installed the packets for it are lost.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The source of randomness that the endpoint was given, for an owner that needs some too.
    pub fn rng(&mut self) -> &mut dyn SecureRandom {
        &mut *self.rng
    }

    /// What has happened so far.
    #[must_use]
    pub fn stats(&self) -> &EndpointStats {
        &self.stats
    }

    /// Whether nothing is left: no IKE SA in any state, no SPI, no query, no timer. Outputs may still wait.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.connections.is_empty()
            && self.timers.is_empty()
            && self.registry.is_empty()
            && self.half_open.total() == 0
            && self.opened_by_peer.is_empty()
    }

    /// The child SAs of an established IKE SA that are in use, the oldest first.
    pub fn children(&self, ike: IkeSaHandle) -> impl Iterator<Item = ChildHandle> + '_ {
        let found = self.connections.get(&ike).and_then(|entry| entry.connection.established());
        found.into_iter().flat_map(Established::children_in_use)
    }

    /// Where an established IKE SA runs now: NATs and address changes move it after
    /// [`Event::Established`](ikebana_ike::Event::Established) has named its first path.
    #[must_use]
    pub fn path(&self, ike: IkeSaHandle) -> Option<Path> {
        Some(self.connections.get(&ike)?.connection.established()?.route.path)
    }

    fn established(&self) -> impl Iterator<Item = &Established> {
        self.connections.values().filter_map(|entry| entry.connection.established())
    }

    fn command(&mut self, now: Instant, ike: IkeSaHandle, task: Task) -> Result<(), ApiError> {
        self.advance_clock(now);
        self.with(ike, |connection, cx| connection.command(cx, task)).unwrap_or(Err(ApiError::NoSuchIkeSa))
    }

    /// Time never goes backwards here, whatever the caller's clock does.
    fn advance_clock(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    fn context(&mut self) -> Context<'_> {
        Context {
            now: self.now,
            rng: &mut *self.rng,
            provider: &self.provider,
            config: &self.config,
            registry: &mut self.registry,
            stats: &mut self.stats,
            out: &mut self.out,
        }
    }

    fn adopt(&mut self, handle: IkeSaHandle, state: State, opened: Option<Opened>) {
        if let Some(opened) = opened {
            self.half_open.enter(opened.from.ip());
            self.opened_by_peer.insert(opened, handle);
        }
        let connection = Connection { handle, state };
        let counted = opened.is_some();
        self.connections.insert(handle, Entry { connection, opened, counted, parts: Reassembly::default() });
        self.settle(handle);
    }

    /// Lets one connection do something, and draws the consequences for the rest of the endpoint.
    fn with<T>(
        &mut self,
        handle: IkeSaHandle,
        action: impl FnOnce(&mut Connection, &mut Context<'_>) -> T,
    ) -> Option<T> {
        let result = self.with_one(handle, action)?;
        self.promote(handle);
        self.heed_notes();
        Some(result)
    }

    fn with_one<T>(
        &mut self,
        handle: IkeSaHandle,
        action: impl FnOnce(&mut Connection, &mut Context<'_>) -> T,
    ) -> Option<T> {
        let entry = self.connections.get_mut(&handle)?;
        let mut cx = Context {
            now: self.now,
            rng: &mut *self.rng,
            provider: &self.provider,
            config: &self.config,
            registry: &mut self.registry,
            stats: &mut self.stats,
            out: &mut self.out,
        };
        let result = action(&mut entry.connection, &mut cx);
        self.settle(handle);
        Some(result)
    }

    /// Brings timers and counts in line with a connection's state.
    fn settle(&mut self, handle: IkeSaHandle) {
        let Some(entry) = self.connections.get_mut(&handle) else { return };
        if let Some(opened) = entry.opened.filter(|_| !entry.connection.is_half_open())
            && core::mem::take(&mut entry.counted)
        {
            self.half_open.leave(opened.from.ip());
        }
        match (&entry.connection.state, entry.connection.deadline()) {
            (State::Gone, _) => {
                if let Some(opened) = entry.opened {
                    self.opened_by_peer.remove(&opened);
                }
                self.timers.cancel(&handle);
                self.connections.remove(&handle);
            }
            (_, Some(at)) => self.timers.set(handle, at),
            (_, None) => {
                self.timers.cancel(&handle);
            }
        }
        self.stats.half_open_now = self.half_open.total();
    }
}
