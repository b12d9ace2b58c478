//! AH as IP protocol 51, through a raw socket.
//!
//! AH protects the IP header in front of it, so that header is ours to write, and to see.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use ikebana_core::selector::protocol;
use socket2::{Domain, Protocol, Socket, Type};

use super::batch::Arrivals;
use super::udp::Offloaded;
use super::{DatagramIo, Run};

/// One raw socket for AH; what it carries are whole IP packets.
pub struct RawAh {
    inner: Offloaded,
}

impl RawAh {
    /// Opens a socket for all AH to `address`, or to any address of its family if it is unspecified. This needs
    /// `CAP_NET_RAW`.
    ///
    /// # Errors
    /// Those of the system.
    pub fn bind(address: IpAddr, mark: Option<u32>) -> io::Result<Self> {
        let bound = SocketAddr::new(address, 0);
        let ah = Protocol::from(i32::from(protocol::AH));
        let socket = Socket::new(Domain::for_address(bound), Type::RAW, Some(ah))?;
        if let Some(mark) = mark {
            socket.set_mark(mark)?;
        }
        match address {
            IpAddr::V4(_) => socket.set_header_included_v4(true)?,
            IpAddr::V6(_) => socket.set_header_included_v6(true)?,
        }
        socket.bind(&bound.into())?;
        Ok(Self { inner: Offloaded::new(socket)? })
    }
}

impl DatagramIo for RawAh {
    fn receive(&mut self, into: &mut Arrivals) -> io::Result<usize> {
        self.inner.receive(into)?;
        into.put_in_front(|arrived, payload| {
            arrived.remote.set_port(0);
            // A raw IPv4 socket shows the IP header (raw(7)); an IPv6 one does not, and keeps extension headers to
            // itself. Of the header, AH protects only what is known here: lengths, protocol and addresses.
            let (IpAddr::V6(local), IpAddr::V6(remote)) = (arrived.local, arrived.remote.ip()) else {
                return None;
            };
            let mut header = [0; IPV6_HEADER];
            let length = u16::try_from(payload.len()).ok()?.to_be_bytes();
            let fields = [0x60, arrived.ecn << 4, 0, 0, *length.first()?, *length.last()?, protocol::AH, 64];
            header.first_chunk_mut().map(|place| *place = fields)?;
            header.get_mut(8..24)?.copy_from_slice(&remote.octets());
            header.get_mut(24..)?.copy_from_slice(&local.octets());
            Some(header)
        });
        Ok(into.len())
    }

    fn send(&mut self, run: &Run<'_>) -> io::Result<()> {
        // A raw socket has no ports; what the path says is the port that IKE uses.
        self.inner.send(run, SocketAddr::new(run.destination.ip(), 0))
    }

    fn longest_run(&self) -> usize {
        1
    }

    fn bound(&self) -> SocketAddr {
        self.inner.bound
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.socket.as_fd()
    }
}

/// The length of an IPv6 header.
pub(super) const IPV6_HEADER: usize = 40;
