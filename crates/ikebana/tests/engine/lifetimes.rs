//! Keys that are replaced because of their age or use, and those that must end.

use ikebana::core::Lifetime;
use ikebana::{Event, Start};

use crate::setup::{child, millis, secs, tunnel};
use crate::world::World;

fn with_lifetimes(ike: Lifetime, children: Lifetime) -> World {
    let [mut a, mut b] = [tunnel(0, 1), tunnel(1, 0)];
    for config in [&mut a, &mut b] {
        config.peer.lifetime = ike;
        child(config, |child| child.lifetime = children);
    }
    b.start = Start::Passive;
    let mut world = World::pair(a, b);
    world.run_secs(1);
    assert!(world.both_up());
    world
}

fn rekeys(world: &World) -> (usize, usize) {
    let children = world.count(0, |event| matches!(event, Event::ChildUp { rekeyed: true, .. }));
    (world.count(0, |event| matches!(event, Event::IkeRekeyed(_))), children)
}

fn downs(world: &World) -> usize {
    (0..2).map(|host| world.count(host, |event| matches!(event, Event::Down { .. }))).sum()
}

#[test]
fn keys_are_replaced_by_the_clock_for_hours_and_nothing_is_lost() {
    let mut world = with_lifetimes(Lifetime::by_time(secs(3_600)), Lifetime::by_time(secs(900)));
    world.stream(0, 1, false, millis(500));
    world.stream(1, 0, true, millis(700));
    world.run_secs(6 * 3_600);
    let (ikes, children) = rekeys(&world);
    assert!((5..=9).contains(&ikes), "{ikes}");
    assert!((23..=40).contains(&children), "{children}");
    assert_eq!(downs(&world), 0, "{}", world.story());
    world.stop_streams();
    world.run_secs(2);
    world.assert_perfect();
    world.assert_agree(1);
    world.finish();
}

#[test]
fn keys_are_replaced_after_so_many_packets_and_after_so_many_octets() {
    let by_packets = Lifetime { soft_packets: Some(1_000), hard_packets: Some(2_000), ..Lifetime::UNLIMITED };
    let by_octets = Lifetime { soft_bytes: Some(100_000), hard_bytes: Some(200_000), ..Lifetime::UNLIMITED };
    for lifetime in [by_packets, by_octets] {
        let mut world = with_lifetimes(Lifetime::UNLIMITED, lifetime);
        world.stream(0, 1, false, millis(5));
        world.stream(1, 0, true, millis(5));
        world.run_secs(60);
        let (_, children) = rekeys(&world);
        assert!((10..=30).contains(&children), "{children} {}", world.story());
        assert_eq!(downs(&world), 0, "{}", world.story());
        world.stop_streams();
        world.run_secs(2);
        world.assert_perfect();
        world.run_secs(10);
        world.assert_agree(1);
        world.finish();
    }
}

#[test]
fn an_sa_ends_at_its_hard_limit_when_no_rekey_comes_and_the_tunnel_starts_anew() {
    // There is no soft limit, so nothing is replaced in time.
    let packets = Lifetime { hard_packets: Some(100), ..Lifetime::UNLIMITED };
    let time = Lifetime { hard_time: Some(secs(60)), ..Lifetime::UNLIMITED };
    for lifetime in [packets, time] {
        let mut world = with_lifetimes(Lifetime::UNLIMITED, lifetime);
        world.stream(0, 1, false, millis(200));
        world.run_secs(70);
        assert!(downs(&world) >= 1, "{}", world.story());
        assert!(!world.refused().is_empty());
        world.stop_streams();
        world.run_secs(5);
        assert!(world.both_up(), "{}", world.story());
        world.assert_traffic(0, 1);
        // A packet that was refused is one thing, one that was taken and lost another.
        assert!(world.lost().len() <= 1, "{:?}", world.lost());
        world.finish();
    }
}

#[test]
fn an_ike_sa_ends_at_its_hard_limit_and_the_tunnel_starts_anew() {
    let lifetime = Lifetime { hard_time: Some(secs(60)), ..Lifetime::UNLIMITED };
    let mut world = with_lifetimes(lifetime, Lifetime::UNLIMITED);
    world.run_secs(600);
    assert!(downs(&world) >= 9, "{}", world.story());
    world.run_until(secs(5), World::both_up);
    world.assert_traffic(0, 1);
    world.finish();
}
