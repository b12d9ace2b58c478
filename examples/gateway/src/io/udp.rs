//! UDP through quinn-udp: batches, segmentation offload, and the address that a datagram was sent to.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::ReceiveTimestampns;
use quinn_udp::{EcnCodepoint, RecvMeta, Transmit, UdpSocketState};
use rustix::net::sockopt;
use socket2::{Domain, Protocol, Socket, Type};

use super::batch::{Arrivals, Filled, RECEIVE_BUFFER, RECEIVES};
use super::{DatagramIo, Run};

/// Room for bursts, where the system grants it.
const SOCKET_BUFFER: usize = 4 << 20;

/// One UDP socket.
pub struct UdpPort {
    inner: Offloaded,
}

impl UdpPort {
    /// Binds a socket. With a mark, its packets carry it through routing (this needs `CAP_NET_ADMIN`).
    ///
    /// # Errors
    /// Those of the system: the port is taken, the address is not ours, or we may not.
    pub fn bind(address: SocketAddr, mark: Option<u32>) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        if let Some(mark) = mark {
            socket.set_mark(mark)?;
        }
        socket.bind(&address.into())?;
        Ok(Self { inner: Offloaded::new(socket)? })
    }
}

impl DatagramIo for UdpPort {
    fn receive(&mut self, into: &mut Arrivals) -> io::Result<usize> {
        self.inner.receive(into)
    }

    fn send(&mut self, run: &Run<'_>) -> io::Result<()> {
        self.inner.send(run, run.destination)
    }

    fn longest_run(&self) -> usize {
        self.inner.state.max_gso_segments()
    }

    fn bound(&self) -> SocketAddr {
        self.inner.bound
    }

    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.socket.as_fd()
    }
}

/// A datagram socket with what quinn-udp knows about it; for raw sockets it turns segmentation off by itself.
pub(super) struct Offloaded {
    pub(super) socket: Socket,
    state: UdpSocketState,
    pub(super) bound: SocketAddr,
}

impl Offloaded {
    pub(super) fn new(socket: Socket) -> io::Result<Self> {
        let state = UdpSocketState::new((&socket).into())?;
        let bound = socket.local_addr()?.as_socket().ok_or_else(|| io::Error::other("no IP socket"))?;
        // quinn-udp forbids fragmentation, as QUIC must. IKE has messages longer than a path's MTU, and an
        // ESP packet that a shorter path splits is better than one that it drops (RFC 4301 8.1 leaves the
        // choice to the administrator).
        if bound.is_ipv4() {
            sockopt::set_ip_mtu_discover(&socket, sockopt::Ipv4PathMtuDiscovery::DONT)?;
        } else {
            sockopt::set_ipv6_mtu_discover(&socket, sockopt::Ipv6PathMtuDiscovery::DONT)?;
        }
        // quinn-udp asks for timestamps, and has then no room left for the ECN bits of joined datagrams.
        setsockopt(&socket, ReceiveTimestampns, &false)?;
        for set in [UdpSocketState::set_recv_buffer_size, UdpSocketState::set_send_buffer_size] {
            // A smaller buffer than wished for still works.
            let _ = set(&state, (&socket).into(), SOCKET_BUFFER);
        }
        Ok(Self { socket, state, bound })
    }

    pub(super) fn receive(&mut self, into: &mut Arrivals) -> io::Result<usize> {
        let mut metas = [RecvMeta::default(); RECEIVES];
        let count = {
            let mut buffers = into.buffers().map(IoSliceMut::new);
            let mut slices: [IoSliceMut<'_>; RECEIVES] =
                std::array::from_fn(|_| buffers.next().unwrap_or(IoSliceMut::new(&mut [])));
            match self.state.recv((&self.socket).into(), &mut slices, &mut metas) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
                Err(error) => return Err(error),
            }
        };
        for (index, meta) in metas.iter().take(count).enumerate() {
            let length = meta.len.min(RECEIVE_BUFFER);
            let stride = if meta.stride == 0 { length.max(1) } else { meta.stride };
            let local = meta.dst_ip.unwrap_or(self.bound.ip());
            let ecn = meta.ecn.map_or(0, |ecn| ecn as u8);
            into.filled(index, &Filled { length, stride, local, remote: meta.addr, ecn });
        }
        Ok(into.len())
    }

