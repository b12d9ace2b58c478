//! Phase 2 of the recorded sessions, each side's part of it played by this library.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec;

use ikebana_core::spi::ShardedSpis;
use ikebana_core::{Lifetime, Path, Secret};
use ikebana_crypto::KeyExchangeError;
use ikebana_ike::handle::IKEV1_HANDLES;
use ikebana_ike::{
    ChildHandle, DropReason, EndpointConfig, EndpointStats, ExchangeType, Mode, Output, SelectorTemplate,
};
use ikebana_proposals::{Prefer, Proposal};
use ikebana_testkit::SeededRng;

use super::initiator::Start;
use super::responder::{Accepted, Allowed, Nonces};
use super::*;
use crate::context::Registry;
use crate::isakmp::tests::{SESSIONS, Session};
use crate::isakmp::{Hashed, Isakmp, Opened};
use crate::quick::payloads::Body;
use crate::selectors::{self, Ends};
use crate::wire;

/// What a context borrows.
struct World {
    rng: SeededRng,
    provider: CryptoProvider,
    config: EndpointConfig,
    registry: Registry,
    stats: EndpointStats,
    out: VecDeque<Output>,
}

impl World {
    fn new() -> Self {
        Self {
            rng: SeededRng::new(1),
            provider: CryptoProvider::rust_crypto(),
            config: EndpointConfig::default(),
            registry: Registry::new(Box::new(ShardedSpis::unsharded()), IKEV1_HANDLES | 1),
            stats: EndpointStats::default(),
            out: VecDeque::new(),
        }
    }

    fn context(&mut self) -> Context<'_> {
        Context {
            now: ikebana_core::Instant::from_secs(1),
            rng: &mut self.rng,
            provider: &self.provider,
            config: &self.config,
            registry: &mut self.registry,
            stats: &mut self.stats,
            out: &mut self.out,
        }
    }
}

/// A half of a key exchange whose result does not count.
struct Any(Vec<u8>);

impl PendingKeyExchange for Any {
    fn id(&self) -> KeyExchangeId {
        KeyExchangeId::MODP_2048
    }

    fn public(&self) -> &[u8] {
        &self.0
    }

    fn complete(self: Box<Self>, _: &[u8]) -> Result<Secret, KeyExchangeError> {
        Ok(Secret::from_slice(&[1; 32]))
    }
}

/// A recorded quick mode: its id, and its three messages.
struct Recorded {
    id: u32,
    messages: [Vec<u8>; 3],
}

/// The ISAKMP SA of a session after phase 1, and the quick modes over it.
fn recorded(session: &Session, provider: &CryptoProvider) -> (Isakmp, Vec<Recorded>) {
    let (mut isakmp, ..) = session.isakmp(provider);
    let mut iv = isakmp.phase1_iv();
    let mut quick: Vec<(u32, Vec<Vec<u8>>)> = vec![];
    for (octets, _) in session.messages() {
        let message = wire::parse(&octets).unwrap();
        let header = message.header;
        let is_clear = matches!(message.body, wire::Body::Clear(_));
        match header.exchange {
            ExchangeType::IDENTITY_PROTECTION | ExchangeType::AGGRESSIVE if !is_clear => {
                iv = isakmp.decrypt(iv, &octets).unwrap().next_iv;
                isakmp.set_last_iv(iv);
            }
            ExchangeType::QUICK_MODE => match quick.iter_mut().find(|(id, _)| *id == header.message_id) {
                // One that is sent again is not another one.
                Some((_, messages)) if messages.contains(&octets) => {}
                Some((_, messages)) => messages.push(octets),
                None => quick.push((header.message_id, vec![octets])),
            },
            _ => {}
        }
    }
    let quick = quick
        .into_iter()
        .map(|(id, messages)| Recorded { id, messages: messages.try_into().unwrap() })
        .collect();
    (isakmp, quick)
}

fn setting() -> Setting {
    let (local, remote) = ("10.1.0.1".parse().unwrap(), "10.1.0.2".parse().unwrap());
    Setting { udp: true, draft: false, local, remote }
}

/// The peer configuration of the recorded hosts: `us` is the initiator's side or the other one.
fn config(esp: &str, local: &str, remote: &str) -> Arc<ChildConfig> {
    let template = |text: &str| vec![SelectorTemplate::Fixed(text.parse().unwrap())];
    Arc::new(ChildConfig {
        name: "c".into(),
        proposals: vec![Proposal::esp(esp).unwrap()],
        prefer: Prefer::Local,
        local: template(local),
        remote: template(remote),
        mode: Mode::Tunnel,
        lifetime: Lifetime::UNLIMITED,
        replay_window: 64,
        compress: false,
    })
}

fn first(isakmp: &Isakmp, quick: &Recorded) -> Opened {
    let opened = isakmp.decrypt(isakmp.exchange_iv(quick.id), &quick.messages[0]).unwrap();
    assert!(isakmp.verify(&opened, Hashed::First));
    opened
}

