//! The IKE header, the same 28 octets in both versions.

use core::fmt;

use ikebana_core::codec::{Problem, Reader, WireError, Writer};
use ikebana_core::{IkeSpi, open_enum};

/// Octets of an IKE header.
pub const HEADER_LEN: usize = 28;

open_enum! {
    /// What a message is for (RFC 7296 3.1; values below 34 are IKEv1's, RFC 2408 3.1).
    pub struct ExchangeType(u8) {
        /// IKEv1 base exchange.
        BASE = 1, "Base";
        /// IKEv1 main mode.
        IDENTITY_PROTECTION = 2, "Identity Protection";
        /// IKEv1 authentication only.
        AUTHENTICATION_ONLY = 3, "Authentication Only";
        /// IKEv1 aggressive mode.
        AGGRESSIVE = 4, "Aggressive";
        /// IKEv1 informational exchange.
        INFORMATIONAL_V1 = 5, "Informational (v1)";
        /// IKEv1 transaction exchange: XAUTH and mode config.
        TRANSACTION = 6, "Transaction";
        /// IKEv1 quick mode.
        QUICK_MODE = 32, "Quick Mode";
        /// IKEv1 new group mode.
        NEW_GROUP_MODE = 33, "New Group Mode";
        /// First exchange of IKEv2.
        IKE_SA_INIT = 34, "IKE_SA_INIT";
        /// Second exchange of IKEv2.
        IKE_AUTH = 35, "IKE_AUTH";
        /// New or replaced SAs in IKEv2.
        CREATE_CHILD_SA = 36, "CREATE_CHILD_SA";
        /// Deletes, notifications, liveness and configuration in IKEv2.
        INFORMATIONAL = 37, "INFORMATIONAL";
        /// Session resumption, RFC 5723.
        IKE_SESSION_RESUME = 38, "IKE_SESSION_RESUME";
        /// Group authentication, RFC 9838.
        GSA_AUTH = 39, "GSA_AUTH";
        /// Group registration, RFC 9838.
        GSA_REGISTRATION = 40, "GSA_REGISTRATION";
        /// Group rekey, RFC 9838.
        GSA_REKEY = 41, "GSA_REKEY";
        /// Between IKE_SA_INIT and IKE_AUTH, RFC 9242.
        IKE_INTERMEDIATE = 43, "IKE_INTERMEDIATE";
        /// Further key exchanges after CREATE_CHILD_SA, RFC 9370.
        IKE_FOLLOWUP_KE = 44, "IKE_FOLLOWUP_KE";
    }
}

/// The flags octet. Bits that the version in use does not define are kept, and ignored.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Flags(pub u8);

impl Flags {
    /// IKEv1: the message is encrypted.
    pub const ENCRYPTED: u8 = 0x01;
    /// IKEv2: sent by the side that started this IKE SA.
    pub const INITIATOR: u8 = 0x08;
    /// IKEv2: the sender could speak a higher version.
    pub const VERSION: u8 = 0x10;
    /// IKEv2: the message is a response.
    pub const RESPONSE: u8 = 0x20;

    /// The flags of an IKEv2 message.
    #[must_use]
    pub const fn v2(initiator: bool, response: bool) -> Self {
        let initiator = if initiator { Self::INITIATOR } else { 0 };
        Self(initiator | if response { Self::RESPONSE } else { 0 })
    }

