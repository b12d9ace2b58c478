//! Hash functions: MD5, SHA-1 and SHA-2.

use core::marker::PhantomData;

use ikebana_proposals::ikev1::phase1::Hash;
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

use crate::digest::Digest;

pub(super) const ALL: &[&dyn Digest] = &[
    &Hashing::<Sha1>(Hash::SHA, PhantomData),
    &Hashing::<Sha256>(Hash::SHA2_256, PhantomData),
    &Hashing::<Sha384>(Hash::SHA2_384, PhantomData),
    &Hashing::<Sha512>(Hash::SHA2_512, PhantomData),
    #[cfg(feature = "legacy")]
    &Hashing::<md5::Md5>(Hash::MD5, PhantomData),
];

struct Hashing<D>(Hash, PhantomData<fn() -> D>);

impl<D: sha2::Digest> Digest for Hashing<D> {
    fn id(&self) -> Hash {
        self.0
    }

    fn output_len(&self) -> usize {
        <D as sha2::Digest>::output_size()
    }

    fn compute(&self, parts: &[&[u8]], out: &mut [u8]) {
        let mut state = D::new();
        for part in parts {
            state.update(part);
        }
        let full = Zeroizing::new(state.finalize());
        for (octet, &value) in out.iter_mut().zip(full.iter()) {
            *octet = value;
        }
    }
}
