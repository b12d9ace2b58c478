//! ESP beside the cipher jobs of other libraries; `benches/peers` measures.

use std::path::Path;
use std::process::Command;

use crate::packages;
use crate::process::{cargo, run};
use crate::report::{CheckResult, Outcome};

const MANIFEST: &str = "benches/peers/Cargo.toml";
const PROGRAM: &str = "benches/peers/target/release/esp-peers";
const HEADER: &str = "/usr/include/intel-ipsec-mb.h";

/// Builds the benchmark with every peer that there is here, and runs it: the tables on one core, and then one SA on
/// two.
pub(crate) fn measure(arguments: &[String]) -> CheckResult {
    if packages::is_debian() && packages::is_root() {
        packages::install_all(&["libipsec-mb-dev"])?;
    }
    let mut build = cargo();
    // Elsewhere the program would not be where we look for it.
    build.env_remove("CARGO_TARGET_DIR");
    build.args(["build", "--release", "--manifest-path", MANIFEST]);
    if Path::new(HEADER).exists() {
        build.args(["--features", "peer-ipsec-mb"]);
    } else {
        println!("{HEADER} is not there, and so intel-ipsec-mb is not measured");
    }
    run(&mut build)?;
    let core = std::thread::available_parallelism().map_or(0, |count| count.get().saturating_sub(1));
    run(Command::new("taskset").args(["-c", &core.to_string(), PROGRAM]).args(arguments))?;
    run(Command::new(PROGRAM).arg("--cores").args(arguments))?;
    Ok(Outcome::Passed)
}
