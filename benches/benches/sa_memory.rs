//! How much memory do an IKE SA and a pair of child SAs take? A counting allocator knows.
//!
//! This one measures octets, not time, so it prints what it finds.
#![allow(unsafe_code, reason = "a global allocator cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ikebana::{Engine, Start, TunnelConfig};
use ikebana_benches::engine::{converse, engine, tunnel};
use ikebana_core::Instant;
use ikebana_ike::{PeerConfig, SelectorTemplate};

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system allocator with the arguments as they came, so its guarantees hold. The
// counter does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps `alloc`'s contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: `pointer` came from `System` by the methods here, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn live() -> usize {
    LIVE.load(Ordering::Relaxed)
}

const IKE: &str = "aes128gcm16-prfsha256-curve25519";

/// A tunnel with so many children, one port each.
fn with_children(me: u8, children: u16) -> TunnelConfig {
    let mut config = tunnel(me, IKE, "aes128gcm16");
    let PeerConfig { children: list, .. } = &mut config.peer;
    let one = list.remove(0);
    for number in 0..children {
        let mut child = (*one).clone();
        child.name = format!("child {number}");
        child.remote = vec![selector(&format!("10.{}.0.0/16[tcp/{}]", 2 - me, 1_000 + number))];
        child.local = vec![selector(&format!("10.{}.0.0/16[tcp/{}]", me + 1, 1_000 + number))];
        list.push(Arc::new(child));
    }
    config
}

fn selector(text: &str) -> SelectorTemplate {
    SelectorTemplate::Fixed(text.parse().expect("a selector"))
}

/// A gateway that has accepted `clients` clients, with so many children each, and nothing else: octets live
/// before, and after.
fn gateway(clients: u16, children: u16) -> (usize, usize, Engine) {
    let now = Instant::from_secs(1);
    let mut waiting = with_children(1, children);
    waiting.start = Start::Passive;
    waiting.remote = None;
    waiting.peer.remote_id = "*".parse().expect("a pattern");
    let mut node = engine(1);
    node.add_tunnel(now, waiting).expect("a configuration that works");
    let before = live();
    let mut engines = [engine(2), node];
    let [initiators, _] = &mut engines;
    for client in 0..clients {
        let mut config = with_children(0, children);
        config.peer.name = format!("client {client}");
        config.peer.local_id = format!("client{client}.example.net").parse().expect("an identity");
        initiators.add_tunnel(now, config).expect("a configuration that works");
    }
    let up = converse(now, &mut engines);
    assert_eq!(up, 2 * usize::from(clients) * usize::from(children));
    // What waits for stragglers has been forgotten by then.
    let later = Instant::from_secs(100);
    for engine in &mut engines {
        engine.handle_timeout(later);
    }
    converse(later, &mut engines);
    let [initiators, node] = engines;
    drop(initiators);
    (before, live(), node)
}

fn main() {
    // `cargo bench -- --test` wants to see that it works, and not to wait.
    let clients = if std::env::args().any(|argument| argument == "--test") { 10 } else { 1_000 };
    let mut per_client = Vec::new();
    for children in [1, 2, 8] {
        let (before, after, node) = gateway(clients, children);
        let each = after.saturating_sub(before) / usize::from(clients);
        println!(
            "{clients} IKE SAs with {children} child SA pairs each: {each} octets per IKE SA with children"
        );
        assert!(node.status().iter().all(|tunnel| tunnel.children.len() == usize::from(clients * children)));
        drop(node);
        per_client.push((usize::from(children), each));
    }
    if let [(1, one), _, (8, eight)] = per_client.as_slice() {
        let child = eight.saturating_sub(*one) / 7;
        println!("so a pair of child SAs takes {child} octets, and an IKE SA {}", one.saturating_sub(child));
    }
}
