//! Which packets go through CBC encryption together.

use arrayvec::ArrayVec;

use crate::simd::Tier;
use crate::simd::cbc::{self, Chain, LANES};

/// Packets of a batch.
pub(super) type Chains<'a> = ArrayVec<Chain<'a>, { crate::batch::BATCH }>;

/// Encrypts every chain to its end. The longest go first, and a lane that is done takes the next packet, so
/// that few lanes run empty.
pub(super) fn encrypt(tier: Tier, chains: &mut Chains<'_>) {
    // The next one is the last one.
    chains.sort_unstable_by_key(|chain| (chain.key.rounds(), chain.blocks.len()));
    let mut lanes: ArrayVec<Chain<'_>, LANES> = ArrayVec::new();
    loop {
        while !lanes.is_full() {
            let rounds = lanes.first().map(|lane| lane.key.rounds());
            let fits = |next: &Chain<'_>| rounds.is_none_or(|rounds| rounds == next.key.rounds());
            if !chains.last().is_some_and(fits) {
                break;
            }
            lanes.extend(chains.pop());
        }
        if lanes.is_empty() {
            return;
        }
        cbc::encrypt(tier, &mut lanes, usize::MAX);
        lanes.retain(|lane| !lane.blocks.is_empty());
    }
}
