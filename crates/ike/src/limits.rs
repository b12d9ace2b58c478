//! The bounds of work and memory.

use core::time::Duration;

/// How much an endpoint will do and keep for others. Every figure has a default that suits a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// IKE SAs in all, half-open ones included.
    pub ike_sas: usize,
    /// Half-open IKE SAs, all peers together, from which on a first message must carry a cookie.
    pub cookie_threshold: usize,
    /// Half-open IKE SAs of one peer address from which on its first messages must carry a cookie.
    pub cookie_threshold_per_address: usize,
    /// Half-open IKE SAs, all peers together, from which on first messages are dropped.
    pub half_open: usize,
    /// Half-open IKE SAs of one peer address from which on its first messages are dropped.
    pub half_open_per_address: usize,
    /// Age at which a half-open IKE SA is forgotten.
    pub half_open_timeout: Duration,
    /// Child SAs of one IKE SA, from which on the peer gets `NO_ADDITIONAL_SAS`.
    pub children: usize,
    /// Exchanges of our own that wait for a free place in the window, per IKE SA.
    pub queued_exchanges: usize,
    /// The longest message we read, in octets.
    pub message_octets: usize,
    /// Messages that are answered without keeping state (cookies, version and SPI notifications), per second.
    pub stateless_replies_per_second: u32,
    /// The largest request window we let a peer use (RFC 7296 2.3). We announce it when it is above one.
    pub window: u32,
    /// Requests in either direction after which an IKE SA is rekeyed. Message ids never wrap (RFC 7296 2.2):
    /// where no rekey succeeds, the IKE SA ends with the last one.
    pub requests_per_ike_sa: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            ike_sas: 65_536,
            cookie_threshold: 30,
            cookie_threshold_per_address: 3,
            half_open: 4_096,
            half_open_per_address: 16,
            half_open_timeout: Duration::from_secs(30),
            children: 256,
            queued_exchanges: 64,
            message_octets: 16_384,
            stateless_replies_per_second: 1_000,
            window: 1,
            requests_per_ike_sa: u32::MAX - 1_024,
        }
    }
}
