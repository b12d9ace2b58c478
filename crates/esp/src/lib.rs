//! The data path of ESP (RFC 4303) and AH (RFC 4302): packets in, packets out, nothing else.
//!
//! An [`OutboundSa`] seals packets in place and an [`InboundSa`] opens them. Neither does I/O, reads a clock or
//! allocates per packet. How SAs come to be is not this crate's business: the keys in [`EspParams`] may come
//! from IKEv2, IKEv1 or a file.
//!
//! # The loop
//!
//! ```
//! use ikebana_core::{EspSpi, Secret, SecureRandom};
//! use ikebana_crypto::CryptoProvider;
//! use ikebana_esp::*;
//! use ikebana_proposals::{ChildSuite, Encryption, EncryptionId, KeyExchangeId, ProtocolId};
//!
//! # struct Rng;
//! # impl SecureRandom for Rng {
//! #     fn fill_public(&mut self, out: &mut [u8]) { out.fill(4) }
//! #     fn fill_secret(&mut self, out: &mut [u8]) { out.fill(4) }
//! # }
//! let params = || EspParams::tunnel(
//!     EspSpi::new(0x1000).unwrap(),
//!     ChildSuite {
//!         protocol: ProtocolId::ESP,
//!         encryption: Some(Encryption::new(EncryptionId::AES_GCM_16, 128)),
//!         integrity: None,
//!         key_exchange: None,
//!         additional: [KeyExchangeId::NONE; 7],
//!         esn: false,
//!     },
//!     [Secret::new(vec![7; 20]), Secret::new(vec![])],
//!     [192, 0, 2, 1].into(),
//!     [198, 51, 100, 1].into(),
//! );
//! let provider = CryptoProvider::fastest();
//! let mut ours = OutboundSa::new(params(), &provider, &mut Rng)?;
//! let mut theirs = InboundSa::new(params(), &provider)?;
//!
//! // A packet from the inner side, in a buffer with room around it.
//! let ping = [
//!     0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 1, 0x65, 0xdb, 10, 0, 0, 1, 10, 1, 0, 1, // IPv4
//!     8, 0, 0xf7, 0xfd, 0, 1, 0, 1, // echo request
//! ];
//! let mut buffer = [0; 256];
//! buffer[64..92].copy_from_slice(&ping);
//! let mut packet = PacketBuf::new(&mut buffer, 64..92).unwrap();
//!
//! // What goes to the socket starts with the SPI ...
//! let outer = ours.encapsulate(&mut packet)?;
//! assert!(packet.payload().starts_with(&[0, 0, 0x10, 0]) && outer.dont_fragment);
//!
//! // ... and what comes from the other side's socket does too.
//! let received = ReceivedOuter { tos: Some(outer.tos), ttl: None };
//! assert_eq!(theirs.decapsulate(&mut packet, received)?, Delivered::Packet);
//! assert_eq!(packet.payload(), ping);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | job | outbound | inbound |
//! |---|---|---|
//! | one IP packet, the socket makes the outer headers | [`encapsulate`](OutboundSa::encapsulate) | [`decapsulate`](InboundSa::decapsulate) |
//! | one IP packet, all headers in the buffer | [`encapsulate_whole`](OutboundSa::encapsulate_whole) | [`decapsulate_whole`](InboundSa::decapsulate_whole) |
//! | many packets of one SA | [`prepare`](OutboundSa::prepare) each, then [`seal_batch`](OutboundSa::seal_batch) | [`open_batch`](InboundSa::open_batch), then [`deliver`](InboundSa::deliver) each |
//! | many packets of many SAs | [`prepare`](OutboundSa::prepare) each, then [`seal_batch()`] | [`open_batch()`], then [`deliver`](InboundSa::deliver) each |
//! | cryptography alone | [`seal`](OutboundSa::seal) | [`open`](InboundSa::open) |
//! | a packet that is none | [`encapsulate_dummy`](OutboundSa::encapsulate_dummy) | dropped by all of these |
//! | many small or large packets in few (RFC 9347) | [`AggfragSender`], [`encapsulate_payload`](OutboundSa::encapsulate_payload) | [`open_numbered`](InboundSa::open_numbered), [`AggfragReceiver`] |
//! | on several cores | [`reserve`](OutboundSa::reserve), then [`SealKey::seal_at`] | [`check`](InboundSa::check), [`OpenKey::open_at`], [`commit`](InboundSa::commit) |
//!
//! # AH
//!
//! An [`OutboundAh`] and an [`InboundAh`] are the same for AH, made from [`AhParams`]. The ICV of AH covers the outer
//! IP header too, so there are only whole packets, which start with that: [`OutboundAh::encapsulate_whole`] and
//! [`InboundAh::decapsulate_whole`]. Of Mobile IPv6, the home address option is not understood (RFC 6275 11.3.2).
//!
//! # Around the tunnel
//!
//! | what | |
//! |---|---|
//! | how long a packet may be | [`Overhead`] |
//! | cutting IPv4 packets that are longer | [`Fragmentation`] |
//! | telling senders of those that may not be cut | [`packet_too_big`] |
//! | hearing the same about packets of ours | [`received_too_big`], [`OutboundSa::has_sent`], [`PathMtu`] |
//! | keeping TCP from sending them | [`clamp_mss`] |
//! | putting outer fragments together, where no kernel does | [`Reassembler`] |
//! | ICMP errors from routers behind the tunnel | [`icmp_error_about`] |
//!
//! A tunnel's outer header is made as RFC 4301 5.1.2 says, by [`OuterPolicy`]. The inner header stays as it is. Its
//! time to live is part of that: whoever forwards a packet into the tunnel or out of it takes one off, as a kernel
//! does for packets from and to a TUN device, and whoever sends it does not (RFC 4301 5.1.2.1, note 2).
//!
//! # What is not here
//!
//! ESP in TCP, fragmentation of outer packets, wrapped ESP (RFC 5840), sending at a constant rate (the IP-TFS of RFC
//! 9347, with its congestion control), compression other than DEFLATE, multicast SAs, and the resynchronization of
//! extended sequence numbers after a loss of 2³² packets (RFC 4303 A3). Which SA a packet belongs to, and whether policy allows it, is for the security databases;
//! [`inner_flow`] reads what they want to know.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod aggfrag;
mod ah;
mod batch;
mod beet;
mod buffer;
mod checksum;
mod ecn;
mod error;
mod flow;
mod fragment;
mod icmp;
mod inbound;
mod ip;
mod ipcomp;
mod key;
mod mss;
mod nat;
mod outbound;
mod outer;
mod overhead;
mod params;
mod path_mtu;
mod reassembly;
mod replay;
mod sequence;
mod stats;
mod tfc;
mod usage;

