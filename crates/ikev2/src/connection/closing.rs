//! The end of an IKE SA: telling the peer, and repeating the last answer.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use ikebana_core::{IkeSpi, Instant};
use ikebana_ike::{
    CloseReason, DropReason, Event, ExchangeType, Flags, IkeHeader, IkeSaHandle, Retransmission,
};

use super::State;
use crate::context::Context;
use crate::established::{End, Established, RekeyIkeExchange, Remains};
use crate::payloads::{Payloads, notify};
use crate::sa::{IkeSa, Request, Route, Verified};
use crate::wire::{DeletePayload, NotifyType, Payload};

/// How long the last answer is kept for a peer that has missed it.
const LINGER: Duration = Duration::from_secs(30);

/// A peer that we leave need not be asked for an answer as often as one that we want.
const TRIES: u8 = 3;

/// Our delete is on its way.
pub(crate) struct Closing {
    handle: IkeSaHandle,
    sa: IkeSa,
    /// What this IKE SA has replaced. The peer may still wait for the answer that says so, and without it
    /// would not know what we delete.
    older: Vec<IkeSa>,
    /// Our request for a new IKE SA in place of `sa`. If the peer grants it, that is the one to delete.
    rekey: Option<Box<RekeyIkeExchange>>,
    route: Route,
    plan: Retransmission,
    reason: CloseReason,
    /// Whether the delete is out, or still waits for the exchange before it.
    deleting: bool,
}

/// Ends an established IKE SA.
pub(super) fn end(cx: &mut Context<'_>, state: Established, end: End) -> State {
    let (handle, route) = (state.handle, state.route);
    let plan = state.peer.retransmission;
    let plan = Retransmission { tries: plan.tries.min(TRIES), ..plan };
    let current = state.current;
    match end {
        End::ByPeer(spi) => {
            let sas = state.dissolve(cx, spi, ikebana_ike::RemoveReason::Peer).without_rekey(cx);
            cx.event(Event::Closed { ike: handle, reason: CloseReason::Peer });
            State::Lingering(Box::new(Lingering::new(cx, sas)))
        }
        End::Silent(reason, remove) => {
            let sas = state.dissolve(cx, current, remove).without_rekey(cx);
            finish(cx, handle, reason, &sas)
        }
        End::Tell(reason, remove) => {
            let Remains { mut sas, rekey } = state.dissolve(cx, current, remove);
            if sas.is_empty() {
                return finish(cx, handle, reason, &sas);
            }
            let sa = sas.remove(0);
            let deleting = false;
            Box::new(Closing { handle, sa, older: sas, rekey, route, plan, reason, deleting })
                .delete_when_free(cx)
        }
    }
}

/// The end of it all: nothing is kept.
fn finish(cx: &mut Context<'_>, handle: IkeSaHandle, reason: CloseReason, sas: &[IkeSa]) -> State {
    for sa in sas {
        cx.release_ike_spi(sa.local_spi);
    }
    cx.event(Event::Closed { ike: handle, reason });
    State::Gone
}

