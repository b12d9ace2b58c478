//! No packet costs an allocation.
#![allow(unsafe_code, clippy::unwrap_used, reason = "an allocator that counts is an unsafe trait")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::{Mixing, all_combinations, providers};
use ikebana_crypto::{CipherError, CipherJob, CipherKeys, Frame, IvGenerator, open_batch, seal_batch};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system's allocator as it came; counting touches a thread-local that
// is constant-initialized and has no destructor, so it allocates nothing itself.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps `GlobalAlloc::alloc`'s contract, which is the system's as well.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `alloc` above, so from the system, with the same layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn sealing_opening_and_refusing_packets_allocates_nothing() {
    for (backend, provider) in providers() {
        for (encryption, integrity) in all_combinations() {
            let lengths = provider.key_lengths(Some(encryption), integrity).unwrap();
            let keys = CipherKeys {
                encryption: &vec![1; lengths.encryption],
                integrity: &vec![2; lengths.integrity],
            };
            let cipher = provider.packet_cipher(encryption, integrity, &keys).unwrap();
            let shape = cipher.shape();
            let mut ivs = IvGenerator::new(&mut Mixing(1));
            let mut packets = vec![vec![3; 8 + shape.overhead() + 1408]; 20];
            let mut batch: Vec<CipherJob<'_>> = packets
                .iter_mut()
                .map(|bytes| CipherJob::new(&*cipher, Frame { bytes, header_len: 8, esn_high: Some(1) }))
                .collect();

            let before = ALLOCATIONS.get();
            seal_batch(&mut batch);
            let sealed = batch.iter().all(|job| job.result.is_ok());
            open_batch(&mut batch);
            let opened = batch.iter().all(|job| job.result.is_ok());
            let forged = batch.first_mut().map(|job| {
                let (_, rest) = job.frame.bytes.split_at_mut(8);
                shape.write_iv(rest, 9, &mut ivs);
                let sealed = cipher.seal(job.frame.reborrow());
                job.frame.esn_high = None;
                sealed.and_then(|()| cipher.open(job.frame.reborrow()))
            });
            let allocations = ALLOCATIONS.get() - before;

            assert!(sealed && opened, "{backend} {encryption} {integrity:?}");
            assert_eq!(forged, Some(Err(CipherError::Forged)));
            assert_eq!(allocations, 0, "{backend} {encryption} {integrity:?}");
        }
    }
}
