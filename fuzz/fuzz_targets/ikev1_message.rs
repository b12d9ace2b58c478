//! IKEv1 messages, and the text inside encrypted ones.
#![no_main]

use ikebana_ikev1::wire::{PayloadType, encode, encode_chain, parse, parse_chain};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    if let Ok(message) = parse(octets) {
        let written = encode(&message.header, &message.body).expect("what was read can be written");
        assert_eq!(parse(&written).expect("what was written can be read").body, message.body);
    }
    if let Some((first, text)) = octets.split_first() {
        let first = PayloadType(*first);
        if let Ok((payloads, _)) = parse_chain(first, text) {
            let written = encode_chain(&payloads).expect("what was read can be written");
            let first = payloads.first().map_or(PayloadType::NONE, |payload| payload.kind());
            let (again, padding) = parse_chain(first, &written).expect("what was written can be read");
            assert!(padding.is_empty());
            assert_eq!(again, payloads);
        }
    }
});
