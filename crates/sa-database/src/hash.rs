//! Hashing that an attacker cannot predict.
//!
//! Two kinds, for two kinds of harm. Where colliding keys make every lookup longer, and others choose the keys, it
//! is SipHash. Where the worst is one more look, multiplying by a secret does, in a fraction of the time.

use core::hash::BuildHasher;

use ikebana_core::SecureRandom;
use siphasher::sip::SipHasher13;

/// SipHash-1-3 under a secret key: SPIs and addresses come from peers, and a peer that could choose what
/// collides could turn every lookup into a scan.
#[derive(Clone, Copy)]
pub(crate) struct Keyed {
    low: u64,
    high: u64,
}

impl Keyed {
    pub(crate) fn new(rng: &mut dyn SecureRandom) -> Self {
        let mut draw = || {
            let mut octets = [0; 8];
            rng.fill_secret(&mut octets);
            u64::from_le_bytes(octets)
        };
        Self { low: draw(), high: draw() }
    }
}

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.low, self.high)
    }
}

/// Keys as words, multiplied by a secret and folded.
///
/// Whoever does not know the secret cannot name two keys that collide, as long as it learns nothing of what comes
/// out. That is a weaker promise than SipHash's, for tables where a collision costs next to nothing.
#[derive(Clone, Copy)]
pub(crate) struct Folded {
    start: u64,
    multiply: u64,
}

impl Folded {
    pub(crate) fn new(rng: &mut dyn SecureRandom) -> Self {
        let Keyed { low, high } = Keyed::new(rng);
        Self { start: low, multiply: high | 1 }
    }

    /// The worst there is, for tests.
    #[cfg(test)]
    pub(crate) const fn weak(multiply: u64) -> Self {
        Self { start: 0, multiply }
    }

    /// One of `count` places for these words; 0 if there are none.
    pub(crate) fn place<const N: usize>(self, words: [u64; N], count: usize) -> usize {
        let folded = words.iter().fold(self.start, |state, word| {
            let product = widening(state ^ word, self.multiply);
            high(product) ^ low(product)
        });
        usize::try_from(high(widening(folded, u64::try_from(count).unwrap_or(u64::MAX)))).unwrap_or(0)
    }
}

fn widening(one: u64, other: u64) -> u128 {
    u128::from(one).wrapping_mul(u128::from(other))
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is what is asked for")]
const fn low(product: u128) -> u64 {
    product as u64
}

const fn high(product: u128) -> u64 {
    (product >> 64) as u64
}
