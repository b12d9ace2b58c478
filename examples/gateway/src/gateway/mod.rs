//! The gateway: sockets, TUN device and kernel routes around an engine.

mod os;
mod plan;
mod pools;
mod resolve;

pub use os::{Clock, OsRandom};
pub use resolve::{Resolved, Resolver};
