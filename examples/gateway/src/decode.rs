//! `ikebana decode`: what two IPsec peers said to each other, out of a packet capture.
//!
//! Everything in a capture is a stranger's: malformed packets are described and never fatal, text is escaped,
//! and what is remembered from one packet to the next is bounded.

mod capture;
mod entry;
mod esp;
mod ikev1;
mod ikev2;
mod keys;
mod packet;
mod text;
mod vendor;

use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;
use ikebana_core::datagram::{Carried, IKE_PORT, NAT_T_PORT, classify};

use capture::Frame;
use packet::{Content, Packet};

pub use capture::CaptureError;
pub use entry::{Entry, Item, MessageHead};
pub use keys::{KeyError, Keys};

/// What to decode, and how.
#[derive(Args)]
pub struct DecodeArgs {
    /// A capture file: pcap, pcapng or snoop; - for standard input
    file: PathBuf,
    /// Print one JSON object per packet
    #[arg(long)]
    json: bool,
    /// Keys of IKE SAs, in Wireshark's format (ikev2_decryption_table, ikev1_decryption_table)
    #[arg(long, value_name = "FILE")]
    ike_keys: Vec<PathBuf>,
    /// Keys of ESP SAs, in Wireshark's format (esp_sa)
    #[arg(long, value_name = "FILE")]
    esp_keys: Vec<PathBuf>,
}

/// Prints a capture file.
///
/// # Errors
/// If a file cannot be read, a key file is not as it should be, or the capture is damaged; of a damaged
/// capture, everything before the damage has been printed.
pub fn run(args: &DecodeArgs) -> Result<ExitCode> {
    let mut keys = Keys::default();
    for file in &args.ike_keys {
        keys.add_ike(&read(file)?).with_context(|| file.display().to_string())?;
    }
    for file in &args.esp_keys {
        keys.add_esp(&read(file)?).with_context(|| file.display().to_string())?;
    }
    let mut input: Box<dyn Read> = if args.file.as_os_str() == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(BufReader::new(File::open(&args.file).with_context(|| args.file.display().to_string())?))
    };
    let mut output = BufWriter::new(std::io::stdout().lock());
    let mut print = |entry: &Entry| -> std::io::Result<()> {
        if args.json {
            serde_json::to_writer(&mut output, entry)?;
            writeln!(output)
        } else {
            write!(output, "{entry}")
        }
    };
    let mut outcome = Ok(());
    let decoded = decode(&mut input, keys, &mut |entry| {
        outcome = print(entry);
        outcome.is_ok()
    });
    match outcome.and_then(|()| output.flush()) {
        // Somebody closed the pipe: they have seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
        written => written?,
    }
    let totals = decoded.with_context(|| args.file.display().to_string())?;
    if totals.others > 0 {
        let (others, packets) = (totals.others, totals.packets);
        // Nothing depends on it being read.
        let _ = writeln!(std::io::stderr(), "{others} of {packets} packets have nothing to do with IPsec");
    }
    Ok(ExitCode::SUCCESS)
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| file.display().to_string())
}

/// What was in a capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Packets in the capture.
    pub packets: u64,
    /// Packets among them that were not shown, because they are neither IKE nor ESP nor AH.
    pub others: u64,
}

/// Reads a capture and gives `show` each packet that concerns IPsec, until it returns `false`.
///
/// # Errors
/// If the capture's format is not known or damaged. What was before the damage has been shown.
pub fn decode(
    input: &mut dyn Read,
    keys: Keys,
    show: &mut dyn FnMut(&Entry) -> bool,
) -> Result<Totals, CaptureError> {
    let mut totals = Totals::default();
    let mut decoder = Decoder::new(keys);
    capture::read(input, &mut |frame| {
        totals.packets = frame.number;
        match decoder.frame(&frame) {
            Some(entry) => show(&entry),
            None => {
                totals.others = totals.others.saturating_add(1);
                true
            }
        }
    })?;
    Ok(totals)
}

/// What is remembered from one packet to the next.
struct Decoder {
    ikev1: ikev1::Decoder,
    ikev2: ikev2::Decoder,
    esp: esp::Decoder,
}

impl Decoder {
    fn new(keys: Keys) -> Self {
        Self {
            ikev1: ikev1::Decoder::new(keys.ikev1),
            ikev2: ikev2::Decoder::new(keys.ikev2),
            esp: esp::Decoder::new(keys.esp),
        }
    }

    fn frame(&mut self, frame: &Frame) -> Option<Entry> {
        match packet::dissect(frame) {
            Ok(packet) => self.packet(frame, &packet),
            Err(why) => Some(Entry::new(frame, None, "malformed").title(format!("malformed packet: {why}"))),
        }
    }

    fn packet(&mut self, frame: &Frame, packet: &Packet<'_>) -> Option<Entry> {
        let entry = |kind| Entry::new(frame, Some(packet), kind);
        match &packet.content {
            Content::Other => None,
            Content::Fragment(what) => Some(entry("fragment").title(what.clone())),
            Content::Esp(octets) => Some(self.esp.packet(entry("esp"), packet, octets)),
            Content::Ah(header) => Some(esp::authentication_header(entry("ah"), *header)),
            Content::Udp { source, destination, octets } => {
                let is_on = |port| *source == port || *destination == port;
                if is_on(NAT_T_PORT) {
                    Some(self.shared_port(entry("unknown"), packet, octets))
                } else if is_on(IKE_PORT) {
                    Some(self.ike(entry("unknown"), octets))
                } else {
                    None
                }
            }
        }
    }

    /// A datagram on the port that IKE and ESP share.
    fn shared_port(&mut self, entry: Entry, packet: &Packet<'_>, octets: &[u8]) -> Entry {
        match classify(octets) {
            Carried::Ike(message) => self.ike(entry, message),
            Carried::Esp(_, packet_octets) => self.esp.packet(entry.kind("esp"), packet, packet_octets),
            Carried::Keepalive => entry.kind("keepalive").title("NAT keepalive"),
            Carried::Unknown => entry.title(format!("neither IKE nor ESP: {}", text::hex(octets))),
        }
    }

    fn ike(&mut self, entry: Entry, octets: &[u8]) -> Entry {
        // The version is in the same place whatever it is (RFC 7296 2.5).
        match octets.get(17).map(|version| version >> 4) {
            Some(1) => self.ikev1.message(entry.kind("ikev1"), octets),
            Some(2) => self.ikev2.message(entry.kind("ikev2"), octets),
            Some(other) => {
                entry.kind("ike").title(format!("IKE of major version {other}, {} octets", octets.len()))
            }
            None => entry.title(format!("too short for IKE: {}", text::hex(octets))),
        }
    }
}
