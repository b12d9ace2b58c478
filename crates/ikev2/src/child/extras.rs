//! What both sides of a child SA say about it beside proposals and selectors: compression (RFC 7296 2.22) and padding
//! (RFC 7296 3.10.1, ESP_TFC_PADDING_NOT_SUPPORTED).

use alloc::vec::Vec;

use ikebana_core::EspSpi;
use ikebana_ike::ChildConfig;
use ikebana_proposals::ProtocolId;

use crate::payloads::{Payloads, notify};
use crate::wire::{NotifyType, Payload};

/// DEFLATE among the IPComp transforms (RFC 7296 3.10.1).
const DEFLATE: u8 = 2;

/// The CPIs that two nodes agree on (RFC 3173 3.3).
const FIRST_NEGOTIATED: u16 = 256;
const LAST_NEGOTIATED: u16 = 61_439;

/// What has been agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extras {
    /// Whether the peer takes traffic flow confidentiality padding.
    pub(crate) tfc_padding: bool,
    /// The CPIs of both directions, if packets are compressed.
    pub(crate) cpis: Option<Cpis>,
}

/// Compression parameter indices; each side chooses its inbound one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cpis {
    pub(crate) inbound: u16,
    pub(crate) outbound: u16,
}

impl Extras {
    /// What the peer's message and our configuration have in common. `inbound` is our SPI.
    pub(crate) fn agree(
        config: &ChildConfig,
        protocol: ProtocolId,
        inbound: EspSpi,
        payloads: &Payloads,
    ) -> Self {
        let compress = config.compress && protocol == ProtocolId::ESP;
        let offered = payloads.notifies().filter(|notify| notify.kind == NotifyType::IPCOMP_SUPPORTED);
        let outbound = offered.filter_map(|notify| deflate_cpi(&notify.data)).next();
        Self {
            tfc_padding: !payloads.has(NotifyType::ESP_TFC_PADDING_NOT_SUPPORTED),
            cpis: outbound.filter(|_| compress).map(|outbound| Cpis { inbound: cpi_of(inbound), outbound }),
        }
    }

    /// What an answer says besides.
    pub(crate) fn answer(&self) -> Option<Payload> {
        self.cpis.map(|cpis| ipcomp_supported(cpis.inbound))
    }
}

/// What a request says besides.
pub(crate) fn offer(config: &ChildConfig, protocol: ProtocolId, inbound: EspSpi) -> Option<Payload> {
    (config.compress && protocol == ProtocolId::ESP).then(|| ipcomp_supported(cpi_of(inbound)))
}

fn ipcomp_supported(cpi: u16) -> Payload {
    let [high, low] = cpi.to_be_bytes();
    notify(NotifyType::IPCOMP_SUPPORTED, Vec::from([high, low, DEFLATE]))
}

/// The CPI of a notification that offers DEFLATE, which has no attributes.
fn deflate_cpi(data: &[u8]) -> Option<u16> {
    match data {
        [high, low, DEFLATE] => match u16::from_be_bytes([*high, *low]) {
            // The well-known number, or a negotiated one.
            cpi @ (2 | FIRST_NEGOTIATED..=LAST_NEGOTIATED) => Some(cpi),
            _ => None,
        },
        _ => None,
    }
}

/// Our CPI. Packets are told apart by the SPI of the ESP around them, so that it need not be unique.
fn cpi_of(spi: EspSpi) -> u16 {
    let count = u32::from(LAST_NEGOTIATED - FIRST_NEGOTIATED) + 1;
    let offset = spi.get().checked_rem(count).and_then(|rest| u16::try_from(rest).ok()).unwrap_or(0);
    FIRST_NEGOTIATED.saturating_add(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_deflate_with_a_possible_number_is_understood() {
        assert_eq!(deflate_cpi(&[0x12, 0x34, 2]), Some(0x1234));
        assert_eq!(deflate_cpi(&[0, 2, 2]), Some(2));
        assert_eq!(deflate_cpi(&[0xef, 0xff, 2]), Some(61_439));
        for other in [
            &[0x12, 0x34, 3][..],
            &[0x12, 0x34],
            &[0x12, 0x34, 2, 0],
            &[],
            &[0, 0, 2],
            &[0, 3, 2],
            &[0, 255, 2],
            &[0xf0, 0, 2],
        ] {
            assert_eq!(deflate_cpi(other), None, "{other:?}");
        }
    }

    #[test]
    fn our_number_is_always_one_that_can_be_negotiated() {
        for spi in [256, 257, 61_183, 61_184, 61_439, 61_440, 0x7fff_ffff, u32::MAX] {
            let cpi = cpi_of(EspSpi::new(spi).unwrap());
            assert!((FIRST_NEGOTIATED..=LAST_NEGOTIATED).contains(&cpi), "{spi} {cpi}");
        }
    }
}
