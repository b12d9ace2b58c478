//! AGGFRAG over SAs: packets of any length through payloads of any length, with loss, repetition and disorder,
//! against a model that keeps everything and looks at it from the beginning each time.
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
use std::time::Duration;

use common::{data, outbound, pair, params, suite, udp_packet};
use ikebana_core::Instant;
use ikebana_esp::{
    AggfragCut, AggfragLimits, AggfragReceiver, AggfragSender, AggfragSettings, Family, Mode, NextHeader,
    OpenError, PacketBuf, ReplayError, SealError,
};
use proptest::prelude::*;

/// Every payload that the sender makes of what waits.
fn payloads(sender: &mut AggfragSender) -> Vec<Vec<u8>> {
    let mut bytes = vec![0; 70_000];
    let mut payloads = Vec::new();
    loop {
        let mut packet = PacketBuf::new(&mut bytes, 64..64).unwrap();
        if !sender.fill(&mut packet).unwrap() {
            return payloads;
        }
        payloads.push(packet.payload().to_vec());
    }
}

/// Puts a stream of payloads in order and says which are missing, as RFC 9347 2.2.3 has it: one that is more than
/// `window` ahead ends the wait.
fn reordered(arrivals: &[(u64, Vec<u8>)], window: u64) -> Vec<Option<Vec<u8>>> {
    let mut waiting: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let mut next = 1;
    let mut ordered = Vec::new();
    for (sequence, payload) in arrivals {
        if *sequence < next {
            continue;
        }
        waiting.entry(*sequence).or_insert_with(|| payload.clone());
        while let Some((last, _)) = waiting.last_key_value() {
            match (waiting.contains_key(&next), *last - next > window) {
                (true, _) => ordered.push(waiting.remove(&next)),
                (false, true) => ordered.push(None),
                (false, false) => break,
            }
            next += 1;
        }
    }
    ordered
}

/// The packets in an ordered stream, from a sender that makes no mistakes.
fn packets_of(ordered: &[Option<Vec<u8>>]) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    for run in ordered.split(Option::is_none) {
        let run: Vec<&[u8]> = run.iter().flatten().map(|payload| &payload[..]).collect();
        // Payloads of pad alone are as if they were not there.
        let run: Vec<&[u8]> =
            run.into_iter().filter(|it| it.len() > 4 && (it[2..4] != [0, 0] || it[4] >> 4 != 0)).collect();
        let Some(first) = run.first() else { continue };
        let stream: Vec<u8> = run.iter().flat_map(|payload| &payload[4..]).copied().collect();
        let mut ends = Vec::new();
        for payload in &run {
            ends.push(ends.last().unwrap_or(&0) + payload.len() - 4);
        }
        let mut at = usize::from(u16::from_be_bytes([first[2], first[3]]));
        while at < stream.len() {
            let length = match stream[at] >> 4 {
                4 if at + 4 <= stream.len() => {
                    usize::from(u16::from_be_bytes([stream[at + 2], stream[at + 3]]))
                }
                6 if at + 6 <= stream.len() => {
                    40 + usize::from(u16::from_be_bytes([stream[at + 4], stream[at + 5]]))
                }
                0 => {
                    at = *ends.iter().find(|end| **end > at).unwrap();
                    continue;
                }
                _ => break,
            };
            packets.extend(stream.get(at..at + length).map(<[u8]>::to_vec));
            at += length;
        }
    }
    packets
}

fn received(limits: AggfragLimits, arrivals: &[(u64, Vec<u8>)]) -> (Vec<Vec<u8>>, AggfragReceiver) {
    let mut receiver = AggfragReceiver::new(limits);
    let mut packets = Vec::new();
    for (sequence, payload) in arrivals {
        receiver
            .handle_payload(Instant::ZERO, *sequence, payload, &mut |packet| packets.push(packet.to_vec()));
    }
    (packets, receiver)
}

fn inner_packets() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let length = prop_oneof![4 => 0_usize..80, 2 => 80_usize..600, 1 => 600_usize..4_000];
    prop::collection::vec((length, any::<bool>()), 1..40).prop_map(|lengths| {
        let packet = |(length, v6): (usize, bool)| {
            udp_packet(if v6 { Family::V6 } else { Family::V4 }, 0, &data(length))
        };
        lengths.into_iter().map(packet).collect()
    })
}

fn fragmentation() -> impl Strategy<Value = AggfragCut> {
    prop_oneof![Just(AggfragCut::Fill), Just(AggfragCut::TooLong)]
}

