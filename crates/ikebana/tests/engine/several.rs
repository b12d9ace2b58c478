//! Several tunnels on one engine, and several children in one tunnel.

use std::sync::Arc;

use ikebana::proposals::Proposal;
use ikebana::{Event, Start, TunnelConfig, TunnelState};
use ikebana_testkit::{LinkConfig, Verdict};

use crate::setup::{fixed, key, millis, name, secs, tunnel};
use crate::world::World;

/// A hub, host 0, with passive tunnels to `spokes` hosts.
fn hub(spokes: usize) -> World {
    let mut world = World::new(7, LinkConfig::default());
    world.add_host();
    for host in 1..=spokes {
        world.add_host();
        let mut waiting = tunnel(0, host);
        waiting.start = Start::Passive;
        world.add_tunnel(0, waiting);
        world.add_tunnel(host, tunnel(host, 0));
    }
    world.run_secs(2);
    world
}

#[test]
fn one_peers_death_leaves_the_other_tunnels_alone() {
    let mut world = hub(4);
    for rounds in 0..2 {
        for host in 1..=4 {
            world.flood(0, host, millis(50));
        }
        world.run_secs(5);
        if rounds == 0 {
            world.stop_streams();
            world.run_secs(1);
            world.assert_perfect();
        }
    }
    let events = world.nodes[0].seen.len();
    world.kill(2);
    world.run_secs(5);
    world.revive(2);
    world.run_secs(10);
    world.stop_streams();
    world.run_secs(1);
    assert!(world.lost().len() > 50);
    for host in [1, 3, 4] {
        world.assert_traffic(0, host);
    }
    world.assert_traffic(0, 2);
    let id = world.nodes[0].engine.tunnel_named(&name(2)).unwrap();
    for (_, event) in &world.nodes[0].seen[events..] {
        match event {
            Event::Established(tunnel, _)
            | Event::ChildUp { tunnel, .. }
            | Event::ChildDown { tunnel, .. }
            | Event::Down { tunnel, .. } => assert_eq!(*tunnel, id, "{event:?}"),
            other => panic!("{other:?}"),
        }
    }
    world.finish();
}

#[test]
fn a_wrong_key_for_one_peer_leaves_the_other_tunnels_alone() {
    let mut world = World::new(7, LinkConfig::default());
    world.add_host();
    for host in 1..=3 {
        world.add_host();
        let mut waiting = tunnel(0, host);
        waiting.start = Start::Passive;
        if host == 2 {
            waiting.pre_shared_key = key("something else");
        }
        world.add_tunnel(0, waiting);
        world.add_tunnel(host, tunnel(host, 0));
    }
    world.run_secs(30);
    let states: Vec<_> = world.nodes[0].engine.status().iter().map(|tunnel| tunnel.state).collect();
    assert_eq!(states, [TunnelState::Up, TunnelState::Down, TunnelState::Up]);
    world.assert_traffic(0, 1);
    world.assert_traffic(0, 3);
    world.finish();
}

/// Two children: the IPv4 networks, and the IPv6 networks.
fn two_children(config: &mut TunnelConfig) {
    let both = config.peer.children[0].clone();
    let one = |index: usize, name: &str| {
        let mut child = (*both).clone();
        child.name = name.into();
        child.local = vec![both.local[index]];
        child.remote = vec![both.remote[index]];
        Arc::new(child)
    };
    config.peer.children = vec![one(0, "four"), one(1, "six")];
}

