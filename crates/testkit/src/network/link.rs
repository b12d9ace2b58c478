//! What a link does to datagrams.

use core::time::Duration;
use std::net::IpAddr;

use crate::random::SeededRng;

/// How one direction between two endpoints behaves. Probabilities are in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkConfig {
    /// Datagrams lost.
    pub loss_permille: u16,
    /// Datagrams delivered twice, each copy with a delay of its own.
    pub duplicate_permille: u16,
    /// Datagrams held back by [`LinkConfig::reorder_delay`], so that later ones overtake them.
    pub reorder_permille: u16,
    /// The least time under way.
    pub delay: Duration,
    /// The most that chance adds to the delay. Datagrams sent closer together than this may change order.
    pub jitter: Duration,
    /// What a held-back datagram waits in addition.
    pub reorder_delay: Duration,
    /// The largest IP packet that passes; larger ones vanish, as they do behind a filter of ICMP.
    pub mtu: usize,
}

impl Default for LinkConfig {
    /// A good link: 10 ms, nothing lost, and packets as large as IP allows.
    fn default() -> Self {
        Self {
            loss_permille: 0,
            duplicate_permille: 0,
            reorder_permille: 0,
            delay: Duration::from_millis(10),
            jitter: Duration::ZERO,
            reorder_delay: Duration::from_millis(100),
            mtu: 65_535,
        }
    }
}

impl LinkConfig {
    /// Nothing gets through.
    pub const CUT: Self = Self {
        loss_permille: 1_000,
        duplicate_permille: 0,
        reorder_permille: 0,
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        reorder_delay: Duration::ZERO,
        mtu: 65_535,
    };

    /// A bad link: a fifth lost, a tenth doubled, a tenth held back, 10 to 60 ms.
    #[must_use]
    pub fn bad() -> Self {
        Self {
            loss_permille: 200,
            duplicate_permille: 100,
            reorder_permille: 100,
            jitter: Duration::from_millis(50),
            ..Self::default()
        }
    }

    /// The delays of the datagram and of its copy; `None` for what does not arrive.
    ///
    /// Draws the same number of values whatever comes out, so that changing one probability keeps the rest of
    /// a run as similar as it can be.
    pub(super) fn fates(&self, rng: &mut SeededRng) -> (Option<Duration>, Option<Duration>) {
        let lost = rng.happens(self.loss_permille);
        let doubled = rng.happens(self.duplicate_permille);
        let first = self.delay_of_one(rng);
        let second = self.delay_of_one(rng);
        ((!lost).then_some(first), (doubled && !lost).then_some(second))
    }

    fn delay_of_one(&self, rng: &mut SeededRng) -> Duration {
        let held_back = rng.happens(self.reorder_permille);
        let bound = u64::try_from(self.jitter.as_micros()).unwrap_or(u64::MAX).saturating_add(1);
        let jitter = Duration::from_micros(rng.below(bound));
        self.delay + jitter + if held_back { self.reorder_delay } else { Duration::ZERO }
    }
}

/// Octets of IP and UDP in front of a datagram.
pub(super) const fn header_len(address: IpAddr) -> usize {
    match address {
        IpAddr::V4(_) => 28,
        IpAddr::V6(_) => 48,
    }
}
