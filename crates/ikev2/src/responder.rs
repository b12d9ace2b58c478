//! Being asked for an IKE SA: IKE_SA_INIT and IKE_AUTH as responder (RFC 7296 1.2).

mod answered;
mod deciding;

use alloc::string::String;

use ikebana_core::Path;
use ikebana_ike::{Event, FailReason, IkeSaHandle};

use crate::context::Context;

pub(crate) use answered::{Answered, InitRequest, Refusal, Unreadable, refusal_payload};
pub(crate) use deciding::Deciding;

/// The end of an IKE SA that never was, on the responder's side.
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
