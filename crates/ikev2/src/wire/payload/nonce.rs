//! The nonce payload (RFC 7296 3.9).
//!
//! ```text
//!                      1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                                                               |
//! ~                            Nonce Data                         ~
//! |                                                               |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```

use alloc::vec::Vec;

use ikebana_core::WireError;
use ikebana_core::codec::Problem;

use crate::wire::limits::{MAX_NONCE_OCTETS, MIN_NONCE_OCTETS};

pub(super) fn parse(body: &[u8]) -> Result<Vec<u8>, WireError> {
    if (MIN_NONCE_OCTETS..=MAX_NONCE_OCTETS).contains(&body.len()) {
        Ok(body.to_vec())
    } else {
        Err(WireError::new("nonce", Problem::BadLength(body.len())))
    }
}
