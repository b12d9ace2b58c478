//! Two hosts in network namespaces of their own, each with a gateway, as an unprivileged user may make them.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value as Json;

/// Nothing here takes this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs an ignored test of the calling test program in a user, mount and network namespace of its own.
pub(crate) fn in_namespace(test: &str) {
    let can = Command::new("unshare").args(["-rn", "true"]).status().is_ok_and(|status| status.success());
    if !can {
        assert!(std::env::var_os("CI").is_none(), "unshare -rn must work where CI is set");
        eprintln!("did not run: unshare -rn is missing or not permitted here");
        return;
    }
    let output = Command::new("unshare")
        .arg("-rn")
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("1 passed"), "the inner test did not run: {text}");
}

/// One of the two hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// In the test's own namespace: 192.0.2.1, 2001:db8::1; behind it 10.1.0.1 and fd01::1.
    Left,
    /// In another one: 192.0.2.2, 2001:db8::2; behind it 10.2.0.1 and fd02::1.
    Right,
}

/// Both hosts.
pub(crate) struct Lab {
    folder: tempfile::TempDir,
    /// Keeps the right host's namespace.
    keeper: Child,
    gateways: [Option<Child>; 2],
}

impl Lab {
    pub(crate) fn new() -> Self {
        let keeper = Command::new("unshare").args(["-n", "sleep", "300"]).spawn().unwrap();
        let lab = Self { folder: tempfile::tempdir().unwrap(), keeper, gateways: [None, None] };
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        let theirs = format!("/proc/{}/ns/net", lab.keeper.id());
        until("the other namespace", || std::fs::read_link(&theirs).is_ok_and(|theirs| theirs != own));
        lab.ip(Side::Left, "link add left type veth peer name right");
        lab.ip(Side::Left, &format!("link set right netns {}", lab.keeper.id()));
        for (side, number, name) in [(Side::Left, 1, "left"), (Side::Right, 2, "right")] {
            lab.ip(side, "link set lo up");
            lab.ip(side, &format!("addr add 192.0.2.{number}/24 dev {name}"));
            lab.ip(side, &format!("addr add 2001:db8::{number}/64 dev {name} nodad"));
            lab.ip(side, &format!("addr add 10.{number}.0.1/24 dev lo"));
            lab.ip(side, &format!("addr add fd0{number}::1/64 dev lo nodad"));
            lab.ip(side, &format!("link set {name} up"));
        }
        lab
    }

    /// A command on one of the hosts.
    pub(crate) fn command(&self, side: Side, program: &str, arguments: &[&str]) -> Command {
        let mut command = match side {
            Side::Left => Command::new(program),
            Side::Right => {
                let mut command = Command::new("nsenter");
                command.args(["-n", "-t", &self.keeper.id().to_string(), program]);
                command
            }
        };
        command.args(arguments);
        command
    }

    pub(crate) fn ip(&self, side: Side, arguments: &str) -> String {
        let list: Vec<&str> = arguments.split(' ').collect();
        text(&format!("ip {arguments}"), self.command(side, "ip", &list).output().unwrap())
    }

    /// Starts a gateway, or starts it anew, with this configuration.
    pub(crate) fn start(&mut self, side: Side, configuration: &str) {
        let errors = File::create(self.path(side, "log")).unwrap();
        self.start_logging_to(side, configuration, errors);
    }

    pub(crate) fn start_logging_to(&mut self, side: Side, configuration: &str, log: File) {
        self.configure(side, configuration);
        let (file, control) = (self.path(side, "toml"), self.path(side, "control"));
        let arguments =
            ["up", "-c", file.to_str().unwrap(), "--control", control.to_str().unwrap(), "--log", "debug"];
        let mut command = self.command(side, env!("CARGO_BIN_EXE_ikebana"), &arguments);
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.gateways[side as usize] = Some(child);
        until("the gateway's control socket", || self.ask(side, &["status"]).is_ok());
    }

    /// Writes a gateway's configuration, without telling it.
    pub(crate) fn configure(&self, side: Side, configuration: &str) {
        std::fs::write(self.path(side, "toml"), configuration).unwrap();
    }

