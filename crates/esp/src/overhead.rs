//! How much longer protection makes a packet, and how long a packet may be to fit a path.

use ikebana_crypto::{CipherShape, IvRule};
use ikebana_proposals::{ChildSuite, ProtocolId};

use crate::ah;
use crate::beet;
use crate::ip::{Family, UDP_HEADER};
use crate::params::Mode;

/// SPI and sequence number.
pub(crate) const ESP_HEADER: usize = 8;
/// Pad length and next header.
pub(crate) const TRAILER: usize = 2;

/// What protection adds to a packet: one function of cipher, mode, encapsulation and outer address family.
///
/// ```text
/// | outer IP | UDP, if any | SPI, sequence | IV | packet | padding | pad length, next header | ICV |  ESP
/// | outer IP | AH with its ICV and padding         | packet |                                       AH
/// ```
///
/// ```
/// use ikebana_esp::{Family, Mode, Overhead};
/// # use ikebana_proposals::{ChildSuite, Encryption, EncryptionId, KeyExchangeId, ProtocolId};
/// # let suite = ChildSuite {
/// #     protocol: ProtocolId::ESP, encryption: Some(Encryption::new(EncryptionId::AES_GCM_16, 128)),
/// #     integrity: None, key_exchange: None, additional: [KeyExchangeId::NONE; 7], esn: false,
/// # };
/// // AES-GCM in a tunnel over IPv4, in UDP, on an Ethernet path:
/// let overhead = Overhead::of_suite(&suite, Mode::Tunnel, true, Family::V4).unwrap();
/// assert_eq!(overhead.inner_mtu(1500), 1438);
/// assert_eq!(overhead.inner_mss(1500, Family::V4), 1398);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overhead {
    protection: Protection,
    mode: Mode,
    in_udp: bool,
    outer: Family,
}

/// What is put around a packet, besides outer headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protection {
    Esp(CipherShape),
    /// AH with an ICV of this length.
    Ah {
        icv_len: usize,
    },
}

impl Overhead {
    /// The overhead of ESP by a cipher with this shape.
    #[must_use]
    pub const fn new(shape: CipherShape, mode: Mode, in_udp: bool, outer: Family) -> Self {
        Self { protection: Protection::Esp(shape), mode, in_udp, outer }
    }

    /// The overhead of AH by an algorithm with an ICV of this length.
    #[must_use]
    pub const fn ah(icv_len: usize, mode: Mode, outer: Family) -> Self {
        Self { protection: Protection::Ah { icv_len }, mode, in_udp: false, outer }
    }

    /// The overhead of a suite, known before there are keys; `None` for unknown algorithms, and for AH in UDP,
    /// which there is not.
    #[must_use]
    pub fn of_suite(suite: &ChildSuite, mode: Mode, in_udp: bool, outer: Family) -> Option<Self> {
        if suite.protocol == ProtocolId::AH {
            let icv_len = suite.integrity.filter(|_| suite.encryption.is_none() && !in_udp)?.icv_len();
            return (icv_len > 0).then_some(Self::ah(icv_len, mode, outer));
        }
        let encryption = suite.encryption.filter(|_| suite.protocol == ProtocolId::ESP)?;
        encryption.key_len()?;
        let icv_len = match suite.integrity {
            Some(integrity) if !encryption.is_aead() => integrity.icv_len(),
            Some(_) | None => encryption.id.icv_len(),
        };
        let shape = CipherShape {
            iv_len: encryption.id.iv_len(),
            icv_len,
            block_len: encryption.id.block_len(),
            // Has no influence on lengths.
            iv: IvRule::None,
        };
        (icv_len > 0).then_some(Self::new(shape, mode, in_udp, outer))
    }

    /// Free octets in front of a payload that sealing needs, outer headers included.
    #[must_use]
    pub const fn headroom(self) -> usize {
        let outer = match self.mode {
            Mode::Tunnel => self.outer.header_len(),
            // The packet's own header is the outer header.
            Mode::Transport => 0,
            // The outer header takes the place of the packet's own, whose options move.
            Mode::Beet(inner) => {
                let inner = Family::of(inner.source);
                let longer = self.outer.header_len().saturating_sub(inner.header_len());
                longer.saturating_add(beet::spare(inner))
            }
        };
        outer.saturating_add(self.udp_len()).saturating_add(self.protection.front(self.outer))
    }

