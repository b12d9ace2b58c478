//! What an application wants of its peers and SAs.

mod ikev1;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use ikebana_core::datagram::NAT_T_PORT;
use ikebana_core::{AddressRange, Identity, IdentityPattern, Lifetime, PortRange, TrafficSelector};
use ikebana_proposals::{Prefer, Proposal};

use crate::limits::Limits;

pub use ikev1::{Fragmentation, Ikev1Listener, Ikev1Peer, ModeConfig, Phase1Mode, XauthRole};

/// What an endpoint does with strangers, and how much of it.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    /// Which IKE proposals are acceptable from which addresses, the first matching entry deciding. Identities
    /// are known only later, and then [`Query::SelectPeer`](crate::Query::SelectPeer) settles who the peer is.
    /// Empty means that this endpoint only initiates.
    pub listeners: Vec<Listener>,
    /// The bounds of work and memory.
    pub limits: Limits,
    /// How unanswered requests are repeated, before and after a peer is known.
    pub retransmission: Retransmission,
    /// The local port that ESP shares, to which an initiator moves from port 500 when it finds a NAT
    /// (RFC 7296 2.23).
    pub nat_t_port: u16,
}

impl Default for EndpointConfig {
    /// An endpoint that only initiates, with the usual limits and ports.
    fn default() -> Self {
        Self {
            listeners: Vec::new(),
            limits: Limits::default(),
            retransmission: Retransmission::default(),
            nat_t_port: NAT_T_PORT,
        }
    }
}

/// Acceptable first messages.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Peer addresses this entry is for; empty means every address.
    pub from: Vec<AddressRange>,
    /// Acceptable IKE proposals, the best first.
    pub proposals: Vec<Proposal>,
    /// Whose order counts.
    pub prefer: Prefer,
    /// Whether ESP with these peers travels in UDP. NAT detection happens before the peer is known, so this
    /// is where forcing it is said.
    pub encapsulation: Encapsulation,
    /// What only an IKEv1 endpoint looks at.
    pub ikev1: Ikev1Listener,
}

/// One peer: who it is, how both sides prove it, and what may be negotiated.
#[derive(Clone, Debug)]
pub struct PeerConfig {
    /// The name that events and messages use.
    pub name: String,
    /// Who we say we are.
    pub local_id: Identity,
    /// Who the peer may be.
    pub remote_id: IdentityPattern,
    /// IKE proposals, the best first.
    pub proposals: Vec<Proposal>,
    /// Whose order counts when the peer proposes, in a rekey.
    pub prefer: Prefer,
    /// How each side authenticates.
    pub authentication: Authentication,
    /// Child SAs: all are created when we initiate, the first matching one is taken when the peer does.
    pub children: Vec<Arc<ChildConfig>>,
    /// When the IKE SA is rekeyed and when it must end. Only time counts.
    pub lifetime: Lifetime,
    /// Probing of a silent peer.
    pub liveness: Option<Liveness>,
    /// Whether ESP travels in UDP.
    pub encapsulation: Encapsulation,
    /// How often a NAT in front of us is kept open. RFC 3948 4 suggests 20 seconds.
    pub nat_keepalive: Duration,
    /// How requests to this peer are repeated.
    pub retransmission: Retransmission,
    /// What we ask of the peer's configuration payload; empty asks nothing.
    pub request: Vec<AddressRequest>,
    /// Whether the peer may ask us for addresses ([`Query::AssignAddress`](crate::Query::AssignAddress)).
    pub assigns_addresses: bool,
    /// What happens to an older IKE SA with the same peer.
    pub uniqueness: Uniqueness,
    /// What only IKEv1 looks at.
    pub ikev1: Ikev1Peer,
}

/// How both sides prove who they are. The two sides may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authentication {
    /// How we do.
    pub local: AuthenticationKind,
    /// How the peer must.
    pub remote: AuthenticationKind,
}

impl Authentication {
    /// A pre-shared key on both sides.
    pub const PRE_SHARED_KEY: Self =
        Self { local: AuthenticationKind::PreSharedKey, remote: AuthenticationKind::PreSharedKey };
}

/// One way of proving an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthenticationKind {
    /// Knowledge of a key that both sides were given beforehand.
    PreSharedKey,
}

