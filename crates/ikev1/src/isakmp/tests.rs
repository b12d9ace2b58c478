//! The recorded sessions of `tests/captures`, decrypted and encrypted again with keys of our own derivation.

use alloc::collections::BTreeMap;
use alloc::string::String;

use ikebana_core::EspSpi;
use ikebana_proposals::ikev1::phase1::Authentication;
use ikebana_proposals::ikev1::phase2::Protocol;
use ikebana_proposals::{
    Encryption, EncryptionId, IkeSuite, IntegrityId, KeyExchangeId, NO_ADDITIONAL, PrfId, ProtocolId,
};
use serde_json::Value;

use super::*;

pub(crate) const SESSIONS: [&str; 5] = [
    include_str!("../../tests/captures/v1-main-psk-aes128-sha1-modp1024.json"),
    include_str!("../../tests/captures/v1-aggr-psk-aes256-sha256-modp2048.json"),
    include_str!("../../tests/captures/v1-main-psk-gcm-esp-pfs-rekey-dpd.json"),
    include_str!("../../tests/captures/v1-main-xauth-psk-modecfg.json"),
    include_str!("../../tests/captures/v1-main-rsa-frag.json"),
];

fn hex(value: &Value) -> Vec<u8> {
    let digits = value.as_str().unwrap().as_bytes();
    let octet = |pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(octet).collect()
}

/// One recorded session.
pub(crate) struct Session {
    root: Value,
}

impl Session {
    pub(crate) fn new(text: &str) -> Self {
        Self { root: serde_json::from_str(text).unwrap() }
    }

    /// The recorded message of IKE, in order, with their text once decrypted where that was recorded.
    pub(crate) fn messages(&self) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let frames = self.root["frames"].as_array().unwrap().iter();
        frames
            .filter(|frame| frame["kind"] != "espudp")
            .map(|frame| (hex(&frame["payload"]), frame.get("plaintext").map(hex)))
            .collect()
    }

    /// The values with this name in the initiator's log.
    pub(crate) fn logged(&self, name: &str) -> Vec<Vec<u8>> {
        let log = self.root["log_initiator"].as_array().unwrap().iter();
        log.filter_map(|line| line.get(name)).map(hex).collect()
    }

    fn suite(&self) -> Phase1Suite {
        let words = self.root["scenario"]["ike"].as_str().unwrap();
        let bits = if words.starts_with("aes256") { 256 } else { 128 };
        let (prf, integrity) = if words.contains("sha256") {
            (PrfId::HMAC_SHA2_256, IntegrityId::HMAC_SHA2_256_128)
        } else {
            (PrfId::HMAC_SHA1, IntegrityId::HMAC_SHA1_96)
        };
        let ike = IkeSuite {
            encryption: Encryption::new(EncryptionId::AES_CBC, bits),
            integrity: Some(integrity),
            prf,
            key_exchange: KeyExchangeId(if words.ends_with("1024") { 2 } else { 14 }),
            additional: NO_ADDITIONAL,
        };
        Phase1Suite { ike, authentication: Authentication::PRE_SHARED_KEY, life: None }
    }

    /// The words of the proposal for child SAs.
    pub(crate) fn esp(&self) -> String {
        self.root["scenario"]["esp"].as_str().unwrap_or("aes128-sha256").into()
    }

    pub(crate) fn signs(&self) -> bool {
        self.root["scenario"].get("auth").is_some()
    }

    /// The ISAKMP SA as a peer with the logged Diffie-Hellman secret derives it, and what its phase 1 hashes are
    /// made of: both public values and the initiator's SA.
    pub(crate) fn isakmp(&self, provider: &CryptoProvider) -> (Isakmp, [Vec<u8>; 2], Vec<u8>) {
        let (mut publics, mut nonces, mut sa) = (Vec::new(), Vec::new(), None);
        let mut cookies = None;
        for (octets, _) in self.messages() {
            let message = wire::parse(&octets).unwrap();
            let Body::Clear(payloads) = message.body else { continue };
            for payload in payloads {
                if let Payload::KeyExchange(value) = payload {
                    publics.push(value);
                } else if let Payload::Nonce(nonce) = payload {
                    nonces.push(nonce);
                } else if let (Payload::Sa(_), None) = (payload, &sa) {
                    let length = usize::from(u16::from_be_bytes([octets[30], octets[31]]));
                    sa = Some(octets[32..28 + length].to_vec());
                }
            }
            cookies = Some((message.header.initiator_spi, message.header.responder_spi));
        }
        let (initiator_cookie, responder_cookie) = cookies.unwrap();
        let shared = Secret::new(self.logged("shared Diffie Hellman secret").remove(0));
        let key = Secret::from_slice(self.root["scenario"]["psk_a"].as_str().unwrap().as_bytes());
        let root = if self.signs() { Root::Signatures } else { Root::PreSharedKey(&key) };
        let from = Contributions {
            initiator_cookie,
            responder_cookie,
            initiator_nonce: &nonces[0],
            responder_nonce: &nonces[1],
            initiator_public: &publics[0],
            responder_public: &publics[1],
            shared: &shared,
        };
        let isakmp = Isakmp::derive(provider, self.suite(), true, root, &from).unwrap();
        (isakmp, publics.try_into().unwrap(), sa.unwrap())
    }
}