    pub(super) fn send(&mut self, run: &Run<'_>, destination: SocketAddr) -> io::Result<()> {
        let whole = run.octets.len() <= run.segment || self.state.max_gso_segments() > 1;
        if whole {
            let segment_size = (run.octets.len() > run.segment).then_some(run.segment);
            match self.transmit(run, destination, run.octets, segment_size) {
                // The network card cannot segment; quinn-udp has noted it, and we send the pieces.
                Err(_) if segment_size.is_some() && self.state.max_gso_segments() == 1 => {}
                result => return result,
            }
        }
        run.octets.chunks(run.segment.max(1)).try_for_each(|one| self.transmit(run, destination, one, None))
    }

    fn transmit(
        &self,
        run: &Run<'_>,
        destination: SocketAddr,
        contents: &[u8],
        segment_size: Option<usize>,
    ) -> io::Result<()> {
        let src_ip = (!run.source.is_unspecified()).then_some(run.source);
        let ecn = EcnCodepoint::from_bits(run.ecn);
        let transmit = Transmit { destination, ecn, contents, segment_size, src_ip };
        match self.state.try_send((&self.socket).into(), &transmit) {
            // An ICMP error of an earlier datagram is reported once, instead of sending this one.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                self.state.try_send((&self.socket).into(), &transmit)
            }
            result => result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::{Arrived, Readiness, wait};
    use std::time::Duration;

    fn pair() -> (UdpPort, UdpPort) {
        let bind = || UdpPort::bind("127.0.0.1:0".parse().unwrap(), None).unwrap();
        (bind(), bind())
    }

    fn arrivals(port: &mut UdpPort, count: usize) -> Vec<(Vec<u8>, Arrived)> {
        let (mut into, mut found) = (Arrivals::default(), Vec::new());
        while found.len() < count {
            let ready = wait(&[port.as_fd()], Some(Duration::from_secs(5))).unwrap();
            assert_eq!(ready, [Readiness::Readable], "only {} of {count} datagrams came", found.len());
            port.receive(&mut into).unwrap();
            found.extend(
                into.iter_mut().map(|(arrived, slot, place)| (slot[place].to_vec(), arrived.clone())),
            );
        }
        found
    }

    #[test]
    fn a_run_arrives_as_single_datagrams_with_both_addresses() {
        let (mut here, mut there) = pair();
        let octets: Vec<u8> = (0..2_500_u32).map(|n| n.to_be_bytes()[3]).collect();
        let run = Run {
            source: "127.0.0.3".parse().unwrap(),
            destination: there.bound(),
            ecn: 2,
            segment: 1_000,
            octets: &octets,
        };
        here.send(&run).unwrap();
        let found = arrivals(&mut there, 3);
        let joined: Vec<u8> = found.iter().flat_map(|(octets, _)| octets.clone()).collect();
        assert_eq!(joined, octets);
        assert_eq!(found.iter().map(|(one, _)| one.len()).collect::<Vec<_>>(), [1_000, 1_000, 500]);
        for (_, arrived) in &found {
            assert_eq!(arrived.remote, SocketAddr::new("127.0.0.3".parse().unwrap(), here.bound().port()));
            assert_eq!((arrived.local, arrived.ecn), (there.bound().ip(), 2));
        }
    }

    #[test]
    fn an_empty_datagram_arrives_as_one_and_silence_as_none() {
        let (mut here, mut there) = pair();
        assert_eq!(there.receive(&mut Arrivals::default()).unwrap(), 0);
        let run =
            Run { source: here.bound().ip(), destination: there.bound(), ecn: 0, segment: 0, octets: &[] };
        here.send(&run).unwrap();
        assert_eq!(arrivals(&mut there, 1)[0].0, Vec::<u8>::new());
    }
}
