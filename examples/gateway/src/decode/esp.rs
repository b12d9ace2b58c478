//! ESP packets, and what is inside them.

use ikebana_core::Reader;
use ikebana_core::codec::WireError;
use ikebana_core::selector::protocol;
use ikebana_crypto::Frame;

use super::entry::{Entry, Item};
use super::keys::EspKeys;
use super::packet::{self, Ah, Packet};
use super::text;

const HEADER_LEN: usize = 8;

pub(super) struct Decoder {
    keys: Vec<EspKeys>,
}

impl Decoder {
    pub(super) fn new(keys: Vec<EspKeys>) -> Self {
        Self { keys }
    }

    /// Describes a packet that starts with its SPI.
    pub(super) fn packet(&self, entry: Entry, outer: &Packet<'_>, octets: &[u8]) -> Entry {
        let (spi, sequence) = match header(octets) {
            Ok(header) => header,
            Err(error) => return entry.title(format!("malformed ESP: {error}")),
        };
        let mut entry =
            entry.title(format!("ESP {spi:#010x} sequence {sequence}, {}", text::octets(octets.len())));
        let mut candidates = self.keys.iter().filter(|keys| {
            keys.spi.is_none_or(|wanted| wanted == spi)
                && keys.source.is_none_or(|wanted| wanted == outer.source)
                && keys.destination.is_none_or(|wanted| wanted == outer.destination)
        });
        let mut problem = None;
        let opened = candidates.find_map(|keys| match open(keys, octets) {
            Ok(opened) => Some(opened),
            Err(error) => {
                problem = Some(error);
                None
            }
        });
        match (opened, problem) {
            (Some(opened), _) => entry.payloads.push(opened),
            (None, Some(problem)) => entry.note(format!("not decrypted: {problem}")),
            (None, None) => {}
        }
        entry
    }
}

fn header(octets: &[u8]) -> Result<(u32, u32), WireError> {
    let mut reader = Reader::new(octets);
    Ok((reader.u32("SPI")?, reader.u32("sequence number")?))
}

/// Decrypts a packet and describes what is inside.
fn open(keys: &EspKeys, octets: &[u8]) -> Result<Item, String> {
    let shape = keys.cipher.shape();
    let mut bytes = octets.to_vec();
    keys.cipher
        .open(Frame { bytes: &mut bytes, header_len: HEADER_LEN, esn_high: keys.esn_high })
        .map_err(|error| error.to_string())?;
    let text_at = HEADER_LEN.saturating_add(shape.iv_len);
    let text_end = bytes.len().saturating_sub(shape.icv_len);
    let text = bytes.get(text_at..text_end).unwrap_or_default();
    let [text @ .., pad_len, next_header] = text else {
        return Err("no room for pad length and next header".to_owned());
    };
    let content_len = text.len().checked_sub((*pad_len).into());
    let content = content_len
        .and_then(|length| text.get(..length))
        .ok_or_else(|| format!("padding of {pad_len} octets in {} of text", text.len()))?;
    Ok(match *next_header {
        protocol::IPV4 | protocol::IPV6 => Item::new("tunnel", packet::summary(content)),
        protocol::NONE => Item::new("dummy", text::octets(content.len())),
        number => Item::new("transport", transport(number, content)),
    })
}

fn transport(number: u8, content: &[u8]) -> String {
    let ports = match (number, content) {
        (protocol::UDP | protocol::TCP | protocol::SCTP, [a, b, c, d, ..]) => {
            format!(" {} > {}", u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]))
        }
        _ => String::new(),
    };
    format!("{}{ports}, {}", packet::name(number), text::octets(content.len()))
}

/// Describes an AH packet.
pub(super) fn authentication_header(entry: Entry, header: Ah) -> Entry {
    let Ah { spi, sequence, next_header } = header;
    entry.title(format!("AH {spi:#010x} sequence {sequence}, {}", packet::name(next_header)))
}
