//! IKEv1 (RFC 2407 to 2409) without input or output.
//!
//! [`Endpoint`] is one host's IKEv1: initiator and responder for any number of peers. It opens no socket, starts no
//! thread, reads no clock and draws no randomness of its own. Its caller feeds it with datagrams, with the time and
//! with decisions, and gets messages to send, events, and the time of the next thing to do. It is used like the
//! endpoint of IKEv2, method for method, and speaks in the same types, those of [`ikebana_ike`].
//!
//! What those types call an IKE SA is here an association with a peer: the ISAKMP SA that phase 1 has made, those
//! that have renewed it, and the child SAs, which outlive them all.
//!
//! | module | what is in it |
//! |---|---|
//! | [`wire`] | messages and payloads, for tools that show them, too |
//! | [`vendor`] | vendor IDs by name |
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
//! use ikebana_ikev1::Endpoint;
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
//!     // In main mode, a responder needs the key before it knows more than an address.
//!     fn pre_shared_key_by_address(&mut self, _: &AddressKeyRequest) -> Option<Secret> {
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
//!         proposals: vec![Proposal::ike("aes256-sha256-modp2048").unwrap()],
//!         prefer: Prefer::Local,
//!         authentication: Authentication::PRE_SHARED_KEY,
//!         children: vec![Arc::new(ChildConfig {
//!             name: "net".into(),
//!             proposals: vec![Proposal::esp("aes256gcm16-modp2048").unwrap()],
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
//!         ikev1: Ikev1Listener { main: true, pre_shared_key: true, ..Ikev1Listener::default() },
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
//! ```
//!
//! # What can be relied on
//!
//! The same seven promises as of the endpoint of IKEv2, each with tests of its own name (`promise_1` to
//! `promise_7`): any call order is legal; outputs come in causal order; timeouts may come early or twice; work and
//! memory are bounded; what does not authenticate changes counters and nothing else; every handle has exactly one
//! terminal event; the same inputs give the same octets. Two of them have to be taken as far as IKEv1 goes:
//!
//! - RFC 2409 has no cookie that costs nothing, so that a stranger's first message makes state, bounded by
//!   [`Limits::half_open`](ikebana_ike::Limits) and forgotten after
//!   [`Limits::half_open_timeout`](ikebana_ike::Limits). A Diffie-Hellman value is computed when main mode's third
//!   message has come; in aggressive mode, which is off unless a listener allows it, for the first one. Nobody is
//!   sent more than three times what came in its name.
//! - Before both sides are authenticated, the first message that fits is taken for the peer's. Of the encrypted
//!   messages of phase 1, nothing authenticates what comes beside identity and proof. Complaints in clear become an
//!   [`Event::Hint`](ikebana_ike::Event::Hint) and are not believed.
//!
//! # Renewal
//!
//! A peer that does phase 1 again, without saying that it has restarted, renews the association that there is: its
//! attempt ends with [`FailReason::Joined`](ikebana_ike::FailReason::Joined), and the association goes on with
//! [`Event::IkeRekeyed`](ikebana_ike::Event::IkeRekeyed). An association that has lost its last ISAKMP SA goes on
//! while it has child SAs, and does phase 1 again when it has something to say.
//!
//! # What is not supported
//!
//! - authentication by anything but pre-shared keys, alone or followed by XAUTH: no signatures, no encrypted nonces,
//!   no hybrid authentication
//! - new group mode, the base and authentication-only exchanges, key exchange groups described in full
//! - ESP and AH together in one proposal, IPComp
//! - main mode with a pre-shared key that depends on more than the peer's address
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod children;
mod connection;
mod context;
mod endpoint;
mod established;
mod fragments;
mod informational;
mod isakmp;
mod keys;
mod lifetimes;
mod nat;
mod phase1;
mod quick;
mod selectors;
mod transaction;
mod turn;
pub mod vendor;
pub mod wire;

pub use endpoint::Endpoint;
