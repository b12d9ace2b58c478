//! The IANA registries of IKEv2 that a proposal is made of ("Internet Key Exchange Version 2 Parameters").
//!
//! Every assigned value of transform types 1 to 5 is here, also those nobody should use and those this library
//! does not implement: a peer's offer of them must be readable to be explained.

use ikebana_core::open_enum;

open_enum! {
    /// The protocol a proposal is for (RFC 7296 3.3.1).
    pub struct ProtocolId(u8) {
        /// The IKE SA itself.
        IKE = 1, "IKE";
        /// Authentication Header, RFC 4302.
        AH = 2, "AH";
        /// Encapsulating Security Payload, RFC 4303.
        ESP = 3, "ESP";
        /// Fibre Channel ESP, RFC 4595.
        FC_ESP_HEADER = 4, "FC_ESP_HEADER";
        /// Fibre Channel authentication, RFC 4595.
        FC_CT_AUTHENTICATION = 5, "FC_CT_AUTHENTICATION";
        /// Group SA updates, RFC 9838.
        GIKE_UPDATE = 6, "GIKE_UPDATE";
    }
}

open_enum! {
    /// The kind of an algorithm in a proposal (RFC 7296 3.3.2, RFC 9370).
    pub struct TransformType(u8) {
        /// Encryption algorithm.
        ENCR = 1, "ENCR";
        /// Pseudorandom function.
        PRF = 2, "PRF";
        /// Integrity algorithm.
        INTEG = 3, "INTEG";
        /// Key exchange method, formerly Diffie-Hellman group.
        KE = 4, "KE";
        /// Sequence numbers, formerly extended sequence numbers.
        ESN = 5, "ESN";
        /// First additional key exchange, RFC 9370.
        ADDKE1 = 6, "ADDKE1";
        /// Second additional key exchange, RFC 9370.
        ADDKE2 = 7, "ADDKE2";
        /// Third additional key exchange, RFC 9370.
        ADDKE3 = 8, "ADDKE3";
        /// Fourth additional key exchange, RFC 9370.
        ADDKE4 = 9, "ADDKE4";
        /// Fifth additional key exchange, RFC 9370.
        ADDKE5 = 10, "ADDKE5";
        /// Sixth additional key exchange, RFC 9370.
        ADDKE6 = 11, "ADDKE6";
        /// Seventh additional key exchange, RFC 9370.
        ADDKE7 = 12, "ADDKE7";
    }
}

impl TransformType {
    /// The additional key exchanges in the order in which they are performed.
    pub const ADDITIONAL: [Self; 7] =
        [Self::ADDKE1, Self::ADDKE2, Self::ADDKE3, Self::ADDKE4, Self::ADDKE5, Self::ADDKE6, Self::ADDKE7];

    /// The position of an additional key exchange, from 0; `None` for all other types.
    #[must_use]
    pub fn additional_position(self) -> Option<usize> {
        Self::ADDITIONAL.iter().position(|&kind| kind == self)
    }
}

