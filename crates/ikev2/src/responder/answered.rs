//! The peer's first message, and waiting for its second.

use alloc::boxed::Box;
use alloc::vec::Vec;

use ikebana_core::{Datagram, IkeSpi, Instant, Path};
use ikebana_crypto::sha256;
use ikebana_ike::{
    DropReason, Encapsulation, ExchangeType, FailReason, Flags, IkeHeader, IkeSaHandle, Listener,
    NatSituation, Query, SelectPeer,
};
use ikebana_proposals::{IkeSuite, KeyExchangeId, ProposalMismatch, SaPayload, select_ike};

use super::deciding::{Deciding, Stage};
use super::failed;
use crate::auth::Transcript;
use crate::connection::State;
use crate::context::Context;
use crate::init::{clear_header, detect_nat, nat_payloads, usable};
use crate::keys::{Contributions, IkeKeys};
use crate::payloads::{Payloads, notify};
use crate::sa::{IkeSa, Request, Route, Verified};
use crate::window::Window;
use crate::wire::{self, KeyExchangePayload, NotifyType, OpenError, ParseError, Payload, PayloadType, rules};

/// A first message, read and not believed.
pub(crate) struct InitRequest {
    header: IkeHeader,
    octets: Vec<u8>,
    pub(crate) path: Path,
    pub(crate) encapsulated: bool,
    payloads: Payloads,
}

/// Why a first message is answered with no more than a notification.
pub(crate) enum Refusal {
    /// The peer should try again with this group.
    Group(KeyExchangeId),
    /// There is nothing to agree on.
    Mismatch(Box<ProposalMismatch>),
    /// Its key exchange value is no good, or we cannot go on for a reason of our own.
    Unusable,
}

/// Why a first message is not even looked at.
pub(crate) enum Unreadable {
    /// It is dropped.
    Drop(DropReason),
    /// It has a payload that must be understood and is not (RFC 7296 2.5).
    Critical(PayloadType),
}

impl InitRequest {
    /// Reads a first message.
    pub(crate) fn read(header: &IkeHeader, datagram: &Datagram<'_>) -> Result<Self, Unreadable> {
        let fresh = header.responder_spi.is_zero() && !header.initiator_spi.is_zero();
        if !fresh || header.message_id != 0 {
            return Err(Unreadable::Drop(DropReason::UnknownSpi));
        }
        if !header.flags.has(Flags::INITIATOR) {
            return Err(Unreadable::Drop(DropReason::WrongRole));
        }
        let message = wire::parse_clear(datagram.octets).map_err(|error| match error {
            ParseError::UnsupportedCritical(kind) => Unreadable::Critical(kind),
            ParseError::Version(_) => Unreadable::Drop(DropReason::WrongVersion),
            ParseError::Wire(_) => Unreadable::Drop(DropReason::Malformed),
        })?;
        let payloads = Payloads::new(message.payloads);
        rules::check(ExchangeType::IKE_SA_INIT, false, payloads.as_slice())
            .map_err(|_| Unreadable::Drop(DropReason::Malformed))?;
        Ok(Self {
            header: *header,
            octets: datagram.octets.to_vec(),
            path: datagram.path,
            encapsulated: datagram.encapsulated,
            payloads,
        })
    }

    pub(crate) const fn spi(&self) -> IkeSpi {
        self.header.initiator_spi
    }

    pub(crate) fn nonce(&self) -> &[u8] {
        self.payloads.nonce().unwrap_or_default()
    }

    pub(crate) fn cookie(&self) -> Option<&[u8]> {
        self.payloads.notify(NotifyType::COOKIE).map(|notify| notify.data.as_slice())
    }

