//! ESP of strongSwan daemons, opened with the keys that they logged.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on must fail"
)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "test data"
)]

mod common;

use std::collections::BTreeMap;

use ikebana_core::{EspSpi, Secret};
use ikebana_esp::{Delivered, EspParams, InboundSa, OpenError, PacketBuf, ReceivedOuter, ReplayError};
use ikebana_testkit::vectors::Vectors;

#[test]
fn every_recorded_packet_opens_once_to_the_packet_that_was_tunnelled() {
    let vectors = Vectors::parse(include_str!("vectors/strongswan-udp.json"));
    let mut sas: BTreeMap<(String, u64), InboundSa> = BTreeMap::new();
    for case in vectors.cases() {
        let spi = case.number("spi");
        let session = case.text("id").split('#').next().unwrap_or_default().to_owned();
        let sa = sas.entry((session, spi)).or_insert_with(|| {
            // A group in the keywords is for forward secrecy and no matter of ESP.
            let keywords: Vec<&str> = case.text("esp").split('-').collect();
            let without_group =
                keywords.iter().filter(|word| !word.contains("modp") && !word.contains("ecp"));
            let suite = common::suite(&without_group.copied().collect::<Vec<_>>().join("-"), false);
            common::inbound(EspParams::tunnel(
                EspSpi::new(u32::try_from(spi).unwrap()).unwrap(),
                suite,
                ["encryption_key", "integrity_key"].map(|field| Secret::new(case.octets(field))),
                [10, 1, 0, 1].into(),
                [10, 1, 0, 2].into(),
            ))
        });
        let original = case.octets("packet");
        let mut octets = original.clone();
        let mut packet = PacketBuf::full(&mut octets);
        let outer = ReceivedOuter { tos: Some(0), ttl: None };
        assert_eq!(sa.decapsulate(&mut packet, outer), Ok(Delivered::Packet), "{}", case.text("id"));
        assert_eq!(packet.payload(), case.octets("inner"), "{}", case.text("id"));

        let mut again = original.clone();
        let result = sa.open(&mut PacketBuf::full(&mut again));
        assert_eq!(result, Err(OpenError::Replay(ReplayError::Repeated)));
    }
    let opened: u64 = sas.values().map(|sa| sa.stats().packets).sum();
    assert_eq!((opened, vectors.cases().len()), (136, 136));
}
