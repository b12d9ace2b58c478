//! Poly1305 (RFC 8439 2.5) on four blocks at a time, in limbs of 26 bits.
//!
//! Horner's rule by the fourth power of r in each of four lanes; at the end each lane is multiplied with what it
//! lacks, and they are added up. How many blocks there will be is known before the first, so blocks of nothing
//! are put in front to make the number a multiple of four.

use core::arch::x86_64::{
    __m256i, _mm256_add_epi64, _mm256_and_si256, _mm256_mul_epu32, _mm256_or_si256, _mm256_set1_epi64x,
    _mm256_setr_epi64x, _mm256_setzero_si256, _mm256_slli_epi64, _mm256_srli_epi64, _mm256_unpackhi_epi64,
    _mm256_unpacklo_epi64,
};

use super::vector::wide::{load, store};

/// Octets of a block, and of a tag.
pub(crate) const BLOCK: usize = 16;
/// Blocks that are worked on together.
const LANES: usize = 4;
const GROUP: usize = LANES * BLOCK;

const LIMB: u64 = (1 << 26) - 1;

/// A number modulo 2^130 - 5, the lowest limb first.
type Limbs = [u64; 5];

/// Five limbs of four numbers.
type Lanes = [__m256i; 5];

/// The tag under a one-time key over parts that are each filled up with zeros to whole blocks.
#[inline(never)]
#[target_feature(enable = "avx2")]
pub(crate) fn tag(key: &[u8; 32], parts: [&[u8]; 3]) -> [u8; BLOCK] {
    let (r, pad) = split_key(key);
    let r2 = multiply(&r, &r);
    let (r3, r4) = (multiply(&r2, &r), multiply(&r2, &r2));
    let step = Factor::new(core::array::from_fn(|at| _mm256_set1_epi64x(r4[at].cast_signed())));

    let blocks = parts.iter().map(|part| part.len().div_ceil(BLOCK)).sum::<usize>();
    let nothing = blocks.wrapping_neg() % LANES;
    let mut buffer = [0; GROUP];
    let mut filled = nothing * BLOCK;
    // 2^128 above every block but those of nothing.
    let marker = |at| if at < nothing { 0 } else { 1 << 24 };
    let mut markers = _mm256_setr_epi64x(marker(0), marker(2), marker(1), marker(3));
    let mut sum = [_mm256_setzero_si256(); 5];
    let mut absorb = |group: &[u8; GROUP]| {
        sum = step.multiply(&sum);
        add_group(&mut sum, group, markers);
        markers = _mm256_set1_epi64x(1 << 24);
    };
    for part in parts {
        let mut part = part;
        if filled > 0 {
            let (head, rest) = part.split_at(part.len().min(GROUP - filled));
            buffer[filled..filled + head.len()].copy_from_slice(head);
            filled = (filled + head.len()).next_multiple_of(BLOCK);
            part = rest;
            if filled == GROUP {
                absorb(&buffer);
                buffer = [0; GROUP];
                filled = 0;
            }
        }
        let (groups, rest) = part.as_chunks::<GROUP>();
        for group in groups {
            absorb(group);
        }
        if !rest.is_empty() {
            buffer[..rest.len()].copy_from_slice(rest);
            filled = rest.len().next_multiple_of(BLOCK);
            if filled == GROUP {
                absorb(&buffer);
                buffer = [0; GROUP];
                filled = 0;
            }
        }
    }

    // In the order of the lanes.
    let last = Factor::new(core::array::from_fn(|at| {
        let [a, b, c, d] = [r4[at], r2[at], r3[at], r[at]].map(u64::cast_signed);
        _mm256_setr_epi64x(a, b, c, d)
    }));
    finish(add_lanes(last.multiply(&sum)), pad)
}

/// A factor in every lane with its multiples by 5, which is what 2^130 is.
struct Factor {
    limbs: Lanes,
    fives: Lanes,
}

impl Factor {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new(limbs: Lanes) -> Self {
        let fives = limbs.map(|limb| _mm256_add_epi64(limb, _mm256_slli_epi64::<2>(limb)));
        Self { limbs, fives }
    }

    /// Multiplies in every lane and carries. Limbs of up to 28 bits come out with 26 bits and a little more.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn multiply(&self, h: &Lanes) -> Lanes {
        let [r0, r1, r2, r3, r4] = self.limbs;
        let [_, s1, s2, s3, s4] = self.fives;
        let products = |factors: Lanes| {
            let mut sum = _mm256_mul_epu32(h[0], factors[0]);
            sum = _mm256_add_epi64(sum, _mm256_mul_epu32(h[1], factors[1]));
            sum = _mm256_add_epi64(sum, _mm256_mul_epu32(h[2], factors[2]));
            sum = _mm256_add_epi64(sum, _mm256_mul_epu32(h[3], factors[3]));
            _mm256_add_epi64(sum, _mm256_mul_epu32(h[4], factors[4]))
        };
        let d0 = products([r0, s4, s3, s2, s1]);
        let d1 = products([r1, r0, s4, s3, s2]);
        let d2 = products([r2, r1, r0, s4, s3]);
        let d3 = products([r3, r2, r1, r0, s4]);
        let d4 = products([r4, r3, r2, r1, r0]);