/// One kind of child SA.
#[derive(Clone, Debug)]
pub struct ChildConfig {
    /// The name that events and messages use.
    pub name: String,
    /// ESP or AH proposals, the best first.
    pub proposals: Vec<Proposal>,
    /// Whose order counts when the peer proposes.
    pub prefer: Prefer,
    /// Traffic on our side.
    pub local: Vec<SelectorTemplate>,
    /// Traffic on the peer's side.
    pub remote: Vec<SelectorTemplate>,
    /// Tunnel or transport.
    pub mode: Mode,
    /// When the SA is rekeyed and when it must end.
    pub lifetime: Lifetime,
    /// Packets an inbound SA looks back; a power of two from 64 to 8192.
    pub replay_window: u32,
    /// Whether packets are compressed with DEFLATE before they are encrypted, if the peer wants it too (IPComp,
    /// RFC 7296 2.22). The length of a compressed packet tells something of what is in it. IKEv2 only.
    pub compress: bool,
}

/// A traffic selector whose addresses may be known only when the IKE SA is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelectorTemplate {
    /// As it stands.
    Fixed(TrafficSelector),
    /// The outer address of that side, or the address assigned to it by the configuration payload.
    Dynamic {
        /// The IP protocol, or any.
        protocol: u8,
        /// The ports.
        ports: PortRange,
    },
}

impl SelectorTemplate {
    /// Every packet of the address that is known later.
    pub const DYNAMIC: Self = Self::Dynamic { protocol: 0, ports: PortRange::ANY };
}

/// What of a packet is protected (RFC 4301 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// The whole packet travels inside a new one.
    Tunnel,
    /// The packet's payload is protected, its addresses stay.
    Transport,
}

/// Whether ESP travels in UDP (RFC 3948).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encapsulation {
    /// Where NAT detection finds a NAT.
    #[default]
    Auto,
    /// Always: our NAT detection payloads are made to look translated.
    Force,
    /// Never; a NAT in the way is then a failure that says so.
    Never,
}

/// Probing of a peer that has been silent (RFC 7296 2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Liveness {
    /// Silence after which an empty INFORMATIONAL request asks for a sign of life.
    pub delay: Duration,
}

/// How an unanswered request is repeated (RFC 7296 2.1).
///
/// The n-th wait is `first × factor^n`, at most `longest`, plus or minus up to `jitter_percent`. After `tries`
/// repetitions and one last wait, the peer is taken to be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retransmission {
    /// Wait before the first repetition.
    pub first: Duration,
    /// Growth from one wait to the next, in per cent; 180 means 1.8 times.
    pub factor_percent: u16,
    /// The longest wait.
    pub longest: Duration,
    /// How many times a request is repeated.
    pub tries: u8,
    /// How far chance moves each wait, in per cent.
    pub jitter_percent: u8,
}

impl Retransmission {
    /// The wait after transmission number `sent`, counted from zero, before chance moves it.
    #[must_use]
    pub fn wait(&self, sent: u32) -> Duration {
        let mut wait = self.first;
        // No request is repeated more often than this.
        for _ in 0..sent.min(u8::MAX.into()) {
            wait = (wait.saturating_mul(self.factor_percent.into()) / 100).min(self.longest);
        }
        wait.min(self.longest)
    }

    /// The longest time from the first transmission until the peer is taken to be gone.
    #[must_use]
    pub fn patience(&self) -> Duration {
        let waits = (0..=u32::from(self.tries)).map(|sent| self.wait(sent));
        let sum = waits.fold(Duration::ZERO, Duration::saturating_add);
        sum.saturating_add(sum.saturating_mul(self.jitter_percent.min(100).into()) / 100)
    }
}

impl Default for Retransmission {
    /// Five repetitions; after 75 to 91 seconds the peer is taken to be gone.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(2),
            factor_percent: 180,
            longest: Duration::from_secs(60),
            tries: 5,
            jitter_percent: 10,
        }
    }
}

/// What we ask of a peer's configuration payload (RFC 7296 3.15).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum AddressRequest {
    /// An inner IPv4 address.
    Ipv4,
    /// An inner IPv6 address.
    Ipv6,
    /// IPv4 addresses of name servers.
    DnsIpv4,
    /// IPv6 addresses of name servers.
    DnsIpv6,
    /// Subnets that the peer protects.
    Subnets,
}

/// What happens to an established IKE SA when the same two identities authenticate again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Uniqueness {
    /// It goes when the peer sends `INITIAL_CONTACT`, and stays otherwise.
    #[default]
    InitialContact,
    /// It always goes.
    Replace,
    /// It always stays; many clients may share an identity.
    Keep,
}
