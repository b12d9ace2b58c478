//! Paths, and what a UDP datagram on IKE's ports carries.

use core::fmt;
use core::net::SocketAddr;

use crate::spi::EspSpi;

/// IKE's own port (RFC 7296 2).
pub const IKE_PORT: u16 = 500;

/// The port that IKE and ESP share when a NAT may be in the way (RFC 3948).
pub const NAT_T_PORT: u16 = 4500;

/// The two ends of a UDP path, seen from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    /// Our address and port.
    pub local: SocketAddr,
    /// The peer's address and port, as we see them.
    pub remote: SocketAddr,
}

impl Path {
    /// The path between two sockets.
    #[must_use]
    pub const fn new(local: SocketAddr, remote: SocketAddr) -> Self {
        Self { local, remote }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}...{}", self.local, self.remote)
    }
}

/// A received IKE message with the path it came on.
///
/// `octets` starts with the IKE header: on a port that carries ESP too, [`classify`] has already removed the
/// four zero octets in front.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Where it arrived and where it came from.
    pub path: Path,
    /// Whether it came with the non-ESP marker, that is on a socket shared with ESP.
    pub encapsulated: bool,
    /// The message, starting with the IKE header.
    pub octets: &'a [u8],
}

/// What a datagram on a socket shared by IKE and ESP carries (RFC 3948 2).
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |   Non-ESP Marker (four zero octets), or the SPI of an ESP SA  |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried<'a> {
    /// An IKE message, the marker removed.
    Ike(&'a [u8]),
    /// An ESP packet, starting with its SPI.
    Esp(EspSpi, &'a [u8]),
    /// A NAT keepalive: the single octet 0xff.
    Keepalive,
    /// None of these: too short to be anything, or an SPI that no SA can have.
    Unknown,
}

/// Tells what a datagram from a socket shared by IKE and ESP carries.
///
/// ```
/// use ikebana_core::datagram::{Carried, classify};
/// assert_eq!(classify(&[0xff]), Carried::Keepalive);
/// assert_eq!(classify(&[0, 0, 0, 0, 9]), Carried::Ike(&[9]));
/// assert_eq!(classify(&[0, 0, 0, 7]), Carried::Unknown);
/// ```
#[must_use]
pub fn classify(octets: &[u8]) -> Carried<'_> {
    match octets {
        // RFC 3948 2.3: the receiver ignores a keepalive.
        [0xff] => Carried::Keepalive,
        [0, 0, 0, 0, ike @ ..] => Carried::Ike(ike),
        [a, b, c, d, ..] => match EspSpi::new(u32::from_be_bytes([*a, *b, *c, *d])) {
            Some(spi) => Carried::Esp(spi, octets),
            None => Carried::Unknown,
        },
        _ => Carried::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_datagrams_are_unknown_and_never_a_panic() {
        for length in 0..4 {
            assert_eq!(classify(&[0; 4][..length]), Carried::Unknown);
            assert_eq!(classify(&[9; 4][..length]), Carried::Unknown);
        }
        assert_eq!(classify(&[0xff, 0xff]), Carried::Unknown);
    }

    #[test]
    fn a_non_zero_spi_is_esp_and_a_reserved_one_is_nothing() {
        assert_eq!(classify(&[0, 0, 1, 0, 5]), Carried::Esp(EspSpi::MIN, &[0, 0, 1, 0, 5]));
        assert_eq!(classify(&[0, 0, 0, 255, 5]), Carried::Unknown);
    }
}
