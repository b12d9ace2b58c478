//! Encryption with a separate integrity algorithm (RFC 4303 3.3.2.1, RFC 7296 3.14): the text is encrypted
//! first, and the MAC covers header, IV, ciphertext and the untransmitted half of an ESN.

use alloc::boxed::Box;

use aes::cipher::{
    Block, BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, BlockSizeUser,
    InnerIvInit, KeyInit, StreamCipher, StreamCipherCoreWrapper, consts::U16,
};
use aes::{Aes128, Aes192, Aes256};
use ctr::{CtrCore, flavors};
use ikebana_proposals::{Encryption, EncryptionId};
use zeroize::Zeroizing;

use super::cbc::Cbc;
use super::cbc_lanes::{self, Chain};
use crate::batch::CipherJob;
use crate::packet::{CipherError, CipherShape, Frame, IvRule, Mac, PacketCipher, Parts};

pub(super) fn is_implemented(id: EncryptionId) -> bool {
    let legacy = cfg!(feature = "legacy") && id == EncryptionId::TRIPLE_DES;
    legacy || [EncryptionId::NULL, EncryptionId::AES_CBC, EncryptionId::AES_CTR].contains(&id)
}

/// `key` is the encryption key, with the nonce of counter mode behind it.
pub(super) fn new(encryption: Encryption, key: &[u8], mac: Box<dyn Mac>) -> Option<Box<dyn PacketCipher>> {
    use EncryptionId as Id;
    let Encryption { id, key_bits } = encryption;
    match (id, key_bits) {
        (Id::NULL, 0) => Some(joined(Null, mac)),
        (Id::AES_CBC, 128) => Some(joined(Cbc(Aes128::new_from_slice(key).ok()?), mac)),
        (Id::AES_CBC, 192) => Some(joined(Cbc(Aes192::new_from_slice(key).ok()?), mac)),
        (Id::AES_CBC, 256) => Some(joined(Cbc(Aes256::new_from_slice(key).ok()?), mac)),
        (Id::AES_CTR, 128) => Some(joined(Ctr::<Aes128>::new(key)?, mac)),
        (Id::AES_CTR, 192) => Some(joined(Ctr::<Aes192>::new(key)?, mac)),
        (Id::AES_CTR, 256) => Some(joined(Ctr::<Aes256>::new(key)?, mac)),
        #[cfg(feature = "legacy")]
        (Id::TRIPLE_DES, 0) => Some(joined(Cbc(des::TdesEde3::new_from_slice(key).ok()?), mac)),
        _ => None,
    }
}

fn joined(text: impl TextCipher + 'static, mac: Box<dyn Mac>) -> Box<dyn PacketCipher> {
    Box::new(EncryptThenMac { text, mac })
}

/// Encryption without integrity, of text in place.
trait TextCipher: Send + Sync {
    /// IV length, block length and what the IV must be.
    fn shape(&self) -> (usize, usize, IvRule);
    /// `iv` and `text` have the lengths that the shape demands; otherwise nothing happens.
    fn encrypt(&self, iv: &[u8], text: &mut [u8]);
    /// As [`TextCipher::encrypt`].
    fn decrypt(&self, iv: &[u8], text: &mut [u8]);
    /// Encrypts the text of every frame of this shape and leaves a result in each slot.
    fn encrypt_batch(&self, shape: CipherShape, jobs: &mut [CipherJob<'_>]) {
        for CipherJob { frame, result, .. } in jobs {
            *result = frame.reborrow().split(shape).map(|parts| self.encrypt(parts.iv, parts.text));
        }
    }
}

struct EncryptThenMac<T> {
    text: T,
    mac: Box<dyn Mac>,
}

impl<T: TextCipher> PacketCipher for EncryptThenMac<T> {
    fn shape(&self) -> CipherShape {
        let (iv_len, block_len, iv) = self.text.shape();
        CipherShape { iv_len, icv_len: self.mac.icv_len(), block_len, iv }
    }

    fn seal(&self, frame: Frame<'_>) -> Result<(), CipherError> {
        let Parts { header, iv, text, icv, esn_high } = frame.split(self.shape())?;
        self.text.encrypt(iv, text);
        let esn_high = esn_high.as_ref().map_or(&[][..], |high| high);
        self.mac.compute(&[header, iv, text, esn_high], icv);
        Ok(())
    }

