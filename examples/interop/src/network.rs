//! The namespaces of one run and what connects them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::containers::Containers;
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
    pub(crate) ah: u64,
    /// Packets of the protected network outside a tunnel; they are counted and dropped.
    pub(crate) clear: u64,
}

/// What connects the two ends; it and all processes in it end when it is dropped.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) topology: Topology,
    us: Place,
    /// Absent where the peer runs in the guest.
    them: Option<Place>,
    /// The namespaces that are ours to remove.
    names: Vec<String>,
    /// The containers that are ours to remove.
    _containers: Option<Containers>,
}

impl Network {
    /// Builds the namespaces of a topology.
    pub(crate) fn build(topology: Topology) -> Result<Self> {
        let prefix = format!("ikei-{}", std::process::id());
        let ends: &[&str] = match topology {
            Topology::Direct => &["u", "t"],
            Topology::Nat(_) => &["u", "t", "r"],
            Topology::Guest => &["u"],
        };
        let names: Vec<String> = ends.iter().map(|end| format!("{prefix}-{end}")).collect();
        let place = |index: usize| names.get(index).map(|name| Place::Namespace { name: name.clone() });
        let network = Self {
            topology,
            us: place(0).context("no namespace for us")?,
            them: place(1),
            names,
            _containers: None,
        };
        network.wire().context("cannot build the network namespaces")?;
        Ok(network)
    }

    /// The same network of two ends, made of containers that already run.
    pub(crate) fn of_containers(containers: Containers) -> Result<Self> {
        let topology = Topology::Direct;
        let (us, them) = (topology.end(Side::Us), topology.end(Side::Them));
        let network = Self {
            topology,
            us: containers.place(Side::Us),
            them: Some(containers.place(Side::Them)),
            names: Vec::new(),
            _containers: Some(containers),
        };
        network.us.run(&protected_script(us)).context("setting our container up")?;
        network.place(Side::Them)?.run(&protected_script(them)).context("setting their container up")?;
        Ok(network)
    }

    /// Where an end runs that is not in the guest.
    pub(crate) fn place(&self, side: Side) -> Result<&Place> {
        match side {
            Side::Us => Ok(&self.us),
            Side::Them => self.them.as_ref().context("the peer runs in the guest"),
        }
    }

    /// Takes the wire away (packets vanish, interfaces stay up) or gives it back.
    pub(crate) fn set_link(&self, up: bool) -> Result<()> {
        let script = if up {
            "nft flush chain inet ikei cut"
        } else {
            "nft add rule inet ikei cut oifname eth0 drop && nft add rule inet ikei cut iifname eth0 drop"
        };
        self.us.run(script).map(drop)
    }

    pub(crate) fn counters(&self) -> Result<WireCounters> {
        let text = self.us.run("nft -j list counters")?;
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
            ah: packets("n_ah")?,
            clear: packets("n_clear")?,
        })
    }

    pub(crate) fn reset_counters(&self) -> Result<()> {
        self.us.run("nft reset counters >/dev/null").map(drop)
    }

    fn wire(&self) -> Result<()> {
        for name in &self.names {
            host(&format!("ip netns add {name} && ip -n {name} link set lo up"))?;
        }
        let us = self.topology.end(Side::Us);
        let them = self.topology.end(Side::Them);
        let name = |index: usize| self.names.get(index).map(String::as_str).unwrap_or_default();
        let (u, t, r) = (name(0), name(1), name(2));
        match self.topology {
            Topology::Direct => {
                host(&format!("ip -n {u} link add eth0 type veth peer name eth0 netns {t}"))?;
                setup_end(&self.us, us, them.outer, them.outer6)?;
                setup_end(self.place(Side::Them)?, them, us.outer, us.outer6)
            }
            Topology::Guest => {
                self.us.run("ip tuntap add eth0 mode tap")?;
                setup_end(&self.us, us, them.outer, them.outer6)?;
                self.us.run(&format!("ip addr add {HOST_CONTROL}/24 dev eth0")).map(drop)
            }
            Topology::Nat(behind) => {
                host(&format!(
                    "ip -n {u} link add eth0 type veth peer name ru netns {r} &&
                     ip -n {t} link add eth0 type veth peer name rt netns {r}"
                ))?;
                setup_router(&Place::Namespace { name: r.to_owned() }, behind)?;
                let (ours, theirs) = match behind {
                    Side::Us => ("10.77.8.254", ROUTER),
                    Side::Them => (ROUTER, "10.77.9.254"),
                };
                setup_end(&self.us, us, ours, "fd77::254")?;
                setup_end(self.place(Side::Them)?, them, theirs, "fd77::254")
            }
        }
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

/// Addresses, routes and filter of an end in a namespace.
fn setup_end(place: &Place, end: End, gateway: &str, gateway6: &str) -> Result<()> {
    let End { outer, outer6, .. } = end;
    place.run(&format!(
        "set -e
        ip addr add {outer}/24 dev eth0
        ip addr add {outer6}/64 dev eth0 nodad
        ip link set eth0 up
        # Without a tunnel protected traffic would go this way; it is counted and dropped below.
        ip route add default via {gateway}
        ip -6 route add default via {gateway6}
        sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 \
            net.ipv4.conf.default.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0 \
            net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.eth0.send_redirects=0
        # Offloads off, so that the wire carries real packets.
        ethtool -K eth0 tso off gso off gro off tx off >/dev/null 2>&1 || true
        {}",
        protected_script(end)
    ))?;
    Ok(())
}

/// The protected addresses of an end, and the filter that counts what leaves it.
fn protected_script(end: End) -> String {
    let End { inner, second, net, inner6, net6, .. } = end;
    format!(
        "set -e
        ip addr add {inner}/32 dev lo
        ip addr add {second}/32 dev lo
        # Container engines turn IPv6 off unless told otherwise.
        [ \"$(cat /proc/sys/net/ipv6/conf/lo/disable_ipv6 2>/dev/null)\" != 0 ] ||
            ip addr add {inner6}/128 dev lo nodad
        nft -f - <<'N'
table inet ikei {{
  counter n_clear {{ }}
  counter n_esp {{ }}
  counter n_udp {{ }}
  counter n_ah {{ }}
  chain out {{
    type filter hook output priority 0;
    oifname \"eth0\" ip saddr {{ {net}, {second} }} counter name n_clear drop
    oifname \"eth0\" ip6 saddr {net6} counter name n_clear drop
    oifname \"eth0\" meta l4proto 50 counter name n_esp
    oifname \"eth0\" ip protocol 51 counter name n_ah
    oifname \"eth0\" ip6 nexthdr 51 counter name n_ah
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
    )
}

fn setup_router(place: &Place, behind: Side) -> Result<()> {
    let (inside, outside, address) = match behind {
        Side::Us => ("ru", "rt", "10.77.8.254"),
        Side::Them => ("rt", "ru", "10.77.9.254"),
    };
    place.run(&format!(
        "set -e
        ip addr add {address}/24 dev {inside}; ip link set {inside} up
        ip addr add {ROUTER}/24 dev {outside}; ip link set {outside} up
        sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0
        nft -f - <<'N'
table ip nat {{
  chain post {{
    type nat hook postrouting priority 100;
    oifname \"{outside}\" meta l4proto udp masquerade to :20000-30000
  }}
}}
N"
    ))?;
    Ok(())
}

/// Runs a shell script on the host, outside all namespaces.
pub(crate) fn host(script: &str) -> Result<()> {
    let output = Command::new("sh").args(["-c", script]).stdin(Stdio::null()).output().context("sh")?;
    if !output.status.success() {
        bail!("`{script}` failed: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(())
}
