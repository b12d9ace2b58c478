//! Runs the program.

use std::process::Command;

#[test]
fn a_slow_lookup_holds_up_only_the_peer_it_is_for() {
    let output = Command::new(env!("CARGO_BIN_EXE_async-credentials")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let line = |wanted: &str| {
        text.lines().position(|line| line == wanted).unwrap_or_else(|| panic!("no {wanted:?} in {text}"))
    };
    assert!(line("asked: configuration for slow.example.com") < line("up: fast.example.com"));
    assert!(line("up: fast.example.com") < line("asked: key of slow.example.com"));
    assert!(line("asked: key of slow.example.com") < line("up: slow.example.com"));
}
