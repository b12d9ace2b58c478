//! The responder's choice among a peer's offers for a child SA (RFC 7296 2.7, 2.9, 1.3.1).

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use ikebana_core::TrafficSelectors;
use ikebana_crypto::CryptoProvider;
use ikebana_ike::{ChildConfig, ChildFailure, Mode, SelectorMismatch};
use ikebana_proposals::{ChildSuite, Chosen, Proposal, ProposalMismatch, SaPayload, select_child};

use super::selectors::{self, Ends};
use crate::init::{needs_no_more_than_one_exchange, usable};
use crate::wire::NotifyType;

/// What the peer wants, from our point of view.
pub(crate) struct Wanted<'a> {
    pub(crate) sa: &'a SaPayload,
    /// TSr: what the peer offers for our side.
    pub(crate) local: &'a TrafficSelectors,
    /// TSi: what the peer offers for its side.
    pub(crate) remote: &'a TrafficSelectors,
    /// Whether it asks for transport mode.
    pub(crate) transport: bool,
    /// Whether a key exchange can be part of it; it cannot in IKE_AUTH.
    pub(crate) key_exchange: bool,
}

/// What we agree to.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) config: Arc<ChildConfig>,
    pub(crate) chosen: Chosen<ChildSuite>,
    pub(crate) local: TrafficSelectors,
    pub(crate) remote: TrafficSelectors,
    pub(crate) mode: Mode,
}

/// Why we do not, for the peer and for the application.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) notify: NotifyType,
    pub(crate) failure: ChildFailure,
    pub(crate) config: Option<Arc<ChildConfig>>,
}

/// The first of `configs` that has traffic and a proposal in common with what the peer wants.
pub(crate) fn choose(
    provider: &CryptoProvider,
    configs: &[Arc<ChildConfig>],
    ends: &Ends,
    wanted: &Wanted<'_>,
) -> Result<Choice, Refusal> {
    let mut proposal_refusal: Option<Refusal> = None;
    let mut mode_refusal: Option<Refusal> = None;
    for config in configs {
        let (local, remote) = narrow(config, ends, wanted);
        if local.is_empty() || remote.is_empty() {
            continue;
        }
        let mode = match (config.mode, wanted.transport) {
            (Mode::Transport, true) => Mode::Transport,
            // RFC 7296 1.3.1: leaving the notification out of the answer declines transport mode.
            (Mode::Tunnel, _) => Mode::Tunnel,
            (Mode::Transport, false) => {
                mode_refusal.get_or_insert(Refusal {
                    notify: NotifyType::NO_PROPOSAL_CHOSEN,
                    failure: ChildFailure::Mode { ours: Mode::Transport, theirs: Mode::Tunnel },
                    config: Some(config.clone()),
                });
                continue;
            }
        };
        match select(provider, config, wanted) {
            Ok(chosen) => return Ok(Choice { config: config.clone(), chosen, local, remote, mode }),
            Err(mismatch) => {
                proposal_refusal.get_or_insert(Refusal {
                    notify: NotifyType::NO_PROPOSAL_CHOSEN,
                    failure: ChildFailure::NoProposal(Box::new(mismatch)),
                    config: Some(config.clone()),
                });
            }
        }
    }
    Err(proposal_refusal.or(mode_refusal).unwrap_or_else(|| Refusal {
        notify: NotifyType::TS_UNACCEPTABLE,
        failure: ChildFailure::Selectors(Box::new(mismatch(configs, ends, wanted))),
        config: None,
    }))
}

/// Our proposals as this provider can carry them out, and as the exchange allows them.
pub(crate) fn usable_proposals(
    provider: &CryptoProvider,
    config: &ChildConfig,
    key_exchange: bool,
) -> Vec<Proposal> {
    if key_exchange {
        return usable(provider, &config.proposals);
    }
    // RFC 7296 1.2: the first child SA has no key exchange of its own, so none needs to be possible.
    let mut proposals: Vec<Proposal> = Vec::new();
    for proposal in config.proposals.iter().filter(|proposal| needs_no_more_than_one_exchange(proposal)) {
        let plain = proposal.without_key_exchange();
        if !proposals.contains(&plain) {
            proposals.push(plain);
        }
    }
    usable(provider, &proposals)
}

fn select(
    provider: &CryptoProvider,
    config: &ChildConfig,
    wanted: &Wanted<'_>,
) -> Result<Chosen<ChildSuite>, ProposalMismatch> {
    let local = usable_proposals(provider, config, wanted.key_exchange);
    if wanted.key_exchange {
        select_child(&local, wanted.sa, config.prefer)
    } else {
        select_child(&local, &wanted.sa.without_key_exchange(), config.prefer)
    }
}

fn narrow(config: &ChildConfig, ends: &Ends, wanted: &Wanted<'_>) -> (TrafficSelectors, TrafficSelectors) {
    let (local, remote) = selectors::configured(config, ends);
    if config.mode == Mode::Transport && wanted.transport {
        // RFC 7296 2.23.1: behind a NAT a peer offers the addresses it knows; what counts in transport mode
        // are the addresses packets are seen to have.
        let local_offer = selectors::readdressed(wanted.local, &ends.local);
        let remote_offer = selectors::readdressed(wanted.remote, &ends.remote);
        return (local.narrow(&local_offer), remote.narrow(&remote_offer));
    }
    (local.narrow(wanted.local), remote.narrow(wanted.remote))
}

fn mismatch(configs: &[Arc<ChildConfig>], ends: &Ends, wanted: &Wanted<'_>) -> SelectorMismatch {
    let configured = configs
        .iter()
        .map(|config| {
            let (local, remote) = selectors::configured(config, ends);
            (config.name.clone(), local, remote)
        })
        .collect();
    let closest = configs
        .iter()
        .map(|config| narrow(config, ends, wanted))
        .find(|(local, remote)| !local.is_empty() || !remote.is_empty())
        .unwrap_or_default();
    SelectorMismatch {
        offered_local: wanted.local.clone(),
        offered_remote: wanted.remote.clone(),
        configured,
        would_narrow_local: closest.0,
        would_narrow_remote: closest.1,
    }
}
