//! Where an arriving datagram goes.

use alloc::boxed::Box;
use alloc::vec::Vec;

use ikebana_core::Datagram;
use ikebana_crypto::sha256;
use ikebana_ike::admission::Admission;
use ikebana_ike::{
    DropReason, EndpointConfig, ExchangeType, FailReason, Flags, IkeHeader, IkeSaHandle, Listener,
};

use super::{Endpoint, Opened};
use crate::connection::State;
use crate::init::clear_header;
use crate::payloads::notify;
use crate::responder::{InitRequest, Refusal, Unreadable, failed, refusal_payload};
use crate::wire::{NotifyType, Payload, PayloadType, encode_clear};

impl Endpoint {
    pub(super) fn receive(&mut self, datagram: &Datagram<'_>) -> Result<(), DropReason> {
        if datagram.octets.len() > self.config.limits.message_octets {
            return Err(DropReason::TooLong);
        }
        let header = IkeHeader::peek(datagram.octets).map_err(|_| DropReason::Malformed)?;
        if header.major != 2 {
            return Err(self.refuse_version(&header, datagram));
        }
        let (header, _) = IkeHeader::parse(datagram.octets).map_err(|_| DropReason::Malformed)?;
        let opens = header.exchange == ExchangeType::IKE_SA_INIT && !header.flags.has(Flags::RESPONSE);
        if opens {
            return self.open(&header, datagram);
        }
        // The sender's Initiator flag says which of the two SPIs is ours.
        let initiated_by_sender = header.flags.has(Flags::INITIATOR);
        let spi = if initiated_by_sender { header.responder_spi } else { header.initiator_spi };
        let Some(handle) = self.registry.by_spi.get(&spi).copied() else {
            return Err(self.refuse_spi(&header, datagram));
        };
        self.with(handle, |state, cx| state.handle_datagram(cx, &header, spi, datagram))
            .unwrap_or(Err(DropReason::UnknownSpi))
    }

    /// A first message: a stranger, or a peer that has missed our answer.
    fn open(&mut self, header: &IkeHeader, datagram: &Datagram<'_>) -> Result<(), DropReason> {
        let request = match InitRequest::read(header, datagram) {
            Ok(request) => request,
            Err(Unreadable::Drop(reason)) => return Err(reason),
            Err(Unreadable::Critical(kind)) => return Err(self.refuse_payload(header, datagram, kind)),
        };
        let opened = Opened { from: datagram.path.remote, fingerprint: sha256(&[datagram.octets]) };
        if let Some(handle) = self.opened_by_peer.get(&opened).copied() {
            return Err(self.open_again(handle, datagram));
        }
        let config = self.config.clone();
        let listener = listener(&config, datagram).ok_or(DropReason::NotListening)?;
        if self.connections.len() >= self.config.limits.ike_sas {
            return Err(DropReason::TooManySas);
        }
        self.admit(&request)?;
        let handle = self.registry.ike_handle();
        let path = request.path;
        let mut cx = self.context();
        match request.accept(&mut cx, listener, handle) {
            Ok(answered) => {
                self.adopt(handle, State::Answered(Box::new(answered)), Some(opened));
                Ok(())
            }
            Err(refusal) => {
                if self.stateless_replies.allow(self.now) {
                    let mut cx = self.context();
                    request.reply(&mut cx, refusal_payload(&refusal));
                    if let Refusal::Mismatch(mismatch) = refusal {
                        failed(&mut cx, handle, None, path, FailReason::NoProposal(mismatch));
                    }
                }
                Ok(())
            }
        }
    }

    /// The first message of `handle` again. It is answered until the second one has come (RFC 7296 2.1).
    fn open_again(&mut self, handle: IkeSaHandle, datagram: &Datagram<'_>) -> DropReason {
        self.with(handle, |state, cx| {
            if let State::Answered(answered) = state {
                answered.repeat(cx, datagram);
            }
        });
        DropReason::Retransmission
    }

