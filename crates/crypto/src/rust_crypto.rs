//! The backend on the RustCrypto crates and curve25519-dalek: pure Rust, portable, every algorithm.

mod aead;
mod block_mac;
mod cbc;
mod cbc_lanes;
mod digests;
mod ecp;
mod encrypt_then_mac;
mod gmac;
mod macs;
mod modp;
mod prfs;
mod x25519;

use alloc::boxed::Box;
use alloc::vec::Vec;

use aes::{Aes128, Aes192, Aes256};
use aes_gcm::AesGcm;
use ccm::Ccm;
use ccm::consts::{U8, U11, U12, U16};
use chacha20poly1305::ChaCha20Poly1305;
use ikebana_proposals::{Encryption, EncryptionId, IntegrityId};

use crate::cbc::CbcCipher;
use crate::packet::{Mac, PacketCipher};
use crate::provider::{CipherKeys, Ciphers, CryptoProvider, KeyLengths};

/// Everything that this module implements.
pub(crate) fn provider() -> CryptoProvider {
    let mut key_exchanges: Vec<&'static dyn crate::KeyExchange> = Vec::new();
    key_exchanges.push(&x25519::X25519);
    key_exchanges.extend(ecp::ALL);
    key_exchanges.extend(modp::all());
    CryptoProvider {
        prfs: prfs::ALL.to_vec(),
        digests: digests::ALL.to_vec(),
        key_exchanges,
        ciphers: Vec::from([&RustCrypto as _]),
    }
}

/// Makes the packet ciphers of this backend.
#[derive(Clone, Copy, Debug, Default)]
pub struct RustCrypto;

impl Ciphers for RustCrypto {
    fn key_lengths(
        &self,
        encryption: Option<Encryption>,
        integrity: Option<IntegrityId>,
    ) -> Option<KeyLengths> {
        let integrity = integrity.filter(|&id| id != IntegrityId::NONE);
        let encryption_len = match encryption {
            None => 0,
            Some(encryption) => {
                let implemented = match integrity {
                    None => aead::is_implemented(encryption.id) || gmac::is_implemented(encryption.id),
                    Some(_) => encrypt_then_mac::is_implemented(encryption.id),
                };
                if !implemented {
                    return None;
                }
                encryption.key_len()?.checked_add(encryption.id.salt_len())?
            }
        };
        let integrity_len = match integrity {
            None => 0,
            Some(id) => macs::is_implemented(id).then(|| id.key_len())?,
        };
        // Neither is no protection at all.
        (encryption.is_some() || integrity.is_some())
            .then_some(KeyLengths { encryption: encryption_len, integrity: integrity_len })
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
        match integrity.filter(|&id| id != IntegrityId::NONE) {
            Some(id) => {
                let mac = macs::new(id, keys.integrity)?;
                encrypt_then_mac::new(encryption, keys.encryption, mac)
            }
            None => aead_cipher(encryption, keys.encryption),
        }
    }

    fn mac(&self, integrity: IntegrityId, key: &[u8]) -> Option<Box<dyn Mac>> {
        macs::new(integrity, key)
    }

    fn cbc_cipher(&self, encryption: Encryption, key: &[u8]) -> Option<Box<dyn CbcCipher>> {
        cbc::new(encryption, key)
    }
}

/// Combined modes, by algorithm and key length.
fn aead_cipher(encryption: Encryption, key: &[u8]) -> Option<Box<dyn PacketCipher>> {
    use EncryptionId as Id;
    let Encryption { id, key_bits } = encryption;
    match (id, key_bits) {
        (Id::AES_GCM_8, 128) => aead::new::<AesGcm<Aes128, U12, U8>, 4>(id, key),
        (Id::AES_GCM_8, 192) => aead::new::<AesGcm<Aes192, U12, U8>, 4>(id, key),
        (Id::AES_GCM_8, 256) => aead::new::<AesGcm<Aes256, U12, U8>, 4>(id, key),
        (Id::AES_GCM_12, 128) => aead::new::<AesGcm<Aes128, U12, U12>, 4>(id, key),
        (Id::AES_GCM_12, 192) => aead::new::<AesGcm<Aes192, U12, U12>, 4>(id, key),
        (Id::AES_GCM_12, 256) => aead::new::<AesGcm<Aes256, U12, U12>, 4>(id, key),
        (Id::AES_GCM_16, 128) => aead::new::<AesGcm<Aes128, U12, U16>, 4>(id, key),
        (Id::AES_GCM_16, 192) => aead::new::<AesGcm<Aes192, U12, U16>, 4>(id, key),
        (Id::AES_GCM_16, 256) => aead::new::<AesGcm<Aes256, U12, U16>, 4>(id, key),
        (Id::AES_CCM_8, 128) => aead::new::<Ccm<Aes128, U8, U11>, 3>(id, key),
        (Id::AES_CCM_8, 192) => aead::new::<Ccm<Aes192, U8, U11>, 3>(id, key),
        (Id::AES_CCM_8, 256) => aead::new::<Ccm<Aes256, U8, U11>, 3>(id, key),
        (Id::AES_CCM_12, 128) => aead::new::<Ccm<Aes128, U12, U11>, 3>(id, key),
        (Id::AES_CCM_12, 192) => aead::new::<Ccm<Aes192, U12, U11>, 3>(id, key),
        (Id::AES_CCM_12, 256) => aead::new::<Ccm<Aes256, U12, U11>, 3>(id, key),
        (Id::AES_CCM_16, 128) => aead::new::<Ccm<Aes128, U16, U11>, 3>(id, key),
        (Id::AES_CCM_16, 192) => aead::new::<Ccm<Aes192, U16, U11>, 3>(id, key),
        (Id::AES_CCM_16, 256) => aead::new::<Ccm<Aes256, U16, U11>, 3>(id, key),
        (Id::AES_GCM_16_IIV, 128) => aead::new::<AesGcm<Aes128, U12, U16>, 4>(id, key),
        (Id::AES_GCM_16_IIV, 192) => aead::new::<AesGcm<Aes192, U12, U16>, 4>(id, key),
        (Id::AES_GCM_16_IIV, 256) => aead::new::<AesGcm<Aes256, U12, U16>, 4>(id, key),
        (Id::AES_CCM_8_IIV, 128) => aead::new::<Ccm<Aes128, U8, U11>, 3>(id, key),
        (Id::AES_CCM_8_IIV, 192) => aead::new::<Ccm<Aes192, U8, U11>, 3>(id, key),
        (Id::AES_CCM_8_IIV, 256) => aead::new::<Ccm<Aes256, U8, U11>, 3>(id, key),
        (Id::NULL_AUTH_AES_GMAC, 128) => gmac::new::<Aes128>(key),
        (Id::NULL_AUTH_AES_GMAC, 192) => gmac::new::<Aes192>(key),
        (Id::NULL_AUTH_AES_GMAC, 256) => gmac::new::<Aes256>(key),
        (Id::CHACHA20_POLY1305 | Id::CHACHA20_POLY1305_IIV, 0) => aead::new::<ChaCha20Poly1305, 4>(id, key),
        _ => None,
    }
}
