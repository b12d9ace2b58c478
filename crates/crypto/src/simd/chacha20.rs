//! ChaCha20 (RFC 8439 2.4) on several blocks at a time: a vector holds a row of the state of two blocks.
//!
//! Six blocks fill the registers without overflowing, and give the processor enough to do that does not wait for
//! its own results. A single block would take as long, so there is no kernel for fewer.

use core::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_or_si256, _mm256_permute2x128_si256, _mm256_setr_epi32,
    _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_shuffle_epi32, _mm256_slli_epi32, _mm256_srli_epi32,
    _mm256_xor_si256,
};
use core::hint;

use super::poly1305::{self, Poly1305};
use super::vector::wide::{broadcast, store};

/// Octets of a block.
pub(crate) const BLOCK: usize = 64;
/// Vectors for each row.
const SETS: usize = 3;
/// Blocks that are made at a time.
pub(crate) const BLOCKS: u32 = 6;
/// Octets of key stream that are made at a time.
pub(crate) const GROUP: usize = 2 * SETS * BLOCK;

/// Double rounds of a block.
const DOUBLE_ROUNDS: usize = 10;

/// Blocks of the MAC in each double round: those that belong to a group of key stream, and some more.
const MAC_BLOCKS: usize = (GROUP / poly1305::BLOCK).div_ceil(DOUBLE_ROUNDS);

/// Octets of the MAC in each double round.
const MAC_STEP: usize = MAC_BLOCKS * poly1305::BLOCK;

/// Octets that the MAC can take while a group of key stream is made.
pub(crate) const MAC_GROUP: usize = DOUBLE_ROUNDS * MAC_STEP;

/// A key in two rows.
pub(crate) type Key = [[u8; 16]; 2];

/// Rotations by 16 and by 8 as orders of octets. The compiler must not see them: it makes two instructions of
/// one, and moves them to where they are in the way.
static ROTATIONS: [[u8; 16]; 2] = [
    [2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13],
    [3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14],
];

/// One row of the states.
type Row = [__m256i; SETS];

/// Combines a row with another, set by set.
macro_rules! each {
    ($row:ident, $step:ident, $other:ident) => {
        for (set, other) in $row.iter_mut().zip($other.iter()) {
            *set = $step(*set, *other);
        }
    };
}

/// Rotates the words of a row.
macro_rules! rotate {
    ($row:ident, $left:literal) => {
        for set in $row.iter_mut() {
            let (left, right) = (_mm256_slli_epi32::<$left>(*set), _mm256_srli_epi32::<{ 32 - $left }>(*set));
            *set = _mm256_or_si256(left, right);
        }
    };
    ($row:ident by $order:ident) => {
        for set in $row.iter_mut() {
            *set = _mm256_shuffle_epi8(*set, $order);
        }
    };
}

/// Writes the blocks of key stream from `counter` on. Meanwhile, the integer unit adds `hashed` to `mac`.
#[inline(never)]
#[target_feature(enable = "avx2")]
pub(crate) fn key_stream(
    (key, nonce, counter): (&Key, &[u8; 12], u32),
    stream: &mut [u8; GROUP],
    (mac, hashed): (&mut Poly1305, &[u8]),
) {
    let (interleaved, rest) = hashed.split_at(MAC_GROUP.min(hashed.len() - hashed.len() % MAC_STEP));
    let (blocks, _) = interleaved.as_chunks::<{ poly1305::BLOCK }>();
    let (blocks, _) = blocks.as_chunks::<MAC_BLOCKS>();
    let mut blocks = blocks.iter();
    let mut sum = *mac;
    let mut last = [0; 16];
    let (front, back) = last.split_at_mut(4);
    front.copy_from_slice(&counter.to_le_bytes());
    back.copy_from_slice(nonce);
    let mut counters = _mm256_add_epi32(broadcast(&last), _mm256_setr_epi32(0, 0, 0, 0, 1, 0, 0, 0));
    let mut start_d: Row = [_mm256_setzero_si256(); SETS];
    for set in &mut start_d {
        *set = counters;
        counters = _mm256_add_epi32(counters, _mm256_setr_epi32(2, 0, 0, 0, 2, 0, 0, 0));
    }
    let (start_a, start_b, start_c) =
        (broadcast(b"expand 32-byte k"), broadcast(&key[0]), broadcast(&key[1]));

    let [by_16, by_8] = hint::black_box(&ROTATIONS);
    let rotations = [broadcast(by_16), broadcast(by_8)];
    let mut a: Row = [start_a; SETS];
    let mut b: Row = [start_b; SETS];
    let mut c: Row = [start_c; SETS];
    let mut d: Row = start_d;
    for _ in 0..DOUBLE_ROUNDS {
        quarter_rounds([&mut a, &mut b, &mut c, &mut d], rotations);
        // From columns to diagonals.
        for ((a, c), d) in a.iter_mut().zip(&mut c).zip(&mut d) {
            *a = _mm256_shuffle_epi32::<0b10_01_00_11>(*a);
            *d = _mm256_shuffle_epi32::<0b01_00_11_10>(*d);
            *c = _mm256_shuffle_epi32::<0b00_11_10_01>(*c);
        }
        quarter_rounds([&mut a, &mut b, &mut c, &mut d], rotations);
        for ((a, c), d) in a.iter_mut().zip(&mut c).zip(&mut d) {
            *a = _mm256_shuffle_epi32::<0b00_11_10_01>(*a);
            *d = _mm256_shuffle_epi32::<0b01_00_11_10>(*d);
            *c = _mm256_shuffle_epi32::<0b10_01_00_11>(*c);
        }
        if let Some(blocks) = blocks.next() {
            for block in blocks {
                sum.block(block);
            }
        }
    }
    if !rest.is_empty() {
        sum.padded(rest);
    }
    *mac = sum;

    let (halves, _) = stream.as_chunks_mut::<32>();
    let (pairs, _) = halves.as_chunks_mut::<4>();
    for (at, pair) in pairs.iter_mut().enumerate() {
        let a = _mm256_add_epi32(a[at], start_a);
        let b = _mm256_add_epi32(b[at], start_b);
        let c = _mm256_add_epi32(c[at], start_c);
        let d = _mm256_add_epi32(d[at], start_d[at]);
        store(&mut pair[0], _mm256_permute2x128_si256::<0x20>(a, b));
        store(&mut pair[1], _mm256_permute2x128_si256::<0x20>(c, d));
        store(&mut pair[2], _mm256_permute2x128_si256::<0x31>(a, b));
        store(&mut pair[3], _mm256_permute2x128_si256::<0x31>(c, d));
    }
}

/// A quarter round on every column (RFC 8439 2.1).
#[inline]
#[target_feature(enable = "avx2")]
fn quarter_rounds([a, b, c, d]: [&mut Row; 4], [by_16, by_8]: [__m256i; 2]) {
    each!(a, _mm256_add_epi32, b);
    each!(d, _mm256_xor_si256, a);
    rotate!(d by by_16);
    each!(c, _mm256_add_epi32, d);
    each!(b, _mm256_xor_si256, c);
    rotate!(b, 12);
    each!(a, _mm256_add_epi32, b);
    each!(d, _mm256_xor_si256, a);
    rotate!(d by by_8);
    each!(c, _mm256_add_epi32, d);
    each!(b, _mm256_xor_si256, c);
    rotate!(b, 7);
}
