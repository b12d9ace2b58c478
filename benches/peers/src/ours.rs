//! Ourselves: the whole ESP operation, and its ciphers alone.

use arrayvec::ArrayVec;
use ikebana_crypto::{CipherJob, CryptoProvider, Frame, PacketCipher};
use ikebana_esp::{Arrived, InboundSa, NextHeader, OutboundSa, Outgoing, PacketBuf, open_batch, seal_batch};

use crate::contender::{Contender, Row};
use crate::workload::{ESP_HEADER, Packets, ROUND, Workload};

/// Framing, IV, padding, sequence numbers, ciphers, ICV, counters; replay window and padding check on opening.
pub(crate) struct Whole {
    senders: Vec<OutboundSa>,
    receivers: Vec<InboundSa>,
    many_sas: bool,
    packets: Packets,
}

impl Whole {
    pub(crate) fn new(workload: &Workload) -> Self {
        let provider = CryptoProvider::fastest();
        let (senders, receivers) = workload.sas().map(|sa| workload.suite.pair(sa, &provider)).unzip();
        Self { senders, receivers, many_sas: workload.many_sas, packets: workload.packets() }
    }
}

impl Contender for Whole {
    fn name(&self) -> String {
        "ikebana".into()
    }

    fn row(&self) -> Row {
        Row::Whole
    }

    fn seal(&mut self, batch: usize) {
        let mut packets = self
            .packets
            .iter_mut()
            .map(|(buffer, payload)| PacketBuf::new(buffer, payload).expect("a packet in its buffer"));
        for start in (0..ROUND).step_by(batch) {
            if self.many_sas {
                let packets = packets.by_ref().take(batch).zip(start..);
                let mut slots: ArrayVec<_, ROUND> =
                    packets.map(|(packet, sa)| Outgoing::of(sa, packet, NextHeader::IPV4)).collect();
                seal_batch(&mut *self.senders, &mut slots);
                assert!(slots.iter().all(|slot| slot.result.is_ok()));
            } else {
                let packets = packets.by_ref().take(batch);
                let mut slots: ArrayVec<_, ROUND> =
                    packets.map(|packet| Outgoing::new(packet, NextHeader::IPV4)).collect();
                self.senders[0].seal_batch(&mut slots);
                assert!(slots.iter().all(|slot| slot.result.is_ok()));
            }
        }
    }

    fn open(&mut self, batch: usize) {
        let mut packets = self
            .packets
            .sealed_mut()
            .map(|(buffer, frame)| PacketBuf::new(buffer, frame).expect("a packet in its buffer"));
        for start in (0..ROUND).step_by(batch) {
            if self.many_sas {
                let packets = packets.by_ref().take(batch).zip(start..);
                let mut slots: ArrayVec<_, ROUND> =
                    packets.map(|(packet, sa)| Arrived::of(sa, packet)).collect();
                open_batch(&mut *self.receivers, &mut slots);
                assert!(slots.iter().all(|slot| slot.result == Ok(NextHeader::IPV4)));
            } else {
                let mut slots: ArrayVec<_, ROUND> = packets.by_ref().take(batch).map(Arrived::new).collect();
                self.receivers[0].open_batch(&mut slots);
                assert!(slots.iter().all(|slot| slot.result == Ok(NextHeader::IPV4)));
            }
        }
    }

    fn packets(&mut self) -> &mut Packets {
        &mut self.packets
    }

    /// Sequence numbers and IVs are our own, so the octets are not everybody's: the portable provider has to be
    /// able to open them.
    fn check(&mut self, workload: &Workload) {
        self.packets.load(&workload.plain);
        self.seal(ROUND);
        let portable = CryptoProvider::rust_crypto();
        let mut receivers: Vec<_> = workload.sas().map(|sa| workload.suite.pair(sa, &portable).1).collect();
        let front = ESP_HEADER + workload.shape.iv_len;
        for (index, (frame, plain)) in self.packets.frames_mut().zip(&workload.plain).enumerate() {
            let mut frame = frame.to_vec();
            let mut packet = PacketBuf::full(&mut frame);
            let opened = receivers[workload.sa_of(index)].open(&mut packet);
            assert_eq!(opened, Ok(NextHeader::IPV4));
            assert!(plain[front..].starts_with(packet.payload()), "the payload has changed");
        }
        self.open(ROUND);
        for (index, ((buffer, payload), plain)) in self.packets.iter_mut().zip(&workload.plain).enumerate() {
            assert!(plain[front..].starts_with(&buffer[payload]), "packet {index} has changed");
        }
    }
}

/// [`ikebana_crypto::seal_batch`] and [`ikebana_crypto::open_batch`] alone.
pub(crate) struct Bare {
    ciphers: Vec<Box<dyn PacketCipher>>,
    many_sas: bool,
    packets: Packets,
}

impl Bare {
    pub(crate) fn new(workload: &Workload) -> Self {
        let provider = CryptoProvider::fastest();
        let ciphers = workload.sas().map(|sa| workload.suite.cipher(sa, &provider)).collect();
        Self { ciphers, many_sas: workload.many_sas, packets: workload.packets() }
    }

    fn run(&mut self, batch: usize, work: impl Fn(&mut [CipherJob<'_>])) {
        let mut frames = self.packets.frames_mut();
        for start in (0..ROUND).step_by(batch) {
            let jobs = frames.by_ref().take(batch).zip(start..).map(|(bytes, index)| {
                let cipher = &*self.ciphers[if self.many_sas { index } else { 0 }];
                CipherJob::new(cipher, Frame { bytes, header_len: ESP_HEADER, esn_high: None })
            });
            let mut jobs: ArrayVec<_, ROUND> = jobs.collect();
            work(&mut jobs);
            assert!(jobs.iter().all(|job| job.result.is_ok()));
        }
    }
}

impl Contender for Bare {
    fn name(&self) -> String {
        "ikebana, ciphers alone".into()
    }

    fn row(&self) -> Row {
        Row::Bare
    }

    fn seal(&mut self, batch: usize) {
        self.run(batch, ikebana_crypto::seal_batch);
    }

    fn open(&mut self, batch: usize) {
        self.run(batch, ikebana_crypto::open_batch);
    }

    fn packets(&mut self) -> &mut Packets {
        &mut self.packets
    }
}
