//! The data path does not allocate: a counting allocator watches it.
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
#![allow(unsafe_code, reason = "a global allocator cannot be written without; the library forbids it")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::{SUITES, inbound, outbound, outer_addresses, params, suite, with_room};
use ikebana_core::Instant;
use ikebana_esp::{
    AggfragLimits, AggfragReceiver, AggfragSender, AggfragSettings, Arrived, Cpi, Delivered, EspParams,
    Family, Ipcomp, MAX_TOO_BIG, Mode, NextHeader, Outgoing, PacketBuf, ReceivedOuter, TfcPadding, clamp_mss,
    inner_flow, packet_too_big,
};

struct Counting;

thread_local! {
    /// Allocations of this thread, so that the test harness's own threads do not disturb.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // While a thread ends, its counter may be gone already.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: every call goes to the system allocator with the arguments as they came, so its guarantees hold. The
// counter is a thread-local without destructor and does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps `alloc`'s contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System` by the methods here, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: `pointer` came from `System` by the methods here, with this layout.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations that `work` makes on this thread.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.with(Cell::get);
    work();
    ALLOCATIONS.with(Cell::get) - before
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
    assert!(allocations(|| drop(std::hint::black_box(vec![0u8; 10]))) >= 1);
}

#[test]
fn no_packet_allocates_whatever_becomes_of_it() {
    for keywords in SUITES {
        for (mode, in_udp, outer) in [
            (Mode::Tunnel, false, Family::V4),
            (Mode::Tunnel, true, Family::V6),
            (Mode::Transport, true, Family::V4),
            (Mode::Transport, false, Family::V6),
        ] {
            let made = || params(suite(keywords, true), mode, in_udp, outer);
            let (mut sender, mut receiver) = (outbound(made()), inbound(made()));
            let (source, destination) = outer_addresses(outer);
            let original = common::udp_between(source, destination, 2, &common::data(700));
            let (mut bytes, range) = with_room(&original);
            let made = allocations(|| {
                for _ in 0..5 {
                    let mut packet = PacketBuf::new(&mut bytes, range.clone()).unwrap();
                    sender.encapsulate_whole(&mut packet, 1).unwrap();
                    assert_eq!(receiver.decapsulate_whole(&mut packet), Ok(Delivered::Packet));
                    assert_eq!(packet.payload(), original);

                    let mut packet = PacketBuf::new(&mut bytes, range.clone()).unwrap();
                    packet.payload_mut().copy_from_slice(&original);
                    let fields = sender.encapsulate(&mut packet).unwrap();
                    let outer = ReceivedOuter { tos: Some(fields.tos), ttl: None };
                    assert_eq!(receiver.decapsulate(&mut packet, outer), Ok(Delivered::Packet));
                    let start = range.start;
                    let mut packet = PacketBuf::new(&mut bytes, start..start + original.len()).unwrap();
                    packet.payload_mut().copy_from_slice(&original);

                    sender.seal(&mut packet, NextHeader::IPV4).unwrap();
                    packet.payload_mut()[30] ^= 1;
                    receiver.open(&mut packet).unwrap_err();
                    let mut packet = PacketBuf::new(&mut bytes, range.clone()).unwrap();
                    packet.payload_mut().copy_from_slice(&original);
                }
            });
            assert_eq!(made, 0, "{keywords} {mode:?} {outer:?}");
        }
    }
}

#[test]
fn no_batch_allocates() {
    for keywords in SUITES {
        let made = || params(suite(keywords, false), Mode::Tunnel, false, Family::V4);
        let (mut sender, mut receiver) = (outbound(made()), inbound(made()));
        let mut buffers: Vec<_> = (0..70).map(|i| with_room(&common::data(i * 20))).collect();
        let mut slots: Vec<_> = buffers
            .iter_mut()
            .map(|(bytes, range)| {
                Outgoing::new(PacketBuf::new(bytes, range.clone()).unwrap(), NextHeader::IPV4)
            })
            .collect();
        assert_eq!(allocations(|| sender.seal_batch(&mut slots)), 0, "{keywords}");
        assert!(slots.iter().all(|slot| slot.result.is_ok()));
        let mut arrived: Vec<_> = slots.into_iter().map(|slot| Arrived::new(slot.packet)).collect();
        assert_eq!(allocations(|| receiver.open_batch(&mut arrived)), 0, "{keywords}");
        assert!(arrived.iter().all(|slot| slot.result == Ok(NextHeader::IPV4)));
    }
}

