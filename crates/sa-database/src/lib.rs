//! The IPsec databases of RFC 4301, as one value without sockets, threads or a clock.
//!
//! * The **SPD** is an ordered list of [`Policy`]: what is to be protected, let through or discarded.
//! * The **SAD** holds inbound SAs, found by SPI, and outbound SAs, found through the policy that asks for
//!   them. It counts what they protect and tells when a limit of their [`Lifetime`](ikebana_core::Lifetime) is
//!   reached.
//! * The **PAD**, [`PeerAuthorizations`], says which peer may claim which identity and which traffic. It
//!   concerns the key exchange and stands for itself.
//!
//! [`SaDatabase<I, O>`](SaDatabase) is generic over the caller's data-path objects: `I` opens the packets of
//! an inbound SA, `O` seals those of an outbound SA. It knows nothing of keys.
//!
//! # The loop
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use ikebana_core::{EspSpi, Flow, Instant, Lifetime};
//! use ikebana_sa_database::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut rng = ikebana_testkit::SeededRng::new(1); // in production, the operating system's
//! let mut database: SaDatabase<&str> = SaDatabase::new(&mut rng, DatabaseConfig::default());
//! let tunnel = TunnelId(7);
//! let selectors = Arc::new(Selectors::new("10.1.0.0/16".parse()?, "10.2.0.0/16".parse()?));
//! database.add_policy(Policy {
//!     name: "office".into(),
//!     priority: 100,
//!     selectors: Arc::clone(&selectors),
//!     action: Action::Protect { tunnel, on_demand: true },
//! });
//!
//! // A packet wants out, and there is no SA for it yet: negotiate one.
//! let now = Instant::ZERO;
//! let ping = Flow {
//!     local: "10.1.0.1".parse()?, remote: "10.2.0.1".parse()?, protocol: 1,
//!     local_port: Some(0x0800), remote_port: Some(0x0800),
//! };
//! assert!(matches!(database.outbound(now, &ping), Decision::Acquire { first: true, .. }));
//! assert!(matches!(database.outbound(now, &ping), Decision::Acquire { first: false, .. }));
//! assert!(matches!(database.poll_event(), Some(Event::Acquire { flow, .. }) if flow == ping));
//! assert_eq!(database.poll_event(), None);
//!
//! // The key exchange has made a pair of SAs.
//! let description = |spi| SaDescription {
//!     tunnel,
//!     protocol: SaProtocol::Esp,
//!     spi: EspSpi::new(spi).expect("not a reserved SPI"),
//!     selectors: Arc::clone(&selectors),
//!     lifetime: Lifetime::by_time(Duration::from_secs(3_600)),
//! };
//! let inbound = database.install_inbound(now, description(0x1000), "opens")?;
//! let outbound = database.install_outbound(now, description(0x2000), "seals");
//!
//! // Outbound: decide, account, seal.
//! assert_eq!(database.outbound(now, &ping), Decision::Protect(outbound));
//! database.account(now, outbound, 1, 84)?;
//! assert_eq!(database.outbound_mut(outbound), Some(&mut "seals"));
//!
//! // Inbound: find the SA, open, check that the inner packet is one it may carry, account.
//! let found = database.inbound(SaProtocol::Esp, description(0x1000).spi);
//! assert_eq!(found, Some(inbound));
//! assert!(database.permits_inbound(inbound, &ping));
//! database.account(now, inbound, 1, 84)?;
//!
//! // An hour later a limit asks for a replacement, and a little after that the SA has ended.
//! while let Some(deadline) = database.poll_timeout() {
//!     database.handle_timeout(deadline);
//! }
//! let events: Vec<_> = std::iter::from_fn(|| database.poll_event()).collect();
//! assert!(matches!(events[0], Event::SoftExpired { limit: Limit::Time, .. }));
//! assert!(events.iter().any(|event| matches!(event, Event::HardExpired { .. })));
//! assert_eq!(database.inbound(SaProtocol::Esp, description(0x1000).spi), None);
//! assert_eq!(database.remove_tunnel(tunnel).outbound.len(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! # What decides
//!
//! The policy with the lowest priority number whose selectors match the packet decides, the one added first
//! among equals (RFC 4301 4.4.1). Among the usable outbound SAs of the tunnel that a policy names, the newest
//! that covers the packet is used, so a rekey switches over by installing the new SA and goes on losing nothing
//! when the old one is removed. The tests hold every decision against a plain scan of ordered lists.
//!
//! # Cost
//!
//! An inbound lookup reads one cache line, and now and then the next one.
//!
//! An outbound one is a probe of a cache of recent flows. On a miss, the policies are divided along each coordinate
//! of a flow (addresses, ports, protocol), and of each the set of policies is looked up that it leaves possible; the
//! first one in all of these sets decides. Apart from what the processor's caches miss, that takes about as long for
//! ten thousand policies as for ten, also where they differ in their ports only, or lie one within the other, and
//! whatever flows a sender thinks of: for *n* policies at most *n*/64 steps of a few instructions, of which nearly
//! all are skipped. A range of addresses or ports takes 420 octets at most. A policy that is added makes some of the
//! structure anew, which comes to some ten microseconds on average. Up to sixteen policies are simply tried one after
//! the other.
//!
//! All hashes are under a secret, so nobody outside can choose what collides. Nothing is allocated per packet,
//! except by the first packet of an acquire.
//!
//! # Not here
//!
//! Keys, replay windows and sequence numbers (the data-path object's), the exemption of the key exchange's own
//! packets (they do not pass here), populating selectors from the packet (RFC 4301's PFP flags: the key
//! exchange narrows instead), and the mandatory-access labels of RFC 9478.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod acquire;
mod cache;
mod database;
mod event;
mod hash;
mod index;
mod pad;
mod policy;
mod sa;
mod spi_table;

pub use database::{DatabaseConfig, Removed, SaDatabase, Unmatched};
pub use event::{Decision, DiscardReason, Event, Limit};
pub use pad::{PeerAuthorization, PeerAuthorizations};
pub use policy::{Action, Policy, PolicyId, Selectors, TunnelId};
pub use sa::{
    InboundId, InstallError, NotUsable, OutboundId, SaDescription, SaId, SaInfo, SaProtocol, SaState, Usage,
};
