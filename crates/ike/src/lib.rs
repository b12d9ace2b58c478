//! What IKEv1 and IKEv2 share.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

pub mod handle;
pub mod header;

pub use handle::{ChildHandle, IkeSaHandle, QueryId};
pub use header::{ExchangeType, Flags, HEADER_LEN, IkeHeader};
