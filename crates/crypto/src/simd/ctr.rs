//! AES in counter mode with a nonce of 96 bits and a counter of 32 (RFC 3686, SP 800-38D 6.5), on vectors of one
//! block and of two.

use zeroize::Zeroize;

use super::vector::BLOCK;
use super::{AesKey, Tier};

/// Octets of a nonce: a salt of 4 and an IV of 8 (RFC 3686 4, RFC 4106 4).
pub(crate) const NONCE: usize = 12;

/// Vectors that are encrypted together: enough to hide that each round waits for the one before.
pub(super) const GROUP: usize = 8;

/// An expanded key with the nonce's secret part.
pub(crate) struct CtrKey {
    tier: Tier,
    aes: AesKey,
    salt: [u8; 4],
}

impl CtrKey {
    /// Expands a key of 16, 24 or 32 octets with 4 octets of nonce behind it; `None` for any other length.
    pub(crate) fn new(tier: Tier, key: &[u8]) -> Option<Self> {
        let (key, salt) = key.split_last_chunk()?;
        Some(Self { tier, aes: AesKey::new(tier, key)?, salt: *salt })
    }

    /// Encrypts or decrypts `text` in place. The first counter is 1 (RFC 3686 4).
    pub(crate) fn apply(&self, iv: &[u8; 8], text: &mut [u8]) {
        let mut nonce = [0; NONCE];
        let (front, back) = nonce.split_at_mut(self.salt.len());
        front.copy_from_slice(&self.salt);
        back.copy_from_slice(iv);
        // SAFETY: a tier is only made on a processor with AES and AVX2, and it is wide only if AES works on 256
        // bits.
        unsafe {
            if self.tier.is_wide() {
                wide::apply(&self.aes, &nonce, text);
            } else {
                narrow::apply(&self.aes, &nonce, text);
            }
        }
    }
}

impl Drop for CtrKey {
    fn drop(&mut self) {
        self.salt.zeroize();
    }
}

/// A block to encrypt, with its counter in the machine's order.
#[inline]
fn counter_block(nonce: &[u8; NONCE], counter: u32) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let (front, back) = block.split_at_mut(NONCE);
    front.copy_from_slice(nonce);
    back.copy_from_slice(&counter.to_le_bytes());
    block
}

/// The order of octets that turns the counter of every lane into the order of the network.
const NETWORK_ORDER: [u8; BLOCK] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 15, 14, 13, 12];

/// The kernels over one width of vectors.
macro_rules! kernels {
    ($features:literal) => {
        /// The counters of the blocks to come.
        #[derive(Clone, Copy)]
        pub(crate) struct Counters(Vector);

        impl Counters {
            #[inline]
            #[target_feature(enable = $features)]
            pub(crate) fn new(nonce: &[u8; NONCE], counter: u32) -> Self {
                Self(add(broadcast(&counter_block(nonce, counter)), stagger()))
            }

            /// The next vector of blocks, in which the first round key is.
            #[inline]
            #[target_feature(enable = $features)]
            pub(crate) fn next(&mut self, first_key: Vector) -> Vector {
                let blocks = shuffle(self.0, broadcast(&NETWORK_ORDER));
                self.0 = add(self.0, step());
                xor(blocks, first_key)
            }

            /// The next vectors of blocks.
            #[inline]
            #[target_feature(enable = $features)]
            pub(crate) fn next_group<const N: usize>(&mut self, first_key: Vector) -> [Vector; N] {
                let mut blocks = [zero(); N];
                for vector in &mut blocks {
                    *vector = self.next(first_key);
                }
                blocks
            }
        }

        /// The key stream of the next vectors.
        #[inline]
        #[target_feature(enable = $features)]
        fn stream<const N: usize>(key: &AesKey, counters: &mut Counters) -> [Vector; N] {
            let (first, middle, last) = key.encryption_rounds();
            let mut states = counters.next_group::<N>(broadcast(first));
            for round_key in middle {
                let round_key = broadcast(round_key);
                for state in &mut states {
                    *state = round(*state, round_key);
                }
            }
            let last = broadcast(last);
            for state in &mut states {
                *state = last_round(*state, last);
            }
            states
        }

        /// Encrypts or decrypts whole vectors.
        #[inline]
        #[target_feature(enable = $features)]
        pub(crate) fn crypt<const N: usize>(
            key: &AesKey,
            counters: &mut Counters,
            group: &mut [[u8; LEN]; N],
        ) {
            let stream = stream::<N>(key, counters);
            for (block, stream) in group.iter_mut().zip(stream) {
                let text = load(block);
                store(block, xor(text, stream));
            }
        }

        /// Encrypts or decrypts what is left: `N` vectors, of which the last may be shorter.
        #[inline]
        #[target_feature(enable = $features)]
        fn finish<const N: usize>(
            key: &AesKey,
            mut counters: Counters,
            full: &mut [[u8; LEN]],
            rest: &mut [u8],
        ) {
            let stream = stream::<N>(key, &mut counters);
            for (block, stream) in full.iter_mut().zip(stream) {
                let text = load(block);
                store(block, xor(text, stream));
            }
            if let Some(stream) = stream.last() {
                let text = load_partial(rest);
                store_partial(rest, xor(text, *stream));
            }
        }

        #[inline(never)]
        #[target_feature(enable = $features)]
        pub(super) fn apply(key: &AesKey, nonce: &[u8; NONCE], text: &mut [u8]) {
            let mut counters = Counters::new(nonce, 1);
            let full = text.len().saturating_sub(1) / LEN;
            let (full, rest) = text.split_at_mut(full * LEN);
            let (full, _) = full.as_chunks_mut::<LEN>();
            let (groups, full) = full.as_chunks_mut::<GROUP>();
            for group in groups {
                crypt(key, &mut counters, group);
            }
            match full.len() {
                0 => finish::<1>(key, counters, full, rest),
                1 => finish::<2>(key, counters, full, rest),
                2 => finish::<3>(key, counters, full, rest),
                3 => finish::<4>(key, counters, full, rest),
                4 => finish::<5>(key, counters, full, rest),
                5 => finish::<6>(key, counters, full, rest),
                6 => finish::<7>(key, counters, full, rest),
                _ => finish::<8>(key, counters, full, rest),
            }
        }
    };
}

pub(super) mod narrow {
    use super::{AesKey, GROUP, NETWORK_ORDER, NONCE, counter_block};
    use crate::simd::vector::narrow::*;

    kernels!("avx,aes");
}

pub(super) mod wide {
    use super::{AesKey, GROUP, NETWORK_ORDER, NONCE, counter_block};
    use crate::simd::vector::wide::*;

    kernels!("avx2,aes,vaes");
}
