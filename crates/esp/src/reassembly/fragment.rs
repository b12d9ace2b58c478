//! What a fragment says of itself.

use core::net::IpAddr;

use super::ReassemblyError;
use crate::ip::{self, IPV6_HEADER, IpError, IpHeader};

/// Which packet a fragment is of (RFC 791 3.2, RFC 8200 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) source: IpAddr,
    destination: IpAddr,
    identification: u32,
    /// Zero for IPv6, where it makes no difference.
    protocol: u8,
}

/// A fragment.
pub(super) struct Fragment<'a> {
    pub(super) key: Key,
    /// The packet's headers as this fragment has them: IPv6's fragment header and what follows is not in it.
    pub(super) headers: &'a [u8],
    /// IPv6: where in `headers` the octet is that has to say `next`, and `next`.
    pub(super) next: Option<(usize, u8)>,
    /// DSCP and ECN.
    pub(super) tos: u8,
    pub(super) start: usize,
    pub(super) more: bool,
    pub(super) data: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// Reads a packet; `None` if it is not a fragment.
    pub(super) fn parse(packet: &'a [u8]) -> Result<Option<Self>, IpError> {
        let header = IpHeader::parse(packet)?;
        let packet = packet.get(..header.total_len).ok_or(IpError::Truncated)?;
        match header.source {
            IpAddr::V4(_) => Self::parse_v4(packet, &header),
            IpAddr::V6(_) => Self::parse_v6(packet, &header),
        }
    }

    fn parse_v4(packet: &'a [u8], header: &IpHeader) -> Result<Option<Self>, IpError> {
        if header.fragment_offset == 0 && !header.more_fragments {
            return Ok(None);
        }
        let identification = ip::u16_at(packet, 4).ok_or(IpError::Truncated)?;
        let (headers, data) = packet.split_at_checked(header.header_len).ok_or(IpError::Truncated)?;
        Ok(Some(Self {
            key: Key {
                source: header.source,
                destination: header.destination,
                identification: identification.into(),
                protocol: header.protocol,
            },
            headers,
            next: None,
            tos: header.tos,
            start: usize::from(header.fragment_offset).saturating_mul(8),
            more: header.more_fragments,
            data,
        }))
    }

    fn parse_v6(packet: &'a [u8], header: &IpHeader) -> Result<Option<Self>, IpError> {
        let Some(found) = ip::fragment_header(packet, header)? else { return Ok(None) };
        let (headers, rest) = packet.split_at_checked(found.at).ok_or(IpError::Extensions)?;
        let (fragment, data) = rest.split_first_chunk::<8>().ok_or(IpError::Extensions)?;
        let [next, _, o0, o1, i0, i1, i2, i3] = *fragment;
        let field = u16::from_be_bytes([o0, o1]);
        // RFC 6946: one that is the whole packet is nothing but a header too many.
        if field >> 3 == 0 && field & 1 == 0 {
            return Ok(None);
        }
        Ok(Some(Self {
            key: Key {
                source: header.source,
                destination: header.destination,
                identification: u32::from_be_bytes([i0, i1, i2, i3]),
                protocol: 0,
            },
            headers,
            next: Some((found.protocol_at, next)),
            tos: header.tos,
            start: usize::from(field & !7),
            more: field & 1 != 0,
            data,
        }))
    }

    /// Whether it can be a fragment of anything.
    pub(super) fn check(&self, shortest: usize) -> Result<(), ReassemblyError> {
        let length = self.data.len();
        if length == 0 || (self.more && length.checked_rem(8) != Some(0)) {
            return Err(ReassemblyError::Length(length));
        }
        // A router may cut a fragment once more, so only the first one shows who cuts too small.
        if self.more && self.start == 0 && length < shortest {
            return Err(ReassemblyError::Tiny(length));
        }
        if self.end() > most_data(self.headers) {
            return Err(ReassemblyError::TooLong(self.end()));
        }
        Ok(())
    }

    /// Where its data ends in the packet's.
    pub(super) const fn end(&self) -> usize {
        self.start.saturating_add(self.data.len())
    }

    /// Octets that are kept of it.
    pub(super) const fn cost(&self) -> usize {
        let headers = if self.start == 0 { self.headers.len() } else { 0 };
        headers.saturating_add(self.data.len())
    }
}

/// As much data as can follow these headers: IPv4 counts them all, IPv6 all but the fixed one.
pub(super) fn most_data(headers: &[u8]) -> usize {
    let counted = match headers.first() {
        Some(first) if first >> 4 == 6 => headers.len().saturating_sub(IPV6_HEADER),
        _ => headers.len(),
    };
    usize::from(u16::MAX).saturating_sub(counted)
}
