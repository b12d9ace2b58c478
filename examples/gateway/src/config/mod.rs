//! The configuration file: one `[[tunnel]]` per tunnel, keys named as swanctl users know them.
//!
//! ```toml
//! [[tunnel]]
//! name = "office"
//! remote = "vpn.example.com"
//! local_id = "@branch.example.com"
//! remote_id = "@office.example.com"
//! psk_file = "office.psk"
//! local_ts = ["10.1.0.0/24"]
//! remote_ts = ["10.2.0.0/24"]
//! ```
//!
//! [`parse`] is pure: it reads text and yields either a [`Config`] or every problem with its line. [`load`]
//! also reads the file and the key files that it names.

mod build;
mod ikev1;
mod lint;
mod patience;
mod problem;
mod raw;
mod value;

use std::fs::File;
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ikebana::SizePolicy;
use ikebana::esp::TfcPadding;
use ikebana_core::{AddressRange, Identity, IdentityPattern, Lifetime, Secret};
use ikebana_ike::Retransmission;
use ikebana_ike::config::{Encapsulation, Mode, SelectorTemplate};
use ikebana_proposals::{Preset, Proposal, ProtocolId};
use zeroize::Zeroizing;

pub(crate) use build::LONGEST_PACKET;
pub use ikev1::{Ikev1, Users, Xauth};
pub(crate) use problem::hint;
pub use problem::{Problem, Problems, Severity};
pub use value::{Endpoint, Host, selector_text};

/// A whole configuration file.
pub struct Config {
    /// `[gateway]`
    pub gateway: Gateway,
    /// `[[pool]]`, in order.
    pub pools: Vec<Pool>,
    /// `[[tunnel]]`, in order.
    pub tunnels: Vec<Tunnel>,
}

/// What concerns the whole gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Addresses to listen on; unspecified ones stand for all of their family.
    pub listen: Vec<IpAddr>,
    /// The port for IKE alone.
    pub port: u16,
    /// The port for IKE and ESP in UDP.
    pub nat_port: u16,
    /// Name of the TUN device.
    pub tun: String,
    /// Path of the control socket.
    pub control: PathBuf,
    /// What to log: a level, or `tracing` directives.
    pub log: String,
    /// How to log.
    pub log_format: LogFormat,
    /// Whether the gateway sets routes into the TUN device.
    pub install_routes: bool,
    /// The mark of the gateway's own packets, which the routes into the TUN device do not apply to.
    pub fwmark: u32,
    /// The routing table for tunnels.
    pub route_table: u32,
    /// Half-open IKE SAs from which on initiators must return a cookie.
    pub half_open_limit: Option<u32>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Addresses for peers that ask for one (RFC 7296 3.15).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// What may be handed out, in order.
    pub addresses: Vec<AddressRange>,
    /// Name servers to tell clients.
    pub dns: Vec<IpAddr>,
    /// Networks to tell clients that they reach through the tunnel.
    pub subnets: Vec<AddressRange>,
    /// The tunnels whose peers may draw from it; empty for all.
    pub tunnels: Vec<String>,
}

/// One tunnel.
pub struct Tunnel {
    /// Its name in commands, status and logs.
    pub name: String,
    /// Where it stands in the file.
    pub line: usize,
    /// The IKE version.
    pub ike: IkeVersion,
    /// Our end.
    pub local: Endpoint,
    /// The peer's end.
    pub remote: Endpoint,
    /// Who we are; `None` for our address.
    pub local_id: Option<Identity>,
    /// Who the peer must be; `None` for its address.
    pub remote_id: Option<IdentityPattern>,
    /// The pre-shared key.
    pub psk: Psk,
    /// What only IKEv1 has.
    pub ikev1: Ikev1,
    /// IKE proposals, the best first.
    pub proposals: Vec<Proposal>,
    /// Proposals of ESP, or all of AH, the best first.
    pub child_proposals: Vec<Proposal>,
    /// The preset that the proposals come from.
    pub preset: Option<Preset>,
    /// Traffic on our side.
    pub local_ts: Vec<SelectorTemplate>,
    /// Traffic on the peer's side.
    pub remote_ts: Vec<SelectorTemplate>,
    /// Tunnel or transport mode.
    pub mode: Mode,
    /// When it comes up.
    pub start: Start,
    /// When the child SA is rekeyed and when it must end.
    pub lifetime: Lifetime,
    /// When the IKE SA is rekeyed and when it must end.
    pub ike_lifetime: Lifetime,
    /// Silence after which the peer is probed; `None` for never.
    pub dpd_delay: Option<Duration>,
    /// What happens when it does not answer.
    pub dpd_action: DpdAction,
    /// How often, and for how long, a request to the peer is repeated before it is taken to be dead.
    pub retransmission: Retransmission,
    /// Whether ESP travels in UDP.
    pub encap: Encapsulation,
    /// Packets the replay window looks back.
    pub replay_window: u32,
    /// Whether packets are compressed, if the peer wants it too.
    pub compress: bool,
    /// How much longer packets look than they are.
    pub tfc: TfcPadding,
    /// Largest packet into the tunnel; `None` to derive it from the suite and the path.
    pub mtu: Option<u16>,
    /// Largest packet that the path to the peer takes.
    pub path_mtu: u16,
    /// What is done with packets that are too big for the tunnel.
    pub sizes: SizePolicy,
    /// Addresses to ask the peer for; an unspecified one for any of its family.
    pub vips: Vec<IpAddr>,
}

