//! SHA-256 (FIPS 180-4 6.2) of several messages at a time.
//!
//! One message alone waits for the latency of `sha256rnds2`; three keep the unit busy.

use core::arch::x86_64::{
    _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_set_epi32, _mm_set_epi64x, _mm_sha256msg1_epu32,
    _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8, _mm_shuffle_epi32,
};

use super::Tier;
use super::words::load;

/// The chaining value.
pub(crate) type State = [u32; 8];
/// One block of a message.
pub(crate) type Block = [u8; 64];

/// The most messages that one call takes.
pub(crate) const LANES: usize = 3;

/// The chaining value before the first block.
pub(crate) const INITIAL: State =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

#[rustfmt::skip]
const K: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];

/// Takes the blocks of up to [`LANES`] messages into their states; all messages have the same number of blocks.
pub(crate) fn compress(_proof: Tier, states: &mut [State], messages: &[&[Block]]) {
    // SAFETY: the tier proves the instructions.
    unsafe {
        match (states, messages) {
            ([a, b, c], [m, n, o]) => lanes::<3>([a, b, c], [m, n, o]),
            ([a, b], [m, n]) => lanes::<2>([a, b], [m, n]),
            ([a], [m]) => lanes::<1>([a], [m]),
            _ => {}
        }
    }
}

#[inline(never)]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn lanes<const N: usize>(states: [&mut State; N], messages: [&[Block]; N]) {
    let swap = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let zero = _mm_set_epi64x(0, 0);
    let mut abef = [zero; N];
    let mut cdgh = [zero; N];
    for lane in 0..N {
        let [a, b, c, d, e, f, g, h] = *states[lane];
        abef[lane] = _mm_set_epi32(a.cast_signed(), b.cast_signed(), e.cast_signed(), f.cast_signed());
        cdgh[lane] = _mm_set_epi32(c.cast_signed(), d.cast_signed(), g.cast_signed(), h.cast_signed());
    }
    let steps = messages.iter().map(|blocks| blocks.len()).min().unwrap_or(0);
    let mut messages = messages;
    for blocks in &mut messages {
        *blocks = &blocks[..steps];
    }
    for step in 0..steps {
        let before = (abef, cdgh);
        let mut words = [[zero; 4]; N];
        for lane in 0..N {
            let block = &messages[lane][step];
            for (at, word) in words[lane].iter_mut().enumerate() {
                *word = _mm_shuffle_epi8(load(block, at), swap);
            }
        }

        // Four rounds in each lane. Groups up to the fourth take the message as it is, later ones extend it.
        macro_rules! group {
            ($($group:literal)*) => {$(
                let constants = {
                    let [a, b, c, d] = [K[4 * $group], K[4 * $group + 1], K[4 * $group + 2], K[4 * $group + 3]];
                    _mm_set_epi32(d.cast_signed(), c.cast_signed(), b.cast_signed(), a.cast_signed())
                };
                for lane in 0..N {
                    if $group >= 4 {
                        let w = &mut words[lane];
                        let extended = _mm_sha256msg1_epu32(w[$group % 4], w[($group + 1) % 4]);
                        let middle = _mm_alignr_epi8::<4>(w[($group + 3) % 4], w[($group + 2) % 4]);
                        let extended = _mm_add_epi32(extended, middle);
                        w[$group % 4] = _mm_sha256msg2_epu32(extended, w[($group + 3) % 4]);
                    }
                    let with_constants = _mm_add_epi32(words[lane][$group % 4], constants);
                    cdgh[lane] = _mm_sha256rnds2_epu32(cdgh[lane], abef[lane], with_constants);
                    let upper = _mm_shuffle_epi32::<0x0e>(with_constants);
                    abef[lane] = _mm_sha256rnds2_epu32(abef[lane], cdgh[lane], upper);
                }
            )*};
        }
        group!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        for lane in 0..N {
            abef[lane] = _mm_add_epi32(abef[lane], before.0[lane]);
            cdgh[lane] = _mm_add_epi32(cdgh[lane], before.1[lane]);
        }
    }
    for (lane, state) in states.into_iter().enumerate() {
        *state = [
            _mm_extract_epi32::<3>(abef[lane]).cast_unsigned(),
            _mm_extract_epi32::<2>(abef[lane]).cast_unsigned(),
            _mm_extract_epi32::<3>(cdgh[lane]).cast_unsigned(),
            _mm_extract_epi32::<2>(cdgh[lane]).cast_unsigned(),
            _mm_extract_epi32::<1>(abef[lane]).cast_unsigned(),
            _mm_extract_epi32::<0>(abef[lane]).cast_unsigned(),
            _mm_extract_epi32::<1>(cdgh[lane]).cast_unsigned(),
            _mm_extract_epi32::<0>(cdgh[lane]).cast_unsigned(),
        ];
    }
}
