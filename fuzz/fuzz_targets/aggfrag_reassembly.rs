//! AGGFRAG payloads from a peer that sends what it likes, in any order, among those of one that sends what it
//! should: nothing is a panic, what comes out is as long as its header says, everything is counted once, and a packet
//! whose pieces come one after the other comes out as it was.
#![no_main]

#[path = "../../crates/esp/tests/common/mod.rs"]
mod common;
#[path = "support/input.rs"]
mod input;

use std::time::Duration;

use common::{data, udp_packet};
use ikebana_core::Instant;
use ikebana_esp::{
    AggfragCut, AggfragLimits, AggfragReceiver, AggfragSender, AggfragSettings, Family, PacketBuf,
};
use input::Input;
use libfuzzer_sys::fuzz_target;

struct Inside {
    receiver: AggfragReceiver,
    now: Instant,
    sequence: u64,
    payloads: u64,
    packets: Vec<Vec<u8>>,
}

impl Inside {
    fn take(&mut self, sequence: u64, payload: &[u8]) {
        let packets = &mut self.packets;
        self.receiver.handle_payload(self.now, sequence, payload, &mut |it| packets.push(it.to_vec()));
        self.payloads += 1;
        self.check();
    }

    fn check(&self) {
        let stats = self.receiver.stats();
        let counted = stats.payloads + stats.late + stats.repeated + stats.short_header + stats.sub_type;
        let waiting = self.payloads - counted;
        assert!(waiting <= 8, "{waiting} wait");
        assert_eq!(waiting == 0, self.receiver.poll_timeout().is_none());
        assert_eq!(stats.packets, self.packets.len() as u64);
        if let Some(packet) = self.packets.last() {
            let stated = match packet[0] >> 4 {
                4 => usize::from(u16::from_be_bytes([packet[2], packet[3]])),
                _ => usize::from(u16::from_be_bytes([packet[4], packet[5]])) + 40,
            };
            assert_eq!(stated, packet.len());
        }
    }

    /// What waits is taken, so that the next payload is the next one.
    fn settle(&mut self) {
        self.now = self.now + Duration::from_secs(1);
        let packets = &mut self.packets;
        self.receiver.handle_timeout(self.now, &mut |it| packets.push(it.to_vec()));
        self.check();
        assert_eq!(self.receiver.poll_timeout(), None);
    }
}

/// Octets with a header in front of them, more or less.
fn payload(input: &mut Input<'_>) -> Vec<u8> {
    let shape = input.octet();
    let mut payload = vec![shape >> 6 & 1, 0];
    payload.extend(match shape & 3 {
        0 => [0, 0],
        1 => [0, input.octet()],
        _ => input.number().to_be_bytes(),
    });
    if shape >> 6 & 1 == 1 {
        payload.extend([shape; 20]);
    }
    for _ in 0..shape >> 2 & 3 {
        match input.octet() {
            length @ 0..=99 => payload.extend(udp_packet(Family::V4, 0, &data(usize::from(length)))),
            length @ 100..=199 => payload.extend(udp_packet(Family::V6, 0, &data(usize::from(length)))),
            _ => payload.extend(input.octets()),
        }
    }
    if shape >> 4 & 1 == 1 {
        payload.truncate(usize::from(input.octet()));
    }
    payload
}

fuzz_target!(|octets: &[u8]| {
    let mut input = Input(octets);
    let limits = AggfragLimits {
        reorder_window: input.below(9),
        held_payload: usize::from(input.octet()) * 4,
        packet: 576 + usize::from(input.octet()) * 8,
        wait: Duration::from_millis(100),
    };
    let longest = limits.packet;
    let mut inside = Inside {
        receiver: AggfragReceiver::new(limits),
        now: Instant::ZERO,
        sequence: 0,
        payloads: 0,
        packets: Vec::new(),
    };
    let mut bytes = vec![0; 4_000];
    for _ in 0..40 {
        if input.is_empty() {
            break;
        }
        match input.octet() {
            // The next one, one further on, one from before, one from anywhere.
            choice @ 0..=99 => {
                let step = [1, 1, 2, 5][usize::from(choice & 3)];
                inside.sequence = inside.sequence.saturating_add(step);
                inside.take(inside.sequence, &payload(&mut input));
            }
            100..=129 => {
                let back = u64::from(input.octet() & 7);
                inside.sequence = inside.sequence.max(1);
                inside.take(inside.sequence.saturating_sub(back).max(1), &payload(&mut input));
            }
            130..=139 => {
                let step = u64::from(input.number()) << 40;
                inside.sequence = inside.sequence.saturating_add(step).max(1);
                inside.take(inside.sequence, &payload(&mut input));
            }
            140..=149 => inside.settle(),
            // Honest packets, one payload after the other.
            choice => {
                inside.settle();
                let fragmentation = [AggfragCut::Fill, AggfragCut::TooLong][usize::from(choice & 1)];
                let mut sender = AggfragSender::new(AggfragSettings {
                    payload: 44 + usize::from(input.octet()) * 2,
                    fragmentation,
                    fixed_size: choice & 2 != 0,
                    queue_octets: 20_000,
                    queue_packets: 10,
                });
                let mut sent = Vec::new();
                for _ in 0..=choice >> 2 & 3 {
                    let length = usize::from(input.number()) % (longest - 48);
                    let family = if choice >> 4 & 1 == 1 { Family::V6 } else { Family::V4 };
                    let packet = udp_packet(family, 0, &data(length));
                    sender.push(&packet).expect("there is room");
                    sent.push(packet);
                }
                loop {
                    let mut packet = PacketBuf::new(&mut bytes, 0..0).expect("the range is inside");
                    if !sender.fill(&mut packet).expect("there is room") {
                        break;
                    }
                    inside.sequence = inside.sequence.saturating_add(1);
                    if inside.sequence == u64::MAX {
                        return;
                    }
                    inside.take(inside.sequence, packet.payload());
                }
                // Those before them may have been waited for.
                inside.settle();
                assert!(inside.packets.ends_with(&sent));
            }
        }
    }
});
