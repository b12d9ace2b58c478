//! Rules about identities.

use alloc::string::String;
use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

use super::Identity;
use super::dn::DnPattern;
use super::text::{IdentityError, IdentityProblem};
use crate::selector::AddressRange;

/// A rule that says which identities a peer may have.
///
/// ```
/// use ikebana_core::identity::{Identity, IdentityPattern};
/// let branches: IdentityPattern = "*.branch.example.com".parse()?;
/// assert!(branches.matches(&"@paris.BRANCH.example.com".parse()?));
/// assert!(!branches.matches(&"@branch.example.com".parse()?));
/// # Ok::<(), ikebana_core::identity::IdentityError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityPattern {
    /// Any identity at all.
    Any,
    /// This one.
    Exact(Identity),
    /// A domain name below this one, at any depth: `*.example.com`. Holds `example.com`.
    FqdnBelow(String),
    /// An email address at this domain: `*@example.com`. Holds `example.com`.
    EmailAt(String),
    /// An address in this range: `10.1.0.0/16`, `10.0.0.1..10.0.0.9` or `10.0.0.1-10.0.0.9`.
    AddressIn(AddressRange),
    /// A distinguished name with open values: `C=CH, O=strongSwan, CN=*`.
    Dn(DnPattern),
}

impl IdentityPattern {
    /// Whether `identity` fits.
    #[must_use]
    pub fn matches(&self, identity: &Identity) -> bool {
        match (self, identity) {
            (Self::Any, _) => true,
            (Self::Exact(exact), _) => exact.is_same(identity),
            (Self::FqdnBelow(domain), Identity::Fqdn(name)) => {
                let cut = name.len().checked_sub(domain.len());
                cut.and_then(|cut| name.split_at_checked(cut)).is_some_and(|(host, tail)| {
                    tail.eq_ignore_ascii_case(domain) && host.ends_with('.') && host.len() > 1
                })
            }
            (Self::EmailAt(domain), Identity::Email(address)) => address
                .rsplit_once('@')
                .is_some_and(|(mailbox, host)| !mailbox.is_empty() && host.eq_ignore_ascii_case(domain)),
            (Self::AddressIn(range), Identity::Ipv4(address)) => range.contains(IpAddr::V4(*address)),
            (Self::AddressIn(range), Identity::Ipv6(address)) => range.contains(IpAddr::V6(*address)),
            (Self::Dn(pattern), Identity::DerDn(name)) => pattern.matches(name),
            (Self::FqdnBelow(_) | Self::EmailAt(_) | Self::AddressIn(_) | Self::Dn(_), _) => false,
        }
    }

    /// How much the pattern leaves open: 0 for one identity, 255 for any at all. Of two patterns that match,
    /// the one with the lower number says more about the peer.
    #[must_use]
    pub fn openness(&self) -> u8 {
        match self {
            Self::Exact(_) => 0,
            Self::Dn(_) | Self::FqdnBelow(_) | Self::EmailAt(_) | Self::AddressIn(_) => 1,
            Self::Any => u8::MAX,
        }
    }

    /// The one identity that matches, if it is only one.
    #[must_use]
    pub const fn as_exact(&self) -> Option<&Identity> {
        match self {
            Self::Exact(identity) => Some(identity),
            Self::Any | Self::FqdnBelow(_) | Self::EmailAt(_) | Self::AddressIn(_) | Self::Dn(_) => None,
        }
    }
}

impl From<Identity> for IdentityPattern {
    fn from(identity: Identity) -> Self {
        Self::Exact(identity)
    }
}

impl FromStr for IdentityPattern {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let problem = |problem| IdentityError::new(text, problem);
        let bare = text.trim();
        if matches!(bare, "%any" | "%any6" | "*" | "0.0.0.0" | "::") {
            return Ok(Self::Any);
        }
        if let Some(domain) = bare.strip_prefix("@*.").or_else(|| bare.strip_prefix("*.")) {
            return domain_of(domain).map(Self::FqdnBelow).map_err(problem);
        }
        if let Some(domain) = bare.strip_prefix("*@") {
            return domain_of(domain).map(Self::EmailAt).map_err(problem);
        }
        if !bare.contains(['@', '=']) && (bare.contains(['/', '-']) || bare.contains("..")) {
            // A dash alone does not make a range: it is common in host names.
            if let Ok(range) = bare.parse() {
                return Ok(Self::AddressIn(range));
            }
        }
        match super::text::parse_dn(bare) {
            Some(pattern) => {
                let pattern = pattern.map_err(problem)?;
                match pattern.to_der() {
                    Some(der) => Ok(Self::Exact(Identity::DerDn(der))),
                    None => Ok(Self::Dn(pattern)),
                }
            }
            None => bare.parse().map(Self::Exact).map_err(|error: IdentityError| problem(error.problem)),
        }
    }
}

impl fmt::Display for IdentityPattern {
    /// Prints what [`FromStr`] reads back as the same pattern, without ever a control character.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("%any"),
            Self::Exact(identity) => identity.fmt(f),
            Self::FqdnBelow(domain) => write!(f, "*.{}", Domain(domain)),
            Self::EmailAt(domain) => write!(f, "*@{}", Domain(domain)),
            Self::AddressIn(range) => range.fmt(f),
            Self::Dn(pattern) => pattern.fmt(f),
        }
    }
}

/// A domain as it is, but for characters that none can have.
struct Domain<'a>(&'a str);

impl fmt::Display for Domain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|char| match char.is_ascii_graphic() {
            true => write!(f, "{char}"),
            false => write!(f, "{}", char.escape_default()),
        })
    }
}

fn domain_of(text: &str) -> Result<String, IdentityProblem> {
    if text.contains('*') {
        return Err(IdentityProblem::Wildcard);
    }
    if text.is_empty() || !text.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'@') {
        return Err(IdentityProblem::NotText);
    }
    Ok(text.into())
}
