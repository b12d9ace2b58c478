//! ESP and AH that are ahead of the SA they are for.
//!
//! Whoever answers a CREATE_CHILD_SA or IKE_AUTH request has keys before its answer has arrived here. Some use
//! them at once (RFC 7296 2.8 forbids it to the responder of a rekey, and libreswan does it all the same), and
//! any network may let the packets overtake the answer. They would be lost, and are kept for a moment instead.
//!
//! Nothing in them can be verified before there are keys, so what they can cost is bounded: they are kept only
//! if their SPI is one that we have offered and not installed yet, only from an address that a peer of ours is
//! at, and only so many octets for so long, all tunnels together. A stranger that cannot read our messages has
//! to guess 32 bits at random and forge its address besides. One that sees our packets learns an SPI from the
//! first of them, when the SA is about to be installed; it can fill the queue then, which costs the packets
//! that were lost without this queue, and nothing else. Opening verifies what was kept like any other packet.
//!
//! Packets of SAs that are installed never come here.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

use ikebana_core::{EspSpi, IkeSpi, Instant, Path, SecureRandom, SpiAllocator};
use ikebana_esp::PacketBuf;
use ikebana_sa_database::SaProtocol;

use super::Engine;
use super::event::{ArrivalFate, Arriving, DropCause, Output, Port};
use super::tunnel::{Activity, Tunnel};

/// As many packets are kept.
const MOST_PACKETS: usize = 64;
/// As many octets, in all of them.
const MOST_OCTETS: usize = 65_536;
/// For so long. An answer that is later than this was lost, and comes again much later.
const LONGEST: Duration = Duration::from_millis(500);
/// As many SPIs are remembered: more exchanges at a time need no such service.
const SPIS: usize = 64;
/// Room in front of a kept packet, for the header that transport mode puts back.
const ROOM: usize = 64;

/// The SPIs that were allocated last and are not installed yet. Those of exchanges that failed are forgotten
/// when newer ones need their places. Zero is no SPI of ESP's, and stands for a free place.
struct Offered([AtomicU32; SPIS]);

impl Offered {
    fn contains(&self, spi: EspSpi) -> bool {
        self.0.iter().any(|place| place.load(Ordering::Relaxed) == spi.get())
    }

