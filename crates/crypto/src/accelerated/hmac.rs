//! HMAC (RFC 2104) of several messages at a time.

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

    /// Takes the same number of blocks of each message into its state.
    fn compress(tier: Tier, states: &mut [Self::State], messages: &[&[Self::Block]]);
    /// Cuts octets into blocks and what is left.
    fn blocks(octets: &[u8]) -> (&[Self::Block], &[u8]);
    /// Writes the chaining value's octets, as many as fit.
    fn write(state: &Self::State, out: &mut [u8]);
}

macro_rules! lane_hash {
    ($name:ident, $kernel:ident, $initial:ident, $block:literal, $length:literal, $digest:literal) => {
        pub(super) struct $name;

        impl LaneHash for $name {
            type State = $kernel::State;
            type Block = $kernel::Block;
            const LANES: usize = $kernel::LANES;
            const BLOCK: usize = $block;
            const LENGTH: usize = $length;
            const DIGEST: usize = $digest;
            const INITIAL: Self::State = $kernel::$initial;
            const ZERO: Self::Block = [0; $block];

            fn compress(tier: Tier, states: &mut [Self::State], messages: &[&[Self::Block]]) {
                $kernel::compress(tier, states, messages);
            }

            fn blocks(octets: &[u8]) -> (&[Self::Block], &[u8]) {
                octets.as_chunks()
            }

            fn write(state: &Self::State, out: &mut [u8]) {
                for (octets, word) in out.chunks_mut(size_of_val(&state[0])).zip(state) {
                    let word = word.to_be_bytes();
                    octets.copy_from_slice(word.get(..octets.len()).unwrap_or_default());
                }
            }
        }
    };
}

lane_hash!(Sha1, sha1, INITIAL, 64, 8, 20);
lane_hash!(Sha256, sha256, INITIAL, 64, 8, 32);
lane_hash!(Sha384, sha512, INITIAL_384, 128, 16, 48);
lane_hash!(Sha512, sha512, INITIAL, 128, 16, 64);

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
            H::compress(tier, &mut state, &[&[block]]);
            block.as_mut().zeroize();
            let [state] = state;
            state
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

/// Where a message is.
enum Stage<'a, H: LaneHash> {
    /// Whole blocks of the message.
    Body(&'a [H::Block]),
    /// The end of the message with its padding, or the digest under the outer pad: blocks of the lane's own, from
    /// this one on.
    Own { next: usize, outer: bool },
}

/// Room for two blocks of any hash.
type Own = [u8; 256];

struct Lane<'a, H: LaneHash> {
    message: Message<'a, H>,
    stage: Stage<'a, H>,
    state: H::State,
    own: Own,
    /// How many octets of `own` count.
    used: usize,
}

/// Computes the MAC of every message. The longest go first, and a lane that is done takes the next message.
pub(super) fn compute<H: LaneHash>(tier: Tier, mut messages: Messages<'_, H>) {
    // The next one is the last one.
    messages.sort_unstable_by_key(|message| message.octets.len());
    let mut lanes: ArrayVec<Lane<'_, H>, MAX_LANES> = ArrayVec::new();
    loop {
        while lanes.len() < H::LANES {
            let Some(message) = messages.pop() else { break };
            lanes.push(Lane::new(message));
        }
        let Some(steps) = lanes.iter().map(|lane| lane.pending().len()).min() else { return };
        let mut states: ArrayVec<H::State, MAX_LANES> = lanes.iter().map(|lane| lane.state).collect();
        let mut blocks: [&[H::Block]; MAX_LANES] = [&[]; MAX_LANES];
        for (blocks, lane) in blocks.iter_mut().zip(&lanes) {
            *blocks = lane.pending().get(..steps).unwrap_or_default();
        }
        H::compress(tier, &mut states, blocks.get(..lanes.len()).unwrap_or_default());
        for (lane, state) in lanes.iter_mut().zip(&states) {
            lane.state = *state;
        }
        lanes.retain(|lane| lane.advance(steps));
    }
}

impl<'a, H: LaneHash> Lane<'a, H> {
    fn new(message: Message<'a, H>) -> Self {
        let (body, rest) = H::blocks(message.octets);
        let behind = message.behind.as_ref().map_or(&[][..], |octets| octets);
        // The inner pad's block counts as well.
        let total = H::BLOCK.saturating_add(message.octets.len()).saturating_add(behind.len());
        let mut own = [0; 256];
        let used = finish::<H>(&mut own, [rest, behind], total);
        let stage = if body.is_empty() { Stage::Own { next: 0, outer: false } } else { Stage::Body(body) };
        Self { stage, state: message.key.inner, own, used, message }
    }

    fn pending(&self) -> &[H::Block] {
        match self.stage {
            Stage::Body(blocks) => blocks,
            Stage::Own { next, .. } => {
                let (blocks, _) = H::blocks(self.own.get(..self.used).unwrap_or_default());
                blocks.get(next..).unwrap_or_default()
            }
        }
    }

    /// `steps` blocks have been taken in. Returns whether there are more.
    fn advance(&mut self, steps: usize) -> bool {
        let left = self.pending().len().saturating_sub(steps);
        match &mut self.stage {
            Stage::Body(blocks) => {
                *blocks = blocks.get(steps..).unwrap_or_default();
                if left == 0 {
                    self.stage = Stage::Own { next: 0, outer: false };
                }
            }
            Stage::Own { next, .. } if left > 0 => *next = next.saturating_add(steps),
            Stage::Own { outer: false, .. } => {
                let mut digest = [0; 64];
                let digest = digest.get_mut(..H::DIGEST).unwrap_or_default();
                H::write(&self.state, digest);
                self.used = finish::<H>(&mut self.own, [digest, &[]], H::BLOCK.saturating_add(H::DIGEST));
                self.state = self.message.key.outer;
                self.stage = Stage::Own { next: 0, outer: true };
            }
            Stage::Own { outer: true, .. } => {
                H::write(&self.state, self.message.icv);
                return false;
            }
        }
        true
    }
}

/// Writes the last octets of a message of `total` octets and its padding (FIPS 180-4 5.1). Returns how many
/// octets that takes: one block or two.
fn finish<H: LaneHash>(own: &mut Own, [text, behind]: [&[u8]; 2], total: usize) -> usize {
    let len = text.len().saturating_add(behind.len());
    let needed = len.saturating_add(1).saturating_add(H::LENGTH);
    let used = if needed > H::BLOCK { H::BLOCK.saturating_mul(2) } else { H::BLOCK };
    let bits = (total as u64).wrapping_mul(8).to_be_bytes();
    let zeros = used.saturating_sub(len);
    own.get_mut(len..used).unwrap_or_default().fill(0);
    put(own, 0, text);
    put(own, text.len(), behind);
    put(own, len, &[0x80]);
    put(own, used.saturating_sub(bits.len()), &bits);
    debug_assert!(zeros > bits.len(), "room for the padding");
    used
}

fn put(own: &mut Own, at: usize, octets: &[u8]) {
    let end = at.saturating_add(octets.len());
    if let Some(place) = own.get_mut(at..end) {
        place.copy_from_slice(octets);
    }
}
