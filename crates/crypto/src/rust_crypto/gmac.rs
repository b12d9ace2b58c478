//! ENCR_NULL_AUTH_AES_GMAC (RFC 4543): the packet stays readable, its ICV is GMAC over header, IV and text.

use alloc::boxed::Box;

use aes::cipher::{Block, BlockCipherEncrypt, BlockSizeUser, KeyInit, consts::U16};
use aes_gcm::aead::array::Array;
use ghash::GHash;
use ghash::universal_hash::UniversalHash;
use ikebana_proposals::EncryptionId;
use zeroize::Zeroizing;

use crate::hash::ct_eq;
use crate::packet::{CipherError, CipherShape, Frame, IvRule, PacketCipher};

const SHAPE: CipherShape = CipherShape { iv_len: 8, icv_len: 16, block_len: 1, iv: IvRule::Counter };

pub(super) fn is_implemented(id: EncryptionId) -> bool {
    id == EncryptionId::NULL_AUTH_AES_GMAC
}

struct Gmac<C> {
    cipher: C,
    hash: GHash,
    salt: Zeroizing<[u8; 4]>,
}

/// `key` is the encryption key with the salt behind it; `None` if its length is wrong.
pub(super) fn new<C>(key: &[u8]) -> Option<Box<dyn PacketCipher>>
where
    C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + KeyInit + Send + Sync + 'static,
{
    let (key, salt) = key.split_last_chunk()?;
    let cipher = C::new_from_slice(key).ok()?;
    // SP 800-38D 7.1: the hash's key is the encrypted zero block.
    let mut zero = Block::<C>::default();
    cipher.encrypt_block(&mut zero);
    let zero: Zeroizing<[u8; 16]> = Zeroizing::new(zero.into());
    let hash = GHash::new((&*zero).into());
    Some(Box::new(Gmac { cipher, hash, salt: Zeroizing::new(*salt) }))
}

impl<C> Gmac<C>
where
    C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>,
{
    /// The right ICV, and the one that is there. RFC 4543 3: the associated data are SPI, high half of an ESN,
    /// sequence number, IV and text; there is nothing to encrypt.
    fn icv<'a>(&self, mut frame: Frame<'a>) -> Result<([u8; 16], &'a mut [u8]), CipherError> {
        let iv = frame.reborrow().split(SHAPE)?.nonce_iv()?;
        let (mut right, icv) =
            frame.authenticated(SHAPE, |front, rest| hash(self.hash.clone(), [front, rest]))?;

        let mut mask = Block::<C>::default();
        let start = self.salt.iter().chain(&iv).chain(&[0, 0, 0, 1]);
        for (octet, &value) in mask.iter_mut().zip(start) {
            *octet = value;
        }
        self.cipher.encrypt_block(&mut mask);
        for (octet, &mask) in right.iter_mut().zip(mask.iter()) {
            *octet ^= mask;
        }
        Ok((right, icv))
    }
}

/// The hash over the concatenation of `parts` and its length.
fn hash(mut hash: GHash, parts: [&[u8]; 2]) -> [u8; 16] {
    let (mut pending, mut filled, mut total) = ([0; 16], 0_usize, 0_usize);
    for part in parts {
        total = total.saturating_add(part.len());
        let (head, part) =
            part.split_at(if filled == 0 { 0 } else { part.len().min(16_usize.saturating_sub(filled)) });
        for (octet, &value) in pending.iter_mut().skip(filled).zip(head) {
            *octet = value;
        }
        filled = filled.saturating_add(head.len());
        if filled == 16 {
            hash.update(&[pending.into()]);
            filled = 0;
        }
        if filled == 0 {
            let (blocks, rest) = Array::<u8, U16>::slice_as_chunks(part);
            hash.update(blocks);
            for (octet, &value) in pending.iter_mut().zip(rest) {
                *octet = value;
            }
            filled = rest.len();
        }
    }
    hash.update_padded(pending.get(..filled).unwrap_or_default());
    // SP 800-38D 7.1: bits of associated data, and none of text.
    let bits = u64::try_from(total).unwrap_or(u64::MAX).saturating_mul(8);
    hash.update(&[(u128::from(bits) << 64).to_be_bytes().into()]);
    hash.finalize().into()
}

impl<C> PacketCipher for Gmac<C>
where
    C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + Send + Sync,
{
    fn shape(&self) -> CipherShape {
        SHAPE
    }

    fn seal(&self, frame: Frame<'_>) -> Result<(), CipherError> {
        let (right, icv) = self.icv(frame)?;
        icv.copy_from_slice(&right);
        Ok(())
    }

    fn open(&self, frame: Frame<'_>) -> Result<(), CipherError> {
        let (right, icv) = self.icv(frame)?;
        if ct_eq(&right, icv) { Ok(()) } else { Err(CipherError::Forged) }
    }
}
