//! SAs into the databases and out of them.

use alloc::string::ToString;
use alloc::sync::Arc;

use ikebana_core::{EspSpi, Flow, Instant, Lifetime, Path};
use ikebana_esp::{EspParams, InboundSa, NatChecksum, OutboundSa, UdpPorts};
use ikebana_ike::{ChildHandle, Direction, Mode, RemoveReason, SaParams};
use ikebana_proposals::ProtocolId;
use ikebana_sa_database::{Action, Policy, SaDescription, SaProtocol, Selectors};

use super::tunnel::{Pair, Tunnel};
use super::{Engine, Event, Output, TunnelId};

/// What opens the packets of an inbound SA.
pub(super) struct InboundObject {
    pub(super) sa: InboundSa,
    pub(super) child: ChildHandle,
    pub(super) path: Path,
    pub(super) in_udp: bool,
    /// When the endpoint was last told that the peer lives.
    pub(super) told: Option<Instant>,
}

/// What seals the packets of an outbound SA.
pub(super) struct OutboundObject {
    pub(super) sa: OutboundSa,
    pub(super) child: ChildHandle,
    pub(super) path: Path,
    pub(super) in_udp: bool,
    pub(super) inner_mtu: usize,
}

impl Engine {
    /// Puts a negotiated SA to work.
    pub(super) fn install(&mut self, id: TunnelId, params: SaParams) {
        let now = self.now;
        let Some(tunnel) = self.tunnels.get_mut(&id) else { return };
        let selectors = Arc::new(Selectors::new(params.local.clone(), params.remote.clone()));
        let description = SaDescription {
            tunnel: database_id(id),
            protocol: protocol(params.protocol),
            spi: params.spi,
            selectors: selectors.clone(),
            // Limits by time are the endpoint's own business.
            lifetime: Lifetime { soft_time: None, hard_time: None, ..params.lifetime },
        };
        let (child, direction, path, in_udp) =
            (params.child, params.direction, params.path, params.encapsulated);
        let replaced = params.replaces.map(|old| tunnel.pairs.get(&old).map_or(0, |old| old.rekeys));
        let pair = tunnel.pairs.entry(child).or_insert_with(|| Pair {
            inbound: None,
            outbound: None,
            config: params.config.clone(),
            suite: params.suite,
            protocol: params.protocol,
            mode: params.mode,
            local: params.local.clone(),
            remote: params.remote.clone(),
            inner_mtu: 0,
            rekeys: replaced.map_or(0, |before| before.saturating_add(1)),
        });
        let (replaces, policy_path_mtu) = (params.replaces, tunnel.config.path_mtu);
        let esp = esp_params(params, tunnel.config.outer);
        let installed = match direction {
            Direction::Inbound => InboundSa::new(esp, &self.provider).map(|sa| {
                let object = InboundObject { sa, child, path, in_udp, told: None };
                pair.inbound = self.database.install_inbound(now, description, object).ok();
            }),
            Direction::Outbound => OutboundSa::new(esp, &self.provider, self.ike.rng()).map(|sa| {
                let inner_mtu = sa.overhead().inner_mtu(policy_path_mtu);
                pair.inner_mtu = inner_mtu;
                let object = OutboundObject { sa, child, path, in_udp, inner_mtu };
                pair.outbound = Some(self.database.install_outbound(now, description, object));
            }),
        };
        self.by_child.insert(child, id);
        if let Err(error) = installed {
            let cause = alloc::format!("an SA cannot be set up: {error}");
            self.problem(Some(id), cause);
            // Half a pair is of no use to either side. It may be on its way out already.
            let _ = self.ike.delete_child(now, child);
            return;
        }
        if direction == Direction::Outbound {
            self.after_outbound(id, child, replaces, &selectors);
        }
    }

    /// The pair is complete: packets can leave.
    fn after_outbound(
        &mut self,
        id: TunnelId,
        child: ChildHandle,
        replaces: Option<ChildHandle>,
        selectors: &Arc<Selectors>,
    ) {
        let Some(tunnel) = self.tunnels.get_mut(&id) else { return };
        tunnel.child_failures = 0;
        tunnel.child_pending = false;
        tunnel.told_up = true;
        tunnel.cause = None;
        if let Some(pair) = tunnel.pairs.get(&child) {
            tunnel.child_causes.remove(&pair.config.name);
            if !tunnel_knows(tunnel, child) {
                let policy = Policy {
                    name: tunnel.peer.name.clone(),
                    priority: LEARNED_PRIORITY,
                    selectors: selectors.clone(),
                    action: Action::Protect { tunnel: database_id(id), on_demand: false },
                };
                let policy = self.database.add_policy(policy);
                tunnel.learned.insert(child, policy);
            }
        }
        self.event(Event::ChildUp { tunnel: id, child, rekeyed: replaces.is_some() });
        self.release_waiting(id);
    }

