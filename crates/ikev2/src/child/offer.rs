//! The initiator's side of negotiating a child SA, in IKE_AUTH as in CREATE_CHILD_SA.

use alloc::sync::Arc;
use alloc::vec::Vec;

use ikebana_core::{EspSpi, Flow, TrafficSelectors};
use ikebana_ike::{ChildConfig, ChildFailure, Mode};
use ikebana_proposals::{ChildSuite, Chosen, KeyExchangeId, Proposal, ProtocolId, SaPayload, confirm_child};

use super::extras::{self, Extras};
use super::negotiate::usable_proposals;
use super::selectors::{self, Ends};
use crate::context::Context;
use crate::payloads::{Payloads, child_spi, notify, wanted_group};
use crate::wire::{NotifyPayload, NotifyType, Payload, TrafficSelectorPayload};

/// What we offer.
pub(crate) struct ChildOffer {
    pub(crate) config: Arc<ChildConfig>,
    /// The packet that asked for the SA, if one did.
    pub(crate) flow: Option<Flow>,
    /// Our inbound SPI.
    pub(crate) spi: EspSpi,
    pub(crate) proposals: Vec<Proposal>,
    sa: SaPayload,
    local: TrafficSelectors,
    remote: TrafficSelectors,
    single_pair: bool,
}

/// What the peer made of it.
pub(crate) struct Terms {
    pub(crate) chosen: Chosen<ChildSuite>,
    /// The peer's inbound SPI.
    pub(crate) outbound: EspSpi,
    pub(crate) local: TrafficSelectors,
    pub(crate) remote: TrafficSelectors,
    pub(crate) mode: Mode,
    pub(crate) extras: Extras,
}

impl ChildOffer {
    /// An offer of everything that `config` and the provider allow. `None` if that is nothing.
    pub(crate) fn new(
        cx: &mut Context<'_>,
        config: Arc<ChildConfig>,
        ends: &Ends,
        flow: Option<Flow>,
        key_exchange: bool,
    ) -> Option<Self> {
        let proposals = usable_proposals(cx.provider, &config, key_exchange);
        if proposals.is_empty() {
            return None;
        }
        let spi = cx.esp_spi();
        let sa = SaPayload::offer(&proposals, &spi.to_be_bytes());
        let (local, remote) = selectors::offer(&selectors::configured(&config, ends), flow.as_ref());
        Some(Self { config, flow, spi, proposals, sa, local, remote, single_pair: false })
    }

    /// Narrows the offer to one pair of addresses. Returns whether that is anything new.
    pub(crate) fn narrow_to_single_pair(&mut self, ends: &Ends) -> bool {
        let configured = selectors::configured(&self.config, ends);
        match selectors::single_pair(&configured, self.flow.as_ref()) {
            Some((local, remote)) if !self.single_pair => {
                (self.local, self.remote, self.single_pair) = (local, remote, true);
                true
            }
            _ => false,
        }
    }

    /// ESP or AH.
    pub(crate) fn protocol(&self) -> ProtocolId {
        self.proposals.first().map_or(ProtocolId::ESP, |proposal| proposal.protocol)
    }

    /// The key exchange methods on offer, the best first. Empty means no perfect forward secrecy.
    pub(crate) fn groups(&self) -> Vec<KeyExchangeId> {
        let mut groups = Vec::new();
        for group in self.proposals.iter().flat_map(|proposal| &proposal.key_exchange) {
            if !groups.contains(group) {
                groups.push(*group);
            }
        }
        groups
    }

    /// The payloads of the request; `fresh` goes between proposals and selectors (nonce, key exchange).
    pub(crate) fn payloads(&self, fresh: impl IntoIterator<Item = Payload>) -> Vec<Payload> {
        let mut payloads = Vec::new();
        if self.config.mode == Mode::Transport {
            payloads.push(notify(NotifyType::USE_TRANSPORT_MODE, Vec::new()));
        }
        payloads.extend(extras::offer(&self.config, self.protocol(), self.spi));
        payloads.push(Payload::Sa(self.sa.clone()));
        payloads.extend(fresh);
        payloads.push(Payload::TsInitiator(TrafficSelectorPayload::new(self.local.clone())));
        payloads.push(Payload::TsResponder(TrafficSelectorPayload::new(self.remote.clone())));
        payloads
    }

