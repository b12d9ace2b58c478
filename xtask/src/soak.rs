//! The long versions of the tests that draw at random.

use crate::process::{cargo, run};
use crate::report::{CheckResult, Outcome};

/// Steps of the replay window's life if `IKEBANA_SOAK_STEPS` does not say otherwise.
const STEPS: &str = "4000000000";
/// How many times the usual cases of property tests, if `IKEBANA_SOAK_FACTOR` does not say otherwise.
const FACTOR: &str = "50";

/// Runs them one crate after the other, each on all cores.
pub(crate) fn run_all() -> CheckResult {
    let steps = setting("IKEBANA_SOAK_STEPS", STEPS);
    let factor = setting("IKEBANA_SOAK_FACTOR", FACTOR);
    // Two long tests at a time would share the cores and both seem slow.
    for test in ["windows_", "counters_"] {
        run(cargo().env("IKEBANA_SOAK_STEPS", &steps).args([
            "test",
            "--release",
            "--package",
            "ikebana-esp",
            "--test",
            "replay_model",
            "--",
            "--nocapture",
            test,
        ]))?;
    }
    let esp = ["--package", "ikebana-esp", "--test", "replay_model"];
    let database = ["--package", "ikebana-sa-database", "--lib", "--tests"];
    for target in [&esp, &database] {
        run(cargo().env("IKEBANA_SOAK_FACTOR", &factor).args(["test", "--release"]).args(target))?;
    }
    Ok(Outcome::Passed)
}

fn setting(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}
