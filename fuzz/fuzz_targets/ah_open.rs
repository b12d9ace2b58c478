//! IP packets with any header, options and extension headers into AH SAs of every kind: nothing is a panic, what
//! was protected is verified where it arrives, and a packet that is not genuine changes counters and nothing else.
#![no_main]

#[path = "../../crates/esp/tests/common/mod.rs"]
mod common;
#[path = "support/input.rs"]
mod input;

use common::ah::{ALGORITHMS, ah_at, inbound, outbound, params};
use common::with_room;
use ikebana_esp::{Family, InboundAh, Mode, OpenError, PacketBuf, ReplayError, SealError};
use input::Input;
use libfuzzer_sys::fuzz_target;

/// What a receiver makes of a packet; every counter is held against that.
fn receive(receiver: &mut InboundAh, wire: &[u8]) -> Result<Vec<u8>, OpenError> {
    let mut bytes = wire.to_vec();
    let mut packet = PacketBuf::full(&mut bytes);
    let (before, top) = (*receiver.stats(), receiver.highest_sequence());
    let result = receiver.decapsulate_whole(&mut packet);
    let delivered = packet.payload().to_vec();
    let after = *receiver.stats();
    assert_eq!(after.errors() - before.errors(), u64::from(result.is_err()), "{result:?}");
    let authentic = result.map_or_else(is_authentic, |()| true);
    assert_eq!(after.packets - before.packets, u64::from(authentic), "{result:?}");
    if !authentic {
        assert_eq!((after.octets, receiver.highest_sequence()), (before.octets, top), "{result:?}");
    }
    result.map(|()| delivered)
}

/// Errors that are found after the packet has proved to be the peer's.
const fn is_authentic(error: OpenError) -> bool {
    matches!(error, OpenError::NextHeader(_) | OpenError::Inner(_) | OpenError::Ecn)
}

/// What routers make of a packet until it has arrived: source routes and routing headers are gone through.
fn arrive(wire: &mut [u8]) {
    if wire[0] >> 4 == 4 {
        let header_len = usize::from(wire[0] & 0x0f) * 4;
        let mut at = 20;
        while at < header_len && wire[at] != 0 {
            let length = if wire[at] == 1 { 1 } else { usize::from(wire[at + 1]) };
            if matches!(wire[at], 131 | 137) && length >= 7 && usize::from(wire[at + 2]) < length {
                wire.copy_within(at + length - 4..at + length, 16);
                wire[at + 2] = 255;
            }
            at += length;
        }
        return;
    }
    let (mut next, mut at) = (wire[6], 40);
    while matches!(next, 0 | 43 | 60) {
        let length = usize::from(wire[at + 1]) * 8 + 8;
        while next == 43 && wire[at + 3] > 0 {
            let stop = at + length - usize::from(wire[at + 3]) * 16;
            for octet in 0..16 {
                wire.swap(24 + octet, stop + octet);
            }
            wire[at + 3] -= 1;
        }
        next = wire[at];
        at += length;
    }
}

/// What follows AH in a packet.
fn after_ah(wire: &[u8]) -> &[u8] {
    let at = ah_at(wire);
    &wire[at + usize::from(wire[at + 1]) * 4 + 8..]
}

/// The part of what was delivered that followed AH.
fn content<'a>(mode: Mode, delivered: &'a [u8], wire: &[u8]) -> &'a [u8] {
    match mode {
        Mode::Tunnel => delivered,
        _ => &delivered[ah_at(wire)..],
    }
}

/// An inner packet without what congestion marks outside change in it.
fn without_marks(mode: Mode, content: &[u8]) -> Vec<u8> {
    let mut content = content.to_vec();
    if mode == Mode::Tunnel {
        let octets: &[usize] = if content[0] >> 4 == 4 { &[1, 10, 11] } else { &[1] };
        for at in octets {
            content[*at] = 0;
        }
    }
    content
}

fuzz_target!(|octets: &[u8]| {
    let mut input = Input(octets);
    let algorithm = input.pick(&ALGORITHMS);
    let shape = input.octet();
    let mode = if shape & 1 == 0 { Mode::Transport } else { Mode::Tunnel };
    let esn = shape & 2 != 0;
    let original = input.octets();
    let v6 = match mode {
        Mode::Tunnel => shape & 4 != 0,
        _ => original.first().is_some_and(|first| first >> 4 == 6),
    };
    let made = || params(algorithm, esn, mode, if v6 { Family::V6 } else { Family::V4 });
    let (mut sender, mut receiver) = (outbound(made()), inbound(made()));

    // As if it had come from the network.
    assert!(receive(&mut receiver, original).is_err());

    let (mut bytes, range) = with_room(original);
    let untouched = bytes.clone();
    let mut packet = PacketBuf::new(&mut bytes, range.clone()).expect("the range is inside");
    if let Err(error) = sender.encapsulate_whole(&mut packet, 0x4711) {
        assert!(!matches!(error, SealError::Headroom { .. }));
        assert_eq!((sender.last_sequence(), sender.stats().errors()), (0, 1));
        assert_eq!((packet.range(), &bytes), (range, &untouched));
        return;
    }
    let sent = packet.payload().to_vec();
    assert_eq!(sent.len(), sender.overhead().outer_len(sent.len() - sender.overhead().maximum()));
    let mut wire = sent.clone();
    arrive(&mut wire);

    while !input.is_empty() {
        let mut forged = wire.clone();
        match input.below(4) {
            0 => forged.truncate(usize::from(input.number()) % wire.len()),
            1 => forged.splice(20..20, input.octets().iter().copied()).for_each(drop),
            count => {
                for _ in 1..count {
                    let at = usize::from(input.number()) % wire.len();
                    forged[at] ^= input.octet();
                }
            }
        }
        // One that routers may have made of the packet is accepted, once; and what AH protects is as it was.
        let fresh = &mut inbound(made());
        if let Ok(delivered) = receive(fresh, &forged) {
            assert_eq!(
                without_marks(mode, content(mode, &delivered, &wire)),
                without_marks(mode, after_ah(&wire))
            );
            assert_eq!(receive(fresh, &forged), Err(OpenError::Replay(ReplayError::Repeated)));
        }
    }

    let delivered = receive(&mut receiver, &wire).expect("it is genuine");
    assert_eq!(delivered.len() + sender.overhead().maximum(), wire.len());
    assert_eq!(content(mode, &delivered, &wire), after_ah(&wire));
    assert!(original[..delivered.len()].ends_with(after_ah(&wire)));
    assert_eq!(receive(&mut receiver, &wire), Err(OpenError::Replay(ReplayError::Repeated)));
});
