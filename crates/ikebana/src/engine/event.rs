//! What an engine tells and takes.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use ikebana_core::Path;
use ikebana_esp::PacketBuf;
use ikebana_ike::{Assignment, ChildHandle, Established};

use super::TunnelId;

/// One item of the output queue. Data packets do not come this way, but for those that had to wait, and fragments
/// without a place ([`Engine::handle_packets_with`](crate::Engine::handle_packets_with)).
pub enum Output {
    /// Send these octets as a UDP payload.
    Transmit {
        /// From where, to where.
        path: Path,
        /// The UDP payload.
        octets: Vec<u8>,
    },
    /// Send these octets, which were waiting for their tunnel; or a fragment that found no place beside the packet
    /// it was cut from.
    Send {
        /// How.
        how: Sending,
        /// What [`Sending::port`] says.
        octets: Vec<u8>,
    },
    /// Hand this IP packet to the inner side: word for a sender whose packet was too big, or a packet that
    /// came before its SA was installed.
    Deliver(Vec<u8>),
    /// Something has changed.
    Event(Event),
}

/// How a sealed packet travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sending {
    /// The addresses; and the ports, if it travels in UDP.
    pub path: Path,
    /// By which door: as a UDP payload ([`Port::Shared`]), as the payload of an IP packet of protocol 50
    /// ([`Port::Esp`]), or as a whole IP packet ([`Port::Ah`]), of which nothing may be changed but its type of
    /// service, time to live and checksum.
    pub port: Port,
    /// The outer traffic class: DSCP and ECN.
    pub tos: u8,
    /// Whether routers must not fragment it.
    pub dont_fragment: bool,
}

/// Something has changed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// An IKE SA of this tunnel is established.
    Established(TunnelId, Established),
    /// A pair of child SAs is in use.
    ChildUp {
        /// The tunnel.
        tunnel: TunnelId,
        /// The pair.
        child: ChildHandle,
        /// Whether it replaces another pair.
        rekeyed: bool,
    },
    /// A pair of child SAs is gone.
    ChildDown {
        /// The tunnel.
        tunnel: TunnelId,
        /// The pair.
        child: ChildHandle,
        /// Why.
        reason: String,
    },
    /// The IKE SA of this tunnel has new keys.
    IkeRekeyed(TunnelId),
    /// A path of this tunnel takes other packets than before: a router has said that it is narrower, or that was ten
    /// minutes ago and it is tried again.
    PathMtu {
        /// The tunnel.
        tunnel: TunnelId,
        /// Where the path goes.
        remote: IpAddr,
        /// The largest packet it takes, in octets, outer IP header included.
        mtu: usize,
    },
    /// The peer assigned us addresses.
    Assigned(TunnelId, Assignment),
    /// The tunnel carries packets no more. It comes up again by itself after `retry`, if that is given.
    Down {
        /// The tunnel.
        tunnel: TunnelId,
        /// Why, with both sides' values where they disagree.
        cause: String,
        /// How long until the next attempt.
        retry: Option<Duration>,
    },
    /// Something is wrong that may mend itself, or that the peer alone has said.
    Problem {
        /// The tunnel, if it is known which.
        tunnel: Option<TunnelId>,
        /// What, with both sides' values where they disagree.
        cause: String,
    },
}

/// Which socket a datagram comes from, or goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// IKE's own, 500.
    Ike,
    /// The one that IKE and ESP share, 4500.
    Shared,
    /// None: IP protocol 50. The octets start with the ESP header.
    Esp,
    /// None: IP protocol 51. The octets are the whole IP packet, with its headers, which AH protects.
    Ah,
}

/// A datagram from the network, and what became of it.
pub struct Arriving<'a> {
    /// Where it arrived and came from.
    pub path: Path,
    /// By which door.
    pub port: Port,
    /// The outer traffic class, if the socket tells.
    pub tos: Option<u8>,
    /// The octets; afterwards, if the fate is [`ArrivalFate::Deliver`], the inner packet.
    pub packet: PacketBuf<'a>,
    /// What became of it.
    pub fate: ArrivalFate,
}

