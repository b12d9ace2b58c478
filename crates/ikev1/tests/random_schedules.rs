//! Commands at random on both sides over a bad network; then the network heals, and both sides must agree.
//!
//! A failure names its seed. `IKEBANA_SCHEDULES=first..last cargo test ten_thousand` runs others than the first
//! ten thousand, or one alone.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

mod pair;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use ikebana_core::Lifetime;
use ikebana_ike::{ChildSignal, IkeSaHandle, Phase1Mode, Uniqueness};
use ikebana_testkit::{LinkConfig, SeededRng};
use pair::toy::open_provider;
use pair::{NETS, Pair, Setup};

const SCHEDULES: u64 = 10_000;

/// Longer than any SA lives. IKEv1 does not acknowledge a delete, so what one side has deleted while nothing
/// arrived stays with the other one until its time is over.
const HEALING: Duration = Duration::from_secs(500);

fn setup(seed: u64, rng: &mut SeededRng) -> Setup {
    let lifetime = |rng: &mut SeededRng, shortest| {
        let soft = Duration::from_secs(shortest + rng.below(shortest));
        Lifetime {
            soft_time: Some(soft),
            hard_time: Some(soft + Duration::from_secs(20 + rng.below(60))),
            ..Lifetime::UNLIMITED
        }
    };
    Setup {
        seed,
        phase1: *rng.pick(&[Phase1Mode::Main, Phase1Mode::Aggressive]),
        esp: *rng.pick(&[["aes128gcm16-ecp256"; 2], ["aes128gcm16"; 2]]),
        nets: *rng.pick(&[NETS, NETS, ["10.1.0.0/16,10.3.0.0/16", "10.2.0.0/16"]]),
        liveness: Some(Duration::from_secs(5 + rng.below(40))),
        ike_lifetime: if rng.happens(300) { lifetime(rng, 200) } else { Lifetime::UNLIMITED },
        child_lifetime: lifetime(rng, 120),
        uniqueness: *rng.pick(&[Uniqueness::InitialContact, Uniqueness::Replace, Uniqueness::Keep]),
        link: link(rng),
        provider: open_provider,
        ..Setup::default()
    }
}

fn link(rng: &mut SeededRng) -> LinkConfig {
    let jitter = Duration::from_millis(rng.below(300));
    LinkConfig {
        loss_permille: u16::try_from(rng.below(400)).unwrap(),
        duplicate_permille: u16::try_from(rng.below(300)).unwrap(),
        reorder_permille: u16::try_from(rng.below(300)).unwrap(),
        reorder_delay: Duration::from_millis(rng.below(3_000)),
        jitter,
        ..LinkConfig::default()
    }
}

/// One command, or a change of the network.
fn act(pair: &mut Pair, rng: &mut SeededRng, lifetimes: bool) {
    let host = usize::try_from(rng.below(2)).unwrap();
    let now = pair.now;
    let ikes = pair.hosts[host].ike_sas();
    let any_ike = |rng: &mut SeededRng| (!ikes.is_empty()).then(|| *rng.pick(&ikes));
    let ike: Option<IkeSaHandle> = any_ike(rng);
    let children: Vec<_> =
        ike.map(|ike| pair.hosts[host].endpoint.children(ike).collect()).unwrap_or_default();
    let child = (!children.is_empty()).then(|| *rng.pick(&children));
    let config = pair.hosts[host].peer.children[0].clone();
    let endpoint = &mut pair.hosts[host].endpoint;
    match (rng.below(20), ike, child) {
        (0..=1, _, _) | (_, None, _) if ikes.len() < 3 => {
            pair.initiate(host);
        }
        (2..=5, _, Some(child)) => _ = endpoint.rekey_child(now, child),
        (6..=8, Some(ike), _) => _ = endpoint.rekey(now, ike),
        (9..=10, _, Some(child)) => _ = endpoint.delete_child(now, child),
        (11..=13, Some(ike), _) => _ = endpoint.create_child(now, ike, config, None),
        (14, Some(ike), _) => _ = endpoint.close(now, ike),
        (15, _, Some(child)) => {
            let signals = [ChildSignal::Traffic, ChildSignal::SoftExpired, ChildSignal::HardExpired];
            endpoint.handle_child_signal(now, child, *rng.pick(&signals[..if lifetimes { 3 } else { 2 }]));
        }
        (16, _, _) => pair.network.set_all_links(LinkConfig::CUT),
        (17, Some(ike), _) => _ = endpoint.probe(now, ike),
        _ => {
            let link = link(rng);
            pair.network.set_all_links(link);
        }
    }
    pair.drain();
}

fn run(seed: u64) {
    let mut rng = SeededRng::new(seed ^ 0x5eed_0000_0000);
    let setup = setup(seed, &mut rng);
    let lifetimes = rng.happens(200);
    let mut pair = Pair::new(&setup);
    pair.initiate(0);
    if rng.happens(300) {
        pair.initiate(1);
    }
    pair.run(Duration::from_millis(rng.below(2_000)));
    for _ in 0..8 + rng.below(24) {
        act(&mut pair, &mut rng, lifetimes);
        // Half of all commands meet the one before.
        let pause = *rng.pick(&[0, 0, 5, 30, 500, 4_000, 20_000]);
        pair.run(Duration::from_millis(rng.below(pause + 1)));
    }
    pair.network.set_all_links(LinkConfig::default());
    pair.run(HEALING);
    pair.settle();

    // What has survived is of use.
    for host in 0..2 {
        for ike in pair.hosts[host].ike_sas() {
            let now = pair.now;
            let children: Vec<_> = pair.hosts[host].endpoint.children(ike).collect();
            for child in children {
                pair.hosts[host].endpoint.rekey_child(now, child).unwrap();
            }
        }
    }
    pair.run_secs(100);
    pair.settle();
    pair.finish();
}

fn run_all(seeds: impl Iterator<Item = u64>) {
    for seed in seeds {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(seed))) {
            eprintln!("schedule {seed} failed");
            resume_unwind(panic);
        }
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "which schedules to run is for whoever runs the tests to say")]
fn ten_thousand_random_schedules_end_in_agreement() {
    let (first, last) = match std::env::var("IKEBANA_SCHEDULES") {
        Ok(range) => {
            let (first, last) = range.split_once("..").unwrap();
            (first.parse().unwrap(), last.parse().unwrap())
        }
        Err(_) => (0, SCHEDULES),
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (first..last)
            .take(threads)
            .map(|first| scope.spawn(move || run_all((first..last).step_by(threads))))
            .collect();
        for worker in workers {
            if let Err(panic) = worker.join() {
                resume_unwind(panic);
            }
        }
    });
}
