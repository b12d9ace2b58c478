//! What strangers can cost: cookies, half-open limits, stateless replies (RFC 7296 2.6, 2.21).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

#[macro_use]
mod pair;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ikebana_core::{Instant, Path, Secret, SecureRandom};
use ikebana_crypto::{CryptoProvider, KeyExchange, KeyExchangeError, PendingKeyExchange};
use ikebana_ike::{DropReason, ExchangeType, IkeHeader, Limits};
use ikebana_ikev2::wire::{NotifyPayload, NotifyType, Payload, encode_clear, parse_clear};
use ikebana_proposals::KeyExchangeId;
use ikebana_testkit::SeededRng;
use pair::play::{A, B};
use pair::toy::open_provider;
use pair::{Duel, Held, Host, Seen, Setup};

static KEY_EXCHANGES: AtomicU64 = AtomicU64::new(0);

/// Counts what a responder has to compute.
struct Counting;

impl KeyExchange for Counting {
    fn id(&self) -> KeyExchangeId {
        KeyExchangeId::CURVE25519
    }

    fn initiate(&self, rng: &mut dyn SecureRandom) -> Box<dyn PendingKeyExchange> {
        open_provider().key_exchanges[0].initiate(rng)
    }

    fn respond(
        &self,
        rng: &mut dyn SecureRandom,
        peer_public: &[u8],
    ) -> Result<(Vec<u8>, Secret), KeyExchangeError> {
        KEY_EXCHANGES.fetch_add(1, Ordering::Relaxed);
        open_provider().key_exchanges[0].respond(rng, peer_public)
    }
}

fn counting_provider() -> CryptoProvider {
    CryptoProvider { key_exchanges: vec![&Counting], ..open_provider() }
}

/// A first message as A would send it, not delivered.
fn first_message() -> (Duel, Held) {
    let mut duel = Duel::strangers(&Setup::default(), false);
    duel.initiate(A);
    let message = duel.hold(B);
    (duel, message)
}

/// A responder with these limits.
fn responder(limits: Limits, provider: fn() -> CryptoProvider) -> Host {
    let setup = Setup { limits, provider, ..Setup::default() };
    let peers = [pair::peer_config(&setup, A), pair::peer_config(&setup, B)];
    let mut network = ikebana_testkit::Network::new(1, ikebana_testkit::LinkConfig::default());
    let ids = pair::ADDRESSES.map(|address| network.attach(address.parse().unwrap()));
    let [_, b] = pair::hosts(&setup, peers, ids);
    b
}

fn path(from: SocketAddr) -> Path {
    Path::new("198.51.100.2:500".parse().unwrap(), from)
}

/// Hands over one message and returns what is sent back.
fn ask(host: &mut Host, now: Instant, from: SocketAddr, octets: &[u8]) -> Vec<Vec<u8>> {
    host.take_in(now, path(from), octets);
    let mut replies = vec![];
    host.drain(now, |_, _, octets| replies.push(octets));
    replies
}

fn with_spi(message: &[u8], number: u64) -> Vec<u8> {
    let mut octets = message.to_vec();
    octets[..8].copy_from_slice(&(number + 1).to_be_bytes());
    octets
}

fn notify_of(reply: &[u8]) -> Option<NotifyPayload> {
    parse_clear(reply).unwrap().payloads.into_iter().find_map(|payload| match payload {
        Payload::Notify(notify) => Some(notify),
        _ => None,
    })
}

/// The message with a cookie in front.
fn with_cookie(message: &[u8], cookie: &[u8]) -> Vec<u8> {
    let parsed = parse_clear(message).unwrap();
    let mut payloads = vec![Payload::Notify(NotifyPayload::new(NotifyType::COOKIE, cookie.to_vec()))];
    payloads.extend(parsed.payloads);
    encode_clear(&parsed.header, &payloads).unwrap()
}

