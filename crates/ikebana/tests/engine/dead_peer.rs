//! Peers that vanish, and peers that come back.

use ikebana::ike::Liveness;
use ikebana::{DeadPeerAction, DropCause, Event, LeavingFate, Start, TunnelState};

use crate::setup::{millis, secs, tunnel};
use crate::world::World;

/// An established pair whose host 0 looks after host 1, which is passive.
fn watched(start: Start, action: DeadPeerAction) -> World {
    let [mut a, mut b] = [tunnel(0, 1), tunnel(1, 0)];
    a.start = start;
    a.on_dead_peer = action;
    a.peer.liveness = Some(Liveness { delay: secs(10) });
    b.start = Start::Passive;
    let mut world = World::pair(a, b);
    world.start(0);
    world.run_secs(1);
    assert!(world.both_up());
    world
}

fn down_events(world: &World) -> usize {
    world.count(0, |event| matches!(event, Event::Down { .. }))
}

#[test]
fn a_dead_peer_is_noticed_and_with_clear_its_tunnel_stays_down_until_it_is_started() {
    let mut world = watched(Start::Start, DeadPeerAction::Clear);
    world.kill(1);
    world.run_secs(600);
    assert_eq!(world.state(0), TunnelState::Down);
    assert_eq!(down_events(&world), 1, "{}", world.story());
    assert!(world.status(0).cause.unwrap().contains("dead"));
    assert!(world.nodes[0].engine.is_idle());
    world.revive(1);
    assert_eq!(world.send(0, 1, false), LeavingFate::Dropped(DropCause::TunnelDown));
    world.run_secs(600);
    assert_eq!(world.state(0), TunnelState::Down);
    world.start(0);
    world.run_secs(1);
    assert!(world.both_up());
    world.assert_traffic(0, 1);
    world.finish();
}

#[test]
fn a_dead_peer_is_noticed_and_with_trap_the_next_packet_brings_its_tunnel_up() {
    for start in [Start::Start, Start::OnTraffic, Start::Passive] {
        let mut world = watched(start, DeadPeerAction::Trap);
        world.kill(1);
        world.run_secs(600);
        assert_eq!(world.state(0), TunnelState::Down, "{}", world.story());
        assert!(world.nodes[0].engine.is_idle());
        world.revive(1);
        assert_eq!(world.send(0, 1, false), LeavingFate::Waiting);
        world.run_secs(1);
        assert!(world.both_up());
        world.assert_perfect();
        world.assert_traffic(0, 1);
        world.finish();
    }
}

#[test]
fn a_dead_peer_is_noticed_and_with_restart_its_tunnel_is_taken_up_until_it_answers() {
    let mut world = watched(Start::Start, DeadPeerAction::Restart);
    world.kill(1);
    world.run_secs(1_200);
    assert!(!world.is_up(0));
    assert!(world.status(0).retries > 3);
    world.revive(1);
    world.run_until(secs(140), World::both_up);
    world.assert_traffic(0, 1);
    world.finish();
}

#[test]
fn a_peer_that_sends_packets_is_not_asked_whether_it_lives() {
    let mut world = watched(Start::Start, DeadPeerAction::Restart);
    world.stream(1, 0, false, secs(3));
    let before = world.nodes[0].wire.len();
    world.run_secs(300);
    assert_eq!(world.nodes[0].wire.len(), before, "{:?}", &world.nodes[0].wire[before..]);
    world.stop_streams();
    world.run_secs(30);
    assert!(world.nodes[0].wire.len() > before);
    world.finish();
}

#[test]
fn a_peer_that_lost_its_memory_replaces_the_old_tunnel_and_traffic_resumes() {
    for starts in [[Start::Passive, Start::Start], [Start::Start, Start::Start]] {
        let [mut a, mut b] = [tunnel(0, 1), tunnel(1, 0)];
        (a.start, b.start) = (starts[0], starts[1]);
        let mut world = World::pair(a, b);
        world.run_secs(5);
        world.assert_agree(1);
        world.kill(1);
        world.run_secs(5);
        world.revive(1);
        world.run_secs(2);
        world.assert_agree(1);
        assert!(world.both_up());
        world.assert_traffic(0, 1);
        assert_eq!(world.nodes[0].engine.status()[0].children.len(), 1);
        // The new IKE SA was there before the old one went: nothing was down.
        assert_eq!(down_events(&world), 0, "{}", world.story());
        world.finish();
    }
}

#[test]
fn a_tunnel_that_its_peer_has_deleted_comes_back_if_it_is_to_be_kept() {
    let [a, mut b] = [tunnel(0, 1), tunnel(1, 0)];
    b.start = Start::Passive;
    let mut world = World::pair(a, b);
    world.run_secs(1);
    world.stop(1);
    world.run(millis(100));
    assert!(!world.is_up(0));
    world.run_secs(3);
    assert!(world.both_up());
    world.assert_traffic(0, 1);
    world.finish();
}

#[test]
fn a_tunnel_that_has_lost_its_only_child_says_that_it_is_down_and_comes_back() {
    for (start, comes_back) in [(Start::Start, true), (Start::OnTraffic, false)] {
        let [mut a, mut b] = [tunnel(0, 1), tunnel(1, 0)];
        (a.start, b.start) = (start, Start::Passive);
        // Host 1 lets the child end, and not the IKE SA.
        crate::setup::child(&mut b, |child| child.lifetime.hard_packets = Some(5));
        let mut world = World::pair(a, b);
        world.start(0);
        world.run_secs(1);
        for _ in 0..6 {
            world.send(1, 0, false);
        }
        world.run(millis(500));
        assert!(!world.is_up(0), "{}", world.story());
        assert_eq!(down_events(&world), 1, "{}", world.story());
        assert_eq!(world.status(0).ikes.len(), 1);
        let told_retry = world.count(0, |event| matches!(event, Event::Down { retry: Some(_), .. })) == 1;
        assert_eq!(told_retry, comes_back);
        world.run_secs(5);
        assert_eq!(world.is_up(0), comes_back);
        if !comes_back {
            assert_eq!(world.state(0), TunnelState::Down);
            assert_eq!(world.send(0, 1, false), LeavingFate::Waiting);
            world.run_secs(1);
            assert!(world.both_up());
        }
        assert_eq!(world.status(0).cause, None);
        world.assert_traffic(0, 1);
        world.finish();
    }
}
