//! The data path from the network: IKE messages and ESP packets.

use core::time::Duration;

use ikebana_core::datagram::{Carried, classify};
use ikebana_core::{Datagram, EspSpi, Instant, Path};
use ikebana_esp::{Delivered, PacketBuf, ReceivedOuter, inner_flow};
use ikebana_ike::ChildSignal;
use ikebana_sa_database::{InboundId, SaProtocol};

use super::Engine;
use super::event::{ArrivalFate, Arriving, DropCause, Port};
use super::install::inbound_flow;

/// How often the endpoint is told that a peer lives: enough for liveness, and little work.
const TELL_EVERY: Duration = Duration::from_secs(1);

impl Engine {
    /// Takes in datagrams from the network, and opens those that hold a packet in place. Each datagram's fate
    /// is written beside it. Transport mode needs room in front of each, for the IP header that it puts back: 40
    /// octets are enough.
    pub fn handle_datagrams(&mut self, now: Instant, batch: &mut [Arriving<'_>]) {
        self.advance_clock(now);
        for arriving in &mut *batch {
            arriving.fate = self.arrive(arriving);
            if let ArrivalFate::Dropped(cause) = arriving.fate {
                self.drops.count(cause);
            }
        }
        self.settle();
    }

    fn arrive(&mut self, arriving: &mut Arriving<'_>) -> ArrivalFate {
        let path = arriving.path;
        match arriving.port {
            Port::Ike => self.take_ike(path, false, arriving.packet.payload()),
            Port::Shared => match classify(arriving.packet.payload()) {
                Carried::Ike(octets) => self.take_ike(path, true, octets),
                Carried::Esp(spi, _) => self.take_esp(spi, Some(path), arriving),
                Carried::Keepalive => ArrivalFate::Dropped(DropCause::Idle),
                Carried::Unknown => ArrivalFate::Dropped(DropCause::NotIpsec),
            },
            Port::Esp => match classify(arriving.packet.payload()) {
                Carried::Esp(spi, _) => self.take_esp(spi, None, arriving),
                Carried::Ike(_) | Carried::Keepalive | Carried::Unknown => {
                    ArrivalFate::Dropped(DropCause::NotIpsec)
                }
            },
        }
    }

    fn take_ike(&mut self, path: Path, encapsulated: bool, octets: &[u8]) -> ArrivalFate {
        self.refresh_listeners();
        let datagram = Datagram { path, encapsulated, octets };
        let fate = match self.ike.handle_datagram(self.now, datagram) {
            Ok(()) => ArrivalFate::Consumed,
            Err(_) => ArrivalFate::Dropped(DropCause::Ike),
        };
        // The next datagram of the batch may belong to an SA that this one has made.
        self.settle();
        fate
    }

    /// Opens a packet, or keeps it for a moment if it is ahead of its SA.
    fn take_esp(&mut self, spi: EspSpi, udp: Option<Path>, arriving: &mut Arriving<'_>) -> ArrivalFate {
        let fate = self.open(spi, udp, arriving.tos, &mut arriving.packet);
        if fate == ArrivalFate::Dropped(DropCause::NoInboundSa) {
            return self.keep_early(spi, arriving, udp);
        }
        fate
    }

    /// Opens a packet. `udp` is the path of one that came in UDP.
    pub(super) fn open(
        &mut self,
        spi: EspSpi,
        udp: Option<Path>,
        tos: Option<u8>,
        packet: &mut PacketBuf<'_>,
    ) -> ArrivalFate {
        let Some(id) = self.database.inbound(SaProtocol::Esp, spi) else {
            return ArrivalFate::Dropped(DropCause::NoInboundSa);
        };
        let Some(object) = self.database.inbound_mut(id) else {
            return ArrivalFate::Dropped(DropCause::NoInboundSa);
        };
        let outer = ReceivedOuter { tos, ttl: None };
        let newest = object.sa.highest_sequence();
        let Ok(delivered) = object.sa.decapsulate(packet, outer) else {
            return ArrivalFate::Dropped(DropCause::NotOpened);
        };
        let newer = object.sa.highest_sequence() > newest;
        self.tell_endpoint(id, udp.filter(|_| newer));
        if delivered == Delivered::Dummy {
            return ArrivalFate::Dropped(DropCause::Idle);
        }
        let octets = u64::try_from(packet.len()).unwrap_or(u64::MAX);
        if self.database.account(self.now, id, 1, octets).is_err() {
            return ArrivalFate::Dropped(DropCause::Expired);
        }
        // RFC 4301 5.2: what comes out must be what this SA is for.
        let allowed = inner_flow(packet.payload())
            .is_ok_and(|flow| self.database.permits_inbound(id, &inbound_flow(flow)));
        if allowed { ArrivalFate::Deliver } else { ArrivalFate::Dropped(DropCause::WrongSelectors) }
    }

    /// An authenticated packet is a sign of life, and shows where the peer is.
    ///
    /// Only the newest packet does: one that was overtaken may come from where the peer no longer is. `newest`
    /// is its path, if it came in UDP; ports mean nothing elsewhere.
    fn tell_endpoint(&mut self, id: InboundId, newest: Option<Path>) {
        let now = self.now;
        let Some(object) = self.database.inbound_mut(id) else { return };
        let child = object.child;
        // Our end of the path stays, so a packet that came by another IP version shows nothing.
        let moved = newest.filter(|path| {
            object.in_udp
                && object.path.remote != path.remote
                && object.path.local.is_ipv4() == path.remote.is_ipv4()
        });
        let due = object.told.is_none_or(|told| now.saturating_since(told) >= TELL_EVERY);
        if due {
            object.told = Some(now);
            self.ike.handle_child_signal(now, child, ChildSignal::Traffic);
        }
        if let Some(path) = moved {
            self.ike.handle_child_signal(now, child, ChildSignal::PeerMoved(path.remote));
        }
    }
}
