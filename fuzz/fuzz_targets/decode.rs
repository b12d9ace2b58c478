//! Whole capture files through `ikebana decode`, with keys that fit some of the seeds: nothing in a capture is
//! a panic, and what is shown is free of control characters.
#![no_main]

use ikebana_gateway::decode::{Keys, decode};
use libfuzzer_sys::fuzz_target;

const IKE_KEYS: &str = include_str!("../keys/ike");
const ESP_KEYS: &str = include_str!("../keys/esp");

fn keys() -> Keys {
    let mut keys = Keys::default();
    keys.add_ike(IKE_KEYS).expect("the committed keys are good");
    keys.add_esp(ESP_KEYS).expect("the committed keys are good");
    keys
}

fuzz_target!(|capture: &[u8]| {
    let mut input = capture;
    let _ = decode(&mut input, keys(), &mut |entry| {
        let text = entry.to_string();
        assert!(!text.chars().any(|character| character.is_control() && character != '\n'), "{text:?}");
        true
    });
});
