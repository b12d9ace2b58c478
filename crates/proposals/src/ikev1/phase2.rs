use super::{EncryptionId, IntegrityId, open_enum};

open_enum! {
    /// Protocols of a phase 2 proposal. These are not the numbers of IKEv2.
    pub struct Protocol(u8) {
        /// The ISAKMP SA itself.
        ISAKMP = 1, "ISAKMP";
        /// Authentication Header.
        AH = 2, "AH";
        /// Encapsulating Security Payload.
        ESP = 3, "ESP";
        /// IP compression.
        IPCOMP = 4, "IPCOMP";
        /// Gigabeam radio, RFC 4705.
        GIGABEAM_RADIO = 5, "GIGABEAM_RADIO";
    }
}

open_enum! {
    /// The one transform of the ISAKMP protocol.
    pub struct IsakmpTransform(u8) {
        /// The hybrid protocol that IKE is.
        KEY_IKE = 1, "KEY_IKE";
    }
}

open_enum! {
    /// AH transforms. Each also needs the matching [`Authentication`] attribute.
    pub struct AhTransform(u8) {
        /// MD5.
        MD5 = 2, "AH_MD5";
        /// SHA-1.
        SHA = 3, "AH_SHA";
        /// DES-MAC.
        DES = 4, "AH_DES";
        /// SHA2-256.
        SHA2_256 = 5, "AH_SHA2-256";
        /// SHA2-384.
        SHA2_384 = 6, "AH_SHA2-384";
        /// SHA2-512.
        SHA2_512 = 7, "AH_SHA2-512";
        /// RIPEMD.
        RIPEMD = 8, "AH_RIPEMD";
        /// AES-XCBC-MAC.
        AES_XCBC_MAC = 9, "AH_AES-XCBC-MAC";
        /// RSA signatures, RFC 4359.
        RSA = 10, "AH_RSA";
        /// AES-GMAC with a 128-bit key.
        AES_128_GMAC = 11, "AH_AES-128-GMAC";
        /// AES-GMAC with a 192-bit key.
        AES_192_GMAC = 12, "AH_AES-192-GMAC";
        /// AES-GMAC with a 256-bit key.
        AES_256_GMAC = 13, "AH_AES-256-GMAC";
    }
}

open_enum! {
    /// ESP transforms. From 3DES on most have their IKEv2 number; SEED, Camellia and GMAC do not.
    pub struct EspTransform(u8) {
        /// DES with a 64-bit IV.
        DES_IV64 = 1, "ESP_DES_IV64";
        /// DES-CBC.
        DES = 2, "ESP_DES";
        /// 3DES-CBC.
        TRIPLE_DES = 3, "ESP_3DES";
        /// RC5.
        RC5 = 4, "ESP_RC5";
        /// IDEA.
        IDEA = 5, "ESP_IDEA";
        /// CAST.
        CAST = 6, "ESP_CAST";
        /// Blowfish.
        BLOWFISH = 7, "ESP_BLOWFISH";
        /// Triple IDEA.
        TRIPLE_IDEA = 8, "ESP_3IDEA";
        /// DES with a 32-bit IV.
        DES_IV32 = 9, "ESP_DES_IV32";
        /// RC4.
        RC4 = 10, "ESP_RC4";
        /// No encryption.
        NULL = 11, "ESP_NULL";
        /// AES-CBC.
        AES_CBC = 12, "ESP_AES-CBC";
        /// AES-CTR.
        AES_CTR = 13, "ESP_AES-CTR";
        /// AES-CCM with an 8-octet ICV.
        AES_CCM_8 = 14, "ESP_AES-CCM_8";
        /// AES-CCM with a 12-octet ICV.
        AES_CCM_12 = 15, "ESP_AES-CCM_12";
        /// AES-CCM with a 16-octet ICV.
        AES_CCM_16 = 16, "ESP_AES-CCM_16";
        /// AES-GCM with an 8-octet ICV.
        AES_GCM_8 = 18, "ESP_AES-GCM_8";
        /// AES-GCM with a 12-octet ICV.
        AES_GCM_12 = 19, "ESP_AES-GCM_12";
        /// AES-GCM with a 16-octet ICV.
        AES_GCM_16 = 20, "ESP_AES-GCM_16";
        /// SEED-CBC, RFC 4196.
        SEED_CBC = 21, "ESP_SEED_CBC";
        /// Camellia-CBC, RFC 4312.
        CAMELLIA = 22, "ESP_CAMELLIA";
        /// AES-GMAC, RFC 4543.
        NULL_AUTH_AES_GMAC = 23, "ESP_NULL_AUTH_AES-GMAC";
    }
}

