//! What a datagram asks for, before any key is touched.

use ikebana_core::Reader;
use ikebana_ike::IkeHeader;

use super::chain;
use super::message::split;
use super::payload::EncryptedFragmentPayload;
use super::{ParseError, PayloadType};

/// How the content of a message is wrapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Envelope {
    /// Not at all; for [`parse_clear`](super::parse_clear).
    Clear,
    /// In an encrypted payload; for [`open`](super::open).
    Encrypted,
    /// In an encrypted fragment; for [`open_fragment`](super::open_fragment).
    Fragment {
        /// Its number, from 1.
        number: u16,
        /// How many there are; not less than the number.
        total: u16,
    },
}

/// Reads the header and the generic payload headers, and tells what the message is wrapped in.
///
/// Nothing here is authentic yet.
///
/// # Errors
/// Malformed headers, or fragment numbers that cannot be.
pub fn envelope(octets: &[u8]) -> Result<(IkeHeader, Envelope), ParseError> {
    let (header, rest) = split(octets)?;
    let mut envelope = Envelope::Clear;
    chain::walk(PayloadType(header.next_payload), rest, |raw| {
        if raw.kind == PayloadType::ENCRYPTED {
            envelope = Envelope::Encrypted;
        } else if raw.kind == PayloadType::ENCRYPTED_FRAGMENT {
            let mut reader = Reader::new(raw.body);
            let (number, total) = EncryptedFragmentPayload::read_numbers(&mut reader)?;
            envelope = Envelope::Fragment { number, total };
        }
        Ok(())
    })?;
    Ok((header, envelope))
}
