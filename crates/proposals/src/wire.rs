//! The SA payload of IKEv2 (RFC 7296 3.3).

use alloc::vec::Vec;

use ikebana_core::codec::Problem;
use ikebana_core::{Reader, WireError, Writer};

use crate::properties::Encryption;
use crate::proposal::Proposal;
use crate::registries::{IntegrityId, KeyExchangeId, ProtocolId, SequenceNumbersId, TransformType};
use crate::select::Chosen;

/// Proposals accepted in one payload.
pub const MAX_PROPOSALS: usize = 64;
/// Transforms accepted in one payload, over all its proposals.
pub const MAX_TRANSFORMS: usize = 1024;

const MORE_PROPOSALS: u8 = 2;
const MORE_TRANSFORMS: u8 = 3;
const LAST: u8 = 0;
const PROPOSAL_HEADER: usize = 8;
const TRANSFORM_HEADER: usize = 8;
const FIXED_LENGTH_ATTRIBUTE: u16 = 0x8000;
const KEY_LENGTH: u16 = 14;

/// The body of an SA payload: what one side offers, or what the other chose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SaPayload {
    /// The proposals in the order of the payload.
    pub proposals: Vec<OfferedProposal>,
}

/// One proposal of an SA payload.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// | Last Substruc |   RESERVED    |         Proposal Length       |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// | Proposal Num  |  Protocol ID  |    SPI Size   |Num  Transforms|
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ~                        SPI (variable)                         ~
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ~                        <Transforms>                           ~
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedProposal {
    /// The number by which the answer refers to it; an offer counts from 1.
    pub number: u8,
    /// What it is for.
    pub protocol: ProtocolId,
    /// The sender's SPI, as long as the sender made it.
    pub spi: Vec<u8>,
    /// The algorithms in the order of the payload.
    pub transforms: Vec<Transform>,
}

/// One algorithm of a proposal.
///
/// ```text
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// | Last Substruc |   RESERVED    |        Transform Length       |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |Transform Type |   RESERVED    |          Transform ID         |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ~                      Transform Attributes                     ~
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Transform {
    /// Its type.
    pub kind: TransformType,
    /// Its number in the registry of that type.
    pub id: u16,
    /// The Key Length attribute in bits.
    pub key_bits: Option<u16>,
    /// Whether there were attributes that make the transform unacceptable: unknown ones, a repeated key
    /// length, or one in the wrong format (RFC 7296 3.3.6). They are not kept, so encoding drops them.
    pub unknown_attributes: bool,
}

impl Transform {
    /// An algorithm without attributes.
    #[must_use]
    pub const fn new(kind: TransformType, id: u16) -> Self {
        Self { kind, id, key_bits: None, unknown_attributes: false }
    }

    /// An encryption algorithm.
    #[must_use]
    pub const fn encryption(encryption: Encryption) -> Self {
        Self {
            kind: TransformType::ENCR,
            id: encryption.id.0,
            key_bits: encryption.attribute(),
            unknown_attributes: false,
        }
    }

    fn parse(reader: &mut Reader<'_>) -> Result<(Self, bool), WireError> {
        let more = more_follow(reader, "transform substructure", MORE_TRANSFORMS)?;
        let mut body = substructure(reader, "transform length", TRANSFORM_HEADER)?;
        let kind = TransformType(body.u8("transform type")?);
        body.u8("transform reserved")?;
        let mut transform = Self::new(kind, body.u16("transform id")?);
        while !body.is_empty() {
            transform.parse_attribute(&mut body)?;
        }
        Ok((transform, more))
    }

    fn parse_attribute(&mut self, body: &mut Reader<'_>) -> Result<(), WireError> {
        let kind = body.u16("attribute type")?;
        let value = body.u16("attribute length or value")?;
        if kind & FIXED_LENGTH_ATTRIBUTE == 0 {
            body.take("attribute value", usize::from(value))?;
        }
        // RFC 7296 3.3.5: the only attribute there is has the fixed-length format.
        if kind == FIXED_LENGTH_ATTRIBUTE | KEY_LENGTH && self.key_bits.is_none() {
            self.key_bits = Some(value);
        } else {
            self.unknown_attributes = true;
        }
        Ok(())
    }

