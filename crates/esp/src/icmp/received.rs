//! "Packet too big" about ESP packets of ours.

use core::net::IpAddr;

use ikebana_core::EspSpi;
use ikebana_core::selector::protocol;
use thiserror::Error;

use super::quote::{ICMP_HEADER, Quoted};
use crate::checksum::Sum;
use crate::ip::{self, Family, IpHeader, UDP_HEADER};
use crate::params::UdpPorts;

/// The ICMP type and code of "fragmentation needed", and the ICMPv6 type of "packet too big".
const NEEDED_V4: [u8; 2] = [3, 4];
const TOO_BIG_V6: u8 = 2;

/// RFC 1191 7.1: what links usually carry, for routers that do not say what theirs does.
const PLATEAUS: [usize; 11] = [65_535, 32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, 508, 296, 68];

/// A router says that an ESP packet of ours was too big for its next link.
///
/// Anybody can say so. What is quoted is to be held against the SA
/// ([`OutboundSa::has_sent`](crate::OutboundSa::has_sent)) before it is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooBig {
    /// Where our packet came from.
    pub source: IpAddr,
    /// Where it went.
    pub destination: IpAddr,
    /// The ports, if it travelled in UDP.
    pub ports: Option<UdpPorts>,
    /// Its SPI.
    pub spi: EspSpi,
    /// Its sequence number's lower half.
    pub sequence: u32,
    /// The largest packet that the link takes.
    pub mtu: usize,
}

/// Why an ICMP message says nothing about the path of an ESP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TooBigError {
    /// It is another message, or a fragment of one, or not ICMP at all.
    #[error("not \"packet too big\"")]
    OtherMessage,
    /// It is damaged.
    #[error("the ICMP checksum is wrong")]
    Checksum,
    /// It quotes less than the SPI and the sequence number of a packet.
    #[error("the quoted packet is cut off before its sequence number")]
    Short,
    /// What it quotes is not ESP, nor ESP in UDP, or a later fragment, which shows no SPI.
    #[error("the quoted packet is not ESP")]
    NotEsp,
    /// The quoted packet may be fragmented, so no router has a reason to say this (RFC 1191 4).
    #[error("the quoted packet does not say \"don't fragment\"")]
    Fragmentable,
    /// The quoted packet is not larger than what the link is said to take.
    #[error("a packet of {length} octets is not too big for {mtu}")]
    Fits {
        /// The quoted packet's length.
        length: usize,
        /// What the link is said to take.
        mtu: usize,
    },
    /// Less than every IPv6 link carries (RFC 8201 4).
    #[error("an IPv6 link that takes {0} octets is none")]
    Minimum(usize),
}

/// Reads "fragmentation needed" (RFC 1191) or "packet too big" (RFC 4443 3.2), given as a whole IP packet, as a
/// raw IPv4 socket or a capture has it.
///
/// # Errors
/// [`TooBigError`] if it says nothing about an ESP packet's path.
pub fn received_too_big(packet: &[u8]) -> Result<TooBig, TooBigError> {
    let header = IpHeader::parse(packet).map_err(|_| TooBigError::OtherMessage)?;
    let chain = ip::walk(packet, &header).map_err(|_| TooBigError::OtherMessage)?;
    let message = packet.get(chain.offset..header.total_len).unwrap_or_default();
    if chain.fragment {
        return Err(TooBigError::OtherMessage);
    }
    match (header.family(), chain.protocol) {
        (Family::V4, protocol::ICMP) => {
            if Sum::default().add(message).finish() != 0 {
                return Err(TooBigError::Checksum);
            }
            read_v4(message)
        }
        (Family::V6, protocol::ICMPV6) => {
            let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
            let (source, destination) = (header.source, header.destination);
            let pseudo = Sum::default().pseudo_header(source, destination, protocol::ICMPV6, length);
            if pseudo.add(message).finish() != 0 {
                return Err(TooBigError::Checksum);
            }
            received_too_big_v6(message)
        }
        _ => Err(TooBigError::OtherMessage),
    }
}

/// Reads an ICMPv6 "packet too big" without its IP header, as a raw IPv6 socket has it. The kernel has checked
/// its checksum (RFC 3542 3.1).
///
/// # Errors
/// [`TooBigError`] if it says nothing about an ESP packet's path.
pub fn received_too_big_v6(message: &[u8]) -> Result<TooBig, TooBigError> {
    let (head, quote) = split(message)?;
    let [kind, _, _, _, m0, m1, m2, m3] = *head;
    if kind != TOO_BIG_V6 {
        return Err(TooBigError::OtherMessage);
    }
    let mtu = usize::try_from(u32::from_be_bytes([m0, m1, m2, m3])).unwrap_or(usize::MAX);
    if mtu < 1280 {
        return Err(TooBigError::Minimum(mtu));
    }
    read_quote(quote, Family::V6, mtu)
}

fn read_v4(message: &[u8]) -> Result<TooBig, TooBigError> {
    let (head, quote) = split(message)?;
    let [kind, code, _, _, _, _, m0, m1] = *head;
    if [kind, code] != NEEDED_V4 {
        return Err(TooBigError::OtherMessage);
    }
    let said = usize::from(u16::from_be_bytes([m0, m1]));
    let mtu = if said == 0 { plateau_below(quote)? } else { said };
    read_quote(quote, Family::V4, mtu)
}

fn split(message: &[u8]) -> Result<(&[u8; ICMP_HEADER], &[u8]), TooBigError> {
    message.split_first_chunk().ok_or(TooBigError::OtherMessage)
}

/// RFC 1191 5: a router from before that RFC says nothing, and the next size that links usually have is tried.
fn plateau_below(quote: &[u8]) -> Result<usize, TooBigError> {
    let length = IpHeader::parse_beginning(quote).map_err(|_| TooBigError::Short)?.total_len;
    let below = PLATEAUS.iter().find(|plateau| **plateau < length);
    below.copied().ok_or(TooBigError::Fits { length, mtu: 0 })
}

fn read_quote(quote: &[u8], family: Family, mtu: usize) -> Result<TooBig, TooBigError> {
    let quoted = Quoted::parse(quote).ok_or(TooBigError::Short)?;
    let header = quoted.header;
    if header.family() != family || quoted.chain.later_fragment {
        return Err(TooBigError::NotEsp);
    }
    let (ports, esp) = match quoted.chain.protocol {
        protocol::ESP => (None, quoted.upper),
        protocol::UDP => {
            let (udp, esp) = quoted.upper.split_first_chunk::<UDP_HEADER>().ok_or(TooBigError::Short)?;
            let [s0, s1, d0, d1, ..] = *udp;
            let (source, destination) = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
            (Some(UdpPorts { source, destination }), esp)
        }
        _ => return Err(TooBigError::NotEsp),
    };
    let [s0, s1, s2, s3, n0, n1, n2, n3] = *esp.first_chunk().ok_or(TooBigError::Short)?;
    // An IKE message has zeros here.
    let spi = EspSpi::new(u32::from_be_bytes([s0, s1, s2, s3])).ok_or(TooBigError::NotEsp)?;
    if !header.dont_fragment {
        return Err(TooBigError::Fragmentable);
    }
    if header.total_len <= mtu {
        return Err(TooBigError::Fits { length: header.total_len, mtu });
    }
    Ok(TooBig {
        source: header.source,
        destination: header.destination,
        ports,
        spi,
        sequence: u32::from_be_bytes([n0, n1, n2, n3]),
        mtu,
    })
}

#[cfg(test)]
mod tests;
