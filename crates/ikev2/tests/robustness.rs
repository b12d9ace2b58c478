//! Damaged messages are errors or other messages: never a panic, and never much memory.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::recordings;
use ikebana_ikev2::wire::limits::MAX_PAYLOADS;
use ikebana_ikev2::wire::{
    Envelope, PayloadType, encode_clear, envelope, open, open_fragment, parse_chain, parse_clear,
};
use ikebana_testkit::mutations;

/// Counts the octets that this thread holds, and the most it held.
struct Counting;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on unchanged to the system's allocator; the counters do not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.with(|held| {
            held.set(held.get().saturating_add(layout.size()));
            MOST.with(|most| most.set(most.get().max(held.get())));
        });
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.with(|held| held.set(held.get().saturating_sub(layout.size())));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most octets that were allocated at a time while `work` ran, on top of those before.
fn most_allocated(work: impl FnOnce()) -> usize {
    let before = HELD.with(Cell::get);
    MOST.with(|most| most.set(before));
    work();
    MOST.with(Cell::get).saturating_sub(before)
}

/// Memory for what a message of this length may be read into.
///
/// A transform of 8 octets becomes a value of 12 in a vector that may have doubled; a payload of 4 octets an
/// entry of the list of payloads, of which there are at most `MAX_PAYLOADS`.
fn bound(length: usize) -> usize {
    length * 8 + MAX_PAYLOADS * 2 * 128 + 1_024
}

#[test]
fn damaged_messages_are_read_or_refused_within_bounded_memory() {
    for recording in recordings() {
        for frame in &recording.frames {
            for (mutation, octets) in mutations(&frame.octets) {
                let most = most_allocated(|| {
                    let _ = envelope(&octets);
                    if let Ok(message) = parse_clear(&octets) {
                        assert!(message.payloads.len() <= MAX_PAYLOADS);
                    }
                });
                assert!(
                    most <= bound(octets.len()),
                    "{} frame {} {mutation}: {most} octets",
                    recording.name,
                    frame.number
                );
            }
        }
    }
}

#[test]
fn damaged_content_is_read_or_refused_within_bounded_memory() {
    for recording in recordings() {
        for frame in &recording.frames {
            let (Some(text), Some(inner)) = (&frame.plaintext, &frame.inner) else { continue };
            let first = inner.first().map_or(PayloadType::NONE, |kind| PayloadType(*kind));
            for (mutation, text) in mutations(text) {
                let most = most_allocated(|| {
                    let _ = parse_chain(first, &text);
                });
                assert!(most <= bound(text.len()), "{} frame {} {mutation}", recording.name, frame.number);
            }
        }
    }
}

#[test]
fn what_is_read_of_a_damaged_message_survives_being_written() {
    for recording in recordings() {
        for frame in &recording.frames {
            for (mutation, octets) in mutations(&frame.octets) {
                let Ok(message) = parse_clear(&octets) else { continue };
                let mut expected = message.clone();
                // What is of unknown type was left out, as documented.
                for payload in &mut expected.payloads {
                    use ikebana_ikev2::wire::Payload::{Sa, TsInitiator, TsResponder};
                    if let TsInitiator(selectors) | TsResponder(selectors) = payload {
                        selectors.skipped = 0;
                    }
                    if let Sa(sa) = payload {
                        let transforms = sa.proposals.iter_mut().flat_map(|one| &mut one.transforms);
                        transforms.for_each(|transform| transform.unknown_attributes = false);
                    }
                }
                let written = encode_clear(&message.header, &message.payloads).unwrap();
                let again = parse_clear(&written).unwrap();
                assert_eq!(
                    again.payloads, expected.payloads,
                    "{} frame {} {mutation}",
                    recording.name, frame.number
                );
            }
        }
    }
}

#[test]
fn a_damaged_encrypted_message_never_opens() {
    for recording in recordings() {
        let Some(frame) = recording.frames.iter().find(|frame| frame.plaintext.is_some()) else { continue };
        for (mutation, octets) in mutations(&frame.octets) {
            for cipher in recording.ciphers.iter().flatten() {
                let error = match envelope(&frame.octets).unwrap().1 {
                    Envelope::Fragment { .. } => open_fragment(&**cipher, &octets).err(),
                    Envelope::Encrypted | Envelope::Clear => open(&**cipher, &octets).err(),
                };
                let error = error.unwrap_or_else(|| panic!("{} {mutation} opened", recording.name));
                assert!(!error.is_authentic(), "{} {mutation}: {error}", recording.name);
            }
        }
    }
}

#[test]
fn a_message_of_nothing_but_tiny_payloads_takes_little_memory() {
    let mut octets = vec![0; 28];
    octets[16] = 43;
    octets[17] = 0x20;
    octets.extend([43, 0, 0, 4].repeat(16_376));
    let length = u32::try_from(octets.len()).unwrap();
    octets[24..28].copy_from_slice(&length.to_be_bytes());
    let most = most_allocated(|| assert!(parse_clear(&octets).is_err()));
    assert!(most <= MAX_PAYLOADS * 2 * 128, "{most} octets");
}

#[test]
fn a_security_association_of_nothing_but_tiny_transforms_takes_little_memory() {
    // 240 transforms per proposal until the message is full.
    let transforms = [[3, 0, 0, 8, 1, 0, 0, 12].repeat(239), [0, 0, 0, 8, 1, 0, 0, 12].to_vec()].concat();
    let mut body = Vec::new();
    for number in 1..=33_u8 {
        let length = u16::try_from(transforms.len() + 8).unwrap().to_be_bytes();
        body.extend([if number == 33 { 0 } else { 2 }, 0, length[0], length[1], number, 3, 0, 240]);
        body.extend(&transforms);
    }
    let length = u16::try_from(body.len() + 4).unwrap().to_be_bytes();
    let chain = [&[0, 0, length[0], length[1]][..], &body].concat();
    let most = most_allocated(|| {
        let _ = parse_chain(PayloadType::SA, &chain);
    });
    assert!(most <= chain.len() * 4, "{most} octets for {}", chain.len());
}
