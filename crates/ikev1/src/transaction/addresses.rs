//! Attributes of mode config: inner addresses, name servers, subnets (draft-ietf-ipsec-isakmp-mode-cfg-05 3.3).

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ikebana_core::{AddressRange, Reader};
use ikebana_ike::{AddressRequest, Assignment};

use super::user::value;
use crate::wire::{Attribute, AttributeValue, ConfigAttribute};

/// At most this many addresses of a kind are taken from a peer.
const MANY: usize = 16;

/// At most this many subnets are taken from a peer.
const MANY_SUBNETS: usize = 64;

/// Octets of one subnet of Unity: address, mask, and six of protocol and ports that nobody uses.
const UNITY_SUBNET: usize = 14;

/// What we ask for. `before` are the addresses that we had, and would like to keep.
pub(super) fn request(wanted: &[AddressRequest], before: &[IpAddr]) -> Vec<Attribute> {
    let mut attributes = Vec::new();
    let had = |is_v4: bool| {
        before.iter().find(|address| address.is_ipv4() == is_v4).map_or_else(Vec::new, |had| octets(*had))
    };
    for wanted in wanted {
        match wanted {
            AddressRequest::Ipv4 => {
                attributes.push(value(ConfigAttribute::INTERNAL_IP4_ADDRESS.0, had(true)));
                attributes.push(value(ConfigAttribute::INTERNAL_IP4_NETMASK.0, Vec::new()));
            }
            AddressRequest::Ipv6 => {
                attributes.push(value(ConfigAttribute::INTERNAL_IP6_ADDRESS.0, had(false)));
            }
            AddressRequest::DnsIpv4 => {
                attributes.push(value(ConfigAttribute::INTERNAL_IP4_DNS.0, Vec::new()));
            }
            AddressRequest::DnsIpv6 => {
                attributes.push(value(ConfigAttribute::INTERNAL_IP6_DNS.0, Vec::new()));
            }
            AddressRequest::Subnets => {
                for kind in [
                    ConfigAttribute::INTERNAL_IP4_SUBNET,
                    ConfigAttribute::INTERNAL_IP6_SUBNET,
                    ConfigAttribute::UNITY_SPLIT_INCLUDE,
                ] {
                    attributes.push(value(kind.0, Vec::new()));
                }
            }
            // A request of a kind that came later than this has no attribute here.
            _ => {}
        }
    }
    attributes
}

/// The addresses a peer asks for, unspecified where any will do. `None` if it asks for no address.
pub(super) fn demanded(attributes: &[Attribute]) -> Option<Vec<IpAddr>> {
    let mut wanted = Vec::new();
    for attribute in attributes {
        let any = match ConfigAttribute(attribute.kind) {
            ConfigAttribute::INTERNAL_IP4_ADDRESS => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            ConfigAttribute::INTERNAL_IP6_ADDRESS => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            ConfigAttribute(_) => continue,
        };
        if wanted.len() < MANY {
            let like = address(attribute).filter(|like| like.is_ipv4() == any.is_ipv4());
            wanted.push(like.unwrap_or(any));
        }
    }
    (!wanted.is_empty()).then_some(wanted)
}

/// An address of each family, for a client that is not waited for.
pub(super) fn any() -> Vec<IpAddr> {
    Vec::from([IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)])
}

/// What a client is given. Subnets are said in the ways that the client has `asked` in, and of a client that was
/// not asked nothing is known, so that it gets both.
pub(super) fn given(assignment: &Assignment, asked: Option<&[u16]>) -> Vec<Attribute> {
    let has_asked = |kind: ConfigAttribute| asked.is_none_or(|asked| asked.contains(&kind.0));
    let mut attributes = Vec::new();
    let mut give = |kind: ConfigAttribute, octets: Vec<u8>| attributes.push(value(kind.0, octets));
    for address in &assignment.addresses {
        match address {
            IpAddr::V4(v4) => {
                give(ConfigAttribute::INTERNAL_IP4_ADDRESS, v4.octets().to_vec());
                if let Some(prefix) = assignment.prefix_ipv4 {
                    give(ConfigAttribute::INTERNAL_IP4_NETMASK, mask(prefix).to_vec());
                }
            }
            IpAddr::V6(v6) => give(ConfigAttribute::INTERNAL_IP6_ADDRESS, v6.octets().to_vec()),
        }
    }
    for server in &assignment.dns {
        let kind = match server {
            IpAddr::V4(_) => ConfigAttribute::INTERNAL_IP4_DNS,
            IpAddr::V6(_) => ConfigAttribute::INTERNAL_IP6_DNS,
        };
        give(kind, octets(*server));
    }
    let mut unity = Vec::new();
    for subnet in &assignment.subnets {
        let Some(prefix) = subnet.prefix() else { continue };
        match subnet.first() {
            IpAddr::V4(v4) => {
                let block = [v4.octets(), mask(prefix)].concat();
                unity.extend_from_slice(&block);
                unity.extend_from_slice(&[0; UNITY_SUBNET - 8]);
                if has_asked(ConfigAttribute::INTERNAL_IP4_SUBNET) {
                    give(ConfigAttribute::INTERNAL_IP4_SUBNET, block);
                }
            }
            IpAddr::V6(v6) if has_asked(ConfigAttribute::INTERNAL_IP6_SUBNET) => {
                let mut block = v6.octets().to_vec();
                block.push(prefix);
                give(ConfigAttribute::INTERNAL_IP6_SUBNET, block);
            }
            IpAddr::V6(_) => {}
        }
    }
    if !unity.is_empty() && has_asked(ConfigAttribute::UNITY_SPLIT_INCLUDE) {
        give(ConfigAttribute::UNITY_SPLIT_INCLUDE, unity);
    }
    attributes
}