#[test]
fn all_children_of_a_tunnel_come_up_and_each_carries_its_own_traffic() {
    for starts in
        [[Start::Start, Start::Passive], [Start::OnTraffic, Start::Passive], [Start::Start, Start::Start]]
    {
        let [mut a, mut b] = [tunnel(0, 1), tunnel(1, 0)];
        for (config, start) in [(&mut a, starts[0]), (&mut b, starts[1])] {
            two_children(config);
            config.start = start;
        }
        let mut world = World::pair(a, b);
        world.send(0, 1, true);
        world.run_secs(5);
        world.assert_agree(2);
        world.assert_traffic(0, 1);
        assert!(world.lost().is_empty(), "{}", world.story());
        for status in &world.status(0).children {
            let received = status.received.unwrap().packets;
            assert!(received >= 1, "{status:?}");
        }
        let id = world.id(0);
        world.with(0, |engine, now| engine.rekey_children(now, id)).unwrap();
        world.run_secs(10);
        world.assert_agree(2);
        assert!(world.status(1).children.iter().all(|child| child.rekeys == 1));
        world.assert_traffic(0, 1);
        world.finish();
    }
}

/// Host 0 with four children, and host 1, whose one child is for all of them and which starts. Host 0 has to ask
/// for what is missing, and may have one exchange waiting at a time.
fn four_children_and_a_short_queue() -> World {
    let mut world = World::new(15, LinkConfig::default());
    world.add_host();
    world.add_host();
    let mut config = ikebana::EngineConfig::default();
    config.limits.queued_exchanges = 1;
    world.nodes[0].engine = world.engine(config);
    let first = world.nodes[0].id;
    world.network.set_filter(move |_, from, _, octets| match octets.get(18..20) {
        Some([34, flags]) if from == first && flags & 0x20 == 0 => Verdict::Drop,
        _ => Verdict::Pass,
    });
    let [mut a, b] = [tunnel(0, 1), tunnel(1, 0)];
    let whole = a.peer.children[0].clone();
    let quarter = |index: u8| {
        let mut child = (*whole).clone();
        child.name = format!("quarter-{index}");
        child.local = vec![fixed(&format!("10.1.{}.0/18", index * 64))];
        Arc::new(child)
    };
    a.peer.children = (0..4).map(quarter).collect();
    world.add_tunnel(0, a);
    world.add_tunnel(1, b);
    world.run_until(secs(20), |world| world.is_up(0));
    world
}

#[test]
fn children_that_found_no_room_in_the_queue_are_asked_for_later() {
    let mut world = four_children_and_a_short_queue();
    world.run_secs(120);
    world.assert_agree(4);
    world.finish();
}

#[test]
fn what_of_a_rekey_found_room_in_the_queue_starts_at_once() {
    let mut world = four_children_and_a_short_queue();
    world.run_secs(120);
    let (sent, id) = (world.nodes[0].wire.len(), world.id(0));
    world.with(0, |engine, now| engine.rekey_children(now, id)).unwrap_err();
    assert_eq!(world.nodes[0].wire.len(), sent + 1);
    world.finish();
}

#[test]
fn a_child_that_the_peer_refuses_is_asked_for_again_and_the_other_one_works() {
    let [mut a, mut b] = [tunnel(0, 1), tunnel(1, 0)];
    b.start = Start::Passive;
    two_children(&mut a);
    two_children(&mut b);
    b.peer.children.truncate(1);
    let mut world = World::pair(a, b);
    world.run_secs(120);
    assert!(world.both_up());
    let status = world.status(0);
    assert_eq!(status.children.len(), 1);
    assert!(status.cause.as_deref().is_some_and(|cause| cause.starts_with("child six")), "{status:?}");
    assert!((4..=12).contains(&status.retries), "{status:?}");
    assert!(matches!(world.send(0, 1, false), ikebana::LeavingFate::Send(_)));
    // The peer's administrator adds what was missing.
    let id = world.id(1);
    world.remove_tunnel(1, id);
    let mut whole = tunnel(1, 0);
    two_children(&mut whole);
    whole.start = Start::Passive;
    world.add_tunnel(1, whole);
    world.run_until(secs(70), |world| world.status(0).children.len() == 2);
    assert_eq!(world.status(0).cause, None);
    world.assert_traffic(0, 1);
    world.finish();
}