#[test]
fn a_flood_of_first_messages_costs_bounded_memory_and_no_key_exchange_without_a_cookie() {
    let (_, message) = first_message();
    let limits = Limits { cookie_threshold: 30, half_open: 100, ..Limits::default() };
    let mut host = responder(limits, counting_provider);
    let mut rng = SeededRng::new(1);
    let before = KEY_EXCHANGES.load(Ordering::Relaxed);
    let mut now = Instant::from_secs(1);
    let mut cookies = 0;
    for number in 0..100_000 {
        let address = Ipv4Addr::from_bits(u32::try_from(rng.below(1 << 32)).unwrap());
        let octets = with_spi(message.message(), number);
        let replies = ask(&mut host, now, SocketAddr::new(address.into(), 500), &octets);
        assert!(replies.len() <= 1);
        for reply in &replies {
            assert!(reply.len() <= octets.len(), "{} for {}", reply.len(), octets.len());
            cookies += u64::from(notify_of(reply).is_some_and(|notify| notify.kind == NotifyType::COOKIE));
        }
        now = now + Duration::from_micros(200);
    }
    let stats = host.endpoint.stats();
    assert_eq!(stats.half_open_now, 30, "what came before the threshold, and no more");
    assert_eq!(KEY_EXCHANGES.load(Ordering::Relaxed) - before, 30);
    assert_eq!(cookies, stats.cookies_sent);
    // 20 seconds at a thousand stateless replies a second, and a thousand to begin with.
    assert!((10_000..=21_001).contains(&cookies), "{cookies}");
    assert_eq!(stats.drops.get(DropReason::CookieRequired), 100_000 - 30);
    // All of it goes away by itself.
    host.endpoint.handle_timeout(now + Duration::from_secs(60));
    host.drain(now, |_, _, _| panic!("nobody is told"));
    assert!(host.endpoint.is_idle());
}

#[test]
fn even_with_cookies_there_are_no_more_half_open_ike_sas_than_the_limit() {
    let (_, message) = first_message();
    let limits = Limits { cookie_threshold: 0, half_open: 50, ..Limits::default() };
    let mut host = responder(limits, open_provider);
    let now = Instant::from_secs(1);
    for number in 0..200_u32 {
        let from = SocketAddr::new(Ipv4Addr::from_bits(0x0a00_0000 + number).into(), 500);
        let octets = with_spi(message.message(), number.into());
        for reply in ask(&mut host, now, from, &octets) {
            let cookie = notify_of(&reply).unwrap();
            let answers = ask(&mut host, now, from, &with_cookie(&octets, &cookie.data));
            assert!(answers.iter().all(|answer| answer.len() <= octets.len() + cookie.data.len() + 8));
        }
    }
    assert_eq!(host.endpoint.stats().half_open_now, 50);
    assert_eq!(host.endpoint.stats().drops.get(DropReason::TooManyHalfOpen), 150);
}

#[test]
fn one_address_cannot_take_all_places() {
    let (_, message) = first_message();
    let mut host = responder(Limits::default(), open_provider);
    let now = Instant::from_secs(1);
    let greedy: SocketAddr = "203.0.113.5:500".parse().unwrap();
    for number in 0..100 {
        let octets = with_spi(message.message(), number);
        for reply in ask(&mut host, now, greedy, &octets) {
            if let Some(notify) = notify_of(&reply).filter(|notify| notify.kind == NotifyType::COOKIE) {
                ask(&mut host, now, greedy, &with_cookie(&octets, &notify.data));
            }
        }
    }
    assert_eq!(host.endpoint.stats().half_open_now, Limits::default().half_open_per_address);
    // Others are not even asked for a cookie.
    let replies =
        ask(&mut host, now, "203.0.113.6:500".parse().unwrap(), &with_spi(message.message(), 1_000));
    assert_eq!(replies.len(), 1);
    assert!(notify_of(&replies[0]).is_none_or(|notify| notify.kind != NotifyType::COOKIE));
}