impl Closing {
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.sa.window.deadline()
    }

    fn delete_when_free(mut self: Box<Self>, cx: &mut Context<'_>) -> State {
        if !self.sa.window.is_busy() && !self.deleting {
            let delete = [Payload::Delete(DeletePayload::Ike)];
            self.deleting = true;
            if !self.sa.send_request(cx, self.route, &self.plan, ExchangeType::INFORMATIONAL, &delete) {
                return self.close(cx);
            }
        }
        State::Closing(self)
    }

    /// Checks a message without changing anything.
    pub(crate) fn verify(
        &self,
        spi: IkeSpi,
        header: &IkeHeader,
        octets: &[u8],
    ) -> Result<Verified, DropReason> {
        let mut sas = core::iter::once(&self.sa).chain(&self.older);
        let sa = sas.find(|sa| sa.local_spi == spi).ok_or(DropReason::UnknownSpi)?;
        let verified = sa.verify(header, octets)?;
        let known = matches!(header.exchange, ExchangeType::INFORMATIONAL | ExchangeType::CREATE_CHILD_SA);
        if matches!(verified, Verified::Request(_)) && !known {
            return Err(DropReason::UnexpectedExchange);
        }
        Ok(verified)
    }

    /// Acts on a verified message for the IKE SA with our SPI `spi`.
    pub(crate) fn process(
        mut self: Box<Self>,
        cx: &mut Context<'_>,
        spi: IkeSpi,
        route: Route,
        verified: Verified,
    ) -> State {
        match verified {
            Verified::Again(answer) => {
                cx.stats.retransmitted = cx.stats.retransmitted.saturating_add(1);
                cx.transmit(route.path, route.encapsulated, &answer);
                State::Closing(self)
            }
            Verified::Response(_) if spi != self.sa.local_spi => {
                if let Some(sa) = self.older.iter_mut().find(|sa| sa.local_spi == spi) {
                    sa.window.complete();
                }
                State::Closing(self)
            }
            Verified::Response(content) => {
                self.sa.window.complete();
                if self.deleting {
                    return self.close(cx);
                }
                if let Some(rekey) = self.rekey.take() {
                    self.rekeyed(cx, *rekey, content.ok());
                }
                self.delete_when_free(cx)
            }
            Verified::Request(request) => self.answer(cx, spi, route, &request),
        }
    }

    /// The peer has answered our request for a new IKE SA. If there is one, the peer has moved its child SAs
    /// to it, and would keep them for ever if only the old one were deleted.
    fn rekeyed(&mut self, cx: &mut Context<'_>, rekey: RekeyIkeExchange, content: Option<Payloads>) {
        let spi = rekey.spi();
        let granted = content.filter(|payloads| payloads.error().is_none());
        match granted.and_then(|payloads| rekey.finish(cx, &self.sa, &payloads)) {
            Some(new) => self.older.push(core::mem::replace(&mut self.sa, new)),
            None => cx.release_ike_spi(spi),
        }
        // The peer may still believe in these, too. Their deletes are not repeated: it will find out.
        let delete = [Payload::Delete(DeletePayload::Ike)];
        for sa in self.older.iter_mut().filter(|sa| !sa.window.is_busy()) {
            sa.send_request(cx, self.route, &self.plan, ExchangeType::INFORMATIONAL, &delete);
        }
    }

    fn answer(
        mut self: Box<Self>,
        cx: &mut Context<'_>,
        spi: IkeSpi,
        route: Route,
        request: &Request,
    ) -> State {
        let deletes_ike = request
            .content
            .as_ref()
            .is_ok_and(|payloads| payloads.deletes().any(|delete| matches!(delete, DeletePayload::Ike)));
        // RFC 7296 2.25.2: nothing new while the IKE SA is being closed.
        let answer = match request.exchange {
            ExchangeType::CREATE_CHILD_SA => Vec::from([notify(NotifyType::TEMPORARY_FAILURE, Vec::new())]),
            _ => Vec::new(),
        };
        let is_current = spi == self.sa.local_spi;
        let mut sas = core::iter::once(&mut self.sa).chain(&mut self.older);
        if let Some(sa) = sas.find(|sa| sa.local_spi == spi) {
            sa.begin(request);
            sa.send_response(cx, route, request.exchange, request.id, &answer);
        }
        if deletes_ike && is_current {
            // RFC 7296 2.25.2: both close it at once; our own delete is forgotten.
            cx.event(Event::Closed { ike: self.handle, reason: self.reason });
            let mut sas = Remains { sas: self.older, rekey: self.rekey }.without_rekey(cx);
            sas.insert(0, self.sa);
            return State::Lingering(Box::new(Lingering::new(cx, sas)));
        }
        State::Closing(self)
    }

    /// Repeats the delete, or gives up.
    pub(crate) fn handle_timeout(mut self: Box<Self>, cx: &mut Context<'_>) -> State {
        let (route, plan) = (self.route, self.plan);
        match self.sa.repeat_if_due(cx, route, &plan) {
            None => State::Closing(self),
            Some(_) => self.close(cx),
        }
    }

    fn close(self: Box<Self>, cx: &mut Context<'_>) -> State {
        for sa in &(Remains { sas: self.older, rekey: self.rekey }).without_rekey(cx) {
            cx.release_ike_spi(sa.local_spi);
        }
        finish(cx, self.handle, self.reason, core::slice::from_ref(&self.sa))
    }
}

/// An IKE SA that is over. Its handle has had its terminal event.
pub(crate) struct Lingering {
    /// Each SA on the wire that it consisted of.
    sas: Vec<IkeSa>,
    until: Instant,
    /// Whether it was refused and never established.
    refusal: bool,
}

impl Lingering {
    /// What is left of an established IKE SA.
    pub(crate) fn new(cx: &Context<'_>, sas: Vec<IkeSa>) -> Self {
        Self { sas, until: cx.now + LINGER, refusal: false }
    }

    /// What is left of an attempt that was refused.
    pub(crate) fn refused(cx: &Context<'_>, sa: IkeSa) -> Self {
        Self { sas: Vec::from([sa]), until: cx.now + LINGER, refusal: true }
    }

    pub(crate) const fn is_refusal(&self) -> bool {
        self.refusal
    }

    pub(crate) const fn until(&self) -> Instant {
        self.until
    }

    /// Repeats the last answer if it is asked for.
    pub(crate) fn repeat(
        &self,
        cx: &mut Context<'_>,
        spi: IkeSpi,
        header: &IkeHeader,
        route: Route,
        octets: &[u8],
    ) -> Result<(), DropReason> {
        if header.flags.has(Flags::RESPONSE) {
            return Err(DropReason::SaClosing);
        }
        let sa = self.sas.iter().find(|sa| sa.local_spi == spi).ok_or(DropReason::UnknownSpi)?;
        match sa.verify(header, octets)? {
            Verified::Again(answer) => {
                cx.stats.retransmitted = cx.stats.retransmitted.saturating_add(1);
                cx.transmit(route.path, route.encapsulated, &answer);
                Ok(())
            }
            Verified::Request(_) | Verified::Response(_) => Err(DropReason::SaClosing),
        }
    }

    pub(crate) fn end(&self, cx: &mut Context<'_>) -> State {
        for sa in &self.sas {
            cx.release_ike_spi(sa.local_spi);
        }
        State::Gone
    }
}
