//! Bounds on what is read from one message.

/// Payloads in one message.
pub const MAX_PAYLOADS: usize = 128;

pub use ikebana_proposals::ikev1::attribute::MAX_ATTRIBUTES;
pub use ikebana_proposals::ikev1::sa::{MAX_PROPOSALS, MAX_TRANSFORMS};

/// SPIs in one delete payload.
pub const MAX_DELETED_SPIS: usize = 1_024;
