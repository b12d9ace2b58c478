//! Runs scenarios one after the other and says how each ended.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::execute::Execution;
use crate::lab::{Lab, Options, topology};
use crate::network::Topology;
use crate::scenario::{Mode, Scenario, Side};
use crate::wait;

/// How much of a log is worth showing after a failure.
const TAIL_LINES: usize = 60;

/// How many ended how.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Summary {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

/// How one scenario ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed,
    /// The peer's daemon could not be started or configured, so nothing has been tried: other people's daemons
    /// on a busy machine. This, and nothing else, earns a scenario a second attempt.
    NotReady,
}

/// The mark of an error that has nothing to do with how the two ends get on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerNotReady;

impl fmt::Display for PeerNotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the peer is not ready")
    }
}

impl Outcome {
    /// An error counts as a failure of ours unless it is marked otherwise.
    fn of(result: &Result<()>) -> Self {
        match result {
            Ok(()) => Self::Passed,
            Err(error) if error.downcast_ref::<PeerNotReady>().is_some() => Self::NotReady,
            Err(_) => Self::Failed,
        }
    }
}

/// Runs all scenarios; those that share a topology run in one lab, in the order given.
pub(crate) fn run(scenarios: &[Scenario], options: &Options) -> Result<Summary> {
    let mut summary = Summary::default();
    let mut unsteady: Vec<String> = Vec::new();
    let mut groups: Vec<(Topology, Vec<&Scenario>)> = Vec::new();
    for scenario in scenarios {
        if options.self_check && !can_self_check(scenario) {
            summary.skipped += 1;
            continue;
        }
        let topology = topology(scenario);
        match groups.iter_mut().find(|(known, _)| *known == topology) {
            Some((_, group)) => group.push(scenario),
            None => groups.push((topology, vec![scenario])),
        }
    }
    for (topology, group) in groups {
        let start = Instant::now();
        let mut lab = match Lab::open(topology, options) {
            Ok(lab) => lab,
            Err(error) => {
                println!("FAIL the {topology:?} lab could not be built: {error:#}");
                summary.failed += group.len();
                continue;
            }
        };
        println!("--- {topology:?} lab, ready after {:.1} s", start.elapsed().as_secs_f64());
        for scenario in group {
            if wait::is_interrupted() {
                bail!("interrupted");
            }
            let mut outcome = run_one(&mut lab, scenario, options);
            if wait::is_interrupted() {
                bail!("interrupted");
            }
            if outcome == Outcome::NotReady {
                println!("     the peer was not ready, which shows nothing; once more");
                unsteady.push(scenario.name.clone());
                outcome = run_one(&mut lab, scenario, options);
            }
            match outcome {
                Outcome::Passed => summary.passed += 1,
                Outcome::Failed | Outcome::NotReady => summary.failed += 1,
            }
        }
    }
    if !unsteady.is_empty() {
        println!("their peer was not ready at the first attempt: {}", unsteady.join(", "));
    }
    Ok(summary)
}

/// strongSwan with userspace ESP can take our place unless ESP in UDP is not enough.
fn can_self_check(scenario: &Scenario) -> bool {
    scenario.self_check
        && scenario.mode == Mode::Tunnel
        && scenario.ah.is_none()
        && !scenario.esp.contains("esn")
}

/// Runs one scenario and prints how it ended.
pub(crate) fn run_one(lab: &mut Lab, scenario: &Scenario, options: &Options) -> Outcome {
    let start = Instant::now();
    let offsets = log_offsets(lab, scenario);
    let mut execution = Execution::new(lab, scenario, options.self_check, offsets.clone());
    let mut result = execution.run();
    let settled = execution.settle();
    if result.is_ok() {
        result = settled;
    }
    let seconds = start.elapsed().as_secs_f64();
    let outcome = Outcome::of(&result);
    match result {
        Ok(()) => {
            println!("ok   {:<58} {seconds:>5.1} s", scenario.name);
        }
        Err(error) => {
            println!("FAIL {:<58} {seconds:>5.1} s\n     {error:#}", scenario.name);
            print_tails(lab, scenario, &offsets);
            // A daemon in an unknown state must not spoil the scenarios after it.
            for side in [Side::Us, Side::Them] {
                if let Ok(daemon) = lab.daemon(side, scenario.peer)
                    && let Err(error) = daemon.kill()
                {
                    println!("     {error:#}");
                }
            }
        }
    }
    outcome
}

/// How long each log was before the scenario, so that only its own lines count.
fn log_offsets(lab: &mut Lab, scenario: &Scenario) -> BTreeMap<PathBuf, u64> {
    let mut offsets = BTreeMap::new();
    for side in [Side::Us, Side::Them] {
        if let Ok(daemon) = lab.daemon(side, scenario.peer) {
            for log in daemon.logs() {
                let length = std::fs::metadata(&log).map_or(0, |metadata| metadata.len());
                offsets.insert(log, length);
            }
        }
    }
    offsets
}

fn print_tails(lab: &mut Lab, scenario: &Scenario, offsets: &BTreeMap<PathBuf, u64>) {
    for (side, whose) in [(Side::Us, "our"), (Side::Them, "their")] {
        let Ok(daemon) = lab.daemon(side, scenario.peer) else {
            continue;
        };
        for log in daemon.logs() {
            let text = log_since(&log, offsets);
            let lines: Vec<&str> = text.lines().collect();
            if lines.is_empty() {
                continue;
            }
            println!("     --- {whose} {}", log.display());
            for line in lines.iter().skip(lines.len().saturating_sub(TAIL_LINES)) {
                println!("     {line}");
            }
        }
    }
}

/// What a log has gained since the offsets were taken; all of it if it began anew.
pub(crate) fn log_since(log: &PathBuf, offsets: &BTreeMap<PathBuf, u64>) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let offset = offsets.get(log).copied().and_then(|offset| usize::try_from(offset).ok()).unwrap_or(0);
    let tail = bytes.get(offset..).unwrap_or(&bytes);
    String::from_utf8_lossy(tail).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context as _, anyhow};

    #[test]
    fn only_a_peer_that_was_not_ready_is_excused() {
        let timeout = || anyhow!("timed out after 20 s waiting for charon's control socket");
        let marked: Result<()> = Err(timeout()).context(PeerNotReady).context("step 3 (Restart)");
        assert_eq!(Outcome::of(&marked), Outcome::NotReady);
        // Loss, a wrong diagnosis, or our own gateway that does not start, however they are worded.
        for error in
            [anyhow!("3 of 100 echo requests were lost"), timeout(), timeout().context("configuring Us")]
        {
            assert_eq!(Outcome::of(&Err(error)), Outcome::Failed);
        }
        assert_eq!(Outcome::of(&Ok(())), Outcome::Passed);
    }
}
