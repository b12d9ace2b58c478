//! Poly1305 (RFC 8439 2.5) with two words of 64 bits and a rest, in the integer unit: it runs beside the vectors of
//! ChaCha20 and costs next to nothing there.

use super::vector::partial;

/// Octets of a block, and of a tag.
pub(crate) const BLOCK: usize = 16;

/// What r may not have (RFC 8439 2.5).
const CLAMP: u128 = 0x0fff_fffc_0fff_fffc_0fff_fffc_0fff_ffff;

/// A MAC under way.
#[derive(Clone, Copy)]
pub(crate) struct Poly1305 {
    /// The sum's lower 128 bits.
    low: u128,
    /// What is above them. Only with the next block is it brought below 2^130, which then has to wait less.
    high: u64,
    r: [u64; 2],
    /// 5/4 of the upper word of r, whose two lowest bits are zero: that word's weight is 2^64, and 2^130 is 5.
    upper_folded: u64,
    /// What is added at the end.
    pad: u128,
}

impl Poly1305 {
    /// Begins with a one-time key.
    #[inline]
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let (halves, _) = key.as_chunks::<16>();
        let (low, high) = words(u128::from_le_bytes(halves[0]) & CLAMP);
        let pad = u128::from_le_bytes(halves[1]);
        Self { low: 0, high: 0, r: [low, high], upper_folded: high + (high >> 2), pad }
    }

    /// Adds a whole block and multiplies with r.
    #[inline]
    pub(crate) fn block(&mut self, block: &[u8; BLOCK]) {
        self.add(u128::from_le_bytes(*block));
    }

    #[inline]
    fn add(&mut self, block: u128) {
        let [r0, r1] = self.r;
        let (low, above) = self.low.overflowing_add(block);
        let (low, carry) = low.overflowing_add(u128::from(folded(self.high)));
        let (h0, h1) = words(low);
        let h2 = (self.high & 3) + 1 + u64::from(above) + u64::from(carry);

        let product = |a, b| u128::from(a) * u128::from(b);
        let d0 = product(h0, r0) + product(h1, self.upper_folded);
        let d1 = product(h0, r1) + product(h1, r0) + u128::from(h2 * self.upper_folded);
        let (h0, carry) = words(d0);
        let (h1, carry) = words(d1 + u128::from(carry));
        self.low = (u128::from(h1) << 64) | u128::from(h0);
        self.high = h2 * r0 + carry;
    }

    /// Adds octets with zeros behind them up to a whole block.
    #[inline]
    pub(crate) fn padded(&mut self, octets: &[u8]) {
        let (blocks, rest) = octets.as_chunks();
        for block in blocks {
            self.block(block);
        }
        if !rest.is_empty() {
            self.add(partial(rest));
        }
    }

    /// The tag.
    #[inline]
    pub(crate) fn tag(self) -> [u8; BLOCK] {
        let (low, carry) = self.low.overflowing_add(u128::from(folded(self.high)));
        let high = (self.high & 3) + u64::from(carry);
        // The sum is at least 2^130 - 5 if adding 5 reaches 2^130; then that has to be subtracted once.
        let (_, carry) = low.overflowing_add(5);
        let over = (high + u64::from(carry)) >> 2;
        low.wrapping_add(u128::from(over * 5)).wrapping_add(self.pad).to_le_bytes()
    }
}

/// Five times what is above 2^130.
#[inline]
const fn folded(high: u64) -> u64 {
    (high & !3) + (high >> 2)
}

/// The lower and the upper word.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "a half each")]
const fn words(value: u128) -> (u64, u64) {
    (value as u64, (value >> 64) as u64)
}
