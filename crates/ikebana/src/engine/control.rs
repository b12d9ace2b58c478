//! Commands.

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

use ikebana_core::{Instant, Path};
use ikebana_ike::{ApiError, IkeSaHandle};
use ikebana_sa_database::{Action, Policy, PolicyId, Selectors};

use super::check::check;
use super::install::database_id;
use super::tunnel::{Activity, Tunnel};
use super::{ConfigError, DeadPeerAction, Engine, IkeVersion, Start, TunnelConfig, TunnelId};

impl Engine {
    /// Adds a tunnel. One that is to be started is, at once.
    ///
    /// # Errors
    /// A name that is taken, or a configuration that cannot work.
    pub fn add_tunnel(&mut self, now: Instant, config: TunnelConfig) -> Result<TunnelId, ConfigError> {
        self.advance_clock(now);
        let name = config.peer.name.clone();
        if self.by_name.contains_key(&name) {
            return Err(ConfigError::NameInUse(name));
        }
        check(&config, &self.provider)?;
        if config.version == IkeVersion::V1 && !self.ike.has_ikev1() {
            return Err(ConfigError::Ikev1Off(name));
        }
        let id = TunnelId(self.next_tunnel);
        self.next_tunnel = self.next_tunnel.saturating_add(1);
        let mut tunnel = Tunnel::new(config);
        tunnel.policies = self.policies_of(id, &tunnel);
        let start = tunnel.config.start == Start::Start;
        self.tunnels.insert(id, tunnel);
        self.by_name.insert(name, id);
        self.listeners_stale = true;
        if start {
            self.connect(id);
        }
        self.settle();
        Ok(id)
    }

    /// The entries of the SPD that a tunnel brings.
    fn policies_of(&mut self, id: TunnelId, tunnel: &Tunnel) -> Vec<PolicyId> {
        // Whether a packet may bring the tunnel up at this moment is decided when one comes.
        let on_demand = tunnel.config.start == Start::OnTraffic
            || (tunnel.config.on_dead_peer == DeadPeerAction::Trap && tunnel.config.remote.is_some());
        let mut policies = Vec::new();
        for child in &tunnel.peer.children {
            let Some((local, remote)) = tunnel.known_traffic(child) else { continue };
            let policy = Policy {
                name: child.name.clone(),
                priority: priority(&remote),
                selectors: Arc::new(Selectors::new(local, remote)),
                action: Action::Protect { tunnel: database_id(id), on_demand },
            };
            policies.push(self.database.add_policy(policy));
        }
        policies
    }

    /// Removes a tunnel. Its peer is told; its SAs are gone when this returns.
    ///
    /// # Errors
    /// No such tunnel.
    pub fn remove_tunnel(&mut self, now: Instant, id: TunnelId) -> Result<(), ConfigError> {
        self.stop(now, id)?;
        if let Some(tunnel) = self.tunnels.remove(&id) {
            self.by_name.remove(&tunnel.peer.name);
            for policy in tunnel.policies.into_iter().chain(tunnel.learned.into_values()) {
                self.database.remove_policy(policy);
            }
        }
        self.database.remove_tunnel(database_id(id));
        self.timers.cancel(&id);
        self.listeners_stale = true;
        Ok(())
    }

    /// Brings a tunnel up, and wants it up from now on.
    ///
    /// # Errors
    /// No such tunnel, or one that does not know where its peer is.
    pub fn start(&mut self, now: Instant, id: TunnelId) -> Result<(), ConfigError> {
        self.advance_clock(now);
        let tunnel = self.tunnels.get_mut(&id).ok_or(ConfigError::NoSuchTunnel)?;
        if tunnel.config.remote.is_none() {
            return Err(ConfigError::NoRemote(tunnel.peer.name.clone()));
        }
        tunnel.wanted = true;
        tunnel.failures = 0;
        match tunnel.activity {
            Activity::Idle | Activity::Waiting(_) => self.connect(id),
            Activity::Connecting(_) => {}
            // What nobody missed while the tunnel was unwanted may be missing.
            Activity::Up => self.ask_for_children(id),
        }
        self.settle();
        Ok(())
    }

    /// Takes a tunnel down, and leaves it down until it is started again, by hand or by the peer.
    ///
    /// # Errors
    /// No such tunnel.
    pub fn stop(&mut self, now: Instant, id: TunnelId) -> Result<(), ConfigError> {
        self.advance_clock(now);
        let tunnel = self.tunnels.get_mut(&id).ok_or(ConfigError::NoSuchTunnel)?;
        let was_idle = tunnel.activity == Activity::Idle;
        tunnel.wanted = false;
        tunnel.trapped = false;
        tunnel.ikes.clear();
        tunnel.activity = Activity::Idle;
        // All of them: an attempt of ours may still be under way beside an IKE SA that the peer has started.
        let mine = self.by_ike.iter().filter(|(_, tunnel)| **tunnel == id);
        let ikes: Vec<IkeSaHandle> = mine.map(|(ike, _)| *ike).collect();
        for ike in ikes {
            // One that is on its way out needs no closing.
            let _ = self.ike.close(self.now, ike);
        }
        self.settle();
        if !was_idle {
            self.go_down(id, "stopped here", None);
        }
        Ok(())
    }

