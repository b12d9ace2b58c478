//! The data path from the network: IKE messages, packets with ESP and packets with AH.

use core::time::Duration;

use arrayvec::ArrayVec;
use ikebana_core::datagram::{Carried, classify};
use ikebana_core::selector::protocol;
use ikebana_core::{Datagram, EspSpi, Instant, Path};
use ikebana_esp::{
    Arrived, Delivered, InboundRefusal, InboundSa, InboundSas, InnerFlow, NextHeader, PacketBuf,
    ReceivedOuter, ah_spi, icmp_error_about, inner_flow, open_batch,
};
use ikebana_ike::ChildSignal;
use ikebana_sa_database::{InboundId, SaDatabase, SaProtocol};

use super::Engine;
use super::event::{ArrivalFate, Arriving, DropCause, Output, Port};
use super::install::{InboundObject, OutboundObject, inbound_flow};
use super::protection::Inbound;

/// Room for the longest packet that can come out of a compressed one, with an IP header in front of it.
const DECOMPRESSED: usize = HEADROOM + 65_535;
const HEADROOM: usize = 64;

/// How often the endpoint is told that a peer lives: enough for liveness, and little work.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Packets that are opened together.
const BATCH: usize = 32;

/// Packets that wait for the rest of their batch, each with its place in the caller's.
#[derive(Default)]
struct Staged<'a> {
    jobs: ArrayVec<Arrived<'a, InboundId>, BATCH>,
    places: ArrayVec<usize, BATCH>,
}

/// The database, as a batch wants its SAs.
struct InboundTable<'a>(&'a mut SaDatabase<InboundObject, OutboundObject>);

impl InboundSas for InboundTable<'_> {
    type Id = InboundId;
    fn inbound_sa(&self, id: InboundId) -> Option<&InboundSa> {
        self.0.inbound_ref(id).and_then(|object| object.sa.esp())
    }
    fn inbound_sa_mut(&mut self, id: InboundId) -> Option<&mut InboundSa> {
        self.0.inbound_mut(id).and_then(|object| object.sa.esp_mut())
    }
}

/// Who is to have a datagram.
enum Door {
    Ike,
    Esp(EspSpi),
    Ah(EspSpi),
    None(DropCause),
}

fn sort(arriving: &Arriving<'_>) -> Door {
    if arriving.port == Port::Ike {
        return Door::Ike;
    }
    if arriving.port == Port::Ah {
        return ah_spi(arriving.packet.payload()).map_or(Door::None(DropCause::NotIpsec), Door::Ah);
    }
    match classify(arriving.packet.payload()) {
        Carried::Esp(spi, _) => Door::Esp(spi),
        Carried::Ike(_) if arriving.port == Port::Shared => Door::Ike,
        Carried::Keepalive if arriving.port == Port::Shared => Door::None(DropCause::Idle),
        Carried::Ike(_) | Carried::Keepalive | Carried::Unknown => Door::None(DropCause::NotIpsec),
    }
}

/// The path of a datagram that came in UDP; ports mean nothing elsewhere.
fn udp_path(arriving: &Arriving<'_>) -> Option<Path> {
    matches!(arriving.port, Port::Ike | Port::Shared).then_some(arriving.path)
}

