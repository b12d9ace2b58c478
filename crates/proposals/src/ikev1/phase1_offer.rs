//! Agreeing on the suite of an ISAKMP SA (RFC 2409 5 and appendix A).
//!
//! Each transform is one complete combination, taken or left as a whole. A transform with an attribute that is
//! not understood is left; so is one that says something twice in different ways. The order of attributes, and
//! whether a number has the short or the long form, say nothing.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::attribute::{Attribute, AttributeValue};
use super::life::{Life, LifeReader, shorter};
use super::mismatch::{Side, TransformDefect, TransformMismatch, explain};
use super::phase1::{self, Authentication, Group, Hash};
use super::phase2::{IsakmpTransform, Protocol};
use super::sa::{DOI_IPSEC, OfferedProposal, SITUATION_IDENTITY_ONLY, SaPayload, Transform};
use crate::properties::Encryption;
use crate::proposal::{Proposal, Word};
use crate::registries::{IntegrityId, KeyExchangeId, ProtocolId};
use crate::select::Prefer;
use crate::suite::{IkeSuite, NO_ADDITIONAL};

/// The most transforms that we offer: more make the first message too long for some peers to read.
pub(super) const MOST_OFFERED: usize = 60;

/// What protects an ISAKMP SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Phase1Suite {
    /// The algorithms. The integrity algorithm stands for the hash, and the PRF is the HMAC of it.
    pub ike: IkeSuite,
    /// How the two sides authenticate.
    pub authentication: Authentication,
    /// How long the SA may live, as far as it was said. The RFC has no default, and kilobytes are not kept.
    pub life: Option<Duration>,
}

impl fmt::Display for Phase1Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.ike, self.authentication)
    }
}

/// Offers every combination of `proposals` that IKEv1 can say as a transform of one proposal, the best first,
/// and no more than 60 of them.
///
/// IKEv1 has no words for combined modes, for Curve25519 and later methods, for PRFs that are not the HMAC of
/// the hash, and for additional key exchanges: those are left out, and what is left may be nothing.
#[must_use]
pub fn offer_phase1(
    proposals: &[Proposal],
    authentication: Authentication,
    life: Option<Duration>,
) -> SaPayload {
    let transforms = suites(proposals)
        .take(MOST_OFFERED)
        .zip(1..)
        .map(|(ike, number)| transform(number, &Phase1Suite { ike, authentication, life }))
        .collect();
    wrap(Vec::from([OfferedProposal { number: 1, protocol: Protocol::ISAKMP, spi: Vec::new(), transforms }]))
}

/// Chooses a suite from the peer's `offer` whose authentication method is one of `methods`, and makes the
/// answer, which repeats the chosen transform exactly as it came.
///
/// # Errors
/// [`TransformMismatch`] says what the peer offered and how the nearest local proposal differs from it.
pub fn select_phase1(
    proposals: &[Proposal],
    methods: &[Authentication],
    offer: &SaPayload,
    prefer: Prefer,
) -> Result<(Phase1Suite, SaPayload), TransformMismatch> {
    let rank = |suite: &Phase1Suite| {
        let method = methods.iter().position(|&method| method == suite.authentication)?;
        Some((rank(proposals, &suite.ike)?, method))
    };
    let acceptable = transforms(offer).filter_map(|(proposal, transform)| {
        let suite = Reading::of(transform).suite()?;
        Some((rank(&suite)?, suite, proposal, transform))
    });
    let mut acceptable = acceptable;
    let found = match prefer {
        Prefer::Peer => acceptable.next(),
        // Of several equally good ones this takes the first.
        Prefer::Local => acceptable.min_by_key(|(rank, ..)| *rank),
    };
    let Some((_, suite, proposal, transform)) = found else {
        let ours: Vec<Side> = proposals
            .iter()
            .filter(|proposal| proposal.protocol == ProtocolId::IKE)
            .map(|proposal| local_side(proposal, methods))
            .collect();
        return Err(explain(&ours, theirs(offer), defect(offer)));
    };
    let answer = OfferedProposal {
        number: proposal.number,
        protocol: proposal.protocol,
        spi: Vec::new(),
        transforms: Vec::from([transform.clone()]),
    };
    Ok((suite, wrap(Vec::from([answer]))))
}

