//! Decisions that an endpoint leaves to its caller, and the adapter for callers that can decide at once.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
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
    /// IKEv1 main mode: which key is shared with whoever is at this address? It says who it is only
    /// under that key.
    PreSharedKeyByAddress(AddressKeyRequest),
    /// IKEv1: the peer wants a user name and password of us.
    XauthCredentials(XauthRequest),
    /// IKEv1: is this user who they say they are?
    XauthVerify(XauthClaim),
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

/// Whose pre-shared key an IKEv1 responder asks for before it knows who the peer says it is.
#[derive(Clone, Debug)]
pub struct AddressKeyRequest {
    /// The IKE SA in question.
    pub ike: IkeSaHandle,
    /// Where the peer is.
    pub path: Path,
    /// The suite that was negotiated.
    pub suite: IkeSuite,
}

/// What an IKEv1 peer asks of a user (draft-beaulieu-ike-xauth).
#[derive(Clone, Debug)]
pub struct XauthRequest {
    /// The IKE SA in question.
    pub ike: IkeSaHandle,
    /// The configuration.
    pub peer: Arc<PeerConfig>,
    /// Text of the peer's for the user; untrusted.
    pub message: Option<String>,
    /// Whether a one-time code is asked for, rather than a password.
    pub wants_passcode: bool,
}

/// A user name with its proof, to answer [`Query::XauthCredentials`].
pub struct XauthCredentials {
    /// The user's name.
    pub user: String,
    /// The password, or the one-time code where that was asked for.
    pub password: Secret,
}

/// Who an IKEv1 peer's user claims to be.
#[derive(Clone)]
pub struct XauthClaim {
    /// The IKE SA in question.
    pub ike: IkeSaHandle,
    /// The configuration.
    pub peer: Arc<PeerConfig>,
    /// Who the peer proved to be in phase 1; often a whole group of users.
    pub remote_id: Identity,
    /// The user's name.
    pub user: String,
    /// The password. Compare it in constant time.
    pub password: Arc<Secret>,
}

impl fmt::Debug for XauthClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("XauthClaim")
            .field("ike", &self.ike)
            .field("peer", &self.peer.name)
            .field("remote_id", &self.remote_id)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// The answer to a [`Query`]. `None` always means "no": unknown peer, no such key, no address to give.
pub enum Answer {
    /// To [`Query::SelectPeer`].
    Peer(Option<Arc<PeerConfig>>),
    /// To [`Query::PreSharedKey`] and [`Query::PreSharedKeyByAddress`].
    PreSharedKey(Option<Secret>),
    /// To [`Query::AssignAddress`].
    Address(Option<Assignment>),
    /// To [`Query::XauthCredentials`].
    Xauth(Option<XauthCredentials>),
    /// To [`Query::XauthVerify`].
    XauthVerdict(bool),
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

    /// The key shared with whoever is at an address. The default knows none.
    fn pre_shared_key_by_address(&mut self, request: &AddressKeyRequest) -> Option<Secret> {
        let _ = request;
        None
    }

    /// User name and password for a peer that asks. The default has none to give.
    fn xauth_credentials(&mut self, request: &XauthRequest) -> Option<XauthCredentials> {
        let _ = request;
        None
    }

    /// Whether a user is who they say they are. The default believes nobody.
    fn xauth_verify(&mut self, claim: &XauthClaim) -> bool {
        let _ = claim;
        false
    }

    /// The answer to any query, by the methods above.
    fn answer(&mut self, query: &Query) -> Answer {
        match query {
            Query::SelectPeer(peer) => Answer::Peer(self.select_peer(peer)),
            Query::PreSharedKey(request) => Answer::PreSharedKey(self.pre_shared_key(request)),
            Query::AssignAddress(demand) => Answer::Address(self.assign_address(demand)),
            Query::PreSharedKeyByAddress(request) => {
                Answer::PreSharedKey(self.pre_shared_key_by_address(request))
            }
            Query::XauthCredentials(request) => Answer::Xauth(self.xauth_credentials(request)),
            Query::XauthVerify(claim) => Answer::XauthVerdict(self.xauth_verify(claim)),
        }
    }
}
