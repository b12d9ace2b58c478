//! Pseudorandom functions and the key stream made of them.

use alloc::vec;
use alloc::vec::Vec;

use ikebana_core::Secret;
use ikebana_proposals::PrfId;
use thiserror::Error;

/// A pseudorandom function with a key of any length.
pub trait Prf: Send + Sync {
    /// Its number.
    fn id(&self) -> PrfId;

    /// Octets of output.
    fn output_len(&self) -> usize {
        self.id().output_len()
    }

    /// The preferred key length, which is that of SK_d, SK_pi and SK_pr (RFC 7296 2.13).
    fn key_len(&self) -> usize {
        self.id().key_len()
    }

    /// Computes the function over the concatenation of `parts`. An `out` shorter than the output gets the
    /// beginning of it; of a longer one the rest stays as it is.
    fn compute(&self, key: &[u8], parts: &[&[u8]], out: &mut [u8]);
}

/// More was asked of `prf+` than its one-octet counter can count: 255 times the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("prf+ cannot produce {asked} octets, only {limit}")]
pub struct TooLong {
    /// Octets asked for.
    pub asked: usize,
    /// Octets there can be.
    pub limit: usize,
}

/// `prf(key, parts)` in full length.
#[must_use]
pub fn prf(prf: &dyn Prf, key: &[u8], parts: &[&[u8]]) -> Secret {
    let mut out = vec![0; prf.output_len()];
    prf.compute(key, parts, &mut out);
    Secret::new(out)
}

/// `prf+(key, seed)` of `len` octets (RFC 7296 2.13):
/// `T1 = prf(K, S | 1)`, `T2 = prf(K, T1 | S | 2)`, and so on.
///
/// # Errors
/// [`TooLong`] if more than 255 blocks would be needed.
pub fn prf_plus(prf: &dyn Prf, key: &[u8], seed: &[&[u8]], len: usize) -> Result<Secret, TooLong> {
    let block_len = prf.output_len();
    let limit = block_len.saturating_mul(255);
    if len > limit {
        return Err(TooLong { asked: len, limit });
    }
    let mut out = vec![0; len];
    let mut parts: Vec<&[u8]> = vec![&[]];
    parts.extend_from_slice(seed);
    parts.push(&[]);

    let mut rest = out.as_mut_slice();
    let mut previous: &[u8] = &[];
    for counter in 1..=u8::MAX {
        if rest.is_empty() {
            break;
        }
        let (block, tail) = rest.split_at_mut(block_len.min(rest.len()));
        let number = [counter];
        let mut parts = parts.clone();
        if let [first, .., last] = parts.as_mut_slice() {
            *first = previous;
            *last = &number;
        }
        prf.compute(key, &parts, block);
        previous = block;
        rest = tail;
    }
    Ok(Secret::new(out))
}
