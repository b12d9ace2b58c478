//! Our own gateway, driven as a person would: a configuration file and the command line.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value as Json;
use toml::{Table, Value};

use super::{ChildSa, Daemon, IkeSa, PSK, Plan};
use crate::place::{Place, Process};
use crate::scenario::{Mode, merge};
use crate::step::SaKind;
use crate::wait;

/// One gateway, started anew for each scenario.
pub(crate) struct Gateway {
    place: Place,
    folder: PathBuf,
    binary: PathBuf,
    process: Option<Process>,
    /// The part of our status that a stopped process cannot tell any more.
    initiates: bool,
}

impl Gateway {
    pub(crate) fn new(place: Place, folder: PathBuf, binary: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&folder)?;
        Ok(Self { place, folder, binary, process: None, initiates: false })
    }

    /// Where the gateway listens for commands, as the place names it.
    fn socket(&self) -> PathBuf {
        self.place.inside(&self.folder.join("control"))
    }

    fn start(&mut self) -> Result<()> {
        let command = format!(
            "{} up -c {} --tun ikei0 --control {} --log debug",
            self.binary.display(),
            self.place.inside(&self.folder.join("gateway.toml")).display(),
            self.socket().display()
        );
        let setup = format!("rm -f {}", self.socket().display());
        self.process = Some(self.place.spawn(&self.folder, "gateway", &setup, &command)?);
        wait::until("our gateway's control socket", Duration::from_secs(10), || {
            if !self.is_alive()? {
                bail!("our gateway ended while it started");
            }
            Ok(self.command("status --json").map(drop).map_err(|error| format!("{error:#}")))
        })
    }

    fn is_alive(&mut self) -> Result<bool> {
        self.process.as_mut().map_or(Ok(false), Process::is_alive)
    }

    fn command(&self, arguments: &str) -> Result<String> {
        self.place.run(&format!(
            "{} {arguments} --control {} 2>{}",
            self.binary.display(),
            self.socket().display(),
            self.place.inside(&self.folder.join("command.err")).display()
        ))
    }

    fn end(&mut self, signal: &str) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.end(signal, Duration::from_secs(10)),
            None => Ok(()),
        }
    }
}

impl Daemon for Gateway {
    fn configure(&mut self, plan: &Plan<'_>) -> Result<()> {
        self.end("KILL")?;
        self.initiates = plan.initiates();
        let mut file = Table::new();
        file.insert("gateway".to_owned(), Value::Table(plan.scenario.gateway.clone()));
        file.insert("tunnel".to_owned(), Value::Array(vec![Value::Table(tunnel(plan))]));
        let pools = plan.scenario.pools.iter().cloned().map(Value::Table).collect();
        file.insert("pool".to_owned(), Value::Array(pools));
        let path = self.folder.join("gateway.toml");
        std::fs::write(&path, file.to_string())?;
        // It holds a key, and the gateway would rightly complain.
        std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        // An initiator starts its tunnel as soon as it runs, so it is started by `initiate`.
        if self.initiates { Ok(()) } else { self.start() }
    }

    fn initiate(&mut self) -> Result<()> {
        if self.is_alive()? { self.command("up net").map(drop) } else { self.start() }
    }

    fn rekey(&mut self, what: SaKind) -> Result<()> {
        self.command(match what {
            SaKind::Ike => "rekey net --ike",
            SaKind::Child => "rekey net",
        })
        .map(drop)
    }

    fn delete(&mut self) -> Result<()> {
        self.command("down net").map(drop)
    }

    fn kill(&mut self) -> Result<()> {
        self.end("KILL")
    }

    fn stop(&mut self) -> Result<()> {
        self.end("TERM")
    }

    fn restart(&mut self) -> Result<()> {
        self.start()
    }

    fn settle(&mut self) -> Result<()> {
        self.end("TERM")
    }

    fn sas(&mut self) -> Result<Vec<IkeSa>> {
        let Some(status) = self.status()? else {
            return Ok(Vec::new());
        };
        let tunnels = status.get("tunnels").and_then(Json::as_array).context("status has no tunnels")?;
        Ok(tunnels.iter().filter_map(ike_sa).collect())
    }

    fn logs(&self) -> Vec<PathBuf> {
        ["gateway.out", "command.err"].iter().map(|file| self.folder.join(file)).collect()
    }

    fn status(&mut self) -> Result<Option<Json>> {
        if !self.is_alive()? {
            return Ok(None);
        }
        let text = self.command("status --json")?;
        serde_json::from_str(&text).map(Some).with_context(|| format!("status --json printed {text:?}"))
    }
}

/// The `[[tunnel]]` of a scenario: the lab's addresses, then what the scenario says.
fn tunnel(plan: &Plan<'_>) -> Table {
    let scenario = plan.scenario;
    let string = |text: &str| Value::String(text.to_owned());
    let mut tunnel = Table::new();
    let mut set = |key: &str, value: Value| {
        tunnel.insert(key.to_owned(), value);
    };
    set("name", string("net"));
    set("ike", Value::Integer(scenario.version.into()));
    if scenario.aggressive {
        set("aggressive", Value::Boolean(true));
    }
    set("local", string(plan.local_address()));
    set("remote", string(plan.remote_address().unwrap_or(plan.other().seen_as)));
    set("local_id", string(plan.me().id));
    set("remote_id", string(plan.other().id));
    set("psk", string(PSK));
    set("start", string(if plan.initiates() { "start" } else { "passive" }));
    set("mode", string(if scenario.mode == Mode::Transport { "transport" } else { "tunnel" }));
    if let Some((local, remote)) = plan.selectors() {
        set("local_ts", Value::Array(vec![string(local)]));
        set("remote_ts", Value::Array(vec![string(remote)]));
    }
    // A preset stands for both lists.
    if !scenario.us.contains_key("preset") {
        let list = |text: &str| Value::Array(text.split(',').map(|one| string(one.trim())).collect());
        set("proposals", list(&scenario.ike));
        let (key, child) = scenario.child_proposals();
        set(key, list(child));
    }
    merge(&mut tunnel, scenario.us.clone());
    tunnel
}

/// One entry of `tunnels`; one without an IKE SA is none.
fn ike_sa(tunnel: &Json) -> Option<IkeSa> {
    let ike = tunnel.get("ike").filter(|ike| !ike.is_null())?;
    let text = |value: &Json, key: &str| value.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
    let children = tunnel.get("children").and_then(Json::as_array);
    Some(IkeSa {
        established: text(tunnel, "state") == "up",
        spis: Some((text(ike, "spi_i"), text(ike, "spi_r"))),
        children: children
            .into_iter()
            .flatten()
            // After a rekey the old inbound SA stays for a while, for packets that are still under way.
            .filter(|child| !text(child, "spi_out").is_empty())
            .map(|child| ChildSa {
                installed: true,
                spi_in: text(child, "spi_in"),
                spi_out: text(child, "spi_out"),
                packets_in: child.get("packets_in").and_then(Json::as_u64).unwrap_or(0),
            })
            .collect(),
    })
}
