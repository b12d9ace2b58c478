//! The gateway: sockets, TUN device and kernel routes around an engine.

mod advice;
mod inner;
mod node;
mod os;
mod overview;
mod plan;
mod resolve;
mod run;
mod tunnel;
mod tunnels;

pub use node::Node;
pub use os::{Clock, OsRandom};
pub use resolve::{Resolved, Resolver};
pub use run::{Overrides, run};
