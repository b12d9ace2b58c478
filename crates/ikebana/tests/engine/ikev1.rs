//! Engines that speak IKEv1: what IKEv2's tunnels can, and what only IKEv1 has.

use ikebana::core::Lifetime;
use ikebana::ike::{Fragmentation, Liveness, Phase1Mode, XauthRole};
use ikebana::proposals::Proposal;
use ikebana::{
    ConfigError, DeadPeerAction, DropCause, Event, IkeVersion, LeavingFate, Start, TunnelConfig, TunnelState,
};
use ikebana_testkit::{LinkConfig, NatConfig, SeededRng};

use crate::setup::{child, copy, key, millis, outer, secs, tunnel};
use crate::world::World;

pub(crate) const MODES: [Phase1Mode; 2] = [Phase1Mode::Main, Phase1Mode::Aggressive];

/// The same tunnel in IKEv1. Two networks on each side are two pairs of child SAs: one for each family.
pub(crate) fn old(me: usize, other: usize, mode: Phase1Mode) -> TunnelConfig {
    let mut config = tunnel(me, other);
    config.version = IkeVersion::V1;
    config.peer.ikev1.phase1 = mode;
    config.peer.proposals = vec![Proposal::ike("aes128-sha256-ecp256").unwrap()];
    config
}

fn pair(mode: Phase1Mode, starts: [Start; 2]) -> World {
    let [mut a, mut b] = [old(0, 1, mode), old(1, 0, mode)];
    (a.start, b.start) = (starts[0], starts[1]);
    World::pair(a, b)
}

fn up(mode: Phase1Mode) -> World {
    let mut world = pair(mode, [Start::Start, Start::Passive]);
    world.run_secs(2);
    assert!(world.both_up(), "{}", world.story());
    world
}

pub(crate) fn down_events(world: &World, host: usize) -> usize {
    world.count(host, |event| matches!(event, Event::Down { .. }))
}

#[test]
fn a_tunnel_comes_up_in_either_mode_and_carries_both_families() {
    for mode in MODES {
        let mut world = up(mode);
        world.assert_agree(2);
        world.assert_traffic(0, 1);
        let status = world.status(0);
        assert_eq!(status.version, IkeVersion::V1);
        assert_eq!(status.ikes[0].phase1, Some(mode));
        assert_eq!(status.ikes[0].xauth_user, None);
        world.finish();
    }
}

#[test]
fn inbound_spis_of_the_two_versions_are_told_apart_by_their_last_bit() {
    let mut world = World::new(3, LinkConfig::default());
    for _ in 0..3 {
        world.add_host();
    }
    // Host 0 speaks both versions.
    world.add_tunnel(0, tunnel(0, 1));
    world.add_tunnel(0, old(0, 2, Phase1Mode::Main));
    for (host, mut config) in [(1, tunnel(1, 0)), (2, old(2, 0, Phase1Mode::Main))] {
        config.start = Start::Passive;
        world.add_tunnel(host, config);
    }
    world.run_secs(2);
    world.assert_traffic(0, 1);
    world.assert_traffic(0, 2);
    for status in world.nodes[0].engine.status() {
        assert_eq!(status.state, TunnelState::Up);
        for child in status.children {
            let odd = child.inbound.unwrap().to_be_bytes()[3] & 1 == 1;
            assert_eq!(odd, status.version == IkeVersion::V1);
        }
    }
    let stats = world.nodes[0].engine.ike_stats();
    assert_eq!(stats.established, 2, "both versions are counted");
    world.finish();
}

