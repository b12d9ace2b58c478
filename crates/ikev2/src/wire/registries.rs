//! The IANA registries of IKEv2 that are not about proposals or notifications.

use ikebana_core::open_enum;

open_enum! {
    /// What a payload is (RFC 7296 3.2). The names are the RFC's notation.
    pub struct PayloadType(u8) {
        /// No next payload.
        NONE = 0, "none";
        /// Security association.
        SA = 33, "SA";
        /// Key exchange.
        KE = 34, "KE";
        /// Identification of the initiator.
        ID_INITIATOR = 35, "IDi";
        /// Identification of the responder.
        ID_RESPONDER = 36, "IDr";
        /// Certificate.
        CERT = 37, "CERT";
        /// Certificate request.
        CERT_REQUEST = 38, "CERTREQ";
        /// Authentication.
        AUTH = 39, "AUTH";
        /// Nonce.
        NONCE = 40, "Nonce";
        /// Notify.
        NOTIFY = 41, "N";
        /// Delete.
        DELETE = 42, "D";
        /// Vendor ID.
        VENDOR_ID = 43, "V";
        /// Traffic selectors of the initiator's end.
        TS_INITIATOR = 44, "TSi";
        /// Traffic selectors of the responder's end.
        TS_RESPONDER = 45, "TSr";
        /// Encrypted and authenticated.
        ENCRYPTED = 46, "SK";
        /// Configuration.
        CONFIG = 47, "CP";
        /// Extensible authentication.
        EAP = 48, "EAP";
        /// Generic secure password method, RFC 6467.
        GSPM = 49, "GSPM";
        /// Group identification, RFC 9838.
        GROUP_ID = 50, "IDg";
        /// Group security association, RFC 9838.
        GROUP_SA = 51, "GSA";
        /// Key download, RFC 9838.
        KEY_DOWNLOAD = 52, "KD";
        /// Encrypted and authenticated fragment, RFC 7383.
        ENCRYPTED_FRAGMENT = 53, "SKF";
        /// Puzzle solution, RFC 8019.
        PUZZLE_SOLUTION = 54, "PS";
    }
}

open_enum! {
    /// How a peer proves who it is (RFC 7296 3.8).
    pub struct AuthMethod(u8) {
        /// RSASSA-PKCS1-v1_5.
        RSA = 1, "RSA_DIGITAL_SIGNATURE";
        /// Pre-shared key.
        SHARED_KEY = 2, "SHARED_KEY_MESSAGE_INTEGRITY_CODE";
        /// DSS.
        DSS = 3, "DSS_DIGITAL_SIGNATURE";
        /// ECDSA with SHA-256 on P-256, RFC 4754.
        ECDSA_P256 = 9, "ECDSA_SHA_256_P256";
        /// ECDSA with SHA-384 on P-384, RFC 4754.
        ECDSA_P384 = 10, "ECDSA_SHA_384_P384";
        /// ECDSA with SHA-512 on P-521, RFC 4754.
        ECDSA_P521 = 11, "ECDSA_SHA_512_P521";
        /// Generic secure password, RFC 6467.
        SECURE_PASSWORD = 12, "GENERIC_SECURE_PASSWORD";
        /// No authentication, RFC 7619.
        NULL = 13, "NULL";
        /// A signature that names its algorithm, RFC 7427.
        DIGITAL_SIGNATURE = 14, "DIGITAL_SIGNATURE";
    }
}

open_enum! {
    /// What a certificate payload holds (RFC 7296 3.6).
    pub struct CertEncoding(u8) {
        /// PKCS #7 wrapped X.509 certificate.
        PKCS7 = 1, "PKCS7_WRAPPED_X509";
        /// PGP certificate.
        PGP = 2, "PGP";
        /// DNS signed key.
        DNS_SIGNED_KEY = 3, "DNS_SIGNED_KEY";
        /// X.509 certificate, DER.
        X509_SIGNATURE = 4, "X509_SIGNATURE";
        /// Kerberos token.
        KERBEROS_TOKEN = 6, "KERBEROS_TOKEN";
        /// Certificate revocation list.
        CRL = 7, "CRL";
        /// Authority revocation list.
        ARL = 8, "ARL";
        /// SPKI certificate.
        SPKI = 9, "SPKI";
        /// X.509 attribute certificate.
        X509_ATTRIBUTE = 10, "X509_ATTRIBUTE";
        /// Raw RSA key, deprecated.
        RAW_RSA_KEY = 11, "RAW_RSA_KEY";
        /// Hash and URL of an X.509 certificate.
        HASH_AND_URL = 12, "HASH_AND_URL_X509";
        /// Hash and URL of a bundle of X.509 certificates.
        HASH_AND_URL_BUNDLE = 13, "HASH_AND_URL_X509_BUNDLE";
        /// OCSP content, RFC 4806.
        OCSP = 14, "OCSP_CONTENT";
        /// Raw public key, RFC 7670.
        RAW_PUBLIC_KEY = 15, "RAW_PUBLIC_KEY";
    }
}

