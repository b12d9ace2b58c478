//! The registries of IKEv1 ("Internet Key Exchange (IKE) Attributes") and of the IPsec DOI (RFC 2407).
//!
//! Phase 1 describes the ISAKMP SA by attributes alone; phase 2 has a transform number per protocol and
//! attributes beside it. Both are open enums, and convert to the IKEv2 numbers that the rest of the library
//! speaks where an algorithm has both.

pub mod attribute;
mod life;
mod mismatch;
mod phase1_offer;
mod phase2_offer;
pub mod sa;

use ikebana_core::open_enum;

use crate::registries::{EncryptionId, IntegrityId, KeyExchangeId, PrfId};

pub use attribute::{Attribute, AttributeValue};
pub use mismatch::{AttributeDifference, TransformDefect, TransformMismatch};
pub use phase1_offer::{Phase1Suite, confirm_phase1, offer_phase1, only_group, phase1_groups, select_phase1};
pub use phase2_offer::{
    Phase2Life, Phase2Offer, Phase2Terms, Phase2Wanted, confirm_phase2, offer_phase2, pfs_groups,
    select_phase2,
};
pub use sa::{OfferedProposal, SaPayload, Transform};

/// Phase 1: the ISAKMP SA (RFC 2409 appendix A).
pub mod phase1 {
    use super::{EncryptionId, IntegrityId, KeyExchangeId, PrfId, open_enum};

    open_enum! {
        /// Attribute classes of a phase 1 transform.
        pub struct Attribute(u16) {
            /// See [`Encryption`].
            ENCRYPTION_ALGORITHM = 1, "Encryption Algorithm";
            /// See [`Hash`].
            HASH_ALGORITHM = 2, "Hash Algorithm";
            /// See [`Authentication`].
            AUTHENTICATION_METHOD = 3, "Authentication Method";
            /// See [`Group`].
            GROUP_DESCRIPTION = 4, "Group Description";
            /// See [`GroupType`].
            GROUP_TYPE = 5, "Group Type";
            /// The prime, or the irreducible polynomial, of a group described in full.
            GROUP_PRIME = 6, "Group Prime/Irreducible Polynomial";
            /// First generator.
            GROUP_GENERATOR_ONE = 7, "Group Generator One";
            /// Second generator.
            GROUP_GENERATOR_TWO = 8, "Group Generator Two";
            /// Curve parameter A.
            GROUP_CURVE_A = 9, "Group Curve A";
            /// Curve parameter B.
            GROUP_CURVE_B = 10, "Group Curve B";
            /// See [`LifeType`](super::LifeType).
            LIFE_TYPE = 11, "Life Type";
            /// In the unit of the life type before it.
            LIFE_DURATION = 12, "Life Duration";
            /// No values are assigned.
            PRF = 13, "PRF";
            /// In bits; for encryption with several key lengths only.
            KEY_LENGTH = 14, "Key Length";
            /// In bits.
            FIELD_SIZE = 15, "Field Size";
            /// The order of a curve.
            GROUP_ORDER = 16, "Group Order";
        }
    }

    open_enum! {
        /// Encryption algorithms.
        pub struct Encryption(u16) {
            /// DES-CBC.
            DES_CBC = 1, "DES-CBC";
            /// IDEA-CBC.
            IDEA_CBC = 2, "IDEA-CBC";
            /// Blowfish-CBC.
            BLOWFISH_CBC = 3, "Blowfish-CBC";
            /// RC5-R16-B64-CBC.
            RC5_CBC = 4, "RC5-R16-B64-CBC";
            /// 3DES-CBC.
            TRIPLE_DES_CBC = 5, "3DES-CBC";
            /// CAST-CBC.
            CAST_CBC = 6, "CAST-CBC";
            /// AES-CBC, RFC 3602.
            AES_CBC = 7, "AES-CBC";
            /// Camellia-CBC, RFC 4312.
            CAMELLIA_CBC = 8, "CAMELLIA-CBC";
        }
    }

