//! Messages that only a broken peer would send.

use ikebana_core::{EspSpi, Path};
use ikebana_ike::ExchangeType;
use ikebana_ikev2::wire::{NotifyPayload, NotifyType, Payload};

use super::play::{A, B};
use super::{Duel, Held};

/// A request of A's that only a broken A would make. A has started the IKE SA.
pub(crate) fn forge(duel: &Duel, id: u32, exchange: ExchangeType, payloads: &[Payload]) -> Held {
    carry(duel, duel.spy().seal(&duel.spy().header(true, false, exchange, id), payloads))
}

/// A message of A's.
pub(crate) fn carry(duel: &Duel, octets: Vec<u8>) -> Held {
    let socket = |index: usize| (duel.hosts[index].address, 500).into();
    Held { to: B, path: Path::new(socket(B), socket(A)), octets }
}

/// Delivers a forged request and gives the payloads of its answer.
pub(crate) fn ask(
    duel: &mut Duel,
    id: u32,
    exchange: ExchangeType,
    payloads: &[Payload],
) -> Option<Vec<Payload>> {
    let request = forge(duel, id, exchange, payloads);
    tell(duel, &request)
}

/// Delivers a request of A's and gives the payloads of its answer.
pub(crate) fn tell(duel: &mut Duel, request: &Held) -> Option<Vec<Payload>> {
    let before = duel.waiting(A);
    duel.release(request);
    (duel.waiting(A) > before).then(|| {
        let answer = duel.hold(A);
        assert_eq!(answer.kind(), (request.kind().0, true));
        duel.read(&answer)
    })
}

pub(crate) fn status(kind: NotifyType, data: Vec<u8>) -> Payload {
    Payload::Notify(NotifyPayload::new(kind, data))
}

pub(crate) fn notifies(payloads: &[Payload]) -> Vec<(NotifyType, Vec<u8>)> {
    let notify = |payload: &Payload| {
        if let Payload::Notify(notify) = payload { Some((notify.kind, notify.data.clone())) } else { None }
    };
    payloads.iter().filter_map(notify).collect()
}

/// The outbound SPI of A's only pair, and its inbound one.
pub(crate) fn spis(duel: &Duel) -> (EspSpi, EspSpi) {
    let of = |set: std::collections::BTreeSet<(EspSpi, Vec<u8>)>| set.into_iter().next().unwrap().0;
    (of(duel.hosts[A].outbound()), of(duel.hosts[A].inbound()))
}
