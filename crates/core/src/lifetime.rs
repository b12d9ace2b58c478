//! How long an SA may be used.

use core::time::Duration;

use crate::random::{SecureRandom, jitter};

/// The limits of an SA by age, octets and packets. `None` means no limit of that kind.
///
/// Reaching a soft limit asks for a replacement, reaching a hard limit ends the SA (RFC 4301 4.4.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetime {
    /// Age at which a replacement is negotiated.
    pub soft_time: Option<Duration>,
    /// Age at which the SA must not be used any more.
    pub hard_time: Option<Duration>,
    /// Octets protected before a replacement is negotiated.
    pub soft_bytes: Option<u64>,
    /// Octets protected before the SA must not be used any more.
    pub hard_bytes: Option<u64>,
    /// Packets protected before a replacement is negotiated.
    pub soft_packets: Option<u64>,
    /// Packets protected before the SA must not be used any more.
    pub hard_packets: Option<u64>,
    /// The most that chance takes off each soft limit, in per cent, so that two sides, or a thousand tunnels
    /// started together, do not all rekey at once.
    pub jitter_percent: u8,
}

impl Lifetime {
    /// No limits at all.
    pub const UNLIMITED: Self = Self {
        soft_time: None,
        hard_time: None,
        soft_bytes: None,
        hard_bytes: None,
        soft_packets: None,
        hard_packets: None,
        jitter_percent: 0,
    };

    /// Limits by age only: a replacement at `soft`, the end a tenth later, up to a tenth of jitter.
    #[must_use]
    pub fn by_time(soft: Duration) -> Self {
        let hard = soft.saturating_add(soft / 10);
        Self { soft_time: Some(soft), hard_time: Some(hard), jitter_percent: 10, ..Self::UNLIMITED }
    }

    /// The same limits with the soft ones lowered by chance; what one SA actually uses.
    #[must_use]
    pub fn jittered(self, rng: &mut dyn SecureRandom) -> Self {
        let percent = self.jitter_percent.min(100);
        let mut draw = |value: u64| {
            let most = u128::from(value) * u128::from(percent) / 100;
            let most = u64::try_from(most).unwrap_or(value);
            let taken = jitter(rng, Duration::from_micros(most)).as_micros();
            value.saturating_sub(u64::try_from(taken).unwrap_or(most))
        };
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self {
            soft_time: self.soft_time.map(|time| Duration::from_micros(draw(micros(time)))),
            soft_bytes: self.soft_bytes.map(&mut draw),
            soft_packets: self.soft_packets.map(&mut draw),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(u8);
    impl SecureRandom for Fixed {
        fn fill_public(&mut self, out: &mut [u8]) {
            out.fill(self.0);
        }
        fn fill_secret(&mut self, out: &mut [u8]) {
            out.fill(self.0);
        }
    }

    #[test]
    fn jitter_lowers_soft_limits_by_at_most_its_share_and_no_hard_limit() {
        let plain = Lifetime {
            soft_bytes: Some(1_000_000),
            hard_bytes: Some(2_000_000),
            soft_packets: Some(50),
            ..Lifetime::by_time(Duration::from_secs(3_600))
        };
        for seed in 0..=u8::MAX {
            let drawn = plain.jittered(&mut Fixed(seed));
            let soft = drawn.soft_time.unwrap();
            assert!(soft <= Duration::from_secs(3_600) && soft >= Duration::from_secs(3_240), "{soft:?}");
            assert!((900_000..=1_000_000).contains(&drawn.soft_bytes.unwrap()));
            assert!((45..=50).contains(&drawn.soft_packets.unwrap()));
            assert_eq!((drawn.hard_time, drawn.hard_bytes), (plain.hard_time, plain.hard_bytes));
        }
    }
}