impl Engine {
    /// Takes in datagrams from the network, and opens those that hold a packet in place. Each datagram's fate
    /// is written beside it. Transport mode needs room in front of each, for the IP header that it puts back: 40
    /// octets are enough.
    ///
    /// The more datagrams in one call the better: their packets are opened together, whichever tunnels they
    /// belong to.
    pub fn handle_datagrams(&mut self, now: Instant, batch: &mut [Arriving<'_>]) {
        self.advance_clock(now);
        let mut staged = Staged::default();
        for place in 0..batch.len() {
            let Some(arriving) = batch.get_mut(place) else { continue };
            match sort(arriving) {
                Door::Ike => {
                    // What came before it is done before it.
                    self.open_staged(&mut staged, batch);
                    if let Some(arriving) = batch.get_mut(place) {
                        arriving.fate = self.take_ike(arriving);
                    }
                }
                Door::Esp(spi) => match self.database.inbound(SaProtocol::Esp, spi) {
                    Some(id) => {
                        let packet = core::mem::replace(&mut arriving.packet, PacketBuf::full(&mut []));
                        staged.jobs.push(Arrived::of(id, packet));
                        staged.places.push(place);
                        if staged.jobs.is_full() {
                            self.open_staged(&mut staged, batch);
                        }
                    }
                    None => arriving.fate = self.without_sa(spi, arriving),
                },
                Door::Ah(spi) => {
                    arriving.fate = self.open_ah(spi, &mut arriving.packet);
                    if arriving.fate == ArrivalFate::Dropped(DropCause::NoInboundSa) {
                        arriving.fate = self.keep_early(spi, arriving, None);
                    }
                }
                Door::None(cause) => arriving.fate = ArrivalFate::Dropped(cause),
            }
        }
        self.open_staged(&mut staged, batch);
        for arriving in batch {
            if let ArrivalFate::Dropped(cause) = arriving.fate {
                self.drops.count(cause);
            }
        }
        self.settle();
    }

    fn take_ike(&mut self, arriving: &Arriving<'_>) -> ArrivalFate {
        self.refresh_listeners();
        let payload = arriving.packet.payload();
        let (encapsulated, octets) = match (arriving.port, classify(payload)) {
            (Port::Shared, Carried::Ike(octets)) => (true, octets),
            (Port::Shared | Port::Ike | Port::Esp | Port::Ah, _) => (false, payload),
        };
        let datagram = Datagram { path: arriving.path, encapsulated, octets };
        let fate = match self.ike.handle_datagram(self.now, datagram) {
            Ok(()) => ArrivalFate::Consumed,
            Err(_) => ArrivalFate::Dropped(DropCause::Ike),
        };
        // The next datagram of the batch may belong to an SA that this one has made.
        self.settle();
        fate
    }

    /// Opens what waits for the rest of its batch.
    fn open_staged<'a>(&mut self, staged: &mut Staged<'a>, batch: &mut [Arriving<'a>]) {
        open_batch(&mut InboundTable(&mut self.database), &mut staged.jobs);
        for (mut job, place) in staged.jobs.drain(..).zip(staged.places.drain(..)) {
            let Some(arriving) = batch.get_mut(place) else { continue };
            arriving.fate = self.opened(&mut job, udp_path(arriving), arriving.tos);
            arriving.packet = job.packet;
        }
    }

    /// Opens one packet. `udp` is the path of one that came in UDP.
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
        let mut job = [Arrived::of(id, core::mem::replace(packet, PacketBuf::full(&mut [])))];
        open_batch(&mut InboundTable(&mut self.database), &mut job);
        let [mut job] = job;
        let fate = self.opened(&mut job, udp, tos);
        *packet = job.packet;
        fate
    }

    /// What becomes of a packet that was opened, or could not be.
    fn opened(
        &mut self,
        job: &mut Arrived<'_, InboundId>,
        udp: Option<Path>,
        tos: Option<u8>,
    ) -> ArrivalFate {
        let (id, packet) = (job.sa, &mut job.packet);
        let Some(object) = self.database.inbound_mut(id) else {
            return ArrivalFate::Dropped(DropCause::NoInboundSa);
        };
        let Ok(next) = job.result else { return ArrivalFate::Dropped(DropCause::NotOpened) };
        let Some(sa) = object.sa.esp() else { return ArrivalFate::Dropped(DropCause::NotOpened) };
        let newest = job.sequence == sa.highest_sequence();
        let compressed = next == NextHeader::IPCOMP && sa.decompresses();
        self.tell_endpoint(id, udp.filter(|_| newest));
        if compressed {
            self.deliver_elsewhere(id, packet, next, tos)
        } else {
            self.deliver(id, packet, next, tos)
        }
    }

    /// Makes a compressed payload a packet to deliver, in a buffer of our own that has room for it, and puts it where
    /// the payload was, if it fits.
    fn deliver_elsewhere(
        &mut self,
        id: InboundId,
        packet: &mut PacketBuf<'_>,
        next: NextHeader,
        tos: Option<u8>,
    ) -> ArrivalFate {
        let mut bytes = core::mem::take(&mut self.decompressed);
        // Once: the longest packet, and an IP header in front.
        bytes.resize(DECOMPRESSED, 0);
        let range = HEADROOM..HEADROOM.saturating_add(packet.len());
        let fate = match PacketBuf::new(&mut bytes, range) {
            Some(mut roomy) => {
                roomy.payload_mut().copy_from_slice(packet.payload());
                match self.deliver(id, &mut roomy, next, tos) {
                    ArrivalFate::Deliver => self.put_back(roomy.payload(), packet),
                    fate @ (ArrivalFate::Pending | ArrivalFate::Consumed | ArrivalFate::Dropped(_)) => fate,
                }
            }
            None => ArrivalFate::Dropped(DropCause::NotOpened),
        };
        self.decompressed = bytes;
        fate
    }

