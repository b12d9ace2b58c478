//! Running checks and summing up what they said.

use std::time::{Duration, Instant};

/// How a check ended when it did not fail.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Everything it looked at was right.
    Passed,
    /// It could not run here, for the reason given.
    NotRun(String),
}

/// What a check returns: the error text says what is wrong.
pub(crate) type CheckResult = Result<Outcome, String>;

/// One check with its name on the command line.
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: fn() -> CheckResult,
}

impl Check {
    pub(crate) const fn new(name: &'static str, about: &'static str, run: fn() -> CheckResult) -> Self {
        Self { name, about, run }
    }
}

/// Runs one check and prints how it ended; `Ok(false)` means that it failed.
pub(crate) fn run_one(name: &str, check: impl FnOnce() -> CheckResult) -> Result<bool, String> {
    match check() {
        Ok(Outcome::Passed) => {
            println!("{name}: passed");
            Ok(true)
        }
        Ok(Outcome::NotRun(why)) => {
            println!("{name}: NOT RUN: {why}");
            Ok(true)
        }
        Err(why) => {
            println!("{name}: FAILED: {why}");
            Ok(false)
        }
    }
}

/// Runs all checks, past failures, and prints a table and the count; `false` if any failed.
pub(crate) fn run_all(checks: &[Check]) -> bool {
    let mut rows = Vec::new();
    for check in checks {
        println!("\n=== {}: {}", check.name, check.about);
        let start = Instant::now();
        let result = (check.run)();
        if let Err(why) = &result {
            println!("{}: FAILED: {why}", check.name);
        }
        rows.push((check.name, start.elapsed(), result));
    }
    print_table(&rows);
    let failed = rows.iter().filter(|(_, _, result)| result.is_err()).count();
    let passed = rows.iter().filter(|(_, _, result)| matches!(result, Ok(Outcome::Passed))).count();
    println!("{passed} passed, {failed} failed");
    failed == 0
}

fn print_table(rows: &[(&str, Duration, CheckResult)]) {
    println!("\n{:<18} {:>8}  result", "check", "seconds");
    for (name, took, result) in rows {
        let verdict = match result {
            Ok(Outcome::Passed) => "passed".to_owned(),
            Ok(Outcome::NotRun(why)) => format!("NOT RUN: {why}"),
            Err(why) => format!("FAILED: {}", why.lines().next().unwrap_or_default()),
        };
        println!("{name:<18} {:>8.1}  {verdict}", took.as_secs_f64());
    }
    let total: Duration = rows.iter().map(|(_, took, _)| *took).sum();
    println!("{:<18} {:>8.1}", "total", total.as_secs_f64());
}
