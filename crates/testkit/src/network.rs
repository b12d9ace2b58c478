//! A simulated IP network for UDP datagrams and raw ESP.
//!
//! Endpoints have addresses; what they send is delivered in virtual time, after what the [`LinkConfig`] of its
//! direction does to it. Endpoints may sit behind a NAT, which rewrites addresses and ports and can be made to
//! forget its mappings.
//!
//! ```
//! use ikebana_core::{Instant, Path};
//! use ikebana_testkit::{LinkConfig, Network};
//!
//! let mut network = Network::new(42, LinkConfig::default());
//! let alice = network.attach("192.0.2.1".parse().unwrap());
//! let bob = network.attach("192.0.2.2".parse().unwrap());
//! let path = Path::new("192.0.2.1:500".parse().unwrap(), "192.0.2.2:500".parse().unwrap());
//!
//! network.send(Instant::ZERO, alice, path, b"hello".to_vec());
//! let arrival = network.next_arrival().unwrap();
//! let delivery = network.deliver(arrival).unwrap();
//! assert_eq!((delivery.to, delivery.octets.as_slice()), (bob, &b"hello"[..]));
//! assert_eq!(delivery.path, Path::new(path.remote, path.local));
//! ```

mod link;
mod nat;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use ikebana_core::{Instant, Path};

use crate::random::SeededRng;

pub use link::LinkConfig;
pub use nat::{Filtering, NatConfig, NatId};

use nat::Nat;

/// One of the hosts of a [`Network`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId(usize);

/// A datagram that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// When it arrived.
    pub at: Instant,
    /// Where.
    pub to: EndpointId,
    /// The path as the receiver sees it: `local` is its own address.
    pub path: Path,
    /// What it carries.
    pub octets: Vec<u8>,
}

/// What a filter decides about a datagram that is being sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The link decides.
    Pass,
    /// It is lost.
    Drop,
    /// It goes on with other octets.
    Replace(Vec<u8>),
}

/// What has happened to datagrams so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetworkStats {
    /// Sent by an endpoint.
    pub sent: u64,
    /// Handed to an endpoint, duplicates included.
    pub delivered: u64,
    /// Lost by chance or by a filter.
    pub lost: u64,
    /// Delivered a second time.
    pub duplicated: u64,
    /// Larger than the link's MTU.
    pub too_big: u64,
    /// Sent to an address that no endpoint has, or refused by a NAT.
    pub unrouted: u64,
}

/// Looks at each datagram before the link does.
pub type Filter = Box<dyn FnMut(Instant, EndpointId, Path, &[u8]) -> Verdict + Send>;

/// Endpoints, the links between them, and the datagrams under way.
pub struct Network {
    rng: SeededRng,
    default_link: LinkConfig,
    links: BTreeMap<(EndpointId, Option<EndpointId>), LinkConfig>,
    endpoints: Vec<Endpoint>,
    nats: Vec<Nat>,
    /// Ordered by arrival, then by the order of sending.
    in_flight: BTreeMap<(Instant, u64), InFlight>,
    serial: u64,
    filter: Option<Filter>,
    stats: NetworkStats,
}

struct Endpoint {
    addresses: Vec<IpAddr>,
    behind: Option<NatId>,
}

struct InFlight {
    /// As it left the sender's NAT.
    source: SocketAddr,
    destination: SocketAddr,
    /// The NAT that the sender is behind, which other hosts behind it are reached through directly.
    from_nat: Option<NatId>,
    octets: Vec<u8>,
}

impl Network {
    /// A network without endpoints, whose links all behave like `default_link`.
    #[must_use]
    pub fn new(seed: u64, default_link: LinkConfig) -> Self {
        Self {
            rng: SeededRng::new(seed),
            default_link,
            links: BTreeMap::new(),
            endpoints: Vec::new(),
            nats: Vec::new(),
            in_flight: BTreeMap::new(),
            serial: 0,
            filter: None,
            stats: NetworkStats::default(),
        }
    }

    /// Adds an endpoint with a public address.
    pub fn attach(&mut self, address: IpAddr) -> EndpointId {
        self.add_endpoint(address, None)
    }

    /// Adds a NAT whose public address is `outside`.
    pub fn add_nat(&mut self, outside: IpAddr, config: NatConfig) -> NatId {
        self.nats.push(Nat::new(outside, config));
        NatId(self.nats.len() - 1)
    }

    /// Adds an endpoint behind a NAT. The same private address may exist behind another NAT.
    pub fn attach_behind(&mut self, nat: NatId, address: IpAddr) -> EndpointId {
        self.add_endpoint(address, Some(nat))
    }

    /// Gives an endpoint one more address, as when a laptop joins a second network.
    pub fn add_address(&mut self, endpoint: EndpointId, address: IpAddr) {
        if let Some(endpoint) = self.endpoints.get_mut(endpoint.0) {
            endpoint.addresses.push(address);
        }
    }

    /// Takes an address away; what is under way to it is lost.
    pub fn remove_address(&mut self, endpoint: EndpointId, address: IpAddr) {
        if let Some(endpoint) = self.endpoints.get_mut(endpoint.0) {
            endpoint.addresses.retain(|kept| *kept != address);
        }
    }

    /// Sets the link from one endpoint to another, in that direction only.
    pub fn set_link(&mut self, from: EndpointId, to: EndpointId, link: LinkConfig) {
        self.links.insert((from, Some(to)), link);
    }

    /// Sets the link from one endpoint to all others for which nothing more exact is set.
    pub fn set_uplink(&mut self, from: EndpointId, link: LinkConfig) {
        self.links.insert((from, None), link);
    }