/// Checks the answer to an offer of ours. Its numbers and the form of its attributes do not matter, since
/// peers count in their own ways; of two lifetimes the shorter counts.
///
/// # Errors
/// [`TransformMismatch`] if the answer is not exactly one transform with the values of one of ours.
pub fn confirm_phase1(offered: &SaPayload, answer: &SaPayload) -> Result<Phase1Suite, TransformMismatch> {
    let mut answered = transforms(answer);
    let only = answered.next().filter(|_| answered.next().is_none() && answer.proposals.len() == 1);
    let suite = only.and_then(|(_, transform)| Reading::of(transform).suite());
    let confirmed = suite.and_then(|suite| {
        let ours = transforms(offered).filter_map(|(_, transform)| Reading::of(transform).suite());
        let mut ours =
            ours.filter(|ours| ours.ike == suite.ike && ours.authentication == suite.authentication);
        ours.next().map(|ours| Phase1Suite { life: shorter(ours.life, suite.life), ..suite })
    });
    confirmed.ok_or_else(|| {
        let ours: Vec<Side> = theirs(offered).collect();
        let count = only.is_none().then_some(TransformDefect::Count);
        explain(&ours, theirs(answer), defect(answer).or(count))
    })
}

/// The groups of `proposals` that IKEv1 has, in order and each once. An initiator in aggressive mode sends a
/// public value with its offer and must settle for one of them.
#[must_use]
pub fn phase1_groups(proposals: &[Proposal]) -> Vec<KeyExchangeId> {
    let mut groups = Vec::new();
    for suite in suites(proposals) {
        if !groups.contains(&suite.key_exchange) {
            groups.push(suite.key_exchange);
        }
    }
    groups
}

/// What is left of `proposals` with one group only; those without it fall away.
#[must_use]
pub fn only_group(proposals: &[Proposal], group: KeyExchangeId) -> Vec<Proposal> {
    let having = proposals.iter().filter(|proposal| proposal.key_exchange.contains(&group));
    having.map(|proposal| Proposal { key_exchange: Vec::from([group]), ..proposal.clone() }).collect()
}

pub(super) fn wrap(proposals: Vec<OfferedProposal>) -> SaPayload {
    SaPayload { doi: DOI_IPSEC, situation: SITUATION_IDENTITY_ONLY, proposals }
}

pub(super) fn is_ipsec(payload: &SaPayload) -> bool {
    payload.doi == DOI_IPSEC && payload.situation == SITUATION_IDENTITY_ONLY
}

/// Whether IKEv1, which has only one key exchange, can say the proposal at all.
pub(super) fn is_single_exchange(proposal: &Proposal) -> bool {
    let may_be_absent = |list: &Vec<KeyExchangeId>| list.is_empty() || list.contains(&KeyExchangeId::NONE);
    proposal.additional.iter().all(may_be_absent)
}

/// Every suite that IKEv1 has words for.
fn suites(proposals: &[Proposal]) -> impl Iterator<Item = IkeSuite> {
    let sayable = proposals.iter().filter(|proposal| is_sayable(proposal));
    sayable.flat_map(|proposal| {
        proposal.encryption.iter().flat_map(move |&encryption| {
            proposal.integrity.iter().flat_map(move |&integrity| {
                let groups = proposal.key_exchange.iter();
                groups.filter_map(move |&group| suite(proposal, encryption, integrity, group))
            })
        })
    })
}

fn is_sayable(proposal: &Proposal) -> bool {
    proposal.protocol == ProtocolId::IKE && is_single_exchange(proposal)
}

fn suite(
    proposal: &Proposal,
    encryption: Encryption,
    integrity: IntegrityId,
    key_exchange: KeyExchangeId,
) -> Option<IkeSuite> {
    phase1::Encryption::from_ikev2(encryption.id)?;
    Group::from_ikev2(key_exchange)?;
    let prf = Hash::from_integrity(integrity)?.prf()?;
    let may = proposal.prf.contains(&prf) && encryption.key_len().is_some();
    may.then_some(IkeSuite {
        encryption,
        integrity: Some(integrity),
        prf,
        key_exchange,
        additional: NO_ADDITIONAL,
    })
}

