//! Commands, and what IKE's events lead to.

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

use ikebana_core::{Instant, Path};
use ikebana_ike::{
    AddressDemand, Answer, ApiError, Assignment, ChildSignal, Credentials, IkeSaHandle, PeerConfig,
    PreSharedKeyRequest, Query, SelectPeer,
};
use ikebana_sa_database::{Action, Policy, SaId, Selectors};

use super::install::database_id;
use super::tunnel::{Activity, Ike, Tunnel};
use super::{ConfigError, Engine, Event, Output, Start, TunnelConfig, TunnelId};

impl Engine {
    /// Adds a tunnel. One that is to be started is, at once.
    ///
    /// # Errors
    /// A name that is taken, no child, or nowhere to start to.
    pub fn add_tunnel(&mut self, now: Instant, config: TunnelConfig) -> Result<TunnelId, ConfigError> {
        self.advance_clock(now);
        let name = config.peer.name.clone();
        if self.tunnels.values().any(|tunnel| tunnel.peer.name == name) {
            return Err(ConfigError::NameInUse(name));
        }
        if config.peer.children.is_empty() {
            return Err(ConfigError::NoChildren(name));
        }
        if config.remote.is_none() && config.start != Start::Passive {
            return Err(ConfigError::NoRemote(name));
        }
        let id = TunnelId(self.next_tunnel);
        self.next_tunnel = self.next_tunnel.saturating_add(1);
        let mut tunnel = Tunnel::new(config);
        tunnel.policies = self.policies_of(id, &tunnel);
        let start = tunnel.config.start == Start::Start;
        self.tunnels.insert(id, tunnel);
        self.refresh_listeners();
        if start {
            self.connect(id);
        }
        self.settle();
        Ok(id)
    }

    /// The entries of the SPD that a tunnel brings.
    fn policies_of(&mut self, id: TunnelId, tunnel: &Tunnel) -> Vec<ikebana_sa_database::PolicyId> {
        let on_demand = tunnel.config.start == Start::OnTraffic
            || (tunnel.config.on_dead_peer == super::DeadPeerAction::Trap && tunnel.config.remote.is_some());
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
            for policy in tunnel.policies.into_iter().chain(tunnel.learned.into_values()) {
                self.database.remove_policy(policy);
            }
        }
        self.database.remove_tunnel(database_id(id));
        self.refresh_listeners();
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
        match tunnel.activity {
            Activity::Idle | Activity::Waiting(_) => self.connect(id),
            Activity::Connecting(_) | Activity::Up => {}
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
        tunnel.wanted = false;
        tunnel.child_retry = None;
        tunnel.waiting.clear();
        let mut ikes: Vec<IkeSaHandle> = tunnel.ikes.keys().copied().collect();
        if let Activity::Connecting(ike) = tunnel.activity {
            ikes.push(ike);
        }
        tunnel.activity = Activity::Idle;
        for ike in ikes {
            // One that has ended meanwhile needs no closing.
            let _ = self.ike.close(self.now, ike);
        }
        self.settle();
        Ok(())
    }

    /// Tells a tunnel where its peer is now, for the next attempt. Names change their addresses.
    ///
    /// # Errors
    /// No such tunnel.
    pub fn set_remote(&mut self, id: TunnelId, remote: SocketAddr) -> Result<(), ConfigError> {
        let tunnel = self.tunnels.get_mut(&id).ok_or(ConfigError::NoSuchTunnel)?;
        if tunnel.config.remote != Some(remote) {
            tunnel.config.remote = Some(remote);
            self.refresh_listeners();
        }
        Ok(())
    }

