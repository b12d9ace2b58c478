//! What can be wrong with a message.

use ikebana_core::WireError;
use ikebana_crypto::CipherError;
use thiserror::Error;

use super::PayloadType;

/// Octets that are no message of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParseError {
    /// A field is malformed.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The major version is not 2.
    #[error("IKE major version {0} is not supported")]
    Version(u8),
    /// A payload that must be understood is of a type that is not (RFC 7296 2.5).
    ///
    /// Everything else about the framing of the message was in order.
    #[error("critical payload of unsupported type {0}")]
    UnsupportedCritical(PayloadType),
}

/// Why an encrypted message was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The octets around the encrypted payload are malformed. Anyone may have sent this.
    #[error("not a protected message: {0}")]
    Framing(ParseError),
    /// The message carries no encrypted payload, or not the kind asked for. Anyone may have sent this.
    #[error("no encrypted payload")]
    NotEncrypted,
    /// The integrity check failed. Anyone may have sent this.
    #[error("not authentic: {0}")]
    Cipher(CipherError),
    /// The peer sent it, but what is inside is malformed.
    #[error("malformed content: {0}")]
    Content(ParseError),
}

impl OpenError {
    /// Whether the peer itself sent the offending message: the integrity check had succeeded.
    ///
    /// Only such a message may be answered, and only such a message may end an SA.
    #[must_use]
    pub const fn is_authentic(&self) -> bool {
        match self {
            Self::Content(_) => true,
            Self::Framing(_) | Self::NotEncrypted | Self::Cipher(_) => false,
        }
    }
}

/// Why a message could not be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SealError {
    /// A part is too long for its length field.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The cipher refused.
    #[error(transparent)]
    Cipher(#[from] CipherError),
    /// No initialization vector is left under this key.
    #[error("no initialization vector left")]
    IvExhausted,
    /// The message needs more fragments than [`MAX_FRAGMENTS`](super::limits::MAX_FRAGMENTS), or a fragment
    /// would have no room for content.
    #[error("does not fit into fragments of that size")]
    FragmentSize,
}
