//! What is shown of a packet.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;

use super::capture::Frame;
use super::packet::Packet;

/// A packet as it is shown.
///
/// Printed, it is a line for the packet and indented lines for what is in it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// Number of the frame in the capture, from 1.
    pub frame: u64,
    /// When it was captured, by the capture's clock.
    pub time: String,
    /// The sender's address, with a port if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The receiver's address, with a port if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// `ikev1`, `ikev2`, `ike`, `esp`, `ah`, `keepalive`, `fragment`, `malformed` or `unknown`.
    pub kind: &'static str,
    /// What it is, in a few words.
    pub title: String,
    /// The header, of an IKE message.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageHead>,
    /// What is in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub payloads: Vec<Item>,
    /// What else there is to say, such as why it could not be decrypted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// The header of an IKE message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MessageHead {
    /// What the message is for.
    pub exchange: String,
    /// Whether it is a response; IKEv1 does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<bool>,
    /// Number of the exchange.
    pub message_id: u32,
    /// SPI or cookie of the initiator.
    pub initiator_spi: String,
    /// SPI or cookie of the responder.
    pub responder_spi: String,
}

/// One payload, or one part of a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// What it is, in the RFC's notation.
    pub name: String,
    /// What it says.
    pub text: String,
    /// More of it, a line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

impl Item {
    /// An item of one line.
    pub(super) fn new(name: impl fmt::Display, text: impl Into<String>) -> Self {
        Self { name: name.to_string(), text: text.into(), details: Vec::new() }
    }

    /// An item whose first line is the first of `lines`.
    pub(super) fn lines(name: impl fmt::Display, lines: Vec<String>) -> Self {
        let mut lines = lines.into_iter();
        let text = lines.next().unwrap_or_else(|| "nothing".to_owned());
        Self { name: name.to_string(), text, details: lines.collect() }
    }
}

impl Entry {
    pub(super) fn new(frame: &Frame, packet: Option<&Packet<'_>>, kind: &'static str) -> Self {
        Self {
            frame: frame.number,
            time: time(frame.at),
            from: packet.map(Packet::from),
            to: packet.map(Packet::to),
            kind,
            title: String::new(),
            message: None,
            payloads: Vec::new(),
            notes: Vec::new(),
        }
    }

    pub(super) fn kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }

    pub(super) fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }
}

/// The capture's time in UTC, or in seconds where no calendar has it.
fn time(at: Duration) -> String {
    const END_OF_9999: u64 = 253_402_300_799;
    match UNIX_EPOCH.checked_add(at) {
        Some(time) if at.as_secs() < END_OF_9999 => humantime::format_rfc3339_micros(time).to_string(),
        _ => format!("{}.{:06}", at.as_secs(), at.subsec_micros()),
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>5}  {}", self.frame, self.time)?;
        if let (Some(from), Some(to)) = (&self.from, &self.to) {
            write!(f, "  {from} > {to}")?;
        }
        write!(f, "  {}", self.title)?;
        if let Some(message) = &self.message {
            write!(f, "  {}/{}", message.initiator_spi, message.responder_spi)?;
        }
        writeln!(f)?;
        let width = self.payloads.iter().map(|item| item.name.len()).max().unwrap_or(0);
        for item in &self.payloads {
            writeln!(f, "         {:width$}  {}", item.name, item.text)?;
            for detail in &item.details {
                writeln!(f, "         {:width$}  {detail}", "")?;
            }
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "         ({note})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_beyond_the_calendar_are_seconds() {
        assert_eq!(time(Duration::from_micros(1_500_000)), "1970-01-01T00:00:01.500000Z");
        assert_eq!(time(Duration::from_secs(300_000_000_000)), "300000000000.000000");
        assert!(time(Duration::MAX).ends_with(".999999"));
    }
}
