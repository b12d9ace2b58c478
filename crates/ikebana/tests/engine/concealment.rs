//! Compressed and padded packets.

use ikebana::esp::TfcPadding;
use ikebana::ike::{Encapsulation, Mode, SelectorTemplate};
use ikebana::proposals::Proposal;
use ikebana::{ConfigError, IkeVersion, LeavingFate, Start, TunnelConfig};
use ikebana_testkit::LinkConfig;

use crate::packet::{number_of, numbered};
use crate::setup::{child, inner, millis, outer, tunnel};
use crate::world::World;

/// Sends packets of these lengths and says how long the outer ones are; what arrives is what was sent.
fn wire_lengths(world: &mut World, from: usize, lengths: &[usize]) -> Vec<usize> {
    let to = 1 - from;
    lengths
        .iter()
        .map(|length| {
            let packet = numbered(inner(from, false), inner(to, false), 777, *length);
            assert!(matches!(world.send_packet(from, &packet), LeavingFate::Send(_)), "{}", world.story());
            let (.., octets) = *world.nodes[from].wire.last().unwrap();
            world.run(millis(200));
            let arrived = world.nodes[to].inbox.last().unwrap();
            assert_eq!((number_of(arrived), arrived), (Some(777), &packet));
            octets
        })
        .collect()
}

fn pair(change: impl Fn(usize, &mut TunnelConfig)) -> World {
    let [mut a, mut b] = [tunnel(0, 1), tunnel(1, 0)];
    b.start = Start::Passive;
    change(0, &mut a);
    change(1, &mut b);
    let mut world = World::pair(a, b);
    world.run_secs(2);
    assert!(world.both_up(), "{}", world.story());
    world
}

#[test]
fn both_sides_compress_if_both_want_to_and_go_on_after_a_rekey() {
    for force in [Encapsulation::Auto, Encapsulation::Force] {
        let mut world = pair(|_, config| {
            child(config, |child| child.compress = true);
            config.peer.encapsulation = force;
        });
        for _ in 0..2 {
            for from in 0..2 {
                // Numbered packets are one octet over and over.
                let lengths = wire_lengths(&mut world, from, &[1_300, 60]);
                assert!(lengths[0] < 200, "{lengths:?}");
            }
            let id = world.id(1);
            world.with(1, |engine, now| engine.rekey_children(now, id)).unwrap();
            world.run_secs(10);
        }
        world.finish();
    }
}

#[test]
fn one_side_alone_does_not_compress() {
    let mut world = pair(|host, config| child(config, |child| child.compress = host == 0));
    for from in 0..2 {
        assert!(wire_lengths(&mut world, from, &[1_300])[0] > 1_300);
    }
    world.finish();
}

#[test]
fn transport_mode_compresses_too_and_does_not_pad() {
    let mut world = pair(|_, config| {
        config.tfc = TfcPadding::PathMtu;
        child(config, |child| {
            child.compress = true;
            child.mode = Mode::Transport;
            child.local = vec![SelectorTemplate::DYNAMIC];
            child.remote = vec![SelectorTemplate::DYNAMIC];
        });
    });
    let packet = numbered(outer(0), outer(1), 5, 1_000);
    assert!(matches!(world.send_packet(0, &packet), LeavingFate::Send(_)));
    let (.., octets) = *world.nodes[0].wire.last().unwrap();
    assert!(octets < 200, "{octets}");
    world.run(millis(200));
    assert_eq!(number_of(world.nodes[1].inbox.last().unwrap()), Some(5));
    world.finish();
}

#[test]
fn padded_packets_all_look_alike_in_the_direction_that_pads() {
    let mut world = pair(|host, config| {
        config.tfc = if host == 0 { TfcPadding::PathMtu } else { TfcPadding::None };
    });
    let lengths = wire_lengths(&mut world, 0, &[60, 100, 700, 1_300]);
    assert!(lengths.iter().all(|length| *length == lengths[0] && *length > 1_300), "{lengths:?}");
    let lengths = wire_lengths(&mut world, 1, &[60, 1_300]);
    assert!(lengths[0] < 200 && lengths[1] > 1_300, "{lengths:?}");
    world.finish();
}

#[test]
fn compression_and_padding_go_together() {
    let mut world = pair(|_, config| {
        config.tfc = TfcPadding::Size(500);
        child(config, |child| child.compress = true);
    });
    let lengths = wire_lengths(&mut world, 0, &[60, 400, 1_300]);
    assert!(lengths.iter().all(|length| *length == lengths[0] && *length < 600), "{lengths:?}");
    world.finish();
}

#[test]
fn ikev1_cannot_agree_on_compression() {
    let mut config = tunnel(0, 1);
    config.version = IkeVersion::V1;
    config.peer.proposals = vec![Proposal::ike("aes128-sha256-modp2048").unwrap()];
    child(&mut config, |child| child.compress = true);
    let mut world = World::new(1, LinkConfig::default());
    let host = world.add_host();
    let result = world.with(host, |engine, now| engine.add_tunnel(now, config));
    assert!(matches!(result, Err(ConfigError::CompressionInIkev1 { .. })), "{result:?}");
}
