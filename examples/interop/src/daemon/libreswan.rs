//! libreswan's `pluto` from an unpacked package, in the guest.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use toml::Value;

use super::{ChildSa, Daemon, IkeSa, PSK, Plan, xfrm};
use crate::place::{Place, Process};
use crate::scenario::Mode;
use crate::step::SaKind;
use crate::suite::Suite;
use crate::wait;

pub(crate) struct Libreswan {
    place: Place,
    folder: PathBuf,
    process: Option<Process>,
    local: &'static str,
}

/// Where the guest finds the unpacked package.
const TREE: &str = "/peers/libreswan";
const HELPERS: &str = "/usr/libexec/ipsec";
const CONTROL: &str = "/run/pluto/pluto.ctl";

impl Libreswan {
    pub(crate) fn new(place: Place, folder: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&folder)?;
        Ok(Self { place, folder, process: None, local: "" })
    }

    fn inside(&self, file: &str) -> String {
        self.place.inside(&self.folder.join(file)).display().to_string()
    }

    fn start(&mut self) -> Result<()> {
        // The helpers' place is compiled in; strongSwan's `ipsec` must not answer for libreswan's.
        let setup = format!(
            "mkdir -p /run/pluto /run/nss
            mountpoint -q /usr/libexec || mount --bind {TREE}/usr/libexec /usr/libexec
            [ ! -e /usr/sbin/ipsec ] || mountpoint -q /usr/sbin/ipsec || mount --bind {TREE}/usr/sbin/ipsec /usr/sbin/ipsec
            [ -e /run/nss/cert9.db ] || certutil -N -d sql:/run/nss --empty-password
            rm -f /run/pluto/*; ip xfrm state flush; ip xfrm policy flush"
        );
        let command = format!(
            "{HELPERS}/pluto --config {} --secretsfile {} --nssdir /run/nss --logfile {} --nofork",
            self.inside("ipsec.conf"),
            self.inside("ipsec.secrets"),
            self.inside("pluto.log")
        );
        self.process = Some(self.place.spawn(&self.folder, "pluto", &setup, &command)?);
        wait::until("pluto's control socket", Duration::from_secs(30), || {
            Ok(self.whack("--status").map(drop).map_err(|error| format!("{error:#}")))
        })
    }

    fn whack(&self, arguments: &str) -> Result<String> {
        self.place.run(&format!("{HELPERS}/whack {arguments}"))
    }

    fn load(&self) -> Result<()> {
        self.whack("--rereadsecrets")?;
        let config = self.inside("ipsec.conf");
        self.place.run(&format!("{HELPERS}/addconn --config {config} --ctlsocket {CONTROL} ikei"))?;
        self.whack("--listen").map(drop)
    }
}

impl Daemon for Libreswan {
    fn configure(&mut self, plan: &Plan<'_>) -> Result<()> {
        self.local = plan.local_address();
        std::fs::write(self.folder.join("ipsec.conf"), ipsec_conf(plan)?)?;
        let psk = plan.scenario.them.psk.as_deref().unwrap_or(PSK);
        let secrets = format!("@{} @{} : PSK \"{psk}\"\n", plan.me().id, plan.other().id);
        std::fs::write(self.folder.join("ipsec.secrets"), secrets)?;
        self.place.run(&format!("chmod 600 {}", self.inside("ipsec.secrets")))?;
        if self.process.is_none() {
            self.start()?;
        }
        self.load()
    }

    fn initiate(&mut self) -> Result<()> {
        self.whack("--initiate --asynchronous --name ikei").map(drop)
    }

    fn rekey(&mut self, what: SaKind) -> Result<()> {
        self.whack(match what {
            SaKind::Ike => "--rekey-ike --asynchronous --name ikei",
            SaKind::Child => "--rekey-ipsec --asynchronous --name ikei",
        })
        .map(drop)
    }

    fn delete(&mut self) -> Result<()> {
        self.whack("--terminate --name ikei").map(drop)
    }

    fn kill(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.end("KILL", Duration::from_secs(5)),
            None => Ok(()),
        }
    }

    fn stop(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.end("TERM", Duration::from_secs(15)),
            None => Ok(()),
        }
    }

    fn restart(&mut self) -> Result<()> {
        self.start()?;
        self.load()
    }

    fn settle(&mut self) -> Result<()> {
        if self.process.is_some() {
            // There is nothing to terminate when the scenario took everything down.
            let _ = self.whack("--delete --name ikei");
        }
        Ok(())
    }

    fn sas(&mut self) -> Result<Vec<IkeSa>> {
        if self.process.is_none() {
            return Ok(Vec::new());
        }
        let states = self.whack("--showstates")?;
        let established = states
            .lines()
            .filter(|line| {
                ["ESTABLISHED_IKE_SA", "STATE_MAIN_I4", "STATE_MAIN_R3"]
                    .iter()
                    .any(|state| line.contains(state))
            })
            .count();
        let children = xfrm::children(&self.place.run("ip -s xfrm state")?, self.local);
        Ok(ike_sas(vec![None; established], children))
    }

    fn logs(&self) -> Vec<PathBuf> {
        ["pluto.log", "pluto.out"].iter().map(|file| self.folder.join(file)).collect()
    }
}

/// All children belong to the first IKE SA, because the kernel does not know whose they are.
pub(crate) fn ike_sas(spis: Vec<Option<(String, String)>>, mut children: Vec<ChildSa>) -> Vec<IkeSa> {
    spis.into_iter()
        .map(|spis| IkeSa { established: true, spis, children: std::mem::take(&mut children) })
        .collect()
}

fn ipsec_conf(plan: &Plan<'_>) -> Result<String> {
    let them = &plan.scenario.them;
    let ike = Suite::parse_list(them.ike.as_ref().unwrap_or(&plan.scenario.ike))?;
    let esp = Suite::parse_list(them.esp.as_ref().unwrap_or(&plan.scenario.esp))?;
    let words = |suites: &[Suite]| suites.iter().map(Suite::libreswan).collect::<Vec<_>>().join(",");
    let esn = if esp.iter().all(Suite::esn) { "yes" } else { "no" };
    let mut lines = vec![
        format!("left={}", plan.local_address()),
        format!("leftid=@{}", plan.me().id),
        format!("right={}", plan.remote_address().unwrap_or("%any")),
        format!("rightid=@{}", plan.other().id),
        format!("ike={}", words(&ike)),
        format!("esp={}", words(&esp)),
        format!("esn={esn}"),
        format!("type={}", if plan.scenario.mode == Mode::Transport { "transport" } else { "tunnel" }),
    ];
    if let Some((local, remote)) = plan.selectors() {
        lines.push(format!("leftsubnet={local}"));
        lines.push(format!("rightsubnet={remote}"));
    }
    for (key, value) in &them.connection {
        match value {
            Value::String(text) => lines.push(format!("{key}={text}")),
            Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_)
            | Value::Array(_)
            | Value::Table(_) => bail!("libreswan's {key} must be a string"),
        }
    }
    Ok(format!(
        "config setup\n    nssdir=/run/nss\n    dnssec-enable=no\n    ikev1-policy=accept\n\nconn ikei\n    ikev2={}\n    \
         authby=secret\n    pfs=no\n    encapsulation=auto\n    auto=add\n    {}\n",
        if plan.scenario.version == 1 { "no" } else { "yes" },
        lines.join("\n    ")
    ))
}
