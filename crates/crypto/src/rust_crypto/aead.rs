//! Combined modes: AES-GCM (RFC 4106), AES-CCM (RFC 4309) and ChaCha20-Poly1305 (RFC 7634), their use in IKE
//! (RFC 5282, RFC 7634 3), and in ESP without an IV on the wire (RFC 8750).

use alloc::boxed::Box;

use aes_gcm::aead::array::typenum::Unsigned;
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut, KeyInit, Nonce, Tag};
use ikebana_proposals::EncryptionId;
use zeroize::Zeroizing;

use crate::packet::{CipherError, CipherShape, Frame, IvRule, PacketCipher, Parts, with_associated_data};

const IV_LEN: usize = 8;

pub(super) fn is_implemented(id: EncryptionId) -> bool {
    matches!(
        id,
        EncryptionId::AES_GCM_8
            | EncryptionId::AES_GCM_12
            | EncryptionId::AES_GCM_16
            | EncryptionId::AES_CCM_8
            | EncryptionId::AES_CCM_12
            | EncryptionId::AES_CCM_16
            | EncryptionId::CHACHA20_POLY1305
            | EncryptionId::AES_CCM_8_IIV
            | EncryptionId::AES_GCM_16_IIV
            | EncryptionId::CHACHA20_POLY1305_IIV
    )
}

/// A combined mode with a salt of `SALT` octets in front of the IV.
struct Aead<A, const SALT: usize> {
    aead: A,
    salt: Zeroizing<[u8; SALT]>,
    /// Whether the IV is sent.
    explicit_iv: bool,
}

/// `key` is the encryption key with the salt behind it; `None` if its length is wrong.
pub(super) fn new<A, const SALT: usize>(id: EncryptionId, key: &[u8]) -> Option<Box<dyn PacketCipher>>
where
    A: AeadInOut + KeyInit + Send + Sync + 'static,
{
    let (key, salt) = key.split_last_chunk::<SALT>()?;
    let aead = A::new_from_slice(key).ok()?;
    Some(Box::new(Aead { aead, salt: Zeroizing::new(*salt), explicit_iv: !id.has_implicit_iv() }))
}

impl<A: AeadInOut, const SALT: usize> Aead<A, SALT> {
    fn nonce(&self, iv: [u8; IV_LEN]) -> Nonce<A> {
        let mut nonce = Nonce::<A>::default();
        for (octet, &value) in nonce.iter_mut().zip(self.salt.iter().chain(&iv)) {
            *octet = value;
        }
        nonce
    }
}

impl<A, const SALT: usize> PacketCipher for Aead<A, SALT>
where
    A: AeadInOut + Send + Sync,
{
    fn shape(&self) -> CipherShape {
        let (iv_len, iv) = if self.explicit_iv { (IV_LEN, IvRule::Counter) } else { (0, IvRule::None) };
        CipherShape { iv_len, icv_len: A::TagSize::USIZE, block_len: 1, iv }
    }

    fn seal(&self, frame: Frame<'_>) -> Result<(), CipherError> {
        let parts = frame.split(self.shape())?;
        let nonce = self.nonce(parts.nonce_iv()?);
        let Parts { header, text, icv, esn_high, .. } = parts;
        let tag = with_associated_data(header, esn_high, |associated| {
            self.aead
                .encrypt_inout_detached(&nonce, associated, InOutBuf::from(text))
                .map_err(|_| CipherError::Layout)
        })??;
        icv.copy_from_slice(&tag);
        Ok(())
    }

    fn open(&self, frame: Frame<'_>) -> Result<(), CipherError> {
        let parts = frame.split(self.shape())?;
        let nonce = self.nonce(parts.nonce_iv()?);
        let Parts { header, text, icv, esn_high, .. } = parts;
        let tag = Tag::<A>::try_from(&*icv).map_err(|_| CipherError::Layout)?;
        with_associated_data(header, esn_high, |associated| {
            self.aead
                .decrypt_inout_detached(&nonce, associated, InOutBuf::from(text), &tag)
                .map_err(|_| CipherError::Forged)
        })?
    }
}