#[test]
fn a_cookie_is_good_for_its_address_spi_and_nonce_only() {
    let (_, message) = first_message();
    let limits = Limits { cookie_threshold: 0, ..Limits::default() };
    let mut host = responder(limits, open_provider);
    let now = Instant::from_secs(1);
    let from: SocketAddr = "203.0.113.5:500".parse().unwrap();
    let cookie = notify_of(&ask(&mut host, now, from, message.message())[0]).unwrap().data;
    let demanded = |replies: Vec<Vec<u8>>| {
        replies.iter().all(|reply| notify_of(reply).is_some_and(|notify| notify.kind == NotifyType::COOKIE))
    };
    let good = with_cookie(message.message(), &cookie);
    assert!(demanded(ask(&mut host, now, "203.0.113.6:500".parse().unwrap(), &good)));
    assert!(demanded(ask(&mut host, now, "203.0.113.5:501".parse().unwrap(), &good)));
    assert!(demanded(ask(&mut host, now, from, &with_spi(&good, 77))));
    let mut other_nonce = good.clone();
    let nonce =
        parse_clear(message.message()).unwrap().payloads.into_iter().find_map(|payload| match payload {
            Payload::Nonce(nonce) => Some(nonce),
            _ => None,
        });
    let nonce = nonce.unwrap();
    let at = good.windows(nonce.len()).position(|window| window == nonce).unwrap();
    other_nonce[at] ^= 1;
    assert!(demanded(ask(&mut host, now, from, &other_nonce)));
    for wrong in [&cookie[..1], &[], &cookie[..32], &[0xff; 64]] {
        assert!(demanded(ask(&mut host, now, from, &with_cookie(message.message(), wrong))));
    }
    assert_eq!(host.endpoint.stats().half_open_now, 0);
    assert!(!demanded(ask(&mut host, now, from, &good)));
    assert_eq!(host.endpoint.stats().half_open_now, 1);
}

#[test]
fn an_initiator_brings_a_cookie_back_and_gets_in() {
    let limits = Limits { cookie_threshold: 0, ..Limits::default() };
    let setup = Setup { limits, ..pair::play::stubborn() };
    // With another group than the peer wants, too: the cookie is brought along then.
    let mut duel = Duel::strangers(&setup, false);
    duel.initiate(A);
    let mut kinds = vec![];
    while duel.waiting(B) > 0 {
        let message = duel.hold(B);
        kinds.push(message.kind().0);
        duel.release(&message);
        if duel.waiting(A) > 0 {
            duel.pass(A);
        }
    }
    let init = ExchangeType::IKE_SA_INIT;
    assert_eq!(kinds, [init, init, init, ExchangeType::IKE_AUTH]);
    duel.assert_up();
    duel.finish();
}

#[test]
fn an_initiator_gives_up_on_a_peer_that_wants_cookies_for_ever_and_says_so() {
    let mut duel = Duel::strangers(&Setup::default(), false);
    duel.initiate(A);
    for number in 0..20_u8 {
        if duel.waiting(B) == 0 {
            break;
        }
        let request = duel.hold(B);
        let cookie = Payload::Notify(NotifyPayload::new(NotifyType::COOKIE, vec![number; 8]));
        let header = IkeHeader {
            flags: ikebana_ike::Flags::v2(false, true),
            ..IkeHeader::peek(request.message()).unwrap()
        };
        let octets = encode_clear(&header, &[cookie]).unwrap();
        duel.release(&Held { to: A, path: Path::new(request.path.remote, request.path.local), octets });
    }
    assert!(duel.hosts[A].endpoint.stats().sent <= 8, "{}", duel.hosts[A].endpoint.stats().sent);
    duel.wait(Duration::from_secs(200));
    assert!(duel.hosts[A].said().contains("asked for a cookie"), "{}", duel.story());
}

#[test]
fn a_cookie_of_no_sensible_length_is_ignored() {
    for length in [0, 65, 200] {
        let (mut duel, request) = first_message();
        let cookie = Payload::Notify(NotifyPayload::new(NotifyType::COOKIE, vec![7; length]));
        let header = IkeHeader {
            flags: ikebana_ike::Flags::v2(false, true),
            ..IkeHeader::peek(request.message()).unwrap()
        };
        let octets = encode_clear(&header, &[cookie]).unwrap();
        duel.release(&Held { to: A, path: Path::new(request.path.remote, request.path.local), octets });
        assert_eq!(duel.waiting(B), 0, "{length}");
        duel.release(&request);
        duel.settle();
        duel.assert_up();
    }
}

