//! The same few operations on vectors of one block and of two, so that a kernel is written once for both.

use core::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_storeu_si128};

/// Octets of an AES block.
pub(crate) const BLOCK: usize = 16;

/// Reads a block.
#[inline]
#[target_feature(enable = "sse2")]
pub(crate) fn load(octets: &[u8; BLOCK]) -> __m128i {
    // SAFETY: there are 16 octets behind the reference, and this load wants no alignment.
    unsafe { _mm_loadu_si128(octets.as_ptr().cast()) }
}

/// Writes a block.
#[inline]
#[target_feature(enable = "sse2")]
pub(crate) fn store(octets: &mut [u8; BLOCK], value: __m128i) {
    // SAFETY: there are 16 octets behind the reference, and this store wants no alignment.
    unsafe { _mm_storeu_si128(octets.as_mut_ptr().cast(), value) }
}

/// The octets of a vector.
#[inline]
#[target_feature(enable = "sse2")]
pub(crate) fn octets(value: __m128i) -> [u8; BLOCK] {
    let mut octets = [0; BLOCK];
    store(&mut octets, value);
    octets
}

/// Up to 16 octets with zeros behind them.
#[inline]
#[target_feature(enable = "sse2")]
pub(crate) fn load_partial(octets: &[u8]) -> __m128i {
    match octets.first_chunk() {
        Some(whole) => load(whole),
        None => load(&partial(octets).to_le_bytes()),
    }
}

/// Fewer than 16 octets with zeros behind them, the first as the lowest.
#[inline]
pub(crate) fn partial(octets: &[u8]) -> u128 {
    // In pieces of a register: a copy through memory would have to wait until all of it is there.
    let (eight, rest) = octets.as_chunks::<8>();
    let (four, rest) = rest.as_chunks::<4>();
    let (two, one) = rest.as_chunks::<2>();
    let mut value = one.first().map_or(0, |&one| u128::from(one));
    if let Some(&two) = two.first() {
        value = (value << 16) | u128::from(u16::from_le_bytes(two));
    }
    if let Some(&four) = four.first() {
        value = (value << 32) | u128::from(u32::from_le_bytes(four));
    }
    if let Some(&eight) = eight.first() {
        value = (value << 64) | u128::from(u64::from_le_bytes(eight));
    }
    value
}

/// Writes as many of the 16 octets as there is room for.
#[inline]
#[target_feature(enable = "sse2")]
pub(crate) fn store_partial(octets: &mut [u8], value: __m128i) {
    if let Some(whole) = octets.first_chunk_mut() {
        return store(whole, value);
    }
    let mut left = u128::from_le_bytes(self::octets(value));
    let (eight, rest) = octets.as_chunks_mut::<8>();
    let (four, rest) = rest.as_chunks_mut::<4>();
    let (two, one) = rest.as_chunks_mut::<2>();
    if let (Some(eight), Some(&value)) = (eight.first_mut(), left.to_le_bytes().first_chunk()) {
        *eight = value;
        left >>= 64;
    }
    if let (Some(four), Some(&value)) = (four.first_mut(), left.to_le_bytes().first_chunk()) {
        *four = value;
        left >>= 32;
    }
    if let (Some(two), Some(&value)) = (two.first_mut(), left.to_le_bytes().first_chunk()) {
        *two = value;
        left >>= 16;
    }
    if let (Some(one), Some(&value)) = (one.first_mut(), left.to_le_bytes().first()) {
        *one = value;
    }
}

/// One block in a vector.
pub(crate) mod narrow {
    use core::arch::x86_64::{
        __m128i, _mm_add_epi32, _mm_aesenc_si128, _mm_aesenclast_si128, _mm_clmulepi64_si128, _mm_set_epi32,
        _mm_setzero_si128, _mm_shuffle_epi8, _mm_shuffle_epi32, _mm_xor_si128,
    };

    pub(crate) use super::{load, load_partial, store, store_partial};

    /// Blocks in a vector.
    pub(crate) const BLOCKS: usize = 1;
    /// Octets in a vector.
    pub(crate) const LEN: usize = 16;

    pub(crate) type Vector = __m128i;

    #[inline]
    #[target_feature(enable = "sse2")]
    pub(crate) fn zero() -> Vector {
        _mm_setzero_si128()
    }

    /// A block in every lane.
    #[inline]
    #[target_feature(enable = "sse2")]
    pub(crate) fn broadcast(block: &[u8; 16]) -> Vector {
        load(block)
    }

    /// A block in the first lane, zeros in the others.
    #[inline]
    #[target_feature(enable = "sse2")]
    pub(crate) fn widen(block: __m128i) -> Vector {
        block
    }

    /// The first lane.
    #[inline]
    #[target_feature(enable = "sse2")]
    pub(crate) fn first(value: Vector) -> __m128i {
        value
    }

    /// The exclusive or of all lanes.
    #[inline]
    #[target_feature(enable = "sse2")]
    pub(crate) fn fold(value: Vector) -> __m128i {
        value
    }

    /// What each lane's counter is ahead of the first lane's.
    #[inline]
    #[target_feature(enable = "sse2")]
    pub(crate) fn stagger() -> Vector {
        _mm_setzero_si128()
    }

