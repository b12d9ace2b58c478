//! Names for what an endpoint keeps.

use core::fmt;

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

            /// The number.
            #[must_use]
            pub const fn number(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
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
