//! The payloads of a phase 1 message.

use alloc::vec::Vec;

use ikebana_core::{IkeSpi, Reader};
use ikebana_ike::{DropReason, ExchangeType, Flags, HEADER_LEN, IkeHeader};
use ikebana_proposals::ikev1::phase2::Protocol;

use crate::vendor::VendorSet;
use crate::wire::{
    self, Body, DOI_IPSEC, IdPayload, NotifyPayload, NotifyType, Payload, PayloadType, SaPayload,
};

/// A nonce may have 8 to 256 octets (RFC 2409 5).
const NONCE: core::ops::RangeInclusive<usize> = 8..=256;

/// The payloads of a message, by what they are. Each is there at most once, but those that may be many.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) sa: Option<SaPayload>,
    pub(super) key: Option<Vec<u8>>,
    pub(super) nonce: Option<Vec<u8>>,
    pub(super) id: Option<IdPayload>,
    pub(super) hash: Option<Vec<u8>>,
    /// NAT-D payloads in their order, by either number.
    pub(super) nat: Vec<Vec<u8>>,
    pub(super) vendors: VendorSet,
    pub(super) notifies: Vec<NotifyPayload>,
}

impl Parts {
    /// Reads a message in clear.
    pub(super) fn clear(octets: &[u8]) -> Result<Self, DropReason> {
        match wire::parse(octets).map_err(|_| DropReason::Malformed)?.body {
            Body::Clear(payloads) => Self::new(&payloads),
            Body::Encrypted(_) => Err(DropReason::UnexpectedExchange),
        }
    }

    /// Sorts payloads. Those that phase 1 has no use for are left alone (RFC 2408 5.1).
    pub(super) fn new(payloads: &[Payload]) -> Result<Self, DropReason> {
        let mut parts = Self::default();
        for payload in payloads {
            match payload {
                Payload::Sa(sa) => once(&mut parts.sa, sa)?,
                Payload::KeyExchange(body) => once(&mut parts.key, body)?,
                Payload::Nonce(body) => {
                    if !NONCE.contains(&body.len()) {
                        return Err(DropReason::Malformed);
                    }
                    once(&mut parts.nonce, body)?;
                }
                Payload::Id(id) => once(&mut parts.id, id)?,
                Payload::Hash(body) => once(&mut parts.hash, body)?,
                Payload::NatDetection(body) => parts.nat.push(body.clone()),
                Payload::Unknown { kind: PayloadType::NAT_D_DRAFT, body } => parts.nat.push(body.clone()),
                Payload::VendorId(body) => parts.vendors.insert(body),
                Payload::Notify(notify) => parts.notifies.push(notify.clone()),
                Payload::Cert(_)
                | Payload::CertRequest(_)
                | Payload::Signature(_)
                | Payload::Delete(_)
                | Payload::Config(_)
                | Payload::NatOriginalAddress(_)
                | Payload::Fragment(_)
                | Payload::Unknown { .. } => {}
            }
        }
        Ok(parts)
    }

    pub(super) fn has_notify(&self, kind: NotifyType) -> bool {
        self.notifies.iter().any(|notify| notify.kind == kind)
    }
}

fn once<T: Clone>(slot: &mut Option<T>, value: &T) -> Result<(), DropReason> {
    if slot.is_some() {
        return Err(DropReason::Malformed);
    }
    *slot = Some(value.clone());
    Ok(())
}

/// The body of the SA payload of a message in clear, as it stands there: it is part of what proves identities,
/// and what we make of it need not be what was sent. RFC 2409 5 has it first in the message.
pub(super) fn sa_body(octets: &[u8]) -> Option<Vec<u8>> {
    let header = IkeHeader::peek(octets).ok()?;
    if header.next_payload != PayloadType::SA.0 {
        return None;
    }
    let mut reader = Reader::new(octets.get(HEADER_LEN..)?);
    reader.take("generic header", 2).ok()?;
    let length = usize::from(reader.u16("payload length").ok()?);
    Some(reader.take("SA payload", length.checked_sub(4)?).ok()?.to_vec())
}

/// The header of a message of phase 1.
pub(super) const fn header(initiator: IkeSpi, responder: IkeSpi, exchange: ExchangeType) -> IkeHeader {
    IkeHeader {
        initiator_spi: initiator,
        responder_spi: responder,
        next_payload: 0,
        major: 1,
        minor: 0,
        exchange,
        flags: Flags(0),
        message_id: 0,
        length: 0,
    }
}

/// A complaint in clear. It says so little that it is no use as an amplifier.
pub(crate) fn refusal(
    to: &IkeHeader,
    own_cookie: IkeSpi,
    message_id: u32,
    kind: NotifyType,
) -> Option<Vec<u8>> {
    let header =
        IkeHeader { message_id, ..header(to.initiator_spi, own_cookie, ExchangeType::INFORMATIONAL_V1) };
    let notify =
        NotifyPayload { doi: DOI_IPSEC, protocol: Protocol::ISAKMP, spi: Vec::new(), kind, data: Vec::new() };
    wire::encode(&header, &Body::Clear(Vec::from([Payload::Notify(notify)]))).ok()
}
