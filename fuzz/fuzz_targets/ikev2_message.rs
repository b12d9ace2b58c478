//! IKEv2 messages, and the text inside encrypted ones: reading never panics, and what was read survives being
//! written and read again.
#![no_main]

use ikebana_ikev2::wire::{
    Envelope, Payload, PayloadType, encode_clear, envelope, parse_chain, parse_clear, rules,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let wrap = envelope(octets);
    if let Ok(message) = parse_clear(octets) {
        let (_, wrap) = wrap.expect("a message that is read whole has an envelope");
        let last = message.payloads.last();
        assert_eq!(wrap == Envelope::Encrypted, matches!(last, Some(Payload::Encrypted(_))));
        let _ = rules::check(message.header.exchange, true, &message.payloads);
        let _ = rules::check(message.header.exchange, false, &message.payloads);
        if is_writable(&message.payloads) {
            let written =
                encode_clear(&message.header, &message.payloads).expect("what was read can be written");
            let again = parse_clear(&written).expect("what was written can be read");
            let twice = encode_clear(&again.header, &again.payloads).expect("and written again");
            assert_eq!(written, twice);
        }
    }
    if let Some((first, text)) = octets.split_first() {
        let _ = parse_chain(PayloadType(*first), text);
    }
});

/// Selectors of unknown types are left out, and a payload of nothing else cannot be written.
fn is_writable(payloads: &[Payload]) -> bool {
    !payloads.iter().any(|payload| {
        matches!(payload, Payload::TsInitiator(list) | Payload::TsResponder(list) if list.selectors.is_empty())
    })
}
