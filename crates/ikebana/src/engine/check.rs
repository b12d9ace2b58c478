//! What a tunnel's configuration has to be like.

use alloc::string::ToString;

use ikebana_crypto::CryptoProvider;
use ikebana_ike::{Encapsulation, XauthRole};
use ikebana_proposals::{Proposal, ProtocolId, SequenceNumbersId, ikev1};

use super::{ConfigError, IkeVersion, Start, TunnelConfig};

/// Says at once what would otherwise be found out packet by packet.
pub(super) fn check(config: &TunnelConfig, provider: &CryptoProvider) -> Result<(), ConfigError> {
    let tunnel = || config.peer.name.clone();
    if config.peer.children.is_empty() {
        return Err(ConfigError::NoChildren(tunnel()));
    }
    if config.remote.is_none() && config.start != Start::Passive {
        return Err(ConfigError::NoRemote(tunnel()));
    }
    if config.remote.is_some_and(|remote| remote.is_ipv4() != config.local.is_ipv4()) {
        return Err(ConfigError::AddressFamilies(tunnel()));
    }
    if provider.restrict(&config.peer.proposals).is_empty() {
        return Err(ConfigError::NoProposals { tunnel: tunnel(), child: None });
    }
    for (index, child) in config.peer.children.iter().enumerate() {
        let name = || child.name.clone();
        if config.peer.children.iter().take(index).any(|other| other.name == child.name) {
            return Err(ConfigError::ChildNameInUse { tunnel: tunnel(), child: name() });
        }
        let protocol = match child.proposals.first() {
            Some(first) if first.protocol == ProtocolId::AH => ProtocolId::AH,
            Some(_) | None => ProtocolId::ESP,
        };
        if let Some(other) = child.proposals.iter().find(|proposal| proposal.protocol != protocol) {
            let proposal = other.to_string();
            return Err(ConfigError::MixedProtocols { tunnel: tunnel(), child: name(), proposal });
        }
        if protocol == ProtocolId::AH && config.peer.encapsulation == Encapsulation::Force {
            return Err(ConfigError::AhInUdp { tunnel: tunnel(), child: name() });
        }
        if protocol == ProtocolId::AH && child.compress {
            return Err(ConfigError::AhCompressed { tunnel: tunnel(), child: name() });
        }
        if provider.restrict(&child.proposals).is_empty() {
            return Err(ConfigError::NoProposals { tunnel: tunnel(), child: Some(name()) });
        }
        let window = child.replay_window;
        let fits = match window {
            0 => !child.proposals.iter().any(has_esn),
            _ => window.is_power_of_two() && (64..=8_192).contains(&window),
        };
        if !fits {
            return Err(ConfigError::ReplayWindow { tunnel: tunnel(), child: name(), window });
        }
    }
    match config.version {
        IkeVersion::V1 => check_ikev1(config),
        IkeVersion::V2 => Ok(()),
    }
}

/// What IKEv1 has no words for, and what it needs besides.
fn check_ikev1(config: &TunnelConfig) -> Result<(), ConfigError> {
    let peer = &config.peer;
    let tunnel = || peer.name.clone();
    let pre_shared_key = ikev1::phase1::Authentication::PRE_SHARED_KEY;
    let offer = ikev1::offer_phase1(&peer.proposals, pre_shared_key, None);
    if offer.proposals.iter().all(|proposal| proposal.transforms.is_empty()) {
        return Err(ConfigError::NotInIkev1 { tunnel: tunnel(), child: None });
    }
    if let Some(child) = peer.children.iter().find(|child| ikev1::pfs_groups(&child.proposals).is_empty()) {
        return Err(ConfigError::NotInIkev1 { tunnel: tunnel(), child: Some(child.name.clone()) });
    }
    if let Some(child) = peer.children.iter().find(|child| child.compress) {
        return Err(ConfigError::CompressionInIkev1 { tunnel: tunnel(), child: child.name.clone() });
    }
    match peer.ikev1.xauth {
        Some(XauthRole::Client) if config.xauth.is_none() => Err(ConfigError::NoXauthUser(tunnel())),
        Some(XauthRole::Server) if config.xauth_users.is_empty() => Err(ConfigError::NoXauthUsers(tunnel())),
        Some(XauthRole::Client | XauthRole::Server) | None => Ok(()),
    }
}

/// Extended sequence numbers are told apart by the window, so they need one (RFC 4303 2.2.1).
fn has_esn(proposal: &Proposal) -> bool {
    proposal.sequence.contains(&SequenceNumbersId::ESN)
}