    /// Tells a tunnel where its peer is now, for the next attempt. Names change their addresses. An IKE SA that
    /// is up stays where it is.
    ///
    /// # Errors
    /// No such tunnel, or an address of another family than ours.
    pub fn set_remote(&mut self, id: TunnelId, remote: SocketAddr) -> Result<(), ConfigError> {
        let tunnel = self.tunnels.get_mut(&id).ok_or(ConfigError::NoSuchTunnel)?;
        if remote.is_ipv4() != tunnel.config.local.is_ipv4() {
            return Err(ConfigError::AddressFamilies(tunnel.peer.name.clone()));
        }
        if tunnel.config.remote == Some(remote) {
            return Ok(());
        }
        tunnel.config.remote = Some(remote);
        self.listeners_stale = true;
        // Some policies name the peer's address.
        let Some(mut tunnel) = self.tunnels.remove(&id) else { return Ok(()) };
        let new = self.policies_of(id, &tunnel);
        for policy in core::mem::replace(&mut tunnel.policies, new) {
            self.database.remove_policy(policy);
        }
        self.tunnels.insert(id, tunnel);
        Ok(())
    }

    /// Replaces the child SAs of a tunnel.
    ///
    /// # Errors
    /// The tunnel has none, or too much waits already.
    pub fn rekey_children(&mut self, now: Instant, id: TunnelId) -> Result<(), ApiError> {
        self.advance_clock(now);
        let tunnel = self.tunnels.get(&id).filter(|tunnel| !tunnel.ikes.is_empty());
        let tunnel = tunnel.ok_or(ApiError::NotEstablished)?;
        let children: Vec<_> = tunnel.ikes.keys().flat_map(|ike| self.ike.children(*ike)).collect();
        if children.is_empty() {
            return Err(ApiError::NoSuchChild);
        }
        // Whatever can start does, also if there is no room for all of them.
        let rekeyed = children.into_iter().map(|child| self.ike.rekey_child(self.now, child));
        let result = rekeyed.fold(Ok(()), Result::and);
        self.settle();
        result
    }

    /// Replaces the keys of a tunnel's IKE SA.
    ///
    /// # Errors
    /// The tunnel has none, or too much waits already.
    pub fn rekey_ike(&mut self, now: Instant, id: TunnelId) -> Result<(), ApiError> {
        self.advance_clock(now);
        let ike = self.tunnels.get(&id).and_then(Tunnel::ike).ok_or(ApiError::NotEstablished)?;
        self.ike.rekey(self.now, ike)?;
        self.settle();
        Ok(())
    }

    /// Sets the timer by which a tunnel is looked at again.
    pub(super) fn arm(&mut self, id: TunnelId) {
        match self.tunnels.get(&id).and_then(Tunnel::deadline) {
            Some(at) => self.timers.set(id, at),
            None => {
                self.timers.cancel(&id);
            }
        }
    }

    /// Starts negotiating an IKE SA.
    pub(super) fn connect(&mut self, id: TunnelId) {
        let Some(tunnel) = self.tunnels.get_mut(&id) else { return };
        let Some(remote) = tunnel.config.remote else { return };
        let port = if remote.port() == ikebana_core::datagram::IKE_PORT {
            self.config.ike_port
        } else {
            self.config.nat_t_port
        };
        let path = Path::new(SocketAddr::new(tunnel.config.local, port), remote);
        match self.ike.initiate(self.now, tunnel.version, tunnel.peer.clone(), path) {
            Ok(ike) => {
                tunnel.activity = Activity::Connecting(ike);
                self.by_ike.insert(ike, id);
                self.arm(id);
            }
            Err(error) => self.attempt_failed(id, &error.to_string()),
        }
    }
}

/// Narrower policies come before wider ones, as routes do.
fn priority(remote: &ikebana_core::TrafficSelectors) -> u32 {
    let narrowest = remote.iter().map(|selector| {
        let prefix = u32::from(selector.addresses.prefix().unwrap_or(0));
        if selector.addresses.is_ipv4() { prefix.saturating_mul(4) } else { prefix }
    });
    1_000_u32.saturating_sub(narrowest.min().unwrap_or(0))
}
