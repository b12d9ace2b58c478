//! A clock of a few nanoseconds' resolution: the time stamp counter where there is one.

use std::time::Duration;
#[cfg(not(target_arch = "x86_64"))]
use std::time::Instant;

/// What the clock shows, in ticks.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn ticks() -> u64 {
    use std::arch::x86_64::{_mm_lfence, _rdtsc};
    // SAFETY: every x86-64 processor has both. The fences keep the work on its side of the reading.
    unsafe {
        _mm_lfence();
        let ticks = _rdtsc();
        _mm_lfence();
        ticks
    }
}

/// What the clock shows, in ticks.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn ticks() -> u64 {
    use std::sync::OnceLock;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos().try_into().unwrap_or(u64::MAX)
}

/// How many nanoseconds a tick is.
pub(crate) fn nanoseconds_per_tick() -> f64 {
    let (start, started) = (ticks(), std::time::Instant::now());
    while started.elapsed() < Duration::from_millis(100) {
        std::hint::spin_loop();
    }
    let elapsed = started.elapsed();
    elapsed.as_nanos() as f64 / (ticks() - start) as f64
}
