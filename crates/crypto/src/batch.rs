//! Many packets in one call, each with a cipher of its own.
//!
//! The batch is the unit of speed: what is serial within one packet is done for several at a time, whichever
//! SAs they belong to.

use crate::packet::{CipherError, Frame, PacketCipher};

/// Packets that go through the lanes together. Longer batches are cut.
pub const BATCH: usize = 32;

/// One slot of a batch.
pub struct CipherJob<'a> {
    /// The packet's cipher.
    pub cipher: &'a dyn PacketCipher,
    /// The packet.
    pub frame: Frame<'a>,
    /// How it went; whatever it holds before is overwritten.
    pub result: Result<(), CipherError>,
}

impl<'a> CipherJob<'a> {
    /// A slot that waits for its turn.
    #[must_use]
    pub const fn new(cipher: &'a dyn PacketCipher, frame: Frame<'a>) -> Self {
        Self { cipher, frame, result: Ok(()) }
    }
}

/// Seals every frame and leaves a result in each slot: the same octets as [`PacketCipher::seal`] of one after the
/// other, in less time.
pub fn seal_batch(jobs: &mut [CipherJob<'_>]) {
    for jobs in jobs.chunks_mut(BATCH) {
        #[cfg(target_arch = "x86_64")]
        crate::accelerated::seal_batch(jobs);
        alone(jobs, |cipher, run| cipher.seal_run(run));
    }
}

/// Opens every frame and leaves a result in each slot: the same as [`PacketCipher::open`] of one after the other,
/// in less time.
pub fn open_batch(jobs: &mut [CipherJob<'_>]) {
    for jobs in jobs.chunks_mut(BATCH) {
        #[cfg(target_arch = "x86_64")]
        crate::accelerated::open_batch(jobs);
        alone(jobs, |cipher, run| cipher.open_run(run));
    }
}

/// Calls `work` for each run of jobs that have the same cipher, and one that goes through no lanes.
fn alone(jobs: &mut [CipherJob<'_>], work: impl Fn(&dyn PacketCipher, &mut [CipherJob<'_>])) {
    for run in jobs.chunk_by_mut(|one, other| core::ptr::eq(one.cipher, other.cipher)) {
        let Some(cipher) = run.first().map(|job| job.cipher) else { continue };
        if cipher.lanes().is_none() {
            work(cipher, run);
        }
    }
}

/// There are no kernels for this processor, so no cipher goes through lanes.
#[cfg(not(target_arch = "x86_64"))]
pub enum LaneCipher {}
#[cfg(target_arch = "x86_64")]
pub use crate::accelerated::LaneCipher;
