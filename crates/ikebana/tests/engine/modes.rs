//! Transport mode.

use ikebana::core::Lifetime;
use ikebana::ike::{Encapsulation, Mode, SelectorTemplate};
use ikebana::{DropCause, Event, LeavingFate, Start, TunnelConfig};
use ikebana_testkit::{LinkConfig, NatConfig};

use crate::packet::{addresses, numbered};
use crate::setup::{child, millis, outer, tunnel};
use crate::world::World;

fn transport(config: &mut TunnelConfig) {
    child(config, |child| {
        child.mode = Mode::Transport;
        child.local = vec![SelectorTemplate::DYNAMIC];
        child.remote = vec![SelectorTemplate::DYNAMIC];
    });
}

/// Numbered packets between the outer addresses themselves arrive, both ways.
fn assert_direct(world: &mut World, seen_from: [std::net::IpAddr; 2]) {
    for from in 0..2 {
        let to = 1 - from;
        let packet = numbered(outer(from), outer(to), 999, 200);
        // Behind a NAT, the far side's address is not what the near side has.
        let destination = if from == 1 { seen_from[0] } else { outer(to) };
        let packet =
            if destination == outer(to) { packet } else { numbered(outer(from), destination, 999, 200) };
        let before = world.nodes[to].inbox.len();
        assert!(matches!(world.send_packet(from, &packet), LeavingFate::Send(_)), "{}", world.story());
        world.run(millis(200));
        assert_eq!(world.nodes[to].inbox.len(), before + 1, "{}", world.story());
        let arrived = world.nodes[to].inbox.last().unwrap();
        assert_eq!(crate::packet::number_of(arrived), Some(999));
        assert_eq!(addresses(arrived), (seen_from[from], outer(to)));
    }
}

#[test]
fn transport_mode_protects_the_packets_of_the_hosts_themselves() {
    for force in [Encapsulation::Auto, Encapsulation::Force] {
        let [mut a, mut b] = [tunnel(0, 1), tunnel(1, 0)];
        b.start = Start::Passive;
        for config in [&mut a, &mut b] {
            transport(config);
            config.peer.encapsulation = force;
        }
        let mut world = World::pair(a, b);
        world.run_secs(1);
        assert!(world.both_up(), "{}", world.story());
        assert!((0..2).all(|host| world.status(host).children[0].mode == Mode::Transport));
        assert_direct(&mut world, [outer(0), outer(1)]);
        // Nothing else goes.
        assert_eq!(world.send(0, 1, false), LeavingFate::Dropped(DropCause::NoPolicy));
        let id = world.id(1);
        world.with(1, |engine, now| engine.rekey_children(now, id)).unwrap();
        world.run_secs(10);
        assert_direct(&mut world, [outer(0), outer(1)]);
        world.finish();
    }
}

#[test]
fn transport_mode_goes_through_a_nat() {
    let outside: std::net::IpAddr = "192.0.2.77".parse().unwrap();
    let mut world = World::new(5, LinkConfig::default());
    let nat = world.network.add_nat(outside, NatConfig::default());
    world.add_host_behind(nat);
    world.add_host();
    let [mut a, mut b] = [tunnel(0, 1), tunnel(1, 0)];
    transport(&mut a);
    transport(&mut b);
    b.start = Start::Passive;
    b.remote = None;
    world.add_tunnel(1, b);
    world.add_tunnel(0, a);
    world.run_secs(2);
    assert!(world.both_up(), "{}", world.story());
    assert_direct(&mut world, [outside, outer(1)]);
    world.finish();
}

#[test]
fn a_side_that_wants_the_other_mode_says_so() {
    let [a, mut b] = [tunnel(0, 1), tunnel(1, 0)];
    b.start = Start::Passive;
    transport(&mut b);
    let mut world = World::pair(a, b);
    world.run_secs(5);
    assert!(!world.is_up(0) && !world.is_up(1));
    let told = |event: &Event| {
        let Event::Problem { cause, .. } = event else { return false };
        cause.contains("ransport") || cause.contains("refused") || cause.contains("traffic")
    };
    assert!(world.count(1, told) > 0, "{}", world.story());
    assert!(world.status(1).cause.is_some());
    world.finish();
}

#[test]
fn a_limit_in_packets_counts_in_transport_mode_too() {
    let [mut a, mut b] = [tunnel(0, 1), tunnel(1, 0)];
    b.start = Start::Passive;
    for config in [&mut a, &mut b] {
        transport(config);
        child(config, |child| {
            child.lifetime = Lifetime { soft_packets: Some(50), ..Lifetime::UNLIMITED };
        });
    }
    let mut world = World::pair(a, b);
    world.run_secs(1);
    for number in 0..200 {
        world.send_packet(0, &numbered(outer(0), outer(1), number, 100));
        world.run(millis(20));
    }
    assert_eq!(world.nodes[1].inbox.len(), 200, "{}", world.story());
    assert!(world.count(0, |event| matches!(event, Event::ChildUp { rekeyed: true, .. })) >= 2);
    world.finish();
}