/// Where a suite stands in our order of preference, if it does.
fn rank(proposals: &[Proposal], suite: &IkeSuite) -> Option<[usize; 4]> {
    proposals.iter().enumerate().find_map(|(at, proposal)| {
        let may = is_sayable(proposal) && proposal.prf.contains(&suite.prf);
        let encryption = proposal.encryption.iter().position(|&other| other == suite.encryption)?;
        let integrity = proposal.integrity.iter().position(|&other| Some(other) == suite.integrity)?;
        let group = proposal.key_exchange.iter().position(|&other| other == suite.key_exchange)?;
        may.then_some([at, encryption, integrity, group])
    })
}

/// The transforms of an ISAKMP SA, in their order.
fn transforms(payload: &SaPayload) -> impl Iterator<Item = (&OfferedProposal, &Transform)> {
    let proposals = payload.proposals.iter().filter(|_| is_ipsec(payload));
    let proposals = proposals.filter(|proposal| proposal.protocol == Protocol::ISAKMP);
    proposals.flat_map(|proposal| proposal.transforms.iter().map(move |transform| (proposal, transform)))
}

fn defect(payload: &SaPayload) -> Option<TransformDefect> {
    if !is_ipsec(payload) {
        Some(TransformDefect::Situation)
    } else if payload.proposals.iter().all(|proposal| proposal.protocol != Protocol::ISAKMP) {
        Some(TransformDefect::Protocol)
    } else {
        None
    }
}

fn transform(number: u8, suite: &Phase1Suite) -> Transform {
    let mut attributes = Vec::new();
    let mut add = |kind: phase1::Attribute, value: u16| {
        attributes.push(Attribute { kind: kind.0, value: AttributeValue::Short(value) });
    };
    let IkeSuite { encryption, integrity, key_exchange, .. } = suite.ike;
    if let Some(algorithm) = phase1::Encryption::from_ikev2(encryption.id) {
        add(phase1::Attribute::ENCRYPTION_ALGORITHM, algorithm.0);
    }
    if let Some(bits) = encryption.attribute() {
        add(phase1::Attribute::KEY_LENGTH, bits);
    }
    if let Some(hash) = integrity.and_then(Hash::from_integrity) {
        add(phase1::Attribute::HASH_ALGORITHM, hash.0);
    }
    if let Some(group) = Group::from_ikev2(key_exchange) {
        add(phase1::Attribute::GROUP_DESCRIPTION, group.0);
    }
    add(phase1::Attribute::AUTHENTICATION_METHOD, suite.authentication.0);
    let seconds = suite.life.map(|life| life.as_secs()).filter(|&seconds| seconds != 0);
    let classes = (phase1::Attribute::LIFE_TYPE.0, phase1::Attribute::LIFE_DURATION.0);
    Life { seconds, kilobytes: None }.write(classes.0, classes.1, &mut attributes);
    Transform { number, id: IsakmpTransform::KEY_IKE.0, attributes }
}

/// What a transform says.
#[derive(Default)]
struct Reading {
    encryption: Option<u16>,
    key_bits: Option<u16>,
    hash: Option<u16>,
    authentication: Option<u16>,
    group: Option<u16>,
    life: Life,
    /// What makes it unacceptable.
    strange: Vec<String>,
}

impl Reading {
    fn of(transform: &Transform) -> Self {
        let mut reading = Self::default();
        let mut life = LifeReader::default();
        if transform.id != IsakmpTransform::KEY_IKE.0 {
            reading.strange.push(format!("transform {}", transform.id));
        }
        for attribute in &transform.attributes {
            let kind = phase1::Attribute(attribute.kind);
            let value = attribute.number();
            let understood = match kind {
                phase1::Attribute::ENCRYPTION_ALGORITHM => put(&mut reading.encryption, value),
                phase1::Attribute::KEY_LENGTH => put(&mut reading.key_bits, value),
                phase1::Attribute::HASH_ALGORITHM => put(&mut reading.hash, value),
                phase1::Attribute::AUTHENTICATION_METHOD => put(&mut reading.authentication, value),
                phase1::Attribute::GROUP_DESCRIPTION => put(&mut reading.group, value),
                phase1::Attribute::LIFE_TYPE => life.kind(value),
                phase1::Attribute::LIFE_DURATION => life.duration(value),
                phase1::Attribute(_) => false,
            };
            if !understood {
                reading.strange.push(strange(kind.name(), attribute));
            }
        }
        if !life.is_complete() {
            reading.strange.push("a life type without a duration".to_string());
        }
        reading.life = life.life;
        reading
    }

