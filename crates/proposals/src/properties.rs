//! What the algorithms are, apart from their numbers. All lengths are octets unless a name says bits.

use core::fmt;

use crate::keywords;
use crate::registries::{EncryptionId, IntegrityId, KeyExchangeId, PrfId};

/// Which key lengths an encryption algorithm has, and whether the length is negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyLengths {
    /// There is no key.
    Keyless,
    /// One length in bits, never stated on the wire (RFC 7296 3.3.5).
    Fixed(u16),
    /// One of these lengths in bits, always stated on the wire.
    OneOf(&'static [u16]),
    /// Any multiple of 8 bits in this range, always stated on the wire.
    Range {
        /// The shortest, in bits.
        min: u16,
        /// The longest, in bits.
        max: u16,
    },
    /// Nothing is known about this algorithm.
    Unknown,
}

impl KeyLengths {
    /// Whether a transform with this algorithm carries the Key Length attribute.
    #[must_use]
    pub const fn is_negotiated(self) -> bool {
        match self {
            Self::OneOf(_) | Self::Range { .. } => true,
            Self::Keyless | Self::Fixed(_) | Self::Unknown => false,
        }
    }

    /// Whether `attribute` (the Key Length attribute's value, if there is one) is right for the algorithm.
    #[must_use]
    pub fn allows(self, attribute: Option<u16>) -> bool {
        match (self, attribute) {
            (Self::Keyless | Self::Fixed(_), None) => true,
            (Self::OneOf(lengths), Some(bits)) => lengths.contains(&bits),
            (Self::Range { min, max }, Some(bits)) => {
                (min..=max).contains(&bits) && bits.checked_rem(8) == Some(0)
            }
            (Self::Keyless | Self::Fixed(_), Some(_))
            | (Self::OneOf(_) | Self::Range { .. }, None)
            | (Self::Unknown, _) => false,
        }
    }
}

const AES_LENGTHS: KeyLengths = KeyLengths::OneOf(&[128, 192, 256]);

impl EncryptionId {
    /// Whether the algorithm protects integrity too, so that no integrity algorithm may stand beside it.
    #[must_use]
    pub const fn is_aead(self) -> bool {
        matches!(
            self,
            Self::AES_CCM_8
                | Self::AES_CCM_12
                | Self::AES_CCM_16
                | Self::AES_GCM_8
                | Self::AES_GCM_12
                | Self::AES_GCM_16
                | Self::NULL_AUTH_AES_GMAC
                | Self::CAMELLIA_CCM_8
                | Self::CAMELLIA_CCM_12
                | Self::CAMELLIA_CCM_16
                | Self::CHACHA20_POLY1305
                | Self::AES_CCM_8_IIV
                | Self::AES_GCM_16_IIV
                | Self::CHACHA20_POLY1305_IIV
                | Self::KUZNYECHIK_MGM_KTREE
                | Self::MAGMA_MGM_KTREE
                | Self::KUZNYECHIK_MGM_MAC_KTREE
                | Self::MAGMA_MGM_MAC_KTREE
        )
    }

    /// Whether the payload stays readable.
    #[must_use]
    pub const fn is_integrity_only(self) -> bool {
        matches!(
            self,
            Self::NULL
                | Self::NULL_AUTH_AES_GMAC
                | Self::KUZNYECHIK_MGM_MAC_KTREE
                | Self::MAGMA_MGM_MAC_KTREE
        )
    }

    /// Whether the IV is not sent but taken from ESP's sequence number (RFC 8750).
    #[must_use]
    pub const fn has_implicit_iv(self) -> bool {
        matches!(self, Self::AES_CCM_8_IIV | Self::AES_GCM_16_IIV | Self::CHACHA20_POLY1305_IIV)
    }

    /// Whether the algorithm may protect IKE messages: not if it leaves them readable (RFC 7296 3.3.2), and not if
    /// its IV is a sequence number, which they do not have (RFC 8750 5).
    #[must_use]
    pub const fn is_for_ike(self) -> bool {
        !self.is_integrity_only() && !self.has_implicit_iv()
    }

