//! A negotiated SA, described for whoever moves its packets.

use alloc::sync::Arc;

use ikebana_core::{EspSpi, Lifetime, Path, Secret, TrafficSelectors};
use ikebana_proposals::{ChildSuite, ProtocolId};

use crate::config::{ChildConfig, Mode};
use crate::handle::{ChildHandle, IkeSaHandle};

/// Which way an SA's packets go. ESP and AH SAs have one direction each (RFC 4301 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Towards us.
    Inbound,
    /// Towards the peer.
    Outbound,
}

/// One direction of a child SA: everything a data path needs.
///
/// There is no `Debug`, since it owns keys.
pub struct SaParams {
    /// The pair this SA belongs to.
    pub child: ChildHandle,
    /// The IKE SA that negotiated it.
    pub ike: IkeSaHandle,
    /// Towards us, or towards the peer.
    pub direction: Direction,
    /// ESP or AH.
    pub protocol: ProtocolId,
    /// The SPI in this direction's packets: ours inbound, the peer's outbound.
    pub spi: EspSpi,
    /// Ciphers.
    pub suite: ChildSuite,
    /// Keys.
    pub keys: SaKeys,
    /// Tunnel or transport, as negotiated.
    pub mode: Mode,
    /// Traffic on our side.
    pub local: TrafficSelectors,
    /// Traffic on the peer's side.
    pub remote: TrafficSelectors,
    /// The outer addresses, and the ports if encapsulated.
    pub path: Path,
    /// Whether the packets travel in UDP (RFC 3948).
    pub encapsulated: bool,
    /// The limits, jitter already drawn.
    pub lifetime: Lifetime,
    /// Whether the peer takes traffic flow confidentiality padding (RFC 4303 2.7). Without meaning inbound.
    pub tfc_padding: bool,
    /// The CPI in this direction's packets, if both sides have agreed to compress with DEFLATE (RFC 7296 2.22).
    pub cpi: Option<u16>,
    /// The pair that this one replaces, if it comes from a rekey.
    pub replaces: Option<ChildHandle>,
    /// What it was negotiated from.
    pub config: Arc<ChildConfig>,
}

/// The keys of one direction.
pub struct SaKeys {
    /// Encryption key, with the salt at its end where the cipher has one. Empty for AH.
    pub encryption: Secret,
    /// Integrity key. Empty for combined-mode ciphers.
    pub integrity: Secret,
}
