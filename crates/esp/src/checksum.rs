//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624).

use core::net::IpAddr;

/// A running one's complement sum.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sum(u64);

impl Sum {
    /// Adds octets; an odd one at the end counts as if a zero followed.
    pub(crate) fn add(mut self, octets: &[u8]) -> Self {
        let (words, rest) = octets.as_chunks::<4>();
        for word in words {
            // 2^32 words of 32 bits fit before the sum could wrap; a packet has 2^14.
            self.0 = self.0.wrapping_add(u64::from(u32::from_be_bytes(*word)));
        }
        let mut last = [0; 4];
        for (octet, &value) in last.iter_mut().zip(rest) {
            *octet = value;
        }
        self.0 = self.0.wrapping_add(u64::from(u32::from_be_bytes(last)));
        self
    }

    /// Adds the pseudo-header that TCP, UDP and ICMPv6 checksums cover (RFC 9293 3.1, RFC 8200 8.1).
    pub(crate) fn pseudo_header(
        self,
        source: IpAddr,
        destination: IpAddr,
        protocol: u8,
        length: u32,
    ) -> Self {
        let sum = match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                self.add(&source.octets()).add(&destination.octets())
            }
            (source, destination) => self.address(source).address(destination),
        };
        sum.add(&length.to_be_bytes()).add(&[0, 0, 0, protocol])
    }

    fn address(self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => self.add(&address.octets()),
            IpAddr::V6(address) => self.add(&address.octets()),
        }
    }

    /// The checksum: the complement of the folded sum.
    #[expect(clippy::cast_possible_truncation, reason = "folded to 16 bits before")]
    pub(crate) fn finish(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum >> 16).wrapping_add(sum & 0xffff);
        }
        !(sum as u16)
    }
}

/// The checksum after `old` octets under it became `new`, both of the same even length and on an even offset.
///
/// RFC 1624 equation 3: HC' = ~(~HC + ~m + m').
pub(crate) fn updated(checksum: u16, old: &[u8], new: &[u8]) -> u16 {
    let complemented = !checksum;
    let mut sum = Sum(u64::from(complemented)).add(new);
    for pair in old.chunks(2) {
        let mut word = [0; 2];
        for (octet, &value) in word.iter_mut().zip(pair) {
            *octet = value;
        }
        sum = Sum(sum.0.wrapping_add(u64::from(!u16::from_be_bytes(word))));
    }
    sum.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_rfc_1071_section_3_comes_out() {
        let octets = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::default().add(&octets).finish(), !0xddf2);
    }

    #[test]
    fn an_odd_octet_counts_as_if_a_zero_followed() {
        let even = Sum::default().add(&[0x12, 0x34, 0x56, 0x00]).finish();
        assert_eq!(Sum::default().add(&[0x12, 0x34, 0x56]).finish(), even);
    }

    #[test]
    fn an_updated_checksum_is_the_one_computed_anew() {
        let mut octets: [u8; 20] = core::array::from_fn(|i| u8::try_from(i).unwrap().wrapping_mul(37));
        for value in [0x0000u16, 0x5555, 0xfffe, 0x1234, 0xffff] {
            let before = Sum::default().add(&octets).finish();
            let old = [octets[6], octets[7]];
            octets[6..8].copy_from_slice(&value.to_be_bytes());
            let anew = Sum::default().add(&octets).finish();
            assert_eq!(updated(before, &old, &value.to_be_bytes()), anew, "{value:04x}");
        }
    }

    #[test]
    fn the_example_of_rfc_1624_section_4_comes_out() {
        assert_eq!(updated(0xdd2f, &[0x55, 0x55], &[0x32, 0x85]), 0x0000);
    }
}