    /// The key lengths the algorithm has, without salt.
    #[must_use]
    pub const fn key_bits_required(self) -> KeyLengths {
        match self {
            Self::NULL => KeyLengths::Keyless,
            Self::DES_IV64 | Self::DES | Self::DES_IV32 => KeyLengths::Fixed(64),
            Self::TRIPLE_DES => KeyLengths::Fixed(192),
            Self::IDEA => KeyLengths::Fixed(128),
            Self::RC5 => KeyLengths::Range { min: 40, max: 2040 },
            Self::CAST => KeyLengths::Range { min: 40, max: 128 },
            Self::BLOWFISH => KeyLengths::Range { min: 40, max: 448 },
            Self::CHACHA20_POLY1305
            | Self::CHACHA20_POLY1305_IIV
            | Self::KUZNYECHIK_MGM_KTREE
            | Self::MAGMA_MGM_KTREE
            | Self::KUZNYECHIK_MGM_MAC_KTREE
            | Self::MAGMA_MGM_MAC_KTREE => KeyLengths::Fixed(256),
            Self::AES_CBC
            | Self::AES_CTR
            | Self::AES_CCM_8
            | Self::AES_CCM_12
            | Self::AES_CCM_16
            | Self::AES_GCM_8
            | Self::AES_GCM_12
            | Self::AES_GCM_16
            | Self::NULL_AUTH_AES_GMAC
            | Self::CAMELLIA_CBC
            | Self::CAMELLIA_CTR
            | Self::CAMELLIA_CCM_8
            | Self::CAMELLIA_CCM_12
            | Self::CAMELLIA_CCM_16
            | Self::AES_CCM_8_IIV
            | Self::AES_GCM_16_IIV => AES_LENGTHS,
            Self(_) => KeyLengths::Unknown,
        }
    }

    /// The ICV that a combined mode appends; 0 for the others.
    #[must_use]
    pub const fn icv_len(self) -> usize {
        match self {
            Self::AES_CCM_8
            | Self::AES_GCM_8
            | Self::CAMELLIA_CCM_8
            | Self::AES_CCM_8_IIV
            | Self::MAGMA_MGM_KTREE
            | Self::MAGMA_MGM_MAC_KTREE => 8,
            Self::AES_CCM_12
            | Self::AES_GCM_12
            | Self::CAMELLIA_CCM_12
            | Self::KUZNYECHIK_MGM_KTREE
            | Self::KUZNYECHIK_MGM_MAC_KTREE => 12,
            Self::AES_CCM_16
            | Self::AES_GCM_16
            | Self::NULL_AUTH_AES_GMAC
            | Self::CAMELLIA_CCM_16
            | Self::CHACHA20_POLY1305
            | Self::AES_GCM_16_IIV
            | Self::CHACHA20_POLY1305_IIV => 16,
            Self(_) => 0,
        }
    }

    /// The IV in front of the encrypted text; 0 where it is implicit or absent.
    #[must_use]
    pub const fn iv_len(self) -> usize {
        match self {
            Self::AES_CBC | Self::CAMELLIA_CBC => 16,
            Self::DES_IV64
            | Self::DES
            | Self::TRIPLE_DES
            | Self::RC5
            | Self::IDEA
            | Self::CAST
            | Self::BLOWFISH
            | Self::TRIPLE_IDEA
            | Self::AES_CTR
            | Self::AES_CCM_8
            | Self::AES_CCM_12
            | Self::AES_CCM_16
            | Self::AES_GCM_8
            | Self::AES_GCM_12
            | Self::AES_GCM_16
            | Self::NULL_AUTH_AES_GMAC
            | Self::CAMELLIA_CTR
            | Self::CAMELLIA_CCM_8
            | Self::CAMELLIA_CCM_12
            | Self::CAMELLIA_CCM_16
            | Self::CHACHA20_POLY1305
            | Self::KUZNYECHIK_MGM_KTREE
            | Self::MAGMA_MGM_KTREE
            | Self::KUZNYECHIK_MGM_MAC_KTREE
            | Self::MAGMA_MGM_MAC_KTREE => 8,
            Self::DES_IV32 => 4,
            Self(_) => 0,
        }
    }

    /// The length that text must be a multiple of; 1 for everything but block modes.
    #[must_use]
    pub const fn block_len(self) -> usize {
        match self {
            Self::AES_CBC | Self::CAMELLIA_CBC => 16,
            Self::DES_IV64
            | Self::DES
            | Self::TRIPLE_DES
            | Self::RC5
            | Self::IDEA
            | Self::CAST
            | Self::BLOWFISH
            | Self::TRIPLE_IDEA
            | Self::DES_IV32 => 8,
            Self(_) => 1,
        }
    }

