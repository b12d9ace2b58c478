//! What the database decides and reports.

use ikebana_core::Flow;

use crate::policy::{PolicyId, TunnelId};
use crate::sa::{OutboundId, SaId};

/// What is to be done with an outbound packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Seal it with this SA.
    Protect(OutboundId),
    /// Send it as it is.
    Bypass,
    /// Drop it.
    Discard(DiscardReason),
    /// It must be protected and there is no SA for it yet. Drop it, or keep it until there is one.
    Acquire {
        /// The policy that asks for protection.
        policy: PolicyId,
        /// The tunnel that is to give it.
        tunnel: TunnelId,
        /// Whether this packet caused an [`Event::Acquire`]; others are covered by an earlier one.
        first: bool,
    },
}

/// Why a packet does not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DiscardReason {
    /// A policy says so.
    Policy,
    /// No policy matches it.
    NoPolicy,
    /// It must be protected, there is no SA for it, and the policy does not ask for one.
    NoSa,
    /// It came in the clear, and a policy says that such packets must be protected (RFC 4301 5.2).
    MustBeProtected,
}

/// Something that the owner of the database has to act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A packet needs an SA that does not exist. Reported once, then again with growing pauses as long as
    /// packets keep asking.
    Acquire {
        /// The policy that asks for protection.
        policy: PolicyId,
        /// The tunnel that is to give it.
        tunnel: TunnelId,
        /// The packet that asked, for the first traffic selectors of the negotiation (RFC 7296 2.9).
        flow: Flow,
    },
    /// An SA has reached a soft limit: negotiate its replacement. It can still be used.
    SoftExpired {
        /// The SA.
        sa: SaId,
        /// Its tunnel.
        tunnel: TunnelId,
        /// The kind of limit.
        limit: Limit,
    },
    /// An SA has reached a hard limit. It is not used any more; remove it.
    HardExpired {
        /// The SA.
        sa: SaId,
        /// Its tunnel.
        tunnel: TunnelId,
        /// The kind of limit.
        limit: Limit,
    },
}

/// The kinds of limits (RFC 4301 4.4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit {
    /// Age.
    Time,
    /// Octets protected.
    Bytes,
    /// Packets protected.
    Packets,
}
