//! Libraries that take one packet at a time: prepared keys, the plainest loop around their own functions.

use aes::cipher::{
    Block, BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, BlockSizeUser,
    InnerIvInit,
};
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut, KeyInit, Nonce, Tag};
use aws_lc_rs::{aead, cipher, constant_time, hmac as aws_hmac};
use hmac::{Hmac, Mac};

use crate::contender::{Contender, Row};
use crate::workload::{ESP_HEADER, Packets, Suite, Workload};

/// Octets of IV in a packet, for CBC and for the combined modes.
const CBC_IV: usize = 16;
const COMBINED_IV: usize = 8;
const SALT: usize = 4;
const COMBINED_ICV: usize = 16;

/// A cipher of a suite, with its key.
trait OnePacket {
    fn seal(&self, frame: &mut [u8]);
    /// Whether the packet is authentic.
    fn open(&self, frame: &mut [u8]) -> bool;
}

/// The library in `row` with its ciphers for the workload; `None` if it does not have them.
pub(crate) fn contender(row: Row, workload: &Workload) -> Option<Box<dyn Contender>> {
    let ciphers = workload.sas().map(|sa| cipher_of(row, workload.suite, sa)).collect::<Option<_>>()?;
    Some(Box::new(OneByOne { row, ciphers, many_sas: workload.many_sas, packets: workload.packets() }))
}

struct OneByOne {
    row: Row,
    ciphers: Vec<Box<dyn OnePacket>>,
    many_sas: bool,
    packets: Packets,
}

impl OneByOne {
    fn each(&mut self, work: impl Fn(&dyn OnePacket, &mut [u8])) {
        for (index, frame) in self.packets.frames_mut().enumerate() {
            work(&*self.ciphers[if self.many_sas { index } else { 0 }], frame);
        }
    }
}

impl Contender for OneByOne {
    fn name(&self) -> String {
        self.row.name().into()
    }

    fn row(&self) -> Row {
        self.row
    }

    fn seal(&mut self, _batch: usize) {
        self.each(|cipher, frame| cipher.seal(frame));
    }

    fn open(&mut self, _batch: usize) {
        self.each(|cipher, frame| assert!(cipher.open(frame)));
    }

    fn packets(&mut self) -> &mut Packets {
        &mut self.packets
    }
}

fn cipher_of(row: Row, suite: Suite, sa: usize) -> Option<Box<dyn OnePacket>> {
    let [encryption, integrity] = suite.keys(sa);
    let keys = (&*encryption, &*integrity);
    match row {
        Row::RustCrypto => rust_crypto(suite, keys),
        Row::AwsLc => aws_lc(suite, keys),
        Row::Graviola => graviola(suite, keys),
        Row::Whole | Row::Bare | Row::IpsecMb => None,
    }
}

fn split_salt(key: &[u8]) -> Option<(&[u8], [u8; SALT])> {
    key.split_last_chunk().map(|(key, salt)| (key, *salt))
}

/// A combined mode's nonce: the salt, and the IV behind the header (RFC 4106 4).
fn nonce(salt: [u8; SALT], header: &[u8]) -> [u8; SALT + COMBINED_IV] {
    let mut nonce = [0; SALT + COMBINED_IV];
    nonce[..SALT].copy_from_slice(&salt);
    nonce[SALT..].copy_from_slice(&header[ESP_HEADER..]);
    nonce
}

/// Header with IV, text, ICV.
fn split(frame: &mut [u8], iv_len: usize, icv_len: usize) -> (&mut [u8], &mut [u8], &mut [u8]) {
    let (header, rest) = frame.split_at_mut(ESP_HEADER + iv_len);
    let (text, icv) = rest.split_at_mut(rest.len() - icv_len);
    (header, text, icv)
}

// RustCrypto.

fn rust_crypto(suite: Suite, (encryption, integrity): (&[u8], &[u8])) -> Option<Box<dyn OnePacket>> {
    use aes::{Aes128, Aes256};
    fn cbc<C: KeyInit, M: KeyInit>(keys: (&[u8], &[u8]), icv_len: usize) -> Option<RustCbc<C, M>> {
        let (cipher, mac) = (C::new_from_slice(keys.0).ok()?, M::new_from_slice(keys.1).ok()?);
        Some(RustCbc { cipher, mac, icv_len })
    }
    fn combined<A: KeyInit>(key: &[u8]) -> Option<RustCombined<A>> {
        let (key, salt) = split_salt(key)?;
        Some(RustCombined { aead: A::new_from_slice(key).ok()?, salt })
    }
    let keys = (encryption, integrity);
    Some(match suite {
        Suite::Aes128Sha1 => Box::new(cbc::<Aes128, Hmac<sha1::Sha1>>(keys, 12)?),
        Suite::Aes256Sha256 => Box::new(cbc::<Aes256, Hmac<sha2::Sha256>>(keys, 16)?),
        Suite::Aes128Sha512 => Box::new(cbc::<Aes128, Hmac<sha2::Sha512>>(keys, 32)?),
        Suite::Aes128Gcm => Box::new(combined::<aes_gcm::Aes128Gcm>(encryption)?),
        Suite::Aes256Gcm => Box::new(combined::<aes_gcm::Aes256Gcm>(encryption)?),
        Suite::ChaCha20Poly1305 => Box::new(combined::<chacha20poly1305::ChaCha20Poly1305>(encryption)?),
    })
}