fn settings(payload: usize, fragmentation: AggfragCut, fixed_size: bool) -> AggfragSettings {
    AggfragSettings { payload, fragmentation, fixed_size, queue_octets: 200_000, queue_packets: 1_000 }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// With nothing lost, every packet arrives, in order and as it was.
    #[test]
    fn what_is_sent_arrives(
        originals in inner_packets(),
        payload in 44_usize..1_500,
        fragmentation in fragmentation(),
        fixed_size in any::<bool>(),
        flush in 1_usize..10,
    ) {
        let mut sender = AggfragSender::new(settings(payload, fragmentation, fixed_size));
        let mut made = Vec::new();
        for group in originals.chunks(flush) {
            for packet in group {
                sender.push(packet).unwrap();
            }
            made.extend(payloads(&mut sender));
        }
        prop_assert!(made.iter().all(|it| it.len() <= payload && (!fixed_size || it.len() == payload)));
        let data: usize = originals.iter().map(Vec::len).sum();
        let sent = *sender.stats();
        prop_assert_eq!((sent.packets, sent.octets), (originals.len() as u64, data as u64));
        prop_assert_eq!(sent.payloads, made.len() as u64);
        let total: usize = made.iter().map(Vec::len).sum();
        prop_assert_eq!(total as u64, sent.octets + sent.pad + 4 * sent.payloads);

        let arrivals: Vec<_> = (1..).zip(made).collect();
        let (packets, receiver) = received(AggfragLimits::default(), &arrivals);
        prop_assert_eq!(packets, originals);
        prop_assert_eq!((receiver.stats().dropped(), receiver.stats().lost), (0, 0));
        prop_assert_eq!(receiver.stats().joined, sent.fragmented);
    }

    /// With loss, repetition and disorder, the receiver yields what the model yields, which is a part of what was
    /// sent, in order.
    #[test]
    fn what_a_bad_network_leaves_is_what_the_model_finds(
        originals in inner_packets(),
        payload in 44_usize..700,
        fragmentation in fragmentation(),
        fixed_size in any::<bool>(),
        window in 0_usize..9,
        held_payload in prop_oneof![4 => Just(1_500), 1 => 0_usize..100],
        pads in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        fates in prop::collection::vec((0_u8..10, 0_usize..12), 1..60),
    ) {
        let mut sender = AggfragSender::new(settings(payload, fragmentation, fixed_size));
        for packet in &originals {
            sender.push(packet).unwrap();
        }
        let mut made = payloads(&mut sender);
        for pad in pads {
            made.insert(pad.index(made.len() + 1), vec![0; 44]);
        }
        let mut arrivals: Vec<(usize, u64, Vec<u8>)> = Vec::new();
        for ((at, payload), (fate, delay)) in made.into_iter().enumerate().zip(fates.iter().cycle()) {
            let sequence = at as u64 + 1;
            match fate {
                0 => {}
                1 => arrivals.push((at + delay, sequence, payload)),
                2 => arrivals.extend([(at, sequence, payload.clone()), (at + delay, sequence, payload)]),
                _ => arrivals.push((at, sequence, payload)),
            }
        }
        arrivals.sort_by_key(|(when, ..)| *when);
        let arrivals: Vec<_> = arrivals.into_iter().map(|(_, sequence, it)| (sequence, it)).collect();

        let limits = AggfragLimits { reorder_window: window, held_payload, ..AggfragLimits::default() };
        let (mut packets, mut receiver) = received(limits, &arrivals);
        let mut left = originals.iter();
        prop_assert!(packets.iter().all(|packet| left.any(|original| original == packet)));
        if held_payload == 1_500 {
            prop_assert_eq!(&packets, &packets_of(&reordered(&arrivals, window as u64)));
        }
        // At the end, what waits is delivered.
        receiver.flush(&mut |packet| packets.push(packet.to_vec()));
        prop_assert_eq!(receiver.poll_timeout(), None);
        prop_assert_eq!(receiver.stats().packets, packets.len() as u64);
        if held_payload == 1_500 {
            let far = (arrivals.len() as u64 + 2_000, vec![]);
            let with_end: Vec<_> = arrivals.iter().cloned().chain([far]).collect();
            prop_assert_eq!(&packets, &packets_of(&reordered(&with_end, window as u64)));
        }
        let stats = receiver.stats();
        let counted = stats.payloads + stats.late + stats.repeated;
        prop_assert_eq!(counted, arrivals.len() as u64);
    }

    /// Whatever the peer sends, what comes out is as long as its header says, and everything is counted.
    #[test]
    fn no_payload_confuses_the_receiver(
        sent in prop::collection::vec(
            (prop_oneof![5 => 0_u64..4, 1 => any::<u64>()], hostile_payload()),
            0..40,
        ),
        window in 0_usize..70,
    ) {
        let limits = AggfragLimits { reorder_window: window, held_payload: 90, packet: 700, ..AggfragLimits::default() };
        let mut receiver = AggfragReceiver::new(limits);
        let mut sequence = 1_u64;
        let mut delivered = 0;
        for (step, payload) in &sent {
            sequence = sequence.saturating_add(*step);
            receiver.handle_payload(Instant::ZERO, sequence, payload, &mut |packet| {
                let stated = match packet[0] >> 4 {
                    4 => usize::from(u16::from_be_bytes([packet[2], packet[3]])),
                    6 => usize::from(u16::from_be_bytes([packet[4], packet[5]])) + 40,
                    other => panic!("version {other}"),
                };
                assert_eq!(stated, packet.len());
                assert!(packet.len() >= 20);
                delivered += 1;
            });
        }
        receiver.flush(&mut |_| delivered += 1);
        let stats = receiver.stats();
        prop_assert_eq!(stats.packets, delivered);
        let payloads = stats.payloads + stats.late + stats.repeated + stats.short_header + stats.sub_type;
        prop_assert_eq!(payloads, sent.len() as u64);
        prop_assert!(stats.empty + stats.all_pad <= stats.payloads);
    }
}

