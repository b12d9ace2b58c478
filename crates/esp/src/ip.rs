//! IP headers: as much of them as ESP has to read and write.

mod extension;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use thiserror::Error;

use crate::checksum::{self, Sum};
use crate::outer::OuterFields;

pub(crate) use extension::{Chain, fragment_header, walk};

/// The length of an IPv4 header without options.
pub(crate) const IPV4_HEADER: usize = 20;
/// The length of an IPv6 header without extension headers.
pub(crate) const IPV6_HEADER: usize = 40;
/// The length of a UDP header.
pub(crate) const UDP_HEADER: usize = 8;

/// The version of an IP packet or of a pair of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The header without options or extension headers, in octets.
    #[must_use]
    pub const fn header_len(self) -> usize {
        match self {
            Self::V4 => IPV4_HEADER,
            Self::V6 => IPV6_HEADER,
        }
    }
}

/// What is wrong with an IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IpError {
    /// The packet ends inside its header.
    #[error("the packet ends inside its IP header")]
    Truncated,
    /// The version is neither 4 nor 6, or not the one expected.
    #[error("IP version {0}")]
    Version(u8),
    /// The IPv4 header length is below 20 or past the packet's end.
    #[error("IPv4 header length {0}")]
    HeaderLength(usize),
    /// The packet says it is longer than it is, or shorter than its header.
    #[error("IP total length {stated} where {available} octets are")]
    TotalLength {
        /// What the header says.
        stated: usize,
        /// What is there.
        available: usize,
    },
    /// An extension header is cut off, or there are too many.
    #[error("the IPv6 extension headers do not end")]
    Extensions,
    /// An option of IPv4, or in an extension header of IPv6, is malformed. Only AH and fragmentation look at them,
    /// and BEET mode where it carries them.
    #[error("a malformed IP option")]
    Options,
    /// A routing header is malformed, of a type whose changes on the way are not known, or says that the packet
    /// has not arrived. Only AH looks at it.
    #[error("a routing header that AH cannot cover")]
    Routing,
    /// The transport header that a whole packet must have is cut off.
    #[error("the packet ends inside its transport header")]
    Transport,
}

/// The fixed part of an IP header, checked against the packet's length.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |Version|  IHL  |Type of Service|          Total Length         |  IPv4, RFC 791
/// |         Identification        |Flags|      Fragment Offset    |
/// |  Time to Live |    Protocol   |         Header Checksum       |
/// |                    Source, Destination Address                |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |Version| Traffic Class |           Flow Label                  |  IPv6, RFC 8200
/// |         Payload Length        |  Next Header  |   Hop Limit   |
/// |                 Source, Destination Address                   |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IpHeader {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    /// 20 to 60 for IPv4, 40 for IPv6: extension headers do not count.
    pub(crate) header_len: usize,
    /// The whole packet's length as the header says it.
    pub(crate) total_len: usize,
    /// DSCP and ECN.
    pub(crate) tos: u8,
    /// IPv4's flag; IPv6 is never fragmented on its way, so always set there.
    pub(crate) dont_fragment: bool,
    /// IPv4: offset other than zero or more fragments to come.
    pub(crate) more_fragments: bool,
    pub(crate) fragment_offset: u16,
    pub(crate) ttl: u8,
    /// What follows the fixed header.
    pub(crate) protocol: u8,
    /// IPv6 only.
    pub(crate) flow_label: u32,
}

impl IpHeader {
    /// Reads the header at the front of `packet`, which may be followed by octets that do not belong to it.
    pub(crate) fn parse(packet: &[u8]) -> Result<Self, IpError> {
        let header = Self::parse_beginning(packet)?;
        if header.total_len > packet.len() {
            return Err(IpError::TotalLength { stated: header.total_len, available: packet.len() });
        }
        Ok(header)
    }

    /// Reads the header of a packet of which only the beginning need be there: ICMP errors quote no more.
    pub(crate) fn parse_beginning(packet: &[u8]) -> Result<Self, IpError> {
        match packet.first().map(|first| first >> 4) {
            None => Err(IpError::Truncated),
            Some(4) => Self::parse_v4(packet),
            Some(6) => Self::parse_v6(packet),
            Some(other) => Err(IpError::Version(other)),
        }
    }

    fn parse_v4(packet: &[u8]) -> Result<Self, IpError> {
        let fixed: &[u8; IPV4_HEADER] = packet.first_chunk().ok_or(IpError::Truncated)?;
        let [
            version_ihl,
            tos,
            len1,
            len2,
            _,
            _,
            fragment1,
            fragment2,
            ttl,
            protocol,
            _,
            _,
            s1,
            s2,
            s3,
            s4,
            d1,
            d2,
            d3,
            d4,
        ] = *fixed;
        let header_len = usize::from(version_ihl & 0x0f).saturating_mul(4);
        if header_len < IPV4_HEADER || header_len > packet.len() {
            return Err(IpError::HeaderLength(header_len));
        }
        let total_len = usize::from(u16::from_be_bytes([len1, len2]));
        if total_len < header_len {
            return Err(IpError::TotalLength { stated: total_len, available: packet.len() });
        }
        let fragment = u16::from_be_bytes([fragment1, fragment2]);
        Ok(Self {
            source: Ipv4Addr::new(s1, s2, s3, s4).into(),
            destination: Ipv4Addr::new(d1, d2, d3, d4).into(),
            header_len,
            total_len,
            tos,
            dont_fragment: fragment & 0x4000 != 0,
            more_fragments: fragment & 0x2000 != 0,
            fragment_offset: fragment & 0x1fff,
            ttl,
            protocol,
            flow_label: 0,
        })
    }

