//! Any packet through everything that looks at packets besides sealing them: fragmentation, MSS clamping, "packet
//! too big" made and received, quoted packets, reassembly, and BEET mode. What is made is what was asked for, and
//! what is put together is what was cut.
#![no_main]

#[path = "../../crates/esp/tests/common/mod.rs"]
mod common;
#[path = "support/input.rs"]
mod input;

use std::net::IpAddr;
use std::time::Duration;

use common::{fold, inbound, outbound, outer_addresses, params, suite, transport_sum, with_room};
use ikebana_core::Instant;
use ikebana_esp::{
    Delivered, DontFragment, EspParams, Family, Fragmentation, InnerAddresses, MAX_TOO_BIG, Mode, NextHeader,
    OpenError, PacketBuf, Reassembled, Reassembler, ReassemblyLimits, ReceivedOuter, clamp_mss,
    icmp_error_about, inner_flow, is_icmp_error, packet_too_big, received_too_big, received_too_big_v6,
};
use input::Input;
use libfuzzer_sys::fuzz_target;

const NOW: Instant = Instant::from_secs(1);

fn number(packet: &[u8], at: usize) -> usize {
    usize::from(u16::from_be_bytes([packet[at], packet[at + 1]]))
}

fn put(packet: &mut [u8], at: usize, value: usize) {
    packet[at..at + 2].copy_from_slice(&(value as u16).to_be_bytes());
}

/// A packet of the fuzzer's octets. Most of them get lengths that are right, since others are refused at once.
fn packet(input: &mut Input<'_>) -> Vec<u8> {
    let kind = input.octet();
    let mut packet = input.octets().to_vec();
    // A long tail, for what is about large packets.
    packet.resize(packet.len() + usize::from(kind >> 4) * 200, 0x5a);
    if kind & 1 == 0 {
        return packet;
    }
    match (kind >> 1 & 1, packet.len()) {
        (0, 20..) => {
            packet[0] = 0x40 | (packet[0] & 15).max(5);
            let length = packet.len();
            put(&mut packet, 2, length);
        }
        (1, 40..) => {
            packet[0] = 0x60 | packet[0] & 15;
            let length = packet.len() - 40;
            put(&mut packet, 4, length);
        }
        _ => {}
    }
    packet
}

/// Fragments fit, and come out of a reassembler as what they were cut from.
fn fragment(packet: &[u8], mtu: usize, clear: bool) {
    let df = if clear { DontFragment::Clear { identification: 7 } } else { DontFragment::Respect };
    let Ok(plan) = Fragmentation::plan(packet, mtu, df) else { return };
    let length = number(packet, 2);
    let limits = ReassemblyLimits { shortest: 8, fragments: 10_000, ..ReassemblyLimits::default() };
    let mut reassembler = Reassembler::new(limits);
    let mut result = Ok(Reassembled::Whole);
    for index in (0..plan.count()).rev() {
        let mut out = vec![0; mtu.max(length)];
        let written = plan.write(packet, index, &mut out).expect("every fragment can be written");
        assert!(written <= mtu || plan.count() == 1);
        assert_eq!(number(&out, 2), written);
        result = reassembler.handle_packet(NOW, &out[..written]);
    }
    let mut first = packet.to_vec();
    let mut kept = PacketBuf::full(&mut first);
    plan.keep_first(&mut kept).expect("it is the packet of the plan");
    let mut out = vec![0; mtu.max(length)];
    let written = plan.write(packet, 0, &mut out).expect("there is a first one");
    assert_eq!(kept.payload(), &out[..written]);
    // A fragment's own fragments are not a packet, and one whose data has an odd place cannot be.
    let whole = number(packet, 6) & 0x3fff == 0;
    if whole && plan.count() > 1 {
        let Ok(Reassembled::Complete(again)) = result else { panic!("{result:?}") };
        assert_eq!(
            (again.len(), again[1], again[8..10].to_vec()),
            (length, packet[1], packet[8..10].to_vec())
        );
        assert_eq!(again[12..], packet[12..length]);
        assert_eq!(number(&again, 6), number(packet, 6) & 0x8000);
    }
}

