//! What an SA is set up from.

use core::net::IpAddr;

use ikebana_core::{EspSpi, Secret};
use ikebana_proposals::{ChildSuite, ProtocolId};
use thiserror::Error;

use crate::ecn::EcnMode;
use crate::ip::Family;
use crate::ipcomp::Ipcomp;
use crate::overhead::Overhead;
use crate::tfc::TfcPadding;

/// What is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Whole IP packets, inside new ones between the tunnel's ends.
    Tunnel,
    /// What IP packets between the two ends carry.
    Transport,
    /// What IP packets between two fixed inner addresses carry: a tunnel for two hosts that leaves out the inner
    /// header, since it is always the same (draft-nikander-esp-beet-mode).
    Beet(InnerAddresses),
}

/// The addresses of the inner packets of an SA in BEET mode, in the direction of the SA's packets. They are of
/// one family, which need not be that of the outer addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InnerAddresses {
    /// Where they come from.
    pub source: IpAddr,
    /// Where they go.
    pub destination: IpAddr,
}

/// The ports of ESP in UDP (RFC 3948), in the direction of the SA's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UdpPorts {
    /// The sender's port.
    pub source: u16,
    /// The receiver's port.
    pub destination: u16,
}

/// The outer header's DSCP (RFC 4301 5.1.2, RFC 2983).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DscpPolicy {
    /// As in the inner header. Packets of different classes may overtake each other, so that the replay
    /// window should be large.
    #[default]
    Copy,
    /// This one always, 0 to 63; it tells nothing about the traffic inside.
    Set(u8),
}

/// The outer IPv4 header's "don't fragment" (RFC 4301 8.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DfPolicy {
    /// As in the inner header, set for inner IPv6.
    #[default]
    Copy,
    /// Set always.
    Set,
    /// Clear always: routers may fragment, and path MTU discovery of the tunnel is off.
    Clear,
}

/// The outer IPv6 header's flow label (RFC 4301 5.1.2, RFC 6438).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FlowLabelPolicy {
    /// Zero: tells nothing about the traffic inside.
    #[default]
    Zero,
    /// As in the inner header, zero for inner IPv4.
    Copy,
    /// This one always, 20 bits: for load balancing of several tunnels.
    Set(u32),
}

/// How a tunnel's outer headers are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OuterPolicy {
    /// Differentiated services.
    pub dscp: DscpPolicy,
    /// Explicit congestion notification.
    pub ecn: EcnMode,
    /// Fragmentation by routers.
    pub df: DfPolicy,
    /// Time to live, hop limit. The inner one has no influence (RFC 4301 5.1.2).
    pub ttl: u8,
    /// The flow label, if the outer header is IPv6.
    pub flow_label: FlowLabelPolicy,
}

impl Default for OuterPolicy {
    fn default() -> Self {
        Self {
            dscp: DscpPolicy::default(),
            ecn: EcnMode::default(),
            df: DfPolicy::default(),
            ttl: 64,
            flow_label: FlowLabelPolicy::default(),
        }
    }
}

/// How TCP and UDP checksums are made right in transport mode when a NAT has changed the addresses that they
/// cover (RFC 3948 3.1.2). Matters only for packets that came in UDP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NatChecksum {
    /// The packet was authenticated, so the checksum is computed anew.
    #[default]
    Recompute,
    /// The checksum is corrected by the difference between the addresses that the peer used, which IKE tells,
    /// and those on the received packet. Errors made before the peer sealed the packet stay detectable.
    Adjust {
        /// The source address that the peer used.
        source: IpAddr,
        /// The destination address that the peer used.
        destination: IpAddr,
    },
}

