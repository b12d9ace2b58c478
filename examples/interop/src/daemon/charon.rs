//! strongSwan's `charon`, driven by `swanctl`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use toml::{Table, Value};

use super::sections::{self, Node};
use super::{ChildSa, Daemon, IkeSa, PSK, Plan};
use crate::place::{Place, Process};
use crate::scenario::{Mode, PeerSettings, Side, merge};
use crate::step::SaKind;
use crate::wait;

/// Who does charon's ESP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Esp {
    /// charon itself, in userspace: ESP-in-UDP only.
    Userspace,
    /// Linux.
    Kernel,
}

/// One charon, which lives through many scenarios.
pub(crate) struct Charon {
    place: Place,
    folder: PathBuf,
    esp: Esp,
    process: Option<Process>,
    /// The `charon` section it was started with.
    settings: Table,
}

const PLUGINS: &str = "random nonce openssl aes sha1 sha2 hmac kdf gcm ccm ctr cmac xcbc chapoly \
                       curve25519 gmp pem pkcs1 pkcs8 x509 pubkey constraints revocation \
                       xauth-generic unity";

impl Charon {
    /// `folder` is in the common folder of the place.
    pub(crate) fn new(place: Place, folder: PathBuf, esp: Esp) -> Result<Self> {
        std::fs::create_dir_all(&folder)?;
        Ok(Self { place, folder, esp, process: None, settings: Table::new() })
    }

    /// The control socket as the place names it. The guest and containers keep it to themselves.
    fn socket(&self) -> PathBuf {
        match self.place {
            Place::Namespace { .. } => self.folder.join("vici"),
            Place::Guest { .. } | Place::Container { .. } => PathBuf::from("/run/interop.vici"),
        }
    }

    fn inside(&self, file: &str) -> String {
        self.place.inside(&self.folder.join(file)).display().to_string()
    }

    fn start(&mut self) -> Result<()> {
        let socket = self.socket();
        let esp = match self.esp {
            // Before kernel-netlink, so that it gives ESP and netlink only routes and addresses.
            Esp::Userspace => "kernel-libipsec kernel-netlink",
            Esp::Kernel => "kernel-netlink",
        };
        let config = format!(
            "charon {{
  load = {PLUGINS} {esp} socket-default vici updown
  retransmit_timeout = 1.0
  retransmit_base = 1.5
  retransmit_tries = 4
  plugins {{
    vici {{
      socket = unix://{}
    }}
    kernel-libipsec {{
      allow_peer_ts = no
    }}
  }}
  filelog {{
    log {{
      path = {}
      default = 1
      ike = 2
      cfg = 1
      append = yes
      time_format = %H:%M:%S
      flush_line = yes
    }}
  }}
{}}}
swanctl {{
  load = pem pkcs1 pkcs8 x509 pubkey openssl random nonce
}}
",
            socket.display(),
            self.inside("charon.log"),
            sections::render(&self.settings),
        );
        std::fs::write(self.folder.join("strongswan.conf"), config)?;
        // The pid file's place is compiled in; in a namespace an own /run keeps daemons apart.
        let own_run = match self.place {
            Place::Namespace { .. } => "mount -t tmpfs tmpfs /run",
            Place::Guest { .. } | Place::Container { .. } => "rm -f /run/charon.pid",
        };
        let setup = format!(
            "{own_run}; rm -f {}; ip route flush table 220 2>/dev/null; export STRONGSWAN_CONF={}",
            socket.display(),
            self.inside("strongswan.conf")
        );
        let process = self.place.spawn(&self.folder, "charon", &setup, "/usr/lib/ipsec/charon")?;
        self.process = Some(process);
        wait::until("charon's control socket", Duration::from_secs(20), || {
            Ok(self.swanctl("--stats").map(drop).map_err(|error| format!("{error:#}")))
        })
    }

    fn swanctl(&self, arguments: &str) -> Result<String> {
        self.place.run(&format!(
            "STRONGSWAN_CONF={} swanctl {arguments} --uri unix://{}",
            self.inside("strongswan.conf"),
            self.socket().display()
        ))
    }

    fn load(&self) -> Result<()> {
        self.swanctl(&format!("--load-all --clear --noprompt --file {}", self.inside("swanctl.conf")))
            .map(drop)
    }
}

impl Daemon for Charon {
    fn configure(&mut self, plan: &Plan<'_>) -> Result<()> {
        let peer = settings_of(plan);
        std::fs::write(self.folder.join("swanctl.conf"), swanctl_conf(plan, &peer, self.esp))?;
        let running = self.process.as_mut().is_some_and(|process| process.is_alive().unwrap_or(false));
        if !running || self.settings != peer.charon {
            self.stop()?;
            self.settings = peer.charon;
            self.start()?;
        }
        self.load()
    }

    fn initiate(&mut self) -> Result<()> {
        // The caller waits for the SA itself; what matters here is that charon got the command.
        let script = format!(
            "(STRONGSWAN_CONF={} swanctl --initiate --child net --timeout 20 --uri unix://{} >>{} 2>&1 &)",
            self.inside("strongswan.conf"),
            self.socket().display(),
            self.inside("initiate.out")
        );
        self.place.run(&script).map(drop)
    }

    fn rekey(&mut self, what: SaKind) -> Result<()> {
        self.swanctl(match what {
            SaKind::Ike => "--rekey --ike ikei",
            SaKind::Child => "--rekey --child net",
        })
        .map(drop)
    }

    fn delete(&mut self) -> Result<()> {
        self.swanctl("--terminate --ike ikei --timeout 10").map(drop)
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
        self.start()?;
        self.load()
    }

