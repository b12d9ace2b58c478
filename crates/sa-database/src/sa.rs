//! Security associations as the database sees them (RFC 4301 4.4.2).

use alloc::sync::Arc;

use ikebana_core::{EspSpi, Instant, Lifetime};
use thiserror::Error;

use crate::event::Limit;
use crate::policy::{Selectors, TunnelId};

/// The protocol of an SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SaProtocol {
    /// Encapsulating Security Payload.
    Esp,
    /// Authentication Header.
    Ah,
}

/// An inbound SA of the database. Never names another one, even after its SA was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InboundId(pub(crate) Slot);

/// An outbound SA of the database. Never names another one, even after its SA was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutboundId(pub(crate) Slot);

/// An SA of either direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SaId {
    /// An inbound one.
    Inbound(InboundId),
    /// An outbound one.
    Outbound(OutboundId),
}

impl From<InboundId> for SaId {
    fn from(id: InboundId) -> Self {
        Self::Inbound(id)
    }
}

impl From<OutboundId> for SaId {
    fn from(id: OutboundId) -> Self {
        Self::Outbound(id)
    }
}

/// A place in a table, and which of those that were ever there. The serial is first, so the order of ids is
/// that of installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Slot {
    pub(crate) serial: u64,
    pub(crate) index: u32,
}

/// What the key exchange says about an SA that is to be installed.
#[derive(Clone, Debug)]
pub struct SaDescription {
    /// The tunnel that it belongs to.
    pub tunnel: TunnelId,
    /// The protocol.
    pub protocol: SaProtocol,
    /// The SPI: ours for an inbound SA, the peer's for an outbound one.
    pub spi: EspSpi,
    /// The traffic that was agreed on, seen from here in both directions.
    pub selectors: Arc<Selectors>,
    /// The limits, with chance already in them ([`Lifetime::jittered`]).
    pub lifetime: Lifetime,
}

/// What an SA has been used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Packets accounted.
    pub packets: u64,
    /// Octets accounted.
    pub octets: u64,
    /// When it was installed.
    pub installed: Instant,
    /// When the last packet was accounted.
    pub last_used: Option<Instant>,
}

/// How far an SA is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SaState {
    /// In use.
    Usable,
    /// In use, and past a soft limit.
    SoftExpired,
    /// Past a hard limit: not used any more, waiting to be removed.
    HardExpired,
}

/// What the database knows about an SA.
#[derive(Clone, Copy, Debug)]
pub struct SaInfo<'a> {
    /// The tunnel that it belongs to.
    pub tunnel: TunnelId,
    /// The protocol.
    pub protocol: SaProtocol,
    /// The SPI.
    pub spi: EspSpi,
    /// The traffic it is for.
    pub selectors: &'a Arc<Selectors>,
    /// What it has been used for.
    pub usage: Usage,
    /// How far it is in its life.
    pub state: SaState,
    /// Whether it was retired: kept, but not chosen for packets any more.
    pub retired: bool,
}

/// Why an SA was not installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InstallError {
    /// Another inbound SA of that protocol has the SPI.
    #[error("SPI {0} is in use")]
    SpiInUse(EspSpi),
}

/// Why an SA must not process a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotUsable {
    /// It was removed.
    #[error("the SA was removed")]
    Removed,
    /// It has reached a hard limit.
    #[error("the SA has reached a hard limit")]
    Expired,
}

/// An SA in its table. In this order, so that what every packet looks at is together, however large the object is.
#[repr(C)]
pub(crate) struct Entry<T> {
    pub(crate) serial: u64,
    pub(crate) tunnel: TunnelId,
    pub(crate) protocol: SaProtocol,
    pub(crate) spi: EspSpi,
    pub(crate) selectors: Arc<Selectors>,
    pub(crate) usage: Usage,
    pub(crate) state: SaState,
    pub(crate) retired: bool,
    limits: Limits,
    pub(crate) object: T,
}