    open_enum! {
        /// Hash algorithms, which are also the PRF by way of HMAC.
        pub struct Hash(u16) {
            /// MD5.
            MD5 = 1, "MD5";
            /// SHA-1.
            SHA = 2, "SHA";
            /// Tiger.
            TIGER = 3, "Tiger";
            /// SHA2-256.
            SHA2_256 = 4, "SHA2-256";
            /// SHA2-384.
            SHA2_384 = 5, "SHA2-384";
            /// SHA2-512.
            SHA2_512 = 6, "SHA2-512";
        }
    }

    open_enum! {
        /// Authentication methods, with the private values of XAUTH and hybrid authentication that everybody
        /// uses (draft-beaulieu-ike-xauth, draft-zegman-ike-hybrid-auth).
        pub struct Authentication(u16) {
            /// Pre-shared key.
            PRE_SHARED_KEY = 1, "pre-shared key";
            /// DSS signatures.
            DSS_SIGNATURES = 2, "DSS signatures";
            /// RSA signatures.
            RSA_SIGNATURES = 3, "RSA signatures";
            /// Encryption with RSA.
            RSA_ENCRYPTION = 4, "Encryption with RSA";
            /// Revised encryption with RSA.
            REVISED_RSA_ENCRYPTION = 5, "Revised encryption with RSA";
            /// ECDSA with SHA-256 on P-256, RFC 4754.
            ECDSA_256 = 9, "ECDSA with SHA-256 on the P-256 curve";
            /// ECDSA with SHA-384 on P-384, RFC 4754.
            ECDSA_384 = 10, "ECDSA with SHA-384 on the P-384 curve";
            /// ECDSA with SHA-512 on P-521, RFC 4754.
            ECDSA_521 = 11, "ECDSA with SHA-512 on the P-521 curve";
            /// Hybrid, the initiator is the XAUTH client, RSA.
            HYBRID_INIT_RSA = 64221, "HybridInitRSA";
            /// Hybrid, the responder is the XAUTH client, RSA.
            HYBRID_RESP_RSA = 64222, "HybridRespRSA";
            /// Hybrid, the initiator is the XAUTH client, DSS.
            HYBRID_INIT_DSS = 64223, "HybridInitDSS";
            /// Hybrid, the responder is the XAUTH client, DSS.
            HYBRID_RESP_DSS = 64224, "HybridRespDSS";
            /// XAUTH after a pre-shared key, client initiates.
            XAUTH_INIT_PRE_SHARED = 65001, "XAUTHInitPreShared";
            /// XAUTH after a pre-shared key, client responds.
            XAUTH_RESP_PRE_SHARED = 65002, "XAUTHRespPreShared";
            /// XAUTH after DSS, client initiates.
            XAUTH_INIT_DSS = 65003, "XAUTHInitDSS";
            /// XAUTH after DSS, client responds.
            XAUTH_RESP_DSS = 65004, "XAUTHRespDSS";
            /// XAUTH after RSA signatures, client initiates.
            XAUTH_INIT_RSA = 65005, "XAUTHInitRSA";
            /// XAUTH after RSA signatures, client responds.
            XAUTH_RESP_RSA = 65006, "XAUTHRespRSA";
            /// XAUTH after RSA encryption, client initiates.
            XAUTH_INIT_RSA_ENCRYPTION = 65007, "XAUTHInitRSAEncryption";
            /// XAUTH after RSA encryption, client responds.
            XAUTH_RESP_RSA_ENCRYPTION = 65008, "XAUTHRespRSAEncryption";
            /// XAUTH after revised RSA encryption, client initiates.
            XAUTH_INIT_RSA_REVISED_ENCRYPTION = 65009, "XAUTHInitRSARevisedEncryption";
            /// XAUTH after revised RSA encryption, client responds.
            XAUTH_RESP_RSA_REVISED_ENCRYPTION = 65010, "XAUTHRespRSARevisedEncryption";
        }
    }

