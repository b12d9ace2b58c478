//! Names for what an endpoint keeps.

use core::fmt;

/// Set in every handle that an IKEv1 endpoint gives out, so that the two endpoints of a node never give one
/// name to two things.
pub const IKEV1_HANDLES: u64 = 1 << 63;

macro_rules! handle {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// The handle with this number. Endpoints count up and never use a number twice.
            #[must_use]
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// Whether an IKEv1 endpoint gave it out.
            #[must_use]
            pub const fn is_ikev1(self) -> bool {
                self.0 & IKEV1_HANDLES != 0
            }

            /// The number.
            #[must_use]
            pub const fn number(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                if self.is_ikev1() {
                    write!(f, concat!("v1-", $prefix, "{}"), self.0 & !IKEV1_HANDLES)
                } else {
                    write!(f, concat!($prefix, "{}"), self.0)
                }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

handle! {
    /// One IKE SA as the application sees it, from the first message to its single terminal event.
    ///
    /// It outlives the SPIs: a rekeyed IKE SA keeps its handle.
    IkeSaHandle, "ike-"
}

handle! {
    /// One pair of ESP or AH SAs. A rekey makes a new pair with a handle of its own.
    ChildHandle, "child-"
}

handle! {
    /// A question that waits for its answer.
    QueryId, "query-"
}
