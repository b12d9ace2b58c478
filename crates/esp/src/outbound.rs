//! Sealing.

mod conceal;

use alloc::sync::Arc;
use core::net::IpAddr;
use core::ops::Range;

use ikebana_core::{EspSpi, SecureRandom};
use ikebana_crypto::CryptoProvider;

use crate::batch::{self, Outgoing};
use crate::beet;
use crate::buffer::PacketBuf;
use crate::error::{NextHeader, OutboundRefusal, SealError};
use crate::icmp::TooBig;
use crate::ip::{self, Chain, Family, IpHeader, UDP_HEADER};
use crate::ipcomp::Compressor;
use crate::key::{IvRun, Layout, SealKey};
use crate::outer::{self, OuterFields, OuterHeader};
use crate::overhead::{ESP_HEADER, Overhead};
use crate::params::{EspParams, Mode, OuterPolicy, SetupError, UdpPorts};
use crate::sequence::{self, SequenceCounter};
use crate::stats::OutboundStats;
use crate::tfc::Tfc;
use crate::usage::UsageLimit;

/// As many packets may have been sent since one whose ICMP error arrives now: half a second of the smallest
/// packets at 1 Gbit/s.
const RECENT: u64 = 1 << 20;

/// Seals the packets of one SA towards the peer.
///
/// Sequence numbers start at 1 and end where they end: an SA never uses a number twice, and once its numbers
/// or its [`UsageLimit`] are used up, every call fails until somebody installs another SA.
pub struct OutboundSa {
    key: Arc<SealKey>,
    ivs: IvRun,
    counter: SequenceCounter,
    overhead: Overhead,
    mode: Mode,
    ports: Option<UdpPorts>,
    source: IpAddr,
    destination: IpAddr,
    policy: OuterPolicy,
    usage: UsageLimit,
    /// Octets of packets that are admitted and not yet sealed: the rest of a batch.
    admitted: u64,
    tfc: Tfc,
    compressor: Option<Compressor>,
    stats: OutboundStats,
}

/// An IP packet made ready for sealing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// What the payload is.
    pub next: NextHeader,
    /// What its outer header will say.
    pub outer: OuterFields,
}

impl OutboundSa {
    /// Sets up an SA. `rng` is drawn from once, for the key that makes CBC's IVs.
    ///
    /// # Errors
    /// [`SetupError`] if the suite is not implemented by `provider` or the parameters do not fit each other.
    pub fn new(
        params: EspParams,
        provider: &CryptoProvider,
        rng: &mut dyn SecureRandom,
    ) -> Result<Self, SetupError> {
        let overhead = params.check()?;
        let usage = params.suite.encryption.map_or(UsageLimit::NONE, |cipher| UsageLimit::of(cipher.id));
        Ok(Self {
            admitted: 0,
            ivs: IvRun::default(),
            key: Arc::new(SealKey::new(&params, provider, rng)?),
            counter: SequenceCounter::new(params.suite.esn),
            overhead,
            mode: params.mode,
            ports: params.encapsulation,
            source: params.source,
            destination: params.destination,
            policy: params.outer,
            usage,
            tfc: Tfc::new(params.tfc),
            compressor: params.ipcomp.map(Compressor::new),
            stats: OutboundStats::default(),
        })
    }

    /// The SPI in the packets.
    #[must_use]
    pub fn spi(&self) -> EspSpi {
        self.key.spi()
    }

    /// Tunnel, transport or BEET.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// How much longer packets become, and how long they may be.
    #[must_use]
    pub const fn overhead(&self) -> Overhead {
        self.overhead
    }

