//! ESP as IP protocol 50, through a raw socket.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use ikebana_core::selector::protocol;
use socket2::{Domain, Protocol, Socket, Type};

use super::batch::Arrivals;
use super::udp::Offloaded;
use super::{DatagramIo, Run};

/// One raw socket for ESP.
pub struct RawEsp {
    inner: Offloaded,
}

impl RawEsp {
    /// Opens a socket for all ESP to `address`, or to any address of its family if it is unspecified. This
    /// needs `CAP_NET_RAW`.
    ///
    /// # Errors
    /// Those of the system.
    pub fn bind(address: IpAddr, mark: Option<u32>) -> io::Result<Self> {
        let bound = SocketAddr::new(address, 0);
        let esp = Protocol::from(i32::from(protocol::ESP));
        let socket = Socket::new(Domain::for_address(bound), Type::RAW, Some(esp))?;
        if let Some(mark) = mark {
            socket.set_mark(mark)?;
        }
        socket.bind(&bound.into())?;
        Ok(Self { inner: Offloaded::new(socket)? })
    }
}

impl DatagramIo for RawEsp {
    fn receive(&mut self, into: &mut Arrivals) -> io::Result<usize> {
        self.inner.receive(into)?;
        into.shorten(|arrived, octets| {
            arrived.remote.set_port(0);
            // A raw IPv4 socket shows the IP header (raw(7)); an IPv6 one does not.
            let header = octets.first().map(|first| usize::from(first & 0x0f) * 4);
            if arrived.remote.is_ipv4() { header } else { Some(0) }
        });
        Ok(into.len())
    }

    fn send(&mut self, run: &Run<'_>) -> io::Result<()> {
        // A raw socket has no ports; what the path says is the port that IKE uses.
        self.inner.send(run, SocketAddr::new(run.destination.ip(), 0))
    }

    fn longest_run(&self) -> usize {
        // The kernel segments UDP only, and ignores the wish for anything else in silence.
        1
    }

    fn bound(&self) -> SocketAddr {
        self.inner.bound
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.socket.as_fd()
    }
}