    /// Sends a signal to a gateway.
    pub(crate) fn signal(&self, side: Side, signal: &str) {
        let process = self.gateways[side as usize].as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &process]).status().unwrap().success());
    }

    /// Waits until a gateway has ended by itself, and says whether it was content.
    pub(crate) fn wait(&mut self, side: Side) -> bool {
        let mut child = self.gateways[side as usize].take().unwrap();
        until("the gateway's end", || child.try_wait().unwrap().is_some());
        child.wait().unwrap().success()
    }

    /// Runs the program's other commands: what it printed, or why it refused.
    pub(crate) fn ask(&self, side: Side, arguments: &[&str]) -> Result<String, String> {
        let control = self.path(side, "control");
        let output = Command::new(env!("CARGO_BIN_EXE_ikebana"))
            .args(arguments)
            .args(["--control", control.to_str().unwrap()])
            .output()
            .unwrap();
        match output.status.success() {
            true => Ok(String::from_utf8(output.stdout).unwrap()),
            false => Err(String::from_utf8(output.stderr).unwrap()),
        }
    }

    /// The first tunnel's entry in the status.
    pub(crate) fn tunnel(&self, side: Side) -> Json {
        let status = self
            .ask(side, &["status", "--json"])
            .unwrap_or_else(|error| panic!("{error}\n{}", self.log(side)));
        serde_json::from_str::<Json>(&status).unwrap()["tunnels"][0].clone()
    }

    /// Waits until both sides' tunnel is up.
    pub(crate) fn until_up(&self) {
        until("the tunnel", || {
            let states = [Side::Left, Side::Right].map(|side| self.tunnel(side));
            let up = states.iter().all(|tunnel| tunnel["state"] == "up");
            if !up && std::env::var_os("SHOW").is_some() {
                eprintln!("{states:?}");
            }
            up
        });
    }

    /// Pings from the left host; the number of answers.
    pub(crate) fn ping(&self, count: u32, more: &[&str], address: &str) -> u32 {
        let count = count.to_string();
        let mut arguments = vec!["-n", "-c", &count, "-i", "0.02", "-W", "2"];
        arguments.extend(more);
        arguments.push(address);
        let output = self.command(Side::Left, "ping", &arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let summary = text.lines().find(|line| line.contains(" received")).unwrap_or_default();
        let received = summary.split(", ").find_map(|part| part.strip_suffix(" received"));
        received.and_then(|count| count.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn log(&self, side: Side) -> String {
        std::fs::read_to_string(self.path(side, "log")).unwrap_or_default()
    }

    fn path(&self, side: Side, kind: &str) -> PathBuf {
        self.folder.path().join(format!("{side:?}.{kind}"))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if thread::panicking() {
            for side in [Side::Left, Side::Right] {
                eprintln!("--- {side:?}\n{}", self.log(side));
            }
        }
        for child in self.gateways.iter_mut().flatten().chain([&mut self.keeper]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn text(what: &str, output: Output) -> String {
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A `[[tunnel]]` for one side; `lines` add to it or replace its own.
pub(crate) fn tunnel(side: Side, start: &str, lines: &str) -> String {
    let (us, them) = if side == Side::Left { (1, 2) } else { (2, 1) };
    let own = [
        ("name", "\"net\"".to_owned()),
        ("local", format!("\"192.0.2.{us}\"")),
        ("remote", format!("\"192.0.2.{them}\"")),
        ("local_id", format!("\"@gateway{us}.example.net\"")),
        ("remote_id", format!("\"@gateway{them}.example.net\"")),
        ("psk", "\"correct-horse-battery-staple\"".to_owned()),
        ("local_ts", format!("[\"10.{us}.0.0/24\"]")),
        ("remote_ts", format!("[\"10.{them}.0.0/24\"]")),
        ("start", format!("\"{start}\"")),
    ];
    let given = |key: &str| lines.lines().any(|line| line.trim().starts_with(&format!("{key} =")));
    let mut text = "[[tunnel]]\n".to_owned();
    for (key, value) in own.iter().filter(|(key, _)| !given(key)) {
        text.push_str(&format!("{key} = {value}\n"));
    }
    text.push_str(lines);
    text.push('\n');
    text
}
