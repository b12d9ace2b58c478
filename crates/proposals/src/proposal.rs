//! Proposals as configured.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use thiserror::Error;

use crate::keywords::{self, Meaning};
use crate::properties::Encryption;
use crate::registries::{IntegrityId, KeyExchangeId, PrfId, ProtocolId, SequenceNumbersId, TransformType};

/// What one side is willing to use, every list in its order of preference.
///
/// The constructors check that the lists make sense together; a proposal put together by hand is checked with
/// [`Proposal::check`]. `Display` prints the keywords that parse to the same proposal.
///
/// ```
/// use ikebana_proposals::{PrfId, Proposal};
/// let proposal = Proposal::ike("aes128-aes256-sha256-modp2048-curve25519")?;
/// assert_eq!(proposal.prf, [PrfId::HMAC_SHA2_256]);
/// assert_eq!(proposal.to_string(), "aes128-aes256-sha256-modp2048-curve25519");
/// assert_eq!(Proposal::esp("aes128-shaa1").unwrap_err().nearest, Some("sha1"));
/// # Ok::<(), ikebana_proposals::KeywordError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Proposal {
    /// What the proposal is for.
    pub protocol: ProtocolId,
    /// Encryption algorithms; none for AH.
    pub encryption: Vec<Encryption>,
    /// Pseudorandom functions; only for IKE.
    pub prf: Vec<PrfId>,
    /// Integrity algorithms; none beside combined-mode encryption.
    pub integrity: Vec<IntegrityId>,
    /// Key exchange methods. In a child proposal, none means no perfect forward secrecy.
    pub key_exchange: Vec<KeyExchangeId>,
    /// Additional key exchanges 1 to 7 of RFC 9370.
    pub additional: [Vec<KeyExchangeId>; 7],
    /// Sequence numbers; only for ESP and AH.
    pub sequence: Vec<SequenceNumbersId>,
}

/// Why a proposal in keywords is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{problem}: \"{}\"{}", .keyword.escape_debug(), Hint(.nearest))]
pub struct KeywordError {
    /// The keyword that is wrong, or the whole proposal if something is missing from it.
    pub keyword: String,
    /// The valid keyword that resembles it most.
    pub nearest: Option<&'static str>,
    /// What is wrong.
    pub problem: KeywordProblem,
}

/// What can be wrong with a proposal in keywords.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeywordProblem {
    /// No algorithm has this name.
    #[error("unknown algorithm")]
    Unknown,
    /// The algorithm exists but cannot be in a proposal of this protocol.
    #[error("not possible in a proposal for {0}")]
    NotFor(ProtocolId),
    /// The same algorithm again.
    #[error("repeated algorithm")]
    Repeated,
    /// Nothing of a type that the protocol needs.
    #[error("{0} algorithm missing")]
    Missing(TransformType),
    /// Encryption with its own integrity and encryption without it cannot share a proposal: they disagree
    /// about whether there is an integrity algorithm. Write two proposals.
    #[error("combined-mode and other encryption in one proposal")]
    CombinedWithOther,
    /// Combined-mode encryption beside an integrity algorithm (RFC 7296 3.3).
    #[error("integrity algorithm beside combined-mode encryption")]
    CombinedWithIntegrity,
    /// An algorithm with a key length it does not have.
    #[error("impossible key length")]
    KeyLength,
    /// An additional key exchange in a proposal without a first one.
    #[error("additional key exchange without a first one")]
    AdditionalAlone,
}

struct Hint<'a>(&'a Option<&'static str>);

impl fmt::Display for Hint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(nearest) => write!(f, " (did you mean \"{nearest}\"?)"),
            None => Ok(()),
        }
    }
}

impl Proposal {
    /// A proposal for `protocol` with nothing in it.
    #[must_use]
    pub fn empty(protocol: ProtocolId) -> Self {
        Self {
            protocol,
            encryption: Vec::new(),
            prf: Vec::new(),
            integrity: Vec::new(),
            key_exchange: Vec::new(),
            additional: Default::default(),
            sequence: Vec::new(),
        }
    }

    /// Reads a proposal for an IKE SA, for example `aes128-sha256-modp2048`.
    ///
    /// Without a PRF keyword, the PRFs are those that match the integrity algorithms. An integrity keyword
    /// beside combined-mode encryption stands for its PRF only.
    ///
    /// # Errors
    /// [`KeywordError`] names the keyword that is unknown, repeated, out of place, or the type that is missing.
    pub fn ike(keywords: &str) -> Result<Self, KeywordError> {
        Self::parse(ProtocolId::IKE, keywords)
    }

