//! A stranger's first message.

use alloc::boxed::Box;
use alloc::vec::Vec;

use ikebana_crypto::sha256;
use ikebana_ike::{
    DropReason, ExchangeType, FailReason, Flags, IkeHeader, IkeSaHandle, Ikev1Listener, Listener,
    NatSituation, Phase1Mode,
};
use ikebana_proposals::ikev1::{SaPayload, select_phase1};

use super::{Claim, Evidence, Responder, Stage, aggressive};
use crate::context::{Context, Route};
use crate::phase1::parts::{Parts, header, sa_body};
use crate::phase1::{accepted_methods, exchange, identity, usable};
use crate::vendor::VendorSet;
use crate::wire::{self, Body, IdPayload, Payload};

/// A first message that makes sense.
pub(crate) struct Opening {
    header: IkeHeader,
    mode: Phase1Mode,
    offer: SaPayload,
    sa_body: Vec<u8>,
    vendors: VendorSet,
    begun: Option<Begun>,
    fingerprint: [u8; 32],
    octets: usize,
}

/// What aggressive mode has in its first message, too.
struct Begun {
    public: Vec<u8>,
    nonce: Vec<u8>,
    id: IdPayload,
    identity: ikebana_core::Identity,
}

impl Opening {
    /// Whether a message with this header is somebody's first.
    pub(crate) fn is_one(header: &IkeHeader) -> bool {
        let mode = matches!(header.exchange, ExchangeType::IDENTITY_PROTECTION | ExchangeType::AGGRESSIVE);
        mode && header.responder_spi.is_zero()
    }

    /// Reads a first message.
    ///
    /// # Errors
    /// It makes no sense.
    pub(crate) fn read(header: &IkeHeader, octets: &[u8]) -> Result<Self, DropReason> {
        let mode = match header.exchange {
            ExchangeType::IDENTITY_PROTECTION => Phase1Mode::Main,
            ExchangeType::AGGRESSIVE => Phase1Mode::Aggressive,
            _ => return Err(DropReason::UnexpectedExchange),
        };
        if header.initiator_spi.is_zero() || header.message_id != 0 || header.flags.has(Flags::ENCRYPTED) {
            return Err(DropReason::Malformed);
        }
        let parts = Parts::clear(octets)?;
        let (Some(offer), Some(sa_body)) = (parts.sa, sa_body(octets)) else {
            return Err(DropReason::Malformed);
        };
        let begun = match mode {
            Phase1Mode::Main => None,
            Phase1Mode::Aggressive => {
                let (Some(public), Some(nonce), Some(id)) = (parts.key, parts.nonce, parts.id) else {
                    return Err(DropReason::Malformed);
                };
                let identity = identity::read(&id).ok_or(DropReason::Malformed)?;
                Some(Begun { public, nonce, id, identity })
            }
        };
        Ok(Self {
            header: *header,
            mode,
            offer,
            sa_body,
            vendors: parts.vendors,
            begun,
            fingerprint: sha256(&[octets]),
            octets: octets.len(),
        })
    }

    /// Whether strangers may begin like this at all.
    pub(crate) const fn is_welcome(&self, listener: &Ikev1Listener) -> bool {
        match self.mode {
            Phase1Mode::Main => listener.main,
            Phase1Mode::Aggressive => listener.aggressive,
        }
    }

    /// Chooses from the peer's offer, and begins.
    ///
    /// # Errors
    /// Nothing in it is acceptable.
    pub(crate) fn accept(
        self,
        cx: &mut Context<'_>,
        listener: &Listener,
        handle: IkeSaHandle,
        route: Route,
    ) -> Result<Responder, FailReason> {
        let proposals = usable(cx.provider, &listener.proposals);
        let methods = accepted_methods(&listener.ikev1);
        let (suite, answer) = select_phase1(&proposals, &methods, &self.offer, listener.prefer)
            .map_err(|mismatch| FailReason::NoTransform(Box::new(mismatch)))?;
        let cookie = cx.ike_spi(handle);
        let mut responder = Responder {
            handle,
            mode: self.mode,
            route,
            peer_cookie: self.header.initiator_spi,
            cookie,
            suite,
            answer,
            sa_body: self.sa_body,
            encapsulation: listener.encapsulation,
            vendors: self.vendors,
            nat: NatSituation::default(),
            peer: None,
            deadline: cx.now + cx.config.limits.half_open_timeout,
            stage: Stage::Answered,
            last: None,
            working: Some(self.fingerprint),
            garbage: false,
            received: self.octets,
            sent: 0,
        };
        match self.begun {
            None => {
                let mut payloads = Vec::from([Payload::Sa(responder.answer.clone())]);
                payloads.extend(responder.announced());
                let head = header(responder.peer_cookie, cookie, exchange(self.mode));
                if let Ok(message) = wire::encode(&head, &Body::Clear(payloads)) {
                    responder.reply(cx, self.fingerprint, message);
                }
            }
            Some(Begun { public, nonce, id, identity }) => {
                let theirs = aggressive::Theirs { public, nonce, fingerprint: self.fingerprint };
                responder.select(cx, Claim { identity, id, evidence: Evidence::Begun(theirs) });
            }
        }
        Ok(responder)
    }
}
