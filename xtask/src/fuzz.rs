//! Fuzz targets, run for a bounded number of inputs.

use std::fs;
use std::path::Path;

use crate::process::{cargo, output, run, target_dir};
use crate::report::{CheckResult, Outcome};

const CARGO_FUZZ: &str = "0.13.2";
const TARGETS: &str = "fuzz/fuzz_targets";

/// Runs each target over its committed corpus and then a bounded number of mutations of it.
///
/// The seed is fixed unless `FUZZ_SEED` says otherwise, so that a failure in CI can be repeated.
pub(crate) fn smoke() -> CheckResult {
    let targets = targets()?;
    install_cargo_fuzz()?;
    let runs = bound("FUZZ_RUNS", 20_000)?;
    let seconds = bound("FUZZ_SECONDS", 15)?;
    let seed = bound("FUZZ_SEED", 1)?;
    let mut failures = Vec::new();
    for target in &targets {
        let corpus = Path::new("fuzz/corpus").join(target);
        let seeds = fs::read_dir(&corpus).map(Iterator::count).unwrap_or(0);
        if seeds == 0 {
            failures.push(format!("{target}: no seeds in {}", corpus.display()));
            continue;
        }
        // The first folder receives what the fuzzer finds; the committed one is only read.
        let found = target_dir().join("fuzz-found").join(target);
        fs::create_dir_all(&found).map_err(|error| format!("{}: {error}", found.display()))?;
        let found = fs::canonicalize(&found).map_err(|error| format!("{}: {error}", found.display()))?;
        println!("--- {target}: {seeds} seeds, at most {runs} runs or {seconds} s");
        let result = run(fuzz()
            .args(["run", target])
            .arg(found)
            .arg(&corpus)
            .arg("--")
            .arg(format!("-runs={runs}"))
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-seed={seed}"))
            .args(["-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1", "-verbosity=0"]));
        if let Err(why) = result {
            failures.push(format!("{target}: {why}"));
        }
    }
    if failures.is_empty() { Ok(Outcome::Passed) } else { Err(failures.join("\n")) }
}

fn targets() -> Result<Vec<String>, String> {
    let entries = fs::read_dir(TARGETS).map_err(|error| format!("{TARGETS}: {error}"))?;
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    if names.is_empty() { Err(format!("{TARGETS}: no fuzz targets")) } else { Ok(names) }
}

/// `cargo fuzz` with its sanitizer needs unstable compiler flags, which this allows on stable.
fn fuzz() -> std::process::Command {
    let mut command = cargo();
    command.env("RUSTC_BOOTSTRAP", "1").arg("fuzz");
    command
}

fn install_cargo_fuzz() -> Result<(), String> {
    let version = output(fuzz().arg("--version")).unwrap_or_default();
    if version.split_whitespace().nth(1) == Some(CARGO_FUZZ) {
        return Ok(());
    }
    run(cargo().args(["install", "cargo-fuzz", "--locked", "--version", CARGO_FUZZ]))
}

fn bound(name: &str, default: u64) -> Result<u64, String> {
    match std::env::var(name) {
        Ok(text) => text.parse().map_err(|_| format!("{name}={text:?} is not a whole number")),
        Err(_) => Ok(default),
    }
}
