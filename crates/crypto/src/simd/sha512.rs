//! SHA-512 (FIPS 180-4 6.4) of four messages at a time, one in each 64-bit part of a vector.
//!
//! There are no instructions for SHA-512 on most processors, so a message alone is better off with scalar code.

use core::arch::x86_64::{
    __m256i, _mm256_add_epi64, _mm256_and_si256, _mm256_andnot_si256, _mm256_extract_epi64, _mm256_or_si256,
    _mm256_permute2x128_si256, _mm256_set_epi64x, _mm256_set_m128i, _mm256_set1_epi64x, _mm256_setzero_si256,
    _mm256_shuffle_epi8, _mm256_slli_epi64, _mm256_srli_epi64, _mm256_unpackhi_epi64, _mm256_unpacklo_epi64,
    _mm256_xor_si256,
};

use super::Tier;
use super::words::load;

/// The chaining value.
pub(crate) type State = [u64; 8];
/// One block of a message.
pub(crate) type Block = [u8; 128];

/// The most messages that one call takes.
pub(crate) const LANES: usize = 4;

/// The chaining value before the first block of SHA-512.
pub(crate) const INITIAL: State = [
    0x6a09_e667_f3bc_c908,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];

/// The chaining value before the first block of SHA-384.
pub(crate) const INITIAL_384: State = [
    0xcbbb_9d5d_c105_9ed8,
    0x629a_292a_367c_d507,
    0x9159_015a_3070_dd17,
    0x152f_ecd8_f70e_5939,
    0x6733_2667_ffc0_0b31,
    0x8eb4_4a87_6858_1511,
    0xdb0c_2e0d_64f9_8fa7,
    0x47b5_481d_befa_4fa4,
];

#[rustfmt::skip]
const K: [u64; 80] = [
    0x428a_2f98_d728_ae22, 0x7137_4491_23ef_65cd, 0xb5c0_fbcf_ec4d_3b2f, 0xe9b5_dba5_8189_dbbc,
    0x3956_c25b_f348_b538, 0x59f1_11f1_b605_d019, 0x923f_82a4_af19_4f9b, 0xab1c_5ed5_da6d_8118,
    0xd807_aa98_a303_0242, 0x1283_5b01_4570_6fbe, 0x2431_85be_4ee4_b28c, 0x550c_7dc3_d5ff_b4e2,
    0x72be_5d74_f27b_896f, 0x80de_b1fe_3b16_96b1, 0x9bdc_06a7_25c7_1235, 0xc19b_f174_cf69_2694,
    0xe49b_69c1_9ef1_4ad2, 0xefbe_4786_384f_25e3, 0x0fc1_9dc6_8b8c_d5b5, 0x240c_a1cc_77ac_9c65,
    0x2de9_2c6f_592b_0275, 0x4a74_84aa_6ea6_e483, 0x5cb0_a9dc_bd41_fbd4, 0x76f9_88da_8311_53b5,
    0x983e_5152_ee66_dfab, 0xa831_c66d_2db4_3210, 0xb003_27c8_98fb_213f, 0xbf59_7fc7_beef_0ee4,
    0xc6e0_0bf3_3da8_8fc2, 0xd5a7_9147_930a_a725, 0x06ca_6351_e003_826f, 0x1429_2967_0a0e_6e70,
    0x27b7_0a85_46d2_2ffc, 0x2e1b_2138_5c26_c926, 0x4d2c_6dfc_5ac4_2aed, 0x5338_0d13_9d95_b3df,
    0x650a_7354_8baf_63de, 0x766a_0abb_3c77_b2a8, 0x81c2_c92e_47ed_aee6, 0x9272_2c85_1482_353b,
    0xa2bf_e8a1_4cf1_0364, 0xa81a_664b_bc42_3001, 0xc24b_8b70_d0f8_9791, 0xc76c_51a3_0654_be30,
    0xd192_e819_d6ef_5218, 0xd699_0624_5565_a910, 0xf40e_3585_5771_202a, 0x106a_a070_32bb_d1b8,
    0x19a4_c116_b8d2_d0c8, 0x1e37_6c08_5141_ab53, 0x2748_774c_df8e_eb99, 0x34b0_bcb5_e19b_48a8,
    0x391c_0cb3_c5c9_5a63, 0x4ed8_aa4a_e341_8acb, 0x5b9c_ca4f_7763_e373, 0x682e_6ff3_d6b2_b8a3,
    0x748f_82ee_5def_b2fc, 0x78a5_636f_4317_2f60, 0x84c8_7814_a1f0_ab72, 0x8cc7_0208_1a64_39ec,
    0x90be_fffa_2363_1e28, 0xa450_6ceb_de82_bde9, 0xbef9_a3f7_b2c6_7915, 0xc671_78f2_e372_532b,
    0xca27_3ece_ea26_619c, 0xd186_b8c7_21c0_c207, 0xeada_7dd6_cde0_eb1e, 0xf57d_4f7f_ee6e_d178,
    0x06f0_67aa_7217_6fba, 0x0a63_7dc5_a2c8_98a6, 0x113f_9804_bef9_0dae, 0x1b71_0b35_131c_471b,
    0x28db_77f5_2304_7d84, 0x32ca_ab7b_40c7_2493, 0x3c9e_be0a_15c9_bebc, 0x431d_67c4_9c10_0d4c,
    0x4cc5_d4be_cb3e_42b6, 0x597f_299c_fc65_7e2a, 0x5fcb_6fab_3ad6_faec, 0x6c44_198c_4a47_5817,
];

