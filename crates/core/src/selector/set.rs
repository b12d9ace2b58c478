//! Lists of traffic selectors.

use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use super::TrafficSelector;

/// One side's selectors: a packet's end matches if any of them matches it.
///
/// Order is kept: in a TSi or TSr payload the first selector may be the packet that caused the negotiation
/// (RFC 7296 2.9).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TrafficSelectors(Vec<TrafficSelector>);

impl TrafficSelectors {
    /// How many selectors a traffic selector payload can hold; it counts them in one octet (RFC 7296 3.13).
    pub const MOST_IN_PAYLOAD: usize = 255;

    /// The selectors of `list`, in that order.
    #[must_use]
    pub const fn new(list: Vec<TrafficSelector>) -> Self {
        Self(list)
    }

    /// The selectors one by one.
    pub fn iter(&self) -> core::slice::Iter<'_, TrafficSelector> {
        self.0.iter()
    }

    /// The selectors as a slice.
    #[must_use]
    pub fn as_slice(&self) -> &[TrafficSelector] {
        &self.0
    }

    /// How many selectors there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none, so that nothing matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one end of a packet matches one of the selectors.
    #[must_use]
    pub fn matches(&self, address: IpAddr, protocol: u8, port: Option<u16>) -> bool {
        self.0.iter().any(|selector| selector.matches(address, protocol, port))
    }

    /// Whether each of `other`'s selectors lies within one of ours.
    ///
    /// A selector that only several of ours cover together counts as not contained; RFC 7296 never needs that
    /// case, and saying no is the safe answer.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        other.0.iter().all(|theirs| self.0.iter().any(|ours| ours.contains(theirs)))
    }

    /// What both lists cover: every pair's intersection, without those that another one contains.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        self.intersect_up_to(usize::MAX, other)
    }

    fn intersect_up_to(&self, most: usize, other: &Self) -> Self {
        let mut common: Vec<TrafficSelector> = Vec::new();
        for theirs in &other.0 {
            for ours in &self.0 {
                let Some(both) = ours.intersect(theirs) else { continue };
                if common.iter().any(|kept| kept.contains(&both)) {
                    continue;
                }
                common.retain(|kept| !both.contains(kept));
                if common.len() == most {
                    return Self(common);
                }
                common.push(both);
            }
        }
        Self(common)
    }

    /// The responder's answer to `offered` (RFC 7296 2.9): the subset of the offer that our policy allows.
    ///
    /// Where the policy does not allow all of the offer, but does allow its first selector, which names the
    /// packet that caused the negotiation, that selector is in the answer. Empty means `TS_UNACCEPTABLE`.
    ///
    /// The answer has at most [`Self::MOST_IN_PAYLOAD`] selectors, and what is left out is more narrowing: many
    /// small selectors on both sides have more intersections than a payload can hold.
    #[must_use]
    pub fn narrow(&self, offered: &Self) -> Self {
        self.intersect_up_to(Self::MOST_IN_PAYLOAD, offered)
    }
}

impl From<TrafficSelector> for TrafficSelectors {
    fn from(one: TrafficSelector) -> Self {
        Self(alloc::vec![one])
    }
}

impl FromIterator<TrafficSelector> for TrafficSelectors {
    fn from_iter<I: IntoIterator<Item = TrafficSelector>>(iter: I) -> Self {
        Self(iter.into_iter().collect())
    }
}

impl<'a> IntoIterator for &'a TrafficSelectors {
    type Item = &'a TrafficSelector;
    type IntoIter = core::slice::Iter<'a, TrafficSelector>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for TrafficSelectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (index, selector) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            selector.fmt(f)?;
        }
        Ok(())
    }
}
