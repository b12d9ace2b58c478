//! Runs ikebana's gateway against real peers, as described in `scenarios/*.toml`.

mod agent;
mod agreement;
mod containers;
mod daemon;
mod execute;
mod guest;
mod half_open;
mod ike_scan;
mod lab;
mod network;
mod ping;
mod place;
mod runner;
mod scapy;
mod scenario;
mod step;
mod suite;
mod wait;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};

use crate::lab::Options;
use crate::scenario::Scenario;

#[derive(Parser)]
#[command(about, version)]
struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Run scenarios in network namespaces, or in the guest with --kernel. Needs root.
    Run {
        #[command(flatten)]
        selection: Selection,
        /// Put strongSwan in our gateway's place, to show that the scenarios' settings are right.
        #[arg(long)]
        self_check: bool,
        /// Keep state and logs even if everything passed.
        #[arg(long)]
        keep: bool,
    },
    /// Print the names of the scenarios.
    List {
        #[command(flatten)]
        selection: Selection,
    },
    /// Compare random packets of every suite with scapy, which is installed from PyPI. Needs no root.
    Packets {
        /// Folder with what the peers need; scapy's environment is made in it.
        #[arg(long, default_value = "target/interop-peers")]
        peers: PathBuf,
        /// Another seed makes other packets.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Run one scenario in two containers, with `docker compose`.
    Docker {
        /// The scenario's whole name.
        scenario: String,
        /// Our gateway's binary.
        #[arg(long, default_value = "target/debug/ikebana")]
        gateway: PathBuf,
        /// Folder for the generated compose file, images and logs; it must not exist yet.
        #[arg(long, default_value = "target/interop-docker")]
        folder: PathBuf,
        /// Put strongSwan in our gateway's place.
        #[arg(long)]
        self_check: bool,
        /// Only write the folder: `docker compose up --build -d` in it starts the two ends.
        #[arg(long)]
        generate: bool,
        /// Leave the containers running.
        #[arg(long)]
        keep: bool,
    },
    /// (internal) Serve shell commands in the guest.
    #[command(hide = true)]
    Agent { address: String },
    /// (internal) Have the guest's agent run a script.
    #[command(hide = true)]
    Ask {
        #[arg(long, default_value_t = 30)]
        limit: u64,
        address: String,
        script: String,
    },
    /// (internal) Leave a half-open IKE SA on a responder.
    #[command(hide = true)]
    HalfOpen { responder: String },
}

#[derive(Args)]
struct Selection {
    /// Our gateway's binary.
    #[arg(long, default_value = "target/debug/ikebana")]
    gateway: PathBuf,
    /// Folder with unpacked peers that cannot be installed (libreswan).
    #[arg(long, default_value = "target/interop-peers")]
    peers: PathBuf,
    /// Folder with the scenario files.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios"))]
    scenarios: PathBuf,
    /// The scenarios that need a kernel with ESP, instead of those that do not.
    #[arg(long)]
    kernel: bool,
    /// Only scenarios whose name contains this text.
    #[arg(long, default_value = "")]
    filter: String,
    /// Only this share of the scenarios, as in "1/3". Several runs, each with its share, can go on at a time.
    #[arg(long, default_value = "1/1")]
    part: Part,
}

/// One of several shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    /// From 0.
    index: usize,
    of: usize,
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, of) = text.split_once('/').ok_or("a share looks like 1/3")?;
        let parse = |text: &str| text.parse::<usize>().map_err(|error| format!("{text:?}: {error}"));
        let (number, of) = (parse(number)?, parse(of)?);
        let index = number.checked_sub(1).filter(|&index| index < of);
        Ok(Self { index: index.ok_or("the first number is at least 1 and at most the second")?, of })
    }
}

impl Selection {
    fn load(&self) -> Result<Vec<Scenario>> {
        let mut scenarios = scenario::load_folder(&self.scenarios)?;
        scenarios.retain(|scenario| {
            scenario.peer.needs_guest() == self.kernel && scenario.name.contains(&self.filter)
        });
        if scenarios.is_empty() {
            bail!("no scenario's name contains {:?}", self.filter);
        }
        // Neighbours are alike and take alike long, so dealing them out shares the time.
        let mut at = 0..;
        scenarios.retain(|_| at.next().is_some_and(|at: usize| at % self.part.of == self.part.index));
        Ok(scenarios)
    }
}

fn main() -> ExitCode {
    match act(Command::parse().action) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("ikebana-interop: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn act(action: Action) -> Result<ExitCode> {
    match action {
        Action::Run { selection, self_check, keep } => run(&selection, self_check, keep),
        Action::List { selection } => {
            for scenario in selection.load()? {
                println!("{}", scenario.name);
            }
            Ok(ExitCode::SUCCESS)
        }
        Action::Packets { peers, seed } => scapy::compare(&peers, seed).map(|()| ExitCode::SUCCESS),
        Action::Docker { scenario, gateway, folder, self_check, generate, keep } => {
            let request = containers::Request { scenario, gateway, folder, self_check, generate, keep };
            containers::run(&request)
        }
        Action::Agent { address } => agent::serve(&address).map(|()| ExitCode::SUCCESS),
        Action::Ask { limit, address, script } => {
            let code = agent::ask(&address, &script, limit)?;
            Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
        }
        Action::HalfOpen { responder } => half_open::leave_one(&responder).map(|()| ExitCode::SUCCESS),
    }
}

fn run(selection: &Selection, self_check: bool, keep: bool) -> Result<ExitCode> {
    let scenarios = selection.load()?;
    wait::watch_signals()?;
    network::remove_stale();
    let folder = std::env::temp_dir().join(format!("ikebana-interop-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let gateway = if self_check { PathBuf::new() } else { absolute(&selection.gateway)? };
    let peers = std::path::absolute(&selection.peers)?;
    let options = Options { gateway, peers, self_check, folder: folder.clone() };
    let summary = runner::run(&scenarios, &options);
    let clean = summary.as_ref().is_ok_and(|summary| summary.failed == 0);
    if clean && !keep {
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    } else {
        println!("state and logs are in {}", folder.display());
    }
    let summary = summary?;
    println!("{} scenarios passed, {} failed, {} skipped", summary.passed, summary.failed, summary.skipped);
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn absolute(path: &Path) -> Result<PathBuf> {
    path.canonicalize().with_context(|| format!("our gateway's binary {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_counted_from_one() {
        assert_eq!("1/1".parse(), Ok(Part { index: 0, of: 1 }));
        assert_eq!("3/3".parse(), Ok(Part { index: 2, of: 3 }));
        for wrong in ["", "1", "0/2", "3/2", "1/0", "a/2", "1/-2"] {
            assert!(wrong.parse::<Part>().is_err(), "{wrong}");
        }
    }
}