/// One direction of an ESP SA. There is no `Debug`, since it owns keys.
pub struct EspParams {
    /// The SPI in the packets.
    pub spi: EspSpi,
    /// Ciphers, and whether sequence numbers are extended.
    pub suite: ChildSuite,
    /// Encryption key, with the salt at its end where the cipher has one.
    pub encryption_key: Secret,
    /// Integrity key; empty for combined-mode ciphers.
    pub integrity_key: Secret,
    /// Tunnel, transport or BEET.
    pub mode: Mode,
    /// The UDP ports if the packets travel in UDP.
    pub encapsulation: Option<UdpPorts>,
    /// The outer address that packets of this SA come from.
    pub source: IpAddr,
    /// The outer address that packets of this SA go to; of the same family.
    pub destination: IpAddr,
    /// The replay window of an inbound SA: a power of two from 64 to 8192, or 0 for no replay protection, which
    /// extended sequence numbers do not allow. Without meaning for an outbound SA.
    pub replay_window: u32,
    /// The outer headers of an outbound SA.
    pub outer: OuterPolicy,
    /// Checksums behind a NAT, for an inbound SA in transport mode.
    pub nat_checksum: NatChecksum,
    /// Traffic flow confidentiality padding of an outbound SA in tunnel mode.
    pub tfc: TfcPadding,
    /// Compression, with the peer's CPI for an outbound SA and ours for an inbound one. Both sides have to have
    /// agreed on it.
    pub ipcomp: Option<Ipcomp>,
}

impl EspParams {
    /// A tunnel with the usual outer headers and a replay window of 1024 packets.
    #[must_use]
    pub fn tunnel(spi: EspSpi, suite: ChildSuite, keys: [Secret; 2], source: IpAddr, to: IpAddr) -> Self {
        let [encryption_key, integrity_key] = keys;
        Self {
            spi,
            suite,
            encryption_key,
            integrity_key,
            mode: Mode::Tunnel,
            encapsulation: None,
            source,
            destination: to,
            replay_window: 1024,
            outer: OuterPolicy::default(),
            nat_checksum: NatChecksum::default(),
            tfc: TfcPadding::default(),
            ipcomp: None,
        }
    }

    /// What all kinds of SAs need to be right.
    pub(crate) fn check(&self) -> Result<Overhead, SetupError> {
        if self.suite.protocol != ProtocolId::ESP {
            return Err(SetupError::NotEsp(self.suite.protocol));
        }
        let family = Family::of(self.source);
        if family != Family::of(self.destination) {
            return Err(SetupError::MixedFamilies { from: self.source, to: self.destination });
        }
        if let Mode::Beet(InnerAddresses { source, destination }) = self.mode
            && Family::of(source) != Family::of(destination)
        {
            return Err(SetupError::MixedFamilies { from: source, to: destination });
        }
        if self.mode != Mode::Tunnel && self.tfc != TfcPadding::None {
            return Err(SetupError::TfcOutsideTunnel);
        }
        Overhead::of_suite(&self.suite, self.mode, self.encapsulation.is_some(), family)
            .ok_or(SetupError::Suite(self.suite))
    }
}

/// Why an SA cannot be set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The suite is for another protocol.
    #[error("{0} is not ESP")]
    NotEsp(ProtocolId),
    /// The suite is for another protocol.
    #[error("{0} is not AH")]
    NotAh(ProtocolId),
    /// The suite is not implemented, or does not authenticate.
    #[error("no implementation of {0} for {protocol}", protocol = .0.protocol)]
    Suite(ChildSuite),
    /// A key has the wrong length.
    #[error(
        "{suite} needs {} and {} octets of encryption and integrity key, not {} and {}",
        needed[0], needed[1], given[0], given[1]
    )]
    KeyLength {
        /// The suite.
        suite: ChildSuite,
        /// Octets of encryption key (with salt) and integrity key that it needs.
        needed: [usize; 2],
        /// What was given.
        given: [usize; 2],
    },
    /// The outer addresses are of different families.
    #[error("{from} and {to} are of different families")]
    MixedFamilies {
        /// The packets' source.
        from: IpAddr,
        /// The packets' destination.
        to: IpAddr,
    },
    /// BEET mode leaves out the header that AH is to cover (draft-nikander-esp-beet-mode is for ESP alone).
    #[error("BEET mode is for ESP, not for AH")]
    BeetInAh,
    /// The replay window is not a power of two from 64 to 8192.
    #[error("a replay window of {0} packets is not possible: it is a power of two from 64 to 8192")]
    ReplayWindow(u32),
    /// Extended sequence numbers without a replay window (RFC 4303 2.2.1).
    #[error("extended sequence numbers need a replay window")]
    EsnWithoutReplay,
    /// Traffic flow confidentiality padding in transport or BEET mode, where the receiver could not find the
    /// payload's end (RFC 4303 2.7).
    #[error("traffic flow confidentiality padding is for tunnels alone")]
    TfcOutsideTunnel,
}
