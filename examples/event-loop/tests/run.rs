//! Runs the program.

use std::process::Command;

#[test]
fn a_packet_crosses_the_tunnel_and_both_engines_go_home() {
    let output = Command::new(env!("CARGO_BIN_EXE_event-loop")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let line = |wanted: &str| {
        text.lines().position(|line| line == wanted).unwrap_or_else(|| panic!("no {wanted:?} in {text}"))
    };
    assert!(line("left: the tunnel is up") < line("right: the packet is here"));
    assert!(text.contains("28 octets leave as "), "{text}");
    assert!(line("right: the packet is here") < line("left: stopped here"));
    assert!(line("right: the packet is here") < line("right: deleted by the peer"));
}
