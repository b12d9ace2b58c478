//! NAT detection (RFC 7296 2.23, RFC 3947 3.2).

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use ikebana_core::{IkeSpi, Path};
use ikebana_crypto::sha1;

/// Who is behind a NAT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NatSituation {
    /// We are: what the peer sees as our address is not our address.
    pub local: bool,
    /// The peer is: what we see as its address is not its address.
    pub remote: bool,
}

impl NatSituation {
    /// Whether anybody is.
    #[must_use]
    pub const fn any(self) -> bool {
        self.local || self.remote
    }
}

/// The value of a `NAT_DETECTION_*_IP` notification: SHA-1 over both SPIs, address and port.
#[must_use]
pub fn detection_hash(initiator: IkeSpi, responder: IkeSpi, socket: SocketAddr) -> [u8; 20] {
    let port = socket.port().to_be_bytes();
    match socket.ip() {
        IpAddr::V4(v4) => sha1(&[&initiator.0, &responder.0, &v4.octets(), &port]),
        IpAddr::V6(v6) => sha1(&[&initiator.0, &responder.0, &v6.octets(), &port]),
    }
}

/// What the peer's notifications say about the path its message came on.
///
/// `sources` are the data of all `NAT_DETECTION_SOURCE_IP` notifications, of which one must fit (a peer may
/// not know which of its addresses it sends from), `destination` that of `NAT_DETECTION_DESTINATION_IP`.
/// `None` if the peer does not do NAT detection.
#[must_use]
pub fn detect(
    initiator: IkeSpi,
    responder: IkeSpi,
    path: Path,
    sources: &[Vec<u8>],
    destination: Option<&[u8]>,
) -> Option<NatSituation> {
    let destination = destination?;
    if sources.is_empty() {
        return None;
    }
    let seen_from = detection_hash(initiator, responder, path.remote);
    let seen_to = detection_hash(initiator, responder, path.local);
    Some(NatSituation {
        local: destination != seen_to,
        remote: !sources.iter().any(|source| source.as_slice() == seen_from),
    })
}
