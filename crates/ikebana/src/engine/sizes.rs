//! Packets that do not fit.
//!
//! What a suite leaves of the path's MTU is an SA's inner MTU. A longer packet is cut into fragments before they are
//! encrypted, if it may be; each is then a packet of its own to the network, and nobody has to put ESP packets
//! together. Otherwise its sender is told.

use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::ops::Range;

use ikebana_core::Flow;
use ikebana_core::selector::protocol;
use ikebana_esp::{
    DontFragment, FragmentError, Fragmentation, InnerFlow, MAX_TOO_BIG, Mode, PacketBuf, clamp_mss,
    lower_mss, packet_too_big,
};
use ikebana_sa_database::OutboundId;

use super::Engine;
use super::event::{Leaving, LeavingFate, Output};
use super::install::OutboundObject;

/// Room in front of and behind a fragment that found no place of the caller's.
const ROOM: usize = 128;

/// What is done with packets that are longer than a tunnel's inner MTU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SizePolicy {
    /// Where packets that may be fragmented are.
    pub fragment: FragmentPolicy,
    /// Those whose sender forbids it.
    pub dont_fragment: DontFragmentPolicy,
    /// The maximum segment size of TCP connections.
    pub mss: MssPolicy,
}

/// Where IPv4 packets that may be fragmented are fragmented.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FragmentPolicy {
    /// In the tunnel: fragments are sealed each by itself. Transport mode cannot (RFC 4303 3.3.4), and an SA whose
    /// selectors name ports cannot either: its receiver would not know later fragments (RFC 4301 7). There it is
    /// as with [`After`](Self::After).
    #[default]
    Before,
    /// Around the tunnel: packets are sealed whole, and the host or a router cuts what comes of them. The receiver
    /// has to put ESP packets together again.
    After,
}

/// What is done about IPv4 packets that are too big and say "don't fragment".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DontFragmentPolicy {
    /// They are dropped, and their senders are told what fits (RFC 1191).
    #[default]
    Respect,
    /// They are treated as if they did not say so. For senders that do not listen, or cannot hear.
    Clear,
}

/// What is done about the maximum segment size that TCP connections through the tunnel announce.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MssPolicy {
    /// It is lowered, both ways, to what fits the tunnel.
    #[default]
    Fit,
    /// It is lowered to this, or to what fits the tunnel if that is less.
    AtMost(u16),
    /// It stays.
    Keep,
}

impl MssPolicy {
    /// Does what it says to a packet of `flow`, for packets of at most `mtu` octets in the other direction.
    pub(super) fn apply(self, packet: &mut [u8], flow: &InnerFlow, mtu: usize) {
        if flow.protocol != protocol::TCP || mtu == 0 {
            return;
        }
        match self {
            Self::Keep => {}
            Self::Fit => {
                clamp_mss(packet, mtu);
            }
            Self::AtMost(most) => {
                clamp_mss(packet, mtu);
                lower_mss(packet, most);
            }
        }
    }
}

/// Who tells inner senders that their packets are too big.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct InnerRouter {
    /// Our address on the inner side, for senders of IPv4. Without one, messages come from where the packet was to
    /// go: that has a route, and passes filters that expect answers from there.
    pub v4: Option<core::net::Ipv4Addr>,
    /// The same for senders of IPv6.
    pub v6: Option<core::net::Ipv6Addr>,
}

impl InnerRouter {
    fn address(self, destination: IpAddr) -> IpAddr {
        match destination {
            IpAddr::V4(_) => self.v4.map_or(destination, IpAddr::V4),
            IpAddr::V6(_) => self.v6.map_or(destination, IpAddr::V6),
        }
    }
}

/// How a packet fits its SA.
pub(super) enum Fit {
    /// As it is.
    Whole,
    /// Its outer packet has to be fragmented, so that has to be allowed.
    Outside,
    /// In these fragments.
    Cut(Fragmentation),
    /// Not at all.
    TooBig,
}

/// Later fragments of the packets of one call, in clear. They are sealed when all packets of the call are, so that
/// their sequence numbers are in the order in which they leave.
pub(super) struct Spare<'s, 'a> {
    places: &'s mut [Leaving<'a>],
    later: Later,
}

/// What is known of later fragments besides their octets. An engine keeps it empty between calls, for its memory.
#[derive(Default)]
pub(super) struct Later {
    /// The SA of each fragment in a place of the caller's.
    in_places: Vec<OutboundId>,
    /// The fragments that found no place, each in a buffer with room in front of it and behind.
    elsewhere: Vec<(OutboundId, Vec<u8>, Range<usize>)>,
}

impl Later {
    /// With memory for as many fragments as a few batches make.
    pub(super) fn new() -> Self {
        Self { in_places: Vec::with_capacity(256), elsewhere: Vec::new() }
    }
}

impl<'a> Spare<'_, 'a> {
    /// The next place, if it has room for `length` octets.
    fn next(&mut self, id: OutboundId, length: usize) -> Option<&mut Leaving<'a>> {
        let place = self.places.get_mut(self.later.in_places.len())?;
        place.packet.truncate(0);
        place.packet.grow_back(length)?;
        self.later.in_places.push(id);
        Some(place)
    }
}

