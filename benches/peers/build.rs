//! Compiles the shim to intel-ipsec-mb, if that peer is wanted, and notes what compiles everything.

fn main() {
    println!("cargo::rerun-if-changed=src/ipsec_mb.c");
    #[cfg(feature = "peer-ipsec-mb")]
    {
        cc::Build::new().file("src/ipsec_mb.c").opt_level(3).warnings(true).compile("esp_peers_ipsec_mb");
        println!("cargo::rustc-link-lib=IPSec_MB");
    }
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = std::process::Command::new(rustc).arg("--version").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    println!("cargo::rustc-env=COMPILER={}", version.unwrap_or_default());
}
