//! IKEv2 messages: octets to payloads and back.
//!
//! There are two ways in. A message that is not encrypted, as in `IKE_SA_INIT`, is read by [`parse_clear`]. A
//! message that is, is read by [`open`], which verifies the integrity of the whole message before it looks at
//! any payload; of a fragment, [`open_fragment`] yields the text, and [`parse_chain`] reads the reassembled
//! whole. [`envelope`] says which of the three a datagram asks for. Two ways out mirror them:
//! [`encode_clear`] and [`seal`].
//!
//! Reading is tolerant where RFC 7296 asks for tolerance and nowhere else:
//!
//! - the critical bit counts only for payload types that are not known here: there it is an error that names
//!   the type, so that the answer can be `UNSUPPORTED_CRITICAL_PAYLOAD`; without it the payload is kept as
//!   [`Payload::Unknown`];
//! - reserved bits and octets are ignored, and kept in identification payloads, where AUTH covers them;
//! - unknown notify types, transforms and attributes are kept as numbers; traffic selectors of unknown types
//!   are counted and left out.
//!
//! Every count and length is bounded by [`limits`]. Encoding what was parsed gives the same octets unless
//! reserved bits were set or something of an unknown type was left out.
//!
//! Which payloads an exchange may and must carry is a table, checked by [`rules::check`].

mod chain;
mod envelope;
mod error;
pub mod limits;
mod message;
mod notify_type;
mod payload;
mod protection;
mod registries;
pub mod rules;

pub use envelope::{Envelope, envelope};
pub use error::{OpenError, ParseError, SealError};
pub use message::{Message, encode_clear, parse_chain, parse_clear};
pub use notify_type::NotifyType;
pub use payload::{
    AuthPayload, CertPayload, CertRequestPayload, ConfigAttribute, ConfigPayload, DeletePayload,
    EncryptedFragmentPayload, EncryptedPayload, IdPayload, KeyExchangePayload, NotifyPayload, Payload,
    TrafficSelectorPayload,
};
pub use protection::{IvSource, Opened, OpenedFragment, open, open_fragment, seal, seal_fragments};
pub use registries::{AuthMethod, CertEncoding, ConfigAttributeType, ConfigType, PayloadType};
