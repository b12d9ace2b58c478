//! Which payloads an exchange may and must carry (RFC 7296 appendix C and the extensions' own tables).
//!
//! The tables are about presence and number. Order is not checked: RFC 7296 2.5 wants payloads accepted in
//! any order. Unknown payloads, which are not critical or the message would not have been read, are ignored.
//! What is said by notifications is the exchange's business.

mod tables;

use ikebana_ike::ExchangeType;
use thiserror::Error;

use super::{Payload, PayloadType};

/// What is wrong with the set of payloads of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RuleViolation {
    /// A payload that must be there is not.
    #[error("{0} payload missing")]
    Missing(PayloadType),
    /// More payloads of a kind than allowed.
    #[error("more than {max} {kind} payloads")]
    TooMany {
        /// The kind.
        kind: PayloadType,
        /// How many may be there.
        max: usize,
    },
    /// A payload that has no place in this message.
    #[error("{0} payload out of place")]
    Unexpected(PayloadType),
    /// The exchange is not one of IKEv2's.
    #[error("exchange type {0} has no payload rules")]
    Exchange(ExchangeType),
}

/// How often a payload may occur.
struct Rule {
    kind: PayloadType,
    min: usize,
    max: usize,
}

/// One of the forms that a message of an exchange can have.
struct Form {
    /// A message is of this form if it has a payload of this kind; `None`: any message is.
    marker: Option<PayloadType>,
    rules: &'static [Rule],
    /// Payloads that are all there, or all not.
    together: &'static [PayloadType],
}

/// Whether messages of this exchange are encrypted, so that a payload outside the encrypted one is worth
/// nothing (RFC 7296 3.14, RFC 5723 4.3.2).
#[must_use]
pub const fn is_encrypted(exchange: ExchangeType) -> bool {
    !matches!(exchange, ExchangeType::IKE_SA_INIT | ExchangeType::IKE_SESSION_RESUME)
}

/// Checks the payloads of one message; of an encrypted one, those inside.
///
/// # Errors
/// The first rule that does not hold.
pub fn check(exchange: ExchangeType, response: bool, payloads: &[Payload]) -> Result<(), RuleViolation> {
    let forms = tables::forms(exchange, response).ok_or(RuleViolation::Exchange(exchange))?;
    let count = |kind| payloads.iter().filter(|payload| payload.kind() == kind).count();
    let Some(form) = forms.iter().find(|form| form.marker.is_none_or(|kind| count(kind) > 0)) else {
        return Err(RuleViolation::Exchange(exchange));
    };
    for payload in payloads {
        let known = !matches!(payload, Payload::Unknown { .. });
        if known && !form.rules.iter().any(|rule| rule.kind == payload.kind()) {
            return Err(RuleViolation::Unexpected(payload.kind()));
        }
    }
    for rule in form.rules {
        let found = count(rule.kind);
        if found < rule.min {
            return Err(RuleViolation::Missing(rule.kind));
        }
        if found > rule.max {
            return Err(RuleViolation::TooMany { kind: rule.kind, max: rule.max });
        }
    }
    let is_there = |kind: &&PayloadType| count(**kind) > 0;
    match form.together.iter().find(|kind| !is_there(kind)) {
        Some(missing) if form.together.iter().any(|kind| is_there(&kind)) => {
            Err(RuleViolation::Missing(*missing))
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
