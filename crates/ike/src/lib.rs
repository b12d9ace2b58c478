//! What IKEv1 and IKEv2 share: one vocabulary, so that an application speaks to both in the same words.
//!
//! An endpoint of either version takes datagrams, deadlines, commands and [`Answer`]s, and gives back a queue
//! of [`Output`]s: datagrams to [`Transmit`], and [`Event`]s to act on. This crate holds those types, the
//! configuration that steers them, and the small mechanisms both versions need. It holds no protocol.
//!
//! | module | what is in it |
//! |---|---|
//! | [`header`] | the IKE header |
//! | [`config`] | [`EndpointConfig`], [`PeerConfig`], [`ChildConfig`] and their parts |
//! | [`limits`] | [`Limits`]: bounds of work and memory |
//! | [`event`], [`sa_params`] | what comes out: [`Event`], [`SaParams`] |
//! | [`query`] | questions, answers and the [`Credentials`] adapter |
//! | [`reason`] | why things were dropped, failed or ended, with both sides' values |
//! | [`nat`] | NAT detection |
//! | [`admission`] | half-open limits and stateless reply limits |
//! | [`signal`] | what the data path reports back |
//! | [`stats`] | counters |
//! | [`context`] | what an endpoint gives to every step of its protocol |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

pub mod admission;
pub mod config;
pub mod context;
pub mod event;
pub mod handle;
pub mod header;
pub mod limits;
pub mod nat;
pub mod query;
pub mod reason;
pub mod sa_params;
pub mod signal;
pub mod stats;

pub use config::{
    AddressRequest, Authentication, AuthenticationKind, ChildConfig, Encapsulation, EndpointConfig,
    Fragmentation, Ikev1Listener, Ikev1Peer, Listener, Liveness, Mode, ModeConfig, PeerConfig, Phase1Mode,
    Retransmission, SelectorTemplate, Uniqueness, XauthRole,
};
pub use event::{Assignment, Established, Event, Output, Transmit};
pub use handle::{ChildHandle, IkeSaHandle, QueryId};
pub use header::{ExchangeType, Flags, HEADER_LEN, IkeHeader};
pub use limits::Limits;
pub use nat::NatSituation;
pub use query::{
    AddressDemand, AddressKeyRequest, Answer, Credentials, PreSharedKeyRequest, Query, SelectPeer,
    XauthClaim, XauthCredentials, XauthRequest,
};
pub use reason::{
    ApiError, AuthenticationFailed, ChildFailure, CloseReason, DropCounters, DropReason, FailReason,
    RemoveReason, SelectorMismatch,
};
pub use sa_params::{Direction, SaKeys, SaParams};
pub use signal::ChildSignal;
pub use stats::EndpointStats;
