//! From a frame to what concerns IPsec in it.

use std::net::{IpAddr, SocketAddr};

use etherparse::{IpAuthHeaderSlice, IpNumber, NetSlice, SlicedPacket, TransportSlice};
use ikebana_core::selector::protocol;

use super::capture::{Frame, Link};

/// An IP packet.
pub(super) struct Packet<'a> {
    /// The sender's address.
    pub(super) source: IpAddr,
    /// The receiver's address.
    pub(super) destination: IpAddr,
    /// What it carries.
    pub(super) content: Content<'a>,
}

/// What an IP packet carries.
pub(super) enum Content<'a> {
    /// A UDP datagram.
    Udp {
        /// The sender's port.
        source: u16,
        /// The receiver's port.
        destination: u16,
        /// What is after the UDP header.
        octets: &'a [u8],
    },
    /// An ESP packet, from its SPI on.
    Esp(&'a [u8]),
    /// An AH packet.
    Ah(Ah),
    /// A part of a packet that could be one of these.
    Fragment(String),
    /// Something else.
    Other,
}

/// An AH header, as far as it is shown.
#[derive(Clone, Copy)]
pub(super) struct Ah {
    pub(super) spi: u32,
    pub(super) sequence: u32,
    /// The IP protocol behind it.
    pub(super) next_header: u8,
}

impl From<IpAuthHeaderSlice<'_>> for Ah {
    fn from(header: IpAuthHeaderSlice<'_>) -> Self {
        Self { spi: header.spi(), sequence: header.sequence_number(), next_header: header.next_header().0 }
    }
}

impl Packet<'_> {
    /// The sender, with a port if there is one.
    pub(super) fn from(&self) -> String {
        match self.content {
            Content::Udp { source, .. } => SocketAddr::new(self.source, source).to_string(),
            Content::Esp(_) | Content::Ah(_) | Content::Fragment(_) | Content::Other => {
                self.source.to_string()
            }
        }
    }

    /// The receiver, with a port if there is one.
    pub(super) fn to(&self) -> String {
        match self.content {
            Content::Udp { destination, .. } => SocketAddr::new(self.destination, destination).to_string(),
            Content::Esp(_) | Content::Ah(_) | Content::Fragment(_) | Content::Other => {
                self.destination.to_string()
            }
        }
    }
}

/// Finds out what a frame carries.
///
/// # Errors
/// What is malformed, in words.
pub(super) fn dissect(frame: &Frame) -> Result<Packet<'_>, String> {
    let octets = frame.octets.as_slice();
    let behind = |header: usize| octets.get(header..).ok_or("shorter than its link header");
    let sliced = match frame.link {
        Link::Ethernet => SlicedPacket::from_ethernet(octets),
        Link::LinuxCooked => SlicedPacket::from_linux_sll(octets),
        Link::LinuxCookedV2 => SlicedPacket::from_ip(behind(20)?),
        Link::Loopback => SlicedPacket::from_ip(behind(4)?),
        Link::Ip => SlicedPacket::from_ip(octets),
        Link::Unknown(number) => return Err(format!("link type {number} is not understood")),
    }
    .map_err(|error| error.to_string())?;
    let unspecified = IpAddr::from([0; 4]);
    let other = Packet { source: unspecified, destination: unspecified, content: Content::Other };
    let Some(net) = &sliced.net else { return Ok(other) };
    let Some(ip) = Ip::new(net) else { return Ok(other) };
    let content = match (&sliced.transport, ip.protocol) {
        (_, number) if ip.is_fragment && is_of_interest(number) => Content::Fragment(format!(
            "fragment of {}, {} octets at offset {}, not reassembled",
            name(number),
            ip.octets.len(),
            ip.offset
        )),
        _ if ip.ah.is_some() => ip.ah.map_or(Content::Other, Content::Ah),
        (Some(TransportSlice::Udp(udp)), _) => Content::Udp {
            source: udp.source_port(),
            destination: udp.destination_port(),
            octets: udp.payload(),
        },
        (_, protocol::ESP) => Content::Esp(ip.octets),
        _ => Content::Other,
    };
    Ok(Packet { source: ip.source, destination: ip.destination, content })
}

