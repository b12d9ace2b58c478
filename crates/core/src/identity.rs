//! IKE identities (RFC 7296 3.5) and the patterns that match them.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};

crate::open_enum! {
    /// The ID Type of an identification payload (RFC 7296 3.5).
    pub struct IdType(u8) {
        /// An IPv4 address.
        IPV4_ADDR = 1, "ID_IPV4_ADDR";
        /// A fully qualified domain name, without terminating NUL.
        FQDN = 2, "ID_FQDN";
        /// An RFC 822 email address.
        RFC822_ADDR = 3, "ID_RFC822_ADDR";
        /// An IPv6 address.
        IPV6_ADDR = 5, "ID_IPV6_ADDR";
        /// A DER-encoded X.500 distinguished name.
        DER_ASN1_DN = 9, "ID_DER_ASN1_DN";
        /// A DER-encoded X.500 general name.
        DER_ASN1_GN = 10, "ID_DER_ASN1_GN";
        /// Vendor-specific octets.
        KEY_ID = 11, "ID_KEY_ID";
    }
}

/// Who a peer says it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// `ID_IPV4_ADDR`.
    Ipv4(Ipv4Addr),
    /// `ID_IPV6_ADDR`.
    Ipv6(Ipv6Addr),
    /// `ID_FQDN`.
    Fqdn(String),
    /// `ID_RFC822_ADDR`.
    Email(String),
    /// `ID_DER_ASN1_DN`.
    DerDn(Vec<u8>),
    /// `ID_KEY_ID`.
    KeyId(Vec<u8>),
    /// Any other type.
    Other(IdType, Vec<u8>),
}

/// A rule that says which identities a peer may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityPattern {
    /// Any identity at all.
    Any,
    /// This one.
    Exact(Identity),
}
