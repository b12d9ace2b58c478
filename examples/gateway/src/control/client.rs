//! The asking side.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{LONGEST_LINE, Request, Response};

const PATIENCE: Duration = Duration::from_secs(10);

/// Why a gateway could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nothing listens there.
    #[error("no gateway runs here ({}): {error}; start one with: ikebana up -c FILE", path.display())]
    NotRunning {
        /// Where it was looked for.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The socket is someone else's.
    #[error("{}: not allowed to talk to the gateway; it belongs to another user", .0.display())]
    NotAllowed(PathBuf),
    /// The conversation broke off.
    #[error("the gateway did not answer: {0}")]
    NoAnswer(io::Error),
    /// The answer is none.
    #[error("the gateway's answer is not understood: {0}")]
    BadAnswer(#[from] serde_json::Error),
}

/// Asks the gateway that listens on `path`.
///
/// # Errors
/// If none does, or it does not answer; a refusal is an answer.
pub fn ask(path: &Path, request: &Request) -> Result<Response, ControlError> {
    let mut stream = UnixStream::connect(path).map_err(|error| {
        if error.kind() == io::ErrorKind::PermissionDenied {
            ControlError::NotAllowed(path.to_owned())
        } else {
            ControlError::NotRunning { path: path.to_owned(), error }
        }
    })?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    let mut exchange = || {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&line)?;
        let mut answer = String::new();
        match BufReader::new((&stream).take(LONGEST_LINE)).read_line(&mut answer)? {
            0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
            _ => Ok(answer),
        }
    };
    let answer = exchange().map_err(ControlError::NoAnswer)?;
    Ok(serde_json::from_str(&answer)?)
}