#[test]
fn keys_agree_with_those_of_another_implementation() {
    let provider = CryptoProvider::rust_crypto();
    for text in SESSIONS {
        let session = Session::new(text);
        let (isakmp, ..) = session.isakmp(&provider);
        assert!(isakmp.keys.root.ct_eq(&session.logged("SKEYID")[0]));
        assert!(isakmp.keys.derive.ct_eq(&session.logged("SKEYID_d")[0]));
        assert!(isakmp.keys.authenticate.ct_eq(&session.logged("SKEYID_a")[0]));
        assert_eq!(isakmp.phase1_iv().as_slice(), session.logged("initial IV")[0]);
    }
}

/// What every exchange is at while a session is read.
#[derive(Default)]
struct Exchange {
    iv: Option<Iv>,
    nonces: Vec<Vec<u8>>,
    spis: Vec<EspSpi>,
    messages: usize,
    last: Vec<u8>,
}

#[test]
fn recorded_sessions_are_read_and_written_again() {
    let provider = CryptoProvider::rust_crypto();
    let mut verified = BTreeMap::<u8, usize>::new();
    for text in SESSIONS {
        let session = Session::new(text);
        // The messages of the session with signatures were recorded in fragments and undecrypted.
        if session.signs() {
            continue;
        }
        let (mut isakmp, publics, sa) = session.isakmp(&provider);
        let publics = [&publics[0][..], &publics[1][..]];
        let mut exchanges = BTreeMap::<u32, Exchange>::new();
        exchanges.insert(0, Exchange { iv: Some(isakmp.phase1_iv()), ..Exchange::default() });
        let mut ids = Vec::new();
        for (octets, plaintext) in session.messages() {
            let header = IkeHeader::peek(&octets).unwrap();
            let id = header.message_id;
            let exchange = exchanges.entry(id).or_default();
            if !header.flags.has(Flags::ENCRYPTED) {
                let Body::Clear(payloads) = wire::parse(&octets).unwrap().body else { panic!() };
                let id = payloads.iter().find(|payload| payload.kind() == PayloadType::ID);
                let body = |id| wire::encode_chain(core::slice::from_ref(id)).unwrap()[4..].to_vec();
                ids.extend(id.map(body));
                continue;
            }
            if octets == exchange.last {
                continue;
            }
            exchange.last.clone_from(&octets);
            let iv = exchange.iv.unwrap_or_else(|| isakmp.exchange_iv(id));
            let opened = isakmp.decrypt(iv, &octets).unwrap();
            let plaintext = plaintext.unwrap();

            // Encrypted again it is the same, octet for octet.
            let mut again = iv;
            let header = isakmp.header(header.exchange, id);
            let written = isakmp.encrypt(&mut again, &header, &opened.payloads).unwrap();
            assert_eq!(written, octets);
            assert!(again == opened.next_iv);
            assert!(plaintext.starts_with(&wire::encode_chain(&opened.payloads).unwrap()));
            exchange.iv = Some(opened.next_iv);
            exchange.messages += 1;

            let payload = |kind| opened.payloads.iter().find(|payload| payload.kind() == kind);
            if let Some(Payload::Nonce(nonce)) = payload(PayloadType::NONCE) {
                exchange.nonces.push(nonce.clone());
            }
            if let Some(Payload::Sa(sa)) = payload(PayloadType::SA) {
                let spi = sa.proposals[0].spi.clone().try_into().unwrap();
                exchange.spis.push(EspSpi::new(u32::from_be_bytes(spi)).unwrap());
            }
            if id == 0 {
                isakmp.set_last_iv(opened.next_iv);
                if let Some(Payload::Id(_)) = payload(PayloadType::ID) {
                    let length = usize::from(u16::from_be_bytes([plaintext[2], plaintext[3]]));
                    ids.push(plaintext[4..length].to_vec());
                    assert!(opened.hash.is_empty(), "the ID is in front");
                    assert_eq!(opened.covered, wire::encode_chain(&opened.payloads).unwrap());
                }
                let Some(Payload::Hash(hash)) = payload(PayloadType::HASH) else { panic!() };
                let of_initiator = exchange.messages == 1;
                let of = if of_initiator { &ids[0] } else { &ids[1] };
                assert!(isakmp.phase1_hash(of_initiator, publics, &sa, of).ct_eq(hash));
            } else {
                let hashed = match (header.exchange, exchange.messages, exchange.nonces.as_slice()) {
                    (ExchangeType::QUICK_MODE, 2, [initiator_nonce, _]) => Hashed::Second { initiator_nonce },
                    (ExchangeType::QUICK_MODE, 3, [initiator_nonce, responder_nonce]) => {
                        Hashed::Third { initiator_nonce, responder_nonce }
                    }
                    _ => Hashed::First,
                };
                assert!(isakmp.verify(&opened, hashed), "message {} of {id:08x}", exchange.messages);
                let mut again = iv;
                let sealed =
                    isakmp.seal_with_hash(&mut again, &header, hashed, &opened.payloads[1..]).unwrap();
                assert_eq!(sealed, written);
                // What another message's hash covers, this one's does not.
                let other = Opened { header: IkeHeader { message_id: id ^ 1, ..header }, ..opened };
                assert!(!isakmp.verify(&other, hashed));
            }
            *verified.entry(header.exchange.0).or_default() += 1;
        }
        check_children(&provider, &session, &isakmp, &exchanges);
    }
    // Two encrypted messages each in main mode, one in aggressive mode, three in each of five quick modes.
    assert_eq!(verified.get(&ExchangeType::IDENTITY_PROTECTION.0), Some(&6));
    assert_eq!(verified.get(&ExchangeType::AGGRESSIVE.0), Some(&1));
    assert_eq!(verified.get(&ExchangeType::QUICK_MODE.0), Some(&15));
    assert_eq!(verified.get(&ExchangeType::TRANSACTION.0), Some(&6));
    assert!(verified.get(&ExchangeType::INFORMATIONAL_V1.0).is_some_and(|&count| count >= 10));
}

