//! AES key expansion (FIPS 197 5.2).

use core::arch::x86_64::{
    __m128i, _mm_aesimc_si128, _mm_aeskeygenassist_si128, _mm_cvtsi128_si32, _mm_loadu_si128, _mm_set_epi32,
    _mm_storeu_si128,
};

use zeroize::Zeroize;

use super::Tier;

/// Round keys for AES-256, the most there are.
pub(crate) const MAX_ROUND_KEYS: usize = 15;

/// An expanded AES key of any length.
#[repr(align(32))]
pub(crate) struct AesKey {
    rounds: usize,
    /// Of these the first `rounds + 1` count.
    encrypt: [[u8; 16]; MAX_ROUND_KEYS],
    /// For the equivalent inverse cipher (FIPS 197 5.3.5).
    decrypt: [[u8; 16]; MAX_ROUND_KEYS],
}

impl AesKey {
    /// Expands a key of 16, 24 or 32 octets; `None` for any other length.
    pub(crate) fn new(_proof: Tier, key: &[u8]) -> Option<Self> {
        let rounds = match key.len() {
            16 => 10,
            24 => 12,
            32 => 14,
            _ => return None,
        };
        let mut expanded =
            Self { rounds, encrypt: [[0; 16]; MAX_ROUND_KEYS], decrypt: [[0; 16]; MAX_ROUND_KEYS] };
        // SAFETY: a tier is only made on a processor with AES instructions.
        unsafe { expand(key, &mut expanded) };
        Some(expanded)
    }

    /// 10, 12 or 14.
    pub(crate) const fn rounds(&self) -> usize {
        self.rounds
    }

    /// Round keys for encryption; of these the first `rounds + 1` count.
    pub(crate) const fn encrypt(&self) -> &[[u8; 16]; MAX_ROUND_KEYS] {
        &self.encrypt
    }

    /// The round keys for encryption: the first, those in between, and the last.
    #[inline]
    pub(crate) fn encryption_rounds(&self) -> (&[u8; 16], &[[u8; 16]], &[u8; 16]) {
        let [first, others @ ..] = &self.encrypt;
        let (middle, last) = others.split_at(self.rounds - 1);
        (first, middle, &last[0])
    }

    /// Round keys for decryption; of these the first `rounds + 1` count.
    pub(crate) const fn decrypt(&self) -> &[[u8; 16]; MAX_ROUND_KEYS] {
        &self.decrypt
    }
}

impl Drop for AesKey {
    fn drop(&mut self) {
        self.encrypt.zeroize();
        self.decrypt.zeroize();
    }
}

#[target_feature(enable = "aes,sse2")]
fn expand(key: &[u8], expanded: &mut AesKey) {
    let mut words = [0_u32; 4 * MAX_ROUND_KEYS];
    let length = key.len() / 4;
    let (chunks, _) = key.as_chunks::<4>();
    for (word, chunk) in words.iter_mut().zip(chunks) {
        *word = u32::from_le_bytes(*chunk);
    }
    let mut round_constant = 1_u32;
    for at in length..4 * (expanded.rounds + 1) {
        let mut word = words[at - 1];
        if at % length == 0 {
            word = sub_word(word).rotate_right(8) ^ round_constant;
            round_constant = (round_constant << 1) ^ if round_constant & 0x80 == 0 { 0 } else { 0x11b };
        } else if length > 6 && at % length == 4 {
            word = sub_word(word);
        }
        words[at] = words[at - length] ^ word;
    }
    let (blocks, _) = words.as_chunks::<4>();
    for (round_key, block) in expanded.encrypt.iter_mut().zip(blocks) {
        let (octets, _) = round_key.as_chunks_mut::<4>();
        for (octets, word) in octets.iter_mut().zip(block) {
            *octets = word.to_le_bytes();
        }
    }
    words.zeroize();

    let used = expanded.encrypt.iter().take(expanded.rounds + 1).rev();
    for (at, (decrypt, encrypt)) in expanded.decrypt.iter_mut().zip(used).enumerate() {
        if at == 0 || at == expanded.rounds {
            *decrypt = *encrypt;
        } else {
            // SAFETY: both are 16 octets; unaligned loads and stores.
            unsafe {
                let turned = _mm_aesimc_si128(_mm_loadu_si128(encrypt.as_ptr().cast()));
                _mm_storeu_si128(decrypt.as_mut_ptr().cast::<__m128i>(), turned);
            }
        }
    }
}

/// The S-box on each octet, without a table.
#[target_feature(enable = "aes,sse2")]
#[inline]
fn sub_word(word: u32) -> u32 {
    // The instruction substitutes the second word from the right and puts it into the first.
    let substituted = _mm_aeskeygenassist_si128::<0>(_mm_set_epi32(0, 0, word.cast_signed(), 0));
    _mm_cvtsi128_si32(substituted).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Level;

    /// FIPS 197 appendix A: the last round key of each example.
    #[test]
    fn the_standards_examples_expand_to_their_last_round_key() {
        let Some(tier) = Tier::of(Level::Narrow) else { return };
        let examples: [(&str, [u8; 16]); 3] = [
            (
                "2b7e151628aed2a6abf7158809cf4f3c",
                0xd014_f9a8_c9ee_2589_e13f_0cc8_b663_0ca6_u128.to_be_bytes(),
            ),
            (
                "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
                0xe98b_a06f_448c_773c_8ecc_7204_0100_2202_u128.to_be_bytes(),
            ),
            (
                "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
                0xfe48_90d1_e618_8d0b_046d_f344_706c_631e_u128.to_be_bytes(),
            ),
        ];
        for (key, last) in examples {
            let key: alloc::vec::Vec<u8> = (0..key.len() / 2)
                .map(|at| u8::from_str_radix(&key[2 * at..2 * at + 2], 16).unwrap())
                .collect();
            let expanded = AesKey::new(tier, &key).unwrap();
            assert_eq!(expanded.encrypt[expanded.rounds], last);
            assert_eq!(expanded.decrypt[0], last);
        }
    }

    #[test]
    fn other_lengths_are_refused() {
        let Some(tier) = Tier::of(Level::Narrow) else { return };
        for length in [0, 15, 17, 23, 31, 33] {
            assert!(AesKey::new(tier, &[0; 40][..length]).is_none());
        }
    }
}
