//! The configured tunnels, and what of them the engine has.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use ikebana::{ChildStatus, TunnelId, TunnelState};
use ikebana_core::{AddressRange, TrafficSelectors};
use ikebana_ike::{Mode, SelectorTemplate};

use super::inner::Wanted;
use super::plan::Selected;
use super::tunnel::for_engine;
use super::{Node, Resolved, Resolver};
use crate::config::{Config, Gateway, Host, Pool, Start, Tunnel};
use crate::io::source_address;

/// How long after a failure a name or a route is looked up again.
const RETRY: Duration = Duration::from_secs(5);
/// How often the name of a peer is looked up while its tunnel is not up.
const REFRESH: Duration = Duration::from_secs(60);

/// One tunnel.
pub(super) struct Entry {
    pub(super) config: Tunnel,
    /// Its name in the engine, once both ends' addresses are known.
    pub(super) id: Option<TunnelId>,
    /// Taken down by hand: the engine does not have it, so that the peer cannot bring it up either.
    pub(super) stopped: bool,
    /// Brought up by hand while the engine did not have it.
    initiate: bool,
    /// Its peer's name is being looked up.
    asking: bool,
    /// Why it is not in the engine.
    pub(super) problem: Option<String>,
    /// Attempts to get it into the engine.
    pub(super) attempts: u64,
    local: Option<IpAddr>,
    remote: Option<IpAddr>,
    /// Addresses that the peer assigned us.
    pub(super) assigned: Vec<IpAddr>,
    again: Option<Instant>,
}

impl Entry {
    fn new(config: Tunnel) -> Self {
        Self {
            id: None,
            stopped: false,
            initiate: false,
            asking: false,
            problem: None,
            attempts: 0,
            local: None,
            remote: config.remote.address(),
            assigned: Vec::new(),
            again: Some(Instant::now()),
            config,
        }
    }

    /// The addresses that `template` stands for, as far as they are known.
    fn addresses(template: &SelectorTemplate, dynamic: &[IpAddr]) -> Vec<AddressRange> {
        match template {
            SelectorTemplate::Fixed(fixed) => vec![fixed.addresses],
            SelectorTemplate::Dynamic { .. } => dynamic.iter().copied().map(AddressRange::single).collect(),
        }
    }

    /// What the configuration alone says of the traffic.
    fn configured(&self) -> Vec<Selected> {
        let own: Vec<IpAddr> = match self.assigned.as_slice() {
            [] => self.local.into_iter().collect(),
            assigned => assigned.to_vec(),
        };
        let peer: Vec<IpAddr> = self.remote.into_iter().collect();
        let side = |templates: &[SelectorTemplate], outer: &[IpAddr]| -> Vec<AddressRange> {
            match self.config.mode {
                Mode::Tunnel => {
                    templates.iter().flat_map(|template| Self::addresses(template, outer)).collect()
                }
                // Transport mode has no other addresses than the outer ones.
                Mode::Transport => outer.iter().copied().map(AddressRange::single).collect(),
            }
        };
        pairs(&side(&self.config.local_ts, &own), &side(&self.config.remote_ts, &peer))
    }
}

/// All tunnels of a configuration.
pub(super) struct Tunnels {
    gateway: Gateway,
    pools: Vec<Pool>,
    pub(super) entries: Vec<Entry>,
    resolver: Resolver,
    /// The names of tunnels that have left the engine, for what it has yet to tell of them.
    former: Vec<(TunnelId, String)>,
}

impl Tunnels {
    pub(super) fn new(config: Config, resolver: Resolver) -> Self {
        let entries = config.tunnels.into_iter().map(Entry::new).collect();
        Self { gateway: config.gateway, pools: config.pools, entries, resolver, former: Vec::new() }
    }

