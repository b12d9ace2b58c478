//! One IPsec node: IKE, databases and ESP, arranged.
//!
//! | module | what is in it |
//! |---|---|
//! | `config` | [`EngineConfig`], [`TunnelConfig`] |
//! | `event` | what goes in and out |
//! | `tunnel` | what is kept of each tunnel |
//! | `check` | what a configuration has to be like |
//! | `control` | commands |
//! | `happened` | what the events of IKE and the databases lead to |
//! | `book` | answers to IKE's questions |
//! | `listeners` | what strangers may negotiate |
//! | `retry` | tunnels that are to be kept are never given up |
//! | `protection` | ESP or AH, as an SA has it |
//! | `install` | SAs into the databases and out of them |
//! | `inner`, `outer` | the data path, from either side |
//! | `sizes` | packets that do not fit |
//! | `path_mtu` | what routers say about paths |
//! | `early` | ESP that is ahead of its SA |
//! | `status` | how everything is |
//! | `versions` | IKEv1 and IKEv2 behind one door |

mod book;
mod check;
mod config;
mod control;
mod early;
mod event;
mod happened;
mod inner;
mod install;
mod listeners;
mod outer;
mod path_mtu;
mod preset;
mod protection;
mod retry;
mod sizes;
mod status;
mod tunnel;
mod versions;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use ikebana_core::{Instant, SecureRandom, SpiAllocator, TimerTable};
use ikebana_crypto::CryptoProvider;
use ikebana_ike::admission::RateLimit;
use ikebana_ike::{ChildHandle, EndpointConfig, EndpointStats, IkeSaHandle};
use ikebana_sa_database::SaDatabase;

use early::Early;
use install::{InboundObject, OutboundObject};
use path_mtu::BySpi;
use tunnel::Tunnel;
use versions::Versions;

pub use config::{DeadPeerAction, EngineConfig, IkeVersion, Retry, Start, TunnelConfig};
pub use event::{
    ArrivalFate, Arriving, DropCause, DropCounts, Event, Leaving, LeavingFate, Output, Port, Sending,
};
pub use path_mtu::{NotBelieved, PathMtuStats};
pub use preset::ConfigError;
use sizes::Later;
pub use sizes::{DontFragmentPolicy, FragmentPolicy, InnerRouter, MssPolicy, SizePolicy};
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
    ike: Versions,
    database: SaDatabase<InboundObject, OutboundObject>,
    tunnels: BTreeMap<TunnelId, Tunnel>,
    by_name: BTreeMap<String, TunnelId>,
    by_ike: BTreeMap<IkeSaHandle, TunnelId>,
    by_child: BTreeMap<ChildHandle, TunnelId>,
    by_spi: BySpi,
    /// When tunnels are to be taken up again.
    timers: TimerTable<TunnelId>,
    /// Tunnels that have lost an SA, why, and whether they still carry packets is to be looked at.
    lost: Vec<(TunnelId, String)>,
    listeners_stale: bool,
    out: VecDeque<Output>,
    /// Memory for what is known of fragments during a call.
    later: Later,
    /// For packets that are fragmented although they did not expect it.
    identification: u16,
    early: Early,
    /// Where packets are opened that may become longer by it. Empty until there is one.
    decompressed: Vec<u8>,
    drops: DropCounts,
    now: Instant,
    next_tunnel: u64,
    /// Word to senders of packets that are too big is limited in rate (RFC 4443 2.4 f).
    too_big_limit: RateLimit,
    /// Routers' words about paths are looked at so often.
    path_mtu_limit: RateLimit,
    path_mtu_stats: PathMtuStats,
    /// Strangers must not fill the event queue.
    stranger_limit: RateLimit,
    /// Nor must peers, however they misbehave.
    problem_limit: RateLimit,
    withheld: u64,
}

/// Events about the failures of strangers, per second.
const STRANGERS_PER_SECOND: u32 = 10;
/// Events about failures of peers that are known, per second.
const PROBLEMS_PER_SECOND: u32 = 50;
/// Messages to inner senders of packets that are too big, per second.
const TOO_BIG_PER_SECOND: u32 = 100;