    /// Packets that do not fit leave by the queue.
    fn put_back(&mut self, opened: &[u8], packet: &mut PacketBuf<'_>) -> ArrivalFate {
        packet.truncate(0);
        match packet.grow_back(opened.len()) {
            Some(octets) => {
                octets.copy_from_slice(opened);
                ArrivalFate::Deliver
            }
            None => {
                self.out.push_back(Output::Deliver(opened.to_vec()));
                ArrivalFate::Consumed
            }
        }
    }

    /// Makes an opened payload a packet to deliver, if that is allowed.
    fn deliver(
        &mut self,
        id: InboundId,
        packet: &mut PacketBuf<'_>,
        next: NextHeader,
        tos: Option<u8>,
    ) -> ArrivalFate {
        let Some(object) = self.database.inbound_mut(id) else {
            return ArrivalFate::Dropped(DropCause::NoInboundSa);
        };
        let Some(sa) = object.sa.esp_mut() else { return ArrivalFate::Dropped(DropCause::NotOpened) };
        match sa.deliver(packet, next, ReceivedOuter { tos, ttl: None }) {
            Ok(Delivered::Packet) => {}
            Ok(Delivered::Dummy) => return ArrivalFate::Dropped(DropCause::Idle),
            Err(_) => return ArrivalFate::Dropped(DropCause::NotOpened),
        }
        self.permit(id, packet)
    }

    /// Verifies a packet with AH, which is whole: it starts with its outer header.
    pub(super) fn open_ah(&mut self, spi: EspSpi, packet: &mut PacketBuf<'_>) -> ArrivalFate {
        let Some(id) = self.database.inbound(SaProtocol::Ah, spi) else {
            return match self.database.inbound_expired(SaProtocol::Ah, spi) {
                Some(ended) => self.refuse_arrived(ended, InboundRefusal::Expired),
                None => ArrivalFate::Dropped(DropCause::NoInboundSa),
            };
        };
        let Some(Inbound::Ah(sa)) = self.database.inbound_mut(id).map(|object| &mut object.sa) else {
            return ArrivalFate::Dropped(DropCause::NoInboundSa);
        };
        if sa.decapsulate_whole(packet).is_err() {
            return ArrivalFate::Dropped(DropCause::NotOpened);
        }
        self.tell_endpoint(id, None);
        self.permit(id, packet)
    }

    /// Counts a genuine packet against its SA's lifetime, and lets it pass if the SA may carry it.
    fn permit(&mut self, id: InboundId, packet: &mut PacketBuf<'_>) -> ArrivalFate {
        let octets = u64::try_from(packet.len()).unwrap_or(u64::MAX);
        if self.database.account(self.now, id, 1, octets).is_err() {
            return self.refuse_arrived(id, InboundRefusal::Expired);
        }
        // RFC 4301 5.2: what comes out must be what this SA is for.
        let Ok(flow) = inner_flow(packet.payload()) else {
            return self.refuse_arrived(id, InboundRefusal::Selectors);
        };
        let allowed = self.database.permits_inbound(id, &inbound_flow(flow));
        if !allowed && !self.permits_by_quote(id, packet.payload(), &flow) {
            return self.refuse_arrived(id, InboundRefusal::Selectors);
        }
        if let Some(object) = self.database.inbound_ref(id) {
            object.mss.apply(packet.payload_mut(), &flow, object.answer_mtu);
        }
        ArrivalFate::Deliver
    }

    /// RFC 4301 6.2: an ICMP error from a router that the SA is not for may pass if the SA is for the packets that
    /// it is about, in the other direction.
    fn permits_by_quote(&self, id: InboundId, packet: &[u8], flow: &InnerFlow) -> bool {
        matches!(flow.protocol, protocol::ICMP | protocol::ICMPV6)
            && icmp_error_about(packet)
                .is_some_and(|about| self.database.permits_inbound(id, &about.outbound()))
    }

    /// What becomes of a packet whose SPI no usable SA has: that one has ended, or is to come.
    fn without_sa(&mut self, spi: EspSpi, arriving: &Arriving<'_>) -> ArrivalFate {
        match self.database.inbound_expired(SaProtocol::Esp, spi) {
            Some(ended) => self.refuse_arrived(ended, InboundRefusal::Expired),
            None => self.keep_early(spi, arriving, udp_path(arriving)),
        }
    }

    /// Drops a packet that its SA has no objection to, and notes it in that SA's counters too.
    fn refuse_arrived(&mut self, id: InboundId, refusal: InboundRefusal) -> ArrivalFate {
        if let Some(object) = self.database.inbound_mut(id) {
            object.sa.refuse(refusal);
        }
        ArrivalFate::Dropped(match refusal {
            InboundRefusal::Selectors => DropCause::WrongSelectors,
            InboundRefusal::Expired => DropCause::Expired,
        })
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
