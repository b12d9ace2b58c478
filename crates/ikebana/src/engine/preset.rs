//! Short ways to a tunnel's configuration.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use ikebana_core::datagram::IKE_PORT;
use ikebana_core::{Lifetime, Secret};
use ikebana_esp::{OuterPolicy, TfcPadding};
use ikebana_ike::{
    Authentication, ChildConfig, Encapsulation, Liveness, Mode, PeerConfig, Retransmission, SelectorTemplate,
    Uniqueness,
};
use ikebana_proposals::{Prefer, Preset};
use thiserror::Error;

use super::{DeadPeerAction, IkeVersion, SizePolicy, Start, TunnelConfig};

/// Why a tunnel's configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// An identity is malformed.
    #[error("identity: {0}")]
    Identity(String),
    /// A traffic selector is malformed.
    #[error("traffic selector: {0}")]
    Selector(String),
    /// Another tunnel has this name.
    #[error("there is a tunnel {0} already")]
    NameInUse(String),
    /// A tunnel without children protects nothing.
    #[error("tunnel {0} has no child")]
    NoChildren(String),
    /// A tunnel that is to be started needs to know where.
    #[error("tunnel {0} is to be started, and has no remote address")]
    NoRemote(String),
    /// Our address and the peer's are of different families.
    #[error("tunnel {0} has a local and a remote address of different families")]
    AddressFamilies(String),
    /// Two children of a tunnel have the same name.
    #[error("tunnel {tunnel} has two children called {child}")]
    ChildNameInUse {
        /// The tunnel.
        tunnel: String,
        /// The name.
        child: String,
    },
    /// A child is to use both ESP and AH, or neither.
    #[error("child {child} of tunnel {tunnel} proposes {proposal}: all proposals are for ESP, or all for AH")]
    MixedProtocols {
        /// The tunnel.
        tunnel: String,
        /// The child.
        child: String,
        /// The first proposal that does not fit the first one.
        proposal: String,
    },
    /// A child is to use AH, and its packets are to be compressed.
    #[error("child {child} of tunnel {tunnel} uses AH, with which packets cannot be compressed here")]
    AhCompressed {
        /// The tunnel.
        tunnel: String,
        /// The child.
        child: String,
    },
    /// A child is to use AH, and its packets are to travel in UDP.
    #[error("child {child} of tunnel {tunnel} uses AH, which cannot travel in UDP as the tunnel demands")]
    AhInUdp {
        /// The tunnel.
        tunnel: String,
        /// The child.
        child: String,
    },
    /// None of the proposals can be carried out with the algorithms there are.
    #[error("none of the {} proposals of tunnel {tunnel} can be carried out here", in_question(child.as_ref()))]
    NoProposals {
        /// The tunnel.
        tunnel: String,
        /// The child; without one, it is the IKE proposals.
        child: Option<String>,
    },
    /// A replay window has a size that cannot be.
    #[error(
        "child {child} of tunnel {tunnel} has a replay window of {window}: it has to be a power of two from \
         64 to 8192, or 0 for none, which extended sequence numbers do not allow"
    )]
    ReplayWindow {
        /// The tunnel.
        tunnel: String,
        /// The child.
        child: String,
        /// The size.
        window: u32,
    },
    /// IKEv1 has not been switched on.
    #[error("tunnel {0} is to use IKEv1, which this engine was not given (Engine::with_ikev1)")]
    Ikev1Off(String),
    /// IKEv1 has no words for any of the proposals.
    #[error(
        "none of the {} proposals of tunnel {tunnel} can be said in IKEv1: it has no combined-mode ciphers for \
         IKE itself, no curve25519 or curve448, and no PRF but the hash of its integrity",
        in_question(child.as_ref())
    )]
    NotInIkev1 {
        /// The tunnel.
        tunnel: String,
        /// The child; without one, it is the IKE proposals.
        child: Option<String>,
    },
    /// Compression is negotiated with IKEv2 alone.
    #[error("child {child} of tunnel {tunnel} is to be compressed, which is negotiated with IKEv2 only")]
    CompressionInIkev1 {
        /// The tunnel.
        tunnel: String,
        /// The child.
        child: String,
    },
    /// A peer is to ask for a user, and there is none to name.
    #[error("tunnel {0} is a client of XAUTH, and has no user name and password")]
    NoXauthUser(String),
    /// A peer is to be asked for a user, and nobody would do.
    #[error("tunnel {0} is a server of XAUTH, and knows no users")]
    NoXauthUsers(String),
    /// No tunnel has this id.
    #[error("no such tunnel")]
    NoSuchTunnel,
}