    /// Replaces the child SAs of a tunnel.
    ///
    /// # Errors
    /// The tunnel has none, or too much waits already.
    pub fn rekey_children(&mut self, now: Instant, id: TunnelId) -> Result<(), ApiError> {
        self.advance_clock(now);
        let ike = self.tunnels.get(&id).and_then(Tunnel::ike).ok_or(ApiError::NotEstablished)?;
        let children: Vec<_> = self.ike.children(ike).collect();
        if children.is_empty() {
            return Err(ApiError::NoSuchChild);
        }
        for child in children {
            self.ike.rekey_child(self.now, child)?;
        }
        self.settle();
        Ok(())
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
        match self.ike.initiate(self.now, tunnel.peer.clone(), path) {
            Ok(ike) => {
                tunnel.activity = Activity::Connecting(ike);
                self.by_ike.insert(ike, id);
            }
            Err(error) => self.attempt_failed(id, &error.to_string()),
        }
    }

    /// Acts on everything that IKE and the databases have to say, until they have no more.
    pub(super) fn settle(&mut self) {
        loop {
            if let Some(event) = self.database.poll_event() {
                self.database_event(event);
            } else if let Some(output) = self.ike.poll_output() {
                match output {
                    ikebana_ike::Output::Transmit(transmit) => {
                        let (path, octets) = (transmit.path, transmit.octets);
                        self.out.push_back(Output::Transmit { path, octets });
                    }
                    ikebana_ike::Output::Event(event) => self.ike_event(event),
                }
            } else {
                return;
            }
        }
    }

    fn database_event(&mut self, event: ikebana_sa_database::Event) {
        use ikebana_sa_database::Event as E;
        match event {
            E::Acquire { tunnel, flow, .. } => {
                let id = TunnelId(tunnel.0);
                let Some(tunnel) = self.tunnels.get(&id) else { return };
                match (tunnel.activity, tunnel.ike()) {
                    (Activity::Idle, None) => self.connect(id),
                    (_, Some(ike)) => {
                        let serving = tunnel.child_for(&flow);
                        if let Some(config) = serving {
                            // It may have ended since; then the next packet asks again.
                            let _ = self.ike.create_child(self.now, ike, config, Some(flow));
                        }
                    }
                    _ => {}
                }
            }
            E::SoftExpired { sa, .. } => self.signal(sa, ChildSignal::SoftExpired),
            E::HardExpired { sa, .. } => self.signal(sa, ChildSignal::HardExpired),
        }
    }

    fn signal(&mut self, sa: SaId, signal: ChildSignal) {
        let child = match sa {
            SaId::Inbound(id) => self.database.inbound_ref(id).map(|object| object.child),
            SaId::Outbound(id) => self.database.outbound_ref(id).map(|object| object.child),
        };
        if let Some(child) = child {
            self.ike.handle_child_signal(self.now, child, signal);
        }
    }

    fn ike_event(&mut self, event: ikebana_ike::Event) {
        use ikebana_ike::Event as E;
        match event {
            E::Query(query, question) => {
                let answer = Book { tunnels: &mut self.tunnels, by_ike: &mut self.by_ike }.answer(&question);
                // The IKE SA may have ended while its question was in the queue.
                let _ = self.ike.answer(self.now, query, answer);
            }
            E::Established(facts) => self.established(*facts),
            E::InstallSa(params) => {
                if let Some(id) = self.by_ike.get(&params.ike).copied() {
                    self.install(id, *params);
                }
            }
            E::RemoveSa { child, direction, spi, reason } => self.uninstall(child, direction, spi, reason),
            E::UpdateSa { child, path, encapsulated } => self.move_child(child, path, encapsulated),
            E::ChildFailed { ike, rekeyed, reason, .. } => {
                let cause = reason.to_string();
                self.child_failed(ike, rekeyed.is_some(), &cause);
            }
            E::IkeRekeyed { ike, initiator_spi, responder_spi, suite } => {
                let Some(id) = self.by_ike.get(&ike).copied() else { return };
                let known = self.tunnels.get_mut(&id).and_then(|tunnel| tunnel.ikes.get_mut(&ike));
                if let Some(known) = known {
                    known.rekeys = known.rekeys.saturating_add(1);
                    known.facts.initiator_spi = initiator_spi;
                    known.facts.responder_spi = responder_spi;
                    known.facts.suite = suite;
                    self.event(Event::IkeRekeyed(id));
                }
            }
            E::Assigned { ike, assignment } => {
                if let Some(id) = self.by_ike.get(&ike).copied() {
                    self.event(Event::Assigned(id, assignment));
                }
            }
            E::Hint { ike, reason } => {
                let tunnel = self.by_ike.get(&ike).copied();
                let cause = reason.to_string();
                if let Some(tunnel) = tunnel.and_then(|id| self.tunnels.get_mut(&id)) {
                    tunnel.cause = Some(cause.clone());
                }
                self.event(Event::Problem { tunnel, cause });
            }
            E::Failed { ike, reason, peer, path } => self.failed(ike, &reason, peer.as_deref(), path),
            E::Closed { ike, reason } => self.closed(ike, &reason),
            _ => {}
        }
    }