/// The keys of child SAs without forward secrecy; the secrets of those with it were not logged.
fn check_children(
    provider: &CryptoProvider,
    session: &Session,
    isakmp: &Isakmp,
    exchanges: &BTreeMap<u32, Exchange>,
) {
    let words = String::from(session.root["scenario"]["esp"].as_str().unwrap());
    if words.contains("modp") {
        return;
    }
    let integrity =
        if words.ends_with("sha256") { IntegrityId::HMAC_SHA2_256_128 } else { IntegrityId::HMAC_SHA1_96 };
    let suite = ChildSuite {
        protocol: ProtocolId::ESP,
        encryption: Some(Encryption::new(EncryptionId::AES_CBC, 128)),
        integrity: Some(integrity),
        key_exchange: None,
        additional: NO_ADDITIONAL,
        esn: false,
    };
    let quick = exchanges.values().find(|exchange| exchange.spis.len() == 2).unwrap();
    // What the initiator sends goes by the responder's SPI.
    for (spi, side) in [(quick.spis[1], "initiator"), (quick.spis[0], "responder")] {
        let seed = ChildSeed {
            protocol: Protocol::ESP,
            spi,
            initiator_nonce: &quick.nonces[0],
            responder_nonce: &quick.nonces[1],
            shared: None,
        };
        let keys = isakmp.keymat(provider, &suite, &seed).unwrap();
        let logged = |kind: &str| session.logged(&alloc::format!("{kind} {side} key")).remove(0);
        assert!(keys.encryption.ct_eq(&logged("encryption")));
        assert!(keys.integrity.ct_eq(&logged("integrity")));
    }
}

#[test]
fn what_decrypts_to_garbage_is_dropped() {
    let provider = CryptoProvider::rust_crypto();
    let session = Session::new(SESSIONS[0]);
    let (isakmp, ..) = session.isakmp(&provider);
    let mut iv = isakmp.exchange_iv(7);
    let header = isakmp.header(ExchangeType::INFORMATIONAL_V1, 7);
    let sealed =
        isakmp.seal_with_hash(&mut iv, &header, Hashed::First, &[Payload::Nonce([5; 40].into())]).unwrap();
    let start = isakmp.exchange_iv(7);
    assert!(isakmp.decrypt(start, &sealed).is_ok_and(|opened| isakmp.verify(&opened, Hashed::First)));

    let refusal = |octets: &[u8]| isakmp.decrypt(start, octets).err();
    let with_length = |mut octets: Vec<u8>| {
        let length = u32::try_from(octets.len()).unwrap();
        octets[24..28].copy_from_slice(&length.to_be_bytes());
        octets
    };
    assert_eq!(refusal(&with_length(sealed[..28].to_vec())), Some(DropReason::Malformed));
    assert_eq!(refusal(&with_length(sealed[..40].to_vec())), Some(DropReason::Malformed));
    assert_eq!(refusal(&sealed[..60]), Some(DropReason::Malformed));
    let mut clear = sealed.clone();
    clear[19] = 0;
    assert_eq!(refusal(&clear), Some(DropReason::NotEncrypted));
    assert_eq!(isakmp.decrypt(isakmp.exchange_iv(8), &sealed).err(), Some(DropReason::BadIntegrity));
    // Whatever is changed, the message is refused one way or the other, and nothing panics.
    for at in 28..sealed.len() - 16 {
        let mut octets = sealed.clone();
        octets[at] ^= 0x80;
        let opened = isakmp.decrypt(start, &octets);
        assert!(!opened.is_ok_and(|opened| isakmp.verify(&opened, Hashed::First)), "{at}");
    }
}
