//! What was measured, in words: for a terminal and as Markdown.

use std::fmt::Write as _;

use crate::contender::Row;
use crate::cores::{self, Scaling};
use crate::measure::{Measurement, Operation};
use crate::workload::{Sizes, Suite};

/// Everything of one run.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) measurements: Vec<Measurement>,
    pub(crate) scalings: Vec<Scaling>,
}

/// How tables are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Terminal,
    Markdown,
}

impl Report {
    fn find(&self, suite: Suite, sizes: Sizes, operation: Operation) -> Option<&Measurement> {
        self.measurements.iter().find(|one| {
            (one.suite, one.sizes, one.operation) == (suite, sizes, operation)
                && one.batch == 32
                && !one.many_sas
        })
    }

    /// What we hold ourselves to, at 1408 octets in batches of 32 where nothing else is said.
    pub(crate) fn goals(&self, style: Style) -> String {
        use Operation::{Open, Seal};
        let full = Sizes::All(1408);
        let goals = [
            (Suite::Aes128Sha1, full, Seal, Row::IpsecMb, 1.2),
            (Suite::Aes128Sha1, full, Open, Row::IpsecMb, 1.1),
            (Suite::Aes256Sha256, full, Seal, Row::IpsecMb, 1.1),
            (Suite::Aes128Gcm, full, Seal, Row::IpsecMb, 1.3),
            (Suite::Aes128Gcm, full, Open, Row::IpsecMb, 1.3),
            (Suite::Aes128Gcm, full, Seal, Row::Graviola, 1.5),
            (Suite::Aes128Gcm, full, Open, Row::Graviola, 1.5),
            (Suite::ChaCha20Poly1305, full, Seal, Row::AwsLc, 0.95),
            (Suite::ChaCha20Poly1305, full, Open, Row::AwsLc, 0.95),
            (Suite::Aes128Sha1, Sizes::Mix, Seal, Row::IpsecMb, 1.1),
            (Suite::Aes128Sha1, Sizes::Mix, Open, Row::IpsecMb, 1.1),
        ];
        let mut table = Table::new(style, ["packets", "beside", "goal", "measured"].map(String::from));
        for (suite, sizes, operation, peer, goal) in goals {
            let measured = self.find(suite, sizes, operation).and_then(|one| one.ratio(peer));
            table.row([
                format!("{} {}, {}", suite.keywords(), operation.name(), size_name(sizes)),
                peer.name().into(),
                format!("≥ {goal:.2}"),
                measured.map_or("not measured".into(), |ratio| mark(style, ratio, ratio >= goal)),
            ]);
        }
        // A packet's size changes nothing around the ciphers; small ones drown it least.
        let around = self.measurements.iter().filter(|one| one.batch == 32 && one.sizes == Sizes::All(64));
        let worst =
            around.filter_map(|one| Some((one.around()?, one))).max_by(|(a, _), (b, _)| a.total_cmp(b));
        if let Some((nanoseconds, one)) = worst {
            let sas = if one.many_sas { ", 32 SAs" } else { "" };
            table.row([
                format!("around the ciphers, worst: {} {}{sas}", one.suite.keywords(), one.operation.name()),
                Row::Bare.name().into(),
                "< 60 ns".into(),
                format!("{nanoseconds:.0} ns{}", if nanoseconds < 60.0 { "" } else { " (missed)" }),
            ]);
        }
        table.finish()
    }

    /// One line per suite and direction, at 1408 octets in batches of 32.
    pub(crate) fn summary(&self, style: Style) -> String {
        let mut head = vec!["1408 octets, batches of 32".to_owned(), "ikebana".to_owned()];
        head.extend(Row::PEERS.map(|peer| peer.name().to_owned()));
        let mut table = Table::new(style, head);
        for suite in Suite::ALL {
            for operation in Operation::ALL {
                let Some(one) = self.find(suite, Sizes::All(1408), operation) else { continue };
                let mut row = vec![format!("{} {}", suite.keywords(), operation.name())];
                let speed = |row| one.gigabytes(row).map(|gigabytes| format!("{gigabytes:.2} GB/s"));
                row.push(speed(Row::Whole).unwrap_or_default());
                row.extend(Row::PEERS.map(|peer| match (speed(peer), one.ratio(peer)) {
                    (Some(speed), Some(ratio)) => format!("{speed} (×{ratio:.2})"),
                    _ => "-".into(),
                }));
                table.row(row);
            }
        }
        table.finish()
    }

    /// Everything about one suite.
    pub(crate) fn suite(&self, suite: Suite, style: Style) -> String {
        let mut text = String::new();
        for operation in Operation::ALL {
            let mut head = vec!["size".to_owned(), "batch".to_owned(), "ikebana".to_owned()];
            head.extend(Row::PEERS.map(|peer| peer.name().to_owned()));
            head.extend(["around".to_owned(), "ipsec-mb was".to_owned()]);
            let mut table = Table::new(style, head);
            let measurements = self.measurements.iter();
            for one in measurements.filter(|one| one.suite == suite && one.operation == operation) {
                let sas = if one.many_sas { ", 32 SAs" } else { "" };
                let mut row = vec![format!("{}{sas}", size_name(one.sizes)), one.batch.to_string()];
                let speed = one.gigabytes(Row::Whole).unwrap_or_default();
                row.push(format!(
                    "{} ns, {speed:.2} GB/s",
                    number(one.nanoseconds(Row::Whole).unwrap_or_default())
                ));
                row.extend(Row::PEERS.map(|peer| match (one.nanoseconds(peer), one.ratio(peer)) {
                    (Some(nanoseconds), Some(ratio)) => format!("{} (×{ratio:.2})", number(nanoseconds)),
                    _ => "-".into(),
                }));
                row.push(one.around().map_or("-".into(), |around| format!("{around:.0}")));
                let name = one.name(Row::IpsecMb).and_then(|name| name.split_once(' '));
                row.push(name.map_or("-".into(), |(_, how)| how.to_owned()));
                table.row(row);
            }
            let title = format!("{} {}", suite.keywords(), operation.name());
            match style {
                Style::Terminal => writeln!(text, "{title}\n{}", table.finish()),
                Style::Markdown => writeln!(text, "### {title}\n\n{}", table.finish()),
            }
            .expect("a string takes everything");
        }
        text
    }