struct RustCbc<C, M> {
    cipher: C,
    mac: M,
    icv_len: usize,
}

impl<C, M> OnePacket for RustCbc<C, M>
where
    C: BlockCipherEncrypt + BlockCipherDecrypt + BlockSizeUser,
    M: Mac + Clone,
{
    fn seal(&self, frame: &mut [u8]) {
        let (message, icv) = frame.split_at_mut(frame.len() - self.icv_len);
        let (header, text) = message.split_at_mut(ESP_HEADER + CBC_IV);
        let mode = cbc::Encryptor::inner_iv_slice_init(&self.cipher, &header[ESP_HEADER..]);
        mode.expect("an IV").encrypt_blocks(Block::<C>::slice_as_chunks_mut(text).0);
        let mut mac = self.mac.clone();
        mac.update(message);
        icv.copy_from_slice(&mac.finalize().into_bytes()[..self.icv_len]);
    }

    fn open(&self, frame: &mut [u8]) -> bool {
        let (message, icv) = frame.split_at_mut(frame.len() - self.icv_len);
        let mut mac = self.mac.clone();
        mac.update(message);
        let authentic = mac.verify_truncated_left(icv).is_ok();
        let (header, text) = message.split_at_mut(ESP_HEADER + CBC_IV);
        let mode = cbc::Decryptor::inner_iv_slice_init(&self.cipher, &header[ESP_HEADER..]);
        mode.expect("an IV").decrypt_blocks(Block::<C>::slice_as_chunks_mut(text).0);
        authentic
    }
}

struct RustCombined<A> {
    aead: A,
    salt: [u8; SALT],
}

impl<A: AeadInOut> RustCombined<A> {
    fn nonce(&self, header: &[u8]) -> Nonce<A> {
        Nonce::<A>::try_from(&nonce(self.salt, header)[..]).expect("a nonce of 12 octets")
    }
}

impl<A: AeadInOut> OnePacket for RustCombined<A> {
    fn seal(&self, frame: &mut [u8]) {
        let (header, text, icv) = split(frame, COMBINED_IV, COMBINED_ICV);
        let aad = &header[..ESP_HEADER];
        let tag = self.aead.encrypt_inout_detached(&self.nonce(header), aad, InOutBuf::from(text));
        icv.copy_from_slice(&tag.expect("a text of this length"));
    }

    fn open(&self, frame: &mut [u8]) -> bool {
        let (header, text, icv) = split(frame, COMBINED_IV, COMBINED_ICV);
        let aad = &header[..ESP_HEADER];
        let tag = Tag::<A>::try_from(&*icv).expect("a tag of 16 octets");
        self.aead.decrypt_inout_detached(&self.nonce(header), aad, InOutBuf::from(text), &tag).is_ok()
    }
}

// aws-lc-rs.

fn aws_lc(suite: Suite, (encryption, integrity): (&[u8], &[u8])) -> Option<Box<dyn OnePacket>> {
    let cbc = |aes: &'static cipher::Algorithm, hash, icv_len| -> Option<Box<dyn OnePacket>> {
        let key = || cipher::UnboundCipherKey::new(aes, encryption).ok();
        Some(Box::new(AwsLcCbc {
            encrypt: cipher::EncryptingKey::cbc(key()?).ok()?,
            decrypt: cipher::DecryptingKey::cbc(key()?).ok()?,
            mac: aws_hmac::Key::new(hash, integrity),
            icv_len,
        }))
    };
    let combined = |algorithm| -> Option<Box<dyn OnePacket>> {
        let (key, salt) = split_salt(encryption)?;
        let key = aead::UnboundKey::new(algorithm, key).ok()?;
        Some(Box::new(AwsLcCombined { key: aead::LessSafeKey::new(key), salt }))
    };
    match suite {
        Suite::Aes128Sha1 => cbc(&cipher::AES_128, aws_hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, 12),
        Suite::Aes256Sha256 => cbc(&cipher::AES_256, aws_hmac::HMAC_SHA256, 16),
        Suite::Aes128Sha512 => cbc(&cipher::AES_128, aws_hmac::HMAC_SHA512, 32),
        Suite::Aes128Gcm => combined(&aead::AES_128_GCM),
        Suite::Aes256Gcm => combined(&aead::AES_256_GCM),
        Suite::ChaCha20Poly1305 => combined(&aead::CHACHA20_POLY1305),
    }
}

