//! The identification payload.

use alloc::vec::Vec;
use core::net::IpAddr;

use ikebana_core::{AddressRange, Reader, WireError, Writer};

use super::IdType;

/// Who a peer is, or in phase 2 what its traffic is (RFC 2407 4.6.2). NAT-OA payloads have this form too.
///
/// ```text
///                      1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |   ID Type     |  Protocol ID  |             Port              |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ~                     Identification Data                       ~
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdPayload {
    /// What the data is.
    pub kind: IdType,
    /// The IP protocol, zero for any.
    pub protocol: u8,
    /// The port, zero for any.
    pub port: u16,
    /// The data, as it came.
    pub data: Vec<u8>,
}

impl IdPayload {
    /// The addresses that the data names; `None` if it names none, or not rightly.
    #[must_use]
    pub fn addresses(&self) -> Option<AddressRange> {
        let (first, second) = match self.kind {
            IdType::IPV4_ADDR | IdType::IPV6_ADDR => (address(&self.data)?, None),
            IdType::IPV4_ADDR_SUBNET
            | IdType::IPV6_ADDR_SUBNET
            | IdType::IPV4_ADDR_RANGE
            | IdType::IPV6_ADDR_RANGE => {
                let (first, second) = self.data.split_at_checked(self.data.len() / 2)?;
                (address(first)?, Some(address(second)?))
            }
            IdType(_) => return None,
        };
        let is_v4 =
            matches!(self.kind, IdType::IPV4_ADDR | IdType::IPV4_ADDR_SUBNET | IdType::IPV4_ADDR_RANGE);
        if first.is_ipv4() != is_v4 {
            return None;
        }
        match (self.kind, second) {
            (_, None) => Some(AddressRange::single(first)),
            (IdType::IPV4_ADDR_RANGE | IdType::IPV6_ADDR_RANGE, Some(last)) => AddressRange::new(first, last),
            (_, Some(mask)) => AddressRange::block(first, prefix(mask)?),
        }
    }

    pub(super) fn parse(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let kind = IdType(reader.u8("ID type")?);
        let protocol = reader.u8("ID protocol")?;
        let port = reader.u16("ID port")?;
        Ok(Self { kind, protocol, port, data: reader.rest().to_vec() })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.u8(self.kind.0);
        writer.u8(self.protocol);
        writer.u16(self.port);
        writer.bytes(&self.data);
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    match octets.len() {
        4 => <[u8; 4]>::try_from(octets).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(octets).ok().map(IpAddr::from),
        _ => None,
    }
}

/// The length of the prefix that a mask stands for.
fn prefix(mask: IpAddr) -> Option<u8> {
    let (ones, leading) = match mask {
        IpAddr::V4(mask) => (mask.to_bits().count_ones(), mask.to_bits().leading_ones()),
        IpAddr::V6(mask) => (mask.to_bits().count_ones(), mask.to_bits().leading_ones()),
    };
    if ones == leading { u8::try_from(ones).ok() } else { None }
}
