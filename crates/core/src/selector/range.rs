//! Ranges of addresses and of ports.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An inclusive range of addresses of one family, never empty.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressRange {
    first: IpAddr,
    last: IpAddr,
}

impl AddressRange {
    /// All of IPv4.
    pub const ALL_V4: Self =
        Self { first: IpAddr::V4(Ipv4Addr::UNSPECIFIED), last: IpAddr::V4(Ipv4Addr::BROADCAST) };

    /// All of IPv6.
    pub const ALL_V6: Self =
        Self { first: IpAddr::V6(Ipv6Addr::UNSPECIFIED), last: IpAddr::V6(Ipv6Addr::from_bits(u128::MAX)) };

    /// The range from `first` to `last`; `None` if they are of two families or in the wrong order.
    #[must_use]
    pub fn new(first: IpAddr, last: IpAddr) -> Option<Self> {
        (first.is_ipv4() == last.is_ipv4() && first <= last).then_some(Self { first, last })
    }

    /// One address.
    #[must_use]
    pub const fn single(address: IpAddr) -> Self {
        Self { first: address, last: address }
    }

    /// The block of addresses that share `address`'s first `prefix` bits; `None` if the prefix is too long.
    /// Bits of `address` after the prefix are ignored.
    #[must_use]
    pub fn block(address: IpAddr, prefix: u8) -> Option<Self> {
        match address {
            IpAddr::V4(v4) => {
                let host_bits = 32_u32.checked_sub(u32::from(prefix))?;
                let mask = u32::MAX.checked_shr(32 - host_bits).unwrap_or(0);
                let bits = v4.to_bits();
                Some(Self {
                    first: Ipv4Addr::from_bits(bits & !mask).into(),
                    last: Ipv4Addr::from_bits(bits | mask).into(),
                })
            }
            IpAddr::V6(v6) => {
                let host_bits = 128_u32.checked_sub(u32::from(prefix))?;
                let mask = u128::MAX.checked_shr(128 - host_bits).unwrap_or(0);
                let bits = v6.to_bits();
                Some(Self {
                    first: Ipv6Addr::from_bits(bits & !mask).into(),
                    last: Ipv6Addr::from_bits(bits | mask).into(),
                })
            }
        }
    }

    /// The lowest address.
    #[must_use]
    pub const fn first(&self) -> IpAddr {
        self.first
    }

    /// The highest address.
    #[must_use]
    pub const fn last(&self) -> IpAddr {
        self.last
    }

    /// Whether the addresses are of IPv4.
    #[must_use]
    pub const fn is_ipv4(&self) -> bool {
        self.first.is_ipv4()
    }

    /// Whether `address` is in the range.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.is_ipv4() == address.is_ipv4() && self.first <= address && address <= self.last
    }

    /// Whether all of `other` is in the range.
    #[must_use]
    pub fn contains_range(&self, other: &Self) -> bool {
        self.contains(other.first) && self.contains(other.last)
    }

    /// The addresses in both ranges.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        Self::new(self.first.max(other.first), self.last.min(other.last))
    }

    /// The prefix length, if the range is exactly one CIDR block.
    #[must_use]
    pub fn prefix(&self) -> Option<u8> {
        let prefix = match (self.first, self.last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => (first.to_bits() ^ last.to_bits()).leading_zeros(),
            (IpAddr::V6(first), IpAddr::V6(last)) => (first.to_bits() ^ last.to_bits()).leading_zeros(),
            _ => return None,
        };
        let prefix = u8::try_from(prefix).ok()?;
        (Self::block(self.first, prefix) == Some(*self)).then_some(prefix)
    }
}

impl fmt::Display for AddressRange {
    /// A CIDR block where it is one, `first..last` where it is not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix() {
            Some(prefix) => write!(f, "{}/{prefix}", self.first),
            None => write!(f, "{}..{}", self.first, self.last),
        }
    }
}

impl fmt::Debug for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An inclusive range of ports, or the wire's special case OPAQUE.
///
/// OPAQUE (first 65535, last 0; RFC 7296 3.13.1) is for packets whose ports cannot be seen; it is not a range
/// of ports and shares nothing with one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// Every port.
    pub const ANY: Self = Self { first: 0, last: u16::MAX };

    /// Packets whose ports cannot be seen.
    pub const OPAQUE: Self = Self { first: u16::MAX, last: 0 };

    /// The range from `first` to `last`; `None` in the wrong order, unless it is OPAQUE.
    #[must_use]
    pub const fn new(first: u16, last: u16) -> Option<Self> {
        if first <= last || (first == u16::MAX && last == 0) { Some(Self { first, last }) } else { None }
    }

    /// One port.
    #[must_use]
    pub const fn single(port: u16) -> Self {
        Self { first: port, last: port }
    }

    /// One ICMP type with every code.
    #[must_use]
    pub const fn icmp_type(kind: u8) -> Self {
        Self { first: u16::from_be_bytes([kind, 0]), last: u16::from_be_bytes([kind, 0xff]) }
    }

    /// One ICMP type with one code.
    #[must_use]
    pub const fn icmp_type_code(kind: u8, code: u8) -> Self {
        Self::single(u16::from_be_bytes([kind, code]))
    }

    /// The lowest port.
    #[must_use]
    pub const fn first(&self) -> u16 {
        self.first
    }

    /// The highest port.
    #[must_use]
    pub const fn last(&self) -> u16 {
        self.last
    }

    /// Whether this is every port.
    #[must_use]
    pub const fn is_any(&self) -> bool {
        self.first == 0 && self.last == u16::MAX
    }

    /// Whether this is OPAQUE.
    #[must_use]
    pub const fn is_opaque(&self) -> bool {
        self.first > self.last
    }

    /// Whether `port` is in the range.
    #[must_use]
    pub const fn contains(&self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }

    /// Whether all of `other` is in the range. Every port covers OPAQUE: RFC 4301 4.4.1.1 makes ANY
    /// encompass it.
    #[must_use]
    pub const fn contains_range(&self, other: &Self) -> bool {
        if self.is_any() {
            return true;
        }
        if self.is_opaque() || other.is_opaque() {
            return self.is_opaque() && other.is_opaque();
        }
        self.first <= other.first && other.last <= self.last
    }

    /// The ports in both ranges.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        if self.contains_range(other) {
            return Some(*other);
        }
        if other.contains_range(self) {
            return Some(*self);
        }
        if self.is_opaque() || other.is_opaque() {
            return None;
        }
        let (first, last) = (self.first.max(other.first), self.last.min(other.last));
        (first <= last).then_some(Self { first, last })
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_any() {
            f.write_str("any")
        } else if self.is_opaque() {
            f.write_str("opaque")
        } else if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

impl fmt::Debug for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