impl Tunnel {
    /// Whether its packets are protected by AH instead of ESP.
    #[must_use]
    pub fn is_ah(&self) -> bool {
        self.child_proposals.iter().any(|proposal| proposal.protocol == ProtocolId::AH)
    }

    /// The key that the child's proposals are written under.
    fn child_key(&self) -> &'static str {
        if self.is_ah() { "ah_proposals" } else { "esp_proposals" }
    }

    /// The longest time for which a peer that has fallen silent is believed in; `None` for ever.
    #[must_use]
    pub fn patience(&self) -> Option<Duration> {
        self.dpd_delay.map(|delay| delay.saturating_add(self.retransmission.patience()))
    }

    /// Whether another tunnel is the same but for its place in the file.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.psk.is_same(&other.psk)
            && self.ikev1.is_same(&other.ikev1)
            && (&self.name, self.ike, self.mode, self.start)
                == (&other.name, other.ike, other.mode, other.start)
            && (&self.local, &self.remote) == (&other.local, &other.remote)
            && (&self.local_id, &self.remote_id) == (&other.local_id, &other.remote_id)
            && (&self.proposals, &self.child_proposals) == (&other.proposals, &other.child_proposals)
            && (&self.local_ts, &self.remote_ts) == (&other.local_ts, &other.remote_ts)
            && (self.lifetime, self.ike_lifetime) == (other.lifetime, other.ike_lifetime)
            && (self.dpd_delay, self.dpd_action) == (other.dpd_delay, other.dpd_action)
            && self.retransmission == other.retransmission
            && (self.encap, self.replay_window, self.mtu) == (other.encap, other.replay_window, other.mtu)
            && (self.compress, self.tfc) == (other.compress, other.tfc)
            && (self.path_mtu, self.sizes) == (other.path_mtu, other.sizes)
            && self.vips == other.vips
    }
}

/// `ike`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IkeVersion {
    /// RFC 2409.
    V1,
    /// RFC 7296.
    V2,
}

/// `start`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At once, and kept up.
    Start,
    /// When there is a packet for it.
    OnTraffic,
    /// When the peer starts it.
    Passive,
}

/// `dpd_action`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DpdAction {
    /// The tunnel goes down and waits for the peer.
    Clear,
    /// The tunnel goes down and waits for traffic.
    Trap,
    /// The tunnel is negotiated anew.
    Restart,
}

/// Where the pre-shared key is.
pub enum Psk {
    /// Here.
    Key(Secret),
    /// In this file, not read yet; [`load`] reads it.
    File(PathBuf),
}

impl Psk {
    /// Whether another one is the same, as far as it has been read.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Key(ours), Self::Key(theirs)) => ours.ct_eq(theirs.expose()),
            (Self::File(ours), Self::File(theirs)) => ours == theirs,
            (Self::Key(_), Self::File(_)) | (Self::File(_), Self::Key(_)) => false,
        }
    }

    /// The key, if it has been read.
    #[must_use]
    pub const fn key(&self) -> Option<&Secret> {
        match self {
            Self::Key(secret) => Some(secret),
            Self::File(_) => None,
        }
    }
}

