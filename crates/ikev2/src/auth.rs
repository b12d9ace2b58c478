//! Proving identities (RFC 7296 2.15).

use alloc::vec::Vec;

use ikebana_core::Secret;
use ikebana_crypto::CryptoProvider;

use crate::keys::{SignedOctets, Unsupported, pre_shared_key_auth};
use crate::sa::IkeSa;
use crate::wire::{AuthMethod, AuthPayload};

/// Proof that the peer is who it says it is. Only this module makes it, and nothing is established without.
pub(crate) struct PeerAuthenticated(());

/// What both sides sent in IKE_SA_INIT, which each side's proof covers.
pub(crate) struct Transcript {
    /// Our message, as sent.
    pub(crate) local_message: Vec<u8>,
    /// The peer's message, as received.
    pub(crate) remote_message: Vec<u8>,
    pub(crate) local_nonce: Vec<u8>,
    pub(crate) remote_nonce: Vec<u8>,
}

impl Transcript {
    /// Our proof, by knowledge of `key`, that we are whom the ID payload body `identity` names.
    pub(crate) fn prove(
        &self,
        provider: &CryptoProvider,
        sa: &IkeSa,
        key: &Secret,
        identity: &[u8],
    ) -> Result<AuthPayload, Unsupported> {
        let signed = SignedOctets {
            message: &self.local_message,
            nonce: &self.remote_nonce,
            auth_key: sa.keys.auth_key(sa.initiator),
            identity,
        };
        let data = pre_shared_key_auth(provider, sa.keys.prf, key, &signed)?;
        Ok(AuthPayload { method: AuthMethod::SHARED_KEY, data: data.expose().to_vec() })
    }

    /// Checks the peer's proof, by knowledge of `key`, that it is whom `identity` names.
    pub(crate) fn check(
        &self,
        provider: &CryptoProvider,
        sa: &IkeSa,
        key: &Secret,
        identity: &[u8],
        proof: &AuthPayload,
    ) -> Option<PeerAuthenticated> {
        let signed = SignedOctets {
            message: &self.remote_message,
            nonce: &self.local_nonce,
            auth_key: sa.keys.auth_key(!sa.initiator),
            identity,
        };
        let expected = pre_shared_key_auth(provider, sa.keys.prf, key, &signed).ok()?;
        let matches = proof.method == AuthMethod::SHARED_KEY && expected.ct_eq(&proof.data);
        matches.then_some(PeerAuthenticated(()))
    }
}
