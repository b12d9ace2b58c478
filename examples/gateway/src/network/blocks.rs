//! Address ranges as the CIDR blocks that routes are made of.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ikebana_core::AddressRange;

/// A CIDR block: its first address and its prefix length.
pub type Block = (IpAddr, u8);

/// The fewest blocks that together are `range`, in order.
#[must_use]
pub fn blocks(range: &AddressRange) -> Vec<Block> {
    let (bits, first, last) = match (range.first(), range.last()) {
        (IpAddr::V4(first), IpAddr::V4(last)) => (32, first.to_bits().into(), last.to_bits().into()),
        (IpAddr::V6(first), IpAddr::V6(last)) => (128, first.to_bits(), last.to_bits()),
        // A range is of one family.
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return Vec::new(),
    };
    let mut found = Vec::new();
    let mut next: u128 = first;
    loop {
        // The largest block that starts here and ends within the range.
        let aligned = next.trailing_zeros().min(bits);
        let fits = |zeros: &u32| last - next >= low_bits(*zeros);
        let zeros = (0..=aligned).rev().find(fits).unwrap_or(0);
        found.push((address(bits, next), u8::try_from(bits - zeros).unwrap_or(0)));
        match next.checked_add(low_bits(zeros)).and_then(|end| end.checked_add(1)) {
            Some(after) if after <= last => next = after,
            Some(_) | None => return found,
        }
    }
}

/// A number with the `count` lowest bits set.
const fn low_bits(count: u32) -> u128 {
    match 1_u128.checked_shl(count) {
        Some(bit) => bit - 1,
        None => u128::MAX,
    }
}

fn address(bits: u32, value: u128) -> IpAddr {
    match (bits, u32::try_from(value)) {
        (32, Ok(v4)) => Ipv4Addr::from_bits(v4).into(),
        _ => Ipv6Addr::from_bits(value).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(range: &str) -> String {
        let range: AddressRange = range.parse().unwrap();
        let blocks: Vec<String> =
            blocks(&range).iter().map(|(address, prefix)| format!("{address}/{prefix}")).collect();
        blocks.join(" ")
    }

    #[test]
    fn a_block_is_itself() {
        for block in ["10.1.0.0/16", "0.0.0.0/0", "192.0.2.1/32", "::/0", "2001:db8::/32", "::1/128"] {
            assert_eq!(text(block), block);
        }
    }

    #[test]
    fn a_range_is_cut_into_the_fewest_blocks() {
        assert_eq!(text("10.0.0.1..10.0.0.6"), "10.0.0.1/32 10.0.0.2/31 10.0.0.4/31 10.0.0.6/32");
        assert_eq!(text("0.0.0.1..255.255.255.255").split(' ').count(), 32);
        assert_eq!(text("2001:db8::..2001:db8::2"), "2001:db8::/127 2001:db8::2/128");
        assert_eq!(text("::1..ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff").split(' ').count(), 128);
    }
}