/// Reads a configuration from its text, without touching anything else.
///
/// The second value holds warnings; lints that need more than the text are in [`load`].
///
/// # Errors
/// Every problem in the file, with its line and what was probably meant.
pub fn parse(text: &str) -> Result<(Config, Problems), Problems> {
    let mut report = problem::Report::new(text);
    let config = build::read(text, &mut report);
    if let Some(config) = &config {
        lint::lint(config, &mut report);
    }
    let problems = report.finish();
    match config {
        Some(config) if !problems.has_errors() => Ok((config, problems)),
        Some(_) | None => Err(problems),
    }
}

/// Reads the configuration in `file`, and the pre-shared keys in the files that it names.
///
/// # Errors
/// As [`parse`], and files that cannot be read.
pub fn load(file: &Path) -> Result<(Config, Problems), Problems> {
    let whole =
        |message: String| Problems(vec![Problem { line: 0, column: 0, severity: Severity::Error, message }]);
    let text = read_text(file).map_err(|error| whole(format!("cannot be read: {error}")))?;
    let (mut config, mut problems) = parse(&text)?;
    let folder = file.parent().unwrap_or(Path::new("."));
    for tunnel in &mut config.tunnels {
        let readable = match &tunnel.psk {
            Psk::Key(_) => lint::readable_by_others(file),
            Psk::File(name) => {
                let path = folder.join(name);
                let readable = lint::readable_by_others(&path);
                match read_secret(&path, "psk_file") {
                    Ok(secret) => {
                        lint::key_of(tunnel, &secret, &mut problems);
                        tunnel.psk = Psk::Key(secret);
                    }
                    Err(message) => problems.0.push(lint::at(tunnel, Severity::Error, message)),
                }
                readable
            }
        };
        if let Some(message) = readable {
            problems.0.push(lint::at(tunnel, Severity::Warning, message));
        }
        read_users(tunnel, folder, &mut problems);
    }
    problems.0.sort_by_key(|problem| (problem.line, problem.column));
    problems.0.dedup();
    if problems.has_errors() { Err(problems) } else { Ok((config, problems)) }
}

/// Reads a file with one key or password: one line as `psk` would have it.
fn read_secret(path: &Path, named: &str) -> Result<Secret, String> {
    let text =
        read_text(path).map_err(|error| format!("{named} {} cannot be read: {error}", path.display()))?;
    let key = text.trim_end_matches(['\r', '\n']);
    if key.contains(['\r', '\n']) {
        return Err(format!("{named} {} has more than one line", path.display()));
    }
    value::psk(key).map_err(|error| format!("{named} {}: {error}", path.display()))
}

/// Reads the passwords of XAUTH that are in files of their own.
fn read_users(tunnel: &mut Tunnel, folder: &Path, problems: &mut Problems) {
    let (path, read) = match &mut tunnel.ikev1.xauth {
        Some(Xauth::Client { password, .. }) => {
            let Psk::File(name) = password else { return };
            let path = folder.join(name);
            let read = read_secret(&path, "xauth_password_file").map(|secret| *password = Psk::Key(secret));
            (path, read)
        }
        Some(Xauth::Server(users)) => {
            let Users::File(name) = users else { return };
            let path = folder.join(name);
            let text = read_text(&path)
                .map_err(|error| format!("xauth_users {} cannot be read: {error}", path.display()));
            let read =
                text.and_then(|text| ikev1::users_of(&text, &path)).map(|all| *users = Users::Here(all));
            (path, read)
        }
        None => return,
    };
    if let Err(message) = read {
        problems.0.push(lint::at(tunnel, Severity::Error, message));
    }
    if let Some(message) = lint::readable_by_others(&path) {
        problems.0.push(lint::at(tunnel, Severity::Warning, message));
    }
}

/// Reads a file as far as a file of ours can be long: a device or a pipe in its place must not take all memory.
fn read_text(path: &Path) -> io::Result<Zeroizing<String>> {
    const LONGEST: u64 = 4 << 20;
    let file = File::open(path)?;
    // Made once, so that growing leaves no copies behind.
    let expected = file.metadata()?.len().min(LONGEST).saturating_add(1);
    let mut text = Zeroizing::new(String::with_capacity(usize::try_from(expected).unwrap_or(0)));
    file.take(LONGEST).read_to_string(&mut text)?;
    if u64::try_from(text.len()).is_ok_and(|length| length < LONGEST) {
        Ok(text)
    } else {
        Err(io::Error::other(format!("it is longer than {LONGEST} octets")))
    }
}

#[cfg(test)]
mod tests;
