//! ESP that arrives before the answer which brings its SA.

use std::sync::{Arc, Mutex};

use ikebana::core::Path;
use ikebana::{ArrivalFate, DropCause, Start, TunnelConfig};
use ikebana_testkit::{Delivery, Verdict};

use crate::setup::{millis, secs, tunnel};
use crate::world::World;

const IKE_AUTH: u8 = 35;
const CREATE_CHILD_SA: u8 = 36;

/// Answers of host 1 that are held up on their way.
type Held = Arc<Mutex<Vec<Delivery>>>;

/// Two hosts, of which the first one starts; host 1's answers of one kind are held up.
fn with_late(exchange: u8, change: impl Fn(&mut TunnelConfig)) -> (World, Held) {
    let [mut a, mut b] = [tunnel(0, 1), tunnel(1, 0)];
    b.start = Start::Passive;
    change(&mut a);
    change(&mut b);
    let mut world = World::pair(a, b);
    let held = Held::default();
    let (to, slow, kept) = (world.nodes[0].id, world.nodes[1].id, held.clone());
    world.network.set_filter(move |at, from, path, octets| {
        if from != slow || path.local.port() != 500 || octets.get(18) != Some(&exchange) {
            return Verdict::Pass;
        }
        let path = Path::new(path.remote, path.local);
        kept.lock().unwrap().push(Delivery { at, to, path, octets: octets.to_vec() });
        Verdict::Drop
    });
    world.run(millis(200));
    assert_eq!(held.lock().unwrap().len(), 1, "{}", world.story());
    (world, held)
}

/// The answer comes after all.
fn let_go(world: &mut World, held: &Held) {
    let answers = std::mem::take(&mut *held.lock().unwrap());
    world.network.clear_filter();
    world.arrive(0, answers);
}

fn too_early(world: &World) -> u64 {
    world.nodes[0].engine.drops().get(DropCause::TooEarly)
}

/// Each network in a child of its own, so that the second one takes a CREATE_CHILD_SA exchange.
fn two_children(config: &mut TunnelConfig) {
    let mut second = (*config.peer.children[0]).clone();
    second.name = "six".into();
    second.local.remove(0);
    second.remote.remove(0);
    crate::setup::child(config, |first| {
        first.local.truncate(1);
        first.remote.truncate(1);
    });
    config.peer.children.push(Arc::new(second));
}

#[test]
fn packets_that_overtake_the_answer_arrive_when_it_does() {
    let one_child: fn(&mut TunnelConfig) = |_| {};
    for (exchange, change) in [(IKE_AUTH, one_child), (CREATE_CHILD_SA, two_children)] {
        let (mut world, held) = with_late(exchange, change);
        for _ in 0..10 {
            world.send(1, 0, true);
            world.run(millis(10));
        }
        assert_eq!(world.lost().len(), 10);
        let_go(&mut world, &held);
        world.assert_perfect();
        assert_eq!(too_early(&world), 0);
        world.assert_traffic(0, 1);
        world.finish();
    }
}

#[test]
fn packets_whose_sa_does_not_come_are_counted_and_forgotten() {
    let (mut world, held) = with_late(IKE_AUTH, |_| {});
    for _ in 0..10 {
        world.send(1, 0, false);
    }
    world.run(millis(100));
    assert_eq!(too_early(&world), 0);
    world.run(millis(600));
    assert_eq!(too_early(&world), 10);
    let_go(&mut world, &held);
    assert_eq!(world.lost().len(), 10);
    world.run_secs(1);
    world.assert_traffic(0, 1);
    world.finish();
}

#[test]
fn no_more_are_kept_than_so_many_packets_and_so_many_octets() {
    let (mut world, held) = with_late(IKE_AUTH, |_| {});
    for _ in 0..200 {
        world.send(1, 0, false);
    }
    world.run(millis(50));
    assert_eq!(too_early(&world), 200 - 64);
    let_go(&mut world, &held);
    assert_eq!(world.lost().len(), 200 - 64);
    world.finish();

    let (mut world, held) = with_late(IKE_AUTH, |_| {});
    let big = crate::packet::numbered(crate::setup::inner(1, false), crate::setup::inner(0, false), 7, 1_400);
    for _ in 0..60 {
        world.send_packet(1, &big);
    }
    world.run(millis(50));
    // Each is a little longer when it is sealed.
    assert_eq!(too_early(&world), 60 - 65_536 / 1_456);
    let_go(&mut world, &held);
    assert_eq!(world.nodes[0].inbox.len(), 65_536 / 1_456);
    world.finish();
}

#[test]
fn a_stranger_cannot_have_packets_kept_nor_can_a_peer_with_any_spi() {
    let (mut world, held) = with_late(IKE_AUTH, |_| {});
    world.send(1, 0, false);
    let genuine = world.network.deliver(world.now + secs(1)).unwrap();
    let mut elsewhere = genuine.clone();
    elsewhere.path.remote.set_ip("203.0.113.66".parse().unwrap());
    let mut guessed = genuine.clone();
    guessed.octets[3] ^= 1;
    for unknown in [elsewhere, guessed] {
        world.arrive(0, vec![unknown]);
        assert_eq!(world.nodes[0].fates.last(), Some(&ArrivalFate::Dropped(DropCause::NoInboundSa)));
    }
    // A forgery is kept beside the genuine packet, and then opened by nobody.
    let mut forged = genuine.clone();
    *forged.octets.last_mut().unwrap() ^= 1;
    world.arrive(0, vec![forged, genuine.clone(), genuine]);
    assert_eq!(world.nodes[0].fates.last(), Some(&ArrivalFate::Consumed));
    let_go(&mut world, &held);
    world.assert_perfect();
    assert_eq!(world.nodes[0].engine.drops().get(DropCause::NotOpened), 2);
    world.finish();
}

#[test]
fn once_an_sa_has_gone_nothing_is_kept_for_it() {
    let (mut world, held) = with_late(IKE_AUTH, |_| {});
    let_go(&mut world, &held);
    world.assert_traffic(0, 1);
    world.send(1, 0, false);
    let late = world.network.deliver(world.now + secs(1)).unwrap();
    world.stop(0);
    world.arrive(0, vec![late]);
    assert_eq!(world.nodes[0].fates.last(), Some(&ArrivalFate::Dropped(DropCause::NoInboundSa)));
    world.finish();
}