#[test]
fn of_two_tunnels_for_the_same_identities_the_one_that_allows_the_suite_is_taken() {
    for (suite, expected) in [("aes256-sha256-modp2048", "old"), ("aes128gcm16-prfsha256-curve25519", "new")]
    {
        let mut world = World::new(11, LinkConfig::default());
        world.add_host();
        world.add_host();
        let mut client = tunnel(0, 1);
        client.peer.proposals = vec![Proposal::ike(suite).unwrap()];
        for (name, suite) in [("old", "aes256-sha256-modp2048"), ("new", "aes128gcm16-prfsha256-curve25519")]
        {
            let mut waiting = tunnel(1, 0);
            waiting.start = Start::Passive;
            waiting.peer.name = name.into();
            waiting.peer.proposals = vec![Proposal::ike(suite).unwrap()];
            world.add_tunnel(1, waiting);
        }
        world.add_tunnel(0, client);
        world.run_secs(3);
        assert!(world.is_up(0), "{}", world.story());
        let up: Vec<_> = world.nodes[1]
            .engine
            .status()
            .into_iter()
            .filter(|tunnel| tunnel.state == TunnelState::Up)
            .map(|tunnel| tunnel.name)
            .collect();
        assert_eq!(up, [expected]);
        world.finish();
    }
}

#[test]
fn a_tunnel_open_to_everyone_does_not_hide_behind_one_for_the_same_address() {
    let mut world = World::new(12, LinkConfig::default());
    world.add_host();
    world.add_host();
    // One for host 0's address, which is somebody else's, and one for everyone.
    let mut exact = tunnel(1, 0);
    exact.start = Start::Passive;
    exact.peer.name = "exact".into();
    exact.peer.remote_id = "somebody.example.net".parse().unwrap();
    exact.peer.proposals = vec![Proposal::ike("aes256-sha256-modp2048").unwrap()];
    let mut open = tunnel(1, 0);
    open.start = Start::Passive;
    open.remote = None;
    open.peer.name = "open".into();
    world.add_tunnel(1, exact);
    world.add_tunnel(1, open);
    world.add_tunnel(0, tunnel(0, 1));
    world.run_secs(3);
    assert!(world.is_up(0), "{}", world.story());
    assert!(matches!(world.send(0, 1, false), ikebana::LeavingFate::Send(_)));
    world.run_secs(1);
    world.assert_perfect();
    world.finish();
}

#[test]
fn a_host_only_takes_first_messages_from_where_its_tunnels_say() {
    let mut world = World::new(13, LinkConfig::default());
    world.add_host();
    world.add_host();
    let mut elsewhere = tunnel(1, 0);
    elsewhere.start = Start::Passive;
    elsewhere.remote = Some("203.0.113.9:500".parse().unwrap());
    world.add_tunnel(1, elsewhere);
    world.add_tunnel(0, tunnel(0, 1));
    world.run_secs(10);
    assert!(!world.is_up(0));
    assert!(world.nodes[1].wire.is_empty());
    // Its address becomes known.
    let id = world.id(1);
    let address = (crate::setup::outer(0), 500).into();
    world.with(1, |engine, _| engine.set_remote(id, address)).unwrap();
    world.run_until(secs(70), World::both_up);
    world.finish();
}

#[test]
fn narrower_policies_come_before_wider_ones() {
    let mut world = World::new(14, LinkConfig::default());
    for _ in 0..3 {
        world.add_host();
    }
    // To host 1 goes everything, but what is for host 2.
    let mut wide = tunnel(0, 1);
    crate::setup::child(&mut wide, |child| child.remote = vec![fixed("10.0.0.0/8"), fixed("fd00::/16")]);
    world.add_tunnel(0, wide);
    world.add_tunnel(0, tunnel(0, 2));
    for host in 1..3 {
        let mut waiting = tunnel(host, 0);
        waiting.start = Start::Passive;
        if host == 1 {
            crate::setup::child(&mut waiting, |child| {
                child.local = vec![fixed("10.0.0.0/8"), fixed("fd00::/16")];
            });
        }
        world.add_tunnel(host, waiting);
    }
    world.run_secs(3);
    world.assert_traffic(0, 1);
    world.assert_traffic(0, 2);
    world.assert_perfect();
    world.finish();
}
