//! Opening.

use alloc::sync::Arc;
use core::net::IpAddr;

use ikebana_core::EspSpi;
use ikebana_core::selector::protocol;
use ikebana_crypto::CryptoProvider;

use crate::batch::{self, Arrived};
use crate::beet;
use crate::buffer::PacketBuf;
use crate::ecn::{self, Ecn};
use crate::error::{InboundRefusal, NextHeader, OpenError};
use crate::ip::{self, Family, IpError, IpHeader, UDP_HEADER};
use crate::ipcomp::Decompressor;
use crate::key::OpenKey;
use crate::nat;
use crate::outer::OuterFields;
use crate::params::{EspParams, Mode, NatChecksum, SetupError};
use crate::replay::ReplayWindow;
use crate::stats::InboundStats;

/// Opens the packets of one SA from the peer.
///
/// The order is check, decrypt, commit: a packet that is not authentic changes counters and nothing else.
pub struct InboundSa {
    key: Arc<OpenKey>,
    window: Option<ReplayWindow>,
    mode: Mode,
    in_udp: bool,
    source: IpAddr,
    destination: IpAddr,
    nat_checksum: NatChecksum,
    decompressor: Option<Decompressor>,
    stats: InboundStats,
}

/// What the outer header of a received packet said, as far as the socket told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceivedOuter {
    /// DSCP and ECN (`IP_RECVTOS`, `IPV6_RECVTCLASS`). Without it, congestion marks made inside the tunnel are
    /// lost.
    pub tos: Option<u8>,
    /// Time to live, hop limit; transport and BEET mode look at it.
    pub ttl: Option<u8>,
}

/// What came out of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Delivered {
    /// An IP packet. Whether its addresses and ports are allowed in this SA is for the policy to say.
    Packet,
    /// Nothing: the peer hides how much it sends (RFC 4303 2.6).
    Dummy,
}

