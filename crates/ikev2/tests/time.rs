//! What happens because time passes: repetition, liveness, lifetimes, queries that wait.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

#[macro_use]
mod pair;

use std::time::Duration;

use ikebana_core::{Lifetime, Secret};
use ikebana_ike::{
    Answer, ApiError, ChildSignal, Event, ExchangeType, Limits, Output, PeerConfig, Query, QueryId,
    Retransmission,
};
use ikebana_testkit::LinkConfig;
use pair::play::{A, B};
use pair::toy::open_provider;
use pair::{Duel, Pair, Seen, Setup, peer_config};

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn lifetime(soft: u64, hard: u64) -> Lifetime {
    Lifetime { soft_time: Some(secs(soft)), hard_time: Some(secs(hard)), ..Lifetime::UNLIMITED }
}

fn moves(pair: &Pair, host: usize) -> usize {
    pair.hosts[host].count(|seen| matches!(seen, Seen::IkeRekeyed(..)))
}

fn installs(pair: &Pair, host: usize) -> usize {
    pair.hosts[host].count(|seen| matches!(seen, Seen::Installed(..)))
}

// Repetition (RFC 7296 2.1).

/// When A sends, in seconds after the first time, if nobody answers.
fn transmissions(plan: Retransmission, seed: u64) -> (Vec<f64>, String) {
    let setup = Setup { seed, ..Setup::default() };
    let mut peers = [peer_config(&setup, A), peer_config(&setup, B)];
    peers[A].retransmission = plan;
    let mut pair = Pair::with_peers(&setup, peers);
    let start = pair.now;
    let sent = std::sync::Arc::new(std::sync::Mutex::new(vec![]));
    let log = sent.clone();
    pair.network.set_filter(move |at, _, _, _| {
        log.lock().unwrap().push(at.saturating_since(start).as_secs_f64());
        ikebana_testkit::Verdict::Drop
    });
    pair.initiate(A);
    pair.run_secs(2_000);
    let said = pair.hosts[A].said();
    pair.finish();
    let sent = sent.lock().unwrap().clone();
    (sent, said)
}

#[test]
fn an_unanswered_request_is_repeated_with_growing_waits_and_then_given_up() {
    let plan = Retransmission {
        first: secs(1),
        factor_percent: 200,
        longest: secs(10),
        tries: 6,
        jitter_percent: 0,
    };
    let (times, said) = transmissions(plan, 1);
    assert_eq!(times, [0.0, 1.0, 3.0, 7.0, 15.0, 25.0, 35.0]);
    assert!(said.contains("no answer to IKE_SA_INIT after 7 transmissions"), "{said}");
}

#[test]
fn chance_moves_each_wait_within_its_bounds() {
    let plan = Retransmission { jitter_percent: 20, tries: 4, ..Retransmission::default() };
    let mut first_waits = vec![];
    for seed in 0..20 {
        let (times, _) = transmissions(plan, seed);
        let waits: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        for (wait, middle) in waits.iter().zip([2.0, 3.6, 6.48, 11.664]) {
            assert!((middle * 0.8 - 1e-3..=middle * 1.2 + 1e-3).contains(wait), "{wait} for {middle}");
        }
        first_waits.push(waits[0].to_bits());
    }
    first_waits.sort_unstable();
    first_waits.dedup();
    assert!(first_waits.len() > 15, "chance takes part");
}

#[test]
fn a_repeated_ike_auth_is_answered_again_after_establishment() {
    let mut duel = Duel::strangers(&Setup::default(), false);
    duel.initiate(A);
    duel.pass(B);
    duel.pass(A);
    let request = duel.hold(B);
    duel.release(&request);
    let first = duel.hold(A);
    for _ in 0..3 {
        duel.release(&request);
        let again = duel.hold(A);
        assert_eq!((again.octets.as_slice(), again.path), (first.octets.as_slice(), first.path));
    }
    assert_eq!(duel.hosts[B].count(|seen| matches!(seen, Seen::Established(_))), 1);
    duel.release(&first);
    duel.assert_up();
    duel.finish();
}

#[test]
fn a_first_message_that_comes_again_after_establishment_starts_nothing() {
    let mut duel = Duel::strangers(&Setup::default(), false);
    duel.initiate(A);
    let first = duel.hold(B);
    duel.release(&first);
    duel.settle();
    for _ in 0..3 {
        duel.release(&first);
    }
    assert_eq!(duel.waiting(A), 0);
    let stats = duel.hosts[B].endpoint.stats();
    assert_eq!(stats.half_open_now, 0);
    assert_eq!(stats.drops.get(ikebana_ike::DropReason::Retransmission), 3);
    duel.assert_up();
    duel.finish();
}