#[test]
fn without_a_tunnel_of_ikev1_its_messages_are_counted_and_never_answered() {
    // Host 1 has a tunnel for host 0, but of IKEv2.
    let [a, mut b] = [old(0, 1, Phase1Mode::Main), tunnel(1, 0)];
    b.start = Start::Passive;
    let mut world = World::pair(a, b);
    world.run_secs(200);
    assert!(!world.is_up(0));
    assert!(world.nodes[1].wire.is_empty(), "{:?}", world.nodes[1].wire);
    assert!(world.nodes[1].engine.drops().get(DropCause::Ike) > 3);
    assert_eq!(world.nodes[1].engine.ike_stats().drops.total(), world.nodes[1].engine.ike_stats().received);
    // And the other way round.
    world.finish();
    let [mut a, b] = [old(0, 1, Phase1Mode::Main), tunnel(1, 0)];
    a.start = Start::Passive;
    let mut world = World::pair(a, b);
    world.run_secs(200);
    assert!(!world.is_up(1) && world.nodes[0].wire.is_empty(), "{:?}", world.nodes[0].wire);
    world.finish();
}

#[test]
fn aggressive_mode_is_not_answered_unless_a_tunnel_is_for_it() {
    let [a, mut b] = [old(0, 1, Phase1Mode::Aggressive), old(1, 0, Phase1Mode::Main)];
    b.start = Start::Passive;
    let mut world = World::pair(a, b);
    world.run_secs(200);
    assert!(!world.is_up(0));
    // Nothing that passwords could be tried against has left host 1.
    assert!(world.nodes[1].wire.is_empty(), "{:?}", world.nodes[1].wire);
    world.finish();
}

#[test]
fn an_engine_that_was_not_given_ikev1_refuses_its_tunnels() {
    use ikebana::core::{Instant, spi::ShardedSpis};
    let provider = std::sync::Arc::new(ikebana::crypto::CryptoProvider::fastest());
    let (rng, spis) = (Box::new(SeededRng::new(1)), Box::new(ShardedSpis::unsharded()));
    let mut engine = ikebana::Engine::new(ikebana::EngineConfig::default(), provider, rng, spis);
    let refused = engine.add_tunnel(Instant::ZERO, old(0, 1, Phase1Mode::Main));
    assert_eq!(refused, Err(ConfigError::Ikev1Off("to-1".into())));
    assert!(engine.is_idle());
}

#[test]
fn what_cannot_be_said_or_done_in_ikev1_is_refused_when_a_tunnel_is_added() {
    let refused = |change: &dyn Fn(&mut TunnelConfig)| {
        let mut world = World::new(1, LinkConfig::default());
        world.add_host();
        let mut config = old(0, 1, Phase1Mode::Main);
        change(&mut config);
        world.with(0, |engine, now| engine.add_tunnel(now, config)).unwrap_err()
    };
    let name = || "to-1".to_owned();
    let combined = vec![Proposal::ike("aes128gcm16-prfsha256-curve25519").unwrap()];
    assert_eq!(
        refused(&|config| config.peer.proposals.clone_from(&combined)),
        ConfigError::NotInIkev1 { tunnel: name(), child: None }
    );
    assert_eq!(
        refused(&|config| child(config, |child| {
            child.proposals = vec![Proposal::esp("chacha20poly1305").unwrap()];
        })),
        ConfigError::NotInIkev1 { tunnel: name(), child: Some("net".into()) }
    );
    assert_eq!(
        refused(&|config| config.peer.ikev1.xauth = Some(XauthRole::Client)),
        ConfigError::NoXauthUser(name())
    );
    assert_eq!(
        refused(&|config| config.peer.ikev1.xauth = Some(XauthRole::Server)),
        ConfigError::NoXauthUsers(name())
    );
}

#[test]
fn the_first_packet_brings_a_tunnel_up_and_is_not_lost() {
    let mut world = pair(Phase1Mode::Main, [Start::OnTraffic, Start::Passive]);
    world.run_secs(5);
    assert!(world.nodes[0].wire.is_empty());
    assert_eq!(world.send(0, 1, false), LeavingFate::Waiting);
    world.run_secs(2);
    assert!(world.both_up(), "{}", world.story());
    world.assert_perfect();
    world.assert_traffic(0, 1);
    world.finish();
}

