//! How long does it take two nodes to negotiate a tunnel, both of them on one core?
#![allow(missing_docs, reason = "the macros of criterion make functions without")]

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use ikebana_benches::engine::{converse, engine, tunnel};
use ikebana_core::Instant;

const SUITES: [&str; 8] = [
    "aes128gcm16-prfsha256-curve25519",
    "aes256gcm16-prfsha384-ecp384",
    "aes128gcm16-prfsha256-ecp256",
    "aes256-sha256-ecp521",
    "aes128-sha1-modp1024",
    "aes256-sha256-modp2048",
    "aes256-sha256-modp3072",
    "aes256-sha256-modp4096",
];

fn handshake(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("handshake, both sides");
    group.sample_size(20);
    for suite in SUITES {
        group.bench_function(suite, |bencher| {
            let mut seed = 0;
            bencher.iter_batched_ref(
                || {
                    seed += 2;
                    [engine(seed), engine(seed + 1)]
                },
                |engines| {
                    let now = Instant::from_secs(1);
                    // The side that waits is there first.
                    for (me, engine) in [0, 1].into_iter().zip(&mut *engines).rev() {
                        let config = tunnel(me, suite, "aes128gcm16");
                        engine.add_tunnel(now, config).expect("a configuration that works");
                    }
                    assert_eq!(converse(now, engines), 2);
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, handshake);
criterion_main!(benches);
