//! AES-CBC, AES-CTR or no encryption, with HMAC: the ciphers whose packets go through the kernels together.

use arrayvec::ArrayVec;
use ikebana_proposals::{Encryption, EncryptionId, IntegrityId};

use super::cbc_lanes::{self, Chains};
use super::hmac::{self, HmacKey, LaneHash, Message, Messages, Sha1, Sha256, Sha384, Sha512};
use crate::batch::{BATCH, CipherJob};
use crate::hash::ct_eq;
use crate::packet::{CipherError, CipherShape, Frame, IvRule, MAX_ICV, PacketCipher};
use crate::provider::CipherKeys;
use crate::simd::cbc::{self, Chain};
use crate::simd::ctr::CtrKey;
use crate::simd::{AesKey, Tier};

/// A cipher with a part in the lanes.
pub struct LaneCipher {
    tier: Tier,
    text: Text,
    mac: LaneMac,
    shape: CipherShape,
}

enum Text {
    /// ENCR_NULL (RFC 2410).
    Clear,
    Cbc(AesKey),
    /// RFC 3686. It needs no lanes, but its HMAC does.
    Ctr(CtrKey),
}

enum LaneMac {
    Sha1(HmacKey<Sha1>),
    Sha256(HmacKey<Sha256>),
    Sha384(HmacKey<Sha384>),
    Sha512(HmacKey<Sha512>),
}

pub(super) fn is_implemented(encryption: Encryption, integrity: IntegrityId) -> bool {
    let text = matches!(
        (encryption.id, encryption.key_bits),
        (EncryptionId::NULL, 0) | (EncryptionId::AES_CBC | EncryptionId::AES_CTR, 128 | 192 | 256)
    );
    let mac = [
        IntegrityId::HMAC_SHA1_96,
        IntegrityId::HMAC_SHA2_256_128,
        IntegrityId::HMAC_SHA2_384_192,
        IntegrityId::HMAC_SHA2_512_256,
    ];
    text && mac.contains(&integrity)
}

impl LaneCipher {
    pub(super) fn new(
        tier: Tier,
        encryption: Encryption,
        integrity: IntegrityId,
        keys: &CipherKeys<'_>,
    ) -> Option<Self> {
        let text = match encryption.id {
            EncryptionId::NULL => Text::Clear,
            EncryptionId::AES_CBC => Text::Cbc(AesKey::new(tier, keys.encryption)?),
            EncryptionId::AES_CTR => Text::Ctr(CtrKey::new(tier, keys.encryption)?),
            _ => return None,
        };
        let mac = match integrity {
            IntegrityId::HMAC_SHA1_96 => LaneMac::Sha1(HmacKey::new(tier, keys.integrity)?),
            IntegrityId::HMAC_SHA2_256_128 => LaneMac::Sha256(HmacKey::new(tier, keys.integrity)?),
            IntegrityId::HMAC_SHA2_384_192 => LaneMac::Sha384(HmacKey::new(tier, keys.integrity)?),
            IntegrityId::HMAC_SHA2_512_256 => LaneMac::Sha512(HmacKey::new(tier, keys.integrity)?),
            _ => return None,
        };
        let (iv_len, block_len, iv) = match text {
            Text::Clear => (0, 1, IvRule::None),
            Text::Cbc(_) => (16, 16, IvRule::Random),
            Text::Ctr(_) => (8, 1, IvRule::Counter),
        };
        let shape = CipherShape { iv_len, icv_len: integrity.icv_len(), block_len, iv };
        Some(Self { tier, text, mac, shape })
    }
}

impl PacketCipher for LaneCipher {
    fn shape(&self) -> CipherShape {
        self.shape
    }

    fn seal(&self, frame: Frame<'_>) -> Result<(), CipherError> {
        let mut job = [CipherJob::new(self, frame)];
        seal_batch(&mut job);
        let [job] = job;
        job.result
    }

    fn open(&self, frame: Frame<'_>) -> Result<(), CipherError> {
        let mut job = [CipherJob::new(self, frame)];
        open_batch(&mut job);
        let [job] = job;
        job.result
    }

    fn lanes(&self) -> Option<&LaneCipher> {
        Some(self)
    }
}