#[test]
fn stopping_tells_the_peer_and_starting_brings_the_tunnel_back() {
    for mode in MODES {
        let mut world = up(mode);
        world.stop(0);
        world.run_secs(2);
        assert!(!world.is_up(0) && !world.is_up(1), "{}", world.story());
        assert!(world.status(1).children.is_empty());
        world.run_secs(120);
        assert_eq!(world.state(0), TunnelState::Down);
        world.start(0);
        world.run_secs(2);
        assert!(world.both_up(), "{}", world.story());
        world.assert_traffic(0, 1);
        world.finish();
    }
}

#[test]
fn a_peer_that_does_not_answer_is_tried_for_ever() {
    let mut world = pair(Phase1Mode::Main, [Start::Start, Start::Passive]);
    world.kill(1);
    world.run_secs(1_200);
    assert!(!world.is_up(0));
    assert!(world.status(0).retries > 3);
    assert!(world.status(0).cause.unwrap().contains("no answer"));
    world.revive(1);
    world.run_until(secs(61 + 75), World::both_up);
    // The second pair comes after the first one.
    world.run_secs(1);
    world.assert_traffic(0, 1);
    world.finish();
}

#[test]
fn a_dead_peer_is_noticed_and_what_happens_then_is_as_configured() {
    for action in [DeadPeerAction::Clear, DeadPeerAction::Trap, DeadPeerAction::Restart] {
        let [mut a, mut b] = [old(0, 1, Phase1Mode::Main), old(1, 0, Phase1Mode::Main)];
        a.on_dead_peer = action;
        a.peer.liveness = Some(Liveness { delay: secs(10) });
        b.start = Start::Passive;
        let mut world = World::pair(a, b);
        world.run_secs(2);
        assert!(world.both_up(), "{}", world.story());
        world.kill(1);
        world.run_secs(600);
        assert!(!world.is_up(0), "{}", world.story());
        world.revive(1);
        match action {
            DeadPeerAction::Clear => {
                assert_eq!(world.state(0), TunnelState::Down);
                assert_eq!(world.send(0, 1, false), LeavingFate::Dropped(DropCause::TunnelDown));
                world.start(0);
            }
            DeadPeerAction::Trap => {
                assert_eq!(world.state(0), TunnelState::Down);
                assert_eq!(world.send(0, 1, false), LeavingFate::Waiting);
            }
            DeadPeerAction::Restart => assert!(world.status(0).retries > 1),
        }
        world.run_until(secs(140), World::both_up);
        world.run_secs(1);
        world.assert_traffic(0, 1);
        world.finish();
    }
}

#[test]
fn a_peer_that_lost_its_memory_replaces_the_old_tunnel_and_traffic_resumes() {
    for starts in [[Start::Passive, Start::Start], [Start::Start, Start::Start]] {
        let mut world = pair(Phase1Mode::Main, starts);
        world.run_secs(5);
        assert!(world.both_up(), "{}", world.story());
        world.kill(1);
        world.run_secs(5);
        world.revive(1);
        world.run_secs(5);
        assert!(world.both_up(), "{}", world.story());
        world.assert_traffic(0, 1);
        // INITIAL-CONTACT ends the old SAs before there is a quick mode for new ones (RFC 2407 4.6.3.3).
        assert!(down_events(&world, 0) <= 1, "{}", world.story());
        world.finish();
    }
}

#[test]
fn replacing_keys_of_either_phase_from_either_side_loses_no_packet() {
    for mode in MODES {
        for host in 0..2 {
            let mut world = up(mode);
            world.flood(0, 1, millis(5));
            world.run(millis(300));
            let id = world.id(host);
            world.with(host, |engine, now| engine.rekey_children(now, id)).unwrap();
            world.run_secs(2);
            world.with(host, |engine, now| engine.rekey_ike(now, id)).unwrap();
            world.run_secs(2);
            world.with(host, |engine, now| engine.rekey_children(now, id)).unwrap();
            world.run_secs(40);
            world.stop_streams();
            world.run_secs(2);
            world.assert_perfect();
            world.assert_agree(2);
            for side in 0..2 {
                let rekeyed =
                    world.count(side, |event| matches!(event, Event::ChildUp { rekeyed: true, .. }));
                // Whoever answers cannot know for sure, over a new ISAKMP SA, that the peer means a pair of the old one.
                assert!(rekeyed == 4 || (side != host && rekeyed >= 2), "{}", world.story());
                let renewed = world.count(side, |event| matches!(event, Event::IkeRekeyed(_)));
                assert_eq!(renewed, 1, "{}", world.story());
            }
            world.finish();
        }
    }
}

