//! How much one key may encrypt.

use ikebana_proposals::EncryptionId;

/// Octets that one key may encrypt before chance works for an attacker.
///
/// These are bounds of the ciphers, not lifetimes: whoever negotiates SAs replaces them long before, by age or
/// volume. `soft` is where a replacement is due at the latest; at `hard` an [`OutboundSa`](crate::OutboundSa)
/// stops, as it does when its sequence numbers run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageLimit {
    /// Replace the SA now.
    pub soft: u64,
    /// Not one octet more.
    pub hard: u64,
}

impl UsageLimit {
    /// No limit but the sequence numbers.
    pub const NONE: Self = Self { soft: u64::MAX, hard: u64::MAX };

    /// 64-bit blocks in CBC mode: equal ciphertext blocks are expected after 2³² blocks (32 GiB), and each
    /// reveals a difference of plaintexts (the "Sweet32" attack). At the soft limit of 2²⁷ blocks (1 GiB) the
    /// chance of one is 2⁻¹¹.
    pub const BLOCK_64: Self = Self { soft: 1 << 30, hard: 1 << 35 };

    /// 128-bit blocks, in CBC, counter and combined modes: 2⁴⁸ blocks (4 PiB) keep the chance of a block
    /// collision, and with it an attacker's advantage over ideal encryption, at 2⁻³² (SP 800-38A, RFC 8645).
    /// The soft limit is an eighth of that.
    pub const BLOCK_128: Self = Self { soft: 1 << 49, hard: 1 << 52 };

    /// The limit of a cipher's keys.
    ///
    /// ChaCha20 is a function, not a permutation, and integrity-only ciphers encrypt nothing: they have none.
    #[must_use]
    pub const fn of(encryption: EncryptionId) -> Self {
        if encryption.is_integrity_only() {
            return Self::NONE;
        }
        match encryption {
            EncryptionId::CHACHA20_POLY1305 | EncryptionId::CHACHA20_POLY1305_IIV => Self::NONE,
            _ => match encryption.block_len() {
                8 => Self::BLOCK_64,
                _ => Self::BLOCK_128,
            },
        }
    }
}
