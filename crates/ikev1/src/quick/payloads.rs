//! The payloads of a quick mode message.

use alloc::format;
use alloc::string::String;

use ikebana_proposals::ikev1::SaPayload;

use crate::wire::{IdPayload, NotifyPayload, NotifyType, Payload, PayloadType};

/// RFC 2409 5: a nonce has 8 to 256 octets.
const NONCE_LENGTHS: core::ops::RangeInclusive<usize> = 8..=256;

/// The payloads of message 1 or 2 behind the HASH.
pub(crate) struct Body<'a> {
    pub(crate) sa: &'a SaPayload,
    pub(crate) nonce: &'a [u8],
    pub(crate) key_exchange: Option<&'a [u8]>,
    /// IDci and IDcr.
    pub(crate) ids: Option<[&'a IdPayload; 2]>,
    payloads: &'a [Payload],
}

impl<'a> Body<'a> {
    /// Reads what is in a message whose HASH is right.
    ///
    /// # Errors
    /// What is missing, or there more often than it may be.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "other payloads may be there, and as often as they like"
    )]
    pub(crate) fn read(payloads: &'a [Payload]) -> Result<Self, String> {
        let (mut sa, mut nonce, mut key_exchange) = (None, None, None);
        let (mut first_id, mut second_id) = (None, None);
        for payload in payloads {
            let is_new = match payload {
                // RFC 2409 5.5: several SA payloads would make several pairs in one exchange.
                Payload::Sa(found) => sa.replace(found).is_none(),
                Payload::Nonce(found) => nonce.replace(found.as_slice()).is_none(),
                Payload::KeyExchange(found) => key_exchange.replace(found.as_slice()).is_none(),
                Payload::Id(id) if first_id.is_none() => first_id.replace(id).is_none(),
                Payload::Id(id) => second_id.replace(id).is_none(),
                _ => true,
            };
            if !is_new {
                return Err(format!("more {} payloads than there may be", payload.kind()));
            }
        }
        let missing = |kind: PayloadType| format!("{kind} payload missing");
        let nonce = nonce.ok_or_else(|| missing(PayloadType::NONCE))?;
        if !NONCE_LENGTHS.contains(&nonce.len()) {
            return Err(format!("a nonce of {} octets", nonce.len()));
        }
        let ids = match (first_id, second_id) {
            (None, None) => None,
            (Some(initiator), Some(responder)) => Some([initiator, responder]),
            _ => return Err(String::from("one ID payload where none or two belong")),
        };
        let sa = sa.ok_or_else(|| missing(PayloadType::SA))?;
        Ok(Self { sa, nonce, key_exchange, ids, payloads })
    }

    /// The first notification of this kind.
    pub(crate) fn notify(&self, kind: NotifyType) -> Option<&'a NotifyPayload> {
        self.payloads.iter().find_map(|payload| {
            if let Payload::Notify(notify) = payload {
                Some(notify).filter(|notify| notify.kind == kind)
            } else {
                None
            }
        })
    }
}
