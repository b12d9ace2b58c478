//! Quick mode (RFC 2409 5.5): three messages that make a pair of SAs.
//!
//! | module | what is in it |
//! |---|---|
//! | `payloads` | what the payloads of a quick mode message are |
//! | `initiator` | our exchange |
//! | `responder` | the peer's |
//!
//! An exchange knows nothing of the other pairs. Which pair replaces which, and when which one goes, is the
//! association's to say.

pub(crate) mod initiator;
pub(crate) mod payloads;
pub(crate) mod responder;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use ikebana_core::{AddressRange, TrafficSelector};
use ikebana_crypto::{CryptoProvider, PendingKeyExchange};
use ikebana_ike::{ChildConfig, ChildFailure, Mode};
use ikebana_proposals::ikev1::phase2::{Encapsulation, Protocol};
use ikebana_proposals::{ChildSuite, KeyExchangeId, Proposal, ProtocolId};

use crate::context::Context;
use crate::wire::{IdPayload, IdType, Payload, PayloadType};

pub(crate) use initiator::Initiator;
pub(crate) use responder::Responder;

/// One pair of selectors that a pair of SAs is to carry.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) config: Arc<ChildConfig>,
    pub(crate) local: TrafficSelector,
    pub(crate) remote: TrafficSelector,
}

impl Wanted {
    /// Whether both are for the same traffic under the same configuration.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.config.name == other.config.name && self.local == other.local && self.remote == other.remote
    }
}

/// What all exchanges of an association have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// Whether ESP travels in UDP.
    pub(crate) udp: bool,
    /// Whether NAT traversal is that of the drafts, which has numbers of its own.
    pub(crate) draft: bool,
    /// Our outer address.
    pub(crate) local: IpAddr,
    /// The peer's outer address.
    pub(crate) remote: IpAddr,
}

impl Setting {
    /// The selectors that count in `mode`: in transport mode packets have the outer addresses, whatever a side
    /// behind a NAT takes its own to be.
    pub(crate) fn readdressed(
        &self,
        mode: Mode,
        local: TrafficSelector,
        remote: TrafficSelector,
    ) -> (TrafficSelector, TrafficSelector) {
        match mode {
            Mode::Tunnel => (local, remote),
            Mode::Transport => (
                TrafficSelector { addresses: AddressRange::single(self.local), ..local },
                TrafficSelector { addresses: AddressRange::single(self.remote), ..remote },
            ),
        }
    }
}

/// Our half of a key exchange under way.
struct FreshKey {
    pending: Box<dyn PendingKeyExchange>,
}

impl FreshKey {
    /// Starts a key exchange. `None` if the provider does not know the group.
    fn new(cx: &mut Context<'_>, group: KeyExchangeId) -> Option<Self> {
        let pending = cx.provider.key_exchange(group)?.initiate(cx.rng);
        Some(Self { pending })
    }
}

/// The lower one of an exchange's nonces: of two pairs made at the same time, the one with the lowest goes.
fn lowest(initiator: &[u8], responder: &[u8]) -> Vec<u8> {
    initiator.min(responder).to_vec()
}

fn protocol(problem: &str) -> ChildFailure {
    ChildFailure::Protocol(problem.into())
}

/// Our proposals as this provider can carry them out.
fn usable(provider: &CryptoProvider, proposals: &[Proposal]) -> Vec<Proposal> {
    provider.restrict(proposals)
}

/// The mode as a transform says it.
const fn encapsulation(mode: Mode, setting: &Setting) -> Encapsulation {
    match (mode, setting.udp, setting.draft) {
        (Mode::Tunnel, false, _) => Encapsulation::TUNNEL,
        (Mode::Transport, false, _) => Encapsulation::TRANSPORT,
        (Mode::Tunnel, true, false) => Encapsulation::UDP_TUNNEL,
        (Mode::Transport, true, false) => Encapsulation::UDP_TRANSPORT,
        (Mode::Tunnel, true, true) => Encapsulation::UDP_TUNNEL_DRAFT,
        (Mode::Transport, true, true) => Encapsulation::UDP_TRANSPORT_DRAFT,
    }
}

/// ESP or AH, by IKEv1's numbers.
pub(crate) const fn protocol_of(suite: &ChildSuite) -> Protocol {
    match suite.protocol {
        ProtocolId::AH => Protocol::AH,
        _ => Protocol::ESP,
    }
}

/// RFC 3947 5.2: the addresses of initiator and responder as the sender sees them, for the checksums of packets
/// that a NAT has rewritten.
fn original_addresses(addresses: [IpAddr; 2], draft: bool) -> impl Iterator<Item = Payload> {
    addresses.into_iter().map(move |address| {
        let (kind, data) = match address {
            IpAddr::V4(v4) => (IdType::IPV4_ADDR, v4.octets().to_vec()),
            IpAddr::V6(v6) => (IdType::IPV6_ADDR, v6.octets().to_vec()),
        };
        if draft {
            let body = [&[kind.0, 0, 0, 0][..], &data].concat();
            return Payload::Unknown { kind: PayloadType::NAT_OA_DRAFT, body };
        }
        Payload::NatOriginalAddress(IdPayload { kind, protocol: 0, port: 0, data })
    })
}

#[cfg(test)]
mod tests;
