//! The wire between a host's IP stack and its gateway.

use std::collections::VecDeque;
use std::convert::Infallible;

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

use crate::io::PacketBatch;

/// A device of the IP stack: what it sends goes straight into the batch that the gateway protects.
pub(super) struct Link {
    arrived: VecDeque<Vec<u8>>,
    leaving: PacketBatch,
    mtu: usize,
    /// Packets from the stack.
    pub(super) sent: u64,
    /// Packets to the stack.
    pub(super) received: u64,
}

impl Link {
    pub(super) fn new(mtu: usize) -> Self {
        Self { arrived: VecDeque::new(), leaving: PacketBatch::new(mtu), mtu, sent: 0, received: 0 }
    }

    /// A packet for the stack.
    pub(super) fn deliver(&mut self, packet: &[u8]) {
        self.received += 1;
        self.arrived.push_back(packet.to_vec());
    }

    /// The stack's packets, to be cleared when they are on their way.
    pub(super) const fn leaving(&mut self) -> &mut PacketBatch {
        &mut self.leaving
    }
}

/// A packet on its way into the stack.
pub(super) struct Arriving(Vec<u8>);

impl RxToken for Arriving {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, work: F) -> R {
        work(&self.0)
    }
}

/// Room for a packet from the stack.
pub(super) struct Leaving<'a> {
    batch: &'a mut PacketBatch,
    sent: &'a mut u64,
}

impl TxToken for Leaving<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, work: F) -> R {
        let mut spare = Vec::new();
        let mut work = Some(work);
        let mut result = None;
        let _ = self.batch.fill(|room| {
            if let (Some(room), Some(work)) = (room.get_mut(..length), work.take()) {
                result = Some(work(room));
            }
            Ok::<_, Infallible>(length)
        });
        *self.sent += 1;
        match (result, work) {
            (Some(result), _) => result,
            // No slot or one too short: the packet is lost, as on any full link; the stack must still write it.
            (None, Some(work)) => {
                spare.resize(length, 0);
                work(&mut spare)
            }
            (None, None) => unreachable!("the work was done exactly if there is a result"),
        }
    }
}

impl Device for Link {
    type RxToken<'a> = Arriving;
    type TxToken<'a> = Leaving<'a>;

    fn receive(&mut self, now: Instant) -> Option<(Arriving, Leaving<'_>)> {
        // The stack may want to answer at once, so there must be room for that.
        if self.leaving.is_full() {
            return None;
        }
        let packet = self.arrived.pop_front()?;
        self.transmit(now).map(|room| (Arriving(packet), room))
    }

    fn transmit(&mut self, _: Instant) -> Option<Leaving<'_>> {
        let Self { leaving, sent, .. } = self;
        (!leaving.is_full()).then_some(Leaving { batch: leaving, sent })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        capabilities
    }
}
