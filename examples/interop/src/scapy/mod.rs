//! Agreement with scapy about packets: what we make of a random packet, scapy opens, and what scapy makes, we open;
//! over every suite that both know, both modes, both families inside and outside, with and without extended
//! sequence numbers, and ESP with and without UDP. And what either end has made and somebody has changed, the other
//! refuses.

mod oracle;
mod packet;
mod sa;

use std::path::Path;

use anyhow::{Context, Result, bail};
use ikebana_testkit::SeededRng;

use oracle::{Oracle, Verdict, Work};
use sa::{Pair, Shape};

/// What was compared.
#[derive(Default)]
struct Tally {
    sas: u32,
    ours: u32,
    theirs: u32,
    refused: u32,
}

/// Packets each way per SA.
const PACKETS: u32 = 3;

/// Compares everything; an error names the first disagreement with all that it takes to see it again.
pub(crate) fn compare(peers: &Path, seed: u64) -> Result<()> {
    let mut oracle = Oracle::start(&peers.join("scapy"))?;
    let mut rng = SeededRng::new(seed);
    let mut tally = Tally::default();
    let mut suites = 0;
    for suite in sa::suites()? {
        for shape in Shape::all(&suite) {
            let mut pair = Pair::new(&suite, shape, &mut rng)?;
            compare_sa(&mut oracle, &mut pair, &mut rng, &mut tally)
                .with_context(|| format!("{} {shape:?}, seed {seed}: {:?}", suite.name, pair.association))?;
            tally.sas += 1;
        }
        suites += 1;
    }
    if suites < 60 || tally.theirs < tally.sas {
        bail!("hardly anything was compared: {suites} suites, {} packets of scapy's", tally.theirs);
    }
    println!(
        "scapy agrees: {suites} suites, {} SAs, {} packets of ours and {} of its own, {} changed ones refused",
        tally.sas, tally.ours, tally.theirs, tally.refused
    );
    Ok(())
}

fn compare_sa(oracle: &mut Oracle, pair: &mut Pair, rng: &mut SeededRng, tally: &mut Tally) -> Result<()> {
    for _ in 0..PACKETS {
        let shape = pair.shape;
        let inner = shape.inner;
        let sample = packet::random(rng, inner, !(shape.transport && shape.udp))?;
        let mut expected = sample.octets.clone();
        if shape.transport {
            packet::arrive(&mut expected)?;
        }

        let (sequence, mut wire) = pair.seal(&sample.octets).context("sealing")?;
        packet::arrive(&mut wire)?;
        let verdict = oracle
            .ask(&pair.association, sequence, Work::Open, &wire)
            .with_context(|| format!("opening number {sequence}, {}", oracle::to_hex(&wire)))?;
        if verdict != Verdict::Packet(expected.clone()) {
            bail!(
                "scapy makes {verdict:02x?} of number {sequence}, {}, which was {}",
                oracle::to_hex(&wire),
                oracle::to_hex(&expected)
            );
        }
        tally.ours += 1;
        let changed = pair.change(&wire, rng)?;
        let verdict = oracle.ask(&pair.association, sequence, Work::Open, &changed).context("opening")?;
        if verdict != Verdict::Forged {
            bail!("scapy does not refuse {}", oracle::to_hex(&changed));
        }
        tally.refused += 1;

        if shape.is_ah && shape.transport && sample.mispredicted {
            continue;
        }
        let sequence = pair.next_sequence(rng)?;
        let sealed =
            oracle.ask(&pair.association, sequence, Work::Seal, &sample.octets).context("sealing")?;
        let Verdict::Packet(mut wire) = sealed else { bail!("scapy refuses to seal") };
        packet::arrive(&mut wire)?;
        let changed = pair.change(&wire, rng)?;
        if pair.open(&changed).is_ok() {
            bail!("we do not refuse {}", oracle::to_hex(&changed));
        }
        tally.refused += 1;
        let opened = pair
            .open(&wire)
            .with_context(|| format!("opening number {sequence} of scapy's, {}", oracle::to_hex(&wire)))?;
        if opened != expected {
            bail!("we make {} of scapy's {}", oracle::to_hex(&opened), oracle::to_hex(&wire));
        }
        if pair.open(&wire).is_ok() {
            bail!("we open number {sequence} of scapy's twice");
        }
        tally.theirs += 1;
    }
    Ok(())
}
