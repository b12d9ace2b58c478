//! The program `ikebana`.

use std::process::ExitCode;

use clap::Parser;
use ikebana_gateway::cli::{Cli, run};

fn main() -> ExitCode {
    run(Cli::parse()).unwrap_or_else(|error| {
        eprintln!("ikebana: {error:#}");
        ExitCode::FAILURE
    })
}