    /// Takes another configuration: what has not changed stays as it is.
    pub(super) fn reconfigure(&mut self, node: &mut Node, config: Config) {
        if self.gateway != config.gateway {
            tracing::warn!("[gateway] has changed; that takes effect when the gateway is started anew");
        }
        let pools = std::mem::replace(&mut self.pools, config.pools);
        let mut old = std::mem::take(&mut self.entries);
        for tunnel in config.tunnels {
            let same_pools = is_served_alike(&tunnel.name, &pools, &self.pools);
            let same = |entry: &Entry| same_pools && entry.config.is_same(&tunnel);
            if let Some(kept) = old.iter().position(same).map(|index| old.remove(index)) {
                self.entries.push(kept);
                continue;
            }
            let mut entry = Entry::new(tunnel);
            // Whatever else has changed, what was taken down by hand stays down.
            entry.stopped = old.iter().any(|old| old.stopped && old.config.name == entry.config.name);
            self.entries.push(entry);
        }
        for mut gone in old {
            tracing::info!(tunnel = %gone.config.name, "removed or changed");
            withdraw(&mut gone, node, &mut self.former);
        }
    }

    /// Takes a tunnel down, until it is brought up by hand. `None` if there is none of this name.
    pub(super) fn take_down(&mut self, node: &mut Node, name: &str) -> Option<()> {
        let entry = self.entries.iter_mut().find(|entry| entry.config.name == name)?;
        withdraw(entry, node, &mut self.former);
        entry.stopped = true;
        (entry.attempts, entry.problem) = (0, None);
        Some(())
    }

    /// Brings a tunnel up. `None` if there is none of this name.
    pub(super) fn bring_up(&mut self, node: &mut Node, name: &str) -> Option<Result<(), String>> {
        let entry = self.named(name)?;
        entry.stopped = false;
        Some(match entry.id {
            Some(id) => node.engine.start(node.clock.now(), id).map_err(|error| error.to_string()),
            None => {
                // One without an address waits for its peer again.
                entry.initiate = entry.config.remote.host != Host::Any;
                entry.again = Some(Instant::now());
                Ok(())
            }
        })
    }

    /// The name of a tunnel that the engine has, or has had until now.
    pub(super) fn name_of(&self, id: TunnelId) -> Option<&str> {
        let present = self.entries.iter().find(|entry| entry.id == Some(id)).map(|entry| &entry.config.name);
        let former = || self.former.iter().find(|(former, _)| *former == id).map(|(_, name)| name);
        present.or_else(former).map(String::as_str)
    }

    /// Forgets the names of tunnels that the engine has told everything about.
    pub(super) fn forget_former(&mut self) {
        self.former.clear();
    }

