//! What keeps an association going, and what ends it when nothing else does.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod pair;

use std::time::Duration;

use ikebana_core::Lifetime;
use ikebana_ike::{ChildSignal, Direction, DropReason};
use ikebana_testkit::{LinkConfig, NatConfig};
use pair::{Duel, NAT, Pair, Seen, Setup, peer_config};

fn setup() -> Setup {
    Setup { provider: pair::toy::open_provider, ..Setup::default() }
}

#[test]
fn a_dead_peer_is_noticed_by_both_sides() {
    for initiator in 0..2 {
        let mut pair = Pair::new(&Setup { liveness: Some(Duration::from_secs(10)), ..setup() });
        pair.initiate(initiator);
        // Idle for hours: the questions are answered, and nobody takes the other one for dead.
        pair.run_secs(7_200);
        pair.assert_up();
        pair.network.set_all_links(LinkConfig::CUT);
        pair.run_secs(130);
        for host in &pair.hosts {
            let dead = host.count(|seen| matches!(seen, Seen::Closed(_, reason) if reason.contains("dead")));
            assert_eq!(dead, 1, "{}", host.said());
            assert!(host.inbound().is_empty() && host.outbound().is_empty());
        }
        pair.finish();
    }
}

#[test]
fn a_peer_whose_packets_arrive_is_not_asked() {
    let mut pair = Pair::new(&Setup { liveness: Some(Duration::from_secs(10)), ..setup() });
    pair.initiate(0);
    pair.run_secs(2);
    let sent = [0, 1].map(|host: usize| pair.hosts[host].endpoint.stats().sent);
    for _ in 0..100 {
        pair.run_secs(5);
        for host in 0..2 {
            let (now, child) = (pair.now, pair.child(host));
            pair.hosts[host].traffic(now, child);
        }
    }
    assert_eq!(sent, [0, 1].map(|host: usize| pair.hosts[host].endpoint.stats().sent));
    pair.finish();
}

#[test]
fn a_nat_is_kept_open_and_followed_when_it_moves() {
    let setup = setup();
    let peers = [peer_config(&setup, 0), peer_config(&setup, 1)];
    let (mut pair, _) = Pair::behind_nat(&setup, peers, NatConfig::default());
    pair.initiate(0);
    pair.run_secs(2);
    pair.assert_up();
    let sent = [0, 1].map(|host: usize| pair.hosts[host].endpoint.stats().sent);
    pair.run_secs(100);
    let now = [0, 1].map(|host: usize| pair.hosts[host].endpoint.stats().sent);
    assert_eq!([now[0] - sent[0], now[1] - sent[1]], [5, 0], "keepalives come from behind the NAT only");

    let moved = format!("{NAT}:7777").parse().unwrap();
    for (host, follows) in [(0, 0), (1, 1)] {
        let (now, child) = (pair.now, pair.child(host));
        pair.hosts[host].endpoint.handle_child_signal(now, child, ChildSignal::PeerMoved(moved));
        pair.drain();
        let updates =
            pair.hosts[host].count(|seen| matches!(seen, Seen::Updated(_, path) if path.remote == moved));
        assert_eq!(updates, follows, "host {host}");
    }
}

#[test]
fn a_pair_outlives_every_isakmp_sa_and_goes_at_its_own_hard_limit() {
    let mut pair = Pair::new(&Setup {
        ike_lifetime: Lifetime { hard_time: Some(Duration::from_secs(100)), ..Lifetime::UNLIMITED },
        child_lifetime: Lifetime {
            soft_time: Some(Duration::from_secs(1_000)),
            hard_time: Some(Duration::from_secs(1_200)),
            ..Lifetime::UNLIMITED
        },
        ..setup()
    });
    pair.initiate(0);
    pair.run_secs(900);
    let renewed = pair.hosts[0].count(|seen| matches!(seen, Seen::IkeRekeyed(..)));
    assert!(renewed >= 8, "{}", pair.hosts[0].said());
    let installed = |pair: &Pair, host: usize| {
        pair.hosts[host].count(|seen| matches!(seen, Seen::Installed(_, Direction::Inbound, _)))
    };
    assert_eq!([installed(&pair, 0), installed(&pair, 1)], [1, 1], "the pair is the first one");
    pair.assert_up();
    // Nothing arrives any more: no renewal, no rekey.
    pair.network.set_all_links(LinkConfig::CUT);
    pair.run_secs(600);
    for host in &pair.hosts {
        assert!(host.ike_sas().is_empty() && host.inbound().is_empty(), "{}", host.said());
    }
    pair.finish();
}

