//! Poly1305 (RFC 8439 2.5) with two words of 64 bits and a rest, in the integer unit: it runs beside the vectors of
//! ChaCha20 and costs next to nothing there.

/// Octets of a block, and of a tag.
pub(crate) const BLOCK: usize = 16;

/// What r may not have (RFC 8439 2.5).
const CLAMP: u128 = 0x0fff_fffc_0fff_fffc_0fff_fffc_0fff_ffff;

/// A MAC under way. The sum is below 2^131.
#[derive(Clone, Copy)]
pub(crate) struct Poly1305 {
    sum: [u64; 3],
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
        Self { sum: [0; 3], r: [low, high], upper_folded: high + (high >> 2), pad }
    }

    /// Adds a whole block and multiplies with r.
    #[inline]
    pub(crate) fn block(&mut self, block: &[u8; BLOCK]) {
        let [r0, r1] = self.r;
        let (low, high) = words(u128::from_le_bytes(*block));
        let (h0, carry) = self.sum[0].overflowing_add(low);
        let (h1, h2) = words(u128::from(self.sum[1]) + u128::from(high) + u128::from(carry));
        let h2 = self.sum[2] + h2 + 1;

        let product = |a, b| u128::from(a) * u128::from(b);
        let d0 = product(h0, r0) + product(h1, self.upper_folded);
        let d1 = product(h0, r1) + product(h1, r0) + u128::from(h2 * self.upper_folded);
        let (h0, carry) = words(d0);
        let (h1, carry) = words(d1 + u128::from(carry));
        let h2 = h2 * r0 + carry;

        // Five times what is above 2^130.
        let (h0, carry) = h0.overflowing_add((h2 & !3) + (h2 >> 2));
        let (h1, carry) = h1.overflowing_add(u64::from(carry));
        self.sum = [h0, h1, (h2 & 3) + u64::from(carry)];
    }

    /// Adds octets with zeros behind them up to a whole block.
    #[inline]
    pub(crate) fn padded(&mut self, octets: &[u8]) {
        let (blocks, rest) = octets.as_chunks();
        for block in blocks {
            self.block(block);
        }
        if !rest.is_empty() {
            let mut block = [0; BLOCK];
            for (slot, &octet) in block.iter_mut().zip(rest) {
                *slot = octet;
            }
            self.block(&block);
        }
    }

    /// The tag.
    #[inline]
    pub(crate) fn tag(self) -> [u8; BLOCK] {
        let [h0, h1, h2] = self.sum;
        let low = (u128::from(h1) << 64) | u128::from(h0);
        // The sum is at least 2^130 - 5 if adding 5 reaches 2^130; then that has to be subtracted once.
        let (_, carry) = low.overflowing_add(5);
        let over = (h2 + u64::from(carry)) >> 2;
        low.wrapping_add(u128::from(over * 5)).wrapping_add(self.pad).to_le_bytes()
    }
}

/// The lower and the upper word.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "a half each")]
const fn words(value: u128) -> (u64, u64) {
    (value as u64, (value >> 64) as u64)
}
