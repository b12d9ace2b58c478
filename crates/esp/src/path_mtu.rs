//! What is known of a path's MTU (RFC 1191, RFC 8201, RFC 4301 8.2).

use core::time::Duration;

use ikebana_core::Instant;

use crate::ip::Family;

/// A smaller MTU is believed for so long (RFC 1191 6.3, RFC 8201 5.3). Then the path may have changed, and is
/// tried again.
const BELIEVED: Duration = Duration::from_secs(600);

/// The MTU of a path: as configured, until a router says that less fits.
///
/// Only [`lower`](Self::lower) changes it, and never up: what routers say is not authenticated, and a larger
/// value would be worth nothing that waiting does not give. Nor does it go below what a path has in practice, so
/// that a forged message costs some efficiency and no more.
///
/// ```
/// use core::time::Duration;
/// use ikebana_core::Instant;
/// use ikebana_esp::{Family, PathMtu};
/// let (now, mut path) = (Instant::from_secs(1), PathMtu::new(1500));
/// assert_eq!(path.lower(now, Family::V4, 1400), Some(1400));
/// assert_eq!(path.lower(now, Family::V4, 1450), None);
/// assert_eq!(path.lower(now, Family::V4, 68), Some(576));
/// assert!(path.handle_timeout(now + Duration::from_secs(600)));
/// assert_eq!(path.get(), 1500);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathMtu {
    configured: usize,
    learned: Option<(usize, Instant)>,
}

impl PathMtu {
    /// The smallest IPv4 packet that every host takes whole (RFC 791 3.2), and no less is believed of a path.
    pub const LEAST_V4: usize = 576;
    /// What every IPv6 link carries (RFC 8200 5).
    pub const LEAST_V6: usize = 1280;

    /// A path of which nothing is known but its configuration.
    #[must_use]
    pub const fn new(configured: usize) -> Self {
        Self { configured, learned: None }
    }

    /// The largest packet that the path is believed to take.
    #[must_use]
    pub fn get(&self) -> usize {
        self.learned.map_or(self.configured, |(mtu, _)| mtu.min(self.configured))
    }

    /// A router of a path between addresses of `outer` has said that no more than `mtu` octets fit. Returns the
    /// MTU if it is smaller now; what is believed already is not renewed.
    #[expect(clippy::arithmetic_side_effects, reason = "an instant saturates")]
    pub fn lower(&mut self, now: Instant, outer: Family, mtu: usize) -> Option<usize> {
        let least = match outer {
            Family::V4 => Self::LEAST_V4,
            Family::V6 => Self::LEAST_V6,
        };
        let mtu = mtu.max(least);
        if mtu >= self.get() {
            return None;
        }
        self.learned = Some((mtu, now + BELIEVED));
        Some(mtu)
    }

    /// When what was learned is forgotten.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.learned.map(|(_, until)| until)
    }

    /// Forgets what has been believed long enough. Returns whether the MTU is larger now.
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        let due = self.poll_timeout().is_some_and(|until| until <= now);
        if due {
            self.learned = None;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_secs(100);

    #[test]
    fn it_goes_down_and_never_up_and_never_too_far_down() {
        let mut path = PathMtu::new(1_500);
        for (said, now) in [(1_500, None), (9_000, None), (1_492, Some(1_492)), (1_492, None), (0, Some(576))]
        {
            assert_eq!(path.lower(NOW, Family::V4, said), now, "{said}");
        }
        assert_eq!((path.get(), path.lower(NOW, Family::V4, 0)), (576, None));
        let mut path = PathMtu::new(1_500);
        assert_eq!(path.lower(NOW, Family::V6, 100), Some(1_280));
        // A path that is configured to be smaller still stays so.
        let mut path = PathMtu::new(400);
        assert_eq!((path.lower(NOW, Family::V4, 300), path.get()), (None, 400));
    }

    #[test]
    fn what_was_learned_is_forgotten_after_ten_minutes_and_repetition_does_not_prolong_it() {
        let mut path = PathMtu::new(1_500);
        assert_eq!(path.poll_timeout(), None);
        path.lower(NOW, Family::V4, 1_400);
        assert_eq!(path.lower(NOW + Duration::from_secs(300), Family::V4, 1_400), None);
        assert_eq!(path.poll_timeout(), Some(NOW + BELIEVED));
        assert!(!path.handle_timeout(NOW + Duration::from_secs(599)));
        assert_eq!(path.get(), 1_400);
        assert!(path.handle_timeout(NOW + BELIEVED));
        assert_eq!((path.get(), path.poll_timeout()), (1_500, None));
        assert!(!path.handle_timeout(NOW + BELIEVED));
    }
}
