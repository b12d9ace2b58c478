//! Payloads written by hand after RFC 9347's figures, one for each rule.

use alloc::vec;
use alloc::vec::Vec;

use ikebana_core::Instant;

use super::block::{BlockLen, block_len};
use super::*;
use crate::buffer::PacketBuf;
use crate::error::SealError;
use crate::ip::IpError;

const NOW: Instant = Instant::ZERO;

/// An IPv4 packet of this length whose octets behind the header are all `fill`.
fn v4(length: u16, fill: u8) -> Vec<u8> {
    let mut packet = vec![fill; usize::from(length)];
    let [high, low] = length.to_be_bytes();
    packet[..20].copy_from_slice(&[0x45, 0, high, low, 0, 0, 0, 0, 64, 59, 0, 0, 10, 0, 0, 1, 10, 1, 0, 1]);
    packet
}

/// An IPv6 packet of this length.
fn v6(length: u16, fill: u8) -> Vec<u8> {
    let mut packet = vec![fill; usize::from(length)];
    let [high, low] = (length - 40).to_be_bytes();
    packet[..8].copy_from_slice(&[0x60, 0, 0, 0, high, low, 59, 64]);
    packet
}

fn payload(offset: u16, data: &[&[u8]]) -> Vec<u8> {
    let mut payload = vec![0, 0];
    payload.extend(offset.to_be_bytes());
    payload.extend(data.concat());
    payload
}

/// A receiver and what it has delivered.
struct Inside {
    receiver: AggfragReceiver,
    sequence: u64,
    packets: Vec<Vec<u8>>,
}

impl Inside {
    fn new() -> Self {
        Self::with(AggfragLimits::default())
    }

    fn with(limits: AggfragLimits) -> Self {
        Self { receiver: AggfragReceiver::new(limits), sequence: 0, packets: Vec::new() }
    }

    /// The next payload arrives.
    fn take(&mut self, payload: &[u8]) -> &mut Self {
        self.sequence += 1;
        let packets = &mut self.packets;
        self.receiver.handle_payload(NOW, self.sequence, payload, &mut |it| packets.push(it.to_vec()));
        self
    }

    /// The next payload does not arrive, and nobody waits for it.
    fn lose(&mut self) -> &mut Self {
        self.sequence += 1;
        self
    }

    fn stats(&self) -> &AggfragReceived {
        self.receiver.stats()
    }
}

/// Without waiting, so that a gap is a loss at once.
fn impatient() -> Inside {
    Inside::with(AggfragLimits { reorder_window: 0, ..AggfragLimits::default() })
}

#[test]
fn the_flow_of_appendix_a_has_its_offsets_and_comes_out_again() {
    // 750, 750, 60, 240 and 3000 octets in payloads of 1404: offsets 0, 100, 2000 and 600.
    let settings = AggfragSettings { payload: 1_404, fixed_size: true, ..AggfragSettings::default() };
    let mut sender = AggfragSender::new(settings);
    let flow = [v4(750, 1), v4(750, 2), v4(60, 3), v6(240, 4), v4(3_000, 5)];
    for packet in &flow {
        sender.push(packet).unwrap();
    }
    let mut inside = Inside::new();
    let mut offsets = Vec::new();
    let mut bytes = vec![0xee; 2_000];
    loop {
        let mut packet = PacketBuf::new(&mut bytes, 100..100).unwrap();
        if !sender.fill(&mut packet).unwrap() {
            break;
        }
        assert_eq!(packet.len(), 1_404);
        let (header, _) = AggfragHeader::parse(packet.payload()).unwrap();
        offsets.push(header.block_offset);
        inside.take(packet.payload());
    }
    assert_eq!(offsets, [0, 100, 2_000, 600]);
    assert_eq!(inside.packets, flow);
    assert_eq!((inside.stats().joined, inside.stats().dropped()), (2, 0));
    let sent = sender.stats();
    assert_eq!((sent.packets, sent.fragmented, sent.payloads, sent.pad), (5, 2, 4, 800));
}

