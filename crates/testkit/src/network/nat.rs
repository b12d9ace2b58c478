//! Network address translation as home routers and carriers do it (RFC 4787).

use core::time::Duration;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use ikebana_core::Instant;

/// One of the NATs of a [`Network`](super::Network).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NatId(pub(super) usize);

/// Whose datagrams a NAT lets in through a mapping (RFC 4787 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filtering {
    /// Anyone's.
    EndpointIndependent,
    /// Those of addresses that something was sent to.
    AddressDependent,
    /// Those of exactly the addresses and ports that something was sent to.
    AddressAndPortDependent,
}

/// How a NAT behaves.
#[derive(Clone, Copy, Debug)]
pub struct NatConfig {
    /// Whose datagrams it lets in.
    pub filtering: Filtering,
    /// After how long without an outbound datagram a mapping is forgotten.
    pub mapping_timeout: Duration,
    /// Whether one inside port gets a different outside port towards every destination ("symmetric").
    pub symmetric: bool,
    /// The first outside port that is given out.
    pub first_port: u16,
}

impl Default for NatConfig {
    /// A strict home router: forgets after 30 seconds and lets in only whom one has written to.
    fn default() -> Self {
        Self {
            filtering: Filtering::AddressAndPortDependent,
            mapping_timeout: Duration::from_secs(30),
            symmetric: false,
            first_port: 40_000,
        }
    }
}

/// The inside socket, and the destination if mappings depend on it.
type Key = (SocketAddr, Option<SocketAddr>);

pub(super) struct Nat {
    outside: IpAddr,
    config: NatConfig,
    next_port: u16,
    by_inside: BTreeMap<Key, u16>,
    by_port: BTreeMap<u16, Mapping>,
}

struct Mapping {
    key: Key,
    inside: SocketAddr,
    peers: Vec<SocketAddr>,
    used: Instant,
}

impl Nat {
    pub(super) fn new(outside: IpAddr, config: NatConfig) -> Self {
        Self {
            outside,
            config,
            next_port: config.first_port,
            by_inside: BTreeMap::new(),
            by_port: BTreeMap::new(),
        }
    }

    pub(super) const fn outside(&self) -> IpAddr {
        self.outside
    }

    pub(super) fn forget(&mut self) {
        self.by_inside.clear();
        self.by_port.clear();
    }

    pub(super) fn move_to(&mut self, outside: IpAddr) {
        self.forget();
        self.outside = outside;
    }

    /// The source that a datagram has after leaving.
    pub(super) fn outbound(&mut self, now: Instant, inside: SocketAddr, to: SocketAddr) -> SocketAddr {
        self.expire(now);
        let key = (inside, self.config.symmetric.then_some(to));
        let port = match self.by_inside.get(&key) {
            Some(port) => *port,
            None => {
                let port = self.free_port();
                self.by_inside.insert(key, port);
                let fresh = Mapping { key, inside, peers: Vec::new(), used: now };
                self.by_port.insert(port, fresh);
                port
            }
        };
        if let Some(mapping) = self.by_port.get_mut(&port) {
            mapping.used = now;
            if !mapping.peers.contains(&to) {
                mapping.peers.push(to);
            }
        }
        SocketAddr::new(self.outside, port)
    }

    /// The inside socket that a datagram to one of our ports is for.
    pub(super) fn inbound(&mut self, now: Instant, from: SocketAddr, port: u16) -> Option<SocketAddr> {
        self.expire(now);
        let mapping = self.by_port.get(&port)?;
        let welcome = match self.config.filtering {
            Filtering::EndpointIndependent => true,
            Filtering::AddressDependent => mapping.peers.iter().any(|peer| peer.ip() == from.ip()),
            Filtering::AddressAndPortDependent => mapping.peers.contains(&from),
        };
        welcome.then_some(mapping.inside)
    }

    fn expire(&mut self, now: Instant) {
        let timeout = self.config.mapping_timeout;
        let by_inside = &mut self.by_inside;
        self.by_port.retain(|_, mapping| {
            let keep = now.saturating_since(mapping.used) < timeout;
            if !keep {
                by_inside.remove(&mapping.key);
            }
            keep
        });
    }

    /// Ports are given out in turn, so that a rebinding never happens to give the old one back.
    fn free_port(&mut self) -> u16 {
        loop {
            let port = self.next_port;
            self.next_port = match port.checked_add(1) {
                Some(next) => next,
                None => self.config.first_port,
            };
            if !self.by_port.contains_key(&port) {
                return port;
            }
        }
    }
}
