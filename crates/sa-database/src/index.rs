//! Finding the first of many ordered selectors that covers a flow.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use hashbrown::HashMap;
use ikebana_core::{AddressRange, Flow, TrafficSelectors};

use crate::hash::Keyed;
use crate::policy::Selectors;

/// Up to here a plain scan is faster and smaller than anything else.
const SCAN_LIMIT: usize = 16;

/// A place in an order; no two entries of an index share one. The lowest decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Rank {
    pub(crate) priority: u32,
    pub(crate) order: u64,
}

/// Values with selectors, in an order.
///
/// Few entries are scanned. Many are sorted into buckets by the smallest CIDR block around their remote or
/// their local addresses, whichever says more; a lookup visits the buckets of all blocks around the packet's
/// addresses. A block is only a first guess, so every candidate is still checked in full.
pub(crate) struct SelectorIndex<V> {
    /// Sorted from the last rank to the first, as are all lists here: new SAs come first in their order, and
    /// so are added at the end of the list, where nothing has to move.
    scan: Vec<Entry<V>>,
    blocks: Option<Box<[Side<V>; 2]>>,
    hash: Keyed,
}

#[derive(Clone)]
struct Entry<V> {
    rank: Rank,
    value: V,
    selectors: Arc<Selectors>,
}

struct Side<V> {
    buckets: HashMap<Block, Vec<Entry<V>>, Keyed>,
    /// How many buckets there are per address family and prefix length: what a lookup has to try.
    lengths: BTreeMap<(bool, u8), usize>,
}

/// A CIDR block. Addresses of IPv4 stand in the upper bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Block {
    ipv4: bool,
    length: u8,
    bits: u128,
}

impl<V: Copy> SelectorIndex<V> {
    pub(crate) const fn new(hash: Keyed) -> Self {
        Self { scan: Vec::new(), blocks: None, hash }
    }

    pub(crate) fn insert(&mut self, rank: Rank, value: V, selectors: &Arc<Selectors>) {
        let entry = Entry { rank, value, selectors: Arc::clone(selectors) };
        if let Some(sides) = &mut self.blocks {
            Self::insert_block(sides, entry);
            return;
        }
        insert_sorted(&mut self.scan, entry);
        if self.scan.len() > SCAN_LIMIT {
            let mut sides = Box::new([Side::new(self.hash), Side::new(self.hash)]);
            for entry in core::mem::take(&mut self.scan) {
                Self::insert_block(&mut sides, entry);
            }
            self.blocks = Some(sides);
        }
    }

    /// Removes the entry with this rank; `selectors` must be those it was inserted with.
    pub(crate) fn remove(&mut self, rank: Rank, selectors: &Selectors) {
        let Some([remote, local]) = self.blocks.as_deref_mut() else {
            remove_sorted(&mut self.scan, rank);
            return;
        };
        let (by_remote, blocks) = place(selectors);
        let side = if by_remote { &mut *remote } else { &mut *local };
        for block in blocks {
            side.remove(block, rank);
        }
        if remote.buckets.is_empty() && local.buckets.is_empty() {
            self.blocks = None;
        }
    }

    /// The value with the lowest rank whose selectors cover `flow`.
    pub(crate) fn first_match(&self, flow: &Flow) -> Option<V> {
        match self.blocks.as_deref() {
            None => first_in(&self.scan, flow, None).map(|entry| entry.value),
            Some([remote, local]) => {
                let best = remote.first_match(flow.remote, flow, None);
                local.first_match(flow.local, flow, best).map(|entry| entry.value)
            }
        }
    }

    fn insert_block(sides: &mut [Side<V>; 2], entry: Entry<V>) {
        let [remote, local] = sides;
        let (by_remote, blocks) = place(&entry.selectors);
        let side = if by_remote { remote } else { local };
        for block in blocks {
            side.insert(block, entry.clone());
        }
    }
}

impl<V: Copy> Side<V> {
    fn new(hash: Keyed) -> Self {
        Self { buckets: HashMap::with_hasher(hash), lengths: BTreeMap::new() }
    }

