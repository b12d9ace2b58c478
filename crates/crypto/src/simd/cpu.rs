//! What the processor can do.

/// Sets of instructions that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// AVX2, and nothing for AES.
    Vectors,
    /// AES, carry-less multiplication and SHA on 128-bit vectors, AVX2.
    Narrow,
    /// The same, and AES and carry-less multiplication on 256-bit vectors.
    Wide,
}

/// A level that this processor was found to have. Having one is the proof that the kernels need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tier(Level);

impl Tier {
    /// `None` if the processor lacks an instruction of the level.
    pub(crate) fn of(level: Level) -> Option<Self> {
        let there = match level {
            // No tier: its holders use AES instructions.
            Level::Vectors => false,
            Level::Narrow => narrow(),
            Level::Wide => narrow() && wide(),
        };
        there.then_some(Self(level))
    }

    /// Whether there are AES and carry-less multiplication on 256-bit vectors.
    pub(crate) fn is_wide(self) -> bool {
        self.0 == Level::Wide
    }
}

/// The proof that there is AVX2, which every level includes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// `None` if the processor has no AVX2.
    pub(crate) fn new() -> Option<Self> {
        avx2().then_some(Self(()))
    }
}

#[cfg(feature = "std")]
fn avx2() -> bool {
    std::is_x86_feature_detected!("avx2")
}

#[cfg(feature = "std")]
fn narrow() -> bool {
    use std::is_x86_feature_detected as has;
    avx2() && has!("aes") && has!("pclmulqdq") && has!("sha") && has!("ssse3") && has!("sse4.1")
}

#[cfg(feature = "std")]
fn wide() -> bool {
    use std::is_x86_feature_detected as has;
    has!("vaes") && has!("vpclmulqdq")
}

/// Whether vector registers may be used is the operating system's to say, and without it nobody does.
#[cfg(not(feature = "std"))]
fn avx2() -> bool {
    false
}

#[cfg(not(feature = "std"))]
fn narrow() -> bool {
    false
}

#[cfg(not(feature = "std"))]
fn wide() -> bool {
    false
}
