//! The registries of ISAKMP and of the IPsec DOI that are not about proposals.

use ikebana_core::open_enum;

open_enum! {
    /// What a payload is (RFC 2408 3.1 and the IANA registry after it).
    pub struct PayloadType(u8) {
        /// No next payload.
        NONE = 0, "none";
        /// Security association.
        SA = 1, "SA";
        /// Key exchange.
        KE = 4, "KE";
        /// Identification.
        ID = 5, "ID";
        /// Certificate.
        CERT = 6, "CERT";
        /// Certificate request.
        CERT_REQUEST = 7, "CR";
        /// Hash.
        HASH = 8, "HASH";
        /// Signature.
        SIGNATURE = 9, "SIG";
        /// Nonce.
        NONCE = 10, "Nonce";
        /// Notification.
        NOTIFY = 11, "N";
        /// Delete.
        DELETE = 12, "D";
        /// Vendor ID.
        VENDOR_ID = 13, "VID";
        /// Attributes of mode config and XAUTH.
        CONFIG = 14, "CP";
        /// SA key encryption key, RFC 6407.
        SAK = 15, "SAK";
        /// SA traffic encryption key, RFC 6407.
        SAT = 16, "SAT";
        /// Key download, RFC 6407.
        KEY_DOWNLOAD = 17, "KD";
        /// Sequence number, RFC 6407.
        SEQUENCE = 18, "SEQ";
        /// Proof of possession, RFC 6407.
        PROOF = 19, "POP";
        /// NAT detection, RFC 3947.
        NAT_D = 20, "NAT-D";
        /// NAT original address, RFC 3947.
        NAT_OA = 21, "NAT-OA";
        /// NAT detection of the drafts.
        NAT_D_DRAFT = 130, "NAT-D-draft";
        /// NAT original address of the drafts.
        NAT_OA_DRAFT = 131, "NAT-OA-draft";
        /// A part of a message.
        FRAGMENT = 132, "FRAG";
    }
}

open_enum! {
    /// What a notification says (RFC 2408 3.14.1, RFC 2407 4.6.3, RFC 3706).
    pub struct NotifyType(u16) {
        /// Error.
        INVALID_PAYLOAD_TYPE = 1, "INVALID-PAYLOAD-TYPE";
        /// Error.
        DOI_NOT_SUPPORTED = 2, "DOI-NOT-SUPPORTED";
        /// Error.
        SITUATION_NOT_SUPPORTED = 3, "SITUATION-NOT-SUPPORTED";
        /// Error.
        INVALID_COOKIE = 4, "INVALID-COOKIE";
        /// Error.
        INVALID_MAJOR_VERSION = 5, "INVALID-MAJOR-VERSION";
        /// Error.
        INVALID_MINOR_VERSION = 6, "INVALID-MINOR-VERSION";
        /// Error.
        INVALID_EXCHANGE_TYPE = 7, "INVALID-EXCHANGE-TYPE";
        /// Error.
        INVALID_FLAGS = 8, "INVALID-FLAGS";
        /// Error.
        INVALID_MESSAGE_ID = 9, "INVALID-MESSAGE-ID";
        /// Error.
        INVALID_PROTOCOL_ID = 10, "INVALID-PROTOCOL-ID";
        /// Error.
        INVALID_SPI = 11, "INVALID-SPI";
        /// Error.
        INVALID_TRANSFORM_ID = 12, "INVALID-TRANSFORM-ID";
        /// Error.
        ATTRIBUTES_NOT_SUPPORTED = 13, "ATTRIBUTES-NOT-SUPPORTED";
        /// None of the proposals is acceptable.
        NO_PROPOSAL_CHOSEN = 14, "NO-PROPOSAL-CHOSEN";
        /// Error.
        BAD_PROPOSAL_SYNTAX = 15, "BAD-PROPOSAL-SYNTAX";
        /// Error; often a wrong pre-shared key.
        PAYLOAD_MALFORMED = 16, "PAYLOAD-MALFORMED";
        /// Error.
        INVALID_KEY_INFORMATION = 17, "INVALID-KEY-INFORMATION";
        /// Error; often selectors that do not match.
        INVALID_ID_INFORMATION = 18, "INVALID-ID-INFORMATION";
        /// Error.
        INVALID_CERT_ENCODING = 19, "INVALID-CERT-ENCODING";
        /// Error.
        INVALID_CERTIFICATE = 20, "INVALID-CERTIFICATE";
        /// Error.
        CERT_TYPE_UNSUPPORTED = 21, "CERT-TYPE-UNSUPPORTED";
        /// Error.
        INVALID_CERT_AUTHORITY = 22, "INVALID-CERT-AUTHORITY";
        /// Error.
        INVALID_HASH_INFORMATION = 23, "INVALID-HASH-INFORMATION";
        /// The peer is not who it says it is.
        AUTHENTICATION_FAILED = 24, "AUTHENTICATION-FAILED";
        /// Error.
        INVALID_SIGNATURE = 25, "INVALID-SIGNATURE";
        /// Error.
        ADDRESS_NOTIFICATION = 26, "ADDRESS-NOTIFICATION";
        /// Error.
        NOTIFY_SA_LIFETIME = 27, "NOTIFY-SA-LIFETIME";
        /// Error.
        CERTIFICATE_UNAVAILABLE = 28, "CERTIFICATE-UNAVAILABLE";
        /// Error.
        UNSUPPORTED_EXCHANGE_TYPE = 29, "UNSUPPORTED-EXCHANGE-TYPE";
        /// Error.
        UNEQUAL_PAYLOAD_LENGTHS = 30, "UNEQUAL-PAYLOAD-LENGTHS";
        /// The answer to the commit bit.
        CONNECTED = 16384, "CONNECTED";
        /// The lifetime that the responder will use.
        RESPONDER_LIFETIME = 24576, "RESPONDER-LIFETIME";
        /// Whether replays are detected.
        REPLAY_STATUS = 24577, "REPLAY-STATUS";
        /// First contact since a restart.
        INITIAL_CONTACT = 24578, "INITIAL-CONTACT";
        /// Dead peer detection, RFC 3706.
        R_U_THERE = 36136, "R-U-THERE";
        /// Its answer.
        R_U_THERE_ACK = 36137, "R-U-THERE-ACK";
        /// A gateway's advice to go to another one.
        LOAD_BALANCE = 40501, "LOAD-BALANCE";
    }
}

