//! Packets from anyone into inbound SAs of every kind: nothing is a panic, a packet that is not genuine changes
//! counters and nothing else, and genuine packets are opened whatever came before them.
#![no_main]

#[path = "../../crates/esp/tests/common/mod.rs"]
mod common;
#[path = "support/input.rs"]
mod input;

use common::{SUITES, data, outer_addresses, params, suite, udp_between, udp_packet, with_room};
use ikebana_esp::{
    Arrived, Delivered, EspParams, Family, InboundSa, Mode, NextHeader, OpenError, OutboundSa, PacketBuf,
    ReceivedOuter, ReplayError,
};
use input::Input;
use libfuzzer_sys::fuzz_target;

/// How a packet enters the SA.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    Batch,
    Decapsulate,
    Whole,
}

/// Both ends of an SA.
struct Pair {
    sender: OutboundSa,
    receiver: InboundSa,
    mode: Mode,
    /// The IP packet that is sent.
    original: Vec<u8>,
    has_window: bool,
}

impl Pair {
    fn new(input: &mut Input<'_>) -> Self {
        let keywords = input.pick(&SUITES);
        let shape = input.octet();
        let is = |bit: u8| shape >> bit & 1 == 1;
        let mode = if is(0) { Mode::Transport } else { Mode::Tunnel };
        let esn = is(2);
        let outer = if is(3) { Family::V6 } else { Family::V4 };
        let inner = if is(4) { Family::V6 } else { Family::V4 };
        let replay_window = match shape >> 5 & 3 {
            0 => 1_024,
            1 => 64,
            2 => 8_192,
            _ if esn => 128,
            _ => 0,
        };
        let make = || EspParams { replay_window, ..params(suite(keywords, esn), mode, is(1), outer) };
        let (source, destination) = outer_addresses(outer);
        let payload = data(usize::from(input.octet()));
        let original = match mode {
            Mode::Tunnel => udp_packet(inner, 0, &payload),
            Mode::Transport | Mode::Beet(_) => udp_between(source, destination, 0, &payload),
        };
        let mut pair = Self {
            sender: common::outbound(make()),
            receiver: common::inbound(make()),
            mode,
            original,
            has_window: replay_window > 0,
        };
        // Where the numbers start, and for the last one a packet that takes the window there.
        let start = input.below(4);
        pair.sender.resume_after([0, 99, 1 << 31, 1 << 31][start]);
        if start == 3 {
            pair.send_and_receive(Way::Open);
            pair.sender.resume_after(0xffff_fffa);
        }
        pair
    }

    /// A genuine packet, unless the numbers are used up.
    fn seal(&mut self, way: Way) -> Option<Vec<u8>> {
        let (mut bytes, range) = with_room(&self.original);
        let mut packet = PacketBuf::new(&mut bytes, range)?;
        match way {
            Way::Whole => self.sender.encapsulate_whole(&mut packet, 7).ok()?,
            Way::Open | Way::Batch | Way::Decapsulate => {
                self.sender.encapsulate(&mut packet).ok()?;
            }
        }
        Some(packet.payload().to_vec())
    }

    fn send_and_receive(&mut self, way: Way) {
        if let Some(wire) = self.seal(way) {
            self.must_open(&wire, way);
        }
    }

    fn must_open(&mut self, wire: &[u8], way: Way) {
        let (result, opened) = self.receive(wire, way, true);
        assert_eq!(result, Ok(Delivered::Packet));
        let segment = &self.original[self.original.len() - self.segment_len()..];
        match (self.mode, way) {
            (Mode::Tunnel, _) | (Mode::Transport | Mode::Beet(_), Way::Whole) => {
                assert_eq!(opened, self.original)
            }
            (Mode::Transport | Mode::Beet(_), Way::Open | Way::Batch) => assert_eq!(opened, segment),
            // The header is a new one.
            (Mode::Transport | Mode::Beet(_), Way::Decapsulate) => assert!(opened.ends_with(segment)),
        }
    }

    fn segment_len(&self) -> usize {
        let header = if self.original[0] >> 4 == 4 { 20 } else { 40 };
        self.original.len() - header
    }

