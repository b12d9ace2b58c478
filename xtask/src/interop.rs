//! Scenarios against real peers; `examples/interop` holds them and the runner.

use std::path::Path;

use crate::packages;
use crate::process::{cargo, run, target_dir};
use crate::report::{CheckResult, Outcome};

/// What `cargo xtask interop` was asked for.
#[derive(Default)]
struct Options {
    kernel: bool,
    list: bool,
    filter: Option<String>,
}

pub(crate) fn namespaces() -> CheckResult {
    scenarios(&Options::default())
}

pub(crate) fn kernel() -> CheckResult {
    scenarios(&Options { kernel: true, ..Options::default() })
}

pub(crate) fn from_arguments(arguments: &[String]) -> CheckResult {
    let mut options = Options::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--kernel" => options.kernel = true,
            "--list" => options.list = true,
            "--filter" => options.filter = Some(rest.next().ok_or("--filter needs a text")?.clone()),
            other => return Err(format!("interop does not know {other:?}")),
        }
    }
    scenarios(&options)
}

fn scenarios(options: &Options) -> CheckResult {
    if let Some(why) = impossible() {
        // A person may lack root or Debian; CI that silently skips would prove nothing.
        return if std::env::var("CI").is_ok_and(|value| value == "true") {
            Err(format!("did not run, and CI=true requires it: {why}"))
        } else {
            Ok(Outcome::NotRun(why))
        };
    }
    let peers = target_dir().join("interop-peers");
    if !options.list {
        packages::install(options.kernel, &peers)?;
    }
    run(cargo().args(["build", "-q", "-p", "ikebana-gateway", "-p", "ikebana-interop"]))?;
    let bin = target_dir().join("debug");
    let mut runner = std::process::Command::new(bin.join("ikebana-interop"));
    runner.arg(if options.list { "list" } else { "run" });
    runner.arg("--gateway").arg(bin.join("ikebana")).arg("--peers").arg(&peers);
    if options.kernel {
        runner.arg("--kernel");
    }
    if let Some(filter) = &options.filter {
        runner.arg("--filter").arg(filter);
    }
    run(&mut runner)?;
    Ok(Outcome::Passed)
}

/// Why the scenarios cannot run here, if so.
fn impossible() -> Option<String> {
    let is_debian = std::fs::read_to_string("/etc/os-release")
        .is_ok_and(|text| text.lines().any(|line| line == "ID=debian"));
    // The owner of our own process directory is who we are.
    let is_root = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").ok()?) == 0;
    if !is_root {
        Some("network namespaces and TUN devices need root".to_owned())
    } else if !is_debian {
        Some("the peers are Debian's packages, and this is not Debian".to_owned())
    } else if !Path::new("/dev/net/tun").exists() {
        Some("/dev/net/tun does not exist".to_owned())
    } else {
        None
    }
}
