//! Batches: many packets, of one SA or of several, in one call.
//!
//! A batch goes through three passes. Each packet is admitted by its SA, one after the other: sequence numbers,
//! limits and the replay window are the SA's alone. Then all of them go to their ciphers together. Then each SA
//! learns how its packets went.

use arrayvec::ArrayVec;
use ikebana_crypto::CipherJob;

use crate::buffer::PacketBuf;
use crate::error::{NextHeader, OpenError, SealError};
use crate::inbound::InboundSa;
use crate::outbound::OutboundSa;

/// Packets that go to the ciphers in one call. Longer batches are cut; the slots live on the stack.
pub(crate) const BATCH: usize = 32;

/// A payload to be sealed, and how that went.
#[derive(Debug)]
pub struct Outgoing<'a, Id = ()> {
    /// Its SA, as [`OutboundSas`] calls it.
    pub sa: Id,
    /// The payload; afterwards the ESP packet, starting with its SPI.
    pub packet: PacketBuf<'a>,
    /// What the payload is.
    pub next: NextHeader,
    /// How it went; whatever it holds before is overwritten.
    pub result: Result<(), SealError>,
}

impl<'a> Outgoing<'a> {
    /// A slot that waits for its turn, in a batch of one SA.
    #[must_use]
    pub const fn new(packet: PacketBuf<'a>, next: NextHeader) -> Self {
        Self::of((), packet, next)
    }
}

impl<'a, Id> Outgoing<'a, Id> {
    /// A slot that waits for its turn, in a batch of several SAs.
    #[must_use]
    pub const fn of(sa: Id, packet: PacketBuf<'a>, next: NextHeader) -> Self {
        Self { sa, packet, next, result: Ok(()) }
    }
}

/// A received packet to be opened, and how that went.
#[derive(Debug)]
pub struct Arrived<'a, Id = ()> {
    /// Its SA, as [`InboundSas`] calls it.
    pub sa: Id,
    /// The ESP packet, starting with its SPI; afterwards the payload.
    pub packet: PacketBuf<'a>,
    /// The packet's full sequence number, once it was opened; 0 before.
    pub sequence: u64,
    /// How it went; whatever it holds before is overwritten.
    pub result: Result<NextHeader, OpenError>,
}

impl<'a> Arrived<'a> {
    /// A slot that waits for its turn, in a batch of one SA.
    #[must_use]
    pub const fn new(packet: PacketBuf<'a>) -> Self {
        Self::of((), packet)
    }
}

impl<'a, Id> Arrived<'a, Id> {
    /// A slot that waits for its turn, in a batch of several SAs.
    #[must_use]
    pub const fn of(sa: Id, packet: PacketBuf<'a>) -> Self {
        Self { sa, packet, sequence: 0, result: Ok(NextHeader::NONE) }
    }
}

/// Where the outbound SAs of a batch are: one SA, a slice of them by index, or the caller's own table.
pub trait OutboundSas {
    /// Names an SA.
    type Id: Copy;
    /// The SA with this name.
    fn outbound_sa(&self, id: Self::Id) -> Option<&OutboundSa>;
    /// The SA with this name.
    fn outbound_sa_mut(&mut self, id: Self::Id) -> Option<&mut OutboundSa>;
}

impl OutboundSas for OutboundSa {
    type Id = ();
    fn outbound_sa(&self, (): ()) -> Option<&OutboundSa> {
        Some(self)
    }
    fn outbound_sa_mut(&mut self, (): ()) -> Option<&mut OutboundSa> {
        Some(self)
    }
}

impl OutboundSas for [OutboundSa] {
    type Id = usize;
    fn outbound_sa(&self, id: usize) -> Option<&OutboundSa> {
        self.get(id)
    }
    fn outbound_sa_mut(&mut self, id: usize) -> Option<&mut OutboundSa> {
        self.get_mut(id)
    }
}

/// Where the inbound SAs of a batch are: one SA, a slice of them by index, or the caller's own table.
pub trait InboundSas {
    /// Names an SA.
    type Id: Copy;
    /// The SA with this name.
    fn inbound_sa(&self, id: Self::Id) -> Option<&InboundSa>;
    /// The SA with this name.
    fn inbound_sa_mut(&mut self, id: Self::Id) -> Option<&mut InboundSa>;
}

impl InboundSas for InboundSa {
    type Id = ();
    fn inbound_sa(&self, (): ()) -> Option<&InboundSa> {
        Some(self)
    }
    fn inbound_sa_mut(&mut self, (): ()) -> Option<&mut InboundSa> {
        Some(self)
    }
}

