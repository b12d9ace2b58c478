//! The project's checks, one subcommand each.
//!
//! `cargo xtask ci` runs all of them; CI runs exactly that.

mod cargo_checks;
mod fuzz;
mod interop;
mod no_std;
mod packages;
mod peers;
mod process;
mod report;
mod soak;
mod sources;

use std::process::ExitCode;

use report::Check;

/// The checks in the order `ci` runs them: the quick ones that fail most often come first.
const CHECKS: &[Check] = &[
    Check::new("file-size", "no file over 600 lines, no unsafe in library crates", sources::check),
    Check::new("fmt", "rustfmt finds nothing to change", cargo_checks::fmt),
    Check::new("clippy", "no warning in any target", cargo_checks::clippy),
    Check::new("test", "unit, integration and documentation tests", cargo_checks::test),
    Check::new("doc", "rustdoc builds without a warning", cargo_checks::doc),
    Check::new("no-std", "library crates build without the standard library", no_std::check),
    Check::new("bench-smoke", "every benchmark compiles and runs once", cargo_checks::bench_smoke),
    Check::new("fuzz-smoke", "every fuzz target survives a bounded number of runs", fuzz::smoke),
    Check::new(
        "interop",
        "scenarios against real peers, in network namespaces and in a guest",
        interop::everywhere,
    ),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::from(2)
        }
    }
}

/// Runs one command line; `Ok(false)` means that a check failed.
fn run(arguments: &[String]) -> Result<bool, String> {
    process::enter_workspace_root()?;
    let Some((command, rest)) = arguments.split_first() else {
        return Err(usage());
    };
    match (command.as_str(), rest) {
        ("help" | "--help" | "-h", _) => {
            println!("{}", usage());
            Ok(true)
        }
        ("ci", []) => Ok(report::run_all(CHECKS)),
        ("soak", []) => report::run_one("soak", soak::run_all),
        ("interop", rest) => report::run_one("interop", || interop::from_arguments(rest)),
        ("peers", rest) => report::run_one("peers", || peers::measure(rest)),
        (name, []) => match CHECKS.iter().find(|check| check.name == name) {
            Some(check) => report::run_one(name, check.run),
            None => Err(format!("there is no check named {name:?}\n{}", usage())),
        },
        (name, _) => Err(format!("{name} takes no arguments\n{}", usage())),
    }
}

fn usage() -> String {
    let mut text = String::from("usage: cargo xtask COMMAND\n\n  ci                 all of the following\n");
    for check in CHECKS {
        text.push_str(&format!("  {:<18} {}\n", check.name, check.about));
    }
    text.push_str(
        "\n  peers              how fast ESP is beside other libraries; not a check, and not in ci\n  \
         soak               the tests that draw at random, for billions of steps; not in ci\n",
    );
    text.push_str(
        "\nBy itself, interop runs the scenarios in network namespaces, or with --kernel those in the guest; it also\n\
         takes --filter TEXT (only scenarios whose name contains TEXT) and --list.\n\
         peers hands its arguments on to esp-peers (--milliseconds N, --suite KEYWORDS, --markdown FILE, --plot FILE).\n\
         FUZZ_RUNS, FUZZ_SECONDS and FUZZ_SEED bound fuzz-smoke; IKEBANA_SOAK_STEPS, IKEBANA_SOAK_FACTOR and\n\
         IKEBANA_SOAK_SEED bound soak.\n",
    );
    text
}
