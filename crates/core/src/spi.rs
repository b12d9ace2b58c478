//! Security parameter indexes.

use core::fmt;

use crate::random::{SecureRandom, public_u32, public_u64};

/// An IKE SA's SPI: eight octets chosen by one of the two sides (RFC 7296 3.1).
///
/// Zero stands for "not chosen yet", as in the first message's responder SPI.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IkeSpi(pub [u8; 8]);

impl IkeSpi {
    /// The value that means "none".
    pub const ZERO: Self = Self([0; 8]);

    /// Whether this is the value that means "none".
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }
}

impl fmt::Display for IkeSpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for IkeSpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An ESP or AH SA's SPI: four octets chosen by the receiving side (RFC 4303 2.1).
///
/// Values 0 to 255 are reserved and cannot be expressed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EspSpi(u32);

impl EspSpi {
    /// The smallest SPI an SA may have.
    pub const MIN: Self = Self(256);

    /// The SPI with this value, unless it is one of the reserved ones.
    #[must_use]
    pub const fn new(value: u32) -> Option<Self> {
        if value < 256 { None } else { Some(Self(value)) }
    }

    /// The value on the wire.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The octets on the wire.
    #[must_use]
    pub const fn to_be_bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for EspSpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for EspSpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Proposes SPIs. The endpoint asks again until it gets one that none of its SAs has.
pub trait SpiAllocator: Send {
    /// A candidate for a new IKE SA of ours; never zero.
    fn ike_spi(&mut self, rng: &mut dyn SecureRandom) -> IkeSpi;

    /// A candidate for a new inbound ESP or AH SA of ours.
    fn esp_spi(&mut self, rng: &mut dyn SecureRandom) -> EspSpi;
}

/// Random SPIs whose first bits name a shard.
///
/// Several engines, one per core, can share one address when each has a shard of its own: the receiver of a
/// datagram reads the shard off the SPI with [`ShardedSpis::shard_of_ike`] and [`ShardedSpis::shard_of_esp`]
/// and needs no table. With zero bits there is one shard and the SPI is random throughout.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShardedSpis {
    shard: u8,
    bits: u8,
}

impl ShardedSpis {
    /// All SPIs in one shard.
    #[must_use]
    pub const fn unsharded() -> Self {
        Self { shard: 0, bits: 0 }
    }

    /// SPIs of `shard`, told by their first `bits` bits; `None` if `bits` exceeds 8 or `shard` does not fit.
    #[must_use]
    pub const fn new(shard: u8, bits: u8) -> Option<Self> {
        if bits > 8 || (shard as u16) >= (1 << bits) { None } else { Some(Self { shard, bits }) }
    }

    /// The shard that an IKE SPI made with `bits` shard bits belongs to.
    #[must_use]
    pub const fn shard_of_ike(spi: IkeSpi, bits: u8) -> u8 {
        let [first, ..] = spi.0;
        first_bits(first, bits)
    }

    /// The shard that an ESP SPI made with `bits` shard bits belongs to.
    #[must_use]
    pub const fn shard_of_esp(spi: EspSpi, bits: u8) -> u8 {
        let [first, ..] = spi.to_be_bytes();
        first_bits(first, bits)
    }

    const fn stamp(self, first: u8) -> u8 {
        if self.bits == 0 {
            return first;
        }
        if self.bits >= 8 {
            return self.shard;
        }
        (self.shard << (8 - self.bits)) | (first & (0xff >> self.bits))
    }
}

const fn first_bits(octet: u8, bits: u8) -> u8 {
    match bits {
        0 => 0,
        1..8 => octet >> (8 - bits),
        _ => octet,
    }
}

impl SpiAllocator for ShardedSpis {
    fn ike_spi(&mut self, rng: &mut dyn SecureRandom) -> IkeSpi {
        loop {
            let mut octets = public_u64(rng).to_be_bytes();
            let [first, ..] = &mut octets;
            *first = self.stamp(*first);
            if !IkeSpi(octets).is_zero() {
                return IkeSpi(octets);
            }
        }
    }

    fn esp_spi(&mut self, rng: &mut dyn SecureRandom) -> EspSpi {
        loop {
            let mut octets = public_u32(rng).to_be_bytes();
            let [first, ..] = &mut octets;
            *first = self.stamp(*first);
            if let Some(spi) = EspSpi::new(u32::from_be_bytes(octets)) {
                return spi;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting(u8);
    impl SecureRandom for Counting {
        fn fill_public(&mut self, out: &mut [u8]) {
            for octet in out {
                *octet = self.0;
                self.0 = self.0.wrapping_mul(5).wrapping_add(113);
            }
        }
        fn fill_secret(&mut self, out: &mut [u8]) {
            self.fill_public(out);
        }
    }

    #[test]
    fn the_shard_can_be_read_off_every_spi() {
        for bits in 0..=8 {
            for shard in 0..=u8::MAX {
                let Some(mut spis) = ShardedSpis::new(shard, bits) else { continue };
                let rng = &mut Counting(shard);
                for _ in 0..10 {
                    assert_eq!(ShardedSpis::shard_of_ike(spis.ike_spi(rng), bits), shard);
                    assert_eq!(ShardedSpis::shard_of_esp(spis.esp_spi(rng), bits), shard);
                }
            }
        }
    }

    /// Zeros, then ones: a generator whose first draw is no SPI at all.
    struct ZeroFirst(bool);
    impl SecureRandom for ZeroFirst {
        fn fill_public(&mut self, out: &mut [u8]) {
            out.fill(u8::from(self.0));
            self.0 = true;
        }
        fn fill_secret(&mut self, out: &mut [u8]) {
            self.fill_public(out);
        }
    }

    #[test]
    fn a_draw_that_is_no_spi_is_repeated() {
        let mut spis = ShardedSpis::unsharded();
        assert_eq!(spis.ike_spi(&mut ZeroFirst(false)), IkeSpi([1; 8]));
        assert_eq!(Some(spis.esp_spi(&mut ZeroFirst(false))), EspSpi::new(0x0101_0101));
    }

    #[test]
    fn reserved_values_are_no_spi() {
        assert_eq!(EspSpi::new(255), None);
        assert_eq!(EspSpi::new(256), Some(EspSpi::MIN));
    }
}