#[test]
fn several_packets_and_pad_in_one_payload() {
    let mut inside = Inside::new();
    inside.take(&payload(0, &[&v4(20, 1), &v6(40, 2), &v4(33, 3), &[0; 17]]));
    assert_eq!(inside.packets, [v4(20, 1), v6(40, 2), v4(33, 3)]);
    // Pad ends the payload, whatever is behind it.
    inside.take(&payload(0, &[&v4(20, 4), &[0x0f], &v4(20, 5)]));
    assert_eq!(inside.packets.len(), 4);
    assert_eq!(inside.stats().dropped(), 0);
}

#[test]
fn a_packet_in_single_octets() {
    for packet in [v4(24, 7), v6(44, 7)] {
        let mut inside = Inside::new();
        let total = packet.len();
        for (at, octet) in packet.iter().enumerate() {
            let offset = if at == 0 { 0 } else { total - at };
            inside.take(&payload(u16::try_from(offset).unwrap(), &[&[*octet]]));
        }
        assert_eq!(inside.packets, [packet]);
        assert_eq!(inside.stats().dropped(), 0);
    }
}

#[test]
fn pad_and_empty_payloads_between_the_pieces_do_not_interrupt() {
    let packet = v4(100, 9);
    let mut inside = Inside::new();
    inside
        .take(&payload(0, &[&packet[..30]]))
        .take(&payload(0, &[&[0; 40]]))
        .take(&payload(0, &[]))
        .take(&payload(70, &[&packet[30..60]]))
        .take(&payload(40, &[]))
        .take(&payload(0, &[&[0]]))
        .take(&payload(40, &[&packet[60..], &v4(20, 1)]));
    assert_eq!(inside.packets, [packet, v4(20, 1)]);
    let stats = inside.stats();
    assert_eq!((stats.all_pad, stats.empty, stats.payloads, stats.dropped()), (2, 2, 7, 0));
}

#[test]
fn a_lost_payload_takes_the_packets_with_a_piece_in_it_and_no_other() {
    let (one, two, three) = (v4(100, 1), v4(500, 2), v4(60, 3));
    let mut inside = impatient();
    inside
        .take(&payload(0, &[&v4(30, 0), &one[..50]]))
        // The end of the first, the beginning of the second.
        .lose()
        .take(&payload(300, &[&two[200..300]]))
        .take(&payload(200, &[&two[300..500], &three]));
    assert_eq!(inside.packets, [v4(30, 0), three.clone()]);
    let stats = inside.stats();
    // What the second payload's rest belonged to is not known: counted as the first.
    assert_eq!((stats.lost, stats.incomplete, stats.orphaned, stats.dropped()), (1, 1, 0, 1));

    // Only the beginning of one is lost.
    let mut inside = impatient();
    inside.lose().take(&payload(450, &[&two[50..]])).take(&payload(0, &[&three]));
    assert_eq!(inside.packets, [three]);
    assert_eq!((inside.stats().lost, inside.stats().orphaned, inside.stats().dropped()), (1, 1, 1));
}

#[test]
fn a_packet_that_another_interrupts_is_dropped() {
    let mut inside = Inside::new();
    inside.take(&payload(0, &[&v4(100, 1)[..60]])).take(&payload(0, &[&v4(20, 2)]));
    assert_eq!(inside.packets, [v4(20, 2)]);
    assert_eq!((inside.stats().interrupted, inside.stats().dropped()), (1, 1));
}

