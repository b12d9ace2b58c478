//! One IPsec node: IKE, databases and ESP, arranged.
//!
//! | module | what is in it |
//! |---|---|
//! | `config` | [`EngineConfig`], [`TunnelConfig`] |
//! | `event` | what goes in and out |
//! | `tunnel` | what is kept of each tunnel |
//! | `control` | commands, and what IKE's events lead to |
//! | `retry` | tunnels that are to be kept are never given up |
//! | `install` | SAs into the databases and out of them |
//! | `inner`, `outer` | the data path, from either side |
//! | `status` | how everything is |

mod config;
mod control;
mod event;
mod inner;
mod install;
mod outer;
mod preset;
mod retry;
mod status;
mod tunnel;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use ikebana_core::{Instant, SecureRandom, SpiAllocator};
use ikebana_crypto::CryptoProvider;
use ikebana_ike::{ChildHandle, EndpointConfig, EndpointStats, IkeSaHandle, Listener};
use ikebana_ikev2::Endpoint;
use ikebana_sa_database::SaDatabase;

use install::{InboundObject, OutboundObject};
use tunnel::Tunnel;

pub use config::{DeadPeerAction, EngineConfig, Retry, Start, TunnelConfig};
pub use event::{
    ArrivalFate, Arriving, DropCause, DropCounts, Event, Leaving, LeavingFate, Output, Port, Sending,
};
pub use preset::ConfigError;
pub use status::{ChildStatus, IkeStatus, TunnelState, TunnelStatus};

/// Names a tunnel for as long as the engine lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TunnelId(u64);

impl fmt::Display for TunnelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tunnel-{}", self.0)
    }
}

/// One IPsec node.
///
/// Data packets take the direct path: [`handle_packets`](Self::handle_packets) seals a batch in place,
/// [`handle_datagrams`](Self::handle_datagrams) opens one in place, and each packet's fate is written beside it.
/// Everything else comes out of [`poll_output`](Self::poll_output), to be drained after every call.
/// [`poll_timeout`](Self::poll_timeout) says when [`handle_timeout`](Self::handle_timeout) is due.
pub struct Engine {
    config: EngineConfig,
    provider: Arc<CryptoProvider>,
    ike: Endpoint,
    database: SaDatabase<InboundObject, OutboundObject>,
    tunnels: BTreeMap<TunnelId, Tunnel>,
    by_ike: BTreeMap<IkeSaHandle, TunnelId>,
    by_child: BTreeMap<ChildHandle, TunnelId>,
    out: VecDeque<Output>,
    drops: DropCounts,
    now: Instant,
    next_tunnel: u64,
    /// Word to senders of packets that are too big is limited in rate (RFC 4443 2.4 f).
    too_big_limit: ikebana_ike::admission::RateLimit,
}

impl Engine {
    /// A node without tunnels.
    #[must_use]
    pub fn new(
        config: EngineConfig,
        provider: Arc<CryptoProvider>,
        mut rng: Box<dyn SecureRandom>,
        spis: Box<dyn SpiAllocator>,
    ) -> Self {
        let database = SaDatabase::new(&mut *rng, config.database);
        let endpoint = EndpointConfig {
            listeners: Vec::new(),
            limits: config.limits,
            retransmission: config.retransmission,
            nat_t_port: config.nat_t_port,
        };
        Self {
            ike: Endpoint::new(Arc::new(endpoint), provider.clone(), rng, spis),
            config,
            provider,
            database,
            tunnels: BTreeMap::new(),
            by_ike: BTreeMap::new(),
            by_child: BTreeMap::new(),
            out: VecDeque::new(),
            drops: DropCounts::default(),
            now: Instant::ZERO,
            next_tunnel: 1,
            too_big_limit: ikebana_ike::admission::RateLimit::new(100),
        }
    }

    /// The next output. Drain it after every call.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let retries = self.tunnels.values().filter_map(Tunnel::deadline);
        retries.chain(self.ike.poll_timeout()).chain(self.database.poll_timeout()).min()
    }

    /// Does what is due. Calling it early, or twice, does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance_clock(now);
        self.ike.handle_timeout(self.now);
        self.database.handle_timeout(self.now);
        self.retry_due();
        self.settle();
    }

    /// Counters of the IKE endpoint.
    #[must_use]
    pub fn ike_stats(&self) -> &EndpointStats {
        self.ike.stats()
    }

    /// Counters of packets that the data path dropped.
    #[must_use]
    pub fn drops(&self) -> &DropCounts {
        &self.drops
    }

    /// Time never goes backwards here, whatever the caller's clock does.
    fn advance_clock(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// Lets IKE know which first messages are acceptable: what the tunnels allow, by address.
    fn refresh_listeners(&mut self) {
        let mut listeners: Vec<Listener> = Vec::new();
        for tunnel in self.tunnels.values() {
            let from = tunnel.accepted_from();
            let same = listeners.iter_mut().find(|listener| {
                listener.from == from && listener.encapsulation == tunnel.peer.encapsulation
            });
            match same {
                Some(listener) => {
                    for proposal in &tunnel.peer.proposals {
                        if !listener.proposals.contains(proposal) {
                            listener.proposals.push(proposal.clone());
                        }
                    }
                }
                None => listeners.push(Listener {
                    from,
                    proposals: tunnel.peer.proposals.clone(),
                    prefer: tunnel.peer.prefer,
                    encapsulation: tunnel.peer.encapsulation,
                }),
            }
        }
        // The first match decides, so the entries that say most come first.
        listeners.sort_by_key(|listener| listener.from.is_empty());
        self.ike.set_listeners(listeners);
    }
}
