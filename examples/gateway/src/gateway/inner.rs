//! The inner side: the TUN device and what the kernel knows about it.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use super::plan::{Selected, routes};
use crate::config;
use crate::io::{PacketBatch, PacketIo, Tun};
use crate::network::{Network, Refused, Routes};

/// How long after a device was lost it is made again.
const RETRY: Duration = Duration::from_secs(1);

/// How long after our routes were removed they are set again.
const PATIENCE: Duration = Duration::from_millis(200);

/// What the kernel is to do, as it follows from the tunnels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) selected: Vec<Selected>,
    pub(super) addresses: BTreeSet<IpAddr>,
    pub(super) mtu: Option<u16>,
}

/// The TUN device; made again when it vanishes.
pub(super) struct Inner {
    config: config::Gateway,
    device: Option<Device>,
    again: Option<Instant>,
    /// When to set what somebody has removed.
    restore: Option<Instant>,
    wanted: Wanted,
    batch: PacketBatch,
    /// Packets that the device did not take.
    refused: u64,
}

struct Device {
    // In this order, so that routes are removed while there is still a device.
    network: Network,
    tun: Tun,
}

impl Inner {
    /// Makes the device.
    ///
    /// # Errors
    /// If that is not possible now.
    pub(super) fn new(config: config::Gateway) -> io::Result<Self> {
        let device = Some(Device::create(&config)?);
        let (wanted, batch) = (Wanted::default(), PacketBatch::new(config::LONGEST_PACKET));
        Ok(Self { config, device, again: None, restore: None, wanted, batch, refused: 0 })
    }

    /// For waiting on the device, and on changes of what the kernel knows about it, while there is one.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.device.iter().flat_map(|device| [device.tun.as_fd(), device.network.descriptor()])
    }

    /// How long until a vanished device is made again, or its routes are set again.
    pub(super) fn timeout(&self) -> Option<Duration> {
        let next = self.again.into_iter().chain(self.restore).min();
        next.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Looks whether somebody has changed what the kernel knows about the device.
    pub(super) fn look(&mut self) {
        let Some(device) = &mut self.device else { return };
        if device.network.is_disturbed() && self.restore.is_none() {
            // Whoever tidies up does more than one thing, and two who do not agree must not keep each other busy.
            self.restore = Some(Instant::now() + PATIENCE);
        }
    }

    /// Sets what somebody has removed, when it is time.
    fn handle_disturbance(&mut self) {
        if self.restore.is_none_or(|at| at > Instant::now()) {
            return;
        }
        self.restore = None;
        let Some(device) = &mut self.device else { return };
        let name = device.tun.name();
        tracing::warn!(
            device = name,
            "somebody has removed our routes, rules or addresses, or taken the device down; setting them again"
        );
        match device.network.restore() {
            Ok(()) => self.apply(),
            // A device that is gone altogether is found out when it is read.
            Err(problem) => tracing::warn!(%problem, "the kernel refused"),
        }
    }

    /// Makes a vanished device again, when it is time.
    pub(super) fn handle_timeout(&mut self) {
        self.handle_disturbance();
        if self.again.is_none_or(|at| at > Instant::now()) {
            return;
        }
        match Device::create(&self.config) {
            Ok(device) => {
                tracing::info!(device = device.tun.name(), "the TUN device is back");
                self.device = Some(device);
                self.again = None;
                self.apply();
            }
            Err(error) => {
                tracing::warn!(%error, device = %self.config.tun, "the TUN device cannot be made; trying again");
                self.again = Some(Instant::now() + RETRY);
            }
        }
    }

    /// Packets from this host and its network; empty if there are none.
    pub(super) fn receive(&mut self) -> &mut PacketBatch {
        self.batch.clear();
        let result = self.device.as_mut().map(|device| device.tun.receive(&mut self.batch));
        if let Some(Err(error)) = result {
            tracing::error!(%error, device = %self.config.tun, "the TUN device has vanished; making it again");
            self.device = None;
            self.again = Some(Instant::now());
        }
        &mut self.batch
    }

    /// Gives a packet to this host and its network.
    pub(super) fn deliver(&mut self, packet: &[u8]) {
        let result = self.device.as_mut().map(|device| device.tun.send(packet));
        if let Some(Err(error)) = &result {
            tracing::debug!(%error, "the TUN device does not take a packet");
        }
        if !matches!(result, Some(Ok(()))) {
            self.refused += 1;
        }
    }

    /// Packets that the device did not take.
    pub(super) const fn refused(&self) -> u64 {
        self.refused
    }

    /// Has the kernel do this from now on.
    pub(super) fn want(&mut self, wanted: Wanted) {
        if self.wanted != wanted {
            self.wanted = wanted;
            self.apply();
        }
    }

    fn apply(&mut self) {
        let Some(Device { network, .. }) = &mut self.device else { return };
        let wanted = &self.wanted;
        let warn = |problem: &Refused| tracing::warn!(%problem, "the kernel refused");
        if let Some(mtu) = wanted.mtu
            && let Err(problem) = network.set_mtu(mtu.into())
        {
            warn(&problem);
        }
        // Routes may name an address as their source only while it is there.
        let mut addresses = wanted.addresses.clone();
        let routes = match network.host_addresses() {
            _ if !self.config.install_routes => Routes::new(),
            Ok(mut host) => {
                host.append(&mut addresses.clone());
                routes(&wanted.selected, &host)
            }
            Err(error) => {
                tracing::warn!(%error, "this host's addresses cannot be listed");
                routes(&wanted.selected, &addresses)
            }
        };
        addresses.extend(network.addresses().iter().copied());
        network.set_addresses(&addresses).iter().for_each(warn);
        network.set_routes(&routes).iter().for_each(warn);
        network.set_addresses(&wanted.addresses).iter().for_each(warn);
    }
}

impl Device {
    fn create(config: &config::Gateway) -> io::Result<Self> {
        let tun = Tun::create(&config.tun)?;
        let network = Network::new(tun.name(), config.fwmark, config.route_table)?;
        Ok(Self { network, tun })
    }
}