    pub(super) fn named(&mut self, name: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.config.name == name)
    }

    pub(super) fn with_id(&mut self, id: TunnelId) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.id == Some(id))
    }

    /// How long nothing is due.
    pub(super) fn timeout(&self) -> Option<Duration> {
        let next = self.entries.iter().filter_map(|entry| entry.again).min();
        next.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Takes answers of name servers, and gives the engine what it can have by now. Says whether there was
    /// anything to do.
    pub(super) fn work(&mut self, node: &mut Node) -> bool {
        let mut worked = false;
        while let Some(resolved) = self.resolver.poll() {
            self.resolved(node, resolved);
            worked = true;
        }
        let now = Instant::now();
        for entry in &mut self.entries {
            if entry.again.is_none_or(|at| at > now) {
                continue;
            }
            entry.again = None;
            if entry.stopped {
                continue;
            }
            worked = true;
            match &entry.config.remote.host {
                Host::Name(name) => {
                    if !std::mem::replace(&mut entry.asking, true) {
                        self.resolver.ask(&entry.config.name, name);
                    }
                    if entry.id.is_some() || entry.remote.is_some() {
                        entry.again = Some(now + REFRESH);
                    }
                    if entry.id.is_none() && entry.remote.is_some() {
                        enter(entry, node, &self.gateway, &self.pools);
                    }
                }
                Host::Any | Host::Address(_) => enter(entry, node, &self.gateway, &self.pools),
            }
        }
        worked
    }

    fn resolved(&mut self, node: &mut Node, Resolved { tunnel, name, addresses }: Resolved) {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.config.name == tunnel) else { return };
        // A reload may have given the tunnel another peer while the question was under way.
        if entry.config.remote.host != Host::Name(name) {
            return;
        }
        entry.asking = false;
        if entry.stopped {
            return;
        }
        let local = entry.local.or(entry.config.local.address());
        let known = entry.remote;
        let found = addresses.map(|found| {
            // An address of another family than our own end is of no use.
            let fits = |address: &IpAddr| local.is_none_or(|local| local.is_ipv4() == address.is_ipv4());
            // Servers tell several addresses in changing order, which is no reason to change.
            let known = known.filter(|known| found.contains(known));
            known.or_else(|| found.into_iter().find(fits))
        });
        match (found, entry.id) {
            (Ok(Some(address)), None) => {
                entry.remote = Some(address);
                enter(entry, node, &self.gateway, &self.pools);
            }
            (Ok(Some(address)), Some(id)) => {
                entry.problem = None;
                if known != Some(address) {
                    tracing::info!(tunnel, %address, "the peer's name has another address now");
                    self.moved(node, id, address);
                }
            }
            (Ok(None), _) => {
                failed(entry, format!("{} has no address of the right family", entry.config.remote));
            }
            (Err(error), _) => failed(entry, format!("{} cannot be resolved: {error}", entry.config.remote)),
        }
    }

    /// Follows a peer to the address that its name has now.
    fn moved(&mut self, node: &mut Node, id: TunnelId, address: IpAddr) {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == Some(id)) else { return };
        if entry.config.remote_id.is_some() {
            entry.remote = Some(address);
            let port = entry.config.remote.port.unwrap_or(ikebana_core::datagram::IKE_PORT);
            // It is in the engine, since it has an id.
            let _ = node.engine.set_remote(id, SocketAddr::new(address, port));
            return;
        }
        // The peer goes by its address, so it is another peer. As long as the old one is there, it is right.
        let is_up = |tunnel: &ikebana::TunnelStatus| tunnel.id == id && tunnel.state == TunnelState::Up;
        if !node.engine.status().iter().any(is_up) {
            withdraw(entry, node, &mut self.former);
            entry.remote = Some(address);
            enter(entry, node, &self.gateway, &self.pools);
        }
    }

    /// What the kernel should do for these tunnels.
    pub(super) fn wanted(&self, status: &[ikebana::TunnelStatus]) -> Wanted {
        let mut wanted = Wanted::default();
        let mut mtus: Vec<u16> = Vec::new();
        for entry in &self.entries {
            let tunnel = status.iter().find(|tunnel| Some(tunnel.id) == entry.id);
            let children: &[ChildStatus] =
                tunnel.map(|tunnel| tunnel.children.as_slice()).unwrap_or_default();
            // Traffic of a tunnel that we keep must not go around it in clear while it is down.
            if !entry.stopped && entry.id.is_some() && entry.config.start != Start::Passive {
                wanted.selected.extend(entry.configured());
            }
            for child in children {
                wanted.selected.extend(pairs(&ranges(&child.local), &ranges(&child.remote)));
                mtus.extend(u16::try_from(child.mtu));
            }
            mtus.extend(entry.config.mtu);
            wanted.addresses.extend(entry.assigned.iter().copied());
        }
        let mtu = mtus.into_iter().min().unwrap_or(DEFAULT_MTU);
        // Below that Linux takes IPv6 off a device, routes and all, and packets would go around it in clear. What is
        // too long for a path then travels in fragments (RFC 8200 5).
        let has_ipv6 = wanted.selected.iter().any(|pair| !pair.local.is_ipv4());
        wanted.mtu = Some(if has_ipv6 { mtu.max(LEAST_MTU_OF_IPV6) } else { mtu });
        wanted
    }
}

/// What every link with IPv6 has to carry (RFC 8200 5).
const LEAST_MTU_OF_IPV6: u16 = 1_280;

/// Fits every path and suite that is at all common.
const DEFAULT_MTU: u16 = 1_400;

