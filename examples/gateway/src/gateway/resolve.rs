//! Peers' names, looked up without holding up anything else.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use crate::io::Waker;

/// A name and what became of it.
pub struct Resolved {
    /// The tunnel it was asked for.
    pub tunnel: String,
    /// Its addresses, the system's favourite first, or why there are none.
    pub addresses: io::Result<Vec<IpAddr>>,
}

/// A thread that asks name servers.
pub struct Resolver {
    questions: Sender<(String, String)>,
    answers: Receiver<Resolved>,
}

impl Resolver {
    /// Starts the thread; each answer makes `waker` readable.
    ///
    /// # Errors
    /// If there can be no more threads.
    pub fn start(waker: Waker) -> io::Result<Self> {
        let (questions, asked) = channel::<(String, String)>();
        let (sender, answers) = channel();
        thread::Builder::new().name("resolver".to_owned()).spawn(move || {
            for (tunnel, name) in asked {
                let addresses = (name.as_str(), 0).to_socket_addrs();
                let addresses = addresses.map(|found| found.map(|address| address.ip()).collect());
                if sender.send(Resolved { tunnel, addresses }).is_err() {
                    return;
                }
                waker.wake();
            }
        })?;
        Ok(Self { questions, answers })
    }

    /// Asks for a name, on behalf of a tunnel.
    pub fn ask(&self, tunnel: &str, name: &str) {
        // Only fails if the thread has ended, and it ends after us.
        let _ = self.questions.send((tunnel.to_owned(), name.to_owned()));
    }

    /// The next answer, if there is one.
    #[must_use]
    pub fn poll(&self) -> Option<Resolved> {
        self.answers.try_recv().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::wait;
    use std::os::fd::AsFd;
    use std::time::Duration;

    #[test]
    fn a_name_is_answered_and_the_waiting_thread_woken() {
        let waker = Waker::new().unwrap();
        let resolver = Resolver::start(waker.clone()).unwrap();
        resolver.ask("net", "127.0.0.7");
        wait(&[waker.as_fd()], Some(Duration::from_secs(5))).unwrap();
        let answer = resolver.poll().unwrap();
        assert_eq!(answer.tunnel, "net");
        assert_eq!(answer.addresses.unwrap(), [IpAddr::from([127, 0, 0, 7])]);
    }
}
