//! Random IP packets, with options and extension headers, and what happens to them on their way.
#![expect(clippy::indexing_slicing, reason = "the packets are our own")]

use std::net::IpAddr;

use anyhow::{Context, Result};
use ikebana_testkit::SeededRng;

use crate::scenario::Family;

/// For experiments (RFC 3692); nobody looks into it.
const EXPERIMENT: u8 = 253;
const UDP: u8 = 17;

/// A packet, and what it is about.
pub(super) struct Sample {
    pub(super) octets: Vec<u8>,
    /// Whether scapy, sending it with AH, predicts otherwise how it arrives: it does not look ahead along a source
    /// route of IPv4, and takes it that all of a routing header is still to go.
    pub(super) mispredicted: bool,
}

/// Addresses of the two ends of an SA.
pub(super) fn ends(family: Family) -> (IpAddr, IpAddr) {
    match family {
        Family::V4 => ([192, 0, 2, 1].into(), [198, 51, 100, 1].into()),
        Family::V6 => ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into(), [0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x99].into()),
    }
}

/// A packet of this family between the ends. With `rich`, it may have options or extension headers.
pub(super) fn random(rng: &mut SeededRng, family: Family, rich: bool) -> Result<Sample> {
    let length = usize::try_from(*rng.pick(&[0, 1, 7, 16, 40, 64, 200, 700, 1_300]) + rng.below(20))?;
    let mut payload = rng.octets(length);
    // A UDP checksum is made right where packets may have gone through a NAT, so there it would have to be.
    let protocol = if rich && rng.happens(500) && length >= 8 { UDP } else { EXPERIMENT };
    if protocol == UDP {
        payload[..4].copy_from_slice(&[0x30, 0x39, 0, 9]);
        payload[4..6].copy_from_slice(&u16::try_from(length)?.to_be_bytes());
        payload[6..8].copy_from_slice(&[0, u8::from(family == Family::V6)]);
    }
    match family {
        Family::V4 => {
            let (options, mispredicted) = if rich { v4_options(rng)? } else { (Vec::new(), false) };
            Ok(Sample { octets: v4(rng, protocol, &options, &payload)?, mispredicted })
        }
        Family::V6 => {
            let (chain, mispredicted) = if rich { extensions(rng)? } else { (Vec::new(), false) };
            if !chain.is_empty() && length < 64 {
                // Behind a routing header, scapy takes what it has opened for another one.
                payload = rng.octets(64);
            }
            Ok(Sample { octets: v6(rng, protocol, &chain, &payload)?, mispredicted })
        }
    }
}

fn v4(rng: &mut SeededRng, protocol: u8, options: &[u8], payload: &[u8]) -> Result<Vec<u8>> {
    let (IpAddr::V4(source), IpAddr::V4(destination)) = ends(Family::V4) else { unreachable!() };
    let ihl = u8::try_from(5 + options.len() / 4)?;
    let tos = rng.octets(1)[0];
    let mut packet = vec![0x40 | ihl, tos];
    packet.extend(u16::try_from(20 + options.len() + payload.len())?.to_be_bytes());
    packet.extend([0x12, 0x34, *rng.pick(&[0, 0x40]), 0, 61, protocol, 0, 0]);
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend(options);
    fix_checksum(&mut packet);
    packet.extend(payload);
    Ok(packet)
}

/// Options of all kinds of mutability.
fn v4_options(rng: &mut SeededRng) -> Result<(Vec<u8>, bool)> {
    let mut options = Vec::new();
    let mut under_way = false;
    for _ in 0..rng.below(4) {
        let option = match rng.below(9) {
            0 => vec![1],
            1 => vec![148, 4, 0, 0],
            2 => [vec![7, 11, 4], rng.octets(8)].concat(),
            // scapy reads one time stamp.
            3 => [vec![68, 8, 5, 0], rng.octets(4)].concat(),
            4 => [vec![130, 11], rng.octets(9)].concat(),
            5 => [vec![136, 4], rng.octets(2)].concat(),
            6 => [vec![149, 6], rng.octets(4)].concat(),
            kind => {
                let stops = usize::try_from(1 + rng.below(3))?;
                let passed = usize::try_from(rng.below(4))?.min(stops);
                under_way |= passed < stops;
                let length = u8::try_from(3 + 4 * stops)?;
                let kind = if kind == 7 { 131 } else { 137 };
                [vec![kind, length, u8::try_from(4 + 4 * passed)?], rng.octets(4 * stops)].concat()
            }
        };
        if options.len() + option.len() <= 40 {
            options.extend(option);
        }
    }
    options.resize(options.len().next_multiple_of(4), 0);
    Ok((options, under_way))
}

