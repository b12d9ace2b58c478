//! Tunnels that are added and removed while others work.

use ikebana::{DropCause, Event, LeavingFate, Start};
use ikebana_testkit::LinkConfig;

use crate::setup::{millis, name, secs, tunnel};
use crate::world::World;

#[test]
fn removing_and_adding_a_tunnel_leaves_the_others_untouched() {
    let mut world = World::new(7, LinkConfig::default());
    world.add_host();
    for host in 1..=3 {
        world.add_host();
        world.add_tunnel(0, tunnel(0, host));
        let mut waiting = tunnel(host, 0);
        waiting.start = Start::Passive;
        world.add_tunnel(host, waiting);
    }
    world.run_secs(1);
    world.flood(0, 1, millis(5));
    world.flood(0, 3, millis(5));
    let before: Vec<_> = world.nodes[0].seen.iter().map(|(at, _)| *at).collect();
    for _ in 0..5 {
        let id = world.nodes[0].engine.tunnel_named(&name(2)).unwrap();
        world.remove_tunnel(0, id);
        assert_eq!(world.nodes[0].engine.tunnel_named(&name(2)), None);
        assert_eq!(
            world.send_packet(
                0,
                &crate::packet::numbered(
                    crate::setup::inner(0, false),
                    crate::setup::inner(2, false),
                    0,
                    100,
                )
            ),
            LeavingFate::Dropped(DropCause::NoPolicy)
        );
        world.run(millis(333));
        world.add_tunnel(0, tunnel(0, 2));
        world.run(millis(333));
        assert!(world.nodes[0].engine.status().iter().all(|tunnel| !tunnel.children.is_empty()));
    }
    world.stop_streams();
    world.run_secs(1);
    world.assert_perfect();
    world.assert_traffic(0, 2);
    let others = [name(1), name(3)].map(|name| world.nodes[0].engine.tunnel_named(&name).unwrap());
    for (_, event) in &world.nodes[0].seen[before.len()..] {
        let (Event::Established(id, _) | Event::ChildUp { tunnel: id, .. } | Event::Down { tunnel: id, .. }) =
            event
        else {
            continue;
        };
        assert!(!others.contains(id), "{event:?}");
    }
    world.finish();
}

#[test]
fn a_tunnel_replaced_at_once_comes_up_again_though_the_old_one_is_still_being_closed() {
    let mut world = World::pair(tunnel(0, 1), tunnel(1, 0));
    world.run_secs(5);
    let id = world.id(0);
    world.remove_tunnel(0, id);
    world.add_tunnel(0, tunnel(0, 1));
    world.run_secs(5);
    world.assert_agree(1);
    world.assert_traffic(0, 1);
    world.finish();
}

#[test]
fn a_tunnel_that_was_removed_while_it_connects_leaves_nothing() {
    for after in (0..50).step_by(5) {
        let mut world = World::pair(tunnel(0, 1), tunnel(1, 0));
        world.run(millis(after));
        for host in 0..2 {
            let id = world.id(host);
            world.remove_tunnel(host, id);
        }
        world.run_secs(120);
        for node in &world.nodes {
            assert!(node.engine.is_idle(), "{after}: {}", world.story());
            assert!(node.engine.status().is_empty());
        }
    }
}

#[test]
fn a_peer_at_another_address_is_found_at_the_next_attempt() {
    let mut world = World::new(15, LinkConfig::default());
    world.add_host();
    world.add_host();
    let mut config = tunnel(0, 1);
    config.remote = Some("203.0.113.9:500".parse().unwrap());
    world.add_tunnel(0, config);
    let mut waiting = tunnel(1, 0);
    waiting.start = Start::Passive;
    world.add_tunnel(1, waiting);
    world.run_secs(100);
    assert!(!world.is_up(0));
    let id = world.id(0);
    let found = (crate::setup::outer(1), 500).into();
    world.with(0, |engine, _| engine.set_remote(id, found)).unwrap();
    world.run_until(secs(150), World::both_up);
    world.assert_traffic(0, 1);
    world.finish();
}