struct AwsLcCbc {
    encrypt: cipher::EncryptingKey,
    decrypt: cipher::DecryptingKey,
    mac: aws_hmac::Key,
    icv_len: usize,
}

fn iv(header: &[u8]) -> aws_lc_rs::iv::FixedLength<CBC_IV> {
    header[ESP_HEADER..].try_into().expect("an IV of 16 octets")
}

impl OnePacket for AwsLcCbc {
    fn seal(&self, frame: &mut [u8]) {
        let (message, icv) = frame.split_at_mut(frame.len() - self.icv_len);
        let (header, text) = message.split_at_mut(ESP_HEADER + CBC_IV);
        let context = cipher::EncryptionContext::Iv128(iv(header));
        self.encrypt.less_safe_encrypt(text, context).expect("whole blocks");
        icv.copy_from_slice(&aws_hmac::sign(&self.mac, message).as_ref()[..self.icv_len]);
    }

    fn open(&self, frame: &mut [u8]) -> bool {
        let (message, icv) = frame.split_at_mut(frame.len() - self.icv_len);
        let expected = aws_hmac::sign(&self.mac, message);
        let (header, text) = message.split_at_mut(ESP_HEADER + CBC_IV);
        let context = cipher::DecryptionContext::Iv128(iv(header));
        self.decrypt.decrypt(text, context).expect("whole blocks");
        constant_time::verify_slices_are_equal(&expected.as_ref()[..self.icv_len], icv).is_ok()
    }
}

struct AwsLcCombined {
    key: aead::LessSafeKey,
    salt: [u8; SALT],
}

impl OnePacket for AwsLcCombined {
    fn seal(&self, frame: &mut [u8]) {
        let (header, text, icv) = split(frame, COMBINED_IV, COMBINED_ICV);
        let nonce = aead::Nonce::assume_unique_for_key(nonce(self.salt, header));
        let aad = aead::Aad::from(&header[..ESP_HEADER]);
        let tag = self.key.seal_in_place_separate_tag(nonce, aad, text).expect("a text of this length");
        icv.copy_from_slice(tag.as_ref());
    }

    fn open(&self, frame: &mut [u8]) -> bool {
        let (header, text_and_icv) = frame.split_at_mut(ESP_HEADER + COMBINED_IV);
        let nonce = aead::Nonce::assume_unique_for_key(nonce(self.salt, header));
        let aad = aead::Aad::from(&header[..ESP_HEADER]);
        self.key.open_in_place(nonce, aad, text_and_icv).is_ok()
    }
}

// graviola, which has no CBC.

fn graviola(suite: Suite, (encryption, _): (&[u8], &[u8])) -> Option<Box<dyn OnePacket>> {
    let (key, salt) = split_salt(encryption)?;
    match suite {
        Suite::Aes128Gcm | Suite::Aes256Gcm => {
            Some(Box::new(GraviolaGcm { aead: graviola::aead::AesGcm::new(key), salt }))
        }
        Suite::ChaCha20Poly1305 => {
            let aead = graviola::aead::ChaCha20Poly1305::new(key.try_into().ok()?);
            Some(Box::new(GraviolaChaCha { aead, salt }))
        }
        Suite::Aes128Sha1 | Suite::Aes256Sha256 | Suite::Aes128Sha512 => None,
    }
}

struct GraviolaGcm {
    aead: graviola::aead::AesGcm,
    salt: [u8; SALT],
}

struct GraviolaChaCha {
    aead: graviola::aead::ChaCha20Poly1305,
    salt: [u8; SALT],
}

macro_rules! graviola_packet {
    ($type:ty) => {
        impl OnePacket for $type {
            fn seal(&self, frame: &mut [u8]) {
                let (header, text, icv) = split(frame, COMBINED_IV, COMBINED_ICV);
                let icv = icv.try_into().expect("an ICV of 16 octets");
                self.aead.encrypt(&nonce(self.salt, header), &header[..ESP_HEADER], text, icv);
            }

            fn open(&self, frame: &mut [u8]) -> bool {
                let (header, text, icv) = split(frame, COMBINED_IV, COMBINED_ICV);
                self.aead.decrypt(&nonce(self.salt, header), &header[..ESP_HEADER], text, icv).is_ok()
            }
        }
    };
}

graviola_packet!(GraviolaGcm);
graviola_packet!(GraviolaChaCha);
