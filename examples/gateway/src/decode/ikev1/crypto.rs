//! The encryption of IKEv1 messages (RFC 2409 appendix B).

use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockModeDecrypt, KeyIvInit};
use ikebana_core::Secret;
use ikebana_ikev1::wire::SaPayload;
use ikebana_proposals::ikev1::phase1::{Attribute, Encryption, Hash};
use md5::Digest;

/// What was chosen in phase 1, as far as decrypting needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Algorithms {
    encryption: Encryption,
    hash: Hash,
}

impl Algorithms {
    /// The algorithms of the one transform in a responder's SA payload.
    pub(super) fn chosen(sa: &SaPayload) -> Option<Self> {
        let [proposal] = sa.proposals.as_slice() else { return None };
        let [transform] = proposal.transforms.as_slice() else { return None };
        let value = |kind: Attribute| u16::try_from(transform.attribute(kind.0)?.number()?).ok();
        Some(Self {
            encryption: Encryption(value(Attribute::ENCRYPTION_ALGORITHM)?),
            hash: Hash(value(Attribute::HASH_ALGORITHM)?),
        })
    }

    /// Octets of a block, zero for ciphers that are not implemented.
    const fn block_len(self) -> usize {
        match self.encryption {
            Encryption::AES_CBC => 16,
            Encryption::TRIPLE_DES_CBC | Encryption::DES_CBC => 8,
            Encryption(_) => 0,
        }
    }

    /// An initialization vector: the beginning of a hash over `parts`.
    pub(super) fn vector(self, parts: &[&[u8]]) -> Vec<u8> {
        let mut vector = match self.hash {
            Hash::MD5 => hash::<md5::Md5>(parts),
            Hash::SHA => hash::<sha1::Sha1>(parts),
            Hash::SHA2_256 => hash::<sha2::Sha256>(parts),
            Hash::SHA2_384 => hash::<sha2::Sha384>(parts),
            Hash::SHA2_512 => hash::<sha2::Sha512>(parts),
            Hash(_) => Vec::new(),
        };
        vector.truncate(self.block_len());
        vector
    }

    /// Decrypts, and says what the next initialization vector is; `None` if a length is wrong or an algorithm
    /// not implemented.
    pub(super) fn decrypt(
        self,
        key: &Secret,
        vector: &[u8],
        ciphertext: &[u8],
    ) -> Option<(Vec<u8>, Vec<u8>)> {
        let next = ciphertext.rchunks(self.block_len().max(1)).next()?.to_vec();
        if next.len() != self.block_len() {
            return None;
        }
        let key = key.expose();
        let text = match (self.encryption, key.len()) {
            (Encryption::AES_CBC, 16) => cbc::<aes::Aes128>(key, vector, ciphertext),
            (Encryption::AES_CBC, 24) => cbc::<aes::Aes192>(key, vector, ciphertext),
            (Encryption::AES_CBC, 32) => cbc::<aes::Aes256>(key, vector, ciphertext),
            (Encryption::TRIPLE_DES_CBC, 24) => cbc::<des::TdesEde3>(key, vector, ciphertext),
            (Encryption::DES_CBC, 8) => cbc::<des::Des>(key, vector, ciphertext),
            _ => None,
        }?;
        Some((text, next))
    }
}

fn hash<D: Digest>(parts: &[&[u8]]) -> Vec<u8> {
    let mut digest = D::new();
    parts.iter().for_each(|part| digest.update(part));
    digest.finalize().to_vec()
}

fn cbc<C>(key: &[u8], vector: &[u8], ciphertext: &[u8]) -> Option<Vec<u8>>
where
    cbc::Decryptor<C>: KeyIvInit + BlockModeDecrypt,
    C: aes::cipher::BlockCipherDecrypt,
{
    let cipher = cbc::Decryptor::<C>::new_from_slices(key, vector).ok()?;
    cipher.decrypt_padded_vec::<NoPadding>(ciphertext).ok()
}
