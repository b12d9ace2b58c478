//! The encrypted payload and its fragments, while they are encrypted.

use alloc::vec::Vec;

use ikebana_core::codec::Problem;
use ikebana_core::{Reader, WireError, Writer};

use crate::wire::PayloadType;
use crate::wire::chain::RawPayload;
use crate::wire::limits::MAX_FRAGMENTS;

/// The payloads of a message, encrypted and authenticated (RFC 7296 3.14).
///
/// ```text
///                      1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                     Initialization Vector                     |
/// |         (length is block size for encryption algorithm)       |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ~                    Encrypted IKE Payloads                     ~
/// +               +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |               |             Padding (0-255 octets)            |
/// +-+-+-+-+-+-+-+-+                               +-+-+-+-+-+-+-+-+
/// |                                               |  Pad Length   |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ~                    Integrity Checksum Data                    ~
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptedPayload {
    /// The type of the first payload inside.
    pub next: PayloadType,
    /// Initialization vector, ciphertext and integrity check value.
    pub body: Vec<u8>,
}

impl EncryptedPayload {
    pub(super) fn parse(raw: &RawPayload<'_>) -> Self {
        Self { next: raw.next, body: raw.body.to_vec() }
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.bytes(&self.body);
    }
}

/// A part of the payloads of a message, encrypted and authenticated (RFC 7383 2.5).
///
/// ```text
///                      1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |        Fragment Number        |        Total Fragments        |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ~        Initialization Vector, ciphertext and so on            ~
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptedFragmentPayload {
    /// In the first fragment the type of the first payload of the whole; in the others it means nothing.
    pub next: PayloadType,
    /// This fragment's number, from 1.
    pub number: u16,
    /// How many fragments there are; not less than the number.
    pub total: u16,
    /// Initialization vector, ciphertext and integrity check value.
    pub body: Vec<u8>,
}

impl EncryptedFragmentPayload {
    pub(super) fn parse(raw: &RawPayload<'_>) -> Result<Self, WireError> {
        let mut reader = Reader::new(raw.body);
        let (number, total) = Self::read_numbers(&mut reader)?;
        Ok(Self { next: raw.next, number, total, body: reader.rest().to_vec() })
    }

    /// Reads and checks the fragment's number and the total.
    pub(in crate::wire) fn read_numbers(reader: &mut Reader<'_>) -> Result<(u16, u16), WireError> {
        let number = reader.u16("fragment number")?;
        let total = reader.u16("total fragments")?;
        if total > MAX_FRAGMENTS {
            return Err(WireError::new("total fragments", Problem::TooMany(MAX_FRAGMENTS.into())));
        }
        // RFC 7383 2.6: such a fragment is discarded; a total of zero is no exception.
        if number == 0 || number > total {
            return Err(WireError::new("fragment number", Problem::BadValue(number.into())));
        }
        Ok((number, total))
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.u16(self.number);
        writer.u16(self.total);
        writer.bytes(&self.body);
    }
}
