//! Agreeing on the suite of an IPsec SA (RFC 2407 4.4 and 4.5, RFC 2409 5.5).
//!
//! The rules of phase 1 hold here too. In addition, proposals that share a number belong together: both
//! protocols would be applied to each packet. That is refused, the others are not affected.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use ikebana_core::EspSpi;

use super::attribute::{Attribute, AttributeValue};
use super::life::{Life, LifeReader, shorter};
use super::mismatch::{Side, TransformDefect, TransformMismatch, explain};
use super::phase1::Group;
use super::phase1_offer::{MOST_OFFERED, is_ipsec, is_single_exchange, put, strange, wrap};
use super::phase2::{self, AhTransform, Authentication, Encapsulation, EspTransform, Protocol};
use super::sa::{OfferedProposal, SaPayload, Transform};
use crate::properties::Encryption;
use crate::proposal::{Proposal, Word};
use crate::registries::{IntegrityId, KeyExchangeId, ProtocolId, SequenceNumbersId};
use crate::select::Prefer;
use crate::suite::{ChildSuite, NO_ADDITIONAL};

/// How long a pair of SAs may live, as far as it was said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Phase2Life {
    /// By age. Unsaid, it is eight hours (RFC 2407 4.5).
    pub seconds: Option<u32>,
    /// By traffic, in units of 1024 octets. Unsaid, it is unlimited.
    pub kilobytes: Option<u64>,
}

/// What an initiator offers beside algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phase2Offer {
    /// Our SPI.
    pub spi: EspSpi,
    /// How packets travel, as the number that the peer understands.
    pub mode: Encapsulation,
    /// The group of the key exchange payload that goes with the offer, see [`pfs_groups`].
    pub group: Option<KeyExchangeId>,
    /// How long.
    pub life: Phase2Life,
}

/// What a responder accepts beside algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phase2Wanted {
    /// How packets travel. The numbers of RFC 3947 and of the drafts before it are the same here.
    pub mode: Encapsulation,
    /// Whether the peer sent a key exchange payload. It does not say of which group it is.
    pub key_exchange: bool,
}

impl Phase2Life {
    /// The attributes that say it, as transforms and RESPONDER-LIFETIME notifications carry them.
    #[must_use]
    pub fn attributes(self) -> Vec<Attribute> {
        let mut attributes = Vec::new();
        let life = Life { seconds: self.seconds.map(u64::from), kilobytes: self.kilobytes };
        let classes = (phase2::Attribute::SA_LIFE_TYPE, phase2::Attribute::SA_LIFE_DURATION);
        life.write(classes.0.0, classes.1.0, &mut attributes);
        attributes
    }

    /// What `attributes` say of a lifetime; the others among them are passed over. `None` if they contradict
    /// themselves, or a type lacks its duration or a duration its type.
    #[must_use]
    pub fn read(attributes: &[Attribute]) -> Option<Self> {
        let mut life = LifeReader::default();
        for attribute in attributes {
            let value = attribute.number();
            let understood = match phase2::Attribute(attribute.kind) {
                phase2::Attribute::SA_LIFE_TYPE => life.kind(value),
                phase2::Attribute::SA_LIFE_DURATION => life.duration(value),
                phase2::Attribute(_) => true,
            };
            if !understood {
                return None;
            }
        }
        life.is_complete().then(|| life.life.into())
    }
}

impl From<Life> for Phase2Life {
    fn from(life: Life) -> Self {
        let seconds = life.seconds.map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX));
        Self { seconds, kilobytes: life.kilobytes }
    }
}

/// What two sides agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Phase2Terms {
    /// The algorithms; `key_exchange` is the group for perfect forward secrecy.
    pub suite: ChildSuite,
    /// Tunnel mode; otherwise transport mode.
    pub tunnel: bool,
    /// Whether packets travel in UDP.
    pub udp: bool,
    /// How long.
    pub life: Phase2Life,
    /// The other side's SPI.
    pub spi: EspSpi,
}

