//! Group 31: X25519 (RFC 8031, RFC 7748).

use alloc::boxed::Box;
use alloc::vec::Vec;

use ikebana_core::{Secret, SecureRandom};
use ikebana_proposals::KeyExchangeId;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::key_exchange::{KeyExchange, KeyExchangeError, PendingKeyExchange};

pub(super) struct X25519;

struct Pending {
    secret: StaticSecret,
    public: PublicKey,
}

fn generate(rng: &mut dyn SecureRandom) -> Pending {
    let mut octets = Zeroizing::new([0; 32]);
    rng.fill_secret(&mut *octets);
    let secret = StaticSecret::from(*octets);
    let public = PublicKey::from(&secret);
    Pending { secret, public }
}

impl KeyExchange for X25519 {
    fn id(&self) -> KeyExchangeId {
        KeyExchangeId::CURVE25519
    }

    fn initiate(&self, rng: &mut dyn SecureRandom) -> Box<dyn PendingKeyExchange> {
        Box::new(generate(rng))
    }

    fn respond(
        &self,
        rng: &mut dyn SecureRandom,
        peer_public: &[u8],
    ) -> Result<(Vec<u8>, Secret), KeyExchangeError> {
        // A value of another length is refused before anything is spent on a key pair.
        let peer = read(peer_public)?;
        let pending = generate(rng);
        let shared = pending.agree(&peer)?;
        Ok((pending.public.as_bytes().to_vec(), shared))
    }
}

fn read(peer_public: &[u8]) -> Result<PublicKey, KeyExchangeError> {
    <[u8; 32]>::try_from(peer_public)
        .map(PublicKey::from)
        .map_err(|_| KeyExchangeError::Length { expected: 32, actual: peer_public.len() })
}

impl Pending {
    fn agree(&self, peer: &PublicKey) -> Result<Secret, KeyExchangeError> {
        let shared = self.secret.diffie_hellman(peer);
        // RFC 8031 3.1 leaves this check open, RFC 7748 6.1 recommends it.
        if !shared.was_contributory() {
            return Err(KeyExchangeError::LowOrder);
        }
        Ok(Secret::from_slice(shared.as_bytes()))
    }
}

impl PendingKeyExchange for Pending {
    fn id(&self) -> KeyExchangeId {
        KeyExchangeId::CURVE25519
    }

    fn public(&self) -> &[u8] {
        self.public.as_bytes()
    }

    fn complete(self: Box<Self>, peer_public: &[u8]) -> Result<Secret, KeyExchangeError> {
        self.agree(&read(peer_public)?)
    }
}
