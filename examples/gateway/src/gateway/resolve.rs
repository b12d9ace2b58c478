//! Peers' names, looked up without holding up anything else.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::io::Waker;

/// A name and what became of it.
pub struct Resolved {
    /// The tunnel it was asked for.
    pub tunnel: String,
    /// The name.
    pub name: String,
    /// Its addresses, the system's favourite first, or why there are none.
    pub addresses: io::Result<Vec<IpAddr>>,
}

/// How many names are looked up at once: one whose servers are silent must not hold up the others.
const THREADS: usize = 4;

/// Threads that ask name servers.
pub struct Resolver {
    questions: Sender<(String, String)>,
    answers: Receiver<Resolved>,
}

impl Resolver {
    /// Starts the threads; each answer makes `waker` readable.
    ///
    /// # Errors
    /// If there can be no more threads.
    pub fn start(waker: Waker) -> io::Result<Self> {
        let (questions, asked) = channel();
        let (sender, answers) = channel();
        let asked = Arc::new(Mutex::new(asked));
        for _ in 0..THREADS {
            let (asked, sender, waker) = (Arc::clone(&asked), sender.clone(), waker.clone());
            thread::Builder::new()
                .name("resolver".to_owned())
                .spawn(move || serve(&asked, &sender, &waker))?;
        }
        Ok(Self { questions, answers })
    }

    /// Asks for a name, on behalf of a tunnel.
    pub fn ask(&self, tunnel: &str, name: &str) {
        // Only fails if the threads have ended, and they end after us.
        let _ = self.questions.send((tunnel.to_owned(), name.to_owned()));
    }

    /// The next answer, if there is one.
    #[must_use]
    pub fn poll(&self) -> Option<Resolved> {
        self.answers.try_recv().ok()
    }
}

fn serve(asked: &Mutex<Receiver<(String, String)>>, answers: &Sender<Resolved>, waker: &Waker) {
    loop {
        // Whoever waits for a question holds the lock meanwhile; the others wait for the lock.
        let question = asked.lock().ok().and_then(|asked| asked.recv().ok());
        let Some((tunnel, name)) = question else { return };
        let addresses = (name.as_str(), 0).to_socket_addrs();
        let addresses = addresses.map(|found| found.map(|address| address.ip()).collect());
        if answers.send(Resolved { tunnel, name, addresses }).is_err() {
            return;
        }
        waker.wake();
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
        assert_eq!((answer.tunnel.as_str(), answer.name.as_str()), ("net", "127.0.0.7"));
        assert_eq!(answer.addresses.unwrap(), [IpAddr::from([127, 0, 0, 7])]);
    }
}
