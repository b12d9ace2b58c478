//! `ikebana decode` over every recorded session, with the keys that the daemons logged.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a recording that is not as expected must fail the test"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use ikebana_gateway::decode::{CaptureError, Entry, Keys, decode};
use serde_json::Value;

/// One recorded session.
struct Recording {
    name: String,
    root: Value,
    pcap: Vec<u8>,
}

fn recordings() -> Vec<Recording> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for crate_name in ["ikev1", "ikev2"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../crates")
            .join(crate_name)
            .join("tests/captures");
        paths.extend(fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    assert_eq!(paths.len(), 19);
    paths
        .iter()
        .map(|path| {
            let root: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
            let pcap = fs::read(path.with_extension("pcap")).unwrap();
            Recording { name: root["name"].as_str().unwrap().to_owned(), root, pcap }
        })
        .collect()
}

impl Recording {
    fn frames(&self) -> &[Value] {
        self.root["frames"].as_array().unwrap()
    }

    /// Values of this name that the initiator logged, in order.
    fn logged(&self, name: &str) -> Vec<&str> {
        let log = self.root["log_initiator"].as_array().unwrap();
        log.iter().filter_map(|entry| entry.get(name)?.as_str()).collect()
    }

    /// The session's IKE keys as Wireshark reads them.
    fn ike_keys(&self) -> String {
        let mut file = String::from("# written by a test\n");
        for key in self.logged("encryption key Ka") {
            writeln!(file, "{},{key}", self.frames()[0]["hdr"]["spi_i"].as_str().unwrap()).unwrap();
        }
        let scenario = &self.root["scenario"];
        let keywords = scenario["ike"].as_str().filter(|text| !text.is_empty());
        let keywords = keywords.or_else(|| scenario["ike_a"].as_str()).unwrap();
        let mut words = keywords.split('-');
        let encryption = match words.next().unwrap() {
            "aes128" => "AES-CBC-128 [RFC3602]",
            "aes256" => "AES-CBC-256 [RFC3602]",
            "aes128gcm16" => "AES-GCM-128 with 16 octet ICV [RFC5282]",
            "aes256gcm16" => "AES-GCM-256 with 16 octet ICV [RFC5282]",
            "chacha20poly1305" => "ChaCha20 with Poly1305 [RFC7634]",
            other => panic!("{other}"),
        };
        let integrity = match words.next().unwrap() {
            "sha1" => "HMAC_SHA1_96 [RFC2404]",
            "sha256" => "HMAC_SHA2_256_128 [RFC4868]",
            "sha384" => "HMAC_SHA2_384_192 [RFC4868]",
            _ => "NONE [RFC4306]",
        };
        let spis: BTreeSet<_> = self
            .frames()
            .iter()
            .filter(|frame| frame["hdr"]["ver"] == "2.0" && frame["hdr"]["spi_r"] != "0000000000000000")
            .map(|frame| (frame["hdr"]["spi_i"].as_str().unwrap(), frame["hdr"]["spi_r"].as_str().unwrap()))
            .collect();
        let [sk_ei, sk_er, sk_ai, sk_ar] =
            ["Sk_ei secret", "Sk_er secret", "Sk_ai secret", "Sk_ar secret"].map(|name| self.logged(name));
        // The log does not say which keys are whose, so every pair of SPIs gets all of them.
        for (initiator, responder) in spis {
            for (at, (ei, er)) in sk_ei.iter().zip(&sk_er).enumerate() {
                let (ai, ar) = (sk_ai.get(at).unwrap_or(&""), sk_ar.get(at).unwrap_or(&""));
                writeln!(
                    file,
                    "{initiator},{responder},{ei},{er},\"{encryption}\",{ai},{ar},\"{integrity}\""
                )
                .unwrap();
            }
        }
        file
    }

    /// The session's ESP keys as Wireshark reads them.
    fn esp_keys(&self) -> String {
        let scenario = &self.root["scenario"];
        let keywords = scenario["esp"].as_str().unwrap();
        let (encryption, integrity) = match keywords.split('-').collect::<Vec<_>>().as_slice() {
            ["aes128", "sha1", ..] => ("AES-CBC [RFC3602]", "HMAC-SHA-1-96 [RFC2404]"),
            ["aes128", "sha256", ..] => ("AES-CBC [RFC3602]", "HMAC-SHA-256-128 [RFC4868]"),
            ["aes256", "sha384", ..] => ("AES-CBC [RFC3602]", "HMAC-SHA-384-192 [RFC4868]"),
            ["aes128gcm16" | "aes256gcm16", ..] => {
                ("AES-GCM [RFC4106]", "ANY 128 bit authentication [no checking]")
            }
            ["chacha20poly1305", ..] => ("ChaCha20 with Poly1305 [RFC7634]", "NULL"),
            other => panic!("{other:?}"),
        };
        let mut file = String::new();
        for frame in self.frames().iter().filter(|frame| frame["kind"] == "espudp") {
            let [source, spi, key, integrity_key] =
                ["src", "spi", "encr_key", "integ_key"].map(|name| frame[name].as_str().unwrap());
            writeln!(
                file,
                "\"IPv4\",\"{source}\",\"*\",\"0x{spi}\",\"{encryption}\",\"0x{key}\",\"{integrity}\",\"0x{integrity_key}\""
            )
            .unwrap();
        }
        file
    }

    fn keys(&self) -> Keys {
        let mut keys = Keys::default();
        keys.add_ike(&self.ike_keys()).unwrap();
        keys.add_esp(&self.esp_keys()).unwrap();
        keys
    }

    fn decoded(&self, keys: Keys) -> Vec<Entry> {
        decoded(&self.pcap, keys).unwrap()
    }
}

fn decoded(capture: &[u8], keys: Keys) -> Result<Vec<Entry>, CaptureError> {
    let mut entries = Vec::new();
    let mut input = capture;
    decode(&mut input, keys, &mut |entry| {
        entries.push(entry.clone());
        true
    })?;
    Ok(entries)
}

fn text(entries: &[Entry]) -> String {
    entries.iter().map(ToString::to_string).collect()
}

fn find<'a>(recordings: &'a [Recording], name: &str) -> &'a Recording {
    recordings.iter().find(|recording| recording.name.contains(name)).unwrap()
}