        // Two chains side by side: 0 1 2 3 4 and 3 4 0 1.
        let mask = _mm256_set1_epi64x(LIMB.cast_signed());
        let carry =
            |from, to| (_mm256_and_si256(from, mask), _mm256_add_epi64(to, _mm256_srli_epi64::<26>(from)));
        let (d0, d1) = carry(d0, d1);
        let (d3, d4) = carry(d3, d4);
        let (d1, d2) = carry(d1, d2);
        let over = _mm256_srli_epi64::<26>(d4);
        let d4 = _mm256_and_si256(d4, mask);
        let d0 = _mm256_add_epi64(d0, _mm256_add_epi64(over, _mm256_slli_epi64::<2>(over)));
        let (d2, d3) = carry(d2, d3);
        let (d0, d1) = carry(d0, d1);
        let (d3, d4) = carry(d3, d4);
        [d0, d1, d2, d3, d4]
    }
}

/// Adds four blocks to the lanes, in the order 0, 2, 1, 3.
#[inline]
#[target_feature(enable = "avx2")]
fn add_group(sum: &mut Lanes, group: &[u8; GROUP], markers: __m256i) {
    let (halves, _) = group.as_chunks::<32>();
    let (first, second) = (load(&halves[0]), load(&halves[1]));
    let low = _mm256_unpacklo_epi64(first, second);
    let high = _mm256_unpackhi_epi64(first, second);
    let mask = _mm256_set1_epi64x(LIMB.cast_signed());
    let middle = _mm256_or_si256(_mm256_srli_epi64::<52>(low), _mm256_slli_epi64::<12>(high));
    let limbs = [
        _mm256_and_si256(low, mask),
        _mm256_and_si256(_mm256_srli_epi64::<26>(low), mask),
        _mm256_and_si256(middle, mask),
        _mm256_and_si256(_mm256_srli_epi64::<14>(high), mask),
        _mm256_or_si256(_mm256_srli_epi64::<40>(high), markers),
    ];
    for (sum, limb) in sum.iter_mut().zip(limbs) {
        *sum = _mm256_add_epi64(*sum, limb);
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn add_lanes(lanes: Lanes) -> Limbs {
    lanes.map(|limb| {
        let mut octets = [0; 32];
        store(&mut octets, limb);
        let (words, _) = octets.as_chunks::<8>();
        words.iter().map(|word| u64::from_le_bytes(*word)).sum()
    })
}

/// r, clamped (RFC 8439 2.5), and what is added at the end.
fn split_key(key: &[u8; 32]) -> (Limbs, u128) {
    let (halves, _) = key.as_chunks::<16>();
    let r = u128::from_le_bytes(halves[0]) & 0x0fff_fffc_0fff_fffc_0fff_fffc_0fff_ffff;
    (to_limbs(r), u128::from_le_bytes(halves[1]))
}

fn to_limbs(value: u128) -> Limbs {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = value.to_le_bytes();
    let low = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    let high = u64::from_le_bytes([i, j, k, l, m, n, o, p]);
    [low & LIMB, (low >> 26) & LIMB, ((low >> 52) | (high << 12)) & LIMB, (high >> 14) & LIMB, high >> 40]
}

/// The product, with limbs of 26 bits and a little more.
#[inline]
fn multiply(a: &Limbs, b: &Limbs) -> Limbs {
    let [b0, b1, b2, b3, b4] = *b;
    let [s1, s2, s3, s4] = [b1 * 5, b2 * 5, b3 * 5, b4 * 5];
    let products = |[f0, f1, f2, f3, f4]: Limbs| a[0] * f0 + a[1] * f1 + a[2] * f2 + a[3] * f3 + a[4] * f4;
    carry([
        products([b0, s4, s3, s2, s1]),
        products([b1, b0, s4, s3, s2]),
        products([b2, b1, b0, s4, s3]),
        products([b3, b2, b1, b0, s4]),
        products([b4, b3, b2, b1, b0]),
    ])
}

/// Carries once around; only the second limb may keep a bit too many.
#[inline]
fn carry([mut d0, mut d1, mut d2, mut d3, mut d4]: Limbs) -> Limbs {
    d1 += d0 >> 26;
    d2 += d1 >> 26;
    d3 += d2 >> 26;
    d4 += d3 >> 26;
    d0 = (d0 & LIMB) + (d4 >> 26) * 5;
    d1 = (d1 & LIMB) + (d0 >> 26);
    [d0 & LIMB, d1, d2 & LIMB, d3 & LIMB, d4 & LIMB]
}

/// Reduces completely and adds the pad modulo 2^128.
fn finish(sum: Limbs, pad: u128) -> [u8; BLOCK] {
    // Twice, so that every limb has its 26 bits; then one subtraction of the prime may be left to do.
    let [d0, d1, d2, d3, d4] = carry(carry(sum));
    // That is, if adding 5 carries out of 130 bits.
    let over = [d0 + 5, d1, d2, d3, d4].iter().fold(0, |carry, limb| (limb + carry) >> 26);
    let low =
        [d0, d1, d2, d3, d4].iter().rev().fold(0_u128, |sum, &limb| (sum << 26).wrapping_add(limb.into()));
    low.wrapping_add(u128::from(over * 5)).wrapping_add(pad).to_le_bytes()
}
