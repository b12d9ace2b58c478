//! Why two sides have no suite in common, as data for the person who has to fix it.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use thiserror::Error;

use crate::properties::Encryption;
use crate::proposal::{Word, matching_prfs};
use crate::registries::{EncryptionId, IntegrityId, KeyExchangeId, PrfId, SequenceNumbersId, TransformType};
use crate::select::{absent_or_none, kind_fits, spi_fits};
use crate::wire::{OfferedProposal, SaPayload, Transform};

/// No proposal of ours has an algorithm of every type in common with one of the peer's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct ProposalMismatch {
    /// The local proposal that needs the fewest changes, in keywords; `None` if there is no local proposal.
    pub nearest_local: Option<String>,
    /// Everything the peer offered or answered, a proposal each, in keywords where the algorithms have any.
    pub offered: Vec<String>,
    /// The types in which the nearest local proposal has nothing in common with the offered proposal that is
    /// nearest to it.
    pub differing: Vec<Difference>,
    /// What is wrong with the peer's nearest proposal apart from its algorithms, if anything is.
    pub defect: Option<Defect>,
}

/// One type of algorithm that two proposals do not share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The type.
    pub kind: TransformType,
    /// Our algorithms of that type.
    pub local: Vec<String>,
    /// The peer's algorithms of that type.
    pub offered: Vec<String>,
}

/// What can be wrong with a peer's proposal even where its algorithms match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Defect {
    /// It is for another protocol than ours.
    #[error("the protocols differ")]
    Protocol,
    /// Its SPI has a length or value that the protocol does not allow, or an unexpected length.
    #[error("its SPI is not valid")]
    Spi,
    /// A response has not exactly one proposal.
    #[error("a response must have one proposal")]
    ProposalCount,
    /// A response's proposal number is none that we offered.
    #[error("its number was not offered")]
    Number,
    /// A response has several transforms of one type.
    #[error("a response must have one transform of each type")]
    Repeated,
    /// The algorithms match one by one but not together, such as integrity beside combined-mode encryption.
    #[error("its algorithms do not go together")]
    Combination,
}

impl fmt::Display for ProposalMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.nearest_local {
            Some(nearest) => write!(f, "no common proposal; nearest of ours is {nearest}")?,
            None => f.write_str("no common proposal; none of ours is for this")?,
        }
        for Difference { kind, local, offered } in &self.differing {
            write!(f, ", {kind}: ours {}, offered {}", list(local), list(offered))?;
        }
        if let Some(defect) = self.defect {
            write!(f, ", {defect}")?;
        }
        write!(f, "; the peer has {}", self.offered.join(" | "))
    }
}

fn list(words: &[String]) -> String {
    if words.is_empty() { "nothing".to_string() } else { words.join("/") }
}

/// Finds the nearest pair of proposals and says how it differs.
pub(crate) fn explain(ours: &SaPayload, theirs: &SaPayload) -> ProposalMismatch {
    let offered = theirs.proposals.iter().map(keywords).collect();
    let nearest = ours
        .proposals
        .iter()
        .flat_map(|ours| theirs.proposals.iter().map(move |theirs| (ours, theirs)))
        .min_by_key(|(ours, theirs)| {
            // A wrong protocol is worse than any number of wrong algorithms.
            (ours.protocol != theirs.protocol, differing_kinds(ours, theirs).len())
        });
    let Some((ours, theirs)) = nearest else {
        let nearest_local = ours.proposals.first().map(keywords);
        return ProposalMismatch { nearest_local, offered, differing: Vec::new(), defect: None };
    };
    let differing: Vec<Difference> = differing_kinds(ours, theirs)
        .into_iter()
        .map(|kind| Difference {
            kind,
            local: ours.transforms_of(kind).map(word).collect(),
            offered: theirs.transforms_of(kind).map(word).collect(),
        })
        .collect();
    let defect = if ours.protocol != theirs.protocol {
        Some(Defect::Protocol)
    } else if !spi_fits(theirs) {
        Some(Defect::Spi)
    } else if differing.is_empty() {
        Some(Defect::Combination)
    } else {
        None
    };
    ProposalMismatch { nearest_local: Some(keywords(ours)), offered, differing, defect }
}

