//! Every IKEv2 message of the recorded sessions is read, opened, checked and written again.

mod common;

use common::{Frame, Recording, recordings};
use ikebana_core::SecureRandom;
use ikebana_crypto::PacketCipher;
use ikebana_ike::{ExchangeType, Flags};
use ikebana_ikev2::wire::{
    Envelope, IvSource, OpenError, Opened, OpenedFragment, Payload, PayloadType, encode_clear, envelope,
    open, open_fragment, parse_chain, parse_clear, rules, seal, seal_fragments,
};
use ikebana_testkit::SeededRng;

/// The cipher of the message's direction under which it verifies; exactly one IKE SA's may.
fn opener<'a, T>(
    recording: &'a Recording,
    frame: &Frame,
    open: impl Fn(&dyn PacketCipher) -> Result<T, OpenError>,
) -> (T, &'a dyn PacketCipher) {
    let side = usize::from(!frame.from_initiator);
    let mut opened: Vec<_> = recording
        .ciphers
        .iter()
        .filter_map(|pair| pair.get(side))
        .filter_map(|cipher| Some((open(&**cipher).ok()?, &**cipher)))
        .collect();
    assert_eq!(opened.len(), 1, "{} frame {}", recording.name, frame.number);
    opened.remove(0)
}

fn open_with<'a>(recording: &'a Recording, frame: &Frame) -> (Opened, &'a dyn PacketCipher) {
    opener(recording, frame, |cipher| open(cipher, &frame.octets))
}

fn kinds(payloads: &[Payload]) -> Vec<u8> {
    payloads.iter().map(|payload| payload.kind().0).collect()
}

#[test]
fn every_message_is_read_and_written_again_as_it_was() {
    let mut count = 0;
    for recording in recordings() {
        for frame in &recording.frames {
            let message = parse_clear(&frame.octets).unwrap();
            assert_eq!(kinds(&message.payloads), frame.chain, "{} frame {}", recording.name, frame.number);
            assert_eq!(encode_clear(&message.header, &message.payloads).unwrap(), frame.octets);
            count += 1;
        }
    }
    assert!(count >= 86, "{count} messages");
}

#[test]
fn every_encrypted_message_opens_to_the_known_text() {
    let mut count = 0;
    for recording in recordings() {
        for frame in &recording.frames {
            if envelope(&frame.octets).unwrap().1 != Envelope::Encrypted {
                continue;
            }
            let (opened, _) = open_with(&recording, frame);
            let place = format!("{} frame {}", recording.name, frame.number);
            assert_eq!(Some(&opened.text), frame.plaintext.as_ref(), "{place}");
            assert_eq!(Some(&kinds(&opened.payloads)), frame.inner.as_ref(), "{place}");
            assert!(opened.unprotected.is_empty(), "{place}");
            count += 1;
        }
    }
    assert!(count >= 50, "{count} encrypted messages");
}

#[test]
fn every_message_keeps_the_payload_rules() {
    for recording in recordings() {
        for frame in &recording.frames {
            let (header, wrap) = envelope(&frame.octets).unwrap();
            let payloads = match wrap {
                Envelope::Clear => parse_clear(&frame.octets).unwrap().payloads,
                Envelope::Encrypted => open_with(&recording, frame).0.payloads,
                Envelope::Fragment { .. } => continue,
            };
            assert_eq!(rules::is_encrypted(header.exchange), wrap == Envelope::Encrypted);
            let verdict = rules::check(header.exchange, header.flags.has(Flags::RESPONSE), &payloads);
            assert_eq!(verdict, Ok(()), "{} frame {}", recording.name, frame.number);
        }
    }
}

#[test]
fn an_encrypted_message_written_again_opens_to_the_same_payloads() {
    for recording in recordings() {
        for frame in &recording.frames {
            if envelope(&frame.octets).unwrap().1 != Envelope::Encrypted {
                continue;
            }
            let (opened, cipher) = open_with(&recording, frame);
            let mut rng = SeededRng::new(1);
            let mut counter = 77;
            let mut iv = IvSource { counter: &mut counter, rng: &mut rng };
            let sealed = seal(cipher, &opened.header, &opened.payloads, &mut iv).unwrap();
            let again = open(cipher, &sealed).unwrap();
            assert_eq!((&again.text, &again.payloads), (&opened.text, &opened.payloads));
            // strongSwan pads to the next block too, so even the length is the same.
            assert_eq!(sealed.len(), frame.octets.len());
        }
    }
}