/// Offers every combination of `proposals` that the DOI can say, the best first, and no more than 60 of them:
/// a proposal for each run of one protocol, a transform for each combination.
///
/// The DOI has no words for ChaCha20-Poly1305, AES-CMAC and additional key exchanges. What has another group
/// than that of the offer, or none where the offer has one, is left out too, since the key exchange payload
/// fits only one (RFC 2409 5.5).
#[must_use]
pub fn offer_phase2(proposals: &[Proposal], offer: &Phase2Offer) -> SaPayload {
    let mut all: Vec<OfferedProposal> = Vec::new();
    for suite in suites(proposals).filter(|suite| suite.key_exchange == offer.group).take(MOST_OFFERED) {
        let protocol = protocol(suite.protocol);
        let next = u8::try_from(all.len()).unwrap_or(u8::MAX).saturating_add(1);
        if all.last().is_none_or(|last| last.protocol != protocol) {
            let spi = offer.spi.to_be_bytes().to_vec();
            all.push(OfferedProposal { number: next, protocol, spi, transforms: Vec::new() });
        }
        if let Some(last) = all.last_mut() {
            let number = u8::try_from(last.transforms.len()).unwrap_or(u8::MAX).saturating_add(1);
            last.transforms.extend(transform(number, &suite, offer));
        }
    }
    wrap(all)
}

/// Chooses a suite from the peer's `offer`, and makes the answer, which repeats the chosen transform exactly
/// as it came and lacks only our SPI: see [`SaPayload::with_spi`].
///
/// # Errors
/// [`TransformMismatch`] says what the peer offered and how the nearest local proposal differs from it.
pub fn select_phase2(
    proposals: &[Proposal],
    offer: &SaPayload,
    prefer: Prefer,
    wanted: Phase2Wanted,
) -> Result<(Phase2Terms, SaPayload), TransformMismatch> {
    let mut acceptable = transforms(offer).filter_map(|(proposal, transform)| {
        let reading = Reading::of(proposal.protocol, transform);
        let suite = reading.suite()?;
        if suite.key_exchange.is_some() != wanted.key_exchange {
            return None;
        }
        let terms = reading.terms(suite, spi(proposal)?, wanted.mode)?;
        Some((rank(proposals, &suite)?, terms, proposal, transform))
    });
    let found = match prefer {
        Prefer::Peer => acceptable.next(),
        // Of several equally good ones this takes the first.
        Prefer::Local => acceptable.min_by_key(|(rank, ..)| *rank),
    };
    let Some((_, terms, proposal, transform)) = found else {
        let ours = proposals.iter().filter(|proposal| proposal.protocol != ProtocolId::IKE);
        let ours: Vec<Side> = ours.map(|proposal| local_side(proposal, wanted.mode)).collect();
        return Err(explain(&ours, theirs(offer), defect(offer)));
    };
    let answer = OfferedProposal {
        number: proposal.number,
        protocol: proposal.protocol,
        spi: Vec::new(),
        transforms: Vec::from([transform.clone()]),
    };
    Ok((terms, wrap(Vec::from([answer]))))
}

/// Checks the answer to an offer of ours. Its numbers and the form of its attributes do not matter, since
/// peers count in their own ways; of two lifetimes the shorter counts.
///
/// # Errors
/// [`TransformMismatch`] if the answer is not exactly one transform with the values of one of ours, or has no
/// valid SPI.
pub fn confirm_phase2(offered: &SaPayload, answer: &SaPayload) -> Result<Phase2Terms, TransformMismatch> {
    let mut answered = transforms(answer);
    let only = answered.next().filter(|_| answered.next().is_none() && answer.proposals.len() == 1);
    let confirmed = only.and_then(|(proposal, transform)| {
        let theirs = Reading::of(proposal.protocol, transform);
        let suite = theirs.suite()?;
        let spi = spi(proposal)?;
        transforms(offered).find_map(|(proposal, transform)| {
            let ours = Reading::of(proposal.protocol, transform);
            let same = ours.suite() == Some(suite);
            let mode = ours.mode.map(Encapsulation)?;
            let terms = theirs.terms(suite, spi, mode).filter(|_| same)?;
            let life = Phase2Life {
                seconds: shorter(ours.life().seconds, terms.life.seconds),
                kilobytes: shorter(ours.life().kilobytes, terms.life.kilobytes),
            };
            Some(Phase2Terms { life, ..terms })
        })
    });
    confirmed.ok_or_else(|| {
        let ours: Vec<Side> = theirs(offered).collect();
        let count = only.is_none().then_some(TransformDefect::Count);
        explain(&ours, theirs(answer), defect(answer).or(count))
    })
}

