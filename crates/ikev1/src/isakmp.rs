//! One ISAKMP SA as it protects messages: hashes, IV chains, encryption (RFC 2409 5 and appendix B).

use alloc::vec::Vec;

use ikebana_core::{IkeSpi, Secret, Writer};
use ikebana_crypto::{CryptoProvider, ct_eq, prf};
use ikebana_ike::{DropReason, ExchangeType, Flags, IkeHeader, SaKeys};
use ikebana_proposals::ChildSuite;
use ikebana_proposals::ikev1::Phase1Suite;

use crate::keys::{ChildSeed, Contributions, Keys, Root, Unsupported};
use crate::wire::{self, Body, Payload, PayloadType};

/// The longest block of any cipher.
const MAX_BLOCK: usize = 16;

/// Octets of a generic payload header.
const GENERIC_HEADER_LEN: usize = 4;

/// Where a chain of encrypted messages stands: the IV of the next one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Iv {
    octets: [u8; MAX_BLOCK],
    len: usize,
}

impl Iv {
    /// The first `len` octets of `octets`.
    fn cut(octets: &[u8], len: usize) -> Self {
        let mut iv = Self { octets: [0; MAX_BLOCK], len: len.min(MAX_BLOCK) };
        for (octet, &value) in iv.octets.iter_mut().zip(octets) {
            *octet = value;
        }
        iv
    }

    /// The last block of `text`.
    fn last_block(text: &[u8], len: usize) -> Self {
        Self::cut(text.rchunks(len.max(1)).next().unwrap_or(&[]), len)
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or(&self.octets)
    }
}

/// A message that decrypted to payloads. Only a HASH payload that is right says that they are the peer's.
pub(crate) struct Opened {
    pub(crate) header: IkeHeader,
    /// Every payload, a HASH in front included.
    pub(crate) payloads: Vec<Payload>,
    /// What the HASH payload in front holds; empty if the first payload is another one.
    pub(crate) hash: Vec<u8>,
    /// The octets behind that HASH payload, without padding: what a HASH covers.
    pub(crate) covered: Vec<u8>,
    /// The IV of the next message of this exchange.
    pub(crate) next_iv: Iv,
}

/// What the HASH payload of a message covers beside the payloads after it and the message id (RFC 2409 5.5).
#[derive(Clone, Copy)]
pub(crate) enum Hashed<'a> {
    /// HASH(1): nothing. So it is in informational and transaction exchanges, too.
    First,
    /// HASH(2): the initiator's nonce.
    Second {
        /// The body of the nonce payload.
        initiator_nonce: &'a [u8],
    },
    /// HASH(3): both nonces, and no payload.
    Third {
        /// The body of the initiator's nonce payload.
        initiator_nonce: &'a [u8],
        /// The body of the responder's nonce payload.
        responder_nonce: &'a [u8],
    },
}

/// The keys of an ISAKMP SA and what names it.
pub(crate) struct Isakmp {
    pub(crate) initiator_cookie: IkeSpi,
    pub(crate) responder_cookie: IkeSpi,
    /// Whether we started it.
    pub(crate) initiator: bool,
    pub(crate) suite: Phase1Suite,
    keys: Keys,
    /// hash(g^xi | g^xr), where the chain of phase 1 begins (RFC 2409 appendix B).
    first_iv: Iv,
    /// The last block of phase 1, where the chains of all other exchanges begin.
    last_iv: Iv,
}

impl Isakmp {
    /// The ISAKMP SA that both sides' contributions give.
    pub(crate) fn derive(
        provider: &CryptoProvider,
        suite: Phase1Suite,
        initiator: bool,
        root: Root<'_>,
        from: &Contributions<'_>,
    ) -> Result<Self, Unsupported> {
        let keys = Keys::new(provider, &suite.ike, root, from)?;
        let block_len = keys.cipher.block_len();
        if block_len == 0 || block_len > MAX_BLOCK {
            return Err(Unsupported);
        }
        let first_iv = Iv::cut(&keys.hash(&[from.initiator_public, from.responder_public]), block_len);
        Ok(Self {
            initiator_cookie: from.initiator_cookie,
            responder_cookie: from.responder_cookie,
            initiator,
            suite,
            keys,
            first_iv,
            last_iv: first_iv,
        })
    }

