//! Traffic flow confidentiality: how long packets look (RFC 4303 2.7).

use crate::overhead::Overhead;

/// What an observer on the path may take for a packet's length when nothing is known of the path: as much as every
/// IPv6 link carries (RFC 8200 5).
const UNKNOWN_PATH: usize = 1_280;

/// How much padding inner packets get, so that the length of the outer packet says less about them.
///
/// The padding is zeros behind the inner packet, whose own header says where it ends. So it is for tunnels alone: in
/// transport mode the payload is a TCP segment, say, which has no length of its own, and a receiver could not tell
/// the padding from the data (RFC 4303 2.7).
///
/// Packets are never padded beyond what fits the path, as far as it is known
/// ([`OutboundSa::set_path_mtu`](crate::OutboundSa::set_path_mtu)), and longer ones are left as they are. A peer that
/// has said ESP_TFC_PADDING_NOT_SUPPORTED (RFC 7296 3.10.1) must not get any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TfcPadding {
    /// None: only what the cipher needs.
    #[default]
    None,
    /// Inner packets look at least this long, in octets.
    Size(u16),
    /// Inner packets look as long as the next multiple of so many octets.
    Multiple(u16),
    /// Inner packets all look as long as the path allows; 1 280 octets outside as long as that is not known.
    PathMtu,
}

/// Padding for one SA.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tfc {
    policy: TfcPadding,
    path_mtu: Option<usize>,
}

impl Tfc {
    pub(crate) const fn new(policy: TfcPadding) -> Self {
        Self { policy, path_mtu: None }
    }

    pub(crate) const fn set_path_mtu(&mut self, path_mtu: usize) {
        self.path_mtu = Some(path_mtu);
    }

    /// How long a payload of `length` octets becomes; never less than it is. Grows with `length`.
    pub(crate) fn padded(self, overhead: Overhead, length: usize) -> usize {
        let fits = |path_mtu: usize| overhead.inner_mtu(path_mtu);
        let wanted = match self.policy {
            TfcPadding::None => return length,
            TfcPadding::Size(size) => usize::from(size),
            TfcPadding::Multiple(step) => {
                length.checked_next_multiple_of(usize::from(step).max(1)).unwrap_or(length)
            }
            TfcPadding::PathMtu => return length.max(fits(self.path_mtu.unwrap_or(UNKNOWN_PATH))),
        };
        length.max(wanted.min(self.path_mtu.map_or(usize::MAX, fits)))
    }
}
