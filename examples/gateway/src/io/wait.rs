//! Waiting for any of several descriptors.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

/// What waiting found out about one descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Nothing yet.
    Idle,
    /// There is something to read, possibly an error.
    Readable,
}

/// Waits until one of `descriptors` can be read, a signal arrives or `timeout` is over.
///
/// # Errors
/// Those of the system; being interrupted by a signal is none.
pub fn wait(descriptors: &[BorrowedFd<'_>], timeout: Option<Duration>) -> io::Result<Vec<Readiness>> {
    let mut polled: Vec<PollFd<'_>> =
        descriptors.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
    let timeout = timeout.map(|timeout| Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    match poll(&mut polled, timeout.as_ref()) {
        Ok(_) => {}
        Err(rustix::io::Errno::INTR) => return Ok(vec![Readiness::Idle; descriptors.len()]),
        Err(error) => return Err(error.into()),
    }
    let readiness = |fd: &PollFd<'_>| match fd.revents().is_empty() {
        true => Readiness::Idle,
        false => Readiness::Readable,
    };
    Ok(polled.iter().map(readiness).collect())
}

/// Wakes a thread that waits, from another one.
#[derive(Clone, Debug)]
pub struct Waker(Arc<OwnedFd>);

impl Waker {
    /// A waker that nobody has used yet.
    ///
    /// # Errors
    /// Those of the system.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?)))
    }

    /// Makes the descriptor readable.
    pub fn wake(&self) {
        // Only fails when the counter is full, and then the descriptor is readable already.
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }

    /// Makes the descriptor unreadable again.
    pub fn reset(&self) {
        // Only fails when nobody has woken us.
        let _ = rustix::io::read(&*self.0, &mut [0; 8]);
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waker_wakes_from_another_thread_and_only_once() {
        let waker = Waker::new().unwrap();
        let other = waker.clone();
        let thread = std::thread::spawn(move || other.wake());
        assert_eq!(wait(&[waker.as_fd()], Some(Duration::from_secs(5))).unwrap(), [Readiness::Readable]);
        thread.join().unwrap();
        waker.reset();
        assert_eq!(wait(&[waker.as_fd()], Some(Duration::ZERO)).unwrap(), [Readiness::Idle]);
    }
}
