use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use ikebana_core::IkeSpi;
use ikebana_crypto::{CipherError, CipherKeys, CryptoProvider};
use ikebana_ike::{ExchangeType, Flags};
use ikebana_proposals::Proposal;

use super::*;
use crate::wire::{NotifyPayload, NotifyType};

struct Fixed;

impl SecureRandom for Fixed {
    fn fill_public(&mut self, out: &mut [u8]) {
        out.fill(0x5a);
    }
    fn fill_secret(&mut self, _: &mut [u8]) {
        panic!("nothing here is secret");
    }
}

fn cipher(keywords: &str) -> Box<dyn PacketCipher> {
    let proposal = Proposal::ike(keywords).unwrap();
    let provider = CryptoProvider::rust_crypto();
    let (encryption, integrity) = (proposal.encryption[0], proposal.integrity.first().copied());
    let lengths = provider.key_lengths(Some(encryption), integrity).unwrap();
    let (encryption_key, integrity_key) = (vec![1; lengths.encryption], vec![2; lengths.integrity]);
    let keys = CipherKeys { encryption: &encryption_key, integrity: &integrity_key };
    provider.packet_cipher(encryption, integrity, &keys).unwrap()
}

const SUITES: [&str; 5] = [
    "aes128-sha1-modp2048",
    "aes256-sha512-modp2048",
    "aes128gcm16-prfsha256-modp2048",
    "aes256ccm8-prfsha256-modp2048",
    "chacha20poly1305-prfsha256-modp2048",
];

fn header() -> IkeHeader {
    IkeHeader {
        initiator_spi: IkeSpi([1; 8]),
        responder_spi: IkeSpi([2; 8]),
        next_payload: 0,
        major: 2,
        minor: 0,
        exchange: ExchangeType::INFORMATIONAL,
        flags: Flags::v2(true, false),
        message_id: 7,
        length: 0,
    }
}

fn sealed(cipher: &dyn PacketCipher, payloads: &[Payload]) -> Vec<u8> {
    let mut iv = IvSource { counter: &mut 1, rng: &mut Fixed };
    seal(cipher, &header(), payloads, &mut iv).unwrap()
}

/// Seals text that is no chain of payloads, with its padding as it is.
fn sealed_raw(cipher: &dyn PacketCipher, first: u8, padded: &[u8]) -> Vec<u8> {
    let shape = cipher.shape();
    let mut writer = Writer::new();
    let length = 4 + shape.iv_len + padded.len() + shape.icv_len;
    encode_header(&header(), PayloadType::ENCRYPTED, length, &mut writer);
    writer.u8(first);
    writer.u8(0);
    writer.u16(u16::try_from(length).unwrap());
    writer.zeros(shape.iv_len);
    writer.bytes(padded);
    writer.zeros(shape.icv_len);
    let mut bytes = writer.finish().unwrap();
    cipher.seal(Frame { bytes: &mut bytes, header_len: 32, esn_high: None }).unwrap();
    bytes
}

fn vendor(length: usize) -> Payload {
    Payload::VendorId(vec![3; length])
}

#[test]
fn what_was_sealed_opens_with_every_kind_of_cipher_and_length() {
    for suite in SUITES {
        let cipher = cipher(suite);
        assert!(open(&*cipher, &sealed(&*cipher, &[])).unwrap().payloads.is_empty(), "{suite}");
        for length in 0..40 {
            let payloads = [vendor(length), Payload::Nonce(vec![9; 16])];
            let opened = open(&*cipher, &sealed(&*cipher, &payloads)).unwrap();
            assert_eq!(opened.payloads, payloads, "{suite} {length}");
            assert_eq!(opened.first, PayloadType::VENDOR_ID);
            assert_eq!(opened.header.message_id, 7);
        }
    }
}

