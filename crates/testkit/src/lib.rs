//! What the tests of the ikebana crates share.
//!
//! Everything here is deterministic: the same seed and the same calls give the same run, octet for octet, on
//! every machine.
//!
//! | module | what is in it |
//! |---|---|
//! | [`clock`] | a clock that only the test moves |
//! | [`random`] | a [`SecureRandom`](ikebana_core::SecureRandom) from a seed |
//! | [`network`] | datagrams between endpoints: loss, duplication, delay, reordering, MTU, NAT |
//! | [`mutation`] | every small damage that can be done to a message |
//! | [`capture`] | UDP, ESP and AH out of pcap, pcapng and snoop files |
//! | [`soak`] | how long tests run |
//! | [`vectors`] | files of test vectors in JSON |
//!
//! Nothing here is for production: the randomness is predictable, and failures panic.
#![forbid(unsafe_code)]

pub mod capture;
pub mod clock;
pub mod mutation;
pub mod network;
pub mod random;
pub mod soak;
pub mod vectors;

pub use clock::VirtualClock;
pub use mutation::{Mutation, mutations};
pub use network::{Delivery, EndpointId, LinkConfig, NatConfig, NatId, Network, Verdict};
pub use random::SeededRng;
