//! The hash of GCM (SP 800-38D 6.4): polynomials over GF(2^128).
//!
//! Octets are reversed on loading, so that an element's bits stand in one register from the highest coefficient
//! to the lowest. A product of two such elements comes out one bit too low, which the key makes good: it is
//! stored multiplied by x. The reduction divides by x^128 in two steps, as Montgomery's does.

use core::arch::x86_64::{
    __m128i, _mm_clmulepi64_si128, _mm_set_epi8, _mm_set_epi64x, _mm_shuffle_epi8, _mm_shuffle_epi32,
    _mm_xor_si128,
};

use zeroize::Zeroize;

use super::vector::{BLOCK, load, octets};

/// The highest power of the key that is kept: of 16 blocks of text with one block before and one behind them.
pub(crate) const MAX_POWER: usize = 18;

/// x^128 = x^127 + x^126 + x^121 + 1 with the bits reversed, less x^128.
const POLYNOMIAL: u128 = 0xc200_0000_0000_0000_0000_0000_0000_0001;

type Table = [[u8; BLOCK]; MAX_POWER + 1];

/// The powers of a hash key.
#[repr(align(32))]
pub(crate) struct HashKey {
    /// The highest first, a zero behind the lowest.
    powers: Table,
    /// The sum of both halves of each, for Karatsuba's multiplication.
    halves: Table,
}

impl HashKey {
    /// The powers of `key`, which is the cipher's encryption of a zero block.
    #[inline(never)]
    #[target_feature(enable = "avx,pclmulqdq")]
    pub(super) fn new(key: &[u8; BLOCK]) -> Self {
        let value = u128::from_be_bytes(*key);
        let doubled = (value << 1) ^ ((value >> 127).wrapping_neg() & POLYNOMIAL);
        let first = load(&doubled.to_le_bytes());
        let mut this = Self { powers: [[0; BLOCK]; MAX_POWER + 1], halves: [[0; BLOCK]; MAX_POWER + 1] };
        let mut power = first;
        let slots = this.powers.iter_mut().zip(&mut this.halves).rev().skip(1);
        for (slot, half) in slots {
            *slot = octets(power);
            *half = octets(_mm_xor_si128(power, swap_halves(power)));
            power = multiply(power, first);
        }
        this
    }

    /// The powers from `power` down, in octets, and their halves' sums.
    #[inline]
    pub(super) fn from(&self, power: usize) -> (&[u8], &[u8]) {
        let skipped = MAX_POWER.saturating_sub(power).min(MAX_POWER);
        let (_, powers) = self.powers.split_at(skipped);
        let (_, halves) = self.halves.split_at(skipped);
        (powers.as_flattened(), halves.as_flattened())
    }
}

impl Drop for HashKey {
    fn drop(&mut self) {
        self.powers.zeroize();
        self.halves.zeroize();
    }
}

/// The order of octets that reverses a block.
#[inline]
#[target_feature(enable = "avx")]
pub(crate) fn reversed() -> __m128i {
    _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
}

/// A block as an element and back.
#[inline]
#[target_feature(enable = "avx")]
pub(crate) fn reverse(block: __m128i) -> __m128i {
    _mm_shuffle_epi8(block, reversed())
}

/// Divides `low + middle x^64 + high x^128` by x^128.
#[inline]
#[target_feature(enable = "avx,pclmulqdq")]
pub(crate) fn reduce(low: __m128i, middle: __m128i, high: __m128i) -> __m128i {
    let polynomial = _mm_set_epi64x(0, 0xc200_0000_0000_0000_u64.cast_signed());
    let fold = |value, above| {
        let product = _mm_clmulepi64_si128::<0x00>(value, polynomial);
        _mm_xor_si128(_mm_xor_si128(above, swap_halves(value)), product)
    };
    fold(fold(low, middle), high)
}

/// The product of two elements, one of them multiplied by x.
#[inline]
#[target_feature(enable = "avx,pclmulqdq")]
fn multiply(a: __m128i, b: __m128i) -> __m128i {
    let low = _mm_clmulepi64_si128::<0x00>(a, b);
    let middle = _mm_xor_si128(_mm_clmulepi64_si128::<0x01>(a, b), _mm_clmulepi64_si128::<0x10>(a, b));
    let high = _mm_clmulepi64_si128::<0x11>(a, b);
    reduce(low, middle, high)
}

#[inline]
#[target_feature(enable = "avx")]
fn swap_halves(value: __m128i) -> __m128i {
    _mm_shuffle_epi32::<0x4e>(value)
}
