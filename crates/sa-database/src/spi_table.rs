//! Inbound SAs by SPI, one cache line each.

use alloc::vec;
use alloc::vec::Vec;

use ikebana_core::EspSpi;

use crate::hash::Folded;
use crate::sa::Slot;

/// A table of SPIs, hashed into lines.
///
/// A lookup reads one line, and rarely the one after it: SPIs that find their own line full go to the next.
/// Everything that the answer needs is in that line, also whether the SA may be used.
///
/// SPIs are drawn by our side, so a peer cannot name two that share a line; all it can do is to delete SAs that it
/// does not like, and it does not know which those are. So [`Folded`] is enough.
pub(crate) struct SpiTable {
    /// None before the first SPI.
    lines: Vec<Line>,
    len: usize,
    hash: Folded,
}

/// As much as one cache line holds. What is used comes first.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([Place; SLOTS]);

const SLOTS: usize = 4;

/// Serials are given out one after the other from 1, and never come here.
const CLOSED: u64 = 1 << 63;

#[derive(Clone, Copy)]
struct Place {
    /// 0, which no SA has, where there is nothing.
    spi: u32,
    index: u32,
    /// With [`CLOSED`] if the SA must not be used any more.
    serial: u64,
}

impl SpiTable {
    pub(crate) const fn new(hash: Folded) -> Self {
        Self { lines: Vec::new(), len: 0, hash }
    }

    /// The SA with this SPI, unless it was closed.
    pub(crate) fn get(&self, spi: EspSpi) -> Option<Slot> {
        let place = self.find(spi)?;
        (place.serial & CLOSED == 0).then_some(Slot { serial: place.serial, index: place.index })
    }

    /// The SA with this SPI, if it was closed.
    pub(crate) fn get_closed(&self, spi: EspSpi) -> Option<Slot> {
        let place = self.find(spi)?;
        (place.serial & CLOSED != 0).then_some(Slot { serial: place.serial & !CLOSED, index: place.index })
    }

    /// Whether an SA has this SPI.
    pub(crate) fn contains(&self, spi: EspSpi) -> bool {
        self.find(spi).is_some()
    }

    /// Notes an SA; there must be none with this SPI yet.
    pub(crate) fn insert(&mut self, spi: EspSpi, slot: Slot) {
        let room = self.lines.len().saturating_mul(SLOTS);
        // Five eighths: more would often need two lines for a lookup.
        if self.len.saturating_add(1).saturating_mul(8) > room.saturating_mul(5) {
            self.grow();
        }
        self.len = self.len.saturating_add(1);
        self.put(Place { spi: spi.get(), index: slot.index, serial: slot.serial });
    }

    /// Keeps the SA and its SPI, but marks it as one that must not be used any more.
    pub(crate) fn close(&mut self, spi: EspSpi) {
        let Some((at, slot)) = self.position(spi.get()) else { return };
        if let Some(place) = self.lines.get_mut(at).and_then(|line| line.0.get_mut(slot)) {
            place.serial |= CLOSED;
        }
    }

    /// Forgets an SPI.
    pub(crate) fn remove(&mut self, spi: EspSpi) {
        let Some((mut hole, slot)) = self.position(spi.get()) else { return };
        self.len = self.len.saturating_sub(1);
        let Some(line) = self.lines.get_mut(hole) else { return };
        let mut was_full = line.is_full();
        line.take(slot);
        // Only behind a full line is there anything that had no room in it.
        let mut next = hole;
        for _ in 1..self.lines.len() {
            if !was_full {
                return;
            }
            next = self.after(next);
            let reach = self.distance(hole, next);
            let may_move = |place: &Place| self.distance(self.home(place.spi), next) >= reach;
            let Some(line) = self.lines.get(next) else { return };
            was_full = line.is_full();
            let Some(slot) = line.used().position(may_move) else { continue };
            let Some(place) = self.lines.get_mut(next).and_then(|line| line.take(slot)) else { return };
            if let Some(line) = self.lines.get_mut(hole) {
                line.add(place);
            }
            hole = next;
        }
    }

    fn find(&self, spi: EspSpi) -> Option<Place> {
        let spi = spi.get();
        let mut at = self.home(spi);
        for _ in 0..self.lines.len() {
            let line = self.lines.get(at)?;
            if let Some(place) = line.0.iter().find(|place| place.spi == spi) {
                return Some(*place);
            }
            if !line.is_full() {
                return None;
            }
            at = self.after(at);
        }
        None
    }

    fn position(&self, spi: u32) -> Option<(usize, usize)> {
        let mut at = self.home(spi);
        for _ in 0..self.lines.len() {
            let line = self.lines.get(at)?;
            if let Some(slot) = line.used().position(|place| place.spi == spi) {
                return Some((at, slot));
            }
            if !line.is_full() {
                return None;
            }
            at = self.after(at);
        }
        None
    }

