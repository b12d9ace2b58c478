//! What routers say about the paths of our packets.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;

use ikebana_core::{EspSpi, Instant, Path};
use ikebana_esp::{Family, PathMtu, TooBig, TooBigError, received_too_big};
use ikebana_ike::ChildHandle;
use thiserror::Error;

use super::tunnel::Tunnel;
use super::{Engine, Event, TunnelId};

/// Messages from routers that are looked at, per second: one is enough, and a new path may have several narrow
/// places.
pub(super) const REPORTS_PER_SECOND: u32 = 100;

/// Why a router's word about a path was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NotBelieved {
    /// It is not about an ESP packet that was too big.
    #[error("{0}")]
    Message(TooBigError),
    /// There were too many in this second.
    #[error("too many reports at a time")]
    TooMany,
    /// None of our outbound SAs has its SPI.
    #[error("no outbound SA has the quoted SPI")]
    NoSa,
    /// The SA with this SPI goes between other addresses or ports, or has not sent this number lately.
    #[error("the SA has not sent the quoted packet")]
    NotSent,
    /// The path is known to be as narrow already.
    #[error("the path is not wider than that")]
    NotNarrower,
}

/// What became of routers' words about paths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathMtuStats {
    /// Taken: a path is narrower since.
    pub believed: u64,
    /// [`NotBelieved::Message`].
    pub other_messages: u64,
    /// [`NotBelieved::TooMany`].
    pub too_many: u64,
    /// [`NotBelieved::NoSa`].
    pub no_sa: u64,
    /// [`NotBelieved::NotSent`].
    pub not_sent: u64,
    /// [`NotBelieved::NotNarrower`].
    pub not_narrower: u64,
}

impl PathMtuStats {
    fn count(&mut self, result: Result<usize, NotBelieved>) {
        let counter = match result {
            Ok(_) => &mut self.believed,
            Err(NotBelieved::Message(_)) => &mut self.other_messages,
            Err(NotBelieved::TooMany) => &mut self.too_many,
            Err(NotBelieved::NoSa) => &mut self.no_sa,
            Err(NotBelieved::NotSent) => &mut self.not_sent,
            Err(NotBelieved::NotNarrower) => &mut self.not_narrower,
        };
        *counter = counter.saturating_add(1);
    }
}

/// The outbound SAs by SPI. Peers choose these, so several may have the same.
#[derive(Default)]
pub(super) struct BySpi(BTreeMap<EspSpi, Vec<ChildHandle>>);

impl BySpi {
    pub(super) fn insert(&mut self, spi: EspSpi, child: ChildHandle) {
        self.0.entry(spi).or_default().push(child);
    }

    pub(super) fn remove(&mut self, spi: EspSpi, child: ChildHandle) {
        let Some(all) = self.0.get_mut(&spi) else { return };
        all.retain(|other| *other != child);
        if all.is_empty() {
            self.0.remove(&spi);
        }
    }

    fn all(&self, spi: EspSpi) -> impl Iterator<Item = ChildHandle> + '_ {
        self.0.get(&spi).into_iter().flatten().copied()
    }
}

/// The paths of a tunnel that are narrower than configured, by their ends.
#[derive(Default)]
pub(super) struct NarrowPaths(BTreeMap<(IpAddr, IpAddr), PathMtu>);

fn ends(path: Path) -> (IpAddr, IpAddr) {
    (path.local.ip(), path.remote.ip())
}

impl NarrowPaths {
    /// The MTU of a path, unless it is as configured.
    pub(super) fn get(&self, path: Path) -> Option<usize> {
        self.0.get(&ends(path)).map(PathMtu::get)
    }

    /// When the next one is tried anew.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.values().filter_map(PathMtu::poll_timeout).min()
    }
}

impl Tunnel {
    /// The largest packet that a path takes.
    pub(super) fn path_mtu(&self, path: Path) -> usize {
        self.narrow.get(path).unwrap_or(self.config.path_mtu)
    }
}

impl Engine {
    /// Takes in an ICMP or ICMPv6 message from the outer side, as a whole IP packet, and believes it if it is
    /// "fragmentation needed" or "packet too big" about a packet that one of our SAs has just sent. Returns what
    /// the path takes from now on.
    ///
    /// Routers are not authenticated, so RFC 4301 8.2 leaves it to the administrator whether they are heard: not
    /// calling this is to ignore them. What is believed holds for ten minutes, makes paths narrower and never
    /// wider, and not narrower than 576 octets (IPv4) or 1280 (IPv6).
    ///
    /// # Errors
    /// [`NotBelieved`], and nothing has changed then but a counter.
    pub fn handle_icmp(&mut self, now: Instant, packet: &[u8]) -> Result<usize, NotBelieved> {
        match received_too_big(packet) {
            Ok(report) => self.handle_too_big(now, &report),
            Err(error) => {
                let refused = Err(NotBelieved::Message(error));
                self.path_mtu_stats.count(refused);
                refused
            }
        }
    }

