//! Agreeing on a suite (RFC 7296 2.7 and 3.3).
//!
//! Selection walks over pairs of a local and an offered proposal and takes the first pair that has an
//! algorithm in common of every type. Rules that hold throughout:
//!
//! - A proposal with a transform type we do not know is unacceptable, and so is a transform with an attribute
//!   we do not know (3.3.6); the other proposals and transforms are not affected.
//! - Key lengths must be equal, never merely sufficient (3.3.5).
//! - Beside combined-mode encryption, integrity is absent or NONE (3.3.3).
//! - NONE and absence are the same for key exchange methods of child SAs and for additional key exchanges.
//! - No key exchange method is chosen twice.

use alloc::vec::Vec;

use crate::mismatch::{self, ProposalMismatch};
use crate::properties::Encryption;
use crate::proposal::Proposal;
use crate::registries::{
    EncryptionId, IntegrityId, KeyExchangeId, PrfId, ProtocolId, SequenceNumbersId, TransformType,
};
use crate::suite::{ChildSuite, IkeSuite, NO_ADDITIONAL};
use crate::wire::{OfferedProposal, SaPayload, Transform};

/// Whose order decides when both sides have several algorithms in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Prefer {
    /// Ours.
    #[default]
    Local,
    /// The peer's.
    Peer,
}

/// An agreed suite and what the agreement came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen<S> {
    /// The suite.
    pub suite: S,
    /// The number of the peer's proposal (as responder) or of ours (as initiator).
    pub number: u8,
    /// The peer's SPI: 0 or 8 octets for IKE, 4 for ESP and AH.
    pub spi: Vec<u8>,
    /// One transform per type, exactly as the peer wrote it; the response repeats them.
    pub transforms: Vec<Transform>,
}

/// One transform per type, still without knowing for what protocol.
struct Picked {
    encryption: Option<Encryption>,
    prf: Option<PrfId>,
    integrity: Option<IntegrityId>,
    key_exchange: Option<KeyExchangeId>,
    additional: [KeyExchangeId; 7],
    sequence: Option<SequenceNumbersId>,
    transforms: Vec<Transform>,
}

/// Chooses a suite for an IKE SA from the peer's `offer`.
///
/// The SPI of the chosen proposal has 0 or 8 octets; which of them is right depends on the exchange, so the
/// caller checks that.
///
/// # Errors
/// [`ProposalMismatch`] says what the peer offered and how the nearest local proposal differs from it.
pub fn select_ike(
    local: &[Proposal],
    offer: &SaPayload,
    prefer: Prefer,
) -> Result<Chosen<IkeSuite>, ProposalMismatch> {
    let local: Vec<Proposal> =
        local.iter().filter(|proposal| proposal.protocol == ProtocolId::IKE).cloned().collect();
    select(&local, offer, prefer, ike_suite)
}

/// Chooses a suite for a child SA from the peer's `offer`.
///
/// In IKE_AUTH, where no key exchange belongs to the child, both sides go through `without_key_exchange`.
///
/// # Errors
/// As for [`select_ike`].
pub fn select_child(
    local: &[Proposal],
    offer: &SaPayload,
    prefer: Prefer,
) -> Result<Chosen<ChildSuite>, ProposalMismatch> {
    let local: Vec<Proposal> =
        local.iter().filter(|proposal| proposal.protocol != ProtocolId::IKE).cloned().collect();
    select(&local, offer, prefer, child_suite)
}

/// Checks the response to an offer of ours for an IKE SA.
///
/// # Errors
/// [`ProposalMismatch`] if the response is not exactly one proposal with the number and protocol of one of
/// ours, or has a transform that we did not offer, two of one type, or none of a type we offered.
pub fn confirm_ike(offered: &SaPayload, answer: &SaPayload) -> Result<Chosen<IkeSuite>, ProposalMismatch> {
    confirm(offered, answer, ike_suite)
}

/// Checks the response to an offer of ours for a child SA.
///
/// # Errors
/// As for [`confirm_ike`].
pub fn confirm_child(
    offered: &SaPayload,
    answer: &SaPayload,
) -> Result<Chosen<ChildSuite>, ProposalMismatch> {
    confirm(offered, answer, child_suite)
}

fn select<S>(
    local: &[Proposal],
    offer: &SaPayload,
    prefer: Prefer,
    suite: impl Fn(ProtocolId, &Picked) -> Option<S>,
) -> Result<Chosen<S>, ProposalMismatch> {
    // An offer is made by `SaPayload::offer` here too, so that both sides are compared as transforms.
    let ours = SaPayload::offer(local, &[]);
    let attempt = |ours: &OfferedProposal, theirs: &OfferedProposal| {
        let picked = intersect(theirs, ours, prefer)?;
        let suite = suite(theirs.protocol, &picked)?;
        Some(Chosen { suite, number: theirs.number, spi: theirs.spi.clone(), transforms: picked.transforms })
    };
    let found = match prefer {
        Prefer::Local => ours
            .proposals
            .iter()
            .find_map(|ours| offer.proposals.iter().find_map(|theirs| attempt(ours, theirs))),
        Prefer::Peer => offer
            .proposals
            .iter()
            .find_map(|theirs| ours.proposals.iter().find_map(|ours| attempt(ours, theirs))),
    };
    found.ok_or_else(|| mismatch::explain(&ours, offer))
}