    fn encode(&self, out: &mut Writer, more: bool) {
        out.u8(if more { MORE_TRANSFORMS } else { LAST });
        out.u8(0);
        out.nested_u16("transform length", 2, |out| {
            out.u8(self.kind.0);
            out.u8(0);
            out.u16(self.id);
            if let Some(bits) = self.key_bits {
                out.u16(FIXED_LENGTH_ATTRIBUTE | KEY_LENGTH);
                out.u16(bits);
            }
        });
    }
}

impl OfferedProposal {
    /// The transforms of one type, in their order.
    pub fn transforms_of(&self, kind: TransformType) -> impl Iterator<Item = &Transform> {
        self.transforms.iter().filter(move |transform| transform.kind == kind)
    }

    fn parse(reader: &mut Reader<'_>, budget: &mut usize) -> Result<(Self, bool), WireError> {
        let more = more_follow(reader, "proposal substructure", MORE_PROPOSALS)?;
        let mut body = substructure(reader, "proposal length", PROPOSAL_HEADER)?;
        let number = body.u8("proposal number")?;
        let protocol = ProtocolId(body.u8("protocol id")?);
        let spi_size = body.u8("spi size")?;
        let count = usize::from(body.u8("number of transforms")?);
        let spi = body.take("spi", usize::from(spi_size))?.to_vec();
        *budget = budget
            .checked_sub(count)
            .ok_or(WireError::new("transforms", Problem::TooMany(MAX_TRANSFORMS)))?;

        // A transform has at least 8 octets, so what is really there bounds the allocation.
        let mut transforms = Vec::with_capacity(count.min(body.remaining() / TRANSFORM_HEADER));
        let mut more_transforms = count != 0;
        while more_transforms {
            if transforms.len() == count {
                return Err(WireError::new("number of transforms", Problem::TooMany(count)));
            }
            let transform;
            (transform, more_transforms) = Transform::parse(&mut body)?;
            transforms.push(transform);
        }
        if transforms.len() != count {
            return Err(WireError::new("number of transforms", Problem::BadLength(count)));
        }
        body.finish("proposal")?;
        Ok((Self { number, protocol, spi, transforms }, more))
    }

    fn encode(&self, out: &mut Writer, more: bool) {
        out.u8(if more { MORE_PROPOSALS } else { LAST });
        out.u8(0);
        out.nested_u16("proposal length", 2, |out| {
            out.u8(self.number);
            out.u8(self.protocol.0);
            let counts = (u8::try_from(self.spi.len()), u8::try_from(self.transforms.len()));
            let (Ok(spi_size), Ok(count)) = counts else {
                out.reject("proposal");
                return;
            };
            out.u8(spi_size);
            out.u8(count);
            out.bytes(&self.spi);
            for (at, transform) in (1..).zip(&self.transforms) {
                transform.encode(out, at != self.transforms.len());
            }
        });
    }
}

impl SaPayload {
    /// Reads the body of an SA payload, without the generic payload header.
    ///
    /// The numbers of several proposals must count from 1 (RFC 7296 3.3.1). A single proposal may have any
    /// number but 0, because a response repeats the number of the proposal it accepts.
    ///
    /// # Errors
    /// [`WireError`] if a length or count disagrees with what is there, if there is no proposal, and if there
    /// are more than [`MAX_PROPOSALS`] or [`MAX_TRANSFORMS`].
    pub fn parse(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let mut proposals = Vec::new();
        let mut budget = MAX_TRANSFORMS;
        let mut more = true;
        while more {
            if proposals.len() == MAX_PROPOSALS {
                return Err(WireError::new("proposals", Problem::TooMany(MAX_PROPOSALS)));
            }
            let proposal;
            (proposal, more) = OfferedProposal::parse(&mut reader, &mut budget)?;
            proposals.push(proposal);
        }
        reader.finish("sa payload")?;

        let single = proposals.len() == 1;
        for (expected, proposal) in (1_u8..).zip(&proposals) {
            let right = if single { proposal.number != 0 } else { proposal.number == expected };
            if !right {
                let problem = Problem::BadValue(u64::from(proposal.number));
                return Err(WireError::new("proposal number", problem));
            }
        }
        Ok(Self { proposals })
    }

    /// Writes the body of an SA payload, without the generic payload header.
    pub fn encode(&self, out: &mut Writer) {
        for (at, proposal) in (1..).zip(&self.proposals) {
            proposal.encode(out, at != self.proposals.len());
        }
    }