/// What of a server's values we take: no address of a family that we have not asked for, and nothing if that
/// leaves nothing.
pub(super) fn accepted(asked: &[AddressRequest], attributes: &[Attribute]) -> Option<Assignment> {
    let mut given = read(attributes);
    given.addresses.retain(|address| {
        asked.contains(match address {
            IpAddr::V4(_) => &AddressRequest::Ipv4,
            IpAddr::V6(_) => &AddressRequest::Ipv6,
        })
    });
    (!asked.is_empty() && given != Assignment::default()).then_some(given)
}

fn read(attributes: &[Attribute]) -> Assignment {
    let mut assignment = Assignment::default();
    for attribute in attributes {
        match ConfigAttribute(attribute.kind) {
            ConfigAttribute::INTERNAL_IP4_ADDRESS | ConfigAttribute::INTERNAL_IP6_ADDRESS => {
                // An address of zeros is none.
                let address = address(attribute).filter(|address| !address.is_unspecified());
                push(&mut assignment.addresses, address, MANY);
            }
            ConfigAttribute::INTERNAL_IP4_DNS | ConfigAttribute::INTERNAL_IP6_DNS => {
                push(&mut assignment.dns, address(attribute), MANY);
            }
            ConfigAttribute::INTERNAL_IP4_NETMASK => {
                if let Some(IpAddr::V4(netmask)) = address(attribute) {
                    assignment.prefix_ipv4 = prefix(netmask);
                }
            }
            ConfigAttribute::INTERNAL_IP4_SUBNET | ConfigAttribute::UNITY_SPLIT_INCLUDE => {
                let size =
                    if attribute.kind == ConfigAttribute::INTERNAL_IP4_SUBNET.0 { 8 } else { UNITY_SUBNET };
                for block in attribute.octets().chunks_exact(size) {
                    push(&mut assignment.subnets, block_v4(block), MANY_SUBNETS);
                }
            }
            ConfigAttribute::INTERNAL_IP6_SUBNET => {
                push(&mut assignment.subnets, block_v6(&attribute.octets()), MANY_SUBNETS);
            }
            ConfigAttribute(_) => {}
        }
    }
    assignment
}

fn push<T: PartialEq>(list: &mut Vec<T>, item: Option<T>, most: usize) {
    if let Some(item) = item
        && list.len() < most
        && !list.contains(&item)
    {
        list.push(item);
    }
}

/// The address in an attribute; some append a prefix length to IPv6 addresses.
fn address(attribute: &Attribute) -> Option<IpAddr> {
    let AttributeValue::Long(octets) = &attribute.value else { return None };
    match octets.len() {
        4 => <[u8; 4]>::try_from(octets.as_slice()).ok().map(IpAddr::from),
        16 | 17 => octets.first_chunk::<16>().copied().map(IpAddr::from),
        _ => None,
    }
}

fn block_v4(octets: &[u8]) -> Option<AddressRange> {
    let mut reader = Reader::new(octets);
    let address: [u8; 4] = reader.array("subnet").ok()?;
    let mask: [u8; 4] = reader.array("subnet mask").ok()?;
    AddressRange::block(IpAddr::from(address), prefix(Ipv4Addr::from(mask))?)
}

fn block_v6(octets: &[u8]) -> Option<AddressRange> {
    let (&prefix, address) = octets.split_last()?;
    AddressRange::block(IpAddr::from(<[u8; 16]>::try_from(address).ok()?), prefix)
}

/// The length of the prefix that a mask stands for.
fn prefix(mask: Ipv4Addr) -> Option<u8> {
    let bits = mask.to_bits();
    (bits.leading_ones() == bits.count_ones()).then(|| u8::try_from(bits.leading_ones()).ok())?
}

fn mask(prefix: u8) -> [u8; 4] {
    let host_bits = 32_u32.saturating_sub(u32::from(prefix));
    u32::MAX.checked_shl(host_bits).unwrap_or(0).to_be_bytes()
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}
