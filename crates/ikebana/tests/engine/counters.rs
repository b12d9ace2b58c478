//! Where dropped packets are counted.

use ikebana::core::Lifetime;
use ikebana::esp::{InboundStats, NextHeader, OutboundStats};
use ikebana::{ArrivalFate, DropCause, LeavingFate, Start};
use ikebana_testkit::LinkConfig;

use crate::packet::numbered;
use crate::rogue::Rogue;
use crate::setup::{child, inner, tunnel};
use crate::world::World;

/// Host 0 waits for host 1, which holds the keys and seals what it is told to.
fn rogue(lifetime: Lifetime) -> (World, Rogue) {
    let mut world = World::new(23, LinkConfig::default());
    world.add_host();
    let mut waiting = tunnel(0, 1);
    waiting.start = Start::Passive;
    child(&mut waiting, |child| child.lifetime = lifetime);
    world.add_tunnel(0, waiting);
    let rogue = Rogue::connect(&mut world, tunnel(1, 0));
    (world, rogue)
}

fn opened(world: &World) -> InboundStats {
    world.status(0).children[0].opened.unwrap()
}

fn sealed(world: &World) -> OutboundStats {
    world.status(0).children[0].sealed.unwrap()
}

/// What the engine has counted, and how often.
fn dropped(world: &World) -> Vec<(DropCause, u64)> {
    world.nodes[0].engine.drops().iter().filter(|(_, count)| *count > 0).collect()
}

#[test]
fn every_dropped_packet_is_in_one_counter_of_the_engine_and_one_of_its_sa() {
    use DropCause as D;
    let (mut world, mut rogue) = rogue(Lifetime::UNLIMITED);
    let good = numbered(inner(1, false), inner(0, false), 1, 100);
    let stray = numbered(inner(0, false), inner(1, false), 1, 100);
    let sealed_good = rogue.seal(&good);
    let mut forged = rogue.seal(&good);
    *forged.last_mut().unwrap() ^= 1;
    let mut unknown = rogue.seal(&good);
    unknown[3] ^= 1;
    let arriving = [
        (sealed_good.clone(), ArrivalFate::Deliver, ""),
        (sealed_good.clone(), ArrivalFate::Dropped(D::NotOpened), "repeated"),
        (sealed_good[..30].to_vec(), ArrivalFate::Dropped(D::NotOpened), "short"),
        (sealed_good[..61].to_vec(), ArrivalFate::Dropped(D::NotOpened), "misaligned"),
        (forged, ArrivalFate::Dropped(D::NotOpened), "forged"),
        (rogue.seal_as(NextHeader::TCP, &good), ArrivalFate::Dropped(D::NotOpened), "next_header"),
        (rogue.seal_as(NextHeader::IPV6, &good), ArrivalFate::Dropped(D::NotOpened), "malformed_inner"),
        (rogue.seal_as(NextHeader::NONE, &good), ArrivalFate::Dropped(D::Idle), ""),
        (rogue.seal(&stray), ArrivalFate::Dropped(D::WrongSelectors), "wrong_selectors"),
        (unknown, ArrivalFate::Dropped(D::NoInboundSa), ""),
        (vec![1], ArrivalFate::Dropped(D::NotIpsec), ""),
    ];
    for (octets, fate, counter) in arriving {
        let (engine, sa) = (world.nodes[0].engine.drops().clone(), opened(&world));
        assert_eq!(rogue.put(&mut world, octets), fate, "{counter}");
        for (cause, count) in world.nodes[0].engine.drops().iter() {
            let expected = engine.get(cause) + u64::from(fate == ArrivalFate::Dropped(cause));
            assert_eq!(count, expected, "{cause:?} of {fate:?}");
        }
        for ((name, count), (_, before)) in opened(&world).drops().zip(sa.drops()) {
            assert_eq!(count, before + u64::from(name == counter), "{name} of {fate:?}");
        }
    }

    let (before, here, there) = (dropped(&world).len(), inner(0, false), inner(1, false));
    let leaving = [
        (numbered(here, there, 1, 100), true, ""),
        (numbered(here, there, 1, 1_500), false, "too_big"),
        (numbered(there, "172.16.0.1".parse().unwrap(), 1, 100), false, ""),
        (vec![0x45; 7], false, ""),
    ];
    for (packet, leaves, counter) in leaving {
        let (engine, sa) = (world.nodes[0].engine.drops().clone(), sealed(&world));
        let fate = world.send_packet(0, &packet);
        assert_eq!(matches!(fate, LeavingFate::Send(_)), leaves);
        for (cause, count) in world.nodes[0].engine.drops().iter() {
            assert_eq!(
                count,
                engine.get(cause) + u64::from(fate == LeavingFate::Dropped(cause)),
                "{cause:?}"
            );
        }
        for ((name, count), (_, before)) in sealed(&world).drops().zip(sa.drops()) {
            assert_eq!(count, before + u64::from(name == counter), "{name} of {fate:?}");
        }
    }
    assert_eq!(dropped(&world).len(), before + 3, "too big, no policy, no packet");
}

#[test]
fn packets_of_an_sa_that_has_ended_are_counted_on_it_in_both_directions() {
    let (mut world, mut rogue) =
        rogue(Lifetime { hard_packets: Some(3), soft_packets: None, ..Lifetime::UNLIMITED });
    // All of them are on their way before anybody can act on the limit.
    let packets: Vec<_> =
        (0..6).map(|number| rogue.seal(&numbered(inner(1, false), inner(0, false), number, 100))).collect();
    let fates = rogue.put_all(&mut world, packets);
    let ended = ArrivalFate::Dropped(DropCause::Expired);
    assert_eq!(fates[..3], [ArrivalFate::Deliver; 3]);
    assert_eq!(fates[3..], [ended; 3]);
    assert_eq!(dropped(&world), [(DropCause::Expired, 3)]);
}

#[test]
fn each_cause_has_a_name_of_its_own() {
    let mut names: Vec<_> = DropCause::ALL.iter().map(|cause| cause.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), DropCause::ALL.len());
}
