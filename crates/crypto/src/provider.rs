//! The list of algorithms that there are implementations of.

use alloc::boxed::Box;
use alloc::vec::Vec;

use ikebana_proposals::ikev1::phase1::Hash;
use ikebana_proposals::{
    Encryption, IntegrityId, KeyExchangeId, PrfId, Proposal, ProtocolId, SequenceNumbersId,
};
use thiserror::Error;

use crate::cbc::CbcCipher;
use crate::digest::Digest;
use crate::key_exchange::KeyExchange;
use crate::packet::{Mac, PacketCipher};
use crate::prf::Prf;

/// Makes packet ciphers and MACs.
pub trait Ciphers: Send + Sync {
    /// The keys that a combination needs, or `None` if it is not implemented.
    fn key_lengths(
        &self,
        encryption: Option<Encryption>,
        integrity: Option<IntegrityId>,
    ) -> Option<KeyLengths>;

    /// A packet cipher; `None` if the combination is not implemented or a key has the wrong length.
    fn packet_cipher(
        &self,
        encryption: Encryption,
        integrity: Option<IntegrityId>,
        keys: &CipherKeys<'_>,
    ) -> Option<Box<dyn PacketCipher>>;

    /// An integrity algorithm alone, as AH needs it; `None` if it is not implemented or the key has the wrong
    /// length.
    fn mac(&self, integrity: IntegrityId, key: &[u8]) -> Option<Box<dyn Mac>>;

    /// A cipher in CBC mode alone, as IKEv1 needs it; `None` if it is no such cipher, is not implemented or the
    /// key has the wrong length. A backend without IKEv1 in mind has none.
    fn cbc_cipher(&self, encryption: Encryption, key: &[u8]) -> Option<Box<dyn CbcCipher>> {
        let _ = (encryption, key);
        None
    }
}

/// Octets of keying material for one direction of an SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyLengths {
    /// Encryption key with the salt that follows it.
    pub encryption: usize,
    /// Integrity key.
    pub integrity: usize,
}

/// Keying material for one direction of an SA.
#[derive(Clone, Copy)]
pub struct CipherKeys<'a> {
    /// Encryption key with the salt that follows it.
    pub encryption: &'a [u8],
    /// Integrity key; empty beside combined-mode encryption.
    pub integrity: &'a [u8],
}

/// There is no implementation of what was asked for, or the keys have the wrong length for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no implementation of {encryption:?} with integrity {integrity:?} and keys of these lengths")]
pub struct Unsupported {
    /// The encryption algorithm asked for.
    pub encryption: Option<Encryption>,
    /// The integrity algorithm asked for.
    pub integrity: Option<IntegrityId>,
}

/// A list of algorithms. Where several entries implement one algorithm, the first is used, so a faster
/// backend goes in front.
#[derive(Clone, Default)]
pub struct CryptoProvider {
    /// Pseudorandom functions.
    pub prfs: Vec<&'static dyn Prf>,
    /// Hash functions, which only IKEv1 negotiates.
    pub digests: Vec<&'static dyn Digest>,
    /// Key exchange methods.
    pub key_exchanges: Vec<&'static dyn KeyExchange>,
    /// Makers of packet ciphers.
    pub ciphers: Vec<&'static dyn Ciphers>,
}

impl CryptoProvider {
    /// Everything in [`rust_crypto`](crate::rust_crypto).
    #[must_use]
    pub fn rust_crypto() -> Self {
        crate::rust_crypto::provider()
    }

    /// Everything there is, the fastest that this processor can run first.
    ///
    /// Without the feature `std` the processor cannot be asked, and this is [`rust_crypto`](Self::rust_crypto).
    #[must_use]
    pub fn fastest() -> Self {
        let mut provider = Self::rust_crypto();
        #[cfg(target_arch = "x86_64")]
        provider.ciphers.splice(..0, crate::accelerated::ALL.map(|tier| tier as _));
        provider
    }