    open_enum! {
        /// Group descriptions. Where a group has a number in IKEv2 too, it is the same.
        pub struct Group(u16) {
            /// 768-bit MODP.
            MODP_768 = 1, "768-bit MODP";
            /// 1024-bit MODP.
            MODP_1024 = 2, "1024-bit MODP";
            /// EC2N over GF(2^155).
            EC2N_155 = 3, "EC2N over GF(2^155)";
            /// EC2N over GF(2^185).
            EC2N_185 = 4, "EC2N over GF(2^185)";
            /// 1536-bit MODP.
            MODP_1536 = 5, "1536-bit MODP";
            /// EC2N over GF(2^163), random.
            EC2N_163_RANDOM = 6, "EC2N over GF(2^163), random";
            /// EC2N over GF(2^163), Koblitz.
            EC2N_163_KOBLITZ = 7, "EC2N over GF(2^163), Koblitz";
            /// EC2N over GF(2^283), random.
            EC2N_283_RANDOM = 8, "EC2N over GF(2^283), random";
            /// EC2N over GF(2^283), Koblitz.
            EC2N_283_KOBLITZ = 9, "EC2N over GF(2^283), Koblitz";
            /// EC2N over GF(2^409), random.
            EC2N_409_RANDOM = 10, "EC2N over GF(2^409), random";
            /// EC2N over GF(2^409), Koblitz.
            EC2N_409_KOBLITZ = 11, "EC2N over GF(2^409), Koblitz";
            /// EC2N over GF(2^571), random.
            EC2N_571_RANDOM = 12, "EC2N over GF(2^571), random";
            /// EC2N over GF(2^571), Koblitz.
            EC2N_571_KOBLITZ = 13, "EC2N over GF(2^571), Koblitz";
            /// 2048-bit MODP.
            MODP_2048 = 14, "2048-bit MODP";
            /// 3072-bit MODP.
            MODP_3072 = 15, "3072-bit MODP";
            /// 4096-bit MODP.
            MODP_4096 = 16, "4096-bit MODP";
            /// 6144-bit MODP.
            MODP_6144 = 17, "6144-bit MODP";
            /// 8192-bit MODP.
            MODP_8192 = 18, "8192-bit MODP";
            /// 256-bit random ECP.
            ECP_256 = 19, "256-bit random ECP";
            /// 384-bit random ECP.
            ECP_384 = 20, "384-bit random ECP";
            /// 521-bit random ECP.
            ECP_521 = 21, "521-bit random ECP";
            /// 1024-bit MODP with a 160-bit subgroup.
            MODP_1024_S160 = 22, "1024-bit MODP with 160-bit prime order subgroup";
            /// 2048-bit MODP with a 224-bit subgroup.
            MODP_2048_S224 = 23, "2048-bit MODP with 224-bit prime order subgroup";
            /// 2048-bit MODP with a 256-bit subgroup.
            MODP_2048_S256 = 24, "2048-bit MODP with 256-bit prime order subgroup";
            /// 192-bit random ECP.
            ECP_192 = 25, "192-bit random ECP";
            /// 224-bit random ECP.
            ECP_224 = 26, "224-bit random ECP";
            /// brainpoolP224r1, RFC 6932.
            BRAINPOOL_P224R1 = 27, "224-bit Brainpool";
            /// brainpoolP256r1, RFC 6932.
            BRAINPOOL_P256R1 = 28, "256-bit Brainpool";
            /// brainpoolP384r1, RFC 6932.
            BRAINPOOL_P384R1 = 29, "384-bit Brainpool";
            /// brainpoolP512r1, RFC 6932.
            BRAINPOOL_P512R1 = 30, "512-bit Brainpool";
        }
    }

    open_enum! {
        /// Kinds of group.
        pub struct GroupType(u16) {
            /// Integers modulo a prime.
            MODP = 1, "MODP";
            /// Elliptic curve over a prime field.
            ECP = 2, "ECP";
            /// Elliptic curve over a binary field.
            EC2N = 3, "EC2N";
        }
    }

