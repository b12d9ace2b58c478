//! Hash functions that are negotiated, as IKEv1 does.

use alloc::vec;
use alloc::vec::Vec;

use ikebana_proposals::ikev1::phase1::Hash;

/// A hash function.
pub trait Digest: Send + Sync {
    /// Its number in phase 1 of IKEv1.
    fn id(&self) -> Hash;

    /// Octets of output.
    fn output_len(&self) -> usize;

    /// Computes the function over the concatenation of `parts`. An `out` shorter than the output gets the
    /// beginning of it; of a longer one the rest stays as it is.
    fn compute(&self, parts: &[&[u8]], out: &mut [u8]);
}

/// The digest of the concatenation of `parts` in full length.
#[must_use]
pub fn digest(function: &dyn Digest, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = vec![0; function.output_len()];
    function.compute(parts, &mut out);
    out
}
