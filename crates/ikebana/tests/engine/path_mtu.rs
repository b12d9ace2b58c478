//! Routers say what fits a path, and forgers say so too.

use std::time::Duration;

use ikebana::core::EspSpi;
use ikebana::esp::{
    MAX_TOO_BIG, OuterFields, OuterHeader, PacketBuf, TooBig, UdpPorts, packet_too_big, received_too_big,
};
use ikebana::ike::Encapsulation;
use ikebana::{DropCause, Event, Leaving, LeavingFate, NotBelieved, Port, Sending, Start, TunnelConfig};

use crate::packet::numbered;
use crate::setup::{inner, tunnel};
use crate::world::World;

fn up(change: impl Fn(&mut TunnelConfig)) -> World {
    let [mut a, mut b] = [tunnel(0, 1), tunnel(1, 0)];
    b.start = Start::Passive;
    change(&mut a);
    change(&mut b);
    let mut world = World::pair(a, b);
    world.run_secs(1);
    assert!(world.both_up(), "{}", world.story());
    world
}

/// A packet of host 0 as it travels: with its outer headers.
fn on_the_wire(world: &mut World, length: usize) -> Vec<u8> {
    let packet = numbered(inner(0, false), inner(1, false), 1, length);
    let mut buffer = [&[0; 128][..], &packet, &[0; 128]].concat();
    let mut batch = [Leaving::new(PacketBuf::new(&mut buffer, 128..128 + packet.len()).unwrap())];
    world.nodes[0].engine.handle_packets(world.now, &mut batch);
    let [leaving] = &mut batch;
    let LeavingFate::Send(Sending { path, port, tos, dont_fragment }) = leaving.fate else {
        panic!("{:?}", leaving.fate)
    };
    let ports = UdpPorts { source: path.local.port(), destination: path.remote.port() };
    let header = OuterHeader {
        source: path.local.ip(),
        destination: path.remote.ip(),
        ports: (port == Port::Shared).then_some(ports),
        fields: OuterFields { tos, dont_fragment, ttl: 64, flow_label: 0 },
        identification: 7,
    };
    header.push(&mut leaving.packet).unwrap();
    leaving.packet.payload().to_vec()
}

/// What a router says about a packet.
fn about(packet: &[u8], mtu: usize) -> Vec<u8> {
    let mut message = [0; MAX_TOO_BIG];
    let length = packet_too_big(packet, [203, 0, 113, 1].into(), mtu, &mut message).unwrap();
    message[..length].to_vec()
}

fn hear(world: &mut World, message: &[u8]) -> Result<usize, NotBelieved> {
    world.with(0, |engine, now| engine.handle_icmp(now, message))
}

fn mtu(world: &World) -> usize {
    world.status(0).children[0].mtu
}

fn told(world: &World) -> Vec<usize> {
    let mtus = world.nodes[0].seen.iter().filter_map(|(_, event)| match event {
        Event::PathMtu { mtu, .. } => Some(*mtu),
        _ => None,
    });
    mtus.collect()
}

#[test]
fn a_router_makes_the_tunnel_narrower_and_the_next_sender_hears_it() {
    for (force, before, after, least) in
        [(Encapsulation::Auto, 1_446, 1_346, 522), (Encapsulation::Force, 1_438, 1_338, 514)]
    {
        let mut world = up(|config| config.peer.encapsulation = force);
        assert_eq!(mtu(&world), before);
        let packet = on_the_wire(&mut world, before);
        assert_eq!(hear(&mut world, &about(&packet, 1_400)), Ok(1_400));
        assert_eq!((mtu(&world), told(&world)), (after, vec![1_400]));
        // Whoever sends more is told now.
        let over = numbered(inner(0, false), inner(1, false), 1, after + 1);
        assert_eq!(world.send_packet(0, &over), LeavingFate::Dropped(DropCause::TooBig));
        let message = world.nodes[0].inbox.pop().unwrap();
        assert_eq!(usize::from(u16::from_be_bytes([message[26], message[27]])), after);
        let fits = numbered(inner(0, false), inner(1, false), 1, after);
        assert!(matches!(world.send_packet(0, &fits), LeavingFate::Send(_)));
        // The same once more changes nothing, more neither, and a little is as little as can be.
        assert_eq!(hear(&mut world, &about(&packet, 1_400)), Err(NotBelieved::NotNarrower));
        assert_eq!(hear(&mut world, &about(&packet, 1_450)), Err(NotBelieved::NotNarrower));
        assert_eq!(hear(&mut world, &about(&packet, 68)), Ok(576));
        assert_eq!(mtu(&world), least);
        let stats = *world.nodes[0].engine.path_mtu_stats();
        assert_eq!((stats.believed, stats.not_narrower), (2, 2));
        world.finish();
    }
}

