//! Reading and writing octets in network order, without a way to read past the end.

use alloc::vec::Vec;

use thiserror::Error;

/// What is wrong with received octets, and in which field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{field}: {problem}")]
#[non_exhaustive]
pub struct WireError {
    /// The field's name, in the RFC's words.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: Problem,
}

/// The ways in which a field can be malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Problem {
    /// The field needs more octets than are left.
    #[error("needs {needed} octets, {left} left")]
    Truncated {
        /// Octets the field needs.
        needed: usize,
        /// Octets that were left.
        left: usize,
    },
    /// Octets follow where the structure has ended.
    #[error("{0} octets after its end")]
    Trailing(usize),
    /// A length field that cannot be right.
    #[error("length {0} is not possible")]
    BadLength(usize),
    /// More elements than we accept.
    #[error("more than {0} elements")]
    TooMany(usize),
    /// A value that the RFC forbids here.
    #[error("value {0} is not allowed")]
    BadValue(u64),
    /// An element that must be there is not.
    #[error("missing")]
    Missing,
    /// An element that may be there once is there again.
    #[error("repeated")]
    Repeated,
}

impl WireError {
    /// An error of kind `problem` in `field`.
    #[must_use]
    pub const fn new(field: &'static str, problem: Problem) -> Self {
        Self { field, problem }
    }
}

/// A cursor over received octets.
///
/// Every method names the field it reads, so an error says where the message is broken. Nothing here panics.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first of `octets`.
    #[must_use]
    pub const fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets }
    }

    /// Octets not read yet.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Whether everything has been read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The octets not read yet, without reading them.
    #[must_use]
    pub const fn peek(&self) -> &'a [u8] {
        self.rest
    }

    /// Reads `count` octets.
    ///
    /// # Errors
    /// [`Problem::Truncated`] if fewer are left.
    pub fn take(&mut self, field: &'static str, count: usize) -> Result<&'a [u8], WireError> {
        match self.rest.split_at_checked(count) {
            Some((head, tail)) => {
                self.rest = tail;
                Ok(head)
            }
            None => Err(WireError::new(field, Problem::Truncated { needed: count, left: self.rest.len() })),
        }
    }

    /// Reads `count` octets as a structure of their own.
    ///
    /// # Errors
    /// [`Problem::Truncated`] if fewer are left.
    pub fn sub(&mut self, field: &'static str, count: usize) -> Result<Self, WireError> {
        self.take(field, count).map(Self::new)
    }

    /// Reads everything that is left.
    pub const fn rest(&mut self) -> &'a [u8] {
        let all = self.rest;
        self.rest = &[];
        all
    }

    /// Reads exactly `N` octets into an array.
    ///
    /// # Errors
    /// [`Problem::Truncated`] if fewer are left.
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], WireError> {
        let truncated = WireError::new(field, Problem::Truncated { needed: N, left: self.rest.len() });
        self.take(field, N)?.try_into().map_err(|_| truncated)
    }

    /// Reads one octet.
    ///
    /// # Errors
    /// [`Problem::Truncated`] at the end.
    pub fn u8(&mut self, field: &'static str) -> Result<u8, WireError> {
        self.array(field).map(u8::from_be_bytes)
    }

    /// Reads a 16-bit number.
    ///
    /// # Errors
    /// [`Problem::Truncated`] if fewer than 2 octets are left.
    pub fn u16(&mut self, field: &'static str) -> Result<u16, WireError> {
        self.array(field).map(u16::from_be_bytes)
    }

    /// Reads a 32-bit number.
    ///
    /// # Errors
    /// [`Problem::Truncated`] if fewer than 4 octets are left.
    pub fn u32(&mut self, field: &'static str) -> Result<u32, WireError> {
        self.array(field).map(u32::from_be_bytes)
    }

    /// Reads a 64-bit number.
    ///
    /// # Errors
    /// [`Problem::Truncated`] if fewer than 8 octets are left.
    pub fn u64(&mut self, field: &'static str) -> Result<u64, WireError> {
        self.array(field).map(u64::from_be_bytes)
    }

    /// Ends the structure `field`, which must have been read to its last octet.
    ///
    /// # Errors
    /// [`Problem::Trailing`] if octets are left.
    pub const fn finish(self, field: &'static str) -> Result<(), WireError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(WireError::new(field, Problem::Trailing(left))),
        }
    }
}

