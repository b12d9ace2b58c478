//! Security policies (RFC 4301 4.4.1).

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use ikebana_core::{Flow, TrafficSelectors};

/// What the caller calls one tunnel: a peer's Child SA with its rekeyed successors.
///
/// Policies name the tunnel that protects their traffic, SAs the tunnel that they belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TunnelId(pub u64);

/// A policy of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyId {
    pub(crate) serial: u64,
    pub(crate) index: u32,
}

impl PolicyId {
    /// The first and the last id that can be.
    pub(crate) const RANGE: (Self, Self) =
        (Self { serial: 0, index: 0 }, Self { serial: u64::MAX, index: u32::MAX });
}

/// Which packets: those whose local end matches one of `local` and whose remote end matches one of `remote`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Selectors {
    /// Our side: the source of outbound packets.
    pub local: TrafficSelectors,
    /// The peer's side: the source of inbound packets.
    pub remote: TrafficSelectors,
}

impl Selectors {
    /// The packets between `local` and `remote`.
    #[must_use]
    pub const fn new(local: TrafficSelectors, remote: TrafficSelectors) -> Self {
        Self { local, remote }
    }

    /// Whether a packet of `flow` is one of them.
    #[must_use]
    pub fn cover(&self, flow: &Flow) -> bool {
        self.remote.matches(flow.remote, flow.protocol, flow.remote_port)
            && self.local.matches(flow.local, flow.protocol, flow.local_port)
    }
}

impl fmt::Display for Selectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} === {}", self.local, self.remote)
    }
}

/// What is done with the packets of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// They pass protected by an SA of `tunnel`, or not at all.
    Protect {
        /// The tunnel.
        tunnel: TunnelId,
        /// Whether a packet that finds no SA asks for one, by [`Event::Acquire`](crate::Event::Acquire).
        on_demand: bool,
    },
    /// They pass as they are.
    Bypass,
    /// They do not pass.
    Discard,
}

/// One entry of the SPD, for both directions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What people call it.
    pub name: String,
    /// Its place in the order: the lowest number that matches decides, the one added first among equals.
    pub priority: u32,
    /// Which packets it is about.
    pub selectors: Arc<Selectors>,
    /// What is done with them.
    pub action: Action,
}
