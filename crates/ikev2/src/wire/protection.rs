//! Sealing and opening the encrypted payload.

use alloc::vec::Vec;

use ikebana_core::codec::Problem;
use ikebana_core::{Reader, SecureRandom, WireError, Writer};
use ikebana_crypto::{CipherShape, Frame, IvRule, PacketCipher};
use ikebana_ike::{HEADER_LEN, IkeHeader};

use super::chain::{self, GENERIC_HEADER_LEN};
use super::limits::MAX_FRAGMENTS;
use super::message::{encode_header, parse_chain, split};
use super::payload::EncryptedFragmentPayload;
use super::{OpenError, ParseError, Payload, PayloadType, SealError};

/// Octets of a fragment's number and total, between the generic header and the initialization vector.
const FRAGMENT_NUMBERS_LEN: usize = 4;

/// An encrypted message, verified and decrypted.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    /// The header.
    pub header: IkeHeader,
    /// The payloads that were inside the encrypted one.
    pub payloads: Vec<Payload>,
    /// The payloads in front of the encrypted one. The peer sent them, but everyone could read them; nothing
    /// that RFC 7296 wants encrypted may be taken from here.
    pub unprotected: Vec<Payload>,
    /// The type of the first payload inside.
    pub first: PayloadType,
    /// The payloads inside as octets, without padding. `IKE_INTERMEDIATE` authenticates these (RFC 9242 3.3.2).
    pub text: Vec<u8>,
}

/// A fragment of an encrypted message, verified and decrypted.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenedFragment {
    /// The header.
    pub header: IkeHeader,
    /// The payloads in front of the encrypted one.
    pub unprotected: Vec<Payload>,
    /// This fragment's number, from 1.
    pub number: u16,
    /// How many fragments there are; not less than the number.
    pub total: u16,
    /// The type of the first payload of the whole, in fragment 1. In others it means nothing.
    pub first: PayloadType,
    /// This fragment's part of the octets of the whole, for [`parse_chain`] once all are together.
    pub text: Vec<u8>,
}

/// Where initialization vectors come from.
pub struct IvSource<'a> {
    /// For ciphers with a counter: the next value, counted up by every seal. It must never be used twice
    /// under one key.
    pub counter: &'a mut u64,
    /// For ciphers that need a vector nobody can predict.
    pub rng: &'a mut dyn SecureRandom,
}

impl IvSource<'_> {
    fn write(&mut self, shape: CipherShape, iv: &mut [u8]) -> Result<(), SealError> {
        let value = *self.counter;
        if shape.iv == IvRule::Counter {
            *self.counter = value.checked_add(1).ok_or(SealError::IvExhausted)?;
        }
        shape.draw_iv(iv, value, self.rng);
        Ok(())
    }
}

/// Verifies, decrypts and reads a message whose content is in an encrypted payload.
///
/// The integrity of the whole message is verified before anything but the framing is looked at.
///
/// # Errors
/// [`OpenError::Content`] if the peer sent something malformed; anything else may be from anyone.
pub fn open(cipher: &dyn PacketCipher, octets: &[u8]) -> Result<Opened, OpenError> {
    let sealed = Sealed::find(octets, PayloadType::ENCRYPTED)?;
    let text = sealed.open(cipher, octets, 0)?;
    let payloads = parse_chain(sealed.first, &text).map_err(OpenError::Content)?;
    let unprotected = sealed.unprotected(octets)?;
    Ok(Opened { header: sealed.header, payloads, unprotected, first: sealed.first, text })
}

/// Verifies and decrypts a message that holds a fragment (RFC 7383 2.6).
///
/// # Errors
/// [`OpenError::Content`] if the peer sent something malformed; anything else may be from anyone.
pub fn open_fragment(cipher: &dyn PacketCipher, octets: &[u8]) -> Result<OpenedFragment, OpenError> {
    let sealed = Sealed::find(octets, PayloadType::ENCRYPTED_FRAGMENT)?;
    let numbers = octets.get(sealed.body_at..).unwrap_or_default();
    let (number, total) = EncryptedFragmentPayload::read_numbers(&mut Reader::new(numbers))
        .map_err(|error| OpenError::Framing(error.into()))?;
    let text = sealed.open(cipher, octets, FRAGMENT_NUMBERS_LEN)?;
    let unprotected = sealed.unprotected(octets)?;
    Ok(OpenedFragment { header: sealed.header, unprotected, number, total, first: sealed.first, text })
}

