//! Replacing keys while packets flow: none is lost, none arrives twice.

use ikebana::{Event, Start};
use ikebana_testkit::LinkConfig;

use crate::setup::{millis, tunnel};
use crate::world::World;

/// A link that loses nothing, but delays, and lets later packets overtake earlier ones.
fn crooked() -> LinkConfig {
    LinkConfig {
        delay: millis(10),
        jitter: millis(30),
        reorder_permille: 200,
        reorder_delay: millis(100),
        ..LinkConfig::default()
    }
}

/// An established pair with packets both ways in both families, one every three milliseconds.
fn flooded(seed: u64) -> World {
    let mut world = World::new(seed, crooked());
    for host in 0..2 {
        world.add_host();
        let mut config = tunnel(host, 1 - host);
        if host == 1 {
            config.start = Start::Passive;
        }
        world.add_tunnel(host, config);
    }
    world.run_secs(2);
    assert!(world.both_up());
    world.flood(0, 1, millis(3));
    world.run(millis(300));
    world
}

fn rekeyed_children(world: &World, host: usize) -> usize {
    world.count(host, |event| matches!(event, Event::ChildUp { rekeyed: true, .. }))
}

fn rekeyed_ikes(world: &World, host: usize) -> usize {
    world.count(host, |event| matches!(event, Event::IkeRekeyed(_)))
}

fn child_rekey(world: &mut World, host: usize) {
    let id = world.id(host);
    world.with(host, |engine, now| engine.rekey_children(now, id)).unwrap();
}

fn ike_rekey(world: &mut World, host: usize) {
    let id = world.id(host);
    world.with(host, |engine, now| engine.rekey_ike(now, id)).unwrap();
}

fn end(mut world: World) {
    world.run_secs(5);
    world.stop_streams();
    world.run_secs(2);
    world.assert_perfect();
    assert!(world.packets_sent() > 4_000);
    world.assert_agree(1);
    world.finish();
}

#[test]
fn a_child_rekey_from_either_side_loses_no_packet() {
    for seed in 0..10 {
        let mut world = flooded(seed);
        let host = (seed % 2) as usize;
        child_rekey(&mut world, host);
        world.run_secs(2);
        assert_eq!((rekeyed_children(&world, 0), rekeyed_children(&world, 1)), (1, 1), "{}", world.story());
        assert_eq!(world.status(host).children.last().unwrap().rekeys, 1);
        child_rekey(&mut world, 1 - host);
        world.run_secs(2);
        assert_eq!((rekeyed_children(&world, 0), rekeyed_children(&world, 1)), (2, 2), "{}", world.story());
        assert_eq!(world.status(host).children.last().unwrap().rekeys, 2);
        end(world);
    }
}

#[test]
fn an_ike_rekey_from_either_side_loses_no_packet() {
    for seed in 0..10 {
        let mut world = flooded(seed);
        let host = (seed % 2) as usize;
        ike_rekey(&mut world, host);
        world.run_secs(2);
        ike_rekey(&mut world, 1 - host);
        world.run_secs(2);
        assert_eq!((rekeyed_ikes(&world, 0), rekeyed_ikes(&world, 1)), (2, 2), "{}", world.story());
        assert_eq!(world.status(0).ikes[0].rekeys, 2);
        end(world);
    }
}

#[test]
fn child_rekeys_from_both_sides_at_once_lose_no_packet() {
    for seed in 0..20 {
        let mut world = flooded(seed);
        child_rekey(&mut world, 0);
        world.run(millis(seed * 3));
        child_rekey(&mut world, 1);
        end(world);
    }
}

#[test]
fn ike_rekeys_from_both_sides_at_once_lose_no_packet() {
    for seed in 0..20 {
        let mut world = flooded(seed);
        ike_rekey(&mut world, 0);
        world.run(millis(seed * 3));
        ike_rekey(&mut world, 1);
        end(world);
    }
}

#[test]
fn a_child_rekey_that_meets_an_ike_rekey_loses_no_packet() {
    for seed in 0..20 {
        let mut world = flooded(seed);
        child_rekey(&mut world, 0);
        world.run(millis(seed * 3));
        ike_rekey(&mut world, 1);
        end(world);
    }
}

#[test]
fn rekeys_one_after_the_other_from_both_sides_lose_no_packet() {
    for seed in 0..4 {
        let mut world = flooded(seed);
        for round in 0..20 {
            child_rekey(&mut world, round % 2);
            world.run(millis(150 + seed * 17));
            if round % 5 == 4 {
                ike_rekey(&mut world, round % 2);
                world.run(millis(100));
            }
        }
        assert!(rekeyed_children(&world, 0) >= 10, "{}", world.story());
        end(world);
    }
}