    /// The salt that follows the key in the keying material (RFC 4106 8.1, RFC 4309 7.1, RFC 3686 5.1, ...).
    #[must_use]
    pub const fn salt_len(self) -> usize {
        match self {
            Self::AES_CCM_8
            | Self::AES_CCM_12
            | Self::AES_CCM_16
            | Self::CAMELLIA_CCM_8
            | Self::CAMELLIA_CCM_12
            | Self::CAMELLIA_CCM_16
            | Self::AES_CCM_8_IIV => 3,
            Self::AES_CTR
            | Self::CAMELLIA_CTR
            | Self::AES_GCM_8
            | Self::AES_GCM_12
            | Self::AES_GCM_16
            | Self::NULL_AUTH_AES_GMAC
            | Self::AES_GCM_16_IIV
            | Self::CHACHA20_POLY1305
            | Self::CHACHA20_POLY1305_IIV
            | Self::MAGMA_MGM_KTREE
            | Self::MAGMA_MGM_MAC_KTREE => 4,
            Self::KUZNYECHIK_MGM_KTREE | Self::KUZNYECHIK_MGM_MAC_KTREE => 12,
            Self(_) => 0,
        }
    }
}

/// An encryption algorithm with its key length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Encryption {
    /// The algorithm.
    pub id: EncryptionId,
    /// The Key Length attribute in bits, or 0 where the algorithm has one length (or none) and none is sent.
    pub key_bits: u16,
}

impl Encryption {
    /// `id` with a key of `key_bits`, or 0 where no length is negotiated.
    #[must_use]
    pub const fn new(id: EncryptionId, key_bits: u16) -> Self {
        Self { id, key_bits }
    }

    /// Reads what a transform says, or `None` if its key length attribute is wrong for the algorithm.
    #[must_use]
    pub fn from_transform(id: EncryptionId, attribute: Option<u16>) -> Option<Self> {
        id.key_bits_required()
            .allows(attribute)
            .then_some(Self { id, key_bits: attribute.unwrap_or_default() })
    }

    /// The Key Length attribute's value, where one is sent.
    #[must_use]
    pub const fn attribute(self) -> Option<u16> {
        match self.key_bits {
            0 => None,
            bits => Some(bits),
        }
    }

    /// Whether the algorithm protects integrity too.
    #[must_use]
    pub const fn is_aead(self) -> bool {
        self.id.is_aead()
    }

    /// The key's length in octets, without salt; `None` if the algorithm or the length is unknown.
    #[must_use]
    pub fn key_len(self) -> Option<usize> {
        let lengths = self.id.key_bits_required();
        if !lengths.allows(self.attribute()) {
            return None;
        }
        match lengths {
            KeyLengths::Keyless => Some(0),
            KeyLengths::Fixed(bits) => Some(usize::from(bits / 8)),
            KeyLengths::OneOf(_) | KeyLengths::Range { .. } => Some(usize::from(self.key_bits / 8)),
            KeyLengths::Unknown => None,
        }
    }
}

impl fmt::Display for Encryption {
    /// Prints the keyword, or the registry's name and the length where there is no keyword.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match keywords::of_encryption(*self) {
            Some(keyword) => f.pad(keyword),
            None if self.id.name().is_none() => write!(f, "ENCR_{}_{}", self.id.0, self.key_bits),
            None if self.key_bits == 0 => write!(f, "{}", self.id),
            None => write!(f, "{}_{}", self.id, self.key_bits),
        }
    }
}

impl IntegrityId {
    /// The truncated MAC on the wire; 0 if unknown or none.
    #[must_use]
    pub const fn icv_len(self) -> usize {
        match self {
            Self::DES_MAC => 8,
            Self::HMAC_MD5_96 | Self::HMAC_SHA1_96 | Self::AES_XCBC_96 | Self::AES_CMAC_96 => 12,
            Self::KPDK_MD5
            | Self::HMAC_MD5_128
            | Self::AES_128_GMAC
            | Self::AES_192_GMAC
            | Self::AES_256_GMAC
            | Self::HMAC_SHA2_256_128 => 16,
            Self::HMAC_SHA1_160 => 20,
            Self::HMAC_SHA2_384_192 => 24,
            Self::HMAC_SHA2_512_256 => 32,
            Self(_) => 0,
        }
    }

