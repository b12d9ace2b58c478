//! Payloads, one file for each kind.

mod auth;
mod cert;
mod config;
mod delete;
mod encrypted;
mod identification;
mod key_exchange;
mod nonce;
mod notify;
mod selectors;

use alloc::vec::Vec;

use ikebana_core::codec::Problem;
use ikebana_core::{WireError, Writer};
use ikebana_proposals::SaPayload;

use super::PayloadType;
use super::chain::RawPayload;
use super::limits::MAX_VENDOR_ID_OCTETS;

pub use auth::AuthPayload;
pub use cert::{CertPayload, CertRequestPayload};
pub use config::{ConfigAttribute, ConfigPayload};
pub use delete::DeletePayload;
pub use encrypted::{EncryptedFragmentPayload, EncryptedPayload};
pub use identification::IdPayload;
pub use key_exchange::KeyExchangePayload;
pub use notify::NotifyPayload;
pub use selectors::TrafficSelectorPayload;

/// One payload of a message.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Payload {
    /// SA: what is proposed, or what was chosen.
    Sa(SaPayload),
    /// KE: a public value.
    KeyExchange(KeyExchangePayload),
    /// IDi: who the initiator is.
    IdInitiator(IdPayload),
    /// IDr: who the responder is, or should be.
    IdResponder(IdPayload),
    /// CERT: a certificate.
    Cert(CertPayload),
    /// CERTREQ: whose certificates are trusted.
    CertRequest(CertRequestPayload),
    /// AUTH: the proof of an identity.
    Auth(AuthPayload),
    /// Ni or Nr: 16 to 256 octets.
    Nonce(Vec<u8>),
    /// N: a notification.
    Notify(NotifyPayload),
    /// D: SAs that are gone.
    Delete(DeletePayload),
    /// V: octets that name an implementation or an extension (RFC 7296 3.12).
    VendorId(Vec<u8>),
    /// TSi: the traffic at the initiator's end.
    TsInitiator(TrafficSelectorPayload),
    /// TSr: the traffic at the responder's end.
    TsResponder(TrafficSelectorPayload),
    /// SK: the other payloads, still encrypted.
    Encrypted(EncryptedPayload),
    /// SKF: a part of the other payloads, still encrypted.
    EncryptedFragment(EncryptedFragmentPayload),
    /// CP: addresses and name servers.
    Config(ConfigPayload),
    /// EAP: a packet of the Extensible Authentication Protocol (RFC 7296 3.16).
    Eap(Vec<u8>),
    /// A payload of a type that is not understood.
    Unknown {
        /// Its type.
        kind: PayloadType,
        /// Whether the sender wants the message rejected then. Parsed messages contain only those where not.
        critical: bool,
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
            Self::IdInitiator(_) => PayloadType::ID_INITIATOR,
            Self::IdResponder(_) => PayloadType::ID_RESPONDER,
            Self::Cert(_) => PayloadType::CERT,
            Self::CertRequest(_) => PayloadType::CERT_REQUEST,
            Self::Auth(_) => PayloadType::AUTH,
            Self::Nonce(_) => PayloadType::NONCE,
            Self::Notify(_) => PayloadType::NOTIFY,
            Self::Delete(_) => PayloadType::DELETE,
            Self::VendorId(_) => PayloadType::VENDOR_ID,
            Self::TsInitiator(_) => PayloadType::TS_INITIATOR,
            Self::TsResponder(_) => PayloadType::TS_RESPONDER,
            Self::Encrypted(_) => PayloadType::ENCRYPTED,
            Self::EncryptedFragment(_) => PayloadType::ENCRYPTED_FRAGMENT,
            Self::Config(_) => PayloadType::CONFIG,
            Self::Eap(_) => PayloadType::EAP,
            Self::Unknown { kind, .. } => *kind,
        }
    }

    /// The type of the first payload inside, if this is an encrypted one.
    pub(super) const fn inner_kind(&self) -> Option<PayloadType> {
        match self {
            Self::Encrypted(payload) => Some(payload.next),
            Self::EncryptedFragment(payload) => Some(payload.next),
            Self::Sa(_)
            | Self::KeyExchange(_)
            | Self::IdInitiator(_)
            | Self::IdResponder(_)
            | Self::Cert(_)
            | Self::CertRequest(_)
            | Self::Auth(_)
            | Self::Nonce(_)
            | Self::Notify(_)
            | Self::Delete(_)
            | Self::VendorId(_)
            | Self::TsInitiator(_)
            | Self::TsResponder(_)
            | Self::Config(_)
            | Self::Eap(_)
            | Self::Unknown { .. } => None,
        }
    }

    /// Whether the message must be rejected because of this payload.
    pub(super) const fn is_critical(&self) -> bool {
        matches!(self, Self::Unknown { critical: true, .. })
    }

    /// Reads what follows the generic header.
    pub(super) fn parse(raw: &RawPayload<'_>) -> Result<Self, WireError> {
        let body = raw.body;
        Ok(match raw.kind {
            PayloadType::SA => Self::Sa(SaPayload::parse(body)?),
            PayloadType::KE => Self::KeyExchange(KeyExchangePayload::parse(body)?),
            PayloadType::ID_INITIATOR => Self::IdInitiator(IdPayload::parse(body)?),
            PayloadType::ID_RESPONDER => Self::IdResponder(IdPayload::parse(body)?),
            PayloadType::CERT => Self::Cert(CertPayload::parse(body)?),
            PayloadType::CERT_REQUEST => Self::CertRequest(CertRequestPayload::parse(body)?),
            PayloadType::AUTH => Self::Auth(AuthPayload::parse(body)?),
            PayloadType::NONCE => Self::Nonce(nonce::parse(body)?),
            PayloadType::NOTIFY => Self::Notify(NotifyPayload::parse(body)?),
            PayloadType::DELETE => Self::Delete(DeletePayload::parse(body)?),
            PayloadType::VENDOR_ID => Self::VendorId(parse_vendor_id(body)?),
            PayloadType::TS_INITIATOR => Self::TsInitiator(TrafficSelectorPayload::parse(body)?),
            PayloadType::TS_RESPONDER => Self::TsResponder(TrafficSelectorPayload::parse(body)?),
            PayloadType::ENCRYPTED => Self::Encrypted(EncryptedPayload::parse(raw)),
            PayloadType::ENCRYPTED_FRAGMENT => Self::EncryptedFragment(EncryptedFragmentPayload::parse(raw)?),
            PayloadType::CONFIG => Self::Config(ConfigPayload::parse(body)?),
            PayloadType::EAP => Self::Eap(body.to_vec()),
            kind => Self::Unknown { kind, critical: raw.critical, body: body.to_vec() },
        })
    }

    /// Writes what follows the generic header.
    pub(super) fn encode(&self, writer: &mut Writer) {
        match self {
            Self::Sa(payload) => payload.encode(writer),
            Self::KeyExchange(payload) => payload.encode(writer),
            Self::IdInitiator(payload) | Self::IdResponder(payload) => payload.encode(writer),
            Self::Cert(payload) => payload.encode(writer),
            Self::CertRequest(payload) => payload.encode(writer),
            Self::Auth(payload) => payload.encode(writer),
            Self::Notify(payload) => payload.encode(writer),
            Self::Delete(payload) => payload.encode(writer),
            Self::TsInitiator(payload) | Self::TsResponder(payload) => payload.encode(writer),
            Self::Encrypted(payload) => payload.encode(writer),
            Self::EncryptedFragment(payload) => payload.encode(writer),
            Self::Config(payload) => payload.encode(writer),
            Self::Nonce(body) | Self::VendorId(body) | Self::Eap(body) | Self::Unknown { body, .. } => {
                writer.bytes(body);
            }
        }
    }
}

fn parse_vendor_id(body: &[u8]) -> Result<Vec<u8>, WireError> {
    if body.len() > MAX_VENDOR_ID_OCTETS {
        return Err(WireError::new("vendor ID", Problem::BadLength(body.len())));
    }
    Ok(body.to_vec())
}

#[cfg(test)]
mod tests;
