//! IPv6 extension headers (RFC 8200 4).

use super::{IPV6_HEADER, IpError, IpHeader};

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

/// More extension headers than any packet has a use for; each further one costs the sender 8 octets and us a
/// step.
const MAX_HEADERS: usize = 16;

/// Where the next layer's header is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    /// The next layer's protocol.
    pub(crate) protocol: u8,
    /// Where its header starts.
    pub(crate) offset: usize,
    /// Where the octet is that holds `protocol`.
    pub(crate) protocol_at: usize,
    /// Whether the packet is a fragment of a larger one.
    pub(crate) fragment: bool,
    /// Whether the packet is a fragment without the beginning, so that the next layer's header is not in it.
    pub(crate) later_fragment: bool,
    /// Where ESP goes in transport mode: behind the headers that routers on the way look at (RFC 4303 3.1.1).
    pub(crate) insertion: usize,
    /// Where the octet is that names what stands at `insertion`.
    pub(crate) insertion_protocol_at: usize,
    /// What stands at `insertion` now.
    pub(crate) insertion_protocol: u8,
}

/// Finds the next layer's header of a packet whose fixed header is `header`.
///
/// RFC 4301 4.4.1.1: hop-by-hop, routing, fragment and destination options headers are skipped, AH and ESP are
/// not: they are the next layer to a selector.
pub(crate) fn walk(packet: &[u8], header: &IpHeader) -> Result<Chain, IpError> {
    if header.source.is_ipv4() {
        let later_fragment = header.fragment_offset != 0;
        return Ok(Chain {
            protocol: header.protocol,
            offset: header.header_len,
            protocol_at: 9,
            fragment: later_fragment || header.more_fragments,
            later_fragment,
            insertion: header.header_len,
            insertion_protocol_at: 9,
            insertion_protocol: header.protocol,
        });
    }
    let packet = packet.get(..header.total_len).ok_or(IpError::Truncated)?;
    let mut chain = Chain {
        protocol: header.protocol,
        offset: IPV6_HEADER,
        protocol_at: 6,
        fragment: false,
        later_fragment: false,
        insertion: IPV6_HEADER,
        insertion_protocol_at: 6,
        insertion_protocol: header.protocol,
    };
    for _ in 0..MAX_HEADERS {
        let (header_len, on_the_way) = match chain.protocol {
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => {
                let length = *packet.get(chain.offset.saturating_add(1)).ok_or(IpError::Extensions)?;
                let length = usize::from(length).saturating_add(1).saturating_mul(8);
                (length, chain.protocol != DESTINATION_OPTIONS)
            }
            FRAGMENT => {
                let field = super::u16_at(packet, chain.offset.saturating_add(2));
                let field = field.ok_or(IpError::Extensions)?;
                chain.later_fragment |= field >> 3 != 0;
                chain.fragment |= field >> 3 != 0 || field & 1 != 0;
                (8, true)
            }
            _ => return Ok(chain),
        };
        let end = chain.offset.saturating_add(header_len);
        if end > packet.len() {
            return Err(IpError::Extensions);
        }
        chain.protocol_at = chain.offset;
        chain.protocol = *packet.get(chain.offset).ok_or(IpError::Extensions)?;
        chain.offset = end;
        if on_the_way {
            // Also moves past destination options that came before a routing header.
            chain.insertion = end;
            chain.insertion_protocol_at = chain.protocol_at;
            chain.insertion_protocol = chain.protocol;
        }
        if chain.later_fragment {
            // What follows is not a header but the middle of something.
            return Ok(chain);
        }
    }
    match chain.protocol {
        HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS => Err(IpError::Extensions),
        _ => Ok(chain),
    }
}

/// Where an IPv6 fragment header is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FragmentHeader {
    /// Where it starts.
    pub(crate) at: usize,
    /// Where the octet is that announces it.
    pub(crate) protocol_at: usize,
}

/// Finds the fragment header of an IPv6 packet, which stands behind those that routers look at
/// (RFC 8200 4.5).
pub(crate) fn fragment_header(packet: &[u8], header: &IpHeader) -> Result<Option<FragmentHeader>, IpError> {
    let packet = packet.get(..header.total_len).ok_or(IpError::Truncated)?;
    let (mut protocol, mut protocol_at, mut at) = (header.protocol, 6, IPV6_HEADER);
    for _ in 0..MAX_HEADERS {
        match protocol {
            FRAGMENT if at.saturating_add(8) > packet.len() => return Err(IpError::Extensions),
            FRAGMENT => return Ok(Some(FragmentHeader { at, protocol_at })),
            HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS => {}
            _ => return Ok(None),
        }
        let (next, length) = (packet.get(at), packet.get(at.saturating_add(1)));
        let length = usize::from(*length.ok_or(IpError::Extensions)?);
        protocol = *next.ok_or(IpError::Extensions)?;
        protocol_at = at;
        at = at.saturating_add(length.saturating_add(1).saturating_mul(8));
        if at > packet.len() {
            return Err(IpError::Extensions);
        }
    }
    Err(IpError::Extensions)
}
