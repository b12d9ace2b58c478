//! The ground that every ikebana crate stands on.
//!
//! Nothing here knows IKE or ESP messages. It holds the values and small mechanisms that both need, and the
//! rules that keep the library sans-IO: time is an [`Instant`] the caller passes in, randomness is a
//! [`SecureRandom`] the caller passes in, secrets are [`Secret`] values, and bytes from the network are read
//! through a [`Reader`] that cannot panic.
//!
//! | module | what is in it |
//! |---|---|
//! | [`time`] | [`Instant`] in microseconds of a clock that only the caller reads |
//! | [`random`] | the [`SecureRandom`] trait and jitter |
//! | [`secret`] | zeroized, constant-time-compared key material |
//! | [`codec`] | [`Reader`] and [`Writer`] with a guard for nested lengths |
//! | [`spi`] | [`IkeSpi`], [`EspSpi`] and their allocation |
//! | [`selector`] | traffic selectors and the flows they match |
//! | [`identity`] | IKE identities and the patterns that match them |
//! | [`datagram`] | paths, and what a datagram on port 500 or 4500 carries |
//! | [`timer`] | a table of deadlines |
//! | [`lifetime`] | soft and hard limits by time, bytes and packets |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

pub mod codec;
pub mod datagram;
pub mod identity;
pub mod lifetime;
mod open_enum;
pub mod random;
pub mod secret;
pub mod selector;
pub mod spi;
pub mod time;
pub mod timer;

pub use codec::{Reader, WireError, Writer};
pub use datagram::{Datagram, Path};
pub use identity::{IdType, Identity, IdentityPattern};
pub use lifetime::Lifetime;
pub use random::SecureRandom;
pub use secret::Secret;
pub use selector::{AddressRange, Flow, PortRange, TrafficSelector, TrafficSelectors};
pub use spi::{EspSpi, IkeSpi, SpiAllocator};
pub use time::Instant;
pub use timer::TimerTable;
