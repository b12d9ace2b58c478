//! Two hosts whose messages a test delivers one by one.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use ikebana_core::{EspSpi, Instant, Path};
use ikebana_ike::{ChildHandle, ExchangeType, IkeHeader, IkeSaHandle, RemoveReason};
use ikebana_testkit::{LinkConfig, Network};

use super::spy::Spy;
use super::toy::open_provider;
use super::{ADDRESSES, Host, Seen, Setup, hosts, peer_config};

/// How long a packet may be under way when nothing is lost. An inbound SA has to outlive its last use by
/// this much.
const UNDER_WAY: Duration = Duration::from_secs(1);

/// A message taken off the wire.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) to: usize,
    pub(crate) path: Path,
    pub(crate) octets: Vec<u8>,
}

impl Held {
    fn header(&self) -> IkeHeader {
        IkeHeader::peek(self.message()).unwrap()
    }

    /// The IKE message, without the non-ESP marker.
    pub(crate) fn message(&self) -> &[u8] {
        let marker = if self.path.local.port() == 4500 { 4 } else { 0 };
        // A keepalive has no marker, and nothing behind it.
        self.octets.get(marker..).unwrap_or_default()
    }

    /// Which exchange it belongs to; none if it is no message.
    pub(crate) fn kind(&self) -> ExchangeType {
        IkeHeader::peek(self.message()).map_or(ExchangeType(0), |header| header.exchange)
    }

    /// Which one of the exchanges of that kind.
    pub(crate) fn message_id(&self) -> u32 {
        self.header().message_id
    }
}

/// Two established hosts, and between them a wire that moves only when told to.
///
/// After every step the data path is looked at: what either host would send now, the other one must be able
/// to receive, and an inbound SA must outlive the last packet that was sent over it.
pub(crate) struct Duel {
    pub(crate) hosts: [Host; 2],
    pub(crate) now: Instant,
    wire: [VecDeque<Held>; 2],
    /// Whether packets flow all the time, so that new SAs are seen in use.
    traffic: bool,
    /// Whether a child SA has been deleted on purpose, so that there may be none.
    gap_allowed: bool,
    last_used: BTreeMap<(usize, EspSpi), Instant>,
    looked_at: [usize; 2],
    /// The messages of main mode that were delivered, each once.
    first_messages: Vec<Vec<u8>>,
}

impl Duel {
    /// Two hosts that do not know each other yet.
    pub(crate) fn strangers(setup: &Setup, traffic: bool) -> Self {
        // The network is only asked for names; nothing is sent over it.
        let mut network = Network::new(0, LinkConfig::default());
        let ids = ADDRESSES.map(|address| network.attach(address.parse().unwrap()));
        let setup = Setup { provider: open_provider, ..setup.clone() };
        let hosts = hosts(&setup, [peer_config(&setup, 0), peer_config(&setup, 1)], ids);
        Self {
            hosts,
            now: Instant::from_secs(1),
            wire: [VecDeque::new(), VecDeque::new()],
            traffic,
            gap_allowed: true,
            last_used: BTreeMap::new(),
            looked_at: [0, 0],
            first_messages: vec![],
        }
    }

    /// Two hosts with an IKE SA, which `initiator` has started, and a pair of child SAs.
    pub(crate) fn established(setup: &Setup, initiator: usize, traffic: bool) -> Self {
        let mut duel = Self::strangers(setup, traffic);
        duel.initiate(initiator);
        duel.settle();
        duel.gap_allowed = false;
        duel.assert_up();
        duel
    }

    /// A host comes back without knowing anything.
    pub(crate) fn restart(&mut self, host: usize, setup: &Setup) {
        let [a, b] = Self::strangers(setup, false).hosts;
        self.hosts[host] = if host == 0 { a } else { b };
        self.looked_at[host] = 0;
        self.gap_allowed = true;
    }

    pub(crate) fn initiate(&mut self, from: usize) -> IkeSaHandle {
        let socket = |index: usize| (self.hosts[index].address, 500).into();
        let path = Path::new(socket(from), socket(1 - from));
        let now = self.now;
        let peer = self.hosts[from].peer.clone();
        let handle = self.hosts[from].endpoint.initiate(now, peer, path).unwrap();
        self.drain();
        handle
    }

    /// The only IKE SA of a host.
    pub(crate) fn ike(&self, of: usize) -> IkeSaHandle {
        let sas = self.hosts[of].ike_sas();
        assert_eq!(sas.len(), 1, "{}", self.story());
        sas[0]
    }

    /// The only pair that a host uses.
    pub(crate) fn child(&self, of: usize) -> ChildHandle {
        let children = self.children(of);
        assert_eq!(children.len(), 1, "{}", self.story());
        children[0]
    }

    pub(crate) fn children(&self, of: usize) -> Vec<ChildHandle> {
        self.hosts[of].endpoint.children(self.ike(of)).collect()
    }

