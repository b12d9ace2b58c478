//! How everything is.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use ikebana_core::{EspSpi, IkeSpi, Path, TrafficSelectors};
use ikebana_esp::{InboundStats, OutboundStats};
use ikebana_ike::{ChildHandle, IkeSaHandle, Mode, NatSituation, Phase1Mode};
use ikebana_proposals::{ChildSuite, IkeSuite, ProtocolId};
use ikebana_sa_database::Usage;

use super::tunnel::{Activity, Pair, Tunnel};
use super::{Engine, IkeVersion, TunnelId};

/// How a tunnel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelState {
    /// Packets can pass.
    Up,
    /// It is being negotiated.
    Connecting,
    /// The next attempt is due after this time.
    Waiting(Duration),
    /// It is down, and stays so until something asks for it.
    Down,
}

/// Everything about one tunnel.
#[derive(Clone, Debug)]
pub struct TunnelStatus {
    /// Its id.
    pub id: TunnelId,
    /// Its name.
    pub name: String,
    /// The version of IKE it speaks.
    pub version: IkeVersion,
    /// How it is.
    pub state: TunnelState,
    /// Why it is not up, or what last went wrong.
    pub cause: Option<String>,
    /// Attempts after a failure.
    pub retries: u64,
    /// Its IKE SAs, the newest last. There is one but for a moment.
    pub ikes: Vec<IkeStatus>,
    /// Its child SAs, the newest last.
    pub children: Vec<ChildStatus>,
}

/// Everything about one IKE SA.
#[derive(Clone, Debug)]
pub struct IkeStatus {
    /// Its handle.
    pub ike: IkeSaHandle,
    /// How phase 1 was done, in IKEv1.
    pub phase1: Option<Phase1Mode>,
    /// Who the user is, where IKEv1 asked for one: the peer's, or what we called ourselves.
    pub xauth_user: Option<String>,
    /// Whether we started it.
    pub initiator: bool,
    /// SPI of the side that started it.
    pub initiator_spi: IkeSpi,
    /// SPI of the other side.
    pub responder_spi: IkeSpi,
    /// Ciphers.
    pub suite: IkeSuite,
    /// Where it runs.
    pub path: Path,
    /// Who is behind a NAT.
    pub nat: NatSituation,
    /// Whether ESP travels in UDP.
    pub encapsulated: bool,
    /// Time since both sides were authenticated.
    pub age: Duration,
    /// How often its keys were replaced.
    pub rekeys: u32,
}

/// Everything about one pair of child SAs.
#[derive(Clone, Debug)]
pub struct ChildStatus {
    /// Its handle.
    pub child: ChildHandle,
    /// The name of its configuration.
    pub name: String,
    /// Tunnel or transport.
    pub mode: Mode,
    /// ESP or AH.
    pub protocol: ProtocolId,
    /// Ciphers.
    pub suite: ChildSuite,
    /// Our SPI, while the inbound SA is installed.
    pub inbound: Option<EspSpi>,
    /// The peer's SPI, while the outbound SA is installed.
    pub outbound: Option<EspSpi>,
    /// Traffic on our side.
    pub local: TrafficSelectors,
    /// Traffic on the peer's side.
    pub remote: TrafficSelectors,
    /// What came in.
    pub received: Option<Usage>,
    /// What went out.
    pub sent: Option<Usage>,
    /// What became of the packets that came for the inbound SA, each reason to drop one by itself.
    pub opened: Option<InboundStats>,
    /// What became of the packets that the outbound SA was to seal.
    pub sealed: Option<OutboundStats>,
    /// The largest inner packet that needs no fragments, in octets.
    pub mtu: usize,
    /// How often the pair was replaced.
    pub rekeys: u32,
}

impl Engine {
    /// Everything about every tunnel.
    #[must_use]
    pub fn status(&self) -> Vec<TunnelStatus> {
        self.tunnels.iter().map(|(id, tunnel)| self.tunnel_status(*id, tunnel)).collect()
    }

