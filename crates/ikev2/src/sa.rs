//! One IKE SA as it is on the wire: two SPIs, one set of keys, one message window.

use alloc::vec::Vec;

use ikebana_core::{IkeSpi, Path};
use ikebana_crypto::sha256;
use ikebana_ike::{DropReason, ExchangeType, Flags, IkeHeader, Retransmission};
use ikebana_proposals::IkeSuite;

use crate::context::Context;
use crate::keys::IkeKeys;
use crate::payloads::Payloads;
use crate::window::{Overdue, Received, Window};
use crate::wire::{self, IvSource, OpenError, Payload};

/// How messages get to the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) path: Path,
    /// Whether messages carry the non-ESP marker.
    pub(crate) encapsulated: bool,
}

/// What a protected message turned out to be.
pub(crate) enum Verified {
    /// A new request; its integrity is proven.
    Request(Request),
    /// The response to our outstanding request; its integrity is proven.
    Response(Result<Payloads, OpenError>),
    /// A request that was answered before; the answer to send again.
    Again(Vec<u8>),
}

/// A new request from the peer.
pub(crate) struct Request {
    pub(crate) id: u32,
    pub(crate) exchange: ExchangeType,
    fingerprint: [u8; 32],
    /// The payloads, or what is wrong with them. Either way the peer sent it.
    pub(crate) content: Result<Payloads, OpenError>,
}

/// Keys, SPIs and window of one IKE SA.
pub(crate) struct IkeSa {
    pub(crate) local_spi: IkeSpi,
    pub(crate) remote_spi: IkeSpi,
    /// Whether we started this IKE SA, which decides the Initiator flag and whose keys are whose.
    pub(crate) initiator: bool,
    pub(crate) suite: IkeSuite,
    pub(crate) keys: IkeKeys,
    pub(crate) window: Window,
}

impl IkeSa {
    /// The SPI of the side that started it.
    pub(crate) const fn initiator_spi(&self) -> IkeSpi {
        if self.initiator { self.local_spi } else { self.remote_spi }
    }

    /// The SPI of the other side.
    pub(crate) const fn responder_spi(&self) -> IkeSpi {
        if self.initiator { self.remote_spi } else { self.local_spi }
    }

    /// Checks a message that claims to belong here. Nothing changes: an attacker's message ends here.
    pub(crate) fn verify(&self, header: &IkeHeader, octets: &[u8]) -> Result<Verified, DropReason> {
        if header.initiator_spi != self.initiator_spi() || header.responder_spi != self.responder_spi() {
            return Err(DropReason::UnknownSpi);
        }
        // The sender's role in this IKE SA is the opposite of ours.
        if header.flags.has(Flags::INITIATOR) == self.initiator {
            return Err(DropReason::WrongRole);
        }
        if header.flags.has(Flags::RESPONSE) {
            if !self.window.expects_response(header.message_id, header.exchange) {
                return Err(DropReason::UnexpectedResponse);
            }
            return Ok(Verified::Response(self.open(octets)?));
        }
        let fingerprint = sha256(&[octets]);
        match self.window.receive(header.message_id, &fingerprint) {
            Received::Again(answer) => Ok(Verified::Again(answer)),
            Received::Pending => Err(DropReason::StillWorking),
            Received::Outside => Err(DropReason::OutsideWindow),
            Received::New => Ok(Verified::Request(Request {
                id: header.message_id,
                exchange: header.exchange,
                fingerprint,
                content: self.open(octets)?,
            })),
        }
    }

    /// Opens the encrypted payload. The outer error means that the message is not the peer's; the inner one
    /// that it is, and is broken.
    fn open(&self, octets: &[u8]) -> Result<Result<Payloads, OpenError>, DropReason> {
        let peer = if self.initiator { &self.keys.responder } else { &self.keys.initiator };
        match wire::open(&*peer.cipher, octets) {
            Ok(opened) => Ok(Ok(Payloads::new(opened.payloads))),
            Err(error) if error.is_authentic() => Ok(Err(error)),
            Err(OpenError::NotEncrypted) => Err(DropReason::NotEncrypted),
            Err(OpenError::Framing(_)) => Err(DropReason::Malformed),
            Err(_) => Err(DropReason::BadIntegrity),
        }
    }

    /// Encrypts a message of ours. `None` if it cannot be: a payload outgrew its length field.
    pub(crate) fn seal(
        &mut self,
        cx: &mut Context<'_>,
        exchange: ExchangeType,
        response_to: Option<u32>,
        payloads: &[Payload],
    ) -> Option<Vec<u8>> {
        let header = IkeHeader {
            initiator_spi: self.initiator_spi(),
            responder_spi: self.responder_spi(),
            next_payload: 0,
            major: 2,
            minor: 0,
            exchange,
            flags: Flags::v2(self.initiator, response_to.is_some()),
            message_id: response_to.unwrap_or_else(|| self.window.next_request_id()),
            length: 0,
        };
        let own = if self.initiator { &mut self.keys.initiator } else { &mut self.keys.responder };
        let mut iv = IvSource { rng: cx.rng, counter: &mut own.counter };
        wire::seal(&*own.cipher, &header, payloads, &mut iv).ok()
    }

    /// Sends a request and takes care that it is repeated until it is answered.
    pub(crate) fn send_request(
        &mut self,
        cx: &mut Context<'_>,
        route: Route,
        plan: &Retransmission,
        exchange: ExchangeType,
        payloads: &[Payload],
    ) -> bool {
        if self.window.is_exhausted() {
            return false;
        }
        let Some(octets) = self.seal(cx, exchange, None, payloads) else { return false };
        cx.transmit(route.path, route.encapsulated, &octets);
        self.window.request(cx.now, exchange, octets, plan, cx.rng);
        true
    }

    /// Marks a request as being worked on, so that its repetition is not taken for another one.
    pub(crate) fn begin(&mut self, request: &Request) {
        self.window.begin(request.id, request.fingerprint);
    }

    /// Answers a request, and keeps the answer for its repetitions.
    pub(crate) fn send_response(
        &mut self,
        cx: &mut Context<'_>,
        route: Route,
        exchange: ExchangeType,
        id: u32,
        payloads: &[Payload],
    ) {
        if let Some(octets) = self.seal(cx, exchange, Some(id), payloads) {
            cx.transmit(route.path, route.encapsulated, &octets);
            self.window.respond(id, octets);
        }
    }

    /// Repeats the outstanding request if it is due. `Some` when it has been repeated often enough.
    pub(crate) fn repeat_if_due(
        &mut self,
        cx: &mut Context<'_>,
        route: Route,
        plan: &Retransmission,
    ) -> Option<(ExchangeType, u32)> {
        match self.window.overdue(cx.now, plan, cx.rng) {
            Overdue::NotYet => None,
            Overdue::Repeat(octets) => {
                cx.stats.retransmitted = cx.stats.retransmitted.saturating_add(1);
                cx.transmit(route.path, route.encapsulated, &octets);
                None
            }
            Overdue::GiveUp { exchange, sent } => Some((exchange, sent)),
        }
    }
}
