//! AES-CBC (RFC 3602).
//!
//! Within a packet every block of CBC encryption waits for the one before it: a chain of 40 to 56 cycles in
//! which an AES unit could start twenty times. So blocks of different packets go through it together, each with
//! its own key. Decryption has no such chain, and takes one packet at a time.

use core::arch::x86_64::{
    __m128i, __m256i, _mm_aesdec_si128, _mm_aesdeclast_si128, _mm_aesenc_si128, _mm_aesenclast_si128,
    _mm_loadu_si128, _mm_storeu_si128, _mm_xor_si128, _mm256_aesdec_epi128, _mm256_aesdeclast_epi128,
    _mm256_aesenc_epi128, _mm256_aesenclast_epi128, _mm256_broadcastsi128_si256, _mm256_castsi128_si256,
    _mm256_castsi256_si128, _mm256_extracti128_si256, _mm256_inserti128_si256, _mm256_loadu_si256,
    _mm256_setzero_si256, _mm256_storeu_si256, _mm256_xor_si256,
};

use super::Tier;
use super::aes_key::{AesKey, MAX_ROUND_KEYS};

/// One AES block.
pub(crate) type Block = [u8; 16];

/// A packet on its way through encryption.
pub(crate) struct Chain<'a> {
    /// Its key.
    pub(crate) key: &'a AesKey,
    /// The IV, or the last block of ciphertext.
    pub(crate) state: Block,
    /// What is still to be encrypted, in place.
    pub(crate) blocks: &'a mut [Block],
}

/// The most chains that one step takes.
pub(crate) const LANES: usize = 16;

