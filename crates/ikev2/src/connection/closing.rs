//! The end of an IKE SA: telling the peer, and repeating the last answer.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use ikebana_core::Instant;
use ikebana_ike::{
    CloseReason, DropReason, Event, ExchangeType, Flags, IkeHeader, IkeSaHandle, Retransmission,
};

use super::State;
use crate::context::Context;
use crate::established::{End, Established};
use crate::payloads::notify;
use crate::sa::{IkeSa, Route, Verified};
use crate::wire::{DeletePayload, NotifyType, Payload};

/// How long the last answer is kept for a peer that has missed it.
const LINGER: Duration = Duration::from_secs(30);

/// A peer that we leave need not be asked for an answer as often as one that we want.
const TRIES: u8 = 3;

/// Our delete is on its way.
pub(crate) struct Closing {
    handle: IkeSaHandle,
    sa: IkeSa,
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
            let sa = state.dissolve(cx, spi, ikebana_ike::RemoveReason::Peer);
            cx.event(Event::Closed { ike: handle, reason: CloseReason::Peer });
            sa.map_or(State::Gone, |sa| State::Lingering(Box::new(Lingering::new(cx, sa))))
        }
        End::Silent(reason, remove) => {
            if let Some(sa) = state.dissolve(cx, current, remove) {
                cx.release_ike_spi(sa.local_spi);
            }
            cx.event(Event::Closed { ike: handle, reason });
            State::Gone
        }
        End::Tell(reason, remove) => match state.dissolve(cx, current, remove) {
            Some(sa) => {
                let deleting = false;
                let mut closing = Box::new(Closing { handle, sa, route, plan, reason, deleting });
                closing.delete_when_free(cx);
                State::Closing(closing)
            }
            None => {
                cx.event(Event::Closed { ike: handle, reason });
                State::Gone
            }
        },
    }
}

impl Closing {
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.sa.window.deadline()
    }

    fn delete_when_free(&mut self, cx: &mut Context<'_>) {
        if !self.sa.window.is_busy() && !self.deleting {
            let delete = [Payload::Delete(DeletePayload::Ike)];
            self.deleting = true;
            self.sa.send_request(cx, self.route, &self.plan, ExchangeType::INFORMATIONAL, &delete);
        }
    }

    /// Checks a message without changing anything.
    pub(crate) fn verify(&self, header: &IkeHeader, octets: &[u8]) -> Result<Verified, DropReason> {
        self.sa.verify(header, octets)
    }

    /// Acts on a verified message.
    pub(crate) fn process(
        mut self: Box<Self>,
        cx: &mut Context<'_>,
        route: Route,
        verified: Verified,
    ) -> State {
        match verified {
            Verified::Again(answer) => {
                cx.transmit(route.path, route.encapsulated, &answer);
                State::Closing(self)
            }
            Verified::Response(_) => {
                self.sa.window.complete();
                if self.deleting {
                    return self.close(cx);
                }
                self.delete_when_free(cx);
                State::Closing(self)
            }
            Verified::Request(request) => {
                self.sa.begin(&request);
                let deletes_ike = request.content.as_ref().is_ok_and(|payloads| {
                    payloads.deletes().any(|delete| matches!(delete, DeletePayload::Ike))
                });
                // RFC 7296 2.25.2: nothing new while the IKE SA is being closed.
                let answer = match request.exchange {
                    ExchangeType::CREATE_CHILD_SA => {
                        Vec::from([notify(NotifyType::TEMPORARY_FAILURE, Vec::new())])
                    }
                    _ => Vec::new(),
                };
                self.sa.send_response(cx, route, request.exchange, request.id, &answer);
                if deletes_ike {
                    // RFC 7296 2.25.2: both close it at once; our own delete is forgotten.
                    cx.event(Event::Closed { ike: self.handle, reason: self.reason.clone() });
                    return State::Lingering(Box::new(Lingering::new(cx, self.sa)));
                }
                State::Closing(self)
            }
        }
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
        cx.release_ike_spi(self.sa.local_spi);
        cx.event(Event::Closed { ike: self.handle, reason: self.reason });
        State::Gone
    }
}

/// An IKE SA that is over. Its handle has had its terminal event.
pub(crate) struct Lingering {
    sa: IkeSa,
    until: Instant,
}

impl Lingering {
    pub(crate) fn new(cx: &Context<'_>, sa: IkeSa) -> Self {
        Self { sa, until: cx.now + LINGER }
    }

    pub(crate) const fn until(&self) -> Instant {
        self.until
    }

    /// Repeats the last answer if it is asked for.
    pub(crate) fn repeat(
        &self,
        cx: &mut Context<'_>,
        header: &IkeHeader,
        route: Route,
        octets: &[u8],
    ) -> Result<(), DropReason> {
        if header.flags.has(Flags::RESPONSE) {
            return Err(DropReason::SaClosing);
        }
        match self.sa.verify(header, octets)? {
            Verified::Again(answer) => {
                cx.transmit(route.path, route.encapsulated, &answer);
                Ok(())
            }
            Verified::Request(_) | Verified::Response(_) => Err(DropReason::SaClosing),
        }
    }

    pub(crate) fn end(self: Box<Self>, cx: &mut Context<'_>) -> State {
        cx.release_ike_spi(self.sa.local_spi);
        State::Gone
    }
}