    /// Sets every link, forgetting what was set for single ones.
    pub fn set_all_links(&mut self, link: LinkConfig) {
        self.links.clear();
        self.default_link = link;
    }

    /// Puts a filter in front of every link; it sees paths as the sender does.
    pub fn set_filter(
        &mut self,
        filter: impl FnMut(Instant, EndpointId, Path, &[u8]) -> Verdict + Send + 'static,
    ) {
        self.filter = Some(Box::new(filter));
    }

    /// Takes the filter away.
    pub fn clear_filter(&mut self) {
        self.filter = None;
    }

    /// Makes a NAT forget its mappings: the next datagram of every flow gets a new port.
    pub fn rebind(&mut self, nat: NatId) {
        if let Some(nat) = self.nats.get_mut(nat.0) {
            nat.forget();
        }
    }

    /// Gives a NAT a new public address, and new mappings.
    pub fn rebind_to(&mut self, nat: NatId, outside: IpAddr) {
        if let Some(nat) = self.nats.get_mut(nat.0) {
            nat.move_to(outside);
        }
    }

    /// Sends `octets` along `path`, whose `local` is the sender's own address and port.
    pub fn send(&mut self, now: Instant, from: EndpointId, path: Path, octets: Vec<u8>) {
        self.stats.sent += 1;
        let verdict = self.filter.as_mut().map_or(Verdict::Pass, |filter| filter(now, from, path, &octets));
        let octets = match verdict {
            Verdict::Pass => octets,
            Verdict::Replace(octets) => octets,
            Verdict::Drop => {
                self.stats.lost += 1;
                return;
            }
        };
        let Some(sender) = self.endpoints.get(from.0) else { return };
        let from_nat = sender.behind;
        if !sender.addresses.contains(&path.local.ip()) {
            self.stats.unrouted += 1;
            return;
        }
        let inside = from_nat.is_some() && self.find(from_nat, path.remote.ip()).is_some();
        let source = match from_nat.and_then(|nat| self.nats.get_mut(nat.0)).filter(|_| !inside) {
            Some(nat) => nat.outbound(now, path.local, path.remote),
            None => path.local,
        };
        let link = self.link(from, path.remote.ip());
        if octets.len() + link::header_len(path.remote.ip()) > link.mtu {
            self.stats.too_big += 1;
            return;
        }
        let (first, second) = link.fates(&mut self.rng);
        match (first, second) {
            (None, _) => self.stats.lost += 1,
            (Some(_), Some(_)) => self.stats.duplicated += 1,
            (Some(_), None) => {}
        }
        for delay in [first, second].into_iter().flatten() {
            self.serial += 1;
            let datagram = InFlight { source, destination: path.remote, from_nat, octets: octets.clone() };
            self.in_flight.insert((now + delay, self.serial), datagram);
        }
    }

    /// When the next datagram arrives.
    #[must_use]
    pub fn next_arrival(&self) -> Option<Instant> {
        self.in_flight.first_key_value().map(|((at, _), _)| *at)
    }

    /// How many datagrams are under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// The next datagram that has arrived by `now`, the earliest first.
    pub fn deliver(&mut self, now: Instant) -> Option<Delivery> {
        while self.next_arrival()? <= now {
            let ((at, _), datagram) = self.in_flight.pop_first()?;
            match self.route(at, &datagram) {
                Some((to, local)) => {
                    self.stats.delivered += 1;
                    let path = Path::new(local, datagram.source);
                    return Some(Delivery { at, to, path, octets: datagram.octets });
                }
                None => self.stats.unrouted += 1,
            }
        }
        None
    }

    /// What has happened so far.
    #[must_use]
    pub const fn stats(&self) -> NetworkStats {
        self.stats
    }

    fn add_endpoint(&mut self, address: IpAddr, behind: Option<NatId>) -> EndpointId {
        self.endpoints.push(Endpoint { addresses: vec![address], behind });
        EndpointId(self.endpoints.len() - 1)
    }

    /// Which endpoint a datagram reaches, and at which of its addresses.
    fn route(&mut self, at: Instant, datagram: &InFlight) -> Option<(EndpointId, SocketAddr)> {
        let InFlight { source, destination, from_nat, .. } = datagram;
        if from_nat.is_some()
            && let Some(neighbour) = self.find(*from_nat, destination.ip())
        {
            return Some((neighbour, *destination));
        }
        for (index, nat) in self.nats.iter_mut().enumerate() {
            if nat.outside() == destination.ip() {
                let inside = nat.inbound(at, *source, destination.port())?;
                return self.find(Some(NatId(index)), inside.ip()).map(|endpoint| (endpoint, inside));
            }
        }
        self.find(None, destination.ip()).map(|endpoint| (endpoint, *destination))
    }

    fn find(&self, behind: Option<NatId>, address: IpAddr) -> Option<EndpointId> {
        let index = self
            .endpoints
            .iter()
            .position(|endpoint| endpoint.behind == behind && endpoint.addresses.contains(&address))?;
        Some(EndpointId(index))
    }

    fn link(&self, from: EndpointId, to: IpAddr) -> LinkConfig {
        let receiver = match self.nats.iter().position(|nat| nat.outside() == to) {
            Some(nat) => self.endpoints.iter().position(|host| host.behind == Some(NatId(nat))),
            None => self.endpoints.iter().position(|host| host.addresses.contains(&to)),
        };
        let exact = self.links.get(&(from, receiver.map(EndpointId)));
        *exact.or_else(|| self.links.get(&(from, None))).unwrap_or(&self.default_link)
    }
}

#[cfg(test)]
mod tests;