impl Engine {
    /// Compares a packet with what fits its SA. `flow` is the packet's.
    ///
    /// `identification` is for a packet that says it will not be fragmented, and then is.
    pub(super) fn fit(object: &OutboundObject, packet: &[u8], flow: &InnerFlow, identification: u16) -> Fit {
        let mtu = object.inner_mtu;
        if packet.len() <= mtu || mtu == 0 {
            return Fit::Whole;
        }
        if flow.source.is_ipv6() {
            // RFC 8200 5: every IPv6 link carries 1280 octets, the tunnel too, if need be in fragments.
            return if packet.len() <= 1_280 { Fit::Outside } else { Fit::TooBig };
        }
        let forbidden = packet.get(6).is_some_and(|flags| flags & 0x40 != 0);
        let policy = object.sizes;
        if forbidden && policy.dont_fragment == DontFragmentPolicy::Respect {
            return Fit::TooBig;
        }
        if policy.fragment == FragmentPolicy::After || !carries_fragments(object, flow) {
            return Fit::Outside;
        }
        match Fragmentation::plan(packet, mtu, DontFragment::Clear { identification }) {
            Ok(plan) => Fit::Cut(plan),
            // A header that leaves no room for data cannot be helped inside.
            Err(FragmentError::Mtu { .. }) => Fit::Outside,
            Err(_) => Fit::TooBig,
        }
    }

    /// Tells the sender of a packet that is too big what fits, if that may be told.
    pub(super) fn tell_too_big(&mut self, packet: &[u8], flow: &InnerFlow, mtu: usize) {
        let router = self.config.router.address(flow.destination);
        let mut message = [0; MAX_TOO_BIG];
        let Some(written) = packet_too_big(packet, router, mtu, &mut message) else { return };
        // Asked last, so that packets about which nothing may be said do not use it up.
        if let Some(message) = message.get(..written)
            && self.too_big_limit.allow(self.now)
        {
            self.out.push_back(Output::Deliver(message.to_vec()));
        }
    }

    /// Places for the later fragments of one call.
    pub(super) fn spare<'s, 'a>(&mut self, places: &'s mut [Leaving<'a>]) -> Spare<'s, 'a> {
        Spare { places, later: core::mem::take(&mut self.later) }
    }

    /// Cuts a packet. It is its first fragment then, and the others are in `spare`.
    pub(super) fn cut(
        &mut self,
        id: OutboundId,
        packet: &mut PacketBuf<'_>,
        plan: &Fragmentation,
        spare: &mut Spare<'_, '_>,
    ) {
        // RFC 6864 4.1: a number for the next packet of which it is needed.
        self.identification = self.identification.wrapping_add(1);
        for index in 1..plan.count() {
            let length = plan.len_of(index);
            if let Some(place) = spare.next(id, length) {
                let written = plan.write(packet.payload(), index, place.packet.payload_mut());
                debug_assert!(written.is_some(), "the plan is this packet's");
                continue;
            }
            let end = ROOM.saturating_add(length);
            // Padding makes it as long as the path takes at most.
            let padding = self.database.outbound_ref(id).map_or(0, |object| object.inner_mtu);
            let mut buffer = vec![0; end.saturating_add(padding).saturating_add(ROOM)];
            let written = plan.write(packet.payload(), index, buffer.get_mut(ROOM..end).unwrap_or_default());
            debug_assert!(written.is_some(), "the plan is this packet's");
            spare.later.elsewhere.push((id, buffer, ROOM..end));
        }
        let kept = plan.keep_first(packet);
        debug_assert!(kept.is_some(), "the plan is this packet's");
    }

    /// Seals the later fragments of a call: those in places of the caller's there, the others for the output queue.
    pub(super) fn send_later(&mut self, spare: Spare<'_, '_>) {
        let Spare { places, mut later } = spare;
        for (id, place) in later.in_places.drain(..).zip(places) {
            place.fate = self.seal_fragment(id, &mut place.packet);
            self.count_fate(place.fate);
        }
        for (id, mut buffer, range) in later.elsewhere.drain(..) {
            let Some(mut place) = PacketBuf::new(&mut buffer, range) else { continue };
            let fate = self.seal_fragment(id, &mut place);
            self.count_fate(fate);
            if let LeavingFate::Send(how) = fate {
                self.out.push_back(Output::Send { how, octets: place.payload().to_vec() });
            }
        }
        self.later = later;
    }

    fn count_fate(&mut self, fate: LeavingFate) {
        if let LeavingFate::Dropped(cause) = fate {
            self.drops.count(cause);
        }
    }
}

/// Whether both sides take fragments of `flow` for this SA's. Only tunnels carry fragments, and if its selectors
/// name ports, an SA is not for what shows none.
fn carries_fragments(object: &OutboundObject, flow: &InnerFlow) -> bool {
    let shows_no_ports = Flow { local_port: None, remote_port: None, ..flow.outbound() };
    object.sa.mode() == Mode::Tunnel && object.selectors.cover(&shows_no_ports)
}
