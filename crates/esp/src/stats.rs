//! Counters of an SA: one for each way a packet can go.

use crate::error::{OpenError, SealError};
use crate::ipcomp::IpcompError;
use crate::replay::ReplayError;

/// What happened to the packets of an outbound SA.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboundStats {
    /// Packets sealed.
    pub packets: u64,
    /// Octets of payload in them, as sealed: compressed, and with traffic flow confidentiality padding.
    pub octets: u64,
    /// Octets of traffic flow confidentiality padding among them (RFC 4303 2.7).
    pub tfc_octets: u64,
    /// Dummy packets (next header 59) among the packets.
    pub dummies: u64,
    /// [`SealError::Headroom`].
    pub headroom: u64,
    /// [`SealError::Tailroom`].
    pub tailroom: u64,
    /// [`SealError::TooLong`].
    pub too_long: u64,
    /// [`SealError::SequenceExhausted`].
    pub sequence_exhausted: u64,
    /// [`SealError::UsageExhausted`].
    pub usage_exhausted: u64,
    /// [`SealError::Inner`].
    pub malformed_inner: u64,
    /// [`SealError::Fragment`].
    pub fragment: u64,
    /// [`SealError::Family`].
    pub wrong_family: u64,
    /// [`SealError::Addresses`].
    pub wrong_addresses: u64,
    /// [`SealError::Options`].
    pub options: u64,
    /// [`SealError::HeadersTooLong`].
    pub headers_too_long: u64,
    /// [`SealError::Mode`].
    pub wrong_mode: u64,
    /// [`SealError::Cipher`].
    pub cipher: u64,
}

impl OutboundStats {
    pub(crate) fn sealed(&mut self, octets: usize) {
        self.sealed_elsewhere(1, u64::try_from(octets).unwrap_or(u64::MAX));
    }

    pub(crate) fn sealed_elsewhere(&mut self, packets: u64, octets: u64) {
        self.packets = self.packets.saturating_add(packets);
        self.octets = self.octets.saturating_add(octets);
    }

    pub(crate) fn padded(&mut self, octets: usize) {
        self.tfc_octets = self.tfc_octets.saturating_add(u64::try_from(octets).unwrap_or(u64::MAX));
    }

    pub(crate) fn failed(&mut self, error: SealError) {
        let counter = match error {
            SealError::Headroom { .. } => &mut self.headroom,
            SealError::Tailroom { .. } => &mut self.tailroom,
            SealError::TooLong { .. } => &mut self.too_long,
            SealError::SequenceExhausted => &mut self.sequence_exhausted,
            SealError::UsageExhausted => &mut self.usage_exhausted,
            SealError::Inner(_) => &mut self.malformed_inner,
            SealError::Fragment => &mut self.fragment,
            SealError::Family => &mut self.wrong_family,
            SealError::Addresses => &mut self.wrong_addresses,
            SealError::Options => &mut self.options,
            SealError::HeadersTooLong { .. } => &mut self.headers_too_long,
            SealError::Mode => &mut self.wrong_mode,
            SealError::Cipher(_) => &mut self.cipher,
            // No SA, no counter of one.
            SealError::NoSa => return,
        };
        *counter = counter.saturating_add(1);
    }

    /// Packets that were not sealed.
    #[must_use]
    pub fn errors(&self) -> u64 {
        [
            self.headroom,
            self.tailroom,
            self.too_long,
            self.sequence_exhausted,
            self.usage_exhausted,
            self.malformed_inner,
            self.fragment,
            self.wrong_family,
            self.wrong_addresses,
            self.options,
            self.headers_too_long,
            self.wrong_mode,
            self.cipher,
        ]
        .iter()
        .fold(0, |sum, count| sum.saturating_add(*count))
    }
}

