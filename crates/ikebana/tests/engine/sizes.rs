//! Packets that do not fit, and what is done for those that are still to come.

use ikebana::core::Instant;
use ikebana::esp::{PacketBuf, Reassembled, Reassembler, ReassemblyLimits};
use ikebana::{
    DontFragmentPolicy, DropCause, FragmentPolicy, InnerRouter, Leaving, LeavingFate, MssPolicy, Output,
    SizePolicy, Start, TunnelConfig,
};

use crate::packet::{addresses, fragmentable, numbered, time_exceeded};
use crate::setup::{child, fixed, inner, tunnel};
use crate::world::World;

/// A pair whose path takes 1300 octets.
fn narrow(change: impl Fn(&mut TunnelConfig)) -> World {
    let [mut a, mut b] = [tunnel(0, 1), tunnel(1, 0)];
    b.start = Start::Passive;
    for config in [&mut a, &mut b] {
        config.path_mtu = 1_300;
        change(config);
    }
    let mut world = World::pair(a, b);
    world.run_secs(1);
    assert!(world.both_up(), "{}", world.story());
    world
}

/// What the packets of an inner side are when a host has put them together.
fn put_together(packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut host = Reassembler::new(ReassemblyLimits { shortest: 8, ..ReassemblyLimits::default() });
    let take = |packet: &Vec<u8>| match host.handle_packet(Instant::ZERO, packet).unwrap() {
        Reassembled::Whole => Some(packet.clone()),
        Reassembled::Complete(whole) => Some(whole),
        Reassembled::Waiting => None,
    };
    packets.iter().filter_map(take).collect()
}

/// Lengths on the wire, outer IP header included, from here on.
fn wire(world: &World, from: usize) -> Vec<usize> {
    world.nodes[0].wire[from..].iter().map(|(.., length)| length + 20).collect()
}

#[test]
fn packets_that_may_be_fragmented_are_before_they_are_sealed() {
    let mut world = narrow(|_| {});
    for length in [1_246, 1_247, 1_400, 3_000, 9_000] {
        let (before, received) = (world.nodes[0].wire.len(), world.nodes[1].inbox.len());
        let packet = fragmentable(numbered(inner(0, false), inner(1, false), 1, length));
        let fate = world.send_packet(0, &packet);
        let LeavingFate::Send(how) = fate else { panic!("{fate:?}") };
        assert!(!how.dont_fragment, "as the packet says");
        world.run_secs(1);
        let sent = wire(&world, before);
        assert_eq!(sent.len(), if length <= 1_246 { 1 } else { (length - 20).div_ceil(1_224) });
        assert!(sent.iter().all(|length| *length <= 1_300), "{sent:?}");
        assert_eq!(put_together(&world.nodes[1].inbox[received..]), [packet]);
    }
    world.finish();
}

#[test]
fn where_policy_says_so_packets_are_sealed_whole_and_fragmented_outside() {
    let after = SizePolicy { fragment: FragmentPolicy::After, ..SizePolicy::default() };
    let mut world = narrow(|config| config.sizes = after);
    let packet = fragmentable(numbered(inner(0, false), inner(1, false), 1, 1_400));
    let before = world.nodes[0].wire.len();
    let fate = world.send_packet(0, &packet);
    assert!(matches!(fate, LeavingFate::Send(how) if !how.dont_fragment), "{fate:?}");
    assert_eq!(wire(&world, before).len(), 1);
    world.run_secs(1);
    assert_eq!(world.nodes[1].inbox.last(), Some(&packet));
    world.finish();
}

#[test]
fn an_sa_for_single_ports_carries_no_fragments() {
    let mut world = narrow(|config| {
        child(config, |child| {
            let mine = child.local[0];
            let ours = mine == fixed("10.1.0.0/16");
            let (local, remote) = if ours { (1, 2) } else { (2, 1) };
            child.local = vec![fixed(&format!("10.{local}.0.0/16[udp/5000]"))];
            child.remote = vec![fixed(&format!("10.{remote}.0.0/16[udp/5000]"))];
        });
    });
    let packet = fragmentable(numbered(inner(0, false), inner(1, false), 1, 1_400));
    let before = world.nodes[0].wire.len();
    assert!(matches!(world.send_packet(0, &packet), LeavingFate::Send(how) if !how.dont_fragment));
    world.run_secs(1);
    assert_eq!((wire(&world, before).len(), world.nodes[1].inbox.last()), (1, Some(&packet)));
    world.finish();
}

