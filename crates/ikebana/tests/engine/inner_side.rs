//! What the data path refuses, and what it tells.

use std::net::IpAddr;

use ikebana::core::random::public_u64;
use ikebana::core::{SecureRandom as _, TrafficSelector};
use ikebana::esp::{NextHeader, PacketBuf, inner_flow};
use ikebana::proposals::Proposal;
use ikebana::{ArrivalFate, DropCause, Leaving, LeavingFate, Start, TunnelConfig};
use ikebana_testkit::{LinkConfig, SeededRng};

use crate::packet::{addresses, fragmentable, numbered, time_exceeded, with_ports};
use crate::rogue::Rogue;
use crate::setup::{child, fixed, inner, tunnel};
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

fn rogue() -> (World, Rogue) {
    let mut world = World::new(17, LinkConfig::default());
    world.add_host();
    let mut waiting = tunnel(0, 1);
    waiting.start = Start::Passive;
    // One port of the peer's, and all of its networks.
    child(&mut waiting, |child| {
        child.local = vec![fixed("10.1.0.0/16[udp/5000]"), fixed("fd00:1::/32")];
    });
    world.add_tunnel(0, waiting);
    let rogue = Rogue::connect(&mut world, tunnel(1, 0));
    (world, rogue)
}

const WRONG: ArrivalFate = ArrivalFate::Dropped(DropCause::WrongSelectors);

#[test]
fn a_genuine_packet_that_is_not_what_its_sa_is_for_is_dropped_and_counted() {
    let (mut world, mut rogue) = rogue();
    let ours = inner(0, false);
    let theirs = inner(1, false);
    let elsewhere: IpAddr = "10.77.0.1".parse().unwrap();
    let cases = [
        (numbered(theirs, ours, 1, 100), ArrivalFate::Deliver),
        (numbered(inner(1, true), inner(0, true), 1, 100), ArrivalFate::Deliver),
        // A source or a destination outside of what was agreed, and a port.
        (numbered(elsewhere, ours, 1, 100), WRONG),
        (numbered(theirs, elsewhere, 1, 100), WRONG),
        (numbered(ours, theirs, 1, 100), WRONG),
        (numbered(inner(0, true), inner(0, true), 1, 100), WRONG),
        (with_ports(theirs, ours, (5_000, 5_001), 1, 100), WRONG),
        (with_ports(theirs, ours, (5_001, 5_000), 1, 100), ArrivalFate::Deliver),
    ];
    for (packet, expected) in &cases {
        let sealed = rogue.seal(packet);
        assert_eq!(rogue.put(&mut world, sealed), *expected, "{:?}", addresses(packet));
    }
    assert_eq!(world.nodes[0].engine.drops().get(DropCause::WrongSelectors), 5);
    assert_eq!(world.nodes[0].inbox.len(), 3);
}

#[test]
fn an_error_about_a_packet_that_is_not_of_its_sa_is_dropped_and_counted() {
    let (mut world, mut rogue) = rogue();
    let (ours, theirs) = (inner(0, false), inner(1, false));
    let elsewhere: IpAddr = "10.77.0.1".parse().unwrap();
    // From a router that is in nobody's networks, about packets that host 0 has sent, or has not.
    let cases = [
        (time_exceeded(ours, &numbered(ours, theirs, 1, 100)), ArrivalFate::Deliver),
        (time_exceeded(ours, &numbered(ours, theirs, 1, 2_000)), ArrivalFate::Deliver),
        (time_exceeded(ours, &numbered(ours, elsewhere, 1, 100)), WRONG),
        (time_exceeded(ours, &with_ports(ours, theirs, (5_001, 5_000), 1, 100)), WRONG),
        (time_exceeded(ours, &numbered(theirs, ours, 1, 100)), WRONG),
        (time_exceeded(elsewhere, &numbered(ours, theirs, 1, 100)), WRONG),
        (time_exceeded(ours, &numbered(ours, theirs, 1, 100)[..22]), WRONG),
    ];
    for (packet, expected) in &cases {
        let sealed = rogue.seal(packet);
        assert_eq!(rogue.put(&mut world, sealed), *expected, "{packet:02x?}");
    }
    assert_eq!(world.nodes[0].engine.drops().get(DropCause::WrongSelectors), 5);
}

