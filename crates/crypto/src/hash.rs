//! Digests that are part of the protocols themselves, not negotiated.

use hmac::{Hmac, KeyInit, Mac};
use sha1::{Digest, Sha1};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// SHA-1 over the concatenation of `parts`, as NAT detection wants it (RFC 7296 2.23, RFC 3947 3.2).
#[must_use]
pub fn sha1(parts: &[&[u8]]) -> [u8; 20] {
    let mut digest = Sha1::new();
    for part in parts {
        digest.update(part);
    }
    digest.finalize().into()
}

/// SHA2-256 over the concatenation of `parts`.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part);
    }
    digest.finalize().into()
}

/// HMAC-SHA2-256 over the concatenation of `parts`, as cookies want it.
#[must_use]
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes keys of every length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Compares in time that depends on the lengths only.
#[must_use]
pub fn ct_eq(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_digested_as_one_string() {
        // FIPS 180-4 examples for "abc".
        let sha1_abc = [
            0xa9, 0x99, 0x3e, 0x36, 0x47, 0x06, 0x81, 0x6a, 0xba, 0x3e, 0x25, 0x71, 0x78, 0x50, 0xc2, 0x6c,
            0x9c, 0xd0, 0xd8, 0x9d,
        ];
        assert_eq!(sha1(&[b"abc"]), sha1_abc);
        assert_eq!(sha1(&[b"a", b"", b"bc"]), sha1_abc);
        assert_eq!(sha256(&[b"ab", b"c"])[..4], [0xba, 0x78, 0x16, 0xbf]);
        // RFC 4231 test case 2.
        assert_eq!(
            hmac_sha256(b"Jefe", &[b"what do ya want ", b"for nothing?"])[..4],
            [0x5b, 0xdc, 0xc1, 0x46]
        );
    }

    #[test]
    fn unequal_lengths_are_unequal() {
        assert!(ct_eq(b"same", b"same"));
        assert!(!ct_eq(b"same", b"some"));
        assert!(!ct_eq(b"same", b"sam"));
    }
}
