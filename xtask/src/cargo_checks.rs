//! The checks that cargo itself can answer.

use crate::process::{cargo, run};
use crate::report::{CheckResult, Outcome};

pub(crate) fn fmt() -> CheckResult {
    run(cargo().args(["fmt", "--all", "--check"]))?;
    // Workspaces of their own: libFuzzer needs its own profile, and the peers are partly C.
    for manifest in ["fuzz/Cargo.toml", "benches/peers/Cargo.toml"] {
        run(cargo().args(["fmt", "--manifest-path", manifest, "--check"]))?;
    }
    Ok(Outcome::Passed)
}

pub(crate) fn clippy() -> CheckResult {
    run(cargo().args(["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]))?;
    Ok(Outcome::Passed)
}

pub(crate) fn test() -> CheckResult {
    run(cargo().args(["test", "--workspace", "--all-features"]))?;
    Ok(Outcome::Passed)
}

pub(crate) fn doc() -> CheckResult {
    run(cargo().env("RUSTDOCFLAGS", "-D warnings").args([
        "doc",
        "--workspace",
        "--all-features",
        "--no-deps",
    ]))?;
    Ok(Outcome::Passed)
}

/// Compiles every benchmark and runs each measured routine once.
///
/// The development profile is enough for that, and most of it is compiled by then.
pub(crate) fn bench_smoke() -> CheckResult {
    run(cargo().args(["bench", "--workspace", "--profile", "dev", "--bench", "*", "--", "--test"]))?;
    Ok(Outcome::Passed)
}
