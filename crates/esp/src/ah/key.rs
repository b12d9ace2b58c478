//! AH's header and the ICV in it.

use alloc::boxed::Box;

use ikebana_core::EspSpi;
use ikebana_crypto::{CryptoProvider, Mac};

use crate::error::{NextHeader, OpenError};
use crate::ip::{self, Family};
use crate::params::SetupError;
use crate::sequence;

use super::params::AhParams;

/// AH up to the ICV.
const FIXED: usize = 12;
/// The longest ICV there is (HMAC-SHA2-512-256).
const MAX_ICV: usize = 32;
/// What the ICV's place is taken as while the ICV is computed (RFC 4302 3.3.3).
const NO_ICV: [u8; MAX_ICV] = [0; MAX_ICV];

/// The length of AH with an ICV of this length.
///
/// RFC 4302 2.6: padding behind the ICV makes AH a multiple of 32 bits in IPv4, of 64 bits in IPv6, and not one
/// octet more.
pub(crate) const fn header_len(icv_len: usize, family: Family) -> usize {
    let alignment = match family {
        Family::V4 => 4,
        Family::V6 => 8,
    };
    FIXED.saturating_add(icv_len).next_multiple_of(alignment)
}

/// The key of one SA.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// | Next Header   |  Payload Len  |          RESERVED             |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                 Security Parameters Index (SPI)               |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                    Sequence Number Field                      |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                Integrity Check Value-ICV (variable)           |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
pub(super) struct AhKey {
    pub(super) spi: EspSpi,
    extended: bool,
    icv_len: usize,
    mac: Box<dyn Mac>,
}

/// AH as it was received.
#[derive(Clone, Copy)]
pub(super) struct AhHeader {
    pub(super) next: NextHeader,
    pub(super) sequence: u32,
    /// Octets, ICV and padding included.
    pub(super) len: usize,
}

impl AhKey {
    pub(super) fn new(params: &AhParams, provider: &CryptoProvider) -> Result<Self, SetupError> {
        let suite = params.suite;
        let integrity = suite.integrity.ok_or(SetupError::Suite(suite))?;
        let needed = provider.key_lengths(None, Some(integrity)).ok_or(SetupError::Suite(suite))?;
        let given = params.key.len();
        if given != needed.integrity {
            return Err(SetupError::KeyLength { suite, needed: [0, needed.integrity], given: [0, given] });
        }
        let mac = provider.mac(integrity, params.key.expose()).map_err(|_| SetupError::Suite(suite))?;
        let icv_len = mac.icv_len();
        if icv_len == 0 || icv_len > MAX_ICV || icv_len != integrity.icv_len() {
            return Err(SetupError::Suite(suite));
        }
        Ok(Self { spi: params.spi, extended: suite.esn, icv_len, mac })
    }

    /// The length of the AH that this SA sends.
    pub(super) const fn header_len(&self, family: Family) -> usize {
        header_len(self.icv_len, family)
    }

    /// Writes everything of AH but the ICV to the front of `ah`, which has room for it.
    pub(super) fn write(&self, ah: &mut [u8], next: NextHeader, sequence: u64, family: Family) -> Option<()> {
        let length = self.header_len(family);
        ah.get_mut(..length)?.fill(0);
        // RFC 4302 2.2: the length in 32-bit words, less two.
        let words = u8::try_from(length.checked_div(4)?.checked_sub(2)?).ok()?;
        ip::put(ah, 0, &[next.0, words])?;
        ip::put(ah, 4, &self.spi.to_be_bytes())?;
        ip::put(ah, 8, &sequence::low(sequence).to_be_bytes())
    }

    /// Computes the ICV and writes it to its place. `covered` is the headers in front of AH as the ICV sees
    /// them, `from_ah` the packet from AH to its end.
    pub(super) fn protect(&self, covered: &[u8], from_ah: &mut [u8], sequence: u64) -> Option<()> {
        let (fixed, rest) = from_ah.split_at_mut_checked(FIXED)?;
        let (icv, rest) = rest.split_at_mut_checked(self.icv_len)?;
        let esn_high = sequence::high(sequence).to_be_bytes();
        let parts = [covered, fixed, NO_ICV.get(..self.icv_len)?, rest, self.esn_part(&esn_high)];
        self.mac.compute(&parts, icv);
        Some(())
    }

    /// Whether the ICV is right, in constant time.
    pub(super) fn verify(&self, covered: &[u8], from_ah: &[u8], sequence: u64) -> bool {
        let esn_high = sequence::high(sequence).to_be_bytes();
        let parts = || {
            let (fixed, rest) = from_ah.split_at_checked(FIXED)?;
            let (icv, rest) = rest.split_at_checked(self.icv_len)?;
            Some(([covered, fixed, NO_ICV.get(..self.icv_len)?, rest, self.esn_part(&esn_high)], icv))
        };
        parts().is_some_and(|(parts, icv)| self.mac.verify(&parts, icv))
    }

    /// Reads the header at the front of `from_ah`.
    pub(super) fn parse(&self, from_ah: &[u8], family: Family) -> Result<AhHeader, OpenError> {
        let short = OpenError::Short { length: from_ah.len() };
        let fixed: &[u8; FIXED] = from_ah.first_chunk().ok_or(short)?;
        let [next, words, _, _, s0, s1, s2, s3, n0, n1, n2, n3] = *fixed;
        let spi = u32::from_be_bytes([s0, s1, s2, s3]);
        if spi != self.spi.get() {
            return Err(OpenError::WrongSpi(spi));
        }
        let len = usize::from(words).saturating_add(2).saturating_mul(4);
        // Linux pads to 64 bits in IPv4 too unless told otherwise; the padding is covered by the ICV, so taking
        // it does no harm.
        let expected = [self.header_len(family), self.header_len(Family::V6)];
        if !expected.contains(&len) {
            return Err(OpenError::AhLength(words));
        }
        if len > from_ah.len() {
            return Err(short);
        }
        let sequence = u32::from_be_bytes([n0, n1, n2, n3]);
        Ok(AhHeader { next: NextHeader(next), sequence, len })
    }

    /// RFC 4302 3.3.3.2.2: the high half of an extended number comes behind the packet, and is not sent.
    fn esn_part<'a>(&self, esn_high: &'a [u8; 4]) -> &'a [u8] {
        if self.extended { esn_high } else { &[] }
    }
}

#[cfg(test)]
mod tests;