// Liveness (RFC 7296 2.4).

#[test]
fn a_silent_peer_is_asked_for_a_sign_of_life_and_a_dead_one_is_left() {
    let setup = Setup { liveness: Some(secs(10)), ..Setup::default() };
    let mut pair = Pair::established(&setup);
    let before = pair.hosts[A].endpoint.stats().sent;
    pair.run_secs(100);
    let probes = pair.hosts[A].endpoint.stats().sent + pair.hosts[B].endpoint.stats().sent - before;
    assert!((18..=26).contains(&probes), "{probes}");
    pair.assert_up();
    pair.network.set_all_links(LinkConfig::CUT);
    pair.run_secs(120);
    for host in &pair.hosts {
        assert!(host.said().contains("the peer is dead: no answer to INFORMATIONAL"), "{}", host.said());
    }
    pair.finish();
}

#[test]
fn traffic_is_a_sign_of_life() {
    let setup = Setup { liveness: Some(secs(10)), ..Setup::default() };
    let mut pair = Pair::established(&setup);
    let before = pair.hosts[A].endpoint.stats().sent + pair.hosts[B].endpoint.stats().sent;
    for _ in 0..100 {
        for index in 0..2 {
            let (child, now) = (pair.child(index), pair.now);
            pair.hosts[index].endpoint.handle_child_signal(now, child, ChildSignal::Traffic);
        }
        pair.run_secs(5);
    }
    assert_eq!(pair.hosts[A].endpoint.stats().sent + pair.hosts[B].endpoint.stats().sent, before);
    pair.finish();
}

#[test]
fn a_dead_peer_is_found_while_another_exchange_is_under_way_and_only_once() {
    let setup = Setup { liveness: Some(secs(5)), ..Setup::default() };
    let mut pair = Pair::established(&setup);
    pair.network.set_all_links(LinkConfig::CUT);
    let (child, now) = (pair.child(A), pair.now);
    pair.hosts[A].endpoint.rekey_child(now, child).unwrap();
    pair.run_secs(150);
    assert!(pair.hosts[A].said().contains("no answer to CREATE_CHILD_SA"), "{}", pair.hosts[A].said());
    pair.finish();
}

#[test]
fn a_probe_can_be_asked_for() {
    let mut duel = Duel::established(&Setup::default(), A, false);
    let (ike, now) = (duel.ike(A), duel.now);
    duel.hosts[A].endpoint.probe(now, ike).unwrap();
    duel.drain();
    let probe = duel.hold(B);
    assert_eq!((probe.kind(), duel.read(&probe)), ((ExchangeType::INFORMATIONAL, false), vec![]));
    duel.release(&probe);
    duel.settle();
    duel.finish();
}

#[test]
fn an_endpoint_with_nothing_to_do_is_never_due() {
    let mut pair = Pair::established(&Setup::default());
    pair.run_secs(60);
    for host in &mut pair.hosts {
        assert_eq!(host.endpoint.poll_timeout(), None);
    }
    // And one with much to do is never due without end.
    let setup = Setup {
        liveness: Some(secs(3)),
        ike_lifetime: lifetime(20, 40),
        child_lifetime: lifetime(7, 14),
        link: LinkConfig::bad(),
        provider: open_provider,
        ..Setup::default()
    };
    let mut busy = Pair::new(&setup);
    busy.initiate(A);
    let (until, mut steps) = (busy.now + secs(600), 0);
    while busy.step(until) {
        steps += 1;
    }
    assert!(steps < 20_000, "{steps}");
    pair.finish();
}

// Lifetimes.

#[test]
fn a_child_sa_is_rekeyed_at_its_soft_limit_and_gone_at_its_hard_one() {
    let setup = Setup { child_lifetime: lifetime(60, 90), ..Setup::default() };
    let mut pair = Pair::established(&setup);
    pair.run_secs(600);
    assert!(installs(&pair, A) >= 20, "{}", pair.hosts[A].said());
    // Without an answer, the hard limit holds.
    pair.network.set_all_links(LinkConfig::CUT);
    pair.run_secs(100);
    assert_eq!((pair.hosts[A].outbound().len(), pair.hosts[B].outbound().len()), (0, 0));
    pair.finish();
}

