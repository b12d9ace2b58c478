//! Pseudorandom functions: HMAC (RFC 4868), AES-XCBC-PRF-128 (RFC 4434) and AES-CMAC-PRF-128 (RFC 4615).

use core::marker::PhantomData;

use hmac::digest::Mac as _;
use hmac::{EagerHash, Hmac, KeyInit};
use ikebana_proposals::PrfId;
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

use super::block_mac::BlockMac;
use crate::prf::Prf;

pub(super) const ALL: &[&dyn Prf] = &[
    &HmacPrf::<Sha1>(PrfId::HMAC_SHA1, PhantomData),
    &HmacPrf::<Sha256>(PrfId::HMAC_SHA2_256, PhantomData),
    &HmacPrf::<Sha384>(PrfId::HMAC_SHA2_384, PhantomData),
    &HmacPrf::<Sha512>(PrfId::HMAC_SHA2_512, PhantomData),
    &XcbcPrf,
    &CmacPrf,
    #[cfg(feature = "legacy")]
    &HmacPrf::<md5::Md5>(PrfId::HMAC_MD5, PhantomData),
];

struct HmacPrf<D>(PrfId, PhantomData<fn() -> D>);

impl<D: EagerHash> Prf for HmacPrf<D> {
    fn id(&self) -> PrfId {
        self.0
    }

    fn compute(&self, key: &[u8], parts: &[&[u8]], out: &mut [u8]) {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
        let mut mac = <Hmac<D> as KeyInit>::new_from_slice(key).expect("HMAC takes keys of every length");
        for part in parts {
            mac.update(part);
        }
        let full = Zeroizing::new(mac.finalize().into_bytes());
        for (octet, &value) in out.iter_mut().zip(full.iter()) {
            *octet = value;
        }
    }
}

struct XcbcPrf;

impl Prf for XcbcPrf {
    fn id(&self) -> PrfId {
        PrfId::AES128_XCBC
    }

    fn compute(&self, key: &[u8], parts: &[&[u8]], out: &mut [u8]) {
        let fitted = match <&[u8; 16]>::try_from(key) {
            Ok(key) => Zeroizing::new(*key),
            // RFC 4434 2: a longer key is replaced by its MAC under zero, a shorter one is filled with zeros.
            Err(_) if key.len() > 16 => Zeroizing::new(BlockMac::xcbc(&[0; 16]).compute(&[key])),
            Err(_) => {
                let mut filled = Zeroizing::new([0; 16]);
                for (octet, &value) in filled.iter_mut().zip(key) {
                    *octet = value;
                }
                filled
            }
        };
        emit(BlockMac::xcbc(&fitted), parts, out);
    }
}

struct CmacPrf;

impl Prf for CmacPrf {
    fn id(&self) -> PrfId {
        PrfId::AES128_CMAC
    }

    fn compute(&self, key: &[u8], parts: &[&[u8]], out: &mut [u8]) {
        let fitted = match <&[u8; 16]>::try_from(key) {
            Ok(key) => Zeroizing::new(*key),
            // RFC 4615 3: a key of any other length, shorter or longer, is replaced by its MAC under zero.
            Err(_) => Zeroizing::new(BlockMac::cmac(&[0; 16]).compute(&[key])),
        };
        emit(BlockMac::cmac(&fitted), parts, out);
    }
}

fn emit(mac: BlockMac, parts: &[&[u8]], out: &mut [u8]) {
    let full = Zeroizing::new(mac.compute(parts));
    for (octet, &value) in out.iter_mut().zip(full.iter()) {
        *octet = value;
    }
}
