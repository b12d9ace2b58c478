//! What an AH SA is set up from.

use core::net::IpAddr;

use ikebana_core::{EspSpi, Secret};
use ikebana_proposals::{ChildSuite, ProtocolId};

use crate::ip::Family;
use crate::overhead::Overhead;
use crate::params::{Mode, OuterPolicy, SetupError};

/// One direction of an AH SA. There is no `Debug`, since it owns a key.
///
/// There are no UDP ports: a NAT changes the addresses that AH protects, so AH never travels in UDP.
pub struct AhParams {
    /// The SPI in the packets.
    pub spi: EspSpi,
    /// The integrity algorithm, and whether sequence numbers are extended.
    pub suite: ChildSuite,
    /// Integrity key.
    pub key: Secret,
    /// Tunnel or transport.
    pub mode: Mode,
    /// The outer address that packets of this SA come from.
    pub source: IpAddr,
    /// The outer address that packets of this SA go to; of the same family.
    pub destination: IpAddr,
    /// The replay window of an inbound SA: a power of two from 64 to 8192, or 0 for no replay protection, which
    /// extended sequence numbers do not allow. Without meaning for an outbound SA.
    pub replay_window: u32,
    /// The outer headers of an outbound SA in tunnel mode.
    pub outer: OuterPolicy,
}

impl AhParams {
    /// A tunnel with the usual outer headers and a replay window of 1024 packets.
    #[must_use]
    pub fn tunnel(spi: EspSpi, suite: ChildSuite, key: Secret, source: IpAddr, destination: IpAddr) -> Self {
        Self {
            spi,
            suite,
            key,
            mode: Mode::Tunnel,
            source,
            destination,
            replay_window: 1024,
            outer: OuterPolicy::default(),
        }
    }

    /// What both directions need to be right.
    pub(super) fn check(&self) -> Result<Overhead, SetupError> {
        if self.suite.protocol != ProtocolId::AH {
            return Err(SetupError::NotAh(self.suite.protocol));
        }
        if matches!(self.mode, Mode::Beet(_)) {
            return Err(SetupError::BeetInAh);
        }
        let family = Family::of(self.source);
        if family != Family::of(self.destination) {
            return Err(SetupError::MixedFamilies { from: self.source, to: self.destination });
        }
        Overhead::of_suite(&self.suite, self.mode, false, family).ok_or(SetupError::Suite(self.suite))
    }
}