    impl Encryption {
        /// The IKEv2 number of the algorithm.
        #[must_use]
        pub const fn ikev2(self) -> Option<EncryptionId> {
            Some(match self {
                Self::DES_CBC => EncryptionId::DES,
                Self::IDEA_CBC => EncryptionId::IDEA,
                Self::BLOWFISH_CBC => EncryptionId::BLOWFISH,
                Self::RC5_CBC => EncryptionId::RC5,
                Self::TRIPLE_DES_CBC => EncryptionId::TRIPLE_DES,
                Self::CAST_CBC => EncryptionId::CAST,
                Self::AES_CBC => EncryptionId::AES_CBC,
                Self::CAMELLIA_CBC => EncryptionId::CAMELLIA_CBC,
                Self(_) => return None,
            })
        }

        /// The phase 1 number of an algorithm, if phase 1 can use it.
        #[must_use]
        pub const fn from_ikev2(id: EncryptionId) -> Option<Self> {
            Some(match id {
                EncryptionId::DES => Self::DES_CBC,
                EncryptionId::IDEA => Self::IDEA_CBC,
                EncryptionId::BLOWFISH => Self::BLOWFISH_CBC,
                EncryptionId::RC5 => Self::RC5_CBC,
                EncryptionId::TRIPLE_DES => Self::TRIPLE_DES_CBC,
                EncryptionId::CAST => Self::CAST_CBC,
                EncryptionId::AES_CBC => Self::AES_CBC,
                EncryptionId::CAMELLIA_CBC => Self::CAMELLIA_CBC,
                _ => return None,
            })
        }
    }

    impl Hash {
        /// The PRF that phase 1 makes of the hash (RFC 2409 4).
        #[must_use]
        pub const fn prf(self) -> Option<PrfId> {
            Some(match self {
                Self::MD5 => PrfId::HMAC_MD5,
                Self::SHA => PrfId::HMAC_SHA1,
                Self::TIGER => PrfId::HMAC_TIGER,
                Self::SHA2_256 => PrfId::HMAC_SHA2_256,
                Self::SHA2_384 => PrfId::HMAC_SHA2_384,
                Self::SHA2_512 => PrfId::HMAC_SHA2_512,
                Self(_) => return None,
            })
        }

        /// The hash under an integrity algorithm, by which configurations name it.
        #[must_use]
        pub const fn from_integrity(id: IntegrityId) -> Option<Self> {
            Some(match id {
                IntegrityId::HMAC_MD5_96 => Self::MD5,
                IntegrityId::HMAC_SHA1_96 => Self::SHA,
                IntegrityId::HMAC_SHA2_256_128 => Self::SHA2_256,
                IntegrityId::HMAC_SHA2_384_192 => Self::SHA2_384,
                IntegrityId::HMAC_SHA2_512_256 => Self::SHA2_512,
                _ => return None,
            })
        }
    }

    impl Group {
        /// The IKEv2 method of the group. The binary curves have none.
        #[must_use]
        pub const fn ikev2(self) -> Option<KeyExchangeId> {
            match self.0 {
                1 | 2 | 5 | 14..=30 => Some(KeyExchangeId(self.0)),
                _ => None,
            }
        }

        /// The group of an IKEv2 method. X25519 and later ones have none.
        #[must_use]
        pub const fn from_ikev2(id: KeyExchangeId) -> Option<Self> {
            match id.0 {
                1 | 2 | 5 | 14..=30 => Some(Self(id.0)),
                _ => None,
            }
        }
    }
}

/// Phase 2: the IPsec DOI (RFC 2407 4.4 and 4.5).
pub mod phase2;

open_enum! {
    /// Units of a lifetime, in both phases.
    pub struct LifeType(u16) {
        /// Seconds.
        SECONDS = 1, "seconds";
        /// Kilobytes of 1024 octets.
        KILOBYTES = 2, "kilobytes";
    }
}

#[cfg(test)]
mod tests;