/// The groups for perfect forward secrecy among which an initiator must choose, in order and each once;
/// `None` stands for a quick mode without one.
#[must_use]
pub fn pfs_groups(proposals: &[Proposal]) -> Vec<Option<KeyExchangeId>> {
    let mut groups = Vec::new();
    for suite in suites(proposals) {
        if !groups.contains(&suite.key_exchange) {
            groups.push(suite.key_exchange);
        }
    }
    groups
}

impl SaPayload {
    /// The same with `spi` in every proposal.
    #[must_use]
    pub fn with_spi(mut self, spi: EspSpi) -> Self {
        for proposal in &mut self.proposals {
            proposal.spi = spi.to_be_bytes().to_vec();
        }
        self
    }
}

/// Every suite that the DOI has words for.
fn suites(proposals: &[Proposal]) -> impl Iterator<Item = ChildSuite> {
    proposals.iter().filter(|proposal| is_sayable(proposal)).flat_map(|proposal| {
        encryptions(proposal).into_iter().flat_map(move |encryption| {
            integrities(proposal, encryption).into_iter().flat_map(move |integrity| {
                groups(proposal).into_iter().flat_map(move |key_exchange| {
                    let sequence = proposal.sequence.iter();
                    sequence.filter_map(move |&sequence| {
                        let suite = ChildSuite {
                            protocol: proposal.protocol,
                            encryption,
                            integrity,
                            key_exchange,
                            additional: NO_ADDITIONAL,
                            esn: esn(sequence)?,
                        };
                        is_in_doi(&suite).then_some(suite)
                    })
                })
            })
        })
    })
}

fn is_sayable(proposal: &Proposal) -> bool {
    matches!(proposal.protocol, ProtocolId::ESP | ProtocolId::AH) && is_single_exchange(proposal)
}

fn encryptions(proposal: &Proposal) -> Vec<Option<Encryption>> {
    match proposal.protocol {
        ProtocolId::AH => Vec::from([None]),
        _ => proposal.encryption.iter().copied().map(Some).collect(),
    }
}

fn integrities(proposal: &Proposal, encryption: Option<Encryption>) -> Vec<Option<IntegrityId>> {
    if encryption.is_some_and(|encryption| encryption.is_aead()) {
        return Vec::from([None]);
    }
    let real = proposal.integrity.iter().copied().filter(|&id| id != IntegrityId::NONE);
    real.map(Some).collect()
}

fn groups(proposal: &Proposal) -> Vec<Option<KeyExchangeId>> {
    if proposal.key_exchange.is_empty() {
        return Vec::from([None]);
    }
    proposal.key_exchange.iter().map(|&id| (id != KeyExchangeId::NONE).then_some(id)).collect()
}

const fn esn(sequence: SequenceNumbersId) -> Option<bool> {
    match sequence {
        SequenceNumbersId::NO_ESN => Some(false),
        SequenceNumbersId::ESN => Some(true),
        SequenceNumbersId(_) => None,
    }
}

/// Whether every algorithm of the suite has a number.
fn is_in_doi(suite: &ChildSuite) -> bool {
    let has_group = suite.key_exchange.is_none_or(|id| Group::from_ikev2(id).is_some());
    let has_integrity = suite.integrity.is_none_or(|id| Authentication::from_ikev2(id).is_some());
    has_group && has_integrity && transform_id(suite).is_some()
}

fn transform_id(suite: &ChildSuite) -> Option<u8> {
    match suite.encryption {
        Some(encryption) => {
            encryption.key_len()?;
            EspTransform::from_ikev2(encryption.id).map(|transform| transform.0)
        }
        None => ah_transform(Authentication::from_ikev2(suite.integrity?)?).map(|transform| transform.0),
    }
}

