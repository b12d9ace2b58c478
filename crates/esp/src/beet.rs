//! BEET mode: a tunnel between two fixed inner addresses, framed like transport mode
//! (draft-nikander-esp-beet-mode-09, as Linux does it).
//!
//! The inner header does not travel: both sides know its addresses, the next header is ESP's own, and the rest is
//! in the outer header. Only IPv4 options have to be carried, behind a pseudo-header:
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |  Next Header  |  Header Len   |    Pad Len    |   Reserved    |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |              Padding (NOPs), if Pad Len is 4                  |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                        IPv4 options ...                       |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use crate::buffer::PacketBuf;
use crate::error::{NextHeader, OpenError, SealError};
use crate::ip::{self, Family, IPV4_HEADER, IpError, IpHeader};
use crate::outbound::Prepared;
use crate::outer::OuterFields;
use crate::params::InnerAddresses;

const PSEUDO_HEADER: usize = 4;
/// Header and padding are counted in units of so many octets, the first not counted.
const UNIT: usize = 8;
const NOP: u8 = 1;
/// RFC 791 3.1: a header has 60 octets at most.
const MOST_OPTIONS: usize = 40;

/// The most that carrying the options of an IPv4 packet takes besides them.
pub(crate) const fn spare(inner: Family) -> usize {
    match inner {
        Family::V4 => UNIT,
        Family::V6 => 0,
    }
}

/// Takes the header off a packet between the SA's inner addresses.
pub(crate) fn prepare(packet: &mut PacketBuf<'_>, inner: InnerAddresses) -> Result<Prepared, SealError> {
    let header = IpHeader::parse(packet.payload()).map_err(SealError::Inner)?;
    if header.family() != Family::of(inner.source) {
        return Err(SealError::Family);
    }
    if (header.source, header.destination) != (inner.source, inner.destination) {
        return Err(SealError::Addresses);
    }
    // The outer header has no room for what a fragment says of itself. IPv6 says it in the payload.
    if header.more_fragments || header.fragment_offset != 0 {
        return Err(SealError::Fragment);
    }
    packet.truncate(header.total_len);
    let mut next = NextHeader(header.protocol);
    if header.header_len > header.family().header_len() {
        write_pseudo_header(packet, &header).ok_or(SealError::Options)?;
        next = NextHeader::BEET;
    } else {
        packet.shrink_front(header.header_len).ok_or(SealError::Inner(IpError::Truncated))?;
    }
    Ok(Prepared { next, outer: OuterFields::of_packet(&header) })
}

/// Puts the pseudo-header into the place of the IPv4 header, in front of the options.
fn write_pseudo_header(packet: &mut PacketBuf<'_>, header: &IpHeader) -> Option<()> {
    let options = header.header_len.checked_sub(IPV4_HEADER)?;
    // Header, padding and options fill whole units.
    let padding = if options.checked_rem(UNIT)? == 0 { 4 } else { 0 };
    let units = u8::try_from(options.checked_div(UNIT)?).ok()?;
    let front = PSEUDO_HEADER.checked_add(padding)?;
    packet.shrink_front(IPV4_HEADER.checked_sub(front)?)?;
    let octets = packet.payload_mut();
    ip::put(octets, 0, &[header.protocol, units, u8::try_from(padding).ok()?, 0])?;
    octets.get_mut(PSEUDO_HEADER..front)?.fill(NOP);
    Some(())
}

/// Puts the header back in front of a payload. `fields` and `identification` are what the outer header said.
pub(crate) fn deliver(
    packet: &mut PacketBuf<'_>,
    next: NextHeader,
    inner: InnerAddresses,
    fields: &OuterFields,
    identification: u16,
) -> Result<(), OpenError> {
    let family = Family::of(inner.source);
    let (next, options) = match (next, family) {
        (NextHeader::BEET, Family::V4) => {
            remove_pseudo_header(packet).ok_or(OpenError::Inner(IpError::Options))?
        }
        _ => (next, 0),
    };
    let needed = family.header_len();
    let missing = OpenError::Headroom { needed, available: packet.headroom() };
    let octets = packet.grow_front(needed).ok_or(missing)?;
    let stated = octets.len();
    let too_long = OpenError::Inner(IpError::TotalLength { stated, available: usize::from(u16::MAX) });
    let addresses = (inner.source, inner.destination);
    ip::write_header(octets, addresses, fields, next.0, identification).ok_or(too_long)?;
    if options > 0 {
        let header_len = IPV4_HEADER.saturating_add(options);
        let words = u8::try_from(header_len.checked_div(4).unwrap_or(0)).map_err(|_| too_long)?;
        ip::put(octets, 0, &[0x40 | words]).ok_or(too_long)?;
        ip::fix_length(octets, header_len).ok_or(too_long)?;
    }
    Ok(())
}

/// Takes off the pseudo-header, so that the payload starts with the options. Returns what follows them, and how
/// long they are.
fn remove_pseudo_header(packet: &mut PacketBuf<'_>) -> Option<(NextHeader, usize)> {
    let [next, units, padding, _] = *packet.payload().first_chunk()?;
    let whole = usize::from(units).checked_add(1)?.checked_mul(UNIT)?;
    let front = PSEUDO_HEADER.checked_add(usize::from(padding))?;
    let options = whole.checked_sub(front)?;
    if options.checked_rem(4) != Some(0) || options > MOST_OPTIONS || whole > packet.len() {
        return None;
    }
    packet.shrink_front(front)?;
    Some((NextHeader(next), options))
}