    /// Takes an SA out of use.
    pub(super) fn uninstall(
        &mut self,
        child: ChildHandle,
        direction: Direction,
        _spi: EspSpi,
        reason: RemoveReason,
    ) {
        let Some(id) = self.by_child.get(&child).copied() else { return };
        let Some(tunnel) = self.tunnels.get_mut(&id) else { return };
        let Some(pair) = tunnel.pairs.get_mut(&child) else { return };
        // Whether this leaves the tunnel without an SA is seen when everything that belongs to it has happened.
        self.lost.push((id, reason.to_string()));
        match direction {
            Direction::Inbound => {
                pair.inbound.take().and_then(|id| self.database.remove_inbound(id));
            }
            Direction::Outbound => {
                pair.outbound.take().and_then(|id| self.database.remove_outbound(id));
            }
        }
        if pair.inbound.is_some() || pair.outbound.is_some() {
            return;
        }
        tunnel.pairs.remove(&child);
        if let Some(policy) = tunnel.learned.remove(&child) {
            self.database.remove_policy(policy);
        }
        self.by_child.remove(&child);
        self.event(Event::ChildDown { tunnel: id, child, reason: reason.to_string() });
        self.child_gone(id, reason);
    }

    /// The peer's packets come from, and go to, somewhere else now.
    pub(super) fn move_child(&mut self, child: ChildHandle, path: Path, in_udp: bool) {
        let Some(id) = self.by_child.get(&child).copied() else { return };
        let Some(pair) = self.tunnels.get(&id).and_then(|tunnel| tunnel.pairs.get(&child)) else { return };
        if let Some(object) = pair.inbound.and_then(|id| self.database.inbound_mut(id)) {
            (object.path, object.in_udp) = (path, in_udp);
            object.sa.set_path(path.remote.ip(), path.local.ip(), in_udp);
        }
        if let Some(object) = pair.outbound.and_then(|id| self.database.outbound_mut(id)) {
            (object.path, object.in_udp) = (path, in_udp);
            let udp = in_udp.then(|| ports(path));
            if let Err(error) = object.sa.set_path(path.local.ip(), path.remote.ip(), udp) {
                let cause = alloc::format!("an SA cannot follow its peer to {path}: {error}");
                self.problem(Some(id), cause);
            }
        }
    }

    pub(super) fn event(&mut self, event: Event) {
        self.out.push_back(Output::Event(event));
    }
}

/// Behind every policy that was configured.
const LEARNED_PRIORITY: u32 = 1_000_000;

/// Whether the pair's traffic is what the configured policies already name.
fn tunnel_knows(tunnel: &Tunnel, child: ChildHandle) -> bool {
    tunnel.pairs.get(&child).is_some_and(|pair| {
        tunnel
            .known_traffic(&pair.config)
            .is_some_and(|(local, remote)| local.contains(&pair.local) && remote.contains(&pair.remote))
    })
}

/// The databases' name of a tunnel.
pub(super) const fn database_id(id: TunnelId) -> ikebana_sa_database::TunnelId {
    ikebana_sa_database::TunnelId(id.0)
}

pub(super) const fn protocol(protocol: ProtocolId) -> SaProtocol {
    match protocol {
        ProtocolId::AH => SaProtocol::Ah,
        _ => SaProtocol::Esp,
    }
}

const fn ports(path: Path) -> UdpPorts {
    UdpPorts { source: path.local.port(), destination: path.remote.port() }
}

fn esp_params(params: SaParams, outer: ikebana_esp::OuterPolicy) -> EspParams {
    let inbound = params.direction == Direction::Inbound;
    let path = params.path;
    let (source, destination) =
        if inbound { (path.remote.ip(), path.local.ip()) } else { (path.local.ip(), path.remote.ip()) };
    let udp = if inbound { ports(Path::new(path.remote, path.local)) } else { ports(path) };
    EspParams {
        spi: params.spi,
        suite: params.suite,
        encryption_key: params.keys.encryption,
        integrity_key: params.keys.integrity,
        mode: match params.mode {
            Mode::Tunnel => ikebana_esp::Mode::Tunnel,
            Mode::Transport => ikebana_esp::Mode::Transport,
        },
        encapsulation: params.encapsulated.then_some(udp),
        source,
        destination,
        replay_window: params.config.replay_window,
        outer,
        nat_checksum: NatChecksum::Recompute,
    }
}

/// The same flow whichever side looks at it.
pub(super) const fn inbound_flow(flow: ikebana_esp::InnerFlow) -> Flow {
    flow.inbound()
}
