//! The answering side.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use rustix::fs::Mode;

use super::{LONGEST_LINE, Request, Response};
use crate::io::Waker;

/// How long a client may take for its request, and the gateway for its answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A request that waits for its answer.
pub struct Call {
    /// What is asked.
    pub request: Request,
    answer: SyncSender<Response>,
}

impl Call {
    /// Sends the answer.
    pub fn answer(self, response: Response) {
        // The client may have gone away meanwhile.
        let _ = self.answer.send(response);
    }
}

/// The control socket of a running gateway; it goes away with this.
pub struct Server {
    path: PathBuf,
    calls: Receiver<Call>,
}

impl Server {
    /// Listens on `path`. Each request makes `waker` readable and is then found by [`Server::poll`].
    ///
    /// # Errors
    /// If the path cannot be used, or another gateway uses it.
    pub fn listen(path: &Path, waker: Waker) -> io::Result<Self> {
        remove_stale(path)?;
        // The mode must be right from the first moment on, so it is set by the mask and not afterwards.
        let mask = rustix::process::umask(Mode::from_bits_truncate(0o177));
        let listener = UnixListener::bind(path);
        rustix::process::umask(mask);
        let listener = listener?;
        let (sender, calls) = channel();
        thread::Builder::new().name("control".to_owned()).spawn(move || serve(&listener, &sender, &waker))?;
        Ok(Self { path: path.to_owned(), calls })
    }

    /// The next request that waits.
    #[must_use]
    pub fn poll(&self) -> Option<Call> {
        self.calls.try_recv().ok()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already, with the folder it was in.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Removes what a killed gateway left behind, but nothing that is in use or no socket.
fn remove_stale(path: &Path) -> io::Result<()> {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        let message = format!("{} exists and is no socket", path.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
    }
    match UnixStream::connect(path) {
        Ok(_) => {
            let message = format!("another gateway answers on {}", path.display());
            Err(io::Error::new(io::ErrorKind::AddrInUse, message))
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Err(error) => Err(error),
    }
}

/// Serves one client after the other: only the owner can connect, and every request is short.
fn serve(listener: &UnixListener, calls: &Sender<Call>, waker: &Waker) {
    for stream in listener.incoming() {
        match stream.and_then(|stream| converse(&stream, calls, waker)) {
            Ok(true) => {}
            // The gateway is gone.
            Ok(false) => return,
            Err(error) => {
                tracing::debug!(%error, "control client");
                // Running out of descriptors must not become a busy loop.
                thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

/// Answers a client's requests until it leaves; false once there is nobody to ask.
fn converse(stream: &UnixStream, calls: &Sender<Call>, waker: &Waker) -> io::Result<bool> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new(stream.take(LONGEST_LINE));
    loop {
        let mut line = Vec::new();
        if lines.read_until(b'\n', &mut line)? == 0 {
            return Ok(true);
        }
        let response = match serde_json::from_slice(&line) {
            Err(error) => Response::failed(format!("not a request: {error}")),
            Ok(request) => {
                let (answer, response) = sync_channel(1);
                if calls.send(Call { request, answer }).is_err() {
                    return Ok(false);
                }
                waker.wake();
                let late = || Response::failed("the gateway is busy");
                response.recv_timeout(PATIENCE).unwrap_or_else(|_| late())
            }
        };
        let mut line = serde_json::to_vec(&response)?;
        line.push(b'\n');
        (&mut &*stream).write_all(&line)?;
    }
}
