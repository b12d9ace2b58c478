//! IPsec as a library: IKE, ESP and the security databases, arranged into one sans-IO node.
//!
//! [`Engine`] is a whole IPsec gateway without a socket, a thread or a clock. It is given datagrams from the
//! network, IP packets from the inner side, and the time; it gives back datagrams to send, packets to deliver,
//! and word of what has changed. The crates it is made of are re-exported, for those who want to arrange them
//! otherwise.
//!
//! | module | crate |
//! |---|---|
//! | [`core`] | time, randomness, secrets, selectors, identities |
//! | [`proposals`] | algorithms, suites, presets |
//! | [`crypto`] | the algorithms themselves |
//! | [`ike`] | configuration, events and reasons of both IKE versions |
//! | [`ikev1`] | IKEv1 |
//! | [`ikev2`] | IKEv2 |
//! | [`esp`] | the data path |
//! | [`sa_database`] | SPD, SAD, PAD |
//!
//! # Two engines and a ping
//!
//! ```
//! use std::sync::Arc;
//! use ikebana::core::{Instant, Path, spi::ShardedSpis};
//! use ikebana::crypto::CryptoProvider;
//! use ikebana::esp::PacketBuf;
//! use ikebana::*;
//!
//! // Two hosts that know each other's address, identity and key.
//! let mut engines: Vec<Engine> = (0..2).map(|me| {
//!     let [ours, theirs] = if me == 0 { [1, 2] } else { [2, 1] };
//!     let tunnel = TunnelConfig::site_to_site(
//!         "office",
//!         ([192, 0, 2, ours], [192, 0, 2, theirs]),
//!         (&format!("gw{ours}.example.net"), &format!("gw{theirs}.example.net")),
//!         (&format!("10.{ours}.0.0/16"), &format!("10.{theirs}.0.0/16")),
//!         b"correct horse battery staple",
//!     ).unwrap();
//!     let mut engine = Engine::new(
//!         EngineConfig::default(),
//!         Arc::new(CryptoProvider::fastest()),
//!         Box::new(ikebana_testkit::SeededRng::new(me)), // in production, the operating system's
//!         Box::new(ShardedSpis::unsharded()),
//!     );
//!     engine.add_tunnel(Instant::ZERO, tunnel).unwrap();
//!     engine
//! }).collect();
//!
//! // Received octets get room in front of them: transport mode puts an IP header back there.
//! fn received(octets: &[u8]) -> Vec<u8> {
//!     [&[0; 64], octets].concat()
//! }
//!
//! // The network between them: whatever one engine transmits, the other one receives.
//! let now = Instant::from_secs(1);
//! for turn in 0..20 {
//!     while let Some(output) = engines[turn % 2].poll_output() {
//!         if let Output::Transmit { path, octets } = output {
//!             let path = Path::new(path.remote, path.local);
//!             let port = if path.local.port() == 500 { Port::Ike } else { Port::Shared };
//!             let mut octets = received(&octets);
//!             let place = 64..octets.len();
//!             let packet = PacketBuf::new(&mut octets, place).unwrap();
//!             engines[1 - turn % 2].handle_datagrams(now, &mut [Arriving::new(path, port, None, packet)]);
//!         }
//!     }
//! }
//!
//! // A ping from one inner network to the other.
//! let ping = [
//!     0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 1, 0x26, 0xdc, 10, 1, 0, 1, 10, 2, 0, 1,
//!     8, 0, 0xf7, 0xfd, 0, 1, 0, 1,
//! ];
//! let mut buffer = [0; 256];
//! buffer[64..92].copy_from_slice(&ping);
//! let mut leaving = [Leaving::new(PacketBuf::new(&mut buffer, 64..92).unwrap())];
//! engines[0].handle_packets(now, &mut leaving);
//! let LeavingFate::Send(sending) = leaving[0].fate else { panic!("{:?}", leaving[0].fate) };
//! assert_ne!(leaving[0].packet.payload(), ping); // encrypted
//!
//! let path = Path::new(sending.path.remote, sending.path.local);
//! let mut octets = received(leaving[0].packet.payload());
//! let place = 64..octets.len();
//! let packet = PacketBuf::new(&mut octets, place).unwrap();
//! let mut arriving = [Arriving::new(path, Port::Esp, None, packet)];
//! engines[1].handle_datagrams(now, &mut arriving);
//! assert_eq!(arriving[0].fate, ArrivalFate::Deliver);
//! assert_eq!(arriving[0].packet.payload(), ping);
//! ```
//!
//! # Tunnels
//!
//! A [`TunnelConfig`] says what is wanted, and the engine sees to it:
//!
//! * [`Start::Start`]: it comes up at once, and again whenever it is lost, for ever. Waits between attempts double
//!   from [`Retry::first`] to [`Retry::longest`], with chance in them.
//! * [`Start::OnTraffic`]: the first packet that its policies match brings it up. Up to
//!   [`EngineConfig::waiting_packets`] packets wait for it, and leave when it is up.
//! * [`Start::Passive`]: its peer brings it up.
//!
//! A tunnel [stopped](Engine::stop) by hand stays down until it is [started](Engine::start) by hand, or its peer
//! starts it. What happens when a peer dies is [`DeadPeerAction`]'s to say. When both sides start at the same
//! time, one of the two IKE SAs goes. Whatever two sides disagree on is in [`Event::Down`] and
//! [`Event::Problem`], and in [`TunnelStatus::cause`], with both sides' values.
//!
//! # IKEv1
//!
//! RFC 9395 deprecates it, and it is off: an engine speaks it only if it was made
//! [with it](Engine::with_ikev1), and only to peers whose tunnel [says so](TunnelConfig::version). A tunnel of
//! IKEv1 does what one of IKEv2 does, and is started, stopped, retried and reported in the same way;
//! [`TunnelConfig::over_ikev1`] makes one. Its peer's modes, XAUTH and mode config are in
//! [`PeerConfig::ikev1`](ikebana_ike::PeerConfig). What differs:
//!
//! * A key is chosen by address in main mode, before the peer says who it is: of the tunnels that fit, the one
//!   that is open to the fewest addresses.
//! * One SA has one pair of selectors, so a child with lists of them becomes several pairs of SAs.
//!
//! # What can be relied on
//!
//! * The engine never blocks, and does not allocate for a packet of an established tunnel.
//! * A rekey loses no packet, whichever side starts it, as long as the network loses none.
//! * A datagram that does not authenticate changes counters and nothing else; what does is opened once and never
//!   again, and delivered only if it is what its SA is for (RFC 4301 5.2).
//! * ESP from a peer that is ahead of the answer which brings its SA waits for that: half a second at most, 64
//!   packets and 64 KiB at most.
//! * An SA is replaced before its sequence numbers run out or its cipher is worn, whatever its lifetime says.
//! * Packets, strangers and peers cannot make the engine keep more than its configuration says, nor tell of more
//!   failures than [`Engine::withheld_problems`] says.
//! * The same calls with the same randomness give the same outputs, octet for octet.
//! * After everything is stopped, nothing is left: [`Engine::is_idle`].
//!
//! # What the caller does
//!
//! Sockets, the clock, randomness; names to addresses ([`Engine::set_remote`]); routes. Outputs have to be drained
//! after every call, in their order. Datagrams of one flow have to be handed over in the order of their arrival,
//! or packets that were overtaken count as replays once the window has passed them. Several cores: several
//! engines, told apart by the SPIs that [`ShardedSpis`](crate::core::spi::ShardedSpis) gives them.
//!
//! # What is not supported
//!
//! * **Authentication** other than by pre-shared keys: no certificates, no EAP.
//! * **AGGFRAG** (RFC 9347), ESP in TCP; AH together with ESP, or with IPComp.
//! * **MOBIKE**: a peer behind a NAT is followed when the NAT moves it, but a host that changes its own address has
//!   to stop the tunnel and start another one.
//! * **Fragmentation** of IKE messages (RFC 7383). Outer packets that arrive in fragments are for the IP layer to put
//!   together, or for [`Reassembler`](ikebana_esp::Reassembler) where there is none.
//! * **Path MTU discovery** other than by ICMP ([`Engine::handle_icmp`]): no packets are sent to find out (RFC 8899).
//! * **Policies** other than those of tunnels: packets that no tunnel matches are all dropped or all pass
//!   ([`DatabaseConfig::unmatched`](ikebana_sa_database::DatabaseConfig::unmatched)). Two tunnels for the same
//!   traffic do not stand in for each other: the one that was added first has it. Whether packets that arrive in
//!   clear may pass is not asked here, since they do not come this way.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod engine;

pub use engine::{
    ArrivalFate, Arriving, ChildStatus, ConfigError, DeadPeerAction, DontFragmentPolicy, DropCause,
    DropCounts, Engine, EngineConfig, Event, FragmentPolicy, IkeStatus, IkeVersion, InnerRouter, Leaving,
    LeavingFate, MssPolicy, NotBelieved, Output, PathMtuStats, Port, Retry, Sending, SizePolicy, Start,
    TunnelConfig, TunnelId, TunnelState, TunnelStatus,
};
pub use ikebana_core as core;
pub use ikebana_crypto as crypto;
pub use ikebana_esp as esp;
pub use ikebana_ike as ike;
pub use ikebana_ikev1 as ikev1;
pub use ikebana_ikev2 as ikev2;
pub use ikebana_proposals as proposals;
pub use ikebana_sa_database as sa_database;
