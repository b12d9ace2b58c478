//! MODP groups 2, 5, 14 to 18 and 22 to 24: Diffie-Hellman modulo a prime.
//!
//! Exponentiation is crypto-bigint's constant-time one. Private exponents are short, as RFC 3526 section 8,
//! RFC 7919 section 5.2 and SP 800-56A allow for safe primes: attacks on the exponent cost half its bits.

mod groups;

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};
use ikebana_core::{Secret, SecureRandom};
use ikebana_proposals::KeyExchangeId;
use zeroize::Zeroizing;

use crate::key_exchange::{KeyExchange, KeyExchangeError, PendingKeyExchange};
use groups::{GROUPS, Group};

pub(super) fn all() -> impl Iterator<Item = &'static dyn KeyExchange> {
    GROUPS.iter().map(|group| group as &dyn KeyExchange)
}

/// A group ready to compute in.
struct Field {
    group: Group,
    bits: u32,
    p: BoxedUint,
    params: BoxedMontyParams,
}

struct Pending {
    field: Field,
    exponent: Zeroizing<BoxedUint>,
    public: Vec<u8>,
}

impl Field {
    #[expect(clippy::expect_used, reason = "the primes are constants, and the tests compute with each")]
    fn new(group: Group) -> Self {
        let bits = u32::try_from(group.p.len().saturating_mul(4)).expect("primes have at most 8192 bits");
        let p = number(group.p, bits);
        let odd = Option::<Odd<BoxedUint>>::from(Odd::new(p.clone())).expect("primes are odd");
        Self { group, bits, p, params: BoxedMontyParams::new_vartime(odd) }
    }

    /// `base` to the power of `exponent`, in time that depends on `exponent_bits` alone.
    fn power(&self, base: BoxedUint, exponent: &BoxedUint, exponent_bits: u32) -> Zeroizing<BoxedUint> {
        let power = BoxedMontyForm::new(base, &self.params).pow_bounded_exp(exponent, exponent_bits);
        // In Montgomery form or not, a shared secret is one.
        Zeroizing::new(Zeroizing::new(power).retrieve())
    }

    fn generate(self, rng: &mut dyn SecureRandom) -> Pending {
        let bits = self.group.exponent_bits;
        let order = self.group.q.map(|q| number(q, bits));
        let mut octets = Zeroizing::new(Vec::new());
        octets.resize(usize::try_from(bits.div_ceil(8)).unwrap_or_default(), 0);
        let exponent = loop {
            rng.fill_secret(&mut octets);
            let exponent = Zeroizing::new(BoxedUint::from_be_slice_truncated(&octets, bits));
            // Only whether a discarded candidate was discarded can be seen in the time this takes.
            let below = order.as_ref().is_none_or(|order| *exponent < *order);
            if below && bool::from(exponent.is_nonzero()) {
                break exponent;
            }
        };
        let generator = number(self.group.g, self.bits);
        let public = self.power(generator, &exponent, bits).to_be_bytes().into_vec();
        Pending { field: self, exponent, public }
    }

    /// Reads a peer's public value and checks it as RFC 6989 2.1 and 2.2 say. Nothing here is secret.
    fn check(&self, peer_public: &[u8]) -> Result<BoxedUint, KeyExchangeError> {
        let expected = self.group.p.len() / 2;
        let actual = peer_public.len();
        if actual != expected {
            return Err(KeyExchangeError::Length { expected, actual });
        }
        let peer = BoxedUint::from_be_slice(peer_public, self.bits)
            .map_err(|_| KeyExchangeError::Length { expected, actual })?;
        let one = number("1", self.bits);
        let last = self.p.wrapping_sub(&one);
        if peer <= one || peer >= last {
            return Err(KeyExchangeError::OutOfRange);
        }
        if let Some(q) = self.group.q {
            let bits = self.group.exponent_bits;
            if *self.power(peer.clone(), &number(q, bits), bits) != one {
                return Err(KeyExchangeError::NotInSubgroup);
            }
        }
        Ok(peer)
    }
}

/// A constant in hexadecimal.
#[expect(clippy::expect_used, reason = "the constants are hexadecimal, and the tests compute with each")]
fn number(hex: &str, bits: u32) -> BoxedUint {
    // The precision must be whole limbs, of 64 bits at most.
    let bits = bits.next_multiple_of(64);
    let digits = usize::try_from(bits / 4).unwrap_or_default();
    let padded = format!("{hex:0>digits$}");
    Option::from(BoxedUint::from_be_hex(&padded, bits)).expect("a constant in hexadecimal")
}

impl Pending {
    /// `peer` has been checked.
    fn agree(&self, peer: BoxedUint) -> Secret {
        let shared = self.field.power(peer, &self.exponent, self.field.group.exponent_bits);
        // As long as the prime, leading zeros included (RFC 7296 2.14).
        Secret::new(shared.to_be_bytes().into_vec())
    }
}

impl KeyExchange for Group {
    fn id(&self) -> KeyExchangeId {
        self.id
    }

    fn initiate(&self, rng: &mut dyn SecureRandom) -> Box<dyn PendingKeyExchange> {
        Box::new(Field::new(*self).generate(rng))
    }

    fn respond(
        &self,
        rng: &mut dyn SecureRandom,
        peer_public: &[u8],
    ) -> Result<(Vec<u8>, Secret), KeyExchangeError> {
        let field = Field::new(*self);
        // A bad value is refused before anything is spent on a key pair.
        let peer = field.check(peer_public)?;
        let pending = field.generate(rng);
        let shared = pending.agree(peer);
        Ok((pending.public, shared))
    }
}

impl PendingKeyExchange for Pending {
    fn id(&self) -> KeyExchangeId {
        self.field.group.id
    }

    fn public(&self) -> &[u8] {
        &self.public
    }

    fn complete(self: Box<Self>, peer_public: &[u8]) -> Result<Secret, KeyExchangeError> {
        let peer = self.field.check(peer_public)?;
        Ok(self.agree(peer))
    }
}

#[cfg(test)]
mod tests;