/// A [`Lifetime`] in absolute terms, where the largest value stands for no limit: an SA is kept in as little
/// memory as can be.
struct Limits {
    soft_at: Instant,
    hard_at: Instant,
    soft_octets: u64,
    hard_octets: u64,
    soft_packets: u64,
    hard_packets: u64,
}

const NEVER: Instant = Instant::from_micros(u64::MAX);

/// What accounting a packet has brought about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    Fine,
    Soft(Limit),
    Hard(Limit),
    AlreadyExpired,
}

/// A limit that an SA has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Soft(Limit),
    Hard(Limit),
}

impl<T> Entry<T> {
    pub(crate) fn new(serial: u64, now: Instant, description: SaDescription, object: T) -> Self {
        let SaDescription { tunnel, protocol, spi, selectors, lifetime } = description;
        let limits = Limits {
            soft_at: lifetime.soft_time.map_or(NEVER, |age| now + age),
            hard_at: lifetime.hard_time.map_or(NEVER, |age| now + age),
            soft_octets: lifetime.soft_bytes.unwrap_or(u64::MAX),
            hard_octets: lifetime.hard_bytes.unwrap_or(u64::MAX),
            soft_packets: lifetime.soft_packets.unwrap_or(u64::MAX),
            hard_packets: lifetime.hard_packets.unwrap_or(u64::MAX),
        };
        let usage = Usage { packets: 0, octets: 0, installed: now, last_used: None };
        Self {
            serial,
            tunnel,
            protocol,
            spi,
            selectors,
            usage,
            state: SaState::Usable,
            retired: false,
            limits,
            object,
        }
    }

    pub(crate) const fn info(&self) -> SaInfo<'_> {
        SaInfo {
            tunnel: self.tunnel,
            protocol: self.protocol,
            spi: self.spi,
            selectors: &self.selectors,
            usage: self.usage,
            state: self.state,
            retired: self.retired,
        }
    }

    /// The next instant at which age changes the state.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let at = match self.state {
            SaState::Usable => self.limits.soft_at.min(self.limits.hard_at),
            SaState::SoftExpired => self.limits.hard_at,
            SaState::HardExpired => NEVER,
        };
        (at < NEVER).then_some(at)
    }

    /// Lets time pass.
    pub(crate) fn age(&mut self, now: Instant) -> Option<Change> {
        if self.state == SaState::HardExpired {
            return None;
        }
        if self.limits.hard_at <= now {
            self.state = SaState::HardExpired;
            return Some(Change::Hard(Limit::Time));
        }
        if self.state == SaState::Usable && self.limits.soft_at <= now {
            self.state = SaState::SoftExpired;
            return Some(Change::Soft(Limit::Time));
        }
        None
    }

    /// Counts packets before they are processed. What would pass a hard limit is not counted: the SA has
    /// ended and must not process it.
    pub(crate) fn count(&mut self, now: Instant, packets: u64, octets: u64) -> Counted {
        if self.state == SaState::HardExpired {
            return Counted::AlreadyExpired;
        }
        let packets = self.usage.packets.saturating_add(packets);
        let octets = self.usage.octets.saturating_add(octets);
        if let Some(limit) = passed(octets > self.limits.hard_octets, packets > self.limits.hard_packets) {
            self.state = SaState::HardExpired;
            return Counted::Hard(limit);
        }
        self.usage = Usage { packets, octets, last_used: Some(now), ..self.usage };
        let soft = passed(octets >= self.limits.soft_octets, packets >= self.limits.soft_packets);
        match soft {
            Some(limit) if self.state == SaState::Usable => {
                self.state = SaState::SoftExpired;
                Counted::Soft(limit)
            }
            _ => Counted::Fine,
        }
    }
}

const fn passed(by_octets: bool, by_packets: bool) -> Option<Limit> {
    match (by_octets, by_packets) {
        (true, _) => Some(Limit::Bytes),
        (false, true) => Some(Limit::Packets),
        (false, false) => None,
    }
}
