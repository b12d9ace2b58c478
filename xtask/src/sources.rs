//! Rules about source files that no compiler lint states.

use std::fs;
use std::path::{Path, PathBuf};

use crate::report::{CheckResult, Outcome};

const MAX_LINES: usize = 600;

/// Crates that must not contain `unsafe` and must say so in their root. The one exception is [`KERNELS`].
pub(crate) const LIBRARIES: &[&str] =
    &["core", "proposals", "crypto", "esp", "sa-database", "ike", "ikev1", "ikev2", "ikebana"];

/// Vector instructions cannot do without `unsafe`. They live in one module, and the crate around it denies what
/// the others forbid.
const KERNELS: &str = "crates/crypto/src/simd";

pub(crate) fn check() -> CheckResult {
    let mut files = Vec::new();
    collect(Path::new("."), &mut files)?;
    if files.is_empty() {
        return Err("no Rust files found".to_owned());
    }
    let mut complaints = Vec::new();
    for file in &files {
        let text = read(file)?;
        let lines = text.lines().count();
        if lines > MAX_LINES {
            complaints.push(format!("{}: {lines} lines, more than {MAX_LINES}", file.display()));
        }
        if is_library(file) {
            complaints.extend(unsafe_lines(file, &text));
        }
    }
    for library in LIBRARIES {
        complaints.extend(check_root(library)?);
    }
    println!("{} files read", files.len());
    if complaints.is_empty() { Ok(Outcome::Passed) } else { Err(complaints.join("\n")) }
}

/// A library crate's root forbids `unsafe`, so that the compiler enforces the rule too.
fn check_root(library: &str) -> Result<Option<String>, String> {
    let root = Path::new("crates").join(library).join("src/lib.rs");
    let text = read(&root)?;
    let attribute = match Path::new(KERNELS).starts_with(Path::new("crates").join(library)) {
        true => "#![deny(unsafe_code)]",
        false => "#![forbid(unsafe_code)]",
    };
    let says_so = text.lines().any(|line| line.trim() == attribute);
    Ok((!says_so).then(|| format!("{}: no {attribute}", root.display())))
}

/// Whether the file is held to the rule.
fn is_library(file: &Path) -> bool {
    let kernels = Path::new(".").join(KERNELS);
    if file.starts_with(&kernels) || file == kernels.with_extension("rs") {
        return false;
    }
    LIBRARIES.iter().any(|library| file.starts_with(Path::new("./crates").join(library).join("src")))
}

/// Lines with the keyword `unsafe` outside comments.
fn unsafe_lines(file: &Path, text: &str) -> Vec<String> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| {
            let code = line.split("//").next().unwrap_or_default();
            code.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == "unsafe")
        })
        .map(|(index, _)| format!("{}:{}: unsafe in a library crate", file.display(), index + 1))
        .collect()
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for entry in entries {
        let entry = entry.map_err(|error| format!("{}: {error}", folder.display()))?;
        let kind = entry.file_type().map_err(|error| format!("{}: {error}", folder.display()))?;
        let path = entry.path();
        let name = entry.file_name();
        let hidden = name.to_string_lossy().starts_with('.') || name == "target";
        if kind.is_dir() && !hidden {
            collect(&path, files)?;
        } else if kind.is_file() && path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keyword_is_found_but_not_the_lint_or_a_comment() {
        let text = "#![forbid(unsafe_code)]\n// unsafe is forbidden\nlet x = unsafe { y };\n";
        let found = unsafe_lines(Path::new("a.rs"), text);
        assert_eq!(found, ["a.rs:3: unsafe in a library crate"]);
    }

    #[test]
    fn only_sources_of_library_crates_are_held_to_the_rule() {
        assert!(is_library(Path::new("./crates/esp/src/lib.rs")));
        assert!(!is_library(Path::new("./crates/tunnel-io/src/lib.rs")));
        assert!(!is_library(Path::new("./crates/esp/tests/allocations.rs")));
        assert!(!is_library(Path::new("./crates/crypto/src/simd/cbc.rs")));
        assert!(!is_library(Path::new("./crates/crypto/src/simd.rs")));
        assert!(is_library(Path::new("./crates/crypto/src/simdish.rs")));
    }
}