    /// The tunnel with this name.
    #[must_use]
    pub fn tunnel_named(&self, name: &str) -> Option<TunnelId> {
        self.by_name.get(name).copied()
    }

    /// Whether no IKE SA is left, not even one that is being closed: time to leave.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.by_ike.is_empty()
    }

    /// One tunnel.
    #[must_use]
    pub fn status_of(&self, id: TunnelId) -> Option<TunnelStatus> {
        self.tunnels.get(&id).map(|tunnel| self.tunnel_status(id, tunnel))
    }

    /// Whether nothing is left but configuration: no IKE SA in any state, no SA, no waiting packet, no timer.
    /// Outputs may still wait.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.is_quiet()
            && self.ike.is_idle()
            && self.by_child.is_empty()
            && self.database.inbound_len() == 0
            && self.database.outbound_len() == 0
            && self.tunnels.values().all(|tunnel| tunnel.waiting.is_empty() && tunnel.assigned.is_empty())
            && self.poll_timeout().is_none()
    }

    fn tunnel_status(&self, id: TunnelId, tunnel: &Tunnel) -> TunnelStatus {
        let state = match tunnel.activity {
            Activity::Up if tunnel.carries() => TunnelState::Up,
            Activity::Up if tunnel.child_pending => TunnelState::Connecting,
            Activity::Up => tunnel
                .child_retry
                .map_or(TunnelState::Down, |at| TunnelState::Waiting(at.saturating_since(self.now))),
            Activity::Connecting(_) => TunnelState::Connecting,
            Activity::Waiting(until) => TunnelState::Waiting(until.saturating_since(self.now)),
            Activity::Idle => TunnelState::Down,
        };
        // One whose end has begun has no path.
        let established = tunnel.ikes.values().filter_map(|ike| Some((ike, self.ike.path(ike.facts.ike)?)));
        let ikes = established.map(|(ike, path)| IkeStatus {
            ike: ike.facts.ike,
            phase1: ike.facts.ike.is_ikev1().then_some(ike.facts.peer.ikev1.phase1),
            xauth_user: ike.facts.xauth_user.clone(),
            initiator: ike.facts.initiator,
            initiator_spi: ike.facts.initiator_spi,
            responder_spi: ike.facts.responder_spi,
            suite: ike.facts.suite,
            path,
            nat: ike.facts.nat,
            encapsulated: ike.facts.encapsulated,
            age: self.now.saturating_since(ike.since),
            rekeys: ike.rekeys,
        });
        TunnelStatus {
            id,
            name: tunnel.peer.name.clone(),
            version: tunnel.version,
            state,
            cause: tunnel.cause.clone().or_else(|| {
                let (child, cause) = tunnel.child_causes.first_key_value()?;
                Some(alloc::format!("child {child}: {cause}"))
            }),
            retries: tunnel.retries,
            ikes: ikes.collect(),
            children: tunnel.pairs.iter().map(|(child, pair)| self.child_status(*child, pair)).collect(),
        }
    }

    fn child_status(&self, child: ChildHandle, pair: &Pair) -> ChildStatus {
        let inbound = pair.inbound.and_then(|id| self.database.info(id));
        let outbound = pair.outbound.and_then(|id| self.database.info(id));
        ChildStatus {
            child,
            name: pair.config.name.clone(),
            mode: pair.mode,
            protocol: pair.protocol,
            suite: pair.suite,
            inbound: inbound.map(|info| info.spi),
            outbound: outbound.map(|info| info.spi),
            local: pair.local.clone(),
            remote: pair.remote.clone(),
            received: inbound.map(|info| info.usage),
            sent: outbound.map(|info| info.usage),
            opened: pair
                .inbound
                .and_then(|id| self.database.inbound_ref(id))
                .map(|object| *object.sa.stats()),
            sealed: pair
                .outbound
                .and_then(|id| self.database.outbound_ref(id))
                .map(|object| *object.sa.stats()),
            mtu: pair.inner_mtu,
            rekeys: pair.rekeys,
        }
    }
}
