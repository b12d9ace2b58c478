//! Key schedule (RFC 2409 5, 5.5 and appendix B).

use alloc::boxed::Box;
use alloc::vec::Vec;

use ikebana_core::{EspSpi, IkeSpi, Secret};
use ikebana_crypto::{CbcCipher, CryptoProvider, Digest, Prf, digest, prf};
use ikebana_ike::SaKeys;
use ikebana_proposals::ikev1::phase1::Hash;
use ikebana_proposals::ikev1::phase2::Protocol;
use ikebana_proposals::{ChildSuite, IkeSuite, PrfId};

/// The provider cannot do what was negotiated. It filtered the offer itself, so this is a defect of ours or
/// of the provider's; it fails the exchange and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unsupported;

/// What SKEYID is made from (RFC 2409 5).
#[derive(Clone, Copy)]
pub(crate) enum Root<'a> {
    /// The pre-shared key.
    PreSharedKey(&'a Secret),
    /// Nothing that was known before: the peers sign.
    #[cfg_attr(not(test), expect(dead_code, reason = "no signature method is offered yet"))]
    Signatures,
}

/// What both sides contributed to an ISAKMP SA.
#[derive(Clone, Copy)]
pub(crate) struct Contributions<'a> {
    pub(crate) initiator_cookie: IkeSpi,
    pub(crate) responder_cookie: IkeSpi,
    pub(crate) initiator_nonce: &'a [u8],
    pub(crate) responder_nonce: &'a [u8],
    /// The body of the initiator's KE payload.
    pub(crate) initiator_public: &'a [u8],
    /// The body of the responder's KE payload.
    pub(crate) responder_public: &'a [u8],
    /// What the key exchange gave.
    pub(crate) shared: &'a Secret,
}

/// The keys of an ISAKMP SA, and the functions that go with them.
pub(crate) struct Keys {
    pub(crate) prf: &'static dyn Prf,
    pub(crate) digest: &'static dyn Digest,
    /// SKEYID, which proves the identities.
    pub(crate) root: Secret,
    /// SKEYID_d, which children's keys come from.
    pub(crate) derive: Secret,
    /// SKEYID_a, which authenticates messages.
    pub(crate) authenticate: Secret,
    /// Encrypts messages in both directions.
    pub(crate) cipher: Box<dyn CbcCipher>,
}

/// The hash function that was negotiated with a PRF: phase 1 has one number for both (RFC 2409 4).
pub(crate) fn negotiated_digest(
    provider: &CryptoProvider,
    prf: PrfId,
) -> Result<&'static dyn Digest, Unsupported> {
    let hash = Hash::KNOWN.iter().find(|hash| hash.prf() == Some(prf)).ok_or(Unsupported)?;
    provider.digest(*hash).ok_or(Unsupported)
}

impl Keys {
    /// The keys of a new ISAKMP SA.
    pub(crate) fn new(
        provider: &CryptoProvider,
        suite: &IkeSuite,
        root: Root<'_>,
        from: &Contributions<'_>,
    ) -> Result<Self, Unsupported> {
        let function = provider.prf(suite.prf).ok_or(Unsupported)?;
        let nonces = [from.initiator_nonce, from.responder_nonce];
        let root = match root {
            Root::PreSharedKey(key) => prf(function, key.expose(), &nonces),
            Root::Signatures => prf(function, Secret::new(nonces.concat()).expose(), &[from.shared.expose()]),
        };
        let next = |previous: &[u8], number: u8| {
            let (initiator, responder) = (&from.initiator_cookie.0, &from.responder_cookie.0);
            prf(function, root.expose(), &[previous, from.shared.expose(), initiator, responder, &[number]])
        };
        let derive = next(&[], 0);
        let authenticate = next(derive.expose(), 1);
        let encrypt = next(authenticate.expose(), 2);
        let length = suite.encryption.key_len().ok_or(Unsupported)?;
        let key = encryption_key(function, &encrypt, length);
        let cipher = provider.cbc_cipher(suite.encryption, key.expose()).map_err(|_| Unsupported)?;
        let digest = negotiated_digest(provider, suite.prf)?;
        Ok(Self { prf: function, digest, root, derive, authenticate, cipher })
    }

    /// The negotiated hash function over `parts`.
    pub(crate) fn hash(&self, parts: &[&[u8]]) -> Vec<u8> {
        digest(self.digest, parts)
    }

    /// prf(SKEYID_a, parts), which is what HASH payloads after phase 1 are.
    pub(crate) fn authenticated(&self, parts: &[&[u8]]) -> Secret {
        prf(self.prf, self.authenticate.expose(), parts)
    }

    /// The keys of one direction of a child SA: KEYMAT = prf(SKEYID_d, [g(qm)^xy |] protocol | SPI | Ni_b |
    /// Nr_b), continued as long as needed (RFC 2409 5.5). The encryption key comes first.
    pub(crate) fn child(
        &self,
        provider: &CryptoProvider,
        suite: &ChildSuite,
        from: &ChildSeed<'_>,
    ) -> Result<SaKeys, Unsupported> {
        let lengths = provider.key_lengths(suite.encryption, suite.integrity).ok_or(Unsupported)?;
        let shared = from.shared.map_or(&[][..], Secret::expose);
        let (protocol, spi) = ([from.protocol.0], from.spi.to_be_bytes());
        let seed = [shared, &protocol, &spi, from.initiator_nonce, from.responder_nonce];
        let total = lengths.encryption.saturating_add(lengths.integrity);
        let stream = stretch(self.prf, &self.derive, &seed, &seed, total);
        let mut rest = stream.expose();
        Ok(SaKeys {
            encryption: Secret::cut(&mut rest, lengths.encryption).ok_or(Unsupported)?,
            integrity: Secret::cut(&mut rest, lengths.integrity).ok_or(Unsupported)?,
        })
    }
}

/// What the keys of one direction of a child SA come from, beside SKEYID_d.
#[derive(Clone, Copy)]
pub(crate) struct ChildSeed<'a> {
    pub(crate) protocol: Protocol,
    /// Of the side that receives in this direction.
    pub(crate) spi: EspSpi,
    pub(crate) initiator_nonce: &'a [u8],
    pub(crate) responder_nonce: &'a [u8],
    /// What the key exchange of quick mode gave, with forward secrecy.
    pub(crate) shared: Option<&'a Secret>,
}

/// The key for encryption: SKEYID_e if that is long enough, or else K1 | K2 | ... with K1 = prf(SKEYID_e, 0) and
/// Kn = prf(SKEYID_e, Kn-1) (RFC 2409 appendix B).
fn encryption_key(function: &dyn Prf, key: &Secret, length: usize) -> Secret {
    match key.expose().get(..length) {
        Some(start) => Secret::from_slice(start),
        None => stretch(function, key, &[&[0]], &[], length),
    }
}

/// `length` octets of K1 | K2 | ... with K1 = prf(key, first) and Kn = prf(key, Kn-1 | rest).
fn stretch(function: &dyn Prf, key: &Secret, first: &[&[u8]], rest: &[&[u8]], length: usize) -> Secret {
    let mut stream = Vec::with_capacity(length);
    let mut block = prf(function, key.expose(), first);
    while stream.len() < length && !block.is_empty() {
        let missing = length.saturating_sub(stream.len()).min(block.len());
        stream.extend(block.expose().iter().take(missing));
        let mut parts = Vec::from([block.expose()]);
        parts.extend_from_slice(rest);
        block = prf(function, key.expose(), &parts);
    }
    Secret::new(stream)
}

#[cfg(test)]
mod tests;