    /// HASH_I or HASH_R (RFC 2409 5): what proves an identity, or what is signed to prove it. `publics` are the
    /// bodies of the initiator's and the responder's KE payload, `sa_body` that of the SA payload that the
    /// initiator sent, `id_body` that of the ID payload of the side in question.
    pub(crate) fn phase1_hash(
        &self,
        of_initiator: bool,
        publics: [&[u8]; 2],
        sa_body: &[u8],
        id_body: &[u8],
    ) -> Secret {
        let [initiator_public, responder_public] = publics;
        let (initiator_cookie, responder_cookie) = (&self.initiator_cookie.0, &self.responder_cookie.0);
        let parts: [&[u8]; 6] = if of_initiator {
            [initiator_public, responder_public, initiator_cookie, responder_cookie, sa_body, id_body]
        } else {
            [responder_public, initiator_public, responder_cookie, initiator_cookie, sa_body, id_body]
        };
        prf(self.keys.prf, self.keys.root.expose(), &parts)
    }

    /// The IV of the first encrypted message of phase 1.
    pub(crate) const fn phase1_iv(&self) -> Iv {
        self.first_iv
    }

    /// Remembers where the chain of phase 1 ended. Until then it is where it began, as it must be where phase 1
    /// has no encrypted message.
    pub(crate) const fn set_last_iv(&mut self, iv: Iv) {
        self.last_iv = iv;
    }

    /// The IV of the first message of another exchange: hash(last block of phase 1 | M-ID) (appendix B).
    pub(crate) fn exchange_iv(&self, message_id: u32) -> Iv {
        let block_len = self.keys.cipher.block_len();
        Iv::cut(&self.keys.hash(&[self.last_iv.as_slice(), &message_id.to_be_bytes()]), block_len)
    }

    /// The header of an encrypted message of ours. Length and first payload are filled in when it is encoded.
    pub(crate) fn header(&self, exchange: ExchangeType, message_id: u32) -> IkeHeader {
        IkeHeader {
            initiator_spi: self.initiator_cookie,
            responder_spi: self.responder_cookie,
            next_payload: PayloadType::NONE.0,
            major: 1,
            minor: 0,
            exchange,
            flags: Flags(Flags::ENCRYPTED),
            message_id,
            length: 0,
        }
    }

    /// The whole message with `payloads` encrypted. `iv` becomes that of the exchange's next message.
    pub(crate) fn encrypt(
        &self,
        iv: &mut Iv,
        header: &IkeHeader,
        payloads: &[Payload],
    ) -> Result<Vec<u8>, Unsupported> {
        let text = wire::encode_chain(payloads).map_err(|_| Unsupported)?;
        let first = payloads.first().map_or(PayloadType::NONE, Payload::kind);
        self.encrypt_text(iv, header, first, text)
    }

    /// The whole message with a HASH payload in front of `payloads`, encrypted.
    pub(crate) fn seal_with_hash(
        &self,
        iv: &mut Iv,
        header: &IkeHeader,
        hashed: Hashed<'_>,
        payloads: &[Payload],
    ) -> Result<Vec<u8>, Unsupported> {
        // It may hold a password, so that no copy of it stays behind.
        let covered = Secret::new(wire::encode_chain(payloads).map_err(|_| Unsupported)?);
        let hash = self.hash(header.message_id, hashed, covered.expose());
        let length = GENERIC_HEADER_LEN.saturating_add(hash.len());
        let following = payloads.first().map_or(PayloadType::NONE, Payload::kind);
        let mut writer =
            Writer::with_capacity(length.saturating_add(covered.len()).saturating_add(MAX_BLOCK));
        writer.u8(following.0);
        writer.u8(0);
        writer.nested_u16("HASH payload", 2, |body| body.bytes(hash.expose()));
        writer.bytes(covered.expose());
        self.encrypt_text(iv, header, PayloadType::HASH, writer.finish().map_err(|_| Unsupported)?)
    }