pub use aggfrag::{
    AggfragCut, AggfragError, AggfragHeader, AggfragLimits, AggfragReceived, AggfragReceiver, AggfragSender,
    AggfragSent, AggfragSettings, CongestionInfo, QueueError,
};
pub use ah::{AhParams, InboundAh, MAX_COVERED_HEADERS, OutboundAh, ah_spi};
pub use batch::{Arrived, InboundSas, OutboundSas, Outgoing, open_batch, seal_batch};
pub use buffer::PacketBuf;
pub use ecn::{Ecn, EcnMode, decapsulate as decapsulate_ecn};
pub use error::{InboundRefusal, NextHeader, OpenError, OutboundRefusal, SealError};
pub use flow::{InnerFlow, inner_flow};
pub use fragment::{DontFragment, FragmentError, Fragmentation};
pub use icmp::{
    MAX_TOO_BIG, TooBig, TooBigError, icmp_error_about, is_icmp_error, packet_too_big, received_too_big,
    received_too_big_v6,
};
pub use inbound::{Delivered, InboundSa, ReceivedOuter};
pub use ip::{Family, IpError};
pub use ipcomp::{CompressionStats, Cpi, Ipcomp, IpcompError};
pub use key::{OpenKey, SealKey};
pub use mss::{clamp_mss, lower_mss};
pub use outbound::{OutboundSa, Prepared};
pub use outer::{OuterFields, OuterHeader};
pub use overhead::Overhead;
pub use params::{
    DfPolicy, DscpPolicy, EspParams, FlowLabelPolicy, InnerAddresses, Mode, NatChecksum, OuterPolicy,
    SetupError, UdpPorts,
};
pub use path_mtu::PathMtu;
pub use reassembly::{Reassembled, Reassembler, ReassemblyError, ReassemblyLimits, ReassemblyStats};
pub use replay::{ReplayError, ReplayWindow};
pub use stats::{InboundStats, OutboundStats};
pub use tfc::TfcPadding;
pub use usage::UsageLimit;
