//! The seven promises of an endpoint, each with a test of its own; the fifth is in `promise_5.rs`.
//!
//! The harness in `pair` checks the second and the sixth in every other test as well.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

#[macro_use]
mod pair;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ikebana_core::{EspSpi, Instant, Lifetime, Secret};
use ikebana_ike::{
    Answer, ApiError, ChildHandle, ChildSignal, Direction, Event, ExchangeType, IkeSaHandle, Limits, Output,
    QueryId, Uniqueness,
};
use ikebana_ikev2::wire::Payload;
use ikebana_testkit::{LinkConfig, SeededRng, Verdict};
use pair::play::{A, B};
use pair::toy::open_provider;
use pair::{Duel, Pair, Seen, Setup};

fn open_setup(seed: u64) -> Setup {
    Setup { seed, provider: open_provider, liveness: Some(Duration::from_secs(15)), ..Setup::default() }
}

// 1.

/// Any call, with handles that may have ended or never have been.
fn call_anything(pair: &mut Pair, rng: &mut SeededRng) {
    let host = usize::try_from(rng.below(2)).unwrap();
    let now = Instant::from_micros(pair.now.as_micros().saturating_sub(rng.below(2) * rng.below(5_000_000)));
    let ike = IkeSaHandle::new(rng.below(30));
    let child = ChildHandle::new(rng.below(30));
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
            _ = endpoint.answer(now, QueryId::new(rng.below(30)), answer);
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
    let (now, peer, mut out) = (duel.now, duel.hosts[host].peer.clone(), vec![]);
    while let Some(output) = duel.hosts[host].endpoint.poll_output() {
        match output {
            Output::Event(Event::Query(id, query)) => {
                let answer = match query {
                    ikebana_ike::Query::SelectPeer(_) => Answer::Peer(Some(peer.clone())),
                    _ => Answer::PreSharedKey(Some(Secret::from_slice(b"correct horse battery staple"))),
                };
                duel.hosts[host].endpoint.answer(now, id, answer).unwrap();
            }
            other => out.push(other),
        }
    }
    out
}

/// The inbound SPI that was installed before the answer, and the SPI that the answer tells the peer.
fn installed_and_told(duel: &mut Duel, request: &pair::Held) -> (Option<EspSpi>, Option<EspSpi>) {
    let now = duel.now;
    duel.hosts[B].take_in(now, request.path, &request.octets);
    let (mut installed, mut told) = (None, None);
    for output in outputs(duel, B) {
        match output {
            Output::Event(Event::InstallSa(sa)) if sa.direction == Direction::Inbound && told.is_none() => {
                installed = Some(sa.spi);
            }
            Output::Transmit(transmit) => {
                let payloads = duel.spy().open(&transmit.octets);
                told = payloads.iter().find_map(|payload| match payload {
                    Payload::Sa(sa) => {
                        let octets: [u8; 4] = sa.proposals[0].spi.as_slice().try_into().unwrap();
                        EspSpi::new(u32::from_be_bytes(octets))
                    }
                    _ => None,
                });
            }
            Output::Event(_) => {}
        }
    }
    (installed, told)
}

#[test]
fn promise_2_an_inbound_sa_is_installed_before_the_message_that_lets_the_peer_use_it() {
    let mut duel = Duel::strangers(&Setup::default(), false);
    duel.initiate(A);
    duel.pass(B);
    duel.pass(A);
    let request = duel.hold(B);
    assert_eq!(request.kind(), (ExchangeType::IKE_AUTH, false));
    let (installed, told) = installed_and_told(&mut duel, &request);
    assert!(installed.is_some());
    assert_eq!(installed, told);

    let mut duel = Duel::established(&Setup::default(), A, false);
    duel.allow_gap();
    duel.rekey_child(A);
    let request = duel.hold(B);
    assert_eq!(request.kind(), (ExchangeType::CREATE_CHILD_SA, false));
    let (installed, told) = installed_and_told(&mut duel, &request);
    assert!(installed.is_some());
    assert_eq!(installed, told);
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
        let mut other = (*config).clone();
        other.name = format!("net-{number}");
        let (ike, now) = (duel.ike(B), duel.now);
        duel.hosts[B].endpoint.create_child(now, ike, Arc::new(other), None).unwrap();
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
        .map(|number| {
            let mut other = (*config).clone();
            other.name = format!("net-{number}");
            duel.hosts[A].endpoint.create_child(now, ike, Arc::new(other), None)
        })
        .collect();
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 3);
    assert!(matches!(results[5], Err(ApiError::Limit(_))));
    duel.settle();
    duel.assert_children(4);
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
                Seen::Failed(ike, _) | Seen::Closed(ike, _) => {
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
    pair.run_secs(2);
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
    // An expired IKE SA that cannot be rekeyed.
    let hard = Lifetime { hard_time: Some(Duration::from_secs(20)), ..Lifetime::UNLIMITED };
    ends(&Setup { ike_lifetime: hard, ..open_setup(5) }, |pair| pair.run_secs(60));
    // One that a newer one replaces.
    ends(&Setup { uniqueness: Uniqueness::Replace, ..open_setup(6) }, |pair| {
        let second = pair.initiate(B);
        pair.run_secs(30);
        close(B)(pair);
        assert!(pair.hosts[B].count(|seen| *seen == Seen::Established(second)) == 1);
    });
    // Those that never come about: no answer, no common proposal, wrong key, cancelled.
    let mut cut = open_setup(7);
    cut.link = LinkConfig::CUT;
    ends(&cut, |pair| pair.run_secs(300));
    let ike = ["aes128gcm16-prfsha256-curve25519", "aes256gcm16-prfsha256-curve25519"];
    ends(&Setup { ike, ..open_setup(8) }, |_| ());
    ends(&Setup { psk: ["one", "two"], ..open_setup(9) }, |_| ());
    let mut slow = open_setup(10);
    slow.link.delay = Duration::from_secs(1);
    ends(&slow, |pair| {
        let (ike, now) = (IkeSaHandle::new(1), pair.now);
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