fn confirm<S>(
    offered: &SaPayload,
    answer: &SaPayload,
    suite: impl Fn(ProtocolId, &Picked) -> Option<S>,
) -> Result<Chosen<S>, ProposalMismatch> {
    let confirmed = match answer.proposals.as_slice() {
        [theirs] => offered
            .proposals
            .iter()
            .find(|ours| ours.number == theirs.number)
            .and_then(|ours| confirm_one(ours, theirs, suite)),
        _ => None,
    };
    confirmed.ok_or_else(|| mismatch::explain_response(offered, answer))
}

fn confirm_one<S>(
    ours: &OfferedProposal,
    theirs: &OfferedProposal,
    suite: impl Fn(ProtocolId, &Picked) -> Option<S>,
) -> Option<Chosen<S>> {
    if theirs.spi.len() != ours.spi.len() {
        return None;
    }
    let picked = intersect(theirs, ours, Prefer::Peer)?;
    // One transform of each type was picked; more are in the response if it repeats a type.
    if picked.transforms.len() != theirs.transforms.len() {
        return None;
    }
    let suite = suite(theirs.protocol, &picked)?;
    Some(Chosen { suite, number: theirs.number, spi: theirs.spi.clone(), transforms: picked.transforms })
}

/// The best combination of transforms that `theirs` and `ours` share.
fn intersect(theirs: &OfferedProposal, ours: &OfferedProposal, prefer: Prefer) -> Option<Picked> {
    if theirs.protocol != ours.protocol || !spi_fits(theirs) {
        return None;
    }
    // RFC 7296 3.3.6: an unknown transform type makes the whole proposal unacceptable.
    if theirs.transforms.iter().any(|transform| transform.kind.name().is_none()) {
        return None;
    }
    // No type may appear that the protocol does not have.
    if theirs.transforms.iter().any(|transform| !kind_fits(theirs.protocol, transform)) {
        return None;
    }
    let shared_encryption = shared(theirs, ours, TransformType::ENCR, prefer);
    if shared_encryption.is_empty() {
        // Only AH has no encryption, and `kind_fits` has kept it out there.
        let absent = theirs.protocol == ProtocolId::AH;
        return if absent { complete(theirs, ours, None, prefer) } else { None };
    }
    shared_encryption.iter().find_map(|transform| {
        let encryption = Encryption::from_transform(EncryptionId(transform.id), transform.key_bits)?;
        complete(theirs, ours, Some((encryption, *transform)), prefer)
    })
}

/// The rest of a combination, once encryption is settled.
fn complete(
    theirs: &OfferedProposal,
    ours: &OfferedProposal,
    encryption: Option<(Encryption, Transform)>,
    prefer: Prefer,
) -> Option<Picked> {
    let mut picked = Picked {
        encryption: None,
        prf: None,
        integrity: None,
        key_exchange: None,
        additional: NO_ADDITIONAL,
        sequence: None,
        transforms: Vec::new(),
    };
    let is_ike = theirs.protocol == ProtocolId::IKE;
    let mut combined = false;
    if let Some((encryption, transform)) = encryption {
        combined = encryption.is_aead();
        picked.encryption = Some(encryption);
        picked.transforms.push(transform);
    }
    if is_ike {
        let prf = first_shared(theirs, ours, TransformType::PRF, prefer)?;
        picked.prf = Some(PrfId(prf.id));
        picked.transforms.push(prf);
    }
    if combined {
        picked.transforms.extend(absent_or_none(theirs, TransformType::INTEG)?);
    } else {
        let integrity = shared(theirs, ours, TransformType::INTEG, prefer)
            .into_iter()
            .find(|transform| transform.id != IntegrityId::NONE.0)?;
        picked.integrity = Some(IntegrityId(integrity.id));
        picked.transforms.push(integrity);
    }
    if is_ike {
        let key_exchange = shared(theirs, ours, TransformType::KE, prefer)
            .into_iter()
            .find(|transform| transform.id != KeyExchangeId::NONE.0)?;
        picked.key_exchange = Some(KeyExchangeId(key_exchange.id));
        picked.transforms.push(key_exchange);
    } else {
        let (id, transform) = optional(theirs, ours, TransformType::KE, &[], prefer)?;
        picked.key_exchange = (id != KeyExchangeId::NONE).then_some(id);
        picked.transforms.extend(transform);
    }
    let mut taken: Vec<KeyExchangeId> = picked.key_exchange.into_iter().collect();
    for (slot, kind) in picked.additional.iter_mut().zip(TransformType::ADDITIONAL) {
        let (id, transform) = optional(theirs, ours, kind, &taken, prefer)?;
        *slot = id;
        taken.push(id);
        picked.transforms.extend(transform);
    }
    if !is_ike {
        let sequence = first_shared(theirs, ours, TransformType::ESN, prefer)?;
        picked.sequence = Some(SequenceNumbersId(sequence.id));
        picked.transforms.push(sequence);
    }
    Some(picked)
}