    /// The key, for sealing on other cores: [`reserve`](Self::reserve) numbers for them.
    #[must_use]
    pub const fn key(&self) -> &Arc<SealKey> {
        &self.key
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

    /// How much the key may encrypt.
    #[must_use]
    pub const fn usage_limit(&self) -> UsageLimit {
        self.usage
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

    /// Whether what a router says can be about a packet of this SA: it quotes the SA's addresses, ports and SPI,
    /// and one of the last million sequence numbers (RFC 4301 8.2.1, RFC 5927 4.1). Somebody who does not see
    /// the packets has to guess more than 32 bits.
    #[must_use]
    pub fn has_sent(&self, report: &TooBig) -> bool {
        let last = self.counter.last();
        // The distance in the lower half, which is all that a packet shows.
        let behind = u64::from(sequence::low(last).wrapping_sub(report.sequence));
        report.spi == self.key.spi()
            && (report.source, report.destination) == (self.source, self.destination)
            && report.ports == self.ports
            && behind < last.min(RECENT)
    }

    /// Continues after sequence number `last`, for an SA taken over from elsewhere. Never goes back.
    pub fn resume_after(&mut self, last: u64) {
        self.counter.resume_after(last);
    }

    /// The peer, or we, moved (RFC 4555, RFC 7296 2.23): packets have other outer addresses and ports from now
    /// on.
    ///
    /// # Errors
    /// [`SealError::Family`] if the addresses are of different families.
    pub fn set_path(
        &mut self,
        source: IpAddr,
        destination: IpAddr,
        ports: Option<UdpPorts>,
    ) -> Result<(), SealError> {
        let family = Family::of(source);
        if family != Family::of(destination) {
            return Err(SealError::Family);
        }
        (self.source, self.destination, self.ports) = (source, destination, ports);
        self.overhead = Overhead::new(self.key.shape(), self.mode, ports.is_some(), family);
        Ok(())
    }

    /// Takes `count` sequence numbers, each for one packet of [`SealKey::seal_at`]. They are used up whether or
    /// not they are used.
    ///
    /// # Errors
    /// [`SealError::SequenceExhausted`] if there are not as many left, [`SealError::UsageExhausted`] if the key
    /// has encrypted as much as it may.
    pub fn reserve(&mut self, count: u32) -> Result<Range<u64>, SealError> {
        if self.stats.octets >= self.usage.hard {
            return Err(self.failed(SealError::UsageExhausted));
        }
        self.counter.reserve(count).ok_or(SealError::SequenceExhausted).map_err(|error| self.failed(error))
    }

    /// Counts what was sealed on other cores.
    pub fn account(&mut self, packets: u64, octets: u64) {
        self.stats.sealed_elsewhere(packets, octets);
    }

    /// Seals a payload in place; the packet then starts with its SPI.
    ///
    /// # Errors
    /// [`SealError`]; the packet is as before, and no number is used up.
    pub fn seal(&mut self, packet: &mut PacketBuf<'_>, next: NextHeader) -> Result<(), SealError> {
        let (sequence, layout) = self.admit(packet, next)?;
        let result = self.key.cipher.seal(self.key.cipher_frame(sequence, packet));
        self.finish(layout, packet, result.map_err(SealError::Cipher))
    }

    /// Seals every payload and leaves a result in each slot: [`seal_batch`](crate::seal_batch) of this SA alone.
    pub fn seal_batch(&mut self, packets: &mut [Outgoing<'_>]) {
        batch::seal_batch(self, packets);
    }

    /// Makes an IP packet ready to be sealed: checks it, cuts what lies behind it, and in transport mode takes
    /// its header off, since the socket will make one. Then it is compressed and padded, if the SA does that.
    ///
    /// # Errors
    /// [`SealError`]; the packet is as before.
    pub fn prepare(&mut self, packet: &mut PacketBuf<'_>) -> Result<Prepared, SealError> {
        let prepared = self.try_prepare(packet).and_then(|prepared| self.conceal(packet, prepared));
        prepared.map_err(|error| self.failed(error))
    }

    /// Makes an IP packet an ESP packet that starts with its SPI, for a socket that makes the outer headers:
    /// [`prepare`](Self::prepare) and [`seal`](Self::seal).
    ///
    /// # Errors
    /// [`SealError`].
    pub fn encapsulate(&mut self, packet: &mut PacketBuf<'_>) -> Result<OuterFields, SealError> {
        let prepared = self.prepare(packet)?;
        self.seal(packet, prepared.next)?;
        Ok(prepared.outer)
    }

    /// Makes an IP packet a whole outer IP packet, its headers included. `identification` is for a tunnel's
    /// outer IPv4 header, see [`OuterHeader`]; transport mode keeps the packet's own, with options and
    /// extension headers.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn encapsulate_whole(
        &mut self,
        packet: &mut PacketBuf<'_>,
        identification: u16,
    ) -> Result<(), SealError> {
        match self.mode {
            Mode::Tunnel | Mode::Beet(_) => {
                // The room for all of it is checked first, so that no number is lost to a short buffer.
                let needed = self.overhead.headroom();
                if packet.headroom() < needed {
                    let available = packet.headroom();
                    return Err(self.failed(SealError::Headroom { needed, available }));
                }
                let prepared = self.prepare(packet)?;
                self.check_total(Family::of(self.source).header_len(), packet.len())?;
                self.seal(packet, prepared.next)?;
                let header = OuterHeader {
                    source: self.source,
                    destination: self.destination,
                    ports: self.ports,
                    fields: prepared.outer,
                    identification,
                };
                header.push(packet).map_err(|error| self.failed(error))
            }
            Mode::Transport => {
                let parsed = parse_transport(packet, Family::of(self.source));
                let (header, chain) = parsed.map_err(|error| self.failed(error))?;
                self.check_total(chain.insertion, header.total_len.saturating_sub(chain.insertion))?;
                packet.truncate(header.total_len);
                self.seal_behind_header(packet, &header, &chain)
            }
        }
    }

    fn try_prepare(&self, packet: &mut PacketBuf<'_>) -> Result<Prepared, SealError> {
        match self.mode {
            Mode::Tunnel => {
                let header = IpHeader::parse(packet.payload()).map_err(SealError::Inner)?;
                packet.truncate(header.total_len);
                let next = match header.family() {
                    Family::V4 => NextHeader::IPV4,
                    Family::V6 => NextHeader::IPV6,
                };
                Ok(Prepared { next, outer: OuterFields::for_tunnel(&self.policy, &header) })
            }
            Mode::Beet(inner) => beet::prepare(packet, inner),
            Mode::Transport => {
                let (header, chain) = parse_transport(packet, Family::of(self.source))?;
                if chain.insertion != header.family().header_len() {
                    return Err(SealError::Options);
                }
                packet.truncate(header.total_len);
                packet.shrink_front(chain.insertion).ok_or(SealError::Options)?;
                Ok(Prepared {
                    next: NextHeader(chain.insertion_protocol),
                    outer: OuterFields::of_packet(&header),
                })
            }
        }
    }

    /// Whether the outer packet's length can be said in its header, before a number is spent on it.
    fn check_total(&mut self, headers: usize, text: usize) -> Result<(), SealError> {
        let length = headers
            .saturating_sub(Family::of(self.source).header_len())
            .saturating_add(self.overhead.outer_len_of_text(text));
        let limit = match Family::of(self.source) {
            Family::V4 => usize::from(u16::MAX),
            // The payload length does not count the fixed header (RFC 8200 3).
            Family::V6 => usize::from(u16::MAX).saturating_add(ip::IPV6_HEADER),
        };
        if length > limit { Err(self.failed(SealError::TooLong { length })) } else { Ok(()) }
    }

    /// Transport mode in place: the IP header moves towards the front, ESP takes its place.
    fn seal_behind_header(
        &mut self,
        packet: &mut PacketBuf<'_>,
        header: &IpHeader,
        chain: &Chain,
    ) -> Result<(), SealError> {
        let udp_len = if self.ports.is_some() { UDP_HEADER } else { 0 };
        let gap = udp_len.saturating_add(ESP_HEADER).saturating_add(self.key.shape().iv_len);
        let missing = SealError::Headroom { needed: gap, available: packet.headroom() };
        let whole = packet.range();
        packet.open_gap(chain.insertion, gap).ok_or(missing).map_err(|error| self.failed(error))?;

        let start = whole.start.saturating_add(chain.insertion);
        let sealed = match packet.part(start..whole.end) {
            Some(mut payload) => {
                // The moved header leaves the gap as headroom; what lies in front of it is not to be touched.
                let next = self.compress(&mut payload, NextHeader(chain.insertion_protocol));
                self.seal(&mut payload, next).map(|()| payload.range().end)
            }
            None => Err(self.failed(missing)),
        };
        let sealed = sealed.and_then(|end| {
            // Compression may have made it shorter.
            packet.truncate(end.saturating_sub(packet.range().start));
            let grown = end.saturating_sub(whole.end);
            let tailroom = SealError::Tailroom { needed: grown, available: 0 };
            let room = packet.grow_back(grown).map(|_| ()).ok_or(tailroom);
            room.and_then(|()| self.fix_header(packet.payload_mut(), header, chain))
                .map_err(|error| self.failed(error))
        });
        if sealed.is_err() {
            packet.truncate(whole.end.saturating_sub(packet.range().start));
            packet.close_gap(chain.insertion, gap);
        }
        sealed
    }

    /// Makes the moved IP header say what now follows it.
    fn fix_header(&self, octets: &mut [u8], header: &IpHeader, chain: &Chain) -> Result<(), SealError> {
        let too_long = SealError::TooLong { length: octets.len() };
        let protocol = if self.ports.is_some() { NextHeader::UDP.0 } else { 50 };
        ip::put(octets, chain.insertion_protocol_at, &[protocol]).ok_or(too_long)?;
        ip::fix_length(octets, header.header_len).ok_or(too_long)?;
        if let Some(ports) = self.ports {
            let datagram = octets.get_mut(chain.insertion..).ok_or(too_long)?;
            outer::write_udp(datagram, ports, header.source, header.destination).ok_or(too_long)?;
        }
        Ok(())
    }

    /// Checks everything and writes everything but ciphertext and ICV.
    pub(crate) fn admit(
        &mut self,
        packet: &mut PacketBuf<'_>,
        next: NextHeader,
    ) -> Result<(u64, Layout), SealError> {
        let layout = self.key.layout(packet).map_err(|error| self.failed(error))?;
        let text = u64::try_from(layout.text).unwrap_or(u64::MAX);
        let used = self.stats.octets.saturating_add(self.admitted);
        if used.saturating_add(text) > self.usage.hard {
            return Err(self.failed(SealError::UsageExhausted));
        }
        let sequence = self.reserve(1)?.start;
        let write_iv = |iv: &mut [u8]| self.ivs.write(&self.key, iv, sequence);
        match self.key.frame(layout, sequence, packet, next, write_iv) {
            Ok(()) => {
                self.admitted = self.admitted.saturating_add(text);
                Ok((sequence, layout))
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    pub(crate) fn finish(
        &mut self,
        layout: Layout,
        packet: &mut PacketBuf<'_>,
        result: Result<(), SealError>,
    ) -> Result<(), SealError> {
        self.admitted = self.admitted.saturating_sub(u64::try_from(layout.text).unwrap_or(u64::MAX));
        match result {
            Ok(()) => self.stats.sealed(layout.text),
            Err(error) => {
                self.key.unframe(layout, packet);
                self.stats.failed(error);
            }
        }
        result
    }

    pub(crate) fn failed(&mut self, error: SealError) -> SealError {
        self.stats.failed(error);
        error
    }
}

/// Reads the headers of a packet of this family that is to be protected in transport mode.
pub(crate) fn parse_transport(
    packet: &PacketBuf<'_>,
    family: Family,
) -> Result<(IpHeader, Chain), SealError> {
    let header = IpHeader::parse(packet.payload()).map_err(SealError::Inner)?;
    if header.family() != family {
        return Err(SealError::Family);
    }
    let chain = ip::walk(packet.payload(), &header).map_err(SealError::Inner)?;
    // RFC 4303 3.3.4, RFC 4302 3.3.4: transport mode is applied to whole datagrams only.
    if chain.fragment {
        return Err(SealError::Fragment);
    }
    Ok((header, chain))
}
