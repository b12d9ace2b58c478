//! `ike-scan`, which has probed IKEv1 responders since before most of them were written.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::lab::Lab;
use crate::scenario::Side;

/// AES-128, SHA-1, a pre-shared key, and group 2: what the scenarios with probes have at our end.
const TRANSFORM: &str = "7/128,2,1,2";

/// Probes our end `count` times from the peer's end; each probe has cookies of its own and goes no further, so
/// each leaves a half-open IKE SA if it is answered.
pub(crate) fn probe(lab: &Lab, aggressive: bool, count: u32, answered: (u32, u32)) -> Result<()> {
    let target = lab.network.topology.end(Side::Us).seen_as;
    let mode = if aggressive { "--aggressive --id=scanner --dhgroup=2" } else { "" };
    let place = lab.place(Side::Them)?;
    let script = format!(
        "for probe in $(seq {count}); do ike-scan --sport=0 --retry=1 --timeout=300 --trans={TRANSFORM} {mode} {target}; done"
    );
    let output = place.try_run(&script, Duration::from_secs(60))?.output;
    let handshakes = output.lines().filter(|line| line.contains("Handshake returned")).count();
    let handshakes = u32::try_from(handshakes)?;
    if handshakes < answered.0 || handshakes > answered.1 {
        bail!(
            "{handshakes} of {count} probes were answered, not {} to {}:\n{output}",
            answered.0,
            answered.1
        );
    }
    // What it was told must be what it asked for.
    let told = output.lines().filter(|line| line.contains("Handshake returned"));
    for line in told {
        for part in ["Enc=AES", "KeyLength=128", "Hash=SHA1", "Auth=PSK", "Group=2:modp1024"] {
            if !line.contains(part) {
                bail!("ike-scan was not told {part}: {line}");
            }
        }
    }
    Ok(())
}
