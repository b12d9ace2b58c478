//! Frames out of pcap, pcapng and snoop files.

use core::time::Duration;

use ikebana_core::Reader;
use pcap_file::DataLink;
use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::{Block, PcapNgReader};

use super::CaptureError;

/// How a frame starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkLayer {
    Ethernet,
    LinuxCooked,
    LinuxCookedV2,
    Null,
    Ip,
    Unknown(u32),
}

pub(super) struct Frame {
    pub(super) number: usize,
    pub(super) at: Duration,
    pub(super) link: LinkLayer,
    pub(super) octets: Vec<u8>,
}

/// All frames of a file, whichever of the three formats it has.
pub(super) fn frames(file: &[u8]) -> Result<Vec<Frame>, CaptureError> {
    match file.first_chunk::<4>() {
        Some(b"\x0a\x0d\x0d\x0a") => pcapng(file),
        Some(b"snoo") => snoop(file),
        Some(b"\xa1\xb2\xc3\xd4" | b"\xd4\xc3\xb2\xa1" | b"\xa1\xb2\x3c\x4d" | b"\x4d\x3c\xb2\xa1") => {
            pcap(file)
        }
        _ => Err(CaptureError::UnknownFormat),
    }
}

fn pcap(file: &[u8]) -> Result<Vec<Frame>, CaptureError> {
    let mut frames = Vec::new();
    let damaged = |packets: usize, error: pcap_file::PcapError| CaptureError::Damaged {
        packets,
        detail: error.to_string(),
    };
    let mut reader = PcapReader::new(file).map_err(|error| damaged(0, error))?;
    let link = link_layer(reader.header().datalink);
    while let Some(packet) = reader.next_packet() {
        let packet = packet.map_err(|error| damaged(frames.len(), error))?;
        let number = frames.len() + 1;
        frames.push(Frame { number, at: packet.timestamp, link, octets: packet.data.into_owned() });
    }
    Ok(frames)
}

fn pcapng(file: &[u8]) -> Result<Vec<Frame>, CaptureError> {
    let mut frames: Vec<Frame> = Vec::new();
    let damaged = |packets: usize, error: pcap_file::PcapError| CaptureError::Damaged {
        packets,
        detail: error.to_string(),
    };
    let mut reader = PcapNgReader::new(file).map_err(|error| damaged(0, error))?;
    while let Some(block) = reader.next_block() {
        let block = block.map_err(|error| damaged(frames.len(), error))?.into_owned();
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
        let interface = usize::try_from(interface).ok().and_then(|index| reader.interfaces().get(index));
        let link = interface.map_or(LinkLayer::Unknown(u32::MAX), |found| link_layer(found.linktype));
        let at = interface.map_or(at, |interface| in_its_units(at, interface));
        frames.push(Frame { number: frames.len() + 1, at, link, octets });
    }
    Ok(frames)
}

/// The time of a packet. The reader takes every timestamp for nanoseconds; its unit is an option of the
/// interface, `if_tsresol`: an exponent of ten or, with the highest bit set, of two. Without it, the unit is a
/// microsecond.
fn in_its_units(at: Duration, interface: &InterfaceDescriptionBlock<'_>) -> Duration {
    let exponent = interface.options.iter().find_map(|option| {
        if let InterfaceDescriptionOption::IfTsResol(exponent) = option { Some(*exponent) } else { None }
    });
    let exponent = exponent.unwrap_or(6);
    let base: u128 = if exponent & 0x80 == 0 { 10 } else { 2 };
    let time = base.checked_pow(u32::from(exponent & 0x7f)).and_then(|per_second| {
        let seconds = u64::try_from(at.as_nanos() / per_second).ok()?;
        let rest = (at.as_nanos() % per_second).checked_mul(1_000_000_000)? / per_second;
        Some(Duration::new(seconds, u32::try_from(rest).ok()?))
    });
    // A unit too small for any clock says nothing.
    time.unwrap_or_default()
}

/// RFC 1761: a file header, then records of 24 octets of header and padded data.
fn snoop(file: &[u8]) -> Result<Vec<Frame>, CaptureError> {
    let mut frames = Vec::new();
    let damaged = |packets: usize, error: ikebana_core::WireError| CaptureError::Damaged {
        packets,
        detail: error.to_string(),
    };
    let mut reader = Reader::new(file);
    let mut header = || {
        reader.take("identification pattern", 8)?;
        reader.u32("version")?;
        reader.u32("datalink type")
    };
    let link = match header().map_err(|error| damaged(0, error))? {
        4 => LinkLayer::Ethernet,
        other => LinkLayer::Unknown(other),
    };
    while !reader.is_empty() {
        let mut record = || {
            reader.u32("original length")?;
            let included = reader.u32("included length")? as usize;
            let whole = reader.u32("record length")? as usize;
            reader.u32("cumulative drops")?;
            let seconds = reader.u32("timestamp seconds")?;
            let micros = reader.u32("timestamp microseconds")?;
            let octets = reader.take("packet data", included)?;
            reader.take("padding", whole.saturating_sub(included.saturating_add(24)))?;
            let at = Duration::from_secs(seconds.into()) + Duration::from_micros(micros.into());
            Ok((at, octets.to_vec()))
        };
        let (at, octets) = record().map_err(|error| damaged(frames.len(), error))?;
        frames.push(Frame { number: frames.len() + 1, at, link, octets });
    }
    Ok(frames)
}

fn link_layer(number: DataLink) -> LinkLayer {
    match u32::from(number) {
        0 => LinkLayer::Null,
        1 => LinkLayer::Ethernet,
        12 | 14 | 101 | 228 | 229 => LinkLayer::Ip,
        113 => LinkLayer::LinuxCooked,
        276 => LinkLayer::LinuxCookedV2,
        other => LinkLayer::Unknown(other),
    }
}
