//! The data path from the inner side: IP packets to protect.

use alloc::vec;
use alloc::vec::Vec;

use arrayvec::ArrayVec;
use ikebana_core::Instant;
use ikebana_core::selector::protocol;
use ikebana_esp::{
    InnerFlow, OutboundAh, OutboundRefusal, OutboundSa, OutboundSas, OuterFields, Outgoing, PacketBuf,
    Prepared, SealError, TfcPadding, icmp_error_about, inner_flow, seal_batch,
};
use ikebana_sa_database::{Decision, DiscardReason, OutboundId, SaDatabase};

use super::event::{DropCause, Leaving, LeavingFate, Output, Sending};
use super::install::{InboundObject, OutboundObject};
use super::protection::Outbound;
use super::sizes::{Fit, Spare};
use super::tunnel::Activity;
use super::{Engine, TunnelId};

/// Room in front of and behind a packet that has waited.
const ROOM: usize = 128;

/// Packets longer than this do not wait.
const LONGEST_WAITING: usize = 9_216;

/// Packets that are sealed together.
const BATCH: usize = 32;

/// What is to happen to a packet from the inner side.
enum Admission {
    Decided(LeavingFate),
    Seal(Admitted),
}

/// A packet that is ready to be sealed.
struct Admitted {
    id: OutboundId,
    prepared: Prepared,
    carried_in_fragments: bool,
}

/// Packets that wait for the rest of their batch, each with its place in the caller's.
#[derive(Default)]
struct Staged<'a> {
    jobs: ArrayVec<Outgoing<'a, OutboundId>, BATCH>,
    places: ArrayVec<(usize, Admitted), BATCH>,
}

/// The database, as a batch wants its SAs.
struct OutboundTable<'a>(&'a mut SaDatabase<InboundObject, OutboundObject>);

impl OutboundSas for OutboundTable<'_> {
    type Id = OutboundId;
    fn outbound_sa(&self, id: OutboundId) -> Option<&OutboundSa> {
        self.0.outbound_ref(id).and_then(|object| object.sa.esp())
    }
    fn outbound_sa_mut(&mut self, id: OutboundId) -> Option<&mut OutboundSa> {
        self.0.outbound_mut(id).and_then(|object| object.sa.esp_mut())
    }
}