#[test]
fn an_offset_that_contradicts_the_packets_length_is_believed_for_the_next_packet_only() {
    for (offset, piece) in [(41_u16, 41), (39, 39)] {
        let mut inside = Inside::new();
        inside.take(&payload(0, &[&v4(100, 1)[..60]])).take(&payload(offset, &[&vec![1; piece], &v4(20, 2)]));
        assert_eq!(inside.packets, [v4(20, 2)]);
        assert_eq!((inside.stats().offset, inside.stats().dropped()), (1, 1));
    }
    // The length field is in the second piece only.
    for (offset, right) in [(98, true), (99, false), (97, false)] {
        let packet = v4(100, 1);
        let mut inside = Inside::new();
        inside.take(&payload(0, &[&packet[..2]])).take(&payload(offset, &[&packet[2..50]]));
        if right {
            inside.take(&payload(50, &[&packet[50..]]));
            assert_eq!(inside.packets, [packet]);
        }
        assert_eq!(inside.stats().offset, u64::from(!right));
    }
}

#[test]
fn an_unfinished_length_field_is_no_packet() {
    let mut inside = Inside::new();
    inside.take(&payload(0, &[&[0x45, 0]])).take(&payload(1, &[&[0], &v4(20, 1)]));
    assert_eq!(inside.packets, [v4(20, 1)]);
    assert_eq!((inside.stats().malformed_block, inside.stats().dropped()), (1, 1));
}

#[test]
fn what_is_no_packet_ends_a_payload_and_the_next_offset_helps() {
    let malformed: [&[u8]; 4] = [
        &[0x45, 0, 0, 19, 0, 0, 0, 0],
        &[0x44, 0, 0, 40, 0, 0, 0, 0],
        &[0x4f, 0, 0, 59, 0, 0, 0, 0],
        &[0x45, 0, 0, 0],
    ];
    for block in malformed {
        let mut inside = Inside::new();
        inside.take(&payload(0, &[&v4(20, 1), block, &v4(20, 2)])).take(&payload(7, &[&[1; 7], &v4(20, 3)]));
        assert_eq!(inside.packets, [v4(20, 1), v4(20, 3)]);
        assert_eq!((inside.stats().malformed_block, inside.stats().dropped()), (1, 1));
    }
    for kind in [0x10, 0x20, 0x30, 0x50, 0x70, 0xf0] {
        let mut inside = Inside::new();
        inside.take(&payload(0, &[&[kind; 30]])).take(&payload(0, &[&v4(20, 3)]));
        assert_eq!(inside.packets, [v4(20, 3)]);
        assert_eq!((inside.stats().block_type, inside.stats().dropped()), (1, 1));
    }
}

#[test]
fn a_packet_longer_than_the_limit_is_dropped_if_it_comes_in_pieces() {
    let limits = AggfragLimits { packet: 600, ..AggfragLimits::default() };
    let mut inside = Inside::with(limits);
    inside
        .take(&payload(0, &[&v4(700, 1)]))
        .take(&payload(0, &[&v4(601, 2)[..500]]))
        .take(&payload(101, &[&v4(601, 2)[500..], &v4(600, 3)[..100]]))
        .take(&payload(500, &[&v4(600, 3)[100..], &[0x45]]))
        .take(&payload(700, &[&v4(701, 4)[1..600]]))
        .take(&payload(101, &[&v4(701, 4)[600..], &v4(20, 5)]));
    assert_eq!(inside.packets, [v4(700, 1), v4(600, 3), v4(20, 5)]);
    assert_eq!((inside.stats().too_long, inside.stats().dropped()), (2, 2));
}

#[test]
fn what_has_no_header_is_dropped_with_the_packet_that_it_interrupts() {
    let mut inside = Inside::new();
    inside
        .take(&payload(0, &[&v4(100, 1)[..60]]))
        .take(&[0, 0, 0])
        .take(&payload(40, &[&v4(100, 1)[60..]]))
        .take(&[2, 0, 0, 0, 0x45])
        .take(&[1; 23])
        .take(&[])
        .take(&payload(0, &[&v4(20, 2)]));
    assert_eq!(inside.packets, [v4(20, 2)]);
    let stats = inside.stats();
    assert_eq!((stats.short_header, stats.sub_type, stats.incomplete, stats.dropped()), (3, 1, 1, 5));
}

