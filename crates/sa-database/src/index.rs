//! Finding the first of many ordered selectors that covers a flow.

mod axis;
mod run;

use alloc::sync::Arc;
use alloc::vec::Vec;

use ikebana_core::Flow;

use crate::policy::Selectors;

use run::{Run, columns_of};

/// Up to here a plain scan is faster and smaller than anything else.
const SCAN_LIMIT: usize = 16;

/// A run is put together with the one after it unless it is so many times as long. So runs shrink at least that
/// much from one to the next, and there are few.
const GROWTH: usize = 4;
/// Runs as short as this together are put together anyway.
const SHORT: usize = 32;
/// No run becomes longer. This bounds what a range can cost in memory, see [`axis`].
const LONGEST: usize = 16_384;

/// A place in an order; no two entries of an index share one. The lowest decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Rank {
    pub(crate) priority: u32,
    pub(crate) order: u64,
}

/// Values with selectors, in an order.
///
/// Few entries are scanned. Many are in *runs*, each of which is searched in about the same time however many
/// entries it has and whatever they are, see [`Run`]. A run is made once. New entries make new short runs, and
/// short runs are made into a longer one, so that an entry moves a few times in its life.
pub(crate) struct SelectorIndex<V> {
    /// Sorted from the last rank to the first: new SAs come first in their order, and so are added at the end of
    /// the list, where nothing has to move. Empty if there are runs.
    scan: Vec<Entry<V>>,
    /// Those that were long when they were made stand first.
    runs: Vec<Run<V>>,
}

struct Entry<V> {
    rank: Rank,
    value: V,
    selectors: Arc<Selectors>,
}

impl<V: Copy> SelectorIndex<V> {
    pub(crate) const fn new() -> Self {
        Self { scan: Vec::new(), runs: Vec::new() }
    }

    pub(crate) fn insert(&mut self, rank: Rank, value: V, selectors: &Arc<Selectors>) {
        let entry = Entry { rank, value, selectors: Arc::clone(selectors) };
        if self.runs.is_empty() && self.scan.len() < SCAN_LIMIT {
            let at = self.scan.partition_point(|other| other.rank > rank);
            self.scan.insert(at, entry);
            return;
        }
        let mut entries = core::mem::take(&mut self.scan);
        entries.push(entry);
        self.add_run(entries);
    }

    /// Removes the entry with this rank.
    pub(crate) fn remove(&mut self, rank: Rank) {
        let at = self.scan.partition_point(|other| other.rank > rank);
        if self.scan.get(at).is_some_and(|entry| entry.rank == rank) {
            self.scan.remove(at);
        }
        let Some(at) = self.runs.iter_mut().position(|run| run.remove(rank)) else { return };
        if self.runs.iter().map(Run::len).sum::<usize>() <= SCAN_LIMIT / 2 {
            self.scan = self.runs.drain(..).flat_map(Run::into_entries).collect();
            self.scan.sort_unstable_by_key(|entry| core::cmp::Reverse(entry.rank));
        } else if self.runs.get(at).is_some_and(Run::is_sparse) {
            let entries: Vec<_> = self.runs.remove(at).into_entries().collect();
            if !entries.is_empty() {
                self.runs.insert(at, Run::new(entries));
            }
        }
    }

    /// The value with the lowest rank whose selectors cover `flow`.
    pub(crate) fn first_match(&self, flow: &Flow) -> Option<V> {
        let mut best = self.scan.iter().rev().find(|entry| entry.selectors.cover(flow));
        for run in &self.runs {
            // Mostly policies come in their order, and what was found first is the best.
            if best.is_none_or(|best| run.first_rank().is_some_and(|first| first < best.rank)) {
                let found = run.first_match(flow);
                best = best.into_iter().chain(found).min_by_key(|entry| entry.rank);
            }
        }
        best.map(|entry| entry.value)
    }

    fn add_run(&mut self, mut entries: Vec<Entry<V>>) {
        let mut columns: usize = entries.iter().map(|entry| columns_of(&entry.selectors)).sum();
        while let Some(last) = self.runs.last() {
            let together = columns.saturating_add(last.columns());
            let comparable = columns.saturating_mul(GROWTH) >= last.columns() || together <= SHORT;
            if !comparable || together > LONGEST {
                break;
            }
            columns = together;
            entries.extend(self.runs.pop().into_iter().flat_map(Run::into_entries));
        }
        // Made of few pieces that are in order, which this sort makes use of.
        entries.sort_by_key(|entry| entry.rank);
        self.runs.push(Run::new(entries));
    }
}

#[cfg(test)]
mod tests;