    pub(crate) fn rekey_child(&mut self, host: usize) {
        let (child, now) = (self.child(host), self.now);
        self.hosts[host].endpoint.rekey_child(now, child).unwrap();
        self.drain();
    }

    pub(crate) fn delete_child(&mut self, host: usize) {
        let child = self.child(host);
        self.delete(host, child);
    }

    /// From now on there may be no child SA.
    pub(crate) fn delete(&mut self, host: usize, child: ChildHandle) {
        self.gap_allowed = true;
        let now = self.now;
        self.hosts[host].endpoint.delete_child(now, child).unwrap();
        self.drain();
    }

    pub(crate) fn allow_gap(&mut self) {
        self.gap_allowed = true;
    }

    pub(crate) fn create_child(&mut self, host: usize) {
        let (ike, now) = (self.ike(host), self.now);
        let config = self.hosts[host].peer.children[0].clone();
        self.hosts[host].endpoint.create_child(now, ike, config, None).unwrap();
        self.drain();
    }

    pub(crate) fn rekey_ike(&mut self, host: usize) {
        let (ike, now) = (self.ike(host), self.now);
        self.hosts[host].endpoint.rekey(now, ike).unwrap();
        self.drain();
    }

    pub(crate) fn close(&mut self, host: usize) {
        self.gap_allowed = true;
        let (ike, now) = (self.ike(host), self.now);
        self.hosts[host].endpoint.close(now, ike).unwrap();
        self.drain();
    }

    /// The first octets of each host's next nonces.
    pub(crate) fn nonces(&mut self, a: &[u8], b: &[u8]) {
        self.hosts[0].nonces.set(a);
        self.hosts[1].nonces.set(b);
    }

    /// Takes the next message for `to` off the wire.
    pub(crate) fn hold(&mut self, to: usize) -> Held {
        let held = self.wire[to].pop_front();
        held.unwrap_or_else(|| panic!("no message for host {to}\n{}", self.story()))
    }

    /// Delivers a message that was held.
    pub(crate) fn release(&mut self, held: &Held) {
        let message = held.message().to_vec();
        let is_first = |first: &Vec<u8>| first[..8] == message[..8];
        if held.kind() == ExchangeType::IDENTITY_PROTECTION
            && self.first_messages.first().is_none_or(is_first)
            && !self.first_messages.contains(&message)
        {
            self.first_messages.push(message);
        }
        self.release_raw(held);
    }

    /// As [`Self::release`], of what need not be a message.
    pub(crate) fn release_raw(&mut self, held: &Held) {
        let Held { to, path, octets } = held;
        self.hosts[*to].take_in(self.now, *path, octets);
        self.drain();
    }

    /// Delivers the next message for `to`, and says what it was.
    pub(crate) fn pass(&mut self, to: usize) -> ExchangeType {
        let held = self.hold(to);
        self.release(&held);
        held.kind()
    }

    /// Loses the next message for `to`.
    pub(crate) fn lose(&mut self, to: usize) {
        let _ = self.hold(to);
    }

    /// Every message that waits to be delivered.
    pub(crate) fn on_the_wire(&self) -> Vec<Held> {
        self.wire.iter().flatten().cloned().collect()
    }

    /// How many messages wait for `to`.
    pub(crate) fn waiting(&self, to: usize) -> usize {
        self.wire[to].len()
    }

    /// Delivers everything, until nothing is left to deliver.
    pub(crate) fn settle(&mut self) {
        while self.wire.iter().any(|queue| !queue.is_empty()) {
            for to in 0..2 {
                if self.waiting(to) > 0 {
                    self.pass(to);
                }
            }
        }
    }

    /// As [`Self::settle`], and every message arrives twice.
    pub(crate) fn settle_doubled(&mut self) {
        while self.wire.iter().any(|queue| !queue.is_empty()) {
            for to in 0..2 {
                if self.waiting(to) > 0 {
                    let held = self.hold(to);
                    self.release(&held);
                    self.release(&held);
                }
            }
        }
    }

    /// Lets time pass without delivering anything.
    pub(crate) fn wait(&mut self, duration: Duration) {
        let until = self.now + duration;
        loop {
            let timers = self.hosts.iter().filter_map(|host| host.endpoint.poll_timeout());
            match timers.min().filter(|at| *at <= until) {
                Some(at) => self.now = self.now.max(at),
                None => break,
            }
            self.tick();
        }
        self.now = until;
        self.look();
    }

    /// Lets time pass, and delivers whatever is sent.
    pub(crate) fn run(&mut self, duration: Duration) {
        let until = self.now + duration;
        self.settle();
        loop {
            let timers = self.hosts.iter().filter_map(|host| host.endpoint.poll_timeout());
            match timers.min().filter(|at| *at <= until) {
                Some(at) => self.now = self.now.max(at),
                None => break,
            }
            self.tick();
            self.settle();
        }
        self.now = until;
        self.look();
    }

