//! The namespaces of one run and what connects them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::place::Place;
use crate::scenario::Side;

/// How the two ends are connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topology {
    /// Two namespaces, one wire.
    Direct,
    /// A translating router before one end.
    Nat(Side),
    /// One namespace, wired to the guest by a TAP device.
    Guest,
}

/// Addresses of one end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    /// Its own address on the wire.
    pub(crate) outer: &'static str,
    /// The address that the other end sees, which differs behind a translator.
    pub(crate) seen_as: &'static str,
    /// The host address inside the tunnel.
    pub(crate) inner: &'static str,
    /// A second host, in a network of its own.
    pub(crate) second: &'static str,
    /// The protected network.
    pub(crate) net: &'static str,
    pub(crate) outer6: &'static str,
    pub(crate) inner6: &'static str,
    pub(crate) net6: &'static str,
    /// The IKE identity.
    pub(crate) id: &'static str,
}

const US: End = End {
    outer: "10.77.0.1",
    seen_as: "10.77.0.1",
    inner: "10.77.1.1",
    second: "10.77.5.1",
    net: "10.77.1.0/24",
    outer6: "fd77::1",
    inner6: "fd77:1::1",
    net6: "fd77:1::/64",
    id: "us.ikebana.test",
};
const THEM: End = End {
    outer: "10.77.0.2",
    seen_as: "10.77.0.2",
    inner: "10.77.2.1",
    second: "10.77.6.1",
    net: "10.77.2.0/24",
    outer6: "fd77::2",
    inner6: "fd77:2::1",
    net6: "fd77:2::/64",
    id: "them.ikebana.test",
};
/// The translator's public address.
const ROUTER: &str = "10.77.0.254";

impl Topology {
    pub(crate) fn end(self, side: Side) -> End {
        match (self, side) {
            (Topology::Nat(Side::Us), Side::Us) => End { outer: "10.77.8.1", seen_as: ROUTER, ..US },
            (Topology::Nat(Side::Them), Side::Them) => End { outer: "10.77.9.2", seen_as: ROUTER, ..THEM },
            (Topology::Direct | Topology::Guest | Topology::Nat(_), Side::Us) => US,
            (Topology::Direct | Topology::Guest | Topology::Nat(_), Side::Them) => THEM,
        }
    }
}

/// Where the guest and its namespace talk about what to do, apart from the traffic under test.
pub(crate) const GUEST_CONTROL: &str = "192.168.77.2";
const HOST_CONTROL: &str = "192.168.77.1";

/// Packets that left our end, by kind.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WireCounters {
    pub(crate) esp: u64,
    pub(crate) esp_in_udp: u64,
    /// Packets of the protected network outside a tunnel; they are counted and dropped.
    pub(crate) clear: u64,
}

/// The namespaces of one topology; they and all processes in them end with it.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) topology: Topology,
    names: Vec<String>,
}

impl Network {
    pub(crate) fn build(topology: Topology) -> Result<Self> {
        let prefix = format!("ikei-{}", std::process::id());
        let ends: &[&str] = match topology {
            Topology::Direct => &["u", "t"],
            Topology::Nat(_) => &["u", "t", "r"],
            Topology::Guest => &["u"],
        };
        let names = ends.iter().map(|end| format!("{prefix}-{end}")).collect();
        let network = Self { topology, names };
        network.wire().context("cannot build the network namespaces")?;
        Ok(network)
    }

    /// The namespace of our end, or of the peer where it is not in the guest.
    pub(crate) fn namespace(&self, side: Side) -> Option<&str> {
        let suffix = match side {
            Side::Us => "-u",
            Side::Them => "-t",
        };
        self.names.iter().find(|name| name.ends_with(suffix)).map(String::as_str)
    }

    pub(crate) fn place(&self, side: Side) -> Option<Place> {
        self.namespace(side).map(|name| Place::Namespace { name: name.to_owned() })
    }

    /// Takes the wire away (packets vanish, interfaces stay up) or gives it back.
    pub(crate) fn set_link(&self, up: bool) -> Result<()> {
        let script = if up {
            "nft flush chain inet ikei cut"
        } else {
            "nft add rule inet ikei cut oifname eth0 drop && nft add rule inet ikei cut iifname eth0 drop"
        };
        self.us().run(script).map(drop)
    }

    pub(crate) fn counters(&self) -> Result<WireCounters> {
        let text = self.us().run("nft -j list counters")?;
        let parsed: serde_json::Value = serde_json::from_str(&text).context("nft -j list counters")?;
        let packets = |name: &str| -> Result<u64> {
            parsed
                .get("nftables")
                .and_then(serde_json::Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|item| item.get("counter"))
                .find(|counter| counter.get("name").is_some_and(|value| value == name))
                .and_then(|counter| counter.get("packets")?.as_u64())
                .with_context(|| format!("nft has no counter {name}"))
        };
        Ok(WireCounters {
            esp: packets("n_esp")?,
            esp_in_udp: packets("n_udp")?,
            clear: packets("n_clear")?,
        })
    }

    pub(crate) fn reset_counters(&self) -> Result<()> {
        self.us().run("nft reset counters >/dev/null").map(drop)
    }

    fn us(&self) -> Place {
        let name = self.names.first().cloned().unwrap_or_default();
        Place::Namespace { name }
    }

