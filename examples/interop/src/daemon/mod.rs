//! The daemons under test behind one interface.

mod charon;
mod gateway;
mod libreswan;
mod openiked;
mod sections;
mod vpnc;
pub(crate) mod xfrm;

use std::path::PathBuf;

use anyhow::Result;

pub(crate) use charon::{Charon, Esp};
pub(crate) use gateway::Gateway;
pub(crate) use libreswan::Libreswan;
pub(crate) use openiked::OpenIked;
pub(crate) use vpnc::Vpnc;

use crate::network::{End, Topology};
use crate::scenario::{Family, Mode, Scenario, Side};
use crate::step::SaKind;

/// An IKE SA as a daemon reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IkeSa {
    pub(crate) established: bool,
    /// Both SPIs, where the daemon tells them.
    pub(crate) spis: Option<(String, String)>,
    pub(crate) children: Vec<ChildSa>,
}

/// A Child SA as a daemon reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChildSa {
    pub(crate) installed: bool,
    pub(crate) spi_in: String,
    pub(crate) spi_out: String,
    pub(crate) packets_in: u64,
}

/// What one end has to be configured for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) side: Side,
    pub(crate) topology: Topology,
}

impl Plan<'_> {
    pub(crate) fn me(&self) -> End {
        self.topology.end(self.side)
    }

    pub(crate) fn other(&self) -> End {
        self.topology.end(match self.side {
            Side::Us => Side::Them,
            Side::Them => Side::Us,
        })
    }

    pub(crate) fn initiates(&self) -> bool {
        self.scenario.initiator == self.side
    }

    /// Our address on the wire.
    pub(crate) fn local_address(&self) -> &'static str {
        match self.scenario.outer {
            Family::V4 => self.me().outer,
            Family::V6 => self.me().outer6,
        }
    }

    /// The other end's address, or `None` where a translator makes it unpredictable.
    pub(crate) fn remote_address(&self) -> Option<&'static str> {
        let other = self.other();
        match self.scenario.outer {
            Family::V4 if other.outer != other.seen_as => None,
            Family::V4 => Some(other.seen_as),
            Family::V6 => Some(other.outer6),
        }
    }

    /// Protected networks, ours first; `None` in transport mode, where they are the hosts themselves.
    pub(crate) fn selectors(&self) -> Option<(&'static str, &'static str)> {
        match (self.scenario.mode, self.scenario.inner) {
            (Mode::Transport, Family::V4 | Family::V6) => None,
            (Mode::Tunnel, Family::V4) => Some((self.me().net, self.other().net)),
            (Mode::Tunnel, Family::V6) => Some((self.me().net6, self.other().net6)),
        }
    }
}

/// The key that both ends know unless a scenario makes one of them wrong.
pub(crate) const PSK: &str = "interop-only-shared-key";

/// A daemon that can be configured, told to act, and asked what it has.
pub(crate) trait Daemon: Send {
    /// Forgets the scenario before and gets ready for this one; a responder runs afterwards.
    fn configure(&mut self, plan: &Plan<'_>) -> Result<()>;
    /// Begins to set the tunnel up; does not wait for it.
    fn initiate(&mut self) -> Result<()>;
    fn rekey(&mut self, what: SaKind) -> Result<()>;
    /// Deletes the tunnel in an orderly way.
    fn delete(&mut self) -> Result<()>;
    /// Ends the process without a farewell.
    fn kill(&mut self) -> Result<()>;
    /// Asks the process to leave and waits.
    fn stop(&mut self) -> Result<()>;
    /// Starts again with the configuration it had.
    fn restart(&mut self) -> Result<()>;
    /// Removes what a scenario left, so that the next one starts clean.
    fn settle(&mut self) -> Result<()>;
    fn sas(&mut self) -> Result<Vec<IkeSa>>;
    /// The files to look at when something went wrong, on the host.
    fn logs(&self) -> Vec<PathBuf>;
    /// Our gateway's own view, as JSON; peers have none.
    fn status(&mut self) -> Result<Option<serde_json::Value>> {
        Ok(None)
    }
}
