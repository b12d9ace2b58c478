//! UDP, ESP and AH out of packet captures.

mod container;

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::path::Path;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use thiserror::Error;

use container::{Frame, LinkLayer};

/// What is wrong with a capture file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The file cannot be read.
    #[error("cannot read the capture: {0}")]
    Io(#[from] std::io::Error),
    /// The file is neither pcap, pcapng nor snoop.
    #[error("neither pcap, pcapng nor snoop")]
    UnknownFormat,
    /// The container is damaged.
    #[error("damaged after {packets} packets: {detail}")]
    Damaged {
        /// How many packets came before the damage.
        packets: usize,
        /// The reader's words.
        detail: String,
    },
    /// The link layer is not one of those that are understood.
    #[error("link layer {0} is not understood")]
    UnknownLink(u32),
}

/// A packet that concerns IPsec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// The number of the frame in the file, from 1, as Wireshark counts.
    pub frame: usize,
    /// When it was captured, since the epoch of the file's clock.
    pub at: Duration,
    /// The sender's address.
    pub source: IpAddr,
    /// The receiver's address.
    pub destination: IpAddr,
    /// What it carries.
    pub payload: Payload,
}

/// What a captured packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// A UDP datagram.
    Udp {
        /// The sender's port.
        source_port: u16,
        /// The receiver's port.
        destination_port: u16,
        /// What is after the UDP header.
        octets: Vec<u8>,
    },
    /// An ESP packet, from its SPI on.
    Esp(Vec<u8>),
    /// An AH packet, from its header on.
    Ah(Vec<u8>),
}

impl Captured {
    /// The sender's and the receiver's sockets, if this is a UDP datagram.
    #[must_use]
    pub const fn sockets(&self) -> Option<(SocketAddr, SocketAddr)> {
        match self.payload {
            Payload::Udp { source_port, destination_port, .. } => Some((
                SocketAddr::new(self.source, source_port),
                SocketAddr::new(self.destination, destination_port),
            )),
            Payload::Esp(_) | Payload::Ah(_) => None,
        }
    }

    /// The payload's octets.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        match &self.payload {
            Payload::Udp { octets, .. } | Payload::Esp(octets) | Payload::Ah(octets) => octets,
        }
    }
}

/// The UDP, ESP and AH packets of a capture file, in its order. Other packets and fragments are left out.
///
/// # Errors
/// If the file cannot be read or understood.
pub fn load(path: impl AsRef<Path>) -> Result<Vec<Captured>, CaptureError> {
    parse(&std::fs::read(path)?)
}

/// As [`load`], of a file's octets.
///
/// # Errors
/// If the octets are no capture file.
pub fn parse(file: &[u8]) -> Result<Vec<Captured>, CaptureError> {
    let mut captured = Vec::new();
    for frame in container::frames(file)? {
        let link = frame.link;
        if let LinkLayer::Unknown(number) = link {
            return Err(CaptureError::UnknownLink(number));
        }
        captured.extend(dissect(&frame));
    }
    Ok(captured)
}

fn dissect(frame: &Frame) -> Option<Captured> {
    let octets = frame.octets.as_slice();
    let packet = match frame.link {
        LinkLayer::Ethernet => SlicedPacket::from_ethernet(octets),
        LinkLayer::LinuxCooked => SlicedPacket::from_linux_sll(octets),
        LinkLayer::LinuxCookedV2 => SlicedPacket::from_ip(octets.get(20..)?),
        LinkLayer::Null => SlicedPacket::from_ip(octets.get(4..)?),
        LinkLayer::Ip => SlicedPacket::from_ip(octets),
        LinkLayer::Unknown(_) => return None,
    }
    .ok()?;
    let (source, destination, protocol, payload, fragmented): (IpAddr, IpAddr, _, _, _) = match packet.net? {
        NetSlice::Ipv4(ip) => (
            ip.header().source_addr().into(),
            ip.header().destination_addr().into(),
            ip.header().protocol(),
            // etherparse takes an AH header for an extension of IP; the protocol in the header says what
            // really comes first.
            (ip.payload().payload, ip.extensions().auth.map(|ah| ah.slice().to_vec())),
            ip.is_payload_fragmented(),
        ),
        NetSlice::Ipv6(ip) => (
            ip.header().source_addr().into(),
            ip.header().destination_addr().into(),
            ip.payload().ip_number,
            (ip.payload().payload, None),
            ip.is_payload_fragmented(),
        ),
        NetSlice::Arp(_) => return None,
    };
    if fragmented {
        return None;
    }
    let payload = match (packet.transport, payload) {
        (_, (rest, Some(ah))) => Payload::Ah([ah.as_slice(), rest].concat()),
        (Some(TransportSlice::Udp(udp)), _) => Payload::Udp {
            source_port: udp.source_port(),
            destination_port: udp.destination_port(),
            octets: udp.payload().to_vec(),
        },
        (_, (rest, None)) if protocol.0 == 50 => Payload::Esp(rest.to_vec()),
        _ => return None,
    };
    Some(Captured { frame: frame.number, at: frame.at, source, destination, payload })
}