/// Seals the frames whose ciphers have a part in the lanes, at most [`BATCH`], and leaves the others alone.
pub(crate) fn seal_batch(jobs: &mut [CipherJob<'_>]) {
    let mut chains = Chains::new();
    let mut tier = None;
    for CipherJob { cipher, frame, result } in jobs.iter_mut() {
        let Some(lane) = cipher.lanes() else { continue };
        tier = Some(lane.tier);
        match frame.reborrow().split(lane.shape) {
            Ok(parts) => {
                // Whatever keeps a text from being encrypted also keeps it from being called sealed.
                *result = Err(CipherError::Layout);
                match &lane.text {
                    Text::Clear => {}
                    Text::Cbc(key) => {
                        let Ok(state) = parts.iv.try_into() else { continue };
                        let (blocks, _) = parts.text.as_chunks_mut();
                        if !blocks.is_empty() {
                            chains.push(Chain { key, state, blocks });
                        }
                    }
                    Text::Ctr(key) => {
                        let Ok(iv) = parts.iv.try_into() else { continue };
                        key.apply(iv, parts.text);
                    }
                }
                *result = Ok(());
            }
            Err(error) => *result = Err(error),
        }
    }
    let Some(tier) = tier else { return };
    cbc_lanes::encrypt(tier, &mut chains);
    drop(chains);

    let mut macs = Macs::default();
    for CipherJob { cipher, frame, result } in jobs {
        let Some(lane) = cipher.lanes().filter(|_| result.is_ok()) else { continue };
        let text_end = frame.bytes.len().saturating_sub(lane.shape.icv_len);
        let (octets, icv) = frame.bytes.split_at_mut(text_end);
        macs.push(&lane.mac, octets, frame.esn_high, icv);
    }
    macs.compute(tier);
}

/// Opens the frames whose ciphers have a part in the lanes, at most [`BATCH`], and leaves the others alone.
pub(crate) fn open_batch(jobs: &mut [CipherJob<'_>]) {
    let mut expected = [[0; MAX_ICV]; BATCH];
    let mut macs = Macs::default();
    let mut tier = None;
    for (CipherJob { cipher, frame, result }, icv) in jobs.iter_mut().zip(&mut expected) {
        let Some(lane) = cipher.lanes() else { continue };
        tier = Some(lane.tier);
        *result = frame.reborrow().split(lane.shape).map(drop);
        let text_end = frame.bytes.len().saturating_sub(lane.shape.icv_len);
        if let (Ok(()), Some(octets), Some(icv)) =
            (&result, frame.bytes.get(..text_end), icv.get_mut(..lane.shape.icv_len))
        {
            macs.push(&lane.mac, octets, frame.esn_high, icv);
        }
    }
    let Some(tier) = tier else { return };
    macs.compute(tier);
    drop(macs);

    for (CipherJob { cipher, frame, result }, icv) in jobs.iter_mut().zip(&expected) {
        let Some(lane) = cipher.lanes().filter(|_| result.is_ok()) else { continue };
        let Ok(parts) = frame.reborrow().split(lane.shape) else { continue };
        if !ct_eq(parts.icv, icv.get(..lane.shape.icv_len).unwrap_or_default()) {
            *result = Err(CipherError::Forged);
            continue;
        }
        *result = Err(CipherError::Layout);
        match &lane.text {
            Text::Clear => {}
            Text::Cbc(key) => {
                let Ok(iv) = parts.iv.try_into() else { continue };
                let (blocks, _) = parts.text.as_chunks_mut();
                cbc::decrypt(tier, key, iv, blocks);
            }
            Text::Ctr(key) => {
                let Ok(iv) = parts.iv.try_into() else { continue };
                key.apply(iv, parts.text);
            }
        }
        *result = Ok(());
    }
}

/// Messages of a batch, by hash function.
#[derive(Default)]
struct Macs<'a> {
    sha1: Messages<'a, Sha1>,
    sha256: Messages<'a, Sha256>,
    sha384: Messages<'a, Sha384>,
    sha512: Messages<'a, Sha512>,
}

impl<'a> Macs<'a> {
    fn push(&mut self, mac: &'a LaneMac, octets: &'a [u8], esn_high: Option<u32>, icv: &'a mut [u8]) {
        match mac {
            LaneMac::Sha1(key) => push(&mut self.sha1, key, octets, esn_high, icv),
            LaneMac::Sha256(key) => push(&mut self.sha256, key, octets, esn_high, icv),
            LaneMac::Sha384(key) => push(&mut self.sha384, key, octets, esn_high, icv),
            LaneMac::Sha512(key) => push(&mut self.sha512, key, octets, esn_high, icv),
        }
    }

    fn compute(&mut self, tier: Tier) {
        hmac::compute(tier, &mut self.sha1);
        hmac::compute(tier, &mut self.sha256);
        hmac::compute(tier, &mut self.sha384);
        hmac::compute(tier, &mut self.sha512);
    }
}

fn push<'a, H: LaneHash>(
    messages: &mut ArrayVec<Message<'a, H>, BATCH>,
    key: &'a HmacKey<H>,
    octets: &'a [u8],
    esn_high: Option<u32>,
    icv: &'a mut [u8],
) {
    messages.push(Message { key, octets, behind: esn_high.map(u32::to_be_bytes), icv });
}