    /// The pseudorandom function with this number.
    #[must_use]
    pub fn prf(&self, id: PrfId) -> Option<&'static dyn Prf> {
        self.prfs.iter().copied().find(|prf| prf.id() == id)
    }

    /// The hash function with this number.
    #[must_use]
    pub fn digest(&self, id: Hash) -> Option<&'static dyn Digest> {
        self.digests.iter().copied().find(|digest| digest.id() == id)
    }

    /// The key exchange method with this number.
    #[must_use]
    pub fn key_exchange(&self, id: KeyExchangeId) -> Option<&'static dyn KeyExchange> {
        self.key_exchanges.iter().copied().find(|method| method.id() == id)
    }

    /// The keys that a combination needs, or `None` if it is not implemented.
    #[must_use]
    pub fn key_lengths(
        &self,
        encryption: Option<Encryption>,
        integrity: Option<IntegrityId>,
    ) -> Option<KeyLengths> {
        self.ciphers.iter().find_map(|ciphers| ciphers.key_lengths(encryption, integrity))
    }

    /// Whether a combination of encryption and integrity is implemented.
    #[must_use]
    pub fn supports(&self, encryption: Option<Encryption>, integrity: Option<IntegrityId>) -> bool {
        self.key_lengths(encryption, integrity).is_some()
    }

    /// A cipher for the packets of one direction of an SA.
    ///
    /// # Errors
    /// [`Unsupported`] if the combination is not implemented or a key has the wrong length.
    pub fn packet_cipher(
        &self,
        encryption: Encryption,
        integrity: Option<IntegrityId>,
        keys: &CipherKeys<'_>,
    ) -> Result<Box<dyn PacketCipher>, Unsupported> {
        self.ciphers
            .iter()
            .find_map(|ciphers| ciphers.packet_cipher(encryption, integrity, keys))
            .ok_or(Unsupported { encryption: Some(encryption), integrity })
    }

    /// An integrity algorithm alone, as AH needs it.
    ///
    /// # Errors
    /// [`Unsupported`] if it is not implemented or the key has the wrong length.
    pub fn mac(&self, integrity: IntegrityId, key: &[u8]) -> Result<Box<dyn Mac>, Unsupported> {
        self.ciphers
            .iter()
            .find_map(|ciphers| ciphers.mac(integrity, key))
            .ok_or(Unsupported { encryption: None, integrity: Some(integrity) })
    }

    /// A cipher in CBC mode alone, as IKEv1 needs it.
    ///
    /// # Errors
    /// [`Unsupported`] if it is no such cipher, is not implemented, or the key has the wrong length.
    pub fn cbc_cipher(&self, encryption: Encryption, key: &[u8]) -> Result<Box<dyn CbcCipher>, Unsupported> {
        self.ciphers
            .iter()
            .find_map(|ciphers| ciphers.cbc_cipher(encryption, key))
            .ok_or(Unsupported { encryption: Some(encryption), integrity: None })
    }

    /// The part of `proposals` that is implemented. A proposal left without an algorithm of a type it needs
    /// disappears, so what remains can be offered and accepted as it is.
    #[must_use]
    pub fn restrict(&self, proposals: &[Proposal]) -> Vec<Proposal> {
        proposals.iter().filter_map(|proposal| self.restrict_one(proposal)).collect()
    }

    fn restrict_one(&self, proposal: &Proposal) -> Option<Proposal> {
        let mut restricted = proposal.clone();
        let integrity_of = |encryption: Option<Encryption>| {
            let combined = encryption.is_some_and(Encryption::is_aead);
            let mut choices: Vec<Option<IntegrityId>> = Vec::new();
            if combined {
                choices.push(None);
            } else {
                choices.extend(proposal.integrity.iter().copied().map(Some));
            }
            choices
        };
        restricted.encryption.retain(|&encryption| {
            integrity_of(Some(encryption))
                .into_iter()
                .any(|integrity| self.supports(Some(encryption), integrity))
        });
        let partners: Vec<Option<Encryption>> = match proposal.protocol {
            ProtocolId::AH => Vec::from([None]),
            _ => restricted.encryption.iter().copied().map(Some).collect(),
        };
        restricted.integrity.retain(|&integrity| {
            integrity == IntegrityId::NONE
                || partners.iter().any(|&encryption| self.supports(encryption, Some(integrity)))
        });
        restricted.prf.retain(|&id| self.prf(id).is_some());

        let exists = |id: KeyExchangeId| id == KeyExchangeId::NONE || self.key_exchange(id).is_some();
        restricted.key_exchange.retain(|&id| exists(id));
        // A child proposal with a group is a demand for forward secrecy that must not silently go away.
        if restricted.key_exchange.is_empty() != proposal.key_exchange.is_empty() {
            return None;
        }
        for (list, original) in restricted.additional.iter_mut().zip(&proposal.additional) {
            list.retain(|&id| exists(id));
            if list.is_empty() != original.is_empty() {
                return None;
            }
        }
        restricted.sequence.retain(|id| [SequenceNumbersId::NO_ESN, SequenceNumbersId::ESN].contains(id));
        restricted.check().is_ok().then_some(restricted)
    }
}
