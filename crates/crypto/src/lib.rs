//! Cryptography for IKE and ESP: the traits a backend implements, and a backend in pure Rust.
//!
//! Nothing here is global. A [`CryptoProvider`] is a plain list of algorithms that is passed to whoever needs
//! it, and what is offered to a peer is the configuration *restricted to that list*
//! ([`CryptoProvider::restrict`]), so an algorithm without an implementation cannot be negotiated.
//!
//! | module | what is in it |
//! |---|---|
//! | [`provider`] | [`CryptoProvider`] and the trait by which it makes packet ciphers |
//! | [`mod@prf`] | pseudorandom functions, `prf` and `prf+` of RFC 7296 2.13 |
//! | [`key_exchange`] | Diffie-Hellman and, by the same trait, key encapsulation |
//! | [`packet`] | protection of IKE SK payloads and ESP packets in place |
//! | [`batch`] | many packets of many SAs in one call |
//! | [`mod@digest`] | hash functions that IKEv1 negotiates |
//! | [`cbc`] | CBC alone, as IKEv1 encrypts its messages |
//! | [`hash`] | digests for NAT detection and cookies, constant-time comparison |
//! | [`iv`] | unpredictable IVs without a random draw per packet |
//! | [`rust_crypto`] | the portable backend: every algorithm, every processor |
//! | `accelerated` | the fast backend for packets, on x86-64 processors with AES and SHA instructions |
//!
//! Secrets are zeroized when dropped and compared in constant time; modular exponentiation, curve arithmetic
//! and MACs take time that does not depend on secrets. Nothing allocates per packet. What the crates underneath
//! keep on the stack during one exponentiation is not wiped.
//!
//! ```
//! use ikebana_crypto::{CipherKeys, CryptoProvider, Frame};
//! use ikebana_proposals::Proposal;
//!
//! let provider = CryptoProvider::rust_crypto();
//! let proposal = Proposal::esp("aes128-sha256")?;
//! let (encryption, integrity) = (proposal.encryption[0], proposal.integrity.first().copied());
//! let lengths = provider.key_lengths(Some(encryption), integrity).ok_or("not implemented")?;
//! # let (key, mac_key) = (vec![1; lengths.encryption], vec![2; lengths.integrity]);
//! let keys = CipherKeys { encryption: &key, integrity: &mac_key };
//! let cipher = provider.packet_cipher(encryption, integrity, &keys)?;
//!
//! // header | IV | text | ICV, the IV being unpredictable for CBC
//! let shape = cipher.shape();
//! let mut packet = b"SPI.SEQ.an unpredictable16 octet message".to_vec();
//! packet.resize(packet.len() + shape.icv_len, 0);
//! cipher.seal(Frame { bytes: &mut packet, header_len: 8, esn_high: None })?;
//! assert!(!packet.ends_with(b"message"));
//! cipher.open(Frame { bytes: &mut packet, header_len: 8, esn_high: None })?;
//! assert_eq!(&packet[24..40], b"16 octet message");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

#[cfg(target_arch = "x86_64")]
pub mod accelerated;
pub mod batch;
pub mod cbc;
pub mod digest;
pub mod hash;
pub mod iv;
pub mod key_exchange;
pub mod packet;
pub mod prf;
pub mod provider;
pub mod rust_crypto;
#[cfg(target_arch = "x86_64")]
mod simd;

#[cfg(target_arch = "x86_64")]
pub use accelerated::Accelerated;
pub use batch::{CipherJob, open_batch, seal_batch};
pub use cbc::CbcCipher;
pub use digest::{Digest, digest};
pub use hash::{ct_eq, hmac_sha256, sha1, sha256};
pub use iv::{IV_RUN, IvGenerator};
pub use key_exchange::{KeyExchange, KeyExchangeError, PendingKeyExchange};
pub use packet::{CipherError, CipherShape, Frame, IvRule, Mac, PacketCipher};
pub use prf::{Prf, TooLong, prf, prf_plus};
pub use provider::{CipherKeys, Ciphers, CryptoProvider, KeyLengths, Unsupported};
