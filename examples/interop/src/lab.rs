//! A network with the daemons in it, which lives through all scenarios that fit it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::containers::Containers;
use crate::daemon::{Charon, Daemon, Esp, Gateway, Libreswan, OpenIked, Vpnc};
use crate::guest::Guest;
use crate::network::{Network, Topology};
use crate::place::Place;
use crate::scenario::{PeerKind, Scenario, Side};

/// What a run works with.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Our gateway's binary.
    pub(crate) gateway: PathBuf,
    /// Unpacked peers that cannot be installed.
    pub(crate) peers: PathBuf,
    /// Puts strongSwan in our place, to show that a scenario's settings are right.
    pub(crate) self_check: bool,
    /// Where state and logs go.
    pub(crate) folder: PathBuf,
}

pub(crate) struct Lab {
    // Fields are dropped in this order: daemons, then the guest, then what they run in.
    us: Box<dyn Daemon>,
    peers: BTreeMap<&'static str, Box<dyn Daemon>>,
    guest: Option<Guest>,
    pub(crate) network: Network,
    /// Where this lab keeps its files; containers see it too.
    folder: PathBuf,
}

/// The network that a scenario needs.
pub(crate) fn topology(scenario: &Scenario) -> Topology {
    match scenario.nat {
        _ if scenario.peer.needs_guest() => Topology::Guest,
        Some(side) => Topology::Nat(side),
        None => Topology::Direct,
    }
}

impl Lab {
    /// A lab of network namespaces, with the guest if the topology has it.
    pub(crate) fn open(topology: Topology, options: &Options) -> Result<Self> {
        let network = Network::build(topology)?;
        let folder = options.folder.join(format!("{topology:?}").replace(['(', ')'], "-").to_lowercase());
        fs::create_dir_all(&folder)?;
        let guest = match topology {
            Topology::Guest => Some(Guest::boot(&network, &folder, &options.peers)?),
            Topology::Direct | Topology::Nat(_) => None,
        };
        Self::with(network, guest, folder, options)
    }

    /// A lab of two containers, whose common folder is the one of the options.
    pub(crate) fn in_containers(containers: Containers, options: &Options) -> Result<Self> {
        Self::with(Network::of_containers(containers)?, None, options.folder.clone(), options)
    }

    fn with(network: Network, guest: Option<Guest>, folder: PathBuf, options: &Options) -> Result<Self> {
        let place = network.place(Side::Us)?.clone();
        let us_folder = folder.join("us");
        let us: Box<dyn Daemon> = if options.self_check {
            Box::new(Charon::new(place, us_folder, Esp::Userspace)?)
        } else {
            Box::new(Gateway::new(place, us_folder, options.gateway.clone())?)
        };
        Ok(Self { us, peers: BTreeMap::new(), guest, network, folder })
    }

    /// Gets the peer of a scenario ready to be configured; another one stops.
    pub(crate) fn choose_peer(&mut self, kind: PeerKind) -> Result<()> {
        let name = peer_name(kind);
        for (other, daemon) in &mut self.peers {
            if *other != name {
                daemon.stop()?;
            }
        }
        if !self.peers.contains_key(name) {
            let daemon = self.make_peer(kind)?;
            self.peers.insert(name, daemon);
        }
        Ok(())
    }

    fn make_peer(&self, kind: PeerKind) -> Result<Box<dyn Daemon>> {
        let place = self.place(Side::Them)?;
        let parent = match &place {
            Place::Guest { shared, .. } | Place::Container { shared, .. } => shared.clone(),
            Place::Namespace { .. } => self.folder.clone(),
        };
        let folder = parent.join(peer_name(kind));
        Ok(match kind {
            PeerKind::Strongswan => Box::new(Charon::new(place, folder, Esp::Userspace)?),
            PeerKind::StrongswanKernel => Box::new(Charon::new(place, folder, Esp::Kernel)?),
            PeerKind::Libreswan => Box::new(Libreswan::new(place, folder)?),
            PeerKind::Openiked => Box::new(OpenIked::new(place, folder)?),
            PeerKind::Vpnc => Box::new(Vpnc::new(place, folder)?),
        })
    }

    pub(crate) fn daemon(&mut self, side: Side, kind: PeerKind) -> Result<&mut (dyn Daemon + 'static)> {
        match side {
            Side::Us => Ok(self.us.as_mut()),
            Side::Them => {
                self.peers.get_mut(peer_name(kind)).map(Box::as_mut).context("the peer was not chosen")
            }
        }
    }

    /// Both daemons at once, for what has to happen at the same moment.
    pub(crate) fn both(&mut self, kind: PeerKind) -> Result<[&mut (dyn Daemon + 'static); 2]> {
        let them = self.peers.get_mut(peer_name(kind)).context("the peer was not chosen")?;
        Ok([self.us.as_mut(), them.as_mut()])
    }

    pub(crate) fn place(&self, side: Side) -> Result<Place> {
        match (side, &self.guest) {
            (Side::Them, Some(guest)) => Ok(guest.place().clone()),
            (Side::Us | Side::Them, _) => self.network.place(side).cloned(),
        }
    }

    /// Folder for files of our side's namespace.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

fn peer_name(kind: PeerKind) -> &'static str {
    match kind {
        PeerKind::Strongswan | PeerKind::StrongswanKernel => "strongswan",
        PeerKind::Libreswan => "libreswan",
        PeerKind::Openiked => "openiked",
        PeerKind::Vpnc => "vpnc",
    }
}
