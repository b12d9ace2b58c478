//! Engines over a simulated network, in virtual time.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

mod packet;
mod rogue;
mod setup;
mod world;

mod addresses;
mod ah;
mod coming_up;
mod concealment;
mod counters;
mod dead_peer;
mod diagnosis;
mod early;
mod ikev1;
mod ikev1_users;
mod inner_side;
mod lifetimes;
mod modes;
mod nat;
mod path_mtu;
mod rekeying;
mod reload;
mod schedules;
mod several;
mod simultaneous;
mod sizes;
