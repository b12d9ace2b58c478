//! What IKE peers negotiate: algorithms, and how two sides agree on a set of them.
//!
//! | module | what is in it |
//! |---|---|
//! | [`registries`] | the IANA registries of IKEv2 transforms as open enums |
//! | [`properties`] | what those algorithms are: key, IV, ICV and public value lengths |
//! | [`ikev1`] | the IANA registries of IKEv1 and of the IPsec DOI |
//! | [`proposal`] | [`Proposal`], written and printed as `aes256gcm16-prfsha384-ecp384` |
//! | [`presets`] | proposals that known peers accept |
//! | [`wire`] | the SA payload of IKEv2 |
//! | [`suite`] | one agreed algorithm of every type |
//! | [`select`] | picking a suite from an offer, and checking the peer's pick |
//! | [`mismatch`] | why there is none, as data |
//!
//! A proposal is configuration; an [`SaPayload`] is what travels; a suite is the result:
//!
//! ```
//! use ikebana_core::Writer;
//! use ikebana_proposals::{Prefer, Proposal, SaPayload, select_ike};
//!
//! let ours = [Proposal::ike("aes256gcm16-aes128gcm16-prfsha256-curve25519-ecp256")?];
//! let theirs = [Proposal::ike("aes128gcm16-prfsha256-ecp256")?];
//!
//! let offer = SaPayload::offer(&theirs, &[]);
//! let chosen = select_ike(&ours, &offer, Prefer::Local)?;
//! assert_eq!(chosen.suite.to_string(), "aes128gcm16-prfsha256-ecp256");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

pub mod ikev1;
mod keywords;
pub mod mismatch;
pub mod presets;
pub mod properties;
pub mod proposal;
pub mod registries;
pub mod select;
pub mod suite;
pub mod wire;

pub use mismatch::{Difference, ProposalMismatch};
pub use presets::Preset;
pub use properties::{Encryption, KeyLengths};
pub use proposal::{KeywordError, KeywordProblem, Proposal};
pub use registries::{
    EncryptionId, IntegrityId, KeyExchangeId, PrfId, ProtocolId, SequenceNumbersId, TransformType,
};
pub use select::{Chosen, Prefer, confirm_child, confirm_ike, select_child, select_ike};
pub use suite::{ChildSuite, IkeSuite, NO_ADDITIONAL};
pub use wire::{OfferedProposal, SaPayload, Transform};