#[test]
fn the_congestion_header_is_read_to_the_bit() {
    // RTT 0x2aaaaa, echo delay 0x155555, transmit delay 0x0ccccc.
    let times: u64 = 0x2a_aaaa << 42 | 0x15_5555 << 21 | 0x0c_cccc;
    let mut octets = vec![1, 0xff, 0, 3, 0xde, 0xad, 0xbe, 0xef];
    octets.extend(times.to_be_bytes());
    octets.extend([1, 2, 3, 4, 5, 6, 7, 8]);
    octets.extend([9; 3]);
    octets.extend(v4(20, 1));
    let (header, data) = AggfragHeader::parse(&octets).unwrap();
    let info = CongestionInfo {
        plpmtud: true,
        ecn: true,
        loss_event_rate: 0xdead_beef,
        rtt: 0x2a_aaaa,
        echo_delay: 0x15_5555,
        transmit_delay: 0x0c_cccc,
        timestamp: 0x0102_0304,
        timestamp_echo: 0x0506_0708,
    };
    assert_eq!(header, AggfragHeader { block_offset: 3, congestion: Some(info) });
    assert_eq!((header.len(), data.len()), (24, 23));
    let mut written = [0; 24];
    header.write(&mut written).unwrap();
    // Reserved bits are not ours to set.
    assert_eq!((written[1], &written[2..]), (3, &octets[2..24]));
    assert_eq!(header.write(&mut [0; 23]), None);

    let mut inside = Inside::new();
    inside.take(&octets);
    assert_eq!(inside.receiver.congestion(), Some(&info));
    assert_eq!(inside.packets, [v4(20, 1)]);
    // A payload of the other format says nothing new.
    inside.take(&payload(0, &[&v4(20, 2)]));
    assert_eq!(inside.receiver.congestion(), Some(&info));
}

#[test]
fn numbers_too_large_for_their_field_become_its_largest() {
    let info = CongestionInfo {
        rtt: u32::MAX,
        echo_delay: 1 << 21,
        transmit_delay: 0x1f_ffff,
        ..CongestionInfo::default()
    };
    let mut octets = [0; 24];
    AggfragHeader { block_offset: 0, congestion: Some(info) }.write(&mut octets).unwrap();
    assert_eq!(octets[8..16], [0xff; 8]);
}

#[test]
fn the_basic_header_ignores_reserved_bits() {
    let (header, data) = AggfragHeader::parse(&[0, 0xff, 0x12, 0x34, 1]).unwrap();
    assert_eq!(header, AggfragHeader { block_offset: 0x1234, congestion: None });
    assert_eq!((header.len(), data), (4, &[1][..]));
    assert_eq!(AggfragHeader::parse(&[0, 0, 0]), Err(AggfragError::Short { length: 3 }));
    assert_eq!(AggfragHeader::parse(&[1; 23]), Err(AggfragError::Short { length: 23 }));
    assert_eq!(AggfragHeader::parse(&[2, 0, 0, 0]), Err(AggfragError::SubType(2)));
}

#[test]
fn every_block_says_its_length() {
    assert_eq!(block_len(&v4(20, 0)), BlockLen::Packet(20));
    assert_eq!(block_len(&[0x45, 0, 0xff, 0xff]), BlockLen::Packet(65_535));
    assert_eq!(block_len(&[0x60, 0, 0, 0, 0xff, 0xff]), BlockLen::Packet(65_575));
    assert_eq!(block_len(&[0x60, 0, 0, 0, 0]), BlockLen::Unknown);
    assert_eq!(block_len(&[0x45, 0, 0]), BlockLen::Unknown);
    assert_eq!(block_len(&[0x44]), BlockLen::Malformed);
    assert_eq!(block_len(&[0x0f, 1, 2, 3]), BlockLen::Pad);
    assert_eq!(block_len(&[0x7f]), BlockLen::Type(7));
}