#[test]
fn replayed_forged_and_unknown_packets_are_dropped_and_counted() {
    let (mut world, mut rogue) = rogue();
    let sealed = rogue.seal(&numbered(inner(1, false), inner(0, false), 1, 100));
    assert_eq!(rogue.put(&mut world, sealed.clone()), ArrivalFate::Deliver);
    assert_eq!(rogue.put(&mut world, sealed.clone()), ArrivalFate::Dropped(DropCause::NotOpened));
    let mut forged = rogue.seal(&numbered(inner(1, false), inner(0, false), 2, 100));
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(rogue.put(&mut world, forged), ArrivalFate::Dropped(DropCause::NotOpened));
    let mut unknown = sealed.clone();
    unknown[0] ^= 0x80;
    assert_eq!(rogue.put(&mut world, unknown), ArrivalFate::Dropped(DropCause::NoInboundSa));
    assert_eq!(rogue.put(&mut world, vec![0xff]), ArrivalFate::Dropped(DropCause::NotIpsec));
    assert_eq!(rogue.put(&mut world, Vec::new()), ArrivalFate::Dropped(DropCause::NotIpsec));
    for length in 0..sealed.len() {
        assert_ne!(rogue.put(&mut world, sealed[..length].to_vec()), ArrivalFate::Deliver);
    }
    let drops = world.nodes[0].engine.drops();
    let total: u64 = drops.iter().map(|(_, count)| count).sum();
    // Two of the short ones were empty or a keepalive; whatever they were, each was counted once.
    assert_eq!(total, 5 + sealed.len() as u64);
    assert_eq!(world.nodes[0].inbox.len(), 1);
    // The SA is none the worse for it.
    let next = rogue.seal(&numbered(inner(1, false), inner(0, false), 3, 100));
    assert_eq!(rogue.put(&mut world, next), ArrivalFate::Deliver);
}

/// An IP packet with a few octets changed, cut off or put in at random; every fourth one nothing but chance.
fn mangled(rng: &mut SeededRng) -> Vec<u8> {
    let chosen = public_u64(rng);
    let [kind, edits, at, value, ..] = chosen.to_be_bytes();
    let mut packet =
        numbered(inner(1, kind & 1 == 1), inner(0, kind & 1 == 1), chosen, 60 + usize::from(at) % 80);
    if kind & 6 == 0 {
        rng.fill_public(&mut packet);
    }
    for edit in 0..edits % 4 {
        let index = usize::from(at.wrapping_mul(edit + 1)) % packet.len();
        // Extension headers and impossible lengths are the interesting ones.
        packet[index] = [0, 43, 44, 60, 51, 0xff, 1, value][usize::from(value) % 8];
    }
    if kind & 8 != 0 {
        packet.truncate(usize::from(value) % packet.len());
    }
    packet
}

#[test]
fn whatever_a_peer_seals_and_whatever_wants_to_leave_nothing_breaks() {
    let (mut world, mut rogue) = rogue();
    let mut rng = SeededRng::new(18);
    let mut delivered = 0;
    for _ in 0..20_000 {
        let packet = mangled(&mut rng);
        let next = public_u64(&mut rng);
        let next = [4, 41, 59, next as u8][(next >> 8) as usize % 4];
        let sealed = rogue.seal_as(NextHeader(next), &packet);
        if let Some(inner) = rogue.open(&mut world, &sealed) {
            delivered += 1;
            // RFC 4301 5.2: nothing but what the SA is for.
            let flow = inner_flow(&inner).unwrap();
            assert_eq!(flow.source.is_ipv4(), next == 4);
            let [ours, theirs] = match next {
                4 => ["10.1.0.0/16[udp/5000]", "10.2.0.0/16"],
                _ => ["fd00:1::/32", "fd00:2::/32"],
            };
            let (ours, theirs): (TrafficSelector, TrafficSelector) =
                (ours.parse().unwrap(), theirs.parse().unwrap());
            assert!(ours.matches(flow.destination, flow.protocol, flow.destination_port), "{flow:?}");
            assert!(theirs.matches(flow.source, flow.protocol, flow.source_port), "{flow:?}");
        }
        assert_eq!(rogue.open(&mut world, &packet), None);
        let mut buffer = [&[0; 64], &packet[..], &[0; 64]].concat();
        let place = 64..64 + packet.len();
        let mut leaving = [Leaving::new(PacketBuf::new(&mut buffer, place).unwrap())];
        world.nodes[0].engine.handle_packets(world.now, &mut leaving);
        assert_ne!(leaving[0].fate, LeavingFate::Pending);
    }
    assert!(delivered > 100, "{delivered}");
    let good = rogue.seal(&numbered(inner(1, false), inner(0, false), 3, 100));
    assert_eq!(rogue.put(&mut world, good), ArrivalFate::Deliver);
}

