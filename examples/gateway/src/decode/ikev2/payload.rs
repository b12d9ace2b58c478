//! IKEv2 payloads in words.

use ikebana_ikev2::wire::{
    ConfigAttribute, ConfigPayload, DeletePayload, IdPayload, Payload, TrafficSelectorPayload,
};
use ikebana_proposals::{Prefer, ProtocolId, SaPayload, select_ike};

use super::notify;
use crate::decode::entry::Item;
use crate::decode::{text, vendor};

/// Describes one payload.
pub(super) fn describe(payload: &Payload) -> Item {
    let kind = payload.kind();
    match payload {
        Payload::Sa(sa) => Item::lines(kind, proposals(sa)),
        Payload::KeyExchange(ke) => Item::new(kind, format!("{}, {}", ke.group, text::octets(ke.data.len()))),
        Payload::IdInitiator(id) | Payload::IdResponder(id) => Item::new(kind, identity(id)),
        Payload::Cert(cert) => {
            Item::new(kind, format!("{}, {}", cert.encoding, text::octets(cert.data.len())))
        }
        Payload::CertRequest(request) => {
            let mut lines = vec![format!("{}, {} authorities", request.encoding, request.hashes().count())];
            lines.extend(request.hashes().map(|hash| text::hex_whole(hash)));
            Item::lines(kind, lines)
        }
        Payload::Auth(auth) => Item::new(kind, format!("{}, {}", auth.method, text::octets(auth.data.len()))),
        Payload::Nonce(nonce) => Item::new(kind, text::octets(nonce.len())),
        Payload::Notify(notify) => Item::new(kind, notify::describe(notify)),
        Payload::Delete(delete) => Item::new(kind, deleted(delete)),
        Payload::VendorId(id) => Item::new(kind, vendor_id(id)),
        Payload::TsInitiator(list) | Payload::TsResponder(list) => Item::new(kind, selectors(list)),
        Payload::Encrypted(encrypted) => Item::new(
            kind,
            format!("{} encrypted, {} first", text::octets(encrypted.body.len()), encrypted.next),
        ),
        Payload::EncryptedFragment(fragment) => {
            Item::new(kind, format!("{} encrypted", text::octets(fragment.body.len())))
        }
        Payload::Config(config) => Item::lines(kind, configuration(config)),
        Payload::Eap(packet) => Item::new(kind, eap(packet)),
        Payload::Unknown { body, .. } => {
            let name = kind.name().map_or_else(|| format!("type {}", kind.0), str::to_owned);
            Item::new(name, format!("not understood: {}", text::hex(body)))
        }
        other => Item::new(other.kind(), "not understood"),
    }
}

/// A line for each proposal: number, protocol, SPI, and the algorithms in keywords.
fn proposals(sa: &SaPayload) -> Vec<String> {
    // Nothing in common with no proposals at all; the reason has the offer in keywords.
    let words = match select_ike(&[], sa, Prefer::Local) {
        Err(mismatch) => mismatch.offered,
        Ok(_) => Vec::new(),
    };
    sa.proposals
        .iter()
        .zip(words)
        .map(|(proposal, words)| {
            let spi = spi(&proposal.spi);
            format!("{} {}{spi} {words}", proposal.number, proposal.protocol)
        })
        .collect()
}

/// An SPI with a space in front, or nothing.
pub(super) fn spi(octets: &[u8]) -> String {
    if octets.is_empty() { String::new() } else { format!(" {}", text::hex(octets)) }
}

fn identity(id: &IdPayload) -> String {
    let kind = id.identity.id_type();
    match kind.name() {
        Some(name) => format!("{name} {}", id.identity),
        None => format!("{}", id.identity),
    }
}

fn deleted(delete: &DeletePayload) -> String {
    match delete {
        DeletePayload::Ike => "IKE SA".to_owned(),
        DeletePayload::Esp(spis) | DeletePayload::Ah(spis) => {
            let spis: Vec<_> = spis.iter().map(|spi| format!("{:08x}", spi.get())).collect();
            format!("{} {}", delete.protocol(), spis.join(" "))
        }
    }
}

fn vendor_id(id: &[u8]) -> String {
    match vendor::name(id) {
        Some(name) => name.to_owned(),
        None => text::text_or_hex(id),
    }
}

fn selectors(list: &TrafficSelectorPayload) -> String {
    match list.skipped {
        0 => list.selectors.to_string(),
        skipped => format!("{} and {skipped} of types not understood", list.selectors),
    }
}

fn configuration(config: &ConfigPayload) -> Vec<String> {
    let mut lines = vec![config.kind.to_string()];
    lines.extend(config.attributes.iter().map(attribute));
    lines
}

fn attribute(attribute: &ConfigAttribute) -> String {
    match (attribute.address(), attribute.value.as_slice()) {
        (_, []) => attribute.kind.to_string(),
        (Some((address, prefix)), value) if matches!(value.len(), 8 | 17) => {
            format!("{} {address}/{prefix}", attribute.kind)
        }
        (Some((address, _)), _) => format!("{} {address}", attribute.kind),
        (None, value) => format!("{} {}", attribute.kind, text::text_or_hex(value)),
    }
}

/// An EAP packet (RFC 3748 4).
fn eap(packet: &[u8]) -> String {
    let [code, identifier, _, _, rest @ ..] = packet else {
        return format!("malformed: {}", text::hex(packet));
    };
    let code_name = match code {
        1 => "Request",
        2 => "Response",
        3 => "Success",
        4 => "Failure",
        _ => "unknown code",
    };
    let [kind, data @ ..] = rest else { return format!("{code_name} {identifier}") };
    let kind_name = match kind {
        1 if data.is_empty() => "Identity".to_owned(),
        1 => format!("Identity {}", text::text_or_hex(data)),
        2 => format!("Notification {}", text::text_or_hex(data)),
        3 => format!("Nak {}", text::hex(data)),
        4 => "MD5-Challenge".to_owned(),
        6 => "Generic Token Card".to_owned(),
        13 => "TLS".to_owned(),
        18 => "SIM".to_owned(),
        21 => "TTLS".to_owned(),
        23 => "AKA".to_owned(),
        25 => "PEAP".to_owned(),
        26 => "MSCHAPv2".to_owned(),
        50 => "AKA'".to_owned(),
        other => format!("type {other}"),
    };
    format!("{code_name} {identifier} {kind_name}, {}", text::octets(packet.len()))
}

/// The protocol's name, or nothing where the field is not used.
pub(super) fn protocol(protocol: ProtocolId) -> String {
    if protocol.0 == 0 { String::new() } else { format!(" {protocol}") }
}
