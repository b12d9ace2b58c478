//! Frames out of pcap, pcapng and snoop files, one at a time.

use std::io::{self, Read};
use std::time::Duration;

use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::{Block, PcapNgReader};
use pcap_file::{DataLink, PcapError};
use thiserror::Error;

/// The most octets of a frame in a snoop file; pcap readers have a bound of their own.
const MAX_FRAME_OCTETS: u32 = 262_144;

/// What is wrong with a capture file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The file cannot be read.
    #[error("cannot be read")]
    Io(#[from] io::Error),
    /// The file is no capture.
    #[error("neither pcap, pcapng nor snoop")]
    UnknownFormat,
    /// The capture is damaged.
    #[error("damaged after {packets} packets: {detail}")]
    Damaged {
        /// How many packets came before the damage.
        packets: u64,
        /// What is wrong.
        detail: String,
    },
}

/// One captured frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Its number, from 1.
    pub(super) number: u64,
    /// When, since 1970.
    pub(super) at: Duration,
    /// What it starts with.
    pub(super) link: Link,
    /// Its octets, as far as they were captured.
    pub(super) octets: Vec<u8>,
}

/// What a frame starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// An Ethernet header.
    Ethernet,
    /// The header of Linux's `any` device.
    LinuxCooked,
    /// Its second version.
    LinuxCookedV2,
    /// Four octets that name the address family.
    Loopback,
    /// Nothing: IP at once.
    Ip,
    /// Something else, by its number.
    Unknown(u32),
}

impl From<DataLink> for Link {
    fn from(link: DataLink) -> Self {
        match u32::from(link) {
            0 | 108 => Self::Loopback,
            1 => Self::Ethernet,
            12 | 14 | 101 | 228 | 229 => Self::Ip,
            113 => Self::LinuxCooked,
            276 => Self::LinuxCookedV2,
            other => Self::Unknown(other),
        }
    }
}

/// Reads a capture and gives each frame to `visit`, until that returns `false`.
pub(super) fn read(input: &mut dyn Read, visit: &mut dyn FnMut(Frame) -> bool) -> Result<(), CaptureError> {
    let mut magic = [0; 4];
    if let Err(error) = input.read_exact(&mut magic) {
        let is_short = error.kind() == io::ErrorKind::UnexpectedEof;
        return Err(if is_short { CaptureError::UnknownFormat } else { error.into() });
    }
    let whole = magic.as_slice().chain(input);
    match &magic {
        b"\x0a\x0d\x0d\x0a" => pcapng(whole, visit),
        b"snoo" => snoop(whole, visit),
        b"\xa1\xb2\xc3\xd4" | b"\xd4\xc3\xb2\xa1" | b"\xa1\xb2\x3c\x4d" | b"\x4d\x3c\xb2\xa1" => {
            pcap(whole, visit)
        }
        _ => Err(CaptureError::UnknownFormat),
    }
}

fn damaged(packets: u64, error: &PcapError) -> CaptureError {
    CaptureError::Damaged { packets, detail: error.to_string() }
}

fn pcap(input: impl Read, visit: &mut dyn FnMut(Frame) -> bool) -> Result<(), CaptureError> {
    let mut reader = PcapReader::new(input).map_err(|error| damaged(0, &error))?;
    let link = reader.header().datalink.into();
    let mut packets = 0;
    while let Some(packet) = reader.next_packet() {
        let packet = packet.map_err(|error| damaged(packets, &error))?;
        packets += 1;
        let frame = Frame { number: packets, at: packet.timestamp, link, octets: packet.data.into_owned() };
        if !visit(frame) {
            break;
        }
    }
    Ok(())
}

