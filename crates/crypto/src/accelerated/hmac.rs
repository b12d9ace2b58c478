//! HMAC (RFC 2104) of several messages at a time.

use core::cmp::Reverse;

use arrayvec::ArrayVec;
use zeroize::Zeroize;

use crate::batch::BATCH;
use crate::simd::{Tier, sha1, sha256, sha512};

/// The most lanes that any kernel has.
const MAX_LANES: usize = 4;

/// A hash function whose kernel takes several messages.
pub(super) trait LaneHash: Sized {
    /// The chaining value.
    type State: Copy + Zeroize;
    /// A block of octets.
    type Block: Copy + AsRef<[u8]> + AsMut<[u8]>;
    /// Two blocks of octets.
    type Tail: AsRef<[u8]> + AsMut<[u8]>;
    /// A chaining value in octets.
    type Octets: AsRef<[u8]>;
    /// The most messages at a time.
    const LANES: usize;
    /// Octets of a block.
    const BLOCK: usize;
    /// Octets of the length at the end of the padding.
    const LENGTH: usize;
    /// Octets of the digest.
    const DIGEST: usize;
    const INITIAL: Self::State;
    const ZERO: Self::Block;
    const ZERO_TAIL: Self::Tail;

    /// Takes the same number of blocks of each message into its state.
    fn compress(tier: Tier, states: &mut [Self::State], messages: &[&[Self::Block]]);
    /// Cuts octets into blocks and what is left.
    fn blocks(octets: &[u8]) -> (&[Self::Block], &[u8]);
    /// The chaining value as the digest that it is.
    fn octets(state: &Self::State) -> Self::Octets;
}

macro_rules! lane_hash {
    ($name:ident, $kernel:ident, $initial:ident, $block:literal, $word:literal, $digest:literal) => {
        pub(super) struct $name;

        impl LaneHash for $name {
            type State = $kernel::State;
            type Block = $kernel::Block;
            type Tail = [u8; 2 * $block];
            type Octets = [u8; size_of::<$kernel::State>()];
            const LANES: usize = $kernel::LANES;
            const BLOCK: usize = $block;
            const LENGTH: usize = 2 * $word;
            const DIGEST: usize = $digest;
            const INITIAL: Self::State = $kernel::$initial;
            const ZERO: Self::Block = [0; $block];
            const ZERO_TAIL: Self::Tail = [0; 2 * $block];

            fn compress(tier: Tier, states: &mut [Self::State], messages: &[&[Self::Block]]) {
                $kernel::compress(tier, states, messages);
            }

            fn blocks(octets: &[u8]) -> (&[Self::Block], &[u8]) {
                octets.as_chunks()
            }

            fn octets(state: &Self::State) -> Self::Octets {
                let mut octets = [0; size_of::<$kernel::State>()];
                let (places, _) = octets.as_chunks_mut::<$word>();
                for (place, word) in places.iter_mut().zip(state) {
                    *place = word.to_be_bytes();
                }
                octets
            }
        }
    };
}

lane_hash!(Sha1, sha1, INITIAL, 64, 4, 20);
lane_hash!(Sha256, sha256, INITIAL, 64, 4, 32);
lane_hash!(Sha384, sha512, INITIAL_384, 128, 8, 48);
lane_hash!(Sha512, sha512, INITIAL, 128, 8, 64);

/// A key, as the chaining values behind the inner and the outer pad.
pub(super) struct HmacKey<H: LaneHash> {
    inner: H::State,
    outer: H::State,
}

impl<H: LaneHash> HmacKey<H> {
    /// `None` for a key that is longer than a block; no IPsec algorithm has one.
    pub(super) fn new(tier: Tier, key: &[u8]) -> Option<Self> {
        if key.len() > H::BLOCK {
            return None;
        }
        let behind_pad = |pad: u8| {
            let mut block = H::ZERO;
            for (octet, value) in block.as_mut().iter_mut().zip(key.iter().chain(core::iter::repeat(&0))) {
                *octet = value ^ pad;
            }
            let mut state = [H::INITIAL];
            H::compress(tier, &mut state, &[core::slice::from_ref(&block)]);
            block.as_mut().zeroize();
            let [behind] = state;
            state.zeroize();
            behind
        };
        Some(Self { inner: behind_pad(0x36), outer: behind_pad(0x5c) })
    }
}

impl<H: LaneHash> Drop for HmacKey<H> {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

/// A message, and where its MAC goes.
pub(super) struct Message<'a, H: LaneHash> {
    pub(super) key: &'a HmacKey<H>,
    pub(super) octets: &'a [u8],
    /// What is authenticated behind `octets`: the high half of an extended sequence number.
    pub(super) behind: Option<[u8; 4]>,
    /// Gets the beginning of the MAC, as much as fits.
    pub(super) icv: &'a mut [u8],
}

/// Messages of a batch.
pub(super) type Messages<'a, H> = ArrayVec<Message<'a, H>, BATCH>;

