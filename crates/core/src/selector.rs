//! Traffic selectors: which packets an SA is for (RFC 7296 3.13, RFC 4301 4.4.1.1).

mod range;
mod set;
mod text;

use core::fmt;
use core::net::IpAddr;

pub use range::{AddressRange, PortRange};
pub use set::TrafficSelectors;
pub use text::{SelectorError, SelectorProblem};

/// IP protocol numbers that selectors treat specially.
pub mod protocol {
    /// Any protocol, in a selector.
    pub const ANY: u8 = 0;
    /// ICMP for IPv4.
    pub const ICMP: u8 = 1;
    /// IPv4 in IP, as ESP's next header in tunnel mode.
    pub const IPV4: u8 = 4;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// IPv6 in IP, as ESP's next header in tunnel mode.
    pub const IPV6: u8 = 41;
    /// ESP.
    pub const ESP: u8 = 50;
    /// AH.
    pub const AH: u8 = 51;
    /// ICMP for IPv6.
    pub const ICMPV6: u8 = 58;
    /// No next header; an ESP dummy packet.
    pub const NONE: u8 = 59;
    /// SCTP.
    pub const SCTP: u8 = 132;
    /// Mobility header; its type takes the place of a port.
    pub const MOBILITY: u8 = 135;
}

/// What a packet shows of itself to a selector: addresses, protocol and ports.
///
/// Whose address is `local` depends on the direction: for an outbound packet it is the source. For ICMP the
/// message type and code stand where ports would (type in the upper octet), the same on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    /// The address on our side of the tunnel.
    pub local: IpAddr,
    /// The address on the peer's side of the tunnel.
    pub remote: IpAddr,
    /// The IP protocol, after any extension headers.
    pub protocol: u8,
    /// The port on our side, or `None` where the packet shows none (a later fragment).
    pub local_port: Option<u16>,
    /// The port on the peer's side, or `None` where the packet shows none.
    pub remote_port: Option<u16>,
}

impl Flow {
    /// The same flow seen from the other end.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self {
            local: self.remote,
            remote: self.local,
            protocol: self.protocol,
            local_port: self.remote_port,
            remote_port: self.local_port,
        }
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |f: &mut fmt::Formatter<'_>, address: IpAddr, port: Option<u16>| match port {
            Some(port) => write!(f, "{}", core::net::SocketAddr::new(address, port)),
            None => write!(f, "{address}"),
        };
        end(f, self.local, self.local_port)?;
        f.write_str(" -> ")?;
        end(f, self.remote, self.remote_port)?;
        write!(f, " protocol {}", self.protocol)
    }
}

/// One side's addresses, protocol and ports.
///
/// An SA is for the packets whose local end matches one of its local selectors and whose remote end matches
/// one of its remote selectors with the same protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrafficSelector {
    /// The IP protocol, or [`protocol::ANY`].
    pub protocol: u8,
    /// The addresses.
    pub addresses: AddressRange,
    /// The ports, ICMP types and codes, or mobility header types.
    pub ports: PortRange,
}

impl TrafficSelector {
    /// Every protocol and port of `addresses`.
    #[must_use]
    pub const fn any_of(addresses: AddressRange) -> Self {
        Self { protocol: protocol::ANY, addresses, ports: PortRange::ANY }
    }

    /// Every protocol and port of one host.
    #[must_use]
    pub const fn host(address: IpAddr) -> Self {
        Self::any_of(AddressRange::single(address))
    }

    /// Whether this selector covers `other` entirely.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.covers_protocol(other.protocol)
            && self.addresses.contains_range(&other.addresses)
            && self.ports.contains_range(&other.ports)
    }

    /// What both selectors cover, or `None` if they have nothing in common.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        let protocol = match (self.protocol, other.protocol) {
            (protocol::ANY, theirs) => theirs,
            (ours, protocol::ANY) => ours,
            (ours, theirs) if ours == theirs => ours,
            _ => return None,
        };
        Some(Self {
            protocol,
            addresses: self.addresses.intersect(&other.addresses)?,
            ports: self.ports.intersect(&other.ports)?,
        })
    }

    /// Whether one end of a packet matches. A packet that shows no port matches only selectors that do not
    /// look at ports: any port, or opaque.
    #[must_use]
    pub fn matches(&self, address: IpAddr, protocol: u8, port: Option<u16>) -> bool {
        self.covers_protocol(protocol)
            && self.addresses.contains(address)
            && match port {
                Some(port) => self.ports.contains(port),
                None => self.ports.is_any() || self.ports.is_opaque(),
            }
    }

    const fn covers_protocol(&self, other: u8) -> bool {
        self.protocol == protocol::ANY || self.protocol == other
    }
}

#[cfg(test)]
mod tests;
