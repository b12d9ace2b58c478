//! What only IKEv1 has keys for, and what IKEv1 has no words for.

use std::path::{Path, PathBuf};

use ikebana_core::{PortRange, Secret};
use ikebana_ike::config::{Fragmentation, ModeConfig, Phase1Mode, SelectorTemplate, XauthRole};
use ikebana_proposals::ikev1::phase1::Authentication;
use ikebana_proposals::ikev1::{offer_phase1, pfs_groups};
use ikebana_proposals::{KeyExchangeId, Proposal};
use toml::Spanned;

use super::build::{TunnelPlace, text};
use super::problem::Report;
use super::{Host, IkeVersion, Psk, Tunnel, raw, value};

/// How an IKEv1 tunnel is spoken to, beyond what both versions have in common.
#[derive(Default)]
pub struct Ikev1 {
    /// `aggressive`
    pub phase1: Phase1Mode,
    /// `xauth`, with who we are or whom we let in.
    pub xauth: Option<Xauth>,
    /// `mode_config`
    pub mode_config: ModeConfig,
    /// `fragmentation`
    pub fragmentation: Fragmentation,
}

/// `xauth`
pub enum Xauth {
    /// The peer asks us for a user.
    Client {
        /// `xauth_user`
        user: String,
        /// `xauth_password` or `xauth_password_file`
        password: Psk,
    },
    /// We ask the peer for a user.
    Server(Users),
}

/// `xauth_users`
pub enum Users {
    /// Names and passwords.
    Here(Vec<(String, Secret)>),
    /// In this file, not read yet; [`load`](super::load) reads it.
    File(PathBuf),
}

impl Ikev1 {
    /// Whether another tunnel has the same.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let same_xauth = match (&self.xauth, &other.xauth) {
            (None, None) => true,
            (
                Some(Xauth::Client { user, password }),
                Some(Xauth::Client { user: their_user, password: their_password }),
            ) => user == their_user && password.is_same(their_password),
            (Some(Xauth::Server(ours)), Some(Xauth::Server(theirs))) => ours.is_same(theirs),
            (None | Some(Xauth::Client { .. } | Xauth::Server(_)), _) => false,
        };
        same_xauth
            && (self.phase1, self.mode_config, self.fragmentation)
                == (other.phase1, other.mode_config, other.fragmentation)
    }

    /// Our part in XAUTH, if there is one.
    #[must_use]
    pub fn xauth_role(&self) -> Option<XauthRole> {
        self.xauth.as_ref().map(|xauth| match xauth {
            Xauth::Client { .. } => XauthRole::Client,
            Xauth::Server(_) => XauthRole::Server,
        })
    }
}

impl Users {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Here(ours), Self::Here(theirs)) => {
                let same =
                    |((name, password), (theirs, their_password)): (&(String, Secret), &(String, Secret))| {
                        name == theirs && password.ct_eq(their_password.expose())
                    };
                ours.len() == theirs.len() && ours.iter().zip(theirs).all(same)
            }
            (Self::File(ours), Self::File(theirs)) => ours == theirs,
            (Self::Here(_), Self::File(_)) | (Self::File(_), Self::Here(_)) => false,
        }
    }
}

/// The keys, as they are written.
pub(super) struct Keys {
    pub(super) aggressive: Option<Spanned<bool>>,
    pub(super) xauth: Option<Spanned<String>>,
    pub(super) user: Option<Spanned<String>>,
    pub(super) password: Option<Spanned<String>>,
    pub(super) password_file: Option<Spanned<String>>,
    pub(super) users: Option<Spanned<raw::Users>>,
    pub(super) mode_config: Option<Spanned<String>>,
    pub(super) fragmentation: Option<Spanned<String>>,
}

const ROLES: [(&str, XauthRole); 2] = [("client", XauthRole::Client), ("server", XauthRole::Server)];
const MODE_CONFIGS: [(&str, ModeConfig); 2] = [("pull", ModeConfig::Pull), ("push", ModeConfig::Push)];
const FRAGMENTATIONS: [(&str, Fragmentation); 3] =
    [("yes", Fragmentation::Auto), ("force", Fragmentation::Force), ("no", Fragmentation::Never)];