/// An initiator that has sent the recorded first message.
fn initiator(cx: &mut Context<'_>, isakmp: &Isakmp, quick: &Recorded, esp: &str) -> Initiator {
    let opened = first(isakmp, quick);
    let body = Body::read(&opened.payloads).unwrap();
    let [local, remote] = body.ids.unwrap().map(|id| selectors::from_id(id).unwrap());
    let config = config(esp, &alloc::format!("{local}"), &alloc::format!("{remote}"));
    let wanted = Wanted { config, local, remote };
    let start = Start { wanted, rekeys: None, began: 1, message_id: quick.id, setting: setting() };
    let (mut exchange, _) = Initiator::start(cx, isakmp, start).unwrap();
    let fresh = body.key_exchange.map(|key| FreshKey { pending: Box::new(Any(key.to_vec())) });
    exchange.pretend(body.sa.clone(), body.nonce.to_vec(), fresh, opened.next_iv);
    exchange
}

/// The sessions with quick modes that can be read: name, ESP proposal.
fn sessions() -> impl Iterator<Item = (Session, String)> {
    SESSIONS.iter().map(|text| Session::new(text)).filter(|session| !session.signs()).map(|session| {
        let esp = session.esp();
        (session, esp)
    })
}

#[test]
fn our_initiator_and_the_recorded_responder_make_the_recorded_pair() {
    let mut world = World::new();
    let (mut modes, mut keys) = (0, 0);
    for (session, esp) in sessions() {
        let (isakmp, list) = recorded(&session, &CryptoProvider::rust_crypto());
        for quick in list {
            let mut exchange = initiator(&mut world.context(), &isakmp, &quick, &esp);
            let mut wrong = quick.messages[1].clone();
            wrong[40] ^= 1;
            assert!(exchange.verify(&isakmp, &wrong).is_err());
            let opened = exchange.verify(&isakmp, &quick.messages[1]).unwrap();
            let concluded = exchange.conclude(&mut world.context(), &isakmp, &opened).ok().unwrap();
            // But for the padding, message 3 is the recorded one.
            let hash = |octets: &[u8]| isakmp.decrypt(opened.next_iv, octets).unwrap().hash;
            assert_eq!(hash(&concluded.last), hash(&quick.messages[2]));
            let agreed = concluded.agreed;
            if agreed.suite.key_exchange.is_none() {
                // With forward secrecy, the keys hang on a secret that was not recorded.
                let logged = |name: &str| session.logged(name).remove(0);
                assert_eq!(agreed.outbound_keys.encryption.expose(), logged("encryption initiator key"));
                assert_eq!(agreed.inbound_keys.encryption.expose(), logged("encryption responder key"));
                if !agreed.outbound_keys.integrity.is_empty() {
                    assert_eq!(agreed.outbound_keys.integrity.expose(), logged("integrity initiator key"));
                    assert_eq!(agreed.inbound_keys.integrity.expose(), logged("integrity responder key"));
                }
                keys += 1;
            }
            modes += 1;
        }
    }
    assert!(modes >= 5 && keys >= 3, "{modes} quick modes, the keys of {keys}");
}

#[test]
fn our_responder_takes_the_recorded_offer_and_an_initiator_takes_its_answer() {
    let mut world = World::new();
    for (session, esp) in sessions() {
        let (isakmp, list) = recorded(&session, &CryptoProvider::rust_crypto());
        for quick in list {
            let opened = first(&isakmp, &quick);
            let body = Body::read(&opened.payloads).unwrap();
            let [remote, local] = body.ids.unwrap().map(|id| selectors::from_id(id).unwrap());
            let config = config(&esp, &alloc::format!("{local}"), &alloc::format!("{remote}"));
            let path = Path::new("10.1.0.2:4500".parse().unwrap(), "10.1.0.1:4500".parse().unwrap());
            let pairs: Vec<_> = selectors::pairs(&config, &Ends::outer(path))
                .into_iter()
                .map(|pair| (config.clone(), pair))
                .collect();
            let setting = Setting { local: path.local.ip(), remote: path.remote.ip(), ..setting() };
            let allowed = Allowed { pairs: &pairs, setting, began: 1 };
            let accepted = Accepted::decide(&mut world.context(), &isakmp, &allowed, &opened);
            let accepted = accepted.ok().expect("the offer is acceptable");

            let mut exchange = initiator(&mut world.context(), &isakmp, &quick, &esp);
            let answer = exchange.verify(&isakmp, &accepted.answer).unwrap();
            let concluded = exchange.conclude(&mut world.context(), &isakmp, &answer).ok().unwrap();
            let (theirs, ours) = (concluded.agreed, accepted.agreed);
            assert_eq!((theirs.inbound, theirs.outbound), (ours.outbound, ours.inbound));
            assert_eq!((theirs.local, theirs.remote), (ours.remote, ours.local));
            if ours.suite.key_exchange.is_none() {
                let key = |keys: &ikebana_ike::SaKeys| keys.encryption.expose().to_vec();
                assert_eq!(key(&theirs.inbound_keys), key(&ours.outbound_keys));
                assert_eq!(key(&theirs.outbound_keys), key(&ours.inbound_keys));
            }
            let responder = Responder::new(ChildHandle::new(1), accepted.nonces);
            assert!(responder.verify(&isakmp, &concluded.last).is_ok());
            assert_eq!(responder.verify(&isakmp, &quick.messages[2]).err(), Some(DropReason::BadIntegrity));
        }
    }
}

