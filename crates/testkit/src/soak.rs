//! How long tests run: a share of it always, all of it in `cargo xtask soak`.

/// Steps of a test that counts them: `ordinary`, or what `IKEBANA_SOAK_STEPS` says.
///
/// # Panics
/// If that is not a number.
#[must_use]
pub fn steps(ordinary: u64) -> u64 {
    setting("IKEBANA_SOAK_STEPS").unwrap_or(ordinary)
}

/// Cases of a property test: `ordinary`, times what `IKEBANA_SOAK_FACTOR` says.
///
/// # Panics
/// If that is not a number.
#[must_use]
pub fn cases(ordinary: u32) -> u32 {
    let factor = setting("IKEBANA_SOAK_FACTOR").unwrap_or(1);
    ordinary.saturating_mul(u32::try_from(factor).unwrap_or(u32::MAX))
}

/// Where the random choices of a test start that draws them itself: at 1, or where `IKEBANA_SOAK_SEED` says.
///
/// # Panics
/// If that is not a number.
#[must_use]
pub fn seed() -> u64 {
    setting("IKEBANA_SOAK_SEED").unwrap_or(1)
}

#[expect(clippy::disallowed_methods, reason = "tests may be told from outside how long to run")]
fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.replace('_', "").parse().expect("a number in a variable that says how long tests run"))
}
