//! How many strangers may be half-way in (RFC 7296 2.6).

use alloc::collections::BTreeMap;
use core::net::{IpAddr, Ipv6Addr};

use crate::limits::Limits;

/// What to do with a first message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Go on.
    Accept,
    /// Go on if it carries a valid cookie.
    DemandCookie,
    /// Drop it.
    Refuse,
}

/// Counts half-open IKE SAs, in all and per address.
///
/// An IPv6 host commonly owns a /64, so that is what counts as one address.
#[derive(Clone, Debug, Default)]
pub struct HalfOpen {
    total: usize,
    by_address: BTreeMap<IpAddr, usize>,
}

impl HalfOpen {
    /// Decides on a first message from `address`. With a valid cookie, only the hard limits count.
    #[must_use]
    pub fn admit(&self, limits: &Limits, address: IpAddr) -> Admission {
        let here = self.by_address.get(&bucket(address)).copied().unwrap_or(0);
        if self.total >= limits.half_open || here >= limits.half_open_per_address {
            Admission::Refuse
        } else if self.total >= limits.cookie_threshold || here >= limits.cookie_threshold_per_address {
            Admission::DemandCookie
        } else {
            Admission::Accept
        }
    }

    /// Counts a new one.
    pub fn enter(&mut self, address: IpAddr) {
        self.total = self.total.saturating_add(1);
        let here = self.by_address.entry(bucket(address)).or_insert(0);
        *here = here.saturating_add(1);
    }

    /// Counts one that is established or gone.
    pub fn leave(&mut self, address: IpAddr) {
        self.total = self.total.saturating_sub(1);
        let address = bucket(address);
        if let Some(here) = self.by_address.get_mut(&address) {
            *here = here.saturating_sub(1);
            if *here == 0 {
                self.by_address.remove(&address);
            }
        }
    }

    /// How many there are.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.total
    }
}

fn bucket(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
    }
}

/// A bucket of tokens that refills with time: bounds the replies we send without knowing to whom.
#[derive(Clone, Copy, Debug)]
pub struct RateLimit {
    tokens: u64,
    per_second: u64,
    refilled: ikebana_core::Instant,
}

impl RateLimit {
    /// At most `per_second` a second, and as many at once.
    #[must_use]
    pub fn new(per_second: u32) -> Self {
        let per_second = u64::from(per_second);
        Self { tokens: per_second, per_second, refilled: ikebana_core::Instant::ZERO }
    }

    /// Takes one token, if there is one.
    pub fn allow(&mut self, now: ikebana_core::Instant) -> bool {
        let micros = now.saturating_since(self.refilled).as_micros();
        let earned = u64::try_from(micros).unwrap_or(u64::MAX).saturating_mul(self.per_second) / 1_000_000;
        if earned > 0 {
            self.tokens = self.tokens.saturating_add(earned).min(self.per_second);
            self.refilled = now;
        }
        let allowed = self.tokens > 0;
        self.tokens = self.tokens.saturating_sub(1);
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ikebana_core::Instant;

    #[test]
    fn cookies_come_before_refusal() {
        let limits = Limits {
            cookie_threshold: 2,
            half_open: 3,
            half_open_per_address: 9,
            cookie_threshold_per_address: 9,
            ..Limits::default()
        };
        let mut table = HalfOpen::default();
        let address = |last| IpAddr::from([192, 0, 2, last]);
        let mut seen = alloc::vec::Vec::new();
        for last in 1..=4 {
            seen.push(table.admit(&limits, address(last)));
            table.enter(address(last));
        }
        assert_eq!(seen, [Admission::Accept, Admission::Accept, Admission::DemandCookie, Admission::Refuse]);
        table.leave(address(1));
        table.leave(address(2));
        table.leave(address(3));
        assert_eq!(table.admit(&limits, address(9)), Admission::Accept);
    }

    #[test]
    fn one_address_cannot_fill_the_table_and_a_slash_64_is_one_address() {
        let limits = Limits { half_open_per_address: 2, ..Limits::default() };
        let mut table = HalfOpen::default();
        table.enter("2001:db8::1".parse().unwrap());
        table.enter("2001:db8::2".parse().unwrap());
        assert_eq!(table.admit(&limits, "2001:db8::3".parse().unwrap()), Admission::Refuse);
        assert_eq!(table.admit(&limits, "2001:db8:0:1::3".parse().unwrap()), Admission::Accept);
    }

    #[test]
    fn stateless_replies_are_limited_and_the_limit_refills() {
        let mut limit = RateLimit::new(2);
        let now = Instant::from_secs(10);
        assert!(limit.allow(now) && limit.allow(now) && !limit.allow(now));
        assert!(limit.allow(Instant::from_millis(10_500)));
        assert!(!limit.allow(Instant::from_millis(10_500)));
    }
}
