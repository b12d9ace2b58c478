//! A process that asks scapy.

use std::io::{BufRead, BufReader, Write};
use std::net::IpAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

const SCRIPT: &str = include_str!("oracle.py");
/// What goes into the environment; versions that are known to agree.
const PACKAGES: [&str; 2] = ["scapy==2.8.0", "cryptography==50.0.2"];

/// scapy in a process of its own.
pub(super) struct Oracle {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// An SA as scapy names it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Association {
    pub(super) protocol: &'static str,
    pub(super) spi: u32,
    pub(super) encryption: Option<&'static str>,
    pub(super) encryption_key: String,
    pub(super) integrity: Option<&'static str>,
    pub(super) integrity_key: String,
    /// Of a combined mode whose ICV scapy would make longer.
    pub(super) icv_len: Option<usize>,
    pub(super) tunnel: Option<(IpAddr, IpAddr)>,
    pub(super) udp: bool,
    pub(super) esn: bool,
}

/// What to do with a packet.
#[derive(Clone, Copy, Debug)]
pub(super) enum Work {
    Seal,
    Open,
}

#[derive(Serialize)]
struct Question<'a> {
    #[serde(flatten)]
    association: &'a Association,
    sequence: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    seal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    open: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    octets: Option<String>,
    forged: Option<IgnoredAny>,
    error: Option<String>,
}

/// What scapy says of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was sealed, or opened: the packet then.
    Packet(Vec<u8>),
    /// The ICV is wrong.
    Forged,
}

impl Oracle {
    /// Starts scapy; `folder` has its environment, which is made if it is not there.
    pub(super) fn start(folder: &Path) -> Result<Self> {
        let python = folder.join("bin/python");
        if !is_complete(&python) {
            println!("installing {} into {}", PACKAGES.join(" and "), folder.display());
            run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder))?;
            run(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(PACKAGES))?;
        }
        let mut child = Command::new(&python)
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", python.display()))?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().context("no standard output")?);
        Ok(Self { child, input, output })
    }

    /// Has a packet sealed or opened.
    pub(super) fn ask(
        &mut self,
        association: &Association,
        sequence: u64,
        work: Work,
        packet: &[u8],
    ) -> Result<Verdict> {
        let hex = Some(to_hex(packet));
        let (seal, open) = match work {
            Work::Seal => (hex, None),
            Work::Open => (None, hex),
        };
        let mut line = serde_json::to_string(&Question { association, sequence, seal, open })?;
        line.push('\n');
        self.input.as_mut().context("no standard input")?.write_all(line.as_bytes())?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let answer: Answer =
            serde_json::from_str(&line).with_context(|| format!("scapy answered {line:?}"))?;
        match answer {
            Answer { octets: Some(hex), .. } => Ok(Verdict::Packet(from_hex(&hex)?)),
            Answer { forged: Some(_), .. } => Ok(Verdict::Forged),
            Answer { error, .. } => bail!("scapy failed: {}", error.unwrap_or_default()),
        }
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // Without input it ends by itself.
        self.input = None;
        let _ = self.child.wait();
    }
}

fn is_complete(python: &Path) -> bool {
    let check = format!(
        "import importlib.metadata as m; assert all(m.version(p.split('==')[0]) == p.split('==')[1] for p in {PACKAGES:?})"
    );
    let status = Command::new(python).args(["-c", &check]).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{command:?}"))?;
    if status.success() { Ok(()) } else { bail!("{command:?}: {status}") }
}

pub(super) fn to_hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn from_hex(text: &str) -> Result<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair)?;
        Ok(u8::from_str_radix(pair, 16)?)
    });
    pairs.collect()
}