open_enum! {
    /// Transform type 1: encryption algorithms.
    pub struct EncryptionId(u16) {
        /// DES with a 64-bit IV, RFC 1827.
        DES_IV64 = 1, "ENCR_DES_IV64";
        /// DES-CBC, RFC 2405.
        DES = 2, "ENCR_DES";
        /// Triple DES in CBC mode, RFC 2451.
        TRIPLE_DES = 3, "ENCR_3DES";
        /// RC5, RFC 2451.
        RC5 = 4, "ENCR_RC5";
        /// IDEA, RFC 2451.
        IDEA = 5, "ENCR_IDEA";
        /// CAST, RFC 2451.
        CAST = 6, "ENCR_CAST";
        /// Blowfish, RFC 2451.
        BLOWFISH = 7, "ENCR_BLOWFISH";
        /// Triple IDEA.
        TRIPLE_IDEA = 8, "ENCR_3IDEA";
        /// DES with a 32-bit IV.
        DES_IV32 = 9, "ENCR_DES_IV32";
        /// No encryption, RFC 2410. Not for IKE.
        NULL = 11, "ENCR_NULL";
        /// AES in CBC mode, RFC 3602.
        AES_CBC = 12, "ENCR_AES_CBC";
        /// AES in counter mode, RFC 3686 and RFC 5930.
        AES_CTR = 13, "ENCR_AES_CTR";
        /// AES-CCM with an 8-octet ICV, RFC 4309 and RFC 5282.
        AES_CCM_8 = 14, "ENCR_AES_CCM_8";
        /// AES-CCM with a 12-octet ICV, RFC 4309 and RFC 5282.
        AES_CCM_12 = 15, "ENCR_AES_CCM_12";
        /// AES-CCM with a 16-octet ICV, RFC 4309 and RFC 5282.
        AES_CCM_16 = 16, "ENCR_AES_CCM_16";
        /// AES-GCM with an 8-octet ICV, RFC 4106 and RFC 5282.
        AES_GCM_8 = 18, "ENCR_AES_GCM_8";
        /// AES-GCM with a 12-octet ICV, RFC 4106 and RFC 5282.
        AES_GCM_12 = 19, "ENCR_AES_GCM_12";
        /// AES-GCM with a 16-octet ICV, RFC 4106 and RFC 5282.
        AES_GCM_16 = 20, "ENCR_AES_GCM_16";
        /// Integrity only by AES-GMAC, as a combined mode, RFC 4543.
        NULL_AUTH_AES_GMAC = 21, "ENCR_NULL_AUTH_AES_GMAC";
        /// Camellia in CBC mode, RFC 5529.
        CAMELLIA_CBC = 23, "ENCR_CAMELLIA_CBC";
        /// Camellia in counter mode, RFC 5529.
        CAMELLIA_CTR = 24, "ENCR_CAMELLIA_CTR";
        /// Camellia-CCM with an 8-octet ICV, RFC 5529.
        CAMELLIA_CCM_8 = 25, "ENCR_CAMELLIA_CCM_8";
        /// Camellia-CCM with a 12-octet ICV, RFC 5529.
        CAMELLIA_CCM_12 = 26, "ENCR_CAMELLIA_CCM_12";
        /// Camellia-CCM with a 16-octet ICV, RFC 5529.
        CAMELLIA_CCM_16 = 27, "ENCR_CAMELLIA_CCM_16";
        /// ChaCha20-Poly1305, RFC 7634.
        CHACHA20_POLY1305 = 28, "ENCR_CHACHA20_POLY1305";
        /// AES-CCM-8 with an implicit IV, RFC 8750.
        AES_CCM_8_IIV = 29, "ENCR_AES_CCM_8_IIV";
        /// AES-GCM-16 with an implicit IV, RFC 8750.
        AES_GCM_16_IIV = 30, "ENCR_AES_GCM_16_IIV";
        /// ChaCha20-Poly1305 with an implicit IV, RFC 8750.
        CHACHA20_POLY1305_IIV = 31, "ENCR_CHACHA20_POLY1305_IIV";
        /// Kuznyechik in MGM mode, RFC 9227.
        KUZNYECHIK_MGM_KTREE = 32, "ENCR_KUZNYECHIK_MGM_KTREE";
        /// Magma in MGM mode, RFC 9227.
        MAGMA_MGM_KTREE = 33, "ENCR_MAGMA_MGM_KTREE";
        /// Integrity only by Kuznyechik in MGM mode, RFC 9227.
        KUZNYECHIK_MGM_MAC_KTREE = 34, "ENCR_KUZNYECHIK_MGM_MAC_KTREE";
        /// Integrity only by Magma in MGM mode, RFC 9227.
        MAGMA_MGM_MAC_KTREE = 35, "ENCR_MAGMA_MGM_MAC_KTREE";
    }
}

open_enum! {
    /// Transform type 2: pseudorandom functions.
    pub struct PrfId(u16) {
        /// HMAC-MD5, RFC 2104. Forbidden by RFC 8247.
        HMAC_MD5 = 1, "PRF_HMAC_MD5";
        /// HMAC-SHA1, RFC 2104.
        HMAC_SHA1 = 2, "PRF_HMAC_SHA1";
        /// HMAC-Tiger.
        HMAC_TIGER = 3, "PRF_HMAC_TIGER";
        /// AES-XCBC, RFC 4434.
        AES128_XCBC = 4, "PRF_AES128_XCBC";
        /// HMAC-SHA2-256, RFC 4868.
        HMAC_SHA2_256 = 5, "PRF_HMAC_SHA2_256";
        /// HMAC-SHA2-384, RFC 4868.
        HMAC_SHA2_384 = 6, "PRF_HMAC_SHA2_384";
        /// HMAC-SHA2-512, RFC 4868.
        HMAC_SHA2_512 = 7, "PRF_HMAC_SHA2_512";
        /// AES-CMAC, RFC 4615.
        AES128_CMAC = 8, "PRF_AES128_CMAC";
        /// HMAC-Streebog-512, RFC 9385.
        HMAC_STREEBOG_512 = 9, "PRF_HMAC_STREEBOG_512";
    }
}

