//! AH (RFC 4302): integrity for a whole IP packet, its header included, without encryption.
//!
//! What makes AH different from ESP is that the ICV covers the IP header in front of it, of which routers change
//! parts. Each part is one of three: immutable and covered, mutable and taken as zero, or mutable in a way that
//! the sender can predict, and covered as it will arrive. `covered` knows which is which.
//!
//! | module | what is in it |
//! |---|---|
//! | `params` | what an SA is set up from |
//! | `key` | AH's own header, and the ICV |
//! | `covered` | the IP header, options and extension headers as the ICV sees them |
//! | `outbound`, `inbound` | the two directions |

mod covered;
mod inbound;
mod key;
mod outbound;
mod params;

pub use covered::MAX_COVERED_HEADERS;
pub use inbound::{InboundAh, ah_spi};
pub(crate) use key::header_len;
pub use outbound::OutboundAh;
pub use params::AhParams;
