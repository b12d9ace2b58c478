//! Library crates must build where there is no operating system.

use crate::process::{cargo, output, run};
use crate::report::{CheckResult, Outcome};
use crate::sources::LIBRARIES;
use std::process::Command;

/// Targets without a standard library: a dependency that wants one does not compile there.
const BARE_TARGETS: &[&str] = &["thumbv7em-none-eabihf", "x86_64-unknown-none"];

pub(crate) fn check() -> CheckResult {
    let target = bare_target();
    match target {
        Some(name) => println!("building for {name}, which has no standard library"),
        None => println!(
            "no target without a standard library can be installed ({}): \
             building for this machine, which proves less",
            BARE_TARGETS.join(", ")
        ),
    }
    for library in LIBRARIES {
        let package = package_name(library);
        let mut build = cargo();
        build.args(["check", "-q", "-p", &package, "--lib", "--no-default-features"]);
        if let Some(name) = target {
            build.args(["--target", name]);
        }
        run(&mut build)?;
        check_extern_std(library)?;
    }
    Ok(Outcome::Passed)
}

fn package_name(library: &str) -> String {
    if library == "ikebana" { library.to_owned() } else { format!("ikebana-{library}") }
}

/// The first target that is installed, or that rustup can install.
fn bare_target() -> Option<&'static str> {
    let installed = output(Command::new("rustup").args(["target", "list", "--installed"])).ok()?;
    let present = BARE_TARGETS.iter().find(|name| installed.lines().any(|line| line == **name));
    if let Some(name) = present {
        return Some(name);
    }
    BARE_TARGETS
        .iter()
        .find(|name| run(Command::new("rustup").args(["target", "add", name])).is_ok())
        .copied()
}

/// `extern crate std` must sit under the feature that asks for it, and the root must be `no_std`.
fn check_extern_std(library: &str) -> Result<(), String> {
    let path = format!("crates/{library}/src/lib.rs");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    if !text.lines().any(|line| line.trim() == "#![no_std]") {
        return Err(format!("{path}: no #![no_std]"));
    }
    let mut previous = "";
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let guarded =
            previous.contains("cfg(") && (previous.contains("\"std\"") || previous.contains("test"));
        if line == "extern crate std;" && !guarded {
            return Err(format!("{path}: extern crate std without #[cfg(feature = \"std\")]"));
        }
        previous = line;
    }
    Ok(())
}
