//! Recorded sessions, see `captures/README.md`.
#![allow(dead_code, reason = "every test file uses another part of this")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a recording that is not as expected must fail the test"
)]

use std::fs;
use std::path::Path;

use ikebana_crypto::{CipherKeys, CryptoProvider, PacketCipher};
use ikebana_proposals::{Proposal, ProtocolId};
use serde_json::{Map, Value};

/// One recorded session.
pub(crate) struct Recording {
    pub(crate) name: String,
    pub(crate) frames: Vec<Frame>,
    /// Ciphers of the initiator's and the responder's direction, for each IKE SA of the session.
    pub(crate) ciphers: Vec<[Box<dyn PacketCipher>; 2]>,
}

/// An IKE message.
pub(crate) struct Frame {
    pub(crate) number: u64,
    pub(crate) octets: Vec<u8>,
    /// Types of the payloads outside the encrypted one.
    pub(crate) chain: Vec<u8>,
    /// The text of an encrypted message, from a program that is not this library.
    pub(crate) plaintext: Option<Vec<u8>>,
    /// Types of the payloads inside, where the message is not a fragment.
    pub(crate) inner: Option<Vec<u8>>,
    /// Whether the initiator of the IKE SA protected it.
    pub(crate) from_initiator: bool,
}

/// All recorded sessions.
pub(crate) fn recordings() -> Vec<Recording> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    assert!(files.len() >= 13, "recordings are missing: {files:?}");
    files.iter().map(|path| load(path)).collect()
}

fn load(path: &Path) -> Recording {
    let root: Map<String, Value> = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let frames = root["frames"].as_array().unwrap();
    let frames = frames.iter().filter(|frame| frame["kind"] != "espudp").map(frame).collect();
    Recording { name: root["name"].as_str().unwrap().to_owned(), frames, ciphers: ciphers(&root) }
}

fn frame(frame: &Value) -> Frame {
    Frame {
        number: frame["frame"].as_u64().unwrap(),
        octets: hex(&frame["payload"]).unwrap(),
        chain: types(&frame["chain"]).unwrap(),
        plaintext: hex(&frame["plaintext"]),
        inner: types(&frame["inner"]),
        from_initiator: frame["hdr"]["flags"].as_u64().unwrap() & 8 != 0,
    }
}

fn ciphers(root: &Map<String, Value>) -> Vec<[Box<dyn PacketCipher>; 2]> {
    let scenario = &root["scenario"];
    let keywords = scenario.get("ike").and_then(Value::as_str).filter(|text| !text.is_empty());
    let keywords = keywords.or_else(|| scenario["ike_a"].as_str()).unwrap();
    let proposal = Proposal::ike(keywords).unwrap();
    assert_eq!(proposal.protocol, ProtocolId::IKE);
    let encryption = proposal.encryption[0];
    let integrity = proposal.integrity.first().copied();

    let log = root["log_initiator"].as_array().unwrap();
    let keys =
        |name: &str| -> Vec<Vec<u8>> { log.iter().filter_map(|entry| hex(entry.get(name)?)).collect() };
    let encryption_keys = [keys("Sk_ei secret"), keys("Sk_er secret")];
    let integrity_keys = [keys("Sk_ai secret"), keys("Sk_ar secret")];
    assert!(!encryption_keys[0].is_empty());
    let cipher = |side: usize, sa: usize| {
        let keys = CipherKeys {
            encryption: &encryption_keys[side][sa],
            integrity: integrity_keys[side].get(sa).map_or(&[], Vec::as_slice),
        };
        CryptoProvider::rust_crypto().packet_cipher(encryption, integrity, &keys).unwrap()
    };
    (0..encryption_keys[0].len()).map(|sa| [cipher(0, sa), cipher(1, sa)]).collect()
}

fn types(list: &Value) -> Option<Vec<u8>> {
    list.as_array()?.iter().map(|kind| u8::try_from(kind.as_u64()?).ok()).collect()
}

fn hex(text: &Value) -> Option<Vec<u8>> {
    let digits = text.as_str()?.as_bytes();
    assert_eq!(digits.len() % 2, 0);
    let octets = digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16));
    Some(octets.collect::<Result<_, _>>().unwrap())
}
