//! Why a packet was not sealed or not opened.

use ikebana_core::open_enum;
use ikebana_crypto::CipherError;
use thiserror::Error;

use crate::ip::IpError;
use crate::ipcomp::IpcompError;
use crate::replay::ReplayError;

open_enum! {
    /// What an ESP packet carries: an IP protocol number (RFC 4303 2.6).
    pub struct NextHeader(u8) {
        /// ICMP for IPv4.
        ICMP = 1, "ICMP";
        /// An IPv4 packet, in tunnel mode.
        IPV4 = 4, "IPv4";
        /// TCP.
        TCP = 6, "TCP";
        /// UDP.
        UDP = 17, "UDP";
        /// An IPv6 packet, in tunnel mode.
        IPV6 = 41, "IPv6";
        /// ICMP for IPv6.
        ICMPV6 = 58, "ICMPv6";
        /// Nothing: a dummy packet, sent to hide how much traffic there is.
        NONE = 59, "IPv6-NoNxt";
        /// In BEET mode, IPv4 options in front of something else.
        BEET = 94, "BEETPH";
        /// A compressed payload behind an IPComp header (RFC 3173).
        IPCOMP = 108, "IPComp";
        /// Aggregated and fragmented packets (RFC 9347).
        AGGFRAG = 144, "AGGFRAG";
    }
}

/// Why a packet was not sealed. The packet is unchanged, unless the variant says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SealError {
    /// Too little room in front of the packet. The caller's mistake, see [`Overhead`](crate::Overhead).
    #[error("{needed} octets of headroom needed, {available} there")]
    Headroom {
        /// What is needed.
        needed: usize,
        /// What is there.
        available: usize,
    },
    /// Too little room behind the packet. The caller's mistake, see [`Overhead`](crate::Overhead).
    #[error("{needed} octets of tailroom needed, {available} there")]
    Tailroom {
        /// What is needed.
        needed: usize,
        /// What is there.
        available: usize,
    },
    /// The result would be longer than an IP packet can be.
    #[error("{length} octets are more than an IP packet can have")]
    TooLong {
        /// The result's length.
        length: usize,
    },
    /// All sequence numbers are used up; the SA is finished (RFC 4303 3.3.3).
    #[error("all sequence numbers are used")]
    SequenceExhausted,
    /// As much was encrypted as is safe under one key; the SA is finished. See
    /// [`UsageLimit`](crate::UsageLimit).
    #[error("the key was used as much as is safe")]
    UsageExhausted,
    /// What was to be protected is no IP packet.
    #[error("not an IP packet: {0}")]
    Inner(IpError),
    /// Transport and BEET mode are for whole packets only (RFC 4303 3.3.4).
    #[error("a fragment in transport or BEET mode")]
    Fragment,
    /// Transport mode cannot change a packet's IP version, nor can one header have addresses of two.
    #[error("the packet is not of the SA's IP version")]
    Family,
    /// BEET mode is for packets between the SA's two inner addresses alone.
    #[error("the packet is not between the SA's inner addresses")]
    Addresses,
    /// The packet has IP options or extension headers, which are lost when a socket makes the outer header.
    #[error("IP options or extension headers need a header of their own")]
    Options,
    /// The batch has no SA of this name. The caller's mistake.
    #[error("no such SA in this batch")]
    NoSa,
    /// AH only: IP header and extension headers together are longer than
    /// [`MAX_COVERED_HEADERS`](crate::MAX_COVERED_HEADERS).
    #[error("{length} octets of headers are more than AH covers here")]
    HeadersTooLong {
        /// Octets of headers.
        length: usize,
    },
    /// What only tunnels can carry, in transport or BEET mode.
    #[error("in tunnel mode only")]
    Mode,
    /// The cipher refused. The packet's contents are undefined.
    #[error("cipher: {0}")]
    Cipher(CipherError),
}

/// Why a packet that an outbound SA would seal was dropped before, by whom the SA belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutboundRefusal {
    /// The SA has reached a hard limit of its lifetime.
    Expired,
    /// It does not fit the path, and may not be cut up.
    TooBig,
}

/// Why a packet that an inbound SA has opened, or would, was dropped by whom the SA belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InboundRefusal {
    /// It is genuine, and not a packet that the SA may carry (RFC 4301 5.2, step 4).
    Selectors,
    /// The SA has reached a hard limit of its lifetime.
    Expired,
}

/// Why a received packet was not accepted. The packet's contents are undefined afterwards.
///
/// Up to and including [`OpenError::Forged`] nothing but counters has changed; what comes after it in this list
/// was authentic, and the peer's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The outer IP packet is malformed.
    #[error("outer header: {0}")]
    Outer(IpError),
    /// The outer IP packet is a fragment and should have been reassembled before.
    #[error("a fragment of an ESP packet")]
    OuterFragment,
    /// The outer IP packet carries neither ESP nor UDP, or its UDP header is malformed.
    #[error("protocol {0} is not ESP, nor ESP in UDP")]
    NotEsp(u8),
    /// The outer IP packet does not carry AH.
    #[error("protocol {0} is not AH")]
    NotAh(u8),
    /// AH only: IP header and extension headers together are longer than
    /// [`MAX_COVERED_HEADERS`](crate::MAX_COVERED_HEADERS).
    #[error("{length} octets of headers are more than AH covers here")]
    HeadersTooLong {
        /// Octets of headers.
        length: usize,
    },
    /// AH's payload length is not that of this SA's algorithm.
    #[error("an AH payload length of {0} words is not this SA's")]
    AhLength(u8),
    /// Shorter than any packet of this suite.
    #[error("{length} octets are shorter than any packet of this SA")]
    Short {
        /// The packet's length.
        length: usize,
    },
    /// The encrypted part is no multiple of the cipher's block, or of 4.
    #[error("the encrypted part is not aligned")]
    Misaligned,
    /// The packet has another SA's SPI.
    #[error("SPI {0:08x} is not this SA's")]
    WrongSpi(u32),
    /// The batch has no SA of this name. The caller's mistake.
    #[error("no such SA in this batch")]
    NoSa,
    /// The sequence number is not acceptable.
    #[error("{0}")]
    Replay(ReplayError),
    /// The ICV is wrong.
    #[error("the integrity check failed")]
    Forged,
    /// Pad length past the packet, or padding other than 1, 2, 3, ... (RFC 4303 2.4).
    #[error("the padding is not right")]
    Padding,
    /// A tunnel's packet with something else in it than an IP packet.
    #[error("next header {0} in a tunnel")]
    NextHeader(NextHeader),
    /// The inner IP packet is malformed, or not of the version that the next header says.
    #[error("inner packet: {0}")]
    Inner(IpError),
    /// A compressed payload that cannot be made whole again.
    #[error("IPComp: {0}")]
    Ipcomp(IpcompError),
    /// A router marked congestion on a packet whose sender does not know ECN (RFC 6040 4.2).
    #[error("congestion marked on a packet that cannot say so")]
    Ecn,
    /// Too little room in front of the packet to give it back its IP header. The caller's mistake.
    #[error("{needed} octets of headroom needed, {available} there")]
    Headroom {
        /// What is needed.
        needed: usize,
        /// What is there.
        available: usize,
    },
}

impl From<IpcompError> for OpenError {
    fn from(error: IpcompError) -> Self {
        Self::Ipcomp(error)
    }
}

impl From<ReplayError> for OpenError {
    fn from(error: ReplayError) -> Self {
        Self::Replay(error)
    }
}
