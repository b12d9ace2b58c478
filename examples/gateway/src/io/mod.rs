//! The gateway's system calls, behind interfaces that move packets in batches.
//!
//! The gateway itself sees only [`DatagramIo`] (UDP, raw ESP and AH) and [`PacketIo`] (TUN); an implementation that
//! is faster, or that runs on another system, takes their place without the rest noticing.

mod ah;
mod batch;
mod esp;
mod sockets;
mod tun;
mod udp;
mod wait;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;

pub use ah::RawAh;
pub use batch::{Arrivals, Arrived, Departures, PacketBatch};
pub use esp::RawEsp;
pub use sockets::{Sockets, source_address};
pub use tun::Tun;
pub use udp::UdpPort;
pub use wait::{Readiness, Waker, wait};

/// A socket that carries datagrams of the outer side.
pub trait DatagramIo: Send {
    /// Receives what is there, up to a batch, without waiting. Zero means that nothing was.
    ///
    /// # Errors
    /// Those of the socket, other than having nothing.
    fn receive(&mut self, into: &mut Arrivals) -> io::Result<usize>;

    /// Sends one run of equally long datagrams (the last may be shorter) to one peer.
    ///
    /// # Errors
    /// Those of the socket. [`io::ErrorKind::WouldBlock`] means that it is full.
    fn send(&mut self, run: &Run<'_>) -> io::Result<()>;

    /// How many datagrams a run may have.
    fn longest_run(&self) -> usize;

    /// The address and port it is bound to.
    fn bound(&self) -> SocketAddr;

    /// For waiting on it.
    fn as_fd(&self) -> BorrowedFd<'_>;
}

/// Datagrams of one length for one destination, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// Where from; an unspecified address lets the system choose.
    pub source: IpAddr,
    /// Where to.
    pub destination: SocketAddr,
    /// The ECN bits of the outer header.
    pub ecn: u8,
    /// Length of each datagram but the last.
    pub segment: usize,
    /// All of them.
    pub octets: &'a [u8],
}

/// A device that carries IP packets of the inner side.
pub trait PacketIo: Send {
    /// Reads what is there, up to a batch, without waiting. Zero means that nothing was.
    ///
    /// # Errors
    /// Those of the device, other than having nothing.
    fn receive(&mut self, into: &mut PacketBatch) -> io::Result<usize>;

    /// Writes one packet.
    ///
    /// # Errors
    /// Those of the device.
    fn send(&mut self, packet: &[u8]) -> io::Result<()>;

    /// For waiting on it.
    fn as_fd(&self) -> BorrowedFd<'_>;
}