#[test]
fn neither_compressing_nor_padding_nor_dummies_allocate() {
    let ipcomp = Some(Ipcomp { threshold: 0, ..Ipcomp::new(Cpi::DEFLATE) });
    let made = || EspParams {
        ipcomp,
        tfc: TfcPadding::Size(900),
        ..params(suite("aes128gcm16", true), Mode::Tunnel, false, Family::V4)
    };
    let (mut sender, mut receiver) = (outbound(made()), inbound(made()));
    // Some get shorter, some do not.
    for original in [common::udp_packet(Family::V4, 0, &[7; 700]), common::udp_packet(Family::V6, 0, &[])] {
        let mut bytes = vec![0; 2_000];
        let end = 128 + original.len();
        let made = allocations(|| {
            for _ in 0..5 {
                let mut packet = PacketBuf::new(&mut bytes, 128..end).unwrap();
                packet.payload_mut().copy_from_slice(&original);
                sender.encapsulate_whole(&mut packet, 1).unwrap();
                assert_eq!(receiver.decapsulate_whole(&mut packet), Ok(Delivered::Packet));
                assert_eq!(packet.payload(), original);
                let mut packet = PacketBuf::new(&mut bytes, 128..128).unwrap();
                sender.encapsulate_dummy(&mut packet, 500, None).unwrap();
                let outer = ReceivedOuter { tos: None, ttl: None };
                assert_eq!(receiver.decapsulate(&mut packet, outer), Ok(Delivered::Dummy));
            }
        });
        assert_eq!(made, 0);
    }
    assert_eq!(receiver.stats().decompressed, 5);
}

#[test]
fn neither_aggregating_nor_putting_together_allocates() {
    let packets: Vec<_> = (0..40).map(|i| common::udp_packet(Family::V4, 0, &common::data(i * 60))).collect();
    let mut sender = AggfragSender::new(AggfragSettings::default());
    let mut receiver = AggfragReceiver::new(AggfragLimits::default());
    let mut bytes = vec![0; 2_000];
    let (mut sequence, mut octets) = (0, 0);
    let made = allocations(|| {
        for packet in &packets {
            sender.push(packet).unwrap();
            loop {
                let mut payload = PacketBuf::new(&mut bytes, 100..100).unwrap();
                if !sender.is_ready() || !sender.fill(&mut payload).unwrap() {
                    break;
                }
                sequence += 1;
                // Every fifth comes late, every seventh not at all.
                let shown = if sequence % 5 == 0 { sequence + 1 } else { sequence };
                if sequence % 7 != 0 {
                    let deliver = &mut |packet: &[u8]| octets += packet.len();
                    receiver.handle_payload(Instant::ZERO, shown, payload.payload(), deliver);
                }
            }
        }
        receiver.flush(&mut |packet| octets += packet.len());
    });
    assert_eq!(made, 0);
    assert!(receiver.stats().joined > 3 && octets > 5_000, "{:?}", receiver.stats());
}

#[test]
fn looking_at_packets_does_not_allocate() {
    let mut packet = common::udp_packet(Family::V4, 0, &[1; 1400]);
    let mut out = [0; MAX_TOO_BIG];
    let made = allocations(|| {
        inner_flow(&packet).unwrap();
        clamp_mss(&mut packet, 1400);
        packet_too_big(&packet, [10, 0, 0, 254].into(), 1400, &mut out).unwrap();
    });
    assert_eq!(made, 0);
}

#[test]
fn no_packet_with_ah_allocates_whatever_becomes_of_it() {
    for keyword in common::ah::ALGORITHMS {
        for (mode, outer) in [
            (Mode::Tunnel, Family::V4),
            (Mode::Tunnel, Family::V6),
            (Mode::Transport, Family::V4),
            (Mode::Transport, Family::V6),
        ] {
            let made = || common::ah::params(keyword, true, mode, outer);
            let (mut sender, mut receiver) = (common::ah::outbound(made()), common::ah::inbound(made()));
            let ends = outer_addresses(outer);
            let original = match outer {
                Family::V4 => {
                    common::ah::with_options(ends, 2, 17, &[7, 7, 4, 0, 0, 0, 0, 0], &common::data(700))
                }
                Family::V6 => {
                    let chain =
                        [(0, vec![0x3e, 4, 1, 2, 3, 4]), (43, vec![0; 6]), (60, vec![1, 4, 0, 0, 0, 0])];
                    common::ah::with_extensions(ends, 2, 17, &chain, &common::data(700))
                }
            };
            let (mut bytes, range) = with_room(&original);
            let made = allocations(|| {
                for round in 0..6 {
                    let mut packet = PacketBuf::new(&mut bytes, range.clone()).unwrap();
                    packet.payload_mut().copy_from_slice(&original);
                    sender.encapsulate_whole(&mut packet, 1).unwrap();
                    if round % 2 == 1 {
                        *packet.payload_mut().last_mut().unwrap() ^= 1;
                    }
                    assert_eq!(receiver.decapsulate_whole(&mut packet).is_ok(), round % 2 == 0);
                }
            });
            assert_eq!(made, 0, "{keyword} {mode:?} {outer:?}");
        }
    }
}