#[test]
fn the_counter_is_the_iv_and_moves_on() {
    let cipher = cipher("aes128gcm16-prfsha256-modp2048");
    let mut counter = 0x0102_0304_0506_0708;
    let mut iv = IvSource { counter: &mut counter, rng: &mut Fixed };
    let first = seal(&*cipher, &header(), &[], &mut iv).unwrap();
    let second = seal(&*cipher, &header(), &[], &mut iv).unwrap();
    assert_eq!(first[32..40], [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(second[32..40], [1, 2, 3, 4, 5, 6, 7, 9]);
    assert_eq!(counter, 0x0102_0304_0506_070a);
}

#[test]
fn a_counter_that_is_used_up_seals_nothing() {
    let cipher = cipher("aes128gcm16-prfsha256-modp2048");
    let mut iv = IvSource { counter: &mut u64::MAX.clone(), rng: &mut Fixed };
    assert_eq!(seal(&*cipher, &header(), &[], &mut iv), Err(SealError::IvExhausted));
}

#[test]
fn an_encrypted_payload_too_short_for_its_parts_is_not_authentic() {
    for suite in SUITES {
        let cipher = cipher(suite);
        let shape = cipher.shape();
        for length in 0..shape.iv_len + shape.icv_len + shape.block_len.max(1) {
            let mut writer = Writer::new();
            encode_header(&header(), PayloadType::ENCRYPTED, 4 + length, &mut writer);
            writer.u16(0);
            writer.u16(u16::try_from(4 + length).unwrap());
            writer.zeros(length);
            let error = open(&*cipher, &writer.finish().unwrap()).unwrap_err();
            assert!(!error.is_authentic(), "{suite} {length}: {error}");
        }
    }
}

#[test]
fn ciphertext_that_is_no_multiple_of_the_block_is_not_authentic() {
    let cipher = cipher("aes128-sha1-modp2048");
    let mut octets = sealed(&*cipher, &[]);
    octets.pop();
    let length = u8::try_from(octets.len()).unwrap();
    octets[27] = length;
    octets[31] = length - 28;
    let error = open(&*cipher, &octets).unwrap_err();
    assert!(
        matches!(error, OpenError::Cipher(CipherError::Alignment { .. } | CipherError::Forged)),
        "{error}"
    );
}

#[test]
fn an_authentic_message_without_even_a_pad_length_is_malformed() {
    let cipher = cipher("aes128gcm16-prfsha256-modp2048");
    let error = open(&*cipher, &sealed_raw(&*cipher, 0, &[])).unwrap_err();
    assert!(error.is_authentic(), "{error}");
}

#[test]
fn padding_longer_than_the_text_is_malformed_and_any_content_of_it_is_fine() {
    for suite in ["aes128gcm16-prfsha256-modp2048", "aes128-sha1-modp2048"] {
        let cipher = cipher(suite);
        for pad_len in [16, 17, 255] {
            let mut padded = [0; 16];
            padded[15] = pad_len;
            let error = open(&*cipher, &sealed_raw(&*cipher, 0, &padded)).unwrap_err();
            assert_eq!(
                error,
                OpenError::Content(WireError::new("pad length", Problem::BadValue(pad_len.into())).into())
            );
        }
        let mut padded = [0xa5; 256];
        padded[255] = 255;
        assert!(open(&*cipher, &sealed_raw(&*cipher, 0, &padded)).unwrap().text.is_empty());
    }
}

#[test]
fn content_that_does_not_fit_its_chain_is_malformed_but_authentic() {
    let cipher = cipher("aes128gcm16-prfsha256-modp2048");
    for (first, text) in [
        (0, &[1_u8][..]),       // content where none is promised
        (43, &[]),              // none where some is
        (43, &[0, 0, 0, 5]),    // beyond the text
        (43, &[0, 0, 0, 3]),    // shorter than a header
        (43, &[0, 0, 0, 4, 0]), // octets after the last payload
        (41, &[0, 0, 0, 4]),    // a malformed notification
    ] {
        let padded = [text, &[0]].concat();
        let error = open(&*cipher, &sealed_raw(&*cipher, first, &padded)).unwrap_err();
        assert!(error.is_authentic(), "{first} {text:?}: {error}");
    }
}

#[test]
fn an_unknown_critical_payload_inside_is_named() {
    let cipher = cipher("aes128gcm16-prfsha256-modp2048");
    let unknown = Payload::Unknown { kind: PayloadType(99), critical: true, body: vec![1] };
    let error = open(&*cipher, &sealed(&*cipher, &[vendor(3), unknown])).unwrap_err();
    assert_eq!(error, OpenError::Content(ParseError::UnsupportedCritical(PayloadType(99))));
}

/// Puts a payload in front of the encrypted one, as the peer would.
fn with_payload_in_front(cipher: &dyn PacketCipher, generic: [u8; 4]) -> Vec<u8> {
    let notify = [generic[0], generic[1], generic[2], generic[3], 0, 0, 0x40, 0];
    let shape = cipher.shape();
    let mut writer = Writer::new();
    let sk_len = 4 + shape.iv_len + 1 + shape.icv_len;
    encode_header(&header(), PayloadType::NOTIFY, 8 + sk_len, &mut writer);
    writer.bytes(&notify);
    writer.u16(0);
    writer.u16(u16::try_from(sk_len).unwrap());
    writer.zeros(shape.iv_len + 1 + shape.icv_len);
    let mut bytes = writer.finish().unwrap();
    cipher.seal(Frame { bytes: &mut bytes, header_len: 40, esn_high: None }).unwrap();
    bytes
}

#[test]
fn payloads_in_front_of_the_encrypted_one_are_authenticated_and_kept_apart() {
    let cipher = cipher("chacha20poly1305-prfsha256-modp2048");
    let octets = with_payload_in_front(&*cipher, [46, 0, 0, 8]);
    let opened = open(&*cipher, &octets).unwrap();
    assert!(opened.payloads.is_empty());
    let expected = NotifyPayload::new(NotifyType::INITIAL_CONTACT, vec![]);
    assert_eq!(opened.unprotected, [Payload::Notify(expected)]);
    for at in 28..36 {
        let mut forged = octets.clone();
        forged[at] ^= 1;
        assert!(!open(&*cipher, &forged).unwrap_err().is_authentic(), "octet {at}");
    }
}

#[test]
fn a_message_without_an_encrypted_payload_does_not_open() {
    let cipher = cipher("aes128-sha1-modp2048");
    let octets = crate::wire::encode_clear(&header(), &[vendor(8)]).unwrap();
    assert_eq!(open(&*cipher, &octets), Err(OpenError::NotEncrypted));
    assert_eq!(open_fragment(&*cipher, &octets), Err(OpenError::NotEncrypted));
    assert_eq!(open_fragment(&*cipher, &sealed(&*cipher, &[])), Err(OpenError::NotEncrypted));
}

#[test]
fn a_fragment_under_another_number_or_total_is_not_authentic() {
    let cipher = cipher("aes128gcm16-prfsha256-modp2048");
    let mut iv = IvSource { counter: &mut 1, rng: &mut Fixed };
    let fragments = seal_fragments(&*cipher, &header(), &[vendor(300)], 120, &mut iv).unwrap();
    assert!(fragments.len() > 3);
    for (at, value) in [(33, 3), (35, 100)] {
        let mut forged = fragments[0].clone();
        forged[at] = value;
        assert!(!open_fragment(&*cipher, &forged).unwrap_err().is_authentic());
    }
}

#[test]
fn fragments_too_small_or_too_many_are_refused() {
    let cipher = cipher("aes128-sha1-modp2048");
    let mut iv = IvSource { counter: &mut 1, rng: &mut Fixed };
    for max_octets in [0, 28, 60, 79] {
        let result = seal_fragments(&*cipher, &header(), &[vendor(200)], max_octets, &mut iv);
        assert_eq!(result, Err(SealError::FragmentSize), "{max_octets}");
    }
    let many: Vec<_> = (0..20).map(|_| vendor(1_000)).collect();
    let result = seal_fragments(&*cipher, &header(), &many, 100, &mut iv);
    assert_eq!(result, Err(SealError::FragmentSize));
}

#[test]
fn only_the_first_fragment_says_what_the_first_payload_is() {
    // RFC 7383 2.5: the next payload field of the other fragments is zero.
    let cipher = cipher("aes128gcm16-prfsha256-modp2048");
    let mut iv = IvSource { counter: &mut 1, rng: &mut Fixed };
    let fragments = seal_fragments(&*cipher, &header(), &[vendor(300)], 120, &mut iv).unwrap();
    let first: Vec<_> =
        fragments.iter().map(|octets| open_fragment(&*cipher, octets).unwrap().first).collect();
    assert_eq!(first[0], PayloadType::VENDOR_ID);
    assert!(first.len() > 3 && first[1..].iter().all(|kind| *kind == PayloadType::NONE));
}

#[test]
fn every_fragment_takes_an_iv_of_its_own() {
    let cipher = cipher("aes256ccm8-prfsha256-modp2048");
    let mut counter = 5;
    let mut iv = IvSource { counter: &mut counter, rng: &mut Fixed };
    let fragments = seal_fragments(&*cipher, &header(), &[vendor(500)], 150, &mut iv).unwrap();
    let ivs: Vec<_> = fragments.iter().map(|octets| octets[43]).collect();
    assert_eq!(ivs, (5..).take(fragments.len()).collect::<Vec<u8>>());
    assert_eq!(usize::try_from(counter).unwrap(), 5 + fragments.len());
}