#[test]
fn octets_that_are_no_packet_and_packets_without_a_policy_do_not_leave() {
    let mut world = up(|_| {});
    for octets in [&[][..], &[0x45; 7], &[0x00; 40], &[0xf5; 40]] {
        assert_eq!(world.send_packet(0, octets), LeavingFate::Dropped(DropCause::NotIp));
    }
    let stray = numbered(inner(0, false), "172.16.0.1".parse().unwrap(), 1, 100);
    assert_eq!(world.send_packet(0, &stray), LeavingFate::Dropped(DropCause::NoPolicy));
    world.finish();
}

#[test]
fn an_ipv6_packet_of_1280_octets_leaves_fragmentable_where_it_does_not_fit() {
    let mut world = up(|config| config.path_mtu = 1_300);
    let mtu = world.status(0).children[0].mtu;
    assert!(mtu < 1_280);
    let mut leaves = |v6, length| {
        let packet = numbered(inner(0, v6), inner(1, v6), 1, length);
        match world.send_packet(0, &packet) {
            LeavingFate::Send(how) => Some(how.dont_fragment),
            _ => None,
        }
    };
    assert_eq!(leaves(true, mtu), Some(true));
    // RFC 8200 5: in fragments if need be, so routers and our own host must be allowed to make them.
    assert_eq!(leaves(true, mtu + 1), Some(false));
    assert_eq!(leaves(true, 1_280), Some(false));
    assert_eq!(leaves(true, 1_281), None);
    assert_eq!(leaves(false, mtu), Some(true));
    assert_eq!(leaves(false, mtu + 1), None);
    world.finish();
}

/// Inner MTU by suite, without and with encapsulation in UDP, on a path of 1500 octets.
const MTUS: &[(&str, usize, usize)] = &[
    ("aes128gcm16", 1_446, 1_438),
    ("chacha20poly1305", 1_446, 1_438),
    ("aes128-sha1", 1_438, 1_422),
    ("aes128-sha256", 1_438, 1_422),
    ("aes256-sha384", 1_422, 1_422),
    ("aes256-sha512", 1_422, 1_406),
];

#[test]
fn the_largest_packet_is_what_the_suite_leaves_of_the_path() {
    for (suite, bare, in_udp) in MTUS {
        for (force, mtu) in [(false, *bare), (true, *in_udp)] {
            let mut world = up(|config| {
                child(config, |child| child.proposals = vec![Proposal::esp(suite).unwrap()]);
                if force {
                    config.peer.encapsulation = ikebana::ike::Encapsulation::Force;
                }
            });
            assert_eq!(world.status(0).children[0].mtu, mtu, "{suite} {force}");
            let fits = numbered(inner(0, false), inner(1, false), 1, mtu);
            assert!(matches!(world.send_packet(0, &fits), LeavingFate::Send(_)), "{suite} {force}");
            // On the wire it is no longer than the path takes.
            let (.., length) = *world.nodes[0].wire.last().unwrap();
            let headers = if force { 28 } else { 20 };
            assert!(length + headers <= 1_500 && length + headers > 1_500 - 16, "{suite} {force} {length}");
            let over = numbered(inner(0, false), inner(1, false), 1, mtu + 1);
            assert_eq!(world.send_packet(0, &over), LeavingFate::Dropped(DropCause::TooBig));
            world.finish();
        }
    }
}