/// Computes the MAC of every message.
///
/// All messages go through the same stages together: whole blocks, ends with padding, outer hashes. So lanes stay in
/// step even where lengths differ, and every end and every digest was written long before a kernel loads it; right
/// behind the stores, in pieces, it would wait.
pub(super) fn compute<H: LaneHash>(tier: Tier, messages: &mut Messages<'_, H>) {
    if messages.is_empty() {
        return;
    }
    // The longest go first, so that few lanes run empty.
    messages.sort_unstable_by_key(|message| Reverse(message.octets.len()));
    let mut tails: ArrayVec<Tail<H>, BATCH> = ArrayVec::new();
    for message in messages.iter() {
        tails.push(Tail { octets: H::ZERO_TAIL, used: 0 });
        if let Some(tail) = tails.last_mut() {
            tail.write(message);
        }
    }
    let mut states: ArrayVec<H::State, BATCH> = messages.iter().map(|message| message.key.inner).collect();
    run::<H>(tier, messages.iter().map(|message| H::blocks(message.octets).0), &mut states);
    run::<H>(tier, tails.iter().map(Tail::blocks), &mut states);
    outer(tier, messages, &states);
}

/// The last octets of a message with its padding: one block or two.
struct Tail<H: LaneHash> {
    octets: H::Tail,
    /// How many octets count.
    used: usize,
}

impl<H: LaneHash> Tail<H> {
    /// Fills zeros with the last octets of a message and its padding (FIPS 180-4 5.1).
    fn write(&mut self, message: &Message<'_, H>) {
        let (_, rest) = H::blocks(message.octets);
        let behind = message.behind.as_ref().map_or(&[][..], |octets| octets);
        let len = rest.len().saturating_add(behind.len());
        let needed = len.saturating_add(1).saturating_add(H::LENGTH);
        self.used = if needed > H::BLOCK { H::BLOCK.saturating_mul(2) } else { H::BLOCK };
        // The inner pad's block counts as well.
        let total = H::BLOCK.saturating_add(message.octets.len()).saturating_add(behind.len());
        let octets = self.octets.as_mut();
        put(octets, 0, rest);
        put(octets, rest.len(), behind);
        put(octets, len, &[0x80]);
        put_length(octets, self.used, total);
    }

    fn blocks(&self) -> &[H::Block] {
        H::blocks(self.octets.as_ref().get(..self.used).unwrap_or_default()).0
    }
}

/// Takes every text into its state. A lane that is done takes the next text.
fn run<'a, H: LaneHash>(tier: Tier, texts: impl Iterator<Item = &'a [H::Block]>, states: &mut [H::State])
where
    H::Block: 'a,
{
    let mut waiting = texts.zip(states).filter(|(text, _)| !text.is_empty());
    let mut lanes: ArrayVec<(&[H::Block], &mut H::State), MAX_LANES> = ArrayVec::new();
    let mut working: ArrayVec<H::State, MAX_LANES> = ArrayVec::new();
    for (text, state) in waiting.by_ref().take(H::LANES) {
        working.push(*state);
        lanes.push((text, state));
    }
    while let Some(steps) = lanes.iter().map(|(text, _)| text.len()).min() {
        let mut blocks: [&[H::Block]; MAX_LANES] = [&[]; MAX_LANES];
        for (blocks, (text, _)) in blocks.iter_mut().zip(&mut lanes) {
            (*blocks, *text) = text.split_at_checked(steps).unwrap_or_default();
        }
        H::compress(tier, &mut working, blocks.get(..lanes.len()).unwrap_or_default());
        let mut at = 0_usize;
        while let (Some((text, result)), Some(state)) = (lanes.get_mut(at), working.get_mut(at)) {
            if text.is_empty() {
                **result = *state;
                let Some(next) = waiting.next() else {
                    lanes.swap_remove(at);
                    working.swap_remove(at);
                    continue;
                };
                (*text, *result) = next;
                *state = **result;
            }
            at = at.saturating_add(1);
        }
    }
}

/// The outer hash of every digest, which is one block, into the message's ICV.
fn outer<H: LaneHash>(tier: Tier, messages: &mut [Message<'_, H>], digests: &[H::State]) {
    let mut blocks: ArrayVec<H::Block, BATCH> = ArrayVec::new();
    for digest in digests {
        blocks.push(H::ZERO);
        if let Some(block) = blocks.last_mut() {
            let block = block.as_mut();
            put(block, 0, H::octets(digest).as_ref().get(..H::DIGEST).unwrap_or_default());
            put(block, H::DIGEST, &[0x80]);
            put_length(block, H::BLOCK, H::BLOCK.saturating_add(H::DIGEST));
        }
    }
    for (messages, blocks) in messages.chunks_mut(H::LANES).zip(blocks.chunks(H::LANES)) {
        let mut states: ArrayVec<H::State, MAX_LANES> =
            messages.iter().map(|message| message.key.outer).collect();
        let blocks: ArrayVec<&[H::Block], MAX_LANES> = blocks.iter().map(core::slice::from_ref).collect();
        H::compress(tier, &mut states, &blocks);
        for (message, state) in messages.iter_mut().zip(&states) {
            let mac = H::octets(state);
            let used = message.icv.len().min(mac.as_ref().len());
            put(message.icv, 0, mac.as_ref().get(..used).unwrap_or_default());
        }
    }
}

/// Writes how many bits `total` octets are at the end of `octets`' first `end`.
fn put_length(octets: &mut [u8], end: usize, total: usize) {
    let bits = (total as u64).wrapping_mul(8).to_be_bytes();
    put(octets, end.saturating_sub(bits.len()), &bits);
}

fn put(out: &mut [u8], at: usize, octets: &[u8]) {
    let end = at.saturating_add(octets.len());
    if let Some(place) = out.get_mut(at..end) {
        place.copy_from_slice(octets);
    }
}
