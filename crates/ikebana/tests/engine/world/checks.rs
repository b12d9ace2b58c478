//! What is to be true of a world.

use std::hash::Hasher as _;

use ikebana::{Event, LeavingFate, TunnelState, TunnelStatus};
use ikebana_testkit::LinkConfig;

use super::{Sent, World};

impl World {
    /// How a host's first tunnel is.
    pub(crate) fn status(&self, host: usize) -> TunnelStatus {
        self.nodes[host].engine.status_of(self.id(host)).unwrap()
    }

    pub(crate) fn state(&self, host: usize) -> TunnelState {
        self.status(host).state
    }

    pub(crate) fn is_up(&self, host: usize) -> bool {
        self.state(host) == TunnelState::Up
    }

    pub(crate) fn both_up(&self) -> bool {
        self.is_up(0) && self.is_up(1)
    }

    /// Whether both hosts agree that there is one IKE SA, and on the pairs of child SAs under it.
    pub(crate) fn assert_agree(&self, pairs: usize) {
        let [a, b] = [self.status(0), self.status(1)];
        for status in [&a, &b] {
            assert_eq!(status.ikes.len(), 1, "{status:?} {}", self.story());
            assert_eq!(status.children.len(), pairs, "{status:?} {}", self.story());
        }
        assert_eq!(a.ikes[0].initiator_spi, b.ikes[0].initiator_spi);
        assert_ne!(a.ikes[0].initiator, b.ikes[0].initiator);
        for child in &a.children {
            let mirrored = b.children.iter().any(|other| {
                (other.inbound, other.outbound) == (child.outbound, child.inbound) && child.inbound.is_some()
            });
            assert!(mirrored, "{a:?}\n{b:?}");
        }
    }

    /// One packet each way in each family arrives.
    pub(crate) fn assert_traffic(&mut self, a: usize, b: usize) {
        let first = self.packets.len() as u64;
        for (from, to) in [(a, b), (b, a)] {
            for v6 in [false, true] {
                let fate = self.send(from, to, v6);
                assert!(matches!(fate, LeavingFate::Send(_)), "{fate:?} {}", self.story());
            }
        }
        self.run_secs(2);
        for (number, sent) in self.packets.range(first..) {
            assert!(!sent.arrived.is_empty(), "packet {number} from {} {}", sent.from, self.story());
        }
    }

    /// Numbers of packets that were sealed, or had to wait, and did not arrive at their destination.
    pub(crate) fn lost(&self) -> Vec<u64> {
        let lost = |sent: &Sent| {
            matches!(sent.fate, LeavingFate::Send(_) | LeavingFate::Waiting)
                && !sent.arrived.iter().any(|(host, _)| *host == sent.to)
        };
        self.packets.iter().filter(|(_, sent)| lost(sent)).map(|(number, _)| *number).collect()
    }

    /// Numbers of packets that their engine did not take.
    pub(crate) fn refused(&self) -> Vec<u64> {
        let taken = |sent: &Sent| matches!(sent.fate, LeavingFate::Send(_) | LeavingFate::Waiting);
        self.packets.iter().filter(|(_, sent)| !taken(sent)).map(|(number, _)| *number).collect()
    }

    /// Numbers of packets that arrived twice, or where they should not.
    pub(crate) fn astray(&self) -> Vec<u64> {
        let astray =
            |sent: &Sent| sent.arrived.len() > 1 || sent.arrived.iter().any(|(host, _)| *host != sent.to);
        self.packets.iter().filter(|(_, sent)| astray(sent)).map(|(number, _)| *number).collect()
    }

    /// Every packet so far was taken, and arrived once.
    pub(crate) fn assert_perfect(&self) {
        let tell = |numbers: &[u64]| {
            let of = |number: &u64| {
                let sent = &self.packets[number];
                format!("{number} at {:?} from {}: {:?} {:?}\n", sent.at, sent.from, sent.fate, sent.arrived)
            };
            numbers.iter().take(10).map(of).collect::<String>()
        };
        for (what, numbers) in [("refused", self.refused()), ("lost", self.lost()), ("astray", self.astray())]
        {
            let total = self.packets.len();
            let count = numbers.len();
            assert!(numbers.is_empty(), "{count} of {total} {what}:\n{}{}", tell(&numbers), self.story());
        }
    }

    pub(crate) fn packets_sent(&self) -> usize {
        self.packets.len()
    }

    /// How often a host has said something like this.
    pub(crate) fn count(&self, host: usize, like: impl Fn(&Event) -> bool) -> usize {
        self.nodes[host].seen.iter().filter(|(_, event)| like(event)).count()
    }

    /// What has been said, for failed assertions.
    pub(crate) fn story(&self) -> String {
        let mut story = format!("\nnow {:?} {:?}\n", self.now, self.network.stats());
        for (host, node) in self.nodes.iter().enumerate() {
            for (at, event) in node.seen.iter().rev().take(40).rev() {
                let mut text = format!("{event:?}");
                text.truncate(160);
                story += &format!("{host} {:>9.3} {text}\n", at.as_micros() as f64 / 1e6);
            }
            let drops: Vec<_> = node.engine.drops().iter().filter(|(_, count)| *count > 0).collect();
            story += &format!("{host} drops {drops:?}\n");
        }
        story
    }

    /// A digest of everything that was said and sent so far.
    pub(crate) fn digest(&self) -> u64 {
        self.digest.finish()
    }

    /// Stops everything, and checks that nothing is left behind.
    pub(crate) fn finish(mut self) {
        self.stop_streams();
        self.network.clear_filter();
        self.network.set_all_links(LinkConfig::default());
        for host in 0..self.nodes.len() {
            for (id, _) in std::mem::take(&mut self.nodes[host].tunnels) {
                self.nodes[host].engine.stop(self.now, id).unwrap();
            }
            self.drain(host);
        }
        self.run_secs(300);
        for (host, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.alive) {
            assert!(node.engine.is_idle(), "{host} has something left: {:#?}", node.engine.status());
            assert_eq!(node.engine.poll_timeout(), None);
        }
    }
}
