//! AH in place of ESP: tunnels and transport mode, both IKE versions, and a NAT in between.

use ikebana::core::Lifetime;
use ikebana::ike::{Mode, SelectorTemplate};
use ikebana::proposals::{Proposal, ProtocolId};
use ikebana::{Event, LeavingFate, Port, Start, TunnelConfig};
use ikebana_testkit::{LinkConfig, NatConfig};

use crate::packet::{addresses, number_of, numbered};
use crate::setup::{child, millis, outer, tunnel};
use crate::world::World;

fn with_ah(config: &mut TunnelConfig, keywords: &str) {
    child(config, |child| child.proposals = vec![Proposal::ah(keywords).unwrap()]);
}

/// Two hosts with AH between them, by IKEv2.
fn pair(keywords: &str) -> World {
    let [mut a, mut b] = [tunnel(0, 1), tunnel(1, 0)];
    b.start = Start::Passive;
    with_ah(&mut a, keywords);
    with_ah(&mut b, keywords);
    World::pair(a, b)
}

/// Whether everything that has left this host but IKE was AH.
fn sends_only_ah(world: &World, host: usize) -> bool {
    let mut others = world.nodes[host].wire.iter().filter(|(_, _, is_udp, _)| !is_udp).peekable();
    others.peek().is_some() && others.all(|(_, path, ..)| path.local.port() == 51)
}

#[test]
fn a_tunnel_with_ah_carries_packets_and_is_rekeyed_without_loss() {
    for keywords in ["sha1", "sha256-esn", "sha384", "sha512-esn", "aesxcbc", "aescmac", "sha256-curve25519"]
    {
        let mut world = pair(keywords);
        world.run_secs(1);
        assert!(world.both_up(), "{keywords}: {}", world.story());
        for host in 0..2 {
            let status = &world.status(host).children[0];
            assert_eq!((status.protocol, status.suite.encryption), (ProtocolId::AH, None), "{keywords}");
        }
        world.flood(0, 1, millis(10));
        world.run_secs(1);
        for host in 0..2 {
            let id = world.id(host);
            world.with(host, |engine, now| engine.rekey_children(now, id)).unwrap();
            world.run_secs(1);
        }
        world.stop_streams();
        world.run_secs(5);
        assert!(world.count(0, |event| matches!(event, Event::ChildUp { rekeyed: true, .. })) >= 2);
        assert!((0..2).all(|host| sends_only_ah(&world, host)), "{keywords}");
        world.finish();
    }
}

#[test]
fn transport_mode_with_ah_protects_the_hosts_own_packets_with_their_headers() {
    let [mut a, mut b] = [tunnel(0, 1), tunnel(1, 0)];
    b.start = Start::Passive;
    for config in [&mut a, &mut b] {
        with_ah(config, "sha256");
        child(config, |child| {
            child.mode = Mode::Transport;
            child.local = vec![SelectorTemplate::DYNAMIC];
            child.remote = vec![SelectorTemplate::DYNAMIC];
        });
    }
    let mut world = World::pair(a, b);
    world.run_secs(1);
    assert!(world.both_up(), "{}", world.story());
    for (from, to) in [(0, 1), (1, 0)] {
        let packet = numbered(outer(from), outer(to), 999, 200);
        let LeavingFate::Send(how) = world.send_packet(from, &packet) else { panic!("{}", world.story()) };
        assert_eq!(how.port, Port::Ah);
        world.run(millis(200));
        let arrived = world.nodes[to].inbox.last().unwrap();
        assert_eq!((number_of(arrived), addresses(arrived)), (Some(999), (outer(from), outer(to))));
    }
    world.finish();
}

#[test]
fn ikev1_negotiates_ah_too() {
    let [mut a, mut b] = [tunnel(0, 1).over_ikev1(), tunnel(1, 0).over_ikev1()];
    b.start = Start::Passive;
    for config in [&mut a, &mut b] {
        with_ah(config, "sha256");
        config.peer.lifetime = Lifetime::UNLIMITED;
    }
    let mut world = World::pair(a, b);
    world.run_secs(2);
    assert!(world.both_up(), "{}", world.story());
    world.flood(0, 1, millis(20));
    world.run_secs(1);
    let id = world.id(0);
    world.with(0, |engine, now| engine.rekey_children(now, id)).unwrap();
    world.run_secs(1);
    world.stop_streams();
    world.run_secs(5);
    assert!((0..2).all(|host| sends_only_ah(&world, host)));
    world.finish();
}

#[test]
fn a_nat_in_between_is_named_as_the_reason_why_ah_does_not_work() {
    let mut world = World::new(5, LinkConfig::default());
    let nat = world.network.add_nat("192.0.2.77".parse().unwrap(), NatConfig::default());
    world.add_host_behind(nat);
    world.add_host();
    let [mut a, mut b] = [tunnel(0, 1), tunnel(1, 0)];
    with_ah(&mut a, "sha256");
    with_ah(&mut b, "sha256");
    b.start = Start::Passive;
    b.remote = None;
    world.add_tunnel(1, b);
    world.add_tunnel(0, a);
    world.run_secs(2);
    let named = |event: &Event| matches!(event, Event::Problem { cause, .. } if cause.contains("NAT"));
    assert!(world.count(0, named) > 0, "{}", world.story());
    assert!(!world.is_up(0), "{}", world.story());
}
