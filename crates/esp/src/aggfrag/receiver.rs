//! Inner packets out of AGGFRAG payloads, in order.

use core::time::Duration;

use ikebana_core::Instant;

use super::block::Blocks;
use super::header::CongestionInfo;
use super::held::{Held, Hold};
use super::stats::AggfragReceived;

/// The largest reordering window.
const MAX_WINDOW: usize = 64;
/// As long as a block can be whose rest BlockOffset can count.
const MAX_PACKET: usize = 65_535;
/// The smallest of all limits of a packet's length: what every IPv4 node accepts in pieces (RFC 791 3.2).
const MIN_PACKET: usize = 576;

/// How much an [`AggfragReceiver`] remembers, and for how long. All memory is set aside at the start:
/// `reorder_window` × `held_payload` + `packet` octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AggfragLimits {
    /// How many sequence numbers a payload may be ahead and still wait for those before it; at most 64. What is
    /// further ahead ends the wait.
    pub reorder_window: usize,
    /// How long a payload may be to wait, in octets. A longer one ends the wait for those before it.
    pub held_payload: usize,
    /// How long a packet may be to be put together from pieces, in octets: 576 to 65 535.
    pub packet: usize,
    /// How long a payload waits for those before it when no others come.
    pub wait: Duration,
}

impl Default for AggfragLimits {
    /// Three payloads of an Ethernet frame each, a fifth of a second, and packets of any length.
    fn default() -> Self {
        Self { reorder_window: 3, held_payload: 1_500, packet: MAX_PACKET, wait: Duration::from_millis(200) }
    }
}

/// Takes the payloads of one SA, in the order they come, and yields the inner packets, in the order they were sent.
///
/// The order is that of the ESP sequence numbers (RFC 9347 2.2.3). A payload that comes early waits until those before
/// it have come, until it is one of too many, or until it has waited too long; then the missing ones are given up.
/// A packet in pieces of which one is missing is dropped, and the next header's offset says where the next packet
/// begins.
///
/// Whether an inner packet's addresses and ports are allowed in the SA is for the policy to say.
///
/// ```
/// use ikebana_core::Instant;
/// use ikebana_esp::{AggfragLimits, AggfragReceiver};
///
/// let mut receiver = AggfragReceiver::new(AggfragLimits::default());
/// let mut packets = Vec::new();
/// let mut deliver = |packet: &[u8]| packets.push(packet.to_vec());
///
/// // A packet of 24 octets, cut after 22, and one of 20. The second payload comes first.
/// let second = [0, 0, 0, 2, 9, 9, 0x45, 0, 0, 20, 0, 0, 0, 0, 64, 59, 0, 0, 10, 0, 0, 1, 10, 1, 0, 1];
/// let first = [0, 0, 0, 0, 0x45, 0, 0, 24, 0, 0, 0, 0, 64, 59, 0, 0, 10, 0, 0, 1, 10, 1, 0, 1, 9, 9];
/// receiver.handle_payload(Instant::ZERO, 2, &second, &mut deliver);
/// receiver.handle_payload(Instant::ZERO, 1, &first, &mut deliver);
/// assert_eq!(packets.iter().map(Vec::len).collect::<Vec<_>>(), [24, 20]);
/// ```
pub struct AggfragReceiver {
    /// The lowest number that may still come.
    expected: u64,
    wait: Duration,
    held: Held,
    blocks: Blocks,
}

impl AggfragReceiver {
    /// Sets memory aside. Limits that are too large become the largest, and too small the smallest.
    #[must_use]
    pub fn new(limits: AggfragLimits) -> Self {
        let held_payload = limits.held_payload.min(MAX_PACKET);
        Self {
            expected: 1,
            wait: limits.wait,
            held: Held::new(limits.reorder_window.min(MAX_WINDOW), held_payload),
            blocks: Blocks::new(limits.packet.clamp(MIN_PACKET, MAX_PACKET)),
        }
    }

    /// Continues after sequence number `last`, for an SA taken over from elsewhere, so that the first payload does not
    /// wait for those before it. Never goes back.
    pub fn resume_after(&mut self, last: u64) {
        if last < self.expected {
            return;
        }
        // What waits below will not have its turn any more.
        while let Some(first) = self.held.first().filter(|&first| first <= last) {
            self.held.take(first);
            self.blocks.lost(1);
        }
        // Nor will the rest of a packet come of which there are pieces.
        self.blocks.lost(0);
        self.expected = last.saturating_add(1);
    }

    /// What happened so far.
    #[must_use]
    pub const fn stats(&self) -> &AggfragReceived {
        &self.blocks.stats
    }

    /// What the newest payload with congestion control said about the path.
    #[must_use]
    pub const fn congestion(&self) -> Option<&CongestionInfo> {
        self.blocks.congestion.as_ref()
    }

    /// Takes the payload of the authentic ESP packet with this full sequence number, and hands over every inner packet
    /// that is complete by it. They are well-formed as far as version and lengths go.
    pub fn handle_payload(
        &mut self,
        now: Instant,
        sequence: u64,
        payload: &[u8],
        deliver: &mut dyn FnMut(&[u8]),
    ) {
        // What is further behind than the window will not be waited for.
        self.give_up_before(sequence.saturating_sub(self.held.window()), deliver);
        if sequence < self.expected {
            self.blocks.stats.late = self.blocks.stats.late.saturating_add(1);
            return;
        }
        if sequence > self.expected {
            match self.held.hold(now, sequence, payload) {
                Hold::Held => return,
                Hold::Repeated => {
                    self.blocks.stats.repeated = self.blocks.stats.repeated.saturating_add(1);
                    return;
                }
                Hold::TooLong => self.give_up_before(sequence, deliver),
            }
        }
        self.blocks.process(payload, deliver);
        self.expected = sequence.saturating_add(1);
        self.drain(deliver);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called, if nothing comes before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.held.oldest().map(|(since, _)| self.deadline(since))
    }

    /// Gives up payloads that others have waited for too long.
    pub fn handle_timeout(&mut self, now: Instant, deliver: &mut dyn FnMut(&[u8])) {
        while let Some((_, sequence)) = self.held.oldest().filter(|(since, _)| self.deadline(*since) <= now) {
            self.give_up_before(sequence, deliver);
        }
    }

    #[expect(clippy::arithmetic_side_effects, reason = "it saturates")]
    fn deadline(&self, since: Instant) -> Instant {
        since + self.wait
    }

    /// Gives up all payloads that others wait for: the SA comes to its end.
    pub fn flush(&mut self, deliver: &mut dyn FnMut(&[u8])) {
        while let Some(first) = self.held.first() {
            self.give_up_before(first, deliver);
        }
    }

    /// Waits no longer for numbers below `sequence`. Takes as many steps as payloads wait, however far that is.
    fn give_up_before(&mut self, sequence: u64, deliver: &mut dyn FnMut(&[u8])) {
        while self.expected < sequence {
            if let Some(payload) = self.held.take(self.expected) {
                self.blocks.process(payload, deliver);
                self.expected = self.expected.saturating_add(1);
            } else {
                let next = self.held.first().map_or(sequence, |first| first.min(sequence));
                self.blocks.lost(next.saturating_sub(self.expected));
                self.expected = next;
            }
        }
        self.drain(deliver);
    }

    /// Takes what waits and has its turn now.
    fn drain(&mut self, deliver: &mut dyn FnMut(&[u8])) {
        while let Some(payload) = self.held.take(self.expected) {
            self.blocks.process(payload, deliver);
            self.expected = self.expected.saturating_add(1);
        }
    }
}