    fn seal_run(&self, jobs: &mut [CipherJob<'_>]) {
        let shape = self.shape();
        self.text.encrypt_batch(shape, jobs);
        for job in jobs.iter_mut().filter(|job| job.result.is_ok()) {
            if let Ok(Parts { header, iv, text, icv, esn_high }) = job.frame.reborrow().split(shape) {
                let esn_high = esn_high.as_ref().map_or(&[][..], |high| high);
                self.mac.compute(&[header, iv, text, esn_high], icv);
            }
        }
    }

    fn open(&self, frame: Frame<'_>) -> Result<(), CipherError> {
        let Parts { header, iv, text, icv, esn_high } = frame.split(self.shape())?;
        let esn_high = esn_high.as_ref().map_or(&[][..], |high| high);
        if !self.mac.verify(&[header, iv, text, esn_high], icv) {
            return Err(CipherError::Forged);
        }
        self.text.decrypt(iv, text);
        Ok(())
    }
}

/// ENCR_NULL (RFC 2410).
struct Null;

impl TextCipher for Null {
    fn shape(&self) -> (usize, usize, IvRule) {
        (0, 1, IvRule::None)
    }
    fn encrypt(&self, _iv: &[u8], _text: &mut [u8]) {}
    fn decrypt(&self, _iv: &[u8], _text: &mut [u8]) {}
}

impl<C> TextCipher for Cbc<C>
where
    C: BlockCipherEncrypt + BlockCipherDecrypt + BlockSizeUser + Send + Sync,
{
    fn shape(&self) -> (usize, usize, IvRule) {
        (C::block_size(), C::block_size(), IvRule::Random)
    }

    fn encrypt(&self, iv: &[u8], text: &mut [u8]) {
        let Ok(mut mode) = cbc::Encryptor::inner_iv_slice_init(&self.0, iv) else { return };
        let (blocks, _none) = Block::<C>::slice_as_chunks_mut(text);
        mode.encrypt_blocks(blocks);
    }

    fn decrypt(&self, iv: &[u8], text: &mut [u8]) {
        let Ok(mut mode) = cbc::Decryptor::inner_iv_slice_init(&self.0, iv) else { return };
        let (blocks, _none) = Block::<C>::slice_as_chunks_mut(text);
        mode.decrypt_blocks(blocks);
    }

    fn encrypt_batch(&self, shape: CipherShape, jobs: &mut [CipherJob<'_>]) {
        let chains = jobs.iter_mut().filter_map(|CipherJob { frame, result, .. }| {
            let split = frame.reborrow().split(shape);
            *result = split.as_ref().map(drop).map_err(|&error| error);
            let Parts { iv, text, .. } = split.ok()?;
            let (blocks, _none) = Block::<C>::slice_as_chunks_mut(text);
            Some(Chain { state: Block::<C>::try_from(iv).ok()?, blocks })
        });
        cbc_lanes::encrypt(&self.0, chains);
    }
}

/// AES-CTR (RFC 3686) with the expanded key and its nonce.
struct Ctr<C> {
    cipher: C,
    nonce: Zeroizing<[u8; 4]>,
}

impl<C: KeyInit> Ctr<C> {
    fn new(key: &[u8]) -> Option<Self> {
        let (key, nonce) = key.split_last_chunk()?;
        Some(Self { cipher: C::new_from_slice(key).ok()?, nonce: Zeroizing::new(*nonce) })
    }
}

impl<C> TextCipher for Ctr<C>
where
    C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + Send + Sync,
{
    fn shape(&self) -> (usize, usize, IvRule) {
        (8, 1, IvRule::Counter)
    }

    fn encrypt(&self, iv: &[u8], text: &mut [u8]) {
        // RFC 3686 4: nonce, IV, and a block counter that starts with 1.
        let mut counter = Block::<C>::default();
        let start = self.nonce.iter().chain(iv).chain(&[0, 0, 0, 1]);
        for (octet, &value) in counter.iter_mut().zip(start) {
            *octet = value;
        }
        let core = CtrCore::<&C, flavors::Ctr32BE>::inner_iv_init(&self.cipher, &counter);
        StreamCipherCoreWrapper::from_core(core).apply_keystream(text);
    }

    fn decrypt(&self, iv: &[u8], text: &mut [u8]) {
        self.encrypt(iv, text);
    }
}
