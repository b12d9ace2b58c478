//! When tunnels come up, and when they do not.

use ikebana::core::Instant;
use ikebana::{DropCause, EngineConfig, Event, LeavingFate, Retry, Start, TunnelState};
use ikebana_testkit::LinkConfig;

use crate::setup::{millis, secs, tunnel};
use crate::world::World;

fn with_start(starts: [Start; 2]) -> World {
    let [mut a, mut b] = [tunnel(0, 1), tunnel(1, 0)];
    (a.start, b.start) = (starts[0], starts[1]);
    World::pair(a, b)
}

#[test]
fn a_tunnel_that_is_to_be_started_comes_up_by_itself_and_carries_both_families() {
    let mut world = with_start([Start::Start, Start::Passive]);
    world.run_secs(1);
    assert!(world.both_up(), "{}", world.story());
    world.assert_agree(1);
    world.assert_traffic(0, 1);
    world.finish();
}

/// The times at which host 0 begins a new attempt: when it says that the one before has failed, and the wait.
fn attempts(world: &World) -> Vec<(Instant, std::time::Duration)> {
    let failed = |(at, event): &(Instant, Event)| match event {
        Event::Down { retry: Some(retry), .. } => Some((*at, *retry)),
        _ => None,
    };
    world.nodes[0].seen.iter().filter_map(failed).collect()
}

#[test]
fn a_kept_tunnel_is_tried_for_ever_with_growing_and_jittered_waits_up_to_a_limit() {
    let mut world = with_start([Start::Start, Start::Passive]);
    world.kill(1);
    world.run_secs(3_600);
    let waits: Vec<_> = attempts(&world).into_iter().map(|(_, wait)| wait).collect();
    assert!(waits.len() > 20, "{waits:?}");
    for (index, wait) in waits.iter().enumerate() {
        let full = secs(1 << index.min(10)).min(secs(60));
        assert!(*wait <= full && *wait >= full * 3 / 4, "attempt {index} waits {wait:?}");
    }
    let late: std::collections::BTreeSet<_> = waits[7..].iter().collect();
    assert!(late.len() > waits.len() / 2, "there is no chance in {waits:?}");
    let status = world.status(0);
    assert!(status.cause.unwrap().contains("no answer to IKE_SA_INIT"));
    // The last wait may not be over yet.
    assert!((waits.len() as u64 - 1..=waits.len() as u64).contains(&status.retries), "{}", status.retries);

    world.revive(1);
    world.run_until(secs(61 + 75), World::both_up);
    assert_eq!(world.status(0).cause, None);
    world.assert_traffic(0, 1);
    world.finish();
}

#[test]
fn the_first_packet_brings_a_tunnel_up_and_is_not_lost() {
    let mut world = with_start([Start::OnTraffic, Start::Passive]);
    world.run_secs(60);
    assert_eq!(world.state(0), TunnelState::Down);
    assert!(world.nodes[0].wire.is_empty());
    for _ in 0..3 {
        assert_eq!(world.send(0, 1, false), LeavingFate::Waiting);
        assert_eq!(world.send(0, 1, true), LeavingFate::Waiting);
    }
    assert_eq!(world.state(0), TunnelState::Connecting);
    world.run_secs(1);
    assert!(world.both_up());
    world.assert_perfect();
    world.assert_traffic(0, 1);
    world.assert_agree(1);
    world.finish();
}

#[test]
fn no_more_packets_wait_for_a_tunnel_than_the_limit_says() {
    let mut world = with_start([Start::OnTraffic, Start::Passive]);
    world.kill(1);
    let fates: Vec<_> = (0..40).map(|_| world.send(0, 1, false)).collect();
    assert!(fates[..32].iter().all(|fate| *fate == LeavingFate::Waiting));
    assert!(fates[32..].iter().all(|fate| *fate == LeavingFate::Dropped(DropCause::QueueFull)));
    world.run_secs(600);
    // The attempt has failed, and nobody has asked since.
    assert_eq!(world.state(0), TunnelState::Down);
    assert_eq!(world.nodes[0].engine.drops().get(DropCause::TunnelDown), 32);
    assert!(world.nodes[0].engine.is_idle());
    // Whoever comes later is as welcome as the first one.
    world.revive(1);
    assert_eq!(world.send(0, 1, false), LeavingFate::Waiting);
    world.run_secs(1);
    assert!(world.both_up());
    assert_eq!(world.lost().len(), 32);
    world.finish();
}