open_enum! {
    /// What a configuration payload does (RFC 7296 3.15).
    pub struct ConfigType(u8) {
        /// Asks for values.
        REQUEST = 1, "CFG_REQUEST";
        /// Answers a request.
        REPLY = 2, "CFG_REPLY";
        /// Pushes values.
        SET = 3, "CFG_SET";
        /// Acknowledges pushed values.
        ACK = 4, "CFG_ACK";
    }
}

open_enum! {
    /// What a configuration attribute is about (RFC 7296 3.15.1).
    pub struct ConfigAttributeType(u16) {
        /// An IPv4 address for the client.
        INTERNAL_IP4_ADDRESS = 1, "INTERNAL_IP4_ADDRESS";
        /// Its netmask.
        INTERNAL_IP4_NETMASK = 2, "INTERNAL_IP4_NETMASK";
        /// An IPv4 DNS server.
        INTERNAL_IP4_DNS = 3, "INTERNAL_IP4_DNS";
        /// An IPv4 NetBIOS name server.
        INTERNAL_IP4_NBNS = 4, "INTERNAL_IP4_NBNS";
        /// An IPv4 DHCP server.
        INTERNAL_IP4_DHCP = 6, "INTERNAL_IP4_DHCP";
        /// Name and version of the software; untrusted text.
        APPLICATION_VERSION = 7, "APPLICATION_VERSION";
        /// An IPv6 address and prefix length for the client.
        INTERNAL_IP6_ADDRESS = 8, "INTERNAL_IP6_ADDRESS";
        /// An IPv6 DNS server.
        INTERNAL_IP6_DNS = 10, "INTERNAL_IP6_DNS";
        /// An IPv6 DHCP server.
        INTERNAL_IP6_DHCP = 12, "INTERNAL_IP6_DHCP";
        /// An IPv4 subnet behind the gateway.
        INTERNAL_IP4_SUBNET = 13, "INTERNAL_IP4_SUBNET";
        /// The attributes that are understood.
        SUPPORTED_ATTRIBUTES = 14, "SUPPORTED_ATTRIBUTES";
        /// An IPv6 subnet behind the gateway.
        INTERNAL_IP6_SUBNET = 15, "INTERNAL_IP6_SUBNET";
        /// Mobile IPv6 home prefix, RFC 5026.
        MIP6_HOME_PREFIX = 16, "MIP6_HOME_PREFIX";
        /// IPv6 link of a client, RFC 5739.
        INTERNAL_IP6_LINK = 17, "INTERNAL_IP6_LINK";
        /// IPv6 prefix of a client, RFC 5739.
        INTERNAL_IP6_PREFIX = 18, "INTERNAL_IP6_PREFIX";
        /// Home agent, 3GPP TS 24.302.
        HOME_AGENT_ADDRESS = 19, "HOME_AGENT_ADDRESS";
        /// IPv4 P-CSCF server, RFC 7651.
        P_CSCF_IP4_ADDRESS = 20, "P_CSCF_IP4_ADDRESS";
        /// IPv6 P-CSCF server, RFC 7651.
        P_CSCF_IP6_ADDRESS = 21, "P_CSCF_IP6_ADDRESS";
        /// Keepalive time, 3GPP TS 24.302.
        FTT_KAT = 22, "FTT_KAT";
        /// External source address and NAT information, 3GPP.
        EXTERNAL_SOURCE_IP4_NAT_INFO = 23, "EXTERNAL_SOURCE_IP4_NAT_INFO";
        /// Timeout for liveness checks, 3GPP.
        TIMEOUT_PERIOD_FOR_LIVENESS_CHECK = 24, "TIMEOUT_PERIOD_FOR_LIVENESS_CHECK";
        /// A domain to resolve inside, RFC 8598.
        INTERNAL_DNS_DOMAIN = 25, "INTERNAL_DNS_DOMAIN";
        /// A DNSSEC trust anchor, RFC 8598.
        INTERNAL_DNSSEC_TA = 26, "INTERNAL_DNSSEC_TA";
        /// An encrypted IPv4 DNS resolver, RFC 9464.
        ENCDNS_IP4 = 27, "ENCDNS_IP4";
        /// An encrypted IPv6 DNS resolver, RFC 9464.
        ENCDNS_IP6 = 28, "ENCDNS_IP6";
        /// Digests of a resolver's certificate, RFC 9464.
        ENCDNS_DIGEST_INFO = 29, "ENCDNS_DIGEST_INFO";
    }
}
