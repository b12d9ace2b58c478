//! Inner addresses that one side assigns to the other.

use ikebana::ike::{AddressRequest, Assignment, SelectorTemplate};
use ikebana::{ArrivalFate, DropCause, Event, LeavingFate, Start, TunnelConfig};
use ikebana_testkit::LinkConfig;

use crate::packet::numbered;
use crate::setup::{child, inner, millis, outer, secs, tunnel};
use crate::world::World;

/// A client that asks for an address, and takes every network behind the gateway.
fn client(host: usize) -> TunnelConfig {
    let mut config = tunnel(host, 0);
    config.peer.request = vec![AddressRequest::Ipv4, AddressRequest::DnsIpv4];
    child(&mut config, |child| child.local = vec![SelectorTemplate::DYNAMIC]);
    config
}

fn pool(addresses: &[&str]) -> Vec<Assignment> {
    let assignment = |address: &&str| Assignment {
        addresses: vec![address.parse().unwrap()],
        dns: vec!["10.1.0.53".parse().unwrap()],
        ..Assignment::default()
    };
    addresses.iter().map(assignment).collect()
}

/// A gateway, host 0, and as many clients.
fn gateway(clients: usize, addresses: &[&str]) -> World {
    let mut world = World::new(21, LinkConfig::default());
    world.add_host();
    let mut config = tunnel(0, 1);
    config.start = Start::Passive;
    config.remote = None;
    config.peer.remote_id = "*".parse().unwrap();
    config.peer.assigns_addresses = true;
    config.assign = pool(addresses);
    child(&mut config, |child| child.remote = vec![SelectorTemplate::DYNAMIC]);
    world.add_tunnel(0, config);
    for host in 1..=clients {
        world.add_host();
        world.add_tunnel(host, client(host));
    }
    world.run_secs(2);
    world
}

fn assigned(world: &World, host: usize) -> Vec<Assignment> {
    let assigned = |(_, event): &(_, Event)| match event {
        Event::Assigned(_, assignment) => Some(assignment.clone()),
        _ => None,
    };
    world.nodes[host].seen.iter().filter_map(assigned).collect()
}

/// A packet from a client's address to the gateway's network, and one back.
fn assert_round_trip(world: &mut World, host: usize, address: &str) {
    let address = address.parse().unwrap();
    for (from, to, packet) in [
        (host, 0, numbered(address, inner(0, false), 7_777, 100)),
        (0, host, numbered(inner(0, false), address, 8_888, 100)),
    ] {
        let before = world.nodes[to].inbox.len();
        assert!(matches!(world.send_packet(from, &packet), LeavingFate::Send(_)), "{}", world.story());
        world.run(millis(100));
        assert_eq!(world.nodes[to].inbox.len(), before + 1, "{}", world.story());
        assert_eq!(world.nodes[to].inbox[before], packet);
    }
}

#[test]
fn clients_get_addresses_of_their_own_and_packets_find_them() {
    let mut world = gateway(3, &["10.9.0.1", "10.9.0.2", "10.9.0.3"]);
    for host in 1..=3 {
        let address = format!("10.9.0.{host}");
        let given = assigned(&world, host);
        assert_eq!(given.len(), 1);
        assert_eq!(given[0].addresses, [address.parse::<std::net::IpAddr>().unwrap()]);
        assert_eq!(given[0].dns.len(), 1);
        assert_round_trip(&mut world, host, &address);
    }
    // Keys are replaced, addresses stay.
    let id = world.id(2);
    world.with(2, |engine, now| engine.rekey_children(now, id)).unwrap();
    world.run_secs(10);
    assert_round_trip(&mut world, 2, "10.9.0.2");
    world.finish();
}

#[test]
fn a_client_cannot_use_the_address_of_another_one() {
    let mut world = gateway(2, &["10.9.0.1", "10.9.0.2"]);
    let stolen = numbered("10.9.0.2".parse().unwrap(), inner(0, false), 1, 100);
    assert_eq!(world.send_packet(1, &stolen), LeavingFate::Dropped(DropCause::NoPolicy));
    world.finish();
}

#[test]
fn a_pool_that_is_empty_refuses_and_the_refusal_is_told() {
    let mut world = gateway(2, &["10.9.0.1"]);
    assert_round_trip(&mut world, 1, "10.9.0.1");
    world.run_secs(100);
    assert!(!world.is_up(2));
    let told = |event: &Event| matches!(event, Event::Problem { cause, .. } if cause.contains("address"));
    assert!(world.count(0, told) > 0 && world.count(2, told) > 0, "{}", world.story());
    // The first client leaves, and there is room.
    world.stop(1);
    world.run_until(secs(70), |world| world.is_up(2));
    assert_round_trip(&mut world, 2, "10.9.0.1");
    world.finish();
}

#[test]
fn a_client_that_lost_its_memory_gets_its_address_again() {
    let mut world = gateway(2, &["10.9.0.1", "10.9.0.2"]);
    for _ in 0..3 {
        world.kill(2);
        world.run_secs(3);
        world.revive(2);
        world.run_secs(2);
        assert_eq!(
            assigned(&world, 2).last().unwrap().addresses,
            ["10.9.0.2".parse::<std::net::IpAddr>().unwrap()]
        );
        assert_round_trip(&mut world, 2, "10.9.0.2");
    }
    assert_round_trip(&mut world, 1, "10.9.0.1");
    world.finish();
}

#[test]
fn a_client_that_does_not_ask_for_an_address_is_told_that_it_has_to() {
    let mut world = gateway(0, &["10.9.0.1"]);
    world.add_host();
    let mut shy = tunnel(1, 0);
    child(&mut shy, |child| child.local = vec![SelectorTemplate::DYNAMIC]);
    world.add_tunnel(1, shy);
    world.run_secs(100);
    assert!(!world.is_up(1));
    let told = |event: &Event| matches!(event, Event::Problem { .. });
    assert!(world.count(0, told) > 0 && world.count(1, told) > 0, "{}", world.story());
    world.finish();
}

#[test]
fn dynamic_selectors_stand_for_the_outer_addresses_where_nothing_is_assigned() {
    let [mut a, mut b] = [tunnel(0, 1), tunnel(1, 0)];
    b.start = Start::Passive;
    for config in [&mut a, &mut b] {
        child(config, |child| {
            child.local = vec![SelectorTemplate::DYNAMIC];
            child.remote = vec![SelectorTemplate::DYNAMIC];
        });
    }
    let mut world = World::pair(a, b);
    world.run_secs(1);
    assert!(world.both_up());
    let packet = numbered(outer(0), outer(1), 5, 100);
    assert!(matches!(world.send_packet(0, &packet), LeavingFate::Send(_)));
    world.run_secs(1);
    assert_eq!(world.nodes[1].fates.last(), Some(&ArrivalFate::Deliver));
    world.finish();
}
