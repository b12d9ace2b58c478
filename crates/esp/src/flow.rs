//! What a packet shows of itself to a traffic selector.

use core::net::IpAddr;

use ikebana_core::Flow;
use ikebana_core::selector::protocol;

use crate::ip::{self, Chain, IpError, IpHeader};

const DCCP: u8 = 33;
const UDP_LITE: u8 = 136;

/// Addresses, protocol and ports of an IP packet, in the packet's own direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InnerFlow {
    /// The sender's address.
    pub source: IpAddr,
    /// The receiver's address.
    pub destination: IpAddr,
    /// The protocol behind any extension headers.
    pub protocol: u8,
    /// The sender's port; for ICMP the type and code, for mobility the type. `None` in fragments and for
    /// protocols without ports.
    pub source_port: Option<u16>,
    /// The receiver's port; the same number as `source_port` for ICMP and mobility.
    pub destination_port: Option<u16>,
    /// Whether the packet is part of a larger one.
    pub fragment: bool,
}

impl InnerFlow {
    /// The flow of a packet that we send.
    #[must_use]
    pub const fn outbound(self) -> Flow {
        Flow {
            local: self.source,
            remote: self.destination,
            protocol: self.protocol,
            local_port: self.source_port,
            remote_port: self.destination_port,
        }
    }

    /// The flow of a packet that we received.
    #[must_use]
    pub const fn inbound(self) -> Flow {
        self.outbound().reversed()
    }
}

/// Reads addresses, protocol and ports of the IP packet at the front of `packet`.
///
/// Extension headers are skipped as RFC 4301 4.4.1.1 says. Fragments show no ports, the first one neither: if
/// it did, the first and the later fragments of one packet would go different ways (RFC 4301 7).
///
/// # Errors
/// [`IpError`] if this is not a whole IP packet, or if it is not a fragment and still ends before its ports.
///
/// ```
/// let ping = [
///     0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0, 192, 0, 2, 1, 198, 51, 100, 7, // IPv4
///     8, 0, 0, 0, 0, 1, 0, 1, // echo request
/// ];
/// let flow = ikebana_esp::inner_flow(&ping).unwrap().outbound();
/// assert_eq!(flow.to_string(), "192.0.2.1:2048 -> 198.51.100.7:2048 protocol 1");
/// ```
pub fn inner_flow(packet: &[u8]) -> Result<InnerFlow, IpError> {
    let header = IpHeader::parse(packet)?;
    let chain = ip::walk(packet, &header)?;
    let upper = packet.get(chain.offset..header.total_len).unwrap_or_default();
    flow_of(&header, &chain, upper)
}

/// The flow of a packet with these headers, in front of `upper`.
pub(crate) fn flow_of(header: &IpHeader, chain: &Chain, upper: &[u8]) -> Result<InnerFlow, IpError> {
    let mut flow = InnerFlow {
        source: header.source,
        destination: header.destination,
        protocol: chain.protocol,
        source_port: None,
        destination_port: None,
        fragment: chain.fragment,
    };
    if flow.fragment {
        return Ok(flow);
    }
    let field = |at| ip::u16_at(upper, at).ok_or(IpError::Transport);
    match chain.protocol {
        protocol::TCP | protocol::UDP | protocol::SCTP | DCCP | UDP_LITE => {
            flow.source_port = Some(field(0)?);
            flow.destination_port = Some(field(2)?);
        }
        protocol::ICMP | protocol::ICMPV6 => {
            // RFC 4301 4.4.1.1: type in the upper octet, code in the lower.
            flow.source_port = Some(field(0)?);
            flow.destination_port = flow.source_port;
        }
        protocol::MOBILITY => {
            // RFC 7296 3.13.1: the mobility header type in the upper octet.
            let kind = upper.get(2).ok_or(IpError::Transport)?;
            flow.source_port = Some(u16::from(*kind) << 8);
            flow.destination_port = flow.source_port;
        }
        _ => {}
    }
    Ok(flow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn v4(protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
        let mut packet = Vec::from([0x45, 0]);
        packet.extend(u16::try_from(20 + payload.len()).unwrap().to_be_bytes());
        packet.extend([0, 0]);
        packet.extend(fragment.to_be_bytes());
        packet.extend([64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        packet.extend(payload);
        packet
    }

    #[test]
    fn ports_are_read_where_a_protocol_has_them() {
        for protocol in [6, 17, 33, 132, 136] {
            let flow = inner_flow(&v4(protocol, 0, &[0x12, 0x34, 0x56, 0x78])).unwrap();
            assert_eq!((flow.source_port, flow.destination_port), (Some(0x1234), Some(0x5678)));
            let (outbound, inbound) = (flow.outbound(), flow.inbound());
            assert_eq!((outbound.local_port, outbound.remote_port), (Some(0x1234), Some(0x5678)));
            assert_eq!(inbound, outbound.reversed());
        }
        for protocol in [0, 2, 4, 41, 47, 50, 51, 89] {
            let flow = inner_flow(&v4(protocol, 0, &[])).unwrap();
            assert_eq!((flow.source_port, flow.destination_port), (None, None), "{protocol}");
        }
    }

    #[test]
    fn icmp_shows_type_and_code_and_mobility_its_type() {
        let flow = inner_flow(&v4(1, 0, &[3, 4, 0, 0])).unwrap();
        assert_eq!((flow.source_port, flow.destination_port), (Some(0x0304), Some(0x0304)));
        let flow = inner_flow(&v4(135, 0, &[59, 0, 5, 0])).unwrap();
        assert_eq!((flow.source_port, flow.destination_port), (Some(0x0500), Some(0x0500)));
    }

    #[test]
    fn fragments_show_no_ports() {
        for fragment in [0x2000, 0x2001, 0x0001] {
            let flow = inner_flow(&v4(17, fragment, &[1, 2, 3, 4])).unwrap();
            assert!(flow.fragment);
            assert_eq!((flow.source_port, flow.destination_port, flow.protocol), (None, None, 17));
        }
    }

    #[test]
    fn a_whole_packet_that_ends_before_its_ports_is_an_error() {
        for length in 0..4 {
            assert_eq!(inner_flow(&v4(6, 0, &[0; 4][..length])), Err(IpError::Transport));
        }
        assert_eq!(inner_flow(&v4(1, 0, &[8])), Err(IpError::Transport));
    }
}
