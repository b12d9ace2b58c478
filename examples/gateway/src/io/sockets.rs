//! All sockets of the outer side, and which of them a packet leaves by.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::BorrowedFd;
use std::time::Duration;

use ikebana::Port;
use ikebana_core::Path;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;

use super::batch::Sent;
use super::{Arrivals, DatagramIo, Departures, RawAh, RawEsp, Run, UdpPort};

/// How long a full socket is waited for before a packet is dropped.
const PATIENCE: Duration = Duration::from_millis(20);

struct Entry {
    port: Port,
    io: Box<dyn DatagramIo>,
}

/// The sockets of a gateway.
#[derive(Default)]
pub struct Sockets {
    entries: Vec<Entry>,
    waiting: Departures,
    /// Packets that could not be sent, with the last error.
    failures: u64,
}

impl Sockets {
    /// Adds a UDP socket.
    ///
    /// # Errors
    /// As [`UdpPort::bind`].
    pub fn add_udp(&mut self, port: Port, address: SocketAddr, mark: Option<u32>) -> io::Result<SocketAddr> {
        let socket = UdpPort::bind(address, mark)?;
        let bound = socket.bound();
        self.entries.push(Entry { port, io: Box::new(socket) });
        Ok(bound)
    }

    /// Adds a raw ESP socket.
    ///
    /// # Errors
    /// As [`RawEsp::bind`].
    pub fn add_esp(&mut self, address: IpAddr, mark: Option<u32>) -> io::Result<()> {
        self.entries.push(Entry { port: Port::Esp, io: Box::new(RawEsp::bind(address, mark)?) });
        Ok(())
    }

    /// Adds a raw AH socket.
    ///
    /// # Errors
    /// As [`RawAh::bind`].
    pub fn add_ah(&mut self, address: IpAddr, mark: Option<u32>) -> io::Result<()> {
        self.entries.push(Entry { port: Port::Ah, io: Box::new(RawAh::bind(address, mark)?) });
        Ok(())
    }

    /// Every socket's descriptor, in order.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.entries.iter().map(|entry| entry.io.as_fd())
    }

    /// Receives a batch from the socket numbered `index`; says what it carries and which port it has.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn receive(&mut self, index: usize, into: &mut Arrivals) -> io::Result<Option<(Port, u16)>> {
        let Some(entry) = self.entries.get_mut(index) else { return Ok(None) };
        entry.io.receive(into)?;
        Ok(Some((entry.port, entry.io.bound().port())))
    }

    /// Takes a packet for `path` into the batch that [`Sockets::flush`] sends. Returns false if no socket of
    /// that role has the path's local address and port.
    pub fn push(&mut self, port: Port, path: Path, ecn: u8, octets: &[u8]) -> bool {
        let Some(index) = self.find(port, path.local) else { return false };
        let Some(entry) = self.entries.get(index) else { return false };
        let longest = entry.io.longest_run();
        let (source, destination) = (path.local.ip(), path.remote);
        self.waiting.push(Sent { socket: index, source, destination, ecn }, longest, octets);
        true
    }

    /// Whether there is a socket for paths from `local`.
    #[must_use]
    pub fn serves(&self, port: Port, local: SocketAddr) -> bool {
        self.find(port, local).is_some()
    }

    fn find(&self, port: Port, local: SocketAddr) -> Option<usize> {
        let fits = |entry: &Entry| {
            let bound = entry.io.bound();
            entry.port == port
                && bound.is_ipv4() == local.is_ipv4()
                && (matches!(port, Port::Esp | Port::Ah) || bound.port() == local.port())
                && (bound.ip() == local.ip() || bound.ip().is_unspecified() || local.ip().is_unspecified())
        };
        let exact = |entry: &Entry| fits(entry) && entry.io.bound().ip() == local.ip();
        self.entries.iter().position(exact).or_else(|| self.entries.iter().position(fits))
    }

    /// Sends everything that was pushed. `failed` hears of each packet that could not be sent.
    pub fn flush(&mut self, mut failed: impl FnMut(&Run<'_>, &io::Error)) {
        let (entries, failures) = (&mut self.entries, &mut self.failures);
        self.waiting.drain(|index, run| {
            let Some(entry) = entries.get_mut(index) else { return };
            let mut result = entry.io.send(run);
            if result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                wait_writable(entry.io.as_fd());
                result = entry.io.send(run);
            }
            if let Err(error) = result {
                *failures += 1;
                failed(run, &error);
            }
        });
    }

    /// How many octets wait for [`Sockets::flush`].
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.octets()
    }

    /// Runs of packets that could not be sent.
    #[must_use]
    pub const fn failures(&self) -> u64 {
        self.failures
    }
}

fn wait_writable(descriptor: BorrowedFd<'_>) {
    let timeout = Timespec { tv_sec: 0, tv_nsec: PATIENCE.subsec_nanos().into() };
    // Whatever the outcome, the packet is tried once more and dropped if the socket is still full.
    let _ = poll(&mut [PollFd::from_borrowed_fd(descriptor, PollFlags::OUT)], Some(&timeout));
}

/// The address that this host would send to `remote` from, when the packet carries `mark`.
///
/// # Errors
/// Those of the system; no route, most of all.
pub fn source_address(remote: SocketAddr, mark: Option<u32>) -> io::Result<IpAddr> {
    let any: IpAddr = match remote {
        SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    if let Some(mark) = mark {
        SockRef::from(&socket).set_mark(mark)?;
    }
    // Connecting a UDP socket sends nothing; it only makes the kernel choose a route.
    socket.connect(remote)?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_leaves_by_the_socket_of_its_kind_and_local_end() {
        let mut sockets = Sockets::default();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let ike = sockets.add_udp(Port::Ike, any, None).unwrap();
        let shared = sockets.add_udp(Port::Shared, any, None).unwrap();
        assert!(sockets.push(Port::Ike, Path::new(ike, shared), 0, b"toyou"));
        assert!(!sockets.push(Port::Ike, Path::new(shared, ike), 0, b""));
        assert!(!sockets.push(Port::Esp, Path::new(ike, shared), 0, b""));
        assert!(!sockets.serves(Port::Ike, SocketAddr::from(([127, 0, 0, 9], ike.port()))));
        sockets.flush(|_, error| panic!("{error}"));

        let descriptors: Vec<_> = sockets.descriptors().collect();
        let ready = super::super::wait(&descriptors, Some(Duration::from_secs(5))).unwrap();
        assert_eq!(ready, [super::super::Readiness::Idle, super::super::Readiness::Readable]);
        let mut arrivals = Arrivals::default();
        assert_eq!(sockets.receive(1, &mut arrivals).unwrap(), Some((Port::Shared, shared.port())));
        for (arrived, slot, place) in arrivals.iter_mut() {
            assert_eq!((arrived.remote, &slot[place]), (ike, &b"toyou"[..]));
        }
        assert_eq!(arrivals.len(), 1);
    }

    #[test]
    fn the_source_towards_loopback_is_loopback() {
        let remote = SocketAddr::from(([127, 0, 0, 5], 500));
        assert_eq!(source_address(remote, None).unwrap(), IpAddr::from([127, 0, 0, 1]));
    }
}
