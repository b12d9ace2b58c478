//! IKEv2 (RFC 7296) without input or output.
//!
//! [`Endpoint`] is one host's IKEv2: initiator and responder of any number of IKE SAs. It opens no socket, starts
//! no thread, reads no clock and draws no randomness of its own. Its caller feeds it with datagrams, with the
//! time and with decisions, and gets messages to send, events, and the time of the next thing to do. ESP itself is
//! the caller's: SAs are described in events ([`SaParams`](ikebana_ike::SaParams)).
//!
//! The types that configuration and events are made of are those of [`ikebana_ike`], which IKEv1 shares.
//!
//! | module | what is in it |
//! |---|---|
//! | [`wire`] | messages and payloads, their protection, and which payloads an exchange may carry |
//!
//! # The loop
//!
//! After every call, drain [`poll_output`](Endpoint::poll_output) (or, if all decisions can be made on the spot,
//! [`poll_output_with`](Endpoint::poll_output_with)), and wait for a datagram or until
//! [`poll_timeout`](Endpoint::poll_timeout), whichever is first. Here are two endpoints that talk to each other
//! through memory:
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use ikebana_core::{Datagram, Instant, Lifetime, Path, Secret};
//! use ikebana_crypto::CryptoProvider;
//! use ikebana_ike::*;
//! use ikebana_ikev2::Endpoint;
//! use ikebana_proposals::{Prefer, Proposal};
//! # use ikebana_testkit::SeededRng as YourRandomness;
//!
//! /// Who may connect, and with which key. A real one has many peers.
//! struct Keys(Arc<PeerConfig>);
//!
//! impl Credentials for Keys {
//!     fn select_peer(&mut self, peer: &SelectPeer) -> Option<Arc<PeerConfig>> {
//!         self.0.remote_id.matches(&peer.remote_id).then(|| self.0.clone())
//!     }
//!     fn pre_shared_key(&mut self, _: &PreSharedKeyRequest) -> Option<Secret> {
//!         Some(Secret::from_slice(b"a key of high entropy"))
//!     }
//! }
//!
//! fn peer(local: &str, remote: &str, ours: &str, theirs: &str) -> Arc<PeerConfig> {
//!     let net = |text: &str| vec![SelectorTemplate::Fixed(text.parse().unwrap())];
//!     Arc::new(PeerConfig {
//!         name: remote.into(),
//!         local_id: local.parse().unwrap(),
//!         remote_id: remote.parse().unwrap(),
//!         proposals: vec![Proposal::ike("aes256gcm16-prfsha384-curve25519").unwrap()],
//!         prefer: Prefer::Local,
//!         authentication: Authentication::PRE_SHARED_KEY,
//!         children: vec![Arc::new(ChildConfig {
//!             name: "net".into(),
//!             proposals: vec![Proposal::esp("aes256gcm16-curve25519").unwrap()],
//!             prefer: Prefer::Local,
//!             local: net(ours),
//!             remote: net(theirs),
//!             mode: Mode::Tunnel,
//!             lifetime: Lifetime::UNLIMITED,
//!             replay_window: 1024,
//!             compress: false,
//!         })],
//!         lifetime: Lifetime::UNLIMITED,
//!         liveness: Some(Liveness { delay: Duration::from_secs(30) }),
//!         encapsulation: Encapsulation::Auto,
//!         nat_keepalive: Duration::from_secs(20),
//!         retransmission: Retransmission::default(),
//!         request: vec![],
//!         assigns_addresses: false,
//!         uniqueness: Uniqueness::InitialContact,
//!         ikev1: Ikev1Peer::default(),
//!     })
//! }
//!
//! fn endpoint(peer: &PeerConfig, seed: u64) -> Endpoint {
//!     let listener = Listener {
//!         from: vec![],
//!         proposals: peer.proposals.clone(),
//!         prefer: Prefer::Local,
//!         encapsulation: Encapsulation::Auto,
//!         ikev1: Ikev1Listener::default(),
//!     };
//!     Endpoint::new(
//!         Arc::new(EndpointConfig { listeners: vec![listener], ..EndpointConfig::default() }),
//!         Arc::new(CryptoProvider::fastest()),
//!         Box::new(YourRandomness::new(seed)),
//!         Box::new(ikebana_core::spi::ShardedSpis::unsharded()),
//!     )
//! }
//!
//! let peers = [
//!     peer("moon.example", "sun.example", "10.1.0.0/16", "10.2.0.0/16"),
//!     peer("sun.example", "moon.example", "10.2.0.0/16", "10.1.0.0/16"),
//! ];
//! let mut endpoints = [endpoint(&peers[0], 1), endpoint(&peers[1], 2)];
//! let mut keys = peers.clone().map(Keys);
//!
//! let now = Instant::from_secs(1);
//! let path = Path::new("192.0.2.1:500".parse().unwrap(), "192.0.2.2:500".parse().unwrap());
//! endpoints[0].initiate(now, peers[0].clone(), path).unwrap();
//!
//! let mut installed = [0, 0];
//! let mut busy = true;
//! while busy {
//!     busy = false;
//!     for me in 0..2 {
//!         while let Some(output) = endpoints[me].poll_output_with(now, &mut keys[me]) {
//!             busy = true;
//!             match output {
//!                 // Port 4500 would carry ESP as well, with a marker in front of IKE: see `ikebana_core::datagram`.
//!                 Output::Transmit(Transmit { path, octets }) => {
//!                     let path = Path::new(path.remote, path.local);
//!                     let datagram = Datagram { path, encapsulated: false, octets: &octets };
//!                     // What is dropped is counted.
//!                     let _ = endpoints[1 - me].handle_datagram(now, datagram);
//!                 }
//!                 Output::Event(Event::InstallSa(_)) => installed[me] += 1,
//!                 Output::Event(Event::Failed { reason, .. }) => panic!("{reason}"),
//!                 Output::Event(_) => {}
//!             }
//!         }
//!     }
//! }
//! assert_eq!(installed, [2, 2], "one SA in each direction, on both sides");
//! // Nothing more happens until somebody has been silent for 30 seconds.
//! assert!(endpoints[0].poll_timeout().unwrap() >= Instant::from_secs(31));
//! ```
//!
//! # What can be relied on
//!
//! Each of these has tests of its own name (`promise_1` to `promise_7`).
//!
//! 1. Any call order is legal; draining output late breaks nothing.
//! 2. [`poll_output`](Endpoint::poll_output) cannot fail, and its order is causal: an inbound SA is installed before
//!    the message that lets the peer use it.
//! 3. [`handle_timeout`](Endpoint::handle_timeout) early or twice does nothing. Time does not go backwards: an
//!    earlier `now` counts as the latest one.
//! 4. Work per call, and memory per peer and in all, are bounded by [`Limits`](ikebana_ike::Limits). Above the
//!    half-open threshold, a stranger gets a cookie and no state. What is queued for the caller is the caller's to
//!    drain.
//! 5. A datagram that does not authenticate changes counters and nothing else. Exceptions are what RFC 7296 has
//!    for strangers: the first exchange, rate-limited replies that leave no state, and the repetition of an answer
//!    to a request that comes again octet for octet.
//! 6. Every [`IkeSaHandle`](ikebana_ike::IkeSaHandle) gets exactly one terminal event, after the removal of each
//!    SA that it installed.
//! 7. The same configuration, seed and inputs give the same octets.
//!
//! # Collisions
//!
//! Both sides may replace, create and delete at the same time. RFC 7296 2.8 and 2.25 say what comes of it; the
//! tests `collision_child_rekey`, `collision_ike_rekey` and `collision_delete` have one case for each way that
//! messages can cross. An IKE SA keeps its handle, and a child SA its place, whatever happens on the wire.
//!
//! # What is not supported
//!
//! - authentication by anything but pre-shared keys: no certificates, no signatures, no EAP
//! - IKE fragmentation (RFC 7383): a message larger than a datagram depends on IP fragmentation
//! - MOBIKE (RFC 4555); a peer whose NAT moves it is followed as RFC 7296 2.23 says
//! - several key exchanges (RFC 9370), IKE_INTERMEDIATE (RFC 9242), post-quantum preshared keys (RFC 8784)
//! - an IKE SA without a first child SA (RFC 6023), session resumption (RFC 5723), redirection (RFC 5685),
//!   message id synchronization (RFC 6311), IPComp other than DEFLATE, AGGFRAG (USE_AGGFRAG, RFC 9347 5.1)
//! - more than one request of ours at a time; a peer may have up to [`Limits::window`](ikebana_ike::Limits)
//! - configuration in INFORMATIONAL exchanges, and more than one configuration request for an IKE SA
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod addresses;
mod auth;
mod child;
mod collision;
mod connection;
mod context;
mod cookie;
mod endpoint;
mod established;
mod init;
mod initiator;
mod keys;
mod payloads;
mod responder;
mod sa;
mod window;
pub mod wire;

pub use endpoint::Endpoint;
