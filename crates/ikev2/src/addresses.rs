//! The configuration payload: inner addresses, name servers, subnets (RFC 7296 2.19, 3.15).

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ikebana_core::AddressRange;
use ikebana_ike::{AddressRequest, Assignment};

use crate::wire::{ConfigAttribute, ConfigAttributeType, ConfigPayload, ConfigType};

/// At most this many values of a kind are taken from a peer.
const MANY: usize = 16;

/// What we ask for.
pub(crate) fn request(wanted: &[AddressRequest]) -> Option<ConfigPayload> {
    let mut attributes = Vec::new();
    for wanted in wanted {
        let kinds: &[ConfigAttributeType] = match wanted {
            AddressRequest::Ipv4 => &[ConfigAttributeType::INTERNAL_IP4_ADDRESS],
            AddressRequest::Ipv6 => &[ConfigAttributeType::INTERNAL_IP6_ADDRESS],
            AddressRequest::DnsIpv4 => &[ConfigAttributeType::INTERNAL_IP4_DNS],
            AddressRequest::DnsIpv6 => &[ConfigAttributeType::INTERNAL_IP6_DNS],
            AddressRequest::Subnets => {
                &[ConfigAttributeType::INTERNAL_IP4_SUBNET, ConfigAttributeType::INTERNAL_IP6_SUBNET]
            }
            _ => &[],
        };
        attributes.extend(kinds.iter().map(|kind| ConfigAttribute::request(*kind)));
    }
    (!attributes.is_empty()).then_some(ConfigPayload { kind: ConfigType::REQUEST, attributes })
}

/// The addresses a peer asks for, unspecified where any will do. `None` if it asks for no address.
pub(crate) fn demanded(payload: &ConfigPayload) -> Option<Vec<IpAddr>> {
    if payload.kind != ConfigType::REQUEST {
        return None;
    }
    let mut wanted = Vec::new();
    for attribute in &payload.attributes {
        let any = match attribute.kind {
            ConfigAttributeType::INTERNAL_IP4_ADDRESS => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            ConfigAttributeType::INTERNAL_IP6_ADDRESS => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            _ => continue,
        };
        if wanted.len() < MANY {
            wanted.push(attribute.address().map_or(any, |(address, _)| address));
        }
    }
    (!wanted.is_empty()).then_some(wanted)
}

/// The answer to a peer that asked.
pub(crate) fn reply(assignment: &Assignment) -> ConfigPayload {
    let mut attributes = Vec::new();
    let mut give = |kind, value: Vec<u8>| attributes.push(ConfigAttribute { kind, value });
    for address in &assignment.addresses {
        match address {
            IpAddr::V4(v4) => {
                give(ConfigAttributeType::INTERNAL_IP4_ADDRESS, v4.octets().to_vec());
                if let Some(prefix) = assignment.prefix_ipv4 {
                    give(ConfigAttributeType::INTERNAL_IP4_NETMASK, mask(prefix).to_vec());
                }
            }
            IpAddr::V6(v6) => {
                let mut value = v6.octets().to_vec();
                value.push(128);
                give(ConfigAttributeType::INTERNAL_IP6_ADDRESS, value);
            }
        }
    }
    for server in &assignment.dns {
        match server {
            IpAddr::V4(v4) => give(ConfigAttributeType::INTERNAL_IP4_DNS, v4.octets().to_vec()),
            IpAddr::V6(v6) => give(ConfigAttributeType::INTERNAL_IP6_DNS, v6.octets().to_vec()),
        }
    }
    for subnet in &assignment.subnets {
        let Some(prefix) = subnet.prefix() else { continue };
        match subnet.first() {
            IpAddr::V4(v4) => {
                let value = [v4.octets(), mask(prefix)].concat();
                give(ConfigAttributeType::INTERNAL_IP4_SUBNET, value);
            }
            IpAddr::V6(v6) => {
                let mut value = v6.octets().to_vec();
                value.push(prefix);
                give(ConfigAttributeType::INTERNAL_IP6_SUBNET, value);
            }
        }
    }
    ConfigPayload { kind: ConfigType::REPLY, attributes }
}

/// What of a peer's answer we take. RFC 7296 2.19: whoever has asked for nothing is given nothing, and nobody
/// is given an address of a family it has not asked for.
pub(crate) fn accepted(asked: &[AddressRequest], payload: &ConfigPayload) -> Option<Assignment> {
    let mut given = assigned(payload);
    given.addresses.retain(|address| {
        asked.contains(match address {
            IpAddr::V4(_) => &AddressRequest::Ipv4,
            IpAddr::V6(_) => &AddressRequest::Ipv6,
        })
    });
    (!asked.is_empty() && given != Assignment::default()).then_some(given)
}

/// What a peer's answer says.
fn assigned(payload: &ConfigPayload) -> Assignment {
    let mut assignment = Assignment::default();
    if payload.kind != ConfigType::REPLY {
        return assignment;
    }
    for attribute in &payload.attributes {
        let Some((address, prefix)) = attribute.address() else { continue };
        match attribute.kind {
            ConfigAttributeType::INTERNAL_IP4_ADDRESS | ConfigAttributeType::INTERNAL_IP6_ADDRESS
                if assignment.addresses.len() < MANY =>
            {
                assignment.addresses.push(address);
            }
            ConfigAttributeType::INTERNAL_IP4_DNS | ConfigAttributeType::INTERNAL_IP6_DNS
                if assignment.dns.len() < MANY =>
            {
                assignment.dns.push(address);
            }
            ConfigAttributeType::INTERNAL_IP4_SUBNET | ConfigAttributeType::INTERNAL_IP6_SUBNET
                if assignment.subnets.len() < MANY =>
            {
                assignment.subnets.extend(AddressRange::block(address, prefix));
            }
            ConfigAttributeType::INTERNAL_IP4_NETMASK => {
                if let IpAddr::V4(netmask) = address {
                    assignment.prefix_ipv4 = u8::try_from(netmask.to_bits().leading_ones()).ok();
                }
            }
            _ => {}
        }
    }
    assignment
}

fn mask(prefix: u8) -> [u8; 4] {
    let host_bits = 32_u32.saturating_sub(u32::from(prefix));
    u32::MAX.checked_shl(host_bits).unwrap_or(0).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_assigned_arrives() {
        let given = Assignment {
            addresses: Vec::from(["10.9.0.7".parse().unwrap(), "2001:db8::7".parse().unwrap()]),
            dns: Vec::from(["10.9.0.1".parse().unwrap(), "2001:db8::1".parse().unwrap()]),
            subnets: Vec::from([
                AddressRange::block("10.0.0.0".parse().unwrap(), 8).unwrap(),
                AddressRange::block("2001:db8::".parse().unwrap(), 32).unwrap(),
            ]),
            prefix_ipv4: Some(24),
        };
        assert_eq!(assigned(&reply(&given)), given);
    }

    #[test]
    fn a_demand_lists_addresses_and_unspecified_ones() {
        let ask = request(&[AddressRequest::Ipv6, AddressRequest::DnsIpv4, AddressRequest::Ipv4]).unwrap();
        assert_eq!(
            demanded(&ask),
            Some(Vec::from([Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()]))
        );
        assert_eq!(demanded(&request(&[AddressRequest::DnsIpv4]).unwrap()), None);
        assert_eq!(request(&[]), None);
    }
}
