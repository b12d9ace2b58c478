//! Verifying.

use ikebana_core::EspSpi;
use ikebana_core::selector::protocol;
use ikebana_crypto::CryptoProvider;

use super::covered::{Covered, End, HeaderError};
use super::key::{AhHeader, AhKey};
use super::params::AhParams;
use crate::buffer::PacketBuf;
use crate::error::{InboundRefusal, OpenError};
use crate::inbound::deliver_tunnel;
use crate::ip::{self, IpError, IpHeader};
use crate::params::{Mode, SetupError};
use crate::replay::ReplayWindow;
use crate::stats::InboundStats;

/// Verifies the packets of one SA from the peer.
///
/// The order is check, verify, commit: a packet that is not authentic changes counters and nothing else.
pub struct InboundAh {
    key: AhKey,
    window: Option<ReplayWindow>,
    mode: Mode,
    stats: InboundStats,
}

/// A received packet, taken apart.
struct Parts {
    outer: IpHeader,
    /// Where AH starts.
    ah_at: usize,
    /// Where the octet is that names AH.
    protocol_at: usize,
    ah: AhHeader,
}

impl InboundAh {
    /// Sets up an SA with an empty replay window.
    ///
    /// # Errors
    /// [`SetupError`] if the algorithm is not implemented by `provider` or the parameters do not fit each other.
    pub fn new(params: AhParams, provider: &CryptoProvider) -> Result<Self, SetupError> {
        params.check()?;
        Ok(Self {
            window: ReplayWindow::for_sa(params.replay_window, params.suite.esn)?,
            key: AhKey::new(&params, provider)?,
            mode: params.mode,
            stats: InboundStats::default(),
        })
    }

    /// The SPI in the packets.
    #[must_use]
    pub const fn spi(&self) -> EspSpi {
        self.key.spi
    }

    /// Tunnel or transport.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// What happened so far.
    #[must_use]
    pub const fn stats(&self) -> &InboundStats {
        &self.stats
    }

    /// Counts a packet that was dropped for what is outside this SA's knowledge, so that each dropped packet is in
    /// one of its counters.
    pub fn refuse(&mut self, refusal: InboundRefusal) {
        self.stats.refused(refusal);
    }

    /// The highest sequence number of an authentic packet so far, 0 before the first and where there is no
    /// replay window.
    #[must_use]
    pub fn highest_sequence(&self) -> u64 {
        self.window.as_ref().map_or(0, ReplayWindow::top)
    }

    /// Makes a whole outer IP packet, with its headers as they were received, an IP packet to deliver, in place.
    /// In transport mode the packet keeps its header, with options and extension headers.
    ///
    /// Whether the packet's addresses and ports are allowed in this SA is for the policy to say.
    ///
    /// # Errors
    /// [`OpenError`]; the packet's contents are undefined then. Unless the packet was authentic, nothing but a
    /// counter has changed.
    pub fn decapsulate_whole(&mut self, packet: &mut PacketBuf<'_>) -> Result<(), OpenError> {
        self.try_decapsulate(packet).inspect_err(|error| self.stats.failed(*error))
    }

    fn try_decapsulate(&mut self, packet: &mut PacketBuf<'_>) -> Result<(), OpenError> {
        let (parts, sequence) = self.authenticate(packet.payload())?;
        if let Some(window) = &mut self.window {
            window.commit(sequence)?;
        }
        packet.truncate(parts.outer.total_len);
        let content_at = parts.ah_at.saturating_add(parts.ah.len);
        self.stats.opened(packet.len().saturating_sub(content_at), false);
        match self.mode {
            Mode::Tunnel => {
                packet.shrink_front(content_at).ok_or(OpenError::Short { length: 0 })?;
                deliver_tunnel(packet, parts.ah.next, Some(parts.outer.tos))
            }
            // BEET mode was refused when the SA was set up.
            Mode::Transport | Mode::Beet(_) => restore_header(packet, &parts),
        }
    }

    /// Checks everything about a packet and changes nothing.
    fn authenticate(&self, octets: &[u8]) -> Result<(Parts, u64), OpenError> {
        let parts = self.parse(octets)?;
        let sequence = match &self.window {
            Some(window) => window.check(parts.ah.sequence)?,
            None => u64::from(parts.ah.sequence),
        };
        let whole = octets.get(..parts.outer.total_len).unwrap_or_default();
        let (headers, from_ah) = whole.split_at_checked(parts.ah_at).unwrap_or_default();
        let covered = Covered::new(headers, End::Receiver).map_err(HeaderError::opening)?;
        if !self.key.verify(covered.octets(), from_ah, sequence) {
            return Err(OpenError::Forged);
        }
        Ok((parts, sequence))
    }

    fn parse(&self, octets: &[u8]) -> Result<Parts, OpenError> {
        let outer = IpHeader::parse(octets).map_err(OpenError::Outer)?;
        let chain = ip::walk(octets, &outer).map_err(OpenError::Outer)?;
        // RFC 4302 3.4.1: fragments are reassembled before AH sees them.
        if chain.fragment {
            return Err(OpenError::OuterFragment);
        }
        if chain.protocol != protocol::AH {
            return Err(OpenError::NotAh(chain.protocol));
        }
        let from_ah = octets.get(chain.offset..outer.total_len).unwrap_or_default();
        let ah = self.key.parse(from_ah, outer.family())?;
        Ok(Parts { outer, ah_at: chain.offset, protocol_at: chain.protocol_at, ah })
    }
}

/// The SPI of a whole IP packet that carries AH, for whoever looks for its SA; `None` if it carries none, or is a
/// fragment.
#[must_use]
pub fn ah_spi(packet: &[u8]) -> Option<EspSpi> {
    let outer = IpHeader::parse(packet).ok()?;
    let chain = ip::walk(packet, &outer).ok()?;
    let is_ah = chain.protocol == protocol::AH && !chain.fragment;
    let spi = packet.get(chain.offset..outer.total_len).filter(|_| is_ah)?.get(4..)?.first_chunk()?;
    EspSpi::new(u32::from_be_bytes(*spi))
}

/// Transport mode: the received header again, with what AH protected right behind it.
fn restore_header(packet: &mut PacketBuf<'_>, parts: &Parts) -> Result<(), OpenError> {
    let error = OpenError::Inner(IpError::Truncated);
    packet.close_gap(parts.ah_at, parts.ah.len).ok_or(error)?;
    let octets = packet.payload_mut();
    ip::put(octets, parts.protocol_at, &[parts.ah.next.0]).ok_or(error)?;
    ip::fix_length(octets, parts.outer.header_len).ok_or(error)
}