#[test]
fn the_receiver_waits_within_its_window_and_no_further() {
    let one = |fill| payload(0, &[&v4(20, fill)]);
    let mut receiver = AggfragReceiver::new(AggfragLimits { reorder_window: 3, ..AggfragLimits::default() });
    let mut order = Vec::new();
    let mut deliver = |sequence, receiver: &mut AggfragReceiver| {
        let payload = payload(0, &[&v4(21, u8::try_from(sequence).unwrap())]);
        receiver.handle_payload(NOW, sequence, &payload, &mut |packet| order.push(packet[20]));
        order.clone()
    };
    assert!(deliver(4, &mut receiver).is_empty());
    assert!(deliver(3, &mut receiver).is_empty());
    assert_eq!(deliver(1, &mut receiver), [1]);
    assert_eq!(deliver(4, &mut receiver), [1], "it waits already");
    assert_eq!(deliver(5, &mut receiver), [1]);
    // 2 is four behind: given up.
    assert_eq!(deliver(6, &mut receiver), [1, 3, 4, 5, 6]);
    assert_eq!(deliver(2, &mut receiver), [1, 3, 4, 5, 6]);
    // Far ahead: the three before it may still come.
    assert_eq!(deliver(100, &mut receiver), [1, 3, 4, 5, 6]);
    assert_eq!(deliver(97, &mut receiver), [1, 3, 4, 5, 6, 97]);
    assert_eq!(deliver(98, &mut receiver), [1, 3, 4, 5, 6, 97, 98]);
    assert_eq!(deliver(99, &mut receiver), [1, 3, 4, 5, 6, 97, 98, 99, 100]);
    let stats = receiver.stats();
    assert_eq!((stats.repeated, stats.late, stats.lost, stats.dropped()), (1, 1, 91, 2));
    // The largest step that there is takes no time.
    receiver.handle_payload(NOW, u64::MAX, &one(1), &mut |_| {});
    receiver.handle_payload(NOW, u64::MAX - 1, &one(1), &mut |_| {});
    assert_eq!(receiver.stats().lost, u64::MAX - 101 - 3 + 91);
}

#[test]
fn a_payload_too_long_to_wait_is_taken_at_once() {
    let limits = AggfragLimits { held_payload: 50, ..AggfragLimits::default() };
    let mut inside = Inside::with(limits);
    inside.lose().take(&payload(0, &[&v4(47, 1)]));
    assert_eq!(inside.packets, [v4(47, 1)]);
    inside.lose().take(&payload(0, &[&v4(46, 2)]));
    assert_eq!((inside.packets.len(), inside.stats().lost), (1, 1));
}

fn sender(payload: usize, fragmentation: AggfragCut) -> AggfragSender {
    AggfragSender::new(AggfragSettings { payload, fragmentation, ..AggfragSettings::default() })
}

/// The lengths of the payloads of what waits.
fn fill_all(sender: &mut AggfragSender) -> Vec<usize> {
    let mut bytes = vec![0xee; 70_000];
    let mut lengths = Vec::new();
    loop {
        let mut packet = PacketBuf::new(&mut bytes, 10..10).unwrap();
        if !sender.fill(&mut packet).unwrap() {
            return lengths;
        }
        lengths.push(packet.len());
    }
}

#[test]
fn the_three_ways_to_cut() {
    let lengths = |fragmentation, packets: &[u16]| {
        let mut sender = sender(104, fragmentation);
        for length in packets {
            sender.push(&v4(*length, 1)).unwrap();
        }
        fill_all(&mut sender)
    };
    assert_eq!(lengths(AggfragCut::Fill, &[60, 60, 250]), [104, 104, 104, 74]);
    assert_eq!(lengths(AggfragCut::TooLong, &[60, 60, 250]), [64, 64, 104, 104, 54]);
    assert_eq!(lengths(AggfragCut::Never, &[60, 40, 60, 41, 100]), [104, 64, 45, 104]);
    // A first piece without a whole IP header would be hard to make sense of.
    assert_eq!(lengths(AggfragCut::Fill, &[81, 30]), [85, 34]);
    assert_eq!(lengths(AggfragCut::Fill, &[80, 30]), [104, 14]);
}