impl Engine {
    /// A node without tunnels, which speaks IKEv2 alone.
    #[must_use]
    pub fn new(
        config: EngineConfig,
        provider: Arc<CryptoProvider>,
        mut rng: Box<dyn SecureRandom>,
        spis: Box<dyn SpiAllocator>,
    ) -> Self {
        let config = EngineConfig { retry: config.retry.sane(), ..config };
        let database = SaDatabase::new(&mut *rng, config.database);
        let early = Early::new();
        Self {
            ike: Versions::new(endpoint(&config), provider.clone(), rng, spis, &early),
            config,
            provider,
            database,
            tunnels: BTreeMap::new(),
            by_name: BTreeMap::new(),
            by_ike: BTreeMap::new(),
            by_child: BTreeMap::new(),
            by_spi: BySpi::default(),
            timers: TimerTable::new(),
            lost: Vec::new(),
            listeners_stale: false,
            out: VecDeque::new(),
            later: Later::new(),
            identification: 1,
            early,
            decompressed: Vec::new(),
            drops: DropCounts::default(),
            now: Instant::ZERO,
            next_tunnel: 1,
            too_big_limit: RateLimit::new(TOO_BIG_PER_SECOND),
            path_mtu_limit: RateLimit::new(path_mtu::REPORTS_PER_SECOND),
            path_mtu_stats: PathMtuStats::default(),
            stranger_limit: RateLimit::new(STRANGERS_PER_SECOND),
            problem_limit: RateLimit::new(PROBLEMS_PER_SECOND),
            withheld: 0,
        }
    }

    /// The same node with IKEv1 besides, for tunnels that ask for it ([`TunnelConfig::version`]).
    ///
    /// IKEv1 is deprecated (RFC 9395) and off unless this is called. Even then, IKEv1 messages are dropped
    /// while no tunnel asks for it. `rng` must not repeat what the source given to [`new`](Self::new) draws;
    /// `spis` may be the same kind of allocator, of the same shard: the two versions never give one SPI to two
    /// SAs. A second call changes nothing.
    #[must_use]
    pub fn with_ikev1(mut self, rng: Box<dyn SecureRandom>, spis: Box<dyn SpiAllocator>) -> Self {
        self.ike.add_ikev1(endpoint(&self.config), self.provider.clone(), rng, spis, &self.early);
        self
    }

    /// The next output. Drain it after every call.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let all = [
            self.timers.next(),
            self.ike.poll_timeout(),
            self.database.poll_timeout(),
            self.early.deadline(),
        ];
        all.into_iter().flatten().min()
    }

    /// Does what is due. Calling it early, or twice, does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance_clock(now);
        self.ike.handle_timeout(self.now);
        self.database.handle_timeout(self.now);
        self.give_up_early();
        self.retry_due();
        self.settle();
    }

    /// Counters of IKE, both versions together.
    #[must_use]
    pub fn ike_stats(&self) -> EndpointStats {
        self.ike.stats()
    }

    /// Counters of packets that the data path dropped.
    #[must_use]
    pub fn drops(&self) -> &DropCounts {
        &self.drops
    }

    /// How many [`Event::Problem`]s were not told because there were too many at a time: 10 a second about
    /// strangers and 50 a second about peers that are known. What they were about is in other counters.
    #[must_use]
    pub const fn withheld_problems(&self) -> u64 {
        self.withheld
    }

    /// Time never goes backwards here, whatever the caller's clock does.
    fn advance_clock(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }
}

/// What the endpoints of both versions are told. Who may talk to them comes with the tunnels.
const fn endpoint(config: &EngineConfig) -> EndpointConfig {
    EndpointConfig {
        listeners: Vec::new(),
        limits: config.limits,
        retransmission: config.retransmission,
        nat_t_port: config.nat_t_port,
    }
}
