//! How long does it take two IKEv1 endpoints to bring up a first child SA, in each mode of phase 1?
#![allow(missing_docs, reason = "the macros of criterion make functions without")]
#![allow(clippy::indexing_slicing, reason = "there are two hosts")]

use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use ikebana_core::spi::ShardedSpis;
use ikebana_core::{Datagram, Instant, Lifetime, Path, Secret};
use ikebana_crypto::CryptoProvider;
use ikebana_ike::{
    AddressKeyRequest, Authentication, ChildConfig, Credentials, Encapsulation, EndpointConfig, Event,
    Ikev1Listener, Ikev1Peer, Listener, Mode, Output, PeerConfig, Phase1Mode, PreSharedKeyRequest,
    Retransmission, SelectPeer, SelectorTemplate, Uniqueness,
};
use ikebana_ikev1::Endpoint;
use ikebana_proposals::{Prefer, Proposal};
use ikebana_testkit::SeededRng;

const SUITES: [&str; 4] =
    ["aes128-sha1-modp1024", "aes256-sha256-modp2048", "aes128-sha256-ecp256", "aes256-sha384-ecp384"];
const NAMES: [&str; 2] = ["a.example.net", "b.example.net"];
const ADDRESSES: [&str; 2] = ["192.0.2.1:500", "198.51.100.2:500"];
const NETS: [&str; 2] = ["10.1.0.0/16", "10.2.0.0/16"];

fn path(from: usize) -> Path {
    let socket = |index: usize| ADDRESSES[index].parse().expect("an address");
    Path::new(socket(from), socket(1 - from))
}

fn peer(me: usize, suite: &str, phase1: Phase1Mode) -> PeerConfig {
    let net = |side: usize| vec![SelectorTemplate::Fixed(NETS[side].parse().expect("a network"))];
    PeerConfig {
        name: NAMES[1 - me].into(),
        local_id: NAMES[me].parse().expect("an identity"),
        remote_id: NAMES[1 - me].parse().expect("an identity"),
        proposals: vec![Proposal::ike(suite).expect("a proposal")],
        prefer: Prefer::Local,
        authentication: Authentication::PRE_SHARED_KEY,
        children: vec![Arc::new(ChildConfig {
            name: "net".into(),
            proposals: vec![Proposal::esp("aes128gcm16").expect("a proposal")],
            prefer: Prefer::Local,
            local: net(me),
            remote: net(1 - me),
            mode: Mode::Tunnel,
            lifetime: Lifetime::UNLIMITED,
            replay_window: 64,
            compress: false,
        })],
        lifetime: Lifetime::UNLIMITED,
        liveness: None,
        encapsulation: Encapsulation::Auto,
        nat_keepalive: Duration::from_secs(20),
        retransmission: Retransmission::default(),
        request: vec![],
        assigns_addresses: false,
        uniqueness: Uniqueness::InitialContact,
        ikev1: Ikev1Peer { phase1, ..Ikev1Peer::default() },
    }
}

struct Host {
    endpoint: Endpoint,
    peer: Arc<PeerConfig>,
    key: Secret,
}

/// What the endpoint may ask for.
struct Known<'a>(&'a Arc<PeerConfig>, &'a Secret);

impl Credentials for Known<'_> {
    fn select_peer(&mut self, _peer: &SelectPeer) -> Option<Arc<PeerConfig>> {
        Some(self.0.clone())
    }

    fn pre_shared_key(&mut self, _request: &PreSharedKeyRequest) -> Option<Secret> {
        Some(self.1.duplicate())
    }

    fn pre_shared_key_by_address(&mut self, _request: &AddressKeyRequest) -> Option<Secret> {
        Some(self.1.duplicate())
    }
}

fn host(me: usize, seed: u64, suite: &str, phase1: Phase1Mode) -> Host {
    let peer = Arc::new(peer(me, suite, phase1));
    let config = EndpointConfig {
        listeners: vec![Listener {
            from: vec![],
            proposals: peer.proposals.clone(),
            prefer: Prefer::Local,
            encapsulation: Encapsulation::Auto,
            ikev1: Ikev1Listener { main: true, aggressive: true, pre_shared_key: true, xauth: false },
        }],
        ..EndpointConfig::default()
    };
    let endpoint = Endpoint::new(
        Arc::new(config),
        Arc::new(CryptoProvider::fastest()),
        Box::new(SeededRng::new(seed)),
        Box::new(ShardedSpis::unsharded()),
    );
    Host { endpoint, peer, key: Secret::from_slice(b"a key that both sides know") }
}

/// Passes messages until there are no more; returns how many SAs were installed.
fn converse(now: Instant, hosts: &mut [Host; 2]) -> usize {
    let first = &mut hosts[0];
    first.endpoint.initiate(now, first.peer.clone(), path(0)).expect("a configuration that works");
    let mut installed = 0;
    let mut quiet = 0;
    while quiet < 2 {
        for from in 0..2 {
            let mut sent = vec![];
            let host = &mut hosts[from];
            let mut known = Known(&host.peer, &host.key);
            while let Some(output) = host.endpoint.poll_output_with(now, &mut known) {
                match output {
                    Output::Transmit(transmit) => sent.push(transmit.octets),
                    Output::Event(Event::InstallSa(_)) => installed += 1,
                    Output::Event(_) => {}
                }
            }
            quiet = if sent.is_empty() { quiet + 1 } else { 0 };
            for octets in sent {
                let datagram = Datagram { path: path(1 - from), encapsulated: false, octets: &octets };
                hosts[1 - from].endpoint.handle_datagram(now, datagram).expect("a message that is welcome");
            }
        }
    }
    installed
}

fn handshake(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("IKEv1 handshake, both sides");
    group.sample_size(20);
    for (name, phase1) in [("main", Phase1Mode::Main), ("aggressive", Phase1Mode::Aggressive)] {
        for suite in SUITES {
            group.bench_function(format!("{name}/{suite}"), |bencher| {
                let mut seed = 0;
                bencher.iter_batched_ref(
                    || {
                        seed += 2;
                        [host(0, seed, suite, phase1), host(1, seed + 1, suite, phase1)]
                    },
                    |hosts| assert_eq!(converse(Instant::from_secs(1), hosts), 4),
                    BatchSize::SmallInput,
                );
            });
        }
    }
    group.finish();
}

criterion_group!(benches, handshake);
criterion_main!(benches);