#[test]
fn what_cannot_be_sent_is_refused_and_counted() {
    let mut cutting = sender(104, AggfragCut::Fill);
    assert_eq!(cutting.inner_mtu(), 65_535);
    assert_eq!(cutting.push(&[0x45]), Err(QueueError::Inner(IpError::Truncated)));
    assert_eq!(cutting.push(&[]), Err(QueueError::Inner(IpError::Truncated)));
    let mut jumbo = vec![0; 65_575];
    jumbo[..8].copy_from_slice(&[0x60, 0, 0, 0, 0xff, 0xff, 59, 64]);
    assert_eq!(cutting.push(&jumbo), Err(QueueError::TooBig { limit: 65_535 }));
    assert_eq!(cutting.push(&v4(65_535, 1)), Ok(()));
    assert_eq!(cutting.push(&v4(40_000, 1)), Err(QueueError::Full));
    let stats = cutting.stats();
    assert_eq!((stats.malformed_inner, stats.too_big, stats.queue_full), (2, 1, 1));
    // The longest packet's rest can be counted.
    let lengths = fill_all(&mut cutting);
    assert_eq!(lengths.iter().map(|length| length - 4).sum::<usize>(), 65_535);

    let mut whole = sender(104, AggfragCut::Never);
    assert_eq!(whole.inner_mtu(), 100);
    assert_eq!(whole.push(&v4(101, 1)), Err(QueueError::TooBig { limit: 100 }));
    // Octets behind the packet do not count.
    let mut padded = v4(100, 1);
    padded.push(0);
    assert_eq!(whole.push(&padded), Ok(()));
    // The path's MTU falls while it waits.
    whole.set_payload(80);
    assert_eq!(whole.push(&v4(20, 2)), Ok(()));
    assert_eq!(fill_all(&mut whole), [24]);
    assert_eq!((whole.stats().too_big, whole.stats().packets), (2, 1));

    let settings = AggfragSettings { queue_packets: 2, ..AggfragSettings::default() };
    let mut few = AggfragSender::new(settings);
    few.push(&v4(20, 1)).unwrap();
    few.push(&v4(20, 1)).unwrap();
    assert_eq!(few.push(&v4(20, 1)), Err(QueueError::Full));
}

#[test]
fn a_payload_without_room_waits_where_it_is() {
    let mut sender = sender(104, AggfragCut::Fill);
    sender.push(&v4(90, 1)).unwrap();
    let mut bytes = vec![0; 113];
    let mut packet = PacketBuf::new(&mut bytes, 10..13).unwrap();
    assert_eq!(sender.fill(&mut packet), Err(SealError::Tailroom { needed: 101, available: 100 }));
    assert_eq!((packet.range(), sender.is_empty()), (10..13, false));
    assert_eq!(fill_all(&mut sender), [94]);
    assert!(sender.is_empty());
}

#[test]
fn payloads_of_pad_go_between_pieces() {
    let mut sender = sender(104, AggfragCut::Fill);
    sender.push(&v4(150, 7)).unwrap();
    let mut inside = Inside::new();
    let mut bytes = vec![0xee; 300];
    for pad in [0, 4, 5, 1_000] {
        let mut packet = PacketBuf::new(&mut bytes, 10..20).unwrap();
        sender.fill(&mut packet).unwrap();
        inside.take(packet.payload());
        let mut packet = PacketBuf::new(&mut bytes, 10..20).unwrap();
        sender.fill_with_pad(&mut packet, pad).unwrap();
        assert_eq!(packet.len(), pad.clamp(4, 104));
        inside.take(packet.payload());
        if sender.is_empty() {
            break;
        }
    }
    assert_eq!(inside.packets, [v4(150, 7)]);
}
