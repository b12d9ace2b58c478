//! The headers in front of AH as the ICV sees them (RFC 4302 3.3.3.1, appendix A).

use crate::error::{OpenError, SealError};
use crate::ip::{self, IPV4_HEADER, IPV6_HEADER, IpError};

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

/// How many octets IP header, options and extension headers in front of AH may have together.
///
/// IPv4 never has more than 60. The copy whose mutable parts are zero lies on the stack, so IPv6's extension
/// headers need a bound.
pub const MAX_COVERED_HEADERS: usize = 512;

/// Which end of the path the headers are at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The headers leave: what changes predictably is put as it will arrive.
    Sender,
    /// The headers have arrived.
    Receiver,
}

/// Why the headers cannot be covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderError {
    /// More than [`MAX_COVERED_HEADERS`].
    TooLong(usize),
    /// A fragment header, be it an atomic one: reassembly takes it away before AH sees the packet.
    Fragment,
    /// An option or extension header is malformed.
    Ip(IpError),
}

impl HeaderError {
    pub(super) const fn sealing(self) -> SealError {
        match self {
            Self::TooLong(length) => SealError::HeadersTooLong { length },
            Self::Fragment => SealError::Fragment,
            Self::Ip(error) => SealError::Inner(error),
        }
    }

    pub(super) const fn opening(self) -> OpenError {
        match self {
            Self::TooLong(length) => OpenError::HeadersTooLong { length },
            Self::Fragment => OpenError::OuterFragment,
            Self::Ip(error) => OpenError::Outer(error),
        }
    }
}

impl From<IpError> for HeaderError {
    fn from(error: IpError) -> Self {
        Self::Ip(error)
    }
}

/// A copy of headers, its mutable parts zero and its predictable parts as they are at the receiver.
pub(super) struct Covered {
    octets: [u8; MAX_COVERED_HEADERS],
    len: usize,
}

impl Covered {
    /// Copies `headers`: an IP header with everything up to AH.
    pub(super) fn new(headers: &[u8], end: End) -> Result<Self, HeaderError> {
        let mut covered = Self { octets: [0; MAX_COVERED_HEADERS], len: headers.len() };
        let too_long = HeaderError::TooLong(headers.len());
        let copy = covered.octets.get_mut(..headers.len()).ok_or(too_long)?;
        copy.copy_from_slice(headers);
        if headers.first().is_some_and(|first| first >> 4 == 4) {
            v4(copy, end)?;
        } else {
            v6(copy, end)?;
        }
        Ok(covered)
    }

    pub(super) fn octets(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }

    /// Takes immutable octets over that have changed in the original since: its lengths and what follows it.
    pub(super) fn refresh(&mut self, headers: &[u8], at: usize, count: usize) -> Option<()> {
        ip::put(&mut self.octets, at, headers.get(at..at.checked_add(count)?)?)
    }
}

/// RFC 4302 3.3.3.1.1: type of service, flags, fragment offset, time to live and checksum are mutable; version,
/// lengths, identification, protocol and addresses are not.
fn v4(header: &mut [u8], end: End) -> Result<(), IpError> {
    let (fixed, options) = header.split_at_mut_checked(IPV4_HEADER).ok_or(IpError::Truncated)?;
    for at in [1, 6, 7, 8, 10, 11] {
        ip::put(fixed, at, &[0]).ok_or(IpError::Truncated)?;
    }
    let destination = v4_options(options)?;
    // The receiver is where the packet has arrived; only the sender has to look ahead.
    if let (End::Sender, Some(destination)) = (end, destination) {
        ip::put(fixed, 16, &destination).ok_or(IpError::Truncated)?;
    }
    Ok(())
}

/// Zeroes mutable options as a whole (RFC 4302 3.3.3.1.1.2), and returns the final destination that a source
/// route leads to, if the packet still has some of the route before it.
fn v4_options(options: &mut [u8]) -> Result<Option<[u8; 4]>, IpError> {
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    const LOOSE_SOURCE_ROUTE: u8 = 131;
    const STRICT_SOURCE_ROUTE: u8 = 137;
    let mut destination = None;
    let mut rest = options;
    while let Some(&kind) = rest.first() {
        let length = match kind {
            // What follows is padding, and immutable as it is.
            END => break,
            NO_OPERATION => 1,
            _ => usize::from(*rest.get(1).ok_or(IpError::Options)?),
        };
        // A length of less than the option's own two octets would keep us here for ever.
        if kind != NO_OPERATION && length < 2 {
            return Err(IpError::Options);
        }
        let (option, tail) = rest.split_at_mut_checked(length).ok_or(IpError::Options)?;
        if matches!(kind, LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE) {
            destination = route_end(option).or(destination);
        }
        if !is_immutable_v4(kind) {
            option.fill(0);
        }
        rest = tail;
    }
    Ok(destination)
}