    /// Reads a proposal for an ESP SA, for example `aes128gcm16-ecp256-esn`.
    ///
    /// Without `esn` or `noesn`, extended sequence numbers are off. Without a key exchange method, so is
    /// perfect forward secrecy. An integrity keyword beside combined-mode encryption has no effect.
    ///
    /// # Errors
    /// As for [`Proposal::ike`].
    pub fn esp(keywords: &str) -> Result<Self, KeywordError> {
        Self::parse(ProtocolId::ESP, keywords)
    }

    /// Reads a proposal for an AH SA, for example `sha256-modp2048`.
    ///
    /// # Errors
    /// As for [`Proposal::ike`].
    pub fn ah(keywords: &str) -> Result<Self, KeywordError> {
        Self::parse(ProtocolId::AH, keywords)
    }

    /// Reads a proposal for `protocol`.
    ///
    /// # Errors
    /// As for [`Proposal::ike`].
    pub fn parse(protocol: ProtocolId, keywords: &str) -> Result<Self, KeywordError> {
        let keywords = keywords.trim();
        let mut proposal = Self::empty(protocol);
        for keyword in keywords.split('-') {
            let fresh = match keywords::parse(keyword) {
                Some(meaning) => proposal.add(meaning),
                None => Err(KeywordProblem::Unknown),
            };
            fresh.map_err(|problem| KeywordError {
                keyword: keyword.to_string(),
                nearest: keywords::nearest(keyword).filter(|_| problem == KeywordProblem::Unknown),
                problem,
            })?;
        }
        proposal.complete();
        proposal.check().map_err(|problem| KeywordError {
            keyword: keywords.to_string(),
            nearest: None,
            problem,
        })?;
        Ok(proposal)
    }

    /// Whether the lists make sense together for the protocol.
    ///
    /// # Errors
    /// The first [`KeywordProblem`] found.
    pub fn check(&self) -> Result<(), KeywordProblem> {
        use KeywordProblem::{
            AdditionalAlone, CombinedWithIntegrity, CombinedWithOther, KeyLength, Missing, NotFor,
        };
        let none = |condition: bool, problem| if condition { Err(problem) } else { Ok(()) };
        let protocol = self.protocol;
        let is_ike = protocol == ProtocolId::IKE;
        let is_ah = protocol == ProtocolId::AH;
        if !is_ike && !is_ah && protocol != ProtocolId::ESP {
            return Err(NotFor(protocol));
        }
        none(self.encryption.iter().any(|encryption| encryption.key_len().is_none()), KeyLength)?;
        none(self.encryption.is_empty() && !is_ah, Missing(TransformType::ENCR))?;
        none(!self.encryption.is_empty() && is_ah, NotFor(protocol))?;
        none(
            is_ike && self.encryption.iter().any(|encryption| !encryption.id.is_for_ike()),
            NotFor(protocol),
        )?;
        none(self.sequence.contains(&SequenceNumbersId::UNSPECIFIED_32), NotFor(protocol))?;

        let combined = self.encryption.iter().filter(|encryption| encryption.is_aead()).count();
        let has_integrity = self.integrity.iter().any(|&id| id != IntegrityId::NONE);
        none(combined != 0 && combined != self.encryption.len(), CombinedWithOther)?;
        none(combined != 0 && has_integrity, CombinedWithIntegrity)?;
        // RFC 7296 3.3.3 leaves integrity optional in ESP, but unauthenticated encryption protects nothing
        // (RFC 8221 4), and NULL without integrity is not a protocol at all (RFC 4303 1).
        none(combined == 0 && !has_integrity, Missing(TransformType::INTEG))?;
        none(combined == 0 && self.integrity.contains(&IntegrityId::NONE), Missing(TransformType::INTEG))?;

        none(is_ike && self.prf.is_empty(), Missing(TransformType::PRF))?;
        none(!is_ike && !self.prf.is_empty(), NotFor(protocol))?;
        none(is_ike && self.key_exchange.is_empty(), Missing(TransformType::KE))?;
        // RFC 7296 3.3.3: an IKE SA without key exchange is impossible, so NONE is no choice.
        none(is_ike && self.key_exchange.contains(&KeyExchangeId::NONE), NotFor(protocol))?;
        let alone = self.key_exchange.iter().all(|&id| id == KeyExchangeId::NONE);
        none(alone && self.additional.iter().any(|list| !list.is_empty()), AdditionalAlone)?;
        none(is_ike && !self.sequence.is_empty(), NotFor(protocol))?;
        none(!is_ike && self.sequence.is_empty(), Missing(TransformType::ESN))?;
        Ok(())
    }