#[test]
fn an_ike_sa_is_rekeyed_at_its_soft_limit_and_closed_at_its_hard_one() {
    let setup = Setup { ike_lifetime: lifetime(60, 90), ..Setup::default() };
    let mut pair = Pair::established(&setup);
    pair.run_secs(600);
    assert!(moves(&pair, A) >= 8, "{}", pair.hosts[A].said());
    assert_eq!(pair.hosts[A].count(|seen| matches!(seen, Seen::Closed(..))), 0);
    let only_hard = Lifetime { hard_time: Some(secs(50)), ..Lifetime::UNLIMITED };
    let mut short = Pair::established(&Setup { ike_lifetime: only_hard, ..Setup::default() });
    short.run_secs(70);
    let said: String = short.hosts.iter().map(|host| host.said()).collect();
    assert!(said.contains("lifetime expired"), "{said}");
    pair.finish();
    short.finish();
}

#[test]
fn an_ike_sa_that_has_made_many_requests_is_rekeyed() {
    let limits = Limits { requests_per_ike_sa: 10, ..Limits::default() };
    let setup = Setup { limits, liveness: Some(secs(10)), ..Setup::default() };
    let mut pair = Pair::established(&setup);
    pair.run_secs(600);
    assert!((3..=12).contains(&moves(&pair, A)), "{}", pair.hosts[A].said());
    pair.assert_up();
    pair.finish();
}

#[test]
fn the_data_paths_limits_are_obeyed() {
    let mut pair = Pair::established(&Setup::default());
    let (child, now) = (pair.child(A), pair.now);
    pair.hosts[A].endpoint.handle_child_signal(now, child, ChildSignal::SoftExpired);
    pair.run_secs(10);
    pair.assert_up();
    assert_ne!(pair.child(A), child);
    let (child, now) = (pair.child(B), pair.now);
    pair.hosts[B].endpoint.handle_child_signal(now, child, ChildSignal::HardExpired);
    pair.run_secs(10);
    assert_eq!((pair.hosts[A].child_pairs(), pair.hosts[B].child_pairs()), (0, 0));
    pair.finish();
}

#[test]
fn a_clock_that_jumps_years_ahead_closes_what_is_over_and_nothing_hangs() {
    let setup = Setup { liveness: Some(secs(10)), ike_lifetime: lifetime(3_600, 7_200), ..Setup::default() };
    let mut pair = Pair::established(&setup);
    pair.now = pair.now + secs(3 * 365 * 86_400);
    pair.run_secs(300);
    assert_eq!(pair.hosts[A].ike_sas().len(), 0, "{}", pair.hosts[A].said());
    pair.finish();
}

// Queries.

/// An endpoint whose queries nobody answers but the test.
struct Slow {
    duel: Duel,
    host: usize,
    sent: usize,
}

impl Slow {
    /// Hands over a message, and returns the query that comes of it.
    fn give(&mut self, held: &pair::Held) -> Option<(QueryId, Query)> {
        let (now, host) = (self.duel.now, self.host);
        self.duel.hosts[host].take_in(now, held.path, &held.octets);
        self.query()
    }

    fn query(&mut self) -> Option<(QueryId, Query)> {
        let mut found = None;
        while let Some(output) = self.duel.hosts[self.host].endpoint.poll_output() {
            match output {
                Output::Event(Event::Query(id, query)) => found = Some((id, query)),
                Output::Transmit(_) => self.sent += 1,
                Output::Event(_) => {}
            }
        }
        found
    }

    fn answer(&mut self, id: QueryId, answer: Answer) -> Result<(), ApiError> {
        let now = self.duel.now;
        self.duel.hosts[self.host].endpoint.answer(now, id, answer)
    }

    fn peer(&self) -> std::sync::Arc<PeerConfig> {
        self.duel.hosts[self.host].peer.clone()
    }
}

/// A responder that has been asked who the peer is, and IKE_AUTH.
fn asked() -> (Slow, QueryId, pair::Held) {
    let mut duel = Duel::strangers(&Setup::default(), false);
    duel.initiate(A);
    duel.pass(B);
    duel.pass(A);
    let request = duel.hold(B);
    let mut slow = Slow { duel, host: B, sent: 0 };
    let (id, query) = slow.give(&request).unwrap();
    assert!(matches!(query, Query::SelectPeer(_)));
    (slow, id, request)
}

