use super::*;

use core::time::Duration;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn path(local: &str, remote: &str) -> Path {
    Path::new(local.parse().unwrap(), remote.parse().unwrap())
}

fn drain(network: &mut Network) -> Vec<Delivery> {
    let mut all = Vec::new();
    while let Some(at) = network.next_arrival() {
        all.extend(network.deliver(at));
    }
    all
}

fn pair(seed: u64, link: LinkConfig) -> (Network, EndpointId, EndpointId, Path) {
    let mut network = Network::new(seed, link);
    let alice = network.attach(ip("192.0.2.1"));
    let bob = network.attach(ip("192.0.2.2"));
    (network, alice, bob, path("192.0.2.1:500", "192.0.2.2:500"))
}

#[test]
fn a_good_link_delivers_everything_once_in_order_and_after_its_delay() {
    let (mut network, alice, bob, path) = pair(1, LinkConfig::default());
    for number in 0..10 {
        network.send(Instant::from_millis(u64::from(number)), alice, path, vec![number]);
    }
    assert_eq!(network.deliver(Instant::from_millis(9)), None);
    let all = drain(&mut network);
    assert!(all.iter().all(|delivery| delivery.to == bob));
    assert_eq!(
        all.iter().map(|delivery| delivery.octets[0]).collect::<Vec<_>>(),
        (0..10).collect::<Vec<_>>()
    );
    assert_eq!(all[3].at, Instant::from_millis(13));
    assert_eq!((network.stats().sent, network.stats().delivered), (10, 10));
}

#[test]
fn a_bad_link_loses_doubles_and_reorders_and_a_seed_repeats_the_run() {
    let run = |seed| {
        let (mut network, alice, _, path) = pair(seed, LinkConfig::bad());
        for number in 0..=255 {
            network.send(Instant::from_millis(u64::from(number)), alice, path, vec![number]);
        }
        let order: Vec<u8> = drain(&mut network).iter().map(|delivery| delivery.octets[0]).collect();
        (order, network.stats())
    };
    let (order, stats) = run(5);
    assert!(stats.lost > 20 && stats.duplicated > 5, "{stats:?}");
    assert_eq!(stats.delivered, 256 - stats.lost + stats.duplicated);
    assert!(!order.is_sorted());
    assert_eq!(run(5), (order.clone(), stats));
    assert_ne!(run(6).0, order);
}

#[test]
fn datagrams_larger_than_the_mtu_vanish() {
    let (mut network, alice, bob, path) = pair(1, LinkConfig::default());
    network.set_link(alice, bob, LinkConfig { mtu: 1_500, ..LinkConfig::default() });
    network.send(Instant::ZERO, alice, path, vec![0; 1_472]);
    network.send(Instant::ZERO, alice, path, vec![0; 1_473]);
    assert_eq!(drain(&mut network).len(), 1);
    assert_eq!(network.stats().too_big, 1);
    network.send(Instant::ZERO, bob, Path::new(path.remote, path.local), vec![0; 1_473]);
    assert_eq!(drain(&mut network).len(), 1, "the other direction has its own link");
}

#[test]
fn a_filter_can_drop_and_rewrite() {
    let (mut network, alice, _, path) = pair(1, LinkConfig::default());
    network.set_filter(|_, _, _, octets| match octets {
        [1] => Verdict::Drop,
        [2] => Verdict::Replace(vec![9, 9]),
        _ => Verdict::Pass,
    });
    for number in 0..3 {
        network.send(Instant::ZERO, alice, path, vec![number]);
    }
    let arrived: Vec<_> = drain(&mut network).into_iter().map(|delivery| delivery.octets).collect();
    assert_eq!(arrived, [vec![0], vec![9, 9]]);
    network.clear_filter();
    network.send(Instant::ZERO, alice, path, vec![1]);
    assert_eq!(drain(&mut network).len(), 1);
}

struct Natted {
    network: Network,
    nat: NatId,
    laptop: EndpointId,
    server: EndpointId,
}

fn natted(config: NatConfig) -> Natted {
    let mut network = Network::new(3, LinkConfig::default());
    let nat = network.add_nat(ip("203.0.113.9"), config);
    let laptop = network.attach_behind(nat, ip("192.168.1.2"));
    let server = network.attach(ip("192.0.2.2"));
    Natted { network, nat, laptop, server }
}

impl Natted {
    fn out(&mut self, now: Instant) -> Delivery {
        self.network.send(now, self.laptop, path("192.168.1.2:4500", "192.0.2.2:4500"), vec![1]);
        let at = self.network.next_arrival().unwrap();
        self.network.deliver(at).unwrap()
    }