    fn settle(&mut self) -> Result<()> {
        if self.process.is_none() {
            return Ok(());
        }
        for sa in list(&self.swanctl("--list-sas --raw")?) {
            if let Some(id) = sa.text("uniqueid") {
                // An SA may vanish by itself between the two commands.
                let _ = self.swanctl(&format!("--terminate --ike-id {id} --force --timeout 2"));
            }
        }
        Ok(())
    }

    fn sas(&mut self) -> Result<Vec<IkeSa>> {
        if self.process.is_none() {
            return Ok(Vec::new());
        }
        Ok(list(&self.swanctl("--list-sas --raw")?).iter().map(ike_sa).collect())
    }

    fn logs(&self) -> Vec<PathBuf> {
        ["charon.log", "charon.out", "initiate.out"].iter().map(|file| self.folder.join(file)).collect()
    }
}

fn list(output: &str) -> Vec<Node> {
    sections::parse_events(output, "list-sa").into_iter().flat_map(|event| event.into_values()).collect()
}

fn ike_sa(node: &Node) -> IkeSa {
    let spi = |key| node.text(key).unwrap_or_default().to_owned();
    let children = node.section().and_then(|section| section.get("child-sas")).and_then(Node::section);
    IkeSa {
        established: node.text("state") == Some("ESTABLISHED"),
        spis: Some((spi("initiator-spi"), spi("responder-spi"))),
        children: children
            .into_iter()
            .flat_map(|children| children.values())
            // A deleted Child SA is kept for some seconds, for packets that are still under way. With IKEv1, one
            // that was replaced stays until it expires or the peer deletes it.
            .filter(|child| !matches!(child.text("state"), Some("DELETED" | "REKEYED")))
            .map(child_sa)
            .collect(),
    }
}

fn child_sa(node: &Node) -> ChildSa {
    let text = |key| node.text(key).unwrap_or_default().to_owned();
    ChildSa {
        installed: node.text("state") == Some("INSTALLED"),
        spi_in: text("spi-in"),
        spi_out: text("spi-out"),
        packets_in: text("packets-in").parse().unwrap_or(0),
    }
}

/// The settings of this end: the peer's as written, or our own ones as far as charon can stand in for us.
fn settings_of(plan: &Plan<'_>) -> PeerSettings {
    match plan.side {
        Side::Them => plan.scenario.them.clone(),
        Side::Us => {
            let us = &plan.scenario.us;
            let text = |key: &str| us.get(key).and_then(Value::as_str).map(str::to_owned);
            let list = |key: &str| {
                let values = us.get(key)?.as_array()?.iter().filter_map(Value::as_str);
                Some(values.collect::<Vec<_>>().join(","))
            };
            let mut child = Table::new();
            for key in ["local_ts", "remote_ts"] {
                if let Some(selectors) = list(key) {
                    child.insert(key.to_owned(), Value::String(selectors));
                }
            }
            let mut connection = Table::new();
            if let Some(delay) = text("dpd_delay") {
                connection.insert("dpd_delay".to_owned(), Value::String(delay));
                child.insert("dpd_action".to_owned(), Value::String("restart".to_owned()));
            }
            PeerSettings {
                psk: text("psk"),
                ike: list("proposals"),
                esp: list("esp_proposals"),
                connection,
                child,
                ..PeerSettings::default()
            }
        }
    }
}

fn swanctl_conf(plan: &Plan<'_>, peer: &PeerSettings, esp: Esp) -> String {
    let scenario = plan.scenario;
    let (key, proposals) = scenario.child_proposals();
    let mut child = table([
        (key, peer.esp.as_deref().unwrap_or(proposals)),
        ("mode", if scenario.mode == Mode::Transport { "transport" } else { "tunnel" }),
        ("start_action", "none"),
    ]);
    if let Some((local, remote)) = plan.selectors() {
        merge(&mut child, table([("local_ts", local), ("remote_ts", remote)]));
    }
    merge(&mut child, peer.child.clone());
    let mut connection = table([
        ("version", if scenario.version == 1 { "1" } else { "2" }),
        ("local_addrs", plan.local_address()),
        ("remote_addrs", plan.remote_address().unwrap_or("%any")),
        ("proposals", peer.ike.as_ref().unwrap_or(&scenario.ike)),
        ("encap", if esp == Esp::Userspace { "yes" } else { "no" }),
        ("mobike", "no"),
    ]);
    if scenario.aggressive {
        merge(&mut connection, table([("aggressive", "yes")]));
    }
    merge(&mut connection, peer.connection.clone());
    connection.insert("local".to_owned(), Value::Table(table([("auth", "psk"), ("id", plan.me().id)])));
    connection.insert("remote".to_owned(), Value::Table(table([("auth", "psk"), ("id", plan.other().id)])));
    connection.insert("children".to_owned(), Value::Table(nest("net", child)));
    let psk = format!("\"{}\"", peer.psk.as_deref().unwrap_or(PSK));
    let secret = table([("id-a", plan.me().id), ("id-b", plan.other().id), ("secret", &psk)]);
    let mut file = nest("connections", nest("ikei", connection));
    merge(&mut file, nest("secrets", nest("ike-interop", secret)));
    merge(&mut file, nest("secrets", peer.secrets.clone()));
    merge(&mut file, nest("pools", peer.pools.clone()));
    sections::render(&file)
}

fn table<const N: usize>(entries: [(&str, &str); N]) -> Table {
    entries.into_iter().map(|(key, value)| (key.to_owned(), Value::String(value.to_owned()))).collect()
}

fn nest(name: &str, inner: Table) -> Table {
    [(name.to_owned(), Value::Table(inner))].into_iter().collect()
}
