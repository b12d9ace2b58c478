//! One IKE SA as the application knows it, in whatever state it is.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a step that is for one state hands every other state back"
)]

mod closing;

use alloc::boxed::Box;

use ikebana_core::{Datagram, Instant};
use ikebana_ike::{Answer, ApiError, DropReason, FailReason, IkeHeader, QueryId, RemoveReason};

use crate::context::Context;
use crate::established::{End, Established, Task};
use crate::initiator::{AuthSent, InitAnswer, InitSent, KeyWanted};
use crate::responder::{Answered, Deciding};
use crate::sa::{Route, Verified};

pub(crate) use closing::{Closing, Lingering};

/// Where an IKE SA is in its life. Each state owns just what it needs.
pub(crate) enum State {
    /// Initiator: IKE_SA_INIT is out.
    InitSent(Box<InitSent>),
    /// Initiator: the application is looking for the key.
    KeyWanted(Box<KeyWanted>),
    /// Initiator: IKE_AUTH is out.
    AuthSent(Box<AuthSent>),
    /// Responder: IKE_SA_INIT is answered.
    Answered(Box<Answered>),
    /// Responder: the application is making up its mind about IKE_AUTH.
    Deciding(Box<Deciding>),
    /// Both sides are authenticated.
    Established(Box<Established>),
    /// We delete it, and the peer has to know.
    Closing(Box<Closing>),
    /// It is over; the last answer may be asked for again.
    Lingering(Box<Lingering>),
    /// It is over.
    Gone,
}

impl State {
    /// What it is once both sides are authenticated.
    pub(crate) const fn established(&self) -> Option<&Established> {
        match self {
            Self::Established(established) => Some(established),
            _ => None,
        }
    }

    /// Whether it counts against the half-open limits: whoever is not authenticated does, until nothing of it
    /// is left. A refusal that is kept for its repetition costs as much as an answer that nothing followed.
    pub(crate) const fn is_half_open(&self) -> bool {
        match self {
            Self::Answered(_) | Self::Deciding(_) => true,
            Self::Lingering(state) => state.is_refusal(),
            Self::InitSent(_)
            | Self::KeyWanted(_)
            | Self::AuthSent(_)
            | Self::Established(_)
            | Self::Closing(_)
            | Self::Gone => false,
        }
    }

