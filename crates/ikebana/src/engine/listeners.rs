//! What strangers may negotiate, by where they come from.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use ikebana_core::AddressRange;
use ikebana_ike::{Encapsulation, Listener};

use super::Engine;

impl Engine {
    /// Lets IKE know which first messages are acceptable, if that has changed.
    ///
    /// Done when the next IKE message arrives, so that adding many tunnels costs no more than it must.
    pub(super) fn refresh_listeners(&mut self) {
        if !core::mem::take(&mut self.listeners_stale) {
            return;
        }
        let mut by_range: BTreeMap<Vec<AddressRange>, Listener> = BTreeMap::new();
        for tunnel in self.tunnels.values() {
            let mut from = tunnel.accepted_from();
            from.sort_unstable();
            from.dedup();
            let listener = by_range.entry(from).or_insert_with_key(|from| Listener {
                from: from.clone(),
                proposals: Vec::new(),
                prefer: tunnel.peer.prefer,
                encapsulation: tunnel.peer.encapsulation,
                ikev1: ikebana_ike::Ikev1Listener::default(),
            });
            add_missing(&mut listener.proposals, &tunnel.peer.proposals);
            listener.encapsulation = wider(listener.encapsulation, tunnel.peer.encapsulation);
        }
        self.ike.set_listeners(layered(by_range.into_values().collect()));
    }
}

/// The narrowest first, each with the proposals of all that are wider behind its own: the first match decides,
/// and a peer that one entry is about may come from the address of another.
fn layered(mut listeners: Vec<Listener>) -> Vec<Listener> {
    let is_wide = |listener: &Listener| match listener.from.as_slice() {
        [only] => only.first() != only.last(),
        _ => true,
    };
    let wide: Vec<Listener> = listeners.iter().filter(|listener| is_wide(listener)).cloned().collect();
    for listener in &mut listeners {
        for wider in &wide {
            if wider.from != listener.from && overlap(&listener.from, &wider.from) {
                add_missing(&mut listener.proposals, &wider.proposals);
            }
        }
    }
    listeners.sort_by_key(|listener| size(&listener.from));
    listeners
}

fn add_missing(to: &mut Vec<ikebana_proposals::Proposal>, from: &[ikebana_proposals::Proposal]) {
    for proposal in from {
        if !to.contains(proposal) {
            to.push(proposal.clone());
        }
    }
}

/// Forcing encapsulation suits everybody; forbidding it is the peer's own configuration's to do.
const fn wider(one: Encapsulation, other: Encapsulation) -> Encapsulation {
    match (one, other) {
        (Encapsulation::Force, _) | (_, Encapsulation::Force) => Encapsulation::Force,
        (Encapsulation::Never, Encapsulation::Never) => Encapsulation::Never,
        _ => Encapsulation::Auto,
    }
}

/// Empty means everywhere.
fn overlap(one: &[AddressRange], other: &[AddressRange]) -> bool {
    one.is_empty()
        || other.is_empty()
        || one.iter().any(|one| other.iter().any(|other| one.intersect(other).is_some()))
}

/// How many addresses, roughly: the logarithm of the widest range.
fn size(from: &[AddressRange]) -> u32 {
    let log = |range: &AddressRange| match (range.first(), range.last()) {
        (core::net::IpAddr::V4(first), core::net::IpAddr::V4(last)) => {
            32_u32.saturating_sub(last.to_bits().abs_diff(first.to_bits()).leading_zeros())
        }
        (core::net::IpAddr::V6(first), core::net::IpAddr::V6(last)) => {
            128_u32.saturating_sub(last.to_bits().abs_diff(first.to_bits()).leading_zeros())
        }
        _ => u32::MAX,
    };
    from.iter().map(log).max().unwrap_or(u32::MAX)
}
