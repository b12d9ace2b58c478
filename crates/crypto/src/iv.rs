//! Initialization vectors for CBC.

use aes::Aes128;
use aes::cipher::{Block, BlockCipherEncrypt, KeyInit};
use ikebana_core::SecureRandom;
use zeroize::Zeroizing;

/// IVs that are made together.
pub const IV_RUN: usize = 8;

/// Unpredictable IVs from one random draw.
///
/// CBC needs an IV that nobody can guess before the packet is sealed (RFC 3602 3, SP 800-38A appendix C). A
/// counter encrypted under a secret key is that, never repeats, and costs one AES block instead of a call to
/// the random generator per packet.
pub struct IvGenerator {
    cipher: Aes128,
    counter: u128,
}

impl IvGenerator {
    /// Draws the secret key.
    #[must_use]
    pub fn new(rng: &mut dyn SecureRandom) -> Self {
        let mut key = Zeroizing::new([0; 16]);
        rng.fill_secret(&mut *key);
        Self { cipher: Aes128::new((&*key).into()), counter: 0 }
    }

    /// Fills `iv`, of at most 16 octets, with the next IV. Whatever is longer stays as it is past the 16th.
    pub fn fill(&mut self, iv: &mut [u8]) {
        self.fill_at(self.counter, iv);
        self.counter = self.counter.wrapping_add(1);
    }

    /// The IVs with the numbers from `first` on, to be used once each. Several together cost little more than one.
    #[must_use]
    pub fn run_at(&self, first: u128) -> [[u8; 16]; IV_RUN] {
        let mut number = first;
        let mut blocks: [Block<Aes128>; IV_RUN] = core::array::from_fn(|_| {
            let block = number.to_be_bytes().into();
            number = number.wrapping_add(1);
            block
        });
        self.cipher.encrypt_blocks(&mut blocks);
        blocks.map(Into::into)
    }

    /// Fills `iv` with the IV number `counter`, for callers on several cores that number their packets
    /// themselves. A number must be used once, and not beside [`fill`](Self::fill) on the same generator.
    pub fn fill_at(&self, counter: u128, iv: &mut [u8]) {
        let mut block: Block<Aes128> = counter.to_be_bytes().into();
        self.cipher.encrypt_block(&mut block);
        for (octet, &value) in iv.iter_mut().zip(block.iter()) {
            *octet = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    struct Fixed(u8);
    impl SecureRandom for Fixed {
        fn fill_public(&mut self, _: &mut [u8]) {
            panic!("the IV key is a secret draw");
        }
        fn fill_secret(&mut self, out: &mut [u8]) {
            out.fill(self.0);
        }
    }

    #[test]
    fn ivs_do_not_repeat_and_depend_on_the_key() {
        let mut seen = BTreeSet::new();
        for seed in 0..4 {
            let mut ivs = IvGenerator::new(&mut Fixed(seed));
            for _ in 0..1000 {
                let mut iv = [0; 16];
                ivs.fill(&mut iv);
                assert!(seen.insert(iv));
            }
        }
    }

    #[test]
    fn a_run_is_what_its_numbers_are_alone() {
        let ivs = IvGenerator::new(&mut Fixed(3));
        for first in [0, u128::from(u64::MAX), u128::MAX - 3] {
            for (at, iv) in (0..).zip(ivs.run_at(first)) {
                let mut alone = [0; 16];
                ivs.fill_at(first.wrapping_add(at), &mut alone);
                assert_eq!(iv, alone);
            }
        }
    }

    #[test]
    fn a_short_iv_is_the_beginning_of_a_long_one() {
        let (mut long, mut short) = ([0; 16], [0; 8]);
        IvGenerator::new(&mut Fixed(9)).fill(&mut long);
        IvGenerator::new(&mut Fixed(9)).fill(&mut short);
        assert_eq!(long[..8], short);
    }
}
