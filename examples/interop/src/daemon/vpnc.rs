//! vpnc: an IKEv1 client with aggressive mode, XAUTH, mode config and ESP of its own.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use toml::Value;

use super::{Daemon, IkeSa, PSK, Plan};
use crate::place::{Place, Process};
use crate::step::SaKind;

/// A client started anew by each `initiate`.
pub(crate) struct Vpnc {
    place: Place,
    folder: PathBuf,
    process: Option<Process>,
    /// vpnc's `--natt-mode`.
    natt: String,
}

/// What vpnc runs when it has its addresses: no resolv.conf, no default route.
const SCRIPT: &str = r#"#!/bin/sh
case $reason in
connect)
    ip link set "$TUNDEV" up mtu 1400
    ip address add "$INTERNAL_IP4_ADDRESS/32" dev "$TUNDEV"
    ip route replace 10.77.1.0/24 dev "$TUNDEV" src "$INTERNAL_IP4_ADDRESS"
    ;;
esac
"#;

impl Vpnc {
    pub(crate) fn new(place: Place, folder: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&folder)?;
        Ok(Self { place, folder, process: None, natt: "none".to_owned() })
    }

    fn inside(&self, file: &str) -> String {
        self.place.inside(&self.folder.join(file)).display().to_string()
    }
}

impl Daemon for Vpnc {
    fn configure(&mut self, plan: &Plan<'_>) -> Result<()> {
        self.stop()?;
        let them = &plan.scenario.them;
        let setting = |key: &str| them.connection.get(key).and_then(Value::as_str);
        self.natt = setting("natt").unwrap_or("none").to_owned();
        let gateway = plan.remote_address().context("vpnc needs an address to go to")?;
        let config = format!(
            "IPSec gateway {gateway}\nIPSec ID {}\nIPSec secret {}\nIKE DH Group {}\nPerfect Forward Secrecy {}\n\
             Xauth username {}\nXauth password {}\n",
            setting("group").unwrap_or("group"),
            them.psk.as_deref().unwrap_or(PSK),
            setting("dh").unwrap_or("dh2"),
            setting("pfs").unwrap_or("nopfs"),
            setting("user").unwrap_or("alice"),
            setting("password").unwrap_or("wonderland"),
        );
        std::fs::write(self.folder.join("vpnc.conf"), config)?;
        std::fs::write(self.folder.join("script"), SCRIPT)?;
        self.place.run(&format!("chmod 700 {}", self.inside("script"))).map(drop)
    }

    fn initiate(&mut self) -> Result<()> {
        let command = format!(
            "vpnc --no-detach --non-inter --natt-mode {} --local-port 0 --pid-file /run/vpnc.pid --script {} \
             --ifname vpnc0 --debug 1 {}",
            self.natt,
            self.inside("script"),
            self.inside("vpnc.conf")
        );
        self.process = Some(self.place.spawn(&self.folder, "vpnc", "mount -t tmpfs tmpfs /run", &command)?);
        Ok(())
    }

    fn rekey(&mut self, what: SaKind) -> Result<()> {
        bail!("vpnc cannot be told to rekey ({what:?})")
    }

    fn delete(&mut self) -> Result<()> {
        self.stop()
    }

    fn kill(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.end("KILL", Duration::from_secs(5)),
            None => Ok(()),
        }
    }

    fn stop(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.end("TERM", Duration::from_secs(10)),
            None => Ok(()),
        }
    }

    fn restart(&mut self) -> Result<()> {
        self.initiate()
    }

    fn settle(&mut self) -> Result<()> {
        self.stop()
    }

    fn sas(&mut self) -> Result<Vec<IkeSa>> {
        Ok(Vec::new())
    }

    fn logs(&self) -> Vec<PathBuf> {
        vec![self.folder.join("vpnc.out")]
    }
}