open_enum! {
    /// IPCOMP transforms.
    pub struct IpcompTransform(u8) {
        /// Vendor's own.
        OUI = 1, "IPCOMP_OUI";
        /// DEFLATE.
        DEFLATE = 2, "IPCOMP_DEFLATE";
        /// LZS.
        LZS = 3, "IPCOMP_LZS";
        /// LZJH.
        LZJH = 4, "IPCOMP_LZJH";
    }
}

open_enum! {
    /// Attribute classes of a phase 2 transform.
    pub struct Attribute(u16) {
        /// See [`LifeType`](super::LifeType).
        SA_LIFE_TYPE = 1, "SA Life Type";
        /// In the unit of the life type before it.
        SA_LIFE_DURATION = 2, "SA Life Duration";
        /// The group for perfect forward secrecy, see [`Group`](super::phase1::Group).
        GROUP_DESCRIPTION = 3, "Group Description";
        /// See [`Encapsulation`].
        ENCAPSULATION_MODE = 4, "Encapsulation Mode";
        /// See [`Authentication`].
        AUTHENTICATION_ALGORITHM = 5, "Authentication Algorithm";
        /// In bits.
        KEY_LENGTH = 6, "Key Length";
        /// Rounds, for ciphers where they vary.
        KEY_ROUNDS = 7, "Key Rounds";
        /// log2 of a dictionary's size.
        COMPRESS_DICTIONARY_SIZE = 8, "Compress Dictionary Size";
        /// A vendor's compression.
        COMPRESS_PRIVATE_ALGORITHM = 9, "Compress Private Algorithm";
        /// See [`EcnTunnel`].
        ECN_TUNNEL = 10, "ECN Tunnel";
        /// 64-bit sequence numbers, RFC 4304.
        EXTENDED_SEQUENCE_NUMBER = 11, "Extended (64-bit) Sequence Number";
        /// In bits, RFC 4359.
        AUTHENTICATION_KEY_LENGTH = 12, "Authentication Key Length";
        /// RFC 4359.
        SIGNATURE_ENCODING_ALGORITHM = 13, "Signature Encoding Algorithm";
        /// RFC 6407.
        ADDRESS_PRESERVATION = 14, "Address Preservation";
        /// RFC 6407.
        SA_DIRECTION = 15, "SA Direction";
    }
}

open_enum! {
    /// Encapsulation modes, with the two numbers that drafts of NAT traversal used.
    pub struct Encapsulation(u16) {
        /// Tunnel mode.
        TUNNEL = 1, "Tunnel";
        /// Transport mode.
        TRANSPORT = 2, "Transport";
        /// Tunnel mode in UDP, RFC 3947.
        UDP_TUNNEL = 3, "UDP-Encapsulated-Tunnel";
        /// Transport mode in UDP, RFC 3947.
        UDP_TRANSPORT = 4, "UDP-Encapsulated-Transport";
        /// Tunnel mode in UDP, before RFC 3947.
        UDP_TUNNEL_DRAFT = 61443, "UDP-Encapsulated-Tunnel-Draft";
        /// Transport mode in UDP, before RFC 3947.
        UDP_TRANSPORT_DRAFT = 61444, "UDP-Encapsulated-Transport-Draft";
    }
}

open_enum! {
    /// Authentication algorithms.
    pub struct Authentication(u16) {
        /// HMAC-MD5.
        HMAC_MD5 = 1, "HMAC-MD5";
        /// HMAC-SHA1.
        HMAC_SHA = 2, "HMAC-SHA";
        /// DES-MAC.
        DES_MAC = 3, "DES-MAC";
        /// Keyed MD5.
        KPDK = 4, "KPDK";
        /// HMAC-SHA2-256.
        HMAC_SHA2_256 = 5, "HMAC-SHA2-256";
        /// HMAC-SHA2-384.
        HMAC_SHA2_384 = 6, "HMAC-SHA2-384";
        /// HMAC-SHA2-512.
        HMAC_SHA2_512 = 7, "HMAC-SHA2-512";
        /// HMAC-RIPEMD.
        HMAC_RIPEMD = 8, "HMAC-RIPEMD";
        /// AES-XCBC-MAC.
        AES_XCBC_MAC = 9, "AES-XCBC-MAC";
        /// RSA signatures, RFC 4359.
        SIG_RSA = 10, "SIG-RSA";
        /// AES-GMAC with a 128-bit key.
        AES_128_GMAC = 11, "AES-128-GMAC";
        /// AES-GMAC with a 192-bit key.
        AES_192_GMAC = 12, "AES-192-GMAC";
        /// AES-GMAC with a 256-bit key.
        AES_256_GMAC = 13, "AES-256-GMAC";
    }
}

