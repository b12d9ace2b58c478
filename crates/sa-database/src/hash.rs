//! Hashing that an attacker cannot predict.

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
