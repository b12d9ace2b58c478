//! `ikebana demo`: two gateways and two hosts in one process, without privileges and without a network.
//!
//! ```text
//! host 10.1.0.1 -- gateway == loopback UDP: IKE, ESP in UDP == gateway -- host 10.2.0.1
//! ```
//!
//! Each gateway is an engine of its own in a thread of its own; the hosts are smoltcp IP stacks. What travels
//! between the gateways are real datagrams through real sockets.

mod host;
mod link;
mod report;
mod side;

use std::io::IsTerminal as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use ikebana::{IkeVersion, Start, TunnelConfig};
use ikebana_core::Secret;
use ikebana_ike::Encapsulation;
use ikebana_proposals::{Preset, Proposal};

use self::report::Report;
use self::side::{Order, Side};
use crate::cli::print;
use crate::gateway::OsRandom;
use crate::status::octets;

const NAMES: [&str; 2] = ["left.example.net", "right.example.net"];
const HOSTS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 1, 0, 1), Ipv4Addr::new(10, 2, 0, 1)];
const NETWORKS: [&str; 2] = ["10.1.0.0/24", "10.2.0.0/24"];
/// Nothing here takes this long; if something does, it has failed.
const PATIENCE: Duration = Duration::from_secs(15);
const PINGS: u32 = 10;

/// Show a tunnel between two gateways on loopback: no root, no network needed.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// How long data is moved
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// A preset (modern, aws, aws-minimum, azure, gcp), or IKE and ESP proposals: aes128-sha256-ecp256/aes128gcm16
    #[arg(long, default_value = "modern", value_parser = parse_suite)]
    suite: Suite,
    /// The version of IKE
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=2))]
    ike: u8,
}

#[derive(Clone, Debug)]
enum Suite {
    Preset(Preset),
    Pair(Box<[Proposal; 2]>),
}

impl Suite {
    /// Proposals for IKE of this version, and for ESP.
    fn proposals(&self, version: IkeVersion) -> (Vec<Proposal>, Vec<Proposal>) {
        match (self, version) {
            (Self::Preset(preset), IkeVersion::V1) => (preset.ikev1(), preset.ikev1_child()),
            (Self::Preset(preset), IkeVersion::V2) => (preset.ike(), preset.child()),
            (Self::Pair(pair), _) => {
                let [ike, esp] = &**pair;
                (vec![ike.clone()], vec![esp.clone()])
            }
        }
    }
}

fn parse_suite(text: &str) -> Result<Suite, String> {
    if let Ok(preset) = text.parse::<Preset>() {
        return Ok(Suite::Preset(preset));
    }
    let (ike, esp) = text.split_once('/').ok_or("neither a preset nor two proposals as in IKE/ESP")?;
    let ike = Proposal::ike(ike).map_err(|error| error.to_string())?;
    let esp = Proposal::esp(esp).map_err(|error| error.to_string())?;
    Ok(Suite::Pair(Box::new([ike, esp])))
}

