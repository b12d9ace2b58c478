//! What strangers may negotiate, by where they come from.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use ikebana_core::AddressRange;
use ikebana_ike::{Encapsulation, Ikev1Listener, Listener, Phase1Mode};

use super::tunnel::Tunnel;
use super::{Engine, IkeVersion};

impl Engine {
    /// Lets IKE know which first messages are acceptable, if that has changed.
    ///
    /// Done when the next IKE message arrives, so that adding many tunnels costs no more than it must.
    pub(super) fn refresh_listeners(&mut self) {
        if !core::mem::take(&mut self.listeners_stale) {
            return;
        }
        for version in [IkeVersion::V1, IkeVersion::V2] {
            // Without an IKEv1 tunnel there is no listener for IKEv1 (RFC 9395: off unless configured).
            self.ike.set_listeners(version, self.listeners(version));
        }
    }

    fn listeners(&self, version: IkeVersion) -> Vec<Listener> {
        let mut by_range: BTreeMap<Vec<AddressRange>, Listener> = BTreeMap::new();
        for tunnel in self.tunnels.values().filter(|tunnel| tunnel.version == version) {
            let mut from = tunnel.accepted_from();
            from.sort_unstable();
            from.dedup();
            let listener = by_range.entry(from).or_insert_with_key(|from| Listener {
                from: from.clone(),
                proposals: Vec::new(),
                prefer: tunnel.peer.prefer,
                encapsulation: tunnel.peer.encapsulation,
                ikev1: Ikev1Listener::default(),
            });
            listener.ikev1 = both(listener.ikev1, ikev1(tunnel));
            add_missing(&mut listener.proposals, &tunnel.peer.proposals);
            listener.encapsulation = wider(listener.encapsulation, tunnel.peer.encapsulation);
        }
        layered(by_range.into_values().collect())
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
                listener.ikev1 = both(listener.ikev1, wider.ikev1);
            }
        }
    }
    listeners.sort_by_key(|listener| size(&listener.from));
    listeners
}

/// What one IKEv1 tunnel lets a stranger begin with.
fn ikev1(tunnel: &Tunnel) -> Ikev1Listener {
    let how = &tunnel.peer.ikev1;
    Ikev1Listener {
        main: how.phase1 == Phase1Mode::Main,
        aggressive: how.phase1 == Phase1Mode::Aggressive,
        pre_shared_key: how.xauth.is_none(),
        xauth: how.xauth.is_some(),
    }
}

/// Whatever either of two allows. The tunnel itself has the last word, once it is known which one it is.
const fn both(one: Ikev1Listener, other: Ikev1Listener) -> Ikev1Listener {
    Ikev1Listener {
        main: one.main || other.main,
        aggressive: one.aggressive || other.aggressive,
        pre_shared_key: one.pre_shared_key || other.pre_shared_key,
        xauth: one.xauth || other.xauth,
    }
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

/// How many addresses, roughly: the logarithm of the widest range. Empty means all there are.
pub(super) fn size(from: &[AddressRange]) -> u32 {
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
