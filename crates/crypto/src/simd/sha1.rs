//! SHA-1 (FIPS 180-4 6.1) of several messages at a time.
//!
//! One message alone waits for the latency of `sha1rnds4`; four keep the unit busy.

use core::arch::x86_64::{
    _mm_add_epi32, _mm_extract_epi32, _mm_set_epi32, _mm_set_epi64x, _mm_sha1msg1_epu32, _mm_sha1msg2_epu32,
    _mm_sha1nexte_epu32, _mm_sha1rnds4_epu32, _mm_shuffle_epi8, _mm_xor_si128,
};

use super::Tier;
use super::words::load;

/// The chaining value.
pub(crate) type State = [u32; 5];
/// One block of a message.
pub(crate) type Block = [u8; 64];

/// The most messages that one call takes.
pub(crate) const LANES: usize = 4;

/// The chaining value before the first block.
pub(crate) const INITIAL: State = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

/// Takes the blocks of up to [`LANES`] messages into their states; all messages have the same number of blocks.
pub(crate) fn compress(_proof: Tier, states: &mut [State], messages: &[&[Block]]) {
    // SAFETY: the tier proves the instructions.
    unsafe {
        match (states, messages) {
            ([a, b, c, d], [m, n, o, p]) => lanes::<4>([a, b, c, d], [m, n, o, p]),
            ([a, b, c], [m, n, o]) => lanes::<4>([a, b, c, &mut INITIAL.clone()], [m, n, o, m]),
            ([a, b], [m, n]) => lanes::<2>([a, b], [m, n]),
            ([a], [m]) => lanes::<1>([a], [m]),
            _ => {}
        }
    }
}

#[inline(never)]
#[target_feature(enable = "sha,ssse3,sse4.1")]
fn lanes<const N: usize>(states: [&mut State; N], messages: [&[Block]; N]) {
    let swap = _mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f);
    let zero = _mm_set_epi64x(0, 0);
    let mut abcd = [zero; N];
    let mut e = [zero; N];
    for lane in 0..N {
        let [a, b, c, d, fifth] = *states[lane];
        abcd[lane] = _mm_set_epi32(a.cast_signed(), b.cast_signed(), c.cast_signed(), d.cast_signed());
        e[lane] = _mm_set_epi32(fifth.cast_signed(), 0, 0, 0);
    }
    let steps = messages.iter().map(|blocks| blocks.len()).min().unwrap_or(0);
    let mut messages = messages;
    for blocks in &mut messages {
        *blocks = &blocks[..steps];
    }
    for step in 0..steps {
        let before = (abcd, e);
        let mut words = [[zero; 4]; N];
        for lane in 0..N {
            let block = &messages[lane][step];
            for (at, word) in words[lane].iter_mut().enumerate() {
                *word = _mm_shuffle_epi8(load(block, at), swap);
            }
        }
        // What the fifth word comes from: it was the first one four rounds ago.
        let mut old = e;

        // Four rounds in each lane. Groups up to the fourth take the message as it is, later ones extend it.
        macro_rules! group {
            ($group:literal, $function:literal) => {
                for lane in 0..N {
                    if $group >= 4 {
                        let w = &mut words[lane];
                        let extended = _mm_sha1msg1_epu32(w[$group % 4], w[($group + 1) % 4]);
                        let extended = _mm_xor_si128(extended, w[($group + 2) % 4]);
                        w[$group % 4] = _mm_sha1msg2_epu32(extended, w[($group + 3) % 4]);
                    }
                    let with_e = if $group == 0 {
                        _mm_add_epi32(old[lane], words[lane][0])
                    } else {
                        _mm_sha1nexte_epu32(old[lane], words[lane][$group % 4])
                    };
                    old[lane] = abcd[lane];
                    abcd[lane] = _mm_sha1rnds4_epu32::<$function>(abcd[lane], with_e);
                }
            };
        }
        group!(0, 0);
        group!(1, 0);
        group!(2, 0);
        group!(3, 0);
        group!(4, 0);
        group!(5, 1);
        group!(6, 1);
        group!(7, 1);
        group!(8, 1);
        group!(9, 1);
        group!(10, 2);
        group!(11, 2);
        group!(12, 2);
        group!(13, 2);
        group!(14, 2);
        group!(15, 3);
        group!(16, 3);
        group!(17, 3);
        group!(18, 3);
        group!(19, 3);
        for lane in 0..N {
            e[lane] = _mm_sha1nexte_epu32(old[lane], before.1[lane]);
            abcd[lane] = _mm_add_epi32(abcd[lane], before.0[lane]);
        }
    }
    for (lane, state) in states.into_iter().enumerate() {
        *state = [
            _mm_extract_epi32::<3>(abcd[lane]).cast_unsigned(),
            _mm_extract_epi32::<2>(abcd[lane]).cast_unsigned(),
            _mm_extract_epi32::<1>(abcd[lane]).cast_unsigned(),
            _mm_extract_epi32::<0>(abcd[lane]).cast_unsigned(),
            _mm_extract_epi32::<3>(e[lane]).cast_unsigned(),
        ];
    }
}
