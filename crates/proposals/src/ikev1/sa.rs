//! The security association payload of IKEv1 with its proposals and transforms.

use alloc::vec::Vec;

use ikebana_core::codec::Problem;
use ikebana_core::{Reader, WireError, Writer};

use super::attribute::{Attribute, encode_attributes, parse_attributes};
use super::phase2::Protocol;

/// The IPsec DOI (RFC 2407), the only one that IKEv1 has.
pub const DOI_IPSEC: u32 = 1;

/// The only situation in use (RFC 2407 4.2.1).
pub const SITUATION_IDENTITY_ONLY: u32 = 1;

/// Proposals in one SA payload.
pub const MAX_PROPOSALS: usize = 64;

/// Transforms in one SA payload, all proposals together.
pub const MAX_TRANSFORMS: usize = 1_024;

const MORE_PROPOSALS: u8 = 2;
const MORE_TRANSFORMS: u8 = 3;
const LAST: u8 = 0;
const SUBSTRUCTURE_HEADER_LEN: usize = 4;

/// What is proposed, or what was chosen (RFC 2408 3.4, RFC 2407 4.6.1).
///
/// ```text
///                      1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |              Domain of Interpretation  (DOI)                  |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                           Situation                           |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ~                           Proposals                           ~
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaPayload {
    /// The domain of interpretation; [`DOI_IPSEC`] or nothing that is known.
    pub doi: u32,
    /// What must be taken into account. With more bits than
    /// [`SITUATION_IDENTITY_ONLY`] labels follow, which are not understood.
    pub situation: u32,
    /// The proposals. Several with one number belong together.
    pub proposals: Vec<OfferedProposal>,
}

/// One protocol with its alternatives (RFC 2408 3.5).
///
/// ```text
///                      1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |  Proposal #   |  Protocol-Id  |    SPI Size   |# of Transforms|
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ~                        SPI (variable)                         ~
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedProposal {
    /// Its number.
    pub number: u8,
    /// The protocol.
    pub protocol: Protocol,
    /// The sender's SPI for it.
    pub spi: Vec<u8>,
    /// The alternatives.
    pub transforms: Vec<Transform>,
}

/// One alternative (RFC 2408 3.6).
///
/// ```text
///                      1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |  Transform #  |  Transform-Id |           RESERVED2           |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ~                        SA Attributes                          ~
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transform {
    /// Its number.
    pub number: u8,
    /// The algorithm, in the registry of the proposal's protocol.
    pub id: u8,
    /// More about it.
    pub attributes: Vec<Attribute>,
}

impl SaPayload {
    /// Reads the body of an SA payload, without the generic payload header.
    ///
    /// # Errors
    /// [`WireError`] if a length or count disagrees with what is there, if there is no proposal, and if there
    /// are more than [`MAX_PROPOSALS`] or [`MAX_TRANSFORMS`].
    pub fn parse(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let doi = reader.u32("DOI")?;
        let situation = reader.u32("situation")?;
        let mut proposals = Vec::new();
        let mut transforms = 0_usize;
        let mut more = true;
        while more {
            if proposals.len() == MAX_PROPOSALS {
                return Err(WireError::new("proposals", Problem::TooMany(MAX_PROPOSALS)));
            }
            let (mut body, follows) = substructure(&mut reader, "proposal", MORE_PROPOSALS)?;
            more = follows;
            proposals.push(OfferedProposal::parse(&mut body, &mut transforms)?);
            body.finish("proposal")?;
        }
        reader.finish("SA payload")?;
        Ok(Self { doi, situation, proposals })
    }

    /// Writes the body of an SA payload, without the generic payload header.
    pub fn encode(&self, writer: &mut Writer) {
        writer.u32(self.doi);
        writer.u32(self.situation);
        for (at, proposal) in (1..).zip(&self.proposals) {
            writer.u8(if at == self.proposals.len() { LAST } else { MORE_PROPOSALS });
            writer.u8(0);
            writer.nested_u16("proposal length", 2, |body| proposal.encode(body));
        }
    }
}

impl OfferedProposal {
    fn parse(reader: &mut Reader<'_>, total: &mut usize) -> Result<Self, WireError> {
        let number = reader.u8("proposal number")?;
        let protocol = Protocol(reader.u8("protocol id")?);
        let spi_size = usize::from(reader.u8("SPI size")?);
        let count = usize::from(reader.u8("number of transforms")?);
        let spi = reader.take("SPI", spi_size)?.to_vec();
        *total = total.saturating_add(count);
        if *total > MAX_TRANSFORMS {
            return Err(WireError::new("transforms", Problem::TooMany(MAX_TRANSFORMS)));
        }
        let mut transforms = Vec::new();
        let mut more = count > 0;
        while more {
            if transforms.len() == count {
                return Err(WireError::new("number of transforms", Problem::TooMany(count)));
            }
            let (body, follows) = substructure(reader, "transform", MORE_TRANSFORMS)?;
            more = follows;
            transforms.push(Transform::parse(body)?);
        }
        if transforms.len() != count {
            return Err(WireError::new("number of transforms", Problem::BadLength(count)));
        }
        Ok(Self { number, protocol, spi, transforms })
    }

    fn encode(&self, writer: &mut Writer) {
        let (Ok(spi_size), Ok(count)) = (u8::try_from(self.spi.len()), u8::try_from(self.transforms.len()))
        else {
            writer.reject("proposal");
            return;
        };
        writer.u8(self.number);
        writer.u8(self.protocol.0);
        writer.u8(spi_size);
        writer.u8(count);
        writer.bytes(&self.spi);
        for (at, transform) in (1..).zip(&self.transforms) {
            writer.u8(if at == self.transforms.len() { LAST } else { MORE_TRANSFORMS });
            writer.u8(0);
            writer.nested_u16("transform length", 2, |body| transform.encode(body));
        }
    }
}

impl Transform {
    /// The first attribute of this class.
    #[must_use]
    pub fn attribute(&self, kind: u16) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.kind == kind)
    }

    fn parse(mut reader: Reader<'_>) -> Result<Self, WireError> {
        let number = reader.u8("transform number")?;
        let id = reader.u8("transform id")?;
        reader.u16("transform reserved")?;
        Ok(Self { number, id, attributes: parse_attributes(reader)? })
    }

    fn encode(&self, writer: &mut Writer) {
        writer.u8(self.number);
        writer.u8(self.id);
        writer.u16(0);
        encode_attributes(&self.attributes, writer);
    }
}

/// Reads the four octets in front of a proposal or transform; says whether another one follows.
fn substructure<'a>(
    reader: &mut Reader<'a>,
    field: &'static str,
    more: u8,
) -> Result<(Reader<'a>, bool), WireError> {
    let next = reader.u8(field)?;
    if next != LAST && next != more {
        return Err(WireError::new(field, Problem::BadValue(next.into())));
    }
    reader.u8(field)?;
    let length = usize::from(reader.u16(field)?);
    let body_len = length
        .checked_sub(SUBSTRUCTURE_HEADER_LEN)
        .ok_or(WireError::new(field, Problem::BadLength(length)))?;
    Ok((reader.sub(field, body_len)?, next == more))
}
