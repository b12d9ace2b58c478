//! Why two IKEv1 sides have no transform in common, as data for the person who has to fix it.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use thiserror::Error;

/// How many of a peer's transforms are kept for whoever reads about them.
const MOST_TOLD: usize = 64;

/// No transform of the peer's is one that our proposals stand for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct TransformMismatch {
    /// The local proposal, or transform, that needs the fewest changes; `None` if there is none.
    pub nearest_local: Option<String>,
    /// What the peer offered or answered, a transform each; the first 64 of them.
    pub offered: Vec<String>,
    /// The attributes in which the nearest local proposal and the transform nearest to it differ.
    pub differing: Vec<AttributeDifference>,
    /// What is wrong with the peer's payload apart from its attributes, if anything is.
    pub defect: Option<TransformDefect>,
}

/// One attribute that two sides do not agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeDifference {
    /// What it is about.
    pub attribute: &'static str,
    /// The values that we accept.
    pub local: Vec<String>,
    /// The peer's values.
    pub offered: Vec<String>,
}

/// What can be wrong with a peer's SA payload even where its attributes match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TransformDefect {
    /// Another domain of interpretation than IPsec's, or another situation than identity only.
    #[error("its DOI or situation is not the one of IPsec")]
    Situation,
    /// It is for another protocol than ours.
    #[error("the protocols differ")]
    Protocol,
    /// Its SPI has not four octets, or is one of the reserved ones.
    #[error("its SPI is not valid")]
    Spi,
    /// It wants several protocols one inside the other, such as ESP with compression.
    #[error("it combines several protocols, which is not supported")]
    Bundle,
    /// An answer has not exactly one proposal with exactly one transform.
    #[error("an answer must have one proposal with one transform")]
    Count,
    /// The attributes match one by one but not together, such as authentication beside combined-mode
    /// encryption, or a group without a key exchange payload.
    #[error("its attributes do not go together")]
    Combination,
}

impl fmt::Display for TransformMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.nearest_local {
            Some(nearest) => write!(f, "no common transform; nearest of ours is {nearest}")?,
            None => f.write_str("no common transform; none of our proposals can be said in IKEv1 here")?,
        }
        for AttributeDifference { attribute, local, offered } in &self.differing {
            write!(f, ", {attribute}: ours {}, offered {}", list(local), list(offered))?;
        }
        if let Some(defect) = self.defect {
            write!(f, ", {defect}")?;
        }
        write!(f, "; the peer has {}", list_of_all(&self.offered))
    }
}

fn list(words: &[String]) -> String {
    if words.is_empty() { "nothing".to_string() } else { words.join("/") }
}

fn list_of_all(words: &[String]) -> String {
    if words.is_empty() { "nothing".to_string() } else { words.join(" | ") }
}

/// What one side says, attribute by attribute: one value in a transform, several in a proposal.
#[derive(Clone, Debug, Default)]
pub(super) struct Side {
    /// All of it, for people.
    pub(super) text: String,
    /// The values, every side's attributes in the same order.
    pub(super) attributes: Vec<(&'static str, Vec<String>)>,
    /// What makes it unacceptable to anybody here.
    pub(super) strange: Vec<String>,
}

impl Side {
    fn differences(&self, theirs: &Self) -> Vec<AttributeDifference> {
        let mut all = Vec::new();
        for ((attribute, local), (_, offered)) in self.attributes.iter().zip(&theirs.attributes) {
            // Both may have nothing, as combined modes have no authentication algorithm.
            let agree = (local.is_empty() && offered.is_empty())
                || local.iter().any(|word| offered.contains(word))
                // An attribute with a default may be left out where we name a value.
                || offered.iter().any(|word| word.is_empty());
            if !agree {
                all.push(AttributeDifference { attribute, local: local.clone(), offered: offered.clone() });
            }
        }
        if !theirs.strange.is_empty() {
            let offered = theirs.strange.clone();
            all.push(AttributeDifference { attribute: "not understood", local: Vec::new(), offered });
        }
        all
    }
}

/// Finds the nearest pair and says how it differs.
pub(super) fn explain(
    ours: &[Side],
    theirs: impl Iterator<Item = Side>,
    defect: Option<TransformDefect>,
) -> TransformMismatch {
    let theirs: Vec<Side> = theirs.take(MOST_TOLD).collect();
    let offered = theirs.iter().map(|side| side.text.clone()).collect();
    let nearest = ours
        .iter()
        .flat_map(|ours| theirs.iter().map(move |theirs| (ours, ours.differences(theirs))))
        .min_by_key(|(_, differing)| differing.len());
    let Some((ours, differing)) = nearest else {
        let nearest_local = ours.first().map(|side| side.text.clone());
        return TransformMismatch { nearest_local, offered, differing: Vec::new(), defect };
    };
    let defect = defect.or_else(|| differing.is_empty().then_some(TransformDefect::Combination));
    TransformMismatch { nearest_local: Some(ours.text.clone()), offered, differing, defect }
}
