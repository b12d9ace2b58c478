//! What is allowed, but probably not what anyone wants.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use ikebana_core::{AddressRange, Secret};
use ikebana_ike::config::{Encapsulation, Mode, SelectorTemplate};
use ikebana_proposals::{EncryptionId, IntegrityId, KeyExchangeId, Preset, PrfId, Proposal};

use super::problem::Report;
use super::{Config, IkeVersion, Problem, Problems, Psk, Severity, Tunnel, ikev1, value};

/// AWS keeps these for itself (Site-to-Site VPN user guide, tunnel options).
const AWS_RESERVED: [Ipv4Addr; 7] = [
    Ipv4Addr::new(169, 254, 0, 0),
    Ipv4Addr::new(169, 254, 1, 0),
    Ipv4Addr::new(169, 254, 2, 0),
    Ipv4Addr::new(169, 254, 3, 0),
    Ipv4Addr::new(169, 254, 4, 0),
    Ipv4Addr::new(169, 254, 5, 0),
    Ipv4Addr::new(169, 254, 169, 252),
];

/// Adds what the text alone shows.
pub(super) fn lint(config: &Config, report: &mut Report<'_>) {
    if config.tunnels.is_empty() && !report.has_errors() {
        report.warning(0..0, "there is no [[tunnel]] in this file");
    }
    for (index, tunnel) in config.tunnels.iter().enumerate() {
        let earlier = config.tunnels.get(..index).unwrap_or_default();
        for message in errors(tunnel, earlier) {
            report.error(report.line_start(tunnel.line), message);
        }
        let key = tunnel.psk.key().into_iter().flat_map(|key| key_warnings(tunnel, key));
        for message in warnings(tunnel, earlier).into_iter().chain(key) {
            report.warning(report.line_start(tunnel.line), message);
        }
    }
}

/// Adds what a key shows that was read from a file.
pub(super) fn key_of(tunnel: &Tunnel, key: &Secret, problems: &mut Problems) {
    let warnings = key_warnings(tunnel, key);
    problems.0.extend(warnings.into_iter().map(|message| at(tunnel, Severity::Warning, message)));
}

/// A problem at the place of a tunnel.
pub(super) fn at(tunnel: &Tunnel, severity: Severity, message: String) -> Problem {
    Problem { line: tunnel.line, column: 1, severity, message }
}

/// Why a file with a key in it is not as private as it should be.
pub(super) fn readable_by_others(file: &Path) -> Option<String> {
    let mode = std::fs::metadata(file).ok()?.mode();
    (mode & 0o077 != 0).then(|| {
        let path = file.display();
        format!(
            "{path} holds a key or password and others may read it (mode {:o}); chmod 600 {path}",
            mode & 0o777
        )
    })
}

fn errors(tunnel: &Tunnel, earlier: &[Tunnel]) -> Vec<String> {
    let name = &tunnel.name;
    let mut found = Vec::new();
    if let Some(other) = earlier.iter().find(|other| other.name == *name) {
        found.push(format!("there are two tunnels named {name:?}; the first is in line {}", other.line));
    }
    if tunnel.ike == IkeVersion::V1 {
        found.extend(ikev1::errors(tunnel));
    }
    if tunnel.is_ah() && tunnel.encap == Encapsulation::Force {
        found.push(format!("tunnel {name:?}: AH never travels in UDP, which encap = \"force\" demands"));
    }
    if let (Some(local), Some(remote)) = (tunnel.local.address(), tunnel.remote.address()) {
        if local.is_ipv4() != remote.is_ipv4() {
            found.push(format!(
                "tunnel {name:?}: local {local} and remote {remote} are of two address families"
            ));
        } else if local == remote && tunnel.local.port == tunnel.remote.port {
            found.push(format!("tunnel {name:?}: local and remote are both {local}"));
        }
    }
    let families = |list: &[SelectorTemplate]| {
        let any = |v4| {
            list.iter().any(|selector| match selector {
                SelectorTemplate::Fixed(fixed) => fixed.addresses.is_ipv4() == v4,
                SelectorTemplate::Dynamic { .. } => true,
            })
        };
        [any(true), any(false)]
    };
    let both = families(&tunnel.local_ts).into_iter().zip(families(&tunnel.remote_ts));
    if !both.into_iter().any(|(local, remote)| local && remote) {
        found.push(format!("tunnel {name:?}: local_ts and remote_ts have no address family in common"));
    }
    found
}

fn warnings(tunnel: &Tunnel, earlier: &[Tunnel]) -> Vec<String> {
    let name = &tunnel.name;
    let mut found = Vec::new();
    for (kind, list) in [("proposals", &tunnel.proposals), (tunnel.child_key(), &tunnel.child_proposals)] {
        let mut weak: Vec<&str> = list.iter().flat_map(weaknesses).collect();
        weak.sort_unstable();
        weak.dedup();
        if !weak.is_empty() {
            found.push(format!(
                "tunnel {name:?}: {kind} allow {}, which no longer protect well",
                weak.join(", ")
            ));
        }
    }
    if tunnel.ike == IkeVersion::V1 {
        found.extend(ikev1::warnings(tunnel, earlier));
    }
    if tunnel.dpd_delay.is_none() {
        found.push(format!("tunnel {name:?}: with dpd_delay = 0 a peer that vanishes is never noticed"));
    }
    if tunnel.mode == Mode::Transport {
        for selector in tunnel.local_ts.iter().chain(&tunnel.remote_ts) {
            if fixed(selector).is_some_and(|range| range.first() != range.last()) {
                let text = value::selector_text(selector);
                found.push(format!(
                    "tunnel {name:?}: transport mode is from host to host, but {text} is a network"
                ));
            }
        }
    }
    for other in earlier {
        for (ours, theirs) in overlaps(&tunnel.remote_ts, &other.remote_ts) {
            if overlaps(&tunnel.local_ts, &other.local_ts).next().is_some() {
                found.push(format!(
                    "remote_ts {ours} of tunnel {name:?} overlaps {theirs} of tunnel {:?} (line {}); the newer SA gets the traffic",
                    other.name, other.line
                ));
            }
        }
    }
    if tunnel.remote.address().is_some_and(|peer| {
        tunnel.mode == Mode::Tunnel
            && tunnel
                .remote_ts
                .iter()
                .filter_map(fixed)
                .any(|range| range.contains(peer) && range.prefix() != Some(0))
    }) {
        found.push(format!("tunnel {name:?}: remote_ts covers the peer's own address; its IKE and ESP go around the tunnel, other traffic to it goes through"));
    }
    if tunnel.preset == Some(Preset::Aws) || tunnel.preset == Some(Preset::AwsMinimum) {
        found.extend(aws(tunnel));
    }
    found
}

