//! Fragmentation before encryption: IPv4 packets that do not fit the tunnel (RFC 791 3.2).

use core::net::IpAddr;
use core::ops::Range;

use thiserror::Error;

use crate::buffer::PacketBuf;
use crate::ip::{self, IPV4_HEADER, IpError, IpHeader};

/// The longest IPv4 header (RFC 791 3.1).
const MAX_HEADER: usize = 60;
/// Offsets count in units of so many octets.
const UNIT: usize = 8;

const OPTION_END: u8 = 0;
const OPTION_NOP: u8 = 1;
/// The flag in an option's type that says "in every fragment".
const COPIED: u8 = 0x80;

/// What is done about an inner packet that says "don't fragment".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DontFragment {
    /// It is not fragmented.
    #[default]
    Respect,
    /// It is fragmented all the same and the flag is cleared, for senders that do not hear "packet too big".
    Clear {
        /// The identification of the fragments, if the packet is not a fragment itself: the identification of
        /// a packet with the flag means nothing, and many senders leave it zero (RFC 6864 4.1). It must not
        /// repeat between two hosts while fragments with the same one may be under way.
        identification: u16,
    },
}

/// Why a packet was not fragmented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FragmentError {
    /// It is no IP packet, or its options are malformed.
    #[error("{0}")]
    Malformed(IpError),
    /// IPv6 packets are fragmented by their senders alone (RFC 8200 4.5).
    #[error("IPv6 packets are fragmented by their senders alone")]
    Ipv6,
    /// Its sender forbids it.
    #[error("the packet says \"don't fragment\"")]
    Forbidden,
    /// Not even a header with eight octets fits.
    #[error("a header of {header} octets leaves no room for data in an MTU of {mtu}")]
    Mtu {
        /// What was to fit.
        mtu: usize,
        /// The header's length.
        header: usize,
    },
    /// It is a fragment that ends behind what an IP packet can have, or a middle one whose length is no multiple
    /// of eight: no receiver could put it together.
    #[error("the packet is a fragment that fits nowhere")]
    Misplaced,
}

/// How an IPv4 packet is cut into fragments that fit an MTU. Makes no copy and does not keep the packet.
///
/// The fragments have the packet's own identification and their places in it, so that cutting a fragment gives
/// fragments of the same packet. The first one has all options, the others those whose type says so. A packet
/// that fits is its own only fragment.
///
/// ```
/// use ikebana_esp::{DontFragment, Fragmentation, PacketBuf};
/// let mut buffer = [0; 1500];
/// buffer[..20].copy_from_slice(&[
///     0x45, 0, 0x05, 0xdc, 0x12, 0x34, 0, 0, 64, 17, 0x0e, 0xda, 192, 0, 2, 1, 198, 51, 100, 7,
/// ]);
/// let mut packet = PacketBuf::full(&mut buffer);
/// let cut = Fragmentation::plan(packet.payload(), 1438, DontFragment::Respect)?;
/// assert_eq!(cut.count(), 2);
/// // The later fragments are written elsewhere first, then the packet becomes the first one in place.
/// let mut place = [0; 1438];
/// assert_eq!(cut.write(packet.payload(), 1, &mut place), Some(84));
/// assert_eq!(place[6..8], [0, 177]);
/// cut.keep_first(&mut packet).unwrap();
/// assert_eq!((packet.len(), packet.payload()[6]), (1436, 0x20));
/// # Ok::<(), ikebana_esp::FragmentError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragmentation {
    header_len: usize,
    /// Header of all fragments but the first.
    later_header_len: usize,
    /// Data of the packet.
    data_len: usize,
    /// Data of the first fragment.
    first: usize,
    /// Data of those in the middle.
    middle: usize,
    count: usize,
    identification: [u8; 2],
    /// The packet's own place in a larger packet, in units.
    offset: usize,
    /// Whether the packet's last octet is followed by another fragment.
    more: bool,
    /// The flag without a meaning.
    reserved: u16,
}

impl Fragmentation {
    /// How to cut `packet` into fragments of at most `mtu` octets.
    ///
    /// # Errors
    /// [`FragmentError`] if that is not possible or not allowed.
    pub fn plan(packet: &[u8], mtu: usize, df: DontFragment) -> Result<Self, FragmentError> {
        let header = IpHeader::parse(packet).map_err(FragmentError::Malformed)?;
        if matches!(header.source, IpAddr::V6(_)) {
            return Err(FragmentError::Ipv6);
        }
        let own = ip::u16_at(packet, 4).ok_or(FragmentError::Malformed(IpError::Truncated))?;
        let flags = ip::u16_at(packet, 6).ok_or(FragmentError::Malformed(IpError::Truncated))?;
        let whole = header.fragment_offset == 0 && !header.more_fragments;
        let identification = match (header.dont_fragment, df) {
            (true, DontFragment::Clear { identification }) if whole => identification,
            _ => own,
        };
        let data_len = header.total_len.saturating_sub(header.header_len);
        let offset = usize::from(header.fragment_offset);
        let plan = Self {
            header_len: header.header_len,
            later_header_len: header.header_len,
            data_len,
            first: data_len,
            middle: 0,
            count: 1,
            identification: identification.to_be_bytes(),
            offset,
            more: header.more_fragments,
            reserved: flags & 0x8000,
        };
        if header.total_len <= mtu {
            return Ok(plan);
        }
        if header.dont_fragment && df == DontFragment::Respect {
            return Err(FragmentError::Forbidden);
        }
        let end = offset.saturating_mul(UNIT).saturating_add(data_len);
        let ragged = header.more_fragments && data_len.checked_rem(UNIT) != Some(0);
        if ragged || end > usize::from(u16::MAX).saturating_sub(header.header_len) {
            return Err(FragmentError::Misplaced);
        }
        let options = packet.get(IPV4_HEADER..header.header_len).unwrap_or_default();
        let mut scratch = [0; MAX_HEADER];
        let copied =
            copied_options(options, &mut scratch).ok_or(FragmentError::Malformed(IpError::Options))?;
        plan.cut(mtu, IPV4_HEADER.saturating_add(copied))
    }

