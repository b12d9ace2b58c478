//! What both sides contribute to an ISAKMP SA, and what proves an identity (RFC 2409 5).

use alloc::vec::Vec;

use ikebana_core::{IkeSpi, Secret};
use ikebana_crypto::CryptoProvider;
use ikebana_proposals::ikev1::Phase1Suite;

use crate::isakmp::Isakmp;
use crate::keys::{Contributions, Root, Unsupported};
use crate::wire::{IdPayload, Payload, encode_chain};

/// Octets of a generic payload header.
const GENERIC_HEADER: usize = 4;

/// What both sides have sent.
pub(super) struct Halves {
    pub(super) initiator_cookie: IkeSpi,
    pub(super) responder_cookie: IkeSpi,
    /// The body of the initiator's SA payload.
    pub(super) sa_body: Vec<u8>,
    pub(super) initiator_nonce: Vec<u8>,
    pub(super) responder_nonce: Vec<u8>,
    pub(super) initiator_public: Vec<u8>,
    pub(super) responder_public: Vec<u8>,
}

impl Halves {
    /// The keys.
    pub(super) fn derive(
        &self,
        provider: &CryptoProvider,
        suite: Phase1Suite,
        initiator: bool,
        key: &Secret,
        shared: &Secret,
    ) -> Result<Isakmp, Unsupported> {
        let from = Contributions {
            initiator_cookie: self.initiator_cookie,
            responder_cookie: self.responder_cookie,
            initiator_nonce: &self.initiator_nonce,
            responder_nonce: &self.responder_nonce,
            initiator_public: &self.initiator_public,
            responder_public: &self.responder_public,
            shared,
        };
        Isakmp::derive(provider, suite, initiator, Root::PreSharedKey(key), &from)
    }

    /// HASH_I or HASH_R for the identity in `id`.
    pub(super) fn proof(&self, isakmp: &Isakmp, of_initiator: bool, id: &IdPayload) -> Secret {
        // Reading and writing an ID payload changes none of its octets.
        let encoded = encode_chain(&[Payload::Id(id.clone())]).unwrap_or_default();
        let body = encoded.get(GENERIC_HEADER..).unwrap_or(&[]);
        let publics = [self.initiator_public.as_slice(), self.responder_public.as_slice()];
        isakmp.phase1_hash(of_initiator, publics, &self.sa_body, body)
    }
}