    fn parse_v6(packet: &[u8]) -> Result<Self, IpError> {
        let (fixed, _) = packet.split_first_chunk::<IPV6_HEADER>().ok_or(IpError::Truncated)?;
        let (first, rest) = fixed.split_first_chunk::<8>().ok_or(IpError::Truncated)?;
        let (source, rest) = rest.split_first_chunk::<16>().ok_or(IpError::Truncated)?;
        let destination: &[u8; 16] = rest.first_chunk().ok_or(IpError::Truncated)?;
        let [b0, b1, b2, b3, len1, len2, protocol, ttl] = *first;
        let payload_len = usize::from(u16::from_be_bytes([len1, len2]));
        let total_len = payload_len.saturating_add(IPV6_HEADER);
        Ok(Self {
            source: Ipv6Addr::from(*source).into(),
            destination: Ipv6Addr::from(*destination).into(),
            header_len: IPV6_HEADER,
            total_len,
            tos: (b0 << 4) | (b1 >> 4),
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            ttl,
            protocol,
            flow_label: u32::from_be_bytes([0, b1 & 0x0f, b2, b3]),
        })
    }

    pub(crate) const fn family(&self) -> Family {
        Family::of(self.source)
    }
}

/// Reads a 16-bit number, or `None` past the end.
pub(crate) fn u16_at(octets: &[u8], at: usize) -> Option<u16> {
    octets.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)
}

/// Writes octets, or does nothing and returns `None` past the end.
pub(crate) fn put(octets: &mut [u8], at: usize, value: &[u8]) -> Option<()> {
    octets.get_mut(at..at.checked_add(value.len())?)?.copy_from_slice(value);
    Some(())
}

/// Writes the checksum of an IPv4 header anew.
pub(crate) fn checksum_v4(header: &mut [u8]) -> Option<()> {
    put(header, 10, &[0, 0])?;
    let checksum = Sum::default().add(header).finish();
    put(header, 10, &checksum.to_be_bytes())
}

/// Makes an IP packet's header say the packet's length. `header_len` is the fixed header with IPv4's options.
pub(crate) fn fix_length(packet: &mut [u8], header_len: usize) -> Option<()> {
    let length = packet.len();
    if *packet.first()? >> 4 == 4 {
        put(packet, 2, &u16::try_from(length).ok()?.to_be_bytes())?;
        checksum_v4(packet.get_mut(..header_len)?)
    } else {
        put(packet, 4, &u16::try_from(length.checked_sub(IPV6_HEADER)?).ok()?.to_be_bytes())
    }
}

/// Writes an IP header without options at the front of `packet`, which has room for it there. `None` if the
/// addresses are of different families, or the packet is too long or too short.
pub(crate) fn write_header(
    packet: &mut [u8],
    addresses: (IpAddr, IpAddr),
    fields: &OuterFields,
    protocol: u8,
    identification: u16,
) -> Option<()> {
    match addresses {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let flags: u8 = if fields.dont_fragment { 0x40 } else { 0 };
            put(packet, 0, &[0x45, fields.tos])?;
            put(packet, 4, &identification.to_be_bytes())?;
            put(packet, 6, &[flags, 0, fields.ttl, protocol])?;
            put(packet, 12, &source.octets())?;
            put(packet, 16, &destination.octets())?;
            fix_length(packet, IPV4_HEADER)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let first = (6 << 28) | (u32::from(fields.tos) << 20) | (fields.flow_label & 0x000f_ffff);
            put(packet, 0, &first.to_be_bytes())?;
            put(packet, 6, &[protocol, fields.ttl])?;
            put(packet, 8, &source.octets())?;
            put(packet, 24, &destination.octets())?;
            fix_length(packet, IPV6_HEADER)
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
    }
}

/// Replaces DSCP and ECN of the IP packet at the front of `packet`, its IPv4 checksum with them.
pub(crate) fn set_tos(packet: &mut [u8], tos: u8) -> Option<()> {
    let first = *packet.first()?;
    if first >> 4 == 4 {
        let (old, checksum) = (*packet.get(1)?, u16_at(packet, 10)?);
        put(packet, 1, &[tos])?;
        put(packet, 10, &checksum::updated(checksum, &[first, old], &[first, tos]).to_be_bytes())
    } else {
        let second = *packet.get(1)?;
        put(packet, 0, &[(first & 0xf0) | (tos >> 4), (tos << 4) | (second & 0x0f)])
    }
}

#[cfg(test)]
mod tests;
