//! Phase 2 identities and traffic selectors.
//!
//! A quick mode says with one identity for each side what its SAs are for. Nothing can be narrowed: the
//! responder takes the pair as it is, or leaves it.

use alloc::vec::Vec;
use core::net::IpAddr;

use ikebana_core::selector::protocol;
use ikebana_core::{AddressRange, Path, PortRange, TrafficSelector};
use ikebana_ike::{ChildConfig, Mode, SelectorTemplate};

use crate::wire::{IdPayload, IdType};

/// The addresses that "dynamic" stands for.
#[derive(Clone, Debug)]
pub(crate) struct Ends {
    /// Our outer address, or those the peer assigned to us.
    pub(crate) local: Vec<AddressRange>,
    /// The peer's outer address, or those we assigned to it.
    pub(crate) remote: Vec<AddressRange>,
}

impl Ends {
    /// The outer addresses.
    pub(crate) fn outer(path: Path) -> Self {
        let one = |address| Vec::from([AddressRange::single(address)]);
        Self { local: one(path.local.ip()), remote: one(path.remote.ip()) }
    }
}

/// What one pair of SAs is for: one selector on each side, both of one protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pair {
    pub(crate) local: TrafficSelector,
    pub(crate) remote: TrafficSelector,
}

impl Pair {
    /// The two selectors, if they have a family and a protocol in common. A protocol that only one side names
    /// counts for both.
    fn new(local: TrafficSelector, remote: TrafficSelector) -> Option<Self> {
        let protocol = match (local.protocol, remote.protocol) {
            (protocol::ANY, other) | (other, protocol::ANY) => other,
            (one, other) if one == other => one,
            _ => return None,
        };
        (local.addresses.is_ipv4() == remote.addresses.is_ipv4()).then_some(Self {
            local: TrafficSelector { protocol, ..local },
            remote: TrafficSelector { protocol, ..remote },
        })
    }
}

/// The most pairs that one configuration stands for: each is a quick mode of its own.
const MOST_PAIRS: usize = 256;

/// Every pair of selectors that `config` stands for, and no more than 256.
///
/// In transport mode only the outer addresses make sense, so those replace whatever is configured, with the
/// configured protocols and ports kept.
pub(crate) fn pairs(config: &ChildConfig, ends: &Ends) -> Vec<Pair> {
    let side = |templates: &[SelectorTemplate], addresses: &[AddressRange]| {
        let mut filled = Vec::new();
        for template in templates {
            match (template, config.mode) {
                (SelectorTemplate::Fixed(selector), Mode::Tunnel) => filled.push(*selector),
                (
                    SelectorTemplate::Fixed(TrafficSelector { protocol, ports, .. })
                    | SelectorTemplate::Dynamic { protocol, ports },
                    Mode::Tunnel | Mode::Transport,
                ) => filled.extend(addresses.iter().map(|&addresses| TrafficSelector {
                    protocol: *protocol,
                    addresses,
                    ports: *ports,
                })),
            }
        }
        filled
    };
    let remotes = side(&config.remote, &ends.remote);
    let mut pairs: Vec<Pair> = Vec::new();
    for local in side(&config.local, &ends.local) {
        for pair in remotes.iter().filter_map(|&remote| Pair::new(local, remote)) {
            if pairs.len() < MOST_PAIRS && !pairs.contains(&pair) {
                pairs.push(pair);
            }
        }
    }
    pairs
}

/// The identity that says `selector`, in the shortest form; `None` if none does: an identity has one port or
/// every port, and no way to say that ports cannot be seen.
pub(crate) fn to_id(selector: &TrafficSelector) -> Option<IdPayload> {
    let ports = selector.ports;
    let port = match (ports.first(), ports.last()) {
        _ if ports.is_any() => 0,
        // Zero would be read as every port.
        (0, _) => return None,
        (first, last) if first == last => first,
        _ => return None,
    };
    let range = selector.addresses;
    let (kind, data) = match (range.first(), range.last()) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            let (first_octets, last_octets) = (first.octets(), last.octets());
            match range.prefix() {
                Some(32) => (IdType::IPV4_ADDR, first_octets.to_vec()),
                Some(_) => {
                    // The bits in which a block's ends agree are its mask.
                    let mask = !(first.to_bits() ^ last.to_bits());
                    (IdType::IPV4_ADDR_SUBNET, [first_octets, mask.to_be_bytes()].concat())
                }
                None => (IdType::IPV4_ADDR_RANGE, [first_octets, last_octets].concat()),
            }
        }
        (IpAddr::V6(first), IpAddr::V6(last)) => {
            let (first_octets, last_octets) = (first.octets(), last.octets());
            match range.prefix() {
                Some(128) => (IdType::IPV6_ADDR, first_octets.to_vec()),
                Some(_) => {
                    let mask = !(first.to_bits() ^ last.to_bits());
                    (IdType::IPV6_ADDR_SUBNET, [first_octets, mask.to_be_bytes()].concat())
                }
                None => (IdType::IPV6_ADDR_RANGE, [first_octets, last_octets].concat()),
            }
        }
        _ => return None,
    };
    Some(IdPayload { kind, protocol: selector.protocol, port, data })
}

/// The selector that an identity says; `None` if it names no addresses, or a mask that is no prefix.
pub(crate) fn from_id(id: &IdPayload) -> Option<TrafficSelector> {
    let ports = if id.port == 0 { PortRange::ANY } else { PortRange::single(id.port) };
    Some(TrafficSelector { protocol: id.protocol, addresses: id.addresses()?, ports })
}

/// All traffic of one address, which an absent identity stands for (RFC 2409 5.5).
pub(crate) fn of_address(address: IpAddr) -> Option<TrafficSelector> {
    Some(TrafficSelector::host(address))
}

#[cfg(test)]
mod tests;
