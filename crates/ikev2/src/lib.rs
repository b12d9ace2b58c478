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

mod addresses;
mod auth;
mod child;
mod collision;
mod connection;
mod context;
mod cookie;
mod endpoint;
mod established;
mod init;
mod initiator;
mod keys;
mod payloads;
mod responder;
mod sa;
mod window;
pub mod wire;

pub use endpoint::Endpoint;
