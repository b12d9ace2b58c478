//! Key schedule (RFC 7296 2.13 to 2.18).

use alloc::boxed::Box;

use ikebana_core::{IkeSpi, Secret};
use ikebana_crypto::{CipherKeys, CryptoProvider, PacketCipher, prf, prf_plus};
use ikebana_ike::SaKeys;
use ikebana_proposals::{ChildSuite, IkeSuite, PrfId};

/// The provider cannot do what was negotiated. It filtered the offer itself, so this is a defect of ours or
/// of the provider's; it fails the exchange and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unsupported;

/// What both sides contributed to an IKE SA's keys.
#[derive(Clone, Copy)]
pub(crate) struct Contributions<'a> {
    pub(crate) initiator_nonce: &'a [u8],
    pub(crate) responder_nonce: &'a [u8],
    pub(crate) initiator_spi: IkeSpi,
    pub(crate) responder_spi: IkeSpi,
}

/// One direction's protection of encrypted payloads.
pub(crate) struct SkDirection {
    pub(crate) cipher: Box<dyn PacketCipher>,
    /// Number of the next message, which counter-mode ciphers take their IV from.
    pub(crate) counter: u64,
}

/// The keys of an IKE SA, by who sends.
pub(crate) struct IkeKeys {
    pub(crate) prf: PrfId,
    pub(crate) derive: Secret,
    pub(crate) initiator: SkDirection,
    pub(crate) responder: SkDirection,
    pub(crate) initiator_auth: Secret,
    pub(crate) responder_auth: Secret,
}

impl IkeKeys {
    /// The keys of a first IKE SA: SKEYSEED = prf(Ni | Nr, g^ir) (RFC 7296 2.14).
    pub(crate) fn first(
        provider: &CryptoProvider,
        suite: &IkeSuite,
        shared: &Secret,
        from: Contributions<'_>,
    ) -> Result<Self, Unsupported> {
        let prf_algorithm = provider.prf(suite.prf).ok_or(Unsupported)?;
        let mut key = alloc::vec::Vec::with_capacity(from.initiator_nonce.len() + from.responder_nonce.len());
        for nonce in [from.initiator_nonce, from.responder_nonce] {
            // RFC 7296 2.14: these two take a key of 128 bits, half of it from the front of each nonce.
            let used = match suite.prf {
                PrfId::AES128_XCBC | PrfId::AES128_CMAC => nonce.get(..8).unwrap_or(nonce),
                _ => nonce,
            };
            key.extend_from_slice(used);
        }
        let seed = prf(prf_algorithm, &key, &[shared.expose()]);
        Self::expand(provider, suite, &seed, from)
    }

    /// The keys of an IKE SA that replaces `self`: SKEYSEED = prf(SK_d (old), g^ir (new) | Ni | Nr), with the
    /// old SA's prf (RFC 7296 2.18).
    pub(crate) fn rekeyed(
        &self,
        provider: &CryptoProvider,
        suite: &IkeSuite,
        shared: &Secret,
        from: Contributions<'_>,
    ) -> Result<Self, Unsupported> {
        let prf_algorithm = provider.prf(self.prf).ok_or(Unsupported)?;
        let seed = prf(
            prf_algorithm,
            self.derive.expose(),
            &[shared.expose(), from.initiator_nonce, from.responder_nonce],
        );
        Self::expand(provider, suite, &seed, from)
    }

