//! AES-GCM (SP 800-38D) with a nonce of 96 bits, on vectors of one block and of two.
//!
//! Text goes through in groups of eight vectors: while one group's counters are encrypted, another group is
//! hashed between the rounds, with one reduction for all of it. Sealing hashes the group before, whose
//! ciphertext is known by then; opening hashes the group itself before it is overwritten. What is left, at most
//! a group, is encrypted, hashed together with the length block and reduced once; a short packet is nothing
//! but that.

use core::arch::x86_64::{__m128i, _mm_setzero_si128, _mm_xor_si128};
use core::hint;

use zeroize::Zeroize;

use super::ctr::{GROUP, NONCE};
use super::ghash::{self, HashKey, reduce, reverse};
use super::vector::{self, BLOCK};
use super::{AesKey, Tier};

/// The longest text under one nonce (SP 800-38D 5.2.1.1).
const MAX_TEXT: u64 = (1 << 36) - 32;

/// An expanded key with the hash's powers.
pub(crate) struct GcmKey {
    tier: Tier,
    aes: AesKey,
    hash: HashKey,
}

impl GcmKey {
    /// Expands a key of 16, 24 or 32 octets; `None` for any other length.
    pub(crate) fn new(tier: Tier, key: &[u8]) -> Option<Self> {
        let aes = AesKey::new(tier, key)?;
        // SAFETY: a tier is only made on a processor with AES, AVX and carry-less multiplication.
        let hash = unsafe {
            let mut key = narrow::zero_block(&aes);
            let hash = HashKey::new(&key);
            key.zeroize();
            hash
        };
        Some(Self { tier, aes, hash })
    }

    /// Encrypts `text` in place and returns the tag; `None` if it is longer than a nonce may be used for.
    pub(crate) fn seal(
        &self,
        nonce: &[u8; NONCE],
        associated: &[u8],
        text: &mut [u8],
    ) -> Option<[u8; BLOCK]> {
        fits(text).then(|| {
            // SAFETY: a tier is only made on a processor with AES, AVX2 and carry-less multiplication, and it is
            // wide only if they work on 256 bits.
            unsafe {
                if self.tier.is_wide() {
                    wide::seal(self, nonce, associated, text)
                } else {
                    narrow::seal(self, nonce, associated, text)
                }
            }
        })
    }

    /// Decrypts `text` in place and returns the tag that it should have; `None` if it is longer than a nonce may be
    /// used for. If the text has another tag, the caller must wipe it.
    pub(crate) fn open(
        &self,
        nonce: &[u8; NONCE],
        associated: &[u8],
        text: &mut [u8],
    ) -> Option<[u8; BLOCK]> {
        fits(text).then(|| {
            // SAFETY: as above.
            unsafe {
                if self.tier.is_wide() {
                    wide::open(self, nonce, associated, text)
                } else {
                    narrow::open(self, nonce, associated, text)
                }
            }
        })
    }

    /// The tag over `front` and `rest` one after the other, without any text: GMAC.
    pub(crate) fn authenticate(&self, nonce: &[u8; NONCE], front: &[u8], rest: &[u8]) -> [u8; BLOCK] {
        // SAFETY: as above.
        unsafe {
            if self.tier.is_wide() {
                wide::authenticate(self, nonce, front, rest)
            } else {
                narrow::authenticate(self, nonce, front, rest)
            }
        }
    }
}

fn fits(text: &[u8]) -> bool {
    u64::try_from(text.len()).is_ok_and(|len| len <= MAX_TEXT)
}

/// The length block (SP 800-38D 7.1 step 5) as an element.
#[inline]
#[target_feature(enable = "sse2")]
fn lengths(associated: usize, text: usize) -> __m128i {
    let bits = |octets: usize| u128::try_from(octets).unwrap_or_default() << 3;
    vector::load(&((bits(associated) << 64) | bits(text)).to_le_bytes())
}