/// Reads the keys of this file; with IKEv2 there must be none.
pub(super) fn read(
    keys: Keys,
    version: IkeVersion,
    place: &TunnelPlace<'_>,
    report: &mut Report<'_>,
) -> Ikev1 {
    if version == IkeVersion::V2 {
        for (key, span) in keys.spans() {
            report.error(span, format!("{key} is IKEv1's; it takes ike = 1"));
        }
        return Ikev1::default();
    }
    let phase1 = match keys.aggressive.map(Spanned::into_inner) {
        Some(true) => Phase1Mode::Aggressive,
        Some(false) | None => Phase1Mode::Main,
    };
    let role = text(keys.xauth, report, |word| value::choice(word, &ROLES));
    let mode_config = text(keys.mode_config, report, |word| value::choice(word, &MODE_CONFIGS));
    let fragmentation = text(keys.fragmentation, report, |word| value::choice(word, &FRAGMENTATIONS));
    let client = keys.user.is_some() || keys.password.is_some() || keys.password_file.is_some();
    let spans = |role: &str, key: &str| format!("{key} takes xauth = {role:?}");
    if role != Some(XauthRole::Client) {
        for (key, raw) in [
            ("xauth_user", &keys.user),
            ("xauth_password", &keys.password),
            ("xauth_password_file", &keys.password_file),
        ] {
            if let Some(raw) = raw {
                report.error(raw.span(), spans("client", key));
            }
        }
    }
    if role != Some(XauthRole::Server)
        && let Some(users) = &keys.users
    {
        report.error(users.span(), spans("server", "xauth_users"));
    }
    let xauth = match role {
        Some(XauthRole::Client) => {
            if !client {
                place.error(report, "is a client of XAUTH and has no xauth_user and xauth_password");
            }
            let user = text(keys.user, report, user_name);
            let password = password(keys.password, keys.password_file, report);
            if client && user.is_none() {
                place.error(report, "has no xauth_user");
            } else if client && password.is_none() {
                place.error(report, "has no xauth_password and no xauth_password_file");
            }
            user.zip(password).map(|(user, password)| Xauth::Client { user, password })
        }
        Some(XauthRole::Server) => {
            if keys.users.is_none() {
                place.error(report, "is a server of XAUTH and has no xauth_users");
            }
            keys.users.and_then(|users| read_users(users, report)).map(Xauth::Server)
        }
        None => None,
    };
    Ikev1 {
        phase1,
        xauth,
        mode_config: mode_config.unwrap_or_default(),
        fragmentation: fragmentation.unwrap_or_default(),
    }
}

impl Keys {
    /// Every key that is there, with its place.
    fn spans(&self) -> Vec<(&'static str, std::ops::Range<usize>)> {
        let texts = [
            ("xauth", &self.xauth),
            ("xauth_user", &self.user),
            ("xauth_password", &self.password),
            ("xauth_password_file", &self.password_file),
            ("mode_config", &self.mode_config),
            ("fragmentation", &self.fragmentation),
        ];
        let texts = texts.into_iter().filter_map(|(key, raw)| Some((key, raw.as_ref()?.span())));
        let aggressive = self.aggressive.as_ref().map(|raw| ("aggressive", raw.span()));
        let users = self.users.as_ref().map(|raw| ("xauth_users", raw.span()));
        texts.chain(aggressive).chain(users).collect()
    }
}

fn user_name(name: &str) -> Result<String, String> {
    if name.is_empty() { Err("the user's name is empty".to_owned()) } else { Ok(name.to_owned()) }
}

fn password(
    inline: Option<Spanned<String>>,
    file: Option<Spanned<String>>,
    report: &mut Report<'_>,
) -> Option<Psk> {
    match (inline, file) {
        (Some(_), Some(file)) => {
            report.error(file.span(), "xauth_password and xauth_password_file exclude each other");
            None
        }
        (Some(inline), None) => {
            let span = inline.span();
            let text = zeroize::Zeroizing::new(inline.into_inner());
            report.value(span, value::psk(&text)).map(Psk::Key)
        }
        (None, file) => file.map(|file| Psk::File(PathBuf::from(file.into_inner()))),
    }
}

fn read_users(raw: Spanned<raw::Users>, report: &mut Report<'_>) -> Option<Users> {
    let span = raw.span();
    match raw.into_inner() {
        raw::Users::File(file) => Some(Users::File(PathBuf::from(file))),
        raw::Users::Table(table) => {
            let users = table.into_iter().map(|(name, password)| {
                let password = zeroize::Zeroizing::new(password);
                let password = value::psk(&password).map_err(|error| format!("user {name:?}: {error}"))?;
                Ok((user_name(&name)?, password))
            });
            let users: Result<Vec<_>, String> = users.collect();
            report.value(span, users.and_then(some_users)).map(Users::Here)
        }
    }
}

fn some_users(users: Vec<(String, Secret)>) -> Result<Vec<(String, Secret)>, String> {
    if users.is_empty() { Err("there is no user in xauth_users".to_owned()) } else { Ok(users) }
}

/// Reads a file of users: a name, a colon and a password in each line. Empty lines and such as begin with `#`
/// mean nothing.
pub(super) fn users_of(text: &str, path: &Path) -> Result<Vec<(String, Secret)>, String> {
    let mut users = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let problem = |what: &str| format!("xauth_users {}:{number}: {what}", path.display());
        let (name, password) = line.split_once(':').ok_or_else(|| problem("not as in name:password"))?;
        let name = user_name(name.trim()).map_err(|error| problem(&error))?;
        users.push((name, value::psk(password.trim()).map_err(|error| problem(&error))?));
    }
    some_users(users).map_err(|error| format!("{error}, {}", path.display()))
}

