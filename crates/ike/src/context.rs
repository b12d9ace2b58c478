//! What an endpoint gives to every step of its protocol, and the names it has given out.
//!
//! This is for those who write endpoints; who uses one never sees it. Each version has notes of its own (`N`):
//! what a step leaves for the endpoint to do afterwards, because it concerns other SAs than the step's own.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use ikebana_core::{EspSpi, IkeSpi, Instant, Path, SecureRandom, SpiAllocator};
use ikebana_crypto::CryptoProvider;

use crate::{
    ChildHandle, EndpointConfig, EndpointStats, Event, IkeSaHandle, Output, Query, QueryId, Transmit,
};

/// The endpoint's parts that a connection may use while it handles something: time, randomness, algorithms,
/// configuration, names, and where results go.
pub struct Context<'a, N> {
    /// The time.
    pub now: Instant,
    /// The source of randomness.
    pub rng: &'a mut dyn SecureRandom,
    /// The algorithms that there are.
    pub provider: &'a CryptoProvider,
    /// What strangers may do, and the bounds.
    pub config: &'a EndpointConfig,
    /// Names in use.
    pub registry: &'a mut Registry<N>,
    /// Counters.
    pub stats: &'a mut EndpointStats,
    /// Where events and messages go.
    pub out: &'a mut VecDeque<Output>,
}

impl<N> Context<'_, N> {
    /// A nonce of ours. RFC 7296 2.10 wants at least 16 octets and half the prf's key, RFC 2409 5 from 8 to 256
    /// octets; 32 is that for all.
    #[must_use]
    pub fn nonce(&mut self) -> Vec<u8> {
        let mut nonce = alloc::vec![0; 32];
        self.rng.fill_public(&mut nonce);
        nonce
    }

    /// Queues an event.
    pub fn event(&mut self, event: Event) {
        self.out.push_back(Output::Event(event));
    }

    /// Queues a message for `path`, with the non-ESP marker where the path is shared with ESP.
    pub fn transmit(&mut self, path: Path, encapsulated: bool, message: &[u8]) {
        let mut octets = Vec::with_capacity(message.len().saturating_add(4));
        if encapsulated {
            octets.extend_from_slice(&[0; 4]);
        }
        octets.extend_from_slice(message);
        self.stats.sent = self.stats.sent.saturating_add(1);
        self.out.push_back(Output::Transmit(Transmit { path, octets }));
    }

    /// Asks the application something on behalf of `ike`.
    pub fn ask(&mut self, ike: IkeSaHandle, query: Query) -> QueryId {
        let id = self.registry.query_id();
        self.registry.queries.insert(id, ike);
        self.event(Event::Query(id, query));
        id
    }

    /// Forgets a question: its answer would change nothing any more.
    pub fn withdraw(&mut self, query: QueryId) {
        self.registry.queries.remove(&query);
    }

    /// An IKE SPI that no IKE SA of ours has, reserved for `ike` until [`Self::release_ike_spi`].
    #[must_use]
    pub fn ike_spi(&mut self, ike: IkeSaHandle) -> IkeSpi {
        loop {
            let spi = self.registry.spis.ike_spi(self.rng);
            if !spi.is_zero() && !self.registry.by_spi.contains_key(&spi) {
                self.registry.by_spi.insert(spi, ike);
                return spi;
            }
        }
    }

    /// An ESP or AH SPI that no inbound SA of ours has, reserved until [`Self::release_esp_spi`].
    #[must_use]
    pub fn esp_spi(&mut self) -> EspSpi {
        loop {
            let spi = self.registry.spis.esp_spi(self.rng);
            if self.registry.esp_spis.insert(spi) {
                return spi;
            }
        }
    }

    /// Gives back a SPI of [`Self::ike_spi`].
    pub fn release_ike_spi(&mut self, spi: IkeSpi) {
        self.registry.by_spi.remove(&spi);
    }

    /// Gives back a SPI of [`Self::esp_spi`].
    pub fn release_esp_spi(&mut self, spi: EspSpi) {
        self.registry.esp_spis.remove(&spi);
    }

    /// A handle for a new child SA pair of `ike`, until [`Self::forget_child`].
    #[must_use]
    pub fn child_handle(&mut self, ike: IkeSaHandle) -> ChildHandle {
        let child = ChildHandle::new(self.registry.number());
        self.registry.children.insert(child, ike);
        child
    }

    /// Ends a handle of [`Self::child_handle`].
    pub fn forget_child(&mut self, child: ChildHandle) {
        self.registry.children.remove(&child);
    }

    /// Leaves a note for the endpoint.
    pub fn note(&mut self, note: N) {
        self.registry.notes.push_back(note);
    }
}

/// Names in use, all connections together.
pub struct Registry<N> {
    spis: Box<dyn SpiAllocator>,
    /// Our IKE SPIs. Ordered maps: a peer cannot choose our SPIs, and iteration is never by chance.
    pub by_spi: BTreeMap<IkeSpi, IkeSaHandle>,
    esp_spis: BTreeSet<EspSpi>,
    /// Questions without an answer, by whose they are.
    pub queries: BTreeMap<QueryId, IkeSaHandle>,
    /// Child SA pairs, by whose they are.
    pub children: BTreeMap<ChildHandle, IkeSaHandle>,
    /// What is left for the endpoint to do, the oldest first.
    pub notes: VecDeque<N>,
    next: u64,
}

impl<N> Registry<N> {
    /// Handles and query ids count up from `first`, so that two endpoints of one node never give one name to
    /// two things.
    #[must_use]
    pub fn new(spis: Box<dyn SpiAllocator>, first: u64) -> Self {
        Self {
            spis,
            by_spi: BTreeMap::new(),
            esp_spis: BTreeSet::new(),
            queries: BTreeMap::new(),
            children: BTreeMap::new(),
            notes: VecDeque::new(),
            next: first,
        }
    }

    fn number(&mut self) -> u64 {
        let number = self.next;
        self.next = self.next.saturating_add(1);
        number
    }

    /// A new name for an IKE SA.
    #[must_use]
    pub fn ike_handle(&mut self) -> IkeSaHandle {
        IkeSaHandle::new(self.number())
    }

    fn query_id(&mut self) -> QueryId {
        QueryId::new(self.number())
    }

    /// Whether nothing has been left behind.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_spi.is_empty()
            && self.esp_spis.is_empty()
            && self.queries.is_empty()
            && self.children.is_empty()
            && self.notes.is_empty()
    }
}