/// Encrypts the next `steps` blocks of each chain, of which there are at most [`LANES`], all with keys of the
/// same length. Chains that are shorter than `steps` make it do less. Returns how many blocks it did.
pub(crate) fn encrypt(tier: Tier, chains: &mut [Chain<'_>], steps: usize) -> usize {
    let steps = chains.iter().map(|chain| chain.blocks.len()).fold(steps, usize::min);
    let Some(first) = chains.first() else { return 0 };
    let rounds = first.key.rounds();
    let fits = chains.len() <= LANES && chains.iter().all(|chain| chain.key.rounds() == rounds);
    if !fits || steps == 0 {
        return 0;
    }
    let key: *const AesKey = first.key;
    let one_key = chains.iter().all(|chain| core::ptr::eq(chain.key, key));
    // SAFETY: the tier proves the instructions; the number of chains, their lengths and their keys' lengths
    // were checked above.
    unsafe {
        if tier.is_wide() {
            match (rounds, one_key) {
                (10, true) => wide::<10, true>(chains, steps),
                (10, false) => wide::<10, false>(chains, steps),
                (12, true) => wide::<12, true>(chains, steps),
                (12, false) => wide::<12, false>(chains, steps),
                (_, true) => wide::<14, true>(chains, steps),
                (_, false) => wide::<14, false>(chains, steps),
            }
        } else {
            match rounds {
                10 => narrow::<10>(chains, steps),
                12 => narrow::<12>(chains, steps),
                _ => narrow::<14>(chains, steps),
            }
        }
    }
    for chain in chains {
        let (done, rest) = core::mem::take(&mut chain.blocks).split_at_mut(steps);
        if let Some(last) = done.last() {
            chain.state = *last;
        }
        chain.blocks = rest;
    }
    steps
}

/// # Safety
/// As for [`encrypt_wide`], with at most 16 chains.
unsafe fn wide<const ROUNDS: usize, const ONE_KEY: bool>(chains: &mut [Chain<'_>], steps: usize) {
    // SAFETY: the caller's promise, and enough lanes for the chains.
    unsafe {
        match chains.len() {
            0..=2 => encrypt_wide::<ROUNDS, 1, ONE_KEY>(chains, steps),
            3..=4 => encrypt_wide::<ROUNDS, 2, ONE_KEY>(chains, steps),
            5..=8 => encrypt_wide::<ROUNDS, 4, ONE_KEY>(chains, steps),
            9..=12 => encrypt_wide::<ROUNDS, 6, ONE_KEY>(chains, steps),
            _ => encrypt_wide::<ROUNDS, 8, ONE_KEY>(chains, steps),
        }
    }
}

/// # Safety
/// As for [`encrypt_narrow`], with at most 16 chains.
unsafe fn narrow<const ROUNDS: usize>(chains: &mut [Chain<'_>], steps: usize) {
    for chains in chains.chunks_mut(8) {
        // SAFETY: the caller's promise, and enough lanes for the chains.
        unsafe {
            match chains.len() {
                0..=1 => encrypt_narrow::<ROUNDS, 1>(chains, steps),
                2..=4 => encrypt_narrow::<ROUNDS, 4>(chains, steps),
                _ => encrypt_narrow::<ROUNDS, 8>(chains, steps),
            }
        }
    }
}

/// Lanes beyond the chains do the work of the first one again. All loads of a step come before its stores, so
/// they read the same text and write the same ciphertext.
///
/// # Safety
/// The processor has the features; there are 1 to `2 * PAIRS` chains, each with `steps` blocks at least and a key
/// of `ROUNDS` rounds. If `ONE_KEY`, all chains have the same key.
#[inline(never)]
#[target_feature(enable = "aes,vaes,avx2")]
unsafe fn encrypt_wide<const ROUNDS: usize, const PAIRS: usize, const ONE_KEY: bool>(
    chains: &mut [Chain<'_>],
    steps: usize,
) {
    let mut pointers = [[core::ptr::null_mut::<u8>(); 2]; PAIRS];
    take_pointers(pointers.as_flattened_mut(), chains);
    let mut states = [_mm256_setzero_si256(); PAIRS];
    let mut keys = [[_mm256_setzero_si256(); PAIRS]; MAX_ROUND_KEYS];
    let mut key = [_mm256_setzero_si256(); MAX_ROUND_KEYS];
    for pair in 0..PAIRS {
        let lane = |at: usize| if at < chains.len() { at } else { 0 };
        let (low, high) = (lane(2 * pair), lane(2 * pair + 1));
        // SAFETY: blocks and round keys are 16 octets each.
        unsafe {
            states[pair] = join(chains[low].state.as_ptr(), chains[high].state.as_ptr());
            for round in 0..=ROUNDS {
                let (low, high) = (&chains[low].key.encrypt()[round], &chains[high].key.encrypt()[round]);
                if ONE_KEY {
                    key[round] = _mm256_broadcastsi128_si256(_mm_loadu_si128(low.as_ptr().cast()));
                } else {
                    keys[round][pair] = join(low.as_ptr(), high.as_ptr());
                }
            }
        }
    }
    for step in 0..steps {
        for pair in 0..PAIRS {
            // SAFETY: each lane has `steps` blocks.
            let text = unsafe {
                let [low, high] = pointers[pair];
                join(low.add(16 * step), high.add(16 * step))
            };
            let first = if ONE_KEY { key[0] } else { keys[0][pair] };
            states[pair] = _mm256_xor_si256(_mm256_xor_si256(states[pair], first), text);
        }
        for round in 1..ROUNDS {
            for pair in 0..PAIRS {
                let key = if ONE_KEY { key[round] } else { keys[round][pair] };
                states[pair] = _mm256_aesenc_epi128(states[pair], key);
            }
        }
        for pair in 0..PAIRS {
            let last = if ONE_KEY { key[ROUNDS] } else { keys[ROUNDS][pair] };
            states[pair] = _mm256_aesenclast_epi128(states[pair], last);
            // SAFETY: as for the loads.
            unsafe {
                let [low, high] = pointers[pair];
                _mm_storeu_si128(low.add(16 * step).cast(), _mm256_castsi256_si128(states[pair]));
                let upper = _mm256_extracti128_si256::<1>(states[pair]);
                _mm_storeu_si128(high.add(16 * step).cast(), upper);
            }
        }
    }
}

/// Where the blocks of each chain are. Each chain is borrowed once, and lanes beyond the chains get a copy of the first
/// one's pointer, so that no pointer ends another one's right to the blocks.
fn take_pointers(pointers: &mut [*mut u8], chains: &mut [Chain<'_>]) {
    for (pointer, chain) in pointers.iter_mut().zip(&mut *chains) {
        *pointer = chain.blocks.as_mut_ptr().cast();
    }
    let first = pointers.first().copied().unwrap_or(core::ptr::null_mut());
    for pointer in pointers.iter_mut().skip(chains.len()) {
        *pointer = first;
    }
}

/// # Safety
/// Both pointers are good for 16 octets.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn join(low: *const u8, high: *const u8) -> __m256i {
    // SAFETY: the caller's promise.
    unsafe {
        let low = _mm256_castsi128_si256(_mm_loadu_si128(low.cast()));
        _mm256_inserti128_si256::<1>(low, _mm_loadu_si128(high.cast()))
    }
}

/// As [`encrypt_wide`], on 128-bit vectors.
///
/// # Safety
/// The processor has the features; there are 1 to `LANES` chains, each with `steps` blocks at least and a key of
/// `ROUNDS` rounds.
#[inline(never)]
#[target_feature(enable = "aes,sse2")]
unsafe fn encrypt_narrow<const ROUNDS: usize, const LANES: usize>(chains: &mut [Chain<'_>], steps: usize) {
    let mut pointers = [core::ptr::null_mut::<u8>(); LANES];
    let mut keys = [core::ptr::null::<u8>(); LANES];
    take_pointers(&mut pointers, chains);
    let mut states = [[0_u8; 16]; LANES];
    for lane in 0..LANES {
        let chain = &chains[if lane < chains.len() { lane } else { 0 }];
        keys[lane] = chain.key.encrypt().as_ptr().cast();
        states[lane] = chain.state;
    }
    // SAFETY: blocks and round keys are 16 octets each.
    let mut states = states.map(|state| unsafe { _mm_loadu_si128(state.as_ptr().cast::<__m128i>()) });
    // SAFETY: a key has MAX_ROUND_KEYS round keys, `round` is below that.
    let key =
        |lane: usize, round: usize| unsafe { _mm_loadu_si128(keys[lane].add(16 * round).cast::<__m128i>()) };
    for step in 0..steps {
        for lane in 0..LANES {
            // SAFETY: each lane has `steps` blocks.
            let text = unsafe { _mm_loadu_si128(pointers[lane].add(16 * step).cast::<__m128i>()) };
            states[lane] = _mm_xor_si128(_mm_xor_si128(states[lane], key(lane, 0)), text);
        }
        for round in 1..ROUNDS {
            for lane in 0..LANES {
                states[lane] = _mm_aesenc_si128(states[lane], key(lane, round));
            }
        }
        for lane in 0..LANES {
            states[lane] = _mm_aesenclast_si128(states[lane], key(lane, ROUNDS));
            // SAFETY: as for the loads.
            unsafe { _mm_storeu_si128(pointers[lane].add(16 * step).cast(), states[lane]) };
        }
    }
}

/// Decrypts a packet's blocks in place.
pub(crate) fn decrypt(tier: Tier, key: &AesKey, iv: &Block, blocks: &mut [Block]) {
    // SAFETY: the tier proves the instructions, and the key has these rounds.
    unsafe {
        match (tier.is_wide(), key.rounds()) {
            (true, 10) => decrypt_wide::<10>(key, iv, blocks),
            (true, 12) => decrypt_wide::<12>(key, iv, blocks),
            (true, _) => decrypt_wide::<14>(key, iv, blocks),
            (false, 10) => decrypt_narrow::<10>(key, *iv, blocks),
            (false, 12) => decrypt_narrow::<12>(key, *iv, blocks),
            (false, _) => decrypt_narrow::<14>(key, *iv, blocks),
        }
    }
}

/// # Safety
/// The processor has the features, and the key has `ROUNDS` rounds.
#[inline(never)]
#[target_feature(enable = "aes,vaes,avx2")]
unsafe fn decrypt_wide<const ROUNDS: usize>(key: &AesKey, iv: &Block, blocks: &mut [Block]) {
    let mut keys = [_mm256_setzero_si256(); MAX_ROUND_KEYS];
    for (wide, narrow) in keys.iter_mut().zip(key.decrypt()).take(ROUNDS + 1) {
        // SAFETY: a round key is 16 octets.
        *wide = unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(narrow.as_ptr().cast())) };
    }
    let mut last = *iv;
    let (groups, rest) = blocks.as_chunks_mut::<16>();
    for group in groups {
        last = decrypt_pairs::<ROUNDS, 16, 8>(&keys, &last, group);
    }
    let (groups, rest) = rest.as_chunks_mut::<8>();
    for group in groups {
        last = decrypt_pairs::<ROUNDS, 8, 4>(&keys, &last, group);
    }
    let (groups, rest) = rest.as_chunks_mut::<2>();
    for group in groups {
        last = decrypt_pairs::<ROUNDS, 2, 1>(&keys, &last, group);
    }
    // SAFETY: the caller's promise.
    unsafe { decrypt_narrow::<ROUNDS>(key, last, rest) };
}

/// Decrypts `BLOCKS` blocks, two to a vector, and returns the last ciphertext among them.
#[inline]
#[target_feature(enable = "aes,vaes,avx2")]
fn decrypt_pairs<const ROUNDS: usize, const BLOCKS: usize, const PAIRS: usize>(
    keys: &[__m256i; MAX_ROUND_KEYS],
    before: &Block,
    blocks: &mut [Block; BLOCKS],
) -> Block {
    const { assert!(BLOCKS == 2 * PAIRS) };
    let following = blocks[BLOCKS - 1];
    let pointer: *mut u8 = blocks.as_mut_ptr().cast();
    let mut states = [_mm256_setzero_si256(); PAIRS];
    for (pair, state) in states.iter_mut().enumerate() {
        // SAFETY: two blocks for each pair.
        let text = unsafe { _mm256_loadu_si256(pointer.add(32 * pair).cast::<__m256i>()) };
        *state = _mm256_xor_si256(text, keys[0]);
    }
    for round in 1..ROUNDS {
        for state in &mut states {
            *state = _mm256_aesdec_epi128(*state, keys[round]);
        }
    }
    // From the back, so that no ciphertext is overwritten that is still to be read.
    for pair in (0..PAIRS).rev() {
        // SAFETY: two blocks for each pair, and the one before for all pairs but the first.
        unsafe {
            let chained = if pair == 0 {
                join(before.as_ptr(), pointer)
            } else {
                _mm256_loadu_si256(pointer.add(32 * pair - 16).cast::<__m256i>())
            };
            let text = _mm256_aesdeclast_epi128(states[pair], keys[ROUNDS]);
            _mm256_storeu_si256(pointer.add(32 * pair).cast(), _mm256_xor_si256(text, chained));
        }
    }
    following
}

/// # Safety
/// The processor has the features, and the key has `ROUNDS` rounds.
#[inline(never)]
#[target_feature(enable = "aes,sse2")]
unsafe fn decrypt_narrow<const ROUNDS: usize>(key: &AesKey, iv: Block, blocks: &mut [Block]) {
    let mut last = iv;
    let (groups, rest) = blocks.as_chunks_mut::<8>();
    for group in groups {
        last = decrypt_group::<ROUNDS, 8>(key, &last, group);
    }
    let (groups, _) = rest.as_chunks_mut::<1>();
    for group in groups {
        last = decrypt_group::<ROUNDS, 1>(key, &last, group);
    }
}

/// Decrypts `BLOCKS` blocks, one to a vector, and returns the last ciphertext among them.
#[inline]
#[target_feature(enable = "aes,sse2")]
fn decrypt_group<const ROUNDS: usize, const BLOCKS: usize>(
    key: &AesKey,
    before: &Block,
    blocks: &mut [Block; BLOCKS],
) -> Block {
    let following = blocks[BLOCKS - 1];
    // SAFETY: a block is 16 octets.
    let load = |block: &Block| unsafe { _mm_loadu_si128(block.as_ptr().cast::<__m128i>()) };
    let keys = key.decrypt();
    let mut states = blocks.each_ref().map(load);
    for state in &mut states {
        *state = _mm_xor_si128(*state, load(&keys[0]));
    }
    for round_key in &keys[1..ROUNDS] {
        let round_key = load(round_key);
        for state in &mut states {
            *state = _mm_aesdec_si128(*state, round_key);
        }
    }
    for at in (0..BLOCKS).rev() {
        let chained = if at == 0 { load(before) } else { load(&blocks[at - 1]) };
        let text = _mm_xor_si128(_mm_aesdeclast_si128(states[at], load(&keys[ROUNDS])), chained);
        // SAFETY: a block is 16 octets.
        unsafe { _mm_storeu_si128(blocks[at].as_mut_ptr().cast(), text) };
    }
    following
}