    fn expand(
        provider: &CryptoProvider,
        suite: &IkeSuite,
        seed: &Secret,
        from: Contributions<'_>,
    ) -> Result<Self, Unsupported> {
        let prf_algorithm = provider.prf(suite.prf).ok_or(Unsupported)?;
        let lengths = provider.key_lengths(Some(suite.encryption), suite.integrity).ok_or(Unsupported)?;
        let prf_len = prf_algorithm.key_len();
        let total = 3 * prf_len + 2 * (lengths.integrity + lengths.encryption);
        let stream = prf_plus(
            prf_algorithm,
            seed.expose(),
            &[from.initiator_nonce, from.responder_nonce, &from.initiator_spi.0, &from.responder_spi.0],
            total,
        )
        .map_err(|_| Unsupported)?;
        // {SK_d | SK_ai | SK_ar | SK_ei | SK_er | SK_pi | SK_pr}
        let mut rest = stream.expose();
        let mut cut = |length| Secret::cut(&mut rest, length).ok_or(Unsupported);
        let derive = cut(prf_len)?;
        let (initiator_integrity, responder_integrity) = (cut(lengths.integrity)?, cut(lengths.integrity)?);
        let (initiator_key, responder_key) = (cut(lengths.encryption)?, cut(lengths.encryption)?);
        let (initiator_auth, responder_auth) = (cut(prf_len)?, cut(prf_len)?);
        let direction = |encryption: &Secret, integrity: &Secret| {
            let keys = CipherKeys { encryption: encryption.expose(), integrity: integrity.expose() };
            let cipher = provider.packet_cipher(suite.encryption, suite.integrity, &keys);
            cipher.map(|cipher| SkDirection { cipher, counter: 0 }).map_err(|_| Unsupported)
        };
        Ok(Self {
            prf: suite.prf,
            derive,
            initiator: direction(&initiator_key, &initiator_integrity)?,
            responder: direction(&responder_key, &responder_integrity)?,
            initiator_auth,
            responder_auth,
        })
    }

    /// The key that proves the identity of one side: SK_pi or SK_pr.
    pub(crate) const fn auth_key(&self, of_initiator: bool) -> &Secret {
        if of_initiator { &self.initiator_auth } else { &self.responder_auth }
    }

    /// Keys of a child SA: KEYMAT = prf+(SK_d, [g^ir |] Ni | Nr) (RFC 7296 2.17).
    ///
    /// The first pair of keys is for what the initiator of the exchange sends, the second for what it gets.
    pub(crate) fn child(
        &self,
        provider: &CryptoProvider,
        suite: &ChildSuite,
        shared: Option<&Secret>,
        initiator_nonce: &[u8],
        responder_nonce: &[u8],
    ) -> Result<(SaKeys, SaKeys), Unsupported> {
        let prf_algorithm = provider.prf(self.prf).ok_or(Unsupported)?;
        let lengths = provider.key_lengths(suite.encryption, suite.integrity).ok_or(Unsupported)?;
        let total = 2 * (lengths.encryption + lengths.integrity);
        let shared = shared.map_or(&[][..], Secret::expose);
        let stream =
            prf_plus(prf_algorithm, self.derive.expose(), &[shared, initiator_nonce, responder_nonce], total)
                .map_err(|_| Unsupported)?;
        let mut rest = stream.expose();
        let mut pair = || {
            Some(SaKeys {
                encryption: Secret::cut(&mut rest, lengths.encryption)?,
                integrity: Secret::cut(&mut rest, lengths.integrity)?,
            })
        };
        Ok((pair().ok_or(Unsupported)?, pair().ok_or(Unsupported)?))
    }
}

/// The AUTH data of a pre-shared key (RFC 7296 2.15):
/// prf(prf(key, "Key Pad for IKEv2"), message | nonce | prf(SK_p, identity)).
pub(crate) fn pre_shared_key_auth(
    provider: &CryptoProvider,
    prf_id: PrfId,
    key: &Secret,
    signed: &SignedOctets<'_>,
) -> Result<Secret, Unsupported> {
    let algorithm = provider.prf(prf_id).ok_or(Unsupported)?;
    let padded = prf(algorithm, key.expose(), &[b"Key Pad for IKEv2"]);
    let identity = prf(algorithm, signed.auth_key.expose(), &[signed.identity]);
    Ok(prf(algorithm, padded.expose(), &[signed.message, signed.nonce, identity.expose()]))
}

/// What one side signs (RFC 7296 2.15).
pub(crate) struct SignedOctets<'a> {
    /// Its own first message, as sent.
    pub(crate) message: &'a [u8],
    /// The other side's nonce.
    pub(crate) nonce: &'a [u8],
    /// SK_pi or SK_pr, whichever is its own.
    pub(crate) auth_key: &'a Secret,
    /// The body of its ID payload, reserved octets as sent.
    pub(crate) identity: &'a [u8],
}

#[cfg(test)]
mod tests;
