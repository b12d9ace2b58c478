//! What every step of the protocol is given: time, randomness, algorithms, configuration, and where results go.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use ikebana_core::{EspSpi, Identity, IkeSpi, Instant, Path, SecureRandom, SpiAllocator};
use ikebana_crypto::CryptoProvider;
use ikebana_ike::{
    ChildHandle, EndpointConfig, EndpointStats, Event, IkeSaHandle, Output, Query, QueryId, Transmit,
};

/// The endpoint's parts that a connection may use while it handles something.
pub(crate) struct Context<'a> {
    pub(crate) now: Instant,
    pub(crate) rng: &'a mut dyn SecureRandom,
    pub(crate) provider: &'a CryptoProvider,
    pub(crate) config: &'a EndpointConfig,
    pub(crate) registry: &'a mut Registry,
    pub(crate) stats: &'a mut EndpointStats,
    pub(crate) out: &'a mut VecDeque<Output>,
}

impl Context<'_> {
    /// A nonce of ours. RFC 7296 2.10 wants at least 16 octets and half the prf's key; 32 is that for all.
    pub(crate) fn nonce(&mut self) -> Vec<u8> {
        let mut nonce = alloc::vec![0; 32];
        self.rng.fill_public(&mut nonce);
        nonce
    }

    /// Queues an event.
    pub(crate) fn event(&mut self, event: Event) {
        self.out.push_back(Output::Event(event));
    }

    /// Queues a message for `path`, with the non-ESP marker where the path is shared with ESP.
    pub(crate) fn transmit(&mut self, path: Path, encapsulated: bool, message: &[u8]) {
        let mut octets = Vec::with_capacity(message.len() + 4);
        if encapsulated {
            octets.extend_from_slice(&[0; 4]);
        }
        octets.extend_from_slice(message);
        self.stats.sent = self.stats.sent.saturating_add(1);
        self.out.push_back(Output::Transmit(Transmit { path, octets }));
    }

    /// Asks the application something on behalf of `ike`.
    pub(crate) fn ask(&mut self, ike: IkeSaHandle, query: Query) -> QueryId {
        let id = self.registry.query_id();
        self.registry.queries.insert(id, ike);
        self.event(Event::Query(id, query));
        id
    }

    /// An IKE SPI that no IKE SA of ours has, reserved for `ike`.
    pub(crate) fn ike_spi(&mut self, ike: IkeSaHandle) -> IkeSpi {
        loop {
            let spi = self.registry.spis.ike_spi(self.rng);
            if !spi.is_zero() && !self.registry.by_spi.contains_key(&spi) {
                self.registry.by_spi.insert(spi, ike);
                return spi;
            }
        }
    }

    /// An ESP or AH SPI that no inbound SA of ours has, reserved until [`Self::release_esp_spi`].
    pub(crate) fn esp_spi(&mut self) -> EspSpi {
        loop {
            let spi = self.registry.spis.esp_spi(self.rng);
            if self.registry.esp_spis.insert(spi) {
                return spi;
            }
        }
    }

    pub(crate) fn release_ike_spi(&mut self, spi: IkeSpi) {
        self.registry.by_spi.remove(&spi);
    }

    pub(crate) fn release_esp_spi(&mut self, spi: EspSpi) {
        self.registry.esp_spis.remove(&spi);
    }
}

/// Names in use, all connections together.
pub(crate) struct Registry {
    spis: Box<dyn SpiAllocator>,
    /// Our IKE SPIs. Ordered maps: a peer cannot choose our SPIs, and iteration is never by chance.
    pub(crate) by_spi: BTreeMap<IkeSpi, IkeSaHandle>,
    esp_spis: BTreeSet<EspSpi>,
    pub(crate) queries: BTreeMap<QueryId, IkeSaHandle>,
    pub(crate) children: BTreeMap<ChildHandle, IkeSaHandle>,
    /// New IKE SAs whose older namesakes have to go: the new one, our identity, the peer's.
    pub(crate) superseded: Vec<(IkeSaHandle, Identity, Identity)>,
    next: u64,
}

impl Registry {
    pub(crate) fn new(spis: Box<dyn SpiAllocator>) -> Self {
        Self {
            spis,
            by_spi: BTreeMap::new(),
            esp_spis: BTreeSet::new(),
            queries: BTreeMap::new(),
            children: BTreeMap::new(),
            superseded: Vec::new(),
            next: 1,
        }
    }

    fn number(&mut self) -> u64 {
        let number = self.next;
        self.next = self.next.saturating_add(1);
        number
    }

    pub(crate) fn ike_handle(&mut self) -> IkeSaHandle {
        IkeSaHandle::new(self.number())
    }

    /// A handle for a child SA pair of `ike`; forgotten by removing it from `children`.
    pub(crate) fn child_handle(&mut self, ike: IkeSaHandle) -> ChildHandle {
        let child = ChildHandle::new(self.number());
        self.children.insert(child, ike);
        child
    }

    fn query_id(&mut self) -> QueryId {
        QueryId::new(self.number())
    }

    /// Whether nothing has been left behind.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_spi.is_empty()
            && self.esp_spis.is_empty()
            && self.queries.is_empty()
            && self.children.is_empty()
    }
}