    /// The key, with salt for GMAC; 0 if unknown or none.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::DES_MAC => 8,
            Self::HMAC_MD5_96
            | Self::KPDK_MD5
            | Self::HMAC_MD5_128
            | Self::AES_XCBC_96
            | Self::AES_CMAC_96 => 16,
            Self::HMAC_SHA1_96 | Self::HMAC_SHA1_160 | Self::AES_128_GMAC => 20,
            Self::AES_192_GMAC => 28,
            Self::HMAC_SHA2_256_128 => 32,
            Self::AES_256_GMAC => 36,
            Self::HMAC_SHA2_384_192 => 48,
            Self::HMAC_SHA2_512_256 => 64,
            Self(_) => 0,
        }
    }

    /// The PRF built on the same primitive, which an IKE proposal gets when it names none.
    #[must_use]
    pub const fn matching_prf(self) -> Option<PrfId> {
        match self {
            Self::HMAC_MD5_96 | Self::HMAC_MD5_128 => Some(PrfId::HMAC_MD5),
            Self::HMAC_SHA1_96 | Self::HMAC_SHA1_160 => Some(PrfId::HMAC_SHA1),
            Self::AES_XCBC_96 => Some(PrfId::AES128_XCBC),
            Self::AES_CMAC_96 => Some(PrfId::AES128_CMAC),
            Self::HMAC_SHA2_256_128 => Some(PrfId::HMAC_SHA2_256),
            Self::HMAC_SHA2_384_192 => Some(PrfId::HMAC_SHA2_384),
            Self::HMAC_SHA2_512_256 => Some(PrfId::HMAC_SHA2_512),
            Self(_) => None,
        }
    }
}

impl PrfId {
    /// The output; 0 if unknown.
    #[must_use]
    pub const fn output_len(self) -> usize {
        match self {
            Self::HMAC_MD5 | Self::AES128_XCBC | Self::AES128_CMAC => 16,
            Self::HMAC_SHA1 => 20,
            Self::HMAC_TIGER => 24,
            Self::HMAC_SHA2_256 => 32,
            Self::HMAC_SHA2_384 => 48,
            Self::HMAC_SHA2_512 | Self::HMAC_STREEBOG_512 => 64,
            Self(_) => 0,
        }
    }

    /// The preferred key: the length of SK_d, SK_pi and SK_pr (RFC 7296 2.14); 0 if unknown.
    #[must_use]
    pub const fn key_len(self) -> usize {
        // Of every assigned PRF the preferred key is as long as its output.
        self.output_len()
    }

    /// How many octets of each nonce go into the key of SKEYSEED, where it is not all of them.
    ///
    /// RFC 7296 2.14: the AES based PRFs use only the first 64 bits of Ni and of Nr in that one place.
    #[must_use]
    pub const fn nonce_octets_in_key(self) -> Option<usize> {
        match self {
            Self::AES128_XCBC | Self::AES128_CMAC => Some(8),
            Self(_) => None,
        }
    }
}

impl KeyExchangeId {
    /// The public value of the initiator (for a KEM: the encapsulation key); `None` if unknown.
    #[must_use]
    pub const fn public_len(self) -> Option<usize> {
        Some(match self {
            Self::MODP_768 => 96,
            Self::MODP_1024 | Self::MODP_1024_S160 => 128,
            Self::MODP_1536 => 192,
            Self::MODP_2048 | Self::MODP_2048_S224 | Self::MODP_2048_S256 => 256,
            Self::MODP_3072 => 384,
            Self::MODP_4096 => 512,
            Self::MODP_6144 => 768,
            Self::MODP_8192 => 1024,
            Self::ECP_192 => 48,
            Self::ECP_224 | Self::BRAINPOOL_P224R1 => 56,
            Self::ECP_256 | Self::BRAINPOOL_P256R1 | Self::GOST3410_2012_256 => 64,
            Self::ECP_384 | Self::BRAINPOOL_P384R1 => 96,
            Self::ECP_521 => 132,
            Self::BRAINPOOL_P512R1 | Self::GOST3410_2012_512 => 128,
            Self::CURVE25519 => 32,
            Self::CURVE448 => 56,
            Self::ML_KEM_512 => 800,
            Self::ML_KEM_768 => 1184,
            Self::ML_KEM_1024 => 1568,
            Self(_) => return None,
        })
    }

