//! Randomness from a seed.

use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng as _, SeedableRng as _};
use ikebana_core::SecureRandom;

/// Randomness that a test can repeat: ChaCha8 under a seed, with a stream of its own for secrets.
///
/// What is drawn in public does not change what is drawn in secret, so a test that takes one nonce more keeps
/// its keys.
pub struct SeededRng {
    public: ChaCha8Rng,
    secret: ChaCha8Rng,
}

impl SeededRng {
    /// The generator of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let stream = |number| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(number);
            rng
        };
        Self { public: stream(1), secret: stream(2) }
    }

    /// A number from `[0, bound)`; 0 where `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.public.next_u64().checked_rem(bound).unwrap_or(0)
    }

    /// Whether an event of this probability, in thousandths, happens.
    pub fn happens(&mut self, permille: u16) -> bool {
        self.below(1_000) < u64::from(permille)
    }

    /// One of `choices`.
    ///
    /// # Panics
    /// If there are none.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let index = self.below(choices.len() as u64);
        usize::try_from(index).ok().and_then(|index| choices.get(index)).expect("something to choose from")
    }

    /// `count` public octets.
    pub fn octets(&mut self, count: usize) -> Vec<u8> {
        let mut octets = vec![0; count];
        self.fill_public(&mut octets);
        octets
    }
}

impl SecureRandom for SeededRng {
    fn fill_public(&mut self, out: &mut [u8]) {
        self.public.fill_bytes(out);
    }

    fn fill_secret(&mut self, out: &mut [u8]) {
        self.secret.fill_bytes(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(rng: &mut SeededRng) -> [u8; 32] {
        let mut out = [0; 32];
        rng.fill_secret(&mut out);
        out
    }

    #[test]
    fn a_seed_gives_the_same_octets_again_and_another_seed_gives_others() {
        let (mut one, mut again, mut other) = (SeededRng::new(7), SeededRng::new(7), SeededRng::new(8));
        let octets = one.octets(100);
        assert_eq!(octets, again.octets(100));
        assert_ne!(octets, other.octets(100));
    }

    #[test]
    fn public_draws_do_not_change_secret_ones() {
        let (mut quiet, mut busy) = (SeededRng::new(7), SeededRng::new(7));
        let public = busy.octets(32);
        assert_eq!(secret(&mut quiet), secret(&mut busy));
        assert_ne!(public, secret(&mut SeededRng::new(7)));
    }

    #[test]
    fn probabilities_come_about_as_asked() {
        let mut rng = SeededRng::new(1);
        let happened = (0..10_000).filter(|_| rng.happens(250)).count();
        assert!((2_200..2_800).contains(&happened), "{happened}");
        assert!((0..1_000).all(|_| !rng.happens(0)));
        assert!((0..1_000).all(|_| rng.happens(1_000)));
    }
}
