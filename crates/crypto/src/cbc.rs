//! A block cipher in CBC mode and nothing around it, as IKEv1 encrypts its messages (RFC 2409 appendix B).

use crate::packet::CipherError;

/// Encrypts and decrypts whole blocks in place. There is no padding and no integrity: what decrypts without
/// an error may still be garbage.
pub trait CbcCipher: Send + Sync {
    /// Octets of a block, and of the IV.
    fn block_len(&self) -> usize;

    /// Encrypts `text`.
    ///
    /// # Errors
    /// [`CipherError::Alignment`] if `text` is no multiple of the block, [`CipherError::Layout`] if `iv` is no
    /// block. The text is unchanged then.
    fn encrypt(&self, iv: &[u8], text: &mut [u8]) -> Result<(), CipherError>;

    /// Decrypts `text`.
    ///
    /// # Errors
    /// As [`CbcCipher::encrypt`].
    fn decrypt(&self, iv: &[u8], text: &mut [u8]) -> Result<(), CipherError>;
}