/// The kernels over one width of vectors.
macro_rules! kernels {
    ($features:literal) => {
        /// A sum of products that waits for its reduction.
        struct Sum {
            low: Vector,
            middle: Vector,
            high: Vector,
        }

        impl Sum {
            #[inline]
            #[target_feature(enable = $features)]
            fn new() -> Self {
                Self { low: zero(), middle: zero(), high: zero() }
            }

            /// Adds the products of elements with powers of the key.
            #[inline]
            #[target_feature(enable = $features)]
            fn add(&mut self, elements: Vector, powers: &[u8; LEN], halves: &[u8; LEN]) {
                let (powers, halves) = (load(powers), load(halves));
                let folded = xor(elements, exchange(elements));
                self.low = xor(self.low, multiply::<0x00>(elements, powers));
                self.high = xor(self.high, multiply::<0x11>(elements, powers));
                self.middle = xor(self.middle, multiply::<0x00>(folded, halves));
            }

            /// Adds the product of one element with one power of the key.
            #[inline]
            #[target_feature(enable = $features)]
            fn add_one(&mut self, element: __m128i, hash: &HashKey, power: usize) {
                let (powers, halves) = hash.from(power);
                if let (Some(powers), Some(halves)) = (powers.first_chunk(), halves.first_chunk()) {
                    self.add(widen(element), powers, halves);
                }
            }

            #[inline]
            #[target_feature(enable = $features)]
            fn reduce(self) -> __m128i {
                let (low, high) = (fold(self.low), fold(self.high));
                let middle = _mm_xor_si128(fold(self.middle), _mm_xor_si128(low, high));
                reduce(low, middle, high)
            }
        }

        /// Encrypts or decrypts `group` and hashes `other`, or `group` as it was before.
        #[inline]
        #[target_feature(enable = $features)]
        fn crypt_and_hash(
            key: &GcmKey,
            counters: &mut Counters,
            group: &mut [[u8; LEN]; GROUP],
            other: Option<&[[u8; LEN]; GROUP]>,
            carry: __m128i,
        ) -> __m128i {
            let (first, middle, last) = key.aes.encryption_rounds();
            let first = broadcast(first);
            let mut states = counters.next_group::<GROUP>(first);
            // The compiler must not know the number: it would unroll the loop, and then move all of the hashing
            // behind all of the encryption.
            let (interleaved, remaining) = middle.split_at(hint::black_box(GROUP));
            let order = broadcast(&vector::octets(ghash::reversed()));
            let (powers, halves) = key.hash.from(GROUP * BLOCKS);
            let (powers, _) = powers.as_chunks();
            let (halves, _) = halves.as_chunks();
            let hashed = other.unwrap_or(group);
            let mut carry = widen(carry);
            let mut sum = Sum::new();
            for (((round_key, block), power), half) in interleaved.iter().zip(hashed).zip(powers).zip(halves)
            {
                let round_key = broadcast(round_key);
                for state in &mut states {
                    *state = round(*state, round_key);
                }
                sum.add(xor(shuffle(load(block), order), carry), power, half);
                carry = zero();
            }
            for round_key in remaining {
                let round_key = broadcast(round_key);
                for state in &mut states {
                    *state = round(*state, round_key);
                }
            }
            let last = broadcast(last);
            for (block, state) in group.iter_mut().zip(states) {
                let text = load(block);
                store(block, xor(text, last_round(state, last)));
            }
            sum.reduce()
        }

        /// Hashes `group`.
        #[inline]
        #[target_feature(enable = $features)]
        fn hash_group(key: &HashKey, group: &[[u8; LEN]; GROUP], carry: __m128i) -> __m128i {
            let order = broadcast(&vector::octets(ghash::reversed()));
            let (powers, halves) = key.from(GROUP * BLOCKS);
            let (powers, _) = powers.as_chunks();
            let (halves, _) = halves.as_chunks();
            let mut carry = widen(carry);
            let mut sum = Sum::new();
            for ((block, power), half) in group.iter().zip(powers).zip(halves) {
                sum.add(xor(shuffle(load(block), order), carry), power, half);
                carry = zero();
            }
            sum.reduce()
        }

        /// Hashes octets of any number, the last block filled up with zeros.
        #[inline(never)]
        #[target_feature(enable = $features)]
        fn hash_all(key: &HashKey, octets: &[u8], carry: __m128i) -> __m128i {
            let (vectors, rest) = octets.as_chunks::<LEN>();
            let (groups, vectors) = vectors.as_chunks::<GROUP>();
            let mut carry = carry;
            for group in groups {
                carry = hash_group(key, group, carry);
            }
            let blocks = vectors.len() * BLOCKS + rest.len().div_ceil(BLOCK);
            if blocks == 0 {
                return carry;
            }
            let order = broadcast(&vector::octets(ghash::reversed()));
            let (powers, halves) = key.from(blocks);
            let (powers, _) = powers.as_chunks();
            let (halves, _) = halves.as_chunks();
            let mut powers = powers.iter().zip(halves);
            let mut carry = widen(carry);
            let mut sum = Sum::new();
            for (block, (power, half)) in vectors.iter().zip(&mut powers) {
                sum.add(xor(shuffle(load(block), order), carry), power, half);
                carry = zero();
            }
            if let (false, Some((power, half))) = (rest.is_empty(), powers.next()) {
                sum.add(xor(shuffle(load_partial(rest), order), carry), power, half);
            }
            sum.reduce()
        }

        /// What is hashed when the rest of the text comes.
        struct Before {
            /// What was hashed.
            carry: __m128i,
            /// 1 if the carry still is to be multiplied with the key, or else 0.
            pending: usize,
            /// The length block.
            lengths: __m128i,
        }

        /// Encrypts or decrypts the rest of the text, `FULL` vectors and one that may be shorter, and returns
        /// the tag.
        #[inline]
        #[target_feature(enable = $features)]
        fn finish<const FULL: usize, const SEAL: bool>(
            key: &GcmKey,
            nonce: &[u8; NONCE],
            mut counters: Counters,
            full: &mut [[u8; LEN]],
            rest: &mut [u8],
            before: Before,
        ) -> [u8; BLOCK] {
            let (first_key, middle, last_key) = key.aes.encryption_rounds();
            let first_key = broadcast(first_key);
            let mut states = counters.next_group::<FULL>(first_key);
            let mut rest_state = counters.next(first_key);
            // The block before the text's masks the tag.
            let mut mask = Counters::new(nonce, 1).next(first_key);
            for round_key in middle {
                let round_key = broadcast(round_key);
                for state in &mut states {
                    *state = round(*state, round_key);
                }
                rest_state = round(rest_state, round_key);
                mask = round(mask, round_key);
            }
            let last_key = broadcast(last_key);
            let rest_state = last_round(rest_state, last_key);
            let mask = last_round(mask, last_key);

            let blocks = FULL * BLOCKS + rest.len().div_ceil(BLOCK);
            let order = broadcast(&vector::octets(ghash::reversed()));
            let mut sum = Sum::new();
            sum.add_one(before.carry, &key.hash, blocks + 1 + before.pending);
            sum.add_one(before.lengths, &key.hash, 1);
            let (powers, halves) = key.hash.from(blocks + 1);
            let (powers, _) = powers.as_chunks();
            let (halves, _) = halves.as_chunks();
            let mut powers = powers.iter().zip(halves);
            if let Some(full) = full.first_chunk_mut::<FULL>() {
                for ((block, state), (power, half)) in full.iter_mut().zip(states).zip(&mut powers) {
                    let before = load(block);
                    let after = xor(before, last_round(state, last_key));
                    store(block, after);
                    let ciphertext = if SEAL { after } else { before };
                    sum.add(shuffle(ciphertext, order), power, half);
                }
            }
            if let Some((power, half)) = powers.next() {
                let before = load_partial(rest);
                store_partial(rest, xor(before, rest_state));
                let ciphertext = if SEAL { load_partial(rest) } else { before };
                sum.add(shuffle(ciphertext, order), power, half);
            }
            vector::octets(_mm_xor_si128(reverse(sum.reduce()), first(mask)))
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn run<const SEAL: bool>(
            key: &GcmKey,
            nonce: &[u8; NONCE],
            associated: &[u8],
            text: &mut [u8],
        ) -> [u8; BLOCK] {
            let mut counters = Counters::new(nonce, 2);
            let lengths = lengths(associated.len(), text.len());
            // The last vector, full or not, goes with what is left of the last group.
            let full = text.len().saturating_sub(1) / LEN;
            let (full, rest) = text.split_at_mut(full * LEN);
            let (full, _) = full.as_chunks_mut::<LEN>();
            let (groups, full) = full.as_chunks_mut::<GROUP>();

            // RFC 4106 5: ESP has 8 or 12 octets, which is a block that can be multiplied with the others.
            let (mut carry, mut pending) = if associated.len() <= BLOCK {
                (reverse(vector::load_partial(associated)), 1)
            } else {
                (hash_all(&key.hash, associated, _mm_setzero_si128()), 0)
            };
            if !groups.is_empty() && pending == 1 {
                let mut sum = Sum::new();
                sum.add_one(carry, &key.hash, 1);
                carry = sum.reduce();
                pending = 0;
            }
            if SEAL {
                let mut sealed: Option<&[[u8; LEN]; GROUP]> = None;
                for group in groups {
                    match sealed {
                        None => crypt::<GROUP>(&key.aes, &mut counters, group),
                        before => carry = crypt_and_hash(key, &mut counters, group, before, carry),
                    }
                    sealed = Some(group);
                }
                if let Some(sealed) = sealed {
                    carry = hash_group(&key.hash, sealed, carry);
                }
            } else {
                for group in groups {
                    carry = crypt_and_hash(key, &mut counters, group, None, carry);
                }
            }
            let before = Before { carry, pending, lengths };
            match full.len() {
                0 => finish::<0, SEAL>(key, nonce, counters, full, rest, before),
                1 => finish::<1, SEAL>(key, nonce, counters, full, rest, before),
                2 => finish::<2, SEAL>(key, nonce, counters, full, rest, before),
                3 => finish::<3, SEAL>(key, nonce, counters, full, rest, before),
                4 => finish::<4, SEAL>(key, nonce, counters, full, rest, before),
                5 => finish::<5, SEAL>(key, nonce, counters, full, rest, before),
                6 => finish::<6, SEAL>(key, nonce, counters, full, rest, before),
                _ => finish::<7, SEAL>(key, nonce, counters, full, rest, before),
            }
        }

        #[inline(never)]
        #[target_feature(enable = $features)]
        pub(super) fn seal(
            key: &GcmKey,
            nonce: &[u8; NONCE],
            associated: &[u8],
            text: &mut [u8],
        ) -> [u8; BLOCK] {
            run::<true>(key, nonce, associated, text)
        }

        #[inline(never)]
        #[target_feature(enable = $features)]
        pub(super) fn open(
            key: &GcmKey,
            nonce: &[u8; NONCE],
            associated: &[u8],
            text: &mut [u8],
        ) -> [u8; BLOCK] {
            run::<false>(key, nonce, associated, text)
        }

        #[inline(never)]
        #[target_feature(enable = $features)]
        pub(super) fn authenticate(
            key: &GcmKey,
            nonce: &[u8; NONCE],
            front: &[u8],
            rest: &[u8],
        ) -> [u8; BLOCK] {
            let lengths = lengths(front.len() + rest.len(), 0);
            let mut carry = _mm_setzero_si128();
            let mut rest = rest;
            if !front.is_empty() {
                let (whole, odd) = front.as_chunks::<BLOCK>();
                carry = hash_all(&key.hash, whole.as_flattened(), carry);
                // A block of what is left of the front and the beginning of the rest.
                let mut joined = [0; BLOCK];
                let (taken, left) = rest.split_at(rest.len().min(odd.len().wrapping_neg() % BLOCK));
                for (slot, &octet) in joined.iter_mut().zip(odd.iter().chain(taken)) {
                    *slot = octet;
                }
                let (joined, _) = joined.split_at((odd.len() + taken.len()).next_multiple_of(BLOCK));
                carry = hash_all(&key.hash, joined, carry);
                rest = left;
            }
            let carry = hash_all(&key.hash, rest, carry);
            let before = Before { carry, pending: 0, lengths };
            finish::<0, true>(key, nonce, Counters::new(nonce, 2), &mut [], &mut [], before)
        }
    };
}

mod narrow {
    use super::*;
    use crate::simd::ctr::narrow::{Counters, crypt};
    use crate::simd::vector::narrow::*;

    kernels!("avx,aes,pclmulqdq");

    /// The cipher's encryption of zero.
    #[inline(never)]
    #[target_feature(enable = "avx,aes,pclmulqdq")]
    pub(super) fn zero_block(key: &AesKey) -> [u8; BLOCK] {
        let (first, middle, last) = key.encryption_rounds();
        let mut state = load(first);
        for round_key in middle {
            state = round(state, load(round_key));
        }
        vector::octets(last_round(state, load(last)))
    }
}

mod wide {
    use super::*;
    use crate::simd::ctr::wide::{Counters, crypt};
    use crate::simd::vector::wide::*;

    kernels!("avx2,aes,vaes,pclmulqdq,vpclmulqdq");
}
