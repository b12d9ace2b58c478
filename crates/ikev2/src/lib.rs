//! IKEv2, RFC 7296, without input or output.
//!
//! | module | what is in it |
//! |---|---|
//! | [`wire`] | messages and payloads, their protection, and which payloads an exchange may carry |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

pub mod wire;
