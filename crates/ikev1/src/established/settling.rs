//! XAUTH and mode config, which come between phase 1 and anything else.

use alloc::string::String;

use ikebana_core::{IkeSpi, Instant};
use ikebana_ike::{Answer, ApiError, DropReason, QueryId};

use super::leg::Fingerprint;
use super::{End, Established};
use crate::context::Context;
use crate::isakmp::{Isakmp, Iv, Opened};

/// What is to be settled before child SAs are made.
#[derive(Default)]
pub(super) struct Settling {}

impl Settling {
    /// Whether child SAs may be made.
    pub(super) const fn is_settled(&self) -> bool {
        true
    }

    /// What the next message of a transaction is decrypted with.
    pub(super) fn iv(&self, _: &Isakmp, _: u32) -> Result<Iv, DropReason> {
        Err(DropReason::UnexpectedExchange)
    }

    pub(super) const fn deadline(&self) -> Option<Instant> {
        None
    }

    pub(super) fn cancel(&mut self, _: &mut Context<'_>) {}
}

impl Established {
    /// Begins what has to be settled over the newest ISAKMP SA; `first` if it is the association's first one.
    pub(super) fn settle(&mut self, cx: &mut Context<'_>, _xauth: bool, first: bool) -> Option<End> {
        if first {
            self.settled(cx, None);
        }
        None
    }

    /// All is settled: the association is established.
    fn settled(&mut self, cx: &mut Context<'_>, user: Option<String>) {
        self.announce(cx, user);
        if self.initiator {
            for config in self.peer.children.clone() {
                self.want(cx, &config, None);
            }
        }
    }

    /// A message of a transaction.
    pub(super) fn transacted(
        &mut self,
        _: &mut Context<'_>,
        _: IkeSpi,
        _: Opened,
        _: Fingerprint,
    ) -> Option<End> {
        None
    }

    /// Takes in an answer of the application's.
    pub(crate) fn answer(
        &mut self,
        cx: &mut Context<'_>,
        query: QueryId,
        answer: Answer,
    ) -> Result<Option<End>, ApiError> {
        self.answer_renewal(cx, query, answer)
    }

    pub(super) fn age_settling(&mut self, _: &mut Context<'_>) -> Option<End> {
        None
    }
}