fn in_question(child: Option<&String>) -> String {
    child.map_or_else(|| String::from("IKE"), |child| alloc::format!("ESP (child {child})"))
}

impl TunnelConfig {
    /// A tunnel between two networks with a pre-shared key, by the `modern` preset: kept up for ever, dead
    /// peers noticed within half a minute of silence, keys replaced every hour (IKE: every four).
    ///
    /// Each pair is ours first, the peer's second. All of it can be changed afterwards.
    ///
    /// # Errors
    /// A malformed identity or traffic selector.
    pub fn site_to_site(
        name: &str,
        addresses: (impl Into<IpAddr>, impl Into<IpAddr>),
        identities: (&str, &str),
        networks: (&str, &str),
        pre_shared_key: &[u8],
    ) -> Result<Self, ConfigError> {
        let selector = |text: &str| -> Result<Vec<SelectorTemplate>, ConfigError> {
            let parsed = text.parse().map_err(|error| ConfigError::Selector(alloc::format!("{error}")))?;
            Ok(vec![SelectorTemplate::Fixed(parsed)])
        };
        let identity = |error: &dyn core::fmt::Display| ConfigError::Identity(error.to_string());
        let child = ChildConfig {
            name: name.to_string(),
            proposals: Preset::Modern.child(),
            prefer: Prefer::Local,
            local: selector(networks.0)?,
            remote: selector(networks.1)?,
            mode: Mode::Tunnel,
            lifetime: Lifetime::by_time(Duration::from_secs(3_600)),
            replay_window: 1_024,
            compress: false,
        };
        let peer = PeerConfig {
            name: name.to_string(),
            local_id: identities.0.parse().map_err(|error| identity(&error))?,
            remote_id: identities.1.parse().map_err(|error| identity(&error))?,
            proposals: Preset::Modern.ike(),
            prefer: Prefer::Local,
            authentication: Authentication::PRE_SHARED_KEY,
            children: vec![Arc::new(child)],
            lifetime: Lifetime::by_time(Duration::from_secs(14_400)),
            liveness: Some(Liveness { delay: Duration::from_secs(30) }),
            encapsulation: Encapsulation::Auto,
            nat_keepalive: Duration::from_secs(20),
            retransmission: Retransmission::default(),
            request: Vec::new(),
            assigns_addresses: false,
            uniqueness: Uniqueness::InitialContact,
            ikev1: ikebana_ike::Ikev1Peer::default(),
        };
        Ok(Self {
            version: IkeVersion::V2,
            peer,
            pre_shared_key: Secret::from_slice(pre_shared_key),
            local: addresses.0.into(),
            remote: Some((addresses.1.into(), IKE_PORT).into()),
            accepted_from: Vec::new(),
            start: Start::Start,
            on_dead_peer: DeadPeerAction::Restart,
            path_mtu: 1_500,
            outer: OuterPolicy::default(),
            tfc: TfcPadding::default(),
            sizes: SizePolicy::default(),
            assign: Vec::new(),
            xauth: None,
            xauth_users: Vec::new(),
        })
    }

    /// The same tunnel over IKEv1, in main mode, with what the `modern` preset is for it: IKEv1 has no words
    /// for much of what IKEv2 proposes. It needs an engine [with IKEv1](crate::Engine::with_ikev1).
    #[must_use]
    pub fn over_ikev1(mut self) -> Self {
        self.version = IkeVersion::V1;
        self.peer.proposals = Preset::Modern.ikev1();
        for child in &mut self.peer.children {
            Arc::make_mut(child).proposals = Preset::Modern.ikev1_child();
        }
        self
    }
}
