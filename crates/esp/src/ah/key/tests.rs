//! Whole packets that others made, octet for octet.

use super::*;
use crate::ah::covered::{Covered, End};
use crate::params::Mode;

use ikebana_core::Secret;
use ikebana_proposals::{ChildSuite, IntegrityId, KeyExchangeId, ProtocolId};
use ikebana_testkit::vectors::Vectors;

#[test]
fn whole_packets_of_dpdk_are_protected_and_verified() {
    let vectors = Vectors::parse(include_str!("../../../tests/vectors/dpdk-ah-packets.json"));
    for case in vectors.cases() {
        let what = case.text("id");
        assert_eq!(case.text("integrity"), "sha256");
        let suite = ChildSuite {
            protocol: ProtocolId::AH,
            encryption: None,
            integrity: Some(IntegrityId::HMAC_SHA2_256_128),
            key_exchange: None,
            additional: [KeyExchangeId::NONE; 7],
            esn: false,
        };
        let (inner, outer) = (case.octets("input_text"), case.octets("output_text"));
        let address = |at: usize| <[u8; 4]>::try_from(&outer[at..at + 4]).unwrap().into();
        // No SA of ours can have an SPI below 256; the packets' is put in where it matters.
        let (spi, key) = (EspSpi::new(256).unwrap(), Secret::new(case.octets("auth_key")));
        let params = AhParams::tunnel(spi, suite, key, address(12), address(16));
        let key = AhKey::new(&params, &CryptoProvider::rust_crypto()).unwrap();

        let (mode, next, content) = match case.text("mode") {
            "TUNNEL" => (Mode::Tunnel, NextHeader::IPV4, &inner[..]),
            _ => (Mode::Transport, NextHeader::ICMP, &inner[20..]),
        };
        let (headers, from_ah) = outer.split_at(20);
        let covered = Covered::new(headers, End::Receiver).ok().unwrap();
        assert!(key.verify(covered.octets(), from_ah, 1), "{what}");
        assert!(!key.verify(headers, from_ah, 1), "{what}: with its mutable fields");
        assert_eq!(&from_ah[key.header_len(Family::V4)..], content, "{mode:?}");

        let mut made = [&[0xee; 28][..], content].concat();
        key.write(&mut made, next, 1, Family::V4).unwrap();
        assert_eq!(made[4..8], 256u32.to_be_bytes());
        made[4..8].copy_from_slice(&u32::try_from(case.number("spi")).unwrap().to_be_bytes());
        key.protect(covered.octets(), &mut made, 1).unwrap();
        assert_eq!(made, from_ah, "{what}");
    }
}
