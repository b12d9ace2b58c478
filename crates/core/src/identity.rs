//! IKE identities (RFC 7296 3.5) and the patterns that match them.
//!
//! Three forms of an identity meet here: the octets of an identification payload ([`Identity::from_wire`],
//! [`Identity::data`]), the text that people write in configurations ([`FromStr`](core::str::FromStr)), and the text that
//! logs show ([`Display`](core::fmt::Display)). What a peer sends is never trusted to be printable, and what a
//! peer sends is never a pattern: a `*` in it is a character like any other.

mod dn;
mod pattern;
mod text;

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::codec::{Problem, WireError};

pub use dn::{AttributePattern, DnPattern};
pub use pattern::IdentityPattern;
pub use text::{IdentityError, IdentityProblem};

/// The most octets of identification data that are accepted.
///
/// A domain name has at most 255 octets; distinguished names of real certificates stay below a thousand.
pub const MAX_IDENTITY_OCTETS: usize = 2_048;

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
///
/// Equality is that of the octets. Whether two identities name the same peer, which for domain names does not
/// depend on case, is [`Identity::is_same`].
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
    /// Any other type, and names that are no printable ASCII.
    Other(IdType, Vec<u8>),
}

impl Identity {
    /// Reads the identification data of a payload whose ID Type is `kind`.
    ///
    /// A domain name or an email address that is not printable ASCII, for example because a NUL hides half of
    /// it from C programs, becomes [`Identity::Other`]: it keeps all of its octets and equals no configured
    /// name.
    ///
    /// # Errors
    /// If the length does not fit the type, if there are more than [`MAX_IDENTITY_OCTETS`], or if a
    /// distinguished name is not DER.
    pub fn from_wire(kind: IdType, data: &[u8]) -> Result<Self, WireError> {
        const FIELD: &str = "identification data";
        let bad_length = WireError::new(FIELD, Problem::BadLength(data.len()));
        if data.len() > MAX_IDENTITY_OCTETS || (data.is_empty() && kind.name().is_some()) {
            return Err(bad_length);
        }
        match kind {
            IdType::IPV4_ADDR => {
                <[u8; 4]>::try_from(data).map(|octets| Self::Ipv4(octets.into())).map_err(|_| bad_length)
            }
            IdType::IPV6_ADDR => {
                <[u8; 16]>::try_from(data).map(|octets| Self::Ipv6(octets.into())).map_err(|_| bad_length)
            }
            IdType::FQDN => Ok(printable(data).map_or_else(|| Self::Other(kind, data.to_vec()), Self::Fqdn)),
            IdType::RFC822_ADDR => {
                Ok(printable(data).map_or_else(|| Self::Other(kind, data.to_vec()), Self::Email))
            }
            IdType::DER_ASN1_DN => {
                dn::check(data).map_err(|offset| WireError::new(FIELD, Problem::BadValue(offset)))?;
                Ok(Self::DerDn(data.to_vec()))
            }
            IdType::KEY_ID => Ok(Self::KeyId(data.to_vec())),
            other => Ok(Self::Other(other, data.to_vec())),
        }
    }

    /// The ID Type that goes with [`Identity::data`].
    #[must_use]
    pub const fn id_type(&self) -> IdType {
        match self {
            Self::Ipv4(_) => IdType::IPV4_ADDR,
            Self::Ipv6(_) => IdType::IPV6_ADDR,
            Self::Fqdn(_) => IdType::FQDN,
            Self::Email(_) => IdType::RFC822_ADDR,
            Self::DerDn(_) => IdType::DER_ASN1_DN,
            Self::KeyId(_) => IdType::KEY_ID,
            Self::Other(kind, _) => *kind,
        }
    }

    /// The identification data as it goes on the wire.
    #[must_use]
    pub fn data(&self) -> Vec<u8> {
        match self {
            Self::Ipv4(address) => address.octets().to_vec(),
            Self::Ipv6(address) => address.octets().to_vec(),
            Self::Fqdn(name) | Self::Email(name) => name.as_bytes().to_vec(),
            Self::DerDn(octets) | Self::KeyId(octets) | Self::Other(_, octets) => octets.clone(),
        }
    }

    /// Whether both name the same peer.
    ///
    /// Domain names are compared without regard to case, email addresses only after the `@`. Distinguished
    /// names are compared attribute by attribute, text without regard to the case of ASCII letters or to the
    /// kind of string it is in (RFC 5280 7.1).
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Fqdn(ours), Self::Fqdn(theirs)) => ours.eq_ignore_ascii_case(theirs),
            (Self::Email(ours), Self::Email(theirs)) => same_email(ours, theirs),
            (Self::DerDn(ours), Self::DerDn(theirs)) => ours == theirs || dn::is_same(ours, theirs),
            _ => self == other,
        }
    }
}

impl From<IpAddr> for Identity {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::Ipv4(v4),
            IpAddr::V6(v6) => Self::Ipv6(v6),
        }
    }
}

/// `data` as text, if all of it is ASCII without control characters.
fn printable(data: &[u8]) -> Option<String> {
    let text = core::str::from_utf8(data).ok()?;
    text.bytes().all(|octet| matches!(octet, 0x20..=0x7e)).then(|| text.into())
}

fn same_email(ours: &str, theirs: &str) -> bool {
    match (ours.rsplit_once('@'), theirs.rsplit_once('@')) {
        (Some((our_box, our_host)), Some((their_box, their_host))) => {
            our_box == their_box && our_host.eq_ignore_ascii_case(their_host)
        }
        (Some(_), None) | (None, Some(_)) => false,
        (None, None) => ours == theirs,
    }
}
