//! Informational exchanges (RFC 2409 5.7): single messages under a HASH, with deletes and notifications.

use alloc::vec::Vec;

use ikebana_core::{EspSpi, IkeSpi};
use ikebana_ike::ExchangeType;
use ikebana_proposals::ikev1::phase2::Protocol;

use crate::isakmp::{Hashed, Isakmp};
use crate::wire::{DOI_IPSEC, DeletePayload, NotifyPayload, NotifyType, Payload};

/// The message that carries `payloads`. `None` if they do not fit.
pub(crate) fn message(isakmp: &Isakmp, message_id: u32, payloads: &[Payload]) -> Option<Vec<u8>> {
    let header = isakmp.header(ExchangeType::INFORMATIONAL_V1, message_id);
    let mut iv = isakmp.exchange_iv(message_id);
    isakmp.seal_with_hash(&mut iv, &header, Hashed::First, payloads).ok()
}

/// SAs of ours that are gone, by our inbound SPIs.
pub(crate) fn delete_children(protocol: Protocol, spis: &[EspSpi]) -> Payload {
    let spis = spis.iter().map(|spi| spi.to_be_bytes().to_vec()).collect();
    Payload::Delete(DeletePayload { doi: DOI_IPSEC, protocol, spi_size: 4, spis })
}

/// The ISAKMP SA itself is gone.
pub(crate) fn delete_isakmp(isakmp: &Isakmp) -> Payload {
    Payload::Delete(DeletePayload {
        doi: DOI_IPSEC,
        protocol: Protocol::ISAKMP,
        spi_size: 16,
        spis: Vec::from([both_cookies(isakmp)]),
    })
}

/// A notification about the SA that `protocol` and `spi` name.
pub(crate) const fn notify(protocol: Protocol, spi: Vec<u8>, kind: NotifyType, data: Vec<u8>) -> Payload {
    Payload::Notify(NotifyPayload { doi: DOI_IPSEC, protocol, spi, kind, data })
}

/// R-U-THERE or its answer; the data is the sequence number (RFC 3706 5.3).
pub(crate) fn dpd(isakmp: &Isakmp, kind: NotifyType, sequence: &[u8]) -> Payload {
    notify(Protocol::ISAKMP, both_cookies(isakmp), kind, sequence.to_vec())
}

fn both_cookies(isakmp: &Isakmp) -> Vec<u8> {
    [isakmp.initiator_cookie.0, isakmp.responder_cookie.0].concat()
}

/// The cookies that an ISAKMP SA is named by.
pub(crate) fn cookies(spi: &[u8]) -> Option<(IkeSpi, IkeSpi)> {
    let (initiator, responder) = spi.split_at_checked(8)?;
    Some((IkeSpi(initiator.try_into().ok()?), IkeSpi(responder.try_into().ok()?)))
}

/// The SPI of an ESP or AH SA.
pub(crate) fn esp_spi(spi: &[u8]) -> Option<EspSpi> {
    EspSpi::new(u32::from_be_bytes(spi.try_into().ok()?))
}
