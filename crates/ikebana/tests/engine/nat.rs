//! Address translation between the two hosts.

use ikebana::core::Path;
use ikebana::ike::Encapsulation;
use ikebana::{ArrivalFate, DropCause, Event, Start, TunnelConfig};
use ikebana_testkit::{LinkConfig, NatConfig, NatId};

use crate::packet::numbered;
use crate::setup::{inner, millis, outer, secs, tunnel};
use crate::world::World;

const OUTSIDE: &str = "192.0.2.77";

/// Host 0 behind a NAT, and host 1, which waits for it from anywhere.
fn behind_nat(change: impl Fn(&mut TunnelConfig)) -> (World, NatId) {
    let mut world = World::new(5, LinkConfig::default());
    let nat = world.network.add_nat(OUTSIDE.parse().unwrap(), NatConfig::default());
    world.add_host_behind(nat);
    world.add_host();
    let [mut a, mut b] = [tunnel(0, 1), tunnel(1, 0)];
    b.start = Start::Passive;
    b.remote = None;
    change(&mut a);
    change(&mut b);
    world.add_tunnel(1, b);
    world.add_tunnel(0, a);
    world.run_secs(2);
    (world, nat)
}

fn esp_ports(world: &World, host: usize) -> Vec<(u16, u16)> {
    let node = &world.nodes[host];
    let mut ports: Vec<_> =
        node.wire.iter().map(|(_, path, ..)| (path.local.port(), path.remote.port())).collect();
    ports.dedup();
    ports
}

fn remote(world: &World) -> std::net::SocketAddr {
    world.status(1).ikes[0].path.remote
}

#[test]
fn behind_a_nat_messages_move_to_port_4500_and_packets_travel_in_udp() {
    let (mut world, _) = behind_nat(|_| {});
    assert!(world.both_up(), "{}", world.story());
    world.assert_traffic(0, 1);
    assert_eq!(esp_ports(&world, 0), [(500, 500), (4_500, 4_500)]);
    let [a, b] = [world.status(0), world.status(1)];
    assert!(a.ikes[0].nat.local && !a.ikes[0].nat.remote && a.ikes[0].encapsulated);
    assert!(!b.ikes[0].nat.local && b.ikes[0].nat.remote && b.ikes[0].encapsulated);
    // The paths are those after the move, as each side sees them.
    assert_eq!(a.ikes[0].path, Path::new((outer(0), 4_500).into(), (outer(1), 4_500).into()));
    assert_eq!(b.ikes[0].path.remote.ip().to_string(), OUTSIDE);
    assert_eq!(b.ikes[0].path.local.port(), 4_500);
    // ESP in UDP takes eight octets of the path's MTU.
    assert_eq!(a.children[0].mtu, 1_438);
    world.finish();
}

#[test]
fn keepalives_hold_an_idle_nat_open() {
    let (mut world, _) = behind_nat(|config| config.peer.nat_keepalive = secs(20));
    let before = remote(&world);
    world.run_secs(3_600);
    let keepalives = world.nodes[0].wire.iter().filter(|(.., length)| *length == 1).count();
    assert!((170..=180).contains(&keepalives), "{keepalives}");
    assert!(world.nodes[1].wire.iter().all(|(.., length)| *length != 1));
    assert_eq!(remote(&world), before);
    world.assert_traffic(1, 0);
    assert_eq!(world.nodes[1].engine.drops().get(DropCause::Idle), keepalives as u64);
    world.finish();
}

#[test]
fn after_a_nat_has_rebound_the_first_packet_shows_the_way() {
    for new_address in [false, true] {
        let (mut world, nat) = behind_nat(|_| {});
        let before = remote(&world);
        if new_address {
            world.network.rebind_to(nat, "192.0.2.88".parse().unwrap());
        } else {
            world.network.rebind(nat);
        }
        world.send(0, 1, false);
        world.run_secs(1);
        assert_ne!(remote(&world), before);
        world.assert_traffic(1, 0);
        world.assert_perfect();
        world.finish();
    }
}

