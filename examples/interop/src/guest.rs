//! A user-mode Linux guest: Debian's kernel with ESP, without any need for virtualisation.
//!
//! Its root is the host's `/usr`, read-only, so whatever is installed on the host runs in it.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::agent;
use crate::network::{GUEST_CONTROL, Network, Topology};
use crate::place::Place;
use crate::scenario::Side;
use crate::wait;

/// Modules that a peer needs first thing; loading them on demand makes initiators retransmit.
const MODULES: &str = "ipv6 xfrm_user esp4 esp6 ah4 ah6 drbg authenc echainiv seqiv cbc ctr gcm ghash-generic hmac \
                       sha1_generic sha256_generic sha512_generic xcbc cmac chacha20poly1305 chacha_generic \
                       poly1305_generic af_key xfrm4_tunnel tunnel4 xfrm_algo";

#[derive(Debug)]
pub(crate) struct Guest {
    child: Child,
    place: Place,
}

impl Guest {
    /// Boots a guest on the network's TAP device; `folder` holds its root and the common folder.
    pub(crate) fn boot(network: &Network, folder: &Path, peers: &Path) -> Result<Self> {
        let Place::Namespace { name: namespace } = network.place(Side::Us)?.clone() else {
            bail!("the guest needs a namespace");
        };
        let root = folder.join("root");
        let shared = folder.join("shared");
        let helper = shared.join("agent");
        prepare_root(&root, &shared)?;
        fs::copy(std::env::current_exe()?, &helper).context("cannot copy the agent")?;
        write_executable(&shared.join("init"), &init_script())?;
        write_executable(&shared.join("modprobe"), "#!/bin/sh\nexec /usr/sbin/modprobe -d /mod \"$@\"\n")?;
        let script = folder.join("boot.sh");
        fs::write(&script, boot_script(&root, &shared, peers))?;
        let console = File::create(folder.join("console.log"))?;
        let child = Command::new("setsid")
            .args(["ip", "netns", "exec", &namespace, "unshare", "-m", "sh"])
            .arg(&script)
            .stdin(Stdio::null())
            .stdout(console.try_clone()?)
            .stderr(console)
            .spawn()
            .context("setsid ip netns exec")?;
        let agent = format!("{GUEST_CONTROL}:{}", agent::PORT);
        let place = Place::Guest { namespace, agent, helper, shared };
        let mut guest = Self { child, place };
        guest.wait_ready().with_context(|| {
            let console = fs::read_to_string(folder.join("console.log")).unwrap_or_default();
            format!("the guest did not come up; its console said:\n{console}")
        })?;
        Ok(guest)
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    fn wait_ready(&mut self) -> Result<()> {
        wait::until("the guest", Duration::from_secs(60), || {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status}");
            }
            let answer = self.place.try_run("true", Duration::from_secs(2))?;
            Ok(if answer.code == 0 { Ok(()) } else { Err(answer.output) })
        })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // The network's namespace takes the guest's other processes down with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A root of empty folders to mount on, and a few files of /etc.
fn prepare_root(root: &Path, shared: &Path) -> Result<()> {
    for folder in [
        "usr",
        "etc",
        "proc",
        "sys",
        "dev",
        "run",
        "tmp",
        "var",
        "shared",
        "mod/lib/modules",
        "root",
        "peers",
    ] {
        fs::create_dir_all(root.join(folder))?;
    }
    fs::create_dir_all(shared)?;
    for name in ["bin", "sbin", "lib", "lib64"] {
        symlink(format!("usr/{name}"), root.join(name))?;
    }
    for name in ["ld.so.cache", "protocols", "services"] {
        // A library cache only saves time, and the peers know their port numbers by heart.
        let _ = fs::copy(Path::new("/etc").join(name), root.join("etc").join(name));
    }
    if Path::new("/etc/alternatives").exists() {
        crate::network::host(&format!("cp -a /etc/alternatives {}/etc/", root.display()))?;
    }
    let account = |file: &str, name: &str| -> String {
        let text = fs::read_to_string(file).unwrap_or_default();
        let prefix = format!("{name}:");
        text.lines()
            .find(|line| line.starts_with(&prefix))
            .map(|line| format!("{line}\n"))
            .unwrap_or_default()
    };
    // iked drops its privileges to a user of its own.
    fs::write(
        root.join("etc/passwd"),
        format!("root:x:0:0:root:/root:/bin/sh\n{}", account("/etc/passwd", "_iked")),
    )?;
    fs::write(root.join("etc/group"), format!("root:x:0:\n{}", account("/etc/group", "_iked")))?;
    fs::write(root.join("etc/nsswitch.conf"), "hosts: files\n")?;
    fs::write(root.join("etc/resolv.conf"), "")?;
    fs::write(root.join("etc/hosts"), "127.0.0.1 localhost\n")?;
    Ok(())
}

/// Runs in the namespace: mounts are private to it and vanish with the guest.
fn boot_script(root: &Path, shared: &Path, peers: &Path) -> String {
    let (root, shared, peers) = (root.display(), shared.display(), peers.display());
    format!(
        "set -e
mount --make-rprivate /
mount --bind /usr {root}/usr; mount -o remount,bind,ro {root}/usr
mount --bind {shared} {root}/shared
mount --bind /usr/lib/uml/modules {root}/mod/lib/modules
mount --bind /dev {root}/dev
if [ -d {peers} ]; then mount --bind {peers} {root}/peers; fi
exec linux.uml mem=384M root=/dev/root rootfstype=hostfs rootflags={root} rw init=/shared/init \
  vec0:transport=tap,ifname=eth0,depth=128,gro=1 con=null con0=null,fd:1 quiet
"
    )
}

/// The guest's first process: network, modules, agent.
fn init_script() -> String {
    let us = Topology::Guest.end(Side::Us);
    let them = Topology::Guest.end(Side::Them);
    format!(
        "#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc; mount -t sysfs sys /sys
for folder in /run /tmp /var; do mount -t tmpfs tmpfs $folder; done
mkdir -p /var/run /var/tmp /run/lock
[ -c /dev/null ] || mount -t devtmpfs dev /dev
echo /shared/modprobe >/proc/sys/kernel/modprobe
for module in {MODULES}; do modprobe -d /mod $module 2>/dev/null; done
ip link set lo up
[ -e /sys/class/net/vec0 ] && ip link set vec0 name eth0
ip addr add {outer}/24 dev eth0; ip addr add {GUEST_CONTROL}/24 dev eth0
ip addr add {inner}/32 dev lo; ip addr add {second}/32 dev lo; ip addr add {outer6}/64 dev eth0 nodad; ip addr add {inner6}/128 dev lo nodad
ip link set eth0 up
ip route add default via {gateway}; ip -6 route add default via {gateway6}
sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0 \
  net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.eth0.send_redirects=0
{warm_up}
/shared/agent agent {GUEST_CONTROL}:{port} >/shared/agent.log 2>&1 &
# The first process reaps what the daemons leave behind.
while :; do wait; sleep 1; done
",
        outer = them.outer,
        inner = them.inner,
        second = them.second,
        outer6 = them.outer6,
        inner6 = them.inner6,
        gateway = us.outer,
        gateway6 = us.outer6,
        port = agent::PORT,
        warm_up = warm_up_script(),
    )
}

/// Makes and removes an SA of every kind: the kernel assembles an algorithm when it is first used, which
/// takes it seconds here, and drops packets meanwhile.
fn warm_up_script() -> String {
    let key = |bytes: usize| format!("0x{}", "5a".repeat(bytes));
    let mut kinds = vec![
        format!("aead 'rfc4106(gcm(aes))' {} 128", key(20)),
        format!("aead 'rfc4106(gcm(aes))' {} 128", key(36)),
        format!("aead 'rfc7539esp(chacha20,poly1305)' {} 128", key(36)),
        format!("enc 'ecb(cipher_null)' '' auth-trunc 'hmac(sha256)' {} 128", key(32)),
        format!("enc 'rfc3686(ctr(aes))' {} auth-trunc 'hmac(sha256)' {} 128", key(20), key(32)),
    ];
    for (hash, bytes, truncated) in [("sha1", 20, 96), ("sha256", 32, 128), ("sha512", 64, 256)] {
        kinds.push(format!(
            "enc 'cbc(aes)' {} auth-trunc 'hmac({hash})' {} {truncated}",
            key(16),
            key(bytes)
        ));
    }
    let mut kinds: Vec<(&str, String)> = kinds.into_iter().map(|kind| ("esp", kind)).collect();
    for (algorithm, bytes, truncated) in [
        ("hmac(sha1)", 20, 96),
        ("hmac(sha256)", 32, 128),
        ("hmac(sha384)", 48, 192),
        ("hmac(sha512)", 64, 256),
        ("xcbc(aes)", 16, 96),
        ("cmac(aes)", 16, 96),
    ] {
        kinds.push(("ah", format!("auth-trunc '{algorithm}' {} {truncated}", key(bytes))));
    }
    let mut script = String::new();
    for (protocol, kind) in kinds {
        for extended in ["replay-window 32", "replay-window 64 flag esn"] {
            script.push_str(&format!(
                "ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto {protocol} spi 0x100 mode tunnel {extended} \
                 {kind}; ip xfrm state flush\n"
            ));
        }
    }
    script
}

fn write_executable(path: &PathBuf, text: &str) -> Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}