impl<'a> Arriving<'a> {
    /// A datagram whose fate is to be decided.
    #[must_use]
    pub const fn new(path: Path, port: Port, tos: Option<u8>, packet: PacketBuf<'a>) -> Self {
        Self { path, port, tos, packet, fate: ArrivalFate::Pending }
    }
}

/// What became of a datagram from the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArrivalFate {
    /// Nothing yet.
    Pending,
    /// It held an IP packet for the inner side, which is in the buffer now.
    Deliver,
    /// It was meant for the engine itself; or it is an ESP packet ahead of its SA, and comes out as
    /// [`Output::Deliver`] if the SA follows at once.
    Consumed,
    /// It was dropped, and counted.
    Dropped(DropCause),
}

/// A packet from the inner side, and what became of it.
pub struct Leaving<'a> {
    /// The IP packet, with room around it; afterwards, if the fate is [`LeavingFate::Send`], the sealed packet.
    pub packet: PacketBuf<'a>,
    /// What became of it.
    pub fate: LeavingFate,
}

impl<'a> Leaving<'a> {
    /// A packet whose fate is to be decided.
    #[must_use]
    pub const fn new(packet: PacketBuf<'a>) -> Self {
        Self { packet, fate: LeavingFate::Pending }
    }
}

/// What became of a packet from the inner side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeavingFate {
    /// Nothing yet.
    Pending,
    /// It is sealed: send it.
    Send(Sending),
    /// A policy lets it pass as it is.
    Clear,
    /// A copy of it waits for its tunnel to come up.
    Waiting,
    /// It was dropped, and counted.
    Dropped(DropCause),
}

macro_rules! drop_causes {
    ($( $(#[$doc:meta])* $name:ident, )*) => {
        /// Why a packet was dropped. Each cause has a counter; what one SA objected to is in that SA's counters
        /// in more detail.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum DropCause { $( $(#[$doc])* $name, )* }

        impl DropCause {
            /// Every cause, in the order of their counters.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// A stable name for metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $( Self::$name => stringify!($name), )* }
            }
        }
    };
}

drop_causes! {
    /// Inbound: an IKE message that changed nothing; see the endpoint's counters.
    Ike,
    /// Inbound: not IKE, not ESP, not a keepalive.
    NotIpsec,
    /// Inbound: no SA has this SPI.
    NoInboundSa,
    /// Inbound: it came before the SA it is for, and that did not come in time, or too many waited already.
    TooEarly,
    /// Inbound: a NAT keepalive, or an ESP dummy packet.
    Idle,
    /// Inbound: the SA refused it: replayed, forged, malformed.
    NotOpened,
    /// Inbound: genuine, and not a packet that this SA may carry (RFC 4301 5.2).
    WrongSelectors,
    /// Inbound or outbound: the SA has reached a hard limit.
    Expired,
    /// Outbound: not an IP packet.
    NotIp,
    /// Outbound: a policy discards it.
    Policy,
    /// Outbound: no policy matches it.
    NoPolicy,
    /// Outbound: its tunnel is down.
    TunnelDown,
    /// Outbound: its tunnel is coming up, and too many packets wait already.
    QueueFull,
    /// Outbound: it does not fit the path; its sender was told.
    TooBig,
    /// Outbound: the SA could not seal it.
    NotSealed,
}

/// One counter per [`DropCause`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DropCounts([u64; DropCause::ALL.len()]);

impl DropCounts {
    pub(super) fn count(&mut self, cause: DropCause) {
        if let Some(counter) = self.0.get_mut(cause as usize) {
            *counter = counter.saturating_add(1);
        }
    }

    /// How many packets were dropped for this cause.
    #[must_use]
    pub fn get(&self, cause: DropCause) -> u64 {
        self.0.get(cause as usize).copied().unwrap_or(0)
    }

    /// Every cause with its count.
    pub fn iter(&self) -> impl Iterator<Item = (DropCause, u64)> + '_ {
        DropCause::ALL.iter().map(|cause| (*cause, self.get(*cause)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_a_counter_of_its_own() {
        for cause in DropCause::ALL {
            let mut counts = DropCounts::default();
            counts.count(*cause);
            assert!(counts.iter().all(|(other, count)| count == u64::from(other == *cause)), "{cause:?}");
            assert_eq!(counts.get(*cause), 1);
        }
    }
}
