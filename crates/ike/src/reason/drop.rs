//! Why a datagram was dropped.

use thiserror::Error;

macro_rules! drop_reasons {
    ($( $(#[$doc:meta])* $name:ident = $text:literal, )*) => {
        /// Why a datagram changed nothing. Each reason has a counter.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Error)]
        #[non_exhaustive]
        pub enum DropReason {
            $( $(#[$doc])* #[error($text)] $name, )*
        }

        impl DropReason {
            /// Every reason, in the order of their counters.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// A stable name for metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $( Self::$name => stringify!($name), )* }
            }
        }
    };
}

drop_reasons! {
    /// Not an IKE message: too short, lengths that contradict each other, a broken payload chain.
    Malformed = "malformed message",
    /// Longer than [`Limits::message_octets`](crate::Limits::message_octets).
    TooLong = "message too long",
    /// A major version this endpoint does not speak.
    WrongVersion = "unknown major version",
    /// An exchange type this endpoint does not know, or not here.
    UnexpectedExchange = "unexpected exchange type",
    /// No IKE SA has these SPIs.
    UnknownSpi = "no such IKE SA",
    /// A first message, and this endpoint answers none from that address.
    NotListening = "not a responder for this address",
    /// A first message without a valid cookie while one is required; a cookie was sent back.
    CookieRequired = "cookie required",
    /// A first message above the half-open limits.
    TooManyHalfOpen = "too many half-open IKE SAs",
    /// The integrity check failed.
    BadIntegrity = "integrity check failed",
    /// A message that must be encrypted was not.
    NotEncrypted = "not encrypted",
    /// A message id outside the window.
    OutsideWindow = "message id outside the window",
    /// A request seen before and answered again from the cache.
    Retransmission = "retransmission, answered again",
    /// A request seen before, with the answer still in the making.
    StillWorking = "retransmission, answer not ready",
    /// A response to nothing that is outstanding.
    UnexpectedResponse = "response without a request",
    /// An unauthenticated error notification, noted but not believed (RFC 7296 2.21.1).
    UnauthenticatedError = "unauthenticated error notification",
    /// An answer to our first message that cannot be used; a better one may still come.
    UnusableInitResponse = "unusable IKE_SA_INIT response",
    /// An IKEv1 message to an endpoint that has no such tunnel, or the reverse.
    WrongRole = "flags do not fit the sender's role",
    /// The endpoint is at [`Limits::ike_sas`](crate::Limits::ike_sas).
    TooManySas = "too many IKE SAs",
    /// The IKE SA it is for has ended and only waits to be forgotten.
    SaClosing = "IKE SA is closing",
}

/// One counter per [`DropReason`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropCounters([u64; DropReason::ALL.len()]);

impl Default for DropCounters {
    fn default() -> Self {
        Self([0; DropReason::ALL.len()])
    }
}

impl DropCounters {
    /// Counts one drop.
    pub fn count(&mut self, reason: DropReason) {
        if let Some(counter) = self.0.get_mut(reason as usize) {
            *counter = counter.saturating_add(1);
        }
    }

    /// Adds what another endpoint has counted.
    pub fn add(&mut self, other: &Self) {
        for (counter, other) in self.0.iter_mut().zip(other.0) {
            *counter = counter.saturating_add(other);
        }
    }

    /// How many datagrams were dropped for `reason`.
    #[must_use]
    pub fn get(&self, reason: DropReason) -> u64 {
        self.0.get(reason as usize).copied().unwrap_or(0)
    }

    /// Every reason with its count.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.iter().map(|reason| (*reason, self.get(*reason)))
    }

    /// All drops together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_a_counter_of_its_own() {
        let mut counters = DropCounters::default();
        for (times, reason) in DropReason::ALL.iter().enumerate() {
            for _ in 0..times {
                counters.count(*reason);
            }
        }
        for (times, (_, count)) in counters.iter().enumerate() {
            assert_eq!(count, times as u64);
        }
    }
}