    fn tick(&mut self) {
        for host in &mut self.hosts {
            host.endpoint.handle_timeout(self.now);
        }
        self.drain();
    }

    pub(crate) fn drain(&mut self) {
        for index in 0..2 {
            self.drain_one(index);
        }
        self.look();
        if self.traffic {
            self.send_packets();
        }
    }

    fn drain_one(&mut self, index: usize) {
        let to = 1 - index;
        let wire = &mut self.wire[to];
        self.hosts[index].drain(self.now, |_, path, octets| {
            // Keepalives are for NATs, and there is none.
            wire.push_back(Held { to, path: Path::new(path.remote, path.local), octets });
        });
    }

    /// One packet in each direction; the receiver's data path reports the SA it came in on.
    fn send_packets(&mut self) {
        for from in 0..2 {
            if let Some(spi) = self.hosts[from].sends_with()
                && let Some(child) = self.hosts[1 - from].receives_with(spi)
            {
                self.hosts[1 - from].traffic(self.now, child);
                self.drain_one(1 - from);
                self.look();
            }
        }
    }

    /// Looks at the data path of both hosts.
    fn look(&mut self) {
        for from in 0..2 {
            let to = 1 - from;
            self.check_removals(to);
            match self.hosts[from].sends_with() {
                Some(spi) => {
                    let taken = self.hosts[to].receives_with(spi).is_some();
                    assert!(taken || self.gap_allowed, "host {to} cannot take {spi:?}\n{}", self.story());
                    self.last_used.insert((from, spi), self.now);
                }
                None => {
                    let both_up = self.last_used.keys().any(|(host, _)| *host == from);
                    assert!(!both_up || self.gap_allowed, "host {from} has no outbound SA\n{}", self.story());
                }
            }
        }
    }

    fn check_removals(&mut self, at: usize) {
        let seen = &self.hosts[at].seen;
        for event in &seen[self.looked_at[at]..] {
            if let Seen::Removed(_, ikebana_ike::Direction::Inbound, spi, reason) = event
                && matches!(reason, RemoveReason::Rekeyed | RemoveReason::Redundant)
                && let Some(used) = self.last_used.get(&(1 - at, *spi))
                && !self.gap_allowed
            {
                let age = self.now.saturating_since(*used);
                assert!(age >= UNDER_WAY, "host {at} removed {spi:?} {age:?} after its last use");
            }
        }
        self.looked_at[at] = seen.len();
    }

    /// One IKE SA and one pair of child SAs each, the same on both sides, after old ones have had time to go.
    pub(crate) fn assert_up(&mut self) {
        self.assert_children(1);
    }

    /// One IKE SA each, and this many pairs of child SAs, the same on both sides.
    pub(crate) fn assert_children(&mut self, count: usize) {
        // A pair that was replaced stays for a while.
        self.run(Duration::from_secs(150));
        for host in &self.hosts {
            assert_eq!(host.ike_sas().len(), 1, "{}", self.story());
            assert_eq!(host.child_pairs(), count, "{}", self.story());
        }
        for index in 0..2 {
            assert_eq!(self.children(index).len(), count, "{}", self.story());
        }
        let [a, b] = &self.hosts;
        assert_eq!((a.inbound(), a.outbound()), (b.outbound(), b.inbound()), "{}", self.story());
        assert_eq!(a.inbound().len(), count, "{}", self.story());
    }

    /// Both IKE SAs are gone.
    pub(crate) fn assert_down(&mut self) {
        self.run(Duration::from_secs(200));
        for host in &self.hosts {
            assert!(host.ike_sas().is_empty(), "{}", self.story());
            assert!(host.inbound().is_empty() && host.outbound().is_empty(), "{}", self.story());
            assert!(host.endpoint.is_idle(), "{}", self.story());
        }
    }

    /// Uses what is left for every kind of exchange, closes it, and checks that nothing stays behind.
    pub(crate) fn finish(mut self) {
        self.run(Duration::from_secs(300));
        if !self.hosts[0].ike_sas().is_empty() {
            let count = self.children(0).len();
            for host in 0..2 {
                if count == 1 {
                    self.rekey_child(host);
                    self.assert_children(1);
                }
                self.rekey_ike(host);
                self.assert_children(count);
            }
            self.close(0);
        }
        self.assert_down();
    }

    /// Somebody who knows the keys of the first ISAKMP SA, once that is there.
    pub(crate) fn spy(&self, key: &str) -> Option<Spy> {
        Spy::new(&self.first_messages, key)
    }

    /// What both hosts have said.
    pub(crate) fn story(&self) -> String {
        format!("a:\n{}b:\n{}", self.hosts[0].said(), self.hosts[1].said())
    }
}