/// A growing message.
///
/// Lengths are written by [`Writer::nested_u16`] around what they cover, so they cannot disagree with it. A
/// structure that outgrows its length field is remembered and reported once, by [`Writer::finish`]; that keeps
/// encoders free of error handling for what our own limits already rule out.
#[derive(Debug, Default)]
pub struct Writer {
    octets: Vec<u8>,
    overflow: Option<&'static str>,
}

impl Writer {
    /// An empty message.
    #[must_use]
    pub const fn new() -> Self {
        Self { octets: Vec::new(), overflow: None }
    }

    /// An empty message with room for `capacity` octets.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { octets: Vec::with_capacity(capacity), overflow: None }
    }

    /// Octets written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.octets.len()
    }

    /// Whether nothing has been written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    /// What has been written so far.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.octets
    }

    /// Appends octets as they are.
    pub fn bytes(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
    }

    /// Appends `count` zero octets.
    pub fn zeros(&mut self, count: usize) {
        self.octets.resize(self.octets.len().saturating_add(count), 0);
    }

    /// Appends one octet.
    pub fn u8(&mut self, value: u8) {
        self.octets.push(value);
    }

    /// Appends a 16-bit number.
    pub fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    /// Appends a 32-bit number.
    pub fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    /// Appends a 64-bit number.
    pub fn u64(&mut self, value: u64) {
        self.bytes(&value.to_be_bytes());
    }

    /// Overwrites octets written before; a position past the end is left alone.
    pub fn patch(&mut self, at: usize, octets: &[u8]) {
        let slot = at.checked_add(octets.len()).and_then(|end| self.octets.get_mut(at..end));
        if let Some(slot) = slot {
            slot.copy_from_slice(octets);
        }
    }

    /// Writes a 16-bit length in front of what `body` writes. The length counts the body, the two octets of
    /// the length itself, and `before` octets already written (the rest of a payload header).
    pub fn nested_u16(&mut self, field: &'static str, before: usize, body: impl FnOnce(&mut Self)) {
        let at = self.octets.len();
        self.u16(0);
        body(self);
        let length = self.octets.len().saturating_sub(at).saturating_add(before);
        match u16::try_from(length) {
            Ok(length) => self.patch(at, &length.to_be_bytes()),
            Err(_) => self.overflow = self.overflow.or(Some(field)),
        }
    }

    /// Notes that `field` cannot be written as it is, for example because of an element count over 255.
    pub fn reject(&mut self, field: &'static str) {
        self.overflow = self.overflow.or(Some(field));
    }

    /// The finished message.
    ///
    /// # Errors
    /// [`Problem::BadLength`] if a structure was too long for its length field.
    pub fn finish(self) -> Result<Vec<u8>, WireError> {
        match self.overflow {
            None => Ok(self.octets),
            Some(field) => Err(WireError::new(field, Problem::BadLength(self.octets.len()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_past_the_end_is_named_and_nothing_is_consumed() {
        let mut reader = Reader::new(&[1, 2, 3]);
        assert_eq!(
            reader.u32("message id"),
            Err(WireError::new("message id", Problem::Truncated { needed: 4, left: 3 }))
        );
        assert_eq!(reader.u16("flags"), Ok(0x0102));
        assert_eq!(reader.clone().finish("header"), Err(WireError::new("header", Problem::Trailing(1))));
    }

    #[test]
    fn nested_lengths_cover_header_and_body() {
        let mut writer = Writer::new();
        writer.u16(0x2200);
        writer.nested_u16("payload", 2, |w| w.bytes(&[9; 5]));
        assert_eq!(writer.finish().unwrap(), [0x22, 0, 0, 9, 9, 9, 9, 9, 9]);
    }

    #[test]
    fn a_structure_too_long_for_its_length_field_is_an_error() {
        let mut writer = Writer::new();
        writer.nested_u16("payload", 2, |w| w.zeros(65_532));
        assert_eq!(writer.finish().unwrap_err().field, "payload");
    }
}