fn key() -> Answer {
    Answer::PreSharedKey(Some(Secret::from_slice(b"correct horse battery staple")))
}

#[test]
fn queries_may_be_answered_late_and_repetitions_meanwhile_are_counted() {
    let (mut slow, id, request) = asked();
    for _ in 0..5 {
        slow.duel.now = slow.duel.now + secs(2);
        assert!(slow.give(&request).is_none(), "it is asked once");
    }
    assert_eq!(slow.sent, 0);
    let drops = &slow.duel.hosts[B].endpoint.stats().drops;
    assert_eq!(drops.get(ikebana_ike::DropReason::StillWorking), 5);
    let peer = slow.peer();
    slow.answer(id, Answer::Peer(Some(peer))).unwrap();
    let (id, query) = slow.query().unwrap();
    assert!(matches!(query, Query::PreSharedKey(_)));
    slow.duel.now = slow.duel.now + secs(10);
    slow.answer(id, key()).unwrap();
    assert!(slow.query().is_none());
    assert_eq!(slow.sent, 1);
    assert_eq!(slow.duel.hosts[B].endpoint.stats().established, 1);
    // The answer is given again to a request that comes again.
    assert!(slow.give(&request).is_none());
    assert_eq!(slow.sent, 2);
}

#[test]
fn an_answer_of_the_wrong_kind_or_a_second_one_is_an_error_and_changes_nothing() {
    let (mut slow, id, _) = asked();
    assert_eq!(slow.answer(id, key()), Err(ApiError::WrongAnswer));
    assert_eq!(slow.answer(id, Answer::Address(None)), Err(ApiError::WrongAnswer));
    assert_eq!(slow.answer(QueryId::new(4_711), key()), Err(ApiError::NoSuchQuery));
    let peer = slow.peer();
    slow.answer(id, Answer::Peer(Some(peer.clone()))).unwrap();
    assert_eq!(slow.answer(id, Answer::Peer(Some(peer))), Err(ApiError::NoSuchQuery));
    let (id, _) = slow.query().unwrap();
    slow.answer(id, key()).unwrap();
    assert_eq!(slow.duel.hosts[B].endpoint.stats().established, 1);
}

#[test]
fn a_query_that_nobody_answers_ends_with_its_half_open_ike_sa() {
    let (mut slow, id, _) = asked();
    let due = slow.duel.hosts[B].endpoint.poll_timeout().unwrap();
    slow.duel.now = due;
    slow.duel.hosts[B].endpoint.handle_timeout(due);
    let peer = slow.peer();
    assert_eq!(slow.answer(id, Answer::Peer(Some(peer))), Err(ApiError::NoSuchQuery));
    assert!(slow.duel.hosts[B].endpoint.is_idle());
}

#[test]
fn an_initiator_without_an_answer_about_its_key_gives_up_and_says_so() {
    let mut duel = Duel::strangers(&Setup::default(), false);
    duel.initiate(A);
    duel.pass(B);
    let answer = duel.hold(A);
    let mut slow = Slow { duel, host: A, sent: 0 };
    let (id, query) = slow.give(&answer).unwrap();
    assert!(matches!(query, Query::PreSharedKey(_)));
    let due = slow.duel.hosts[A].endpoint.poll_timeout().unwrap();
    slow.duel.now = due;
    slow.duel.hosts[A].endpoint.handle_timeout(due);
    slow.duel.drain();
    assert!(
        slow.duel.hosts[A].said().contains("did not say in time which pre-shared key"),
        "{}",
        slow.duel.story()
    );
    assert_eq!(slow.answer(id, key()), Err(ApiError::NoSuchQuery));
    assert!(slow.duel.hosts[A].endpoint.is_idle());
}

#[test]
fn a_wrong_key_given_by_the_application_is_a_failed_authentication() {
    let (mut slow, id, _) = asked();
    let peer = slow.peer();
    slow.answer(id, Answer::Peer(Some(peer))).unwrap();
    let (id, _) = slow.query().unwrap();
    slow.answer(id, Answer::PreSharedKey(Some(Secret::from_slice(b"another")))).unwrap();
    slow.duel.drain();
    assert!(slow.duel.hosts[B].said().contains("compare the keys"), "{}", slow.duel.story());
    assert_eq!(slow.duel.hosts[B].established.len(), 0);
}
