//! IKEv1 payloads in words.

use ikebana_core::Identity;
use ikebana_core::identity::IdType as SharedIdType;
use ikebana_ikev1::wire::{
    Attribute, ConfigAttribute, ConfigPayload, DeletePayload, IdPayload, IdType, NotifyPayload, Payload,
};

use super::proposal;
use crate::decode::entry::Item;
use crate::decode::packet;
use crate::decode::{text, vendor};

/// Describes one payload.
pub(super) fn describe(payload: &Payload) -> Item {
    let kind = payload.kind();
    match payload {
        Payload::Sa(sa) => Item::lines(kind, proposal::describe(sa)),
        Payload::KeyExchange(value) | Payload::Nonce(value) | Payload::Signature(value) => {
            Item::new(kind, text::octets(value.len()))
        }
        Payload::Hash(value) | Payload::NatDetection(value) => Item::new(kind, text::hex(value)),
        Payload::Id(id) | Payload::NatOriginalAddress(id) => Item::new(kind, identity(id)),
        Payload::Cert(cert) => {
            Item::new(kind, format!("{}, {}", cert.encoding, text::octets(cert.data.len())))
        }
        Payload::CertRequest(request) => Item::new(kind, authority(request)),
        Payload::Notify(notify) => Item::new(kind, notification(notify)),
        Payload::Delete(delete) => Item::new(kind, deleted(delete)),
        Payload::VendorId(id) => {
            Item::new(kind, vendor::name(id).map_or_else(|| text::text_or_hex(id), str::to_owned))
        }
        Payload::Config(config) => Item::lines(kind, configuration(config)),
        Payload::Fragment(fragment) => {
            let last = if fragment.is_last { ", the last" } else { "" };
            let size = text::octets(fragment.data.len());
            Item::new(kind, format!("message {} fragment {}{last}, {size}", fragment.id, fragment.number))
        }
        Payload::Unknown { body, .. } => {
            let name = kind.name().map_or_else(|| format!("type {}", kind.0), str::to_owned);
            Item::new(name, format!("not understood: {}", text::hex(body)))
        }
        other => Item::new(other.kind(), "not understood"),
    }
}

fn identity(id: &IdPayload) -> String {
    let who = match (id.addresses(), id.kind) {
        (Some(range), _) => range.to_string(),
        (None, IdType::FQDN | IdType::USER_FQDN | IdType::DER_ASN1_DN | IdType::KEY_ID) => {
            // These types have the same numbers and data in both versions.
            match Identity::from_wire(SharedIdType(id.kind.0), &id.data) {
                Ok(identity) => identity.to_string(),
                Err(error) => format!("{} ({error})", text::hex(&id.data)),
            }
        }
        (None, _) => text::text_or_hex(&id.data),
    };
    let kind = match id.kind.name() {
        Some(name) => name.to_owned(),
        None => format!("type {}", id.kind.0),
    };
    match (id.protocol, id.port) {
        (0, 0) => format!("{kind} {who}"),
        (protocol, 0) => format!("{kind} {who} {}", packet::name(protocol)),
        (protocol, port) => format!("{kind} {who} {} port {port}", packet::name(protocol)),
    }
}

/// An authority is a distinguished name.
fn authority(request: &ikebana_ikev1::wire::CertPayload) -> String {
    match Identity::from_wire(SharedIdType::DER_ASN1_DN, &request.data) {
        Ok(name) => format!("{} {name}", request.encoding),
        Err(_) => format!("{} {}", request.encoding, text::hex(&request.data)),
    }
}

fn notification(notify: &NotifyPayload) -> String {
    let kind = match notify.kind.name() {
        Some(name) => name.to_owned(),
        None if notify.kind.is_error() => format!("error {}", notify.kind.0),
        None => format!("status {}", notify.kind.0),
    };
    let spi = if notify.spi.is_empty() { String::new() } else { format!(" {}", text::hex(&notify.spi)) };
    let data =
        if notify.data.is_empty() { String::new() } else { format!(" {}", text::text_or_hex(&notify.data)) };
    format!("{kind} {}{spi}{data}", notify.protocol)
}

fn deleted(delete: &DeletePayload) -> String {
    let spis: Vec<_> = delete.spis.iter().map(|spi| text::hex(spi)).collect();
    format!("{} {}", delete.protocol, spis.join(" "))
}

fn configuration(config: &ConfigPayload) -> Vec<String> {
    let mut lines = vec![format!("{} {}", config.kind, config.identifier)];
    lines.extend(config.attributes.iter().map(attribute));
    lines
}

fn attribute(attribute: &Attribute) -> String {
    let kind = ConfigAttribute(attribute.kind);
    let octets = attribute.octets();
    if octets.is_empty() {
        return kind.to_string();
    }
    let value = match kind {
        // The user's secrets are the user's.
        kind if kind.is_secret() => format!("{}, not shown", text::octets(octets.len())),
        ConfigAttribute::XAUTH_STATUS | ConfigAttribute::XAUTH_TYPE => {
            attribute.number().map_or_else(|| text::hex(&octets), |number| number.to_string())
        }
        ConfigAttribute::INTERNAL_IP4_ADDRESS
        | ConfigAttribute::INTERNAL_IP4_NETMASK
        | ConfigAttribute::INTERNAL_IP4_DNS
        | ConfigAttribute::INTERNAL_IP4_NBNS
        | ConfigAttribute::INTERNAL_IP4_DHCP => match <[u8; 4]>::try_from(octets.as_slice()) {
            Ok(address) => std::net::Ipv4Addr::from(address).to_string(),
            Err(_) => text::hex(&octets),
        },
        _ => text::text_or_hex(&octets),
    };
    format!("{kind} {value}")
}