    /// Whether all of `bits` are set.
    #[must_use]
    pub const fn has(self, bits: u8) -> bool {
        self.0 & bits == bits
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flags({:#04x})", self.0)
    }
}

/// The IKE header (RFC 7296 3.1).
///
/// ```text
///                      1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                       IKE SA Initiator's SPI                  |
/// |                                                               |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                       IKE SA Responder's SPI                  |
/// |                                                               |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |  Next Payload | MjVer | MnVer | Exchange Type |     Flags     |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                          Message ID                           |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// |                            Length                             |
/// +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IkeHeader {
    /// The SPI chosen by the side that started the IKE SA.
    pub initiator_spi: IkeSpi,
    /// The SPI chosen by the other side; zero in the first message.
    pub responder_spi: IkeSpi,
    /// Type of the first payload.
    pub next_payload: u8,
    /// Major version: 1 or 2.
    pub major: u8,
    /// Minor version, ignored on receipt.
    pub minor: u8,
    /// What the message is for.
    pub exchange: ExchangeType,
    /// Direction and role, or IKEv1's encryption bit.
    pub flags: Flags,
    /// Number of the exchange.
    pub message_id: u32,
    /// Octets of the whole message, header included.
    pub length: u32,
}

impl IkeHeader {
    /// Reads the header, and checks that its length is that of the datagram.
    ///
    /// # Errors
    /// Too short a datagram, or a length that is not the datagram's.
    pub fn parse(octets: &[u8]) -> Result<(Self, &[u8]), WireError> {
        let header = Self::peek(octets)?;
        let mut reader = Reader::new(octets);
        reader.take("IKE header", HEADER_LEN)?;
        match usize::try_from(header.length) {
            Ok(length) if length == octets.len() => Ok((header, reader.rest())),
            Ok(length) if length > octets.len() => {
                Err(WireError::new("IKE length", Problem::Truncated { needed: length, left: octets.len() }))
            }
            Ok(length) => Err(WireError::new("IKE length", Problem::BadLength(length))),
            Err(_) => Err(WireError::new("IKE length", Problem::BadValue(header.length.into()))),
        }
    }

    /// Reads the header without looking at what follows, for routing a message to its owner.
    ///
    /// # Errors
    /// Fewer than [`HEADER_LEN`] octets.
    pub fn peek(octets: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(octets);
        let initiator_spi = IkeSpi(reader.array("IKE initiator SPI")?);
        let responder_spi = IkeSpi(reader.array("IKE responder SPI")?);
        let next_payload = reader.u8("next payload")?;
        let version = reader.u8("version")?;
        Ok(Self {
            initiator_spi,
            responder_spi,
            next_payload,
            major: version >> 4,
            minor: version & 0x0f,
            exchange: ExchangeType(reader.u8("exchange type")?),
            flags: Flags(reader.u8("flags")?),
            message_id: reader.u32("message id")?,
            length: reader.u32("IKE length")?,
        })
    }

    /// Writes the header; the length is written as it stands in `self`.
    pub fn encode(&self, writer: &mut Writer) {
        writer.bytes(&self.initiator_spi.0);
        writer.bytes(&self.responder_spi.0);
        writer.u8(self.next_payload);
        writer.u8((self.major << 4) | (self.minor & 0x0f));
        writer.u8(self.exchange.0);
        writer.u8(self.flags.0);
        writer.u32(self.message_id);
        writer.u32(self.length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> IkeHeader {
        IkeHeader {
            initiator_spi: IkeSpi(*b"initiatr"),
            responder_spi: IkeSpi::ZERO,
            next_payload: 33,
            major: 2,
            minor: 0,
            exchange: ExchangeType::IKE_SA_INIT,
            flags: Flags::v2(true, false),
            message_id: 0,
            length: 28,
        }
    }

    #[test]
    fn a_header_survives_its_encoding() {
        let mut writer = Writer::new();
        sample().encode(&mut writer);
        let octets = writer.finish().unwrap();
        assert_eq!(octets.len(), HEADER_LEN);
        assert_eq!(IkeHeader::parse(&octets), Ok((sample(), &[][..])));
    }

    #[test]
    fn a_length_other_than_the_datagrams_is_refused() {
        for length in [0, 27, 29, 1_000, 0xffff_ffff, 0x8000_0000] {
            let mut writer = Writer::new();
            IkeHeader { length, ..sample() }.encode(&mut writer);
            let error = IkeHeader::parse(&writer.finish().unwrap()).unwrap_err();
            assert_eq!(error.field, "IKE length", "{length}");
        }
    }

    #[test]
    fn every_truncation_is_an_error() {
        let mut writer = Writer::new();
        sample().encode(&mut writer);
        let octets = writer.finish().unwrap();
        for length in 0..HEADER_LEN {
            assert!(IkeHeader::parse(&octets[..length]).is_err());
        }
    }
}