impl Engine {
    /// Takes in IP packets from the inner side, and seals them in place. Each packet's fate is written beside
    /// it. Buffers need the room that sealing takes: [`Overhead::headroom`](ikebana_esp::Overhead::headroom) in
    /// front and [`Overhead::tailroom`](ikebana_esp::Overhead::tailroom) behind; 64 octets each are enough for
    /// every suite. Where packets are padded ([`TunnelConfig::tfc`](super::TunnelConfig::tfc)), they need room for
    /// as much as the path's MTU, too.
    ///
    /// The more packets in one call the better: they are sealed together, whichever tunnels they belong to.
    ///
    /// A packet that is cut into fragments ([`FragmentPolicy::Before`](crate::FragmentPolicy::Before)) is its first
    /// one afterwards. The others come out of [`poll_output`](Self::poll_output) as [`Output::Send`], for which each
    /// is copied; [`handle_packets_with`](Self::handle_packets_with) has places for them.
    pub fn handle_packets(&mut self, now: Instant, batch: &mut [Leaving<'_>]) {
        self.handle_packets_with(now, batch, &mut []);
    }

    /// The same with places for fragments, so that they are not copied twice and nothing is allocated for them. Each
    /// place is a buffer with room around an empty packet: as much in front and behind as other packets have, and
    /// as much between as fits the path. They are used in their order, whatever packet the fragment is from, and
    /// those that were not needed stay [`LeavingFate::Pending`]. If there are too few, the fragments that are left
    /// come out of [`poll_output`](Self::poll_output).
    pub fn handle_packets_with(
        &mut self,
        now: Instant,
        batch: &mut [Leaving<'_>],
        places: &mut [Leaving<'_>],
    ) {
        self.advance_clock(now);
        let mut spare = self.spare(places);
        let mut staged = Staged::default();
        for chunk in batch.chunks_mut(BATCH) {
            for (place, leaving) in chunk.iter_mut().enumerate() {
                match self.admit(&mut leaving.packet, &mut spare) {
                    Admission::Decided(fate) => leaving.fate = fate,
                    Admission::Seal(how) => {
                        let packet = core::mem::replace(&mut leaving.packet, PacketBuf::full(&mut []));
                        staged.jobs.push(Outgoing::of(how.id, packet, how.prepared.next));
                        staged.places.push((place, how));
                    }
                }
            }
            seal_batch(&mut OutboundTable(&mut self.database), &mut staged.jobs);
            for (job, (place, how)) in staged.jobs.drain(..).zip(staged.places.drain(..)) {
                let Some(leaving) = chunk.get_mut(place) else { continue };
                leaving.packet = job.packet;
                leaving.fate = self.sealed(&how, job.result.map(|()| how.prepared.outer));
            }
            for leaving in chunk {
                if let LeavingFate::Dropped(cause) = leaving.fate {
                    self.drops.count(cause);
                }
            }
        }
        self.send_later(spare);
        self.settle();
    }

    /// Sends one packet on its way.
    fn leave(&mut self, packet: &mut PacketBuf<'_>, spare: &mut Spare<'_, '_>) -> LeavingFate {
        match self.admit(packet, spare) {
            Admission::Decided(fate) => fate,
            Admission::Seal(how) => self.seal(how, packet),
        }
    }

    /// Seals one packet by itself.
    fn seal(&mut self, how: Admitted, packet: &mut PacketBuf<'_>) -> LeavingFate {
        let sa = self.database.outbound_mut(how.id).and_then(|object| object.sa.esp_mut());
        let result = sa.ok_or(SealError::NoSa).and_then(|sa| sa.seal(packet, how.prepared.next));
        self.sealed(&how, result.map(|()| how.prepared.outer))
    }

    /// Seals a fragment, which the SA takes because it takes the whole packet.
    pub(super) fn seal_fragment(&mut self, id: OutboundId, packet: &mut PacketBuf<'_>) -> LeavingFate {
        match self.ready(id, packet, false) {
            Ok(Admission::Seal(how)) => self.seal(how, packet),
            Ok(Admission::Decided(fate)) => fate,
            Err(cause) => LeavingFate::Dropped(cause),
        }
    }

    /// Decides what is to happen to a packet, and makes one that is to be protected ready for that.
    fn admit(&mut self, packet: &mut PacketBuf<'_>, spare: &mut Spare<'_, '_>) -> Admission {
        let Ok(flow) = inner_flow(packet.payload()) else {
            return Admission::Decided(LeavingFate::Dropped(DropCause::NotIp));
        };
        let decision = match self.database.outbound(self.now, &flow.outbound()) {
            Decision::Discard(DiscardReason::NoPolicy) => {
                let by_quote = self.by_quote(packet.payload(), &flow);
                by_quote.map_or(Decision::Discard(DiscardReason::NoPolicy), Decision::Protect)
            }
            decision @ (Decision::Protect(_)
            | Decision::Bypass
            | Decision::Discard(
                DiscardReason::Policy | DiscardReason::MustBeProtected | DiscardReason::NoSa,
            )
            | Decision::Acquire { .. }) => decision,
        };
        let fate = match decision {
            Decision::Protect(id) => match self.prepare(id, packet, &flow, spare) {
                Ok(admission) => return admission,
                Err(cause) => LeavingFate::Dropped(cause),
            },
            Decision::Bypass => LeavingFate::Clear,
            Decision::Discard(reason) => LeavingFate::Dropped(match reason {
                DiscardReason::Policy | DiscardReason::MustBeProtected => DropCause::Policy,
                DiscardReason::NoPolicy => DropCause::NoPolicy,
                DiscardReason::NoSa => DropCause::TunnelDown,
            }),
            Decision::Acquire { tunnel, first, .. } => self.keep(TunnelId(tunnel.0), packet.payload(), first),
        };
        Admission::Decided(fate)
    }

    /// The SA of an ICMP error for which there is no policy: the one that carries the answers to the packet that the
    /// error is about (RFC 4301 6.2). It is not asked for if it is not there.
    fn by_quote(&self, packet: &[u8], flow: &InnerFlow) -> Option<OutboundId> {
        if !matches!(flow.protocol, protocol::ICMP | protocol::ICMPV6) {
            return None;
        }
        self.database.outbound_present(&icmp_error_about(packet)?.inbound())
    }

    /// Makes a packet fit and ready to be sealed.
    fn prepare(
        &mut self,
        id: OutboundId,
        packet: &mut PacketBuf<'_>,
        flow: &InnerFlow,
        spare: &mut Spare<'_, '_>,
    ) -> Result<Admission, DropCause> {
        let object = self.database.outbound_ref(id).ok_or(DropCause::TunnelDown)?;
        let (mtu, mss) = (object.inner_mtu, object.sizes.mss);
        let carried_in_fragments = match Self::fit(object, packet.payload(), flow, self.identification) {
            Fit::Whole => false,
            Fit::Outside => true,
            Fit::Cut(plan) => {
                self.cut(id, packet, &plan, spare);
                false
            }
            Fit::TooBig => {
                self.tell_too_big(packet.payload(), flow, mtu);
                self.refuse_leaving(id, OutboundRefusal::TooBig);
                return Err(DropCause::TooBig);
            }
        };
        mss.apply(packet.payload_mut(), flow, mtu);
        self.ready(id, packet, carried_in_fragments)
    }

    /// Counts a packet against its SA's lifetime and makes it ready to be sealed by ESP. AH seals one packet at a
    /// time, so with AH it is sealed then.
    fn ready(
        &mut self,
        id: OutboundId,
        packet: &mut PacketBuf<'_>,
        carried_in_fragments: bool,
    ) -> Result<Admission, DropCause> {
        let object = self.database.outbound_ref(id).ok_or(DropCause::TunnelDown)?;
        // What the cipher will see counts, padding included: its limits are about that.
        let length = object.sa.esp().map_or(packet.len(), |sa| sa.padded_len(packet.len()));
        let octets = u64::try_from(length).unwrap_or(u64::MAX);
        if self.database.account(self.now, id, 1, octets).is_err() {
            self.refuse_leaving(id, OutboundRefusal::Expired);
            return Err(DropCause::Expired);
        }
        let object = self.database.outbound_mut(id).ok_or(DropCause::TunnelDown)?;
        let sealed = match &mut object.sa {
            Outbound::Esp(sa) => {
                let prepared = sa.prepare(packet).map_err(|_| DropCause::NotSealed)?;
                return Ok(Admission::Seal(Admitted { id, prepared, carried_in_fragments }));
            }
            Outbound::Ah(sa) => protect(sa, packet),
        };
        Ok(Admission::Decided(self.fate_of(id, carried_in_fragments, sealed)))
    }

    /// The fate of a packet of a batch.
    fn sealed(&mut self, how: &Admitted, result: Result<OuterFields, SealError>) -> LeavingFate {
        self.fate_of(how.id, how.carried_in_fragments, result)
    }

    /// What becomes of a packet that was sealed, or could not be.
    fn fate_of(
        &mut self,
        id: OutboundId,
        carried_in_fragments: bool,
        result: Result<OuterFields, SealError>,
    ) -> LeavingFate {
        let Some(object) = self.database.outbound_ref(id) else {
            return LeavingFate::Dropped(DropCause::TunnelDown);
        };
        match result {
            Ok(outer) => LeavingFate::Send(Sending {
                path: object.path,
                port: object.port(),
                tos: outer.tos,
                dont_fragment: outer.dont_fragment && !carried_in_fragments,
            }),
            Err(SealError::SequenceExhausted | SealError::UsageExhausted) => {
                let child = object.child;
                self.ike.handle_child_signal(self.now, child, ikebana_ike::ChildSignal::HardExpired);
                LeavingFate::Dropped(DropCause::Expired)
            }
            Err(_) => LeavingFate::Dropped(DropCause::NotSealed),
        }
    }

    /// Notes a dropped packet in the counters of the SA that was to seal it.
    fn refuse_leaving(&mut self, id: OutboundId, refusal: OutboundRefusal) {
        if let Some(object) = self.database.outbound_mut(id) {
            object.sa.refuse(refusal);
        }
    }

    /// Keeps a copy of a packet until its tunnel is up. `first` says that it makes the database ask for an SA,
    /// which it does not for every packet.
    fn keep(&mut self, id: TunnelId, packet: &[u8], first: bool) -> LeavingFate {
        let limit = self.config.waiting_packets;
        let Some(tunnel) = self.tunnels.get_mut(&id) else {
            return LeavingFate::Dropped(DropCause::TunnelDown);
        };
        let hopeful = match tunnel.activity {
            Activity::Connecting(_) | Activity::Up => true,
            // Between two requests of the database for an SA nothing is under way.
            Activity::Idle => tunnel.comes_up_on_traffic() && (first || !tunnel.waiting.is_empty()),
            Activity::Waiting(_) => false,
        };
        if !hopeful {
            return LeavingFate::Dropped(DropCause::TunnelDown);
        }
        if tunnel.waiting.len() >= limit || packet.len() > LONGEST_WAITING {
            return LeavingFate::Dropped(DropCause::QueueFull);
        }
        tunnel.waiting.push_back(packet.to_vec());
        LeavingFate::Waiting
    }

    /// The tunnel is up: what has waited leaves now.
    pub(super) fn release_waiting(&mut self, id: TunnelId) {
        let Some(tunnel) = self.tunnels.get_mut(&id) else { return };
        let waiting = core::mem::take(&mut tunnel.waiting);
        let padding = match tunnel.config.tfc {
            TfcPadding::None => 0,
            TfcPadding::Size(_) | TfcPadding::Multiple(_) | TfcPadding::PathMtu => tunnel.config.path_mtu,
        };
        let room = padding.saturating_add(2 * ROOM);
        let mut spare = self.spare(&mut []);
        for packet in waiting {
            let mut buffer: Vec<u8> = vec![0; packet.len().saturating_add(room)];
            let end = ROOM.saturating_add(packet.len());
            let Some(slot) = buffer.get_mut(ROOM..end) else { continue };
            slot.copy_from_slice(&packet);
            let Some(mut packet) = PacketBuf::new(&mut buffer, ROOM..end) else { continue };
            match self.leave(&mut packet, &mut spare) {
                LeavingFate::Send(how) => {
                    let octets = packet.payload().to_vec();
                    self.out.push_back(Output::Send { how, octets });
                }
                LeavingFate::Dropped(cause) => self.drops.count(cause),
                // No policy that was added since lets it pass in clear unasked.
                LeavingFate::Clear => self.drops.count(DropCause::Policy),
                LeavingFate::Pending | LeavingFate::Waiting => {}
            }
        }
        self.send_later(spare);
    }
}

/// Makes a packet a whole one with AH in it.
fn protect(sa: &mut OutboundAh, packet: &mut PacketBuf<'_>) -> Result<OuterFields, SealError> {
    // Never 0, which a raw socket replaces by a number of its own; the ICV covers it.
    let identification = u16::try_from(sa.last_sequence() % 0xffff).unwrap_or(0).saturating_add(1);
    sa.encapsulate_whole(packet, identification)
}