#[test]
fn what_a_router_said_holds_for_ten_minutes_and_through_rekeys() {
    let mut world = up(|_| {});
    let packet = on_the_wire(&mut world, 1_446);
    hear(&mut world, &about(&packet, 1_300)).unwrap();
    assert_eq!(mtu(&world), 1_246);
    world.run(Duration::from_secs(300));
    let id = world.id(0);
    world.with(0, |engine, now| engine.rekey_children(now, id)).unwrap();
    world.run_secs(10);
    assert!(world.status(0).children.iter().all(|child| child.mtu == 1_246), "the path is the same");
    world.run(Duration::from_secs(280));
    assert_eq!(mtu(&world), 1_246);
    world.run(Duration::from_secs(20));
    assert_eq!((mtu(&world), told(&world)), (1_446, vec![1_300, 1_500]));
    // If it is still as narrow, the next packet finds out.
    let packet = on_the_wire(&mut world, 1_446);
    assert_eq!(hear(&mut world, &about(&packet, 1_300)), Ok(1_300));
    world.finish();
}

#[test]
fn a_forger_has_to_know_a_packet_that_was_just_sent() {
    let mut world = up(|_| {});
    let packet = on_the_wire(&mut world, 1_446);
    let good = received_too_big(&about(&packet, 1_300)).unwrap();
    let mut try_it = |report: TooBig| world.with(0, |engine, now| engine.handle_too_big(now, &report));
    let other = EspSpi::new(good.spi.get() ^ 0x8000_0000).unwrap();
    for (report, refusal) in [
        (TooBig { spi: other, ..good }, NotBelieved::NoSa),
        (TooBig { sequence: good.sequence + 1, ..good }, NotBelieved::NotSent),
        (TooBig { sequence: 0, ..good }, NotBelieved::NotSent),
        (TooBig { source: good.destination, ..good }, NotBelieved::NotSent),
        (TooBig { destination: [192, 0, 2, 9].into(), ..good }, NotBelieved::NotSent),
        (
            TooBig { ports: Some(UdpPorts { source: 4_500, destination: 4_500 }), ..good },
            NotBelieved::NotSent,
        ),
        (TooBig { mtu: 1_500, ..good }, NotBelieved::NotNarrower),
    ] {
        assert_eq!(try_it(report), Err(refusal), "{report:?}");
    }
    // Forgers cannot use up what routers may say.
    for _ in 0..1_000 {
        assert_eq!(try_it(TooBig { spi: other, ..good }), Err(NotBelieved::NoSa));
    }
    // Nobody, whatever they have seen of our packets, is heard more than so many times a second.
    let refused =
        (0..1_000).filter(|_| try_it(TooBig { mtu: 1_500, ..good }) == Err(NotBelieved::TooMany)).count();
    assert!(refused >= 900, "{refused}");
    assert_eq!((mtu(&world), told(&world)), (1_446, vec![]));
    world.run_secs(2);
    assert!(matches!(hear(&mut world, &packet), Err(NotBelieved::Message(_))));
    assert_eq!(hear(&mut world, &about(&packet, 1_300)), Ok(1_300));
    world.finish();
}

#[test]
fn a_path_that_is_gone_is_not_heard_of_any_more() {
    let mut world = up(|_| {});
    let packet = on_the_wire(&mut world, 1_446);
    let message = about(&packet, 1_300);
    world.stop(0);
    world.run_secs(5);
    assert_eq!(hear(&mut world, &message), Err(NotBelieved::NoSa));
    world.start(0);
    world.run_secs(5);
    // The new SA has other SPIs, and has sent nothing yet.
    assert_eq!(hear(&mut world, &message), Err(NotBelieved::NoSa));
    assert_eq!(mtu(&world), 1_446);
    world.finish();
}
