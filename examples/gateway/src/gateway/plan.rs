//! What the kernel should route into the TUN device, worked out from the tunnels.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ikebana_core::AddressRange;

use crate::network::{Routes, blocks};

/// A network of more blocks than this is not routed one by one.
const MOST_BLOCKS: usize = 256;

/// One pair of selectors whose packets should reach the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selected {
    /// Our side.
    pub(super) local: AddressRange,
    /// The peer's side.
    pub(super) remote: AddressRange,
}

/// The routes for `selected`, with an address of ours among `host` as the source of this host's own packets,
/// where one of them may go into the tunnel. Later entries win where two have the same destination.
pub(super) fn routes(selected: &[Selected], host: &BTreeSet<IpAddr>) -> Routes {
    let mut routes = Routes::new();
    for Selected { local, remote } in selected {
        if local.is_ipv4() != remote.is_ipv4() {
            continue;
        }
        let blocks = blocks(remote);
        if blocks.len() > MOST_BLOCKS {
            tracing::warn!(%remote, "this range is not routed: it takes too many routes");
            continue;
        }
        let source = source(local, host);
        for block in blocks {
            let kept = routes.entry(block).or_insert(source);
            *kept = source.or(*kept);
        }
    }
    routes
}

/// The address to send from: one that the selector allows. Where it allows every address, the kernel's own
/// choice is as good as any.
fn source(local: &AddressRange, host: &BTreeSet<IpAddr>) -> Option<IpAddr> {
    if local.prefix() == Some(0) {
        return None;
    }
    host.iter().copied().find(|address| local.contains(*address) && !address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(pairs: &[(&str, &str)]) -> Vec<Selected> {
        pairs
            .iter()
            .map(|(local, remote)| Selected {
                local: local.parse().unwrap(),
                remote: remote.parse().unwrap(),
            })
            .collect()
    }

    fn text(pairs: &[(&str, &str)], host: &[&str]) -> String {
        let host = host.iter().map(|address| address.parse().unwrap()).collect();
        let routes = routes(&selected(pairs), &host);
        let line = |((address, prefix), source): (&crate::network::Block, &Option<IpAddr>)| {
            let source = source.map_or(String::new(), |source| format!(" from {source}"));
            format!("{address}/{prefix}{source}")
        };
        routes.iter().map(line).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn the_peers_networks_are_routed_from_an_address_of_ours_within_the_selector() {
        let host = ["127.0.0.1", "192.0.2.1", "10.1.0.1"];
        assert_eq!(text(&[("10.1.0.0/16", "10.2.0.0/16")], &host), "10.2.0.0/16 from 10.1.0.1");
        assert_eq!(text(&[("10.7.0.0/16", "10.2.0.0/16")], &host), "10.2.0.0/16");
        assert_eq!(text(&[("0.0.0.0/0", "0.0.0.0/0")], &host), "0.0.0.0/0");
    }

    #[test]
    fn ranges_become_blocks_and_families_do_not_mix() {
        assert_eq!(text(&[("10.1.0.0/16", "10.2.0.2..10.2.0.4")], &[]), "10.2.0.2/31, 10.2.0.4/32");
        assert_eq!(text(&[("10.1.0.0/16", "fd00::/64")], &[]), "");
    }

    #[test]
    fn one_destination_of_two_tunnels_is_one_route() {
        let pairs = [("10.1.0.0/16", "10.2.0.0/16"), ("10.9.0.0/16", "10.2.0.0/16")];
        assert_eq!(text(&pairs, &["10.1.0.1"]), "10.2.0.0/16 from 10.1.0.1");
    }
}
