//! What a sans-IO library asks of its caller: the time and randomness.

use ikebana_core::{Instant, SecureRandom};

/// The system's monotonic clock, from the moment this was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock(std::time::Instant);

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX))
    }
}

/// The operating system's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsRandom;

impl SecureRandom for OsRandom {
    fn fill_public(&mut self, out: &mut [u8]) {
        // Going on without randomness would be worse than stopping.
        getrandom::fill(out).expect("the operating system gives randomness");
    }

    fn fill_secret(&mut self, out: &mut [u8]) {
        self.fill_public(out);
    }
}