    /// Offers `proposals`, numbered from 1, all with the sender's `spi`.
    ///
    /// At most [`MAX_PROPOSALS`] are offered; the number has one octet, and a peer would not read more.
    #[must_use]
    pub fn offer(proposals: &[Proposal], spi: &[u8]) -> Self {
        let proposals = (1..)
            .zip(proposals.iter().take(MAX_PROPOSALS))
            .map(|(number, proposal)| OfferedProposal {
                number,
                protocol: proposal.protocol,
                spi: spi.to_vec(),
                transforms: transforms(proposal),
            })
            .collect();
        Self { proposals }
    }

    /// The response that accepts `chosen`, with our `spi`: none in IKE_SA_INIT, 8 octets when an IKE SA is
    /// rekeyed.
    #[must_use]
    pub fn answer_ike(chosen: &Chosen<crate::IkeSuite>, spi: &[u8]) -> Self {
        Self::answer(chosen.number, ProtocolId::IKE, &chosen.transforms, spi)
    }

    /// The response that accepts `chosen`, with our `spi` of 4 octets.
    #[must_use]
    pub fn answer_child(chosen: &Chosen<crate::ChildSuite>, spi: &[u8]) -> Self {
        Self::answer(chosen.number, chosen.suite.protocol, &chosen.transforms, spi)
    }

    /// The same offer without key exchange methods, as it counts in IKE_AUTH: the first child SA takes its
    /// keys from the IKE SA's exchange, so what a peer says there about another one means nothing.
    #[must_use]
    pub fn without_key_exchange(&self) -> Self {
        let mut stripped = self.clone();
        for proposal in &mut stripped.proposals {
            proposal.transforms.retain(|transform| {
                transform.kind != TransformType::KE && transform.kind.additional_position().is_none()
            });
        }
        stripped
    }

    fn answer(number: u8, protocol: ProtocolId, transforms: &[Transform], spi: &[u8]) -> Self {
        let transforms = transforms.to_vec();
        Self { proposals: Vec::from([OfferedProposal { number, protocol, spi: spi.to_vec(), transforms }]) }
    }
}

fn transforms(proposal: &Proposal) -> Vec<Transform> {
    let Proposal { protocol: _, encryption, prf, integrity, key_exchange, additional, sequence } = proposal;
    let mut all = Vec::new();
    all.extend(encryption.iter().map(|&encryption| Transform::encryption(encryption)));
    all.extend(prf.iter().map(|id| Transform::new(TransformType::PRF, id.0)));
    if integrity.iter().any(|&id| id != IntegrityId::NONE) {
        all.extend(integrity.iter().map(|id| Transform::new(TransformType::INTEG, id.0)));
    }
    let mut add_key_exchanges = |kind, list: &[KeyExchangeId]| {
        // NONE is only worth saying beside something else.
        if list.iter().any(|&id| id != KeyExchangeId::NONE) {
            all.extend(list.iter().map(|id| Transform::new(kind, id.0)));
        }
    };
    add_key_exchanges(TransformType::KE, key_exchange);
    for (&kind, list) in TransformType::ADDITIONAL.iter().zip(additional) {
        add_key_exchanges(kind, list);
    }
    all.extend(sequence.iter().map(|&SequenceNumbersId(id)| Transform::new(TransformType::ESN, id)));
    all
}

/// Reads the Last Substruc and RESERVED octets.
fn more_follow(reader: &mut Reader<'_>, field: &'static str, more: u8) -> Result<bool, WireError> {
    let [flag, _reserved] = reader.array(field)?;
    match flag {
        LAST => Ok(false),
        _ if flag == more => Ok(true),
        _ => Err(WireError::new(field, Problem::BadValue(u64::from(flag)))),
    }
}

/// Reads a length that covers the four octets up to its end, and yields what follows them.
fn substructure<'a>(
    reader: &mut Reader<'a>,
    field: &'static str,
    min: usize,
) -> Result<Reader<'a>, WireError> {
    let length = usize::from(reader.u16(field)?);
    if length < min {
        return Err(WireError::new(field, Problem::BadLength(length)));
    }
    reader.sub(field, length.saturating_sub(4))
}

#[cfg(test)]
mod tests;