    /// The same proposal without perfect forward secrecy, as it is used for the child SA of IKE_AUTH, whose
    /// keys come from the IKE SA's own exchange (RFC 7296 1.2).
    #[must_use]
    pub fn without_key_exchange(&self) -> Self {
        Self { key_exchange: Vec::new(), additional: Default::default(), ..self.clone() }
    }

    fn add(&mut self, meaning: Meaning) -> Result<(), KeywordProblem> {
        let protocol = self.protocol;
        let is_ike = protocol == ProtocolId::IKE;
        match meaning {
            Meaning::Encryption(encryption) => {
                let possible = match protocol {
                    ProtocolId::IKE => encryption.id.is_for_ike(),
                    ProtocolId::ESP => true,
                    _ => false,
                };
                push(&mut self.encryption, encryption, possible, protocol)
            }
            Meaning::Prf(id) => push(&mut self.prf, id, is_ike, protocol),
            Meaning::Integrity(id) => push(&mut self.integrity, id, true, protocol),
            Meaning::KeyExchange(id) => {
                let possible = !is_ike || id != KeyExchangeId::NONE;
                push(&mut self.key_exchange, id, possible, protocol)
            }
            Meaning::Additional(position, id) => match self.additional.get_mut(position) {
                Some(list) => push(list, id, true, protocol),
                None => Err(KeywordProblem::Unknown),
            },
            Meaning::Sequence(id) => push(&mut self.sequence, id, !is_ike, protocol),
        }
    }

    /// Adds what is left unsaid.
    fn complete(&mut self) {
        if self.protocol == ProtocolId::IKE && self.prf.is_empty() {
            self.prf = matching_prfs(&self.integrity);
        }
        if !self.encryption.is_empty() && self.encryption.iter().all(|encryption| encryption.is_aead()) {
            self.integrity.clear();
        }
        if self.protocol != ProtocolId::IKE && self.sequence.is_empty() {
            self.sequence.push(SequenceNumbersId::NO_ESN);
        }
    }
}

fn push<T: PartialEq>(
    list: &mut Vec<T>,
    value: T,
    possible: bool,
    protocol: ProtocolId,
) -> Result<(), KeywordProblem> {
    if !possible {
        return Err(KeywordProblem::NotFor(protocol));
    }
    if list.contains(&value) {
        return Err(KeywordProblem::Repeated);
    }
    list.push(value);
    Ok(())
}

pub(crate) fn matching_prfs(integrity: &[IntegrityId]) -> Vec<PrfId> {
    let mut prfs = Vec::new();
    for prf in integrity.iter().filter_map(|id| id.matching_prf()) {
        if !prfs.contains(&prf) {
            prfs.push(prf);
        }
    }
    prfs
}

/// Writes keywords with dashes between them.
pub(crate) struct Dashes<'a, 'b> {
    f: &'a mut fmt::Formatter<'b>,
    started: bool,
}

impl<'a, 'b> Dashes<'a, 'b> {
    pub(crate) fn new(f: &'a mut fmt::Formatter<'b>) -> Self {
        Self { f, started: false }
    }

    pub(crate) fn word(&mut self, word: &dyn fmt::Display) -> fmt::Result {
        if self.started {
            self.f.write_str("-")?;
        }
        self.started = true;
        write!(self.f, "{word}")
    }
}

/// Prints an id as its keyword, or the registry's way where there is none.
pub(crate) struct Word<T>(pub(crate) T);

macro_rules! word {
    ($id:ty, $keyword:path, $unknown:literal) => {
        impl fmt::Display for Word<$id> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match ($keyword(self.0), self.0.name()) {
                    (Some(keyword), _) => f.pad(keyword),
                    (None, Some(name)) => f.pad(name),
                    (None, None) => write!(f, concat!($unknown, "_{}"), self.0.0),
                }
            }
        }
    };
}
word!(PrfId, keywords::of_prf, "PRF");
word!(IntegrityId, keywords::of_integrity, "AUTH");
word!(KeyExchangeId, keywords::of_key_exchange, "KE");
word!(SequenceNumbersId, keywords::of_sequence, "ESN");

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Dashes::new(f);
        for encryption in &self.encryption {
            out.word(encryption)?;
        }
        for &id in &self.integrity {
            out.word(&Word(id))?;
        }
        if self.prf != matching_prfs(&self.integrity) {
            for &id in &self.prf {
                out.word(&Word(id))?;
            }
        }
        for &id in &self.key_exchange {
            out.word(&Word(id))?;
        }
        for (position, list) in (1..).zip(&self.additional) {
            for &id in list {
                out.word(&format_args!("ke{position}_{}", Word(id)))?;
            }
        }
        if self.sequence != [SequenceNumbersId::NO_ESN] {
            for &id in &self.sequence {
                out.word(&Word(id))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
