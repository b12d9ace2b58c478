//! Outer headers: IP, and UDP where ESP travels in it.

use core::net::IpAddr;

use ikebana_core::selector::protocol;

use crate::buffer::PacketBuf;
use crate::checksum::Sum;
use crate::ecn::Ecn;
use crate::error::SealError;
use crate::ip::{self, Family, IPV6_HEADER, IpHeader, UDP_HEADER};
use crate::params::{DfPolicy, DscpPolicy, FlowLabelPolicy, OuterPolicy, UdpPorts};

/// What an outer header says besides addresses and lengths.
///
/// A caller whose sockets make the outer headers hands these on (`IP_TOS`, `IPV6_TCLASS`, `IP_MTU_DISCOVER`);
/// others write them with [`OuterHeader`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OuterFields {
    /// DSCP and ECN.
    pub tos: u8,
    /// Whether routers may not fragment.
    pub dont_fragment: bool,
    /// Time to live, hop limit.
    pub ttl: u8,
    /// Flow label, for IPv6.
    pub flow_label: u32,
}

impl OuterFields {
    /// A tunnel's outer header for a packet with this inner one (RFC 4301 5.1.2).
    pub(crate) fn for_tunnel(policy: &OuterPolicy, inner: &IpHeader) -> Self {
        let dscp = match policy.dscp {
            DscpPolicy::Copy => inner.tos,
            DscpPolicy::Set(dscp) => dscp << 2,
        };
        Self {
            tos: policy.ecn.encapsulate(Ecn::of(inner.tos)).within(dscp),
            dont_fragment: match policy.df {
                DfPolicy::Copy => inner.dont_fragment,
                DfPolicy::Set => true,
                DfPolicy::Clear => false,
            },
            ttl: policy.ttl,
            flow_label: match policy.flow_label {
                FlowLabelPolicy::Zero => 0,
                FlowLabelPolicy::Copy => inner.flow_label,
                FlowLabelPolicy::Set(label) => label & 0x000f_ffff,
            },
        }
    }

    /// A tunnel's outer header around what is no packet, or more than one: what policy copies from the inner header
    /// is as of a packet that says nothing and must not be fragmented.
    pub(crate) const fn for_no_packet(policy: &OuterPolicy) -> Self {
        Self {
            tos: match policy.dscp {
                DscpPolicy::Copy => 0,
                DscpPolicy::Set(dscp) => dscp << 2,
            },
            dont_fragment: match policy.df {
                DfPolicy::Copy | DfPolicy::Set => true,
                DfPolicy::Clear => false,
            },
            ttl: policy.ttl,
            flow_label: match policy.flow_label {
                FlowLabelPolicy::Zero | FlowLabelPolicy::Copy => 0,
                FlowLabelPolicy::Set(label) => label & 0x000f_ffff,
            },
        }
    }

    /// Transport mode: the packet's own header is the outer one.
    pub(crate) const fn of_packet(header: &IpHeader) -> Self {
        Self {
            tos: header.tos,
            dont_fragment: header.dont_fragment,
            ttl: header.ttl,
            flow_label: header.flow_label,
        }
    }
}

/// An outer header to be written in front of an ESP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OuterHeader {
    /// The sender.
    pub source: IpAddr,
    /// The receiver.
    pub destination: IpAddr,
    /// The ports if ESP travels in UDP.
    pub ports: Option<UdpPorts>,
    /// The fields that come from the inner packet and the SA's policy.
    pub fields: OuterFields,
    /// IPv4 identification. Where fragmentation is possible, it must not repeat while fragments of an earlier
    /// packet with the same one may be around (RFC 6864).
    pub identification: u16,
}

impl OuterHeader {
    /// Writes the header into the headroom of `packet`, which starts with its SPI, and makes the packet
    /// include it.
    ///
    /// # Errors
    /// [`SealError::Headroom`], [`SealError::TooLong`] if the packet would exceed what IP can say, or
    /// [`SealError::Family`] if the addresses are of different families. The packet is unchanged then.
    pub fn push(&self, packet: &mut PacketBuf<'_>) -> Result<(), SealError> {
        let family = Family::of(self.source);
        if family != Family::of(self.destination) {
            return Err(SealError::Family);
        }
        let udp_len = if self.ports.is_some() { UDP_HEADER } else { 0 };
        let needed = family.header_len().saturating_add(udp_len);
        let total = packet.len().saturating_add(needed);
        let counted = match family {
            Family::V4 => total,
            Family::V6 => total.saturating_sub(IPV6_HEADER),
        };
        u16::try_from(counted).map_err(|_| SealError::TooLong { length: total })?;
        let missing = SealError::Headroom { needed, available: packet.headroom() };
        let octets = packet.grow_front(needed).ok_or(missing)?;
        self.write(octets, family.header_len()).ok_or(missing)
    }

    fn write(&self, octets: &mut [u8], header_len: usize) -> Option<()> {
        let next = if self.ports.is_some() { protocol::UDP } else { protocol::ESP };
        let addresses = (self.source, self.destination);
        ip::write_header(octets, addresses, &self.fields, next, self.identification)?;
        match self.ports {
            Some(ports) => write_udp(octets.get_mut(header_len..)?, ports, self.source, self.destination),
            None => Some(()),
        }
    }
}

/// Writes the UDP header at the front of `datagram`, which is everything behind the IP header.
pub(crate) fn write_udp(
    datagram: &mut [u8],
    ports: UdpPorts,
    source: IpAddr,
    destination: IpAddr,
) -> Option<()> {
    let length = u16::try_from(datagram.len()).ok()?;
    ip::put(datagram, 0, &ports.source.to_be_bytes())?;
    ip::put(datagram, 2, &ports.destination.to_be_bytes())?;
    ip::put(datagram, 4, &length.to_be_bytes())?;
    // RFC 3948 2.1: the checksum over IPv4 should be zero. Over IPv6 a receiver may drop that (RFC 8200 8.1).
    ip::put(datagram, 6, &[0, 0])?;
    if source.is_ipv6() {
        let checksum = udp_checksum(datagram, source, destination)?;
        ip::put(datagram, 6, &checksum.to_be_bytes())?;
    }
    Some(())
}

/// The checksum of a UDP datagram whose checksum field is zero.
pub(crate) fn udp_checksum(datagram: &[u8], source: IpAddr, destination: IpAddr) -> Option<u16> {
    let length = u32::try_from(datagram.len()).ok()?;
    let sum = Sum::default().pseudo_header(source, destination, protocol::UDP, length).add(datagram);
    // RFC 768: a checksum that comes out as zero is sent as all ones, since zero means none.
    Some(match sum.finish() {
        0 => u16::MAX,
        checksum => checksum,
    })
}
