//! Loads without a pointer. The compiler makes one instruction of each.

use core::arch::x86_64::{__m128i, _mm_set_epi64x};

/// 16 octets of a block, from octet `16 * at` on.
#[inline]
#[target_feature(enable = "sse2")]
pub(super) fn load<const LEN: usize>(block: &[u8; LEN], at: usize) -> __m128i {
    let (chunks, _) = block.as_chunks::<16>();
    let (low, high) = halves(u128::from_le_bytes(chunks[at]));
    _mm_set_epi64x(high, low)
}

#[expect(clippy::cast_possible_truncation, reason = "a half each")]
const fn halves(whole: u128) -> (i64, i64) {
    ((whole as u64).cast_signed(), ((whole >> 64) as u64).cast_signed())
}