open_enum! {
    /// Transform type 3: integrity algorithms.
    pub struct IntegrityId(u16) {
        /// No separate integrity, as with combined modes.
        NONE = 0, "NONE";
        /// HMAC-MD5-96, RFC 2403. Forbidden by RFC 8221 and 8247.
        HMAC_MD5_96 = 1, "AUTH_HMAC_MD5_96";
        /// HMAC-SHA1-96, RFC 2404.
        HMAC_SHA1_96 = 2, "AUTH_HMAC_SHA1_96";
        /// DES-MAC.
        DES_MAC = 3, "AUTH_DES_MAC";
        /// Keyed MD5, RFC 1826.
        KPDK_MD5 = 4, "AUTH_KPDK_MD5";
        /// AES-XCBC-MAC-96, RFC 3566.
        AES_XCBC_96 = 5, "AUTH_AES_XCBC_96";
        /// HMAC-MD5 untruncated, RFC 4595.
        HMAC_MD5_128 = 6, "AUTH_HMAC_MD5_128";
        /// HMAC-SHA1 untruncated, RFC 4595.
        HMAC_SHA1_160 = 7, "AUTH_HMAC_SHA1_160";
        /// AES-CMAC-96, RFC 4494.
        AES_CMAC_96 = 8, "AUTH_AES_CMAC_96";
        /// AES-GMAC with a 128-bit key, for AH only, RFC 4543.
        AES_128_GMAC = 9, "AUTH_AES_128_GMAC";
        /// AES-GMAC with a 192-bit key, for AH only, RFC 4543.
        AES_192_GMAC = 10, "AUTH_AES_192_GMAC";
        /// AES-GMAC with a 256-bit key, for AH only, RFC 4543.
        AES_256_GMAC = 11, "AUTH_AES_256_GMAC";
        /// HMAC-SHA2-256 truncated to 128 bits, RFC 4868.
        HMAC_SHA2_256_128 = 12, "AUTH_HMAC_SHA2_256_128";
        /// HMAC-SHA2-384 truncated to 192 bits, RFC 4868.
        HMAC_SHA2_384_192 = 13, "AUTH_HMAC_SHA2_384_192";
        /// HMAC-SHA2-512 truncated to 256 bits, RFC 4868.
        HMAC_SHA2_512_256 = 14, "AUTH_HMAC_SHA2_512_256";
    }
}

open_enum! {
    /// Transform type 4, and types 6 to 12: key exchange methods.
    pub struct KeyExchangeId(u16) {
        /// No key exchange; only meaningful beside others or in a child proposal.
        NONE = 0, "NONE";
        /// 768-bit MODP, RFC 7296 B.1. Forbidden by RFC 8247.
        MODP_768 = 1, "MODP_768";
        /// 1024-bit MODP, RFC 7296 B.2.
        MODP_1024 = 2, "MODP_1024";
        /// 1536-bit MODP, RFC 3526.
        MODP_1536 = 5, "MODP_1536";
        /// 2048-bit MODP, RFC 3526.
        MODP_2048 = 14, "MODP_2048";
        /// 3072-bit MODP, RFC 3526.
        MODP_3072 = 15, "MODP_3072";
        /// 4096-bit MODP, RFC 3526.
        MODP_4096 = 16, "MODP_4096";
        /// 6144-bit MODP, RFC 3526.
        MODP_6144 = 17, "MODP_6144";
        /// 8192-bit MODP, RFC 3526.
        MODP_8192 = 18, "MODP_8192";
        /// NIST P-256, RFC 5903.
        ECP_256 = 19, "ECP_256";
        /// NIST P-384, RFC 5903.
        ECP_384 = 20, "ECP_384";
        /// NIST P-521, RFC 5903.
        ECP_521 = 21, "ECP_521";
        /// 1024-bit MODP with a 160-bit subgroup, RFC 5114. Forbidden by RFC 8247.
        MODP_1024_S160 = 22, "MODP_1024_160";
        /// 2048-bit MODP with a 224-bit subgroup, RFC 5114.
        MODP_2048_S224 = 23, "MODP_2048_224";
        /// 2048-bit MODP with a 256-bit subgroup, RFC 5114.
        MODP_2048_S256 = 24, "MODP_2048_256";
        /// NIST P-192, RFC 5114.
        ECP_192 = 25, "ECP_192";
        /// NIST P-224, RFC 5114.
        ECP_224 = 26, "ECP_224";
        /// brainpoolP224r1, RFC 6954.
        BRAINPOOL_P224R1 = 27, "brainpoolP224r1";
        /// brainpoolP256r1, RFC 6954.
        BRAINPOOL_P256R1 = 28, "brainpoolP256r1";
        /// brainpoolP384r1, RFC 6954.
        BRAINPOOL_P384R1 = 29, "brainpoolP384r1";
        /// brainpoolP512r1, RFC 6954.
        BRAINPOOL_P512R1 = 30, "brainpoolP512r1";
        /// X25519, RFC 8031.
        CURVE25519 = 31, "CURVE25519";
        /// X448, RFC 8031.
        CURVE448 = 32, "CURVE448";
        /// GOST R 34.10-2012 with 256 bits, RFC 9385.
        GOST3410_2012_256 = 33, "GOST3410_2012_256";
        /// GOST R 34.10-2012 with 512 bits, RFC 9385.
        GOST3410_2012_512 = 34, "GOST3410_2012_512";
        /// ML-KEM-512.
        ML_KEM_512 = 35, "ML_KEM_512";
        /// ML-KEM-768.
        ML_KEM_768 = 36, "ML_KEM_768";
        /// ML-KEM-1024.
        ML_KEM_1024 = 37, "ML_KEM_1024";
    }
}

open_enum! {
    /// Transform type 5: properties of sequence numbers (RFC 7296 3.3.2, RFC 9827).
    pub struct SequenceNumbersId(u16) {
        /// 32-bit sequential numbers.
        NO_ESN = 0, "NO_ESN";
        /// 64-bit sequential numbers, of which the low half is transmitted.
        ESN = 1, "ESN";
        /// 32-bit numbers without order, so without replay protection, RFC 9827.
        UNSPECIFIED_32 = 2, "32BIT_UNSPECIFIED";
    }
}