/// A key exchange method that may be absent on either side, where absence equals NONE, and that is none of
/// those `taken` already: doing one twice adds nothing (RFC 9370 2.2.1).
fn optional(
    theirs: &OfferedProposal,
    ours: &OfferedProposal,
    kind: TransformType,
    taken: &[KeyExchangeId],
    prefer: Prefer,
) -> Option<(KeyExchangeId, Option<Transform>)> {
    let is_new = |id| id == KeyExchangeId::NONE || !taken.contains(&id);
    let mut common = shared(theirs, ours, kind, prefer).into_iter();
    if let Some(transform) = common.find(|transform| is_new(KeyExchangeId(transform.id))) {
        return Some((KeyExchangeId(transform.id), Some(transform)));
    }
    absent_or_none(ours, kind)?;
    let transform = absent_or_none(theirs, kind)?;
    Some((KeyExchangeId::NONE, transform))
}

/// `Some(None)` if the type is absent, the transform if NONE is among the choices, and `None` if it is not.
pub(crate) fn absent_or_none(proposal: &OfferedProposal, kind: TransformType) -> Option<Option<Transform>> {
    let mut transforms = proposal.transforms_of(kind).peekable();
    if transforms.peek().is_none() {
        return Some(None);
    }
    transforms.find(|transform| is_none_transform(transform)).map(|&transform| Some(transform))
}

fn is_none_transform(transform: &Transform) -> bool {
    let optional = transform.kind == TransformType::INTEG
        || transform.kind == TransformType::KE
        || transform.kind.additional_position().is_some();
    optional && transform.id == 0 && is_plain(transform)
}

/// Whether there are no attributes: only encryption has any (RFC 7296 3.3.5).
fn is_plain(transform: &Transform) -> bool {
    !transform.unknown_attributes && transform.key_bits.is_none()
}

/// The transforms of one type that both proposals have, in the order of the preferred side.
fn shared(
    theirs: &OfferedProposal,
    ours: &OfferedProposal,
    kind: TransformType,
    prefer: Prefer,
) -> Vec<Transform> {
    let (first, second) = match prefer {
        Prefer::Local => (ours, theirs),
        Prefer::Peer => (theirs, ours),
    };
    let mut found: Vec<Transform> = Vec::new();
    for transform in first.transforms_of(kind).filter(|transform| !transform.unknown_attributes) {
        // A peer may repeat a transform 255 times; looking at it once bounds the work.
        if !found.contains(transform) && second.transforms_of(kind).any(|other| other == transform) {
            found.push(*transform);
        }
    }
    found
}

fn first_shared(
    theirs: &OfferedProposal,
    ours: &OfferedProposal,
    kind: TransformType,
    prefer: Prefer,
) -> Option<Transform> {
    shared(theirs, ours, kind, prefer).first().copied()
}

/// Whether the SPI has a length and value that an SA of the protocol can have (RFC 7296 3.3.1, RFC 4303 2.1).
pub(crate) fn spi_fits(proposal: &OfferedProposal) -> bool {
    let spi = proposal.spi.as_slice();
    match proposal.protocol {
        ProtocolId::IKE => spi.is_empty() || (spi.len() == 8 && spi.iter().any(|&octet| octet != 0)),
        ProtocolId::ESP | ProtocolId::AH => {
            spi.try_into().is_ok_and(|octets| u32::from_be_bytes(octets) > 255)
        }
        _ => false,
    }
}

/// Whether a proposal for the protocol may have this type of transform (RFC 7296 3.3.3).
pub(crate) fn kind_fits(protocol: ProtocolId, transform: &Transform) -> bool {
    match transform.kind {
        TransformType::ENCR => protocol != ProtocolId::AH,
        TransformType::PRF => protocol == ProtocolId::IKE,
        TransformType::ESN => protocol != ProtocolId::IKE,
        _ => true,
    }
}

fn ike_suite(protocol: ProtocolId, picked: &Picked) -> Option<IkeSuite> {
    let encryption = picked.encryption?;
    if protocol != ProtocolId::IKE || !encryption.id.is_for_ike() {
        return None;
    }
    Some(IkeSuite {
        encryption,
        integrity: picked.integrity,
        prf: picked.prf?,
        key_exchange: picked.key_exchange?,
        additional: picked.additional,
    })
}

fn child_suite(protocol: ProtocolId, picked: &Picked) -> Option<ChildSuite> {
    if protocol == ProtocolId::IKE {
        return None;
    }
    let esn = match picked.sequence? {
        SequenceNumbersId::NO_ESN => false,
        SequenceNumbersId::ESN => true,
        _ => return None,
    };
    Some(ChildSuite {
        protocol,
        encryption: picked.encryption,
        integrity: picked.integrity,
        key_exchange: picked.key_exchange,
        additional: picked.additional,
        esn,
    })
}

#[cfg(test)]
mod tests;