#[test]
fn an_answer_with_an_unusable_public_value_does_not_end_the_attempt() {
    let (mut duel, request) = first_message();
    duel.release(&request);
    let answer = duel.hold(A);
    let parsed = parse_clear(answer.message()).unwrap();
    let payloads: Vec<Payload> = parsed
        .payloads
        .into_iter()
        .map(|payload| match payload {
            Payload::KeyExchange(mut key) => {
                key.data.fill(0);
                Payload::KeyExchange(key)
            }
            other => other,
        })
        .collect();
    let forged = Held { octets: encode_clear(&parsed.header, &payloads).unwrap(), ..answer };
    duel.release(&forged);
    assert!(duel.hosts[A].seen.is_empty(), "{}", duel.story());
    // It starts over with a fresh value, which B takes for another message of the same IKE SA until its own
    // half-open one has gone.
    duel.run(Duration::from_secs(60));
    duel.assert_up();
    duel.finish();
}

#[test]
fn a_first_message_that_comes_again_is_answered_again_with_the_same_octets() {
    let (_, message) = first_message();
    let mut host = responder(Limits::default(), open_provider);
    let now = Instant::from_secs(1);
    let from: SocketAddr = "192.0.2.1:500".parse().unwrap();
    let first = ask(&mut host, now, from, message.message());
    assert_eq!(first, ask(&mut host, now, from, message.message()));
    assert_eq!(host.endpoint.stats().half_open_now, 1);
    assert_eq!(host.endpoint.stats().drops.get(DropReason::Retransmission), 1);
}

#[test]
fn a_stranger_that_stops_is_forgotten_and_reported() {
    let (mut duel, message) = first_message();
    duel.release(&message);
    assert_eq!(duel.hosts[B].endpoint.stats().half_open_now, 1);
    duel.wait(Duration::from_secs(31));
    assert_eq!(duel.hosts[B].endpoint.stats().half_open_now, 0);
    let failed = |seen: &Seen| matches!(seen, Seen::Failed(_, why) if why.contains("half-open"));
    assert_eq!(duel.hosts[B].count(failed), 1);
    assert!(duel.hosts[B].endpoint.is_idle());
}

#[test]
fn a_thousand_damaged_second_messages_leave_a_half_open_ike_sa_as_it_is() {
    let (mut duel, message) = first_message();
    duel.release(&message);
    duel.pass(A);
    let second = duel.hold(B);
    assert_eq!(second.kind(), (ExchangeType::IKE_AUTH, false));
    for number in 0..1_000 {
        let mut octets = second.octets.clone();
        let at = octets.len() - 1 - number % 100;
        octets[at] ^= 1 + u8::try_from(number / 100).unwrap();
        let now = duel.now;
        duel.hosts[B].take_in(now, second.path, &octets);
    }
    assert!(duel.hosts[B].endpoint.poll_output().is_none());
    assert_eq!(duel.hosts[B].endpoint.stats().drops.get(DropReason::BadIntegrity), 1_000);
    duel.release(&second);
    duel.settle();
    duel.assert_up();
    duel.finish();
}

#[test]
fn a_higher_major_version_is_told_ours_and_a_lower_one_nothing() {
    let (_, message) = first_message();
    let mut host = responder(Limits::default(), open_provider);
    let now = Instant::from_secs(1);
    let from: SocketAddr = "192.0.2.1:500".parse().unwrap();
    for (version, answered) in [(0x30, true), (0xf0, true), (0x10, false), (0x00, false)] {
        let mut octets = message.message().to_vec();
        octets[17] = version;
        let replies = ask(&mut host, now, from, &octets);
        assert_eq!(replies.len(), usize::from(answered), "{version:#x}");
        for reply in replies {
            assert_eq!(notify_of(&reply).unwrap().kind, NotifyType::INVALID_MAJOR_VERSION);
            assert_eq!(reply[17], 0x20);
        }
    }
    // A higher minor version is ours.
    let mut octets = message.message().to_vec();
    octets[17] = 0x21;
    assert_eq!(ask(&mut host, now, from, &octets).len(), 1);
    assert_eq!(host.endpoint.stats().half_open_now, 1);
    assert_eq!(host.endpoint.stats().drops.get(DropReason::WrongVersion), 4);
}

