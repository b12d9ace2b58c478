//! SAs and packets for the tests.
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
#![allow(dead_code, reason = "every test file uses a part of it")]

pub(crate) mod ah;

use std::net::IpAddr;

use ikebana_core::{EspSpi, Secret};
use ikebana_crypto::CryptoProvider;
use ikebana_esp::{EspParams, Family, InboundSa, Mode, OutboundSa, UdpPorts};
use ikebana_proposals::{ChildSuite, KeyExchangeId, Proposal, ProtocolId, SequenceNumbersId};
use ikebana_testkit::SeededRng;

/// Every cipher and every integrity algorithm, by keyword.
pub(crate) const SUITES: [&str; 28] = [
    "aes128gcm16",
    "aes192gcm16",
    "aes256gcm16",
    "aes128gcm12",
    "aes128gcm8",
    "aes256gcm8",
    "aes128ccm16",
    "aes192ccm12",
    "aes256ccm8",
    "chacha20poly1305",
    "aes128gcm16iiv",
    "aes192ccm8iiv",
    "chacha20poly1305iiv",
    "aes256gmac",
    "aes128-sha1",
    "aes128-sha256",
    "aes192-sha384",
    "aes256-sha512",
    "aes128-aesxcbc",
    "aes128-aescmac",
    "aes128ctr-sha1",
    "aes192ctr-sha256",
    "aes256ctr-sha512",
    "null-sha1",
    "null-sha256",
    "null-sha512",
    "3des-sha1",
    "3des-md5",
];

/// The suite that a proposal offers first.
pub(crate) fn suite(keywords: &str, esn: bool) -> ChildSuite {
    let proposal = Proposal::esp(keywords).unwrap();
    assert!(!proposal.sequence.contains(&SequenceNumbersId::ESN));
    ChildSuite {
        protocol: ProtocolId::ESP,
        encryption: proposal.encryption.first().copied(),
        integrity: proposal.integrity.first().copied(),
        key_exchange: None,
        additional: [KeyExchangeId::NONE; 7],
        esn,
    }
}

pub(crate) fn spi() -> EspSpi {
    EspSpi::new(0xc0ff_ee01).unwrap()
}

pub(crate) fn outer_addresses(family: Family) -> (IpAddr, IpAddr) {
    match family {
        Family::V4 => ([192, 0, 2, 1].into(), [198, 51, 100, 1].into()),
        Family::V6 => {
            ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into(), [0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 0x99].into())
        }
    }
}

pub(crate) fn ports() -> UdpPorts {
    UdpPorts { source: 4500, destination: 49_152 }
}

/// Parameters with keys made from the suite alone, so that both directions agree.
pub(crate) fn params(suite: ChildSuite, mode: Mode, in_udp: bool, outer: Family) -> EspParams {
    let needed = CryptoProvider::fastest().key_lengths(suite.encryption, suite.integrity).unwrap();
    let key = |length: usize, salt: u8| Secret::new((0..length).map(|i| i as u8 ^ salt).collect());
    let (source, destination) = outer_addresses(outer);
    EspParams {
        mode,
        encapsulation: in_udp.then(ports),
        ..EspParams::tunnel(
            spi(),
            suite,
            [key(needed.encryption, 0x5a), key(needed.integrity, 0xc3)],
            source,
            destination,
        )
    }
}

pub(crate) fn outbound(params: EspParams) -> OutboundSa {
    OutboundSa::new(params, &CryptoProvider::fastest(), &mut SeededRng::new(7)).unwrap()
}

pub(crate) fn inbound(params: EspParams) -> InboundSa {
    InboundSa::new(params, &CryptoProvider::fastest()).unwrap()
}

/// Both directions of a tunnel over IPv4.
pub(crate) fn pair(keywords: &str, esn: bool) -> (OutboundSa, InboundSa) {
    let params = || params(suite(keywords, esn), Mode::Tunnel, false, Family::V4);
    (outbound(params()), inbound(params()))
}

/// A UDP packet with this much data, checksums right.
pub(crate) fn udp_packet(family: Family, tos: u8, data: &[u8]) -> Vec<u8> {
    let (source, destination): (IpAddr, IpAddr) = match family {
        Family::V4 => ([10, 0, 0, 1].into(), [10, 9, 0, 1].into()),
        Family::V6 => ([0xfd00, 0, 0, 1, 0, 0, 0, 1].into(), [0xfd00, 0, 0, 2, 0, 0, 0, 1].into()),
    };
    udp_between(source, destination, tos, data)
}

pub(crate) fn udp_between(source: IpAddr, destination: IpAddr, tos: u8, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + data.len()).unwrap();
    let mut udp = Vec::from([0x30, 0x39, 0, 53]);
    udp.extend(length.to_be_bytes());
    udp.extend([0, 0]);
    udp.extend(data);
    let checksum = match transport_sum(source, destination, 17, &udp) {
        0 => 0xffff,
        sum => sum,
    };
    udp[6..8].copy_from_slice(&checksum.to_be_bytes());
    ip_packet(source, destination, tos, 17, &udp)
}

/// An IP packet without options; IPv4 with DF and a right checksum.
pub(crate) fn ip_packet(
    source: IpAddr,
    destination: IpAddr,
    tos: u8,
    protocol: u8,
    payload: &[u8],
) -> Vec<u8> {
    let mut packet = Vec::new();
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            packet.extend([0x45, tos]);
            packet.extend(u16::try_from(20 + payload.len()).unwrap().to_be_bytes());
            packet.extend([0x12, 0x34, 0x40, 0, 61, protocol, 0, 0]);
            packet.extend(source.octets());
            packet.extend(destination.octets());
            let sum = !fold(&packet, 0);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            packet.extend((6u32 << 28 | u32::from(tos) << 20 | 0xbeef).to_be_bytes());
            packet.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
            packet.extend([protocol, 61]);
            packet.extend(source.octets());
            packet.extend(destination.octets());
        }
        _ => panic!("mixed families"),
    }
    packet.extend(payload);
    packet
}

/// The Internet checksum, written as plainly as RFC 1071 says it.
pub(crate) fn fold(octets: &[u8], start: u32) -> u16 {
    let mut sum = start;
    for pair in octets.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The checksum of a transport segment whose checksum field is zero; zero if the field is right already.
pub(crate) fn transport_sum(source: IpAddr, destination: IpAddr, protocol: u8, segment: &[u8]) -> u16 {
    let mut pseudo = Vec::new();
    for address in [source, destination] {
        match address {
            IpAddr::V4(address) => pseudo.extend(address.octets()),
            IpAddr::V6(address) => pseudo.extend(address.octets()),
        }
    }
    pseudo.extend(u32::try_from(segment.len()).unwrap().to_be_bytes());
    pseudo.extend([0, 0, 0, protocol]);
    pseudo.extend(segment);
    !fold(&pseudo, 0)
}

/// A packet in the middle of a buffer with plenty of room.
pub(crate) fn with_room(packet: &[u8]) -> (Vec<u8>, std::ops::Range<usize>) {
    let mut bytes = vec![0xaa; packet.len() + 256];
    let range = 128..128 + packet.len();
    bytes[range.clone()].copy_from_slice(packet);
    (bytes, range)
}

/// The data of a test packet: no two octets in a row alike.
pub(crate) fn data(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 31 + 7) as u8).collect()
}