    fn back(&mut self, now: Instant, to: SocketAddr, from_port: u16) -> Option<Delivery> {
        let path = Path::new(SocketAddr::new(ip("192.0.2.2"), from_port), to);
        self.network.send(now, self.server, path, vec![2]);
        let at = self.network.next_arrival().unwrap();
        self.network.deliver(at)
    }
}

#[test]
fn a_nat_rewrites_the_source_and_translates_the_answer_back() {
    let mut net = natted(NatConfig::default());
    let arrived = net.out(Instant::ZERO);
    assert_eq!(arrived.path.remote, "203.0.113.9:40000".parse().unwrap());
    let answer = net.back(Instant::from_secs(1), arrived.path.remote, 4500).unwrap();
    assert_eq!(answer.to, net.laptop);
    assert_eq!(answer.path, path("192.168.1.2:4500", "192.0.2.2:4500"));
    let later = net.out(Instant::from_secs(2));
    assert_eq!(later.path.remote, arrived.path.remote, "the mapping is kept while it is used");
}

#[test]
fn a_nat_lets_in_only_whom_its_filtering_allows() {
    for (filtering, other_port_passes) in [
        (Filtering::EndpointIndependent, true),
        (Filtering::AddressDependent, true),
        (Filtering::AddressAndPortDependent, false),
    ] {
        let mut net = natted(NatConfig { filtering, ..NatConfig::default() });
        let outside = net.out(Instant::ZERO).path.remote;
        assert_eq!(net.back(Instant::ZERO, outside, 501).is_some(), other_port_passes, "{filtering:?}");
        assert!(net.back(Instant::ZERO, SocketAddr::new(outside.ip(), 9), 4500).is_none());
    }
}

#[test]
fn a_mapping_is_forgotten_when_idle_or_rebound() {
    let mut net = natted(NatConfig::default());
    let first = net.out(Instant::ZERO).path.remote;
    assert!(net.back(Instant::from_secs(40), first, 4500).is_none());
    let second = net.out(Instant::from_secs(41)).path.remote;
    assert_ne!(first, second);
    net.network.rebind(net.nat);
    let third = net.out(Instant::from_secs(42)).path.remote;
    assert_ne!(second, third);
    net.network.rebind_to(net.nat, ip("203.0.113.10"));
    assert_eq!(net.out(Instant::from_secs(43)).path.remote.ip(), ip("203.0.113.10"));
    assert!(net.back(Instant::from_secs(43), third, 4500).is_none());
}

#[test]
fn hosts_behind_one_nat_reach_each_other_without_it() {
    let mut net = natted(NatConfig::default());
    let printer = net.network.attach_behind(net.nat, ip("192.168.1.3"));
    net.network.send(Instant::ZERO, net.laptop, path("192.168.1.2:9", "192.168.1.3:9"), vec![7]);
    let delivery = net.network.deliver(Instant::from_secs(1)).unwrap();
    assert_eq!((delivery.to, delivery.path), (printer, path("192.168.1.3:9", "192.168.1.2:9")));
}

#[test]
fn an_address_that_is_taken_away_receives_and_sends_nothing() {
    let (mut network, alice, bob, path) = pair(1, LinkConfig::default());
    network.send(Instant::ZERO, alice, path, vec![1]);
    network.add_address(bob, ip("198.51.100.7"));
    network.remove_address(bob, ip("192.0.2.2"));
    assert!(drain(&mut network).is_empty());
    network.send(Instant::ZERO, bob, Path::new(path.remote, path.local), vec![1]);
    assert_eq!(network.stats().unrouted, 2);
    network.send(Instant::ZERO, alice, Path { remote: "198.51.100.7:500".parse().unwrap(), ..path }, vec![1]);
    assert_eq!(drain(&mut network).len(), 1);
}

#[test]
fn a_cut_link_can_be_mended() {
    let (mut network, alice, _, path) = pair(1, LinkConfig::default());
    network.set_uplink(alice, LinkConfig::CUT);
    network.send(Instant::ZERO, alice, path, vec![1]);
    assert_eq!(network.in_flight(), 0);
    network.set_all_links(LinkConfig { delay: Duration::ZERO, ..LinkConfig::default() });
    network.send(Instant::from_secs(1), alice, path, vec![2]);
    assert_eq!(network.deliver(Instant::from_secs(1)).unwrap().octets, [2]);
}