/// Makes the checksum of an IPv4 header right, which is at the front of `packet`.
fn fix_checksum(packet: &mut [u8]) {
    let length = usize::from(packet[0] & 0x0f) * 4;
    packet[10..12].fill(0);
    let mut sum: u32 =
        packet[..length].chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    let sum = u16::try_from(sum).map_or(0, |sum| !sum);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// A header's type, and its octets from the third on.
type Extension = (u8, Vec<u8>);

fn v6(rng: &mut SeededRng, protocol: u8, chain: &[Extension], payload: &[u8]) -> Result<Vec<u8>> {
    let (IpAddr::V6(source), IpAddr::V6(destination)) = ends(Family::V6) else { unreachable!() };
    let mut headers = Vec::new();
    for (index, (_, content)) in chain.iter().enumerate() {
        let next = chain.get(index + 1).map_or(protocol, |(kind, _)| *kind);
        headers.extend([next, u8::try_from((content.len() + 2) / 8 - 1)?]);
        headers.extend(content);
    }
    let mut packet = rng.octets(4);
    packet[0] = 0x60 | packet[0] & 0x0f;
    packet.extend(u16::try_from(headers.len() + payload.len())?.to_be_bytes());
    packet.extend([chain.first().map_or(protocol, |(kind, _)| *kind), 61]);
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend(headers);
    packet.extend(payload);
    Ok(packet)
}

fn extensions(rng: &mut SeededRng) -> Result<(Vec<Extension>, bool)> {
    let mut chain = Vec::new();
    let mut mispredicted = false;
    if rng.happens(400) {
        chain.push((0, v6_options(rng)?));
    }
    if rng.happens(400) {
        if rng.happens(300) {
            chain.push((60, v6_options(rng)?));
        }
        let stops = usize::try_from(1 + rng.below(3))?;
        mispredicted = rng.happens(300);
        let left = if mispredicted { 0 } else { stops };
        chain.push((43, [vec![0, u8::try_from(left)?, 0, 0, 0, 0], rng.octets(16 * stops)].concat()));
    }
    if rng.happens(400) {
        chain.push((60, v6_options(rng)?));
    }
    Ok((chain, mispredicted))
}

/// Options that may change on the way and options that may not.
fn v6_options(rng: &mut SeededRng) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    for _ in 0..=rng.below(3) {
        let data = usize::try_from(rng.below(9))?;
        content.extend([*rng.pick(&[0x1e, 0x3e, 0x5e, 0x7e]), u8::try_from(data)?]);
        content.extend(rng.octets(data));
    }
    let missing = (content.len() + 2).next_multiple_of(8) - content.len() - 2;
    match missing {
        0 => {}
        1 => content.push(0),
        more => {
            content.extend([1, u8::try_from(more - 2)?]);
            content.resize(content.len() + more - 2, 0);
        }
    }
    Ok(content)
}

/// Does to a packet what the routers of its source route, or the nodes of its routing header, do: it has arrived.
pub(super) fn arrive(packet: &mut [u8]) -> Result<()> {
    if packet[0] >> 4 == 4 {
        let length = usize::from(packet[0] & 0x0f) * 4;
        let mut at = 20;
        while at < length && packet[at] != 0 {
            let option = if packet[at] == 1 { 1 } else { usize::from(packet[at + 1]) };
            if matches!(packet[at], 131 | 137) {
                while usize::from(packet[at + 2]) < option {
                    let next = at + usize::from(packet[at + 2]) - 1;
                    packet.copy_within(next..next + 4, 16);
                    packet[next..next + 4].copy_from_slice(&[172, 16, 0, 1]);
                    packet[at + 2] += 4;
                }
            }
            at += option;
        }
        packet[8] = 44;
        fix_checksum(packet);
        return Ok(());
    }
    let (mut next, mut at) = (packet[6], 40);
    while matches!(next, 0 | 43 | 60) {
        let length = usize::from(packet[at + 1]) * 8 + 8;
        while next == 43 && packet[at + 3] > 0 {
            let left = usize::from(packet[at + 3]);
            let stop = (at + length).checked_sub(16 * left).context("too many segments left")?;
            for octet in 0..16 {
                packet.swap(24 + octet, stop + octet);
            }
            packet[at + 3] -= 1;
        }
        next = packet[at];
        at += length;
    }
    packet[7] = 44;
    Ok(())
}