    /// Hands a packet to the SA and holds every counter against what came of it.
    fn receive(&mut self, wire: &[u8], way: Way, room: bool) -> (Result<Delivered, OpenError>, Vec<u8>) {
        let (mut roomy, range) = with_room(wire);
        let mut bare = wire.to_vec();
        let mut packet = match room {
            true => PacketBuf::new(&mut roomy, range).expect("the range is inside"),
            false => PacketBuf::full(&mut bare),
        };
        let (before, top) = (*self.receiver.stats(), self.receiver.highest_sequence());
        let outer = ReceivedOuter { tos: Some(0), ttl: None };
        let result = match way {
            Way::Open => self.receiver.open(&mut packet).map(|_| Delivered::Packet),
            Way::Batch => {
                let mut slots = [Arrived::new(packet)];
                self.receiver.open_batch(&mut slots);
                let [slot] = slots;
                packet = slot.packet;
                slot.result.map(|_| Delivered::Packet)
            }
            Way::Decapsulate => self.receiver.decapsulate(&mut packet, outer),
            Way::Whole => self.receiver.decapsulate_whole(&mut packet),
        };
        let after = *self.receiver.stats();
        let opened = after.packets - before.packets;
        assert_eq!(after.errors() - before.errors(), u64::from(result.is_err()), "{result:?}");
        match result {
            Ok(_) => assert_eq!(opened, 1),
            Err(error) if is_authentic(error) => {
                assert_eq!(opened, u64::from(error != OpenError::Padding), "{error:?}");
            }
            Err(error) => {
                assert_eq!((opened, after.octets), (0, before.octets), "{error:?}");
                assert_eq!(self.receiver.highest_sequence(), top, "{error:?}");
            }
        }
        (result, packet.payload().to_vec())
    }
}

/// Errors that are found after the packet has proved to be the peer's.
const fn is_authentic(error: OpenError) -> bool {
    matches!(
        error,
        OpenError::Padding
            | OpenError::NextHeader(_)
            | OpenError::Inner(_)
            | OpenError::Ecn
            | OpenError::Headroom { .. }
    )
}

/// The packet with a few octets changed, or a few more or less of them.
fn mutate(input: &mut Input<'_>, genuine: &[u8]) -> Vec<u8> {
    let mut forged = genuine.to_vec();
    match input.below(4) {
        0 => forged.truncate(usize::from(input.number()) % genuine.len()),
        1 => forged.extend(input.octets()),
        count => {
            for _ in 1..count {
                let at = usize::from(input.number()) % genuine.len();
                forged[at] ^= input.octet();
            }
        }
    }
    forged
}

fuzz_target!(|octets: &[u8]| {
    let mut input = Input(octets);
    let mut pair = Pair::new(&mut input);
    // A packet that comes after all that follows.
    let Some(late) = pair.seal(Way::Open) else { return };
    for _ in 0..24 {
        if input.is_empty() {
            break;
        }
        let choice = input.octet();
        let way = [Way::Open, Way::Decapsulate, Way::Whole, Way::Batch][usize::from(choice >> 3 & 3)];
        let room = choice >> 5 & 1 == 0;
        let forged = match choice & 7 {
            0 => input.octets().to_vec(),
            1 | 2 if way != Way::Whole => mutate(&mut input, &late),
            1 | 2 => {
                let Some(genuine) = pair.seal(way) else { return };
                let changed = mutate(&mut input, &genuine);
                let (result, _) = pair.receive(&changed, way, room);
                if result.is_ok_and(|delivered| delivered == Delivered::Packet) {
                    // Outer headers are not protected, but what is behind them is.
                    let esp = genuine.windows(4).position(|four| four == common::spi().get().to_be_bytes());
                    let esp = &genuine[esp.expect("it has an SPI")..];
                    assert!(changed.windows(esp.len()).any(|window| window == esp));
                }
                continue;
            }
            3 => [&common::spi().get().to_be_bytes()[..], input.octets()].concat(),
            4 => {
                pair.send_and_receive(way);
                continue;
            }
            // The peer may send anything.
            _ => {
                let (next, payload) = (NextHeader(input.octet()), input.octets());
                let (mut bytes, range) = with_room(payload);
                let mut packet = PacketBuf::new(&mut bytes, range).expect("the range is inside");
                if pair.sender.seal(&mut packet, next).is_err() {
                    return;
                }
                let wire = packet.payload().to_vec();
                let way = if way == Way::Whole { Way::Decapsulate } else { way };
                let (result, _) = pair.receive(&wire, way, room);
                assert!(result.map_or_else(is_authentic, |_| true), "{result:?}");
                if pair.has_window {
                    let (again, _) = pair.receive(&wire, way, room);
                    assert_eq!(again, Err(OpenError::Replay(ReplayError::Repeated)));
                }
                continue;
            }
        };
        if forged == late {
            continue;
        }
        let (result, _) = pair.receive(&forged, way, room);
        assert!(result.is_err_and(|error| !is_authentic(error)), "{result:?}");
    }
    pair.must_open(&late, Way::Open);
});
