//! CBC (RFC 3602, RFC 2451) with the expanded key: alone, and as a part of the packet ciphers.

use alloc::boxed::Box;

use aes::cipher::{
    Block, BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, BlockSizeUser,
    InnerIvInit, KeyInit,
};
use aes::{Aes128, Aes192, Aes256};
use ikebana_proposals::{Encryption, EncryptionId};

use crate::cbc::CbcCipher;
use crate::packet::CipherError;

/// A block cipher that is to be used in CBC mode.
pub(super) struct Cbc<C>(pub(super) C);

/// `None` if this is no CBC cipher, is not implemented, or the key has the wrong length.
pub(super) fn new(encryption: Encryption, key: &[u8]) -> Option<Box<dyn CbcCipher>> {
    use EncryptionId as Id;
    match (encryption.id, encryption.key_bits) {
        (Id::AES_CBC, 128) => Some(Box::new(Cbc(Aes128::new_from_slice(key).ok()?))),
        (Id::AES_CBC, 192) => Some(Box::new(Cbc(Aes192::new_from_slice(key).ok()?))),
        (Id::AES_CBC, 256) => Some(Box::new(Cbc(Aes256::new_from_slice(key).ok()?))),
        #[cfg(feature = "legacy")]
        (Id::TRIPLE_DES, 0) => Some(Box::new(Cbc(des::TdesEde3::new_from_slice(key).ok()?))),
        _ => None,
    }
}

impl<C> CbcCipher for Cbc<C>
where
    C: BlockCipherEncrypt + BlockCipherDecrypt + BlockSizeUser + Send + Sync,
{
    fn block_len(&self) -> usize {
        C::block_size()
    }

    fn encrypt(&self, iv: &[u8], text: &mut [u8]) -> Result<(), CipherError> {
        let mut mode = cbc::Encryptor::inner_iv_slice_init(&self.0, iv).map_err(|_| CipherError::Layout)?;
        mode.encrypt_blocks(blocks::<C>(text)?);
        Ok(())
    }

    fn decrypt(&self, iv: &[u8], text: &mut [u8]) -> Result<(), CipherError> {
        let mut mode = cbc::Decryptor::inner_iv_slice_init(&self.0, iv).map_err(|_| CipherError::Layout)?;
        mode.decrypt_blocks(blocks::<C>(text)?);
        Ok(())
    }
}

fn blocks<C: BlockSizeUser>(text: &mut [u8]) -> Result<&mut [Block<C>], CipherError> {
    let (blocks, rest) = Block::<C>::slice_as_chunks_mut(text);
    if rest.is_empty() { Ok(blocks) } else { Err(CipherError::Alignment { block_len: C::block_size() }) }
}
