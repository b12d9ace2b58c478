//! What the data path tells the endpoint.

use core::net::SocketAddr;

/// News of a child SA from whoever moves its packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChildSignal {
    /// A soft limit of packets or octets is reached: negotiate a replacement. Limits of time are the
    /// endpoint's own business.
    SoftExpired,
    /// A hard limit is reached: the SA is used no more.
    HardExpired,
    /// A packet was authenticated: the peer lives, so liveness need not be asked for.
    Traffic,
    /// An authenticated packet came from another address or port than the peer's: a NAT has rebound
    /// (RFC 7296 2.23). Followed only where the peer is behind a NAT and we are not.
    PeerMoved(SocketAddr),
}