#[test]
fn a_first_message_with_an_unknown_critical_payload_is_refused_by_name() {
    let (_, message) = first_message();
    let mut host = responder(Limits::default(), open_provider);
    let now = Instant::from_secs(1);
    let from: SocketAddr = "192.0.2.1:500".parse().unwrap();
    let parsed = parse_clear(message.message()).unwrap();
    for critical in [true, false] {
        let mut octets = encode_clear(&parsed.header, &parsed.payloads).unwrap();
        // A payload of type 200 in front of the others.
        let first = octets[16];
        octets[16] = 200;
        octets.splice(28..28, [first, if critical { 0x80 } else { 0 }, 0, 8, 1, 2, 3, 4]);
        let length = u32::try_from(octets.len()).unwrap();
        octets[24..28].copy_from_slice(&length.to_be_bytes());
        let replies = ask(&mut host, now, from, &octets);
        assert_eq!(replies.len(), 1);
        if critical {
            let notify = notify_of(&replies[0]).unwrap();
            assert_eq!((notify.kind, notify.data), (NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD, vec![200]));
            assert_eq!(host.endpoint.stats().half_open_now, 0);
        }
    }
    assert_eq!(host.endpoint.stats().half_open_now, 1, "the one that is not critical is passed over");
}

#[test]
fn requests_for_unknown_ike_sas_are_told_so_at_a_limited_rate_and_responses_never() {
    let limits = Limits { stateless_replies_per_second: 5, ..Limits::default() };
    let mut host = responder(limits, open_provider);
    let now = Instant::from_secs(1);
    let from: SocketAddr = "192.0.2.1:500".parse().unwrap();
    let (mut sent, mut to_responses) = (0, 0);
    for number in 0..100_u8 {
        for flags in [0x08, 0x00, 0x28, 0x20] {
            let mut octets = vec![number + 1; 16];
            octets.extend([46, 0x20, 37, flags, 0, 0, 0, 1, 0, 0, 0, 60]);
            octets.extend([0; 32]);
            let replies = ask(&mut host, now, from, &octets).len();
            if flags & 0x20 == 0 { sent += replies } else { to_responses += replies }
        }
    }
    assert_eq!((sent, to_responses), (5, 0));
    assert_eq!(host.endpoint.stats().drops.get(DropReason::UnknownSpi), 400);
}

#[test]
fn garbage_and_messages_of_impossible_length_are_counted_and_not_answered() {
    let (_, message) = first_message();
    let mut host = responder(Limits::default(), open_provider);
    let now = Instant::from_secs(1);
    let from: SocketAddr = "192.0.2.1:500".parse().unwrap();
    for length in [0, 1, 4, 15, 16, 17, 18, 20, 27] {
        assert!(ask(&mut host, now, from, &message.message()[..length]).is_empty());
    }
    for claimed in [0_u32, 27, 28, 1_000, 0xffff_ffff, 0x8000_0000] {
        let mut octets = message.message().to_vec();
        octets[24..28].copy_from_slice(&claimed.to_be_bytes());
        assert!(ask(&mut host, now, from, &octets).is_empty());
    }
    let mut long = message.message().to_vec();
    long.resize(20_000, 0);
    assert!(ask(&mut host, now, from, &long).is_empty());
    let drops = &host.endpoint.stats().drops;
    assert_eq!((drops.get(DropReason::Malformed), drops.get(DropReason::TooLong)), (15, 1));
}