    /// The suite, if it is all there and all of it makes sense.
    fn suite(&self) -> Option<Phase1Suite> {
        if !self.strange.is_empty() {
            return None;
        }
        let id = phase1::Encryption(self.encryption?).ikev2()?;
        let encryption = Encryption::from_transform(id, self.key_bits)?;
        let hash = Hash(self.hash?);
        let ike = IkeSuite {
            encryption,
            integrity: Some(integrity(hash)?),
            prf: hash.prf()?,
            key_exchange: Group(self.group?).ikev2()?,
            additional: NO_ADDITIONAL,
        };
        let life = self.life.seconds.map(Duration::from_secs);
        Some(Phase1Suite { ike, authentication: Authentication(self.authentication?), life })
    }

    fn side(&self) -> Side {
        let encryption = self.encryption.map(|number| {
            let algorithm = phase1::Encryption(number);
            match algorithm.ikev2() {
                Some(id) => Encryption::new(id, self.key_bits.unwrap_or_default()).to_string(),
                None => format!("encryption {algorithm}"),
            }
        });
        let hash = self.hash.map(|number| match integrity(Hash(number)) {
            Some(id) => Word(id).to_string(),
            None => format!("hash {}", Hash(number)),
        });
        let group = self.group.map(|number| match Group(number).ikev2() {
            Some(id) => Word(id).to_string(),
            None => format!("group {}", Group(number)),
        });
        let authentication = self.authentication.map(|number| Authentication(number).to_string());
        let words = [&encryption, &hash, &group].map(|word| word.as_deref().unwrap_or("nothing"));
        let mut text = words.join("-");
        if let Some(method) = &authentication {
            text.push_str(&format!(" ({method})"));
        }
        side(text, [encryption, hash, group, authentication].map(Vec::from_iter), self.strange.clone())
    }
}

fn side(text: String, values: [Vec<String>; 4], strange: Vec<String>) -> Side {
    let names = ["encryption", "hash", "group", "authentication"];
    Side { text, attributes: names.into_iter().zip(values).collect(), strange }
}

fn local_side(proposal: &Proposal, methods: &[Authentication]) -> Side {
    let values = [
        proposal.encryption.iter().map(ToString::to_string).collect(),
        proposal.integrity.iter().map(|&id| Word(id).to_string()).collect(),
        proposal.key_exchange.iter().map(|&id| Word(id).to_string()).collect(),
        methods.iter().map(ToString::to_string).collect(),
    ];
    side(proposal.to_string(), values, Vec::new())
}

fn theirs(payload: &SaPayload) -> impl Iterator<Item = Side> {
    transforms(payload).map(|(_, transform)| Reading::of(transform).side())
}

/// The integrity algorithm by which configurations name a hash.
fn integrity(hash: Hash) -> Option<IntegrityId> {
    Some(match hash {
        Hash::MD5 => IntegrityId::HMAC_MD5_96,
        Hash::SHA => IntegrityId::HMAC_SHA1_96,
        Hash::SHA2_256 => IntegrityId::HMAC_SHA2_256_128,
        Hash::SHA2_384 => IntegrityId::HMAC_SHA2_384_192,
        Hash::SHA2_512 => IntegrityId::HMAC_SHA2_512_256,
        Hash(_) => return None,
    })
}

/// Keeps a value; false if it is no such number, or another one was there.
pub(super) fn put(slot: &mut Option<u16>, value: Option<u64>) -> bool {
    let Some(value) = value.and_then(|value| u16::try_from(value).ok()) else {
        return false;
    };
    *slot.get_or_insert(value) == value
}

/// An attribute that is not understood, in words.
pub(super) fn strange(name: Option<&str>, attribute: &Attribute) -> String {
    let name = name.map_or_else(|| format!("attribute {}", attribute.kind), ToString::to_string);
    match attribute.number() {
        Some(value) => format!("{name} = {value}"),
        None => name,
    }
}

#[cfg(test)]
mod tests;
