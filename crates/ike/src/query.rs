//! Decisions that an endpoint leaves to its caller, and the adapter for callers that can decide at once.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use ikebana_core::{Identity, Path, Secret};
use ikebana_proposals::IkeSuite;

use crate::config::PeerConfig;
use crate::event::Assignment;
use crate::handle::IkeSaHandle;

/// A question. The exchange it belongs to waits for the [`Answer`]; everything else goes on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Query {
    /// A peer says who it is: which configuration is it for? Its identity is not proven yet.
    SelectPeer(SelectPeer),
    /// Which key do these two identities share?
    PreSharedKey(PreSharedKeyRequest),
    /// The authenticated peer asks for inner addresses.
    AssignAddress(AddressDemand),
}

/// What is known of a peer that wants in.
#[derive(Clone, Debug)]
pub struct SelectPeer {
    /// The IKE SA in question.
    pub ike: IkeSaHandle,
    /// Where it comes from.
    pub path: Path,
    /// The suite that was negotiated, which the configuration must allow.
    pub suite: IkeSuite,
    /// Who it says it is.
    pub remote_id: Identity,
    /// Whom it wants to talk to, if it said so.
    pub local_id: Option<Identity>,
}

/// Whose pre-shared key is asked for.
#[derive(Clone, Debug)]
pub struct PreSharedKeyRequest {
    /// The IKE SA in question.
    pub ike: IkeSaHandle,
    /// The configuration.
    pub peer: Arc<PeerConfig>,
    /// Who we are.
    pub local_id: Identity,
    /// Who the peer is, or says it is; `None` while we initiate and do not know yet.
    pub remote_id: Option<Identity>,
    /// Where the peer is.
    pub path: Path,
}

/// What a peer asks for in its configuration payload.
#[derive(Clone, Debug)]
pub struct AddressDemand {
    /// The IKE SA in question.
    pub ike: IkeSaHandle,
    /// The configuration.
    pub peer: Arc<PeerConfig>,
    /// Who the peer proved to be.
    pub remote_id: Identity,
    /// Addresses it would like, unspecified ones meaning any of that family.
    pub wanted: Vec<IpAddr>,
}

/// The answer to a [`Query`]. `None` always means "no": unknown peer, no such key, no address to give.
pub enum Answer {
    /// To [`Query::SelectPeer`].
    Peer(Option<Arc<PeerConfig>>),
    /// To [`Query::PreSharedKey`].
    PreSharedKey(Option<Secret>),
    /// To [`Query::AssignAddress`].
    Address(Option<Assignment>),
}

/// Answers queries on the spot, for applications that have everything in memory.
pub trait Credentials {
    /// The configuration for a peer, `None` to turn it away.
    fn select_peer(&mut self, peer: &SelectPeer) -> Option<Arc<PeerConfig>>;

    /// The key shared with a peer.
    fn pre_shared_key(&mut self, request: &PreSharedKeyRequest) -> Option<Secret>;

    /// Addresses for a peer. The default has none to give.
    fn assign_address(&mut self, demand: &AddressDemand) -> Option<Assignment> {
        let _ = demand;
        None
    }

    /// The answer to any query, by the methods above.
    fn answer(&mut self, query: &Query) -> Answer {
        match query {
            Query::SelectPeer(peer) => Answer::Peer(self.select_peer(peer)),
            Query::PreSharedKey(request) => Answer::PreSharedKey(self.pre_shared_key(request)),
            Query::AssignAddress(demand) => Answer::Address(self.assign_address(demand)),
        }
    }
}