/// The IP header, as far as it matters.
struct Ip<'a> {
    source: IpAddr,
    destination: IpAddr,
    /// What comes behind IP and its extensions.
    protocol: u8,
    octets: &'a [u8],
    /// etherparse takes AH for an extension of IP.
    ah: Option<Ah>,
    is_fragment: bool,
    /// In octets.
    offset: u16,
}

impl<'a> Ip<'a> {
    fn new(net: &NetSlice<'a>) -> Option<Self> {
        match net {
            NetSlice::Ipv4(ip) => {
                let header = ip.header();
                Some(Self {
                    source: header.source_addr().into(),
                    destination: header.destination_addr().into(),
                    protocol: ip.payload().ip_number.0,
                    octets: ip.payload().payload,
                    ah: ip.extensions().auth.map(Ah::from),
                    is_fragment: ip.is_payload_fragmented(),
                    offset: header.fragments_offset().value().saturating_mul(8),
                })
            }
            NetSlice::Ipv6(ip) => {
                use etherparse::Ipv6ExtensionSlice::{
                    Authentication, DestinationOptions, Fragment, HopByHop, Routing,
                };
                let header = ip.header();
                let mut ah = None;
                let mut offset = 0;
                for extension in ip.extensions().clone() {
                    match extension {
                        Authentication(auth) => ah = Some(auth.into()),
                        Fragment(fragment) => offset = fragment.fragment_offset().value().saturating_mul(8),
                        HopByHop(_) | Routing(_) | DestinationOptions(_) => {}
                    }
                }
                Some(Self {
                    source: header.source_addr().into(),
                    destination: header.destination_addr().into(),
                    protocol: ip.payload().ip_number.0,
                    octets: ip.payload().payload,
                    ah,
                    is_fragment: ip.is_payload_fragmented(),
                    offset,
                })
            }
            NetSlice::Arp(_) => None,
        }
    }
}

const fn is_of_interest(number: u8) -> bool {
    matches!(number, protocol::UDP | protocol::ESP | protocol::AH)
}

/// The name of an IP protocol.
pub(super) fn name(number: u8) -> String {
    match IpNumber(number).keyword_str() {
        Some(name) => name.to_owned(),
        None => format!("protocol {number}"),
    }
}

/// An IP packet in a few words: addresses, protocol and ports.
pub(super) fn summary(octets: &[u8]) -> String {
    let sliced = match SlicedPacket::from_ip(octets) {
        Ok(sliced) => sliced,
        Err(error) => return format!("malformed packet: {error}"),
    };
    let Some(ip) = sliced.net.as_ref().and_then(Ip::new) else { return "no IP packet".to_owned() };
    let what = match &sliced.transport {
        Some(TransportSlice::Udp(udp)) => format!("UDP {} > {}", udp.source_port(), udp.destination_port()),
        Some(TransportSlice::Tcp(tcp)) => format!("TCP {} > {}", tcp.source_port(), tcp.destination_port()),
        Some(TransportSlice::Icmpv4(icmp)) => {
            format!("ICMP type {} code {}", icmp.type_u8(), icmp.code_u8())
        }
        Some(TransportSlice::Icmpv6(icmp)) => {
            format!("ICMPv6 type {} code {}", icmp.type_u8(), icmp.code_u8())
        }
        Some(TransportSlice::Igmp(_)) | None => name(ip.protocol),
    };
    let fragment = if ip.is_fragment { ", fragment" } else { "" };
    format!("{} > {}  {what}, {} octets{fragment}", ip.source, ip.destination, octets.len())
}

#[cfg(test)]
mod tests;
