//! Users behind IKEv1 tunnels: XAUTH, and the addresses that mode config gives them.

use ikebana::ike::{AddressRequest, Assignment, ModeConfig, Phase1Mode, SelectorTemplate, XauthRole};
use ikebana::{Event, LeavingFate, Start, TunnelConfig};
use ikebana_testkit::LinkConfig;

use crate::ikev1::{MODES, down_events, old};
use crate::packet::numbered;
use crate::setup::{child, copy, inner, millis, outer, user};
use crate::world::World;

/// A gateway, host 0, that gives addresses to users, and one client.
fn gateway(change: impl Fn(&mut TunnelConfig, &mut TunnelConfig)) -> World {
    let mut world = World::new(21, LinkConfig::default());
    let mut server = old(0, 1, Phase1Mode::Main);
    server.start = Start::Passive;
    server.remote = None;
    server.peer.remote_id = "*".parse().unwrap();
    server.peer.assigns_addresses = true;
    server.peer.ikev1.xauth = Some(XauthRole::Server);
    server.xauth_users = vec![user("bob", "builder"), user("alice", "wonderland")];
    server.assign = ["10.9.0.1", "10.9.0.2"]
        .map(|address| Assignment {
            addresses: vec![address.parse().unwrap()],
            dns: vec!["10.1.0.53".parse().unwrap()],
            ..Assignment::default()
        })
        .to_vec();
    child(&mut server, |child| {
        child.local.truncate(1);
        child.remote = vec![SelectorTemplate::DYNAMIC];
    });
    let mut client = old(1, 0, Phase1Mode::Main);
    client.peer.request = vec![AddressRequest::Ipv4, AddressRequest::DnsIpv4];
    client.peer.ikev1.xauth = Some(XauthRole::Client);
    client.xauth = Some(user("alice", "wonderland"));
    child(&mut client, |child| {
        child.local = vec![SelectorTemplate::DYNAMIC];
        child.remote.truncate(1);
    });
    change(&mut server, &mut client);
    for config in [server, client] {
        let host = world.add_host();
        world.add_tunnel(host, config);
    }
    world.run_secs(3);
    world
}

#[test]
fn a_user_proves_who_they_are_and_gets_an_address_by_pull_or_push_in_either_mode() {
    for mode in MODES {
        for config in [ModeConfig::Pull, ModeConfig::Push] {
            let mut world = gateway(|server, client| {
                for tunnel in [server, client] {
                    tunnel.peer.ikev1.phase1 = mode;
                    tunnel.peer.ikev1.mode_config = config;
                }
            });
            assert!(world.both_up(), "{mode:?} {config:?} {}", world.story());
            let given = assigned(&world, 1);
            assert_eq!(given, ["10.9.0.1".parse::<std::net::IpAddr>().unwrap()]);
            for host in 0..2 {
                assert_eq!(world.status(host).ikes[0].xauth_user.as_deref(), Some("alice"));
            }
            for (from, to, packet) in [
                (1, 0, numbered(given[0], inner(0, false), 7_777, 100)),
                (0, 1, numbered(inner(0, false), given[0], 8_888, 100)),
            ] {
                let before = world.nodes[to].inbox.len();
                assert!(
                    matches!(world.send_packet(from, &packet), LeavingFate::Send(_)),
                    "{}",
                    world.story()
                );
                world.run(millis(100));
                assert_eq!(world.nodes[to].inbox.get(before), Some(&packet), "{}", world.story());
            }
            world.finish();
        }
    }
}

/// The addresses that a host has been given, in order.
fn assigned(world: &World, host: usize) -> Vec<std::net::IpAddr> {
    let given = |(_, event): &(_, Event)| match event {
        Event::Assigned(_, assignment) => Some(assignment.addresses.clone()),
        _ => None,
    };
    world.nodes[host].seen.iter().filter_map(given).flatten().collect()
}

#[test]
fn users_of_one_group_have_addresses_of_their_own_and_keep_them_through_renewals() {
    let group = |config: &mut TunnelConfig| config.peer.local_id = "group.example.net".parse().unwrap();
    let mut world = gateway(|_, client| group(client));
    let mut bob = copy(&world.nodes[1].tunnels[0].1);
    bob.local = outer(2);
    bob.xauth = Some(user("bob", "builder"));
    let host = world.add_host();
    world.add_tunnel(host, bob);
    world.run_secs(3);
    for (host, address) in [(1, "10.9.0.1"), (2, "10.9.0.2")] {
        assert_eq!(
            assigned(&world, host),
            [address.parse::<std::net::IpAddr>().unwrap()],
            "{}",
            world.story()
        );
    }
    for host in [1, 2] {
        let id = world.id(host);
        world.with(host, |engine, now| engine.rekey_ike(now, id)).unwrap();
        world.run_secs(5);
        assert!(world.is_up(host) && down_events(&world, host) == 0, "{}", world.story());
    }
    for (host, address) in [(1, "10.9.0.1"), (2, "10.9.0.2")] {
        let packet = numbered(address.parse().unwrap(), inner(0, false), 1_000 + host as u64, 100);
        let before = world.nodes[0].inbox.len();
        assert!(matches!(world.send_packet(host, &packet), LeavingFate::Send(_)), "{}", world.story());
        world.run(millis(100));
        assert_eq!(world.nodes[0].inbox.get(before), Some(&packet), "{}", world.story());
    }
    world.finish();
}

#[test]
fn a_wrong_password_or_an_unknown_user_gets_no_child_and_both_sides_say_so() {
    for (name, password) in [("alice", "underland"), ("carol", "wonderland"), ("alice", "wonder")] {
        let mut world = gateway(|_, client| client.xauth = Some(user(name, password)));
        world.run_secs(20);
        assert!(!world.is_up(0) && !world.is_up(1), "{}", world.story());
        for host in 0..2 {
            let told = |event: &Event| match event {
                Event::Down { cause, .. } | Event::Problem { cause, .. } => {
                    cause.contains("XAUTH") && cause.contains(name)
                }
                _ => false,
            };
            assert!(world.count(host, told) > 0, "{host} {}", world.story());
            assert!(!world.story().contains("underland"), "the password is shown");
        }
        world.finish();
    }
}
