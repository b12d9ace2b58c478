//! One agreed algorithm of every type.

use alloc::vec::Vec;
use core::fmt;

use crate::properties::Encryption;
use crate::proposal::{Dashes, Word};
use crate::registries::{IntegrityId, KeyExchangeId, PrfId, ProtocolId};

/// No additional key exchanges.
pub const NO_ADDITIONAL: [KeyExchangeId; 7] = [KeyExchangeId::NONE; 7];

/// What protects an IKE SA. `Display` prints the keywords of a proposal that offers just this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IkeSuite {
    /// Encrypts SK payloads.
    pub encryption: Encryption,
    /// Authenticates SK payloads; `None` exactly if the encryption is a combined mode.
    pub integrity: Option<IntegrityId>,
    /// Derives all keys.
    pub prf: PrfId,
    /// The key exchange; never [`KeyExchangeId::NONE`].
    pub key_exchange: KeyExchangeId,
    /// The additional key exchanges 1 to 7 of RFC 9370, [`KeyExchangeId::NONE`] where there is none.
    pub additional: [KeyExchangeId; 7],
}

/// What protects a child SA. `Display` prints the keywords of a proposal that offers just this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChildSuite {
    /// ESP or AH.
    pub protocol: ProtocolId,
    /// Encrypts packets; `None` exactly for AH.
    pub encryption: Option<Encryption>,
    /// Authenticates packets; `None` exactly if the encryption is a combined mode.
    pub integrity: Option<IntegrityId>,
    /// The key exchange for perfect forward secrecy.
    pub key_exchange: Option<KeyExchangeId>,
    /// The additional key exchanges 1 to 7 of RFC 9370, [`KeyExchangeId::NONE`] where there is none.
    pub additional: [KeyExchangeId; 7],
    /// Whether sequence numbers have 64 bits.
    pub esn: bool,
}

fn additional_words(out: &mut Dashes<'_, '_>, additional: &[KeyExchangeId; 7]) -> fmt::Result {
    for (position, &id) in (1..).zip(additional) {
        if id != KeyExchangeId::NONE {
            out.word(&format_args!("ke{position}_{}", Word(id)))?;
        }
    }
    Ok(())
}

impl IkeSuite {
    /// The additional key exchanges that take place, in their order.
    #[must_use]
    pub fn additional_exchanges(&self) -> Vec<KeyExchangeId> {
        self.additional.iter().copied().filter(|&id| id != KeyExchangeId::NONE).collect()
    }
}

impl ChildSuite {
    /// The additional key exchanges that take place, in their order.
    #[must_use]
    pub fn additional_exchanges(&self) -> Vec<KeyExchangeId> {
        self.additional.iter().copied().filter(|&id| id != KeyExchangeId::NONE).collect()
    }
}

impl fmt::Display for IkeSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Dashes::new(f);
        out.word(&self.encryption)?;
        if let Some(id) = self.integrity {
            out.word(&Word(id))?;
        }
        if self.integrity.and_then(IntegrityId::matching_prf) != Some(self.prf) {
            out.word(&Word(self.prf))?;
        }
        out.word(&Word(self.key_exchange))?;
        additional_words(&mut out, &self.additional)
    }
}

impl fmt::Display for ChildSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Dashes::new(f);
        if let Some(encryption) = self.encryption {
            out.word(&encryption)?;
        }
        if let Some(id) = self.integrity {
            out.word(&Word(id))?;
        }
        if let Some(id) = self.key_exchange {
            out.word(&Word(id))?;
        }
        additional_words(&mut out, &self.additional)?;
        if self.esn {
            out.word(&"esn")?;
        }
        Ok(())
    }
}
