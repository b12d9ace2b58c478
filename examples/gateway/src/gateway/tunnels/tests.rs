use super::*;
use crate::config::parse;
use crate::io::{Sockets, Waker};
use ikebana::EngineConfig;

/// A tunnel to a peer that goes by its name, and an engine without a network.
fn named(lines: &str) -> (Tunnels, Node) {
    let text = format!(
        "[[tunnel]]\nname = \"net\"\nlocal = \"192.0.2.1\"\nremote = \"peer.invalid\"\n\
         psk = \"correct horse battery staple\"\n{lines}\n"
    );
    let (config, _) = parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
    let resolver = Resolver::start(Waker::new().unwrap()).unwrap();
    (Tunnels::new(config, resolver), Node::new(EngineConfig::default(), Sockets::default()))
}

fn answer(name: &str, addresses: &[&str]) -> Resolved {
    let addresses = Ok(addresses.iter().map(|address| address.parse().unwrap()).collect());
    Resolved { tunnel: "net".to_owned(), name: name.to_owned(), addresses }
}

fn remote(tunnels: &Tunnels) -> String {
    tunnels.entries[0].remote.map_or_else(|| "unknown".to_owned(), |remote| remote.to_string())
}

#[test]
fn an_answer_to_a_question_from_before_a_reload_is_ignored() {
    let (mut tunnels, mut node) = named("");
    tunnels.resolved(&mut node, answer("old-peer.invalid", &["198.51.100.66"]));
    assert_eq!((remote(&tunnels).as_str(), tunnels.entries[0].id), ("unknown", None));
}

#[test]
fn a_name_with_several_addresses_keeps_the_one_that_is_used() {
    let (mut tunnels, mut node) = named("");
    tunnels.resolved(&mut node, answer("peer.invalid", &["2001:db8::7", "198.51.100.1", "198.51.100.2"]));
    assert_eq!(remote(&tunnels), "198.51.100.1");
    tunnels.resolved(&mut node, answer("peer.invalid", &["198.51.100.2", "198.51.100.1"]));
    assert_eq!(remote(&tunnels), "198.51.100.1");
}

#[test]
fn a_peer_that_goes_by_its_address_is_another_one_at_another_address() {
    for (lines, is_new) in [("", true), ("remote_id = \"gw.example.net\"", false)] {
        let (mut tunnels, mut node) = named(lines);
        tunnels.resolved(&mut node, answer("peer.invalid", &["198.51.100.1"]));
        let first = tunnels.entries[0].id;
        tunnels.resolved(&mut node, answer("peer.invalid", &["198.51.100.2"]));
        assert_eq!(remote(&tunnels), "198.51.100.2");
        assert_eq!(tunnels.entries[0].id != first, is_new, "{lines}");
        assert_eq!(node.engine.status().len(), 1);
    }
}

#[test]
fn a_tunnel_that_was_taken_down_stays_so_whatever_its_name_resolves_to() {
    let (mut tunnels, mut node) = named("");
    assert!(tunnels.take_down(&mut node, "net").is_some());
    tunnels.resolved(&mut node, answer("peer.invalid", &["198.51.100.1"]));
    assert!(node.engine.status().is_empty());
    assert_eq!(tunnels.bring_up(&mut node, "net"), Some(Ok(())));
    tunnels.resolved(&mut node, answer("peer.invalid", &["198.51.100.1"]));
    assert_eq!(node.engine.status().len(), 1);
    assert_eq!(tunnels.bring_up(&mut node, "nat"), None);
}

#[test]
fn a_failed_lookup_is_tried_again_and_leaves_what_is_there() {
    let (mut tunnels, mut node) = named("");
    let failure = || {
        let error = std::io::Error::other("Temporary failure in name resolution");
        Resolved { tunnel: "net".to_owned(), name: "peer.invalid".to_owned(), addresses: Err(error) }
    };
    tunnels.resolved(&mut node, failure());
    assert!(
        tunnels.entries[0].problem.as_ref().is_some_and(|problem| problem.contains("cannot be resolved"))
    );
    tunnels.resolved(&mut node, answer("peer.invalid", &["198.51.100.1"]));
    let id = tunnels.entries[0].id;
    tunnels.resolved(&mut node, failure());
    assert!(id.is_some() && tunnels.entries[0].id == id && tunnels.entries[0].again.is_some());
}