impl NotifyType {
    /// Whether this reports an error, known or not (RFC 2408 3.14.1).
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.0 < 16_384
    }
}

open_enum! {
    /// What an identification is (RFC 2407 4.6.2.1).
    pub struct IdType(u8) {
        /// One IPv4 address.
        IPV4_ADDR = 1, "ID_IPV4_ADDR";
        /// A domain name.
        FQDN = 2, "ID_FQDN";
        /// A user at a domain.
        USER_FQDN = 3, "ID_USER_FQDN";
        /// IPv4 address and mask.
        IPV4_ADDR_SUBNET = 4, "ID_IPV4_ADDR_SUBNET";
        /// One IPv6 address.
        IPV6_ADDR = 5, "ID_IPV6_ADDR";
        /// IPv6 address and mask.
        IPV6_ADDR_SUBNET = 6, "ID_IPV6_ADDR_SUBNET";
        /// First and last IPv4 address.
        IPV4_ADDR_RANGE = 7, "ID_IPV4_ADDR_RANGE";
        /// First and last IPv6 address.
        IPV6_ADDR_RANGE = 8, "ID_IPV6_ADDR_RANGE";
        /// A DER-encoded X.500 distinguished name.
        DER_ASN1_DN = 9, "ID_DER_ASN1_DN";
        /// A DER-encoded X.500 general name.
        DER_ASN1_GN = 10, "ID_DER_ASN1_GN";
        /// Vendor-specific octets.
        KEY_ID = 11, "ID_KEY_ID";
    }
}

open_enum! {
    /// What a certificate payload holds (RFC 2408 3.9).
    pub struct CertEncoding(u8) {
        /// PKCS #7 wrapped X.509 certificate.
        PKCS7 = 1, "PKCS7_WRAPPED_X509";
        /// PGP certificate.
        PGP = 2, "PGP";
        /// DNS signed key.
        DNS_SIGNED_KEY = 3, "DNS_SIGNED_KEY";
        /// X.509 certificate for signatures.
        X509_SIGNATURE = 4, "X509_SIGNATURE";
        /// X.509 certificate for key exchange.
        X509_KEY_EXCHANGE = 5, "X509_KEY_EXCHANGE";
        /// Kerberos tokens.
        KERBEROS_TOKENS = 6, "KERBEROS_TOKENS";
        /// Certificate revocation list.
        CRL = 7, "CRL";
        /// Authority revocation list.
        ARL = 8, "ARL";
        /// SPKI certificate.
        SPKI = 9, "SPKI";
        /// X.509 attribute certificate.
        X509_ATTRIBUTE = 10, "X509_ATTRIBUTE";
    }
}

