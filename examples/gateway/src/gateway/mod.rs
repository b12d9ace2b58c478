//! The gateway: sockets, TUN device and kernel routes around an engine.

mod node;
mod os;
mod plan;
mod resolve;
mod tunnel;

pub use node::Node;
pub use os::{Clock, OsRandom};
pub use resolve::{Resolved, Resolver};
