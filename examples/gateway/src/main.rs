//! The program `ikebana`.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use ikebana_gateway::cli::{Cli, run};

fn main() -> ExitCode {
    run(Cli::parse()).unwrap_or_else(|error| {
        // A full disk behind it must not become a panic.
        let _ = writeln!(std::io::stderr(), "ikebana: {error:#}");
        ExitCode::FAILURE
    })
}
