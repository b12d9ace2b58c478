/// Declares a number from an IANA registry: a newtype whose known values are constants with a name.
///
/// Registries grow, so a value nobody here has heard of is as good as any other: it survives parsing,
/// comparing and encoding, and prints as its number.
///
/// ```
/// ikebana_core::open_enum! {
///     /// IP protocols that IPsec adds.
///     pub struct Protocol(u8) {
///         /// Encapsulating Security Payload, RFC 4303.
///         ESP = 50, "ESP";
///         /// Authentication Header, RFC 4302.
///         AH = 51, "AH";
///     }
/// }
/// assert_eq!(Protocol::ESP.name(), Some("ESP"));
/// assert_eq!(Protocol(7).to_string(), "7");
/// ```
#[macro_export]
macro_rules! open_enum {
    (
        $(#[$outer:meta])*
        $vis:vis struct $name:ident($repr:ty) {
            $( $(#[$inner:meta])* $constant:ident = $value:expr, $text:expr; )*
        }
    ) => {
        $(#[$outer])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis struct $name(pub $repr);

        impl $name {
            $( $(#[$inner])* pub const $constant: Self = Self($value); )*

            /// Every value with a name, in the registry's order.
            pub const KNOWN: &'static [Self] = &[$(Self::$constant),*];

            /// The registry's name, or `None` for a value that has none here.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $( Self::$constant => Some($text), )*
                    Self(_) => None,
                }
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self.name() {
                    Some(name) => f.pad(name),
                    None => core::fmt::Display::fmt(&self.0, f),
                }
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self.name() {
                    Some(name) => write!(f, "{}({})", name, self.0),
                    None => write!(f, "{}({})", stringify!($name), self.0),
                }
            }
        }
    };
}