/// Where in a message the encrypted payload is.
struct Sealed {
    header: IkeHeader,
    /// The type of the first payload inside.
    first: PayloadType,
    /// Offset of what follows the encrypted payload's generic header.
    body_at: usize,
}

impl Sealed {
    fn find(octets: &[u8], wanted: PayloadType) -> Result<Self, OpenError> {
        let (header, rest) = split(octets).map_err(OpenError::Framing)?;
        let mut found = None;
        let mut at = HEADER_LEN;
        chain::walk(PayloadType(header.next_payload), rest, |raw| {
            let body_at = at.saturating_add(GENERIC_HEADER_LEN);
            if raw.kind == wanted {
                found = Some(Self { header, first: raw.next, body_at });
            }
            at = body_at.saturating_add(raw.body.len());
            Ok(())
        })
        .map_err(OpenError::Framing)?;
        found.ok_or(OpenError::NotEncrypted)
    }

    /// Verifies and decrypts; `extra` octets after the generic header are authenticated in the clear.
    fn open(&self, cipher: &dyn PacketCipher, octets: &[u8], extra: usize) -> Result<Vec<u8>, OpenError> {
        let shape = cipher.shape();
        let header_len = self.body_at.saturating_add(extra);
        let mut bytes = octets.to_vec();
        cipher.open(Frame { bytes: &mut bytes, header_len, esn_high: None }).map_err(OpenError::Cipher)?;
        let text_at = header_len.saturating_add(shape.iv_len);
        let text_end = bytes.len().saturating_sub(shape.icv_len);
        let padded = bytes.get(text_at..text_end).unwrap_or_default();
        let text = unpad(padded).map_err(|error| OpenError::Content(error.into()))?;
        Ok(text.to_vec())
    }

    /// The payloads in front, now that the message is known to be the peer's.
    fn unprotected(&self, octets: &[u8]) -> Result<Vec<Payload>, OpenError> {
        let mut payloads = Vec::new();
        let rest = octets.get(HEADER_LEN..).unwrap_or_default();
        chain::walk(PayloadType(self.header.next_payload), rest, |raw| {
            if chain::is_encrypted(raw.kind) {
                return Ok(());
            }
            let payload = Payload::parse(&raw)?;
            if payload.is_critical() {
                return Err(ParseError::UnsupportedCritical(payload.kind()));
            }
            payloads.push(payload);
            Ok(())
        })
        .map_err(OpenError::Content)?;
        Ok(payloads)
    }
}

/// Cuts the padding off. Its octets may have any value (RFC 7296 3.14).
fn unpad(padded: &[u8]) -> Result<&[u8], WireError> {
    let (pad_len, rest) = padded.split_last().ok_or(WireError::new("pad length", Problem::Missing))?;
    let text_len = rest
        .len()
        .checked_sub(usize::from(*pad_len))
        .ok_or(WireError::new("pad length", Problem::BadValue((*pad_len).into())))?;
    rest.get(..text_len).ok_or(WireError::new("pad length", Problem::Missing))
}

/// Encrypts payloads into a message. The header's next payload, version and length are filled in.
///
/// # Errors
/// A part too long for its length field, a cipher that refuses, or initialization vectors used up.
pub fn seal(
    cipher: &dyn PacketCipher,
    header: &IkeHeader,
    payloads: &[Payload],
    iv: &mut IvSource<'_>,
) -> Result<Vec<u8>, SealError> {
    let text = encode_text(payloads)?;
    let part = Part { numbers: None, first: chain::first_kind(payloads), text: &text };
    seal_part(cipher, header, &part, iv)
}