    fn cut(self, mtu: usize, later_header_len: usize) -> Result<Self, FragmentError> {
        let room = |header: usize| mtu.saturating_sub(header);
        let units = |room: usize| room.checked_div(UNIT).unwrap_or(0).saturating_mul(UNIT);
        let (first, middle) = (units(room(self.header_len)), units(room(later_header_len)));
        if first == 0 {
            return Err(FragmentError::Mtu { mtu, header: self.header_len });
        }
        // The last one need not be a multiple of eight. RFC 791 3.2 lets it have all of the room.
        let after_first = self.data_len.saturating_sub(first);
        let in_middle = after_first.saturating_sub(room(later_header_len)).div_ceil(middle);
        Ok(Self { later_header_len, first, middle, count: in_middle.saturating_add(2), ..self })
    }

    /// How many fragments there are, at least one.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// How long a fragment is, in octets; 0 if there are not as many.
    #[must_use]
    pub fn len_of(&self, index: usize) -> usize {
        self.data_of(index).map_or(0, |data| self.header_of(index).saturating_add(data.len()))
    }

    /// Writes one fragment of `packet`, which is the packet of [`plan`](Self::plan), to the front of `out`, and
    /// returns its length. Fragments count from 0. `None` if there are not as many, or if `out` is too short;
    /// as many octets as the MTU are enough.
    pub fn write(&self, packet: &[u8], index: usize, out: &mut [u8]) -> Option<usize> {
        let data_at = self.data_of(index)?;
        let (whole_header, data) = packet.split_at_checked(self.header_len)?;
        let data = data.get(..self.data_len)?.get(data_at.clone())?;
        let header_len = self.header_of(index);
        let length = header_len.checked_add(data.len())?;
        let out = out.get_mut(..length)?;
        let (header, body) = out.split_at_mut_checked(header_len)?;
        if index == 0 {
            header.copy_from_slice(whole_header);
        } else {
            let (fixed, options) = whole_header.split_at_checked(IPV4_HEADER)?;
            let mut scratch = [0; MAX_HEADER];
            let copied = copied_options(options, &mut scratch)?;
            ip::put(header, 0, fixed)?;
            ip::put(header, IPV4_HEADER, scratch.get(..copied)?)?;
        }
        body.copy_from_slice(data);
        self.fix_header(header, length, index, &data_at)?;
        Some(length)
    }

    /// Makes the packet of [`plan`](Self::plan) its first fragment, in place. `None`, and no change, if it is
    /// another packet.
    pub fn keep_first(&self, packet: &mut PacketBuf<'_>) -> Option<()> {
        let data_at = self.data_of(0)?;
        let length = self.header_len.checked_add(data_at.len())?;
        if packet.len() < length {
            return None;
        }
        packet.truncate(length);
        let header = packet.payload_mut().get_mut(..self.header_len)?;
        self.fix_header(header, length, 0, &data_at)
    }

    const fn header_of(&self, index: usize) -> usize {
        if index == 0 { self.header_len } else { self.later_header_len }
    }

    /// Which octets of the packet's data a fragment has.
    fn data_of(&self, index: usize) -> Option<Range<usize>> {
        let last = self.count.checked_sub(1)?;
        let start = match index.checked_sub(1) {
            None => 0,
            Some(before) => self.first.checked_add(self.middle.checked_mul(before)?)?,
        };
        let end = match index {
            _ if index > last => return None,
            _ if index == last => self.data_len,
            0 => self.first,
            _ => start.checked_add(self.middle)?,
        };
        Some(start..end)
    }

    fn fix_header(&self, header: &mut [u8], length: usize, index: usize, data: &Range<usize>) -> Option<()> {
        if self.count == 1 {
            return Some(());
        }
        let offset = self.offset.checked_add(data.start.checked_div(UNIT)?)?;
        let more = self.more || index.checked_add(1)? < self.count;
        let flags = self.reserved | if more { 0x2000 } else { 0 };
        let words = u8::try_from(header.len().checked_div(4)?).ok()?;
        ip::put(header, 0, &[0x40 | words])?;
        ip::put(header, 2, &u16::try_from(length).ok()?.to_be_bytes())?;
        ip::put(header, 4, &self.identification)?;
        ip::put(header, 6, &(flags | u16::try_from(offset).ok()?).to_be_bytes())?;
        ip::checksum_v4(header)
    }
}

/// Copies the options that every fragment has, padded to whole words, and returns their length. `None` if the
/// options are malformed.
fn copied_options(options: &[u8], out: &mut [u8; MAX_HEADER]) -> Option<usize> {
    let (mut rest, mut used) = (options, 0usize);
    while let Some(&kind) = rest.first() {
        let length = match kind {
            OPTION_END => break,
            OPTION_NOP => 1,
            // RFC 791 3.1: the length counts type and length octet too.
            _ => usize::from(*rest.get(1).filter(|&&length| length >= 2)?),
        };
        let (option, after) = rest.split_at_checked(length)?;
        if kind & COPIED != 0 {
            ip::put(out, used, option)?;
            used = used.checked_add(length)?;
        }
        rest = after;
    }
    used.checked_next_multiple_of(4)
}

#[cfg(test)]
mod tests;
