//! One association as the application knows it, in whatever state it is.

use alloc::boxed::Box;
use alloc::string::String;

use ikebana_core::{Datagram, Instant, Path};
use ikebana_ike::{Answer, ApiError, CloseReason, DropReason, Event, FailReason, IkeHeader, IkeSaHandle};
use ikebana_ike::{QueryId, RemoveReason};

use crate::context::{Context, Route};
use crate::established::{End, Established, Lingering, Task};
use crate::phase1::{Initiator, Phase1Done, Responder, Step};

/// Where an association is in its life.
pub(crate) enum State {
    /// We have started phase 1.
    Initiating(Box<Initiator>),
    /// The peer has started phase 1.
    Responding(Box<Responder>),
    /// Phase 1 is done, and the endpoint has to say whose it is.
    Authenticated(Box<Phase1Done>),
    /// It is in use.
    Established(Box<Established>),
    /// It is over; a peer that has missed that is told again.
    Lingering(Box<Lingering>),
    /// It is over.
    Gone,
}

/// An association with its name.
pub(crate) struct Connection {
    pub(crate) handle: IkeSaHandle,
    pub(crate) state: State,
}

impl Connection {
    /// What it is once phase 1 is done.
    pub(crate) const fn established(&self) -> Option<&Established> {
        match &self.state {
            State::Established(established) => Some(established),
            State::Initiating(_)
            | State::Responding(_)
            | State::Authenticated(_)
            | State::Lingering(_)
            | State::Gone => None,
        }
    }

    /// Whether it counts against the half-open limits.
    pub(crate) const fn is_half_open(&self) -> bool {
        match &self.state {
            // Whoever has the key of a group is one of many, as strange as anybody.
            State::Responding(_) | State::Authenticated(_) => true,
            State::Established(established) => established.is_half_open(),
            State::Initiating(_) | State::Lingering(_) | State::Gone => false,
        }
    }