/// Takes the blocks of up to [`LANES`] messages into their states; all messages have the same number of blocks.
pub(crate) fn compress(proof: Tier, states: &mut [State], messages: &[&[Block]]) {
    match (states, messages) {
        ([state], [message]) => sha2::block_api::compress512(state, message),
        ([a, b], [m, n]) => four(proof, [a, b, &mut INITIAL.clone(), &mut INITIAL.clone()], [m, n, m, m]),
        ([a, b, c], [m, n, o]) => four(proof, [a, b, c, &mut INITIAL.clone()], [m, n, o, m]),
        ([a, b, c, d], [m, n, o, p]) => four(proof, [a, b, c, d], [m, n, o, p]),
        _ => {}
    }
}

fn four(_proof: Tier, states: [&mut State; 4], messages: [&[Block]; 4]) {
    // SAFETY: only called with a tier's proof, and every tier has these instructions.
    unsafe { lanes(states, messages) }
}

macro_rules! rotate {
    ($word:expr, $by:literal) => {
        _mm256_or_si256(_mm256_srli_epi64::<$by>($word), _mm256_slli_epi64::<{ 64 - $by }>($word))
    };
}

macro_rules! xor3 {
    ($a:expr, $b:expr, $c:expr) => {
        _mm256_xor_si256(_mm256_xor_si256($a, $b), $c)
    };
}

