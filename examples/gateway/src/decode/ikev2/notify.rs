//! Notifications in words.

use ikebana_ikev2::wire::{NotifyPayload, NotifyType, PayloadType};
use ikebana_proposals::KeyExchangeId;

use super::payload::{protocol, spi};
use crate::decode::text;

/// What a notification says, and about which SA.
pub(super) fn describe(notify: &NotifyPayload) -> String {
    let about = match notify.spi.as_slice() {
        [] => String::new(),
        octets => format!("{}{}", protocol(notify.protocol), spi(octets)),
    };
    let kind = match notify.kind.name() {
        Some(name) => name.to_owned(),
        None if notify.kind.is_error() => format!("error {}", notify.kind.0),
        None => format!("status {}", notify.kind.0),
    };
    match data(notify) {
        Some(data) => format!("{kind}{about} {data}"),
        None => format!("{kind}{about}"),
    }
}

/// What the data says; `None` if there is none.
fn data(notify: &NotifyPayload) -> Option<String> {
    let data = notify.data.as_slice();
    Some(match (notify.kind, data) {
        (_, []) => return None,
        (NotifyType::INVALID_KE_PAYLOAD, [a, b]) => KeyExchangeId(u16::from_be_bytes([*a, *b])).to_string(),
        (NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD, [kind]) => PayloadType(*kind).to_string(),
        (NotifyType::SET_WINDOW_SIZE, [a, b, c, d]) => u32::from_be_bytes([*a, *b, *c, *d]).to_string(),
        (NotifyType::AUTH_LIFETIME, [a, b, c, d]) => {
            format!("{} seconds", u32::from_be_bytes([*a, *b, *c, *d]))
        }
        (NotifyType::SIGNATURE_HASH_ALGORITHMS, data) if data.len().is_multiple_of(2) => hashes(data),
        (
            NotifyType::ADDITIONAL_IP4_ADDRESS | NotifyType::ADDITIONAL_IP6_ADDRESS,
            data @ ([_, _, _, _] | [_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _]),
        ) => address(data),
        (_, data) => text::text_or_hex(data),
    })
}

fn address(octets: &[u8]) -> String {
    let v4 = <[u8; 4]>::try_from(octets).map(|octets| std::net::IpAddr::from(octets).to_string());
    let v6 = || <[u8; 16]>::try_from(octets).map(|octets| std::net::IpAddr::from(octets).to_string());
    v4.or_else(|_| v6()).unwrap_or_else(|_| text::hex(octets))
}

/// The registry of RFC 7427 and RFC 8420.
fn hashes(data: &[u8]) -> String {
    let names: Vec<_> = data
        .chunks_exact(2)
        .map(|pair| match pair {
            [0, 1] => "SHA1".to_owned(),
            [0, 2] => "SHA2-256".to_owned(),
            [0, 3] => "SHA2-384".to_owned(),
            [0, 4] => "SHA2-512".to_owned(),
            [0, 5] => "identity".to_owned(),
            other => text::hex(other),
        })
        .collect();
    names.join(" ")
}
