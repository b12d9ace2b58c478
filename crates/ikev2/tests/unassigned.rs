//! A peer that is to have an inner address, and has none.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[macro_use]
mod pair;

use std::sync::Arc;

use ikebana_ike::SelectorTemplate;

use pair::{Pair, Setup, peer_config};

#[test]
fn a_peer_without_an_assigned_address_does_not_get_traffic_for_its_outer_one_instead() {
    let setup = Setup::default();
    let mut peers = [peer_config(&setup, 0), peer_config(&setup, 1)];
    let dynamic = vec![SelectorTemplate::DYNAMIC];
    Arc::make_mut(&mut peers[0].children[0]).local = dynamic.clone();
    Arc::make_mut(&mut peers[1].children[0]).remote = dynamic;
    peers[1].assigns_addresses = true;
    let mut pair = Pair::with_peers(&setup, peers);
    pair.initiate(0);
    pair.run_secs(5);
    assert_eq!((pair.hosts[0].child_pairs(), pair.hosts[1].child_pairs()), (0, 0));
    // The IKE SA is there, and a later request is refused like the first one.
    let (ike, now, config) = (pair.ike(0), pair.now, pair.hosts[0].peer.children[0].clone());
    pair.hosts[0].endpoint.create_child(now, ike, config, None).unwrap();
    pair.run_secs(5);
    assert_eq!((pair.hosts[0].child_pairs(), pair.hosts[1].child_pairs()), (0, 0));
    pair.finish();
}
