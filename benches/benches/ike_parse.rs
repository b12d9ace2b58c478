//! How long does it take to read an IKE message: a stranger's first one, a wrong one, an encrypted one?
#![allow(missing_docs, reason = "the macros of criterion make functions without")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ikebana::{Arriving, Output, Port};
use ikebana_benches::engine::{back, converse, engine, established, tunnel};
use ikebana_core::Instant;
use ikebana_esp::PacketBuf;
use ikebana_ikev2::wire::parse_clear;
use ikebana_proposals::Preset;

/// A first message with the proposals of a preset.
fn first_message(preset: Preset) -> Vec<u8> {
    let mut config = tunnel(0, "aes128gcm16-prfsha256-curve25519", "aes128gcm16");
    config.peer.proposals = preset.ike();
    let mut engine = engine(7);
    engine.add_tunnel(Instant::ZERO, config).expect("a configuration that works");
    std::iter::from_fn(|| engine.poll_output())
        .find_map(|output| match output {
            Output::Transmit { octets, .. } => Some(octets),
            Output::Send { .. } | Output::Deliver(_) | Output::Event(_) => None,
        })
        .expect("the first message")
}

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse IKE_SA_INIT");
    for preset in [Preset::AwsMinimum, Preset::Azure, Preset::Modern] {
        let name = preset.name();
        let message = first_message(preset);
        group.throughput(Throughput::Bytes(message.len() as u64));
        group.bench_function(format!("{name}, {} octets", message.len()), |bencher| {
            bencher.iter(|| parse_clear(black_box(&message)).expect("a good message").payloads.len());
        });
        let half = message.get(..message.len() / 2).unwrap_or_default().to_vec();
        group.bench_function(format!("{name}, cut in half"), |bencher| {
            bencher.iter(|| assert!(parse_clear(black_box(&half)).is_err()));
        });
    }
    group.finish();
}

/// The path of a message through a whole node, up to the reason why it changes nothing.
fn drop(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("drop an IKE message");
    let now = Instant::from_secs(1);
    let mut engines = established("aes128gcm16-prfsha256-curve25519", "aes128gcm16");
    let [first, _] = &mut engines;
    let id = first.tunnel_named("bench").expect("the tunnel");
    first.rekey_children(now, id).expect("an established tunnel");
    let (path, octets) = std::iter::from_fn(|| first.poll_output())
        .find_map(|output| match output {
            Output::Transmit { path, octets } => Some((path, octets)),
            Output::Send { .. } | Output::Deliver(_) | Output::Event(_) => None,
        })
        .expect("the request");
    let mut forged = octets.clone();
    if let Some(last) = forged.last_mut() {
        *last ^= 1;
    }
    let mut unknown = octets.clone();
    unknown.iter_mut().take(16).for_each(|octet| *octet ^= 0x55);
    let mut handle = |name: &str, octets: &[u8]| {
        group.bench_function(format!("{name}, {} octets", octets.len()), |bencher| {
            let mut octets = octets.to_vec();
            let [_, second] = &mut engines;
            bencher.iter(|| {
                let packet = PacketBuf::full(&mut octets);
                second.handle_datagrams(now, &mut [Arriving::new(back(path), Port::Ike, None, packet)]);
                while second.poll_output().is_some() {}
            });
        });
    };
    handle("forged", &forged);
    handle("unknown SPI", &unknown);
    group.finish();
    let stats = engines.last().expect("two engines").ike_stats().drops.clone();
    assert!(stats.get(ikebana::ike::DropReason::BadIntegrity) > 0);
    converse(now, &mut engines);
}

criterion_group!(benches, parse, drop);
criterion_main!(benches);