impl InboundSas for [InboundSa] {
    type Id = usize;
    fn inbound_sa(&self, id: usize) -> Option<&InboundSa> {
        self.get(id)
    }
    fn inbound_sa_mut(&mut self, id: usize) -> Option<&mut InboundSa> {
        self.get_mut(id)
    }
}

/// Seals every payload for its SA and leaves a result in each slot: the same octets as [`OutboundSa::seal`] of
/// one after the other, in less time.
pub fn seal_batch<S: OutboundSas + ?Sized>(sas: &mut S, packets: &mut [Outgoing<'_, S::Id>]) {
    for chunk in packets.chunks_mut(BATCH) {
        seal_chunk(sas, chunk);
    }
}

fn seal_chunk<S: OutboundSas + ?Sized>(sas: &mut S, chunk: &mut [Outgoing<'_, S::Id>]) {
    let mut admitted = [None; BATCH];
    for (slot, admitted) in chunk.iter_mut().zip(&mut admitted) {
        let sa = sas.outbound_sa_mut(slot.sa).ok_or(SealError::NoSa);
        match sa.and_then(|sa| sa.admit(&mut slot.packet, slot.next)) {
            Ok(how) => {
                *admitted = Some(how);
                // Until it is sealed. Nothing else may call it so, whatever becomes of its SA.
                slot.result = Err(SealError::NoSa);
            }
            Err(error) => slot.result = Err(error),
        }
    }
    let mut jobs: ArrayVec<CipherJob<'_>, BATCH> = ArrayVec::new();
    for (slot, admitted) in chunk.iter_mut().zip(&mut admitted) {
        let (Some((sequence, _)), Some(sa)) = (*admitted, sas.outbound_sa(slot.sa)) else {
            *admitted = None;
            continue;
        };
        let key = sa.key();
        jobs.push(CipherJob::new(&*key.cipher, key.cipher_frame(sequence, &mut slot.packet)));
    }
    ikebana_crypto::seal_batch(&mut jobs);
    let results: ArrayVec<_, BATCH> = jobs.into_iter().map(|job| job.result).collect();
    let admitted = chunk.iter_mut().zip(admitted).filter_map(|(slot, how)| how.map(|how| (slot, how)));
    for ((slot, (_, layout)), result) in admitted.zip(results) {
        let Some(sa) = sas.outbound_sa_mut(slot.sa) else { continue };
        slot.result = sa.finish(layout, &mut slot.packet, result.map_err(SealError::Cipher));
    }
}

/// Opens every packet with its SA and leaves a result in each slot: the same as [`InboundSa::open`] of one after
/// the other, in less time.
pub fn open_batch<S: InboundSas + ?Sized>(sas: &mut S, packets: &mut [Arrived<'_, S::Id>]) {
    for chunk in packets.chunks_mut(BATCH) {
        open_chunk(sas, chunk);
    }
}

fn open_chunk<S: InboundSas + ?Sized>(sas: &mut S, chunk: &mut [Arrived<'_, S::Id>]) {
    let mut checked = [None; BATCH];
    for (slot, checked) in chunk.iter_mut().zip(&mut checked) {
        let sa = sas.inbound_sa_mut(slot.sa).ok_or(OpenError::NoSa);
        match sa.and_then(|sa| sa.check(&slot.packet)) {
            Ok(sequence) => {
                *checked = Some(sequence);
                // Until it is opened. Nothing else may call it so, whatever becomes of its SA.
                slot.result = Err(OpenError::NoSa);
            }
            Err(error) => slot.result = Err(error),
        }
        slot.sequence = 0;
    }
    let mut jobs: ArrayVec<CipherJob<'_>, BATCH> = ArrayVec::new();
    for (slot, checked) in chunk.iter_mut().zip(&mut checked) {
        let (Some(sequence), Some(sa)) = (*checked, sas.inbound_sa(slot.sa)) else {
            *checked = None;
            continue;
        };
        let key = sa.key();
        jobs.push(CipherJob::new(&*key.cipher, key.cipher_frame(sequence, &mut slot.packet)));
    }
    ikebana_crypto::open_batch(&mut jobs);
    let results: ArrayVec<_, BATCH> = jobs.into_iter().map(|job| job.result).collect();
    let checked = chunk.iter_mut().zip(checked).filter_map(|(slot, at)| at.map(|at| (slot, at)));
    for ((slot, sequence), result) in checked.zip(results) {
        let Some(sa) = sas.inbound_sa_mut(slot.sa) else { continue };
        slot.result = sa.finish(sequence, &mut slot.packet, result.map_err(|_| OpenError::Forged));
        slot.sequence = if slot.result.is_ok() { sequence } else { 0 };
    }
}
