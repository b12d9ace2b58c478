//! The hand of the runner inside the guest: a server that runs shell scripts.
//!
//! It listens only on the private wire between the guest and the namespace it is attached to.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

pub(crate) const PORT: u16 = 4599;

#[derive(Serialize, Deserialize)]
struct Request {
    script: String,
    /// Seconds after which the script is ended.
    limit: u64,
}

#[derive(Serialize, Deserialize)]
struct Response {
    code: i32,
    output: String,
}

/// Serves for ever, one thread per request.
pub(crate) fn serve(address: &str) -> Result<()> {
    let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || {
            if let Err(error) = answer(stream) {
                eprintln!("agent: {error:#}");
            }
        });
    }
    Ok(())
}

fn answer(mut stream: TcpStream) -> Result<()> {
    let mut line = String::new();
    BufReader::new(stream.try_clone()?).read_line(&mut line)?;
    let request: Request = serde_json::from_str(&line)?;
    let output = Command::new("timeout")
        .args(["-k", "2", &request.limit.to_string(), "sh", "-c", &request.script])
        .stdin(Stdio::null())
        .output()?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    let response = Response { code: output.status.code().unwrap_or(-1), output: text };
    serde_json::to_writer(&mut stream, &response)?;
    stream.write_all(b"\n")?;
    Ok(())
}

/// Has the agent run a script; returns its exit code after printing what it said.
pub(crate) fn ask(address: &str, script: &str, limit: u64) -> Result<i32> {
    let target = address.parse().with_context(|| format!("{address:?} is no address"))?;
    let mut stream =
        TcpStream::connect_timeout(&target, Duration::from_secs(2)).context("the guest's agent")?;
    stream.set_read_timeout(Some(Duration::from_secs(limit + 5)))?;
    serde_json::to_writer(&mut stream, &Request { script: script.to_owned(), limit })?;
    stream.write_all(b"\n")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let response: Response = serde_json::from_str(&line).context("the guest's agent went away")?;
    print!("{}", response.output);
    std::io::stdout().flush()?;
    Ok(response.code)
}
