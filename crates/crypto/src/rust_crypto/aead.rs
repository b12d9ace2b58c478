//! Combined modes: AES-GCM (RFC 4106), AES-CCM (RFC 4309) and ChaCha20-Poly1305 (RFC 7634), and their use in
//! IKE (RFC 5282, RFC 7634 3).

use alloc::boxed::Box;

use aes_gcm::aead::array::typenum::Unsigned;
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut, KeyInit, Nonce, Tag};
use ikebana_proposals::EncryptionId;
use zeroize::Zeroizing;

use crate::packet::{CipherError, CipherShape, Frame, IvRule, PacketCipher, Parts};

const IV_LEN: usize = 8;
/// The longest header that can be authenticated together with an extended sequence number. ESP's has 8.
const MAX_ESN_HEADER: usize = 60;

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
    )
}

/// A combined mode with a salt of `SALT` octets in front of the IV.
struct Aead<A, const SALT: usize> {
    aead: A,
    salt: Zeroizing<[u8; SALT]>,
}

/// `key` is the encryption key with the salt behind it; `None` if its length is wrong.
pub(super) fn new<A, const SALT: usize>(key: &[u8]) -> Option<Box<dyn PacketCipher>>
where
    A: AeadInOut + KeyInit + Send + Sync + 'static,
{
    let (key, salt) = key.split_last_chunk::<SALT>()?;
    let aead = A::new_from_slice(key).ok()?;
    Some(Box::new(Aead { aead, salt: Zeroizing::new(*salt) }))
}

impl<A: AeadInOut, const SALT: usize> Aead<A, SALT> {
    fn nonce(&self, iv: &[u8]) -> Nonce<A> {
        let mut nonce = Nonce::<A>::default();
        for (octet, &value) in nonce.iter_mut().zip(self.salt.iter().chain(iv)) {
            *octet = value;
        }
        nonce
    }
}

/// Calls `with` with the header, in which an ESN's high half stands after the SPI (RFC 4106 5).
fn with_associated_data<R>(
    header: &[u8],
    esn_high: Option<[u8; 4]>,
    with: impl FnOnce(&[u8]) -> Result<R, CipherError>,
) -> Result<R, CipherError> {
    let Some(esn_high) = esn_high else { return with(header) };
    let mut joined = [0; MAX_ESN_HEADER + 4];
    let (spi, rest) = header.split_at_checked(4).ok_or(CipherError::Layout)?;
    let total = header.len().checked_add(4).ok_or(CipherError::Layout)?;
    let joined = joined.get_mut(..total).ok_or(CipherError::Layout)?;
    for (octet, &value) in joined.iter_mut().zip(spi.iter().chain(&esn_high).chain(rest)) {
        *octet = value;
    }
    with(joined)
}

impl<A, const SALT: usize> PacketCipher for Aead<A, SALT>
where
    A: AeadInOut + Send + Sync,
{
    fn shape(&self) -> CipherShape {
        CipherShape { iv_len: IV_LEN, icv_len: A::TagSize::USIZE, block_len: 1, iv: IvRule::Counter }
    }

    fn seal(&self, frame: Frame<'_>) -> Result<(), CipherError> {
        let Parts { header, iv, text, icv, esn_high } = frame.split(self.shape())?;
        let nonce = self.nonce(iv);
        let tag = with_associated_data(header, esn_high, |associated| {
            self.aead
                .encrypt_inout_detached(&nonce, associated, InOutBuf::from(text))
                .map_err(|_| CipherError::Layout)
        })?;
        icv.copy_from_slice(&tag);
        Ok(())
    }

    fn open(&self, frame: Frame<'_>) -> Result<(), CipherError> {
        let Parts { header, iv, text, icv, esn_high } = frame.split(self.shape())?;
        let nonce = self.nonce(iv);
        let tag = Tag::<A>::try_from(&*icv).map_err(|_| CipherError::Layout)?;
        with_associated_data(header, esn_high, |associated| {
            self.aead
                .decrypt_inout_detached(&nonce, associated, InOutBuf::from(text), &tag)
                .map_err(|_| CipherError::Forged)
        })
    }
}
