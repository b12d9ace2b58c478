//! IKEv1, RFC 2409, as far as it goes today: the message format, and nothing else.
//!
//! [`wire`] reads and writes messages, so that a tool can show what two IKEv1 peers say to each other. There
//! are no exchanges here: this crate can not negotiate, authenticate, encrypt or answer anything.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod children;
mod connection;
mod context;
mod endpoint;
mod established;
mod fragments;
mod informational;
mod isakmp;
mod keys;
mod lifetimes;
mod nat;
mod phase1;
mod quick;
mod selectors;
mod transaction;
mod turn;
pub mod vendor;
pub mod wire;

pub use endpoint::Endpoint;
