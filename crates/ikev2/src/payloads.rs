//! Finding and making payloads.
#![expect(clippy::wildcard_enum_match_arm, reason = "a search passes over every other payload")]

use alloc::vec::Vec;

use ikebana_core::{EspSpi, TrafficSelectors};
use ikebana_proposals::{KeyExchangeId, ProtocolId, SaPayload};

use crate::wire::{
    AuthPayload, ConfigPayload, DeletePayload, IdPayload, KeyExchangePayload, NotifyPayload, NotifyType,
    Payload,
};

/// The payloads of one message.
#[derive(Debug)]
pub(crate) struct Payloads(Vec<Payload>);

macro_rules! first {
    ($self:ident, $variant:ident) => {
        $self.0.iter().find_map(|payload| match payload {
            Payload::$variant(inner) => Some(inner),
            _ => None,
        })
    };
}

impl Payloads {
    pub(crate) const fn new(payloads: Vec<Payload>) -> Self {
        Self(payloads)
    }

    pub(crate) fn as_slice(&self) -> &[Payload] {
        &self.0
    }

    pub(crate) fn sa(&self) -> Option<&SaPayload> {
        first!(self, Sa)
    }

    pub(crate) fn key_exchange(&self) -> Option<&KeyExchangePayload> {
        first!(self, KeyExchange)
    }

    pub(crate) fn nonce(&self) -> Option<&[u8]> {
        first!(self, Nonce).map(Vec::as_slice)
    }

    pub(crate) fn id_initiator(&self) -> Option<&IdPayload> {
        first!(self, IdInitiator)
    }

    pub(crate) fn id_responder(&self) -> Option<&IdPayload> {
        first!(self, IdResponder)
    }

    pub(crate) fn auth(&self) -> Option<&AuthPayload> {
        first!(self, Auth)
    }

    pub(crate) fn config(&self) -> Option<&ConfigPayload> {
        first!(self, Config)
    }

    pub(crate) fn ts_initiator(&self) -> Option<&TrafficSelectors> {
        first!(self, TsInitiator).map(|payload| &payload.selectors)
    }

    pub(crate) fn ts_responder(&self) -> Option<&TrafficSelectors> {
        first!(self, TsResponder).map(|payload| &payload.selectors)
    }

    pub(crate) fn notifies(&self) -> impl Iterator<Item = &NotifyPayload> {
        self.0.iter().filter_map(|payload| match payload {
            Payload::Notify(notify) => Some(notify),
            _ => None,
        })
    }

    pub(crate) fn deletes(&self) -> impl Iterator<Item = &DeletePayload> {
        self.0.iter().filter_map(|payload| match payload {
            Payload::Delete(delete) => Some(delete),
            _ => None,
        })
    }

    pub(crate) fn notify(&self, kind: NotifyType) -> Option<&NotifyPayload> {
        self.notifies().find(|notify| notify.kind == kind)
    }

    pub(crate) fn has(&self, kind: NotifyType) -> bool {
        self.notify(kind).is_some()
    }

    /// The first error notification.
    pub(crate) fn error(&self) -> Option<&NotifyPayload> {
        self.notifies().find(|notify| notify.kind.is_error())
    }
}

/// A notification about the exchange as a whole.
pub(crate) const fn notify(kind: NotifyType, data: Vec<u8>) -> Payload {
    Payload::Notify(NotifyPayload::new(kind, data))
}

/// A notification about one child SA.
pub(crate) fn notify_child(protocol: ProtocolId, spi: EspSpi, kind: NotifyType) -> Payload {
    Payload::Notify(NotifyPayload::about(kind, protocol, spi))
}

/// INVALID_KE_PAYLOAD names the group that is wanted (RFC 7296 1.3).
pub(crate) fn invalid_key_exchange(wanted: KeyExchangeId) -> Payload {
    notify(NotifyType::INVALID_KE_PAYLOAD, wanted.0.to_be_bytes().to_vec())
}

/// The group that INVALID_KE_PAYLOAD names.
pub(crate) fn wanted_group(notify: &NotifyPayload) -> Option<KeyExchangeId> {
    match notify.data.as_slice() {
        [high, low] => Some(KeyExchangeId(u16::from_be_bytes([*high, *low]))),
        _ => None,
    }
}

/// The SPI of a child SA in a proposal or notification, if it is one.
pub(crate) fn child_spi(octets: &[u8]) -> Option<EspSpi> {
    let octets: [u8; 4] = octets.try_into().ok()?;
    EspSpi::new(u32::from_be_bytes(octets))
}
