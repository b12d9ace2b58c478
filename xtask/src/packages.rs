//! The peers' Debian packages.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::process::{output, run};

/// What every scenario needs.
const NAMESPACE_PACKAGES: &[&str] = &[
    "strongswan-charon",
    "strongswan-swanctl",
    "libstrongswan-standard-plugins",
    "libstrongswan-extra-plugins",
    "libcharon-extra-plugins",
    "libcharon-extauth-plugins",
    "vpnc",
    "ike-scan",
    "iproute2",
    "iputils-ping",
    "procps",
    "ethtool",
    "iperf3",
    "tcpdump",
    "nftables",
    // Environments for what comes from PyPI.
    "python3-venv",
];

/// A guest kernel with ESP, the peers that need one, and libraries that libreswan is linked to.
const KERNEL_PACKAGES: &[&str] = &[
    "user-mode-linux",
    "kmod",
    "openiked",
    "openssl",
    "libnss3-tools",
    "libldns3",
    "libunbound8",
    "libevent-2.1-7",
    "libevent-pthreads-2.1-7",
    "libcurl3-nss",
    "libcap-ng0",
];

const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs what is missing; `peers` receives what must not be installed.
pub(crate) fn install(kernel: bool, peers: &Path) -> Result<(), String> {
    let mut wanted: Vec<&str> = NAMESPACE_PACKAGES.to_vec();
    if kernel {
        wanted.extend(KERNEL_PACKAGES);
    }
    let updated = install_all(&wanted)?;
    let libreswan = peers.join("libreswan");
    if !kernel || libreswan.join("usr/libexec/ipsec/pluto").exists() {
        return Ok(());
    }
    if !updated {
        run(apt().args(["-q=2", "update"]))?;
    }
    unpack_libreswan(&libreswan)
}

/// Installs what is missing of these packages, and says whether it had to ask Debian's servers.
pub(crate) fn install_all(wanted: &[&str]) -> Result<bool, String> {
    let missing: Vec<&str> = wanted.iter().copied().filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        return Ok(false);
    }
    run(apt().args(["-q=2", "update"]))?;
    let _no_services = NoServices::new()?;
    run(apt().args(["-q=2", "-y", "--no-install-recommends", "install"]).args(&missing))?;
    Ok(true)
}

pub(crate) fn is_debian() -> bool {
    fs::read_to_string("/etc/os-release").is_ok_and(|text| text.lines().any(|line| line == "ID=debian"))
}

pub(crate) fn is_root() -> bool {
    // The owner of our own process directory is who we are.
    fs::metadata("/proc/self").is_ok_and(|status| std::os::unix::fs::MetadataExt::uid(&status) == 0)
}

fn is_installed(package: &str) -> bool {
    output(Command::new("dpkg-query").args(["-W", "-f", "${Status}", package]))
        .is_ok_and(|status| status == "install ok installed")
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// libreswan conflicts with strongSwan's packages, so it is unpacked and never installed.
fn unpack_libreswan(tree: &Path) -> Result<(), String> {
    let staging = tree.with_extension("part");
    let context = |error: std::io::Error| format!("{}: {error}", staging.display());
    if staging.exists() {
        fs::remove_dir_all(&staging).map_err(context)?;
    }
    fs::create_dir_all(&staging).map_err(context)?;
    run(apt().current_dir(&staging).args(["-q=2", "download", "libreswan"]))?;
    let package = fs::read_dir(&staging)
        .map_err(context)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .ok_or("apt-get download libreswan left no package")?;
    let unpacked = staging.join("tree");
    run(Command::new("dpkg").arg("-x").arg(&package).arg(&unpacked))?;
    fs::rename(&unpacked, tree).map_err(context)?;
    fs::remove_dir_all(&staging).map_err(context)
}

/// While it lives, Debian's packages start no service: a system-wide charon would be in the way.
struct NoServices {
    /// Whether the policy file is ours to remove.
    ours: bool,
}

impl NoServices {
    fn new() -> Result<Self, String> {
        if Path::new(POLICY).exists() {
            // The machine has a policy of its own; a container's usually forbids services already.
            return Ok(Self { ours: false });
        }
        fs::write(POLICY, "#!/bin/sh\nexit 101\n").map_err(|error| format!("{POLICY}: {error}"))?;
        let guard = Self { ours: true };
        fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755))
            .map_err(|error| format!("{POLICY}: {error}"))?;
        Ok(guard)
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours
            && let Err(error) = fs::remove_file(POLICY)
        {
            eprintln!("{POLICY} could not be removed: {error}");
        }
    }
}
