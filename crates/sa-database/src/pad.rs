//! Peer authorization (RFC 4301 4.4.3).

use alloc::string::String;
use alloc::vec::Vec;

use ikebana_core::{Identity, IdentityPattern, TrafficSelectors};

use crate::policy::Selectors;

/// What peers with a certain identity may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAuthorization {
    /// Who: an identity, or a pattern of identities. It means something only once the peer has proved it.
    pub identity: IdentityPattern,
    /// The name of the configuration that holds for them: authentication, proposals, tunnels.
    pub peer: String,
    /// The addresses and ports on the peer's side that its Child SAs may be for (RFC 4301 4.4.3.3). Whoever may
    /// claim 0.0.0.0/0 can take over everyone else's traffic.
    pub remote: TrafficSelectors,
    /// Those on our side that it may reach.
    pub local: TrafficSelectors,
}

impl PeerAuthorization {
    /// What is left of the selectors of a Child SA after this entry has had its say; `None` if that is nothing
    /// on one of the sides.
    #[must_use]
    pub fn limit(&self, asked: &Selectors) -> Option<Selectors> {
        let local = self.local.narrow(&asked.local);
        let remote = self.remote.narrow(&asked.remote);
        (!local.is_empty() && !remote.is_empty()).then_some(Selectors { local, remote })
    }

    /// Whether the entry allows all of the selectors of a Child SA.
    #[must_use]
    pub fn allows(&self, asked: &Selectors) -> bool {
        self.local.contains(&asked.local) && self.remote.contains(&asked.remote)
    }
}

/// The PAD: an ordered list, in which the first entry that matches an identity decides.
///
/// ```
/// use ikebana_core::Identity;
/// use ikebana_sa_database::{PeerAuthorization, PeerAuthorizations};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut pad = PeerAuthorizations::new();
/// pad.push(PeerAuthorization {
///     identity: "*.branch.example.com".parse()?,
///     peer: "branches".into(),
///     remote: "10.64.0.0/10".parse()?,
///     local: "10.0.0.0/16".parse()?,
/// });
/// let paris: Identity = "paris.branch.example.com".parse()?;
/// assert_eq!(pad.authorize(&paris).map(|entry| entry.peer.as_str()), Some("branches"));
/// assert_eq!(pad.authorize(&"mallory.example.com".parse()?), None);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerAuthorizations(Vec<PeerAuthorization>);

impl PeerAuthorizations {
    /// A PAD that authorizes nobody.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds an entry after all others.
    pub fn push(&mut self, entry: PeerAuthorization) {
        self.0.push(entry);
    }

    /// The entry for a peer that has proved to be `identity`.
    #[must_use]
    pub fn authorize(&self, identity: &Identity) -> Option<&PeerAuthorization> {
        self.0.iter().find(|entry| entry.identity.matches(identity))
    }

    /// The entries in their order.
    pub fn iter(&self) -> core::slice::Iter<'_, PeerAuthorization> {
        self.0.iter()
    }

    /// Keeps only the entries for which `keep` says so.
    pub fn retain(&mut self, keep: impl FnMut(&PeerAuthorization) -> bool) {
        self.0.retain(keep);
    }
}

impl<'a> IntoIterator for &'a PeerAuthorizations {
    type Item = &'a PeerAuthorization;
    type IntoIter = core::slice::Iter<'a, PeerAuthorization>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl FromIterator<PeerAuthorization> for PeerAuthorizations {
    fn from_iter<T: IntoIterator<Item = PeerAuthorization>>(entries: T) -> Self {
        Self(entries.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use alloc::string::ToString;

    fn entry(identity: &str, peer: &str, remote: &str) -> PeerAuthorization {
        PeerAuthorization {
            identity: identity.parse().unwrap(),
            peer: peer.into(),
            remote: remote.parse().unwrap(),
            local: "10.0.0.0/8".parse().unwrap(),
        }
    }

    #[test]
    fn the_first_entry_that_matches_decides() {
        let pad: PeerAuthorizations = [
            entry("carol@example.com", "carol", "10.9.0.0/24"),
            entry("*@example.com", "staff", "10.8.0.0/16"),
            entry("%any", "guests", "192.0.2.0/24"),
        ]
        .into_iter()
        .collect();
        for (who, peer) in
            [("carol@example.com", "carol"), ("dave@EXAMPLE.com", "staff"), ("carol@example.org", "guests")]
        {
            assert_eq!(pad.authorize(&who.parse().unwrap()).unwrap().peer, peer);
        }
    }

    #[test]
    fn a_peer_gets_no_more_traffic_than_its_entry_allows() {
        let entry = entry("%any", "guests", "192.0.2.0/24");
        let all = "0.0.0.0/0".parse::<TrafficSelectors>().unwrap();
        let asked = Selectors::new(all.clone(), all);
        let limited = entry.limit(&asked).unwrap();
        assert_eq!(limited.to_string(), "10.0.0.0/8 === 192.0.2.0/24");
        assert!(entry.allows(&limited) && !entry.allows(&asked));
        let elsewhere = Selectors::new("10.0.0.0/8".parse().unwrap(), "198.51.100.0/24".parse().unwrap());
        assert_eq!(entry.limit(&elsewhere), None);
    }
}