/// The last address of a source route (RFC 791 3.1) whose pointer has not passed it.
fn route_end(option: &[u8]) -> Option<[u8; 4]> {
    let pointer = usize::from(*option.get(2)?);
    let (_, last) = option.get(3..)?.split_last_chunk()?;
    (pointer < option.len()).then_some(*last)
}

/// The immutable options of RFC 4302 A1. All others, those not known included, are mutable.
const fn is_immutable_v4(kind: u8) -> bool {
    matches!(
        kind,
        0 | 1 // end, no operation
        | 130 | 133 | 134 // security: basic, extended, commercial
        | 148 // router alert
        | 149 // sender directed multi-destination delivery
    )
}

/// RFC 4302 3.3.3.1.2: traffic class, flow label and hop limit are mutable; version, payload length, next header
/// and addresses are not, but for the destination under a routing header.
fn v6(headers: &mut [u8], end: End) -> Result<(), HeaderError> {
    let (fixed, extensions) = headers.split_at_mut_checked(IPV6_HEADER).ok_or(IpError::Truncated)?;
    ip::put(fixed, 0, &[0x60, 0, 0, 0]).ok_or(IpError::Truncated)?;
    ip::put(fixed, 7, &[0]).ok_or(IpError::Truncated)?;
    let mut next = *fixed.get(6).ok_or(IpError::Truncated)?;
    let mut rest = extensions;
    while let Some((&[following, words], _)) = rest.split_first_chunk() {
        let length = usize::from(words).saturating_add(1).saturating_mul(8);
        if next == FRAGMENT {
            return Err(HeaderError::Fragment);
        }
        let (header, tail) = rest.split_at_mut_checked(length).ok_or(IpError::Extensions)?;
        match next {
            HOP_BY_HOP | DESTINATION_OPTIONS => v6_options(header.get_mut(2..).unwrap_or_default())?,
            ROUTING => routing(header, fixed, end)?,
            _ => return Err(IpError::Extensions.into()),
        }
        next = following;
        rest = tail;
    }
    if rest.is_empty() { Ok(()) } else { Err(IpError::Extensions.into()) }
}

/// Zeroes the data of options whose type says that routers may change it (RFC 8200 4.2, third bit).
fn v6_options(options: &mut [u8]) -> Result<(), IpError> {
    const PAD1: u8 = 0;
    const CHANGES_EN_ROUTE: u8 = 0x20;
    let mut rest = options;
    while let Some(&kind) = rest.first() {
        if kind == PAD1 {
            rest = rest.get_mut(1..).unwrap_or_default();
            continue;
        }
        let length = usize::from(*rest.get(1).ok_or(IpError::Options)?);
        let (_, after) = rest.split_at_mut_checked(2).ok_or(IpError::Options)?;
        let (data, tail) = after.split_at_mut_checked(length).ok_or(IpError::Options)?;
        if kind & CHANGES_EN_ROUTE != 0 {
            data.fill(0);
        }
        rest = tail;
    }
    Ok(())
}

/// Makes a routing header and the destination what they are when the packet has arrived.
///
/// ```text
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |  Next Header  |  Hdr Ext Len  |  Routing Type | Segments Left |  RFC 8200 4.4
/// |                            Reserved                           |  types 0 (RFC 2460) and
/// |                       Address 1, ... Address n                |  2 (RFC 6275 6.4)
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
fn routing(header: &mut [u8], fixed: &mut [u8], end: End) -> Result<(), IpError> {
    const FIXED: usize = 8;
    let &[_, _, kind, left, ..] = &*header else { return Err(IpError::Extensions) };
    // A header without segments left says nothing that would still change, whatever its type.
    if left == 0 {
        return Ok(());
    }
    // With some left, we are not who the packet is for; and how a type changes that is not known cannot be
    // predicted.
    if end == End::Receiver || !matches!(kind, 0 | 2) {
        return Err(IpError::Routing);
    }
    ip::put(header, 3, &[0]).ok_or(IpError::Routing)?;
    let (addresses, odd) = header.get_mut(FIXED..).ok_or(IpError::Routing)?.as_chunks_mut::<16>();
    let passed = addresses.len().checked_sub(usize::from(left)).filter(|_| odd.is_empty());
    let to_come = addresses.get_mut(passed.ok_or(IpError::Routing)?..).ok_or(IpError::Routing)?;
    // At each stop the destination and the next address change places, so that in the end the last address is
    // the destination and all the others have moved one on.
    let destination = fixed.last_chunk_mut::<16>().ok_or(IpError::Truncated)?;
    for address in to_come {
        core::mem::swap(address, destination);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
