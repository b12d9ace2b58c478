//! ChaCha20-Poly1305 (RFC 8439 2.8): the first block of key stream is the key of the MAC, the text begins with the
//! second.

use core::mem;

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::Avx2;
use super::chacha20::{self, GROUP, MAC_GROUP, key_stream};
use super::poly1305::{self, Poly1305};
use super::vector::wide;

/// Octets of a nonce: a salt of 4 and an IV of 8 (RFC 7634 2).
pub(crate) const NONCE: usize = 12;

/// The longest text under one nonce (RFC 8439 2.8).
const MAX_TEXT: u64 = (1 << 38) - 64;

/// A key.
pub(crate) struct ChaChaKey {
    _proof: Avx2,
    rows: chacha20::Key,
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
        // SAFETY: the key holds the proof that there is AVX2.
        fits(text).then(|| unsafe { run::<true>(&self.rows, nonce, associated, text) })
    }

    /// Decrypts `text` in place and returns the tag that it should have; `None` if it is longer than a nonce may be
    /// used for. If the text has another tag, the caller must wipe it.
    pub(crate) fn open(
        &self,
        nonce: &[u8; NONCE],
        associated: &[u8],
        text: &mut [u8],
    ) -> Option<[u8; poly1305::BLOCK]> {
        // SAFETY: as above.
        fits(text).then(|| unsafe { run::<false>(&self.rows, nonce, associated, text) })
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

/// Encrypts or decrypts, and returns the tag. The ciphertext of one group is hashed while the key stream of the next
/// is made.
#[inline(never)]
#[target_feature(enable = "avx2")]
fn run<const SEAL: bool>(
    key: &chacha20::Key,
    nonce: &[u8; NONCE],
    associated: &[u8],
    text: &mut [u8],
) -> [u8; poly1305::BLOCK] {
    let mut lengths = [0; poly1305::BLOCK];
    let (halves, _) = lengths.as_chunks_mut::<8>();
    for (half, len) in halves.iter_mut().zip([associated.len(), text.len()]) {
        *half = u64::try_from(len).unwrap_or_default().to_le_bytes();
    }

    let mut streams = [[0; GROUP]; 2];
    let [mut stream, mut next] = streams.each_mut();
    key_stream((key, nonce, 0), stream, (&mut Poly1305::new(&[0; 32]), &[]));
    let (mac_key, first_stream) = stream.split_at(chacha20::BLOCK);
    let mut mac = Poly1305::new(mac_key.first_chunk().unwrap_or(&[0; 32]));
    mac.padded(associated);

    let mut group = 0..text.len().min(first_stream.len());
    let mut from = chacha20::BLOCK;
    let mut hashed = 0;
    let mut counter = 0_u32;
    loop {
        if SEAL {
            xor(&mut text[group.clone()], &stream[from..]);
        }
        let last = group.end == text.len();
        if last {
            mac.padded(&text[hashed..]);
        } else {
            // On opening all of the ciphertext is there, so hashing may go ahead of decryption.
            let end = if SEAL { group.end } else { text.len().min(hashed + MAC_GROUP) };
            counter = counter.wrapping_add(chacha20::BLOCKS);
            key_stream((key, nonce, counter), next, (&mut mac, &text[hashed..end]));
            hashed = end;
        }
        if !SEAL {
            xor(&mut text[group.clone()], &stream[from..]);
        }
        if last {
            break;
        }
        from = 0;
        mem::swap(&mut stream, &mut next);
        group = group.end..text.len().min(group.end + GROUP);
    }
    mac.block(&lengths);
    mac.tag()
}

#[inline]
#[target_feature(enable = "avx2")]
fn xor(text: &mut [u8], stream: &[u8]) {
    let (vectors, rest) = text.as_chunks_mut();
    let (stream, rest_stream) = stream.as_chunks();
    let odd = stream.get(vectors.len()).map_or(rest_stream, |next| next);
    for (text, stream) in vectors.iter_mut().zip(stream) {
        let sum = wide::xor(wide::load(text), wide::load(stream));
        wide::store(text, sum);
    }
    for (octet, stream) in rest.iter_mut().zip(odd) {
        *octet ^= stream;
    }
}