#[test]
fn the_fragments_of_a_recorded_message_join_to_its_payloads() {
    let mut joined = 0;
    for recording in recordings() {
        let mut parts: Vec<OpenedFragment> = Vec::new();
        for frame in &recording.frames {
            let Envelope::Fragment { number, total } = envelope(&frame.octets).unwrap().1 else { continue };
            let (fragment, _) = opener(&recording, frame, |cipher| open_fragment(cipher, &frame.octets));
            assert_eq!((fragment.number, fragment.total), (number, total));
            assert_eq!(Some(&fragment.text), frame.plaintext.as_ref());
            parts.push(fragment);
            if number == total {
                let text = parts.iter().flat_map(|part| part.text.clone()).collect::<Vec<_>>();
                let payloads = parse_chain(parts[0].first, &text).unwrap();
                let header = parts[0].header;
                assert_eq!(
                    rules::check(header.exchange, header.flags.has(Flags::RESPONSE), &payloads),
                    Ok(())
                );
                let carries = if header.exchange == ExchangeType::IKE_AUTH {
                    PayloadType::CERT
                } else {
                    PayloadType::KE
                };
                assert!(kinds(&payloads).contains(&carries.0), "{}", recording.name);
                parts.clear();
                joined += 1;
            }
        }
    }
    assert_eq!(joined, 6, "fragmented messages");
}

#[test]
fn a_message_cut_into_fragments_joins_to_the_same_payloads() {
    for recording in recordings() {
        for frame in &recording.frames {
            if envelope(&frame.octets).unwrap().1 != Envelope::Encrypted {
                continue;
            }
            let (opened, cipher) = open_with(&recording, frame);
            for max_octets in [120, 128, 200, 576, 1_280] {
                let mut rng = SeededRng::new(2);
                let mut counter = 0;
                let mut iv = IvSource { counter: &mut counter, rng: &mut rng };
                let sealed =
                    seal_fragments(cipher, &opened.header, &opened.payloads, max_octets, &mut iv).unwrap();
                assert!(sealed.iter().all(|octets| octets.len() <= max_octets));
                if let [whole] = sealed.as_slice() {
                    assert_eq!(open(cipher, whole).unwrap().payloads, opened.payloads);
                    continue;
                }
                let parts: Vec<_> =
                    sealed.iter().map(|octets| open_fragment(cipher, octets).unwrap()).collect();
                assert!((1..).zip(&parts).all(|(number, part)| part.number == number));
                assert!(parts.iter().all(|part| usize::from(part.total) == parts.len()));
                assert!(parts[1..].iter().all(|part| part.first == PayloadType::NONE));
                let text = parts.iter().flat_map(|part| part.text.clone()).collect::<Vec<_>>();
                assert_eq!(parse_chain(parts[0].first, &text).unwrap(), opened.payloads);
            }
        }
    }
}

#[test]
fn a_message_of_one_direction_is_not_authentic_in_the_other() {
    for recording in recordings() {
        for frame in &recording.frames {
            if envelope(&frame.octets).unwrap().1 != Envelope::Encrypted {
                continue;
            }
            let wrong_side = usize::from(frame.from_initiator);
            for pair in &recording.ciphers {
                let error = open(&*pair[wrong_side], &frame.octets).unwrap_err();
                assert!(!error.is_authentic(), "{error}");
            }
        }
    }
}

#[test]
fn no_changed_bit_of_an_encrypted_message_goes_unnoticed() {
    let recording = recordings().remove(0);
    let frame = recording.frames.iter().find(|frame| frame.plaintext.is_some()).unwrap();
    let (_, cipher) = open_with(&recording, frame);
    for at in 0..frame.octets.len() {
        for bit in 0..8 {
            let mut forged = frame.octets.clone();
            forged[at] ^= 1 << bit;
            let error = open(cipher, &forged).unwrap_err();
            assert!(!error.is_authentic(), "octet {at} bit {bit}: {error}");
        }
    }
}

#[test]
fn the_random_source_is_public_randomness() {
    struct PublicOnly;
    impl SecureRandom for PublicOnly {
        fn fill_public(&mut self, out: &mut [u8]) {
            out.fill(7);
        }
        fn fill_secret(&mut self, _: &mut [u8]) {
            panic!("an IV is published");
        }
    }
    let recording = recordings().into_iter().find(|one| one.name.contains("cbc")).unwrap();
    let frame = recording.frames.iter().find(|frame| frame.plaintext.is_some()).unwrap();
    let (opened, cipher) = open_with(&recording, frame);
    let mut iv = IvSource { counter: &mut 0, rng: &mut PublicOnly };
    let sealed = seal(cipher, &opened.header, &opened.payloads, &mut iv).unwrap();
    assert_eq!(sealed[32..48], [7; 16]);
}
