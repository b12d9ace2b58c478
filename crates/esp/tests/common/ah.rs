//! AH SAs, and packets with options and extension headers.

use std::net::IpAddr;

use ikebana_core::Secret;
use ikebana_crypto::CryptoProvider;
use ikebana_esp::{AhParams, Family, InboundAh, Mode, OpenError, OutboundAh, PacketBuf};
use ikebana_proposals::{ChildSuite, KeyExchangeId, Proposal, ProtocolId};

use super::{fold, ip_packet, outer_addresses, spi, with_room};

/// Every integrity algorithm, by keyword.
pub(crate) const ALGORITHMS: [&str; 7] = ["sha1", "sha256", "sha384", "sha512", "aesxcbc", "aescmac", "md5"];

/// The suite that a proposal offers first.
pub(crate) fn suite(keyword: &str, esn: bool) -> ChildSuite {
    let proposal = Proposal::ah(keyword).unwrap();
    ChildSuite {
        protocol: ProtocolId::AH,
        encryption: None,
        integrity: proposal.integrity.first().copied(),
        key_exchange: None,
        additional: [KeyExchangeId::NONE; 7],
        esn,
    }
}

/// Parameters with a key made from the suite alone, so that both directions agree.
pub(crate) fn params(keyword: &str, esn: bool, mode: Mode, outer: Family) -> AhParams {
    let suite = suite(keyword, esn);
    let needed = CryptoProvider::rust_crypto().key_lengths(None, suite.integrity).unwrap();
    let key = Secret::new((0..needed.integrity).map(|i| i as u8 ^ 0xc3).collect());
    let (source, destination) = outer_addresses(outer);
    AhParams { mode, ..AhParams::tunnel(spi(), suite, key, source, destination) }
}

pub(crate) fn outbound(params: AhParams) -> OutboundAh {
    OutboundAh::new(params, &CryptoProvider::rust_crypto()).unwrap()
}

pub(crate) fn inbound(params: AhParams) -> InboundAh {
    InboundAh::new(params, &CryptoProvider::rust_crypto()).unwrap()
}

/// An IPv4 packet with options, checksum right.
pub(crate) fn with_options(
    (source, destination): (IpAddr, IpAddr),
    tos: u8,
    protocol: u8,
    options: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let mut packet = ip_packet(source, destination, tos, protocol, &[options, payload].concat());
    packet[0] += u8::try_from(options.len() / 4).unwrap();
    fix_checksum(&mut packet);
    packet
}

/// Makes the checksum of an IPv4 packet right.
pub(crate) fn fix_checksum(packet: &mut [u8]) {
    let header_len = usize::from(packet[0] & 0x0f) * 4;
    packet[10..12].fill(0);
    let sum = !fold(&packet[..header_len], 0);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// An IPv6 packet with a chain of extension headers, each given as its type and its octets from the third on.
pub(crate) fn with_extensions(
    (source, destination): (IpAddr, IpAddr),
    tos: u8,
    protocol: u8,
    chain: &[(u8, Vec<u8>)],
    payload: &[u8],
) -> Vec<u8> {
    let mut headers = Vec::new();
    for (index, (_, content)) in chain.iter().enumerate() {
        let next = chain.get(index + 1).map_or(protocol, |(kind, _)| *kind);
        assert_eq!((content.len() + 2) % 8, 0);
        headers.extend([next, u8::try_from((content.len() + 2) / 8 - 1).unwrap()]);
        headers.extend(content);
    }
    let first = chain.first().map_or(protocol, |(kind, _)| *kind);
    ip_packet(source, destination, tos, first, &[&headers[..], payload].concat())
}

/// Protects a packet.
pub(crate) fn protect(sender: &mut OutboundAh, original: &[u8]) -> Vec<u8> {
    let (mut bytes, range) = with_room(original);
    let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
    sender.encapsulate_whole(&mut packet, 0x4711).unwrap();
    packet.payload().to_vec()
}

/// Verifies a packet, and returns what is delivered.
pub(crate) fn verify(receiver: &mut InboundAh, wire: &[u8]) -> Result<Vec<u8>, OpenError> {
    let mut bytes = wire.to_vec();
    let mut packet = PacketBuf::full(&mut bytes);
    receiver.decapsulate_whole(&mut packet)?;
    Ok(packet.payload().to_vec())
}

/// Where AH starts in a packet.
pub(crate) fn ah_at(wire: &[u8]) -> usize {
    if wire[0] >> 4 == 4 {
        return usize::from(wire[0] & 0x0f) * 4;
    }
    let (mut next, mut at) = (wire[6], 40);
    while next != 51 {
        next = wire[at];
        at += usize::from(wire[at + 1]) * 8 + 8;
    }
    at
}
