//! OpenIKED's `iked`, in the guest.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};

use super::libreswan::ike_sas;
use super::{Daemon, IkeSa, PSK, Plan, xfrm};
use crate::place::{Place, Process};
use crate::scenario::Mode;
use crate::step::SaKind;
use crate::suite::Suite;
use crate::wait;

pub(crate) struct OpenIked {
    place: Place,
    folder: PathBuf,
    process: Option<Process>,
    local: &'static str,
}

const SOCKET: &str = "/run/iked.sock";
/// The last thing that is logged before the first message is read.
const READY: &str = "config_getstatic: nattport";

impl OpenIked {
    pub(crate) fn new(place: Place, folder: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&folder)?;
        Ok(Self { place, folder, process: None, local: "" })
    }

    fn inside(&self, file: &str) -> String {
        self.place.inside(&self.folder.join(file)).display().to_string()
    }

    fn start(&mut self) -> Result<()> {
        // iked wants a key of its own even where only a shared one is used, and its user's home.
        let setup = "modprobe -d /mod af_key 2>/dev/null
            mkdir -p \"$(grep _iked /etc/passwd | cut -d: -f6)\" /etc/iked/private /etc/iked/pubkeys \
                /etc/iked/ca /etc/iked/certs /etc/iked/crls
            if [ ! -e /etc/iked/private/local.key ]; then
              openssl ecparam -genkey -name prime256v1 -noout -out /etc/iked/private/local.key
              openssl ec -in /etc/iked/private/local.key -pubout -out /etc/iked/local.pub 2>/dev/null
            fi
            chmod 600 /etc/iked/private/local.key; ip xfrm state flush; ip xfrm policy flush";
        let command = format!("/usr/sbin/iked -d -vv -s {SOCKET} -f {}", self.inside("iked.conf"));
        // Its log says when it is ready: the control socket answers seconds before that.
        let log = self.folder.join("iked.out");
        let _ = std::fs::remove_file(&log);
        self.process = Some(self.place.spawn(&self.folder, "iked", setup, &command)?);
        wait::until("iked to be ready", Duration::from_secs(40), || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            Ok(if text.contains(READY) { Ok(()) } else { Err("it still starts".to_owned()) })
        })
    }

    fn control(&self, arguments: &str) -> Result<String> {
        self.place.run(&format!("ikectl -s {SOCKET} {arguments}"))
    }

    fn end(&mut self, signal: &str) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.end(signal, Duration::from_secs(10)),
            None => Ok(()),
        }
    }
}

impl Daemon for OpenIked {
    fn configure(&mut self, plan: &Plan<'_>) -> Result<()> {
        self.local = plan.local_address();
        // iked reads its configuration once and keeps SAs over a reload, so it starts anew.
        self.end("TERM")?;
        std::fs::write(self.folder.join("iked.conf"), iked_conf(plan)?)?;
        self.place.run(&format!("chmod 600 {}", self.inside("iked.conf")))?;
        if plan.initiates() { Ok(()) } else { self.start() }
    }

    /// An active policy initiates as soon as iked runs.
    fn initiate(&mut self) -> Result<()> {
        self.start()
    }

    fn rekey(&mut self, _what: SaKind) -> Result<()> {
        bail!("OpenIKED rekeys by lifetime only: set ikelifetime or lifetime")
    }

    fn delete(&mut self) -> Result<()> {
        self.control("reset sa").map(drop)
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
        if self.process.is_none() {
            return Ok(Vec::new());
        }
        let listed = self.control("show sa")?;
        let established = listed.lines().filter_map(established_spis).map(Some).collect();
        let children = xfrm::children(&self.place.run("ip -s xfrm state")?, self.local);
        Ok(ike_sas(established, children))
    }

    fn logs(&self) -> Vec<PathBuf> {
        vec![self.folder.join("iked.out")]
    }
}

/// The SPIs in a line like `iked_sas: 0x55 rspi 0x1b ispi 0x2a 10.77.0.2:500->.. ESTABLISHED ..`.
///
/// The other tables of the same output name the same SAs again.
fn established_spis(line: &str) -> Option<(String, String)> {
    if !line.starts_with("iked_sas:") || !line.contains(" ESTABLISHED ") {
        return None;
    }
    let after = |key: &str| {
        let mut words = line.split_whitespace().skip_while(|word| *word != key);
        words.nth(1).map(str::to_owned)
    };
    Some((after("ispi")?, after("rspi")?))
}

fn iked_conf(plan: &Plan<'_>) -> Result<String> {
    let them = &plan.scenario.them;
    let ike = Suite::parse_list(them.ike.as_ref().unwrap_or(&plan.scenario.ike))?;
    let esp = Suite::parse_list(them.esp.as_ref().unwrap_or(&plan.scenario.esp))?;
    let how = if plan.initiates() { "active" } else { "passive" };
    let mode = if plan.scenario.mode == Mode::Transport { "transport" } else { "tunnel" };
    let local = plan.local_address();
    let Some(remote) = plan.remote_address() else {
        bail!("OpenIKED scenarios have no translator");
    };
    let (from, to) = plan.selectors().unwrap_or((local, remote));
    let mut lines =
        vec![format!("ikev2 \"ikei\" {how} {mode} esp from {from} to {to} local {local} peer {remote}")];
    lines.extend(ike.iter().map(|suite| format!("ikesa {}", suite.openiked(true))));
    lines.extend(esp.iter().map(|suite| format!("childsa {}", suite.openiked(false))));
    lines.push(format!("srcid {} dstid {}", plan.me().id, plan.other().id));
    for (key, value) in &them.connection {
        lines.push(format!("{key} {}", value.as_str().unwrap_or_default()));
    }
    lines.push(format!("psk \"{}\"", them.psk.as_deref().unwrap_or(PSK)));
    Ok(format!("{}\n", lines.join(" \\\n  ")))
}
