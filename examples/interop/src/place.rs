//! Where a daemon runs: a network namespace, the guest, or a container.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::wait;

/// How long a shell command may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);

/// A place to run shell commands and daemons in. All places see one common folder.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Namespace {
        name: String,
    },
    /// The guest's agent, reached from the namespace that the guest is wired to.
    Guest {
        namespace: String,
        agent: String,
        helper: PathBuf,
        /// The common folder as the host sees it; the guest sees it as `/shared`.
        shared: PathBuf,
    },
    /// A container of the engine that `docker` talks to; it sees the common folder as `/shared`.
    Container {
        name: String,
        shared: PathBuf,
    },
}

/// What a finished shell command said.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: i32,
    pub(crate) output: String,
}

impl Place {
    /// Runs a shell script to its end; both output streams are returned.
    pub(crate) fn try_run(&self, script: &str, limit: Duration) -> Result<Finished> {
        let mut command = self.shell(script, limit);
        let output = command.stdin(Stdio::null()).output().with_context(|| format!("{command:?}"))?;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        Ok(Finished { code: output.status.code().unwrap_or(-1), output: text })
    }

    /// Runs a shell script that must succeed and returns what it printed.
    pub(crate) fn run(&self, script: &str) -> Result<String> {
        let finished = self.try_run(script, COMMAND_LIMIT)?;
        if finished.code != 0 {
            bail!("`{script}` ended with {}: {}", finished.code, finished.output.trim_end());
        }
        Ok(finished.output)
    }

    /// Starts a daemon: `setup` runs first, then `command` replaces the shell.
    ///
    /// `folder/label.pid` and `folder/label.out` (host paths) receive its pid and its output.
    pub(crate) fn spawn(&self, folder: &Path, label: &str, setup: &str, command: &str) -> Result<Process> {
        let inside = self.inside(folder);
        let pid_file = inside.join(format!("{label}.pid"));
        let out_file = inside.join(format!("{label}.out"));
        let script = format!("echo $$ >{}\n{setup}\nexec {command}", pid_file.display());
        let pid_on_host = folder.join(format!("{label}.pid"));
        // What an earlier process left must not be taken for this one's.
        let _ = std::fs::remove_file(&pid_on_host);
        let child = match self {
            Place::Namespace { name } => {
                let out =
                    File::options().create(true).append(true).open(folder.join(format!("{label}.out")))?;
                Some(
                    Command::new("setsid")
                        .args(["ip", "netns", "exec", name, "sh", "-c", &script])
                        .stdin(Stdio::null())
                        .stdout(out.try_clone()?)
                        .stderr(out)
                        .spawn()
                        .context("setsid ip netns exec")?,
                )
            }
            Place::Guest { .. } | Place::Container { .. } => {
                let file = format!("{label}.sh");
                std::fs::write(folder.join(&file), &script)?;
                self.run(&format!(
                    "setsid sh {} >>{} 2>&1 </dev/null &",
                    inside.join(file).display(),
                    out_file.display()
                ))?;
                None
            }
        };
        wait::until(&format!("{label} to begin"), Duration::from_secs(10), || {
            let pid = std::fs::read_to_string(&pid_on_host).unwrap_or_default();
            Ok(if pid.ends_with('\n') { Ok(()) } else { Err("it has not written its pid".to_owned()) })
        })?;
        Ok(Process { place: self.clone(), pid_file: pid_on_host, child, label: label.to_owned() })
    }

    /// How this place names a path of the common folder.
    pub(crate) fn inside(&self, host: &Path) -> PathBuf {
        match self {
            Place::Namespace { .. } => host.to_owned(),
            Place::Guest { shared, .. } | Place::Container { shared, .. } => host
                .strip_prefix(shared)
                .map_or_else(|_| host.to_owned(), |rest| Path::new("/shared").join(rest)),
        }
    }

    fn shell(&self, script: &str, limit: Duration) -> Command {
        let seconds = limit.as_secs().to_string();
        match self {
            Place::Namespace { name } => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", name, "timeout", "-k", "2", &seconds, "sh", "-c", script]);
                command
            }
            Place::Guest { namespace, agent, helper, .. } => {
                let mut command = Command::new("ip");
                command
                    .args(["netns", "exec", namespace])
                    .arg(helper)
                    .args(["ask", "--limit", &seconds, agent, script]);
                command
            }
            Place::Container { name, .. } => {
                let mut command = Command::new("docker");
                command.args(["exec", name, "timeout", "-k", "2", &seconds, "sh", "-c", script]);
                command
            }
        }
    }
}

/// A daemon that was started in a place.
#[derive(Debug)]
pub(crate) struct Process {
    place: Place,
    pid_file: PathBuf,
    /// Held where the daemon is our own child, which must be reaped.
    child: Option<Child>,
    label: String,
}

impl Process {
    pub(crate) fn is_alive(&mut self) -> Result<bool> {
        if let Some(child) = &mut self.child {
            return Ok(child.try_wait()?.is_none());
        }
        Ok(self.signal_raw("0")?.code == 0)
    }

    /// Sends a signal (`TERM`, `KILL`, `HUP`) to the daemon.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        self.signal_raw(name).map(drop)
    }

    /// Sends a signal and waits until the daemon is gone.
    pub(crate) fn end(&mut self, signal: &str, limit: Duration) -> Result<()> {
        self.signal(signal)?;
        let label = self.label.clone();
        wait::until(&format!("{label} to leave after SIG{signal}"), limit, || {
            Ok(if self.is_alive()? { Err("it is still there".to_owned()) } else { Ok(()) })
        })
    }

    fn signal_raw(&self, name: &str) -> Result<Finished> {
        let pid = std::fs::read_to_string(&self.pid_file)
            .with_context(|| format!("cannot read {}", self.pid_file.display()))?;
        self.place.try_run(&format!("kill -{name} {}", pid.trim()), COMMAND_LIMIT)
    }
}

impl Drop for Process {
    /// The last resort: whoever holds a daemon and forgets it must not leave it running.
    fn drop(&mut self) {
        let gone = self.is_alive().is_ok_and(|alive| !alive);
        if !gone && self.pid_file.exists() {
            // Errors cannot be reported from here; removing the namespace ends the daemon anyway.
            let _ = self.signal_raw("KILL");
        }
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
