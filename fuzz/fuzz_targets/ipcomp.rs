//! IPComp under ESP: any octets behind an IPComp header are an error in one counter or a payload within the limit, and
//! what we compress comes out as it was.
#![no_main]

#[path = "../../crates/esp/tests/common/mod.rs"]
mod common;
#[path = "support/input.rs"]
mod input;

use common::{inbound, outbound, outer_addresses, params, suite, udp_between};
use ikebana_esp::{
    Cpi, Delivered, EspParams, Family, InboundSa, Ipcomp, IpcompError, Mode, NextHeader, OpenError,
    OutboundSa, PacketBuf, ReceivedOuter,
};
use input::Input;
use libfuzzer_sys::fuzz_target;

/// Seals `payload` as next header 108, and says what comes out of it in `room` octets behind the packet.
fn receive(
    sender: &mut OutboundSa,
    receiver: &mut InboundSa,
    payload: &[u8],
    room: usize,
) -> (Result<Delivered, OpenError>, Vec<u8>) {
    let mut bytes = vec![0; 128 + payload.len() + 128];
    bytes[128..128 + payload.len()].copy_from_slice(payload);
    let mut packet = PacketBuf::new(&mut bytes, 128..128 + payload.len()).expect("the range is inside");
    sender.seal(&mut packet, NextHeader::IPCOMP).expect("there is room");
    let wire = packet.payload().to_vec();
    let mut bytes = vec![0; 64 + wire.len() + room];
    bytes[64..64 + wire.len()].copy_from_slice(&wire);
    let mut packet = PacketBuf::new(&mut bytes, 64..64 + wire.len()).expect("the range is inside");
    let outer = ReceivedOuter { tos: Some(0), ttl: None };
    let before = *receiver.stats();
    let result = receiver.decapsulate(&mut packet, outer);
    let after = *receiver.stats();
    assert_eq!(after.errors() - before.errors(), u64::from(result.is_err()), "{result:?}");
    assert_eq!(after.packets - before.packets, 1);
    if result.is_err() && after.decompressed == before.decompressed {
        assert!(matches!(result, Err(OpenError::Ipcomp(_))), "{result:?}");
    }
    (result, packet.payload().to_vec())
}

fuzz_target!(|octets: &[u8]| {
    let mut input = Input(octets);
    let shape = input.octet();
    let limit = match shape >> 2 & 3 {
        0 => u16::MAX,
        1 => u16::from(input.octet()),
        _ => input.number(),
    };
    let room = match shape >> 4 & 3 {
        0 => 0,
        1 => usize::from(input.octet()),
        _ => 70_000,
    };
    let mode = if shape & 1 == 1 { Mode::Transport } else { Mode::Tunnel };
    let cpi = Cpi::new(0x1234).expect("it is one of those");
    let ipcomp = Ipcomp { max_output: limit, level: shape >> 6, threshold: 30, ..Ipcomp::new(cpi) };
    let plain = || params(suite("aes128gcm16", false), mode, false, Family::V4);
    let compressing = |ipcomp| EspParams { ipcomp: Some(ipcomp), ..plain() };
    let mut receiver = inbound(compressing(ipcomp));

    if shape & 2 == 0 {
        let mut sender = outbound(plain());
        // With a right header, so that the data is looked at, and without.
        let with_header = [&[input.octet(), 0, 0x12, 0x34][..], input.0].concat();
        for payload in [&with_header, input.0] {
            let (result, packet) = receive(&mut sender, &mut receiver, payload, room);
            if let Err(OpenError::Ipcomp(IpcompError::Room { needed, available })) = result {
                assert!(needed > available && needed <= usize::from(limit));
            }
            if result == Ok(Delivered::Packet) {
                assert!(packet.len() <= usize::from(limit) + 20);
            }
        }
        return;
    }
    let mut sender = outbound(compressing(ipcomp));
    let (source, destination) = outer_addresses(Family::V4);
    let original = udp_between(source, destination, 0, &input.0[..input.0.len().min(9_000)]);
    let mut bytes = vec![0; 128 + original.len() + 128];
    bytes[128..128 + original.len()].copy_from_slice(&original);
    let mut packet = PacketBuf::new(&mut bytes, 128..128 + original.len()).expect("the range is inside");
    sender.encapsulate_whole(&mut packet, 1).expect("there is room");
    let stats = *sender.compression().expect("it compresses");
    assert_eq!(stats.compressed + stats.incompressible + stats.below_threshold, 1);
    assert!(packet.len() <= sender.overhead().outer_len(original.len()));
    let result = receiver.decapsulate_whole(&mut packet);
    let payload = if mode == Mode::Tunnel { original.len() } else { original.len() - 20 };
    if stats.compressed == 1 && payload > usize::from(limit) {
        let error = IpcompError::TooLong { limit: usize::from(limit) };
        assert_eq!(result, Err(OpenError::Ipcomp(error)));
    } else {
        assert_eq!((result, packet.payload()), (Ok(Delivered::Packet), &original[..]));
    }
});