#[test]
fn after_a_nat_has_rebound_an_ike_message_shows_the_way_too() {
    let (mut world, nat) = behind_nat(|_| {});
    let before = remote(&world);
    world.network.rebind(nat);
    let id = world.id(0);
    world.with(0, |engine, now| engine.rekey_ike(now, id)).unwrap();
    world.run_secs(1);
    assert_ne!(remote(&world), before);
    world.assert_traffic(1, 0);
    world.finish();
}

#[test]
fn the_side_behind_the_nat_follows_nobody() {
    let (mut world, _) = behind_nat(|_| {});
    let before = world.status(0).ikes[0].path;
    world.assert_traffic(0, 1);
    // The same packets, as if they came from elsewhere.
    let mut deliveries = Vec::new();
    world.network.set_filter(|_, _, _, _| ikebana_testkit::Verdict::Pass);
    world.send(1, 0, false);
    let now = world.now + millis(100);
    while let Some(mut delivery) = world.network.deliver(now) {
        delivery.path.remote.set_port(9_999);
        deliveries.push(delivery);
    }
    assert!(!deliveries.is_empty());
    world.arrive(0, deliveries);
    assert_eq!(world.status(0).ikes[0].path, before);
    world.assert_traffic(0, 1);
    world.finish();
}

#[test]
fn a_packet_that_was_overtaken_does_not_move_the_peer_back() {
    let (mut world, nat) = behind_nat(|_| {});
    // One packet from the old place that is held up ...
    world.send(0, 1, false);
    let late: Vec<_> = std::iter::from_fn(|| world.network.deliver(world.now + secs(1))).collect();
    assert_eq!(late.len(), 1);
    world.network.rebind(nat);
    world.send(0, 1, false);
    world.run_secs(1);
    let moved = remote(&world);
    assert_ne!(moved, late[0].path.remote);
    // ... is delivered, and believed in no other way.
    let replay = late.clone();
    world.arrive(1, late);
    assert_eq!(world.nodes[1].fates.last(), Some(&ArrivalFate::Deliver));
    assert_eq!(remote(&world), moved);
    world.arrive(1, replay);
    assert_eq!(world.nodes[1].fates.last(), Some(&ArrivalFate::Dropped(DropCause::NotOpened)));
    assert_eq!(remote(&world), moved);
    world.assert_traffic(1, 0);
    world.finish();
}

#[test]
fn a_packet_that_came_without_udp_moves_nobody() {
    let (mut world, _) = behind_nat(|_| {});
    let before = remote(&world);
    world.send(0, 1, false);
    let arriving = world.network.deliver(world.now + secs(1)).unwrap();
    let bare = |socket: std::net::SocketAddr| std::net::SocketAddr::new(socket.ip(), 0);
    let path = Path::new(bare(arriving.path.local), bare(arriving.path.remote));
    world.arrive(1, vec![ikebana_testkit::Delivery { path, ..arriving }]);
    // RFC 7296 2.23: both kinds are to be accepted on any SA.
    assert_eq!(world.nodes[1].fates.last(), Some(&ArrivalFate::Deliver));
    assert_eq!(remote(&world), before);
    world.assert_traffic(1, 0);
    world.finish();
}

#[test]
fn a_nat_that_rebinds_in_the_middle_of_a_rekey_is_followed_by_the_new_sa() {
    let (mut world, nat) = behind_nat(|_| {});
    let before = remote(&world);
    let id = world.id(0);
    world.with(0, |engine, now| engine.rekey_children(now, id)).unwrap();
    // The answer is lost with the old mapping. Host 1 has made the new pair, and waits for host 0 to use it.
    let request = world.network.deliver(world.now + secs(1)).unwrap();
    world.arrive(1, vec![request]);
    world.network.rebind(nat);
    world.run_secs(10);
    assert_ne!(remote(&world), before);
    assert_eq!(world.status(1).children.last().unwrap().rekeys, 1);
    world.send(1, 0, false);
    world.run_secs(1);
    world.assert_perfect();
    world.finish();
}

