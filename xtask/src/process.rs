//! Child processes, echoed before they run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Makes the workspace root the current directory, so that every path below is relative to it.
pub(crate) fn enter_workspace_root() -> Result<(), String> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = manifest.parent().ok_or("xtask has no parent folder")?;
    std::env::set_current_dir(root).map_err(|error| format!("cannot enter {}: {error}", root.display()))
}

/// The cargo that runs us, so that a chosen toolchain stays the same throughout.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from)
}

/// Runs to the end with our own standard streams; an unsuccessful exit is an error.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    println!("$ {}", render(command));
    let status = command.status().map_err(|error| format!("{}: {error}", render(command)))?;
    if status.success() { Ok(()) } else { Err(format!("{}: {status}", render(command))) }
}

/// Runs quietly and returns standard output; an unsuccessful exit is an error.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| format!("{}: {error}", render(command)))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let stderr = String::from_utf8_lossy(&output.stderr);
        Err(format!("{}: {}\n{}", render(command), output.status, stderr.trim_end()))
    }
}

/// The command as one would type it.
fn render(command: &Command) -> String {
    let environment = command
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={:?}", name.display(), value?.to_string_lossy())));
    let program = Path::new(command.get_program())
        .file_name()
        .map_or_else(|| "?".to_owned(), |name| name.to_string_lossy().into_owned());
    let arguments = command.get_args().map(|argument| argument.to_string_lossy().into_owned());
    environment.chain([program]).chain(arguments).collect::<Vec<_>>().join(" ")
}