open_enum! {
    /// What a mode config message does (draft-ietf-ipsec-isakmp-mode-cfg).
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
    /// What a mode config attribute is about (draft-ietf-ipsec-isakmp-mode-cfg, draft-beaulieu-ike-xauth, and
    /// the values of Cisco's Unity client that everybody understands).
    pub struct ConfigAttribute(u16) {
        /// An IPv4 address for the client.
        INTERNAL_IP4_ADDRESS = 1, "INTERNAL_IP4_ADDRESS";
        /// Its netmask.
        INTERNAL_IP4_NETMASK = 2, "INTERNAL_IP4_NETMASK";
        /// An IPv4 DNS server.
        INTERNAL_IP4_DNS = 3, "INTERNAL_IP4_DNS";
        /// An IPv4 NetBIOS name server.
        INTERNAL_IP4_NBNS = 4, "INTERNAL_IP4_NBNS";
        /// Seconds that the address may be used.
        INTERNAL_ADDRESS_EXPIRY = 5, "INTERNAL_ADDRESS_EXPIRY";
        /// An IPv4 DHCP server.
        INTERNAL_IP4_DHCP = 6, "INTERNAL_IP4_DHCP";
        /// Name and version of the software; untrusted text.
        APPLICATION_VERSION = 7, "APPLICATION_VERSION";
        /// An IPv6 address for the client.
        INTERNAL_IP6_ADDRESS = 8, "INTERNAL_IP6_ADDRESS";
        /// An IPv6 DNS server.
        INTERNAL_IP6_DNS = 10, "INTERNAL_IP6_DNS";
        /// An IPv4 subnet behind the gateway.
        INTERNAL_IP4_SUBNET = 13, "INTERNAL_IP4_SUBNET";
        /// The attributes that are understood.
        SUPPORTED_ATTRIBUTES = 14, "SUPPORTED_ATTRIBUTES";
        /// An IPv6 subnet behind the gateway.
        INTERNAL_IP6_SUBNET = 15, "INTERNAL_IP6_SUBNET";
        /// How to prove who the user is.
        XAUTH_TYPE = 16520, "XAUTH_TYPE";
        /// The user's name.
        XAUTH_USER_NAME = 16521, "XAUTH_USER_NAME";
        /// The user's password: secret.
        XAUTH_USER_PASSWORD = 16522, "XAUTH_USER_PASSWORD";
        /// A one-time code: secret.
        XAUTH_PASSCODE = 16523, "XAUTH_PASSCODE";
        /// Text for the user.
        XAUTH_MESSAGE = 16524, "XAUTH_MESSAGE";
        /// A challenge.
        XAUTH_CHALLENGE = 16525, "XAUTH_CHALLENGE";
        /// A domain.
        XAUTH_DOMAIN = 16526, "XAUTH_DOMAIN";
        /// 1 for success, 0 for failure.
        XAUTH_STATUS = 16527, "XAUTH_STATUS";
        /// The next PIN: secret.
        XAUTH_NEXT_PIN = 16528, "XAUTH_NEXT_PIN";
        /// The answer to a challenge: secret.
        XAUTH_ANSWER = 16529, "XAUTH_ANSWER";
        /// Text to show.
        UNITY_BANNER = 28672, "UNITY_BANNER";
        /// Whether the password may be saved.
        UNITY_SAVE_PASSWD = 28673, "UNITY_SAVE_PASSWD";
        /// The default domain.
        UNITY_DEF_DOMAIN = 28674, "UNITY_DEF_DOMAIN";
        /// Domains to resolve inside.
        UNITY_SPLITDNS_NAME = 28675, "UNITY_SPLITDNS_NAME";
        /// Networks behind the gateway.
        UNITY_SPLIT_INCLUDE = 28676, "UNITY_SPLIT_INCLUDE";
        /// A port for NAT traversal.
        UNITY_NATT_PORT = 28677, "UNITY_NATT_PORT";
        /// Networks to leave outside.
        UNITY_LOCAL_LAN = 28678, "UNITY_LOCAL_LAN";
        /// Perfect forward secrecy.
        UNITY_PFS = 28679, "UNITY_PFS";
        /// The kind of firewall.
        UNITY_FW_TYPE = 28680, "UNITY_FW_TYPE";
        /// Gateways to fall back to.
        UNITY_BACKUP_SERVERS = 28681, "UNITY_BACKUP_SERVERS";
        /// A host name.
        UNITY_DDNS_HOSTNAME = 28682, "UNITY_DDNS_HOSTNAME";
    }
}

impl ConfigAttribute {
    /// Whether the value is a secret of the user, not to be shown.
    #[must_use]
    pub const fn is_secret(self) -> bool {
        matches!(
            self,
            Self::XAUTH_USER_PASSWORD | Self::XAUTH_PASSCODE | Self::XAUTH_NEXT_PIN | Self::XAUTH_ANSWER
        )
    }
}
