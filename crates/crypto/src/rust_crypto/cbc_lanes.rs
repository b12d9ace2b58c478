//! CBC encryption of several packets at once.
//!
//! Within a packet every block waits for the one before it, which leaves most of an AES unit idle. Blocks of
//! different packets do not depend on each other, so one block of each of up to 16 packets is encrypted at a
//! time; a packet that is done makes room for the next.

use core::array;
use core::mem;

use aes::cipher::{Block, BlockCipherEncrypt};

const LANES: usize = 16;

/// One packet: the IV or last ciphertext block, and the blocks still to be encrypted in place.
pub(super) struct Chain<'a, C: BlockCipherEncrypt> {
    pub(super) state: Block<C>,
    pub(super) blocks: &'a mut [Block<C>],
}

/// Encrypts every chain to its end.
pub(super) fn encrypt<'a, C>(cipher: &C, chains: impl Iterator<Item = Chain<'a, C>>)
where
    C: BlockCipherEncrypt,
    Block<C>: 'a,
{
    let mut chains = chains.filter(|chain| !chain.blocks.is_empty());
    let mut states: [Block<C>; LANES] = array::from_fn(|_| Block::<C>::default());
    let mut lanes: [&'a mut [Block<C>]; LANES] = array::from_fn(|_| Default::default());
    let mut active = 0_usize;
    loop {
        for (state, lane) in states.iter_mut().zip(&mut lanes).skip(active) {
            let Some(chain) = chains.next() else { break };
            *state = chain.state;
            *lane = chain.blocks;
            active = active.saturating_add(1);
        }
        let Some((busy, _idle)) = states.split_at_mut_checked(active) else { return };
        let Some(steps) = lanes.iter().take(active).map(|lane| lane.len()).min() else { return };

        let mut heads: [&'a mut [Block<C>]; LANES] = array::from_fn(|_| Default::default());
        for (head, lane) in heads.iter_mut().zip(&mut lanes).take(active) {
            let (now, later) = mem::take(lane).split_at_mut(steps);
            *head = now;
            *lane = later;
        }
        for step in 0..steps {
            for (state, head) in busy.iter_mut().zip(&heads) {
                if let Some(block) = head.get(step) {
                    for (octet, &value) in state.iter_mut().zip(block.iter()) {
                        *octet ^= value;
                    }
                }
            }
            cipher.encrypt_blocks(busy);
            for (state, head) in busy.iter().zip(&mut heads) {
                if let Some(block) = head.get_mut(step) {
                    block.copy_from_slice(state);
                }
            }
        }

        let mut at = 0_usize;
        while at < active {
            if lanes.get(at).is_some_and(|lane| lane.is_empty()) {
                active = active.saturating_sub(1);
                lanes.swap(at, active);
                states.swap(at, active);
            } else {
                at = at.saturating_add(1);
            }
        }
    }
}
