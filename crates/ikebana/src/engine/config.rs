//! What an engine is to do.

use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use ikebana_core::datagram::{IKE_PORT, NAT_T_PORT};
use ikebana_core::{AddressRange, Secret};
use ikebana_esp::{OuterPolicy, TfcPadding};
use ikebana_ike::{IkeSaHandle, Limits, PeerConfig, Retransmission, XauthCredentials};
use ikebana_sa_database::DatabaseConfig;

use super::sizes::{InnerRouter, SizePolicy};

/// What all tunnels share.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// The local port of IKE messages to a peer's port 500.
    pub ike_port: u16,
    /// The local port that IKE and ESP share.
    pub nat_t_port: u16,
    /// The bounds of work and memory in IKE.
    pub limits: Limits,
    /// How requests to peers that are not known yet are repeated.
    pub retransmission: Retransmission,
    /// The databases.
    pub database: DatabaseConfig,
    /// Packets kept for each tunnel while it comes up.
    pub waiting_packets: usize,
    /// How lost tunnels are taken up again.
    pub retry: Retry,
    /// Who tells inner senders that their packets are too big.
    pub router: InnerRouter,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            ike_port: IKE_PORT,
            nat_t_port: NAT_T_PORT,
            limits: Limits::default(),
            retransmission: Retransmission::default(),
            database: DatabaseConfig::default(),
            waiting_packets: 32,
            retry: Retry::default(),
            router: InnerRouter::default(),
        }
    }
}

/// Waits between attempts at a tunnel that is to be kept. They double from `first` to `longest`, with up to a
/// quarter taken off by chance, and never end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Wait after the first failure; at least 10 milliseconds, whatever is configured.
    pub first: Duration,
    /// The longest wait, or else the first one.
    pub longest: Duration,
}

impl Retry {
    /// An attempt can fail at once, and without a wait the next one would, too, for ever.
    pub(super) fn sane(self) -> Self {
        let first = self.first.max(Duration::from_millis(10));
        Self { first, longest: self.longest.max(first) }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), longest: Duration::from_secs(60) }
    }
}

/// One tunnel: a peer, and when to talk to it.
///
/// There is no `Debug`, since it owns the pre-shared key.
pub struct TunnelConfig {
    /// The version of IKE. A tunnel speaks one of them, whoever starts it.
    pub version: IkeVersion,
    /// The peer: identities, suites, child SAs. Its name is the tunnel's name and has to be unique.
    pub peer: PeerConfig,
    /// The key that both sides share.
    pub pre_shared_key: Secret,
    /// Our address. It has to be known, since NAT detection compares it.
    pub local: IpAddr,
    /// Where the peer is. Without it, the tunnel waits for the peer to come.
    pub remote: Option<SocketAddr>,
    /// Where the peer may come from; empty means anywhere.
    pub accepted_from: Vec<AddressRange>,
    /// When the tunnel comes up.
    pub start: Start,
    /// What happens when the peer has died.
    pub on_dead_peer: DeadPeerAction,
    /// The largest packet the path to the peer takes, in octets, outer IP header included. Routers may say that it
    /// is less: see [`Engine::handle_icmp`](crate::Engine::handle_icmp).
    pub path_mtu: usize,
    /// How outer headers are made.
    pub outer: OuterPolicy,
    /// How much longer packets in tunnel mode look than they are. Peers that cannot have it get none.
    pub tfc: TfcPadding,
    /// What is done with packets that are too big.
    pub sizes: SizePolicy,
    /// What a peer that asks for inner addresses gets.
    pub assign: Vec<ikebana_ike::Assignment>,
    /// IKEv1: who we are where the peer asks for a user ([`XauthRole::Client`](ikebana_ike::XauthRole)).
    pub xauth: Option<XauthCredentials>,
    /// IKEv1: whose word is good where we ask for a user ([`XauthRole::Server`](ikebana_ike::XauthRole)).
    pub xauth_users: Vec<XauthCredentials>,
}

/// A version of IKE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IkeVersion {
    /// RFC 2409. Deprecated by RFC 9395: for peers that speak nothing else. It has to be switched on with
    /// [`Engine::with_ikev1`](crate::Engine::with_ikev1).
    V1,
    /// RFC 7296.
    #[default]
    V2,
}

impl IkeVersion {
    /// The version that an IKE SA is of.
    #[must_use]
    pub const fn of(ike: IkeSaHandle) -> Self {
        if ike.is_ikev1() { Self::V1 } else { Self::V2 }
    }
}

impl fmt::Display for IkeVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::V1 => "IKEv1",
            Self::V2 => "IKEv2",
        })
    }
}

/// When a tunnel comes up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// At once, and again whenever it is lost, for ever.
    #[default]
    Start,
    /// When a packet needs it.
    OnTraffic,
    /// When the peer asks for it.
    Passive,
}

/// What happens to a tunnel whose peer has died (RFC 3706 5.5's three customs).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeadPeerAction {
    /// It is down, until somebody or the next packet asks for it.
    Clear,
    /// It is down, and the next packet brings it up.
    Trap,
    /// It is taken up again at once.
    #[default]
    Restart,
}
