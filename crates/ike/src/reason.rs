//! Why something did not happen: for counters, for events, for callers.
//!
//! Whatever two sides disagreed on is here with both sides' values, since that is what whoever reads the
//! message has to compare.

mod drop;
mod failure;

pub use drop::{DropCounters, DropReason};
pub use failure::{
    ApiError, AuthenticationFailed, ChildFailure, CloseReason, FailReason, RemoveReason, SelectorMismatch,
};
