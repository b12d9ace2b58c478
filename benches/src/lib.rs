//! What the benchmarks share.
//!
//! Each file in `benches/` answers one question, which its first line asks. `cargo bench -p ikebana-benches`
//! measures; with `-- --test` each benchmark runs once, to see that it still works.
#![forbid(unsafe_code)]

pub mod engine;
pub mod esp;
