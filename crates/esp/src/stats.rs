//! Counters of an SA: one for each way a packet can go.

use crate::error::{InboundRefusal, OpenError, OutboundRefusal, SealError};
use crate::ipcomp::IpcompError;
use crate::replay::ReplayError;

macro_rules! stats {
    (
        $(#[$about:meta])*
        $name:ident passed { $( $(#[$passed_doc:meta])* $passed:ident, )* }
        dropped { $( $(#[$dropped_doc:meta])* $dropped:ident, )* }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $( $(#[$passed_doc])* pub $passed: u64, )*
            $( $(#[$dropped_doc])* pub $dropped: u64, )*
        }

        impl $name {
            /// The counters of dropped packets, by names that do not change. Each of those packets is in one.
            pub fn drops(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$( (stringify!($dropped), self.$dropped), )*].into_iter()
            }

            /// Packets dropped.
            #[must_use]
            pub fn errors(&self) -> u64 {
                self.drops().fold(0, |sum, (_, count)| sum.saturating_add(count))
            }
        }
    };
}

stats! {
    /// What happened to the packets of an outbound SA.
    OutboundStats passed {
        /// Packets sealed.
        packets,
        /// Octets of payload in them, as sealed: compressed, and with traffic flow confidentiality padding.
        octets,
        /// Octets of traffic flow confidentiality padding among them (RFC 4303 2.7).
        tfc_octets,
        /// Dummy packets (next header 59) among the packets.
        dummies,
    }
    dropped {
        /// [`SealError::Headroom`].
        headroom,
        /// [`SealError::Tailroom`].
        tailroom,
        /// [`SealError::TooLong`].
        too_long,
        /// [`SealError::SequenceExhausted`].
        sequence_exhausted,
        /// [`SealError::UsageExhausted`].
        usage_exhausted,
        /// [`SealError::Inner`].
        malformed_inner,
        /// [`SealError::Fragment`].
        fragment,
        /// [`SealError::Family`].
        wrong_family,
        /// [`SealError::Addresses`].
        wrong_addresses,
        /// [`SealError::Options`].
        options,
        /// [`SealError::HeadersTooLong`].
        headers_too_long,
        /// [`SealError::Mode`].
        wrong_mode,
        /// [`SealError::Cipher`].
        cipher,
        /// [`OutboundRefusal::Expired`].
        expired,
        /// [`OutboundRefusal::TooBig`].
        too_big,
    }
}

stats! {
    /// What happened to the packets of an inbound SA.
    InboundStats passed {
        /// Packets opened: authentic, not repeated, with right padding. Those that were dropped after that, for
        /// what was in them, are among them.
        packets,
        /// Octets of payload in them, without padding.
        octets,
        /// Dummy packets (next header 59) among them.
        dummies,
        /// Payloads decompressed (RFC 3173).
        decompressed,
    }
    dropped {
        /// [`OpenError::Outer`].
        malformed_outer,
        /// [`OpenError::OuterFragment`].
        outer_fragment,
        /// [`OpenError::NotEsp`].
        not_esp,
        /// [`OpenError::NotAh`].
        not_ah,
        /// [`OpenError::HeadersTooLong`].
        headers_too_long,
        /// [`OpenError::AhLength`].
        ah_length,
        /// [`OpenError::Short`].
        short,
        /// [`OpenError::Misaligned`].
        misaligned,
        /// [`OpenError::WrongSpi`].
        wrong_spi,
        /// [`ReplayError::Zero`].
        sequence_zero,
        /// [`ReplayError::Repeated`].
        repeated,
        /// [`ReplayError::TooOld`].
        too_old,
        /// [`ReplayError::Overflow`].
        sequence_overflow,
        /// [`OpenError::Forged`].
        forged,
        /// [`OpenError::Padding`].
        padding,
        /// [`OpenError::NextHeader`].
        next_header,
        /// [`OpenError::Inner`].
        malformed_inner,
        /// [`IpcompError::Short`].
        ipcomp_short,
        /// [`IpcompError::Cpi`].
        ipcomp_cpi,
        /// [`IpcompError::Nested`].
        ipcomp_nested,
        /// [`IpcompError::Malformed`].
        ipcomp_malformed,
        /// [`IpcompError::TooLong`].
        ipcomp_too_long,
        /// [`IpcompError::Room`].
        ipcomp_room,
        /// [`OpenError::Ecn`].
        ecn,
        /// [`OpenError::Headroom`].
        headroom,
        /// [`InboundRefusal::Selectors`].
        wrong_selectors,
        /// [`InboundRefusal::Expired`].
        expired,
    }
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
        count(match error {
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
        });
    }

    pub(crate) fn refused(&mut self, refusal: OutboundRefusal) {
        count(match refusal {
            OutboundRefusal::Expired => &mut self.expired,
            OutboundRefusal::TooBig => &mut self.too_big,
        });
    }
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
        count(match error {
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
        });
    }

    pub(crate) fn refused(&mut self, refusal: InboundRefusal) {
        count(match refusal {
            InboundRefusal::Selectors => &mut self.wrong_selectors,
            InboundRefusal::Expired => &mut self.expired,
        });
    }
}

fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    use alloc::collections::BTreeSet;
    use core::iter::successors;

    use ikebana_crypto::CipherError;

    use crate::error::NextHeader;
    use crate::ip::IpError;

    /// The next kind of error; each must be in the chain, or this does not compile.
    fn after_open(error: OpenError) -> Option<OpenError> {
        Some(match error {
            OpenError::Outer(_) => OpenError::OuterFragment,
            OpenError::OuterFragment => OpenError::NotEsp(6),
            OpenError::NotEsp(_) => OpenError::NotAh(6),
            OpenError::NotAh(_) => OpenError::HeadersTooLong { length: 1 },
            OpenError::HeadersTooLong { .. } => OpenError::AhLength(1),
            OpenError::AhLength(_) => OpenError::Short { length: 1 },
            OpenError::Short { .. } => OpenError::Misaligned,
            OpenError::Misaligned => OpenError::WrongSpi(256),
            OpenError::WrongSpi(_) => OpenError::Replay(ReplayError::Zero),
            OpenError::Replay(ReplayError::Zero) => OpenError::Replay(ReplayError::Repeated),
            OpenError::Replay(ReplayError::Repeated) => OpenError::Replay(ReplayError::TooOld),
            OpenError::Replay(ReplayError::TooOld) => OpenError::Replay(ReplayError::Overflow),
            OpenError::Replay(ReplayError::Overflow) => OpenError::Forged,
            OpenError::Forged => OpenError::Padding,
            OpenError::Padding => OpenError::NextHeader(NextHeader::TCP),
            OpenError::NextHeader(_) => OpenError::Inner(IpError::Truncated),
            OpenError::Inner(_) => OpenError::Ipcomp(IpcompError::Short { length: 1 }),
            OpenError::Ipcomp(IpcompError::Short { .. }) => OpenError::Ipcomp(IpcompError::Cpi(1)),
            OpenError::Ipcomp(IpcompError::Cpi(_)) => OpenError::Ipcomp(IpcompError::Nested),
            OpenError::Ipcomp(IpcompError::Nested) => OpenError::Ipcomp(IpcompError::Malformed),
            OpenError::Ipcomp(IpcompError::Malformed) => OpenError::Ipcomp(IpcompError::TooLong { limit: 1 }),
            OpenError::Ipcomp(IpcompError::TooLong { .. }) => {
                OpenError::Ipcomp(IpcompError::Room { needed: 2, available: 1 })
            }
            OpenError::Ipcomp(IpcompError::Room { .. }) => OpenError::Ecn,
            OpenError::Ecn => OpenError::Headroom { needed: 2, available: 1 },
            OpenError::Headroom { .. } => OpenError::NoSa,
            OpenError::NoSa => return None,
        })
    }

    fn after_seal(error: SealError) -> Option<SealError> {
        Some(match error {
            SealError::Headroom { .. } => SealError::Tailroom { needed: 2, available: 1 },
            SealError::Tailroom { .. } => SealError::TooLong { length: 1 },
            SealError::TooLong { .. } => SealError::SequenceExhausted,
            SealError::SequenceExhausted => SealError::UsageExhausted,
            SealError::UsageExhausted => SealError::Inner(IpError::Truncated),
            SealError::Inner(_) => SealError::Fragment,
            SealError::Fragment => SealError::Family,
            SealError::Family => SealError::Addresses,
            SealError::Addresses => SealError::Options,
            SealError::Options => SealError::HeadersTooLong { length: 1 },
            SealError::HeadersTooLong { .. } => SealError::Mode,
            SealError::Mode => SealError::Cipher(CipherError::Layout),
            SealError::Cipher(_) => SealError::NoSa,
            SealError::NoSa => return None,
        })
    }

    fn after_inbound(refusal: InboundRefusal) -> Option<InboundRefusal> {
        match refusal {
            InboundRefusal::Selectors => Some(InboundRefusal::Expired),
            InboundRefusal::Expired => None,
        }
    }

    fn after_outbound(refusal: OutboundRefusal) -> Option<OutboundRefusal> {
        match refusal {
            OutboundRefusal::Expired => Some(OutboundRefusal::TooBig),
            OutboundRefusal::TooBig => None,
        }
    }

    /// The one counter that is not zero, and is one.
    fn only(drops: impl Iterator<Item = (&'static str, u64)>) -> &'static str {
        let mut counted = drops.filter(|(_, count)| *count > 0);
        let (name, count) = counted.next().unwrap();
        assert_eq!((count, counted.next()), (1, None));
        name
    }

    #[test]
    fn every_reason_to_drop_a_packet_has_a_counter_of_its_own_and_every_counter_a_reason() {
        let mut names = BTreeSet::new();
        let mut inbound = |act: &dyn Fn(&mut InboundStats)| {
            let mut stats = InboundStats::default();
            act(&mut stats);
            assert_eq!((stats.errors(), stats.packets), (1, 0));
            assert!(names.insert(only(stats.drops())));
        };
        for error in successors(Some(OpenError::Outer(IpError::Truncated)), |error| after_open(*error)) {
            if error != OpenError::NoSa {
                inbound(&|stats| stats.failed(error));
            }
        }
        for refusal in successors(Some(InboundRefusal::Selectors), |refusal| after_inbound(*refusal)) {
            inbound(&|stats| stats.refused(refusal));
        }
        assert_eq!(names.len(), InboundStats::default().drops().count());

        let mut names = BTreeSet::new();
        let mut outbound = |act: &dyn Fn(&mut OutboundStats)| {
            let mut stats = OutboundStats::default();
            act(&mut stats);
            assert_eq!((stats.errors(), stats.packets), (1, 0));
            assert!(names.insert(only(stats.drops())));
        };
        let first = SealError::Headroom { needed: 2, available: 1 };
        for error in successors(Some(first), |error| after_seal(*error)) {
            if error != SealError::NoSa {
                outbound(&|stats| stats.failed(error));
            }
        }
        for refusal in successors(Some(OutboundRefusal::Expired), |refusal| after_outbound(*refusal)) {
            outbound(&|stats| stats.refused(refusal));
        }
        assert_eq!(names.len(), OutboundStats::default().drops().count());
    }
}
