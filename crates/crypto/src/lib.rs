//! Cryptography for IKE and ESP: the traits a backend implements, and a backend in pure Rust.
//!
//! Nothing here is global. A [`CryptoProvider`] is a plain list of algorithms that is passed to whoever needs
//! it, and what is offered to a peer is the configuration *restricted to that list*
//! ([`CryptoProvider::restrict`]), so an algorithm without an implementation cannot be negotiated.
//!
//! | module | what is in it |
//! |---|---|
//! | [`provider`] | [`CryptoProvider`] and the trait by which it makes packet ciphers |
//! | [`prf`] | pseudorandom functions, `prf` and `prf+` of RFC 7296 2.13 |
//! | [`key_exchange`] | Diffie-Hellman and, by the same trait, key encapsulation |
//! | [`packet`] | protection of IKE SK payloads and ESP packets in place |
//! | [`hash`] | digests for NAT detection and cookies, constant-time comparison |
//! | [`iv`] | unpredictable IVs without a random draw per packet |
//! | [`rust_crypto`] | the backend |
//!
//! Secrets are zeroized when dropped and compared in constant time; modular exponentiation, curve arithmetic
//! and MACs take time that does not depend on secrets. Nothing allocates per packet.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

pub mod hash;
pub mod iv;
pub mod key_exchange;
pub mod packet;
pub mod prf;
pub mod provider;
pub mod rust_crypto;

pub use hash::{ct_eq, hmac_sha256, sha1, sha256};
pub use iv::IvGenerator;
pub use key_exchange::{KeyExchange, KeyExchangeError, PendingKeyExchange};
pub use packet::{CipherError, CipherShape, Frame, FrameJob, IvRule, Mac, PacketCipher};
pub use prf::{Prf, TooLong, prf, prf_plus};
pub use provider::{CipherKeys, Ciphers, CryptoProvider, KeyLengths, Unsupported};
