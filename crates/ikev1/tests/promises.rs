//! The seven promises of an endpoint, each with a test of its own. Those about strangers are in
//! `phase1_strangers.rs`.
//!
//! The harness in `pair` checks the second and the sixth in every other test as well.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

mod pair;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ikebana_core::{Instant, Lifetime, Path, Secret};
use ikebana_ike::handle::IKEV1_HANDLES;
use ikebana_ike::{
    Answer, ApiError, ChildConfig, ChildHandle, ChildSignal, Direction, Event, ExchangeType, IkeSaHandle,
    Limits, Output, QueryId, SelectorTemplate, Uniqueness,
};
use ikebana_ikev1::wire::{NotifyPayload, NotifyType, Payload};
use ikebana_proposals::ikev1::phase2::Protocol;
use ikebana_testkit::{LinkConfig, SeededRng, Verdict};
use pair::toy::open_provider;
use pair::{Duel, Held, Pair, Seen, Setup};

const A: usize = 0;
const B: usize = 1;

/// Nobody acknowledges a delete, so what one side misses of it is over when the SA's time is.
fn open_setup(seed: u64) -> Setup {
    let child_lifetime = Lifetime::by_time(Duration::from_secs(180));
    let liveness = Some(Duration::from_secs(15));
    Setup { seed, provider: open_provider, liveness, child_lifetime, ..Setup::default() }
}

/// Another child configuration, for a part of the traffic.
fn part(config: &ChildConfig, number: u8, mine: u8) -> Arc<ChildConfig> {
    let net = format!("10.{mine}.{number}.0/24").parse().unwrap();
    let local = vec![SelectorTemplate::Fixed(net)];
    Arc::new(ChildConfig { name: format!("net-{number}"), local, ..config.clone() })
}

// 1.

/// Any call, with handles that may have ended or never have been.
fn call_anything(pair: &mut Pair, rng: &mut SeededRng) {
    let host = usize::try_from(rng.below(2)).unwrap();
    let now = Instant::from_micros(pair.now.as_micros().saturating_sub(rng.below(2) * rng.below(5_000_000)));
    let ike = IkeSaHandle::new(IKEV1_HANDLES | rng.below(30));
    let child = ChildHandle::new(IKEV1_HANDLES | rng.below(30));
    let path = pair.path(host);
    let peer = pair.hosts[host].peer.clone();
    let config = peer.children[0].clone();
    let endpoint = &mut pair.hosts[host].endpoint;
    match rng.below(16) {
        0 if pair.now < Instant::from_secs(30) => _ = endpoint.initiate(now, peer, path),
        1 => _ = endpoint.create_child(now, ike, config, None),
        2 => _ = endpoint.rekey_child(now, child),
        3 => _ = endpoint.delete_child(now, child),
        4 => _ = endpoint.rekey(now, ike),
        5 => _ = endpoint.probe(now, ike),
        6 => _ = endpoint.close(now, ike),
        7 => endpoint.handle_child_signal(now, child, ChildSignal::Traffic),
        8 => endpoint.handle_child_signal(now, child, ChildSignal::SoftExpired),
        9 => endpoint.handle_timeout(now),
        10 => {
            let answers = [
                Answer::Peer(None),
                Answer::PreSharedKey(Some(Secret::from_slice(b"wrong"))),
                Answer::Address(None),
            ];
            let count = answers.len() as u64;
            let answer = answers.into_iter().nth(usize::try_from(rng.below(count)).unwrap()).unwrap();
            _ = endpoint.answer(now, QueryId::new(IKEV1_HANDLES | rng.below(30)), answer);
        }
        11 => _ = endpoint.children(ike).count(),
        _ => {
            // Drained late, if at all.
            if rng.happens(500) {
                pair.drain();
            }
            pair.now = pair.now + Duration::from_millis(rng.below(1_000));
            while let Some(delivery) = pair.network.deliver(pair.now) {
                let to = pair.hosts.iter_mut().find(|host| host.id == delivery.to).unwrap();
                to.receive(pair.now, &delivery);
            }
        }
    }
}

#[test]
fn promise_1_any_call_order_is_legal() {
    for seed in 0..300 {
        let mut rng = SeededRng::new(seed);
        let mut pair = Pair::new(&open_setup(seed));
        for host in &mut pair.hosts {
            host.drained_at_once = false;
        }
        for _ in 0..300 {
            call_anything(&mut pair, &mut rng);
        }
        pair.run_secs(400);
        pair.settle();
        pair.finish();
    }
}