/// Octets that look like payloads.
fn hostile_payload() -> impl Strategy<Value = Vec<u8>> {
    let offset = prop_oneof![Just(0_u16), 1_u16..60, any::<u16>()];
    let block = prop_oneof![
        (20_usize..60).prop_map(|length| udp_packet(Family::V4, 0, &data(length))),
        (20_usize..60).prop_map(|length| udp_packet(Family::V6, 0, &data(length))),
        prop::collection::vec(any::<u8>(), 0..8),
        (any::<u8>(), any::<u8>(), 0_u8..80).prop_map(|(first, high, low)| {
            [vec![first, 0, high & 1, low, high & 1, low], vec![7; 30]].concat()
        }),
    ];
    let structured = (0_u8..3, offset, prop::collection::vec(block, 0..4), 0_usize..200).prop_map(
        |(sub_type, offset, blocks, cut)| {
            let mut payload = vec![sub_type, 0];
            payload.extend(offset.to_be_bytes());
            if sub_type == 1 {
                payload.extend([9; 20]);
            }
            payload.extend(blocks.concat());
            payload.truncate(payload.len().max(cut) - cut.min(payload.len()) / 4);
            payload
        },
    );
    prop_oneof![6 => structured, 1 => prop::collection::vec(any::<u8>(), 0..50)]
}

#[test]
fn resuming_past_a_payload_that_waits_gives_it_up_and_never_goes_back() {
    let mut receiver = AggfragReceiver::new(AggfragLimits::default());
    let mut deliver = |_: &[u8]| panic!("there is nothing in these payloads");
    receiver.handle_payload(Instant::ZERO, 3, &[0, 0, 0, 0], &mut deliver);
    assert!(receiver.poll_timeout().is_some());
    receiver.resume_after(10);
    assert_eq!(receiver.poll_timeout(), None);
    receiver.handle_timeout(Instant::from_secs(1), &mut deliver);
    receiver.flush(&mut deliver);
    assert_eq!(receiver.stats().lost, 1);
    receiver.handle_payload(Instant::from_secs(1), 11, &[0, 0, 0, 0], &mut deliver);
    assert_eq!((receiver.stats().payloads, receiver.stats().late), (1, 0));
    for (late, sequence) in (1..).zip([3, 10, 11]) {
        receiver.handle_payload(Instant::from_secs(1), sequence, &[0, 0, 0, 0], &mut deliver);
        assert_eq!(receiver.stats().late, late);
    }
}