    fn forget(&self, spi: EspSpi) {
        for place in &self.0 {
            let _ = place.compare_exchange(spi.get(), 0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

/// Takes down which SPIs the endpoint is given. The endpoint has it, and the engine reads what it wrote: that
/// is what the atomics are for, there is never more than one thread.
struct Recorder {
    inner: Box<dyn SpiAllocator>,
    offered: Arc<Offered>,
    next: usize,
}

impl SpiAllocator for Recorder {
    fn ike_spi(&mut self, rng: &mut dyn SecureRandom) -> IkeSpi {
        self.inner.ike_spi(rng)
    }

    fn esp_spi(&mut self, rng: &mut dyn SecureRandom) -> EspSpi {
        let spi = self.inner.esp_spi(rng);
        let places = &self.offered.0;
        let free = places.iter().position(|place| place.load(Ordering::Relaxed) == 0);
        let at = free.unwrap_or_else(|| {
            self.next = self.next.wrapping_add(1) % SPIS;
            self.next
        });
        if let Some(place) = places.get(at) {
            place.store(spi.get(), Ordering::Relaxed);
        }
        spi
    }
}

/// A packet without an SA.
struct Kept {
    spi: EspSpi,
    until: Instant,
    protocol: SaProtocol,
    /// Its path, if it came in UDP.
    udp: Option<Path>,
    tos: Option<u8>,
    octets: Vec<u8>,
}

/// ESP packets that wait for their SA.
pub(super) struct Early {
    offered: Arc<Offered>,
    /// The oldest first, which is also the first to expire.
    kept: VecDeque<Kept>,
    octets: usize,
}

impl Early {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        let offered = Arc::new(Offered([const { AtomicU32::new(0) }; SPIS]));
        Self { offered, kept: VecDeque::new(), octets: 0 }
    }

    /// An allocator that an endpoint is to be given in place of `spis`.
    pub(super) fn watch(&self, spis: Box<dyn SpiAllocator>) -> Box<dyn SpiAllocator> {
        Box::new(Recorder { inner: spis, offered: self.offered.clone(), next: 0 })
    }

    /// When the oldest packet has waited long enough.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.kept.front().map(|kept| kept.until)
    }

    fn push(&mut self, kept: Kept) -> bool {
        let octets = self.octets.saturating_add(kept.octets.len());
        if self.kept.len() >= MOST_PACKETS || octets > MOST_OCTETS {
            return false;
        }
        self.octets = octets;
        self.kept.push_back(kept);
        true
    }

    /// Takes out the packets for one SA.
    fn take(&mut self, spi: EspSpi) -> VecDeque<Kept> {
        let all = core::mem::take(&mut self.kept);
        let (taken, left): (VecDeque<_>, VecDeque<_>) = all.into_iter().partition(|kept| kept.spi == spi);
        self.kept = left;
        self.octets = self.kept.iter().map(|kept| kept.octets.len()).sum();
        taken
    }

    /// Gives up the oldest packet, if it has waited long enough.
    fn give_up(&mut self, now: Instant) -> bool {
        if self.kept.front().is_none_or(|oldest| oldest.until > now) {
            return false;
        }
        let old = self.kept.pop_front();
        self.octets = self.octets.saturating_sub(old.map_or(0, |old| old.octets.len()));
        true
    }
}

impl Engine {
    /// What becomes of an ESP packet that no SA is there for. `udp` is the path of one that came in UDP.
    pub(super) fn keep_early(
        &mut self,
        spi: EspSpi,
        arriving: &Arriving<'_>,
        udp: Option<Path>,
    ) -> ArrivalFate {
        if !self.early.offered.contains(spi) || !self.is_at_a_peer(arriving.path.remote.ip()) {
            return ArrivalFate::Dropped(DropCause::NoInboundSa);
        }
        self.give_up_early();
        let until = self.now + LONGEST;
        let octets = arriving.packet.payload().to_vec();
        let protocol = if arriving.port == Port::Ah { SaProtocol::Ah } else { SaProtocol::Esp };
        if self.early.push(Kept { spi, until, protocol, udp, tos: arriving.tos, octets }) {
            ArrivalFate::Consumed
        } else {
            ArrivalFate::Dropped(DropCause::TooEarly)
        }
    }

    /// Gives up what has waited long enough.
    pub(super) fn give_up_early(&mut self) {
        while self.early.give_up(self.now) {
            self.drops.count(DropCause::TooEarly);
        }
    }

    /// The SA with this SPI is there now: what has waited for it is opened.
    pub(super) fn open_early(&mut self, spi: EspSpi) {
        self.early.offered.forget(spi);
        self.give_up_early();
        if self.early.kept.is_empty() {
            return;
        }
        for kept in self.early.take(spi) {
            let mut buffer: Vec<u8> = vec![0; ROOM];
            buffer.extend_from_slice(&kept.octets);
            let end = buffer.len();
            let Some(mut packet) = PacketBuf::new(&mut buffer, ROOM..end) else { continue };
            let fate = match kept.protocol {
                SaProtocol::Esp => self.open(spi, kept.udp, kept.tos, &mut packet),
                SaProtocol::Ah => self.open_ah(spi, &mut packet),
            };
            match fate {
                ArrivalFate::Deliver => self.out.push_back(Output::Deliver(packet.payload().to_vec())),
                ArrivalFate::Dropped(cause) => self.drops.count(cause),
                ArrivalFate::Pending | ArrivalFate::Consumed => {}
            }
        }
    }

    /// Whether a peer that we negotiate with is at this address.
    fn is_at_a_peer(&self, address: IpAddr) -> bool {
        let is_here = |tunnel: &Tunnel| {
            let wanted = tunnel.config.remote.filter(|_| matches!(tunnel.activity, Activity::Connecting(_)));
            let paths = tunnel.ikes.keys().filter_map(|ike| self.ike.path(*ike));
            paths.map(|path| path.remote).chain(wanted).any(|remote| remote.ip() == address)
        };
        self.tunnels.values().any(is_here)
    }
}