#[test]
fn promise_1_what_is_not_there_is_an_error_and_not_a_panic() {
    let mut pair = Pair::established(&open_setup(1));
    let now = pair.now;
    let config = pair.hosts[A].peer.children[0].clone();
    let (ike, child) = (IkeSaHandle::new(999), ChildHandle::new(999));
    let endpoint = &mut pair.hosts[A].endpoint;
    assert_eq!(endpoint.create_child(now, ike, config, None), Err(ApiError::NoSuchIkeSa));
    assert_eq!(endpoint.rekey(now, ike), Err(ApiError::NoSuchIkeSa));
    assert_eq!(endpoint.probe(now, ike), Err(ApiError::NoSuchIkeSa));
    assert_eq!(endpoint.close(now, ike), Err(ApiError::NoSuchIkeSa));
    assert_eq!(endpoint.rekey_child(now, child), Err(ApiError::NoSuchChild));
    assert_eq!(endpoint.delete_child(now, child), Err(ApiError::NoSuchChild));
    assert_eq!(endpoint.answer(now, QueryId::new(999), Answer::Peer(None)), Err(ApiError::NoSuchQuery));
    endpoint.handle_child_signal(now, child, ChildSignal::HardExpired);
    assert!(endpoint.poll_output().is_none());
    pair.finish();
}

// 2.

/// Answers queries, and gives the rest in the order it came out.
fn outputs(duel: &mut Duel, host: usize) -> Vec<Output> {
    let mut out = vec![];
    while let Some(output) = duel.hosts[host].endpoint.poll_output() {
        assert!(!matches!(output, Output::Event(Event::Query(..))), "nothing is asked in quick mode");
        out.push(output);
    }
    out
}

#[test]
fn promise_2_an_inbound_sa_is_installed_before_the_message_that_lets_the_peer_use_it() {
    // Message 2 lets the initiator send, message 3 the responder.
    for messages in [1, 2] {
        let mut duel = Duel::established(&Setup::default(), A, false);
        duel.allow_gap();
        duel.rekey_child(A);
        let mut to = B;
        if messages == 2 {
            duel.pass(B);
            to = A;
        }
        let held = duel.hold(to);
        assert_eq!(held.kind(), ExchangeType::QUICK_MODE);
        let now = duel.now;
        duel.hosts[to].take_in(now, held.path, &held.octets);
        let mut order = vec![];
        for output in outputs(&mut duel, to) {
            match output {
                Output::Event(Event::InstallSa(sa)) => order.push(match sa.direction {
                    Direction::Inbound => "inbound",
                    Direction::Outbound => "outbound",
                }),
                Output::Transmit(_) => order.push("message"),
                Output::Event(_) => {}
            }
        }
        let inbound = order.iter().position(|what| *what == "inbound");
        let message = order.iter().position(|what| *what == "message");
        assert!(inbound.is_some() && inbound < message, "{order:?}");
    }
}

// 3 and 7.

type Transcript = Vec<(Instant, Vec<u8>)>;

/// A run with everything in it, and all that was sent. With `pestered`, timeouts are handled far too often,
/// and with clocks that are behind.
fn transcript(seed: u64, pestered: bool) -> (Transcript, String) {
    let mut setup = open_setup(seed);
    setup.child_lifetime = Lifetime {
        soft_time: Some(Duration::from_secs(30)),
        hard_time: Some(Duration::from_secs(60)),
        ..Lifetime::UNLIMITED
    };
    let mut pair = Pair::new(&setup);
    let sent = Arc::new(Mutex::new(vec![]));
    let log = sent.clone();
    pair.network.set_filter(move |at, _, _, octets| {
        log.lock().unwrap().push((at, octets.to_vec()));
        Verdict::Pass
    });
    pair.initiate(A);
    for step in 0..40_u64 {
        if step == 3 {
            pair.network.set_all_links(LinkConfig::bad());
        }
        let now = pair.now;
        for index in 0..2 {
            let endpoint = &mut pair.hosts[index].endpoint;
            if pestered {
                let due = endpoint.poll_timeout();
                for behind in [0, 1, 1_000_000, now.as_micros()] {
                    endpoint.handle_timeout(Instant::from_micros(now.as_micros() - behind));
                }
                assert_eq!(endpoint.poll_timeout(), due, "handling a timeout early is no-op");
                assert!(endpoint.poll_output().is_none());
            }
            let ikes = pair.hosts[index].ike_sas();
            if let Some(ike) = ikes.first()
                && step % 5 == index as u64
            {
                _ = pair.hosts[index].endpoint.rekey(now, *ike);
            }
        }
        pair.drain();
        pair.run_secs(3);
    }
    let said = pair.hosts.iter().map(|host| host.said()).collect();
    let sent = sent.lock().unwrap().clone();
    (sent, said)
}

