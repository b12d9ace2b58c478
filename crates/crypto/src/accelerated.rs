//! The backend on the kernels for processors that have the instructions.
//!
//! AES-CBC with HMAC is serial within a packet, twice over. [`seal_batch`](crate::seal_batch) and
//! [`open_batch`](crate::open_batch) therefore work on several packets at a time, of one or of several SAs. What
//! is not here is for the portable backend behind this one.
//!
//! Combined modes and counter mode have enough to do in parallel within a packet and are worked on one by one.

mod cbc_lanes;
mod combined;
mod encrypt_then_mac;
mod hmac;

use alloc::boxed::Box;

use ikebana_proposals::{Encryption, IntegrityId};

use crate::cbc::CbcCipher;
use crate::packet::{Mac, PacketCipher};
use crate::provider::{CipherKeys, Ciphers, KeyLengths};
use crate::rust_crypto::RustCrypto;
use crate::simd::{Avx2, Level, Tier};

pub use encrypt_then_mac::LaneCipher;
pub(crate) use encrypt_then_mac::{open_batch, seal_batch};

/// Every tier, the fastest first.
pub static ALL: [&Accelerated; 3] =
    [&Accelerated(Level::Wide), &Accelerated(Level::Narrow), &Accelerated(Level::Vectors)];

/// Makes the packet ciphers of one tier of instructions. On a processor without them it makes none, so that the
/// next backend in the list is asked.
#[derive(Debug)]
pub struct Accelerated(Level);

impl Accelerated {
    /// Whether this processor has the instructions, and the feature `std` is there to ask it.
    #[must_use]
    pub fn is_available(&self) -> bool {
        match self.0 {
            Level::Vectors => Avx2::new().is_some(),
            Level::Narrow | Level::Wide => Tier::of(self.0).is_some(),
        }
    }
}

impl Ciphers for Accelerated {
    fn key_lengths(
        &self,
        encryption: Option<Encryption>,
        integrity: Option<IntegrityId>,
    ) -> Option<KeyLengths> {
        let encryption = encryption.filter(|_| self.is_available())?;
        let here = match separate(integrity) {
            Some(_) if self.0 == Level::Vectors => false,
            Some(integrity) => encrypt_then_mac::is_implemented(encryption, integrity),
            None => combined::is_implemented(self.0, encryption.id),
        };
        here.then(|| RustCrypto.key_lengths(Some(encryption), integrity)).flatten()
    }

    fn packet_cipher(
        &self,
        encryption: Encryption,
        integrity: Option<IntegrityId>,
        keys: &CipherKeys<'_>,
    ) -> Option<Box<dyn PacketCipher>> {
        let lengths = self.key_lengths(Some(encryption), integrity)?;
        if keys.encryption.len() != lengths.encryption || keys.integrity.len() != lengths.integrity {
            return None;
        }
        match separate(integrity) {
            Some(integrity) => {
                Some(Box::new(LaneCipher::new(Tier::of(self.0)?, encryption, integrity, keys)?))
            }
            None => combined::new(self.0, encryption, keys.encryption),
        }
    }

    fn mac(&self, _integrity: IntegrityId, _key: &[u8]) -> Option<Box<dyn Mac>> {
        None
    }

    fn cbc_cipher(&self, _encryption: Encryption, _key: &[u8]) -> Option<Box<dyn CbcCipher>> {
        None
    }
}

/// An integrity algorithm beside the encryption.
fn separate(integrity: Option<IntegrityId>) -> Option<IntegrityId> {
    integrity.filter(|&id| id != IntegrityId::NONE)
}
