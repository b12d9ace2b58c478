//! Bounds on what is read from one message.

/// Payloads in one message.
pub const MAX_PAYLOADS: usize = 128;

/// Proposals in one SA payload.
pub const MAX_PROPOSALS: usize = 64;

/// Transforms in one SA payload, all proposals together.
pub const MAX_TRANSFORMS: usize = 1_024;

/// Attributes of one transform, or of one mode config message.
pub const MAX_ATTRIBUTES: usize = 128;

/// SPIs in one delete payload.
pub const MAX_DELETED_SPIS: usize = 1_024;