    /// The same for callers that have read the message already, or have heard of it in another way: from a
    /// socket's error queue (`IP_RECVERR`), which has the datagram and the MTU.
    ///
    /// # Errors
    /// [`NotBelieved`], and nothing has changed then but a counter.
    pub fn handle_too_big(&mut self, now: Instant, report: &TooBig) -> Result<usize, NotBelieved> {
        self.advance_clock(now);
        let result = self.believe(report);
        self.path_mtu_stats.count(result);
        self.settle();
        result
    }

    /// Counters of what routers said about paths.
    #[must_use]
    pub const fn path_mtu_stats(&self) -> &PathMtuStats {
        &self.path_mtu_stats
    }

    fn believe(&mut self, report: &TooBig) -> Result<usize, NotBelieved> {
        let mut refusal = NotBelieved::NoSa;
        let found = self.by_spi.all(report.spi).find_map(|child| {
            let id = *self.by_child.get(&child)?;
            let pair = self.tunnels.get(&id)?.pairs.get(&child)?;
            let object = self.database.outbound_ref(pair.outbound?)?;
            refusal = NotBelieved::NotSent;
            object.sa.esp().is_some_and(|sa| sa.has_sent(report)).then_some((id, object.path))
        });
        let (id, path) = found.ok_or(refusal)?;
        // Asked last, so that reports about nothing we sent do not use it up.
        if !self.path_mtu_limit.allow(self.now) {
            return Err(NotBelieved::TooMany);
        }
        let now = self.now;
        let tunnel = self.tunnels.get_mut(&id).ok_or(NotBelieved::NoSa)?;
        let mut known = tunnel.narrow.0.get(&ends(path)).copied();
        let known = known.get_or_insert(PathMtu::new(tunnel.config.path_mtu));
        let mtu = known.lower(now, Family::of(report.source), report.mtu).ok_or(NotBelieved::NotNarrower)?;
        tunnel.narrow.0.insert(ends(path), *known);
        self.path_changed(id, path);
        Ok(mtu)
    }

    /// Tries paths anew that were found narrow long ago.
    pub(super) fn widen_paths(&mut self, id: TunnelId) {
        let now = self.now;
        let Some(tunnel) = self.tunnels.get_mut(&id) else { return };
        let mut wider = Vec::new();
        tunnel.narrow.0.retain(|ends, path| {
            let forgotten = path.handle_timeout(now);
            if forgotten {
                wider.push(*ends);
            }
            !forgotten
        });
        for (local, remote) in wider {
            self.path_changed(id, Path::new((local, 0).into(), (remote, 0).into()));
        }
    }

    /// An SA has left a path. What is known of the path is forgotten with the last one.
    pub(super) fn leave_path(&mut self, id: TunnelId, path: Path) {
        let Some(tunnel) = self.tunnels.get_mut(&id) else { return };
        let used = tunnel.pairs.values().filter_map(|pair| self.database.outbound_ref(pair.outbound?));
        let mut used = used.map(|object| ends(object.path));
        if !used.any(|other| other == ends(path)) && tunnel.narrow.0.remove(&ends(path)).is_some() {
            self.arm(id);
        }
    }

    /// Makes every SA on a path know what the path takes now.
    fn path_changed(&mut self, id: TunnelId, path: Path) {
        let Some(tunnel) = self.tunnels.get_mut(&id) else { return };
        let mtu = tunnel.path_mtu(path);
        for pair in tunnel.pairs.values_mut() {
            let outbound = pair.outbound.and_then(|id| self.database.outbound_mut(id));
            let Some(object) = outbound.filter(|object| ends(object.path) == ends(path)) else { continue };
            object.sa.set_path_mtu(mtu);
            object.inner_mtu = object.sa.overhead().inner_mtu(mtu);
            pair.inner_mtu = object.inner_mtu;
            if let Some(object) = pair.inbound.and_then(|id| self.database.inbound_mut(id)) {
                object.answer_mtu = pair.inner_mtu;
            }
        }
        self.event(Event::PathMtu { tunnel: id, remote: path.remote.ip(), mtu });
        self.arm(id);
    }
}
