//! Bounds on what is read from one message.
//!
//! A UDP datagram already bounds a message to 64 KiB; these bounds keep the number of objects made from it
//! small, and the text of a message reassembled from fragments finite.

/// Payloads in one chain, inside or outside the encrypted payload.
///
/// Real messages have up to about forty: certificate requests, notifications and vendor IDs add up.
pub const MAX_PAYLOADS: usize = 128;

/// Octets of a message, reassembled from fragments if it came in some.
pub const MAX_MESSAGE_OCTETS: usize = 65_535;

/// Fragments of one message (RFC 7383). At the smallest sensible size of 500 octets they carry a whole message.
pub const MAX_FRAGMENTS: u16 = 128;

/// Octets of public key exchange data. The largest assigned method, FrodoKEM-1344, needs 21 696.
pub const MAX_KEY_EXCHANGE_OCTETS: usize = 24_576;

/// The least octets of a nonce (RFC 7296 3.9).
pub const MIN_NONCE_OCTETS: usize = 16;

/// The most octets of a nonce (RFC 7296 3.9).
pub const MAX_NONCE_OCTETS: usize = 256;

/// SPIs in one delete payload.
pub const MAX_DELETED_SPIS: usize = 1_024;

/// Attributes in one configuration payload.
pub const MAX_CONFIG_ATTRIBUTES: usize = 128;

/// Octets of one vendor ID. Those in use are 8 to 40 long.
pub const MAX_VENDOR_ID_OCTETS: usize = 1_024;