#[test]
fn a_peer_with_several_associations_keeps_them_all_in_peace() {
    // Both of its associations are one here. What it has renewed is not told from what it has besides.
    let mut pair = Pair::new(&setup());
    pair.initiate(0);
    pair.run_secs(2);
    pair.initiate(0);
    pair.run_secs(1_800);
    let renewed = pair.hosts[1].count(|seen| matches!(seen, Seen::IkeRekeyed(..)));
    assert!((1..=4).contains(&renewed), "{renewed} renewals in half an hour:\n{}", pair.hosts[1].said());
    let closed =
        pair.hosts.iter().map(|host| host.count(|seen| matches!(seen, Seen::Closed(..)))).sum::<usize>();
    assert_eq!(closed, 0);
    pair.finish();
}

#[test]
fn a_peer_with_three_associations_is_recognised_however_they_are_spaced() {
    for gap in [3, 5, 8] {
        let mut pair = Pair::new(&setup());
        for _ in 0..3 {
            pair.initiate(0);
            pair.run_secs(gap);
        }
        pair.run_secs(1_800);
        let renewed = pair.hosts[1].count(|seen| matches!(seen, Seen::IkeRekeyed(..)));
        assert!((1..=8).contains(&renewed), "{renewed} renewals in half an hour, {gap} seconds apart");
        pair.finish();
    }
}

#[test]
fn a_deleted_pair_takes_all_with_it_that_it_has_come_from() {
    for host in 0..2 {
        let mut pair = Pair::established(&setup());
        for _ in 0..3 {
            let (now, child) = (pair.now, pair.child(0));
            pair.hosts[0].endpoint.rekey_child(now, child).unwrap();
            pair.run_secs(1);
            for host in 0..2 {
                let (now, child) = (pair.now, pair.child(host));
                pair.hosts[host].traffic(now, child);
            }
        }
        let rekeyed =
            pair.hosts[host].count(|seen| matches!(seen, Seen::Installed(_, Direction::Inbound, _)));
        assert_eq!(rekeyed, 4, "four pairs: {}", pair.hosts[host].said());
        let (now, child) = (pair.now, pair.child(host));
        pair.hosts[host].endpoint.delete_child(now, child).unwrap();
        pair.run_secs(30);
        for host in &pair.hosts {
            assert!(host.inbound().is_empty() && host.outbound().is_empty(), "{}", host.said());
        }
        pair.finish();
    }
}

#[test]
fn an_old_message_is_no_sign_of_life() {
    let setup = Setup { liveness: Some(Duration::from_secs(5)), ..setup() };
    let mut duel = Duel::established(&setup, 0, false);
    while duel.waiting(0) + duel.waiting(1) == 0 {
        duel.wait(Duration::from_secs(1));
    }
    let question = duel.on_the_wire().remove(0);
    let to = question.to;
    duel.settle();
    // Questions and answers until ids would have to be forgotten.
    let renewed = |duel: &Duel| duel.hosts[to].count(|seen| matches!(seen, Seen::IkeRekeyed(..)));
    for _ in 0..100 {
        duel.run(Duration::from_secs(300));
        if renewed(&duel) > 0 {
            break;
        }
        let drops = |duel: &Duel| duel.hosts[to].endpoint.stats().drops.get(DropReason::OutsideWindow);
        let before = drops(&duel);
        duel.release(&question);
        assert_eq!(drops(&duel), before + 1, "it was seen before");
    }
    assert_eq!(renewed(&duel), 1, "before that, there are new keys");
    duel.release(&question);
    assert!(duel.hosts[to].endpoint.stats().drops.get(DropReason::UnknownSpi) > 0);
    duel.finish();
}
