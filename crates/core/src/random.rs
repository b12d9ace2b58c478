//! Randomness as the caller supplies it.

use core::time::Duration;

/// The only source of randomness in the library.
///
/// Public draws (nonces, SPIs, IVs, jitter) are seen on the wire or by timing; secret draws become keys. They
/// are two calls so that an implementation can keep two generators, and so that no output that an attacker
/// sees comes from the stream that keys come from.
///
/// An implementation must return cryptographically strong bytes or not return at all: there is no error to
/// report that a caller could handle by sending a weak nonce.
pub trait SecureRandom: Send {
    /// Fills `out` with unpredictable bytes that will be published.
    fn fill_public(&mut self, out: &mut [u8]);

    /// Fills `out` with unpredictable bytes that stay secret.
    fn fill_secret(&mut self, out: &mut [u8]);
}

impl<R: SecureRandom + ?Sized> SecureRandom for &mut R {
    fn fill_public(&mut self, out: &mut [u8]) {
        (**self).fill_public(out);
    }

    fn fill_secret(&mut self, out: &mut [u8]) {
        (**self).fill_secret(out);
    }
}

/// Draws a public 32-bit number.
pub fn public_u32(rng: &mut dyn SecureRandom) -> u32 {
    let mut bytes = [0; 4];
    rng.fill_public(&mut bytes);
    u32::from_be_bytes(bytes)
}

/// Draws a public 64-bit number.
pub fn public_u64(rng: &mut dyn SecureRandom) -> u64 {
    let mut bytes = [0; 8];
    rng.fill_public(&mut bytes);
    u64::from_be_bytes(bytes)
}

/// Draws a duration from `[0, limit]`, in whole microseconds.
///
/// The modulo's bias is below 2⁻³² for every limit under an hour, which is nothing to a timer.
pub fn jitter(rng: &mut dyn SecureRandom, limit: Duration) -> Duration {
    let limit = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX);
    match limit.checked_add(1) {
        Some(bound) => Duration::from_micros(public_u64(rng).checked_rem(bound).unwrap_or(0)),
        None => Duration::from_micros(public_u64(rng)),
    }
}