/// As [`explain`], for a response to our offer.
pub(crate) fn explain_response(ours: &SaPayload, theirs: &SaPayload) -> ProposalMismatch {
    let answered = match theirs.proposals.as_slice() {
        [only] => ours.proposals.iter().find(|ours| ours.number == only.number).zip(Some(only)),
        _ => {
            let defect = Some(Defect::ProposalCount);
            return ProposalMismatch { defect, ..explain(ours, theirs) };
        }
    };
    let Some((ours, theirs)) = answered else {
        return ProposalMismatch { defect: Some(Defect::Number), ..explain(ours, theirs) };
    };
    let repeats = theirs.transforms.iter().any(|transform| theirs.transforms_of(transform.kind).count() > 1);
    let spi_length_differs = ours.spi.len() != theirs.spi.len();
    let pair = |proposal: &OfferedProposal| SaPayload { proposals: Vec::from([proposal.clone()]) };
    let mut mismatch = explain(&pair(ours), &pair(theirs));
    if repeats {
        mismatch.defect = Some(Defect::Repeated);
    } else if spi_length_differs {
        mismatch.defect = Some(Defect::Spi);
    }
    mismatch
}

fn differing_kinds(ours: &OfferedProposal, theirs: &OfferedProposal) -> Vec<TransformType> {
    let mut kinds: Vec<TransformType> =
        ours.transforms.iter().chain(&theirs.transforms).map(|transform| transform.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds.retain(|&kind| {
        let common = ours
            .transforms_of(kind)
            .any(|transform| theirs.transforms_of(kind).any(|other| is_same(transform, other)));
        let both_none = absent_or_none(ours, kind).is_some() && absent_or_none(theirs, kind).is_some();
        let misplaced = theirs.transforms_of(kind).any(|transform| !kind_fits(theirs.protocol, transform));
        misplaced || !(common || (both_none && kind.name().is_some()))
    });
    kinds
}

fn is_same(ours: &Transform, theirs: &Transform) -> bool {
    ours == theirs && !theirs.unknown_attributes
}

/// A proposal in keywords, as a configuration would have it: integrity before PRF, and neither a PRF that
/// follows from the integrity algorithm nor the absence of ESN is said.
fn keywords(proposal: &OfferedProposal) -> String {
    if proposal.transforms.is_empty() {
        return "nothing".to_string();
    }
    let ids = |kind| proposal.transforms_of(kind).map(|transform| transform.id);
    let integrity: Vec<IntegrityId> = ids(TransformType::INTEG).map(IntegrityId).collect();
    let prf: Vec<PrfId> = ids(TransformType::PRF).map(PrfId).collect();
    let prf_follows = prf == matching_prfs(&integrity);
    let no_esn = ids(TransformType::ESN).all(|id| id == SequenceNumbersId::NO_ESN.0);
    let mut said: Vec<&Transform> = proposal
        .transforms
        .iter()
        .filter(|transform| {
            let follows = (transform.kind == TransformType::PRF && prf_follows)
                || (transform.kind == TransformType::ESN && no_esn);
            !follows || transform.unknown_attributes
        })
        .collect();
    said.sort_by_key(|transform| match transform.kind {
        TransformType::ENCR => 0,
        TransformType::INTEG => 1,
        TransformType::PRF => 2,
        TransformType::KE => 3,
        TransformType::ESN => 5,
        _ => 4,
    });
    let words: Vec<String> = said.into_iter().map(word).collect();
    words.join("-")
}

/// A transform in keywords, or in numbers where there is none.
fn word(transform: &Transform) -> String {
    let id = transform.id;
    let mut word = match transform.kind {
        TransformType::ENCR => {
            Encryption::new(EncryptionId(id), transform.key_bits.unwrap_or_default()).to_string()
        }
        TransformType::PRF => Word(PrfId(id)).to_string(),
        TransformType::INTEG => Word(IntegrityId(id)).to_string(),
        TransformType::KE => Word(KeyExchangeId(id)).to_string(),
        TransformType::ESN => Word(SequenceNumbersId(id)).to_string(),
        kind => match kind.additional_position() {
            Some(position) => {
                format!("ke{}_{}", position.saturating_add(1), Word(KeyExchangeId(id)))
            }
            None => format!("type{}_{id}", kind.0),
        },
    };
    if transform.unknown_attributes {
        word.push_str("(unknown attributes)");
    }
    word
}
