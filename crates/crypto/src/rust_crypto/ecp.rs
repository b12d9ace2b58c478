//! Groups 19, 20 and 21: ECDH on the NIST curves (RFC 5903).
//!
//! A public value is the two coordinates without any prefix; the shared secret is the x coordinate alone
//! (RFC 5903 7).

use alloc::boxed::Box;
use alloc::vec::Vec;

use ikebana_core::{Secret, SecureRandom};
use ikebana_proposals::KeyExchangeId;
use p256::elliptic_curve::sec1::ToSec1Point;
use zeroize::Zeroizing;

use crate::key_exchange::{KeyExchange, KeyExchangeError, PendingKeyExchange};

pub(super) const ALL: [&dyn KeyExchange; 3] = [&Ecp256, &Ecp384, &Ecp521];

/// The prefix of an uncompressed point in SEC 1, which IKE leaves out.
const UNCOMPRESSED: u8 = 4;

macro_rules! curve {
    ($name:ident, $krate:ident, $id:expr, $field:literal, $top_mask:literal) => {
        pub(super) struct $name;

        const _: () = {
            const FIELD: usize = $field;

            struct Pending {
                secret: $krate::SecretKey,
                public: Vec<u8>,
            }

            fn generate(rng: &mut dyn SecureRandom) -> Pending {
                let mut octets = Zeroizing::new([0; FIELD]);
                // A number from the whole field is above the order or zero about once in 2^32 draws or less.
                let secret = loop {
                    rng.fill_secret(&mut *octets);
                    let [top, ..] = &mut *octets;
                    *top &= $top_mask;
                    if let Ok(secret) = $krate::SecretKey::from_slice(&*octets) {
                        break secret;
                    }
                };
                Pending { public: coordinates(&secret.public_key()), secret }
            }

            fn coordinates(public: &$krate::PublicKey) -> Vec<u8> {
                let point = public.to_sec1_point(false);
                point.as_bytes().iter().copied().skip(1).collect()
            }

            impl KeyExchange for $name {
                fn id(&self) -> KeyExchangeId {
                    $id
                }

                fn initiate(&self, rng: &mut dyn SecureRandom) -> Box<dyn PendingKeyExchange> {
                    Box::new(generate(rng))
                }

                fn respond(
                    &self,
                    rng: &mut dyn SecureRandom,
                    peer_public: &[u8],
                ) -> Result<(Vec<u8>, Secret), KeyExchangeError> {
                    // A bad point is refused before anything is spent on a key pair.
                    let peer = check(peer_public)?;
                    let pending = generate(rng);
                    let shared = pending.agree(&peer);
                    Ok((pending.public, shared))
                }
            }

            /// Reads a peer's point and checks it as RFC 6989 2.3 says.
            fn check(peer_public: &[u8]) -> Result<$krate::PublicKey, KeyExchangeError> {
                if peer_public.len() != FIELD * 2 {
                    let actual = peer_public.len();
                    return Err(KeyExchangeError::Length { expected: FIELD * 2, actual });
                }
                let mut point = [UNCOMPRESSED; FIELD * 2 + 1];
                for (octet, &value) in point.iter_mut().skip(1).zip(peer_public) {
                    *octet = value;
                }
                // Checks that the coordinates are in the field and the point is on the curve; infinity
                // cannot be written this way.
                $krate::PublicKey::from_sec1_bytes(&point).map_err(|_| KeyExchangeError::NotOnCurve)
            }

            impl Pending {
                fn agree(&self, peer: &$krate::PublicKey) -> Secret {
                    let shared =
                        $krate::ecdh::diffie_hellman(self.secret.to_nonzero_scalar(), peer.as_affine());
                    Secret::from_slice(shared.raw_secret_bytes())
                }
            }

            impl PendingKeyExchange for Pending {
                fn id(&self) -> KeyExchangeId {
                    $id
                }

                fn public(&self) -> &[u8] {
                    &self.public
                }

                fn complete(self: Box<Self>, peer_public: &[u8]) -> Result<Secret, KeyExchangeError> {
                    check(peer_public).map(|peer| self.agree(&peer))
                }
            }
        };
    };
}

curve!(Ecp256, p256, KeyExchangeId::ECP_256, 32, 0xff);
curve!(Ecp384, p384, KeyExchangeId::ECP_384, 48, 0xff);
curve!(Ecp521, p521, KeyExchangeId::ECP_521, 66, 0x01);
