//! Deadlines.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::time::Instant;

/// At most one deadline per key, and the earliest of them all.
///
/// Deadlines that fall on the same instant expire in the order of their keys, so a run can be repeated exactly.
#[derive(Clone, Debug)]
pub struct TimerTable<K> {
    by_key: BTreeMap<K, Instant>,
    by_time: BTreeSet<(Instant, K)>,
}

impl<K> Default for TimerTable<K> {
    fn default() -> Self {
        Self { by_key: BTreeMap::new(), by_time: BTreeSet::new() }
    }
}

impl<K: Ord + Clone> TimerTable<K> {
    /// A table without deadlines.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `key`'s deadline, replacing the one it had.
    pub fn set(&mut self, key: K, at: Instant) {
        if let Some(old) = self.by_key.insert(key.clone(), at) {
            self.by_time.remove(&(old, key.clone()));
        }
        self.by_time.insert((at, key));
    }

    /// Forgets `key`'s deadline; returns it if there was one.
    pub fn cancel(&mut self, key: &K) -> Option<Instant> {
        let at = self.by_key.remove(key)?;
        self.by_time.remove(&(at, key.clone()));
        Some(at)
    }

    /// `key`'s deadline.
    #[must_use]
    pub fn deadline(&self, key: &K) -> Option<Instant> {
        self.by_key.get(key).copied()
    }

    /// The earliest deadline.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Removes and returns one key whose deadline is not after `now`, the earliest first.
    pub fn pop_expired(&mut self, now: Instant) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        let (_, key) = self.by_time.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }

    /// How many deadlines are set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether no deadline is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resetting_a_timer_moves_it() {
        let mut timers = TimerTable::new();
        timers.set("liveness", Instant::from_secs(5));
        timers.set("rekey", Instant::from_secs(3));
        timers.set("liveness", Instant::from_secs(1));
        assert_eq!(timers.next(), Some(Instant::from_secs(1)));
        assert_eq!(timers.pop_expired(Instant::from_secs(4)), Some("liveness"));
        assert_eq!(timers.pop_expired(Instant::from_secs(4)), Some("rekey"));
        assert_eq!(timers.pop_expired(Instant::from_secs(9)), None);
        assert!(timers.is_empty());
    }

    #[test]
    fn a_cancelled_timer_never_expires() {
        let mut timers = TimerTable::new();
        timers.set(1, Instant::from_secs(5));
        assert_eq!(timers.cancel(&1), Some(Instant::from_secs(5)));
        assert_eq!(timers.cancel(&1), None);
        assert_eq!(timers.pop_expired(Instant::from_secs(9)), None);
    }
}