    /// RFC 7296 2.6: under load, only peers that can be reached where they say they are get any further.
    fn admit(&mut self, request: &InitRequest) -> Result<(), DropReason> {
        let from = request.path.remote;
        match self.half_open.admit(&self.config.limits, from.ip()) {
            Admission::Accept => Ok(()),
            Admission::Refuse => Err(DropReason::TooManyHalfOpen),
            Admission::DemandCookie => {
                let (nonce, spi) = (request.nonce(), request.spi());
                let valid = request
                    .cookie()
                    .is_some_and(|cookie| self.cookies.is_valid(self.now, cookie, nonce, from, spi));
                if valid {
                    return Ok(());
                }
                if self.stateless_replies.allow(self.now) {
                    let cookie = self.cookies.make(self.now, &mut *self.rng, nonce, from, spi);
                    self.stats.cookies_sent = self.stats.cookies_sent.saturating_add(1);
                    let mut cx = self.context();
                    request.reply(&mut cx, notify(NotifyType::COOKIE, cookie));
                }
                Err(DropReason::CookieRequired)
            }
        }
    }

    /// RFC 7296 2.5: a higher major version is answered with ours, a lower one is not for us.
    fn refuse_version(&mut self, header: &IkeHeader, datagram: &Datagram<'_>) -> DropReason {
        if header.major > 2 && !header.flags.has(Flags::RESPONSE) {
            self.reply_stateless(header, datagram, notify(NotifyType::INVALID_MAJOR_VERSION, Vec::new()));
        }
        DropReason::WrongVersion
    }

    /// RFC 7296 2.21.4: a request for an IKE SA we do not have may be told so.
    fn refuse_spi(&mut self, header: &IkeHeader, datagram: &Datagram<'_>) -> DropReason {
        let known = matches!(
            header.exchange,
            ExchangeType::IKE_AUTH | ExchangeType::CREATE_CHILD_SA | ExchangeType::INFORMATIONAL
        );
        let complete = !header.initiator_spi.is_zero() && !header.responder_spi.is_zero();
        if known && complete && !header.flags.has(Flags::RESPONSE) {
            self.reply_stateless(header, datagram, notify(NotifyType::INVALID_IKE_SPI, Vec::new()));
        }
        DropReason::UnknownSpi
    }

    /// RFC 7296 2.5: a first message with a payload that must be understood, and is not, is refused.
    fn refuse_payload(
        &mut self,
        header: &IkeHeader,
        datagram: &Datagram<'_>,
        kind: PayloadType,
    ) -> DropReason {
        if listener(&self.config.clone(), datagram).is_none() {
            return DropReason::NotListening;
        }
        let refusal = notify(NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD, Vec::from([kind.0]));
        self.reply_stateless(header, datagram, refusal);
        DropReason::Malformed
    }

    fn reply_stateless(&mut self, header: &IkeHeader, datagram: &Datagram<'_>, payload: Payload) {
        let IkeHeader { initiator_spi, responder_spi, exchange, message_id, .. } = *header;
        let flags = Flags::v2(!header.flags.has(Flags::INITIATOR), true);
        let reply = clear_header(initiator_spi, responder_spi, exchange, flags, message_id);
        let Ok(octets) = encode_clear(&reply, &[payload]) else { return };
        // Never more than was received: no use as an amplifier.
        if octets.len() <= datagram.octets.len().max(36) && self.stateless_replies.allow(self.now) {
            self.context().transmit(datagram.path, datagram.encapsulated, &octets);
        }
    }
}

/// What is acceptable from where the datagram came from.
fn listener<'a>(config: &'a EndpointConfig, datagram: &Datagram<'_>) -> Option<&'a Listener> {
    let from = datagram.path.remote.ip();
    config
        .listeners
        .iter()
        .find(|listener| listener.from.is_empty() || listener.from.iter().any(|range| range.contains(from)))
}
