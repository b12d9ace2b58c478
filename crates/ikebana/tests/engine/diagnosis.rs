//! What is said when two sides disagree: both of them learn what the other one wants.

use ikebana::ike::Encapsulation;
use ikebana::proposals::Proposal;
use ikebana::{ConfigError, Event, Start, TunnelConfig};

use crate::setup::{child, fixed, key, secs, tunnel};
use crate::world::World;

/// Runs two hosts whose configurations differ as told, for a while.
fn disagreeing(change_a: impl Fn(&mut TunnelConfig), change_b: impl Fn(&mut TunnelConfig)) -> World {
    let [mut a, mut b] = [tunnel(0, 1), tunnel(1, 0)];
    b.start = Start::Passive;
    change_a(&mut a);
    change_b(&mut b);
    let mut world = World::pair(a, b);
    // Longer than an attempt that gets no answer it can believe.
    world.run_secs(200);
    assert!(!world.is_up(0) && !world.is_up(1), "{}", world.story());
    world
}

/// A host's status, and at least one of its events, say all of this.
fn assert_told(world: &World, host: usize, words: &[&str]) {
    let cause = world.status(host).cause.unwrap_or_default();
    let said: Vec<&str> = world.nodes[host]
        .seen
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Down { cause, .. } | Event::Problem { cause, .. } => Some(cause.as_str()),
            _ => None,
        })
        .collect();
    for word in words {
        assert!(cause.contains(word), "{host}: the status does not say {word}: {cause}");
    }
    let event = said.iter().any(|said| words.iter().all(|word| said.contains(word)));
    assert!(event, "{host}: no event says {words:?}: {said:#?}");
}

#[test]
fn different_keys_are_told_on_both_sides() {
    let world = disagreeing(|_| {}, |b| b.pre_shared_key = key("another key"));
    assert_told(&world, 0, &["pre-shared key", "host0.example.net", "host1.example.net"]);
    assert_told(&world, 1, &["pre-shared key", "host0.example.net", "host1.example.net"]);
    world.finish();
}

#[test]
fn identities_that_do_not_match_are_told_on_both_sides() {
    let world = disagreeing(|a| a.peer.local_id = "laptop.example.net".parse().unwrap(), |_| {});
    assert_told(&world, 0, &["laptop.example.net", "host1.example.net"]);
    let said = world.count(
        1,
        |event| matches!(event, Event::Problem { cause, .. } if cause.contains("laptop.example.net")),
    );
    assert!(said > 0, "{}", world.story());
    world.finish();
}

#[test]
fn ike_proposals_without_anything_in_common_are_told_on_both_sides() {
    let suite = |keywords: &'static str| {
        move |config: &mut TunnelConfig| config.peer.proposals = vec![Proposal::ike(keywords).unwrap()]
    };
    let world = disagreeing(suite("aes256-sha256-modp2048"), suite("aes128gcm16-prfsha384-ecp256"));
    assert_told(&world, 0, &["NO_PROPOSAL_CHOSEN", "aes256-sha256-modp2048"]);
    assert_told(&world, 1, &["aes256", "aes128gcm16", "prfsha384"]);
    world.finish();
}

#[test]
fn child_proposals_without_anything_in_common_are_told_on_both_sides() {
    let suite = |keywords: &'static str| {
        move |config: &mut TunnelConfig| {
            child(config, |child| child.proposals = vec![Proposal::esp(keywords).unwrap()]);
        }
    };
    let world = disagreeing(suite("aes256-sha256"), suite("aes128gcm16"));
    assert_told(&world, 0, &["NO_PROPOSAL_CHOSEN", "aes256-sha256"]);
    assert_told(&world, 1, &["aes256", "aes128gcm16"]);
    // The IKE SA is there, and the child is asked for again and again.
    assert_eq!(world.status(0).ikes.len(), 1);
    assert!(world.status(0).retries > 3);
    world.finish();
}

#[test]
fn selectors_without_anything_in_common_are_told_on_both_sides() {
    let world = disagreeing(|a| child(a, |child| child.remote = vec![fixed("172.16.0.0/12")]), |_| {});
    assert_told(&world, 0, &["TS_UNACCEPTABLE", "10.1.0.0/16", "172.16.0.0/12"]);
    assert_told(&world, 1, &["172.16.0.0/12", "10.2.0.0/16"]);
    world.finish();
}