/// Encrypts payloads into a message, or into as many fragments of it as are needed for none to be longer than
/// `max_octets`, header included (RFC 7383 2.5).
///
/// A message that fits is not fragmented.
///
/// # Errors
/// [`SealError::FragmentSize`] if the fragments would be too small or too many; otherwise as [`seal`].
pub fn seal_fragments(
    cipher: &dyn PacketCipher,
    header: &IkeHeader,
    payloads: &[Payload],
    max_octets: usize,
    iv: &mut IvSource<'_>,
) -> Result<Vec<Vec<u8>>, SealError> {
    let text = encode_text(payloads)?;
    let first = chain::first_kind(payloads);
    if sealed_len(cipher, text.len(), 0) <= max_octets {
        let part = Part { numbers: None, first, text: &text };
        return Ok(alloc::vec![seal_part(cipher, header, &part, iv)?]);
    }
    let room = room(cipher, max_octets).ok_or(SealError::FragmentSize)?;
    let total = u16::try_from(text.len().div_ceil(room)).ok().filter(|total| *total <= MAX_FRAGMENTS);
    let total = total.ok_or(SealError::FragmentSize)?;
    (1..=total)
        .zip(text.chunks(room))
        .map(|(number, text)| {
            let first = if number == 1 { first } else { PayloadType::NONE };
            seal_part(cipher, header, &Part { numbers: Some((number, total)), first, text }, iv)
        })
        .collect()
}

fn encode_text(payloads: &[Payload]) -> Result<Vec<u8>, WireError> {
    let mut writer = Writer::new();
    chain::encode(payloads, &mut writer);
    writer.finish()
}

/// Octets of a message around `text_len` octets of content.
fn sealed_len(cipher: &dyn PacketCipher, text_len: usize, extra: usize) -> usize {
    let shape = cipher.shape();
    HEADER_LEN
        .saturating_add(GENERIC_HEADER_LEN)
        .saturating_add(extra)
        .saturating_add(shape.iv_len)
        .saturating_add(padded_len(cipher, text_len))
        .saturating_add(shape.icv_len)
}

/// Octets of content with its padding and pad length.
fn padded_len(cipher: &dyn PacketCipher, text_len: usize) -> usize {
    text_len.saturating_add(1).next_multiple_of(cipher.shape().block_len.max(1))
}

/// How much content fits into a fragment of `max_octets`.
fn room(cipher: &dyn PacketCipher, max_octets: usize) -> Option<usize> {
    let shape = cipher.shape();
    let fixed = HEADER_LEN
        .saturating_add(GENERIC_HEADER_LEN)
        .saturating_add(FRAGMENT_NUMBERS_LEN)
        .saturating_add(shape.iv_len)
        .saturating_add(shape.icv_len);
    let padded = max_octets.checked_sub(fixed)?;
    let block_len = shape.block_len.max(1);
    let whole_blocks = padded.checked_sub(padded.checked_rem(block_len)?)?;
    whole_blocks.checked_sub(1).filter(|room| *room > 0)
}

/// What goes into one encrypted payload.
struct Part<'a> {
    /// Number and total, if it is a fragment.
    numbers: Option<(u16, u16)>,
    first: PayloadType,
    text: &'a [u8],
}

fn seal_part(
    cipher: &dyn PacketCipher,
    header: &IkeHeader,
    part: &Part<'_>,
    iv: &mut IvSource<'_>,
) -> Result<Vec<u8>, SealError> {
    let shape = cipher.shape();
    let (kind, extra) = match part.numbers {
        None => (PayloadType::ENCRYPTED, 0),
        Some(_) => (PayloadType::ENCRYPTED_FRAGMENT, FRAGMENT_NUMBERS_LEN),
    };
    let length = sealed_len(cipher, part.text.len(), extra);
    let mut writer = Writer::with_capacity(length);
    encode_header(header, kind, length.saturating_sub(HEADER_LEN), &mut writer);
    writer.u8(part.first.0);
    writer.u8(0);
    let mut header_len = 0;
    writer.nested_u16("payload length", 2, |body| {
        if let Some((number, total)) = part.numbers {
            body.u16(number);
            body.u16(total);
        }
        header_len = body.len();
        body.zeros(shape.iv_len);
        body.bytes(part.text);
        let pad_len = padded_len(cipher, part.text.len()).saturating_sub(part.text.len()).saturating_sub(1);
        body.zeros(pad_len);
        match u8::try_from(pad_len) {
            Ok(pad_len) => body.u8(pad_len),
            Err(_) => body.reject("pad length"),
        }
        body.zeros(shape.icv_len);
    });
    let mut bytes = writer.finish()?;
    let iv_end = header_len.saturating_add(shape.iv_len);
    if let Some(slot) = bytes.get_mut(header_len..iv_end) {
        iv.write(shape, slot)?;
    }
    cipher.seal(Frame { bytes: &mut bytes, header_len, esn_high: None })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
