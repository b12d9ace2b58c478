//! Stateless cookies against floods from forged addresses (RFC 7296 2.6).

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use ikebana_core::{IkeSpi, Instant, Secret, SecureRandom};
use ikebana_crypto::{ct_eq, hmac_sha256};

/// How long a secret makes new cookies. It is believed for as long again.
const ROTATION: Duration = Duration::from_secs(120);

/// Makes and checks cookies: `version | HMAC(secret[version], Ni | address | port | SPIi)`.
pub(crate) struct Cookies {
    version: u8,
    current: Secret,
    previous: Option<Secret>,
    since: Instant,
}

impl Cookies {
    pub(crate) fn new(rng: &mut dyn SecureRandom) -> Self {
        Self { version: 0, current: draw(rng), previous: None, since: Instant::ZERO }
    }

    /// The cookie that a peer has to bring back.
    pub(crate) fn make(
        &mut self,
        now: Instant,
        rng: &mut dyn SecureRandom,
        nonce: &[u8],
        from: SocketAddr,
        spi: IkeSpi,
    ) -> Vec<u8> {
        if now.saturating_since(self.since) >= ROTATION {
            self.version = self.version.wrapping_add(1);
            self.previous = Some(core::mem::replace(&mut self.current, draw(rng)));
            self.since = now;
        }
        cookie(self.version, &self.current, nonce, from, spi)
    }

    /// Whether `presented` is a cookie that this endpoint gave to just this peer lately.
    pub(crate) fn is_valid(
        &self,
        now: Instant,
        presented: &[u8],
        nonce: &[u8],
        from: SocketAddr,
        spi: IkeSpi,
    ) -> bool {
        let Some(version) = presented.first().copied() else { return false };
        let age = now.saturating_since(self.since);
        let secret = if version == self.version && age < ROTATION * 2 {
            Some(&self.current)
        } else if version == self.version.wrapping_sub(1) && age < ROTATION {
            self.previous.as_ref()
        } else {
            None
        };
        secret.is_some_and(|secret| ct_eq(&cookie(version, secret, nonce, from, spi), presented))
    }
}

fn draw(rng: &mut dyn SecureRandom) -> Secret {
    let mut key = Vec::from([0; 32]);
    rng.fill_secret(&mut key);
    Secret::new(key)
}

fn cookie(version: u8, secret: &Secret, nonce: &[u8], from: SocketAddr, spi: IkeSpi) -> Vec<u8> {
    let port = from.port().to_be_bytes();
    let mac = match from.ip() {
        IpAddr::V4(v4) => hmac_sha256(secret.expose(), &[nonce, &v4.octets(), &port, &spi.0]),
        IpAddr::V6(v6) => hmac_sha256(secret.expose(), &[nonce, &v6.octets(), &port, &spi.0]),
    };
    let mut cookie = Vec::with_capacity(1 + mac.len());
    cookie.push(version);
    cookie.extend_from_slice(&mac);
    cookie
}

#[cfg(test)]
mod tests {
    use super::*;
    use ikebana_testkit::SeededRng;

    #[test]
    fn a_cookie_is_good_for_the_same_nonce_address_and_spi_only() {
        let rng = &mut SeededRng::new(1);
        let mut cookies = Cookies::new(rng);
        let from: SocketAddr = "192.0.2.1:500".parse().unwrap();
        let now = Instant::from_secs(1_000);
        let spi = IkeSpi([1; 8]);
        let cookie = cookies.make(now, rng, b"nonce", from, spi);
        assert!(cookies.is_valid(now, &cookie, b"nonce", from, spi));
        assert!(!cookies.is_valid(now, &cookie, b"other", from, spi));
        assert!(!cookies.is_valid(now, &cookie, b"nonce", "192.0.2.2:500".parse().unwrap(), spi));
        assert!(!cookies.is_valid(now, &cookie, b"nonce", from, IkeSpi([2; 8])));
        assert!(!cookies.is_valid(now, &[], b"nonce", from, spi));
    }

    #[test]
    fn a_cookie_survives_one_rotation_of_the_secret_and_not_two() {
        let rng = &mut SeededRng::new(2);
        let mut cookies = Cookies::new(rng);
        let from: SocketAddr = "[2001:db8::1]:4500".parse().unwrap();
        let spi = IkeSpi([1; 8]);
        let old = cookies.make(Instant::from_secs(1_000), rng, b"nonce", from, spi);
        let _ = cookies.make(Instant::from_secs(1_120), rng, b"nonce", from, spi);
        assert!(cookies.is_valid(Instant::from_secs(1_121), &old, b"nonce", from, spi));
        let _ = cookies.make(Instant::from_secs(1_240), rng, b"nonce", from, spi);
        assert!(!cookies.is_valid(Instant::from_secs(1_241), &old, b"nonce", from, spi));
    }
}