#[test]
fn the_sender_of_a_packet_that_is_too_big_is_told_what_fits() {
    let mut world = up(|_| {});
    let over = numbered(inner(0, false), inner(1, false), 1, 1_447);
    assert_eq!(world.send_packet(0, &over), LeavingFate::Dropped(DropCause::TooBig));
    let over6 = numbered(inner(0, true), inner(1, true), 1, 1_447);
    assert_eq!(world.send_packet(0, &over6), LeavingFate::Dropped(DropCause::TooBig));
    let [four, six] = &world.nodes[0].inbox[..] else { panic!("{:?}", world.nodes[0].inbox) };
    assert_eq!(addresses(four).1, inner(0, false));
    assert_eq!((four[20], four[21]), (3, 4));
    assert_eq!(u16::from_be_bytes([four[26], four[27]]), 1_446);
    // It quotes the packet, so that its sender knows which one.
    assert_eq!(four[28..48], over[..20]);
    assert_eq!(addresses(six).1, inner(0, true));
    assert_eq!((six[40], six[41]), (2, 0));
    assert_eq!(u32::from_be_bytes([six[44], six[45], six[46], six[47]]), 1_446);
    assert_eq!(six[48..88], over6[..40]);
    world.finish();
}

#[test]
fn packets_that_may_be_fragmented_pass_and_so_does_what_every_ipv6_link_carries() {
    let mut world = up(|config| config.path_mtu = 1_300);
    assert_eq!(world.status(0).children[0].mtu, 1_246);
    let whole = numbered(inner(0, false), inner(1, false), 1, 1_400);
    assert_eq!(world.send_packet(0, &whole), LeavingFate::Dropped(DropCause::TooBig));
    assert!(matches!(world.send_packet(0, &fragmentable(whole)), LeavingFate::Send(_)));
    let least = numbered(inner(0, true), inner(1, true), 1, 1_280);
    assert!(matches!(world.send_packet(0, &least), LeavingFate::Send(_)));
    let more = numbered(inner(0, true), inner(1, true), 1, 1_281);
    assert_eq!(world.send_packet(0, &more), LeavingFate::Dropped(DropCause::TooBig));
    world.run_secs(1);
    // The first one in two fragments.
    assert_eq!(world.nodes[1].inbox.len(), 3);
    world.finish();
}

#[test]
fn senders_of_large_packets_are_told_so_often_and_no_more() {
    let mut world = up(|_| {});
    let over = numbered(inner(0, false), inner(1, false), 1, 1_447);
    for _ in 0..1_000 {
        assert_eq!(world.send_packet(0, &over), LeavingFate::Dropped(DropCause::TooBig));
    }
    assert!((1..=100).contains(&world.nodes[0].inbox.len()), "{}", world.nodes[0].inbox.len());
    world.finish();
}

#[test]
fn every_kind_of_suite_carries_packets_of_every_length() {
    for suite in [
        "aes128gcm16",
        "aes256gcm16",
        "chacha20poly1305",
        "aes128-sha1",
        "aes256-sha256",
        "aes128-sha512",
        "aes128gcm16-esn",
        "aes128-sha256-esn",
        "aes128ctr-sha256",
        "aes128ccm16",
    ] {
        let mut world = up(|config| {
            child(config, |child| child.proposals = vec![Proposal::esp(suite).unwrap()]);
        });
        for length in (36..200).chain(1_400..1_420) {
            let before = world.nodes[1].inbox.len();
            let packet = numbered(inner(0, false), inner(1, false), 1, length);
            assert!(matches!(world.send_packet(0, &packet), LeavingFate::Send(_)), "{suite} {length}");
            world.run_secs(1);
            assert_eq!(world.nodes[1].inbox[before], packet, "{suite} {length}");
        }
        world.finish();
    }
}