fn pcapng(input: impl Read, visit: &mut dyn FnMut(Frame) -> bool) -> Result<(), CaptureError> {
    let mut reader = PcapNgReader::new(input).map_err(|error| damaged(0, &error))?;
    let mut packets = 0;
    while let Some(block) = reader.next_block() {
        let block = block.map_err(|error| damaged(packets, &error))?.into_owned();
        let (at, interface, octets) = match block {
            Block::EnhancedPacket(packet) => {
                (packet.timestamp, packet.interface_id, packet.data.into_owned())
            }
            Block::SimplePacket(packet) => (Duration::ZERO, 0, packet.data.into_owned()),
            Block::SectionHeader(_)
            | Block::InterfaceDescription(_)
            | Block::Packet(_)
            | Block::NameResolution(_)
            | Block::InterfaceStatistics(_)
            | Block::SystemdJournalExport(_)
            | Block::Unknown(_) => continue,
        };
        let interface = usize::try_from(interface).ok().and_then(|at| reader.interfaces().get(at));
        let link = interface.map_or(Link::Unknown(u32::MAX), |interface| interface.linktype.into());
        let at = interface.map_or(at, |interface| in_units(at, interface));
        packets += 1;
        if !visit(Frame { number: packets, at, link, octets }) {
            break;
        }
    }
    Ok(())
}

/// The time of a packet whose timestamp was taken for nanoseconds, in the unit that its interface has.
///
/// The exponent of the unit is an option (`if_tsresol`): of ten, or with the highest bit set of two. Without it
/// the unit is a microsecond.
fn in_units(at: Duration, interface: &InterfaceDescriptionBlock<'_>) -> Duration {
    let resolution = interface.options.iter().find_map(|option| {
        if let InterfaceDescriptionOption::IfTsResol(resolution) = option { Some(*resolution) } else { None }
    });
    let resolution = resolution.unwrap_or(6);
    let (base, exponent) = if resolution & 0x80 == 0 { (10, resolution) } else { (2, resolution & 0x7f) };
    let per_second = u128::checked_pow(base, exponent.into());
    let units = at.as_nanos();
    let time = per_second.and_then(|per_second| {
        let seconds = u64::try_from(units.checked_div(per_second)?).ok()?;
        let rest = units.checked_rem(per_second)?.checked_mul(1_000_000_000)?.checked_div(per_second)?;
        Some(Duration::new(seconds, u32::try_from(rest).ok()?))
    });
    time.unwrap_or_default()
}

/// RFC 1761: a header of 16 octets, then records, each behind a header of 24.
fn snoop(mut input: impl Read, visit: &mut dyn FnMut(Frame) -> bool) -> Result<(), CaptureError> {
    let cut = |packets, error: io::Error| {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            CaptureError::Damaged { packets, detail: "the file ends within a record".to_owned() }
        } else {
            CaptureError::Io(error)
        }
    };
    let [_, _, _, link] = words::<4>(&mut input).map_err(|error| cut(0, error))?;
    let link = if link == 4 { Link::Ethernet } else { Link::Unknown(link) };
    let mut packets = 0;
    loop {
        let mut first = [0; 1];
        if input.read(&mut first)? == 0 {
            return Ok(());
        }
        let mut record = first.as_slice().chain(&mut input);
        let [_, included, length, _, seconds, micros] =
            words::<6>(&mut record).map_err(|error| cut(packets, error))?;
        let rest = length.checked_sub(24).filter(|rest| included <= *rest && *rest <= MAX_FRAME_OCTETS);
        let Some(rest) = rest else {
            let detail = format!("a record of {length} octets with {included} octets of packet");
            return Err(CaptureError::Damaged { packets, detail });
        };
        let mut octets = Vec::new();
        let taken = record.take(rest.into()).read_to_end(&mut octets)?;
        let included = usize::try_from(included).unwrap_or(usize::MAX);
        if taken < usize::try_from(rest).unwrap_or(usize::MAX) {
            return Err(cut(packets, io::ErrorKind::UnexpectedEof.into()));
        }
        octets.truncate(included);
        packets += 1;
        let at = Duration::from_secs(seconds.into()) + Duration::from_micros(micros.into());
        if !visit(Frame { number: packets, at, link, octets }) {
            return Ok(());
        }
    }
}

fn words<const N: usize>(input: &mut impl Read) -> io::Result<[u32; N]> {
    let mut words = [0; N];
    for word in &mut words {
        let mut octets = [0; 4];
        input.read_exact(&mut octets)?;
        *word = u32::from_be_bytes(octets);
    }
    Ok(words)
}

#[cfg(test)]
mod tests;
