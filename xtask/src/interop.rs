//! Scenarios against real peers; `examples/interop` holds them and the runner.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::packages;
use crate::process::{cargo, run, target_dir};
use crate::report::{CheckResult, Outcome};

/// What the comparison of packets with scapy goes by among the scenarios' names.
const PACKETS: &str = "packets/scapy";

/// What `cargo xtask interop` was asked for.
#[derive(Default)]
struct Options {
    kernel: bool,
    list: bool,
    filter: Option<String>,
    part: Option<String>,
}

/// How many runs in network namespaces go on at a time: they wait for timers more than they compute.
const PARTS: usize = 3;

/// All scenarios, those of the namespaces in several runs and those of the guest in one, all at the same time.
pub(crate) fn everywhere() -> CheckResult {
    if let Some(outcome) = not_here() {
        return outcome;
    }
    let peers = prepare(true)?;
    let guest = ("the guest".to_owned(), Options { kernel: true, ..Options::default() });
    let namespaces = (1..=PARTS).map(|part| {
        let options = Options { part: Some(format!("{part}/{PARTS}")), ..Options::default() };
        (format!("namespaces {part} of {PARTS}"), options)
    });
    let mut runs = Vec::new();
    for (name, options) in namespaces.chain([guest]) {
        let log = target_dir().join(format!("interop-{}.log", name.replace(' ', "-")));
        let file = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let copy = file.try_clone().map_err(|error| format!("{}: {error}", log.display()))?;
        let process = runner(&peers, &options).stdout(file).stderr(copy).spawn();
        runs.push((name, log, process.map_err(|error| format!("the interop runner: {error}"))?));
    }
    let mut complaints: Vec<String> = packets(&peers).err().into_iter().collect();
    for (name, log, mut process) in runs {
        // Each is waited for, also after one has failed: labs clean up behind themselves.
        let status = process.wait().map_err(|error| format!("{name}: {error}"));
        println!("\n{name}:\n{}", std::fs::read_to_string(&log).unwrap_or_default());
        match status {
            Ok(status) if status.success() => {}
            Ok(status) => complaints.push(format!("scenarios in {name}: {status}")),
            Err(why) => complaints.push(why),
        }
    }
    if complaints.is_empty() { Ok(Outcome::Passed) } else { Err(complaints.join("; ")) }
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
    if let Some(outcome) = not_here() {
        return outcome;
    }
    let filter = options.filter.as_deref().unwrap_or_default();
    let with_packets = !options.kernel && PACKETS.contains(filter);
    let peers = if options.list { PathBuf::new() } else { prepare(options.kernel)? };
    if options.list {
        build()?;
    }
    match (with_packets, options.list) {
        (true, true) => println!("{PACKETS}"),
        (true, false) => packets(&peers)?,
        (false, _) => {}
    }
    if filter.is_empty() || !with_packets {
        run(&mut runner(&peers, options))?;
    }
    Ok(Outcome::Passed)
}

/// Has scapy open our packets, and us scapy's.
fn packets(peers: &Path) -> Result<(), String> {
    run(Command::new(target_dir().join("debug/ikebana-interop")).args(["packets", "--peers"]).arg(peers))
}

/// Installs the peers and builds both programs; returns where unpacked peers are.
fn prepare(kernel: bool) -> Result<PathBuf, String> {
    let peers = target_dir().join("interop-peers");
    packages::install(kernel, &peers)?;
    build()?;
    Ok(peers)
}

fn build() -> Result<(), String> {
    run(cargo().args(["build", "-q", "-p", "ikebana-gateway", "-p", "ikebana-interop"]))
}

fn runner(peers: &Path, options: &Options) -> Command {
    let bin = target_dir().join("debug");
    let mut runner = Command::new(bin.join("ikebana-interop"));
    runner.arg(if options.list { "list" } else { "run" });
    runner.arg("--gateway").arg(bin.join("ikebana")).arg("--peers").arg(peers);
    if options.kernel {
        runner.arg("--kernel");
    }
    if let Some(filter) = &options.filter {
        runner.arg("--filter").arg(filter);
    }
    if let Some(part) = &options.part {
        runner.arg("--part").arg(part);
    }
    runner
}

/// What to say where the scenarios cannot run.
fn not_here() -> Option<CheckResult> {
    let why = impossible()?;
    // A person may lack root or Debian; CI that silently skips would prove nothing.
    Some(if std::env::var("CI").is_ok_and(|value| value == "true") {
        Err(format!("did not run, and CI=true requires it: {why}"))
    } else {
        Ok(Outcome::NotRun(why))
    })
}

/// Why the scenarios cannot run here, if so.
fn impossible() -> Option<String> {
    if !packages::is_root() {
        Some("network namespaces and TUN devices need root".to_owned())
    } else if !packages::is_debian() {
        Some("the peers are Debian's packages, and this is not Debian".to_owned())
    } else if !Path::new("/dev/net/tun").exists() {
        Some("/dev/net/tun does not exist".to_owned())
    } else {
        None
    }
}