/// What makes a tunnel impossible in IKEv1.
pub(super) fn errors(tunnel: &Tunnel) -> Vec<String> {
    let name = &tunnel.name;
    let mut found = Vec::new();
    if unspoken_ike(&tunnel.proposals) {
        found.push(format!(
            "tunnel {name:?}: IKEv1 has no words for {}: for IKE itself it has AES-CBC and 3DES, MD5, SHA-1 and \
             SHA-2, MODP and NIST groups, as in aes256-sha384-ecp384",
            texts(&tunnel.proposals)
        ));
    }
    if pfs_groups(&tunnel.child_proposals).is_empty() {
        found.push(format!(
            "tunnel {name:?}: IKEv1 has no words for {}: for ESP it has AES-GCM, AES-CBC with HMAC, MODP and NIST \
             groups, as in aes256gcm16-ecp384",
            texts(&tunnel.child_proposals)
        ));
    }
    for selector in tunnel.local_ts.iter().chain(&tunnel.remote_ts) {
        let ports = match selector {
            SelectorTemplate::Fixed(fixed) => fixed.ports,
            SelectorTemplate::Dynamic { ports, .. } => *ports,
        };
        if ports != PortRange::ANY && ports.first() != ports.last() {
            let text = value::selector_text(selector);
            found.push(format!("tunnel {name:?}: IKEv1 says one port or none, and no range as in {text}"));
        }
    }
    found
}

/// What is possible, and probably not what anyone wants.
pub(super) fn warnings(tunnel: &Tunnel, earlier: &[Tunnel]) -> Vec<String> {
    let name = &tunnel.name;
    let mut found =
        vec![format!("tunnel {name:?}: IKEv1 is deprecated (RFC 9395); use ike = 2 wherever the peer can")];
    if tunnel.ikev1.phase1 == Phase1Mode::Aggressive {
        found.push(format!(
            "tunnel {name:?}: in aggressive mode the pre-shared key can be guessed at leisure by anyone who \
             records one handshake, or starts one with us; use main mode, or a key of 32 random characters"
        ));
    }
    for (kind, list, is_unspoken) in [
        ("proposals", &tunnel.proposals, unspoken_ike as fn(&[Proposal]) -> bool),
        (tunnel.child_key(), &tunnel.child_proposals, |list| pfs_groups(list).is_empty()),
    ] {
        for one in list.iter().filter(|one| is_unspoken(std::slice::from_ref(*one)) && !is_unspoken(list)) {
            found.push(format!("tunnel {name:?}: IKEv1 has no words for {one}, which is left out of {kind}"));
        }
    }
    let groups = pfs_groups(&tunnel.child_proposals);
    if let [first, _, ..] = groups.as_slice() {
        found.push(format!(
            "tunnel {name:?}: a quick mode has one group; we start with {}, and accept the others when the peer \
             starts",
            first.map_or("none".to_owned(), |group: KeyExchangeId| group.to_string())
        ));
    }
    let (ours, theirs) = (tunnel.local_ts.len(), tunnel.remote_ts.len());
    if ours.saturating_mul(theirs) > 1 {
        found.push(format!(
            "tunnel {name:?}: an SA of IKEv1 has one pair of selectors, so {ours} in local_ts and {theirs} in \
             remote_ts become {} SAs; the peer must have every pair",
            ours.saturating_mul(theirs)
        ));
    }
    let by_address =
        |tunnel: &Tunnel| tunnel.ike == IkeVersion::V1 && tunnel.ikev1.phase1 == Phase1Mode::Main;
    if by_address(tunnel) {
        let same = |other: &&Tunnel| {
            let same_place = match (&tunnel.remote.host, &other.remote.host) {
                (Host::Any, Host::Any) => true,
                (Host::Address(ours), Host::Address(theirs)) => ours == theirs,
                (Host::Name(ours), Host::Name(theirs)) => ours == theirs,
                (Host::Any | Host::Address(_) | Host::Name(_), _) => false,
            };
            by_address(other) && same_place && !tunnel.psk.is_same(&other.psk)
        };
        for other in earlier.iter().filter(same) {
            found.push(format!(
                "tunnel {name:?}: in main mode the pre-shared key is chosen by the peer's address, {}, for which \
                 tunnel {:?} (line {}) has another key: when the peer starts, only one of them can work",
                tunnel.remote, other.name, other.line
            ));
        }
    }
    found
}

fn unspoken_ike(proposals: &[Proposal]) -> bool {
    let offer = offer_phase1(proposals, Authentication::PRE_SHARED_KEY, None);
    offer.proposals.iter().all(|proposal| proposal.transforms.is_empty())
}

fn texts(proposals: &[Proposal]) -> String {
    proposals.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