    /// One SA on two cores.
    pub(crate) fn cores(&self, style: Style) -> String {
        let head = ["one SA", "packets/s, 1 thread", "packets/s, 2 threads", "factor"].map(String::from);
        let mut table = Table::new(style, head);
        for one in &self.scalings {
            let [single, double] = one.packets_per_second;
            table.row([
                format!("{} {}, {} octets", one.suite.keywords(), one.operation.name(), cores::PAYLOAD),
                format!("{:.2} million", single / 1e6),
                format!("{:.2} million", double / 1e6),
                format!("×{:.2}", one.factor()),
            ]);
        }
        table.finish()
    }
}

/// On what all of this was measured, and who was.
pub(crate) fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = cpu.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let model = field("model name").unwrap_or_else(|| std::env::consts::ARCH.into());
    let numbers = match (field("cpu family"), field("model\t")) {
        (Some(family), Some(model)) => format!(" (family {family}, model {model})"),
        _ => String::new(),
    };
    let peers = ["aws-lc-rs", "graviola", "aes-gcm", "aes", "sha1", "sha2", "chacha20poly1305"];
    let versions = peers.map(|name| format!("{name} {}", version(name)));
    format!(
        "{model}{numbers}, one core. {}; intel-ipsec-mb {}; {}.",
        env!("COMPILER").split(" (").next().unwrap_or_default(),
        ipsec_mb_version(),
        versions.join(", "),
    )
}

#[cfg(feature = "peer-ipsec-mb")]
fn ipsec_mb_version() -> String {
    let version = crate::ipsec_mb::version();
    version.strip_prefix('v').unwrap_or(&version).to_owned()
}

#[cfg(not(feature = "peer-ipsec-mb"))]
fn ipsec_mb_version() -> String {
    "not measured".into()
}

/// The version of a crate that was built in.
fn version(name: &str) -> &'static str {
    let mut lines = include_str!("../Cargo.lock").lines();
    lines.find(|line| *line == format!("name = \"{name}\""));
    let line = lines.next().unwrap_or_default();
    line.trim_start_matches("version = ").trim_matches('"')
}

fn size_name(sizes: Sizes) -> String {
    match sizes {
        Sizes::All(size) => size.to_string(),
        Sizes::Mix => "mix".into(),
    }
}

fn number(nanoseconds: f64) -> String {
    if nanoseconds < 100.0 { format!("{nanoseconds:.1}") } else { format!("{nanoseconds:.0}") }
}

fn mark(style: Style, ratio: f64, reached: bool) -> String {
    match (reached, style) {
        (true, _) => format!("{ratio:.2}"),
        (false, Style::Terminal) => format!("{ratio:.2} (missed)"),
        (false, Style::Markdown) => format!("**{ratio:.2}** (missed)"),
    }
}

/// Rows of cells, the first of them the head.
struct Table {
    style: Style,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn new(style: Style, head: impl Into<Vec<String>>) -> Self {
        Self { style, rows: vec![head.into()] }
    }

    fn row(&mut self, cells: impl Into<Vec<String>>) {
        self.rows.push(cells.into());
    }

    /// The table; columns that only say "-" are left out.
    fn finish(mut self) -> String {
        let columns = self.rows.first().map_or(0, Vec::len);
        let empty = |rows: &[Vec<String>], at: usize| rows.iter().skip(1).all(|row| row[at] == "-");
        for at in (0..columns).rev().filter(|&at| empty(&self.rows, at)).collect::<Vec<_>>() {
            self.rows.iter_mut().for_each(|row| drop(row.remove(at)));
        }
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |at: usize| self.rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
        let widths: Vec<_> = (0..columns).map(width).collect();
        let mut text = String::new();
        for (index, row) in self.rows.iter().enumerate() {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            match self.style {
                Style::Terminal => {
                    let line = cells.collect::<Vec<_>>().join("  ");
                    text.push_str(&format!("  {}\n", line.trim_end()));
                }
                Style::Markdown => {
                    text.push_str(&format!("| {} |\n", cells.collect::<Vec<_>>().join(" | ")));
                    if index == 0 {
                        let rules = widths.iter().map(|width| "-".repeat(*width));
                        text.push_str(&format!("| {} |\n", rules.collect::<Vec<_>>().join(" | ")));
                    }
                }
            }
        }
        text
    }
}

/// Puts `text` between the marks of a section of a Markdown file, if it has that section.
pub(crate) fn replace_section(file: &mut String, section: &str, text: &str) {
    let (begin, end) = (format!("<!-- measured: {section} -->\n"), format!("<!-- end: {section} -->"));
    let Some(start) = file.find(&begin).map(|at| at + begin.len()) else { return };
    let Some(length) = file[start..].find(&end) else { return };
    file.replace_range(start..start + length, &format!("\n{}\n\n", text.trim_end()));
}
