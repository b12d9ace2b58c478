//! IKE_SA_INIT: what both roles have in common (RFC 7296 1.2).

use alloc::vec::Vec;

use ikebana_core::{IkeSpi, Path};
use ikebana_crypto::CryptoProvider;
use ikebana_ike::nat::detection_hash;
use ikebana_ike::{Encapsulation, ExchangeType, Flags, IkeHeader, NatSituation};
use ikebana_proposals::{IkeSuite, KeyExchangeId, Proposal, SaPayload, select_ike};

use crate::context::Context;
use crate::payloads::{Payloads, notify};
use crate::wire::{NotifyType, Payload};

/// The header of a message in clear.
pub(crate) const fn clear_header(
    initiator_spi: IkeSpi,
    responder_spi: IkeSpi,
    exchange: ExchangeType,
    flags: Flags,
    message_id: u32,
) -> IkeHeader {
    IkeHeader {
        initiator_spi,
        responder_spi,
        next_payload: 0,
        major: 2,
        minor: 0,
        exchange,
        flags,
        message_id,
        length: 0,
    }
}

/// Our NAT detection payloads. Forcing encapsulation means to look translated.
pub(crate) fn nat_payloads(
    cx: &mut Context<'_>,
    initiator: IkeSpi,
    responder: IkeSpi,
    path: Path,
    encapsulation: Encapsulation,
) -> [Payload; 2] {
    let source = match encapsulation {
        Encapsulation::Force => {
            let mut noise = [0; 20];
            cx.rng.fill_public(&mut noise);
            noise
        }
        Encapsulation::Auto | Encapsulation::Never => detection_hash(initiator, responder, path.local),
    };
    let destination = detection_hash(initiator, responder, path.remote);
    [
        notify(NotifyType::NAT_DETECTION_SOURCE_IP, source.to_vec()),
        notify(NotifyType::NAT_DETECTION_DESTINATION_IP, destination.to_vec()),
    ]
}

/// What the peer's NAT detection payloads say.
pub(crate) fn detect_nat(
    payloads: &Payloads,
    initiator: IkeSpi,
    responder: IkeSpi,
    path: Path,
) -> Option<NatSituation> {
    let sources: Vec<Vec<u8>> = payloads
        .notifies()
        .filter(|notify| notify.kind == NotifyType::NAT_DETECTION_SOURCE_IP)
        .map(|notify| notify.data.clone())
        .collect();
    let destination = payloads.notify(NotifyType::NAT_DETECTION_DESTINATION_IP);
    ikebana_ike::nat::detect(
        initiator,
        responder,
        path,
        &sources,
        destination.map(|notify| notify.data.as_slice()),
    )
}

/// Proposals as this provider and this crate can carry them out.
///
/// Additional key exchanges (RFC 9370) need exchanges that are not here, so a proposal that insists on one is
/// dropped: agreeing on it and then leaving it out would be worse than not to agree.
pub(crate) fn usable(provider: &CryptoProvider, proposals: &[Proposal]) -> Vec<Proposal> {
    let simple: Vec<Proposal> = proposals
        .iter()
        .filter(|proposal| needs_no_more_than_one_exchange(proposal))
        .map(|proposal| Proposal { additional: Default::default(), ..proposal.clone() })
        .collect();
    provider.restrict(&simple)
}

/// Whether a proposal leaves it open to do without additional key exchanges.
pub(crate) fn needs_no_more_than_one_exchange(proposal: &Proposal) -> bool {
    let optional =
        |methods: &Vec<KeyExchangeId>| methods.is_empty() || methods.contains(&KeyExchangeId::NONE);
    proposal.additional.iter().all(optional)
}

/// Whether a peer's configuration allows the suite that was agreed before the peer was known.
pub(crate) fn allows(proposals: &[Proposal], suite: &IkeSuite) -> bool {
    let mut agreed = Proposal::empty(ikebana_proposals::ProtocolId::IKE);
    agreed.encryption.push(suite.encryption);
    agreed.integrity.extend(suite.integrity);
    agreed.prf.push(suite.prf);
    agreed.key_exchange.push(suite.key_exchange);
    let offer = SaPayload::offer(&[agreed], &[]);
    select_ike(proposals, &offer, ikebana_proposals::Prefer::Local).is_ok()
}

/// RFC 7296 2.3: our window, where it is more than the default of one.
pub(crate) fn window_payload(window: u32) -> Option<Payload> {
    (window > 1).then(|| notify(NotifyType::SET_WINDOW_SIZE, window.to_be_bytes().to_vec()))
}