#[test]
fn promise_3_an_early_or_repeated_timeout_is_a_no_op() {
    for seed in 0..20 {
        let (calm, pestered) = (transcript(seed, false), transcript(seed, true));
        assert!(calm.0.len() > 50, "something happened");
        assert_eq!(calm, pestered);
    }
}

#[test]
fn promise_3_a_clock_that_goes_back_is_taken_to_stand_still() {
    let mut pair = Pair::new(&Setup { uniqueness: Uniqueness::Keep, ..open_setup(1) });
    pair.now = Instant::from_secs(1_000);
    pair.initiate(A);
    let due = pair.hosts[A].endpoint.poll_timeout().unwrap();
    assert!(due > Instant::from_secs(1_000));
    // An hour back: nothing is due, nothing is late, and what starts now starts at the latest time known.
    let path = pair.path(A);
    let peer = pair.hosts[A].peer.clone();
    pair.hosts[A].endpoint.handle_timeout(Instant::from_secs(1));
    assert_eq!(pair.hosts[A].endpoint.poll_timeout(), Some(due));
    pair.hosts[A].endpoint.initiate(Instant::from_secs(1), peer, path).unwrap();
    assert!(pair.hosts[A].endpoint.poll_timeout().unwrap() >= Instant::from_secs(1_000));
    pair.run_secs(5);
    assert_eq!(pair.hosts[A].ike_sas().len(), 2);
    pair.finish();
}

#[test]
fn promise_7_same_inputs_give_identical_bytes() {
    for seed in 0..20 {
        assert_eq!(transcript(seed, false), transcript(seed, false));
    }
    assert_ne!(transcript(1, false).0, transcript(2, false).0);
}

// 4. What strangers can cost is in `admission.rs`; this is what a peer can.

#[test]
fn promise_4_a_peer_cannot_have_more_child_sas_than_the_limit() {
    let limits = Limits { children: 4, ..Limits::default() };
    let mut duel = Duel::established(&Setup { limits, ..Setup::default() }, A, false);
    duel.allow_gap();
    // B's own limit does not keep it from asking: each time it forgets what it has.
    let config = duel.hosts[B].peer.children[0].clone();
    for number in 0..20_u8 {
        let (ike, now) = (duel.ike(B), duel.now);
        duel.hosts[B].endpoint.create_child(now, ike, part(&config, number, 2), None).unwrap();
        duel.drain();
        duel.settle();
    }
    assert_eq!(duel.hosts[A].child_pairs(), 4);
    assert!(duel.hosts[B].said().contains("no additional SAs"), "{}", duel.story());
    // At the limit, every pair can still be replaced.
    for child in duel.children(A) {
        let now = duel.now;
        duel.hosts[A].endpoint.rekey_child(now, child).unwrap();
        duel.drain();
        duel.settle();
    }
    duel.assert_children(4);
    duel.finish();
}

#[test]
fn promise_4_a_storm_of_rekeys_leaves_a_bounded_number_of_sas() {
    let limits = Limits { children: 4, ..Limits::default() };
    let mut duel = Duel::established(&Setup { limits, ..Setup::default() }, A, false);
    for _ in 0..200 {
        duel.rekey_child(A);
        duel.settle();
        duel.run(Duration::from_secs(5));
        assert!(duel.hosts[B].inbound().len() <= 16, "{}", duel.hosts[B].inbound().len());
    }
    duel.assert_up();
    duel.finish();
}

#[test]
fn promise_4_commands_that_wait_are_bounded() {
    let limits = Limits { queued_exchanges: 3, ..Limits::default() };
    let mut duel = Duel::established(&Setup { limits, ..Setup::default() }, A, false);
    duel.allow_gap();
    duel.rekey_ike(A);
    let config = duel.hosts[A].peer.children[0].clone();
    let (ike, now) = (duel.ike(A), duel.now);
    let results: Vec<_> = (0..6_u8)
        .map(|number| duel.hosts[A].endpoint.create_child(now, ike, part(&config, number, 1), None))
        .collect();
    // One is under way beside the new phase 1, and three wait.
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 4);
    assert!(matches!(results[5], Err(ApiError::Limit(_))));
    duel.settle();
    duel.assert_children(5);
    duel.finish();
}

