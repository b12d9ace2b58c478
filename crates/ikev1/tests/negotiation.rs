//! What strongSwan offered and answered in recorded sessions is what the same proposals make of it here.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

use std::fs;
use std::path::Path;
use std::time::Duration;

use ikebana_core::EspSpi;
use ikebana_ikev1::wire::{Body, Payload, PayloadType, SaPayload, parse, parse_chain};
use ikebana_proposals::ikev1::phase1::Authentication;
use ikebana_proposals::ikev1::phase2::Encapsulation;
use ikebana_proposals::ikev1::{
    Phase2Life, Phase2Offer, Phase2Wanted, confirm_phase1, confirm_phase2, offer_phase1, offer_phase2,
    select_phase1, select_phase2,
};
use ikebana_proposals::{Prefer, Proposal};
use serde_json::Value;

struct Session {
    name: &'static str,
    ike: &'static str,
    method: Authentication,
    esp: &'static str,
    /// How many quick modes are in it.
    quick: usize,
}

const SESSIONS: &[Session] = &[
    Session {
        name: "v1-aggr-psk-aes256-sha256-modp2048",
        ike: "aes256-sha256-modp2048",
        method: Authentication::PRE_SHARED_KEY,
        esp: "aes128-sha256",
        quick: 1,
    },
    Session {
        name: "v1-main-psk-aes128-sha1-modp1024",
        ike: "aes128-sha1-modp1024",
        method: Authentication::PRE_SHARED_KEY,
        esp: "aes128-sha1",
        quick: 1,
    },
    Session {
        name: "v1-main-psk-gcm-esp-pfs-rekey-dpd",
        ike: "aes256-sha256-modp2048",
        method: Authentication::PRE_SHARED_KEY,
        esp: "aes128gcm16-modp2048",
        quick: 2,
    },
    Session {
        name: "v1-main-rsa-frag",
        ike: "aes128-sha256-modp2048",
        method: Authentication::ECDSA_256,
        esp: "aes128-sha256",
        quick: 0,
    },
    Session {
        name: "v1-main-xauth-psk-modecfg",
        ike: "aes128-sha256-modp2048",
        method: Authentication::XAUTH_INIT_PRE_SHARED,
        esp: "aes128-sha256",
        quick: 1,
    },
];

fn hex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

struct Frame {
    sa: SaPayload,
    key_exchange: bool,
    encrypted: bool,
}

/// The messages with an SA payload, in order.
fn frames(name: &str) -> Vec<Frame> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures").join(format!("{name}.json"));
    let root: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let mut found = vec![];
    for frame in root["frames"].as_array().unwrap() {
        if frame["kind"] == "espudp" {
            continue;
        }
        let message = parse(&hex(frame["payload"].as_str().unwrap())).unwrap();
        let payloads = match (&message.body, frame["plaintext"].as_str()) {
            (Body::Clear(payloads), _) => payloads.clone(),
            (_, Some(text)) => {
                let first = PayloadType(u8::try_from(frame["inner"][0].as_u64().unwrap()).unwrap());
                parse_chain(first, &hex(text)).unwrap().0
            }
            _ => continue,
        };
        let sa = payloads.iter().find_map(|payload| match payload {
            Payload::Sa(sa) => Some(sa.clone()),
            _ => None,
        });
        if let Some(sa) = sa {
            let key_exchange = payloads.iter().any(|payload| matches!(payload, Payload::KeyExchange(_)));
            let encrypted = !matches!(message.body, Body::Clear(_));
            // One that is sent again is not another one.
            if found.last().is_none_or(|last: &Frame| last.sa != sa || !encrypted) {
                found.push(Frame { sa, key_exchange, encrypted });
            }
        }
    }
    found
}

#[test]
fn phase_1_is_offered_chosen_and_confirmed_as_recorded() {
    for session in SESSIONS {
        let frames = frames(session.name);
        let clear: Vec<&SaPayload> =
            frames.iter().filter(|frame| !frame.encrypted).map(|frame| &frame.sa).collect();
        let [offer, answer] = clear[..] else { panic!("{}: {}", session.name, clear.len()) };
        let ours = [Proposal::ike(session.ike).unwrap()];
        let life = Some(Duration::from_secs(15_840));
        // Byte for byte the same, since one combination can hardly be said in another way.
        assert_eq!(&offer_phase1(&ours, session.method, life), offer, "{}", session.name);
        let (suite, made) = select_phase1(&ours, &[session.method], offer, Prefer::Peer).unwrap();
        assert_eq!(&made, answer, "{}", session.name);
        assert_eq!(suite.ike.to_string(), session.ike);
        assert_eq!((suite.authentication, suite.life), (session.method, life));
        assert_eq!(confirm_phase1(offer, answer).unwrap(), suite);
    }
}

#[test]
fn phase_2_is_offered_chosen_and_confirmed_as_recorded() {
    for session in SESSIONS {
        let frames = frames(session.name);
        let inner: Vec<&Frame> = frames.iter().filter(|frame| frame.encrypted).collect();
        assert_eq!(inner.len(), session.quick * 2, "{}", session.name);
        for exchange in inner.chunks(2) {
            let [offer, answer] = exchange else { panic!("{}", session.name) };
            let ours = [Proposal::esp(session.esp).unwrap()];
            let wanted = Phase2Wanted { mode: Encapsulation::UDP_TUNNEL, key_exchange: offer.key_exchange };
            let (terms, made) = select_phase2(&ours, &offer.sa, Prefer::Peer, wanted).unwrap();
            assert_eq!(terms.suite.to_string(), session.esp);
            assert_eq!((terms.tunnel, terms.udp), (true, true));
            // The recorded answer adds the lifetime that the offer left to the RFC.
            assert_eq!(terms.life, Phase2Life::default());
            let confirmed = confirm_phase2(&offer.sa, &answer.sa).unwrap();
            assert_eq!(confirmed.suite, terms.suite);
            assert_eq!(confirmed.life.seconds, Some(28_800));
            assert_eq!(made.with_spi(confirmed.spi).proposals[0].spi, answer.sa.proposals[0].spi);
            let group = terms.suite.key_exchange;
            let about = Phase2Offer { spi: terms.spi, mode: wanted.mode, group, life: terms.life };
            let said = offer_phase2(&ours, &about);
            assert_eq!(confirm_phase2(&said, &answer.sa).unwrap(), confirmed);
            assert_eq!(said.proposals[0].transforms[0].id, offer.sa.proposals[0].transforms[0].id);
            assert!(EspSpi::new(terms.spi.get()).is_some());
        }
    }
}