    fn wire(&self) -> Result<()> {
        for name in &self.names {
            host(&format!("ip netns add {name} && ip -n {name} link set lo up"))?;
        }
        let us = self.topology.end(Side::Us);
        let them = self.topology.end(Side::Them);
        let (u, t) = (self.namespace(Side::Us).unwrap_or_default(), self.namespace(Side::Them).unwrap_or_default());
        match self.topology {
            Topology::Direct => {
                host(&format!("ip -n {u} link add eth0 type veth peer name eth0 netns {t}"))?;
                setup_end(u, us, them.outer, them.outer6)?;
                setup_end(t, them, us.outer, us.outer6)?;
            }
            Topology::Guest => {
                host(&format!("ip netns exec {u} ip tuntap add eth0 mode tap"))?;
                setup_end(u, us, them.outer, them.outer6)?;
                host(&format!("ip -n {u} addr add {HOST_CONTROL}/24 dev eth0"))?;
            }
            Topology::Nat(behind) => {
                let r = self.names.get(2).map(String::as_str).unwrap_or_default();
                host(&format!(
                    "ip -n {u} link add eth0 type veth peer name ru netns {r}
                     ip -n {t} link add eth0 type veth peer name rt netns {r}"
                ))?;
                setup_router(r, behind)?;
                let (ours, theirs) = match behind {
                    Side::Us => ("10.77.8.254", ROUTER),
                    Side::Them => (ROUTER, "10.77.9.254"),
                };
                setup_end(u, us, ours, "fd77::254")?;
                setup_end(t, them, theirs, "fd77::254")?;
            }
        }
        Ok(())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in &self.names {
            remove_namespace(name);
        }
    }
}

/// Removes namespaces of runs that were killed before they could do it themselves.
pub(crate) fn remove_stale() {
    let Ok(entries) = std::fs::read_dir("/run/netns") else {
        return;
    };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix("ikei-").and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            remove_namespace(&name);
        }
    }
}

/// Everything in a namespace of ours is ours, so all of it ends.
fn remove_namespace(name: &str) {
    let script = format!(
        "for i in 1 2 3 4 5 6 7 8 9 10; do p=$(ip netns pids {name} 2>/dev/null)
         [ -z \"$p\" ] && break; kill -KILL $p 2>/dev/null; sleep 0.05; done; ip netns del {name}"
    );
    if let Err(error) = host(&script)
        && PathBuf::from("/run/netns").join(name).exists()
    {
        eprintln!("namespace {name} could not be removed: {error:#}");
    }
}

fn setup_end(namespace: &str, end: End, gateway: &str, gateway6: &str) -> Result<()> {
    let End { outer, inner, second, net, outer6, inner6, net6, .. } = end;
    host(&format!(
        "set -e
        ip -n {namespace} addr add {outer}/24 dev eth0
        ip -n {namespace} addr add {outer6}/64 dev eth0 nodad
        ip -n {namespace} addr add {inner}/32 dev lo
        ip -n {namespace} addr add {second}/32 dev lo
        ip -n {namespace} addr add {inner6}/128 dev lo nodad
        ip -n {namespace} link set eth0 up
        # Without a tunnel protected traffic would go this way; it is counted and dropped below.
        ip -n {namespace} route add default via {gateway}
        ip -n {namespace} -6 route add default via {gateway6}
        ip netns exec {namespace} sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 \
            net.ipv4.conf.default.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0 \
            net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.eth0.send_redirects=0
        # Offloads off, so that the wire carries real packets.
        ip netns exec {namespace} ethtool -K eth0 tso off gso off gro off tx off >/dev/null 2>&1 || true
        ip netns exec {namespace} nft -f - <<'N'
table inet ikei {{
  counter n_clear {{ }}
  counter n_esp {{ }}
  counter n_udp {{ }}
  chain out {{
    type filter hook output priority 0;
    oifname \"eth0\" ip saddr {{ {net}, {second} }} counter name n_clear drop
    oifname \"eth0\" ip6 saddr {net6} counter name n_clear drop
    oifname \"eth0\" meta l4proto 50 counter name n_esp
    oifname \"eth0\" udp sport 4500 @th,64,32 != 0 counter name n_udp
  }}
  chain cut {{ }}
  chain cut_out {{
    type filter hook output priority 1;
    jump cut
  }}
  chain cut_in {{
    type filter hook input priority 1;
    jump cut
  }}
}}
N"
    ))
}

fn setup_router(r: &str, behind: Side) -> Result<()> {
    let (inside, outside, address) = match behind {
        Side::Us => ("ru", "rt", "10.77.8.254"),
        Side::Them => ("rt", "ru", "10.77.9.254"),
    };
    host(&format!(
        "set -e
        ip -n {r} addr add {address}/24 dev {inside}; ip -n {r} link set {inside} up
        ip -n {r} addr add {ROUTER}/24 dev {outside}; ip -n {r} link set {outside} up
        ip netns exec {r} sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0
        ip netns exec {r} nft -f - <<'N'
table ip nat {{
  chain post {{
    type nat hook postrouting priority 100;
    oifname \"{outside}\" meta l4proto udp masquerade to :20000-30000
  }}
}}
N"
    ))
}

/// Runs a shell script on the host, outside all namespaces.
pub(crate) fn host(script: &str) -> Result<()> {
    let output = Command::new("sh").args(["-c", script]).stdin(Stdio::null()).output().context("sh")?;
    if !output.status.success() {
        bail!("`{script}` failed: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(())
}
