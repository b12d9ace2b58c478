//! Payloads.

use alloc::vec::Vec;

use ikebana_core::{WireError, Writer};

use super::{
    CertPayload, ConfigPayload, DeletePayload, FragmentPayload, IdPayload, NotifyPayload, PayloadType,
    SaPayload,
};

/// One payload of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Payload {
    /// What is proposed, or what was chosen.
    Sa(SaPayload),
    /// A public value (RFC 2408 3.7).
    KeyExchange(Vec<u8>),
    /// Who a peer is, or what its traffic is.
    Id(IdPayload),
    /// A certificate.
    Cert(CertPayload),
    /// Whose certificates are asked for.
    CertRequest(CertPayload),
    /// The proof of a secret (RFC 2408 3.11).
    Hash(Vec<u8>),
    /// The proof of a private key (RFC 2408 3.12).
    Signature(Vec<u8>),
    /// A nonce (RFC 2408 3.13).
    Nonce(Vec<u8>),
    /// A notification.
    Notify(NotifyPayload),
    /// SAs that are gone.
    Delete(DeletePayload),
    /// Octets that name an implementation or an extension (RFC 2408 3.16).
    VendorId(Vec<u8>),
    /// Mode config or XAUTH.
    Config(ConfigPayload),
    /// Hash of an address and port (RFC 3947 3.2).
    NatDetection(Vec<u8>),
    /// An address before translation (RFC 3947 5.2).
    NatOriginalAddress(IdPayload),
    /// A part of a message.
    Fragment(FragmentPayload),
    /// A payload of a type that is not understood; also the types of the NAT traversal drafts.
    Unknown {
        /// Its type.
        kind: PayloadType,
        /// What follows the generic header.
        body: Vec<u8>,
    },
}

impl Payload {
    /// The payload's type.
    #[must_use]
    pub const fn kind(&self) -> PayloadType {
        match self {
            Self::Sa(_) => PayloadType::SA,
            Self::KeyExchange(_) => PayloadType::KE,
            Self::Id(_) => PayloadType::ID,
            Self::Cert(_) => PayloadType::CERT,
            Self::CertRequest(_) => PayloadType::CERT_REQUEST,
            Self::Hash(_) => PayloadType::HASH,
            Self::Signature(_) => PayloadType::SIGNATURE,
            Self::Nonce(_) => PayloadType::NONCE,
            Self::Notify(_) => PayloadType::NOTIFY,
            Self::Delete(_) => PayloadType::DELETE,
            Self::VendorId(_) => PayloadType::VENDOR_ID,
            Self::Config(_) => PayloadType::CONFIG,
            Self::NatDetection(_) => PayloadType::NAT_D,
            Self::NatOriginalAddress(_) => PayloadType::NAT_OA,
            Self::Fragment(_) => PayloadType::FRAGMENT,
            Self::Unknown { kind, .. } => *kind,
        }
    }

    /// Reads what follows the generic header.
    pub(super) fn parse(kind: PayloadType, body: &[u8]) -> Result<Self, WireError> {
        Ok(match kind {
            PayloadType::SA => Self::Sa(SaPayload::parse(body)?),
            PayloadType::KE => Self::KeyExchange(body.to_vec()),
            PayloadType::ID => Self::Id(IdPayload::parse(body)?),
            PayloadType::CERT => Self::Cert(CertPayload::parse(body)?),
            PayloadType::CERT_REQUEST => Self::CertRequest(CertPayload::parse(body)?),
            PayloadType::HASH => Self::Hash(body.to_vec()),
            PayloadType::SIGNATURE => Self::Signature(body.to_vec()),
            PayloadType::NONCE => Self::Nonce(body.to_vec()),
            PayloadType::NOTIFY => Self::Notify(NotifyPayload::parse(body)?),
            PayloadType::DELETE => Self::Delete(DeletePayload::parse(body)?),
            PayloadType::VENDOR_ID => Self::VendorId(body.to_vec()),
            PayloadType::CONFIG => Self::Config(ConfigPayload::parse(body)?),
            PayloadType::NAT_D => Self::NatDetection(body.to_vec()),
            PayloadType::NAT_OA => Self::NatOriginalAddress(IdPayload::parse(body)?),
            PayloadType::FRAGMENT => Self::Fragment(FragmentPayload::parse(body)?),
            kind => Self::Unknown { kind, body: body.to_vec() },
        })
    }

    /// Writes what follows the generic header.
    pub(super) fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Sa(payload) => payload.encode(writer),
            Self::Id(payload) | Self::NatOriginalAddress(payload) => payload.encode(writer),
            Self::Cert(payload) | Self::CertRequest(payload) => payload.encode(writer),
            Self::Notify(payload) => payload.encode(writer),
            Self::Delete(payload) => payload.encode(writer),
            Self::Config(payload) => payload.encode(writer),
            Self::Fragment(payload) => payload.encode(writer),
            Self::KeyExchange(body)
            | Self::Hash(body)
            | Self::Signature(body)
            | Self::Nonce(body)
            | Self::VendorId(body)
            | Self::NatDetection(body)
            | Self::Unknown { body, .. } => writer.bytes(body),
        }
    }
}