/// Runs the demo, and says whether all went well.
///
/// # Errors
/// If there are no sockets or threads to be had, or no tunnel comes about.
pub fn run(arguments: &DemoArgs) -> Result<ExitCode> {
    let report = measure(arguments)?;
    let complaints = report.complaints();
    let failed: String = complaints.iter().map(|complaint| format!("Failed      {complaint}\n")).collect();
    print(&format!("\n{report}{failed}"))?;
    Ok(if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn measure(arguments: &DemoArgs) -> Result<Report> {
    let (left_sockets, left_address) = side::sockets()?;
    let (right_sockets, right_address) = side::sockets()?;
    let key = random_key();
    print(&format!("two gateways: {} {left_address} and {} {right_address}\n", NAMES[0], NAMES[1]))?;
    let passive = tunnel(arguments, 1, right_address, None, &key)?;
    let right = Side::start("right", right_sockets, right_address, passive, (HOSTS[1], HOSTS[0]))?;
    let active = tunnel(arguments, 0, left_address, Some(right_address), &key)?;
    let left = Side::start("left", left_sockets, left_address, active, (HOSTS[0], HOSTS[1]))?;

    until("no tunnel came about", &left, || {
        left.progress().tunnel.is_some() && right.progress().tunnel.is_some()
    })?;
    print("the tunnel is up\n")?;
    for _ in 0..PINGS {
        left.order(Order::Ping);
        thread::sleep(Duration::from_millis(20));
    }
    until("the pings were not answered", &left, || left.progress().idle)?;
    print(&format!(
        "{PINGS} pings answered; now data, with a rekey of the child SA and one of the IKE SA on the way\n"
    ))?;

    right.order(Order::Listen);
    left.order(Order::SendData);
    let took = move_data(&left, &right, Duration::from_secs(arguments.seconds));
    left.order(Order::Finish);
    until("the rest of the data did not arrive", &left, || left.progress().idle)?;
    // The last acknowledgements are still on their way.
    let mut before = (left.progress().packets, right.progress().packets);
    loop {
        thread::sleep(Duration::from_millis(100));
        let now = (left.progress().packets, right.progress().packets);
        if now == before {
            break;
        }
        before = now;
    }
    let report = Report::new(&left.progress(), &right.progress(), took);
    left.order(Order::Close);
    until("the tunnel did not go down", &left, || left.progress().quiet && right.progress().quiet)?;
    Ok(report)
}

/// Watches the data move, and has keys replaced after a third and two thirds of the time.
fn move_data(left: &Side, right: &Side, seconds: Duration) -> Duration {
    let (start, terminal) = (Instant::now(), std::io::stdout().is_terminal());
    let mut rekeys =
        [(seconds / 3, Order::RekeyChild), (seconds * 2 / 3, Order::RekeyIke)].into_iter().peekable();
    let mut shown = (start, 0);
    while start.elapsed() < seconds {
        thread::sleep(Duration::from_millis(100).min(seconds / 10));
        left.order(Order::Ping);
        if let Some((_, order)) = rekeys.next_if(|(at, _)| start.elapsed() >= *at) {
            left.order(order);
        }
        if shown.0.elapsed() >= Duration::from_secs(1) {
            let progress = left.progress();
            let moved = right.progress().octets_received;
            let rate = (moved - shown.1) as f64 * 8.0 / 1e6 / shown.0.elapsed().as_secs_f64();
            let line = format!(
                "{:>4} s  {:>10}  {rate:>6.0} Mbit/s  child rekeys {}  IKE rekeys {}",
                start.elapsed().as_secs(),
                octets(moved),
                progress.child_rekeys,
                progress.ike_rekeys
            );
            // A terminal that has gone away is no reason to stop.
            let _ = print(&if terminal { format!("\r{line}") } else { line + "\n" });
            shown = (Instant::now(), moved);
        }
    }
    if terminal {
        let _ = print("\n");
    }
    start.elapsed()
}

/// Waits until `done`, or fails with what `side` knows of the reason.
fn until(failure: &str, side: &Side, done: impl Fn() -> bool) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        if Instant::now() > deadline {
            match side.progress().problem {
                Some(problem) => bail!("{failure}: {problem}"),
                None => bail!("{failure}"),
            }
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn tunnel(
    arguments: &DemoArgs,
    us: usize,
    local: SocketAddr,
    remote: Option<SocketAddr>,
    key: &Secret,
) -> Result<TunnelConfig> {
    let pick = |list: [&'static str; 2]| if us == 0 { (list[0], list[1]) } else { (list[1], list[0]) };
    let addresses = (local.ip(), remote.unwrap_or(local).ip());
    let mut tunnel =
        TunnelConfig::site_to_site("demo", addresses, pick(NAMES), pick(NETWORKS), key.expose())?;
    tunnel.version = if arguments.ike == 1 { IkeVersion::V1 } else { IkeVersion::V2 };
    let (ike, esp) = arguments.suite.proposals(tunnel.version);
    tunnel.peer.proposals = ike;
    let child = tunnel.peer.children.first_mut().context("a site-to-site tunnel has a child")?;
    Arc::make_mut(child).proposals = esp;
    // Without privileges there is no native ESP.
    tunnel.peer.encapsulation = Encapsulation::Force;
    tunnel.remote = remote;
    tunnel.start = if remote.is_some() { Start::Start } else { Start::Passive };
    Ok(tunnel)
}

fn random_key() -> Secret {
    use ikebana_core::SecureRandom as _;
    let mut key = vec![0; 32];
    OsRandom.fill_secret(&mut key);
    Secret::new(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_demo_loses_nothing() {
        let arguments = DemoArgs { seconds: 1, suite: parse_suite("modern").unwrap(), ike: 2 };
        let report = measure(&arguments).unwrap();
        assert_eq!(report.complaints(), Vec::<String>::new(), "{report}");
        assert_eq!((report.child_rekeys, report.ike_rekeys), (1, 1));
    }

    #[test]
    fn a_short_demo_over_ikev1_loses_nothing_either() {
        let arguments = DemoArgs { seconds: 1, suite: parse_suite("aws").unwrap(), ike: 1 };
        let report = measure(&arguments).unwrap();
        assert_eq!(report.complaints(), Vec::<String>::new(), "{report}");
        assert_eq!((report.child_rekeys, report.ike_rekeys), (1, 1));
    }

    #[test]
    fn a_suite_is_a_preset_or_a_pair_of_proposals() {
        let aws = parse_suite("aws").unwrap();
        assert_eq!(aws.proposals(IkeVersion::V2).0, Preset::Aws.ike());
        assert_eq!(aws.proposals(IkeVersion::V1).0, Preset::Aws.ikev1());
        let both = parse_suite("aes128-sha256-ecp256/aes128gcm16").unwrap();
        assert_eq!(both.proposals(IkeVersion::V1).1[0].to_string(), "aes128gcm16");
        assert!(parse_suite("aes128gcm16").unwrap_err().contains("IKE/ESP"));
        assert!(parse_suite("aes128-sha256-ecp256/aes129").is_err());
    }
}