/// The TCP checksum of a packet without extension headers, if it is one.
fn tcp_sum(packet: &[u8]) -> Option<u16> {
    let flow = inner_flow(packet).ok()?;
    let (at, end) = match packet[0] >> 4 {
        4 => (usize::from(packet[0] & 15) * 4, number(packet, 2)),
        _ if packet[6] == 6 => (40, number(packet, 4) + 40),
        _ => return None,
    };
    (flow.protocol == 6 && !flow.fragment)
        .then(|| transport_sum(flow.source, flow.destination, 6, &packet[at..end]))
}

fn clamp(packet: &[u8], mtu: usize) {
    let mut clamped = packet.to_vec();
    let changed = clamp_mss(&mut clamped, mtu);
    assert_eq!(changed, clamped != packet);
    if changed {
        // Both representations of zero are zero.
        let same = |sum: u16| if sum == 0xffff { 0 } else { sum };
        assert_eq!(tcp_sum(&clamped).map(same), tcp_sum(packet).map(same));
        assert!(!clamp_mss(&mut clamped, mtu), "twice is once");
    }
}

/// Word to a sender is an error that quotes its packet, goes to it, and gets no such word itself.
fn too_big(packet: &[u8], mtu: usize) {
    let router: IpAddr = match packet.first().map(|first| first >> 4) {
        Some(6) => [0xfd; 16].into(),
        _ => [10, 0, 0, 254].into(),
    };
    let mut out = [0; MAX_TOO_BIG];
    let Some(length) = packet_too_big(packet, router, mtu, &mut out) else { return };
    let message = &out[..length];
    let header = if router.is_ipv4() { 20 } else { 40 };
    assert!(is_icmp_error(message) && packet.starts_with(&message[header + 8..]));
    assert_eq!(packet_too_big(message, router, 0, &mut [0; MAX_TOO_BIG]), None);
    let (told, sender) = (inner_flow(message).expect("a packet"), inner_flow(packet));
    assert_eq!(told.source, router);
    if router.is_ipv4() {
        assert_eq!(fold(&message[20..], 0), 0xffff);
    } else {
        assert_eq!(transport_sum(told.source, told.destination, 58, &message[40..]), 0);
    }
    if let Ok(sender) = sender {
        assert_eq!(told.destination, sender.source);
        if let Some(about) = icmp_error_about(message) {
            assert_eq!(about, sender);
        }
    }
}

/// What a router says about a packet of ours is understood, and believed of our SA alone.
fn received(input: &mut Input<'_>, octets: &[u8]) {
    if let Ok(report) = received_too_big(octets) {
        assert!(report.mtu >= if report.source.is_ipv4() { 1 } else { 1_280 });
    }
    let _ = received_too_big_v6(octets);
    let choice = input.octet();
    let outer = if choice & 1 == 0 { Family::V4 } else { Family::V6 };
    let mut sa = outbound(params(suite("aes128gcm16", false), Mode::Tunnel, choice & 2 != 0, outer));
    sa.resume_after(u64::from(input.number()));
    let (mut bytes, range) = with_room(&common::udp_packet(Family::V4, 0, &[7; 1_300]));
    let mut sealed = PacketBuf::new(&mut bytes, range).expect("the range is inside");
    sa.encapsulate_whole(&mut sealed, 7).expect("there is room");
    let router = outer_addresses(outer).1;
    let mut out = [0; MAX_TOO_BIG];
    let length = packet_too_big(sealed.payload(), router, 1_300, &mut out).expect("it has DF set");
    let report = received_too_big(&out[..length]).expect("it is about an ESP packet");
    assert!(sa.has_sent(&report));
    // Any octet of it changed: refused, or about the same packet all the same.
    let at = usize::from(input.number()) % length;
    out[at] ^= input.octet();
    if let Ok(changed) = received_too_big(&out[..length]) {
        assert!(changed == report || !sa.has_sent(&changed) || changed.spi == report.spi);
    }
}