impl InboundSa {
    /// Sets up an SA with an empty replay window.
    ///
    /// # Errors
    /// [`SetupError`] if the suite is not implemented by `provider` or the parameters do not fit each other.
    pub fn new(params: EspParams, provider: &CryptoProvider) -> Result<Self, SetupError> {
        params.check()?;
        let window = ReplayWindow::for_sa(params.replay_window, params.suite.esn)?;
        Ok(Self {
            key: Arc::new(OpenKey::new(&params, provider)?),
            window,
            mode: params.mode,
            in_udp: params.encapsulation.is_some(),
            source: params.source,
            destination: params.destination,
            nat_checksum: params.nat_checksum,
            decompressor: params.ipcomp.map(Decompressor::new),
            stats: InboundStats::default(),
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

    /// The key, for opening on other cores between [`check`](Self::check) and [`commit`](Self::commit).
    #[must_use]
    pub const fn key(&self) -> &Arc<OpenKey> {
        &self.key
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

    /// Whether payloads may come compressed, so that they need room for what comes out.
    #[must_use]
    pub const fn decompresses(&self) -> bool {
        self.decompressor.is_some()
    }

    /// The peer, or we, moved: transport mode gives packets these addresses from now on.
    pub fn set_path(&mut self, source: IpAddr, destination: IpAddr, in_udp: bool) {
        (self.source, self.destination, self.in_udp) = (source, destination, in_udp);
    }

    /// The full sequence number of a packet that starts with its SPI, if it may be accepted. Changes nothing
    /// but, on error, a counter.
    ///
    /// # Errors
    /// [`OpenError::Short`], [`OpenError::Misaligned`], [`OpenError::WrongSpi`] or [`OpenError::Replay`].
    pub fn check(&mut self, packet: &PacketBuf<'_>) -> Result<u64, OpenError> {
        self.try_check(packet).map_err(|error| self.failed(error))
    }

    /// Notes that the packet with this full sequence number is authentic, and counts it.
    ///
    /// # Errors
    /// [`OpenError::Replay`] if another copy was committed since [`check`](Self::check); the packet must be
    /// dropped then.
    pub fn commit(&mut self, sequence: u64, octets: u64) -> Result<(), OpenError> {
        self.move_window(sequence)?;
        self.stats.opened_elsewhere(1, octets);
        Ok(())
    }

    /// Opens a packet that starts with its SPI, in place; it is the payload alone then.
    ///
    /// # Errors
    /// [`OpenError`]; the packet's contents are undefined then. Unless the packet was authentic, nothing but a
    /// counter has changed.
    pub fn open(&mut self, packet: &mut PacketBuf<'_>) -> Result<NextHeader, OpenError> {
        let sequence = self.check(packet)?;
        let result = self.key.cipher.open(self.key.cipher_frame(sequence, packet));
        self.finish(sequence, packet, result.map_err(|_| OpenError::Forged))
    }

    /// Opens every packet and leaves a result in each slot: [`open_batch`](crate::open_batch) of this SA alone.
    pub fn open_batch(&mut self, packets: &mut [Arrived<'_>]) {
        batch::open_batch(self, packets);
    }

    /// Makes an opened payload an IP packet to deliver: a tunnel's inner packet is checked, cut to its length
    /// (traffic flow confidentiality padding goes) and gets its congestion marks; transport mode puts an IP
    /// header between the SA's addresses in front, for which it may need headroom. If the SA compresses, a
    /// compressed payload is made whole first, for which it may need tailroom.
    ///
    /// # Errors
    /// [`OpenError::Ipcomp`], [`OpenError::NextHeader`], [`OpenError::Inner`], [`OpenError::Ecn`] or
    /// [`OpenError::Headroom`].
    pub fn deliver(
        &mut self,
        packet: &mut PacketBuf<'_>,
        next: NextHeader,
        outer: ReceivedOuter,
    ) -> Result<Delivered, OpenError> {
        let next = self.decompress(packet, next)?;
        if next == NextHeader::NONE {
            return Ok(Delivered::Dummy);
        }
        match self.mode {
            Mode::Tunnel => deliver_tunnel(packet, next, outer.tos),
            Mode::Beet(inner) => beet::deliver(packet, next, inner, &fields_of(outer), 0),
            Mode::Transport => self.deliver_transport(packet, next, outer),
        }
        .map(|()| Delivered::Packet)
        .map_err(|error| self.failed(error))
    }

    /// Makes a packet that starts with its SPI an IP packet to deliver: [`open`](Self::open) and
    /// [`deliver`](Self::deliver).
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn decapsulate(
        &mut self,
        packet: &mut PacketBuf<'_>,
        outer: ReceivedOuter,
    ) -> Result<Delivered, OpenError> {
        let next = self.open(packet)?;
        self.deliver(packet, next, outer)
    }

    /// Makes a whole outer IP packet, with its headers, an IP packet to deliver. ESP and ESP in UDP are both
    /// accepted, whatever was negotiated (RFC 7296 2.23). In transport mode the packet keeps its header, with
    /// options and extension headers.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn decapsulate_whole(&mut self, packet: &mut PacketBuf<'_>) -> Result<Delivered, OpenError> {
        let outer = OuterPacket::parse(packet.payload()).map_err(|error| self.failed(error))?;
        packet.truncate(outer.header.total_len);
        let whole = packet.range();
        let esp_at = whole.start.saturating_add(outer.headers_len).saturating_add(outer.udp_len);
        let short = OpenError::Short { length: 0 };
        let mut esp = packet.part(esp_at..whole.end).ok_or(short).map_err(|error| self.failed(error))?;
        let next = self.open(&mut esp)?;
        let next = self.decompress(&mut esp, next)?;
        let payload = esp.range();

        // Shorter by trailer and ICV, or longer by decompression.
        packet.truncate(0);
        packet.grow_back(payload.end.saturating_sub(whole.start)).ok_or(OpenError::Short { length: 0 })?;
        if next == NextHeader::NONE {
            return Ok(Delivered::Dummy);
        }
        let delivered = match self.mode {
            Mode::Tunnel => packet
                .shrink_front(payload.start.saturating_sub(whole.start))
                .ok_or(OpenError::Short { length: 0 })
                .and_then(|()| deliver_tunnel(packet, next, Some(outer.header.tos))),
            Mode::Beet(inner) => packet
                .shrink_front(payload.start.saturating_sub(whole.start))
                .ok_or(OpenError::Short { length: 0 })
                .and_then(|()| {
                    let fields = OuterFields::of_packet(&outer.header);
                    beet::deliver(packet, next, inner, &fields, outer.identification)
                }),
            Mode::Transport => {
                let headers_end = whole.start.saturating_add(outer.headers_len);
                let gap = payload.start.saturating_sub(headers_end);
                self.restore_header(packet, &outer, next, gap)
            }
        };
        delivered.map(|()| Delivered::Packet).map_err(|error| self.failed(error))
    }

    /// Makes a compressed payload whole again, and says what it is then. Any payload may come uncompressed
    /// (RFC 3173 2.2).
    fn decompress(&mut self, packet: &mut PacketBuf<'_>, next: NextHeader) -> Result<NextHeader, OpenError> {
        match &mut self.decompressor {
            Some(decompressor) if next == NextHeader::IPCOMP => match decompressor.decompress(packet) {
                Ok(next) => {
                    self.stats.decompressed = self.stats.decompressed.saturating_add(1);
                    Ok(next)
                }
                Err(error) => Err(self.failed(error.into())),
            },
            Some(_) | None => Ok(next),
        }
    }

    /// Transport mode: the received header again, with the payload right behind it.
    fn restore_header(
        &self,
        packet: &mut PacketBuf<'_>,
        outer: &OuterPacket,
        next: NextHeader,
        gap: usize,
    ) -> Result<(), OpenError> {
        let error = OpenError::Inner(IpError::Truncated);
        packet.close_gap(outer.headers_len, gap).ok_or(error)?;
        let octets = packet.payload_mut();
        ip::put(octets, outer.protocol_at, &[next.0]).ok_or(error)?;
        ip::fix_length(octets, outer.header.header_len).ok_or(error)?;
        if outer.udp_len > 0 {
            let payload = octets.get_mut(outer.headers_len..).ok_or(error)?;
            let addresses = (outer.header.source, outer.header.destination);
            nat::fix_checksum(payload, next, self.nat_checksum, addresses);
        }
        Ok(())
    }

    fn deliver_transport(
        &self,
        packet: &mut PacketBuf<'_>,
        next: NextHeader,
        outer: ReceivedOuter,
    ) -> Result<(), OpenError> {
        if self.in_udp {
            let addresses = (self.source, self.destination);
            nat::fix_checksum(packet.payload_mut(), next, self.nat_checksum, addresses);
        }
        let fields = fields_of(outer);
        let needed = Family::of(self.source).header_len();
        let missing = OpenError::Headroom { needed, available: packet.headroom() };
        let octets = packet.grow_front(needed).ok_or(missing)?;
        ip::write_header(octets, (self.source, self.destination), &fields, next.0, 0).ok_or(missing)
    }

    fn try_check(&self, packet: &PacketBuf<'_>) -> Result<u64, OpenError> {
        self.key.check_length(packet)?;
        let short = OpenError::Short { length: packet.len() };
        let [s0, s1, s2, s3, n0, n1, n2, n3] = *packet.payload().first_chunk().ok_or(short)?;
        let spi = u32::from_be_bytes([s0, s1, s2, s3]);
        if spi != self.key.spi().get() {
            return Err(OpenError::WrongSpi(spi));
        }
        let wire = u32::from_be_bytes([n0, n1, n2, n3]);
        match &self.window {
            Some(window) => Ok(window.check(wire)?),
            None => Ok(u64::from(wire)),
        }
    }

    pub(crate) fn finish(
        &mut self,
        sequence: u64,
        packet: &mut PacketBuf<'_>,
        result: Result<(), OpenError>,
    ) -> Result<NextHeader, OpenError> {
        // In a batch, an intact copy may have been committed since the check; then this is a repetition first
        // of all, as it would have been one by one.
        let window = self.window.as_ref();
        let repeated = window.filter(|_| result.is_err()).and_then(|window| window.admit(sequence).err());
        let result = repeated.map_or(result, |error| Err(error.into()));
        result.map_err(|error| self.failed(error))?;
        self.move_window(sequence)?;
        let next = self.key.strip(packet).map_err(|error| self.failed(error))?;
        self.stats.opened(packet.len(), next == NextHeader::NONE);
        Ok(next)
    }

    fn move_window(&mut self, sequence: u64) -> Result<(), OpenError> {
        let moved = self.window.as_mut().map_or(Ok(()), |window| window.commit(sequence));
        moved.map_err(|error| self.failed(error.into()))
    }

    fn failed(&mut self, error: OpenError) -> OpenError {
        self.stats.failed(error);
        error
    }
}

/// The headers in front of a received ESP packet.
struct OuterPacket {
    header: IpHeader,
    /// IP header with options or extension headers.
    headers_len: usize,
    udp_len: usize,
    protocol_at: usize,
    /// Of IPv4, zero for IPv6.
    identification: u16,
}

impl OuterPacket {
    fn parse(packet: &[u8]) -> Result<Self, OpenError> {
        let header = IpHeader::parse(packet).map_err(OpenError::Outer)?;
        let chain = ip::walk(packet, &header).map_err(OpenError::Outer)?;
        // RFC 4303 3.4.1: fragments are reassembled before ESP sees them.
        if chain.fragment {
            return Err(OpenError::OuterFragment);
        }
        let udp_len = match chain.protocol {
            protocol::ESP => 0,
            protocol::UDP => {
                let stated = ip::u16_at(packet, chain.offset.saturating_add(4));
                let there = header.total_len.saturating_sub(chain.offset);
                if stated.map(usize::from) != Some(there) || there < UDP_HEADER {
                    return Err(OpenError::NotEsp(protocol::UDP));
                }
                UDP_HEADER
            }
            other => return Err(OpenError::NotEsp(other)),
        };
        let identification = match header.family() {
            Family::V4 => ip::u16_at(packet, 4).unwrap_or(0),
            Family::V6 => 0,
        };
        let (headers_len, protocol_at) = (chain.offset, chain.protocol_at);
        Ok(Self { header, headers_len, udp_len, protocol_at, identification })
    }
}

/// What a header that is put back says, where the received one is gone.
const fn fields_of(outer: ReceivedOuter) -> OuterFields {
    let tos = match outer.tos {
        Some(tos) => tos,
        None => 0,
    };
    let ttl = match outer.ttl {
        Some(ttl) => ttl,
        None => 64,
    };
    OuterFields { tos, dont_fragment: true, ttl, flow_label: 0 }
}

/// Checks a tunnel's inner packet and combines the congestion marks.
pub(crate) fn deliver_tunnel(
    packet: &mut PacketBuf<'_>,
    next: NextHeader,
    outer_tos: Option<u8>,
) -> Result<(), OpenError> {
    let expected = match next {
        NextHeader::IPV4 => Family::V4,
        NextHeader::IPV6 => Family::V6,
        other => return Err(OpenError::NextHeader(other)),
    };
    let header = IpHeader::parse(packet.payload()).map_err(OpenError::Inner)?;
    if header.family() != expected {
        let version = match header.family() {
            Family::V4 => 4,
            Family::V6 => 6,
        };
        return Err(OpenError::Inner(IpError::Version(version)));
    }
    packet.truncate(header.total_len);
    let Some(outer_tos) = outer_tos else { return Ok(()) };
    let inner = Ecn::of(header.tos);
    let combined = ecn::decapsulate(inner, Ecn::of(outer_tos)).ok_or(OpenError::Ecn)?;
    if combined != inner {
        let changed = ip::set_tos(packet.payload_mut(), combined.within(header.tos));
        changed.ok_or(OpenError::Inner(IpError::Truncated))?;
    }
    Ok(())
}
