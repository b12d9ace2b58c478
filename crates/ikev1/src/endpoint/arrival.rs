//! Where an arriving datagram goes.

use alloc::boxed::Box;
use alloc::vec::Vec;

use ikebana_core::random::public_u32;
use ikebana_core::{Datagram, IkeSpi};
use ikebana_crypto::sha256;
use ikebana_ike::admission::Admission;
use ikebana_ike::{DropReason, EndpointConfig, ExchangeType, Flags, IkeHeader, IkeSaHandle, Listener};

use super::{Endpoint, Opened};
use crate::connection::{State, failed};
use crate::context::Route;
use crate::phase1::{Opening, refusal};
use crate::wire::{self, Body, NotifyType, Payload, PayloadType};

impl Endpoint {
    pub(super) fn receive(&mut self, datagram: &Datagram<'_>) -> Result<(), DropReason> {
        if datagram.octets.len() > self.config.limits.message_octets {
            return Err(DropReason::TooLong);
        }
        let header = IkeHeader::peek(datagram.octets).map_err(|_| DropReason::Malformed)?;
        if header.major != 1 {
            return Err(DropReason::WrongVersion);
        }
        let (header, _) = IkeHeader::parse(datagram.octets).map_err(|_| DropReason::Malformed)?;
        if Opening::is_one(&header) {
            return self.open(&header, datagram);
        }
        let Some(handle) = self.owner(&header) else {
            return Err(self.refuse_cookie(&header, datagram));
        };
        if header.next_payload == PayloadType::FRAGMENT.0 && !header.flags.has(Flags::ENCRYPTED) {
            return self.receive_part(handle, datagram);
        }
        self.with(handle, |connection, cx| connection.handle_datagram(cx, &header, datagram))
            .unwrap_or(Err(DropReason::UnknownSpi))
    }

    /// Whose a message is. Nothing in it says which of the two cookies is ours, and a peer may choose one that
    /// is ours elsewhere, but not both.
    fn owner(&self, header: &IkeHeader) -> Option<IkeSaHandle> {
        let by = |cookie: IkeSpi| self.registry.by_spi.get(&cookie).copied();
        by(header.responder_spi).or_else(|| by(header.initiator_spi))
    }

    /// A part of a message. It says nothing about the rest, so that all of it is looked at when it is whole.
    fn receive_part(&mut self, handle: IkeSaHandle, datagram: &Datagram<'_>) -> Result<(), DropReason> {
        let message = wire::parse(datagram.octets).map_err(|_| DropReason::Malformed)?;
        let Body::Clear(payloads) = message.body else { return Err(DropReason::Malformed) };
        let [Payload::Fragment(part)] = payloads.as_slice() else { return Err(DropReason::Malformed) };
        let limit = self.config.limits.message_octets;
        let now = self.now;
        let entry = self.connections.get_mut(&handle).ok_or(DropReason::UnknownSpi)?;
        let Some(whole) = entry.parts.take(now, limit, part)? else { return Ok(()) };
        let (header, _) = IkeHeader::parse(&whole).map_err(|_| DropReason::Malformed)?;
        let same = (header.initiator_spi, header.responder_spi)
            == (message.header.initiator_spi, message.header.responder_spi);
        let is_part = header.next_payload == PayloadType::FRAGMENT.0 && !header.flags.has(Flags::ENCRYPTED);
        if !same || is_part || header.major != 1 {
            return Err(DropReason::Malformed);
        }
        let datagram = Datagram { octets: whole.as_slice(), ..*datagram };
        self.with(handle, |connection, cx| connection.handle_datagram(cx, &header, &datagram))
            .unwrap_or(Err(DropReason::UnknownSpi))
    }

    /// A first message: a stranger, or a peer that has missed our answer.
    fn open(&mut self, header: &IkeHeader, datagram: &Datagram<'_>) -> Result<(), DropReason> {
        let opened = Opened { from: datagram.path.remote, fingerprint: sha256(&[datagram.octets]) };
        if let Some(handle) = self.opened_by_peer.get(&opened).copied() {
            return Err(self.open_again(handle, datagram));
        }
        let config = self.config.clone();
        let listener = listener(&config, datagram).ok_or(DropReason::NotListening)?;
        let opening = Opening::read(header, datagram.octets)?;
        if !opening.is_welcome(&listener.ikev1) {
            return Err(DropReason::NotListening);
        }
        if self.connections.len() >= self.config.limits.ike_sas {
            return Err(DropReason::TooManySas);
        }
        // RFC 2409 has no cookie that costs nothing, so that there is nothing to demand between going on and
        // turning away. What is kept for a stranger is small, and soon forgotten.
        if self.half_open.admit(&config.limits, datagram.path.remote.ip()) == Admission::Refuse {
            return Err(DropReason::TooManyHalfOpen);
        }
        let handle = self.registry.ike_handle();
        let route = Route::new(datagram.path, datagram.encapsulated);
        let mut cx = self.context();
        match opening.accept(&mut cx, listener, handle, route) {
            Ok(attempt) => {
                self.adopt(handle, State::Responding(Box::new(attempt)), Some(opened));
            }
            Err(refused) => {
                if self.stateless_replies.allow(self.now) {
                    let complaint = refusal(
                        header,
                        IkeSpi::ZERO,
                        public_u32(&mut *self.rng).max(1),
                        NotifyType::NO_PROPOSAL_CHOSEN,
                    );
                    self.reply_stateless(datagram, complaint);
                    failed(&mut self.context(), handle, None, datagram.path, refused);
                }
            }
        }
        Ok(())
    }

    /// The first message of `handle` again.
    fn open_again(&mut self, handle: IkeSaHandle, datagram: &Datagram<'_>) -> DropReason {
        self.with(handle, |connection, cx| {
            if let State::Responding(attempt) = &mut connection.state {
                attempt.repeat_first(cx, datagram.octets.len());
            }
        });
        DropReason::Retransmission
    }

    /// RFC 2408 5.2: whoever speaks of an ISAKMP SA that we do not have may be told so. Nobody needs to believe
    /// it, but it shows up in the peer's log.
    fn refuse_cookie(&mut self, header: &IkeHeader, datagram: &Datagram<'_>) -> DropReason {
        let asks = matches!(header.exchange, ExchangeType::QUICK_MODE | ExchangeType::TRANSACTION);
        let complete = !header.initiator_spi.is_zero() && !header.responder_spi.is_zero();
        if asks && complete && header.flags.has(Flags::ENCRYPTED) && self.stateless_replies.allow(self.now) {
            let id = public_u32(&mut *self.rng).max(1);
            let complaint = refusal(header, header.responder_spi, id, NotifyType::INVALID_COOKIE);
            self.reply_stateless(datagram, complaint);
        }
        DropReason::UnknownSpi
    }

    fn reply_stateless(&mut self, datagram: &Datagram<'_>, reply: Option<Vec<u8>>) {
        // Never more than was received: no use as an amplifier.
        if let Some(octets) = reply.filter(|octets| octets.len() <= datagram.octets.len()) {
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
