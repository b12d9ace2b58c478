//! One coordinate of a flow: which entries stay possible, given an address, a port or a protocol.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

/// How many entries one [`Line`] speaks of.
pub(super) const LINE_BITS: usize = 512;
const WORD_BITS: usize = 64;
/// Intervals that are searched at once.
const SAMPLE: usize = 32;

/// A part of a set of entries, a bit for each: as much as one cache line holds.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(align(64))]
pub(super) struct Line([u64; LINE_BITS / WORD_BITS]);

impl Line {
    pub(super) const EMPTY: Self = Self([0; LINE_BITS / WORD_BITS]);

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Turns one bit over.
    pub(super) fn flip(&mut self, bit: usize) {
        if let Some(word) = self.0.get_mut(bit / WORD_BITS) {
            *word ^= 1 << (bit % WORD_BITS);
        }
    }

    pub(super) fn intersect(&mut self, other: &Self) {
        for (ours, theirs) in self.0.iter_mut().zip(&other.0) {
            *ours &= theirs;
        }
    }

    /// The bits that are set, from the lowest.
    pub(super) fn bits(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(index, word)| {
            let mut left = *word;
            core::iter::from_fn(move || {
                let bit = usize::try_from(left.trailing_zeros()).ok().filter(|bit| *bit < WORD_BITS)?;
                left &= left.wrapping_sub(1);
                Some(index.saturating_mul(WORD_BITS).saturating_add(bit))
            })
        })
    }
}

/// What an axis is divided by: addresses as numbers, ports, protocols.
pub(super) trait Key: Copy + Ord {
    const LOWEST: Self;

    /// The next key, unless this is the last one.
    fn following(self) -> Option<Self>;
}

impl Key for u32 {
    const LOWEST: Self = 0;

    fn following(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Key for u128 {
    const LOWEST: Self = 0;

    fn following(self) -> Option<Self> {
        self.checked_add(1)
    }
}

/// The keys, cut into intervals at every key where some entry's range starts or ends. All keys of an interval
/// are in the same ranges, so each interval has one set of entries.
///
/// The sets are lists of lines. From one interval to the next few entries change, so most of the lines are those
/// of the interval before, and are shared with it: an interval takes one new line for each line's worth of
/// entries that change there, and [`Axis::stride`] numbers of lines.
pub(super) struct Axis<K> {
    /// Where each interval starts, the first at the lowest key.
    starts: Box<[K]>,
    /// Every [`SAMPLE`]th of them: these stay in the cache, and the others are looked for in one place.
    samples: Box<[K]>,
    /// The lines of each interval's set, `stride` of them: places in `lines`, where 0 is the empty one.
    rows: Box<[u32]>,
    lines: Box<[Line]>,
    stride: usize,
}

/// A range of keys, both ends in it, that an entry covers.
pub(super) type Covered<K> = (K, K, usize);

/// The set of one interval.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    places: &'a [u32],
    lines: &'a [Line],
}

impl<K: Key> Axis<K> {
    /// The axis of `entries` entries; `None` if each of them covers everything up to `highest`, so that there
    /// is nothing to look up.
    pub(super) fn new(entries: usize, highest: K, ranges: Vec<Covered<K>>) -> Option<Self> {
        let ranges = merged(ranges);
        let everything = |(first, last, _): &Covered<K>| *first == K::LOWEST && *last >= highest;
        if ranges.len() == entries && ranges.iter().all(everything) {
            return None;
        }
        let mut changes: Vec<(K, usize)> = Vec::with_capacity(ranges.len().saturating_mul(2));
        for (first, last, entry) in ranges {
            changes.push((first, entry));
            changes.extend(last.following().map(|after| (after, entry)));
        }
        changes.sort_unstable();

        let stride = entries.div_ceil(LINE_BITS);
        let (mut current, mut row) = (vec![Line::EMPTY; stride], vec![0_u32; stride]);
        let (mut starts, mut rows, mut lines) = (vec![K::LOWEST], row.clone(), vec![Line::EMPTY]);
        for change in changes.chunk_by(|(one, _), (other, _)| one == other) {
            for (_, entry) in change {
                if let Some(line) = current.get_mut(entry / LINE_BITS) {
                    line.flip(entry % LINE_BITS);
                }
            }
            // The entries are in order, and so are their lines.
            for entries in change.chunk_by(|(_, one), (_, other)| one / LINE_BITS == other / LINE_BITS) {
                let at = entries.first().map_or(0, |(_, entry)| entry / LINE_BITS);
                let (Some(line), Some(place)) = (current.get(at), row.get_mut(at)) else { continue };
                *place = 0;
                if !line.is_empty() {
                    *place = u32::try_from(lines.len()).expect("fewer lines than fit into memory");
                    lines.push(*line);
                }
            }
            match change.first() {
                Some((key, _)) if *key > K::LOWEST => starts.push(*key),
                // What starts at the lowest key is in the first interval.
                Some(_) | None => rows.clear(),
            }
            rows.extend_from_slice(&row);
        }
        let samples = starts.iter().step_by(SAMPLE).copied().collect();
        Some(Self { starts: starts.into(), samples, rows: rows.into(), lines: lines.into(), stride })
    }

    #[cfg(test)]
    pub(super) fn lines(&self) -> usize {
        self.lines.len()
    }

    /// The entries that cover `key`.
    pub(super) fn row(&self, key: K) -> Row<'_> {
        let sample = self.samples.partition_point(|start| *start <= key).saturating_sub(1);
        let around = sample.saturating_mul(SAMPLE);
        let end = around.saturating_add(SAMPLE).min(self.starts.len());
        let starts = self.starts.get(around..end).unwrap_or_default();
        let interval = around.saturating_add(starts.partition_point(|start| *start <= key)).saturating_sub(1);
        let start = interval.saturating_mul(self.stride);
        let places = self.rows.get(start..start.saturating_add(self.stride)).unwrap_or_default();
        Row { places, lines: &self.lines }
    }
}

impl<'a> Row<'a> {
    /// Whether nothing is in the set.
    pub(super) fn is_empty(&self) -> bool {
        self.places.iter().all(|place| *place == 0)
    }

    /// One line of the set, unless nothing is in it.
    pub(super) fn line(&self, at: usize) -> Option<&'a Line> {
        let place = self.places.get(at).copied().filter(|place| *place > 0)?;
        self.lines.get(usize::try_from(place).ok()?)
    }
}

/// The same without overlaps among the ranges of one entry.
fn merged<K: Key>(mut ranges: Vec<Covered<K>>) -> Vec<Covered<K>> {
    ranges.sort_unstable_by_key(|(first, last, entry)| (*entry, *first, *last));
    ranges.dedup_by(|(first, last, entry), (_, before, same)| {
        let joined = entry == same && before.following().is_none_or(|after| *first <= after);
        if joined {
            *before = (*before).max(*last);
        }
        joined
    });
    ranges
}
