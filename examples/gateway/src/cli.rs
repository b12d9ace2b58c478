//! The command line.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand};

use crate::config::{self, Config, LogFormat, Tunnel};
use crate::control::{Request, Response, ask};
use crate::decode::{self, DecodeArgs};
use crate::demo::{self, DemoArgs};
use crate::gateway::{self, Overrides};
use crate::logging;

const CONTROL: &str = "/run/ikebana.sock";

/// An IPsec gateway.
#[derive(Parser)]
#[command(name = "ikebana", version, about, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show a tunnel between two gateways on loopback, without root and without a network
    Demo(DemoArgs),
    /// Run the gateway (with -c), or bring one tunnel of a running gateway up (with its name)
    Up(Up),
    /// Take a tunnel of the running gateway down; it stays down until `up`
    Down(Named),
    /// Negotiate new keys for a tunnel of the running gateway
    Rekey(Rekey),
    /// Show the running gateway's tunnels
    Status(Status),
    /// Show the IKE and ESP packets of a capture, decrypted where keys are given
    Decode(DecodeArgs),
    /// Check a configuration file and say everything that is wrong or unwise in it
    Check(Check),
}

#[derive(Args)]
struct Up {
    /// The tunnel to bring up in a running gateway
    #[arg(required_unless_present = "config", conflicts_with_all = ["config", "tun", "log", "log_format"])]
    name: Option<String>,
    /// Run a gateway with this configuration file, in the foreground
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Name of the TUN device, in place of the configuration's
    #[arg(long, value_name = "NAME")]
    tun: Option<String>,
    /// What to log: error, warn, info, debug, trace, or directives such as info,ikebana_ikev2=trace
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// How to log, in place of the configuration's
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// Path of the control socket, in place of the configuration's
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
}

#[derive(Args)]
struct Named {
    /// The tunnel
    name: String,
    #[command(flatten)]
    control: Control,
}

#[derive(Args)]
struct Rekey {
    #[command(flatten)]
    named: Named,
    /// Rekey the IKE SA rather than the child SAs
    #[arg(long)]
    ike: bool,
}

#[derive(Args)]
struct Status {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    control: Control,
}

#[derive(Args)]
struct Check {
    /// The configuration file
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
}

#[derive(Args)]
struct Control {
    /// Path of the gateway's control socket
    #[arg(long, value_name = "PATH", default_value = CONTROL)]
    control: PathBuf,
}

/// Does what the command line says.
///
/// # Errors
/// In words for the person who typed it.
pub fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Up(up) => match (up.name, up.config) {
            (Some(tunnel), _) => {
                let control = up.control.unwrap_or_else(|| PathBuf::from(CONTROL));
                request(&control, &Request::Up { tunnel })
            }
            (None, Some(file)) => {
                let mut config = load(&file)?;
                let overrides =
                    Overrides { tun: up.tun, control: up.control, log: up.log, log_format: up.log_format };
                overrides.apply(&mut config.gateway);
                let gateway = &config.gateway;
                logging::start(&gateway.log, gateway.log_format).context("what to log")?;
                gateway::run(&file, config, overrides).map(|()| ExitCode::SUCCESS)
            }
            (None, None) => bail!("give a configuration file with -c, or a tunnel's name"),
        },
        Command::Down(down) => request(&down.control.control, &Request::Down { tunnel: down.name }),
        Command::Rekey(Rekey { named, ike }) => {
            request(&named.control.control, &Request::Rekey { tunnel: named.name, ike })
        }
        Command::Status(status) => show_status(&status),
        Command::Decode(arguments) => decode::run(&arguments),
        Command::Check(check) => check_file(&check.config),
    }
}

/// Reads a configuration, with its warnings to standard error.
fn load(file: &Path) -> Result<Config> {
    match config::load(file) {
        Ok((config, warnings)) => {
            // A full disk behind standard error must not keep the gateway from running.
            let _ = io::stderr().write_all(warnings.render(file).as_bytes());
            Ok(config)
        }
        Err(problems) => bail!("{} cannot be used:\n{}", file.display(), problems.render(file).trim_end()),
    }
}

fn check_file(path: &Path) -> Result<ExitCode> {
    match config::load(path) {
        Ok((config, warnings)) => {
            let (file, count) = (path.display(), config.tunnels.len());
            let patience: String = config.tunnels.iter().map(|tunnel| patience(tunnel) + "\n").collect();
            let found = warnings.render(path);
            let warnings = warnings.0.len();
            print(&format!("{found}{patience}{file}: {count} tunnels, {warnings} warnings\n"))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => {
            print(&problems.render(path))?;
            Ok(ExitCode::FAILURE)
        }
    }
}

/// How long the tunnel's peer may be silent, in words.
fn patience(tunnel: &Tunnel) -> String {
    let Tunnel { name, retransmission, .. } = tunnel;
    let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
    let (tries, first) = (retransmission.tries, seconds(retransmission.first));
    let most = seconds(retransmission.patience());
    let repeats =
        format!("a request is repeated {tries} times, first after {first}, and given up within {most}");
    match (tunnel.dpd_delay, tunnel.patience()) {
        (Some(delay), Some(whole)) => format!(
            "tunnel {name:?}: {repeats}; a silent peer is asked after {} and taken to be dead within {}",
            seconds(delay),
            seconds(whole)
        ),
        _ => format!("tunnel {name:?}: {repeats}; a silent peer is never asked for a sign of life"),
    }
}

/// Writes to standard output. A reader that has seen enough, as `head` has, is no error.
///
/// # Errors
/// Those of the system, such as a full disk.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

fn show_status(arguments: &Status) -> Result<ExitCode> {
    let response = asked(&arguments.control.control, &Request::Status)?;
    let status = response.status.context("the gateway's answer has no status")?;
    if arguments.json {
        print(&(serde_json::to_string(&status)? + "\n"))?;
    } else {
        print(&status.table())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn request(control: &Path, request: &Request) -> Result<ExitCode> {
    asked(control, request).map(|_| ExitCode::SUCCESS)
}

fn asked(control: &Path, request: &Request) -> Result<Response> {
    let response = ask(control, request)?;
    if !response.ok {
        bail!("{}", response.error.as_deref().unwrap_or("the gateway refused without a reason"));
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn up_means_a_file_or_a_name() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' ')).map(|cli| cli.command);
        assert!(
            matches!(parse("ikebana up -c a.toml --tun ike1"), Ok(Command::Up(up)) if up.config.is_some())
        );
        assert!(matches!(parse("ikebana up net --control /x"), Ok(Command::Up(up)) if up.name.is_some()));
        assert!(parse("ikebana up").is_err());
        assert!(parse("ikebana up net -c a.toml").is_err());
        assert!(parse("ikebana up net --tun ike1").is_err());
        assert!(matches!(parse("ikebana rekey net --ike"), Ok(Command::Rekey(rekey)) if rekey.ike));
    }
}