#[test]
fn a_silent_peer_is_told_with_what_was_tried() {
    let mut world = World::pair(tunnel(0, 1), tunnel(1, 0));
    world.kill(1);
    world.run_secs(200);
    assert_told(&world, 0, &["no answer to IKE_SA_INIT", "UDP"]);
    world.finish();
}

#[test]
fn what_went_wrong_is_forgotten_when_the_tunnel_is_up() {
    let mut world = disagreeing(|_| {}, |b| b.pre_shared_key = key("another key"));
    let id = world.id(1);
    world.remove_tunnel(1, id);
    let mut mended = tunnel(1, 0);
    mended.start = Start::Passive;
    world.add_tunnel(1, mended);
    world.run_until(secs(70), World::both_up);
    assert_eq!((world.status(0).cause, world.status(1).cause), (None, None));
    world.finish();
}

#[test]
fn a_flood_of_bad_first_messages_does_not_become_a_flood_of_events() {
    let mut a = tunnel(0, 1);
    a.peer.proposals = vec![Proposal::ike("aes256-sha256-modp2048").unwrap()];
    let mut b = tunnel(1, 0);
    b.start = Start::Passive;
    b.peer.proposals = vec![Proposal::ike("aes128gcm16-prfsha384-ecp256").unwrap()];
    let mut world = World::pair(a, b);
    let first = world.network.deliver(world.now + secs(1)).unwrap();
    for number in 0_u32..10_000 {
        let mut again = first.clone();
        // Each a new one, by its SPI.
        again.octets[..4].copy_from_slice(&number.to_be_bytes());
        world.arrive(1, vec![again]);
    }
    let told = world.count(1, |event| matches!(event, Event::Problem { .. }));
    assert!((1..=10).contains(&told), "{told}");
    assert_eq!(world.nodes[1].engine.withheld_problems() + told as u64, 1_000);
    // A second later there is room for more.
    world.run_secs(1);
    world.arrive(1, vec![first]);
    assert_eq!(world.count(1, |event| matches!(event, Event::Problem { .. })), told + 1);
    world.finish();
}

/// Why a tunnel is refused.
fn refused(change: impl Fn(&mut TunnelConfig)) -> ConfigError {
    let mut world = World::pair(tunnel(0, 1), tunnel(1, 0));
    let mut config = tunnel(0, 2);
    change(&mut config);
    let now = world.now;
    let error = world.nodes[0].engine.add_tunnel(now, config).unwrap_err();
    // What has been refused leaves nothing behind: the same tunnel, mended, is welcome.
    world.nodes[0].engine.add_tunnel(now, tunnel(0, 2)).unwrap();
    error
}

#[test]
fn a_configuration_that_cannot_work_is_refused_with_the_reason() {
    let mixed =
        refused(|config| child(config, |child| child.proposals.push(Proposal::ah("sha256").unwrap())));
    assert!(matches!(&mixed, ConfigError::MixedProtocols { child, .. } if child == "net"), "{mixed}");
    assert!(mixed.to_string().contains("sha256") && mixed.to_string().contains("AH"), "{mixed}");
    let in_udp = refused(|config| {
        config.peer.encapsulation = Encapsulation::Force;
        child(config, |child| child.proposals = vec![Proposal::ah("sha256").unwrap()]);
    });
    assert!(matches!(in_udp, ConfigError::AhInUdp { .. }), "{in_udp}");
    let window = refused(|config| child(config, |child| child.replay_window = 100));
    assert!(matches!(window, ConfigError::ReplayWindow { window: 100, .. }), "{window}");
    let family = refused(|config| config.remote = Some("[2001:db8::1]:500".parse().unwrap()));
    assert!(matches!(family, ConfigError::AddressFamilies(_)), "{family}");
    assert!(matches!(refused(|config| config.peer.children.clear()), ConfigError::NoChildren(_)));
    assert!(matches!(refused(|config| config.remote = None), ConfigError::NoRemote(_)));
    assert!(matches!(refused(|config| config.peer.name = crate::setup::name(1)), ConfigError::NameInUse(_)));
    let twice = refused(|config| {
        let again = config.peer.children[0].clone();
        config.peer.children.push(again);
    });
    assert!(matches!(twice, ConfigError::ChildNameInUse { .. }), "{twice}");
    let none = refused(|config| child(config, |child| child.proposals.clear()));
    assert!(matches!(none, ConfigError::NoProposals { child: Some(_), .. }), "{none}");
    let none = refused(|config| config.peer.proposals.clear());
    assert!(matches!(none, ConfigError::NoProposals { child: None, .. }), "{none}");
}