#[test]
fn a_packet_of_another_address_family_moves_nobody() {
    let (mut world, _) = behind_nat(|_| {});
    let before = world.status(1).ikes[0].path;
    world.send(0, 1, false);
    let arriving = world.network.deliver(world.now + secs(1)).unwrap();
    let path = Path::new("[2001:db8::1]:4500".parse().unwrap(), "[2001:db8::2]:4500".parse().unwrap());
    world.arrive(1, vec![ikebana_testkit::Delivery { path, ..arriving }]);
    assert_eq!(world.nodes[1].fates.last(), Some(&ArrivalFate::Deliver));
    assert_eq!(world.status(1).ikes[0].path, before);
    assert_eq!(world.count(1, |event| matches!(event, Event::Problem { .. })), 0, "{}", world.story());
    world.assert_traffic(1, 0);
    world.finish();
}

#[test]
fn encapsulation_can_be_forced_where_there_is_no_nat() {
    for force in [[true, false], [false, true], [true, true]] {
        let [mut a, mut b] = [tunnel(0, 1), tunnel(1, 0)];
        b.start = Start::Passive;
        for (config, force) in [(&mut a, force[0]), (&mut b, force[1])] {
            if force {
                config.peer.encapsulation = Encapsulation::Force;
            }
        }
        let mut world = World::pair(a, b);
        world.run_secs(1);
        assert!(world.both_up(), "{}", world.story());
        world.assert_traffic(0, 1);
        for host in 0..2 {
            assert!(world.status(host).ikes[0].encapsulated);
            assert!(world.nodes[host].wire.iter().all(|(_, _, udp, _)| *udp));
            assert_eq!(esp_ports(&world, host).last(), Some(&(4_500, 4_500)));
        }
        world.finish();
    }
}

#[test]
fn without_a_nat_packets_travel_without_udp_and_messages_stay_on_port_500() {
    let mut world = World::pair(tunnel(0, 1), tunnel(1, 0));
    world.run_secs(5);
    world.assert_traffic(0, 1);
    for host in 0..2 {
        assert!(!world.status(host).ikes[0].encapsulated);
        assert!(esp_ports(&world, host).iter().all(|ports| *ports == (500, 500) || *ports == (0, 0)));
        assert_eq!(world.status(host).children[0].mtu, 1_446);
    }
    world.finish();
}

#[test]
fn where_encapsulation_is_forbidden_a_nat_is_a_failure_that_says_so() {
    let (mut world, _) = behind_nat(|config| config.peer.encapsulation = Encapsulation::Never);
    world.run_secs(10);
    assert!(!world.is_up(0));
    assert!(world.status(0).cause.unwrap().contains("NAT"), "{}", world.story());
    let told = world.count(0, |event| matches!(event, Event::Down { cause, .. } if cause.contains("NAT")));
    assert!(told > 0);
    world.finish();
}

#[test]
fn two_hosts_behind_one_nat_do_not_get_in_each_others_way() {
    let mut world = World::new(9, LinkConfig::default());
    let nat = world.network.add_nat(OUTSIDE.parse().unwrap(), NatConfig::default());
    world.add_host();
    for host in 1..3 {
        world.add_host_behind(nat);
        let mut waiting = tunnel(0, host);
        waiting.start = Start::Passive;
        waiting.remote = None;
        world.add_tunnel(0, waiting);
        world.add_tunnel(host, tunnel(host, 0));
    }
    world.run_secs(3);
    assert!((1..3).all(|host| world.is_up(host)), "{}", world.story());
    world.assert_traffic(0, 1);
    world.assert_traffic(0, 2);
    // And from one to the other by way of the gateway: not its business, and refused.
    let packet = numbered(inner(1, false), inner(2, false), 0, 100);
    let fate = world.send_packet(1, &packet);
    assert_eq!(fate, ikebana::LeavingFate::Dropped(DropCause::NoPolicy));
    world.finish();
}
