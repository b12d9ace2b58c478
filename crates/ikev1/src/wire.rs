//! ISAKMP messages (RFC 2408) with the payloads of IKEv1 (RFC 2409), the IPsec DOI (RFC 2407) and what came
//! after: NAT traversal (RFC 3947), mode config and fragments.
//!
//! [`parse`] reads a datagram. The content of an encrypted message is left as it is: decrypting needs the
//! state of the exchange. [`parse_chain`] reads the text once somebody has decrypted it. [`encode`] and
//! [`encode_chain`] are the ways back.
//!
//! Reserved octets are ignored and written as zero; payloads of unknown types are kept.

mod certificate;
mod chain;
mod config;
mod delete;
mod fragment;
mod identification;
pub mod limits;
mod message;
mod notify;
mod payload;
mod registries;

pub use certificate::CertPayload;
pub use config::ConfigPayload;
pub use delete::DeletePayload;
pub use fragment::FragmentPayload;
pub use identification::IdPayload;
pub use ikebana_proposals::ikev1::attribute::{Attribute, AttributeValue};
pub use ikebana_proposals::ikev1::sa::{
    DOI_IPSEC, OfferedProposal as Proposal, SITUATION_IDENTITY_ONLY, SaPayload, Transform,
};
pub use message::{Body, Message, ParseError, encode, encode_chain, parse, parse_chain};
pub use notify::NotifyPayload;
pub use payload::Payload;
pub use registries::{CertEncoding, ConfigAttribute, ConfigType, IdType, NotifyType, PayloadType};