    /// Checks the peer's answer against the offer.
    pub(crate) fn check(&self, payloads: &Payloads, ends: &Ends) -> Result<Terms, ChildFailure> {
        let missing = |what: &str| ChildFailure::Protocol(alloc::format!("{what} missing"));
        let sa = payloads.sa().ok_or_else(|| missing("SA payload"))?;
        let chosen = confirm_child(&self.sa, sa).map_err(|mismatch| {
            ChildFailure::Protocol(alloc::format!("the peer chose what was not offered: {mismatch}"))
        })?;
        let outbound = child_spi(&chosen.spi).ok_or_else(|| {
            ChildFailure::Protocol(alloc::string::String::from("invalid SPI in the SA payload"))
        })?;
        let local = payloads.ts_initiator().ok_or_else(|| missing("TSi payload"))?.clone();
        let remote = payloads.ts_responder().ok_or_else(|| missing("TSr payload"))?.clone();
        let transport = payloads.has(NotifyType::USE_TRANSPORT_MODE);
        let mode = match (self.config.mode, transport) {
            (Mode::Transport, true) => Mode::Transport,
            (Mode::Tunnel, false) => Mode::Tunnel,
            (ours, true) => return Err(ChildFailure::Mode { ours, theirs: Mode::Transport }),
            // RFC 7296 1.3.1: the peer declined, and we do not want the SA otherwise.
            (ours, false) => return Err(ChildFailure::Mode { ours, theirs: Mode::Tunnel }),
        };
        let (local, remote) = match mode {
            Mode::Tunnel => (local, remote),
            // RFC 7296 2.23.1: the peer may have put in the addresses that it sees.
            Mode::Transport => {
                (selectors::readdressed(&local, &ends.local), selectors::readdressed(&remote, &ends.remote))
            }
        };
        if !selectors::is_within(&local, &self.local) || !selectors::is_within(&remote, &self.remote) {
            return Err(ChildFailure::Protocol(alloc::format!(
                "the peer answered with local {local} remote {remote}, more than the offered local {} remote {}",
                self.local,
                self.remote
            )));
        }
        let extras = Extras::agree(&self.config, chosen.suite.protocol, self.spi, payloads);
        Ok(Terms { chosen, outbound, local, remote, mode, extras })
    }

    /// What an error notification in the answer means.
    pub(crate) fn failure(&self, error: &NotifyPayload) -> ChildFailure {
        let name = || alloc::format!("{}", error.kind);
        match error.kind {
            NotifyType::NO_PROPOSAL_CHOSEN => ChildFailure::ProposalRejected {
                offered: self.proposals.iter().map(|proposal| alloc::format!("{proposal}")).collect(),
            },
            NotifyType::TS_UNACCEPTABLE | NotifyType::SINGLE_PAIR_REQUIRED => {
                ChildFailure::SelectorsRejected {
                    notify: name(),
                    local: self.local.clone(),
                    remote: self.remote.clone(),
                }
            }
            NotifyType::INVALID_KE_PAYLOAD => ChildFailure::KeyExchangeRejected {
                wanted: wanted_group(error).unwrap_or(KeyExchangeId::NONE),
                offered: self.groups(),
            },
            NotifyType::FAILED_CP_REQUIRED | NotifyType::INTERNAL_ADDRESS_FAILURE => {
                ChildFailure::NoAddress(name())
            }
            NotifyType::NO_ADDITIONAL_SAS => ChildFailure::TooMany(name()),
            NotifyType::CHILD_SA_NOT_FOUND => ChildFailure::NotFound,
            NotifyType::TEMPORARY_FAILURE => ChildFailure::Temporary,
            kind => ChildFailure::PeerError { code: kind.0, notify: name() },
        }
    }
}