    /// Into the first line from its own on that has room; there is one.
    fn put(&mut self, place: Place) {
        let mut at = self.home(place.spi);
        for _ in 0..self.lines.len() {
            if self.lines.get_mut(at).is_some_and(|line| line.add(place)) {
                return;
            }
            at = self.after(at);
        }
    }

    fn grow(&mut self) {
        let count = self.lines.len().saturating_mul(2).max(2);
        let lines = core::mem::replace(&mut self.lines, vec![Line([Place::NONE; SLOTS]); count]);
        for line in lines {
            for place in line.used() {
                self.put(*place);
            }
        }
    }

    fn home(&self, spi: u32) -> usize {
        self.hash.place([spi.into()], self.lines.len())
    }

    fn after(&self, at: usize) -> usize {
        let next = at.saturating_add(1);
        if next < self.lines.len() { next } else { 0 }
    }

    /// How many lines `to` comes after `from`.
    fn distance(&self, from: usize, to: usize) -> usize {
        match to.checked_sub(from) {
            Some(distance) => distance,
            None => to.saturating_add(self.lines.len()).saturating_sub(from),
        }
    }
}

impl Line {
    fn is_full(&self) -> bool {
        self.0.last().is_some_and(|place| place.spi != 0)
    }

    fn used(&self) -> impl Iterator<Item = &Place> {
        self.0.iter().take_while(|place| place.spi != 0)
    }

    /// `false` if there is no room.
    fn add(&mut self, new: Place) -> bool {
        let free = self.0.iter_mut().find(|place| place.spi == 0);
        free.map(|place| *place = new).is_some()
    }

    fn take(&mut self, slot: usize) -> Option<Place> {
        let last = self.used().count().checked_sub(1)?;
        self.0.swap(slot.min(last), last);
        self.0.get_mut(last).map(|place| core::mem::replace(place, Place::NONE))
    }
}

impl Place {
    const NONE: Self = Self { spi: 0, index: 0, serial: 0 };
}

#[cfg(test)]
mod tests {
    use super::*;

    use alloc::collections::BTreeMap;

    use ikebana_testkit::SeededRng;
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Operation {
        Insert(EspSpi),
        Close(EspSpi),
        Remove(EspSpi),
    }

    fn operation() -> impl Strategy<Value = Operation> {
        // Few SPIs, so that most operations meet one that is there.
        let spi = || (256_u32..320).prop_map(|spi| EspSpi::new(spi).unwrap());
        prop_oneof![
            5 => spi().prop_map(Operation::Insert),
            1 => spi().prop_map(Operation::Close),
            4 => spi().prop_map(Operation::Remove),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn a_table_knows_what_a_map_knows_however_spis_collide(
            operations in vec(operation(), 1..200),
            hash in 0..3,
        ) {
            let mut table = SpiTable::new(match hash {
                0 => Folded::new(&mut SeededRng::new(5)),
                // All in one line, or in a few.
                1 => Folded::weak(1),
                _ => Folded::weak(1 << 59 | 1),
            });
            let mut model: BTreeMap<EspSpi, (Slot, bool)> = BTreeMap::new();
            for (serial, operation) in (1_u64..).zip(operations) {
                match operation {
                    Operation::Insert(spi) if !model.contains_key(&spi) => {
                        let slot = Slot { serial, index: spi.get() + 1 };
                        table.insert(spi, slot);
                        model.insert(spi, (slot, false));
                    }
                    Operation::Insert(_) => {}
                    Operation::Close(spi) => {
                        table.close(spi);
                        model.entry(spi).and_modify(|(_, closed)| *closed = true);
                    }
                    Operation::Remove(spi) => {
                        table.remove(spi);
                        model.remove(&spi);
                    }
                }
                for spi in (256..320).filter_map(EspSpi::new) {
                    prop_assert_eq!(table.contains(spi), model.contains_key(&spi));
                    let known = |wanted| model.get(&spi).filter(|(_, closed)| *closed == wanted);
                    prop_assert_eq!(table.get(spi), known(false).map(|(slot, _)| *slot));
                    prop_assert_eq!(table.get_closed(spi), known(true).map(|(slot, _)| *slot));
                }
                prop_assert_eq!(table.len, model.len());
            }
        }
    }

    #[test]
    fn nearly_all_spis_are_in_the_first_line_that_is_looked_at() {
        let mut table = SpiTable::new(Folded::new(&mut SeededRng::new(6)));
        // One after the other, which is the worst that an allocator could do to a bad hash.
        let spis = (0..100_000).map(|number| EspSpi::new(0x1000 + number).unwrap());
        for (serial, spi) in (1..).zip(spis.clone()) {
            table.insert(spi, Slot { serial, index: 0 });
        }
        let at_home = |spi: &EspSpi| table.position(spi.get()).unwrap().0 == table.home(spi.get());
        let elsewhere = spis.filter(|spi| !at_home(spi)).count();
        assert!(elsewhere < 10_000, "{elsewhere} of 100,000");
        assert!(table.lines.len() * SLOTS < 100_000 * 4, "{} lines", table.lines.len());
    }
}