#[test]
fn promise_4_an_endpoint_has_no_more_ike_sas_than_the_limit() {
    let limits = Limits { ike_sas: 3, ..Limits::default() };
    let mut pair = Pair::new(&Setup { limits, uniqueness: Uniqueness::Keep, ..open_setup(1) });
    let (now, path, peer) = (pair.now, pair.path(A), pair.hosts[A].peer.clone());
    let started: Vec<_> =
        (0..5).map(|_| pair.hosts[A].endpoint.initiate(now, peer.clone(), path).is_ok()).collect();
    assert_eq!(started, [true, true, true, false, false]);
    pair.run_secs(5);
    assert_eq!(pair.hosts[B].ike_sas().len(), 3);
    pair.finish();
}

// 5. What strangers can do is elsewhere; here is what somebody can do who sees every message, and what a peer can.

/// Everything that can be seen of a host from outside.
fn state(duel: &Duel, host: usize) -> String {
    let host = &duel.hosts[host];
    format!("{:?} {:?} {:?}", host.endpoint.poll_timeout(), host.said(), host.inbound())
}

#[test]
fn promise_5_what_is_not_authentic_changes_counters_and_nothing_else() {
    let mut duel = Duel::established(&Setup::default(), A, false);
    duel.rekey_child(A);
    for to in [B, A, B] {
        let held = duel.hold(to);
        let before = state(&duel, to);
        for at in 0..held.octets.len() {
            // A minor version and a flag of the future are no reason to drop a message.
            if at == 17 || at == 19 {
                continue;
            }
            for bit in [0x01, 0x80] {
                let mut mangled = held.octets.clone();
                mangled[at] ^= bit;
                let drops = duel.hosts[to].endpoint.stats().drops.total();
                duel.release_raw(&Held { octets: mangled, ..held.clone() });
                let counted = duel.hosts[to].endpoint.stats().drops.total();
                assert_eq!(counted, drops + 1, "octet {at} bit {bit:x} was taken in");
            }
        }
        for length in 0..held.octets.len() {
            duel.release_raw(&Held { octets: held.octets[..length].to_vec(), ..held.clone() });
        }
        assert_eq!(state(&duel, to), before);
        // To messages of ISAKMP SAs that it has never heard of it may say so, in few words and seldom.
        while duel.waiting(1 - to) > 0 {
            let said = duel.hold(1 - to);
            assert_eq!(said.kind(), ExchangeType::INFORMATIONAL_V1);
            assert!(said.octets.len() <= held.octets.len());
            assert_ne!(said.message()[..16], held.message()[..16]);
        }
        duel.release(&held);
    }
    duel.settle();
    duel.assert_up();
    duel.finish();
}

#[test]
fn promise_5_a_peer_with_the_keys_is_held_to_the_rules() {
    let mut duel = Duel::established(&Setup::default(), A, false);
    let spy = duel.spy("correct horse battery staple").unwrap();
    let socket = |index: usize| (duel.hosts[index].address, 500).into();
    let path = Path::new(socket(B), socket(A));
    let notify = |kind, data: &[u8]| {
        let spi = [spy.initiator_cookie.0, spy.responder_cookie.0].concat();
        Payload::Notify(NotifyPayload { doi: 1, protocol: Protocol::ISAKMP, spi, kind, data: data.to_vec() })
    };
    let send = |duel: &mut Duel, exchange, id, payloads: &[Payload]| {
        let octets = spy.seal(exchange, id, payloads);
        duel.release_raw(&Held { to: B, path, octets });
    };
    // One that is right is answered, so the others are wrong for the reason they are meant to be.
    send(&mut duel, ExchangeType::INFORMATIONAL_V1, 77, &[notify(NotifyType::R_U_THERE, &[0, 0, 0, 1])]);
    assert_eq!(duel.waiting(A), 1);
    duel.lose(A);
    // Sent again, it is not answered again.
    send(&mut duel, ExchangeType::INFORMATIONAL_V1, 77, &[notify(NotifyType::R_U_THERE, &[0, 0, 0, 1])]);
    assert_eq!(duel.waiting(A), 0);
    // Quick modes that are none.
    let wrong: [&[Payload]; 4] = [
        &[],
        &[Payload::Nonce(vec![7; 32])],
        &[Payload::KeyExchange(vec![1; 32]), Payload::Nonce(vec![7; 32])],
        &[Payload::Nonce(vec![7; 32]), Payload::Nonce(vec![8; 32])],
    ];
    for (id, payloads) in (100..).zip(wrong) {
        send(&mut duel, ExchangeType::QUICK_MODE, id, payloads);
        duel.settle();
    }
    send(&mut duel, ExchangeType::QUICK_MODE, 0, &[Payload::Nonce(vec![7; 32])]);
    send(&mut duel, ExchangeType(99), 200, &[]);
    duel.settle();
    assert_eq!(duel.hosts[B].inbound().len(), 1);
    duel.assert_up();
    duel.finish();
}

