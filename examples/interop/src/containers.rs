//! The same scenarios in containers: a compose file is generated from the scenario's description.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};

use crate::lab::{Lab, Options};
use crate::network::Topology;
use crate::place::Place;
use crate::scenario::{self, PeerKind, Scenario, Side};
use crate::{runner, wait};

/// What `docker` was asked for on the command line.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) scenario: String,
    pub(crate) gateway: PathBuf,
    pub(crate) folder: PathBuf,
    pub(crate) self_check: bool,
    pub(crate) generate: bool,
    pub(crate) keep: bool,
}

/// Packages of both images: the tools that the steps use.
const TOOLS: &str = "iproute2 iputils-ping nftables procps";
/// Packages of an end that runs strongSwan.
const STRONGSWAN: &str = "strongswan-charon strongswan-swanctl libstrongswan-standard-plugins \
                          libstrongswan-extra-plugins libcharon-extra-plugins";

/// Two running containers; they are removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Containers {
    compose: Compose,
    keep: bool,
}

/// The command that talks to the engine, and the project it works on.
#[derive(Debug)]
struct Compose {
    program: Vec<&'static str>,
    project: String,
    folder: PathBuf,
}

/// Generates the folder, starts both containers, and runs the scenario's steps in them.
pub(crate) fn run(request: &Request) -> Result<ExitCode> {
    let scenario = find(&request.scenario)?;
    if scenario.peer != PeerKind::Strongswan || scenario.nat.is_some() {
        bail!("{} needs a guest kernel or a translator; `run` does that", scenario.name);
    }
    generate(request).with_context(|| format!("generating {}", request.folder.display()))?;
    let folder = request.folder.canonicalize()?;
    println!("{} holds compose.yaml and the images' files", folder.display());
    if request.generate {
        return Ok(ExitCode::SUCCESS);
    }
    wait::watch_signals()?;
    let containers = Containers::start(&folder, request.keep)?;
    let options = Options {
        gateway: PathBuf::from("/usr/local/bin/ikebana"),
        peers: PathBuf::new(),
        self_check: request.self_check,
        folder: folder.join("state"),
    };
    let mut lab = Lab::in_containers(containers, &options)?;
    let outcome = runner::run_one(&mut lab, &scenario, &options);
    Ok(if outcome == runner::Outcome::Passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn find(name: &str) -> Result<Scenario> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    scenario::load_folder(&folder)?
        .into_iter()
        .find(|scenario| scenario.name == name)
        .with_context(|| format!("there is no scenario named {name:?}; `list` names them all"))
}

/// Writes the compose file and what its images are built from.
fn generate(request: &Request) -> Result<()> {
    let folder = &request.folder;
    for sub in ["us", "them", "state"] {
        fs::create_dir_all(folder.join(sub))?;
    }
    let ours = if request.self_check {
        image(&format!("{TOOLS} {STRONGSWAN}"), "")
    } else {
        fs::copy(&request.gateway, folder.join("us/ikebana"))
            .with_context(|| format!("our gateway's binary {}", request.gateway.display()))?;
        image(TOOLS, "COPY ikebana /usr/local/bin/ikebana\n")
    };
    fs::write(folder.join("us/Dockerfile"), ours)?;
    fs::write(folder.join("them/Dockerfile"), image(&format!("{TOOLS} {STRONGSWAN}"), ""))?;
    fs::write(folder.join("compose.yaml"), compose_file())?;
    Ok(())
}

fn image(packages: &str, rest: &str) -> String {
    format!(
        "FROM debian:bookworm-slim
RUN apt-get update \\
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends {packages} \\
 && rm -rf /var/lib/apt/lists/*
{rest}CMD [\"sleep\", \"infinity\"]
"
    )
}

fn compose_file() -> String {
    let service = |side: Side, name: &str| {
        let address = Topology::Direct.end(side).outer;
        format!(
            "  {name}:
    build: ./{name}
    image: ikebana-interop-{name}
    # Reaps what the daemons leave behind.
    init: true
    cap_add: [NET_ADMIN]
    devices: [/dev/net/tun]
    sysctls:
      net.ipv4.ip_forward: 1
      net.ipv4.conf.all.rp_filter: 0
      net.ipv4.conf.default.rp_filter: 0
    volumes: [\"./state:/shared\"]
    networks:
      wire:
        ipv4_address: {address}
"
        )
    };
    format!(
        "# Two ends on one wire; the interop runner configures them and drives the scenario.
services:
{}{}networks:
  wire:
    ipam:
      config:
        - subnet: 10.77.0.0/24
          gateway: 10.77.0.254
",
        service(Side::Us, "us"),
        service(Side::Them, "them")
    )
}

impl Containers {
    fn start(folder: &Path, keep: bool) -> Result<Self> {
        let compose = Compose {
            program: compose_program()?,
            project: format!("ikei{}", std::process::id()),
            folder: folder.to_owned(),
        };
        let containers = Self { compose, keep };
        containers.compose.run(&["up", "--build", "--detach"])?;
        Ok(containers)
    }

    pub(crate) fn place(&self, side: Side) -> Place {
        let service = match side {
            Side::Us => "us",
            Side::Them => "them",
        };
        Place::Container { name: self.compose.container(service), shared: self.compose.folder.join("state") }
    }
}

impl Drop for Containers {
    fn drop(&mut self) {
        if self.keep {
            println!("project {} keeps running in {}", self.compose.project, self.compose.folder.display());
        } else if let Err(error) = self.compose.run(&["down", "--volumes", "--timeout", "2"]) {
            eprintln!("the containers could not be removed: {error:#}");
        }
    }
}

/// The plugin of a newer engine, or the separate program of an older one.
fn compose_program() -> Result<Vec<&'static str>> {
    for program in [vec!["docker", "compose"], vec!["docker-compose"]] {
        let mut command = Command::new(program.first().copied().unwrap_or_default());
        command.args(program.iter().skip(1)).arg("version").stdout(Stdio::null()).stderr(Stdio::null());
        if command.status().is_ok_and(|status| status.success()) {
            return Ok(program);
        }
    }
    bail!("neither `docker compose` nor `docker-compose` works here")
}

impl Compose {
    fn run(&self, arguments: &[&str]) -> Result<()> {
        let mut words = self.program.iter();
        let mut command = Command::new(words.next().copied().unwrap_or_default());
        command.args(words).args(["-p", &self.project]).args(arguments).current_dir(&self.folder);
        let status = command.status().with_context(|| format!("{command:?}"))?;
        if !status.success() {
            bail!("{command:?}: {status}");
        }
        Ok(())
    }

    /// The container of a service: the plugin joins the parts with `-`, the older program with `_`.
    fn container(&self, service: &str) -> String {
        let joint = if self.program.len() > 1 { '-' } else { '_' };
        format!("{}{joint}{service}{joint}1", self.project)
    }
}