    /// Free octets behind a payload that sealing needs at most.
    #[must_use]
    pub const fn tailroom(self) -> usize {
        match self.protection {
            // Padding is at most one octet less than the alignment.
            Protection::Esp(shape) => {
                alignment(shape).saturating_sub(1).saturating_add(TRAILER).saturating_add(shape.icv_len)
            }
            Protection::Ah { .. } => 0,
        }
    }

    /// The most that protection makes a packet longer, from inner packet to outer packet.
    #[must_use]
    pub const fn maximum(self) -> usize {
        self.headroom().saturating_add(self.tailroom())
    }

    /// The length of the outer packet that an inner packet of `inner` octets becomes. In BEET mode it is
    /// 8 octets less for IPv4 packets without options.
    #[must_use]
    pub const fn outer_len(self, inner: usize) -> usize {
        self.outer_len_of_text(inner.saturating_sub(self.left_out()))
    }

    /// The length of the outer packet, its IP header without options, around this much text.
    pub(crate) const fn outer_len_of_text(self, text: usize) -> usize {
        self.fixed().saturating_add(self.protection.padded(text))
    }

    /// The longest inner packet that fits a path of `path_mtu` octets; 0 if none does.
    ///
    /// In transport mode the packet's own header counts on both sides.
    #[must_use]
    pub const fn inner_mtu(self, path_mtu: usize) -> usize {
        let room = path_mtu.checked_sub(self.fixed());
        let text = match room {
            Some(room) => self.protection.longest_text(room),
            None => None,
        };
        match text {
            None => 0,
            Some(text) => text.saturating_add(self.left_out()),
        }
    }

    /// The TCP maximum segment size for inner packets of `family` on a path of `path_mtu` octets.
    ///
    /// RFC 6691: the MTU less the IP and TCP headers without options.
    #[must_use]
    pub const fn inner_mss(self, path_mtu: usize, family: Family) -> usize {
        crate::mss::of_mtu(self.inner_mtu(path_mtu), family)
    }

    /// The same with outer addresses of this family.
    pub(crate) const fn with_outer(self, outer: Family) -> Self {
        Self { outer, ..self }
    }

    /// Octets of the inner packet that are not among those sealed, at least.
    const fn left_out(self) -> usize {
        match self.mode {
            Mode::Tunnel => 0,
            Mode::Transport => self.outer.header_len(),
            Mode::Beet(inner) => {
                let inner = Family::of(inner.source);
                inner.header_len().saturating_sub(beet::spare(inner))
            }
        }
    }

    const fn udp_len(self) -> usize {
        if self.in_udp { UDP_HEADER } else { 0 }
    }

    /// Everything of the outer packet but text, padding and trailer.
    const fn fixed(self) -> usize {
        self.outer
            .header_len()
            .saturating_add(self.udp_len())
            .saturating_add(self.protection.fixed(self.outer))
    }
}

impl Protection {
    /// What comes in front of the text.
    const fn front(self, outer: Family) -> usize {
        match self {
            Self::Esp(shape) => ESP_HEADER.saturating_add(shape.iv_len),
            Self::Ah { icv_len } => ah::header_len(icv_len, outer),
        }
    }

    /// Everything but text, padding and trailer.
    const fn fixed(self, outer: Family) -> usize {
        match self {
            Self::Esp(shape) => ESP_HEADER.saturating_add(shape.overhead()),
            Self::Ah { icv_len } => ah::header_len(icv_len, outer),
        }
    }

    /// Text with padding and trailer.
    const fn padded(self, text: usize) -> usize {
        match self {
            Self::Esp(shape) => text.saturating_add(padding(shape, text)).saturating_add(TRAILER),
            Self::Ah { .. } => text,
        }
    }

    /// The longest text that fits here with padding and trailer.
    const fn longest_text(self, room: usize) -> Option<usize> {
        match self {
            Self::Esp(shape) => {
                let blocks = match room.checked_rem(alignment(shape)) {
                    Some(rest) => room.saturating_sub(rest),
                    None => room,
                };
                blocks.checked_sub(TRAILER)
            }
            Self::Ah { .. } => Some(room),
        }
    }
}

/// What text with padding and trailer is a multiple of: the cipher's block, and 4 (RFC 4303 2.4).
pub(crate) const fn alignment(shape: CipherShape) -> usize {
    if shape.block_len < 4 { 4 } else { shape.block_len }
}

/// The padding behind `text` octets of text.
pub(crate) const fn padding(shape: CipherShape, text: usize) -> usize {
    let alignment = alignment(shape);
    match text.saturating_add(TRAILER).checked_rem(alignment) {
        None | Some(0) => 0,
        Some(rest) => alignment.saturating_sub(rest),
    }
}

#[cfg(test)]
mod tests;
