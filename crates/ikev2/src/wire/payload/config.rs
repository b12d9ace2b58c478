//! The configuration payload.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ikebana_core::codec::Problem;
use ikebana_core::{Reader, WireError, Writer};

use crate::wire::limits::MAX_CONFIG_ATTRIBUTES;
use crate::wire::{ConfigAttributeType, ConfigType};

/// Addresses and name servers, asked for or given (RFC 7296 3.15).
///
/// ```text
///                      1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |   CFG Type    |                    RESERVED                   |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                                                               |
/// ~                   Configuration Attributes                    ~
/// |                                                               |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigPayload {
    /// Asked for or given.
    pub kind: ConfigType,
    /// The values.
    pub attributes: Vec<ConfigAttribute>,
}

/// One value (RFC 7296 3.15.1).
///
/// ```text
///                      1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |R|         Attribute Type      |            Length             |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                                                               |
/// ~                             Value                             ~
/// |                                                               |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigAttribute {
    /// What the value is.
    pub kind: ConfigAttributeType,
    /// The value. Empty in a request for any value. Of attributes that hold addresses, the length has been
    /// checked.
    pub value: Vec<u8>,
}

impl ConfigAttribute {
    /// An attribute without value, as in a request.
    #[must_use]
    pub const fn request(kind: ConfigAttributeType) -> Self {
        Self { kind, value: Vec::new() }
    }

    /// The address at the start of the value, and the prefix length or subnet after it.
    ///
    /// `None` for an empty value, for attributes that hold no address, and for a prefix or mask that is none.
    /// The prefix length is that of the family where the attribute has none.
    #[must_use]
    pub fn address(&self) -> Option<(IpAddr, u8)> {
        lengths(self.kind)?;
        match *self.value.as_slice() {
            [a, b, c, d] => Some((Ipv4Addr::new(a, b, c, d).into(), 32)),
            [a, b, c, d, m0, m1, m2, m3] => {
                let mask = u32::from_be_bytes([m0, m1, m2, m3]);
                let prefix = u8::try_from(mask.leading_ones()).ok()?;
                let is_prefix = mask.count_ones() == mask.leading_ones();
                is_prefix.then_some((Ipv4Addr::new(a, b, c, d).into(), prefix))
            }
            ref longer => {
                let (address, rest) = longer.split_first_chunk::<16>()?;
                let prefix = rest.first().copied().unwrap_or(128);
                (prefix <= 128).then_some((Ipv6Addr::from(*address).into(), prefix))
            }
        }
    }

    fn parse(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        // RFC 7296 3.15.1: the reserved bit is ignored.
        let kind = ConfigAttributeType(reader.u16("configuration attribute type")? & 0x7fff);
        let length = usize::from(reader.u16("configuration attribute length")?);
        let value = reader.take("configuration attribute", length)?;
        let fits = length == 0 || lengths(kind).is_none_or(|allowed| allowed.contains(&length));
        if !fits {
            return Err(WireError::new("configuration attribute length", Problem::BadLength(length)));
        }
        Ok(Self { kind, value: value.to_vec() })
    }

    fn encode(&self, writer: &mut Writer) {
        writer.u16(self.kind.0 & 0x7fff);
        match u16::try_from(self.value.len()) {
            Ok(length) => writer.u16(length),
            Err(_) => writer.reject("configuration attribute length"),
        }
        writer.bytes(&self.value);
    }
}

/// The lengths a value of an address attribute may have; `None` for other attributes.
const fn lengths(kind: ConfigAttributeType) -> Option<&'static [usize]> {
    match kind {
        ConfigAttributeType::INTERNAL_IP4_ADDRESS
        | ConfigAttributeType::INTERNAL_IP4_NETMASK
        | ConfigAttributeType::INTERNAL_IP4_DNS
        | ConfigAttributeType::INTERNAL_IP4_NBNS
        | ConfigAttributeType::INTERNAL_IP4_DHCP
        | ConfigAttributeType::P_CSCF_IP4_ADDRESS => Some(&[4]),
        ConfigAttributeType::INTERNAL_IP4_SUBNET => Some(&[8]),
        ConfigAttributeType::INTERNAL_IP6_DNS
        | ConfigAttributeType::INTERNAL_IP6_DHCP
        | ConfigAttributeType::P_CSCF_IP6_ADDRESS => Some(&[16]),
        // RFC 7296 3.15.1 has a prefix length after the address; clients are seen that send only an address.
        ConfigAttributeType::INTERNAL_IP6_ADDRESS => Some(&[16, 17]),
        ConfigAttributeType::INTERNAL_IP6_SUBNET => Some(&[17]),
        ConfigAttributeType(_) => None,
    }
}

impl ConfigPayload {
    pub(super) fn parse(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let kind = ConfigType(reader.u8("configuration type")?);
        reader.take("configuration reserved", 3)?;
        let mut attributes = Vec::new();
        while !reader.is_empty() {
            if attributes.len() == MAX_CONFIG_ATTRIBUTES {
                let problem = Problem::TooMany(MAX_CONFIG_ATTRIBUTES);
                return Err(WireError::new("configuration attributes", problem));
            }
            attributes.push(ConfigAttribute::parse(&mut reader)?);
        }
        Ok(Self { kind, attributes })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.u8(self.kind.0);
        writer.zeros(3);
        for attribute in &self.attributes {
            attribute.encode(writer);
        }
    }
}
