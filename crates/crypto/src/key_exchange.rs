//! Key exchange: Diffie-Hellman, and key encapsulation by the same two steps.

use alloc::boxed::Box;
use alloc::vec::Vec;

use ikebana_core::{Secret, SecureRandom};
use ikebana_proposals::KeyExchangeId;
use thiserror::Error;

/// A key exchange method.
///
/// The initiator calls [`initiate`](Self::initiate), sends the public value and later completes with the
/// answer. The responder does everything in one step. With Diffie-Hellman both public values are of the same
/// kind; with a KEM the first is an encapsulation key and the second a ciphertext.
pub trait KeyExchange: Send + Sync {
    /// Its number.
    fn id(&self) -> KeyExchangeId;

    /// Makes the initiator's key pair.
    fn initiate(&self, rng: &mut dyn SecureRandom) -> Box<dyn PendingKeyExchange>;

    /// Answers the initiator's public value with ours, and the shared secret.
    ///
    /// # Errors
    /// [`KeyExchangeError`] if the peer's value fails the checks of RFC 6989.
    fn respond(
        &self,
        rng: &mut dyn SecureRandom,
        peer_public: &[u8],
    ) -> Result<(Vec<u8>, Secret), KeyExchangeError>;
}

/// The initiator's half of an exchange, waiting for the responder's public value.
pub trait PendingKeyExchange: Send {
    /// The method.
    fn id(&self) -> KeyExchangeId;

    /// What goes into the KE payload.
    fn public(&self) -> &[u8];

    /// The shared secret, as long as the method says, leading zeros included (RFC 7296 2.14).
    ///
    /// # Errors
    /// [`KeyExchangeError`] if the peer's value fails the checks of RFC 6989.
    fn complete(self: Box<Self>, peer_public: &[u8]) -> Result<Secret, KeyExchangeError>;
}

/// What is wrong with a peer's public value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyExchangeError {
    /// It has another length than the method's. Public values are never shortened (RFC 7296 3.4).
    #[error("public value has {actual} octets instead of {expected}")]
    Length {
        /// The method's length.
        expected: usize,
        /// The value's length.
        actual: usize,
    },
    /// Not between 2 and p - 2 (RFC 6989 2.1).
    #[error("public value is out of range")]
    OutOfRange,
    /// Not in the subgroup (RFC 6989 2.2).
    #[error("public value is not in the subgroup")]
    NotInSubgroup,
    /// Not a point of the curve (RFC 6989 2.3).
    #[error("public value is not a point of the curve")]
    NotOnCurve,
    /// The shared secret is zero whatever our key is (RFC 7748 6.1).
    #[error("public value has low order")]
    LowOrder,
}