#[inline(never)]
#[target_feature(enable = "avx2")]
fn lanes(states: [&mut State; 4], messages: [&[Block]; 4]) {
    let mut chaining = [_mm256_setzero_si256(); 8];
    for (word, vector) in chaining.iter_mut().enumerate() {
        let [a, b, c, d] = [states[0][word], states[1][word], states[2][word], states[3][word]];
        *vector = _mm256_set_epi64x(d.cast_signed(), c.cast_signed(), b.cast_signed(), a.cast_signed());
    }
    let steps = messages.iter().map(|blocks| blocks.len()).min().unwrap_or(0);
    let mut messages = messages;
    for blocks in &mut messages {
        *blocks = &blocks[..steps];
    }
    for step in 0..steps {
        let mut words = [_mm256_setzero_si256(); 16];
        for quarter in 0..4 {
            let [a, b, c, d] = messages;
            let four = transposed([&a[step], &b[step], &c[step], &d[step]], quarter);
            words[4 * quarter..4 * quarter + 4].copy_from_slice(&four);
        }
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = chaining;
        for (block, constants) in K.as_chunks::<16>().0.iter().enumerate() {
            for at in 0..16 {
                if block > 0 {
                    let (early, late) = (words[(at + 1) % 16], words[(at + 14) % 16]);
                    let sigma0 = xor3!(rotate!(early, 1), rotate!(early, 8), _mm256_srli_epi64::<7>(early));
                    let sigma1 = xor3!(rotate!(late, 19), rotate!(late, 61), _mm256_srli_epi64::<6>(late));
                    let sum = _mm256_add_epi64(words[at], words[(at + 9) % 16]);
                    words[at] = _mm256_add_epi64(sum, _mm256_add_epi64(sigma0, sigma1));
                }
                let constant = _mm256_set1_epi64x(constants[at].cast_signed());
                let sigma1 = xor3!(rotate!(e, 14), rotate!(e, 18), rotate!(e, 41));
                let choice = _mm256_xor_si256(_mm256_and_si256(e, f), _mm256_andnot_si256(e, g));
                let with_word = _mm256_add_epi64(_mm256_add_epi64(h, constant), words[at]);
                let first = _mm256_add_epi64(_mm256_add_epi64(with_word, sigma1), choice);
                let sigma0 = xor3!(rotate!(a, 28), rotate!(a, 34), rotate!(a, 39));
                let majority =
                    _mm256_or_si256(_mm256_and_si256(a, b), _mm256_and_si256(c, _mm256_or_si256(a, b)));
                h = g;
                g = f;
                f = e;
                e = _mm256_add_epi64(d, first);
                d = c;
                c = b;
                b = a;
                a = _mm256_add_epi64(first, _mm256_add_epi64(sigma0, majority));
            }
        }
        for (sum, word) in chaining.iter_mut().zip([a, b, c, d, e, f, g, h]) {
            *sum = _mm256_add_epi64(*sum, word);
        }
    }
    let [a, b, c, d] = states;
    for (word, vector) in chaining.into_iter().enumerate() {
        a[word] = _mm256_extract_epi64::<0>(vector).cast_unsigned();
        b[word] = _mm256_extract_epi64::<1>(vector).cast_unsigned();
        c[word] = _mm256_extract_epi64::<2>(vector).cast_unsigned();
        d[word] = _mm256_extract_epi64::<3>(vector).cast_unsigned();
    }
}

/// Four words of each block, from word `4 * quarter` on: a vector for each word, with a part for each block.
#[inline]
#[target_feature(enable = "avx2")]
fn transposed(blocks: [&Block; 4], quarter: usize) -> [__m256i; 4] {
    let swap = _mm256_set_epi64x(
        0x0809_0a0b_0c0d_0e0f,
        0x0001_0203_0405_0607,
        0x0809_0a0b_0c0d_0e0f,
        0x0001_0203_0405_0607,
    );
    let mut rows = [swap; 4];
    for (row, block) in rows.iter_mut().zip(blocks) {
        let octets = _mm256_set_m128i(load(block, 2 * quarter + 1), load(block, 2 * quarter));
        *row = _mm256_shuffle_epi8(octets, swap);
    }
    let even = [_mm256_unpacklo_epi64(rows[0], rows[1]), _mm256_unpacklo_epi64(rows[2], rows[3])];
    let odd = [_mm256_unpackhi_epi64(rows[0], rows[1]), _mm256_unpackhi_epi64(rows[2], rows[3])];
    [
        _mm256_permute2x128_si256::<0x20>(even[0], even[1]),
        _mm256_permute2x128_si256::<0x20>(odd[0], odd[1]),
        _mm256_permute2x128_si256::<0x31>(even[0], even[1]),
        _mm256_permute2x128_si256::<0x31>(odd[0], odd[1]),
    ]
}
