//! What an endpoint tells its caller.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use ikebana_core::{AddressRange, EspSpi, Identity, IkeSpi, Path};
use ikebana_proposals::IkeSuite;

use crate::config::PeerConfig;
use crate::handle::{ChildHandle, IkeSaHandle, QueryId};
use crate::nat::NatSituation;
use crate::query::Query;
use crate::reason::{ChildFailure, CloseReason, FailReason, RemoveReason};
use crate::sa_params::{Direction, SaParams};

/// One item of the causal output queue.
///
/// The order is part of the contract: an inbound [`Event::InstallSa`] comes before the [`Transmit`] that lets
/// the peer use that SA.
pub enum Output {
    /// Send this.
    Transmit(Transmit),
    /// Know, or do, this.
    Event(Event),
}

/// A UDP payload to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// From where, to where.
    pub path: Path,
    /// The whole UDP payload. On a path that ESP shares, the non-ESP marker is already in front.
    pub octets: Vec<u8>,
}

/// Something happened, or something is to be done.
#[non_exhaustive]
pub enum Event {
    /// Both sides are authenticated. The first child SA's events, if there is one, follow.
    Established(Box<Established>),
    /// Start using this SA.
    InstallSa(Box<SaParams>),
    /// The peer's address or port changed (authenticated); packets go to the new path from now on.
    UpdateSa {
        /// The pair whose two directions move.
        child: ChildHandle,
        /// Where it moved.
        path: Path,
        /// Whether packets travel in UDP.
        encapsulated: bool,
    },
    /// Stop using this SA.
    RemoveSa {
        /// The pair it belongs to.
        child: ChildHandle,
        /// Which of the two.
        direction: Direction,
        /// Its SPI, as in the [`Event::InstallSa`].
        spi: EspSpi,
        /// Why.
        reason: RemoveReason,
    },
    /// A child SA that was asked for, here or by the peer, did not come about. The IKE SA stays.
    ChildFailed {
        /// The IKE SA it would have belonged to.
        ike: IkeSaHandle,
        /// The name of the [`ChildConfig`](crate::ChildConfig), if one had been chosen.
        config: Option<String>,
        /// The child that was to be replaced, if it was a rekey.
        rekeyed: Option<ChildHandle>,
        /// Why, with both sides' values.
        reason: ChildFailure,
    },
    /// The IKE SA has new keys and SPIs; its handle and children stay.
    IkeRekeyed {
        /// Which.
        ike: IkeSaHandle,
        /// New SPI of the side that started the new IKE SA.
        initiator_spi: IkeSpi,
        /// New SPI of the other side.
        responder_spi: IkeSpi,
        /// The new suite.
        suite: IkeSuite,
    },
    /// A rekey of the IKE SA, asked for here or by the peer, came to nothing. The IKE SA stays, and our own
    /// attempts go on until its hard limit ends it.
    IkeRekeyFailed {
        /// Which.
        ike: IkeSaHandle,
        /// Why, with both sides' values.
        reason: FailReason,
    },
    /// The peer assigned us addresses.
    Assigned {
        /// Over which IKE SA.
        ike: IkeSaHandle,
        /// What it assigned.
        assignment: Assignment,
    },
    /// A decision only the application can make; [`Endpoint::answer`] continues.
    ///
    /// [`Endpoint::answer`]: crate::Query
    Query(QueryId, Query),
    /// An unauthenticated complaint arrived while we initiate. It is not believed (RFC 7296 2.21.1), the
    /// attempt goes on, but whoever watches will want to know. Reported once for each attempt.
    Hint {
        /// Which attempt.
        ike: IkeSaHandle,
        /// What the failure will be if nothing better arrives.
        reason: FailReason,
    },
    /// The IKE SA never came about. Terminal: the handle means nothing from now on.
    Failed {
        /// Which.
        ike: IkeSaHandle,
        /// The peer configuration's name, once one was known.
        peer: Option<String>,
        /// Where the peer was.
        path: Path,
        /// Why, with both sides' values.
        reason: FailReason,
    },
    /// The established IKE SA is gone. Terminal: the handle means nothing from now on.
    Closed {
        /// Which.
        ike: IkeSaHandle,
        /// Why.
        reason: CloseReason,
    },
}

/// The facts about a new IKE SA.
#[derive(Clone, Debug)]
pub struct Established {
    /// Which.
    pub ike: IkeSaHandle,
    /// The peer.
    pub peer: Arc<PeerConfig>,
    /// Whether we started it.
    pub initiator: bool,
    /// Who we said we are.
    pub local_id: Identity,
    /// Who the peer proved to be.
    pub remote_id: Identity,
    /// SPI of the side that started it.
    pub initiator_spi: IkeSpi,
    /// SPI of the other side.
    pub responder_spi: IkeSpi,
    /// Ciphers.
    pub suite: IkeSuite,
    /// Where it runs.
    pub path: Path,
    /// What NAT detection found.
    pub nat: NatSituation,
    /// Whether ESP will travel in UDP.
    pub encapsulated: bool,
    /// Who the user is, where IKEv1 asked for one.
    pub xauth_user: Option<String>,
}

/// What a configuration payload carries (RFC 7296 3.15.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// Inner addresses of the side that asked.
    pub addresses: Vec<IpAddr>,
    /// Name servers.
    pub dns: Vec<IpAddr>,
    /// Subnets behind the side that answered.
    pub subnets: Vec<AddressRange>,
    /// IPv4 netmask to go with the address, as a prefix length.
    pub prefix_ipv4: Option<u8>,
}
