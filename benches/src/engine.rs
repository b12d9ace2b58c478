//! Pairs of engines for the benchmarks of handshakes and of whole nodes.

use std::sync::Arc;

use ikebana::{Arriving, Engine, EngineConfig, Event, Output, Port, Start, TunnelConfig};
use ikebana_core::spi::ShardedSpis;
use ikebana_core::{Instant, Lifetime, Path};
use ikebana_crypto::CryptoProvider;
use ikebana_esp::PacketBuf;
use ikebana_proposals::Proposal;
use ikebana_testkit::SeededRng;

/// An engine without tunnels.
#[must_use]
pub fn engine(seed: u64) -> Engine {
    let mut config = EngineConfig::default();
    // A benchmark is no attack, however many come from one address.
    config.limits.cookie_threshold = usize::MAX;
    config.limits.cookie_threshold_per_address = usize::MAX;
    config.limits.half_open = usize::MAX;
    config.limits.half_open_per_address = usize::MAX;
    config.limits.ike_sas = usize::MAX;
    let provider = Arc::new(CryptoProvider::fastest());
    let (rng, spis) = (Box::new(SeededRng::new(seed)), Box::new(ShardedSpis::unsharded()));
    Engine::new(config, provider, rng, spis)
}

/// The tunnel of engine `me`, 0 or 1, to the other one, between 10.1.0.0/16 and 10.2.0.0/16. Engine 0 starts it.
///
/// # Panics
/// If the keywords are no suites.
#[must_use]
pub fn tunnel(me: u8, ike: &str, esp: &str) -> TunnelConfig {
    let (ours, theirs) = (me + 1, 2 - me);
    let mut config = TunnelConfig::site_to_site(
        "bench",
        ([192, 0, 2, ours], [192, 0, 2, theirs]),
        (&format!("host{ours}.example.net"), &format!("host{theirs}.example.net")),
        (&format!("10.{ours}.0.0/16"), &format!("10.{theirs}.0.0/16")),
        b"correct horse battery staple",
    )
    .expect("a configuration that works");
    config.peer.proposals = vec![Proposal::ike(ike).expect("keywords of a suite")];
    config.peer.lifetime = Lifetime::UNLIMITED;
    config.peer.liveness = None;
    for child in &mut config.peer.children {
        let child = Arc::make_mut(child);
        child.proposals = vec![Proposal::esp(esp).expect("keywords of a suite")];
        child.lifetime = Lifetime::UNLIMITED;
    }
    config.start = if me == 0 { Start::Start } else { Start::Passive };
    config
}

/// The same path from the other end.
#[must_use]
pub const fn back(path: Path) -> Path {
    Path::new(path.remote, path.local)
}

/// Hands every message of one engine to the other one until neither has more to say, and returns how many pairs
/// of child SAs have come up.
pub fn converse(now: Instant, engines: &mut [Engine; 2]) -> usize {
    let mut up = 0;
    let mut silent = 0;
    let mut turn = 0;
    while silent < 2 {
        silent += 1;
        let [a, b] = &mut *engines;
        let (speaker, listener) = if turn == 0 { (a, b) } else { (b, a) };
        while let Some(output) = speaker.poll_output() {
            match output {
                Output::Transmit { path, mut octets } => {
                    let port = if path.local.port() == 500 { Port::Ike } else { Port::Shared };
                    let packet = PacketBuf::full(&mut octets);
                    listener.handle_datagrams(now, &mut [Arriving::new(back(path), port, None, packet)]);
                    silent = 0;
                }
                Output::Event(Event::ChildUp { .. }) => up += 1,
                Output::Event(_) | Output::Send { .. } | Output::Deliver(_) => {}
            }
        }
        turn = 1 - turn;
    }
    up
}

/// Two engines with an established tunnel.
///
/// # Panics
/// If it does not come up.
#[must_use]
pub fn established(ike: &str, esp: &str) -> [Engine; 2] {
    let now = Instant::from_secs(1);
    let mut engines = [engine(1), engine(2)];
    for (me, engine) in (0..).zip(&mut engines) {
        engine.add_tunnel(now, tunnel(me, ike, esp)).expect("a configuration that works");
    }
    assert_eq!(converse(now, &mut engines), 2, "the tunnel has to come up");
    engines
}
