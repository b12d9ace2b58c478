//! Randomness and key exchange that a test can look into.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use ikebana_core::{Secret, SecureRandom};
use ikebana_crypto::{CryptoProvider, KeyExchange, KeyExchangeError, PendingKeyExchange, sha256};
use ikebana_proposals::KeyExchangeId;
use ikebana_testkit::SeededRng;

/// The provider of the library with key exchanges that cost nothing and hide nothing: the shared secret is a
/// hash of both public values.
pub(crate) fn open_provider() -> CryptoProvider {
    static CURVE25519: Open = Open(KeyExchangeId::CURVE25519);
    static ECP256: Open = Open(KeyExchangeId::ECP_256);
    CryptoProvider { key_exchanges: vec![&CURVE25519, &ECP256], ..CryptoProvider::rust_crypto() }
}

struct Open(KeyExchangeId);

struct OpenPending {
    id: KeyExchangeId,
    public: [u8; 32],
}

/// The secret that two public values come to.
pub(crate) fn open_secret(one: &[u8], other: &[u8]) -> Vec<u8> {
    sha256(&[one.min(other), one.max(other)]).to_vec()
}

fn checked(id: KeyExchangeId, own: &[u8], peer: &[u8]) -> Result<Secret, KeyExchangeError> {
    if peer.len() != 32 {
        return Err(KeyExchangeError::Length { expected: 32, actual: peer.len() });
    }
    // As with a curve, there are values of no use.
    if peer.iter().all(|octet| *octet == 0) {
        return Err(KeyExchangeError::LowOrder);
    }
    let _ = id;
    Ok(Secret::new(open_secret(own, peer)))
}

impl KeyExchange for Open {
    fn id(&self) -> KeyExchangeId {
        self.0
    }

    fn initiate(&self, rng: &mut dyn SecureRandom) -> Box<dyn PendingKeyExchange> {
        let mut public = [0; 32];
        rng.fill_secret(&mut public);
        Box::new(OpenPending { id: self.0, public })
    }

    fn respond(
        &self,
        rng: &mut dyn SecureRandom,
        peer_public: &[u8],
    ) -> Result<(Vec<u8>, Secret), KeyExchangeError> {
        let mut public = [0; 32];
        rng.fill_secret(&mut public);
        Ok((public.to_vec(), checked(self.0, &public, peer_public)?))
    }
}

impl PendingKeyExchange for OpenPending {
    fn id(&self) -> KeyExchangeId {
        self.id
    }

    fn public(&self) -> &[u8] {
        &self.public
    }

    fn complete(self: Box<Self>, peer_public: &[u8]) -> Result<Secret, KeyExchangeError> {
        checked(self.id, &self.public, peer_public)
    }
}

/// The first octets of the nonces to come. Whoever holds it can decide collisions.
#[derive(Clone, Default)]
pub(crate) struct NonceScript(Arc<Mutex<VecDeque<u8>>>);

impl NonceScript {
    /// The next nonces begin with these octets; what comes after them is random.
    pub(crate) fn set(&self, first_octets: &[u8]) {
        *self.0.lock().unwrap() = first_octets.iter().copied().collect();
    }

    fn next(&self) -> Option<u8> {
        self.0.lock().unwrap().pop_front()
    }
}

/// Randomness from a seed, except for what the script says about nonces.
pub(crate) struct ScriptedRng {
    pub(crate) seeded: SeededRng,
    pub(crate) nonces: NonceScript,
}

impl SecureRandom for ScriptedRng {
    fn fill_public(&mut self, out: &mut [u8]) {
        self.seeded.fill_public(out);
        // Nonces are the only public draws of 32 octets.
        if out.len() == 32
            && let Some(octet) = self.nonces.next()
        {
            out[0] = octet;
        }
    }

    fn fill_secret(&mut self, out: &mut [u8]) {
        self.seeded.fill_secret(out);
    }
}
