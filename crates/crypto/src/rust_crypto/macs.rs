//! Integrity algorithms: HMAC (RFC 2403, 2404, 4868), AES-XCBC-96 (RFC 3566) and AES-CMAC-96 (RFC 4494).

use alloc::boxed::Box;

use hmac::digest::Mac as _;
use hmac::{EagerHash, Hmac, KeyInit};
use ikebana_proposals::IntegrityId;
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};

use super::block_mac::BlockMac;
use crate::packet::Mac;

pub(super) fn is_implemented(id: IntegrityId) -> bool {
    let legacy = cfg!(feature = "legacy") && id == IntegrityId::HMAC_MD5_96;
    legacy
        || [
            IntegrityId::HMAC_SHA1_96,
            IntegrityId::HMAC_SHA2_256_128,
            IntegrityId::HMAC_SHA2_384_192,
            IntegrityId::HMAC_SHA2_512_256,
            IntegrityId::AES_XCBC_96,
            IntegrityId::AES_CMAC_96,
        ]
        .contains(&id)
}

pub(super) fn new(id: IntegrityId, key: &[u8]) -> Option<Box<dyn Mac>> {
    if key.len() != id.key_len() {
        return None;
    }
    match id {
        IntegrityId::HMAC_SHA1_96 => hmac::<Sha1>(id, key),
        IntegrityId::HMAC_SHA2_256_128 => hmac::<Sha256>(id, key),
        IntegrityId::HMAC_SHA2_384_192 => hmac::<Sha384>(id, key),
        IntegrityId::HMAC_SHA2_512_256 => hmac::<Sha512>(id, key),
        IntegrityId::AES_XCBC_96 => Some(Box::new(Truncated(BlockMac::xcbc(key.try_into().ok()?)))),
        IntegrityId::AES_CMAC_96 => Some(Box::new(Truncated(BlockMac::cmac(key.try_into().ok()?)))),
        #[cfg(feature = "legacy")]
        IntegrityId::HMAC_MD5_96 => hmac::<md5::Md5>(id, key),
        _ => None,
    }
}

fn hmac<D>(id: IntegrityId, key: &[u8]) -> Option<Box<dyn Mac>>
where
    D: EagerHash + 'static,
    Hmac<D>: Send + Sync,
{
    let keyed = <Hmac<D> as KeyInit>::new_from_slice(key).ok()?;
    Some(Box::new(Keyed { keyed, icv_len: id.icv_len() }))
}

/// HMAC with the hashed inner and outer pads, cloned for each packet.
struct Keyed<D: EagerHash> {
    keyed: Hmac<D>,
    icv_len: usize,
}

impl<D: EagerHash> Mac for Keyed<D>
where
    Hmac<D>: Send + Sync,
{
    fn icv_len(&self) -> usize {
        self.icv_len
    }

    fn compute(&self, parts: &[&[u8]], icv: &mut [u8]) {
        let mut mac = self.keyed.clone();
        for part in parts {
            mac.update(part);
        }
        let full = mac.finalize().into_bytes();
        for (octet, &value) in icv.iter_mut().zip(full.iter().take(self.icv_len)) {
            *octet = value;
        }
    }
}

/// A MAC on AES, truncated to 96 bits.
struct Truncated(BlockMac);

impl Mac for Truncated {
    fn icv_len(&self) -> usize {
        12
    }

    fn compute(&self, parts: &[&[u8]], icv: &mut [u8]) {
        let full = self.0.compute(parts);
        for (octet, &value) in icv.iter_mut().zip(full.iter().take(12)) {
            *octet = value;
        }
    }
}
