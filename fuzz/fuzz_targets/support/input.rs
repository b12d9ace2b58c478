//! What the targets read from the fuzzer's octets. Past the end everything is zero, so every input means something.

/// The octets that are left.
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn octet(&mut self) -> u8 {
        let octet;
        (octet, self.0) = self.0.split_first().map_or((0, self.0), |(first, rest)| (*first, rest));
        octet
    }

    pub(crate) fn number(&mut self) -> u16 {
        u16::from_be_bytes([self.octet(), self.octet()])
    }

    /// A number below `count`.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        usize::from(self.octet()) % count
    }

    /// One of a few things.
    #[allow(dead_code, reason = "not every target picks")]
    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// A length and as many octets, or what is left of them.
    #[allow(dead_code, reason = "not every target reads octets")]
    pub(crate) fn octets(&mut self) -> &'a [u8] {
        let length = usize::from(self.octet()).min(self.0.len());
        let octets;
        (octets, self.0) = self.0.split_at(length);
        octets
    }
}