    fn insert(&mut self, block: Block, entry: Entry<V>) {
        let bucket = self.buckets.entry(block).or_insert_with(|| {
            let buckets = self.lengths.entry((block.ipv4, block.length)).or_insert(0);
            *buckets = buckets.saturating_add(1);
            Vec::new()
        });
        insert_sorted(bucket, entry);
    }

    fn remove(&mut self, block: Block, rank: Rank) {
        let Some(bucket) = self.buckets.get_mut(&block) else { return };
        remove_sorted(bucket, rank);
        if !bucket.is_empty() {
            return;
        }
        self.buckets.remove(&block);
        let key = (block.ipv4, block.length);
        if let Some(buckets) = self.lengths.get_mut(&key) {
            *buckets = buckets.saturating_sub(1);
            if *buckets == 0 {
                self.lengths.remove(&key);
            }
        }
    }

    /// The first entry that covers `flow` and comes before `best`, or `best`.
    fn first_match<'a>(
        &'a self,
        address: IpAddr,
        flow: &Flow,
        mut best: Option<&'a Entry<V>>,
    ) -> Option<&'a Entry<V>> {
        let ipv4 = address.is_ipv4();
        for (_, length) in self.lengths.range((ipv4, 0)..=(ipv4, u8::MAX)).map(|(key, _)| *key) {
            let block = Block::around(address, length);
            if let Some(bucket) = self.buckets.get(&block) {
                best = first_in(bucket, flow, best);
            }
        }
        best
    }
}

impl Block {
    fn around(address: IpAddr, length: u8) -> Self {
        let shift = u32::from(128_u8.saturating_sub(length));
        let bits = bits_of(address);
        let bits = bits.checked_shr(shift).and_then(|bits| bits.checked_shl(shift)).unwrap_or(0);
        Self { ipv4: address.is_ipv4(), length, bits }
    }

    /// The smallest block with all of `range` in it.
    fn of(range: &AddressRange) -> Self {
        let most = if range.is_ipv4() { 32 } else { 128 };
        let common = (bits_of(range.first()) ^ bits_of(range.last())).leading_zeros();
        Self::around(range.first(), u8::try_from(common).unwrap_or(most).min(most))
    }
}

const fn bits_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => (v4.to_bits() as u128) << 96,
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The buckets of an entry, and whether they are on the remote side.
fn place(selectors: &Selectors) -> (bool, Vec<Block>) {
    let (remote, local) = (blocks_of(&selectors.remote), blocks_of(&selectors.local));
    // The side is worth as much as its widest block: that is where the entry meets the most packets.
    let worth = |blocks: &[Block]| {
        let share = |block: &Block| u16::from(block.length).saturating_mul(if block.ipv4 { 4 } else { 1 });
        blocks.iter().map(share).min().unwrap_or(u16::MAX)
    };
    if worth(&remote) >= worth(&local) { (true, remote) } else { (false, local) }
}

fn blocks_of(selectors: &TrafficSelectors) -> Vec<Block> {
    let mut blocks: Vec<Block> = selectors.iter().map(|selector| Block::of(&selector.addresses)).collect();
    blocks.sort_unstable();
    blocks.dedup();
    blocks
}

fn insert_sorted<V>(list: &mut Vec<Entry<V>>, entry: Entry<V>) {
    let at = list.partition_point(|other| other.rank > entry.rank);
    list.insert(at, entry);
}

fn remove_sorted<V>(list: &mut Vec<Entry<V>>, rank: Rank) {
    let at = list.partition_point(|other| other.rank > rank);
    if list.get(at).is_some_and(|entry| entry.rank == rank) {
        list.remove(at);
    }
}

fn first_in<'a, V>(list: &'a [Entry<V>], flow: &Flow, best: Option<&'a Entry<V>>) -> Option<&'a Entry<V>> {
    let better = |entry: &&Entry<V>| best.is_none_or(|best| entry.rank < best.rank);
    list.iter().rev().take_while(better).find(|entry| entry.selectors.cover(flow)).or(best)
}

#[cfg(test)]
mod tests;
