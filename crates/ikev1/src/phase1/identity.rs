//! Identities in the ID payloads of phase 1 (RFC 2407 4.6.2).

use ikebana_core::Identity;
use ikebana_core::identity::IdType as IkeIdType;

use crate::wire::{IdPayload, IdType};

const UDP: u8 = 17;

/// Our identity. Protocol and port are zero, as most peers have it and all take it.
pub(super) fn payload(identity: &Identity) -> IdPayload {
    // The numbers of what both versions know are the same.
    let kind = IdType(identity.id_type().0);
    IdPayload { kind, protocol: 0, port: 0, data: identity.data() }
}

/// Who the peer says it is. `None` if the payload is no identity: a subnet, a broken name, or an odd port.
pub(super) fn read(payload: &IdPayload) -> Option<Identity> {
    // RFC 2407 4.6.2: protocol and port are 0 and 0, or UDP and 500. RFC 3947 4 adds 4500, and peers that know
    // one of them without the other are many.
    let port_is_fine = matches!(payload.port, 0 | 500 | 4500);
    let protocol_is_fine = matches!(payload.protocol, 0 | UDP);
    if !port_is_fine || !protocol_is_fine {
        return None;
    }
    let is_network = matches!(
        payload.kind,
        IdType::IPV4_ADDR_SUBNET
            | IdType::IPV6_ADDR_SUBNET
            | IdType::IPV4_ADDR_RANGE
            | IdType::IPV6_ADDR_RANGE
    );
    if is_network {
        return None;
    }
    Identity::from_wire(IkeIdType(payload.kind.0), &payload.data).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_survives_its_payload_and_usual_ports_are_let_through() {
        let moon: Identity = "moon.example".parse().unwrap();
        for (protocol, port, fine) in
            [(0, 0, true), (17, 500, true), (17, 4500, true), (17, 0, true), (6, 500, false), (17, 80, false)]
        {
            let sent = IdPayload { protocol, port, ..payload(&moon) };
            assert_eq!(read(&sent), fine.then(|| moon.clone()), "{protocol}/{port}");
        }
    }

    #[test]
    fn a_network_is_nobody() {
        let data = [10, 0, 0, 0, 255, 0, 0, 0].to_vec();
        let subnet = IdPayload { kind: IdType::IPV4_ADDR_SUBNET, protocol: 0, port: 0, data };
        assert_eq!(read(&subnet), None);
    }
}