    /// A nonce of ours that is no longer than the peer's, so that our answer is no longer than its message.
    /// RFC 7296 2.10: at least 16 octets, and at least half the prf's key.
    fn nonce_in_return(&self, cx: &mut Context<'_>, suite: &IkeSuite) -> Vec<u8> {
        let least = cx.provider.prf(suite.prf).map_or(32, |prf| prf.key_len() / 2).clamp(16, 32);
        let mut nonce = cx.nonce();
        nonce.truncate(self.nonce().len().max(least));
        nonce
    }

    /// Sends an answer that leaves no state behind.
    pub(crate) fn reply(&self, cx: &mut Context<'_>, payload: Payload) {
        let flags = Flags::v2(false, true);
        let header = clear_header(self.spi(), IkeSpi::ZERO, ExchangeType::IKE_SA_INIT, flags, 0);
        if let Ok(octets) = wire::encode_clear(&header, &[payload]) {
            cx.transmit(self.path, self.encapsulated, &octets);
        }
    }

    /// Chooses a suite, does the key exchange and answers.
    pub(crate) fn accept(
        &self,
        cx: &mut Context<'_>,
        listener: &Listener,
        handle: IkeSaHandle,
    ) -> Result<Answered, Refusal> {
        let (Some(sa), Some(key)) = (self.payloads.sa(), self.payloads.key_exchange()) else {
            return Err(Refusal::Unusable);
        };
        let local = usable(cx.provider, &listener.proposals);
        let chosen = select_ike(&local, sa, listener.prefer)
            .map_err(|mismatch| Refusal::Mismatch(Box::new(mismatch)))?;
        // RFC 7296 3.3.1: the first IKE SA's SPIs are in the header, and nowhere else.
        if !chosen.spi.is_empty() {
            return Err(Refusal::Unusable);
        }
        let group = chosen.suite.key_exchange;
        if key.group != group {
            return Err(Refusal::Group(group));
        }
        let algorithm = cx.provider.key_exchange(group).ok_or(Refusal::Unusable)?;
        let (public, shared) = algorithm.respond(cx.rng, &key.data).map_err(|_| Refusal::Unusable)?;
        let nonce = self.nonce_in_return(cx, &chosen.suite);
        let local_spi = cx.ike_spi(handle);
        let from = Contributions {
            initiator_nonce: self.nonce(),
            responder_nonce: &nonce,
            initiator_spi: self.spi(),
            responder_spi: local_spi,
        };
        let suite = chosen.suite;
        let Ok(keys) = IkeKeys::first(cx.provider, &suite, &shared, from) else {
            cx.release_ike_spi(local_spi);
            return Err(Refusal::Unusable);
        };
        let mut payloads = Vec::from([
            Payload::Sa(SaPayload::answer_ike(&chosen, &[])),
            Payload::KeyExchange(KeyExchangePayload { group, data: public }),
            Payload::Nonce(nonce.clone()),
        ]);
        let detected = detect_nat(&self.payloads, self.spi(), IkeSpi::ZERO, self.path);
        if detected.is_some() {
            let force = listener.encapsulation;
            payloads.extend(nat_payloads(cx, self.spi(), local_spi, self.path, force));
        }
        let flags = Flags::v2(false, true);
        let header = clear_header(self.spi(), local_spi, ExchangeType::IKE_SA_INIT, flags, 0);
        let Ok(response) = wire::encode_clear(&header, &payloads) else {
            cx.release_ike_spi(local_spi);
            return Err(Refusal::Unusable);
        };
        cx.transmit(self.path, self.encapsulated, &response);
        let nat = detected.unwrap_or_default();
        let mut window = Window::new(0, 0, cx.config.limits.window);
        let fingerprint = sha256(&[self.octets.as_slice()]);
        window.begin(0, fingerprint);
        Ok(Answered {
            handle,
            sa: IkeSa { local_spi, remote_spi: self.spi(), initiator: false, suite, keys, window },
            transcript: Transcript {
                local_nonce: nonce,
                remote_nonce: self.nonce().to_vec(),
                local_message: response,
                remote_message: self.octets.clone(),
            },
            nat,
            esp_in_udp: nat.any() || listener.encapsulation == Encapsulation::Force,
            route: Route { path: self.path, encapsulated: self.encapsulated },
            deadline: cx.now + cx.config.limits.half_open_timeout,
        })
    }
}

