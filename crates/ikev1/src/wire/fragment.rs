//! The fragment payload.

use alloc::vec::Vec;

use ikebana_core::codec::Problem;
use ikebana_core::{Reader, WireError, Writer};

const LAST_FRAGMENT: u8 = 1;

/// A part of a whole message, header included (MS-IKEE 2.2.3.1; there is no RFC).
///
/// ```text
///                      1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// !          Fragment ID          !    Number     !     Flags     !
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ~                         Fragment Data                         ~
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FragmentPayload {
    /// The same in all fragments of a message.
    pub id: u16,
    /// This fragment's number, from 1.
    pub number: u8,
    /// Whether this is the last one.
    pub is_last: bool,
    /// The octets.
    pub data: Vec<u8>,
}

impl FragmentPayload {
    pub(super) fn parse(body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let id = reader.u16("fragment id")?;
        let number = reader.u8("fragment number")?;
        let flags = reader.u8("fragment flags")?;
        if number == 0 {
            return Err(WireError::new("fragment number", Problem::BadValue(0)));
        }
        Ok(Self { id, number, is_last: flags & LAST_FRAGMENT != 0, data: reader.rest().to_vec() })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.u16(self.id);
        writer.u8(self.number);
        writer.u8(if self.is_last { LAST_FRAGMENT } else { 0 });
        writer.bytes(&self.data);
    }
}
