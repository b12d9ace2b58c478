//! Every small damage that can be done to a message.

use core::fmt;
use core::iter;

/// How many octets at the start have each of their bits flipped.
const FLIPPED_OCTETS: usize = 200;

/// What every 16-bit field is set to: the edges of lengths and of signed arithmetic.
const EDGES: [u16; 5] = [0, 1, 0x7fff, 0x8000, 0xffff];

/// What was done to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Cut to this length.
    Truncated(usize),
    /// This many zero octets added.
    Extended(usize),
    /// This bit, counted from the lowest, of this octet flipped.
    Flipped {
        /// The octet.
        at: usize,
        /// The bit.
        bit: u8,
    },
    /// The two octets here set to this value.
    Set {
        /// The first octet.
        at: usize,
        /// The value.
        value: u16,
    },
    /// This octet and the next one exchanged.
    Swapped(usize),
}

impl fmt::Display for Mutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated(length) => write!(f, "cut to {length} octets"),
            Self::Extended(count) => write!(f, "with {count} zero octets more"),
            Self::Flipped { at, bit } => write!(f, "with bit {bit} of octet {at} flipped"),
            Self::Set { at, value } => write!(f, "with octets {at} and {} set to {value:#06x}", at + 1),
            Self::Swapped(at) => write!(f, "with octets {at} and {} exchanged", at + 1),
        }
    }
}

/// Every mutation of `message` that changes it, with the mutated message.
///
/// All truncations, some trailing octets, every single bit of the first 200 octets flipped, every pair of
/// neighbouring octets set to the edges of a 16-bit field, and every pair of neighbours exchanged.
///
/// ```
/// use ikebana_testkit::mutations;
/// for (mutation, octets) in mutations(&[0, 0, 0, 8]) {
///     assert_ne!(octets, [0, 0, 0, 8], "{mutation}");
/// }
/// ```
pub fn mutations(message: &[u8]) -> impl Iterator<Item = (Mutation, Vec<u8>)> + '_ {
    let length = message.len();
    let last = length.saturating_sub(1);
    let truncations = (0..length).map(Mutation::Truncated);
    let extensions = [1, 2, 3, 4, 16].into_iter().map(Mutation::Extended);
    let flips =
        (0..length.min(FLIPPED_OCTETS)).flat_map(|at| (0..8).map(move |bit| Mutation::Flipped { at, bit }));
    let sets = (0..last).flat_map(|at| EDGES.into_iter().map(move |value| Mutation::Set { at, value }));
    let swaps = (0..last).map(Mutation::Swapped);
    iter::empty()
        .chain(truncations)
        .chain(extensions)
        .chain(flips)
        .chain(sets)
        .chain(swaps)
        .map(|mutation| (mutation, mutation.apply(message)))
        .filter(move |(_, mutated)| mutated != message)
}

impl Mutation {
    /// The message after this was done to it; positions past its end do nothing.
    #[must_use]
    pub fn apply(self, message: &[u8]) -> Vec<u8> {
        let mut octets = message.to_vec();
        match self {
            Self::Truncated(length) => octets.truncate(length),
            Self::Extended(count) => octets.resize(message.len() + count, 0),
            Self::Flipped { at, bit } => {
                if let Some(octet) = octets.get_mut(at) {
                    *octet ^= 1_u8.rotate_left(bit.into());
                }
            }
            Self::Set { at, value } => {
                if let Some(field) = octets.get_mut(at..at.saturating_add(2)) {
                    field.copy_from_slice(&value.to_be_bytes());
                }
            }
            Self::Swapped(at) => {
                if let Some(pair) = octets.get_mut(at..at.saturating_add(2)) {
                    pair.reverse();
                }
            }
        }
        octets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sweep_is_complete_and_never_yields_the_message_itself() {
        let message = [0x21, 0x20, 0x00, 0x08];
        let all: Vec<_> = mutations(&message).collect();
        assert!(all.iter().all(|(_, mutated)| mutated != &message));
        assert_eq!(all.iter().filter(|(_, mutated)| mutated.len() < 4).count(), 4);
        for at in 0..4 {
            for bit in 0..8 {
                let mut flipped = message;
                flipped[at] ^= 1 << bit;
                assert!(all.iter().any(|(_, mutated)| mutated == &flipped), "{at} {bit}");
            }
        }
        assert!(all.iter().any(|(_, mutated)| mutated == &[0x21, 0x20, 0xff, 0xff]));
        assert!(all.iter().any(|(_, mutated)| mutated == &[0x20, 0x21, 0x00, 0x08]));
    }

    #[test]
    fn an_empty_message_can_only_grow() {
        assert!(mutations(&[]).all(|(mutation, _)| matches!(mutation, Mutation::Extended(_))));
    }
}