/// What happened to the packets of an inbound SA.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InboundStats {
    /// Packets opened: authentic, not repeated, with right padding.
    pub packets: u64,
    /// Octets of payload in them, without padding.
    pub octets: u64,
    /// Dummy packets (next header 59) among them.
    pub dummies: u64,
    /// Payloads decompressed (RFC 3173).
    pub decompressed: u64,
    /// [`OpenError::Outer`].
    pub malformed_outer: u64,
    /// [`OpenError::OuterFragment`].
    pub outer_fragment: u64,
    /// [`OpenError::NotEsp`].
    pub not_esp: u64,
    /// [`OpenError::NotAh`].
    pub not_ah: u64,
    /// [`OpenError::HeadersTooLong`].
    pub headers_too_long: u64,
    /// [`OpenError::AhLength`].
    pub ah_length: u64,
    /// [`OpenError::Short`].
    pub short: u64,
    /// [`OpenError::Misaligned`].
    pub misaligned: u64,
    /// [`OpenError::WrongSpi`].
    pub wrong_spi: u64,
    /// [`ReplayError::Zero`].
    pub sequence_zero: u64,
    /// [`ReplayError::Repeated`].
    pub repeated: u64,
    /// [`ReplayError::TooOld`].
    pub too_old: u64,
    /// [`ReplayError::Overflow`].
    pub sequence_overflow: u64,
    /// [`OpenError::Forged`].
    pub forged: u64,
    /// [`OpenError::Padding`].
    pub padding: u64,
    /// [`OpenError::NextHeader`].
    pub next_header: u64,
    /// [`OpenError::Inner`].
    pub malformed_inner: u64,
    /// [`IpcompError::Short`].
    pub ipcomp_short: u64,
    /// [`IpcompError::Cpi`].
    pub ipcomp_cpi: u64,
    /// [`IpcompError::Nested`].
    pub ipcomp_nested: u64,
    /// [`IpcompError::Malformed`].
    pub ipcomp_malformed: u64,
    /// [`IpcompError::TooLong`].
    pub ipcomp_too_long: u64,
    /// [`IpcompError::Room`].
    pub ipcomp_room: u64,
    /// [`OpenError::Ecn`].
    pub ecn: u64,
    /// [`OpenError::Headroom`].
    pub headroom: u64,
}

impl InboundStats {
    pub(crate) fn opened(&mut self, octets: usize, dummy: bool) {
        self.opened_elsewhere(1, u64::try_from(octets).unwrap_or(u64::MAX));
        self.dummies = self.dummies.saturating_add(u64::from(dummy));
    }

    pub(crate) fn opened_elsewhere(&mut self, packets: u64, octets: u64) {
        self.packets = self.packets.saturating_add(packets);
        self.octets = self.octets.saturating_add(octets);
    }

    pub(crate) fn failed(&mut self, error: OpenError) {
        let counter = match error {
            OpenError::Outer(_) => &mut self.malformed_outer,
            OpenError::OuterFragment => &mut self.outer_fragment,
            OpenError::NotEsp(_) => &mut self.not_esp,
            OpenError::NotAh(_) => &mut self.not_ah,
            OpenError::HeadersTooLong { .. } => &mut self.headers_too_long,
            OpenError::AhLength(_) => &mut self.ah_length,
            OpenError::Short { .. } => &mut self.short,
            OpenError::Misaligned => &mut self.misaligned,
            OpenError::WrongSpi(_) => &mut self.wrong_spi,
            OpenError::Replay(ReplayError::Zero) => &mut self.sequence_zero,
            OpenError::Replay(ReplayError::Repeated) => &mut self.repeated,
            OpenError::Replay(ReplayError::TooOld) => &mut self.too_old,
            OpenError::Replay(ReplayError::Overflow) => &mut self.sequence_overflow,
            OpenError::Forged => &mut self.forged,
            OpenError::Padding => &mut self.padding,
            OpenError::NextHeader(_) => &mut self.next_header,
            OpenError::Inner(_) => &mut self.malformed_inner,
            OpenError::Ipcomp(IpcompError::Short { .. }) => &mut self.ipcomp_short,
            OpenError::Ipcomp(IpcompError::Cpi(_)) => &mut self.ipcomp_cpi,
            OpenError::Ipcomp(IpcompError::Nested) => &mut self.ipcomp_nested,
            OpenError::Ipcomp(IpcompError::Malformed) => &mut self.ipcomp_malformed,
            OpenError::Ipcomp(IpcompError::TooLong { .. }) => &mut self.ipcomp_too_long,
            OpenError::Ipcomp(IpcompError::Room { .. }) => &mut self.ipcomp_room,
            OpenError::Ecn => &mut self.ecn,
            OpenError::Headroom { .. } => &mut self.headroom,
            // No SA, no counter of one.
            OpenError::NoSa => return,
        };
        *counter = counter.saturating_add(1);
    }

    /// Packets that were not accepted.
    #[must_use]
    pub fn errors(&self) -> u64 {
        [
            self.malformed_outer,
            self.outer_fragment,
            self.not_esp,
            self.not_ah,
            self.headers_too_long,
            self.ah_length,
            self.short,
            self.misaligned,
            self.wrong_spi,
            self.sequence_zero,
            self.repeated,
            self.too_old,
            self.sequence_overflow,
            self.forged,
            self.padding,
            self.next_header,
            self.malformed_inner,
            self.ipcomp_short,
            self.ipcomp_cpi,
            self.ipcomp_nested,
            self.ipcomp_malformed,
            self.ipcomp_too_long,
            self.ipcomp_room,
            self.ecn,
            self.headroom,
        ]
        .iter()
        .fold(0, |sum, count| sum.saturating_add(*count))
    }
}
