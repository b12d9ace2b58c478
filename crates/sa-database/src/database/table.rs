//! SAs by their ids.

use slab::Slab;

use super::index_of;
use crate::sa::{Entry, Slot};

/// A slab that also checks which of a place's tenants is meant.
pub(super) struct Table<T>(Slab<Entry<T>>);

impl<T> Table<T> {
    pub(super) const fn new() -> Self {
        Self(Slab::new())
    }

    /// # Panics
    /// With 2³² SAs, more than there are SPIs and more than fit into memory.
    pub(super) fn insert(&mut self, entry: Entry<T>) -> Slot {
        let serial = entry.serial;
        let index = u32::try_from(self.0.insert(entry)).expect("fewer SAs than SPIs");
        Slot { serial, index }
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Entry<T>> {
        self.0.get(index_of(slot.index)).filter(|entry| entry.serial == slot.serial)
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Entry<T>> {
        self.0.get_mut(index_of(slot.index)).filter(|entry| entry.serial == slot.serial)
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Option<Entry<T>> {
        self.get(slot)?;
        self.0.try_remove(index_of(slot.index))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