#[test]
fn the_payloads_travel_in_esp_and_the_receiver_orders_them_by_its_numbers() {
    for keywords in ["aes128gcm16", "aes256-sha256", "chacha20poly1305"] {
        for esn in [false, true] {
            let (mut ours, mut theirs) = pair(keywords, esn);
            if esn {
                // Across the point where the low half begins anew, in steps that the receiver can follow.
                ours.resume_after(1 << 31);
                let mut bytes = vec![0; 300];
                let mut packet = PacketBuf::new(&mut bytes, 64..64).unwrap();
                ours.encapsulate_dummy(&mut packet, 10, None).unwrap();
                theirs.open(&mut packet).unwrap();
                ours.resume_after(u64::from(u32::MAX) - 2);
            }
            let originals: Vec<_> = [10, 1_300, 40, 3_000, 700, 5]
                .iter()
                .map(|it| udp_packet(Family::V4, 0, &data(*it)))
                .collect();
            let mtu = ours.overhead().inner_mtu(1_500);
            let mut sender =
                AggfragSender::new(AggfragSettings { payload: mtu, ..AggfragSettings::default() });
            for packet in &originals {
                sender.push(packet).unwrap();
            }
            let mut wire = Vec::new();
            let mut bytes = vec![0; 2_000];
            loop {
                let mut packet = PacketBuf::new(&mut bytes, 64..64).unwrap();
                if !sender.fill(&mut packet).unwrap() {
                    break;
                }
                let fields = ours.encapsulate_payload(&mut packet).unwrap();
                assert_eq!((fields.tos, fields.dont_fragment, fields.flow_label), (0, true, 0));
                assert!(packet.len() + 20 <= 1_500);
                wire.push(packet.payload().to_vec());
            }
            assert_eq!(wire.len(), 4);
            wire.swap(1, 2);
            let mut receiver = AggfragReceiver::new(AggfragLimits::default());
            receiver.resume_after(ours.last_sequence() - 4);
            let mut packets = Vec::new();
            for octets in &mut wire {
                let mut again = octets.clone();
                let mut packet = PacketBuf::full(octets);
                let (sequence, next) = theirs.open_numbered(&mut packet).unwrap();
                assert_eq!(next, NextHeader::AGGFRAG);
                receiver.handle_payload(Instant::ZERO, sequence, packet.payload(), &mut |packet| {
                    packets.push(packet.to_vec());
                });
                let result = theirs.open_numbered(&mut PacketBuf::full(&mut again));
                assert_eq!(result, Err(OpenError::Replay(ReplayError::Repeated)));
            }
            assert_eq!(packets, originals, "{keywords} {esn}");
        }
    }
}

#[test]
fn transport_mode_has_no_payloads() {
    let made = || params(suite("aes128gcm16", false), Mode::Transport, false, Family::V4);
    let mut sa = outbound(made());
    let mut bytes = vec![0; 300];
    let mut packet = PacketBuf::new(&mut bytes, 64..108).unwrap();
    assert_eq!(sa.encapsulate_payload(&mut packet), Err(SealError::Mode));
    assert_eq!((sa.stats().wrong_mode, sa.last_sequence()), (1, 0));
}

#[test]
fn an_sa_that_is_not_for_it_drops_the_payload() {
    let (mut sender, mut receiver) = pair("aes128gcm16", false);
    let mut bytes = vec![0; 300];
    let mut packet = PacketBuf::new(&mut bytes, 64..108).unwrap();
    sender.encapsulate_payload(&mut packet).unwrap();
    let outer = ikebana_esp::ReceivedOuter { tos: None, ttl: None };
    assert_eq!(receiver.decapsulate(&mut packet, outer), Err(OpenError::NextHeader(NextHeader::AGGFRAG)));
}

#[test]
fn a_payload_that_waits_in_vain_is_taken_when_its_time_has_come() {
    let mut sender = AggfragSender::new(settings(100, AggfragCut::Fill, false));
    for length in [60, 200, 10] {
        sender.push(&udp_packet(Family::V4, 0, &data(length))).unwrap();
    }
    let made = payloads(&mut sender);
    assert_eq!(made.len(), 4);
    let limits = AggfragLimits { wait: Duration::from_millis(50), ..AggfragLimits::default() };
    let mut receiver = AggfragReceiver::new(limits);
    let mut lengths = Vec::new();
    let mut deliver = |packet: &[u8]| lengths.push(packet.len());
    let at = Instant::from_millis;
    receiver.handle_payload(at(0), 1, &made[0], &mut deliver);
    assert_eq!(receiver.poll_timeout(), None);
    // The second is lost.
    receiver.handle_payload(at(10), 4, &made[3], &mut deliver);
    receiver.handle_payload(at(30), 3, &made[2], &mut deliver);
    assert_eq!(receiver.poll_timeout(), Some(at(60)));
    receiver.handle_timeout(at(59), &mut deliver);
    assert_eq!(receiver.stats().lost, 0);
    receiver.handle_timeout(at(60), &mut deliver);
    assert_eq!((receiver.stats().lost, receiver.stats().orphaned), (1, 1));
    assert_eq!(receiver.poll_timeout(), None);
    // It comes after all.
    receiver.handle_payload(at(61), 2, &made[1], &mut deliver);
    assert_eq!(receiver.stats().late, 1);
    assert_eq!(lengths, [88, 38]);
}