/// The AH transform that goes with an authentication algorithm (RFC 2407 4.4.3).
const fn ah_transform(authentication: Authentication) -> Option<AhTransform> {
    Some(match authentication {
        Authentication::HMAC_MD5 => AhTransform::MD5,
        Authentication::HMAC_SHA => AhTransform::SHA,
        Authentication::HMAC_SHA2_256 => AhTransform::SHA2_256,
        Authentication::HMAC_SHA2_384 => AhTransform::SHA2_384,
        Authentication::HMAC_SHA2_512 => AhTransform::SHA2_512,
        Authentication::AES_XCBC_MAC => AhTransform::AES_XCBC_MAC,
        Authentication::AES_128_GMAC => AhTransform::AES_128_GMAC,
        Authentication::AES_192_GMAC => AhTransform::AES_192_GMAC,
        Authentication::AES_256_GMAC => AhTransform::AES_256_GMAC,
        Authentication(_) => return None,
    })
}

const fn protocol(protocol: ProtocolId) -> Protocol {
    match protocol {
        ProtocolId::AH => Protocol::AH,
        _ => Protocol::ESP,
    }
}

/// Where a suite stands in our order of preference, if it does.
fn rank(proposals: &[Proposal], suite: &ChildSuite) -> Option<[usize; 5]> {
    proposals.iter().enumerate().find_map(|(at, proposal)| {
        if !is_sayable(proposal) || proposal.protocol != suite.protocol {
            return None;
        }
        let encryption = encryptions(proposal).iter().position(|&other| other == suite.encryption)?;
        let integrity =
            integrities(proposal, suite.encryption).iter().position(|&other| other == suite.integrity)?;
        let group = groups(proposal).iter().position(|&other| other == suite.key_exchange)?;
        let sequence = proposal.sequence.iter().position(|&other| esn(other) == Some(suite.esn))?;
        Some([at, encryption, integrity, group, sequence])
    })
}

/// The transforms that can be had alone, in their order.
fn transforms(payload: &SaPayload) -> impl Iterator<Item = (&OfferedProposal, &Transform)> {
    let alone = payload.proposals.iter().filter(|proposal| is_ipsec(payload) && is_alone(payload, proposal));
    let ours = alone.filter(|proposal| matches!(proposal.protocol, Protocol::ESP | Protocol::AH));
    ours.flat_map(|proposal| proposal.transforms.iter().map(move |transform| (proposal, transform)))
}

fn is_alone(payload: &SaPayload, proposal: &OfferedProposal) -> bool {
    payload.proposals.iter().filter(|other| other.number == proposal.number).count() == 1
}

fn spi(proposal: &OfferedProposal) -> Option<EspSpi> {
    let octets = proposal.spi.as_slice().try_into().ok()?;
    EspSpi::new(u32::from_be_bytes(octets))
}

fn defect(payload: &SaPayload) -> Option<TransformDefect> {
    let proposals = &payload.proposals;
    if !is_ipsec(payload) {
        return Some(TransformDefect::Situation);
    }
    if !proposals.is_empty() && proposals.iter().all(|proposal| !is_alone(payload, proposal)) {
        return Some(TransformDefect::Bundle);
    }
    let alone: Vec<&OfferedProposal> =
        proposals.iter().filter(|proposal| is_alone(payload, proposal)).collect();
    let is_ours = |proposal: &&OfferedProposal| matches!(proposal.protocol, Protocol::ESP | Protocol::AH);
    if !alone.iter().any(is_ours) {
        return Some(TransformDefect::Protocol);
    }
    let without_spi = alone.into_iter().filter(is_ours).all(|proposal| spi(proposal).is_none());
    without_spi.then_some(TransformDefect::Spi)
}

