//! Aggregation and fragmentation of inner packets (AGGFRAG, RFC 9347).
//!
//! A plain tunnel carries one inner packet in one ESP packet. In an AGGFRAG tunnel the inner packets are a stream of
//! *data blocks* one behind the other, and each ESP packet carries a piece of that stream: several small packets,
//! the end of one and the beginning of the next, or the middle of a large one. A header says where in the piece
//! the first block begins, so that a receiver that lost one finds its way again.
//!
//! ```text
//!                AGGFRAG_PAYLOAD                    AGGFRAG_PAYLOAD
//! | header | packet 1 | packet 2 | packet 3 ... | header | ... packet 3 | packet 4 | pad |
//!   offset 0                                      offset = octets of packet 3 that are in here
//! ```
//!
//! [`AggfragSender`] makes the payloads, [`OutboundSa::encapsulate_payload`](crate::OutboundSa::encapsulate_payload)
//! seals them. [`InboundSa::open_numbered`](crate::InboundSa::open_numbered) opens them, and [`AggfragReceiver`]
//! takes the inner packets out, in order. Both work in memory that is set aside once.
//!
//! An SA is either for AGGFRAG or not (RFC 9347 2.3): IKE says which. Constant-rate sending, and with it the
//! congestion control of RFC 9347 3, is not here: the receiver reads the fields of a peer that has it, and the
//! sender sends the format without them.

mod block;
mod header;
mod held;
mod receiver;
mod sa;
mod sender;
mod stats;

pub use header::{AggfragError, AggfragHeader, CongestionInfo};
pub use receiver::{AggfragLimits, AggfragReceiver};
pub use sender::{AggfragCut, AggfragSender, AggfragSettings, QueueError};
pub use stats::{AggfragReceived, AggfragSent};

#[cfg(test)]
mod tests;