    /// When something has to happen next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Initiating(attempt) => attempt.deadline(),
            State::Responding(attempt) => attempt.deadline(),
            State::Established(established) => established.deadline(),
            State::Lingering(lingering) => Some(lingering.deadline()),
            State::Authenticated(_) | State::Gone => None,
        }
    }

    /// Takes in a message that has one of its cookies.
    pub(crate) fn handle_datagram(
        &mut self,
        cx: &mut Context<'_>,
        header: &IkeHeader,
        datagram: &Datagram<'_>,
    ) -> Result<(), DropReason> {
        let route = Route::new(datagram.path, datagram.encapsulated);
        let octets = datagram.octets;
        match &mut self.state {
            State::Initiating(attempt) => {
                let step = attempt.handle_message(cx, header, octets, route)?;
                self.step(cx, step);
            }
            State::Responding(attempt) => {
                let step = attempt.handle_message(cx, header, octets, route)?;
                self.step(cx, step);
            }
            State::Established(established) => {
                let end = match established.handle_renewal(cx, header, octets, route) {
                    Some(result) => result?,
                    None => {
                        let verified = established.verify(header, octets)?;
                        established.process(cx, route, verified)
                    }
                };
                self.end(cx, end);
            }
            State::Lingering(lingering) => return lingering.handle_message(cx, header, octets),
            State::Authenticated(_) | State::Gone => return Err(DropReason::UnknownSpi),
        }
        Ok(())
    }

    /// Takes in an answer of the application's.
    pub(crate) fn answer(
        &mut self,
        cx: &mut Context<'_>,
        query: QueryId,
        answer: Answer,
    ) -> Result<(), ApiError> {
        match &mut self.state {
            State::Initiating(attempt) => {
                let step = attempt.answer(cx, query, answer)?;
                self.step(cx, step);
            }
            State::Responding(attempt) => {
                let step = attempt.answer(cx, query, answer)?;
                self.step(cx, step);
            }
            State::Established(established) => {
                let end = established.answer(cx, query, answer)?;
                self.end(cx, end);
            }
            State::Authenticated(_) | State::Lingering(_) | State::Gone => {
                return Err(ApiError::NoSuchQuery);
            }
        }
        Ok(())
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, cx: &mut Context<'_>) {
        if self.deadline().is_none_or(|deadline| deadline > cx.now) {
            return;
        }
        match &mut self.state {
            State::Initiating(attempt) => {
                let step = attempt.handle_timeout(cx);
                self.step(cx, step);
            }
            State::Responding(attempt) => {
                let step = attempt.handle_timeout(cx);
                self.step(cx, step);
            }
            State::Established(established) => {
                let end = established.handle_timeout(cx);
                self.end(cx, end);
            }
            State::Lingering(lingering) => {
                if lingering.handle_timeout(cx) {
                    self.state = State::Gone;
                }
            }
            State::Authenticated(_) | State::Gone => {}
        }
    }

    /// The application wants it gone.
    pub(crate) fn close(&mut self, cx: &mut Context<'_>) {
        match &mut self.state {
            State::Established(_) => {
                self.end(cx, Some(End::Tell(CloseReason::Local, RemoveReason::Local)));
            }
            State::Initiating(attempt) => {
                attempt.cancel(cx);
                self.step(cx, Step::Failed(FailReason::Cancelled));
            }
            State::Responding(attempt) => {
                attempt.cancel(cx);
                self.step(cx, Step::Failed(FailReason::Cancelled));
            }
            State::Authenticated(_) | State::Lingering(_) | State::Gone => {}
        }
    }

    /// Queues an exchange on behalf of the application.
    pub(crate) fn command(&mut self, cx: &mut Context<'_>, task: Task) -> Result<(), ApiError> {
        let State::Established(established) = &mut self.state else { return Err(ApiError::NotEstablished) };
        established.command(cx, task)?;
        let end = established.pump(cx);
        self.end(cx, end);
        Ok(())
    }

    /// Draws the consequences of what an attempt has come to.
    fn step(&mut self, cx: &mut Context<'_>, step: Step) {
        match step {
            Step::Wait => {}
            Step::Done(done) => self.state = State::Authenticated(done),
            Step::Failed(reason) => {
                let (peer, path) = match &self.state {
                    State::Initiating(attempt) => (Some(attempt.peer().name.clone()), attempt.path()),
                    State::Responding(attempt) => (attempt.peer_name(), attempt.path()),
                    State::Authenticated(_) | State::Established(_) | State::Lingering(_) | State::Gone => {
                        return;
                    }
                };
                failed(cx, self.handle, peer, path, reason);
                self.state = State::Gone;
            }
        }
    }

    /// Starts its life after phase 1.
    pub(crate) fn begin(&mut self, cx: &mut Context<'_>, done: Phase1Done) {
        let (established, end) = Established::begin(cx, self.handle, done);
        self.state = State::Established(Box::new(established));
        self.end(cx, end);
    }

    /// Ends an association that is in use, if there is a reason.
    pub(crate) fn end(&mut self, cx: &mut Context<'_>, end: Option<End>) {
        let Some(end) = end else { return };
        self.state = match core::mem::replace(&mut self.state, State::Gone) {
            State::Established(established) => match established.end(cx, end) {
                Some(lingering) => State::Lingering(Box::new(lingering)),
                None => State::Gone,
            },
            other @ (State::Initiating(_)
            | State::Responding(_)
            | State::Authenticated(_)
            | State::Lingering(_)
            | State::Gone) => other,
        };
    }
}

/// The end of an attempt that came to nothing.
pub(crate) fn failed(
    cx: &mut Context<'_>,
    ike: IkeSaHandle,
    peer: Option<String>,
    path: Path,
    reason: FailReason,
) {
    cx.stats.failed = cx.stats.failed.saturating_add(1);
    cx.event(Event::Failed { ike, peer, path, reason });
}
