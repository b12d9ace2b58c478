//! Combined modes: AES-GCM (RFC 4106), AES-GMAC (RFC 4543) and ChaCha20-Poly1305 (RFC 7634), the first and the last
//! also without an IV on the wire (RFC 8750).

use alloc::boxed::Box;
use core::hint;

use ikebana_proposals::{Encryption, EncryptionId};
use zeroize::Zeroizing;

use crate::hash::ct_eq;
use crate::packet::{CipherError, CipherShape, Frame, IvRule, PacketCipher, Parts, with_associated_data};
use crate::simd::chacha20poly1305::ChaChaKey;
use crate::simd::gcm::GcmKey;
use crate::simd::{Avx2, Level, Tier};

/// Octets of salt in front of the IV in a nonce.
const SALT: usize = 4;
/// Octets of a nonce.
const NONCE: usize = 12;
/// Octets of a tag before it is truncated.
const TAG: usize = 16;

pub(super) fn is_implemented(level: Level, id: EncryptionId) -> bool {
    let chacha = [EncryptionId::CHACHA20_POLY1305, EncryptionId::CHACHA20_POLY1305_IIV];
    let gcm = [
        EncryptionId::AES_GCM_8,
        EncryptionId::AES_GCM_12,
        EncryptionId::AES_GCM_16,
        EncryptionId::AES_GCM_16_IIV,
        EncryptionId::NULL_AUTH_AES_GMAC,
    ];
    chacha.contains(&id) || level != Level::Vectors && gcm.contains(&id)
}

/// `key` is the encryption key with the salt behind it; `None` if its length is wrong.
pub(super) fn new(level: Level, encryption: Encryption, key: &[u8]) -> Option<Box<dyn PacketCipher>> {
    let (key, salt) = key.split_last_chunk::<SALT>()?;
    let id = encryption.id;
    let iv = if id.has_implicit_iv() { IvRule::None } else { IvRule::Counter };
    let shape = CipherShape { iv_len: id.iv_len(), icv_len: id.icv_len(), block_len: 1, iv };
    let salt = Zeroizing::new(*salt);
    Some(match id {
        EncryptionId::CHACHA20_POLY1305 | EncryptionId::CHACHA20_POLY1305_IIV => {
            let key = ChaChaKey::new(Avx2::new()?, key.try_into().ok()?);
            Box::new(Combined { key, salt, shape })
        }
        EncryptionId::NULL_AUTH_AES_GMAC => {
            Box::new(Gmac { key: GcmKey::new(Tier::of(level)?, key)?, salt, shape })
        }
        _ => Box::new(Combined { key: GcmKey::new(Tier::of(level)?, key)?, salt, shape }),
    })
}

/// A combined mode with its key.
trait Aead: Send + Sync {
    /// Encrypts in place and returns the tag; `None` if the text is too long for one nonce.
    fn seal(&self, nonce: &[u8; NONCE], associated: &[u8], text: &mut [u8]) -> Option<[u8; TAG]>;

    /// Decrypts in place and returns the tag that the text should have; `None` if it is too long for one nonce.
    fn open(&self, nonce: &[u8; NONCE], associated: &[u8], text: &mut [u8]) -> Option<[u8; TAG]>;
}

impl Aead for GcmKey {
    fn seal(&self, nonce: &[u8; NONCE], associated: &[u8], text: &mut [u8]) -> Option<[u8; TAG]> {
        GcmKey::seal(self, nonce, associated, text)
    }

    fn open(&self, nonce: &[u8; NONCE], associated: &[u8], text: &mut [u8]) -> Option<[u8; TAG]> {
        GcmKey::open(self, nonce, associated, text)
    }
}

impl Aead for ChaChaKey {
    fn seal(&self, nonce: &[u8; NONCE], associated: &[u8], text: &mut [u8]) -> Option<[u8; TAG]> {
        ChaChaKey::seal(self, nonce, associated, text)
    }

    fn open(&self, nonce: &[u8; NONCE], associated: &[u8], text: &mut [u8]) -> Option<[u8; TAG]> {
        ChaChaKey::open(self, nonce, associated, text)
    }
}

/// Whether the tag begins with `icv`, in constant time.
fn begins_with(tag: &[u8; TAG], icv: &[u8]) -> bool {
    match <&[u8; TAG]>::try_from(icv) {
        // Nearly always, and much faster in one piece; the compiler must not look into it octet by octet.
        Ok(icv) => hint::black_box(u128::from_le_bytes(*tag) ^ u128::from_le_bytes(*icv)) == 0,
        Err(_) => tag.get(..icv.len()).is_some_and(|tag| ct_eq(tag, icv)),
    }
}

/// The salt and 8 octets of IV.
fn nonce(salt: &[u8; SALT], iv: [u8; NONCE - SALT]) -> [u8; NONCE] {
    let mut nonce = [0; NONCE];
    let (front, back) = nonce.split_at_mut(SALT);
    front.copy_from_slice(salt);
    back.copy_from_slice(&iv);
    nonce
}

struct Combined<A> {
    key: A,
    salt: Zeroizing<[u8; SALT]>,
    shape: CipherShape,
}

impl<A: Aead> PacketCipher for Combined<A> {
    fn shape(&self) -> CipherShape {
        self.shape
    }

    fn seal(&self, frame: Frame<'_>) -> Result<(), CipherError> {
        let parts = frame.split(self.shape)?;
        let nonce = nonce(&self.salt, parts.nonce_iv()?);
        let Parts { header, text, icv, esn_high, .. } = parts;
        let tag =
            with_associated_data(header, esn_high, |associated| self.key.seal(&nonce, associated, text))?;
        let tag = tag.ok_or(CipherError::Layout)?;
        icv.copy_from_slice(tag.get(..icv.len()).ok_or(CipherError::Layout)?);
        Ok(())
    }

    fn open(&self, frame: Frame<'_>) -> Result<(), CipherError> {
        let parts = frame.split(self.shape)?;
        let nonce = nonce(&self.salt, parts.nonce_iv()?);
        let Parts { header, text, icv, esn_high, .. } = parts;
        let tag =
            with_associated_data(header, esn_high, |associated| self.key.open(&nonce, associated, text))?;
        if tag.is_some_and(|tag| begins_with(&tag, icv)) {
            return Ok(());
        }
        // To authenticate and decrypt at once is faster than one after the other, so a forgery is noticed too late.
        text.fill(0);
        Err(CipherError::Forged)
    }
}

/// RFC 4543: the text is not encrypted, but authenticated as the header is.
struct Gmac {
    key: GcmKey,
    salt: Zeroizing<[u8; SALT]>,
    shape: CipherShape,
}

impl Gmac {
    /// The right ICV, and the one that is there.
    fn icv<'a>(&self, mut frame: Frame<'a>) -> Result<([u8; TAG], &'a mut [u8]), CipherError> {
        let nonce = nonce(&self.salt, frame.reborrow().split(self.shape)?.nonce_iv()?);
        frame.authenticated(self.shape, |front, rest| self.key.authenticate(&nonce, front, rest))
    }
}

impl PacketCipher for Gmac {
    fn shape(&self) -> CipherShape {
        self.shape
    }

    fn seal(&self, frame: Frame<'_>) -> Result<(), CipherError> {
        let (right, icv) = self.icv(frame)?;
        icv.copy_from_slice(&right);
        Ok(())
    }

    fn open(&self, frame: Frame<'_>) -> Result<(), CipherError> {
        let (right, icv) = self.icv(frame)?;
        if begins_with(&right, icv) { Ok(()) } else { Err(CipherError::Forged) }
    }
}