/// Takes a tunnel out of the engine; its peer is told.
fn withdraw(entry: &mut Entry, node: &mut Node, former: &mut Vec<(TunnelId, String)>) {
    if let Some(id) = entry.id.take() {
        // It is in the engine, since it has an id.
        let _ = node.engine.remove_tunnel(node.clock.now(), id);
        former.push((id, entry.config.name.clone()));
    }
    (entry.local, entry.again) = (None, None);
    entry.assigned.clear();
}

/// Whether clients of a tunnel get the same addresses from these pools as from those.
fn is_served_alike(tunnel: &str, these: &[Pool], those: &[Pool]) -> bool {
    let serving = |pools: &[Pool]| -> Vec<Pool> {
        let serves = |pool: &&Pool| pool.tunnels.is_empty() || pool.tunnels.iter().any(|name| name == tunnel);
        // Which other tunnels they serve makes no difference.
        pools.iter().filter(serves).map(|pool| Pool { tunnels: Vec::new(), ..pool.clone() }).collect()
    };
    serving(these) == serving(those)
}

/// Gives a tunnel to the engine, now that the peer's address is known, if it has one.
fn enter(entry: &mut Entry, node: &mut Node, gateway: &Gateway, pools: &[Pool]) {
    entry.attempts += 1;
    let local = match local_address(entry, gateway) {
        Ok(local) => local,
        Err(problem) => return failed(entry, problem),
    };
    let native = node.has_native_esp(SocketAddr::new(local, 0));
    if entry.config.mode == Mode::Transport {
        node.expect_transport_mode();
    }
    if entry.config.is_ah()
        && let Err(error) = node.expect_ah(local, gateway.fwmark)
    {
        return failed(entry, format!("no AH from {local}: {error}"));
    }
    let tunnel = for_engine(&entry.config, local, entry.remote, pools, native);
    match node.engine.add_tunnel(node.clock.now(), tunnel) {
        Ok(id) => {
            entry.id = Some(id);
            entry.local = Some(local);
            entry.problem = None;
            if std::mem::take(&mut entry.initiate) {
                // It has just been added, and has a remote address.
                let _ = node.engine.start(node.clock.now(), id);
            }
        }
        Err(error) => failed(entry, error.to_string()),
    }
}

fn failed(entry: &mut Entry, problem: String) {
    if entry.problem.as_ref() != Some(&problem) {
        tracing::warn!(tunnel = %entry.config.name, %problem, "trying again");
    }
    entry.problem = Some(problem);
    entry.again = Some(Instant::now() + RETRY);
}

/// Our end: as configured, or the address that packets to the peer would come from.
fn local_address(entry: &Entry, gateway: &Gateway) -> Result<IpAddr, String> {
    if let Some(local) = entry.config.local.address() {
        return Ok(local);
    }
    let mut listen = gateway.listen.iter().filter(|address| {
        !address.is_unspecified() && entry.remote.is_none_or(|remote| remote.is_ipv4() == address.is_ipv4())
    });
    if let (Some(only), None) = (listen.next(), listen.next()) {
        return Ok(*only);
    }
    // Without a peer's address, that of the way out has to do.
    let documentation =
        [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];
    let candidates = entry.remote.map_or(documentation.to_vec(), |remote| vec![remote]);
    let mut problem = String::new();
    for remote in candidates {
        match source_address(SocketAddr::new(remote, 500), Some(gateway.fwmark)) {
            Ok(local) => return Ok(local),
            Err(error) => problem = format!("no way to {}: {error}", entry.config.remote),
        }
    }
    Err(problem)
}

fn ranges(selectors: &TrafficSelectors) -> Vec<AddressRange> {
    let ranges: BTreeSet<AddressRange> = selectors.iter().map(|selector| selector.addresses).collect();
    ranges.into_iter().collect()
}

fn pairs(local: &[AddressRange], remote: &[AddressRange]) -> Vec<Selected> {
    let with = |remote: &AddressRange| {
        let remote = *remote;
        local.iter().map(move |local| Selected { local: *local, remote })
    };
    remote.iter().flat_map(with).collect()
}

#[cfg(test)]
mod tests;