/// The rules of AWS Site-to-Site VPN (EC2 API, `VpnTunnelOptionsSpecification`).
fn aws(tunnel: &Tunnel) -> Vec<String> {
    let name = &tunnel.name;
    let mut found = Vec::new();
    let reserved = |range: &AddressRange| {
        AWS_RESERVED
            .iter()
            .filter_map(|block| AddressRange::block(IpAddr::V4(*block), 30))
            .find(|block| block.intersect(range).is_some() && range.prefix() != Some(0))
    };
    let vips = tunnel.vips.iter().map(|vip| AddressRange::single(*vip));
    for range in tunnel.local_ts.iter().chain(&tunnel.remote_ts).filter_map(fixed).chain(vips) {
        if let Some(block) = reserved(&range) {
            found.push(format!("tunnel {name:?}: {range} touches {block}, which AWS reserves"));
        }
    }
    let within = |limit: Option<Duration>, from: u64, to: u64| {
        limit.is_some_and(|limit| (from..=to).contains(&limit.as_secs()))
    };
    if !within(tunnel.lifetime.hard_time, 900, 3_960) {
        found.push(format!(
            "tunnel {name:?}: AWS lets a child SA live from 900 to 3600 s; set rekey_time within it"
        ));
    }
    if !within(tunnel.ike_lifetime.soft_time, 900, 28_800) {
        found.push(format!(
            "tunnel {name:?}: AWS lets an IKE SA live from 900 to 28800 s; set ike_rekey_time within it"
        ));
    }
    found
}

fn key_warnings(tunnel: &Tunnel, key: &Secret) -> Vec<String> {
    let name = &tunnel.name;
    let key = key.expose();
    let aws = matches!(tunnel.preset, Some(Preset::Aws | Preset::AwsMinimum));
    let mut found = Vec::new();
    if aws {
        let allowed = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'_');
        if !(8..=64).contains(&key.len()) {
            found.push(format!(
                "tunnel {name:?}: an AWS pre-shared key has 8 to 64 characters, this one {}",
                key.len()
            ));
        }
        if !key.iter().all(allowed) {
            found.push(format!(
                "tunnel {name:?}: an AWS pre-shared key has only letters, digits, '.' and '_'"
            ));
        }
        if key.first() == Some(&b'0') {
            found.push(format!("tunnel {name:?}: an AWS pre-shared key does not start with 0"));
        }
    }
    if key.len() < 16 && !matches!(tunnel.psk, Psk::Key(_) if aws && key.len() < 8) {
        found.push(format!(
            "tunnel {name:?}: a pre-shared key of {} octets can be guessed by anyone who records a handshake; use 32 random characters",
            key.len()
        ));
    }
    found
}

/// The transforms of a proposal that should not be used any more (RFC 8247, RFC 8221).
fn weaknesses(proposal: &Proposal) -> Vec<&'static str> {
    let mut found = Vec::new();
    for encryption in &proposal.encryption {
        match encryption.id {
            EncryptionId::NULL => found.push("null encryption"),
            EncryptionId::TRIPLE_DES => found.push("3DES"),
            _ => {}
        }
    }
    if proposal.prf.contains(&PrfId::HMAC_MD5) || proposal.integrity.contains(&IntegrityId::HMAC_MD5_96) {
        found.push("MD5");
    }
    for group in &proposal.key_exchange {
        match *group {
            KeyExchangeId::MODP_768 => found.push("768-bit Diffie-Hellman"),
            KeyExchangeId::MODP_1024 | KeyExchangeId::MODP_1024_S160 => found.push("1024-bit Diffie-Hellman"),
            KeyExchangeId::MODP_1536 => found.push("1536-bit Diffie-Hellman"),
            _ => {}
        }
    }
    found
}

const fn fixed(selector: &SelectorTemplate) -> Option<AddressRange> {
    match selector {
        SelectorTemplate::Fixed(fixed) => Some(fixed.addresses),
        SelectorTemplate::Dynamic { .. } => None,
    }
}

fn overlaps<'a>(
    ours: &'a [SelectorTemplate],
    theirs: &'a [SelectorTemplate],
) -> impl Iterator<Item = (String, String)> + 'a {
    ours.iter().flat_map(move |our| {
        theirs.iter().filter_map(move |their| match (our, their) {
            (SelectorTemplate::Fixed(ours), SelectorTemplate::Fixed(theirs)) => {
                ours.intersect(theirs).map(|_| (ours.to_string(), theirs.to_string()))
            }
            (SelectorTemplate::Dynamic { .. }, _) | (_, SelectorTemplate::Dynamic { .. }) => None,
        })
    })
}

impl Report<'_> {
    /// Where a line starts, as a span.
    fn line_start(&self, line: usize) -> Range<usize> {
        let offset = self.text().split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
        offset..offset
    }
}
