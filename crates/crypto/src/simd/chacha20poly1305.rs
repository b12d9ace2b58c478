//! ChaCha20-Poly1305 (RFC 8439 2.8): the first block of key stream is the key of the MAC, the text begins with the
//! second.

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::chacha20::{self, key_stream};
use super::{Avx2, poly1305};

/// Octets of a nonce: a salt of 4 and an IV of 8 (RFC 7634 2).
pub(crate) const NONCE: usize = 12;

/// The longest text under one nonce (RFC 8439 2.8).
const MAX_TEXT: u64 = (1 << 38) - 64;

/// A key.
pub(crate) struct ChaChaKey {
    _proof: Avx2,
    rows: chacha20::Key,
}

/// The key stream of one nonce, of which the first group is made.
struct Stream<'a> {
    key: &'a chacha20::Key,
    nonce: &'a [u8; NONCE],
    first: [u8; chacha20::GROUP],
}

impl ChaChaKey {
    pub(crate) fn new(proof: Avx2, key: &[u8; 32]) -> Self {
        let mut rows = [[0; 16]; 2];
        rows.as_flattened_mut().copy_from_slice(key);
        Self { _proof: proof, rows }
    }

    /// Encrypts `text` in place and returns the tag; `None` if it is longer than a nonce may be used for.
    pub(crate) fn seal(
        &self,
        nonce: &[u8; NONCE],
        associated: &[u8],
        text: &mut [u8],
    ) -> Option<[u8; poly1305::BLOCK]> {
        fits(text).then(|| {
            // SAFETY: the key holds the proof that there is AVX2.
            unsafe {
                let stream = Stream::new(&self.rows, nonce);
                stream.apply(text);
                stream.tag(associated, text)
            }
        })
    }

    /// Decrypts `text` in place if `is_right` finds the tag right that it should have, and says whether it did.
    pub(crate) fn open(
        &self,
        nonce: &[u8; NONCE],
        associated: &[u8],
        text: &mut [u8],
        is_right: impl FnOnce([u8; poly1305::BLOCK]) -> bool,
    ) -> bool {
        if !fits(text) {
            return false;
        }
        // SAFETY: the key holds the proof that there is AVX2.
        unsafe {
            let stream = Stream::new(&self.rows, nonce);
            let right = is_right(stream.tag(associated, text));
            if right {
                stream.apply(text);
            }
            right
        }
    }
}

impl Drop for ChaChaKey {
    fn drop(&mut self) {
        self.rows.zeroize();
    }
}

impl ZeroizeOnDrop for ChaChaKey {}

fn fits(text: &[u8]) -> bool {
    u64::try_from(text.len()).is_ok_and(|len| len <= MAX_TEXT)
}

impl<'a> Stream<'a> {
    #[target_feature(enable = "avx2")]
    fn new(key: &'a chacha20::Key, nonce: &'a [u8; NONCE]) -> Self {
        let mut first = [0; chacha20::GROUP];
        key_stream(key, nonce, 0, &mut first);
        Self { key, nonce, first }
    }

    #[inline(never)]
    #[target_feature(enable = "avx2")]
    fn apply(&self, text: &mut [u8]) {
        let (_, first) = self.first.split_at(chacha20::BLOCK);
        let (head, rest) = text.split_at_mut(text.len().min(first.len()));
        xor(head, first);
        let mut group = [0; chacha20::GROUP];
        let mut counter = chacha20::BLOCKS;
        for chunk in rest.chunks_mut(chacha20::GROUP) {
            key_stream(self.key, self.nonce, counter, &mut group);
            xor(chunk, &group);
            counter = counter.wrapping_add(chacha20::BLOCKS);
        }
    }

    #[target_feature(enable = "avx2")]
    fn tag(&self, associated: &[u8], text: &[u8]) -> [u8; poly1305::BLOCK] {
        let mut lengths = [0; poly1305::BLOCK];
        let (halves, _) = lengths.as_chunks_mut::<8>();
        for (half, part) in halves.iter_mut().zip([associated, text]) {
            *half = u64::try_from(part.len()).unwrap_or_default().to_le_bytes();
        }
        let (key, _) = self.first.as_chunks::<32>();
        poly1305::tag(&key[0], [associated, text, &lengths])
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn xor(text: &mut [u8], stream: &[u8]) {
    for (octet, stream) in text.iter_mut().zip(stream) {
        *octet ^= stream;
    }
}