#[test]
fn short_lifetimes_on_both_sides_lose_no_packet() {
    let [mut a, mut b] = [old(0, 1, Phase1Mode::Main), old(1, 0, Phase1Mode::Main)];
    b.start = Start::Passive;
    for config in [&mut a, &mut b] {
        config.peer.lifetime = Lifetime::by_time(secs(90));
        child(config, |child| child.lifetime = Lifetime::by_time(secs(40)));
    }
    let mut world = World::pair(a, b);
    world.run_secs(2);
    world.flood(0, 1, millis(50));
    world.run_secs(600);
    world.stop_streams();
    world.run_secs(2);
    world.assert_perfect();
    assert!(world.count(0, |event| matches!(event, Event::IkeRekeyed(_))) > 3, "{}", world.story());
    assert!(world.count(0, |event| matches!(event, Event::ChildUp { rekeyed: true, .. })) > 15);
    assert_eq!(down_events(&world, 0) + down_events(&world, 1), 0, "{}", world.story());
    world.finish();
}

#[test]
fn behind_a_nat_messages_move_to_port_4500_and_packets_travel_in_udp() {
    for mode in MODES {
        let mut world = World::new(5, LinkConfig::default());
        let nat = world.network.add_nat("192.0.2.77".parse().unwrap(), NatConfig::default());
        world.add_host_behind(nat);
        world.add_host();
        let [a, mut b] = [old(0, 1, mode), old(1, 0, mode)];
        b.start = Start::Passive;
        b.remote = None;
        world.add_tunnel(1, b);
        world.add_tunnel(0, a);
        world.run_secs(2);
        assert!(world.both_up(), "{}", world.story());
        world.assert_traffic(0, 1);
        let mut ports: Vec<_> =
            world.nodes[0].wire.iter().map(|(_, path, ..)| (path.local.port(), path.remote.port())).collect();
        ports.dedup();
        assert_eq!(ports, [(500, 500), (4_500, 4_500)]);
        let [a, b] = [world.status(0), world.status(1)];
        assert!(a.ikes[0].nat.local && a.ikes[0].encapsulated, "{a:?}");
        assert!(b.ikes[0].nat.remote && b.ikes[0].encapsulated, "{b:?}");
        world.finish();
    }
}

#[test]
fn different_keys_are_guessed_at_in_main_mode_and_known_in_aggressive_mode() {
    for mode in MODES {
        let [a, mut b] = [old(0, 1, mode), old(1, 0, mode)];
        b.start = Start::Passive;
        b.pre_shared_key = key("another key");
        let mut world = World::pair(a, b);
        world.run_secs(200);
        assert!(!world.is_up(0) && !world.is_up(1));
        let told = |event: &Event| match event {
            Event::Down { cause, .. } | Event::Problem { cause, .. } => cause.contains("pre-shared key"),
            _ => false,
        };
        // In aggressive mode the initiator is the first to see a proof, and it does not answer a wrong one.
        assert!(world.count(0, told) > 0, "{}", world.story());
        assert!(mode == Phase1Mode::Aggressive || world.count(1, told) > 0, "{}", world.story());
        world.finish();
    }
}