    /// Whether this is a group of integers modulo a prime.
    #[must_use]
    pub const fn is_modp(self) -> bool {
        matches!(
            self,
            Self::MODP_768
                | Self::MODP_1024
                | Self::MODP_1536
                | Self::MODP_2048
                | Self::MODP_3072
                | Self::MODP_4096
                | Self::MODP_6144
                | Self::MODP_8192
                | Self::MODP_1024_S160
                | Self::MODP_2048_S224
                | Self::MODP_2048_S256
        )
    }

    /// Whether this is a key encapsulation: the two sides send values of different kinds.
    #[must_use]
    pub const fn is_kem(self) -> bool {
        matches!(self, Self::ML_KEM_512 | Self::ML_KEM_768 | Self::ML_KEM_1024)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_key_length_is_there_exactly_where_it_is_negotiated() {
        let read = Encryption::from_transform;
        assert_eq!(read(EncryptionId::AES_CBC, None), None);
        for bits in [0, 1, 127, 129, 136, 512, 65_535] {
            assert_eq!(read(EncryptionId::AES_CBC, Some(bits)), None, "{bits}");
        }
        for bits in [128, 192, 256] {
            let encryption = read(EncryptionId::AES_CBC, Some(bits)).unwrap();
            assert_eq!(encryption.attribute(), Some(bits));
            assert_eq!(encryption.key_len(), Some(usize::from(bits) / 8));
        }
        assert_eq!(read(EncryptionId::TRIPLE_DES, Some(192)), None);
        assert_eq!(read(EncryptionId::TRIPLE_DES, None).unwrap().key_len(), Some(24));
        assert_eq!(read(EncryptionId::CHACHA20_POLY1305, Some(256)), None);
        assert_eq!(read(EncryptionId::CHACHA20_POLY1305, None).unwrap().key_len(), Some(32));
        assert_eq!(read(EncryptionId::NULL, Some(0)), None);
        assert_eq!(read(EncryptionId::NULL, None).unwrap().key_len(), Some(0));
        assert_eq!(read(EncryptionId::BLOWFISH, Some(448)).unwrap().key_len(), Some(56));
        assert_eq!(read(EncryptionId::BLOWFISH, Some(449)), None);
        assert_eq!(read(EncryptionId(1025), None), None);
        assert_eq!(read(EncryptionId(1025), Some(128)), None);
    }

    #[test]
    fn combined_modes_have_an_icv_and_others_do_not() {
        for &id in EncryptionId::KNOWN {
            assert_eq!(id.is_aead(), id.icv_len() > 0, "{id}");
            assert!(!id.is_aead() || id.block_len() == 1, "{id}");
            assert!(!id.is_aead() || id.salt_len() > 0, "{id}");
        }
    }

    #[test]
    fn encryption_prints_as_its_keyword_or_its_name() {
        let print = |id, bits| Encryption::new(id, bits).to_string();
        assert_eq!(print(EncryptionId::AES_GCM_16, 256), "aes256gcm16");
        assert_eq!(print(EncryptionId::TRIPLE_DES, 0), "3des");
        assert_eq!(print(EncryptionId::KUZNYECHIK_MGM_KTREE, 0), "ENCR_KUZNYECHIK_MGM_KTREE");
        assert_eq!(print(EncryptionId::AES_GCM_16_IIV, 128), "aes128gcm16iiv");
        assert_eq!(print(EncryptionId::CAMELLIA_CTR, 64), "ENCR_CAMELLIA_CTR_64");
        assert_eq!(print(EncryptionId(1025), 7), "ENCR_1025_7");
    }

    #[test]
    fn integrity_lengths_are_those_of_the_rfcs() {
        // RFC 2404, RFC 4868 2.6, RFC 3566.
        for (id, key, icv) in [
            (IntegrityId::HMAC_SHA1_96, 20, 12),
            (IntegrityId::HMAC_SHA2_256_128, 32, 16),
            (IntegrityId::HMAC_SHA2_384_192, 48, 24),
            (IntegrityId::HMAC_SHA2_512_256, 64, 32),
            (IntegrityId::AES_XCBC_96, 16, 12),
            (IntegrityId::NONE, 0, 0),
        ] {
            assert_eq!((id.key_len(), id.icv_len()), (key, icv), "{id}");
        }
    }

    #[test]
    fn every_key_exchange_method_but_none_has_a_public_length() {
        for &id in KeyExchangeId::KNOWN {
            assert_eq!(id.public_len().is_none(), id == KeyExchangeId::NONE, "{id}");
        }
        assert_eq!(KeyExchangeId(1025).public_len(), None);
    }
}
