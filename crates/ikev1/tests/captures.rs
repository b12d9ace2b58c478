//! Every IKEv1 message of the recorded sessions is read and written again, see `captures/README.md`.

#![allow(clippy::unwrap_used, reason = "a recording that is not as expected must fail the test")]

use std::fs;
use std::path::Path;

use ikebana_ikev1::wire::{Body, Payload, PayloadType, encode, encode_chain, parse, parse_chain};
use ikebana_testkit::mutations;
use serde_json::Value;

/// An IKE message of a session.
struct Frame {
    place: String,
    octets: Vec<u8>,
    /// Types of the payloads of a message that is not encrypted.
    chain: Option<Vec<u8>>,
    /// The text of an encrypted message with its padding, from a program that is not this library.
    plaintext: Option<Vec<u8>>,
    /// Types of the payloads inside.
    inner: Option<Vec<u8>>,
}

fn frames() -> Vec<Frame> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let mut frames = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let root: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let list = root.get("frames").and_then(Value::as_array).unwrap();
        for frame in list.iter().filter(|frame| frame.get("kind").unwrap() != "espudp") {
            frames.push(Frame {
                place: format!("{} frame {}", root.get("name").unwrap(), frame.get("frame").unwrap()),
                octets: hex(frame, "payload").unwrap(),
                chain: types(frame, "chain"),
                plaintext: hex(frame, "plaintext"),
                inner: types(frame, "inner"),
            });
        }
    }
    assert_eq!(frames.len(), 68, "messages");
    frames
}

fn types(frame: &Value, name: &str) -> Option<Vec<u8>> {
    let list = frame.get(name)?.as_array()?;
    list.iter().map(|kind| u8::try_from(kind.as_u64()?).ok()).collect()
}

fn hex(frame: &Value, name: &str) -> Option<Vec<u8>> {
    let digits = frame.get(name)?.as_str()?.as_bytes();
    let octets = digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16));
    Some(octets.collect::<Result<_, _>>().unwrap())
}

fn kinds(payloads: &[Payload]) -> Vec<u8> {
    payloads.iter().map(|payload| payload.kind().0).collect()
}

#[test]
fn every_message_is_read_and_written_again_as_it_was() {
    let mut clear = 0;
    for frame in frames() {
        let message = parse(&frame.octets).unwrap();
        assert_eq!(encode(&message.header, &message.body).unwrap(), frame.octets, "{}", frame.place);
        if let Body::Clear(payloads) = &message.body {
            assert_eq!(Some(kinds(payloads)), frame.chain, "{}", frame.place);
            clear += 1;
        }
    }
    assert_eq!(clear, 20, "messages that are not encrypted");
}

#[test]
fn every_decrypted_text_is_read_and_written_again_as_it_was() {
    let mut count = 0;
    for frame in frames() {
        let Some(text) = &frame.plaintext else { continue };
        let header = parse(&frame.octets).unwrap().header;
        let (payloads, padding) = parse_chain(PayloadType(header.next_payload), text).unwrap();
        assert_eq!(Some(kinds(&payloads)), frame.inner, "{}", frame.place);
        assert!(padding.len() <= 16, "{}", frame.place);
        let written = encode_chain(&payloads).unwrap();
        assert_eq!([&written, padding].concat(), *text, "{}", frame.place);
        count += 1;
    }
    assert_eq!(count, 42, "encrypted messages");
}

#[test]
fn damaged_messages_are_read_or_refused() {
    for frame in frames() {
        for (mutation, octets) in mutations(&frame.octets) {
            let Ok(message) = parse(&octets) else { continue };
            let written = encode(&message.header, &message.body).unwrap();
            let again = parse(&written).unwrap();
            assert_eq!(again.body, message.body, "{} {mutation}", frame.place);
        }
    }
}

#[test]
fn damaged_texts_are_read_or_refused() {
    for frame in frames() {
        let (Some(text), Some(inner)) = (&frame.plaintext, &frame.inner) else { continue };
        let first = PayloadType(*inner.first().unwrap());
        for (mutation, text) in mutations(text) {
            let Ok((payloads, _)) = parse_chain(first, &text) else { continue };
            let written = encode_chain(&payloads).unwrap();
            let (again, padding) = parse_chain(first, &written).unwrap();
            assert!(padding.is_empty());
            assert_eq!(again, payloads, "{} {mutation}", frame.place);
        }
    }
}