#[test]
fn dont_fragment_is_cleared_where_policy_says_so() {
    for fragment in [FragmentPolicy::Before, FragmentPolicy::After] {
        let sizes =
            SizePolicy { fragment, dont_fragment: DontFragmentPolicy::Clear, ..SizePolicy::default() };
        let mut world = narrow(|config| config.sizes = sizes);
        let packet = numbered(inner(0, false), inner(1, false), 1, 1_400);
        let fate = world.send_packet(0, &packet);
        assert!(matches!(fate, LeavingFate::Send(how) if !how.dont_fragment), "{fragment:?} {fate:?}");
        // One that fits keeps its flag.
        let small = numbered(inner(0, false), inner(1, false), 2, 400);
        assert!(matches!(world.send_packet(0, &small), LeavingFate::Send(how) if how.dont_fragment));
        world.run_secs(1);
        let got = put_together(&world.nodes[1].inbox);
        match fragment {
            FragmentPolicy::After => assert_eq!(got, [packet, small]),
            FragmentPolicy::Before => {
                assert_eq!((got.len(), got[0].len(), got[0][6] & 0x40), (2, 1_400, 0));
                assert_eq!((&got[0][20..], &got[1]), (&packet[20..], &small));
            }
        }
        assert!(world.nodes[0].inbox.is_empty(), "nobody is told");
        world.finish();
    }
}

/// A receiver with a small replay window would lose what leaves later than its number says.
#[test]
fn sequence_numbers_are_in_the_order_in_which_packets_and_fragments_leave() {
    for places in [0, 7, 40] {
        let mut world = narrow(|_| {});
        let packet = |length| fragmentable(numbered(inner(0, false), inner(1, false), 1, length));
        let mut buffers: Vec<_> = (0..70)
            .map(|at| [&[0; 128][..], &packet(if at % 2 == 0 { 1_400 } else { 200 }), &[0; 128]].concat())
            .collect();
        let mut batch: Vec<_> = buffers
            .iter_mut()
            .map(|buffer| {
                let range = 128..buffer.len() - 128;
                Leaving::new(PacketBuf::new(buffer, range).unwrap())
            })
            .collect();
        let mut rooms = vec![vec![0; 1_600]; places];
        let mut spare: Vec<_> =
            rooms.iter_mut().map(|room| Leaving::new(PacketBuf::new(room, 128..128).unwrap())).collect();
        let engine = &mut world.nodes[0].engine;
        engine.handle_packets_with(world.now, &mut batch, &mut spare);
        let sequence = |packet: &[u8]| u32::from_be_bytes(*packet[4..].first_chunk().unwrap());
        let in_place = batch.iter().chain(&spare).filter(|leaving| leaving.fate != LeavingFate::Pending);
        let mut numbers: Vec<u32> = in_place.map(|leaving| sequence(leaving.packet.payload())).collect();
        while let Some(output) = engine.poll_output() {
            if let Output::Send { octets, .. } = output {
                numbers.push(sequence(&octets));
            }
        }
        assert_eq!(numbers.len(), 105);
        assert!(numbers.is_sorted_by(|one, next| one < next), "{places} places: {numbers:?}");
    }
}

#[test]
fn fragments_take_the_callers_places_in_order_and_the_queue_when_those_are_used_up() {
    for places in 0..5 {
        let mut world = narrow(|_| {});
        let packet = fragmentable(numbered(inner(0, false), inner(1, false), 1, 4_000));
        let mut buffer = [&[0; 128][..], &packet, &[0; 128]].concat();
        let mut rooms = vec![vec![0; 1_600]; places];
        let mut batch = [Leaving::new(PacketBuf::new(&mut buffer, 128..128 + packet.len()).unwrap())];
        let mut spare: Vec<_> =
            rooms.iter_mut().map(|room| Leaving::new(PacketBuf::new(room, 128..128).unwrap())).collect();
        world.nodes[0].engine.handle_packets_with(world.now, &mut batch, &mut spare);
        let all: Vec<_> = batch.iter().chain(&spare).collect();
        let used = places.min(3);
        assert!(all[..=used].iter().all(|leaving| matches!(leaving.fate, LeavingFate::Send(_))));
        assert!(all[1 + used..].iter().all(|leaving| leaving.fate == LeavingFate::Pending));
        let lengths: Vec<_> = all.iter().map(|leaving| leaving.packet.len()).collect();
        assert!(lengths.iter().all(|length| *length + 20 <= 1_300), "{lengths:?}");
        let before = world.nodes[0].wire.len();
        world.drain(0);
        assert_eq!(world.nodes[0].wire.len() - before, 3 - used);
    }
}

/// A TCP segment with a maximum segment size.
fn segment(from: std::net::IpAddr, to: std::net::IpAddr, syn: bool, mss: u16) -> Vec<u8> {
    use etherparse::{PacketBuilder, TcpOptionElement};
    use std::net::IpAddr;
    let builder = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => PacketBuilder::ipv4(from.octets(), to.octets(), 64),
        (IpAddr::V6(from), IpAddr::V6(to)) => PacketBuilder::ipv6(from.octets(), to.octets(), 64),
        _ => panic!("two families"),
    };
    let builder = builder.tcp(40_000, 80, 7, 65_535);
    let builder = if syn { builder.syn() } else { builder.ack(9) };
    let options = [TcpOptionElement::Noop, TcpOptionElement::MaximumSegmentSize(mss)];
    let mut packet = Vec::new();
    builder.options(&options).unwrap().write(&mut packet, &[]).unwrap();
    packet
}