#[test]
fn the_recorded_third_message_confirms_the_recorded_answer() {
    for (session, _) in sessions() {
        let (isakmp, list) = recorded(&session, &CryptoProvider::rust_crypto());
        for quick in list {
            let opened = first(&isakmp, &quick);
            let answer = isakmp.decrypt(opened.next_iv, &quick.messages[1]).unwrap();
            let nonce = |opened: &Opened| Body::read(&opened.payloads).unwrap().nonce.to_vec();
            let nonces = Nonces { initiator: nonce(&opened), responder: nonce(&answer), iv: answer.next_iv };
            let responder = Responder::new(ChildHandle::new(1), nonces);
            assert!(responder.verify(&isakmp, &quick.messages[2]).is_ok());
        }
    }
}

#[test]
fn an_offer_that_does_not_fit_is_refused_with_what_both_sides_have() {
    let mut world = World::new();
    let (session, _) = sessions().next().unwrap();
    let (isakmp, list) = recorded(&session, &CryptoProvider::rust_crypto());
    let opened = first(&isakmp, &list[0]);
    let path = Path::new("10.1.0.2:4500".parse().unwrap(), "10.1.0.1:4500".parse().unwrap());
    let setting = Setting { local: path.local.ip(), remote: path.remote.ip(), ..setting() };
    let mut refusal = |esp: &str, local: &str, remote: &str| {
        let config = config(esp, local, remote);
        let pairs: Vec<_> = selectors::pairs(&config, &Ends::outer(path))
            .into_iter()
            .map(|pair| (config.clone(), pair))
            .collect();
        let allowed = Allowed { pairs: &pairs, setting, began: 1 };
        let refused = Accepted::decide(&mut world.context(), &isakmp, &allowed, &opened).err().unwrap();
        alloc::format!("{} {}", refused.notify, refused.failure)
    };
    let wrong_suite = refusal("aes256-sha256", "10.22.0.0/24", "10.11.0.0/24");
    assert!(wrong_suite.starts_with("NO-PROPOSAL-CHOSEN"), "{wrong_suite}");
    assert!(wrong_suite.contains("aes128") && wrong_suite.contains("aes256"), "{wrong_suite}");
    let pfs = refusal("aes128-sha1-modp2048", "10.22.0.0/24", "10.11.0.0/24");
    assert!(pfs.starts_with("NO-PROPOSAL-CHOSEN"), "{pfs}");
    // Nothing can be narrowed, so a smaller configuration is no match either.
    let narrower = refusal("aes128-sha1", "10.22.0.0/25", "10.11.0.0/24");
    assert!(narrower.starts_with("INVALID-ID-INFORMATION"), "{narrower}");
    assert!(narrower.contains("10.22.0.0/24") && narrower.contains("10.22.0.0/25"), "{narrower}");
    assert!(world.registry.is_empty(), "every SPI is given back");
}

#[test]
fn a_responder_says_that_it_has_less_time_and_that_its_word_is_to_be_waited_for() {
    let mut world = World::new();
    let (session, esp) = sessions().next().unwrap();
    let (isakmp, list) = recorded(&session, &CryptoProvider::rust_crypto());
    let opened = first(&isakmp, &list[0]);
    let path = Path::new("10.1.0.2:4500".parse().unwrap(), "10.1.0.1:4500".parse().unwrap());
    let mut config = config(&esp, "10.22.0.0/24", "10.11.0.0/24");
    let hard = core::time::Duration::from_secs(66);
    Arc::make_mut(&mut config).lifetime = Lifetime { hard_time: Some(hard), ..Lifetime::UNLIMITED };
    let pairs: Vec<_> = selectors::pairs(&config, &Ends::outer(path))
        .into_iter()
        .map(|pair| (config.clone(), pair))
        .collect();
    let setting = Setting { local: path.local.ip(), remote: path.remote.ip(), ..setting() };
    let allowed = Allowed { pairs: &pairs, setting, began: 1 };
    let mut accepted = Accepted::decide(&mut world.context(), &isakmp, &allowed, &opened).ok().unwrap();
    assert_eq!(accepted.agreed.lifetime.hard_time, Some(hard));
    for commit in [false, true] {
        // The flags of the header are not authenticated, so this takes no key.
        accepted.answer[19] = if commit { 3 } else { 1 };
        let mut exchange = initiator(&mut world.context(), &isakmp, &list[0], &esp);
        let answer = exchange.verify(&isakmp, &accepted.answer).unwrap();
        let concluded = exchange.conclude(&mut world.context(), &isakmp, &answer).ok().unwrap();
        assert_eq!(concluded.agreed.lifetime.hard_time, Some(hard), "the shorter one counts");
        assert_eq!(concluded.commit, commit);
    }
}
