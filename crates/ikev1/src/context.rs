//! What every step of the protocol is given.

use alloc::vec::Vec;

use ikebana_core::{EspSpi, IkeSpi, Path};
use ikebana_ike::{ExchangeType, IkeHeader, IkeSaHandle};
use ikebana_proposals::ikev1::phase2::Protocol;

use crate::fragments;

/// The endpoint's parts that a connection may use while it handles something.
pub(crate) type Context<'a> = ikebana_ike::context::Context<'a, Note>;

/// Names in use, all connections together.
pub(crate) type Registry = ikebana_ike::context::Registry<Note>;

/// How messages get to the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) path: Path,
    /// Whether messages carry the non-ESP marker.
    pub(crate) encapsulated: bool,
    /// Whether messages are cut into fragments.
    pub(crate) fragments: Fragments,
}

/// Whether a message is cut into fragments, on which both sides have to agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fragments {
    /// It never is.
    Never,
    /// It is if it is long.
    Long,
    /// It is if it can be cut in two.
    Always,
}

impl Route {
    /// A way without fragments.
    pub(crate) const fn new(path: Path, encapsulated: bool) -> Self {
        Self { path, encapsulated, fragments: Fragments::Never }
    }

    /// Queues a message, in fragments if need be.
    pub(crate) fn send(&self, cx: &mut Context<'_>, message: &[u8]) {
        // strongSwan takes an informational message in fragments for one that is not encrypted and drops the first of
        // them, so that those are cut only if they have to be.
        let may =
            !IkeHeader::peek(message).is_ok_and(|header| header.exchange == ExchangeType::INFORMATIONAL_V1);
        let cut = match self.fragments {
            Fragments::Never => None,
            Fragments::Long => fragments::split(message, false),
            Fragments::Always => fragments::split(message, may),
        };
        match cut {
            Some(parts) => parts.iter().for_each(|part| cx.transmit(self.path, self.encapsulated, part)),
            None => cx.transmit(self.path, self.encapsulated, message),
        }
    }
}

/// What an association leaves for the endpoint to do, because it concerns other associations with the same
/// peer: any ISAKMP SA may speak for what another one has made.
#[derive(Debug)]
pub(crate) enum Note {
    /// The peer has deleted SAs that are not this association's.
    DeletedChildren {
        /// The association whose ISAKMP SA said so.
        by: IkeSaHandle,
        protocol: Protocol,
        /// Of the peer's inbound SAs, that is our outbound ones.
        spis: Vec<EspSpi>,
    },
    /// The peer has deleted an ISAKMP SA that is not this association's.
    DeletedIsakmp {
        /// The association whose ISAKMP SA said so.
        by: IkeSaHandle,
        /// Cookies of initiator and responder.
        cookies: (IkeSpi, IkeSpi),
    },
    /// The peer, which has authenticated, says that it knows of no older association.
    InitialContact {
        /// The association whose ISAKMP SA said so.
        by: IkeSaHandle,
    },
}