/// The maximum segment size of a packet whose checksum is right.
fn mss_of(packet: &[u8]) -> u16 {
    use etherparse::{IpSlice, SlicedPacket, TcpOptionElement, TransportSlice};
    let sliced = SlicedPacket::from_ip(packet).unwrap();
    let Some(TransportSlice::Tcp(tcp)) = sliced.transport else { panic!("no TCP") };
    let sum = match IpSlice::from_slice(packet).unwrap() {
        IpSlice::Ipv4(v4) => tcp.to_header().calc_checksum_ipv4(&v4.header().to_header(), &[]),
        IpSlice::Ipv6(v6) => tcp.to_header().calc_checksum_ipv6(&v6.header().to_header(), &[]),
    };
    assert_eq!(tcp.checksum(), sum.unwrap());
    let mss = tcp.options_iterator().find_map(|option| match option {
        Ok(TcpOptionElement::MaximumSegmentSize(mss)) => Some(mss),
        _ => None,
    });
    mss.unwrap()
}

#[test]
fn tcp_connections_are_told_what_fits_by_whichever_side_does_it() {
    // Either side alone is enough, since it does so both ways.
    for (policies, four, six) in [
        ([MssPolicy::Fit, MssPolicy::Keep], 1_206, 1_186),
        ([MssPolicy::Keep, MssPolicy::Fit], 1_206, 1_186),
        ([MssPolicy::AtMost(1_000), MssPolicy::Fit], 1_000, 1_000),
        ([MssPolicy::AtMost(9_000), MssPolicy::Keep], 1_206, 1_186),
        ([MssPolicy::Keep, MssPolicy::Keep], 1_460, 1_460),
    ] {
        let mut world = narrow(|config| {
            let host = usize::from(config.start == Start::Passive);
            config.sizes.mss = policies[host];
        });
        for (from, v6) in [(0, false), (0, true), (1, false), (1, true)] {
            let packet = segment(inner(from, v6), inner(1 - from, v6), true, 1_460);
            assert!(matches!(world.send_packet(from, &packet), LeavingFate::Send(_)));
            world.run_secs(1);
            let arrived = world.nodes[1 - from].inbox.pop().unwrap();
            assert_eq!(mss_of(&arrived), if v6 { six } else { four }, "{policies:?} {from} {v6}");
            // Whatever else goes through is as it was.
            let packet = segment(inner(from, v6), inner(1 - from, v6), false, 1_460);
            world.send_packet(from, &packet);
            world.run_secs(1);
            assert_eq!(world.nodes[1 - from].inbox.pop().unwrap(), packet);
        }
        world.finish();
    }
}

#[test]
fn word_to_senders_comes_from_our_own_address_where_it_is_known() {
    let mut world = World::new(3, ikebana_testkit::LinkConfig::default());
    for _ in 0..2 {
        world.add_host();
    }
    let router = InnerRouter { v4: Some([10, 1, 255, 254].into()), v6: None };
    let config = ikebana::EngineConfig { router, ..Default::default() };
    world.nodes[0].engine = world.engine(config);
    world.add_tunnel(0, tunnel(0, 1));
    world.add_tunnel(1, tunnel(1, 0));
    world.run_secs(1);
    for v6 in [false, true] {
        let over = numbered(inner(0, v6), inner(1, v6), 1, 1_447);
        assert_eq!(world.send_packet(0, &over), LeavingFate::Dropped(DropCause::TooBig));
    }
    let [four, six] = &world.nodes[0].inbox[..] else { panic!("{:?}", world.nodes[0].inbox) };
    assert_eq!(addresses(four), ([10, 1, 255, 254].into(), inner(0, false)));
    assert_eq!(addresses(six), (inner(1, true), inner(0, true)));
    world.finish();
}

#[test]
fn an_error_from_a_router_passes_if_the_packet_it_is_about_would() {
    let mut world = narrow(|_| {});
    for v6 in [false, true] {
        // Host 1 has sent a packet, and a router behind host 0 says what became of it.
        let quoted = numbered(inner(1, v6), inner(0, v6), 1, 600);
        let error = time_exceeded(inner(1, v6), &quoted);
        assert!(matches!(world.send_packet(0, &error), LeavingFate::Send(_)), "{v6}");
        world.run_secs(1);
        assert_eq!(world.nodes[1].inbox.pop(), Some(error));

        // About a packet that no SA carries, and to somebody who has not sent it.
        let stray =
            numbered(inner(1, v6), if v6 { [0xfc; 16].into() } else { [172, 16, 9, 9].into() }, 1, 600);
        let unknown = time_exceeded(inner(1, v6), &stray);
        let elsewhere = time_exceeded(inner(1, v6), &numbered(inner(0, v6), inner(1, v6), 1, 600));
        for wrong in [unknown, elsewhere] {
            assert_eq!(world.send_packet(0, &wrong), LeavingFate::Dropped(DropCause::NoPolicy), "{v6}");
        }
    }
    world.finish();
}
