//! Key material.

use alloc::vec::Vec;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Bytes that must not leak: zeroized when dropped, compared in constant time, never printed.
///
/// There is deliberately no `Debug`, no `PartialEq` and no `Clone`; a second copy is made by
/// [`Secret::duplicate`], so that a reviewer can find every one.
///
/// ```
/// use ikebana_core::Secret;
/// let psk = Secret::from_slice(b"correct horse");
/// assert!(psk.ct_eq(b"correct horse"));
/// assert!(!psk.ct_eq(b"battery staple"));
/// ```
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes ownership of `bytes`. Spare capacity is given up only by copying, so prefer exact vectors.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Copies `bytes`; the caller's copy stays the caller's to wipe.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Self {
        Self::new(bytes.to_vec())
    }

    /// A second copy of the same secret.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self::from_slice(&self.0)
    }

    /// The bytes themselves, for the computation that needs them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Length in octets. Lengths are not secret.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Compares in time that depends on the lengths only.
    #[must_use]
    pub fn ct_eq(&self, other: &[u8]) -> bool {
        self.0.as_slice().ct_eq(other).into()
    }

    /// Cuts the next `count` octets off the front of `rest`, or `None` if it has fewer.
    ///
    /// Key schedules derive one long stream and cut it into keys; this is that cut.
    #[must_use]
    pub fn cut(rest: &mut &[u8], count: usize) -> Option<Self> {
        let (head, tail) = rest.split_at_checked(count)?;
        *rest = tail;
        Some(Self::from_slice(head))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cutting_yields_consecutive_keys_and_stops_at_the_end() {
        let stream = [1, 2, 3, 4, 5];
        let mut rest = &stream[..];
        assert!(Secret::cut(&mut rest, 2).is_some_and(|key| key.ct_eq(&[1, 2])));
        assert!(Secret::cut(&mut rest, 3).is_some_and(|key| key.ct_eq(&[3, 4, 5])));
        assert!(Secret::cut(&mut rest, 1).is_none());
    }

    #[test]
    fn secrets_of_other_length_or_content_differ() {
        let secret = Secret::from_slice(&[7; 20]);
        assert!(!secret.ct_eq(&[7; 19]));
        assert!(!secret.ct_eq(&[8; 20]));
        assert!(secret.ct_eq(secret.duplicate().expose()));
    }
}