#[test]
fn in_main_mode_the_key_for_the_narrowest_place_is_taken() {
    let mut world = World::new(9, LinkConfig::default());
    for _ in 0..3 {
        world.add_host();
    }
    let mut anyone = old(0, 2, Phase1Mode::Main);
    anyone.remote = None;
    anyone.start = Start::Passive;
    anyone.pre_shared_key = key("for anyone at all");
    world.add_tunnel(0, anyone);
    let mut one = old(0, 1, Phase1Mode::Main);
    one.start = Start::Passive;
    one.pre_shared_key = key("for host 1 alone");
    one.accepted_from = vec![ikebana::core::AddressRange::single(outer(1))];
    world.add_tunnel(0, one);
    for (host, secret) in [(1, "for host 1 alone"), (2, "for anyone at all")] {
        let mut config = old(host, 0, Phase1Mode::Main);
        config.pre_shared_key = key(secret);
        world.add_tunnel(host, config);
    }
    world.run_secs(3);
    world.assert_traffic(1, 0);
    world.assert_traffic(2, 0);
    world.finish();
}

#[test]
fn messages_in_fragments_bring_a_tunnel_up_too() {
    for mode in MODES {
        let [mut a, mut b] = [old(0, 1, mode), old(1, 0, mode)];
        b.start = Start::Passive;
        for config in [&mut a, &mut b] {
            config.peer.ikev1.fragmentation = Fragmentation::Force;
        }
        let mut world = World::pair(a, b);
        world.run_secs(3);
        assert!(world.both_up(), "{}", world.story());
        world.assert_traffic(0, 1);
        world.finish();
    }
}

#[test]
fn when_both_sides_start_at_once_one_association_is_left_and_nothing_is_lost() {
    for seed in 0..10 {
        let link = LinkConfig { delay: millis(20), jitter: millis(20), ..LinkConfig::default() };
        let mut world = World::new(seed, link);
        for host in 0..2 {
            world.add_host();
            let mode = MODES[(seed % 2) as usize];
            world.add_tunnel(host, old(host, 1 - host, mode));
        }
        world.run_secs(30);
        assert!(world.both_up(), "seed {seed} {}", world.story());
        assert_eq!([world.status(0).ikes.len(), world.status(1).ikes.len()], [1, 1], "{}", world.story());
        world.assert_traffic(0, 1);
        world.finish();
    }
}

/// Removing and adding, over a bad link, with keys replaced all the time; the digest of all of it.
fn busy(seed: u64) -> u64 {
    let mut rng = SeededRng::new(seed);
    let mut world = World::new(seed, LinkConfig::bad());
    for host in 0..2 {
        world.add_host();
        let mut config = old(host, 1 - host, MODES[(seed % 2) as usize]);
        config.peer.liveness = Some(Liveness { delay: secs(10) });
        world.add_tunnel(host, config);
    }
    world.flood(0, 1, millis(100));
    for _ in 0..20 {
        let host = rng.below(2) as usize;
        let id = world.id(host);
        match rng.below(5) {
            0 => {
                let _ = world.with(host, |engine, now| engine.rekey_children(now, id));
            }
            1 => {
                let _ = world.with(host, |engine, now| engine.rekey_ike(now, id));
            }
            2 => world.stop(host),
            3 => world.start(host),
            _ => {
                let config = copy(&world.nodes[host].tunnels[0].1);
                world.remove_tunnel(host, id);
                world.add_tunnel(host, config);
            }
        }
        world.run(millis(rng.below(10_000)));
    }
    assert!(world.astray().is_empty(), "seed {seed} {}", world.story());
    world.network.set_all_links(LinkConfig::default());
    world.start(0);
    world.start(1);
    world.run_secs(300);
    world.stop_streams();
    world.run_secs(1);
    for host in 0..2 {
        assert!(world.status(host).children.len() >= 2, "seed {seed} {}", world.story());
    }
    world.assert_traffic(0, 1);
    let digest = world.digest();
    world.finish();
    digest
}

#[test]
fn whatever_is_done_over_a_bad_link_a_tunnel_comes_back_once_the_link_is_good() {
    for seed in 0..50 {
        busy(seed);
    }
}

#[test]
fn the_same_seed_gives_the_same_outputs() {
    for seed in 0..4 {
        assert_eq!(busy(seed), busy(seed), "seed {seed}");
    }
}