fn transform(number: u8, suite: &ChildSuite, offer: &Phase2Offer) -> Option<Transform> {
    let mut attributes = Vec::new();
    let mut add = |kind: phase2::Attribute, value: u16| {
        attributes.push(Attribute { kind: kind.0, value: AttributeValue::Short(value) });
    };
    if let Some(group) = suite.key_exchange {
        add(phase2::Attribute::GROUP_DESCRIPTION, Group::from_ikev2(group)?.0);
    }
    add(phase2::Attribute::ENCAPSULATION_MODE, offer.mode.0);
    if let Some(id) = suite.integrity {
        add(phase2::Attribute::AUTHENTICATION_ALGORITHM, Authentication::from_ikev2(id)?.0);
    }
    if let Some(bits) = suite.encryption.and_then(|encryption| encryption.attribute()) {
        add(phase2::Attribute::KEY_LENGTH, bits);
    }
    if suite.esn {
        add(phase2::Attribute::EXTENDED_SEQUENCE_NUMBER, ESN_64);
    }
    attributes.extend(offer.life.attributes());
    Some(Transform { number, id: transform_id(suite)?, attributes })
}

/// 64-bit sequence numbers (RFC 4304 2); their absence means 32.
const ESN_64: u16 = 1;

/// What a transform says.
#[derive(Default)]
struct Reading {
    protocol: Option<Protocol>,
    id: u8,
    mode: Option<u16>,
    authentication: Option<u16>,
    key_bits: Option<u16>,
    group: Option<u16>,
    sequence: Option<u16>,
    life: Life,
    /// What makes it unacceptable.
    strange: Vec<String>,
}

