//! Decisions for recent flows.

use alloc::vec::Vec;
use core::net::IpAddr;

use ikebana_core::Flow;

use crate::event::Decision;
use crate::hash::Folded;

/// A table with one place per hash value: a flow either is in its place or is looked up again.
///
/// Flows come from others, who may fill the table, and cannot do more by flows that collide: so [`Folded`] is
/// enough. Whatever changes a decision starts a new epoch, and what an older epoch has left does not count.
pub(crate) struct FlowCache {
    places: Vec<Option<Known>>,
    epoch: u64,
    hash: Folded,
}

struct Known {
    flow: Flow,
    epoch: u64,
    decision: Decision,
}

impl FlowCache {
    pub(crate) fn new(hash: Folded, size: usize) -> Self {
        let mut places = Vec::new();
        places.resize_with(size, || None);
        Self { places, epoch: 0, hash }
    }

    /// Forgets everything.
    pub(crate) const fn invalidate(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
    }

    pub(crate) fn get(&self, flow: &Flow) -> Option<Decision> {
        let known = self.places.get(self.place(flow))?.as_ref()?;
        (known.epoch == self.epoch && known.flow == *flow).then_some(known.decision)
    }

    pub(crate) fn put(&mut self, flow: &Flow, decision: Decision) {
        let epoch = self.epoch;
        let place = self.place(flow);
        if let Some(place) = self.places.get_mut(place) {
            *place = Some(Known { flow: *flow, epoch, decision });
        }
    }

    fn place(&self, flow: &Flow) -> usize {
        let (local, local_low) = words(flow.local);
        let (remote, remote_low) = words(flow.remote);
        let port = |port: Option<u16>| port.map_or(0x1_0000, u64::from);
        // 8 + 17 + 17 bits.
        let rest = u64::from(flow.protocol) | port(flow.local_port) << 8 | port(flow.remote_port) << 25;
        self.hash.place([local, local_low, remote, remote_low, rest], self.places.len())
    }
}

/// An address as two words. IPv4 and IPv6 addresses may share some; that is for the comparison to tell.
fn words(address: IpAddr) -> (u64, u64) {
    match address {
        IpAddr::V4(v4) => (0, v4.to_bits().into()),
        IpAddr::V6(v6) => {
            let [a, b, c, d, e, f, g, h] = v6.segments().map(u64::from);
            (a << 48 | b << 32 | c << 16 | d, e << 48 | f << 32 | g << 16 | h)
        }
    }
}