#[test]
fn every_packet_is_shown_with_and_without_keys() {
    for recording in recordings() {
        for keys in [Keys::default(), recording.keys()] {
            let entries = recording.decoded(keys);
            let kinds: Vec<_> = entries
                .iter()
                .filter(|entry| entry.kind != "keepalive")
                .map(|entry| if entry.kind == "esp" { "espudp" } else { entry.kind })
                .collect();
            let expected: Vec<_> = recording
                .frames()
                .iter()
                .map(|frame| match frame["hdr"]["ver"].as_str() {
                    None => "espudp",
                    Some("1.0") => "ikev1",
                    Some(_) => "ikev2",
                })
                .collect();
            assert_eq!(kinds, expected, "{}", recording.name);
            let shown = text(&entries);
            for word in ["malformed", "not as RFC"] {
                assert!(!shown.contains(word), "{}: {shown}", recording.name);
            }
        }
    }
}

#[test]
fn every_encrypted_message_is_decrypted_with_its_keys_and_none_without() {
    let mut messages = 0;
    for recording in recordings() {
        let encrypted = |entry: &&Entry| {
            entry.payloads.iter().any(|item| item.text.contains("encrypted")) && entry.kind != "esp"
        };
        let entries = recording.decoded(Keys::default());
        let without = entries.iter().filter(encrypted).count();
        assert!(without > 0, "{}", recording.name);
        let entries = recording.decoded(recording.keys());
        let left: Vec<_> = entries.iter().filter(encrypted).collect();
        assert!(left.is_empty(), "{}: {}", recording.name, left[0]);
        let is_good = |note: &String| note.starts_with("decrypted") || note.ends_with("retransmitted");
        let notes = |entry: &&Entry| entry.notes.iter().any(is_good);
        assert_eq!(entries.iter().filter(notes).count(), without, "{}", recording.name);
        messages += without;
    }
    assert!(messages >= 130, "{messages} encrypted messages");
}

#[test]
fn every_esp_packet_is_decrypted_to_the_known_addresses() {
    let mut packets = 0;
    for recording in recordings() {
        let entries = recording.decoded(recording.keys());
        let shown = entries.iter().filter(|entry| entry.kind == "esp");
        let known = recording.frames().iter().filter(|frame| frame["kind"] == "espudp");
        for (entry, frame) in shown.zip(known) {
            let inner = frame["inner_packet"].as_str().unwrap();
            let address = |at: usize| {
                let octet = |at| u8::from_str_radix(&inner[at..at + 2], 16).unwrap();
                std::net::Ipv4Addr::new(octet(at), octet(at + 2), octet(at + 4), octet(at + 6))
            };
            let expected = format!(
                "{} > {}  ICMP type {} code 0, {} octets",
                address(24),
                address(32),
                u8::from_str_radix(&inner[40..42], 16).unwrap(),
                inner.len() / 2
            );
            assert_eq!(entry.payloads[0].name, "tunnel");
            assert_eq!(entry.payloads[0].text, expected, "{} frame {}", recording.name, frame["frame"]);
            packets += 1;
        }
    }
    assert!(packets >= 130, "{packets} packets");
}