impl Reading {
    fn of(protocol: Protocol, transform: &Transform) -> Self {
        let mut reading = Self { protocol: Some(protocol), id: transform.id, ..Self::default() };
        let mut life = LifeReader::default();
        for attribute in &transform.attributes {
            let kind = phase2::Attribute(attribute.kind);
            let value = attribute.number();
            let understood = match kind {
                phase2::Attribute::SA_LIFE_TYPE => life.kind(value),
                phase2::Attribute::SA_LIFE_DURATION => life.duration(value),
                phase2::Attribute::GROUP_DESCRIPTION => put(&mut reading.group, value),
                phase2::Attribute::ENCAPSULATION_MODE => put(&mut reading.mode, value),
                phase2::Attribute::AUTHENTICATION_ALGORITHM => put(&mut reading.authentication, value),
                phase2::Attribute::KEY_LENGTH => put(&mut reading.key_bits, value),
                phase2::Attribute::EXTENDED_SEQUENCE_NUMBER => {
                    put(&mut reading.sequence, value) && value == Some(ESN_64.into())
                }
                phase2::Attribute(_) => false,
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
    fn suite(&self) -> Option<ChildSuite> {
        if !self.strange.is_empty() {
            return None;
        }
        let authentication = self.authentication.map(Authentication);
        let integrity = match authentication {
            Some(authentication) => Some(authentication.ikev2()?),
            None => None,
        };
        let (protocol, encryption) = match self.protocol? {
            Protocol::ESP => {
                let id = EspTransform(self.id).ikev2()?;
                let encryption = Encryption::from_transform(id, self.key_bits)?;
                // RFC 4106 8 and others: a combined mode has no authentication algorithm. Anything else needs
                // one: unauthenticated encryption protects nothing (RFC 8221 4).
                if encryption.is_aead() != integrity.is_none() {
                    return None;
                }
                (ProtocolId::ESP, Some(encryption))
            }
            Protocol::AH => {
                let fits = ah_transform(authentication?) == Some(AhTransform(self.id));
                if !fits || self.key_bits.is_some() {
                    return None;
                }
                (ProtocolId::AH, None)
            }
            Protocol(_) => return None,
        };
        let key_exchange = match self.group {
            Some(number) => Some(Group(number).ikev2()?),
            None => None,
        };
        let esn = self.sequence.is_some();
        Some(ChildSuite { protocol, encryption, integrity, key_exchange, additional: NO_ADDITIONAL, esn })
    }

    /// The rest of the terms; `None` if packets would travel in another way than `wanted`.
    fn terms(&self, suite: ChildSuite, spi: EspSpi, wanted: Encapsulation) -> Option<Phase2Terms> {
        // RFC 2407 4.5 leaves the mode to the host if it is not said.
        let mode = self.mode.map_or(wanted, Encapsulation);
        let (tunnel, udp) = travel(mode).filter(|travel| Some(*travel) == self::travel(wanted))?;
        Some(Phase2Terms { suite, tunnel, udp, life: self.life(), spi })
    }

    fn life(&self) -> Phase2Life {
        self.life.into()
    }

    fn side(&self) -> Side {
        let protocol = self.protocol.map(|protocol| protocol.to_string());
        let encryption = match self.protocol {
            Some(Protocol::ESP) => Some(match EspTransform(self.id).ikev2() {
                Some(id) => Encryption::new(id, self.key_bits.unwrap_or_default()).to_string(),
                None => format!("transform {}", EspTransform(self.id)),
            }),
            _ => None,
        };
        let authentication = self.authentication.map(|number| match Authentication(number).ikev2() {
            Some(id) => Word(id).to_string(),
            None => format!("authentication {}", Authentication(number)),
        });
        let group = self.group.map(|number| match Group(number).ikev2() {
            Some(id) => Word(id).to_string(),
            None => format!("group {}", Group(number)),
        });
        let sequence = if self.sequence.is_some() { "esn" } else { "noesn" };
        let words = [&encryption, &authentication, &group];
        let mut words: Vec<&str> = words.into_iter().flatten().map(String::as_str).collect();
        words.extend(self.sequence.map(|_| sequence));
        let mode = self.mode.map(word_of_mode);
        let text = format!(
            "{} {} ({})",
            protocol.as_deref().unwrap_or_default(),
            words.join("-"),
            mode.as_deref().unwrap_or("no mode"),
        );
        let group = Vec::from([group.unwrap_or_else(|| NO_PFS.to_string())]);
        let values = [
            Vec::from_iter(protocol),
            Vec::from_iter(encryption),
            Vec::from_iter(authentication),
            group,
            // Left out, the mode is whatever we want.
            Vec::from([mode.unwrap_or_default()]),
            Vec::from([sequence.to_string()]),
        ];
        side(text, values, self.strange.clone())
    }
}

const NO_PFS: &str = "none";

/// Whether a mode is tunnel mode, and whether it is in UDP.
const fn travel(mode: Encapsulation) -> Option<(bool, bool)> {
    match mode {
        Encapsulation::TUNNEL => Some((true, false)),
        Encapsulation::TRANSPORT => Some((false, false)),
        Encapsulation::UDP_TUNNEL | Encapsulation::UDP_TUNNEL_DRAFT => Some((true, true)),
        Encapsulation::UDP_TRANSPORT | Encapsulation::UDP_TRANSPORT_DRAFT => Some((false, true)),
        Encapsulation(_) => None,
    }
}

fn word_of_mode(mode: u16) -> String {
    match travel(Encapsulation(mode)) {
        Some((true, false)) => "tunnel".to_string(),
        Some((false, false)) => "transport".to_string(),
        Some((true, true)) => "tunnel in UDP".to_string(),
        Some((false, true)) => "transport in UDP".to_string(),
        None => format!("mode {mode}"),
    }
}

fn side(text: String, values: [Vec<String>; 6], strange: Vec<String>) -> Side {
    let names = ["protocol", "encryption", "authentication", "PFS group", "mode", "sequence numbers"];
    Side { text, attributes: names.into_iter().zip(values).collect(), strange }
}

fn local_side(proposal: &Proposal, mode: Encapsulation) -> Side {
    let groups = groups(proposal).into_iter();
    let values = [
        Vec::from([protocol(proposal.protocol).to_string()]),
        proposal.encryption.iter().map(ToString::to_string).collect(),
        proposal.integrity.iter().map(|&id| Word(id).to_string()).collect(),
        groups.map(|group| group.map_or(NO_PFS.to_string(), |id| Word(id).to_string())).collect(),
        Vec::from([word_of_mode(mode.0)]),
        proposal.sequence.iter().map(|&id| Word(id).to_string()).collect(),
    ];
    let text = format!("{} {proposal} ({})", protocol(proposal.protocol), word_of_mode(mode.0));
    side(text, values, Vec::new())
}

fn theirs(payload: &SaPayload) -> impl Iterator<Item = Side> {
    let all = payload.proposals.iter().flat_map(|proposal| {
        proposal.transforms.iter().map(move |transform| Reading::of(proposal.protocol, transform))
    });
    all.map(|reading| reading.side())
}

#[cfg(test)]
mod tests;