    fn established(&mut self, facts: ikebana_ike::Established) {
        let ike = facts.ike;
        let id = self.by_ike.get(&ike).copied().or_else(|| {
            let named = |tunnel: &&TunnelId| {
                self.tunnels.get(*tunnel).is_some_and(|tunnel| tunnel.peer.name == facts.peer.name)
            };
            self.tunnels.keys().find(named).copied()
        });
        let Some(id) = id else { return };
        self.by_ike.insert(ike, id);
        let Some(tunnel) = self.tunnels.get_mut(&id) else { return };
        let since = self.now;
        tunnel.ikes.insert(ike, Ike { facts: facts.clone(), since, rekeys: 0 });
        tunnel.activity = Activity::Up;
        tunnel.failures = 0;
        let redundant = tunnel.redundant_ike();
        self.event(Event::Established(id, facts));
        if let Some(redundant) = redundant {
            // It may be on its way out already.
            let _ = self.ike.close(self.now, redundant);
        }
    }
}

/// Answers the endpoint's questions from what the tunnels say.
struct Book<'a> {
    tunnels: &'a mut alloc::collections::BTreeMap<TunnelId, Tunnel>,
    by_ike: &'a mut alloc::collections::BTreeMap<IkeSaHandle, TunnelId>,
}

impl Credentials for Book<'_> {
    fn select_peer(&mut self, peer: &SelectPeer) -> Option<Arc<PeerConfig>> {
        let fits = |tunnel: &Tunnel| {
            let from = tunnel.accepted_from();
            tunnel.peer.remote_id.matches(&peer.remote_id)
                && peer.local_id.as_ref().is_none_or(|wanted| tunnel.peer.local_id.is_same(wanted))
                && (from.is_empty() || from.iter().any(|range| range.contains(peer.path.remote.ip())))
        };
        // The configuration that says most about the peer comes first.
        let (id, tunnel) = self
            .tunnels
            .iter()
            .filter(|(_, tunnel)| fits(tunnel))
            .min_by_key(|(_, tunnel)| tunnel.peer.remote_id.openness())?;
        self.by_ike.insert(peer.ike, *id);
        Some(tunnel.peer.clone())
    }

    fn pre_shared_key(&mut self, request: &PreSharedKeyRequest) -> Option<ikebana_core::Secret> {
        let tunnel = self.tunnels.values().find(|tunnel| tunnel.peer.name == request.peer.name)?;
        Some(tunnel.key.duplicate())
    }

    fn assign_address(&mut self, demand: &AddressDemand) -> Option<Assignment> {
        let tunnel = self.tunnels.values_mut().find(|tunnel| tunnel.peer.name == demand.peer.name)?;
        tunnel.assign(demand.ike)
    }

    fn answer(&mut self, query: &Query) -> Answer {
        match query {
            Query::SelectPeer(peer) => Answer::Peer(self.select_peer(peer)),
            Query::PreSharedKey(request) => Answer::PreSharedKey(self.pre_shared_key(request)),
            Query::AssignAddress(demand) => Answer::Address(self.assign_address(demand)),
            _ => Answer::Peer(None),
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
