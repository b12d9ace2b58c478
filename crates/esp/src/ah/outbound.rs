//! Protecting.

use core::net::IpAddr;

use ikebana_core::EspSpi;
use ikebana_core::selector::protocol;
use ikebana_crypto::CryptoProvider;

use super::covered::{Covered, End, HeaderError};
use super::key::AhKey;
use super::params::AhParams;
use crate::buffer::PacketBuf;
use crate::error::{NextHeader, OutboundRefusal, SealError};
use crate::ip::{self, Family, IPV6_HEADER, IpHeader};
use crate::outbound::parse_transport;
use crate::outer::OuterFields;
use crate::overhead::Overhead;
use crate::params::{Mode, OuterPolicy, SetupError};
use crate::sequence::SequenceCounter;
use crate::stats::OutboundStats;

/// Protects the packets of one SA towards the peer.
///
/// Sequence numbers start at 1 and end where they end, as in an [`OutboundSa`](crate::OutboundSa): once they are
/// used up, every call fails until somebody installs another SA.
pub struct OutboundAh {
    key: AhKey,
    counter: SequenceCounter,
    overhead: Overhead,
    mode: Mode,
    source: IpAddr,
    destination: IpAddr,
    policy: OuterPolicy,
    stats: OutboundStats,
}

impl OutboundAh {
    /// Sets up an SA.
    ///
    /// # Errors
    /// [`SetupError`] if the algorithm is not implemented by `provider` or the parameters do not fit each other.
    pub fn new(params: AhParams, provider: &CryptoProvider) -> Result<Self, SetupError> {
        let overhead = params.check()?;
        Ok(Self {
            key: AhKey::new(&params, provider)?,
            counter: SequenceCounter::new(params.suite.esn),
            overhead,
            mode: params.mode,
            source: params.source,
            destination: params.destination,
            policy: params.outer,
            stats: OutboundStats::default(),
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

    /// How much longer packets become, and how long they may be.
    #[must_use]
    pub const fn overhead(&self) -> Overhead {
        self.overhead
    }

    /// What happened so far.
    #[must_use]
    pub const fn stats(&self) -> &OutboundStats {
        &self.stats
    }

    /// Counts a packet that was dropped for what is outside this SA's knowledge, so that each dropped packet is in
    /// one of its counters.
    pub fn refuse(&mut self, refusal: OutboundRefusal) {
        self.stats.refused(refusal);
    }

    /// The last sequence number used, 0 before the first.
    #[must_use]
    pub const fn last_sequence(&self) -> u64 {
        self.counter.last()
    }

    /// How many sequence numbers are left: as many packets can be sealed before the SA is finished.
    #[must_use]
    pub const fn sequences_left(&self) -> u64 {
        self.counter.left()
    }

    /// Continues after sequence number `last`, for an SA taken over from elsewhere. Never goes back.
    pub fn resume_after(&mut self, last: u64) {
        self.counter.resume_after(last);
    }

    /// The peer, or we, moved (RFC 4555): packets of a tunnel have other outer addresses from now on.
    ///
    /// # Errors
    /// [`SealError::Family`] if the addresses are of different families.
    pub fn set_path(&mut self, source: IpAddr, destination: IpAddr) -> Result<(), SealError> {
        let family = Family::of(source);
        if family != Family::of(destination) {
            return Err(SealError::Family);
        }
        (self.source, self.destination) = (source, destination);
        self.overhead = self.overhead.with_outer(family);
        Ok(())
    }

    /// Makes an IP packet an outer IP packet with AH in it, in place, and returns what its header says. Unlike ESP, it is complete only with its
    /// outer header, since the ICV covers that; nobody may change an immutable field of it afterwards.
    ///
    /// `identification` is for a tunnel's outer IPv4 header, see [`OuterHeader`](crate::OuterHeader), and for an
    /// IPv4 packet in transport mode that may be fragmented and has none. Let it not be 0: systems fill in a
    /// number where they find none, and the ICV is wrong then.
    ///
    /// # Errors
    /// [`SealError`]; the packet is as before, and no number is used up.
    pub fn encapsulate_whole(
        &mut self,
        packet: &mut PacketBuf<'_>,
        identification: u16,
    ) -> Result<OuterFields, SealError> {
        let result = match self.mode {
            Mode::Tunnel => self.tunnel(packet, identification),
            // BEET mode was refused when the SA was set up.
            Mode::Transport | Mode::Beet(_) => self.transport(packet, identification),
        };
        match result {
            Ok((octets, fields)) => {
                self.stats.sealed(octets);
                Ok(fields)
            }
            Err(error) => {
                self.stats.failed(error);
                Err(error)
            }
        }
    }

    /// Puts AH and an outer header in front of a packet; returns the packet's length.
    fn tunnel(
        &mut self,
        packet: &mut PacketBuf<'_>,
        identification: u16,
    ) -> Result<(usize, OuterFields), SealError> {
        let inner = IpHeader::parse(packet.payload()).map_err(SealError::Inner)?;
        let next = match inner.family() {
            Family::V4 => NextHeader::IPV4,
            Family::V6 => NextHeader::IPV6,
        };
        let family = Family::of(self.source);
        let (outer_len, ah_len) = (family.header_len(), self.key.header_len(family));
        let needed = outer_len.saturating_add(ah_len);
        check_total(family, inner.total_len.saturating_add(needed))?;
        let missing = SealError::Headroom { needed, available: packet.headroom() };
        if packet.headroom() < needed {
            return Err(missing);
        }
        let sequence = self.reserve()?;
        packet.truncate(inner.total_len);
        let octets = packet.grow_front(needed).ok_or(missing)?;
        let fields = OuterFields::for_tunnel(&self.policy, &inner);
        let addresses = (self.source, self.destination);
        ip::write_header(octets, addresses, &fields, protocol::AH, identification).ok_or(missing)?;
        let (headers, from_ah) = octets.split_at_mut_checked(outer_len).ok_or(missing)?;
        let covered = Covered::new(headers, End::Sender).map_err(HeaderError::sealing)?;
        self.key.write(from_ah, next, sequence, family).ok_or(missing)?;
        self.key.protect(covered.octets(), from_ah, sequence).ok_or(missing)?;
        Ok((inner.total_len, fields))
    }

    /// Puts AH behind a packet's header, and behind those extension headers that routers look at (RFC 4302
    /// 3.1.1); returns the length of what follows.
    fn transport(
        &mut self,
        packet: &mut PacketBuf<'_>,
        identification: u16,
    ) -> Result<(usize, OuterFields), SealError> {
        let family = Family::of(self.source);
        let (header, chain) = parse_transport(packet, family)?;
        let headers = packet.payload().get(..chain.insertion).unwrap_or_default();
        let mut covered = Covered::new(headers, End::Sender).map_err(HeaderError::sealing)?;
        let ah_len = self.key.header_len(family);
        check_total(family, header.total_len.saturating_add(ah_len))?;
        let missing = SealError::Headroom { needed: ah_len, available: packet.headroom() };
        if packet.headroom() < ah_len {
            return Err(missing);
        }
        let sequence = self.reserve()?;
        packet.truncate(header.total_len);
        packet.open_gap(chain.insertion, ah_len).ok_or(missing)?;
        let octets = packet.payload_mut();
        if family == Family::V4 && !header.dont_fragment && ip::u16_at(octets, 4) == Some(0) {
            ip::put(octets, 4, &identification.to_be_bytes()).ok_or(missing)?;
        }
        ip::put(octets, chain.insertion_protocol_at, &[protocol::AH]).ok_or(missing)?;
        ip::fix_length(octets, header.header_len).ok_or(missing)?;
        let (headers, from_ah) = octets.split_at_mut_checked(chain.insertion).ok_or(missing)?;
        // IPv4's total length and identification, IPv6's payload length; and what follows now.
        let (at, count) = if family == Family::V4 { (2, 4) } else { (4, 2) };
        covered.refresh(headers, at, count).ok_or(missing)?;
        covered.refresh(headers, chain.insertion_protocol_at, 1).ok_or(missing)?;
        self.key.write(from_ah, NextHeader(chain.insertion_protocol), sequence, family).ok_or(missing)?;
        self.key.protect(covered.octets(), from_ah, sequence).ok_or(missing)?;
        let protected = header.total_len.saturating_sub(chain.insertion);
        Ok((protected, OuterFields::of_packet(&header)))
    }

    fn reserve(&mut self) -> Result<u64, SealError> {
        self.counter.reserve(1).map(|range| range.start).ok_or(SealError::SequenceExhausted)
    }
}

/// Whether an outer packet's length can be said in its header.
fn check_total(family: Family, length: usize) -> Result<(), SealError> {
    let counted = match family {
        Family::V4 => length,
        // The payload length does not count the fixed header (RFC 8200 3).
        Family::V6 => length.saturating_sub(IPV6_HEADER),
    };
    u16::try_from(counted).map(|_| ()).map_err(|_| SealError::TooLong { length })
}