/// Our first message is out, the peer's second is awaited.
pub(crate) struct Answered {
    pub(crate) handle: IkeSaHandle,
    pub(super) sa: IkeSa,
    pub(super) transcript: Transcript,
    pub(super) nat: NatSituation,
    pub(super) esp_in_udp: bool,
    pub(crate) route: Route,
    pub(crate) deadline: Instant,
}

impl Answered {
    /// The peer's first message again: it has missed our answer.
    pub(crate) fn repeat(&self, cx: &mut Context<'_>, datagram: &Datagram<'_>) {
        cx.stats.retransmitted = cx.stats.retransmitted.saturating_add(1);
        cx.transmit(datagram.path, datagram.encapsulated, &self.transcript.local_message);
    }

    /// Checks a message without changing anything.
    pub(crate) fn verify(&self, header: &IkeHeader, octets: &[u8]) -> Result<Request, DropReason> {
        if header.exchange != ExchangeType::IKE_AUTH {
            return Err(DropReason::UnexpectedExchange);
        }
        match self.sa.verify(header, octets)? {
            Verified::Request(request) => Ok(request),
            Verified::Response(_) | Verified::Again(_) => Err(DropReason::UnexpectedResponse),
        }
    }

    /// The peer says who it is: the application decides what to make of it.
    pub(crate) fn advance(
        mut self: Box<Self>,
        cx: &mut Context<'_>,
        route: Route,
        request: Request,
    ) -> State {
        self.sa.begin(&request);
        // RFC 7296 2.23: an authenticated message shows where the peer is now.
        self.route = route;
        let mut deciding = Box::new(Deciding::new(*self, request.id));
        let payloads = match request.content {
            Ok(payloads) => payloads,
            Err(OpenError::Content(ParseError::UnsupportedCritical(kind))) => {
                return deciding.not_understood(cx, kind);
            }
            Err(error) => return deciding.broken(cx, alloc::format!("{error}")),
        };
        if let Err(violation) = rules::check(ExchangeType::IKE_AUTH, false, payloads.as_slice()) {
            return deciding.broken(cx, alloc::format!("{violation}"));
        }
        let Some(remote_id) = payloads.id_initiator().map(|id| id.identity.clone()) else {
            return deciding.broken(cx, alloc::string::String::from("IDi payload missing"));
        };
        if payloads.sa().is_none() {
            // RFC 6023 3: whoever has not been offered it must not ask for an IKE SA without a child SA.
            let problem = "no child SA is asked for, and childless IKE SAs were not offered";
            return deciding.broken(cx, alloc::string::String::from(problem));
        }
        let local_id = payloads.id_responder().map(|id| id.identity.clone());
        let (handle, suite) = (deciding.handle(), deciding.suite());
        let query = SelectPeer { ike: handle, path: route.path, suite, remote_id, local_id };
        deciding.wait(cx, Query::SelectPeer(query), Stage::Peer, payloads);
        State::Deciding(deciding)
    }

    /// The end of it, without a word to the peer.
    pub(crate) fn cancel(&self, cx: &mut Context<'_>, reason: FailReason) -> State {
        cx.release_ike_spi(self.sa.local_spi);
        failed(cx, self.handle, None, self.route.path, reason);
        State::Gone
    }
}

/// The notification for a refusal.
pub(crate) fn refusal_payload(refusal: &Refusal) -> Payload {
    match refusal {
        Refusal::Group(group) => crate::payloads::invalid_key_exchange(*group),
        Refusal::Mismatch(_) => notify(NotifyType::NO_PROPOSAL_CHOSEN, Vec::new()),
        Refusal::Unusable => notify(NotifyType::INVALID_SYNTAX, Vec::new()),
    }
}