    /// When something has to happen next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::InitSent(state) => state.window.deadline(),
            Self::KeyWanted(state) => Some(state.deadline),
            Self::AuthSent(state) => state.window().deadline(),
            Self::Answered(state) => Some(state.deadline),
            Self::Deciding(state) => Some(state.deadline()),
            Self::Established(state) => state.deadline(),
            Self::Closing(state) => state.deadline(),
            Self::Lingering(state) => Some(state.until()),
            Self::Gone => None,
        }
    }

    /// Takes in a datagram for the local SPI `spi`. It is checked against the state as it is; only then does
    /// the state change, and it always becomes another whole state.
    pub(crate) fn handle_datagram(
        &mut self,
        cx: &mut Context<'_>,
        header: &IkeHeader,
        spi: ikebana_core::IkeSpi,
        datagram: &Datagram<'_>,
    ) -> Result<(), DropReason> {
        let route = Route { path: datagram.path, encapsulated: datagram.encapsulated };
        let octets = datagram.octets;
        match self {
            Self::InitSent(state) => {
                let answer = state.examine(header, datagram)?;
                let complaint = match &answer {
                    InitAnswer::Complaint(FailReason::Protocol { .. }) => {
                        Some(DropReason::UnusableInitResponse)
                    }
                    InitAnswer::Complaint(_) => Some(DropReason::UnauthenticatedError),
                    InitAnswer::Cookie(_) | InitAnswer::Group(_) | InitAnswer::Accept(_) => None,
                };
                self.advance(|state| match state {
                    Self::InitSent(state) => state.advance(cx, answer),
                    other => other,
                });
                if let Some(reason) = complaint {
                    return Err(reason);
                }
            }
            Self::AuthSent(state) => {
                let verified = state.verify(header, octets)?;
                self.advance(|state| match (state, verified) {
                    (Self::AuthSent(state), Verified::Response(content)) => state.advance(cx, content),
                    (other, _) => other,
                });
            }
            Self::Answered(state) => {
                let request = state.verify(header, octets)?;
                self.advance(|state| match state {
                    Self::Answered(state) => state.advance(cx, route, request),
                    other => other,
                });
            }
            Self::Deciding(state) => {
                // Checked, so that somebody else's garbage is counted as what it is.
                state.sa().verify(header, octets)?;
                return Err(DropReason::StillWorking);
            }
            Self::Established(state) => {
                let verified = state.verify(spi, header, octets)?;
                if let Some(end) = state.process(cx, spi, route, verified) {
                    self.end(cx, end);
                }
            }
            Self::Closing(state) => {
                let verified = state.verify(spi, header, octets)?;
                self.advance(|state| match state {
                    Self::Closing(state) => state.process(cx, spi, route, verified),
                    other => other,
                });
            }
            Self::Lingering(state) => return state.repeat(cx, spi, header, route, octets),
            Self::KeyWanted(_) => return Err(DropReason::UnexpectedResponse),
            Self::Gone => return Err(DropReason::UnknownSpi),
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
        match self {
            Self::KeyWanted(state) if state.query == query => {
                let Answer::PreSharedKey(key) = answer else { return Err(ApiError::WrongAnswer) };
                self.advance(|state| match state {
                    Self::KeyWanted(state) => state.answered(cx, key),
                    other => other,
                });
                Ok(())
            }
            Self::Deciding(state) if state.query() == query => {
                state.fits(&answer)?;
                self.advance(|state| match state {
                    Self::Deciding(state) => state.answered(cx, answer),
                    other => other,
                });
                Ok(())
            }
            _ => Err(ApiError::NoSuchQuery),
        }
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, cx: &mut Context<'_>) {
        if self.deadline().is_none_or(|deadline| deadline > cx.now) {
            return;
        }
        if let Self::Established(state) = self {
            if let Some(end) = state.handle_timeout(cx) {
                self.end(cx, end);
            }
            return;
        }
        self.advance(|state| match state {
            Self::InitSent(state) => state.handle_timeout(cx),
            Self::KeyWanted(state) => {
                cx.registry.queries.remove(&state.query);
                state.attempt.fail(cx, FailReason::Unanswered("which pre-shared key is the peer's"))
            }
            Self::AuthSent(state) => state.handle_timeout(cx),
            Self::Answered(state) => state.cancel(cx, FailReason::HalfOpenTimeout),
            Self::Deciding(state) => {
                let question = state.question();
                state.cancel(cx, FailReason::Unanswered(question))
            }
            Self::Closing(state) => state.handle_timeout(cx),
            Self::Lingering(state) => state.end(cx),
            other @ (Self::Established(_) | Self::Gone) => other,
        });
    }

    /// The application wants it gone.
    pub(crate) fn close(&mut self, cx: &mut Context<'_>) {
        match self {
            Self::Established(_) => {
                self.end(cx, End::Tell(ikebana_ike::CloseReason::Local, RemoveReason::Local));
            }
            Self::InitSent(_)
            | Self::KeyWanted(_)
            | Self::AuthSent(_)
            | Self::Answered(_)
            | Self::Deciding(_) => {
                self.advance(|state| state.cancel(cx, FailReason::Cancelled));
            }
            Self::Closing(_) | Self::Lingering(_) | Self::Gone => {}
        }
    }

    fn cancel(self, cx: &mut Context<'_>, reason: FailReason) -> Self {
        match self {
            Self::InitSent(state) => state.attempt.fail(cx, reason),
            Self::KeyWanted(state) => {
                cx.registry.queries.remove(&state.query);
                state.attempt.fail(cx, reason)
            }
            Self::AuthSent(state) => state.fail(cx, reason),
            Self::Answered(state) => state.cancel(cx, reason),
            Self::Deciding(state) => state.cancel(cx, reason),
            other @ (Self::Established(_) | Self::Closing(_) | Self::Lingering(_) | Self::Gone) => other,
        }
    }

    /// Ends an established IKE SA.
    pub(crate) fn end(&mut self, cx: &mut Context<'_>, end: End) {
        self.advance(|state| match state {
            Self::Established(state) => closing::end(cx, *state, end),
            other => other,
        });
    }

    /// Queues an exchange on behalf of the application.
    pub(crate) fn command(&mut self, cx: &mut Context<'_>, task: Task) -> Result<(), ApiError> {
        let Self::Established(state) = self else { return Err(ApiError::NotEstablished) };
        state.command(cx, task)?;
        if let Some(end) = state.pump(cx) {
            self.end(cx, end);
        }
        Ok(())
    }

    /// Replaces the state by what `step` makes of it. `step` is total, so no state is ever lost.
    fn advance(&mut self, step: impl FnOnce(Self) -> Self) {
        *self = step(core::mem::replace(self, Self::Gone));
    }
}