    fn encrypt_text(
        &self,
        iv: &mut Iv,
        header: &IkeHeader,
        first: PayloadType,
        mut text: Vec<u8>,
    ) -> Result<Vec<u8>, Unsupported> {
        let cipher = &self.keys.cipher;
        // RFC 2409 appendix B: there always is padding, and its last octet says how long it is. Hardly anybody
        // writes or reads that number: like them, we pad with zeros, and find the end by the payloads' lengths.
        text.resize(text.len().saturating_add(1).next_multiple_of(cipher.block_len()), 0);
        cipher.encrypt(iv.as_slice(), &mut text).map_err(|_| Unsupported)?;
        *iv = Iv::last_block(&text, cipher.block_len());
        let header = IkeHeader { next_payload: first.0, ..*header };
        wire::encode(&header, &Body::Encrypted(text)).map_err(|_| Unsupported)
    }

    /// Decrypts a message. Nothing is authenticated by that.
    ///
    /// # Errors
    /// [`DropReason::BadIntegrity`] if what comes out is no chain of payloads, as with a wrong key or IV.
    pub(crate) fn decrypt(&self, iv: Iv, message: &[u8]) -> Result<Opened, DropReason> {
        let (header, body) = IkeHeader::parse(message).map_err(|_| DropReason::Malformed)?;
        if !header.flags.has(Flags::ENCRYPTED) {
            return Err(DropReason::NotEncrypted);
        }
        let block_len = self.keys.cipher.block_len();
        if body.is_empty() {
            return Err(DropReason::Malformed);
        }
        let next_iv = Iv::last_block(body, block_len);
        let mut text = body.to_vec();
        self.keys.cipher.decrypt(iv.as_slice(), &mut text).map_err(|_| DropReason::Malformed)?;
        let first = PayloadType(header.next_payload);
        let (payloads, padding) = wire::parse_chain(first, &text).map_err(|_| DropReason::BadIntegrity)?;
        let end = text.len().saturating_sub(padding.len());
        let (hash, start) = match payloads.first() {
            Some(Payload::Hash(hash)) => (hash.clone(), GENERIC_HEADER_LEN.saturating_add(hash.len())),
            Some(_) => (Vec::new(), 0),
            // No payload at all authenticates nothing.
            None => return Err(DropReason::BadIntegrity),
        };
        let covered = text.get(start..end).unwrap_or(&[]).to_vec();
        // A password may have been in it.
        drop(Secret::new(text));
        Ok(Opened { header, payloads, hash, covered, next_iv })
    }

    /// What the HASH payload of message `message_id` must be.
    pub(crate) fn hash(&self, message_id: u32, hashed: Hashed<'_>, covered: &[u8]) -> Secret {
        let id = message_id.to_be_bytes();
        match hashed {
            Hashed::First => self.keys.authenticated(&[&id, covered]),
            Hashed::Second { initiator_nonce } => self.keys.authenticated(&[&id, initiator_nonce, covered]),
            Hashed::Third { initiator_nonce, responder_nonce } => {
                self.keys.authenticated(&[&[0], &id, initiator_nonce, responder_nonce])
            }
        }
    }

    /// Whether the HASH payload of a message is right, in constant time.
    pub(crate) fn verify(&self, opened: &Opened, hashed: Hashed<'_>) -> bool {
        let expected = self.hash(opened.header.message_id, hashed, &opened.covered);
        ct_eq(expected.expose(), &opened.hash)
    }

    /// The keys of one direction of a child SA (RFC 2409 5.5).
    pub(crate) fn keymat(
        &self,
        provider: &CryptoProvider,
        suite: &ChildSuite,
        from: &ChildSeed<'_>,
    ) -> Result<SaKeys, Unsupported> {
        self.keys.child(provider, suite, from)
    }

    /// The cookie of ours.
    pub(crate) const fn local_cookie(&self) -> IkeSpi {
        if self.initiator { self.initiator_cookie } else { self.responder_cookie }
    }
}

#[cfg(test)]
pub(crate) mod tests;
