//! A clock that only the test moves.

use core::time::Duration;

use ikebana_core::Instant;

/// Time in a test: it stands still until it is told to go on, and never goes back.
#[derive(Clone, Copy, Debug, Default)]
pub struct VirtualClock {
    now: Instant,
}

impl VirtualClock {
    /// A clock at [`Instant::ZERO`].
    #[must_use]
    pub const fn new() -> Self {
        Self { now: Instant::ZERO }
    }

    /// The present.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Lets `duration` pass and returns the new present.
    pub fn advance(&mut self, duration: Duration) -> Instant {
        self.now = self.now + duration;
        self.now
    }

    /// Goes on to `instant`, or stays where it is if that is in the past; returns the present.
    pub fn advance_to(&mut self, instant: Instant) -> Instant {
        self.now = self.now.max(instant);
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_never_goes_back() {
        let mut clock = VirtualClock::new();
        assert_eq!(clock.advance(Duration::from_secs(3)), Instant::from_secs(3));
        assert_eq!(clock.advance_to(Instant::from_secs(2)), Instant::from_secs(3));
        assert_eq!(clock.advance_to(Instant::from_secs(4)), Instant::from_secs(4));
        assert_eq!(clock.now(), Instant::from_secs(4));
    }
}