// 6.

/// The handles that were ever named, and those that had their terminal event.
fn assert_all_ended(pair: &Pair, started: &[(usize, IkeSaHandle)]) {
    for (index, host) in pair.hosts.iter().enumerate() {
        let mut named: BTreeSet<_> =
            started.iter().filter(|(host, _)| *host == index).map(|(_, ike)| *ike).collect();
        let mut ended = vec![];
        for seen in &host.seen {
            match seen {
                Seen::Established(ike) | Seen::IkeRekeyed(ike, _) => {
                    assert!(!ended.contains(ike), "{ike} lives on after its end: {}", host.said());
                    named.insert(*ike);
                }
                Seen::Failed(ike, _) | Seen::Closed(ike, _) | Seen::Joined(ike, _) => {
                    named.insert(*ike);
                    ended.push(*ike);
                }
                _ => {}
            }
        }
        let once: BTreeSet<_> = ended.iter().copied().collect();
        assert_eq!(once.len(), ended.len(), "more than one terminal event: {}", host.said());
        assert_eq!(once, named, "{}", host.said());
    }
}

/// Plays a session that ends in some way, and checks how the handles ended.
fn ends(setup: &Setup, end: impl FnOnce(&mut Pair)) {
    let mut pair = Pair::new(setup);
    let ike = pair.initiate(A);
    pair.run_secs(3);
    end(&mut pair);
    pair.network.set_all_links(LinkConfig::default());
    pair.run_secs(1_000);
    assert_all_ended(&pair, &[(A, ike)]);
    pair.finish();
}

#[test]
fn promise_6_every_handle_gets_exactly_one_terminal_event() {
    let close = |host: usize| {
        move |pair: &mut Pair| {
            let (ike, now) = (pair.ike(host), pair.now);
            pair.hosts[host].endpoint.close(now, ike).unwrap();
            // A second close is legal, and ends nothing twice.
            _ = pair.hosts[host].endpoint.close(now, ike);
        }
    };
    ends(&open_setup(1), close(A));
    ends(&open_setup(2), close(B));
    ends(&open_setup(3), |pair| {
        close(A)(pair);
        close(B)(pair);
    });
    // A dead peer.
    ends(&open_setup(4), |pair| {
        pair.network.set_all_links(LinkConfig::CUT);
        pair.run_secs(300);
    });
    // One that has renewed its phase 1 many times.
    let hard = Lifetime { hard_time: Some(Duration::from_secs(20)), ..Lifetime::UNLIMITED };
    ends(&Setup { ike_lifetime: hard, ..open_setup(5) }, |pair| {
        pair.run_secs(200);
        close(A)(pair);
    });
    // One that a newer one replaces.
    ends(&Setup { uniqueness: Uniqueness::Replace, ..open_setup(6) }, |pair| {
        let second = pair.initiate(B);
        pair.run_secs(30);
        let now = pair.now;
        for ike in pair.hosts[B].ike_sas() {
            pair.hosts[B].endpoint.close(now, ike).unwrap();
        }
        assert!(pair.hosts[B].count(|seen| *seen == Seen::Established(second)) == 1);
    });
    // Those that never come about: no answer, no common proposal, wrong key, cancelled.
    let mut cut = open_setup(7);
    cut.link = LinkConfig::CUT;
    ends(&cut, |pair| pair.run_secs(300));
    let ike = ["aes128-sha256-ecp256", "aes256-sha256-ecp256"];
    ends(&Setup { ike, ..open_setup(8) }, |_| ());
    ends(&Setup { psk: ["one", "two"], ..open_setup(9) }, |_| ());
    let mut slow = open_setup(10);
    slow.link.delay = Duration::from_secs(1);
    ends(&slow, |pair| {
        let (ike, now) = (IkeSaHandle::new(IKEV1_HANDLES | 1), pair.now);
        pair.hosts[A].endpoint.close(now, ike).unwrap();
    });
}

#[test]
fn promise_6_a_cancelled_attempt_ends_at_every_stage() {
    for millis in (0..80).step_by(5) {
        let mut pair = Pair::new(&open_setup(millis));
        let ike = pair.initiate(A);
        pair.run(Duration::from_millis(millis));
        let now = pair.now;
        pair.hosts[A].endpoint.close(now, ike).unwrap();
        pair.run_secs(300);
        assert_all_ended(&pair, &[(A, ike)]);
        pair.finish();
    }
}
