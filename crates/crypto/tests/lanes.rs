//! Batches of packets of many SAs: the same octets as one packet at a time on the portable backend.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a helper of a test may fail as the test does"
)]

mod common;

use common::{Mixing, all_combinations, providers};
use ikebana_core::SecureRandom;
use ikebana_crypto::{
    CipherError, CipherJob, CipherKeys, CryptoProvider, Frame, PacketCipher, open_batch, seal_batch,
};
use ikebana_proposals::{Encryption, IntegrityId};
use proptest::prelude::*;

const HEADER: usize = 8;

/// A packet of a batch.
#[derive(Clone, Debug)]
struct Packet {
    /// Which SA it belongs to.
    sa: usize,
    /// Blocks of text, or octets where the cipher has no blocks.
    units: usize,
    esn_high: Option<u32>,
    /// Whether an octet is changed on the way.
    forged: bool,
}

fn packet() -> impl Strategy<Value = Packet> {
    let units = prop_oneof![0_usize..6, 0_usize..100, 0_usize..300];
    (any::<usize>(), units, any::<Option<u32>>(), prop::bool::weighted(0.1))
        .prop_map(|(sa, units, esn_high, forged)| Packet { sa, units, esn_high, forged })
}

fn make(
    provider: &CryptoProvider,
    (encryption, integrity): (Encryption, Option<IntegrityId>),
    seed: u64,
) -> Box<dyn PacketCipher> {
    let lengths = provider.key_lengths(Some(encryption), integrity).unwrap();
    let (mut key, mut mac_key) = (vec![0; lengths.encryption], vec![0; lengths.integrity]);
    let rng = &mut Mixing(seed);
    rng.fill_secret(&mut key);
    rng.fill_secret(&mut mac_key);
    provider
        .packet_cipher(encryption, integrity, &CipherKeys { encryption: &key, integrity: &mac_key })
        .unwrap()
}

fn jobs<'a>(
    sas: &'a [Box<dyn PacketCipher>],
    packets: &[Packet],
    buffers: &'a mut [Vec<u8>],
) -> Vec<CipherJob<'a>> {
    packets
        .iter()
        .zip(buffers)
        .map(|(packet, bytes)| {
            let frame = Frame { bytes, header_len: HEADER, esn_high: packet.esn_high };
            CipherJob::new(&*sas[packet.sa % sas.len()], frame)
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_batch_of_many_sas_is_what_each_packet_alone_is(
        suites in prop::collection::vec((prop::sample::select(all_combinations()), any::<u64>()), 1..12),
        packets in prop::collection::vec(packet(), 0..70),
    ) {
        let portable = CryptoProvider::rust_crypto();
        let alone: Vec<_> = suites.iter().map(|&(suite, seed)| make(&portable, suite, seed)).collect();
        let plain: Vec<Vec<u8>> = packets.iter().enumerate().map(|(at, packet)| {
            let shape = alone[packet.sa % alone.len()].shape();
            let mut bytes = vec![0; HEADER + shape.overhead() + packet.units * shape.block_len];
            Mixing(at as u64).fill_public(&mut bytes);
            bytes
        }).collect();
        let sealed: Vec<Vec<u8>> = packets.iter().zip(&plain).map(|(packet, plain)| {
            let mut bytes = plain.clone();
            let frame = Frame { bytes: &mut bytes, header_len: HEADER, esn_high: packet.esn_high };
            alone[packet.sa % alone.len()].seal(frame).unwrap();
            bytes
        }).collect();

        for (backend, provider) in providers() {
            let sas: Vec<_> = suites.iter().map(|&(suite, seed)| make(&provider, suite, seed)).collect();
            let mut buffers = plain.clone();
            let mut batch = jobs(&sas, &packets, &mut buffers);
            seal_batch(&mut batch);
            prop_assert!(batch.iter().all(|job| job.result.is_ok()), "{}", backend);
            prop_assert_eq!(&buffers, &sealed, "{}", backend);

            for (packet, bytes) in packets.iter().zip(&mut buffers) {
                let at = packet.units % bytes.len();
                bytes[at] ^= u8::from(packet.forged);
            }
            let received = buffers.clone();
            let mut batch = jobs(&sas, &packets, &mut buffers);
            open_batch(&mut batch);
            let results: Vec<_> = batch.into_iter().map(|job| job.result).collect();
            for (at, packet) in packets.iter().enumerate() {
                let shape = sas[packet.sa % sas.len()].shape();
                let text_end = plain[at].len() - shape.icv_len;
                if packet.forged {
                    prop_assert_eq!(results[at], Err(CipherError::Forged), "{}", backend);
                    let text = HEADER + shape.iv_len..text_end;
                    let nothing = received[at][text.clone()] == buffers[at][text.clone()]
                        || buffers[at][text].iter().all(|&octet| octet == 0);
                    prop_assert!(nothing, "plaintext of a forged packet, {}", backend);
                } else {
                    prop_assert_eq!(results[at], Ok(()), "{}", backend);
                    prop_assert_eq!(&buffers[at][..text_end], &plain[at][..text_end], "{}", backend);
                }
            }
        }
    }
}

/// Every number of lanes, with lengths that all differ, and with lengths that are all the same.
#[test]
fn every_number_of_packets_fills_the_lanes_right() {
    let portable = CryptoProvider::rust_crypto();
    for suite in all_combinations() {
        let alone = make(&portable, suite, 5);
        let shape = alone.shape();
        for (backend, provider) in providers() {
            let sas = [make(&provider, suite, 5)];
            for count in 0..=40 {
                for step in [0, 1] {
                    let mut buffers: Vec<Vec<u8>> = (0..count)
                        .map(|at| {
                            vec![at as u8; HEADER + shape.overhead() + (4 + step * at) * shape.block_len]
                        })
                        .collect();
                    let expected: Vec<Vec<u8>> = buffers
                        .iter()
                        .map(|bytes| {
                            let mut bytes = bytes.clone();
                            let frame = Frame { bytes: &mut bytes, header_len: HEADER, esn_high: None };
                            alone.seal(frame).unwrap();
                            bytes
                        })
                        .collect();
                    let frame = |bytes| Frame { bytes, header_len: HEADER, esn_high: None };
                    let mut batch: Vec<_> =
                        buffers.iter_mut().map(|bytes| CipherJob::new(&*sas[0], frame(bytes))).collect();
                    seal_batch(&mut batch);
                    assert_eq!(buffers, expected, "{backend} {suite:?} {count} packets");
                }
            }
        }
    }
}

#[test]
fn a_frame_that_does_not_fit_leaves_its_neighbours_alone() {
    let suite = all_combinations().into_iter().find(|(encryption, _)| !encryption.is_aead()).unwrap();
    for (_, provider) in providers() {
        let sas = [make(&provider, suite, 6)];
        let shape = sas[0].shape();
        let mut buffers = vec![vec![1; HEADER + shape.overhead() + 4 * shape.block_len]; 5];
        buffers[1].truncate(3);
        let packets = vec![Packet { sa: 0, units: 4, esn_high: None, forged: false }; 5];
        for work in [seal_batch, open_batch] {
            let mut batch = jobs(&sas, &packets, &mut buffers);
            work(&mut batch);
            for (at, job) in batch.iter().enumerate() {
                let expected = if at == 1 { Err(CipherError::Layout) } else { Ok(()) };
                assert_eq!(job.result, expected);
            }
        }
    }
}