#[test]
fn a_session_reads_like_the_daemons_log() {
    let recordings = recordings();
    let shown = |name| {
        let recording = find(&recordings, name);
        text(&recording.decoded(recording.keys()))
    };
    let session = shown("v2-psk-aes256cbc");
    for line in [
        "10.1.0.1:500 > 10.1.0.2:500  IKEv2 IKE_SA_INIT request 0",
        "SA     1 IKE aes256-sha256-modp2048",
        "IDi  ID_FQDN a.example.org",
        "AUTH  SHARED_KEY_MESSAGE_INTEGRITY_CODE, 32 octets",
        "ESP 6dc8c41d aes128-sha256",
        "D  IKE SA",
    ] {
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(squeezed(&session).contains(&squeezed(line)), "{line}\n{session}");
    }
    assert!(shown("v2-invalid-ke").contains("INVALID_KE_PAYLOAD"));
    assert!(shown("v2-fail-ts").contains("TS_UNACCEPTABLE"));
    assert!(shown("v2-rsa-frag").contains("joined from 3 fragments"));
    let quick = shown("v1-main-psk-gcm");
    assert!(quick.contains("Quick Mode") && quick.contains("R-U-THERE-ACK"), "{quick}");
    assert!(quick.contains("ESP 7eb46d70 ESP_AES-GCM"), "{quick}");
}

#[test]
fn vendor_ids_are_told_by_name() {
    let recordings = recordings();
    let session = text(&find(&recordings, "v1-main-xauth").decoded(Keys::default()));
    for name in ["XAUTH", "DPD (RFC 3706)", "FRAGMENTATION", "NAT-T (RFC 3947)", "nat-t-ike-02"] {
        assert!(session.contains(name), "{name}: {session}");
    }
}

#[test]
fn passwords_of_users_are_not_shown() {
    let recordings = recordings();
    let recording = find(&recordings, "v1-main-xauth");
    let shown = text(&recording.decoded(recording.keys()));
    assert!(shown.contains("XAUTH_USER_PASSWORD"), "{shown}");
    assert!(recording.root["scenario"]["secx"].as_str().unwrap().contains("Wonder1and"));
    assert!(!shown.contains("Wonder1and"), "{shown}");
    assert!(shown.contains("XAUTH_USER_NAME \"alice\""), "{shown}");
    assert!(shown.contains("10 octets, not shown"), "{shown}");
}

#[test]
fn each_entry_is_one_json_object() {
    for recording in recordings() {
        for entry in recording.decoded(recording.keys()) {
            let json = serde_json::to_string(&entry).unwrap();
            assert!(!json.contains('\n'));
            let value: Value = serde_json::from_str(&json).unwrap();
            assert_eq!(value["frame"].as_u64(), Some(entry.frame));
            assert_eq!(value["kind"], entry.kind);
            if let Some(message) = &entry.message {
                assert_eq!(value["initiator_spi"], message.initiator_spi.as_str());
            }
        }
    }
}

#[test]
fn keys_of_another_session_decrypt_nothing_and_are_said_not_to() {
    let recordings = recordings();
    let recording = find(&recordings, "v2-psk-aes256cbc");
    let mut keys = Keys::default();
    // Every digit of the keys is changed to another; the SPIs stay.
    let wrong: String = recording
        .ike_keys()
        .lines()
        .skip(1)
        .map(|line| {
            let mut fields: Vec<String> = line.split(',').map(str::to_owned).collect();
            for at in [2, 3, 5, 6] {
                fields[at] = fields[at].chars().map(|digit| if digit == '0' { '1' } else { '0' }).collect();
            }
            fields.join(",") + "\n"
        })
        .collect();
    keys.add_ike(&wrong).unwrap();
    let shown = text(&recording.decoded(keys));
    assert_eq!(shown.matches("not decrypted: not authentic").count(), 4, "{shown}");
}

#[test]
fn a_capture_cut_anywhere_is_shown_up_to_the_cut() {
    for recording in recordings().iter().take(3) {
        let whole = recording.decoded(Keys::default());
        for length in (0..recording.pcap.len()).step_by(7) {
            let mut entries = Vec::new();
            let mut input = &recording.pcap[..length];
            let outcome = decode(&mut input, Keys::default(), &mut |entry| {
                entries.push(entry.clone());
                true
            });
            assert!(entries.len() <= whole.len());
            assert_eq!(entries, whole[..entries.len()], "cut to {length}");
            if entries.is_empty() && length < 24 {
                assert!(outcome.is_err(), "cut to {length}");
            }
        }
    }
}

#[test]
fn damaged_packets_are_described_and_never_fatal() {
    for recording in recordings() {
        let keys = || recording.keys();
        let whole = recording.decoded(keys());
        // Each octet after the file header and the first record header, in steps, inverted.
        for at in (40..recording.pcap.len()).step_by(37) {
            let mut damaged = recording.pcap.clone();
            damaged[at] ^= 0xff;
            let mut shown = 0;
            let mut input = damaged.as_slice();
            let outcome = decode(&mut input, keys(), &mut |entry| {
                shown += 1;
                !entry.to_string().is_empty()
            });
            if outcome.is_ok() {
                assert!(shown + 2 >= whole.len(), "octet {at} of {}", recording.name);
            }
        }
    }
}