    /// As many blocks in the last word of every lane as there are in a vector.
    #[inline]
    #[target_feature(enable = "sse2")]
    pub(crate) fn step() -> Vector {
        _mm_set_epi32(1, 0, 0, 0)
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    pub(crate) fn xor(a: Vector, b: Vector) -> Vector {
        _mm_xor_si128(a, b)
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    pub(crate) fn add(a: Vector, b: Vector) -> Vector {
        _mm_add_epi32(a, b)
    }

    #[inline]
    #[target_feature(enable = "ssse3")]
    pub(crate) fn shuffle(value: Vector, order: Vector) -> Vector {
        _mm_shuffle_epi8(value, order)
    }

    /// The halves of every lane exchanged.
    #[inline]
    #[target_feature(enable = "sse2")]
    pub(crate) fn exchange(value: Vector) -> Vector {
        _mm_shuffle_epi32::<0x4e>(value)
    }

    #[inline]
    #[target_feature(enable = "aes")]
    pub(crate) fn round(state: Vector, key: Vector) -> Vector {
        _mm_aesenc_si128(state, key)
    }

    #[inline]
    #[target_feature(enable = "aes")]
    pub(crate) fn last_round(state: Vector, key: Vector) -> Vector {
        _mm_aesenclast_si128(state, key)
    }

    /// The product of one half of each lane of `a` with one of `b`.
    #[inline]
    #[target_feature(enable = "pclmulqdq")]
    pub(crate) fn multiply<const HALVES: i32>(a: Vector, b: Vector) -> Vector {
        _mm_clmulepi64_si128::<HALVES>(a, b)
    }
}

/// Two blocks in a vector.
pub(crate) mod wide {
    use core::arch::x86_64::{
        __m128i, __m256i, _mm_setzero_si128, _mm_xor_si128, _mm256_add_epi32, _mm256_aesenc_epi128,
        _mm256_aesenclast_epi128, _mm256_broadcastsi128_si256, _mm256_castsi256_si128,
        _mm256_clmulepi64_epi128, _mm256_extracti128_si256, _mm256_loadu_si256, _mm256_set_epi32,
        _mm256_set_m128i, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_shuffle_epi32,
        _mm256_storeu_si256, _mm256_xor_si256, _mm256_zextsi128_si256,
    };

    /// Blocks in a vector.
    pub(crate) const BLOCKS: usize = 2;
    /// Octets in a vector.
    pub(crate) const LEN: usize = 32;

    pub(crate) type Vector = __m256i;

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn load(octets: &[u8; LEN]) -> Vector {
        // SAFETY: there are 32 octets behind the reference, and this load wants no alignment.
        unsafe { _mm256_loadu_si256(octets.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn store(octets: &mut [u8; LEN], value: Vector) {
        // SAFETY: there are 32 octets behind the reference, and this store wants no alignment.
        unsafe { _mm256_storeu_si256(octets.as_mut_ptr().cast(), value) }
    }

    /// Up to 32 octets with zeros behind them.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn load_partial(octets: &[u8]) -> Vector {
        match octets.split_first_chunk::<16>() {
            Some((first, rest)) => _mm256_set_m128i(super::load_partial(rest), super::load(first)),
            None => _mm256_set_m128i(_mm_setzero_si128(), super::load_partial(octets)),
        }
    }

    /// Writes as many of the 32 octets as there is room for.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn store_partial(octets: &mut [u8], value: Vector) {
        match octets.split_first_chunk_mut::<16>() {
            Some((chunk, rest)) => {
                super::store(chunk, first(value));
                super::store_partial(rest, _mm256_extracti128_si256::<1>(value));
            }
            None => super::store_partial(octets, first(value)),
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn zero() -> Vector {
        _mm256_setzero_si256()
    }

    /// A block in every lane.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn broadcast(block: &[u8; 16]) -> Vector {
        _mm256_broadcastsi128_si256(super::load(block))
    }

    /// A block in the first lane, zeros in the others.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn widen(block: __m128i) -> Vector {
        _mm256_zextsi128_si256(block)
    }

    /// The first lane.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn first(value: Vector) -> __m128i {
        _mm256_castsi256_si128(value)
    }

    /// The exclusive or of all lanes.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn fold(value: Vector) -> __m128i {
        _mm_xor_si128(first(value), _mm256_extracti128_si256::<1>(value))
    }

    /// What each lane's counter is ahead of the first lane's.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn stagger() -> Vector {
        _mm256_set_epi32(1, 0, 0, 0, 0, 0, 0, 0)
    }

    /// As many blocks in the last word of every lane as there are in a vector.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn step() -> Vector {
        _mm256_set_epi32(2, 0, 0, 0, 2, 0, 0, 0)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn xor(a: Vector, b: Vector) -> Vector {
        _mm256_xor_si256(a, b)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn add(a: Vector, b: Vector) -> Vector {
        _mm256_add_epi32(a, b)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn shuffle(value: Vector, order: Vector) -> Vector {
        _mm256_shuffle_epi8(value, order)
    }

    /// The halves of every lane exchanged.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn exchange(value: Vector) -> Vector {
        _mm256_shuffle_epi32::<0x4e>(value)
    }

    #[inline]
    #[target_feature(enable = "avx2,vaes")]
    pub(crate) fn round(state: Vector, key: Vector) -> Vector {
        _mm256_aesenc_epi128(state, key)
    }

    #[inline]
    #[target_feature(enable = "avx2,vaes")]
    pub(crate) fn last_round(state: Vector, key: Vector) -> Vector {
        _mm256_aesenclast_epi128(state, key)
    }

    /// The product of one half of each lane of `a` with one of `b`.
    #[inline]
    #[target_feature(enable = "avx2,vpclmulqdq")]
    pub(crate) fn multiply<const HALVES: i32>(a: Vector, b: Vector) -> Vector {
        _mm256_clmulepi64_epi128::<HALVES>(a, b)
    }
}
