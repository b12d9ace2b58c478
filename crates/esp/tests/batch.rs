//! A batch is the same as its packets one after the other.
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

use common::{SUITES, inbound, outbound, params, suite, with_room};
use ikebana_esp::{
    Arrived, Family, InboundSa, Mode, NextHeader, OpenError, OutboundSa, Outgoing, PacketBuf, SealError,
    open_batch, seal_batch,
};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn sealing_and_opening_in_batches_gives_the_same_octets_results_and_counters(
        keywords in proptest::sample::select(&SUITES[..]),
        esn: bool,
        start in prop_oneof![Just(0u64), Just(0xffff_fff0)],
        lengths in proptest::collection::vec(0usize..300, 0..80),
        // Packets without tailroom, which fail in the middle of a batch.
        cramped in proptest::collection::vec(proptest::bool::weighted(0.1), 80),
        // What the network does: repeats, reorders and damages.
        deliveries in proptest::collection::vec((any::<prop::sample::Index>(), 0u8..8), 0..100),
    ) {
        let made = || params(suite(keywords, esn), Mode::Tunnel, false, Family::V4);
        let (mut single, mut batch) = (outbound(made()), outbound(made()));
        single.resume_after(start);
        batch.resume_after(start);
        let mut buffers: Vec<_> = lengths
            .iter()
            .zip(&cramped)
            .map(|(&length, &cramped)| {
                let (mut bytes, range) = with_room(&common::data(length));
                if cramped {
                    bytes.truncate(range.end);
                }
                (bytes, range)
            })
            .collect();

        let mut wires = Vec::new();
        let mut results = Vec::new();
        for (mut bytes, range) in buffers.clone() {
            let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
            results.push(single.seal(&mut packet, NextHeader::IPV4));
            wires.push(packet.payload().to_vec());
        }
        let mut slots: Vec<_> = buffers
            .iter_mut()
            .map(|(bytes, range)| {
                Outgoing::new(PacketBuf::new(bytes, range.clone()).unwrap(), NextHeader::IPV4)
            })
            .collect();
        batch.seal_batch(&mut slots);
        for ((slot, wire), result) in slots.iter().zip(&wires).zip(&results) {
            prop_assert_eq!(&slot.result, result);
            prop_assert_eq!(slot.packet.payload(), &wire[..]);
        }
        prop_assert_eq!(single.stats(), batch.stats());
        prop_assert_eq!(single.last_sequence(), batch.last_sequence());

        let sealed: Vec<_> = wires.iter().zip(&results).filter(|(_, r)| r.is_ok()).map(|(w, _)| w).collect();
        if sealed.is_empty() {
            return Ok(());
        }
        let arrivals: Vec<Vec<u8>> = deliveries
            .iter()
            .map(|(index, damage)| {
                let mut wire = (*index.get(&sealed)).clone();
                match damage {
                    0 => *wire.last_mut().unwrap() ^= 1,
                    1 => wire[0] ^= 1,
                    2 => wire.truncate(11),
                    _ => {}
                }
                wire
            })
            .collect();
        let (mut single, mut batch) = (inbound(made()), inbound(made()));
        // Both windows stand where the sender's packets are.
        if start > 0 {
            single.commit(start, 0).unwrap();
            batch.commit(start, 0).unwrap();
        }
        let mut opened = arrivals.clone();
        let singly: Vec<_> = opened
            .iter_mut()
            .map(|wire| {
                let mut packet = PacketBuf::full(wire);
                let result = single.open(&mut packet);
                (result, packet.payload().to_vec())
            })
            .collect();
        let mut received = arrivals.clone();
        let mut slots: Vec<_> =
            received.iter_mut().map(|wire| Arrived::new(PacketBuf::full(wire))).collect();
        batch.open_batch(&mut slots);
        for (slot, (result, payload)) in slots.iter().zip(&singly) {
            prop_assert_eq!(&slot.result, result);
            if result.is_ok() {
                prop_assert_eq!(slot.packet.payload(), &payload[..]);
            }
        }
        prop_assert_eq!(single.stats(), batch.stats());
        prop_assert_eq!(single.highest_sequence(), batch.highest_sequence());
    }

    #[test]
    fn a_batch_of_many_sas_is_what_each_sa_does_alone(
        suites in proptest::collection::vec((proptest::sample::select(&SUITES[..]), any::<bool>()), 1..9),
        packets in proptest::collection::vec((any::<prop::sample::Index>(), 0usize..1500), 0..80),
        damaged in any::<prop::sample::Index>(),
    ) {
        let made = |at: usize| params(suite(suites[at].0, suites[at].1), Mode::Tunnel, false, Family::V4);
        let of_sa = |index: &prop::sample::Index| index.index(suites.len());
        let mut alone: Vec<OutboundSa> = (0..suites.len()).map(|at| outbound(made(at))).collect();
        let mut together: Vec<OutboundSa> = (0..suites.len()).map(|at| outbound(made(at))).collect();
        let mut buffers: Vec<_> =
            packets.iter().map(|&(_, length)| with_room(&common::data(length))).collect();
        let wires: Vec<Vec<u8>> = buffers.clone().into_iter().zip(&packets).map(|((mut bytes, range), (index, _))| {
            let mut packet = PacketBuf::new(&mut bytes, range).unwrap();
            alone[of_sa(index)].seal(&mut packet, NextHeader::IPV4).unwrap();
            packet.payload().to_vec()
        }).collect();
        let mut slots: Vec<_> = buffers.iter_mut().zip(&packets).map(|((bytes, range), (index, _))| {
            let packet = PacketBuf::new(bytes, range.clone()).unwrap();
            Outgoing::of(of_sa(index), packet, NextHeader::IPV4)
        }).collect();
        seal_batch(&mut together[..], &mut slots);
        for (slot, wire) in slots.iter().zip(&wires) {
            prop_assert_eq!(slot.result, Ok(()));
            prop_assert_eq!(slot.packet.payload(), &wire[..]);
        }

        let mut received = wires.clone();
        let damaged = (!received.is_empty()).then(|| damaged.index(received.len()));
        if let Some(at) = damaged {
            *received[at].last_mut().unwrap() ^= 1;
        }
        let mut receivers: Vec<InboundSa> = (0..suites.len()).map(|at| inbound(made(at))).collect();
        let mut slots: Vec<_> = received.iter_mut().zip(&packets)
            .map(|(bytes, (index, _))| Arrived::of(of_sa(index), PacketBuf::full(bytes)))
            .collect();
        open_batch(&mut receivers[..], &mut slots);
        let mut expected_sequence = vec![0; suites.len()];
        for (at, (slot, (index, length))) in slots.iter().zip(&packets).enumerate() {
            expected_sequence[of_sa(index)] += 1;
            if damaged == Some(at) {
                prop_assert_eq!(slot.result, Err(OpenError::Forged));
                prop_assert_eq!(slot.sequence, 0);
            } else {
                prop_assert_eq!(slot.result, Ok(NextHeader::IPV4));
                prop_assert_eq!(slot.packet.payload(), &common::data(*length)[..]);
                prop_assert_eq!(slot.sequence, expected_sequence[of_sa(index)]);
            }
        }
        for (alone, together) in alone.iter().zip(&together) {
            prop_assert_eq!(alone.stats(), together.stats());
        }
    }
}

#[test]
fn a_name_that_no_sa_has_is_an_error_of_its_slot_alone() {
    let made = || params(suite("aes128-sha1", false), Mode::Tunnel, false, Family::V4);
    let (mut senders, mut receivers) = ([outbound(made())], [inbound(made())]);
    let mut buffers = [with_room(&common::data(40)), with_room(&common::data(40))];
    let mut slots: Vec<_> = buffers
        .iter_mut()
        .enumerate()
        .map(|(at, (bytes, range))| {
            Outgoing::of(at, PacketBuf::new(bytes, range.clone()).unwrap(), NextHeader::IPV4)
        })
        .collect();
    seal_batch(&mut senders[..], &mut slots);
    assert_eq!([slots[0].result, slots[1].result], [Ok(()), Err(SealError::NoSa)]);
    let mut wires = [slots[0].packet.payload().to_vec(), slots[0].packet.payload().to_vec()];
    let mut slots: Vec<_> =
        wires.iter_mut().enumerate().map(|(at, bytes)| Arrived::of(at, PacketBuf::full(bytes))).collect();
    open_batch(&mut receivers[..], &mut slots);
    assert_eq!([slots[0].result, slots[1].result], [Ok(NextHeader::IPV4), Err(OpenError::NoSa)]);
}