/// Fragments of anybody's: memory stays bounded, and time frees all of it.
fn reassemble(input: &mut Input<'_>) {
    let limits = ReassemblyLimits {
        octets: 16_384,
        octets_per_source: 8_192,
        fragments: 8,
        shortest: usize::from(input.octet()),
        ..ReassemblyLimits::default()
    };
    let (mut reassembler, mut now) = (Reassembler::new(limits), NOW);
    for _ in 0..64 {
        if input.is_empty() {
            break;
        }
        let fragment = packet(input);
        now = now + Duration::from_millis(u64::from(input.octet()));
        if let Ok(Reassembled::Complete(whole)) = reassembler.handle_packet(now, &fragment) {
            // Whatever it is, it is no fragment and of the length that it says.
            assert_eq!(Reassembler::new(limits).handle_packet(now, &whole), Ok(Reassembled::Whole));
        }
        assert!(reassembler.octets() <= limits.octets);
    }
    reassembler.handle_timeout(now + limits.timeout);
    assert_eq!((reassembler.octets(), reassembler.poll_timeout()), (0, None));
}

/// What a peer seals in BEET mode becomes a packet between the inner addresses, or nothing.
fn beet(input: &mut Input<'_>, text: &[u8]) {
    let choice = input.octet();
    let inner = match choice & 1 {
        0 => InnerAddresses { source: [10, 0, 0, 1].into(), destination: [10, 9, 0, 1].into() },
        _ => InnerAddresses { source: [0xfd; 16].into(), destination: [0xfc; 16].into() },
    };
    let made = || -> EspParams { params(suite("aes128gcm16", false), Mode::Beet(inner), false, Family::V4) };
    let (mut sender, mut receiver) = (outbound(made()), inbound(made()));
    let (mut bytes, range) = with_room(text);
    let mut packet = PacketBuf::new(&mut bytes, range.clone()).expect("the range is inside");
    let next = if choice & 2 == 0 { NextHeader::BEET } else { NextHeader(input.octet()) };
    if sender.seal(&mut packet, next).is_err() {
        return;
    }
    match receiver.decapsulate(&mut packet, ReceivedOuter::default()) {
        Ok(_) if next == NextHeader::NONE => {}
        Ok(_) => {
            if let Ok(flow) = inner_flow(packet.payload()) {
                assert_eq!((flow.source, flow.destination), (inner.source, inner.destination));
            }
        }
        Err(error) => assert!(matches!(error, OpenError::Inner(_)), "{error:?}"),
    }
    // And any packet goes through as it is, but for what the outer header cannot say, or is refused unchanged.
    let (mut bytes, range) = with_room(text);
    let mut packet = PacketBuf::new(&mut bytes, range).expect("the range is inside");
    if sender.encapsulate(&mut packet).is_err() {
        assert_eq!(packet.payload(), text);
    } else {
        let delivered = receiver.decapsulate(&mut packet, ReceivedOuter::default());
        // A packet without anything in it looks like a dummy (RFC 4303 2.6).
        if delivered == Ok(Delivered::Dummy) {
            return;
        }
        assert_eq!(delivered, Ok(Delivered::Packet));
        let (sent, got) = (inner_flow(text), inner_flow(packet.payload()));
        assert_eq!(sent.is_ok(), got.is_ok());
    }
}

fuzz_target!(|octets: &[u8]| {
    let mut input = Input(octets);
    let packet = packet(&mut input);
    let mtu = usize::from(input.number()) % 2_000;
    match input.below(6) {
        0 => fragment(&packet, mtu, input.octet() & 1 == 0),
        1 => clamp(&packet, mtu),
        2 => too_big(&packet, mtu),
        3 => received(&mut input, &packet),
        4 => reassemble(&mut input),
        _ => beet(&mut input, &packet),
    }
});