#[test]
fn impossible_first_messages_leave_nothing_behind() {
    let (_, message) = first_message();
    let mut host = responder(Limits::default(), open_provider);
    let now = Instant::from_secs(1);
    let from: SocketAddr = "192.0.2.1:500".parse().unwrap();
    let parsed = parse_clear(message.message()).unwrap();
    let mut tries = vec![];
    // Zero initiator SPI, a responder SPI, a message id, flags of the wrong side.
    for (at, value) in [(8, 1), (23, 1), (19, 0x00), (19, 0x28)] {
        let mut octets = message.message().to_vec();
        octets[at] = value;
        tries.push(octets);
    }
    let mut octets = message.message().to_vec();
    octets[..8].fill(0);
    tries.push(octets);
    // Each payload missing, each payload doubled.
    for index in 0..3 {
        let mut payloads = parsed.payloads.clone();
        payloads.remove(index);
        tries.push(encode_clear(&parsed.header, &payloads).unwrap());
        let mut payloads = parsed.payloads.clone();
        payloads.push(parsed.payloads[index].clone());
        tries.push(encode_clear(&parsed.header, &payloads).unwrap());
    }
    for octets in &tries {
        assert!(ask(&mut host, now, from, octets).is_empty());
    }
    assert!(host.endpoint.is_idle());
    assert_eq!(host.endpoint.stats().drops.total(), tries.len() as u64);
    assert!(host.endpoint.poll_output().is_none());
}

#[test]
fn whoever_is_refused_in_ike_auth_counts_as_half_open_until_it_is_forgotten() {
    let mut duel = Duel::strangers(&Setup { psk: ["one", "another"], ..Setup::default() }, false);
    let most = Limits::default().half_open_per_address;
    for _ in 0..2 * most {
        duel.initiate(A);
        duel.settle();
    }
    let refused = duel.hosts[B].count(|seen| matches!(seen, Seen::Failed(..)));
    let stats = duel.hosts[B].endpoint.stats();
    assert_eq!((refused, stats.half_open_now), (most, most), "{}", duel.story());
    assert!(stats.drops.get(DropReason::TooManyHalfOpen) >= most as u64);
    duel.run(Duration::from_secs(600));
    assert!(duel.hosts.iter().all(|host| host.endpoint.is_idle()));
}

#[test]
fn two_first_messages_with_one_spi_from_one_address_are_two_attempts() {
    // RFC 7296 2.1: two peers behind one NAT may choose the same SPI; it takes the whole message to tell.
    let (duel, message) = first_message();
    let (mut host, from) = (responder(Limits::default(), open_provider), message.path.remote);
    let mut other = parse_clear(message.message()).unwrap();
    for payload in &mut other.payloads {
        if let Payload::Nonce(nonce) = payload {
            nonce[0] ^= 1;
        }
    }
    let other = encode_clear(&other.header, &other.payloads).unwrap();
    let [first, second] =
        [message.message(), &other].map(|octets| ask(&mut host, duel.now, from, octets).remove(0));
    assert_ne!(
        IkeHeader::peek(&first).unwrap().responder_spi,
        IkeHeader::peek(&second).unwrap().responder_spi
    );
    assert_eq!(host.endpoint.stats().half_open_now, 2);
    // Each is answered again as it was.
    assert_eq!(ask(&mut host, duel.now, from, message.message()), [first]);
    assert_eq!(ask(&mut host, duel.now, from, &other), [second]);
    assert_eq!(host.endpoint.stats().half_open_now, 2);
}

#[test]
fn an_answer_that_cannot_be_used_is_what_the_attempt_fails_with_in_the_end() {
    let mut duel = Duel::strangers(&Setup::default(), false);
    duel.initiate(A);
    duel.pass(B);
    let answer = duel.hold(A);
    let mut message = parse_clear(answer.message()).unwrap();
    for payload in &mut message.payloads {
        if let Payload::KeyExchange(key) = payload {
            key.group = KeyExchangeId::ECP_256;
        }
    }
    let octets = encode_clear(&message.header, &message.payloads).unwrap();
    duel.release(&Held { octets, ..answer });
    assert_eq!(duel.hosts[A].endpoint.stats().drops.get(DropReason::UnusableInitResponse), 1);
    duel.wait(Duration::from_secs(600));
    let said = duel.hosts[A].said();
    assert!(said.contains("sent a value for ECP_256, we sent one for CURVE25519"), "{said}");
    assert!(said.contains("Hint") && said.contains("Failed"), "{said}");
}