#[test]
fn packets_do_not_wait_for_an_attempt_that_nobody_makes() {
    let mut world = with_start([Start::OnTraffic, Start::Passive]);
    world.with(1, |engine, now| {
        let id = engine.tunnel_named("to-0").unwrap();
        engine.remove_tunnel(now, id).unwrap();
    });
    world.nodes[1].tunnels.clear();
    let mut other = tunnel(1, 0);
    other.start = Start::Passive;
    other.pre_shared_key = crate::setup::key("something else");
    world.add_tunnel(1, other);
    assert_eq!(world.send(0, 1, false), LeavingFate::Waiting);
    world.run(millis(200));
    assert_eq!(world.state(0), TunnelState::Down, "{}", world.story());
    // The database asks again only after a pause.
    assert_eq!(world.send(0, 1, false), LeavingFate::Dropped(DropCause::TunnelDown));
    world.run_secs(10);
    assert_eq!(world.send(0, 1, false), LeavingFate::Waiting);
    world.finish();
}

#[test]
fn a_passive_tunnel_waits_for_its_peer_whatever_packets_come() {
    let mut world = with_start([Start::Passive, Start::Passive]);
    assert_eq!(world.send(0, 1, false), LeavingFate::Dropped(DropCause::TunnelDown));
    world.run_secs(3_600);
    assert!(world.nodes.iter().all(|node| node.wire.is_empty()));
    world.start(1);
    world.run_secs(1);
    assert!(world.both_up());
    world.assert_traffic(0, 1);
    world.finish();
}

#[test]
fn a_tunnel_stopped_by_hand_stays_down_until_it_is_started_by_hand() {
    for start in [Start::Start, Start::OnTraffic] {
        let mut world = with_start([start, Start::Passive]);
        world.start(0);
        world.run_secs(1);
        assert!(world.both_up());
        world.stop(0);
        assert_eq!(world.state(0), TunnelState::Down);
        world.run_secs(1);
        assert_eq!(world.state(1), TunnelState::Down);
        assert_eq!(world.count(0, |event| matches!(event, Event::Down { retry: None, .. })), 1);
        assert_eq!(world.send(0, 1, false), LeavingFate::Dropped(DropCause::TunnelDown));
        world.run_secs(3_600);
        assert_eq!(world.send(0, 1, false), LeavingFate::Dropped(DropCause::TunnelDown));
        world.run_secs(1);
        assert_eq!(world.state(0), TunnelState::Down, "{}", world.story());
        assert!(world.nodes[0].engine.is_idle());
        world.start(0);
        world.run_secs(1);
        assert!(world.both_up());
        world.assert_traffic(0, 1);
        world.finish();
    }
}

#[test]
fn a_tunnel_stopped_while_it_connects_does_not_come_up_after_all() {
    for after in [5, 15, 25, 35, 45] {
        let mut world = with_start([Start::Start, Start::Passive]);
        world.run(millis(after));
        world.stop(0);
        world.run_secs(100);
        assert_eq!(world.state(0), TunnelState::Down, "{}", world.story());
        assert!(world.nodes[0].engine.is_idle());
        world.finish();
    }
}

#[test]
fn an_attempt_that_fails_at_once_is_not_made_again_at_once_whatever_the_configuration_says() {
    let mut world = World::new(16, LinkConfig::default());
    world.add_host();
    let nothing = millis(0);
    let mut config = EngineConfig { retry: Retry { first: nothing, longest: nothing }, ..Default::default() };
    config.limits.ike_sas = 0;
    world.nodes[0].engine = world.engine(config);
    world.add_tunnel(0, tunnel(0, 1));
    world.run_secs(10);
    let status = world.status(0);
    assert!((5..=2_000).contains(&status.retries), "{status:?}");
    world.finish();
}