open_enum! {
    /// Treatment of ECN in tunnel mode.
    pub struct EcnTunnel(u16) {
        /// Copied both ways.
        ALLOWED = 1, "Allowed";
        /// Kept apart.
        FORBIDDEN = 2, "Forbidden";
    }
}

impl EspTransform {
    /// The IKEv2 number of the algorithm.
    #[must_use]
    pub const fn ikev2(self) -> Option<EncryptionId> {
        Some(match self {
            Self::DES_IV64 => EncryptionId::DES_IV64,
            Self::DES => EncryptionId::DES,
            Self::TRIPLE_DES => EncryptionId::TRIPLE_DES,
            Self::RC5 => EncryptionId::RC5,
            Self::IDEA => EncryptionId::IDEA,
            Self::CAST => EncryptionId::CAST,
            Self::BLOWFISH => EncryptionId::BLOWFISH,
            Self::TRIPLE_IDEA => EncryptionId::TRIPLE_IDEA,
            Self::DES_IV32 => EncryptionId::DES_IV32,
            Self::NULL => EncryptionId::NULL,
            Self::AES_CBC => EncryptionId::AES_CBC,
            Self::AES_CTR => EncryptionId::AES_CTR,
            Self::AES_CCM_8 => EncryptionId::AES_CCM_8,
            Self::AES_CCM_12 => EncryptionId::AES_CCM_12,
            Self::AES_CCM_16 => EncryptionId::AES_CCM_16,
            Self::AES_GCM_8 => EncryptionId::AES_GCM_8,
            Self::AES_GCM_12 => EncryptionId::AES_GCM_12,
            Self::AES_GCM_16 => EncryptionId::AES_GCM_16,
            Self::CAMELLIA => EncryptionId::CAMELLIA_CBC,
            Self::NULL_AUTH_AES_GMAC => EncryptionId::NULL_AUTH_AES_GMAC,
            Self(_) => return None,
        })
    }

    /// The transform of an IKEv2 algorithm, if the DOI has it.
    #[must_use]
    pub fn from_ikev2(id: EncryptionId) -> Option<Self> {
        Self::KNOWN.iter().copied().find(|transform| transform.ikev2() == Some(id))
    }
}

impl Authentication {
    /// The IKEv2 number of the algorithm.
    #[must_use]
    pub const fn ikev2(self) -> Option<IntegrityId> {
        Some(match self {
            Self::HMAC_MD5 => IntegrityId::HMAC_MD5_96,
            Self::HMAC_SHA => IntegrityId::HMAC_SHA1_96,
            Self::DES_MAC => IntegrityId::DES_MAC,
            Self::KPDK => IntegrityId::KPDK_MD5,
            Self::HMAC_SHA2_256 => IntegrityId::HMAC_SHA2_256_128,
            Self::HMAC_SHA2_384 => IntegrityId::HMAC_SHA2_384_192,
            Self::HMAC_SHA2_512 => IntegrityId::HMAC_SHA2_512_256,
            Self::AES_XCBC_MAC => IntegrityId::AES_XCBC_96,
            Self::AES_128_GMAC => IntegrityId::AES_128_GMAC,
            Self::AES_192_GMAC => IntegrityId::AES_192_GMAC,
            Self::AES_256_GMAC => IntegrityId::AES_256_GMAC,
            Self(_) => return None,
        })
    }

    /// The value of an IKEv2 algorithm, if the DOI has it.
    #[must_use]
    pub fn from_ikev2(id: IntegrityId) -> Option<Self> {
        Self::KNOWN.iter().copied().find(|value| value.ikev2() == Some(id))
    }
}
